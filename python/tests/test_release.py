"""release_gil=True: threads of their own for actors, their limits, and their ends."""

import contextvars
import os
import threading
from typing import Any

import pytest
from helpers import Gate, check_books, settle
from iris import Runtime, errors

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def ident(msg: bytes) -> str:
    return str(threading.get_ident())


def ask(rt: Runtime, pid: int, msg: bytes = b"") -> bytes:
    return rt.call_blocking(pid, msg, timeout=60)


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_each_has_a_thread_of_its_own_and_stays_on_it(rt: Runtime) -> None:
    pids = [rt.spawn(ident, release_gil=True) for _ in range(5)]
    lane = ask(rt, rt.spawn(ident))
    first = [ask(rt, p) for p in pids]
    assert len({*first, lane, str(threading.get_ident()).encode()}) == 7
    assert [ask(rt, p) for p in pids] == first


def test_they_wait_for_one_another_and_stop_nobody(rt: Runtime) -> None:
    barrier = threading.Barrier(3, timeout=60)

    def meet(msg: bytes) -> bytes:
        barrier.wait()
        return msg

    pids = [rt.spawn(meet, release_gil=True) for _ in range(2)]
    for p in pids:
        rt.send(p, b"")
    settle(rt)  # the interpreter lane goes on while they stand
    barrier.wait()
    for p in pids:
        rt.stop(p, drain=True)
        assert rt.join(p, timeout=60).reason == "shutdown"


def test_its_own_thread_may_block(rt: Runtime) -> None:
    echo = rt.spawn(lambda msg: msg)
    short = rt.spawn(lambda msg: msg)
    full = rt.spawn_py_handler_bounded(lambda msg: None, 100, 1)
    rt.set_overflow_policy(full, "block")

    def block(msg: bytes) -> bytes:
        assert rt.send_many(full, [b"x"] * 50) == 50
        rt.stop(short)
        assert rt.join(short, timeout=60).reason == "shutdown"
        return rt.call_blocking(echo, b"asked", timeout=60)

    assert ask(rt, rt.spawn(block, release_gil=True)) == b"asked"


def test_it_cannot_wait_for_itself(rt: Runtime) -> None:
    pid = 0
    failures: list[type[Exception]] = []

    def handler(msg: bytes) -> None:
        for wait in (
            lambda: rt.call_blocking(pid, b""),
            lambda: rt.join(pid),
            lambda: rt.close(),
        ):
            try:
                wait()
            except errors.IrisError as e:
                failures.append(type(e))

    pid = rt.spawn(handler, release_gil=True)
    ask(rt, pid)
    assert failures == [errors.SelfCall, errors.WouldDeadlock, errors.WouldDeadlock]


def test_order_and_calls_and_ctx_are_as_for_any_actor(rt: Runtime) -> None:
    got: list[bytes] = []

    def handler(msg: bytes, ctx: Any) -> bytes:
        got.append(msg)
        if ctx.is_call:
            ctx.reply(b"replied")
        return b"ignored"

    pid = rt.spawn(handler, budget=3, release_gil=True)
    messages = [b"%d" % i for i in range(500)]
    rt.send_many(pid, messages)
    assert ask(rt, pid, b"end") == b"replied"
    assert got == [*messages, b"end"]
    check_books(rt)


def test_beyond_the_limit_they_share_a_few_threads(rt: Runtime) -> None:
    rt.set_release_gil_limits(2, 3)
    own = [ask(rt, rt.spawn(ident, release_gil=True)) for _ in range(2)]
    shared = [ask(rt, rt.spawn(ident, release_gil=True)) for _ in range(30)]
    lane = ask(rt, rt.spawn(ident))
    assert len(set(own)) == 2
    assert len(set(shared)) == 3
    assert not {*own, lane} & set(shared)


def test_a_shared_thread_must_not_block(rt: Runtime) -> None:
    rt.set_release_gil_limits(0, 1)
    echo = rt.spawn(lambda msg: msg)
    pid = rt.spawn(lambda msg: rt.call_blocking(echo, msg), release_gil=True)
    with pytest.raises(errors.WouldDeadlock):
        ask(rt, pid)


def test_strict_is_an_error_and_spawns_nothing(rt: Runtime) -> None:
    rt.set_release_gil_limits(1, 4)
    rt.set_release_gil_strict(True)
    one = rt.spawn(ident, release_gil=True)
    spawns = [
        lambda: rt.spawn(ident, release_gil=True),
        lambda: rt.spawn_py_handler_bounded(ident, 1, 1, release_gil=True),
        lambda: rt.spawn_child(one, ident, release_gil=True),
        lambda: rt.spawn_child_pool(one, ident, 2, release_gil=True),
    ]
    for spawn in spawns:
        with pytest.raises(errors.AtCapacity, match="set_release_gil_limits"):
            spawn()
    assert rt.list_actors() == [one]
    for _ in range(50):  # a place is free as soon as its actor has ended
        rt.stop(one)
        rt.join(one, timeout=60)
        one = rt.spawn(ident, release_gil=True)
        ask(rt, one)
    rt.set_release_gil_strict(False)
    ask(rt, rt.spawn(ident, release_gil=True))


