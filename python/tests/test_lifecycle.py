import contextvars
import gc
import logging
import threading
import weakref
from typing import Any

import iris
import pytest
from helpers import Gate, Inbox, check_books, settle
from iris import ExitInfo, Runtime, errors


def test_pids_are_never_zero_and_never_used_again(rt: Runtime) -> None:
    seen = set()
    for _ in range(1000):
        pid = rt.spawn(lambda msg: None)
        assert 0 < pid < 2**53
        assert pid not in seen
        seen.add(pid)
        rt.stop(pid)


def test_stop_lets_the_handler_finish_and_buries_the_queue(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send_many(pid, [b"1", b"2", b"3"])
    gate.wait_entered()
    assert rt.stop(pid) is True
    assert rt.stop(pid) is False
    assert not rt.is_alive(pid)
    assert rt.send(pid, b"4") is False
    gate.opened.set()
    assert rt.join(pid).reason == "shutdown"
    assert gate.handled == [b"1"]
    m = check_books(rt)
    assert m["dead"]["shutdown"] == 2
    assert m["exited"]["shutdown"] == 1


def test_drain_handles_the_queue_first(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send_many(pid, [b"1", b"2", b"3"])
    gate.wait_entered()
    assert rt.stop(pid, drain=True) is True
    assert rt.is_alive(pid)
    assert rt.send(pid, b"4") is False
    gate.opened.set()
    assert rt.join(pid).reason == "shutdown"
    assert gate.handled == [b"1", b"2", b"3"]
    check_books(rt)


def test_ctx_stop_ends_the_actor_when_its_handler_returns(rt: Runtime) -> None:
    handled: list[bytes] = []

    def handler(msg: bytes, ctx: iris.Context) -> None:
        assert ctx.stop() is True
        handled.append(msg)

    pid = rt.spawn(handler)
    rt.send_many(pid, [b"1", b"2"])
    assert rt.join(pid, timeout=30).reason == "shutdown"
    assert handled == [b"1"]
    check_books(rt)


def test_kill_waits_for_nothing(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send_many(pid, [b"1", b"2"])
    gate.wait_entered()
    assert rt.kill(pid) is True
    assert rt.kill(pid) is False
    assert rt.join(pid, timeout=30).reason == "killed"
    gate.opened.set()
    settle(rt)
    check_books(rt)


def test_join_answers_at_once_for_the_dead_and_times_out_for_the_living(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: None)
    with pytest.raises(TimeoutError, match=str(pid)) as e:
        rt.join(pid, timeout=0.01)
    assert isinstance(e.value, errors.Timeout)
    rt.stop(pid)
    info = rt.join(pid)
    assert isinstance(info, ExitInfo)
    assert (info.pid, info.reason, info.message, info.traceback) == (pid, "shutdown", None, None)
    assert rt.join(999_999).reason == "noproc"


def test_joins_that_time_out_leave_nothing_behind(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: None)
    for _ in range(2000):
        with pytest.raises(errors.Timeout):
            rt.join(pid, timeout=0)
    rt.stop(pid)
    assert rt.join(pid).reason == "shutdown"


def test_many_threads_join_one_actor(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: None)
    infos: list[ExitInfo] = []
    threads = [threading.Thread(target=lambda: infos.append(rt.join(pid))) for _ in range(8)]
    for t in threads:
        t.start()
    rt.stop(pid)
    for t in threads:
        t.join(30)
    assert [i.reason for i in infos] == ["shutdown"] * 8


def test_handlers_are_let_go_when_their_actor_ends(rt: Runtime) -> None:
    class Handler:
        def __call__(self, msg: bytes, ctx: iris.Context) -> None:
            pass

    handler = Handler()
    gone = weakref.ref(handler)
    pid = rt.spawn(handler)
    rt.call_blocking(pid, b"")
    rt.stop(pid)
    del handler
    settle(rt)
    gc.collect()
    assert gone() is None


def test_handlers_are_let_go_when_the_runtime_closes() -> None:
    class Handler:
        def __call__(self, msg: bytes, ctx: iris.Context) -> None:
            pass

    handler = Handler()
    gone = weakref.ref(handler)
    with Runtime() as rt:
        rt.call_blocking(rt.spawn(handler), b"")
    del handler
    gc.collect()
    assert gone() is None


def test_a_runtime_that_nobody_holds_ends() -> None:
    before = threading.active_count()
    rt = Runtime()
    entered = threading.Event()
    pid = rt.spawn(lambda msg: entered.set())
    rt.send(pid, b"")
    assert entered.wait(30)
    gone = weakref.ref(rt)
    del rt
    gc.collect()
    assert gone() is None
    assert threading.active_count() <= before + 1


def test_close_ends_everything_once(inbox: Inbox) -> None:
    rt = Runtime()
    pids = [rt.spawn(inbox) for _ in range(10)]
    rt.send(pids[0], b"x")
    inbox.wait(1)
    assert not rt.closed
    rt.close()
    rt.close()
    assert rt.closed
    assert "closed" in repr(rt)
    with pytest.raises(errors.RuntimeClosed):
        rt.list_actors()
    assert isinstance(rt.version, str)
    assert rt.id > 0


def test_close_from_two_threads(inbox: Inbox) -> None:
    rt = Runtime()
    for _ in range(100):
        rt.spawn(inbox)
    threads = [threading.Thread(target=rt.close) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert rt.closed


def test_close_gives_up_a_handler_that_never_returns(gate: Gate) -> None:
    rt = Runtime()
    rt.on_crash(lambda info: None)
    pid = rt.spawn(gate)
    rt.send(pid, b"")
    gate.wait_entered()
    rt.close(timeout=0.05)
    assert rt.closed
    gate.opened.set()


def test_with_closes_even_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), Runtime() as rt:
        raise ZeroDivisionError
    assert rt.closed
    with pytest.raises(errors.RuntimeClosed), rt:
        pass


def test_an_unhandled_crash_is_logged_once_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(msg: bytes) -> None:
        raise ValueError("the reason")

    with caplog.at_level(logging.ERROR, logger="iris"), Runtime() as rt:
        pid = rt.spawn(handler)
        rt.send(pid, b"")
        rt.join(pid)
    (record,) = [r for r in caplog.records if r.name == "iris"]
    text = record.getMessage()
    assert str(pid) in text
    assert "ValueError: the reason" in text
    assert 'in handler\n    raise ValueError("the reason")' in text


def test_the_crash_hook_gets_each_failure_once(rt: Runtime) -> None:
    infos: list[ExitInfo] = []
    told = threading.Semaphore(0)

    def hook(info: ExitInfo) -> None:
        infos.append(info)
        told.release()

    rt.on_crash(hook)

    def handler(msg: bytes) -> None:
        raise KeyError("x")

    pids = [rt.spawn(handler) for _ in range(3)]
    for pid in pids:
        rt.send(pid, b"")
    for _ in pids:
        assert told.acquire(timeout=30)
    assert sorted(i.pid for i in infos) == sorted(pids)
    assert all(i.reason == "crash" and "KeyError" in (i.traceback or "") for i in infos)
    quiet = rt.spawn(lambda msg: None)
    rt.stop(quiet)
    rt.join(quiet)
    assert len(infos) == 3


def test_a_crash_hook_that_raises_hurts_nobody(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    unraisable: list[Any] = []
    told = threading.Event()
    monkeypatch.setattr(
        sys, "unraisablehook", lambda u: (unraisable.append(u.exc_type), told.set())
    )

    def hook(info: ExitInfo) -> None:
        raise RuntimeError("in the hook")

    rt.on_crash(hook)
    pid = rt.spawn(lambda msg: 1 / 0)
    rt.send(pid, b"")
    assert told.wait(30)
    assert unraisable == [RuntimeError]
    settle(rt)


def test_contextvars_of_the_spawner_are_visible_in_the_handler(rt: Runtime) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    bare = rt.spawn(lambda msg: var.get())
    token = var.set("spawner")
    pid = rt.spawn(lambda msg: var.get())
    with_ctx = rt.spawn(lambda msg, ctx: ctx.reply(var.get().encode()))
    var.reset(token)
    assert rt.call_blocking(pid, b"") == b"spawner"
    assert rt.call_blocking(with_ctx, b"") == b"spawner"
    assert rt.call_blocking(bare, b"") == b"none"


def test_what_can_be_seen_of_an_actor(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 7, 5)
    rt.register("seen", pid)
    info = rt.actor_info(pid)
    assert info is not None
    assert (info.pid, info.state, info.kind) == (pid, "idle", "push")
    assert (info.budget, info.capacity, info.queue, info.handled) == (7, 5, 0, 0)
    assert info.names == ["seen"]
    assert info.age_ms >= 0
    rt.send_many(pid, [b""] * 3)
    gate.wait_entered()
    info = rt.actor_info(pid)
    assert info is not None
    assert (info.state, info.queue, info.high_water) == ("running", 2, 3)
    with pytest.raises(AttributeError):
        info.queue = 0  # type: ignore[misc]
    assert rt.list_actors() == [pid]
    rt.kill(pid)
    assert rt.actor_info(pid) is None
    assert rt.mailbox_size(pid) is None
    assert rt.list_actors() == []
    gate.opened.set()


def test_runtimes_share_nothing(rt: Runtime, inbox: Inbox) -> None:
    with Runtime() as other:
        assert other.id != rt.id
        pid = rt.spawn(inbox)
        assert other.send(pid, b"") is False
        assert not other.is_alive(pid)
        assert other.join(pid).reason == "noproc"
        with pytest.raises(errors.NoSuchActor, match="another runtime"):
            other.call_blocking(pid, b"")
        assert other.get_metrics()["refused"]["foreign"] == 2
    assert rt.is_alive(pid)


def test_a_hundred_runtimes_come_and_go() -> None:
    before = threading.active_count()
    for _ in range(100):
        with Runtime() as rt:
            assert rt.call_blocking(rt.spawn(lambda msg: msg), b"x") == b"x"
    assert threading.active_count() <= before + 1
