"""What the tests share. conftest.py puts this folder on the path."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

from iris import Runtime, errors


class Inbox:
    """A handler that keeps what it gets, and lets tests wait for it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._changed = threading.Condition()

    def __call__(self, msg: bytes) -> None:
        with self._changed:
            self.messages.append(msg)
            self._changed.notify_all()

    def wait(self, n: int, timeout: float = 30) -> list[bytes]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= n, timeout), self.messages
            return list(self.messages)


class Gate:
    """A handler that stands still until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.handled: list[bytes] = []

    def __call__(self, msg: bytes) -> bytes:
        self.entered.set()
        assert self.opened.wait(60)
        self.handled.append(msg)
        return b"gate:" + msg

    def wait_entered(self) -> None:
        assert self.entered.wait(30)


def check_books(rt: Runtime) -> dict[str, Any]:
    """Both sums hold, and the mailboxes agree, once the runtime is quiet: at the latest in 10 s."""
    pause = threading.Event()
    for _ in range(10_000):
        try:
            return _books(rt)
        except (AssertionError, errors.Internal):
            pause.wait(0.001)
    return _books(rt)


def _books(rt: Runtime) -> dict[str, Any]:
    m: dict[str, Any] = dict(rt.get_metrics())
    assert m["attempted"] == m["accepted"] + sum(m["refused"].values()), m
    gone = m["expired"] + m["forwarded"] + sum(m["dropped"].values()) + sum(m["dead"].values())
    held = m["in_flight"] + m["queued"] + m["parked"]
    assert m["accepted"] == m["handled"] + held + gone, m
    assert m["spawned"] == m["actors"] + sum(m["exited"].values()), m
    assert (m["in_flight"], m["queued"]) == (0, 0), m
    rt._audit()
    return m


async def until(condition: Callable[[], bool]) -> None:
    """For states that nobody announces, on an event loop: fails after 30 s."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0.001)


def settle(rt: Runtime) -> None:
    """Returns when what was sent to the interpreter lane before has been handled."""
    pid = rt.spawn(lambda msg: msg)
    rt.call_blocking(pid, b"", timeout=60)
    rt.stop(pid)
    rt.join(pid)


def run_program(code: str, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a fresh process; warnings are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def what_was_raised(told: BaseException) -> BaseException | None:
    """What a handler raised: what its caller got, or the cause of that."""
    if not isinstance(told, errors.HandlerFailed):
        return told
    cause = told.__cause__
    assert not isinstance(cause, Exception) or isinstance(cause, StopIteration)
    return cause
