"""A failure never vanishes: the logger has it when the hook that should take it raises."""

import threading
import traceback
from typing import Any

import pytest
from iris import ExitInfo, Runtime
from iris._support import describe


def test_a_failure_is_logged_when_its_hook_raises(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    caught: list[Any] = []

    def hook(_: ExitInfo) -> None:
        raise RuntimeError("the hook's own")

    def unraisable(args: Any) -> None:
        caught.append(args.exc_type)
        told.set()

    def handler(_: bytes) -> None:
        raise ValueError("the actor's")

    monkeypatch.setattr("sys.unraisablehook", unraisable)
    with Runtime() as rt:
        rt.on_crash(hook)
        pid = rt.spawn(handler)
        rt.send(pid, b"x")
        assert told.wait(60)
    assert caught == [RuntimeError]
    assert f"actor {pid} ended (crash)" in caplog.text
    assert "the actor's" in caplog.text


def test_a_handler_that_was_abandoned_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    begun, go = threading.Event(), threading.Event()

    def stuck(_: bytes) -> None:
        begun.set()
        go.wait(60)

    rt = Runtime()
    pid = rt.spawn(stuck)
    rt.send(pid, b"x")
    assert begun.wait(60)
    rt.close(timeout=0.05)
    go.set()

    def told() -> list[str]:
        said = [r.getMessage() for r in caplog.records]
        return [message for message in said if f"actor {pid} ended" in message]

    for _ in range(6_000):
        if told():
            break
        threading.Event().wait(0.01)
    records = told()
    assert len(records) == 1
    assert records[0].count("did not return") == 1


class HostileError(Exception):
    """Answers no question."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


def fails(way: int) -> None:
    if way == 0:
        raise ValueError("boom")
    if way == 1:
        raise ValueError("boom")
    if way == 2:
        raise TypeError("boom")
    if way == 3:
        raise ValueError("bang")
    try:
        fails(way - 4)
    except Exception as error:
        if way % 2 == 0:
            raise ValueError("boom") from error
        error.add_note(f"note {way}")
        raise


def test_each_traceback_is_that_of_its_own_exception() -> None:
    for way in [*range(12)] * 3:
        with pytest.raises(Exception, match=r"boom|bang") as caught:
            fails(way)
        error = caught.value
        message, stack = describe(error)
        assert message == f"{type(error).__name__}: {error}"
        assert stack == "".join(traceback.format_exception(error))


def test_an_exception_that_cannot_be_looked_at_is_described_all_the_same() -> None:
    assert describe(HostileError("x"))[0].startswith("HostileError")
