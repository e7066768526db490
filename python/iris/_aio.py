"""What the native half asks of asyncio; imported when the first ``async def`` handler needs it."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable
from typing import Any


async def await_handler(answer: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Await a handler's answer.

    What it raises is an answer too: asyncio would let SystemExit and KeyboardInterrupt of a task
    end the event loop, and here they end one actor. A task that somebody cancels stays cancelled.
    """
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
