"""Clusters, from Python: members find each other's names, and hear of who comes and goes."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from iris import Runtime, errors

LOCAL = "127.0.0.1:0"
Member = Callable[..., tuple[Runtime, str]]


def eventually(done: Callable[[], Any]) -> None:
    """Waits until something is true."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.005)


@pytest.fixture
def member() -> Iterator[Member]:
    all_of_them: list[Runtime] = []

    def make(*seeds: str) -> tuple[Runtime, str]:
        rt = Runtime()
        all_of_them.append(rt)
        rt.on_crash(lambda info: None)
        rt.configure_mesh(heartbeat_ms=50, down_after_ms=10_000, resume_window_ms=300)
        addr = rt.listen(LOCAL)
        rt.join_cluster(seeds, gossip_ms=50, timeout=30)
        return rt, addr

    yield make
    for rt in all_of_them:
        rt.close(timeout=2)


def test_members_find_each_other_and_names_on_any_of_them(member: Member) -> None:
    a, addr = member()
    b, _ = member(addr)
    c, _ = member(addr)
    for rt in (a, b, c):
        eventually(lambda rt=rt: len(rt.nodes()) == 2)
    pid = b.spawn(lambda msg: b"b: " + msg)
    b.register("it", pid, scope="cluster")
    b.register("local", pid)
    assert b.whereis("it") == pid
    for rt in (a, c):
        eventually(lambda rt=rt: rt.whereis("it") is not None)
        proxy = rt.whereis("it")
        assert proxy is not None
        assert rt.is_remote(proxy)
        assert rt.call_blocking(proxy, b"x") == b"b: x"
        assert rt.whereis("local") is None
        with pytest.raises(errors.NameTaken):
            rt.register("it", rt.spawn(lambda msg: None), scope="cluster")
        with pytest.raises(errors.NotLocal):
            rt.register("other", proxy, scope="cluster")
    b.stop(pid)
    for rt in (a, b, c):
        eventually(lambda rt=rt: rt.whereis("it") is None)


def test_nodes_that_come_and_go_are_told(member: Member) -> None:
    a, addr = member()
    told: list[tuple[str, Any]] = []
    a.on_node_up(lambda node: told.append((node["id"], None)))
    a.on_node_down(lambda node: told.append((node["id"], node["reason"])))
    b, _ = member(addr)
    eventually(lambda: len(told) == 1)
    assert a.nodes()[0]["id"] == told[0][0]
    b.close()
    eventually(lambda: len(told) == 2)
    assert told[1] == (told[0][0], "disconnected")
    a.on_node_up(None)
    a.on_node_down(None)


def test_of_two_that_took_a_name_one_keeps_it(member: Member) -> None:
    a, addr = member()
    older = a.spawn(lambda msg: None)
    a.register("it", older, scope="cluster")
    b, _ = member()
    since = time.time()
    eventually(lambda: time.time() > since + 0.002)
    younger = b.spawn(lambda msg: None)
    b.register("it", younger, scope="cluster")
    b.join_cluster([addr], gossip_ms=50, timeout=30)
    assert b.join(younger).reason == "name_conflict"
    eventually(lambda: b.whereis("it") is not None)
    assert a.whereis("it") == older


def test_a_join_can_be_awaited_and_fails_without_anybody(member: Member) -> None:
    a, addr = member()
    rt = Runtime()

    async def main() -> None:
        other = Runtime()
        nobody = other.listen(LOCAL)
        with pytest.raises(errors.Timeout):
            await rt.join_cluster_async([nobody], timeout=0.2)
        await rt.join_cluster_async([addr], gossip_ms=50, timeout=30)
        await other.aclose()

    asyncio.run(main())
    eventually(lambda: len(a.nodes()) == 1)
    rt.close(timeout=2)


@pytest.mark.parametrize("scope", ["", "all", "Cluster"])
def test_other_scopes_are_refused(member: Member, scope: Any) -> None:
    a, _ = member()
    with pytest.raises(errors.InvalidArgument):
        a.register("it", a.spawn(lambda msg: None), scope=scope)


@pytest.mark.parametrize("seeds", ["127.0.0.1:1", b"x", 1, None, [1], [None]])
def test_seeds_are_a_list_of_text(seeds: Any) -> None:
    with Runtime() as rt, pytest.raises(errors.InvalidType):
        rt.join_cluster(seeds)
