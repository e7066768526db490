"""Typed messages for actors of other nodes: what a proxy speaks comes with what made it known."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import Inbox
from iris import Context, Runtime, codecs, errors

LOCAL = "127.0.0.1:0"
ORDER = {"id": 7, "lines": ["a", "é"], "none": None}


class Nodes:
    """Two runtimes; the second listens and has an actor under the name `it`."""

    def __init__(self, codec: str) -> None:
        self.here, self.there = Runtime(), Runtime()
        self.seen = Inbox()

        def handler(msg: Any, ctx: Context) -> Any:
            self.seen(msg)
            return {"got": msg} if ctx.is_call else None

        self.pid = self.there.spawn(handler, codec=codec)
        self.there.register("it", self.pid)
        self.addr = self.there.listen(LOCAL)
        proxy = self.here.resolve_remote(self.addr, "it")
        assert proxy is not None
        self.proxy: Any = proxy

    def close(self) -> None:
        self.here.close()
        self.there.close()


@pytest.fixture
def nodes() -> Iterator[Callable[[str], Nodes]]:
    made: list[Nodes] = []

    def make(codec: str) -> Nodes:
        made.append(Nodes(codec))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_every_way_to_send_encodes_and_replies_are_decoded(
    nodes: Callable[[str], Nodes],
) -> None:
    n = nodes("json")
    rt, proxy = n.here, n.proxy
    info = rt.actor_info(proxy)
    assert info is not None
    assert info.codec == "json"
    rt.register("far", proxy)
    rt.register_path("/far", proxy)
    assert rt.send(proxy, ORDER)
    assert rt.send_many(proxy, [ORDER, ORDER]) == 2
    assert rt.send_named("far", ORDER)
    assert rt.send_path("/far", ORDER)
    assert rt.send_with_backpressure(proxy, ORDER) == (True, "NORMAL")
    rt.send_after(proxy, 0, ORDER)

    async def awaited() -> Any:
        assert await rt.send_async(proxy, ORDER)
        return await rt.call(proxy, ORDER)

    assert asyncio.run(awaited()) == {"got": ORDER}
    assert rt.call_blocking(proxy, ORDER) == {"got": ORDER}
    assert n.seen.wait(10) == [ORDER] * 10


def test_exported_pids_and_senders_bear_their_codecs(nodes: Callable[[str], Nodes]) -> None:
    n = nodes("json")
    third = Runtime()
    with third:
        proxy: Any = third.import_pid(n.here.export_pid(n.proxy))
        assert third.call_blocking(proxy, [1]) == {"got": [1]}
        assert n.there.import_pid(n.here.export_pid(n.proxy)) == n.pid
    answered: list[Any] = []
    done = threading.Event()

    def server(msg: Any, ctx: Context) -> None:
        sender: Any = ctx.sender
        assert ctx.send(sender, {"answer": msg["n"] + 1})

    def client(msg: Any, ctx: Context) -> None:
        if "go" in msg:
            ctx.send(there, {"n": 41})
        else:
            answered.append(msg)
            done.set()

    n.there.register("server", n.there.spawn(server, codec="json"))
    there: Any = n.here.resolve_remote(n.addr, "server")
    mine: Any = n.here.spawn(client, codec="json")
    assert n.here.send(mine, {"go": True})
    assert done.wait(30)
    assert answered == [{"answer": 42}]


def test_pickle_is_for_this_process_and_says_so(nodes: Callable[[str], Nodes]) -> None:
    n = nodes("pickle")
    for ask in (n.here.send, n.here.call_blocking):
        with pytest.raises(errors.NotLocal, match="pickle"):
            ask(n.proxy, ORDER)
    # Whoever encodes by himself is refused over there.
    plain = n.here.remote_pid(n.addr, n.pid)
    with pytest.raises(errors.NotPermitted):
        n.here.call_blocking(plain, b"\x80\x04N.")
    assert n.there.call_blocking(n.pid, ORDER) == {"got": ORDER}
    assert n.seen.messages == [ORDER]


def test_a_codec_that_is_not_known_here_is_named(nodes: Callable[[str], Nodes]) -> None:
    class Private:
        name = "private-of-the-test"

        def encode(self, message: str) -> bytes:
            return message.encode()

        def decode(self, data: bytes) -> str:
            return data.decode()

    codecs.register(Private())
    n = nodes(Private.name)
    codec = codecs._codecs.pop(Private.name)
    for ask in (n.here.send, n.here.call_blocking):
        with pytest.raises(errors.NoSuchCodec, match=f"{n.proxy} speaks.*{Private.name}"):
            ask(n.proxy, "x")
    codecs.register(codec)
    assert n.here.send(n.proxy, "x")
    assert n.seen.wait(1) == ["x"]


def test_a_pid_by_its_number_alone_takes_what_is_encoded_already(
    nodes: Callable[[str], Nodes],
) -> None:
    n = nodes("json")
    plain = n.here.remote_pid(n.addr, n.pid)
    assert plain != n.proxy
    assert n.here.send_remote(n.addr, n.pid, json.dumps(ORDER).encode())
    assert json.loads(n.here.call_blocking(plain, b"[1]")) == {"got": [1]}
    assert n.seen.wait(2) == [ORDER, [1]]
    with pytest.raises(TypeError):
        n.here.send(plain, ORDER)  # type: ignore[arg-type]
    with pytest.raises(errors.HandlerFailed):
        n.here.call_blocking(plain, b"no json")
