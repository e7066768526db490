"""Speculating actors: what two branches of a message do is staged, and one of them commits."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from iris import errors
from iris._iris import Hedge, PySystemMessage, Race
from iris._support import describe, inspect_handler

if TYPE_CHECKING:
    from iris._iris import Context

_log = logging.getLogger("iris")

_PRIMARY, _GHOST = False, True
_NAMES = ("primary", "ghost")

# Verdicts; src/python/vortex.rs has the same.
_START = 1
_HOLD = 2
_COMMIT = 3  # of the primary; of the ghost: one more
_CRASH = 5
_DROP = 6

_LARGEST = 2.0**53


def _number(options: dict[str, Any], name: str, most: float) -> float | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise errors.InvalidType(f"{name} must be a number, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise errors.InvalidArgument(f"{name} must be 0 to {most:.0f}, got {value}")
    return float(value)


def option(value: object) -> Speculation | None:
    """Answer what the option ``vortex`` of a spawn means; None: nothing."""
    if value is None or value is False:
        return None
    if value is True:
        value = {}
    if not isinstance(value, dict):
        raise errors.InvalidType(f"vortex must be a bool or a dict, not {type(value).__name__}")
    options = cast(dict[str, Any], value)
    for name in options:
        if name not in ("ghost_after_ms", "grace_ms", "max_rate"):
            raise errors.InvalidArgument(
                f"vortex must have only ghost_after_ms, grace_ms, max_rate, got {name!r}"
            )
    after = _number(options, "ghost_after_ms", _LARGEST)
    grace = _number(options, "grace_ms", _LARGEST)
    return Speculation(
        Hedge(
            None if after is None else after / 1e3,
            None if grace is None else grace / 1e3,
            _number(options, "max_rate", 1),
        )
    )


class Speculation:
    """How an actor speculates, whatever its handler is."""

    def __init__(self, hedge: Hedge) -> None:
        self._hedge = hedge

    def wrap(self, handler: Callable[..., object]) -> _Speculating:
        """Make a handler that runs races of a handler."""
        if not callable(handler):
            raise errors.InvalidType(f"a handler must be callable, not {type(handler).__name__}")
        return _Speculating(handler, self._hedge)


async def _shape(message: Any, ctx: Context) -> object:
    """What iris is to take an asynchronous `_Speculating` for."""


class _Speculating:
    """A handler whose messages have branches."""

    def __init__(self, handler: Callable[..., object], hedge: Hedge) -> None:
        self._handler = handler
        self._wants_ctx, self._is_async = inspect_handler(handler)
        self._hedge = hedge
        if self._is_async:
            self.__wrapped__ = _shape

    def __call__(self, message: Any, ctx: Context) -> object:
        race = Race(self._hedge, ctx)
        # A handler may change its message, unless that is bytes or the runtime's.
        frozen = isinstance(message, (bytes, PySystemMessage))
        messages = (message, message if frozen else copy.deepcopy(message))
        if self._is_async:
            return _Racing(self, race, messages, ctx.pid).run(_PRIMARY, None)
        return self._run(race, messages, ctx.pid)

    def _run(self, race: Race, messages: tuple[Any, Any], pid: int) -> object:
        """Run one branch, and after it has failed the other: this thread has nobody else."""
        errors: list[BaseException] = []
        for branch in (_PRIMARY, _GHOST):
            try:
                answer = self.call(messages[branch], race.branch(branch))
                if inspect.isawaitable(answer):
                    return _Racing(self, race, messages, pid, errors).run(branch, answer)
                verdict = race.finished(branch, answer)
            except BaseException as e:
                errors.append(e)
                verdict = race.failed(branch)
            if verdict == _START:
                continue
            if verdict == _CRASH:
                raise errors[0]
            if errors and verdict != _DROP:
                _recovered(pid, _PRIMARY, errors[0])
            return None
        raise AssertionError("unreachable")  # pragma: no cover

    def call(self, message: Any, ctx: Context) -> object:
        return self._handler(message, ctx) if self._wants_ctx else self._handler(message)


def _recovered(pid: int, branch: bool, error: BaseException) -> None:
    """Let somebody hear of a branch that failed, though the actor lives."""
    _log.warning(
        "actor %d: the %s of a message failed, the other branch was committed: %s",
        pid,
        _NAMES[branch],
        describe(error)[0],
    )


# Branches that have lost and are not over: the event loop itself does not keep its tasks.
_losers: set[asyncio.Task[Any]] = set()


class _Racing:
    """A message whose branches are tasks of an event loop."""

    def __init__(
        self,
        speculating: _Speculating,
        race: Race,
        messages: tuple[Any, Any],
        pid: int,
        failed: list[BaseException] | None = None,
    ) -> None:
        self._speculating = speculating
        self._race = race
        self._messages = messages
        self._pid = pid
        self._errors: dict[bool, BaseException] = {_PRIMARY: failed[0]} if failed else {}
        self._tasks: dict[asyncio.Task[int], bool] = {}
        self._deadline: float | None = None
        self._late = race.slow

    async def run(self, branch: bool, answer: Awaitable[object] | None) -> None:
        """Run until it is decided; ``answer`` is what the branch to begin with has answered."""
        loop = asyncio.get_running_loop()
        try:
            self._begin(branch, answer)
            after = self._race.ghost_after
            if branch is _PRIMARY and after is not None:
                self._deadline = loop.time() + after
            while True:
                left = None if self._deadline is None else max(0, self._deadline - loop.time())
                done, _ = await asyncio.wait(
                    self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                if not done and self._deadline is not None and loop.time() >= self._deadline:
                    self._deadline = None
                    if self._is_over(self._late()):
                        return
                verdicts = [self._ended(task) for task in done]
                # Whichever was late has changed nothing.
                if any(map(self._is_over, sorted(verdicts, key=_DROP.__eq__))):
                    return
        finally:
            # Over, or this task was cancelled because the actor is gone.
            self._race.gone()
            for task in self._tasks:
                _losers.add(task)
                task.add_done_callback(_losers.discard)
                task.cancel()

    def _begin(self, branch: bool, answer: Awaitable[object] | None) -> None:
        context = self._race.branch(branch) if answer is None else None
        body = self._branch(branch, context, answer)
        self._tasks[asyncio.get_running_loop().create_task(body)] = branch

    async def _branch(self, branch: bool, context: Context | None, answer: object) -> int:
        """Run a branch to its safe point, and say so there; answers the verdict."""
        try:
            if context is not None:
                answer = self._speculating.call(self._messages[branch], context)
            value = await answer if inspect.isawaitable(answer) else answer
            return self._race.finished(branch, value)
        except BaseException as e:
            # Of every kind: asyncio would let the SystemExit of a task end the event loop.
            self._errors[branch] = e
            return self._race.failed(branch)

    def _ended(self, task: asyncio.Task[int]) -> int:
        branch = self._tasks.pop(task)
        if not task.cancelled():
            return task.result()
        self._errors[branch] = asyncio.CancelledError("this branch was cancelled before it began")
        return self._race.failed(branch)

    def _is_over(self, verdict: int) -> bool:
        """Do what follows; a crash is raised."""
        if verdict == _START:
            self._deadline = None
            self._begin(_GHOST, None)
        elif verdict == _HOLD:
            self._deadline = asyncio.get_running_loop().time() + self._race.grace
            self._late = self._race.grace_over
        elif verdict == _CRASH:
            raise self._errors[_PRIMARY]
        elif verdict >= _COMMIT:
            loser = verdict == _COMMIT
            if verdict != _DROP and loser in self._errors:
                _recovered(self._pid, loser, self._errors[loser])
            return True
        return False
