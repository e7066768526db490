"""Full mailboxes: the five policies, waiting for room, pressure, load shedding."""

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Gate, Inbox, check_books, run_program, settle, until
from iris import Context, Runtime, errors

WaitUntil = Callable[[Callable[[], bool]], None]


def stuck(rt: Runtime, gate: Gate, capacity: int = 1, policy: Any = "block", *target: int) -> int:
    """An actor whose mailbox is full: its handler stands still with one message in hand."""
    pid = rt.spawn_py_handler_bounded(gate, 100, capacity)
    assert rt.send(pid, b"in hand")
    gate.wait_entered()
    for i in range(capacity):
        assert rt.send(pid, b"%d" % i)
    rt.set_overflow_policy(pid, policy, *target)
    return pid


def test_dropnew_refuses_the_new_one(rt: Runtime, gate: Gate) -> None:
    pid = stuck(rt, gate, 2, "dropnew")
    assert not rt.send(pid, b"new")
    gate.opened.set()
    settle(rt)
    assert gate.handled == [b"in hand", b"0", b"1"]
    assert check_books(rt)["refused"]["full"] == 1


def test_dropold_lets_the_oldest_go(rt: Runtime, gate: Gate) -> None:
    pid = stuck(rt, gate, 2, "dropold")
    assert rt.send_many(pid, [b"2", b"3"]) == 2
    assert rt.mailbox_size(pid) == 2
    gate.opened.set()
    settle(rt)
    assert gate.handled == [b"in hand", b"2", b"3"]
    assert check_books(rt)["dropped"]["displaced"] == 2


def test_redirect_sends_the_new_one_elsewhere(rt: Runtime, gate: Gate) -> None:
    got = threading.Event()

    async def elsewhere(msg: bytes) -> None:
        got.set()

    other = rt.spawn(elsewhere)
    pid = stuck(rt, gate, 1, "redirect", other)
    assert rt.send(pid, b"redirected")
    assert got.wait(30)
    rt.stop(other)
    rt.join(other)
    assert not rt.send(pid, b"lost")
    assert rt.get_metrics()["refused"]["target_gone"] == 1
    gate.opened.set()
    settle(rt)
    assert gate.handled == [b"in hand", b"0"]
    check_books(rt)


def test_spill_moves_the_oldest_elsewhere(rt: Runtime, gate: Gate, inbox: Inbox) -> None:
    other = rt.spawn(inbox)
    pid = stuck(rt, gate, 2, "spill", other)
    assert rt.send(pid, b"2")
    gate.opened.set()
    assert inbox.wait(1) == [b"0"]
    settle(rt)
    assert gate.handled == [b"in hand", b"1", b"2"]
    assert check_books(rt)["forwarded"] == 1


def test_a_cycle_is_refused_and_changes_nothing(rt: Runtime, gate: Gate, inbox: Inbox) -> None:
    a, b, c = (rt.spawn_py_handler_bounded(inbox, 100, 1) for _ in range(3))
    rt.set_overflow_policy(a, "redirect", b)
    rt.set_overflow_policy(b, "spill", c)
    for target in (a, b, c):
        with pytest.raises(errors.InvalidArgument, match="cycle"):
            rt.set_overflow_policy(c, "redirect", target)
    with pytest.raises(errors.InvalidArgument, match="cycle"):
        rt.set_overflow_policy(a, "redirect", a)


