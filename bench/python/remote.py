"""One measurement between two processes on loopback: remote.py iris|xoscar oneway|rtt N [SIZE].

The clock stops when the other process has handled the last message. BENCH_MIN_MS as in measure.py.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from common import emit, now

LEAST = float(os.environ.get("BENCH_MIN_MS", "300")) / 1000
WARM = 0.25


def told(times: list[float]) -> None:
    """Print the percentiles of a list of seconds."""
    times.sort()
    for metric, share in (("p50", 0.5), ("p99", 0.99)):
        emit(metric, times[int((len(times) - 1) * share)] * 1e6, "us")


def rated(once: Callable[[int], float], n: int) -> None:
    """Print how many messages a second go through."""
    spent = 0.0
    while spent < WARM:
        spent += once(max(1, n // 10))
    done, spent = 0, 0.0
    while spent < LEAST or done == 0:
        spent += once(n)
        done += n
    emit("rate", done / spent, "msg/s")


def iris_serve() -> None:
    """Offer a sink and an echo; print where."""
    import iris

    rt = iris.Runtime()
    left = 0

    def sink(message: bytes) -> None:
        nonlocal left
        if message[0] == 1:
            left -= 1
            if left == 0:
                rt.send(back, b"done")
        else:
            left = int.from_bytes(message[1:9], "little")

    def hello(message: bytes) -> None:
        nonlocal back
        back = rt.import_pid(message)

    back = 0
    rt.register("sink", rt.spawn(sink))
    rt.register("hello", rt.spawn(hello))
    rt.register("echo", rt.spawn(lambda message: message))
    print(rt.listen("127.0.0.1:0"), flush=True)
    sys.stdin.read()


def iris_run(address: str, work: str, n: int, size: int) -> None:
    """Measure against `iris_serve`."""
    import iris

    rt = iris.Runtime()
    rt.listen("127.0.0.1:0")
    done = threading.Event()
    there, hello, echo = (rt.resolve_remote(address, name) for name in ("sink", "hello", "echo"))
    assert there is not None
    assert hello is not None
    assert echo is not None
    rt.send(hello, rt.export_pid(rt.spawn(lambda _: done.set())))
    data = bytes([1]) * size

    def oneway(messages: int) -> float:
        done.clear()
        rt.send(there, bytes([2]) + messages.to_bytes(8, "little"))
        send = rt.send
        start = now()
        for i in range(messages):
            send(there, data)
            # A sender that never waits would measure its own memory.
            if i % 128 == 0 and size > 1024:
                while rt.mailbox_size(there) > 128:
                    time.sleep(0)
        done.wait()
        return now() - start

    def calls(rounds: int) -> list[float]:
        times: list[float] = []
        for _ in range(rounds):
            start = now()
            rt.call_blocking(echo, data)
            times.append(now() - start)
        return times

    if work == "oneway":
        rated(oneway, n)
    else:
        calls(n // 5 + 1)
        told(calls(n))


def load_xoscar() -> Any:
    """The peer, which need not be installed."""
    return importlib.import_module("xoscar")


def xoscar_actor(xoscar: Any) -> Any:
    """The class of the actor."""

    class Sink(xoscar.Actor):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
        handled = 0

        def take(self, _: bytes) -> None:
            self.handled += 1

        def count(self) -> int:
            return self.handled

        def echo(self, message: bytes) -> bytes:
            return message

    return Sink


def xoscar_serve() -> None:
    """Offer the actor; print where."""
    xoscar = load_xoscar()

    async def serve() -> None:
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
        await xoscar.create_actor(xoscar_actor(xoscar), address=pool.external_address, uid="sink")
        print(pool.external_address, flush=True)
        await pool.join()

    asyncio.run(serve())


def xoscar_run(address: str, work: str, n: int, size: int) -> None:
    """Measure against `xoscar_serve`."""
    xoscar = load_xoscar()

    data = bytes([1]) * size

    async def oneway(ref: Any, messages: int) -> float:
        before = await ref.count()
        start = now()
        pending: list[Awaitable[Any]] = []
        for _ in range(messages):
            pending.append(ref.take.tell(data))
            if len(pending) == 100:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
        while await ref.count() != before + messages:
            pass
        return now() - start

    async def measure() -> None:
        ref = await xoscar.actor_ref(address=address, uid="sink")
        if work == "rtt":
            times: list[float] = []
            for i in range(n + n // 5 + 1):
                start = now()
                await ref.echo(data)
                if i > n // 5:
                    times.append(now() - start)
            told(times)
            return
        spent = 0.0
        while spent < WARM:
            spent += await oneway(ref, max(1, n // 10))
        done, spent = 0, 0.0
        while spent < LEAST or done == 0:
            spent += await oneway(ref, n)
            done += n
        emit("rate", done / spent, "msg/s")

    asyncio.run(measure())


def main() -> None:
    """See the module."""
    name, work, count, *rest = sys.argv[1:]
    serve, run = {"iris": (iris_serve, iris_run), "xoscar": (xoscar_serve, xoscar_run)}[name]
    if work == "serve":
        serve()
        return
    command = [sys.executable, __file__, name, "serve", "0"]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        run(other.stdout.readline().strip(), work, int(count), int(rest[0]) if rest else 64)
    finally:
        other.kill()


if __name__ == "__main__":
    main()
