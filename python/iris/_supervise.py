"""Supervision trees, and factories that are awaited."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, cast

from iris import errors
from iris._aio import own_loop

if TYPE_CHECKING:
    from iris._iris import Runtime


class _Start:
    """Awaits what a factory answered; in each of its steps, what it spawns is of this start."""

    def __init__(self, runtime: Runtime, ticket: int, answer: Awaitable[Any]) -> None:
        self._runtime = runtime
        self._ticket = ticket
        self._steps = answer.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = functools.partial(next, self._steps)
        while True:
            self._runtime._start_at_hand(self._ticket)
            try:
                waits_for = step()
            except StopIteration as over:
                return over.value
            finally:
                self._runtime._start_at_hand(0)
            try:
                value = yield waits_for
            except BaseException as e:
                step = functools.partial(self._steps.throw, e)
            else:
                step = functools.partial(_send, self._steps, value)


def _send(steps: Any, value: Any) -> Any:
    return next(steps) if value is None else steps.send(value)


def begin(runtime: Runtime, ticket: int, answer: Awaitable[Any]) -> None:
    """Await what a factory answered, on iris' own event loop."""

    async def wait() -> None:
        try:
            pid = await _Start(runtime, ticket, answer)
        except BaseException as e:
            runtime._start_over(ticket, None, e)
        else:
            runtime._start_over(ticket, pid)

    asyncio.run_coroutine_threadsafe(wait(), own_loop())


class Supervisor:
    """A supervisor and its children, as `Runtime.supervise` made them."""

    def __init__(self, runtime: Runtime, paths: list[str]) -> None:
        self._runtime = runtime
        self._paths = paths

    @property
    def path(self) -> str:
        """Where it is."""
        return self._paths[0]

    @property
    def children(self) -> list[int]:
        """The live children, those of the supervisors below too."""
        return [pid for path in self._paths for pid in self._runtime.path_supervisor_children(path)]

    def whereis(self, id: str) -> int | None:
        """Who is registered as this child (``"sub/child"`` for one below), or None."""
        return self._runtime.whereis_path(f"{self.path}/{id}")

    def stop(self) -> None:
        """Stop the children in reverse order, then the supervisors."""
        _undo(self._runtime, self._paths, wait=True)

    def __repr__(self) -> str:
        return f"Supervisor(path={self.path!r})"


def _undo(runtime: Runtime, paths: list[str], *, wait: bool) -> None:
    for path in reversed(paths):
        for pid in reversed(runtime.path_supervisor_children(path)):
            runtime.terminate_child(path, pid)
            if wait:
                runtime.join(pid)
        runtime.remove_path_supervisor(path)


_CHILD = {"id", "start", "restart", "workers"}
_SUPERVISOR = {"strategy", "max_restarts", "within_ms", "restart", "backoff"}


def _check(children: object) -> list[dict[str, Any]]:
    if not isinstance(children, Sequence) or isinstance(children, str | bytes):
        raise errors.InvalidType("children must be a list of dicts")
    specs: list[dict[str, Any]] = []
    seen: set[str] = set()
    for child in cast("Sequence[object]", children):
        if not isinstance(child, dict):
            raise errors.InvalidType(f"a child must be a dict, not {type(child).__name__}")
        spec = cast("dict[str, Any]", child)
        name = spec.get("id")
        if not isinstance(name, str):
            raise errors.InvalidType("the id of a child must be a str")
        if not name or "/" in name or "\0" in name:
            raise errors.InvalidArgument(f"the id {name!r} is not one segment of a path")
        if name in seen:
            raise errors.InvalidArgument(f"the id {name!r} is given twice among siblings")
        seen.add(name)
        known = {"id", "children"} | _SUPERVISOR if "children" in spec else _CHILD
        unknown = set(spec) - known
        if unknown:
            raise errors.InvalidArgument(
                f"child {name!r} takes {sorted(known)}, not {sorted(unknown)}"
            )
        if "children" in spec:
            _check(spec["children"])
        else:
            if not callable(spec.get("start")):
                raise errors.InvalidType(f"start of child {name!r} must be callable")
            workers = spec.get("workers", 1)
            if not isinstance(workers, int) or isinstance(workers, bool):
                raise errors.InvalidType(f"workers of child {name!r} must be an int")
            if not 1 <= workers <= 65_536:
                raise errors.InvalidArgument(f"workers of child {name!r} must be 1 to 65,536")
            restart = spec.get("restart")
            if restart is not None and not isinstance(restart, str):
                raise errors.InvalidType(f"restart of child {name!r} must be a str")
            if restart not in (None, "permanent", "transient", "temporary"):
                raise errors.InvalidArgument(
                    f"restart must be permanent, transient or temporary, got {restart!r}"
                )
        specs.append(spec)
    return specs


def supervise(runtime: Runtime, path: str, children: object, options: dict[str, Any]) -> Supervisor:
    """See `Runtime.supervise`."""
    specs = _check(children)
    runtime.path_supervisor_children(path)
    if len(path) > 1:
        path = path.removesuffix("/")
    made: list[str] = []
    try:
        _make(runtime, path, specs, options, made)
    except BaseException:
        _undo(runtime, made, wait=False)
        raise
    return Supervisor(runtime, made)


def _make(
    runtime: Runtime,
    path: str,
    specs: list[dict[str, Any]],
    options: dict[str, Any],
    made: list[str],
) -> None:
    if not runtime.create_path_supervisor(path, **options):
        raise errors.NameTaken(f"there is a supervisor at {path} already")
    made.append(path)
    base = "" if path == "/" else path
    for spec in specs:
        name = spec["id"]
        if "children" in spec:
            rest = {k: v for k, v in spec.items() if k in _SUPERVISOR}
            _make(runtime, f"{base}/{name}", _check(spec["children"]), rest, made)
            continue
        workers = spec.get("workers")
        names = [name] if workers is None else [f"{name}/{i}" for i in range(workers)]
        for each in names:
            _start(runtime, path, f"{base}/{each}", each, spec)


def _start(runtime: Runtime, path: str, at: str, name: str, spec: dict[str, Any]) -> None:
    start = spec["start"]
    pid = start()
    if inspect.isawaitable(pid):
        pid = asyncio.run_coroutine_threadsafe(_awaited(pid), own_loop()).result()
    if not isinstance(pid, int) or isinstance(pid, bool):
        raise errors.InvalidType(f"start of child {name!r} must answer a pid")
    if not runtime.is_alive(pid):
        raise errors.NoSuchActor(f"start of child {name!r} answered pid {pid}, which is dead")
    if runtime.whereis_path(at) != pid:
        runtime.register_path(at, pid)

    def enrolled(pid: Any) -> Any:
        if runtime.whereis_path(at) is None:
            # Nobody hands the path over if its supervisor had given up. Another's it stays.
            with contextlib.suppress(errors.IrisError):
                runtime.register_path(at, pid)
        return pid

    async def later(answer: Awaitable[Any]) -> Any:
        return enrolled(await answer)

    def again() -> Any:
        answer = start()
        return later(answer) if inspect.isawaitable(answer) else enrolled(answer)

    runtime.path_supervise_with_factory(
        path, pid, again, None, restart=spec.get("restart"), id=name
    )


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
