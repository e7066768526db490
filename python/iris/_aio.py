"""What the native half asks of asyncio; imported when the first ``async def`` handler needs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Generic, Protocol

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from iris._iris import Mailbox
    from iris._types import Received

    T = TypeVar("T", default=bytes)
else:
    from typing import TypeVar

    T = TypeVar("T")


_actor: ContextVar[int] = ContextVar("iris.actor", default=0)


def current_actor() -> int:
    """The pid of the actor whose `async def` code runs; 0: none."""
    return _actor.get()


async def await_handler(answer: Awaitable[Any], pid: int) -> tuple[Any, BaseException | None]:
    """Await the answer of an actor's handler.

    What it raises is an answer too: asyncio would let SystemExit and KeyboardInterrupt of a task
    end the event loop, and here they end one actor. A task that somebody cancels stays cancelled.
    """
    _actor.set(pid)
    try:
        return await answer, None
    except BaseException as e:
        task = asyncio.current_task()
        if isinstance(e, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        return None, e


class OwnLoop:
    """The event loop for ``async def`` handlers that were spawned where none ran."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """The loop; its thread starts with the first call."""
        with self._lock:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name="iris-asyncio", daemon=True)
                thread.start()
                self._running = loop, thread
            return self._running[0]

    def stop(self) -> None:
        """End the thread, at interpreter exit."""
        if self._running is not None:
            loop, thread = self._running
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            thread.join(1)

    def forget(self) -> None:
        """Let a forked child, which has no such thread, begin anew."""
        self._lock = threading.Lock()
        self._running = None


_own = OwnLoop()
own_loop = _own.get
stop_own_loop = _own.stop

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_own.forget)


class _Waker:
    """Hears from the native half, as a future would, that it is time to look again."""

    def __init__(self, rung: asyncio.Event) -> None:
        self._rung = rung

    def done(self) -> bool:
        return False

    def set_result(self, _: None) -> None:
        self._rung.set()


class AsyncMailbox(Generic[T]):
    """The mailbox of a pull actor whose function is ``async def``; for one task at a time."""

    def __init__(self, native: Mailbox[T]) -> None:
        self._native = native
        self._rung = asyncio.Event()
        self._waker = _Waker(self._rung)

    @property
    def pid(self) -> int:
        """This actor."""
        return self._native.pid

    @property
    def size(self) -> int:
        """Messages that wait."""
        return self._native.size

    @property
    def closed(self) -> bool:
        """Whether no message will come any more."""
        return self._native.closed

    def monitor(self, target: int) -> int:
        """Have this actor told when another ends. See `Mailbox.monitor`."""
        return self._native.monitor(target)

    def link(self, other: int) -> None:
        """Link this actor with another. See `Mailbox.link`."""
        self._native.link(other)

    def try_recv(self) -> Received[T] | None:
        """Take the next message if there is one. See `Mailbox.try_recv`."""
        return self._native.try_recv()

    # `timeout` as everywhere in iris: what it ends is an answer, None, and no error.
    async def recv(self, timeout: float | None = None) -> Received[T] | None:  # noqa: ASYNC109
        """Take the next message. See `Mailbox.recv`; a cancelled wait takes none."""
        return await self._receive(self._native.try_recv, timeout)

    async def selective_recv(
        self,
        matcher: Callable[[T], object],
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Received[T] | None:
        """Take the next message that `matcher` likes. See `Mailbox.selective_recv`."""
        return await self._receive(lambda: self._native._try_select(matcher), timeout)

    def __aiter__(self) -> AsyncMailbox[T]:
        return self

    async def __anext__(self) -> Received[T]:
        message = await self.recv()
        if message is None:
            raise StopAsyncIteration
        return message

    async def _receive(
        self,
        look: Callable[[], Received[T] | None],
        timeout: float | None,  # noqa: ASYNC109
    ) -> Received[T] | None:
        self._native._arm(self._waker, timeout)
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                while True:
                    self._rung.clear()
                    self._native._arm(self._waker)
                    message = look()
                    if message is not None or self._native.closed:
                        return message
                    await self._rung.wait()
        except TimeoutError:
            if not deadline.expired():
                raise
            return None


class _Scan(Protocol):
    @property
    def closed(self) -> bool: ...
    def look(self) -> Received | None: ...
    def arm(self, waker: _Waker) -> None: ...
    def end(self) -> None: ...


async def _select(scan: _Scan, timeout: float | None) -> Received | None:  # noqa: ASYNC109
    rung = asyncio.Event()
    waker = _Waker(rung)
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            while True:
                rung.clear()
                scan.arm(waker)
                message = scan.look()
                if message is not None or scan.closed:
                    return message
                await rung.wait()
    except TimeoutError:
        if not deadline.expired():
            raise
        return None
    finally:
        scan.end()


def select(
    loop: asyncio.AbstractEventLoop, scan: _Scan, timeout: float | None
) -> asyncio.Task[Received | None]:
    """Wait for a message of an observed actor."""
    return loop.create_task(_select(scan, timeout))


class _Gone:
    """Cancels the task of a pull actor that has ended."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task
        self.done = task.done

    def set_result(self, _: None) -> None:
        self._task.cancel()


_tasks: set[asyncio.Task[None]] = set()


async def _pull(
    function: Callable[[AsyncMailbox[Any]], Awaitable[object]], native: Mailbox[Any]
) -> None:
    error: BaseException | None = None
    _actor.set(native.pid)
    try:
        await function(AsyncMailbox(native))
    except BaseException as e:
        error = e
    native._finish(error)


def begin_pull(
    loop: asyncio.AbstractEventLoop,
    function: Callable[[AsyncMailbox[Any]], Awaitable[object]],
    native: Mailbox[Any],
    context: Context | None,
) -> None:
    """Start the task of a pull actor."""

    def begin() -> None:
        task = loop.create_task(_pull(function, native), context=context or Context())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        native._when_gone(_Gone(task))

    if asyncio._get_running_loop() is loop:
        begin()
    else:
        loop.call_soon_threadsafe(begin)
