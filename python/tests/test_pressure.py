"""on_pressure: every change of a mailbox's level, and nothing else."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Gate, check_books, settle
from iris import Runtime


class Levels:
    """A hook that keeps what it was told, and lets tests wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self._changed = threading.Condition()

    def __call__(self, pid: int, level: str) -> None:
        with self._changed:
            self.told.append((pid, level))
            self._changed.notify_all()

    def wait(self, n: int) -> list[str]:
        """The levels, once there are `n`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.told) >= n, 30), self.told
            return [level for _, level in self.told]


@pytest.fixture
def levels(rt: Runtime) -> Levels:
    hook = Levels()
    rt.on_pressure(hook)
    return hook


def test_each_change_is_told_once_in_order(rt: Runtime, levels: Levels, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 100, 10)
    rt.send(pid, b"")
    gate.wait_entered()
    for _ in range(12):
        rt.send(pid, b"x")
    assert levels.wait(2) == ["HIGH", "CRITICAL"]
    gate.opened.set()
    assert levels.wait(4) == ["HIGH", "CRITICAL", "HIGH", "NORMAL"]
    assert {who for who, _ in levels.told} == {pid}
    check_books(rt)


def test_nothing_is_told_below_the_marks(rt: Runtime, levels: Levels) -> None:
    pid = rt.spawn_py_handler_bounded(lambda msg: None, 100, 10)
    for _ in range(5):
        rt.send_many(pid, [b"x"] * 4)
        settle(rt)
    assert levels.told == []


def test_watermarks_of_unbounded_ones_can_be_moved(rt: Runtime, levels: Levels, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send(pid, b"")
    gate.wait_entered()
    rt.set_watermarks(3, 5)
    rt.send_many(pid, [b"x"] * 4)
    assert levels.wait(1) == ["HIGH"]
    rt.set_watermarks(2, 4)
    assert levels.wait(2) == ["HIGH", "CRITICAL"]
    rt.set_watermarks(100, 200)
    assert levels.wait(3) == ["HIGH", "CRITICAL", "NORMAL"]
    gate.opened.set()
    settle(rt)
    assert len(levels.told) == 3


async def _later(awaitable: Any) -> None:
    await awaitable


WAYS: dict[str, Callable[[Runtime, int], Any]] = {
    "send": lambda rt, pid: rt.send(pid, b"x"),
    "send_many": lambda rt, pid: rt.send_many(pid, [b"x"]),
    "send_named": lambda rt, pid: rt.send_named("full", b"x"),
    "send_with_backpressure": lambda rt, pid: rt.send_with_backpressure(pid, b"x"),
    "send_after": lambda rt, pid: rt.send_after(pid, 0, b"x"),
    "send_async": lambda rt, pid: rt.send_async(pid, b"x"),
    "call": lambda rt, pid: rt.call(pid, b"x"),
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_is_watched(rt: Runtime, levels: Levels, gate: Gate, name: str) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 1, 4)
    rt.register("full", pid)
    rt.send(pid, b"")
    gate.wait_entered()

    async def main() -> None:
        pending = [WAYS[name](rt, pid) for _ in range(4)]
        assert await asyncio.to_thread(levels.wait, 2) == ["HIGH", "CRITICAL"]
        gate.opened.set()
        for p in pending:
            if asyncio.isfuture(p):
                await p

    asyncio.run(main())
    assert levels.wait(4) == ["HIGH", "CRITICAL", "HIGH", "NORMAL"]


def test_it_can_be_set_late_and_taken_away(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 100, 2)
    rt.send(pid, b"")
    gate.wait_entered()
    rt.send_many(pid, [b"x"] * 2)
    levels = Levels()
    rt.on_pressure(levels)
    assert levels.wait(1) == ["CRITICAL"]
    rt.on_pressure(None)
    gate.opened.set()
    settle(rt)
    assert len(levels.told) == 1


def test_a_hook_that_raises_or_sends_does_no_harm(
    rt: Runtime,
    levels: Levels,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    caught: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", caught.append)
    other = rt.spawn(lambda msg: None)

    def hook(pid: int, level: str) -> None:
        rt.send(other, level.encode())
        levels(pid, level)
        raise LookupError(level)

    rt.on_pressure(hook)
    pid = rt.spawn_py_handler_bounded(lambda msg: None, 1, 2)
    rt.send_many(pid, [b"x", b"x"])
    wait_until(lambda: levels.told[-1:] == [(pid, "NORMAL")])
    check_books(rt)
    rt.close()
    assert {type(c.exc_value) for c in caught} == {LookupError}


def test_the_hook_is_let_go_when_the_runtime_closes() -> None:
    import gc
    import weakref

    rt = Runtime()
    hook = Levels()
    gone = weakref.ref(hook)
    rt.on_pressure(hook)
    del hook
    rt.close()
    gc.collect()
    assert gone() is None
