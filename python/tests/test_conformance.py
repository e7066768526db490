"""One list of checks for a local pid, a proxy and a name of the cluster: all behave the same."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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


def test_every_way_of_sending(world: World) -> None:
    here, there, known = world
    seen: list[bytes] = []
    to = known(there.spawn(seen.append))
    here.register("far", to)
    here.register_path("/far/it", to)
    assert here.whereis("far") == here.resolve("far") == here.whereis_path("/far/it") == to
    assert here.list_children("/far") == here.list_children_direct("/far") == [("/far/it", to)]

    def buffer(text: bytes) -> int:
        number, view = here.allocate_buffer(len(text))
        view[:] = text
        return number

    long = b"x" * 10_000
    ways: dict[bytes, Callable[[], bool]] = {
        b"named": lambda: here.send_named("far", b"named"),
        b"path": lambda: here.send_path("/far/it", b"path"),
        b"buffer": lambda: here.send_buffer(to, buffer(b"buffer")),
        long: lambda: here.send_user_with_backpressure(to, buffer(long))[0],
        b"level": lambda: here.send_with_backpressure(to, b"level")[0],
        b"after": lambda: here.send_after(to, 0, b"after") > 0,
    }
    for text, send in ways.items():
        assert send(), text
        eventually(lambda text=text: seen[-1:] == [text])
    timer = here.send_interval(to, 1, b"tick")
    eventually(lambda: seen.count(b"tick") >= 2)
    assert here.cancel_timer(timer)
    assert here.unregister("far")
    assert here.unregister_path("/far/it")
    echo = known(there.spawn(lambda msg: msg))

    async def wait() -> bool:
        assert await here.call(echo, b"x") == b"x"
        return await here.send_async(to, b"async")

    assert asyncio.run(wait())
    eventually(lambda: b"async" in seen)
    here.set_actor_health(to, "degraded")
    info = here.actor_info(to)
    assert info is not None
    assert info.health == "degraded"
    assert to in here.list_actors()


def test_what_there_is_of_it_goes_with_it(world: World) -> None:
    here, there, known = world
    to = known(there.spawn(lambda msg: None))
    here.register("far", to)
    assert here.kill(to)
    assert here.join(to).reason == "killed"
    assert here.whereis("far") is None
    assert not here.kill(to)
    assert not here.send(to, b"x")
    assert here.send_many(to, [b"x"]) == 0
    assert here.mailbox_size(to) is None
    assert here.mailbox_backpressure(to) is None
    assert here.send_with_backpressure(to, b"x")[0] is False
    calls: list[Callable[[], Any]] = [
        lambda: here.send_after(to, 1, b"x"),
        lambda: here.send_interval(to, 1, b"x"),
        lambda: here.register("far", to),
        lambda: here.register_path("/far/it", to),
        lambda: here.set_overflow_policy(to, "dropold"),
        lambda: here.set_trap_exit(to, True),
        lambda: here.set_actor_health(to, "degraded"),
        lambda: here.export_pid(to),
    ]
    for call in calls:
        with pytest.raises(errors.NoSuchActor):
            call()
    mine = here.spawn(lambda msg: None)
    here.link(mine, to)
    assert here.join(mine).reason == "noproc"
    assert here.remote_info(to) is None


def test_a_join_can_end_early(world: World) -> None:
    here, there, known = world
    to = known(there.spawn(lambda msg: None))
    with pytest.raises(errors.Timeout):
        here.join(to, timeout=0.001)
    here.stop(to)
    assert here.join(to, timeout=60).reason == "shutdown"


def test_whoever_monitors_it_hears_of_its_end(world: World) -> None:
    here, there, known = world
    heard: list[tuple[str, Any, bool]] = []
    one, two = known(there.spawn(lambda msg: None)), known(there.spawn(lambda msg: None))
    ready = threading.Event()

    def pull(mailbox: Any) -> None:
        mailbox.monitor(one)
        ready.set()
        msg = mailbox.recv()
        heard.append((msg.type_name, msg.reason, msg.from_pid == one))

    here.spawn_with_mailbox(pull)
    assert ready.wait(60)

    def push(msg: Any) -> None:
        heard.append((msg.type_name, msg.reason, msg.from_pid == two))

    here.monitor(two, here.spawn(push, system=True))
    for to in (one, two):
        here.stop(to)
        here.join(to)
    eventually(lambda: len(heard) == 2)
    assert heard == [("DOWN", "shutdown", True)] * 2


def test_it_can_be_the_watcher(world: World) -> None:
    here, there, known = world
    heard: list[Any] = []
    watcher = known(there.spawn(heard.append, system=True))
    mine, theirs = here.spawn(lambda msg: None), there.spawn(lambda msg: None)
    for target in (mine, known(theirs)):
        reference = here.monitor(target, watcher)
        assert here.demonitor(here.monitor(target, watcher))
        here.kill(target)
        eventually(lambda: len(heard) == 1)
        msg = heard.pop()
        assert (msg.type_name, msg.reason, msg.metadata["ref"]) == ("DOWN", "killed", reference)
        assert msg.from_pid == theirs or target == mine
    here.monitor(mine, watcher)
    eventually(lambda: len(heard) == 1)
    assert heard[0].reason == "noproc"


def test_exits_are_trapped_on_both_sides(world: World) -> None:
    here, there, known = world
    heard: list[Any] = []

    def hear(msg: Any) -> bytes | None:
        if isinstance(msg, bytes):
            return msg
        heard.append((msg.type_name, msg.reason))
        return None

    to, mine = known(there.spawn(hear, system=True)), here.spawn(lambda msg: None)
    assert not here.set_trap_exit(to, True)
    assert here.set_trap_exit(to, True)
    here.link(to, mine)
    here.call_blocking(to, b"behind the link")
    here.kill(mine)
    eventually(lambda: heard == [("EXIT", "killed")])
    assert here.is_alive(to)
    traps = here.spawn(hear, system=True)
    here.set_trap_exit(traps, True)
    here.link(traps, to)
    here.call_blocking(to, b"behind the link")
    here.kill(to)
    eventually(lambda: heard == [("EXIT", "killed")] * 2)
    assert here.is_alive(traps)


@pytest.mark.parametrize("unlinked", [False, True])
def test_two_of_them_are_linked_or_no_more(world: World, unlinked: bool) -> None:
    here, there, known = world
    one, two = known(there.spawn(lambda msg: msg)), known(there.spawn(lambda msg: msg))
    here.link(one, two)
    if unlinked:
        assert here.unlink(one, two)
        assert not here.unlink(one, two)
    here.call_blocking(one, b"behind the link")
    here.kill(one)
    here.join(one)
    if unlinked:
        assert here.call_blocking(two, b"x") == b"x"
    else:
        assert here.join(two).reason == "killed"


@pytest.mark.parametrize("policy", ["redirect", "spill"])
def test_it_takes_what_others_have_no_room_for(world: World, policy: Any) -> None:
    here, there, known = world
    seen: list[bytes] = []
    target = known(there.spawn(seen.append))
    go = threading.Event()
    full = here.spawn_py_handler_bounded(lambda msg: go.wait(60) and None, 100, 1, release_gil=True)
    here.set_overflow_policy(full, policy, target)
    assert here.send_many(full, [b"1", b"2", b"3", b"4"]) == 4
    eventually(lambda: len(seen) >= 2)
    go.set()


def test_supervisors_watch_it_and_replace_it(world: World) -> None:
    here, there, known = world
    one, two, three = (known(there.spawn(lambda msg: None)) for _ in range(3))
    here.path_supervisor_watch("/watched", one)
    assert here.path_supervisor_children("/watched") == [one]
    assert here.terminate_child("/watched", one)
    assert here.join(one).reason == "shutdown"
    made: list[int] = []

    def factory() -> int:
        made.append(here.spawn(lambda msg: None))
        return made[-1]

    here.path_supervise_with_factory("/replaced", two, factory, "restartone")
    here.kill(two)
    eventually(lambda: here.path_supervisor_children("/replaced") == made != [])
    here.register_path("/global/it", three)
    assert here.watch_path("/global") == 1
    assert three in here.child_pids()


def test_what_carries_code_is_for_its_own_node(world: World) -> None:
    here, there, known = world
    to = known(there.spawn(lambda msg: None))
    far = here is not there
    calls: list[Callable[[], Any]] = [
        lambda: here.hot_swap(to, lambda msg: None),
        lambda: here.behavior_version(to),
        lambda: here.rollback_behavior(to, 1),
        lambda: here.spawn_child(to, lambda msg: None),
        lambda: here.spawn_child_with_mailbox(to, lambda mailbox: None),
        lambda: here.spawn_child_pool(to, lambda msg: None, 1),
    ]
    for call in calls:
        if far:
            with pytest.raises(errors.NotLocal):
                call()
        else:
            call()
    with pytest.raises((errors.NotLocal, errors.InvalidArgument)):
        here.get_messages(to)
    with pytest.raises((errors.NotLocal, errors.InvalidArgument)):
        here.selective_recv_blocking(to, lambda msg: True)
    assert here.is_alive(to)
    assert here.is_remote(to) == far
    assert here.import_pid(here.export_pid(to)) == to


def test_every_call_that_takes_a_pid_is_in_this_suite() -> None:
    types = (Path(__file__).parents[1] / "iris/_iris.pyi").read_text()
    surface = types.split("class Runtime", 1)[1].split("\nclass ", 1)[0]
    suite = Path(__file__).read_text()
    # The first take a pid of the other node (test_mesh.py); the others wait as some here do.
    elsewhere = {"remote_pid", "send_remote", "monitor_remote"}
    waits = {"join_async", "selective_recv", "remote_info_async"}
    missing = {
        name
        for name, takes in re.findall(r"def (\w+)\(([^)]*)\)", surface)
        if re.search(r"\b(pid|target|parent|a|watcher): (int|Pid|PlainPid)", takes)
        and name not in elsewhere | waits
        and f".{name}(" not in suite
    }
    assert missing == set()
