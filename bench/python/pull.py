"""Pull actors beside what Python has: a thread and a SimpleQueue, an asyncio task and its queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from common import PAYLOAD, emit, now, rate, rss

NOISE = b"noise" + b"\x00" * 59
WANTED = b"wanted" + b"\x00" * 58
QUEUED = 10_000


class Iris:
    """iris: an OS thread and a mailbox for each."""

    def __init__(self) -> None:
        from iris import Runtime

        self.runtime = Runtime()
        self.send = self.runtime.send

    def spawn(self, body: Callable[[Any], None]) -> Any:
        """Start an actor; its body gets what `recv` and `select` take."""
        return self.runtime.spawn_with_mailbox(body)

    @staticmethod
    def recv(mailbox: Any) -> Callable[[], Any]:
        """What takes the next message."""
        return mailbox.recv

    @staticmethod
    def select(mailbox: Any) -> Callable[[Callable[[bytes], bool]], Any]:
        """What takes the next message that a matcher likes."""
        return mailbox.selective_recv


class Threads:
    """A thread and a SimpleQueue for each; selective receive as one writes it by hand."""

    def __init__(self) -> None:
        self.send = queue.SimpleQueue.put

    def spawn(self, body: Callable[[Any], None]) -> Any:
        """Start a thread."""
        box: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=body, args=(box,), daemon=True).start()
        return box

    @staticmethod
    def recv(box: Any) -> Callable[[], Any]:
        """What takes the next message."""
        return box.get

    @staticmethod
    def select(box: Any) -> Callable[[Callable[[bytes], bool]], Any]:
        """Keeps what the matcher refuses."""
        kept: list[bytes] = []

        def take(matcher: Callable[[bytes], bool]) -> bytes:
            while True:
                message = box.get()
                if matcher(message):
                    return message
                kept.append(message)

        return take


def tell(system: Iris | Threads, n: int) -> float:
    """One sender, one pull actor."""
    done = threading.Event()

    def body(mailbox: Any) -> None:
        recv = system.recv(mailbox)
        for _ in range(n):
            recv()
        done.set()

    actor, send = system.spawn(body), system.send
    start = now()
    for _ in range(n):
        send(actor, PAYLOAD)
    done.wait()
    return now() - start


def pingpong(system: Iris | Threads, n: int) -> float:
    """Two pull actors and one message between them."""
    done = threading.Event()
    send = system.send

    def pong(mailbox: Any) -> None:
        recv = system.recv(mailbox)
        for _ in range(n):
            message = recv()
            send(ping_at, message)

    def ping(mailbox: Any) -> None:
        recv = system.recv(mailbox)
        for _ in range(n):
            message = recv()
            send(pong_at, message)
        done.set()

    pong_at = system.spawn(pong)
    ping_at = system.spawn(ping)
    start = now()
    send(ping_at, PAYLOAD)
    done.wait()
    return now() - start


def select(system: Iris | Threads, n: int) -> float:
    """The last of 10,000 queued messages is the one that is wanted; n are looked at in all."""
    took = 0.0
    for _ in range(max(1, n // QUEUED)):
        go, done = threading.Event(), threading.Event()

        def body(mailbox: Any, go: threading.Event = go, done: threading.Event = done) -> None:
            take = system.select(mailbox)
            go.wait()
            take(lambda message: message.startswith(b"wanted"))
            done.set()

        actor = system.spawn(body)
        for _ in range(QUEUED - 1):
            system.send(actor, NOISE)
        system.send(actor, WANTED)
        start = now()
        go.set()
        done.wait()
        took += now() - start
    return took


def idle(system: Iris | Threads, n: int) -> None:
    """What n idle pull actors cost, each waiting for its first message."""

    def body(mailbox: Any) -> None:
        system.recv(mailbox)()

    before = rss()
    start = now()
    actors = [system.spawn(body) for _ in range(n)]
    took = now() - start
    time.sleep(1)
    emit("rate", n / took, "actor/s")
    emit("rss_per_actor", (rss() - before) / len(actors), "B")


def run(system: Iris | Threads, work: str, n: int) -> None:
    """Measure and print."""
    if work == "idlepull":
        idle(system, n)
    elif work == "select":
        emit("rate", rate(n, lambda units: select(system, max(units, QUEUED))), "msg/s")
    elif work == "pullping":
        emit("rate", rate(n, lambda units: pingpong(system, units)), "rt/s")
    else:
        emit("rate", rate(n, lambda units: tell(system, units)), "msg/s")