def test_strict_refuses_a_pool_as_a_whole(rt: Runtime) -> None:
    parent = rt.spawn(ident)
    rt.set_release_gil_limits(2, 4)
    rt.set_release_gil_strict(True)
    with pytest.raises(errors.AtCapacity):
        rt.spawn_child_pool(parent, ident, 3, release_gil=True)
    assert rt.list_actors() == [parent]


def test_ten_thousand_come_and_go(rt: Runtime, wait_until: Any) -> None:
    def cycle(n: int) -> None:
        for _ in range(n):
            pid = rt.spawn(ident, release_gil=True)
            rt.send(pid, b"")
            rt.stop(pid, drain=True)
            rt.join(pid, timeout=60)

    cycle(100)
    before = threads()
    cycle(10_000)
    wait_until(lambda: threads() <= before + 1)


def test_a_crash_ends_the_thread_and_is_reported(rt: Runtime, wait_until: Any) -> None:
    crashes: list[Any] = []
    rt.on_crash(crashes.append)
    settle(rt)
    rt.send(rt.spawn(lambda msg: 1 / 0), b"")
    wait_until(lambda: len(crashes) == 1)
    before = threads()
    pid = rt.spawn(lambda msg: 1 / 0, release_gil=True)
    rt.send(pid, b"")
    assert rt.join(pid, timeout=60).reason == "crash"
    wait_until(lambda: len(crashes) == 2)
    assert crashes[1].message == "ZeroDivisionError: division by zero"
    wait_until(lambda: threads() <= before)


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("own", [True, False])
def test_a_handler_that_does_not_return_is_given_up(
    gate: Gate, how: str, own: bool, wait_until: Any
) -> None:
    with Runtime(stop_timeout=0.05) as rt:
        rt.on_crash(lambda info: None)
        rt.set_release_gil_limits(int(own), 1)
        answers: list[object] = []

        def stuck(msg: bytes) -> None:
            gate(msg)
            try:
                answers.append(rt.send(pid, b""))
            except errors.ActorExited as e:
                answers.append(e)

        pid = rt.spawn(stuck, release_gil=True)
        rt.send(pid, b"")
        gate.wait_entered()
        getattr(rt, how)(pid)
        assert rt.join(pid, timeout=60).reason == ("timeout" if how == "stop" else "killed")
        after = rt.spawn(ident, release_gil=True)
        ask(rt, after)
        gate.opened.set()
        wait_until(lambda: len(answers) == 1)
        # A killed one that stands in nobody's way may come back before it is given up.
        assert isinstance(answers[0], errors.ActorExited) or (how == "kill" and own)
        assert not answers[0] or isinstance(answers[0], errors.ActorExited)
        check_books(rt)


def test_hot_swap_reaches_it(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: b"old", release_gil=True)
    assert ask(rt, pid) == b"old"
    assert rt.hot_swap(pid, lambda msg: b"new") == 2
    assert ask(rt, pid) == b"new"
    assert rt.rollback_behavior(pid) == 1
    assert ask(rt, pid) == b"old"


def test_the_spawners_variables_are_seen_and_kept_apart(rt: Runtime) -> None:
    def handler(msg: bytes) -> str:
        seen = VARIABLE.get()
        VARIABLE.set(msg.decode())
        return seen

    token = VARIABLE.set("spawner")
    try:
        one, two = (rt.spawn(handler, release_gil=True) for _ in range(2))
    finally:
        VARIABLE.reset(token)
    assert ask(rt, one, b"mine") == b"spawner"
    assert ask(rt, one, b"") == b"mine"
    assert ask(rt, two, b"") == b"spawner"


def test_an_async_handler_stays_on_its_loop(rt: Runtime) -> None:
    async def handler(msg: bytes) -> str:
        return str(threading.get_ident())

    one, two = rt.spawn(handler, release_gil=True), rt.spawn(handler)
    assert ask(rt, one) == ask(rt, two)


def test_an_awaitable_answer_is_awaited(rt: Runtime) -> None:
    async def later() -> bytes:
        return b"later"

    assert ask(rt, rt.spawn(lambda msg: later(), release_gil=True)) == b"later"


def test_children_of_it_end_with_it(rt: Runtime, wait_until: Any) -> None:
    settle(rt)
    before = threads()
    parent = rt.spawn(ident, release_gil=True)
    child = rt.spawn_child(parent, ident, release_gil=True)
    pool = rt.spawn_child_pool(child, ident, 3, release_gil=True)
    assert len({ask(rt, p) for p in pool}) == 3
    rt.kill(parent)
    for p in (child, *pool):
        assert rt.join(p, timeout=60).reason == "parent_exit"
    wait_until(lambda: threads() <= before + 1)


def test_closing_ends_all_threads(wait_until: Any) -> None:
    before = threads()
    with Runtime() as rt:
        rt.set_release_gil_limits(20, 4)
        for p in [rt.spawn(ident, release_gil=True) for _ in range(40)]:
            ask(rt, p)
    wait_until(lambda: threads() <= before + 1)
