"""A failure never vanishes: the logger has it when the hook that should take it raises."""

import threading
from typing import Any

import pytest
from iris import ExitInfo, Runtime


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
