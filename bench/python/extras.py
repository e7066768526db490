"""Timers, buffers, swaps and restarts of iris; asyncio's timers, and copying sends, beside them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from common import PAYLOAD, emit, now, rate

DELAY_MS = 100


def emit_timers(n: int, created: float, late: list[float]) -> None:
    """The rate of creation, and how late the timers were, in milliseconds."""
    late.sort()
    emit("rate", n / created, "timer/s")
    emit("p50", late[len(late) // 2] * 1e3, "ms")
    emit("p99", late[len(late) * 99 // 100] * 1e3, "ms")


def iris_timers(n: int) -> None:
    """n timers of 100 ms; the due time stands in the order of creation."""
    from iris import Runtime

    runtime = Runtime()
    done = threading.Event()
    due: list[float] = []
    late: list[float] = []

    def handler(_: bytes) -> None:
        late.append(now() - due[len(late)])
        if len(late) == n:
            done.set()

    pid = runtime.spawn(handler)
    send_after, delay = runtime.send_after, DELAY_MS / 1e3
    start = now()
    for _ in range(n):
        due.append(now() + delay)
        send_after(pid, DELAY_MS, PAYLOAD)
    created = now() - start
    done.wait()
    emit_timers(n, created, late)


def asyncio_timers(n: int) -> None:
    """The same with call_later; the loop runs its timers when all have been created."""
    late: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def fire(due: float) -> None:
            late.append(now() - due)
            if len(late) == n:
                done.set()

        delay = DELAY_MS / 1e3
        start = now()
        for i in range(n):
            loop.call_later(delay, fire, now() + delay)
            if i % 1000 == 999:
                await asyncio.sleep(0)  # as a program does that has other things to do
        created = now() - start
        await done.wait()
        emit_timers(n, created, late)

    asyncio.run(main())


def messages(n: int, size: int, lend: bool) -> float:
    """n messages of some size: filled, sent, and seen by the handler; four are on their way."""
    from iris import Runtime

    with Runtime() as runtime:
        room = threading.Semaphore(4)
        template = b"\x07" * size

        def handler(message: bytes) -> None:
            assert message[-1] == 7
            room.release()

        pid = runtime.spawn(handler)
        own = bytearray(size)
        start = now()
        for _ in range(n):
            room.acquire()
            if lend:
                buffer, view = runtime.allocate_buffer(size)
                view[:] = template
                runtime.send_buffer(pid, buffer)
            else:
                own[:] = template
                runtime.send(pid, own)
        for _ in range(4):
            room.acquire()
        return now() - start


def swaps(n: int) -> float:
    """n hot swaps of an actor that a thread keeps busy."""
    from iris import Runtime

    with Runtime() as runtime:
        stop = threading.Event()
        handlers: list[Any] = [lambda _: None, lambda _: None]
        pid = runtime.spawn(handlers[0])

        def load() -> None:
            while not stop.is_set():
                runtime.send_many(pid, [PAYLOAD] * 100)
                stop.wait(0.001)

        thread = threading.Thread(target=load)
        thread.start()
        start = now()
        for i in range(n):
            runtime.hot_swap(pid, handlers[i & 1])
        took = now() - start
        stop.set()
        thread.join()
        return took


def supervise(runtime: Any, path: str, start: Any) -> None:
    """Have what `start` spawns replaced as often as it ends, under one name."""
    pid = start()
    runtime.register(path, pid)
    limits = {"max_restarts": 2**32 - 1, "within_ms": 1}
    runtime.path_supervise_with_factory(path, pid, start, "restartone", **limits)


def restarts(n: int) -> float:
    """Crash, restart, crash: each replacement is sent the next crash as it begins."""
    from iris import Runtime

    with Runtime() as runtime:
        done = threading.Event()
        left = n

        def crash(_: bytes) -> None:
            raise ValueError("boom")

        def start() -> int:
            nonlocal left
            pid: int = runtime.spawn(crash)
            left -= 1
            if left == 0:
                done.set()
            elif left < n:
                runtime.send(pid, b"!")
            return pid

        left += 1  # the first is no restart
        supervise(runtime, "/crasher", start)
        begun = now()
        runtime.send_named("/crasher", b"!")
        done.wait()
        return now() - begun


def kept(n: int) -> None:
    """`n` messages to a name, every hundredth of which crashes: how many others are handled."""
    from iris import Runtime

    with Runtime() as runtime:
        handled = 0

        def handler(message: bytes) -> None:
            nonlocal handled
            if len(message) == 1:
                raise ValueError("boom")
            handled += 1

        supervise(runtime, "/keeping", lambda: runtime.spawn(handler))
        for i in range(1, n + 1):
            runtime.send_named("/keeping", b"!" if i % 100 == 50 else PAYLOAD)
        seen = -1
        while seen < handled:
            seen = handled
            threading.Event().wait(0.3)
        emit("kept", handled, "msg")


def run(system: str, work: str, n: int, size: int) -> None:
    """Measure and print."""
    if work == "timers":
        (iris_timers if system == "iris" else asyncio_timers)(n)
    elif work == "swap":
        emit("rate", rate(n, swaps), "swap/s")
    elif work == "restart":
        emit("rate", rate(n, restarts), "restart/s")
    elif work == "kept":
        kept(n)
    else:
        emit("rate", rate(n, lambda units: messages(units, size, system == "iris")), "msg/s")
