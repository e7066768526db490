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