def in_thread(f: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []

    def body() -> None:
        try:
            answers.append(f())
        except BaseException as e:
            answers.append(e)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, answers


@pytest.mark.parametrize("how", ["send", "send_named", "send_path", "send_many"])
def test_a_plain_thread_waits_for_room(rt: Runtime, gate: Gate, how: str) -> None:
    pid = stuck(rt, gate, 2)
    rt.register("stuck", pid)
    rt.register_path("/stuck", pid)
    sends: dict[str, Callable[[], Any]] = {
        "send": lambda: rt.send(pid, b"2"),
        "send_named": lambda: rt.send_named("stuck", b"2"),
        "send_path": lambda: rt.send_path("/stuck", b"2"),
        "send_many": lambda: rt.send_many(pid, [b"2", b"3", b"4", b"5", b"6"]),
    }
    thread, answers = in_thread(sends[how])
    thread.join(0.05)
    assert thread.is_alive()
    assert answers == []
    assert rt.mailbox_size(pid) == 2
    gate.opened.set()
    thread.join(30)
    assert answers == [5 if how == "send_many" else True]
    settle(rt)
    expected = [b"in hand", b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert gate.handled == expected[: 8 if how == "send_many" else 4]
    assert check_books(rt)["refused"]["full"] == 0


def test_many_threads_lose_nothing_and_keep_their_order(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn_py_handler_bounded(inbox, 3, 2)
    rt.set_overflow_policy(pid, "block")
    threads = [
        in_thread(lambda t=t: [rt.send(pid, b"%d %d" % (t, i)) for i in range(300)])  # type: ignore[misc]
        for t in range(6)
    ]
    for thread, answers in threads:
        thread.join(60)
        assert answers == [[True] * 300]
    got = [m.split() for m in inbox.wait(1800)]
    for t in range(6):
        assert [int(i) for n, i in got if int(n) == t] == list(range(300))
    info = rt.actor_info(pid)
    assert info is not None
    assert info.high_water <= 2
    check_books(rt)


@pytest.mark.parametrize("end", ["stop", "kill", "close"])
def test_who_waits_is_told_when_the_actor_ends(rt: Runtime, gate: Gate, end: str) -> None:
    pid = stuck(rt, gate)
    thread, answers = in_thread(lambda: rt.send(pid, b"waits"))
    thread.join(0.02)
    assert thread.is_alive()
    if end == "close":
        gate.opened.set()
        rt.close()
    else:
        getattr(rt, end)(pid)
        gate.opened.set()
    thread.join(30)
    # At a close or a stop the handler may just have made room; who comes late finds it closed.
    assert len(answers) == 1
    late = end == "close" and isinstance(answers[0], errors.RuntimeClosed)
    assert answers[0] is False or (end != "kill" and answers[0] is True) or late


def test_a_handler_is_answered_false_at_once(rt: Runtime, gate: Gate) -> None:
    # The stuck actor runs on an event loop of iris' own, so the lane is free to run the sender.
    entered, opened = threading.Event(), threading.Event()

    async def stand(msg: bytes) -> None:
        entered.set()
        while not opened.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)

    pid = rt.spawn_py_handler_bounded(stand, 100, 1)
    rt.send(pid, b"in hand")
    assert entered.wait(30)
    rt.send(pid, b"full")
    rt.set_overflow_policy(pid, "block")

    def sender(msg: bytes, ctx: Context) -> bytes:
        return repr((rt.send(pid, b"x"), ctx.send(pid, b"x"))).encode()

    async def async_sender(msg: bytes) -> bytes:
        return repr(rt.send(pid, b"x")).encode()

    assert rt.call_blocking(rt.spawn(sender), b"") == b"(False, False)"
    assert rt.call_blocking(rt.spawn(async_sender), b"") == b"False"
    assert rt.get_metrics()["refused"]["full"] == 3
    opened.set()


def test_send_async_waits_on_an_event_loop(rt: Runtime, gate: Gate) -> None:
    pid = stuck(rt, gate)

    async def main() -> None:
        assert not rt.send(pid, b"refused")
        waits = asyncio.ensure_future(rt.send_async(pid, b"waits"))
        cancelled = asyncio.ensure_future(rt.send_async(pid, b"cancelled"))
        await asyncio.sleep(0.01)
        assert not waits.done()
        cancelled.cancel()
        await asyncio.sleep(0)
        gate.opened.set()
        async with asyncio.timeout(30):
            assert await waits is True
            assert await rt.send_async(rt.spawn(lambda m: None), b"room") is True
            await until(lambda: len(gate.handled) == 3)

    asyncio.run(main())
    settle(rt)
    assert gate.handled == [b"in hand", b"0", b"waits"]
    assert check_books(rt)["refused"]["full"] == 1


def test_send_async_is_told_when_the_actor_ends(rt: Runtime, gate: Gate) -> None:
    pid = stuck(rt, gate)

    async def main() -> bool:
        waits = rt.send_async(pid, b"waits")
        rt.kill(pid)
        async with asyncio.timeout(30):
            return await waits

    assert asyncio.run(main()) is False
    gate.opened.set()


def test_send_async_needs_an_event_loop(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(errors.NotLocal):
        rt.send_async(pid, b"")
    assert rt.get_metrics()["attempted"] == 0


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals")
def test_ctrl_c_ends_a_send_that_waits() -> None:
    done = run_program("""
        import os, signal, threading
        from iris import Runtime
        rt = Runtime()
        entered, opened = threading.Event(), threading.Event()
        def stand(msg):
            entered.set()
            opened.wait(60)
        pid = rt.spawn_py_handler_bounded(stand, 1, 1)
        rt.send(pid, b"in hand")
        entered.wait(30)
        rt.send(pid, b"full")
        rt.set_overflow_policy(pid, "block")
        try:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            rt.send(pid, b"waits")
        except KeyboardInterrupt:
            assert rt.mailbox_size(pid) == 1
            opened.set()
            print("interrupted")
        """)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_the_interpreter_exits_while_senders_wait() -> None:
    done = run_program("""
        import threading
        from iris import Runtime
        rt = Runtime()
        entered, opened = threading.Event(), threading.Event()
        def stand(msg):
            entered.set()
            opened.wait(60)
        pid = rt.spawn_py_handler_bounded(stand, 1, 1)
        rt.send(pid, b"in hand")
        entered.wait(30)
        rt.send(pid, b"full")
        rt.set_overflow_policy(pid, "block")
        for _ in range(4):
            threading.Thread(target=rt.send, args=(pid, b"waits"), daemon=True).start()
        """)
    assert done.returncode == 0, done.stderr


def test_pressure_of_bounded_and_unbounded_mailboxes(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 100, 10)
    rt.send(pid, b"in hand")
    gate.wait_entered()
    levels = [rt.send_with_backpressure(pid, b"x") for _ in range(11)]
    assert levels == [
        *[(True, "NORMAL")] * 4,
        *[(True, "HIGH")] * 4,
        *[(True, "CRITICAL")] * 2,
        (False, "CRITICAL"),
    ]
    assert rt.mailbox_backpressure(pid) == "CRITICAL"
    free = rt.spawn(gate)
    rt.set_watermarks(2, 3)
    assert [rt.send_with_backpressure(free, b"x")[1] for _ in range(3)] == [
        "NORMAL",
        "HIGH",
        "CRITICAL",
    ]
    gate.opened.set()


def test_send_with_backpressure_never_waits(rt: Runtime, gate: Gate) -> None:
    pid = stuck(rt, gate)
    assert rt.send_with_backpressure(pid, b"x") == (False, "CRITICAL")
    gate.opened.set()


def test_load_is_shed_at_the_capacities(rt: Runtime, gate: Gate, inbox: Inbox) -> None:
    pid = rt.spawn(gate)
    rt.send(pid, b"in hand")
    gate.wait_entered()
    rt.set_system_capacity(2)
    rt.set_message_capacity(2)
    rt.send_many(pid, [b"x"] * 3)
    other = rt.spawn(inbox)
    assert not rt.is_load_shedding_active()
    rt.set_load_shedding(True)
    assert rt.is_load_shedding_active()
    assert not rt.send(other, b"shed")
    with pytest.raises(errors.AtCapacity):
        rt.spawn(inbox)
    rt.set_message_capacity(None)
    assert rt.send(other, b"taken")
    rt.set_system_capacity(None)
    assert not rt.is_load_shedding_active()
    rt.spawn(inbox)
    gate.opened.set()
    inbox.wait(1)
    settle(rt)
    assert check_books(rt)["refused"]["shed"] == 1
