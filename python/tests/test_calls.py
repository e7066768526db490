import threading
from typing import Any

import pytest
from helpers import Gate, check_books, settle
from iris import Context, Runtime, errors


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"bytes", b"bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        ("grüße", "grüße".encode()),
        (None, b""),
        (b"", b""),
    ],
)
def test_what_a_handler_returns_is_the_reply(rt: Runtime, answer: Any, reply: bytes) -> None:
    got = rt.call_blocking(rt.spawn(lambda msg: answer), b"")
    assert type(got) is bytes
    assert got == reply


def test_ctx_reply_answers_before_the_handler_returns(rt: Runtime) -> None:
    answered = threading.Event()

    def handler(msg: bytes, ctx: Context) -> bytes:
        ctx.reply(b"early")
        assert answered.wait(30)
        return b"late"

    assert rt.call_blocking(rt.spawn(handler), b"") == b"early"
    answered.set()
    settle(rt)
    assert check_books(rt)["late_replies"] == 0


def test_a_second_reply_is_stale(rt: Runtime) -> None:
    seen: list[BaseException] = []
    kept: list[Context] = []

    def handler(msg: bytes, ctx: Context) -> None:
        kept.append(ctx)
        if ctx.is_call:
            ctx.reply(b"one")
        with pytest.raises(errors.StaleReply) as e:
            ctx.reply(b"two")
        seen.append(e.value)

    pid = rt.spawn(handler)
    assert rt.call_blocking(pid, b"") == b"one"
    rt.send(pid, b"no call")
    settle(rt)
    assert len(seen) == 2
    with pytest.raises(errors.StaleReply):
        kept[0].reply(b"after the handler returned")


def test_an_answer_of_another_type_is_a_crash_with_a_type_error(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: 42)
    with pytest.raises(TypeError, match="not int"):
        rt.call_blocking(pid, b"")
    info = rt.join(pid)
    assert info.reason == "crash"
    assert "not int" in (info.message or "")
    check_books(rt)


def test_tells_may_return_anything(rt: Runtime) -> None:
    for answer in (42, object(), [], "text", True):
        pid = rt.spawn(lambda msg, answer=answer: answer)
        rt.send(pid, b"")
        settle(rt)
        assert rt.is_alive(pid)


def test_the_caller_gets_the_exception_itself(rt: Runtime) -> None:
    class CustomError(Exception):
        pass

    boom = CustomError("boom")

    def handler(msg: bytes) -> None:
        raise boom

    pid = rt.spawn(handler)
    with pytest.raises(CustomError, match="boom") as e:
        rt.call_blocking(pid, b"")
    assert e.value is boom
    frames = []
    tb = boom.__traceback__
    while tb is not None:
        frames.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    assert frames[-1] == "handler"


def test_the_timeout_of_a_call_is_a_timeout_error(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    for timeout in (0.01, 0):
        with pytest.raises(TimeoutError) as e:
            rt.call_blocking(pid, b"", timeout=timeout)
        assert isinstance(e.value, errors.Timeout)
        assert str(pid) in str(e.value)
    assert rt.get_metrics()["call_timeouts"] == 2
    gate.opened.set()
    settle(rt)
    m = check_books(rt)
    assert (m["open_calls"], m["timers"]) == (0, 0)


def test_the_runtime_has_a_default_call_timeout(gate: Gate) -> None:
    with Runtime(call_timeout=0.02) as rt:
        with pytest.raises(errors.Timeout):
            rt.call_blocking(rt.spawn(gate), b"")
        gate.opened.set()


def test_an_overdue_call_is_not_handed_to_the_handler(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send(pid, b"first")
    gate.wait_entered()
    with pytest.raises(errors.Timeout):
        rt.call_blocking(pid, b"overdue", timeout=0.01)
    gate.opened.set()
    settle(rt)
    assert gate.handled == [b"first"]
    assert check_books(rt)["expired"] == 1


def test_a_call_ends_at_once_when_its_actor_is_killed(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    killer = threading.Thread(target=lambda: (gate.wait_entered(), rt.kill(pid)))
    killer.start()
    with pytest.raises(errors.ActorExited, match="killed"):
        rt.call_blocking(pid, b"x", timeout=60)
    killer.join()
    gate.opened.set()
    settle(rt)
    check_books(rt)


def test_a_stopped_actor_still_answers_the_call_that_it_handles(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    stopper = threading.Thread(
        target=lambda: (gate.wait_entered(), rt.stop(pid), gate.opened.set())
    )
    stopper.start()
    assert rt.call_blocking(pid, b"x", timeout=60) == b"gate:x"
    stopper.join()
    assert rt.join(pid, timeout=30).reason == "shutdown"
    check_books(rt)


def test_queued_calls_end_when_the_actor_is_stopped(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send(pid, b"")
    gate.wait_entered()
    outcomes: list[BaseException] = []

    def ask() -> None:
        try:
            rt.call_blocking(pid, b"", timeout=60)
        except errors.ActorExited as e:
            outcomes.append(e)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for t in callers:
        t.start()
    while rt.mailbox_size(pid) != 4:
        pass
    rt.stop(pid)
    for t in callers:
        t.join(30)
    assert len(outcomes) == 4
    gate.opened.set()
    assert rt.join(pid).reason == "shutdown"
    check_books(rt)


def test_a_full_mailbox_refuses_a_call_at_once(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 100, 1)
    rt.send(pid, b"runs")
    gate.wait_entered()
    rt.send(pid, b"waits")
    with pytest.raises(errors.MailboxFull, match=str(pid)):
        rt.call_blocking(pid, b"")
    gate.opened.set()
    settle(rt)
    assert check_books(rt)["refused"]["full"] == 1


def test_calls_from_many_threads_at_once(rt: Runtime) -> None:
    echo = rt.spawn(lambda msg: msg)
    wrong: list[bytes] = []

    def ask(k: int) -> None:
        for i in range(200):
            data = b"%d:%d" % (k, i)
            if rt.call_blocking(echo, data, timeout=60) != data:
                wrong.append(data)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert check_books(rt)["calls"] == 1600


def test_ten_thousand_timeouts_leave_nothing_behind(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send(pid, b"")
    gate.wait_entered()
    for _ in range(10_000):
        with pytest.raises(errors.Timeout):
            rt.call_blocking(pid, b"", timeout=0)
    m = rt.get_metrics()
    assert (m["open_calls"], m["timers"]) == (0, 0)
    size = rt.mailbox_size(pid)
    assert size is not None
    assert size <= 2
    gate.opened.set()
    settle(rt)
    assert check_books(rt)["call_timeouts"] == 10_000
