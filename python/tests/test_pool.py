"""Pools: children that share the work, and are replaced when they fail."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest
from helpers import Gate, Inbox, check_books, until
from iris import Pool, Runtime, errors


def parent_of(rt: Runtime) -> int:
    return rt.spawn(lambda msg: msg)


def work(msg: bytes, ctx: Any) -> str:
    if msg == b"crash":
        raise ValueError("as asked")
    return str(ctx.pid)


def test_a_pool_is_the_list_of_its_pids(rt: Runtime) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), work, 4)
    assert isinstance(pool, list)
    assert isinstance(pool, Pool)
    assert len(pool) == pool.size == len(set(pool)) == 4
    assert pool.pids == list(pool)
    assert all(isinstance(pid, int) and rt.is_alive(pid) for pid in pool)
    assert [rt.call_blocking(pid, b"") for pid in pool] == [str(p).encode() for p in pool]
    assert repr(pool) == f"Pool({list(pool)!r})"


def test_it_sends_by_turns(rt: Runtime) -> None:
    inbox = Inbox()
    pool = rt.spawn_child_pool(parent_of(rt), lambda msg, ctx: inbox(str(ctx.pid).encode()), 4)
    assert all(pool.send(b"") for _ in range(40))
    counts = Counter(inbox.wait(40))
    assert counts == {str(pid).encode(): 10 for pid in pool}


def test_calls_go_by_turns_too(rt: Runtime) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), work, 3)
    answers = [pool.call_blocking(b"", timeout=60) for _ in range(6)]
    assert sorted(answers) == sorted([str(p).encode() for p in pool] * 2)

    async def ask() -> list[bytes]:
        return list(await asyncio.gather(*[pool.call(b"") for _ in range(3)]))

    assert sorted(asyncio.run(ask())) == sorted(str(p).encode() for p in pool)


def test_it_sends_to_the_shortest_queue(rt: Runtime, gate: Gate) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), gate, 3, routing="shortest", release_gil=True)
    for pid, n in zip(pool, (5, 2, 8), strict=True):
        rt.send_many(pid, [b"x"] * n)
    gate.wait_entered()
    for _ in range(9):
        assert pool.send(b"x")
    sizes = [rt.mailbox_size(pid) or 0 for pid in pool]
    assert max(sizes) - min(sizes) <= 2, sizes


@pytest.mark.parametrize("release_gil", [False, True])
def test_a_member_that_fails_is_replaced_in_its_place(
    rt: Runtime, wait_until: Any, release_gil: bool
) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), work, 3, release_gil=release_gil)
    before = list(pool)
    rt.send(before[1], b"crash")
    rt.join(before[1], timeout=60)
    wait_until(lambda: list(pool) != before)
    assert (pool[0], pool[2]) == (before[0], before[2])
    assert pool[1] not in before
    assert rt.call_blocking(pool[1], b"", timeout=60) == str(pool[1]).encode()


def test_every_one_of_many_crashes_is_made_up_for(rt: Runtime, wait_until: Any) -> None:
    parent = parent_of(rt)
    pool = rt.spawn_child_pool(parent, work, 4)
    for _ in range(100):
        assert pool.send(b"crash") in (True, False)
    wait_until(lambda: rt.get_metrics()["queued"] == 0 and len(rt.list_actors()) == 5)
    wait_until(lambda: sorted(pool) == sorted(p for p in rt.list_actors() if p != parent))
    assert pool.call_blocking(b"", timeout=60)
    check_books(rt)


@pytest.mark.parametrize("release_gil", [False, True])
def test_what_a_member_had_queued_goes_to_its_replacement(
    rt: Runtime, wait_until: Any, gate: Gate, release_gil: bool
) -> None:
    handled: list[bytes] = []

    def handler(msg: bytes) -> bytes:
        if msg == b"wait":
            gate(msg)
        if msg == b"crash":
            raise ValueError("as asked")
        handled.append(msg)
        return b"re " + msg

    pool = rt.spawn_child_pool(parent_of(rt), handler, 1, release_gil=release_gil)
    rt.register("member", pool[0])
    assert pool.send(b"wait")
    gate.wait_entered()
    assert [pool.send(m) for m in (b"1", b"crash", b"2", b"crash", b"3")] == [True] * 5

    async def ask() -> bytes:
        answer = pool.call(b"4", 60)
        gate.opened.set()
        return await answer

    assert asyncio.run(ask()) == b"re 4"
    assert handled == [b"wait", b"1", b"2", b"3", b"4"]
    wait_until(lambda: rt.whereis("member") == pool[0])
    dead = rt.get_metrics()["dead"]
    assert dead["crash"] == 2, "only the messages that crashed are lost"
    check_books(rt)


def test_what_waits_for_a_replacement_that_cannot_come_is_dead(
    rt: Runtime, wait_until: Any, gate: Gate
) -> None:
    def handler(msg: bytes) -> None:
        gate(msg)
        raise ValueError("as asked")

    pool = rt.spawn_child_pool(parent_of(rt), handler, 1)
    rt.send_many(pool[0], [b"1", b"2", b"3"])
    gate.wait_entered()
    rt.set_system_capacity(1)
    rt.set_load_shedding(True)
    gate.opened.set()
    wait_until(lambda: len(pool) == 0)
    assert rt.get_metrics()["dead"]["crash"] == 3
    check_books(rt)
    rt.set_load_shedding(False)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_member_that_is_stopped_or_killed_leaves(rt: Runtime, wait_until: Any, how: str) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), work, 3)
    gone, *rest = list(pool)
    getattr(rt, how)(gone)
    wait_until(lambda: list(pool) == rest)
    assert {pool.call_blocking(b"") for _ in range(4)} == {str(p).encode() for p in rest}


def test_a_member_that_refuses_is_passed_over(rt: Runtime, gate: Gate) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), gate, 2, release_gil=True)
    rt.set_load_shedding(False)
    one, two = pool
    rt.send(two, b"")
    gate.wait_entered()
    rt.stop(two)  # it refuses, and has not ended: nobody has told the pool
    assert all(pool.send(b"") for _ in range(4))
    assert (rt.mailbox_size(one) or 0) >= 3


def test_it_ends_with_its_parent(rt: Runtime, wait_until: Any) -> None:
    parent = parent_of(rt)
    pool = rt.spawn_child_pool(parent, work, 3)
    members = list(pool)
    rt.stop(parent)
    assert [rt.join(p, timeout=60).reason for p in members] == ["parent_exit"] * 3
    wait_until(lambda: not pool)
    assert pool.send(b"") is False
    with pytest.raises(errors.NoSuchActor):
        pool.call_blocking(b"")
    with pytest.raises(TypeError, match="bytes-like"):
        pool.send("text")
    assert rt.list_actors() == []


def test_it_goes_on_without_its_list(rt: Runtime, wait_until: Any) -> None:
    parent = parent_of(rt)
    members = list(rt.spawn_child_pool(parent, work, 2))
    rt.send(members[0], b"crash")
    rt.join(members[0], timeout=60)
    wait_until(lambda: len(rt.list_actors()) == 3)


def test_async_members(rt: Runtime) -> None:
    async def handler(msg: bytes) -> bytes:
        await asyncio.sleep(0)
        if msg == b"crash":
            raise ValueError
        return msg

    async def main() -> None:
        pool = rt.spawn_child_pool(parent_of(rt), handler, 3)
        before = list(pool)
        assert await asyncio.gather(*[pool.call(b"%d" % i) for i in range(9)]) == [
            b"%d" % i for i in range(9)
        ]
        rt.send(before[0], b"crash")
        await until(lambda: list(pool) != before)
        assert await rt.call(pool[0], b"again") == b"again"

    asyncio.run(main())


def test_it_speaks_its_codec(rt: Runtime) -> None:
    pool = rt.spawn_child_pool(parent_of(rt), lambda msg: {"got": msg}, 2, codec="json")
    assert pool.call_blocking([1, 2]) == {"got": [1, 2]}
    assert pool.send({"n": 1})
    with pytest.raises(TypeError):
        pool.send(b"bytes are no JSON")
    assert {rt.actor_info(p).codec for p in pool} == {"json"}  # type: ignore[union-attr]


def test_a_crash_in_a_closed_runtime_replaces_nobody() -> None:
    done = threading.Event()

    def handler(msg: bytes) -> None:
        done.set()
        raise ValueError

    rt = Runtime()
    rt.on_crash(lambda info: None)
    pool = rt.spawn_child_pool(parent_of(rt), handler, 2)
    pool.send(b"")
    assert done.wait(30)
    rt.close()
    with pytest.raises(errors.RuntimeClosed):
        pool.send(b"")
    with pytest.raises(errors.RuntimeClosed):
        pool.call_blocking(b"")
