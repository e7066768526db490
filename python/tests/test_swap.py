"""Hot swap and rollback."""

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest
from helpers import Gate, Inbox, check_books, run_program, settle
from iris import Context, Runtime, errors


def says(text: bytes) -> Any:
    return lambda msg: text


def test_each_later_message_sees_the_new_handler(rt: Runtime) -> None:
    pid = rt.spawn(says(b"one"))
    rt.register("swapped", pid)
    assert rt.behavior_version(pid) == 1
    assert rt.call_blocking(pid, b"") == b"one"
    assert rt.hot_swap(pid, says(b"two")) == 2
    assert rt.call_blocking(pid, b"") == b"two"
    assert rt.behavior_version(pid) == 2
    assert rt.whereis("swapped") == pid
    check_books(rt)


def test_what_is_being_handled_finishes_on_the_old(rt: Runtime, gate: Gate, inbox: Inbox) -> None:
    pid = rt.spawn(gate)
    rt.send_many(pid, [b"old", b"new", b"new too"])
    gate.wait_entered()
    rt.hot_swap(pid, inbox)
    gate.opened.set()
    assert inbox.wait(2) == [b"new", b"new too"]
    assert gate.handled == [b"old"]


def test_a_handler_may_swap_itself(rt: Runtime, inbox: Inbox) -> None:
    def once(msg: bytes, ctx: Context) -> None:
        ctx.runtime.hot_swap(ctx.pid, inbox)

    pid = rt.spawn(once)
    rt.send_many(pid, [b"1", b"2", b"3"])
    assert inbox.wait(2) == [b"2", b"3"]


def test_the_new_one_may_want_ctx_and_be_async(rt: Runtime) -> None:
    async def is_async(msg: bytes, ctx: Context) -> bytes:
        await asyncio.sleep(0)
        return b"async %d" % (ctx.pid == pid)

    pid = rt.spawn(says(b"plain"))
    rt.hot_swap(pid, is_async)
    assert rt.call_blocking(pid, b"") == b"async 1"
    rt.hot_swap(pid, lambda msg, ctx: b"ctx %d" % (ctx.pid == pid))
    assert rt.call_blocking(pid, b"") == b"ctx 1"
    on_loop = rt.spawn(is_async)
    rt.hot_swap(on_loop, says(b"plain on a loop"))
    assert rt.call_blocking(on_loop, b"") == b"plain on a loop"
    assert rt.rollback_behavior(on_loop) == 1
    pid = on_loop
    assert rt.call_blocking(on_loop, b"") == b"async 1"


def test_the_variables_of_the_spawn_stay(rt: Runtime) -> None:
    variable = contextvars.ContextVar("variable", default=b"default")
    variable.set(b"spawn")
    pid = rt.spawn(says(b""))
    variable.set(b"swap")
    rt.hot_swap(pid, lambda msg: variable.get())
    assert rt.call_blocking(pid, b"") == b"spawn"


def test_the_way_back(rt: Runtime) -> None:
    pid = rt.spawn(says(b"1"))
    for n in range(2, 6):
        assert rt.hot_swap(pid, says(b"%d" % n)) == n
    assert rt.rollback_behavior(pid) == 4
    assert rt.call_blocking(pid, b"") == b"4"
    assert rt.rollback_behavior(pid, 2) == 2
    assert rt.call_blocking(pid, b"") == b"2"
    assert rt.hot_swap(pid, says(b"6")) == 6  # no number names two handlers
    assert rt.rollback_behavior(pid) == 2
    assert rt.rollback_behavior(pid) == 1
    assert rt.call_blocking(pid, b"") == b"1"
    with pytest.raises(errors.InvalidArgument, match="0 are kept"):
        rt.rollback_behavior(pid)


