"""One measurement in a fresh process: measure.py SYSTEM WORK N [SIZE].

Each work is the same code for every system; the clock stops when the last message has been handled.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import extras
import pull
from common import PAYLOAD, emit, now, rate, rss

USAGE = (
    "usage: measure.py iris|pykka|asyncio|simplequeue|copy "
    "tell|pingpong|spawn|virtual|pull|pullping|select|idlepull|timers|swap|"
    "restart|kept|buffer... N [SIZE]"
)

Handler = Callable[[Any], None]


class Threads:
    """A system that runs its actors on threads of its own: the caller waits on an event."""

    spawn: Callable[[Handler], Any]
    send: Callable[[Any, Any], Any]

    def tell(self, n: int) -> float:
        """One sender, one actor."""
        done = threading.Event()
        handled = 0

        def count(_: Any) -> None:
            nonlocal handled
            handled += 1
            if handled == n:
                done.set()

        send = self.send
        actor = self.spawn(count)
        start = now()
        for _ in range(n):
            send(actor, PAYLOAD)
        done.wait()
        return now() - start

    def pingpong(self, n: int) -> float:
        """Two actors and one message between them."""
        done = threading.Event()
        left = n
        send = self.send

        def pong(message: Any) -> None:
            send(ping_at, message)

        def ping(message: Any) -> None:
            nonlocal left
            left -= 1
            if left:
                send(pong_at, message)
            else:
                done.set()

        pong_at = self.spawn(pong)
        ping_at = self.spawn(ping)
        start = now()
        send(pong_at, PAYLOAD)
        done.wait()
        return now() - start

    def idle(self, n: int) -> None:
        """What n idle actors cost."""

        def handler(_: Any) -> None:
            pass

        spawn = self.spawn
        gc.collect()
        before = rss()
        start = now()
        actors = [spawn(handler) for _ in range(n)]
        took = now() - start
        time.sleep(0.2)
        emit("rate", n / took, "actor/s")
        emit("rss_per_actor", (rss() - before) / len(actors), "B")

    def run(self, work: str, n: int) -> None:
        """Measure and print."""
        if work == "spawn":
            self.idle(n)
        else:
            once, unit = {"tell": (self.tell, "msg/s"), "pingpong": (self.pingpong, "rt/s")}[work]
            emit("rate", rate(n, once), unit)


def iris() -> Threads:
    """iris as a user would call it: handlers run on its interpreter lane."""
    from iris import Runtime

    runtime = Runtime()
    system = Threads()
    system.spawn = runtime.spawn
    system.send = runtime.send
    return system


def virtual() -> Threads:
    """Virtual actors of iris, with hooks that load and save their state."""
    from iris import Context, Runtime

    def load(_: Context) -> object:
        return {}

    def save(_: Context) -> None:
        pass

    spawn = Runtime().spawn_virtual
    system = Threads()
    system.spawn = lambda handler: spawn(handler, 100, 60_000, on_activate=load, on_deactivate=save)
    return system


def pykka() -> Threads:
    """pykka: a thread and a queue for each actor."""
    from pykka import ThreadingActor

    class Actor(ThreadingActor):
        use_daemon_thread = True

        def __init__(self, handler: Handler) -> None:
            super().__init__()
            self.handler = handler

        def on_receive(self, message: Any) -> None:
            self.handler(message)

    system = Threads()
    system.spawn = Actor.start
    system.send = lambda actor, message: actor.tell(message)
    return system


class Loop:
    """The floor of asyncio: a task and an asyncio.Queue for each actor, all on one loop."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, handler: Handler) -> asyncio.Queue[Any]:
        """Start an actor."""
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def serve() -> None:
            get = queue.get
            while True:
                handler(await get())

        self.tasks.append(asyncio.ensure_future(serve()))
        return queue

    async def tell(self, n: int) -> float:
        """One sender, one actor."""
        done = asyncio.Event()
        handled = 0

        def count(_: Any) -> None:
            nonlocal handled
            handled += 1
            if handled == n:
                done.set()

        actor = self.spawn(count)
        start = now()
        for _ in range(n):
            actor.put_nowait(PAYLOAD)
        await done.wait()
        return now() - start

    async def pingpong(self, n: int) -> float:
        """Two actors and one message between them."""
        done = asyncio.Event()
        left = n

        def pong(message: Any) -> None:
            ping_at.put_nowait(message)

        def ping(message: Any) -> None:
            nonlocal left
            left -= 1
            if left:
                pong_at.put_nowait(message)
            else:
                done.set()

        pong_at = self.spawn(pong)
        ping_at = self.spawn(ping)
        start = now()
        pong_at.put_nowait(PAYLOAD)
        await done.wait()
        return now() - start

    async def idle(self, n: int) -> None:
        """What n idle actors cost, started: a task is not there before its first turn."""

        def handler(_: Any) -> None:
            pass

        gc.collect()
        before = rss()
        start = now()
        actors = [self.spawn(handler) for _ in range(n)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        took = now() - start
        emit("rate", n / took, "actor/s")
        emit("rss_per_actor", (rss() - before) / len(actors), "B")

    def run(self, work: str, n: int) -> None:
        """Measure and print."""
        with asyncio.Runner() as runner:
            if work == "spawn":
                runner.run(self.idle(n))
            else:
                once: Callable[[int], Awaitable[float]]
                once, unit = {"tell": (self.tell, "msg/s"), "pingpong": (self.pingpong, "rt/s")}[
                    work
                ]
                emit("rate", rate(n, lambda units: runner.run(once(units))), unit)
            # The queues' readers wait for ever: leave without cancelling them one by one.
            sys.stdout.flush()
            os._exit(0)


def main() -> None:
    """Read the command line and measure."""
    systems = {"iris": iris, "pykka": pykka, "asyncio": Loop}
    if len(sys.argv) not in (4, 5):
        sys.exit(USAGE)
    name, work, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    size = int(sys.argv[4]) if len(sys.argv) == 5 else 0
    if work in ("timers", "swap", "restart", "kept") or work.startswith("buffer"):
        extras.run(name, work, n, size)
    elif work in ("pull", "pullping", "select", "idlepull") and name in ("iris", "simplequeue"):
        pull.run(pull.Iris() if name == "iris" else pull.Threads(), work, n)
    elif name == "iris" and work == "virtual":
        virtual().run("spawn", n)
    elif name in systems and work in ("tell", "pull", "pingpong", "pullping", "spawn"):
        # Actors of these pull from their queues already.
        systems[name]().run({"pull": "tell", "pullping": "pingpong"}.get(work, work), n)
    else:
        sys.exit(USAGE)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
