"""Messages that are sent later."""

import gc
import threading
import time
from collections.abc import Callable

import pytest
from helpers import Gate, Inbox, check_books, settle
from iris import Runtime, errors


def test_it_comes_once_and_never_early(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    began = time.monotonic()
    rt.send_after(pid, 30, bytearray(b"later"))
    assert inbox.wait(1) == [b"later"]
    assert time.monotonic() - began >= 0.030
    assert rt.get_metrics()["delays"] == 0
    check_books(rt)


def test_delays_fire_in_the_order_of_their_times(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    # Far apart: what a machine stalls between two of these lines must not change their order.
    for ms in (600, 0, 300):
        rt.send_after(pid, ms, str(ms).encode())
    assert inbox.wait(3) == [b"0", b"300", b"600"]


def test_the_bytes_are_those_of_the_call(rt: Runtime, inbox: Inbox) -> None:
    data = bytearray(b"before")
    rt.send_after(rt.spawn(inbox), 5, data)
    data[:] = b"after!"
    assert inbox.wait(1) == [b"before"]


def test_an_interval_goes_on_until_it_is_cancelled(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    timer = rt.send_interval(pid, 2, b"tick")
    inbox.wait(5)
    assert rt.cancel_timer(timer)
    assert not rt.cancel_timer(timer)
    settle(rt)
    n = len(inbox.messages)
    rt.send_after(pid, 30, b"end")
    inbox.wait(n + 1)
    assert inbox.messages[n:] == [b"end"]
    check_books(rt)


def test_a_cancelled_delay_never_comes(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    timer = rt.send_after(pid, 500, b"cancelled")
    assert rt.cancel_timer(timer)
    rt.send_after(pid, 510, b"end")
    assert inbox.wait(1) == [b"end"]
    assert not rt.cancel_timer(timer)


def test_one_that_has_fired_cannot_be_cancelled(rt: Runtime, inbox: Inbox) -> None:
    timer = rt.send_after(rt.spawn(inbox), 0, b"now")
    inbox.wait(1)
    assert not rt.cancel_timer(timer)


@pytest.mark.parametrize("timer", [0, -1, 12345, 2**53, 2**70])
def test_an_id_that_is_no_timer(rt: Runtime, timer: int) -> None:
    assert not rt.cancel_timer(timer)


def test_the_end_of_the_actor_takes_its_timers_along(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    timers = [rt.send_after(pid, 60_000, b"x"), rt.send_interval(pid, 60_000, b"x")]
    assert rt.get_metrics()["delays"] == 2
    rt.stop(pid)
    rt.join(pid)
    assert rt.get_metrics()["delays"] == 0
    assert not any(rt.cancel_timer(t) for t in timers)
    with pytest.raises(errors.NoSuchActor):
        rt.send_after(pid, 1, b"")


def test_ticks_go_on_behind_a_handler_that_stands_still(
    rt: Runtime, gate: Gate, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    pid = rt.spawn(gate)
    timer = rt.send_interval(pid, 1, b"tick")
    gate.wait_entered()
    wait_until(lambda: (rt.mailbox_size(pid) or 0) >= 1)
    assert rt.cancel_timer(timer)
    gate.opened.set()
    settle(rt)
    check_books(rt)


def test_an_interval_of_zero_is_refused(rt: Runtime, inbox: Inbox) -> None:
    with pytest.raises(errors.InvalidArgument):
        rt.send_interval(rt.spawn(inbox), 0, b"")


def test_the_longest_delay_is_legal(rt: Runtime, inbox: Inbox) -> None:
    assert rt.cancel_timer(rt.send_after(rt.spawn(inbox), 2**53, b""))


def test_a_timer_reaches_an_actor_of_an_event_loop(rt: Runtime) -> None:
    got = threading.Event()

    async def handler(msg: bytes) -> None:
        got.set()

    rt.send_after(rt.spawn(handler), 1, b"x")
    assert got.wait(30)


def test_a_hundred_thousand_wait_and_go(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    timers = [rt.send_after(pid, 3_600_000 + i, b"x") for i in range(100_000)]
    assert len(set(timers)) == 100_000
    assert rt.get_metrics()["delays"] == 100_000
    assert all(rt.cancel_timer(t) for t in timers[::2])
    rt.kill(pid)
    assert rt.get_metrics()["delays"] == 0
    gc.collect()