def test_sixteen_are_kept_and_more_steps_change_nothing(rt: Runtime) -> None:
    pid = rt.spawn(says(b"1"))
    for n in range(2, 21):
        rt.hot_swap(pid, says(b"%d" % n))
    for steps in (17, 20, 2**32 - 1):
        with pytest.raises(errors.InvalidArgument, match="16 are kept"):
            rt.rollback_behavior(pid, steps)
    assert rt.behavior_version(pid) == 20
    assert rt.call_blocking(pid, b"") == b"20"
    assert rt.rollback_behavior(pid, 16) == 4
    assert rt.call_blocking(pid, b"") == b"4"


@pytest.mark.parametrize("steps", [0, -1, 2**32, 2**70])
def test_steps_out_of_range(rt: Runtime, steps: int) -> None:
    pid = rt.spawn(says(b"1"))
    rt.hot_swap(pid, says(b"2"))
    with pytest.raises(errors.InvalidArgument):
        rt.rollback_behavior(pid, steps)
    assert rt.behavior_version(pid) == 2


class Handler:
    def __call__(self, msg: bytes) -> None:
        pass


def test_what_is_forgotten_is_freed(rt: Runtime) -> None:
    handlers = [Handler() for _ in range(19)]
    known = [weakref.ref(h) for h in handlers]
    pid = rt.spawn(handlers[0])
    for h in handlers[1:]:
        rt.hot_swap(pid, h)
    del h
    handlers.clear()
    gc.collect()
    assert [i for i, k in enumerate(known) if k() is None] == [0, 1]
    rt.rollback_behavior(pid, 10)
    gc.collect()
    assert [i for i, k in enumerate(known) if k() is not None] == list(range(2, 9))
    rt.stop(pid)
    settle(rt)
    gc.collect()
    assert all(k() is None for k in known)


def test_each_message_sees_exactly_one_version_under_load(rt: Runtime) -> None:
    seen: list[tuple[int, bytes]] = []

    def version(n: int) -> Any:
        return lambda msg: seen.append((n, msg))

    pid = rt.spawn(version(1))
    swapped = 1
    sent: list[list[tuple[bytes, int]]] = [[] for _ in range(4)]

    def sender(mine: list[tuple[bytes, int]], t: int) -> None:
        for i in range(500):
            msg = b"%d %d" % (t, i)
            mine.append((msg, swapped))  # the version in force before it was sent, at least
            if i % 10:
                rt.send(pid, msg)
            else:  # lets others run
                rt.call_blocking(pid, msg, timeout=60)

    threads = [threading.Thread(target=sender, args=(sent[t], t)) for t in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        swapped = rt.hot_swap(pid, version(swapped + 1))
        threads[0].join(0.0001)
    settle(rt)
    handled = {msg: n for n, msg in seen}
    assert len(seen) == len(handled) == sum(len(mine) for mine in sent)
    versions = [n for n, _ in seen]
    assert versions == sorted(versions)
    assert all(handled[msg] >= at_least for mine in sent for msg, at_least in mine)
    assert len(set(versions)) > 1
    check_books(rt)


def test_a_crash_of_the_new_one_ends_the_actor(rt: Runtime) -> None:
    def broken(msg: bytes) -> None:
        raise ValueError("new")

    pid = rt.spawn(says(b""))
    rt.hot_swap(pid, broken)
    rt.send(pid, b"")
    assert rt.join(pid).message == "ValueError: new"
    with pytest.raises(errors.NoSuchActor):
        rt.rollback_behavior(pid)


def test_the_interpreter_exits_while_handlers_are_swapped() -> None:
    done = run_program("""
        import threading
        from iris import Runtime
        rt = Runtime()
        pid = rt.spawn(lambda m: None)
        def flood():
            while True:
                rt.send_many(pid, [b"x"] * 100)
                rt.hot_swap(pid, lambda m: None)
        threading.Thread(target=flood, daemon=True).start()
        for _ in range(100):
            rt.hot_swap(pid, lambda m: None)
        """)
    assert done.returncode == 0, done.stderr
