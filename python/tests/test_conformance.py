"""One list of checks for a local pid, a proxy and a name of the cluster: all behave the same."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from iris import Runtime, errors

LOCAL = "127.0.0.1:0"


class World(NamedTuple):
    """Who calls, where actors live, and the pid by which the caller knows one."""

    here: Runtime
    there: Runtime
    known: Callable[[int], int]


def eventually(done: Callable[[], Any]) -> None:
    """Waits until something is true."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.005)


@pytest.fixture(params=["local", "proxy", "cluster name"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    here = Runtime()
    there = here if request.param == "local" else Runtime()
    for rt in (here, there):
        rt.on_crash(lambda info: None)
    addr = ""
    if request.param != "local":
        here.configure_mesh(proxy_capacity=64)
        addr = there.listen(LOCAL)
    if request.param == "cluster name":
        there.join_cluster([], gossip_ms=50)
        here.join_cluster([addr], gossip_ms=50, timeout=30)

    def known(pid: int) -> int:
        name = f"p{pid}"
        if request.param == "local":
            return pid
        if request.param == "proxy":
            there.register(name, pid)
            found = here.resolve_remote(addr, name)
        else:
            there.register(name, pid, scope="cluster")
            eventually(lambda: here.whereis(name) is not None)
            found = here.whereis(name)
        assert found is not None
        return found

    yield World(here, there, known)
    here.close(timeout=2)
    there.close(timeout=2)


def test_send_and_send_many_keep_the_order(world: World) -> None:
    here, there, known = world
    seen: list[bytes] = []
    to = known(there.spawn(seen.append))
    for i in range(20):
        assert here.send(to, b"%d" % i)
    assert here.send_many(to, [b"%d" % i for i in range(20, 40)]) == 20
    eventually(lambda: len(seen) == 40)
    assert seen == [b"%d" % i for i in range(40)]


def test_calls_are_answered_fail_and_time_out(world: World) -> None:
    here, there, known = world

    def handler(msg: bytes) -> bytes:
        if msg == b"raise":
            raise LookupError("no way")
        return b"re: " + msg

    to = known(there.spawn(handler))
    assert here.call_blocking(to, b"x") == b"re: x"
    with pytest.raises(Exception, match="no way"):
        here.call_blocking(to, b"raise")
    assert here.join(to).reason == "crash"
    with pytest.raises(errors.NoSuchActor):
        here.call_blocking(to, b"x")
    assert not here.send(to, b"x")
    go = threading.Event()
    slow = known(there.spawn(lambda msg: go.wait(60) and None, release_gil=True))
    with pytest.raises(errors.Timeout):
        here.call_blocking(slow, b"x", timeout=0.05)
    go.set()


def test_monitors_tell_once_and_can_be_taken_back(world: World) -> None:
    here, there, known = world
    to = known(there.spawn(lambda msg: None))
    downs: list[str] = []
    here.monitor(to, lambda info: downs.append(info.reason))
    never = here.monitor(to, lambda info: downs.append("never"))
    assert here.demonitor(never)
    assert here.stop(to)
    eventually(lambda: downs == ["shutdown"])
    here.monitor(to, lambda info: downs.append(info.reason))
    eventually(lambda: downs == ["shutdown", "noproc"])


@pytest.mark.parametrize("mine_first", [True, False])
def test_links_hold_both_ways(world: World, mine_first: bool) -> None:
    here, there, known = world
    pid = there.spawn(lambda msg: msg)
    to, mine = known(pid), here.spawn(lambda msg: None)
    here.link(mine, to)
    here.call_blocking(to, b"x")
    if mine_first:
        here.kill(mine)
    else:
        there.kill(pid)
    assert [here.join(to).reason, here.join(mine).reason] == ["killed", "killed"]


def test_a_drain_handles_what_waits_and_ends_the_actor(world: World) -> None:
    here, there, known = world
    seen: list[bytes] = []
    to = known(there.spawn(seen.append))
    assert here.is_alive(to)
    info = here.actor_info(to)
    assert info is not None
    assert info.pid == to
    for msg in (b"a", b"b", b"c"):
        here.send(to, msg)
    assert here.stop(to, drain=True)
    assert here.join(to).reason == "shutdown"
    assert seen == [b"a", b"b", b"c"]
    assert not here.is_alive(to)
    assert here.actor_info(to) is None
    assert not here.stop(to)


def test_a_full_mailbox_refuses_shows_pressure_and_loses_nothing(world: World) -> None:
    here, there, known = world
    seen: list[int] = []
    began, go = threading.Event(), threading.Event()

    def handler(msg: bytes) -> None:
        began.set()
        go.wait(60)
        seen.append(int(msg))

    pid = there.spawn_py_handler_bounded(handler, 100, 64, release_gil=True)
    to = known(pid)
    sent = 1
    assert here.send(to, b"0")
    assert began.wait(60)

    def full() -> bool:
        nonlocal sent
        while here.send(to, b"%d" % sent):
            sent += 1
        return here.mailbox_size(to) == 64 and there.mailbox_size(pid) >= 63

    # Full is what stays full: a proxy is drained as long as there is room behind it.
    eventually(full)
    assert sent <= 3 * 64
    assert str(here.mailbox_backpressure(to)).upper().endswith("CRITICAL")
    with pytest.raises(errors.MailboxFull):
        here.call_blocking(to, b"x")
    go.set()
    eventually(lambda: len(seen) == sent)
    assert seen == list(range(sent))
