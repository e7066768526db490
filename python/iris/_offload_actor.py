"""`offload(strategy='actor')`: a function that runs on a pool of actors with a thread each."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import os
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, ParamSpec, TypeVar, cast

from iris import errors
from iris._iris import Runtime

P = ParamSpec("P")
R = TypeVar("R")

_MOST_THREADS = 256
_MOST_QUEUE = 1 << 30
# The pool whose work this thread does: a call of the pool from inside of it runs here.
_at_work: contextvars.ContextVar[object] = contextvars.ContextVar("iris_offload", default=None)


class Submitted(Generic[R]):
    """A call on its way: `await` it, or ask for its `result`."""

    def __init__(
        self, name: str, future: concurrent.futures.Future[R], timeout: float | None
    ) -> None:
        self._name = name
        self._future = future
        self._timeout = timeout

    def result(self, timeout: float | None = None) -> R:
        """Waits for the result, without the GIL.

        Args:
            timeout: Seconds; None: the timeout of the function.

        Raises:
            Timeout: It took longer. What has not begun is cancelled.
        """
        limit = self._timeout if timeout is None else timeout
        try:
            return self._future.result(limit)
        except concurrent.futures.TimeoutError as e:
            if self._future.done() and not self._future.cancelled():
                raise  # the function's own
            self._future.cancel()
            raise errors.Timeout(f"{self._name} did not answer within {limit} s") from e

    def cancel(self) -> bool:
        """Takes the call back; False: it has begun or is over."""
        return self._future.cancel()

    def done(self) -> bool:
        """Whether it is over."""
        return self._future.done()

    def __await__(self) -> Generator[Any, None, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        future = asyncio.wrap_future(self._future)
        done, _ = await asyncio.wait([future], timeout=self._timeout)
        if not done:
            future.cancel()
            raise errors.Timeout(f"{self._name} did not answer within {self._timeout} s")
        return future.result()


_Job = tuple[contextvars.Context, Callable[[], Any], "concurrent.futures.Future[Any]"]


class _Crew:
    """The actors of one function in one process."""

    def __init__(self, size: int) -> None:
        self.process = os.getpid()
        self.runtime = Runtime()
        self.runtime.set_release_gil_limits(_MOST_THREADS, _MOST_THREADS)
        self.jobs: dict[int, _Job] = {}
        self.load = dict.fromkeys(
            (self.runtime.spawn(self.work, release_gil=True) for _ in range(size)), 0
        )

    def work(self, message: bytes) -> None:
        """Handles a message: the number of a job, and of the member that does it."""
        number, pid = (int(part) for part in message.split())
        context, body, future = self.jobs.pop(number)
        if future.set_running_or_notify_cancel():
            try:
                result = context.run(body)
            except BaseException as e:
                future.set_exception(e)
            else:
                future.set_result(result)
        self.load[pid] -= 1


class _Pool:
    def __init__(self, name: str, size: int, queue: int) -> None:
        self.name = name
        self.size = size
        self.queue = queue
        self.lock = threading.Lock()
        self.crew: _Crew | None = None
        self.next = 0
        self.closed = False

    def submit(self, body: Callable[[], R]) -> concurrent.futures.Future[R]:
        future: concurrent.futures.Future[R] = concurrent.futures.Future()
        context = contextvars.copy_context()
        context.run(_at_work.set, self)
        with self.lock:
            if self.closed:
                raise errors.RuntimeClosed(f"the pool of {self.name} is closed")
            crew = self.crew
            if crew is None or crew.process != os.getpid():  # the first call, or behind a fork
                crew = self.crew = _Crew(self.size)
            if len(crew.jobs) >= self.queue:
                raise errors.MailboxFull(
                    f"{self.queue} calls of {self.name} wait already; try again later"
                )
            pid = min(crew.load, key=crew.load.__getitem__)
            number = self.next = self.next + 1
            crew.jobs[number] = (context, body, future)
            crew.load[pid] += 1
        if not crew.runtime.send(pid, b"%d %d" % (number, pid)):
            crew.jobs.pop(number, None)
            raise errors.ActorExited(f"an actor of the pool of {self.name} has ended")
        return future

    def close(self) -> None:
        with self.lock:
            self.closed = True
            crew, self.crew = self.crew, None
        if crew is None or crew.process != os.getpid():
            return
        for _, _, future in list(crew.jobs.values()):
            future.cancel()
        crew.runtime.close()


class ActorFunction(Generic[P, R]):
    """A function that runs on a pool of actors: a call waits without the GIL, `submit` does not."""

    def __init__(self, func: Callable[P, R], pool: _Pool, timeout: float | None) -> None:
        self._func = func
        self._pool = pool
        self._timeout = timeout
        functools.update_wrapper(self, func)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Methods: binds like a function."""
        return (
            self
            if instance is None
            else functools.partial(cast("Callable[..., Any]", self), instance)
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if _at_work.get() is self._pool:
            # Waiting for the own pool could wait for ever.
            return self._func(*args, **kwargs)
        return self.submit(*args, **kwargs).result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Submitted[R]:
        """Gives the call to the pool.

        Returns:
            What is awaited in asyncio, or asked for its `result`.

        Raises:
            MailboxFull: As many calls wait as `queue` allows.
            RuntimeClosed: The pool was closed.
        """
        future = self._pool.submit(functools.partial(self._func, *args, **kwargs))
        return Submitted(self._pool.name, future, self._timeout)

    def explain(self) -> str:
        """Where the function runs, as text."""
        pool = self._pool
        waiting = 0 if pool.crew is None else len(pool.crew.jobs)
        return f"{pool.name}: actor, {pool.size} thread(s), {waiting} waiting of {pool.queue}"

    def close(self) -> None:
        """Ends the pool: what waits is cancelled, what runs is given the stop timeout."""
        self._pool.close()


def wrap(
    func: Callable[P, R],
    return_type: str | None = None,
    *,
    pool: int | None = None,
    queue: int = 1024,
    timeout: float | None = None,
    **unknown: Any,
) -> ActorFunction[P, R]:
    """The function on a pool of actors.

    Args:
        func: The function; not a coroutine function or a generator.
        return_type: As for `offload`; it converts nothing.
        pool: Threads; 1 to 256. Default: one a core.
        queue: Calls that may wait; more are refused with `MailboxFull`.
        timeout: Seconds that a caller waits; None: for ever.
        unknown: None is taken.
    """
    if unknown:
        raise errors.InvalidArgument(
            f"strategy 'actor' has no option {next(iter(unknown))!r}; it has pool, queue, timeout"
        )
    if not callable(func):
        raise errors.InvalidType(f"offload takes a function, not {type(func).__name__}")
    if inspect.iscoroutinefunction(func) or inspect.isgeneratorfunction(func):
        raise errors.InvalidType("strategy 'actor' takes a plain function: no coroutine, generator")
    size = (os.cpu_count() or 1) if pool is None else _integer("pool", pool, _MOST_THREADS)
    if timeout is not None:
        if isinstance(timeout, bool) or not isinstance(cast("object", timeout), int | float):
            raise errors.InvalidType(f"timeout must be a number, not {type(timeout).__name__}")
        if not 0 < timeout <= threading.TIMEOUT_MAX:
            raise errors.InvalidArgument(f"timeout must be positive seconds, got {timeout}")
    name = getattr(func, "__qualname__", repr(func))
    held = _Pool(name, size, _integer("queue", queue, _MOST_QUEUE))
    return ActorFunction(func, held, timeout)


def _integer(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.InvalidType(f"{name} must be an int, not {type(value).__name__}")
    if not 1 <= value <= most:
        raise errors.InvalidArgument(f"{name} must be 1 to {most}, got {value}")
    return value
