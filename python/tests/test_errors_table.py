"""Bad input over every public call: a typed error or a counted drop, and nothing half applied."""

import asyncio
import inspect
import math
from collections.abc import Callable
from typing import Any

import iris
import pytest
from helpers import Inbox, check_books
from iris import Runtime, _iris, errors

PID_CALLS: dict[str, Callable[[Runtime, Any], Any]] = {
    "send": lambda rt, pid: rt.send(pid, b""),
    "send_many": lambda rt, pid: rt.send_many(pid, [b""]),
    "call": lambda rt, pid: rt.call(pid, b""),
    "call_blocking": lambda rt, pid: rt.call_blocking(pid, b""),
    "send_after": lambda rt, pid: rt.send_after(pid, 1, b""),
    "send_interval": lambda rt, pid: rt.send_interval(pid, 1, b""),
    "send_async": lambda rt, pid: rt.send_async(pid, b""),
    "send_with_backpressure": lambda rt, pid: rt.send_with_backpressure(pid, b""),
    "set_overflow_policy": lambda rt, pid: rt.set_overflow_policy(pid, "block"),
    "mailbox_backpressure": lambda rt, pid: rt.mailbox_backpressure(pid),
    "hot_swap": lambda rt, pid: rt.hot_swap(pid, lambda msg: None),
    "spawn_child": lambda rt, pid: rt.spawn_child(pid, lambda msg: None),
    "spawn_child_with_mailbox": lambda rt, pid: rt.spawn_child_with_mailbox(pid, lambda box: None),
    "spawn_child_pool": lambda rt, pid: rt.spawn_child_pool(pid, lambda msg: None, 2),
    "send_buffer": lambda rt, pid: rt.send_buffer(pid, rt.allocate_buffer(8)[0]),
    "send_user_with_backpressure": lambda rt, pid: rt.send_user_with_backpressure(
        pid, rt.allocate_buffer(8)[0]
    ),
    "get_messages": lambda rt, pid: rt.get_messages(pid),
    "selective_recv": lambda rt, pid: rt.selective_recv(pid, bool),
    "selective_recv_blocking": lambda rt, pid: rt.selective_recv_blocking(pid, bool, 0),
    "behavior_version": lambda rt, pid: rt.behavior_version(pid),
    "rollback_behavior": lambda rt, pid: rt.rollback_behavior(pid),
    "register": lambda rt, pid: rt.register("name", pid),
    "register_path": lambda rt, pid: rt.register_path("/path", pid),
    "set_trap_exit": lambda rt, pid: rt.set_trap_exit(pid, True),
    "path_supervisor_watch": lambda rt, pid: rt.path_supervisor_watch("/svc", pid),
    "path_supervise_with_factory": lambda rt, pid: rt.path_supervise_with_factory(
        "/svc", pid, lambda: 1, "restartone"
    ),
    "stop": lambda rt, pid: rt.stop(pid),
    "kill": lambda rt, pid: rt.kill(pid),
    "join": lambda rt, pid: rt.join(pid),
    "join_async": lambda rt, pid: rt.join_async(pid),
    "is_alive": lambda rt, pid: rt.is_alive(pid),
    "mailbox_size": lambda rt, pid: rt.mailbox_size(pid),
    "actor_info": lambda rt, pid: rt.actor_info(pid),
    "export_pid": lambda rt, pid: rt.export_pid(pid),
    "is_remote": lambda rt, pid: rt.is_remote(pid),
    "remote_info": lambda rt, pid: rt.remote_info(pid),
}
# Calls for which a dead pid is no error.
WATCH_CALLS: dict[str, Callable[[Runtime, Any], Any]] = {
    "monitor": lambda rt, pid: rt.monitor(pid, print),
    "link": lambda rt, pid: rt.link(pid, rt.spawn(print)),
    "unlink": lambda rt, pid: rt.unlink(pid, 1),
    "terminate_child": lambda rt, pid: rt.terminate_child("/svc", pid),
}
DATA_CALLS: dict[str, Callable[[Runtime, int, Any], Any]] = {
    "send": lambda rt, pid, data: rt.send(pid, data),
    "send_many": lambda rt, pid, data: rt.send_many(pid, [b"good", data]),
    "send_named": lambda rt, pid, data: rt.send_named("name", data),
    "call": lambda rt, pid, data: rt.call(pid, data),
    "call_blocking": lambda rt, pid, data: rt.call_blocking(pid, data),
    "send_after": lambda rt, pid, data: rt.send_after(pid, 1, data),
    "send_interval": lambda rt, pid, data: rt.send_interval(pid, 1, data),
    "send_async": lambda rt, pid, data: rt.send_async(pid, data),
    "send_with_backpressure": lambda rt, pid, data: rt.send_with_backpressure(pid, data),
}
NAME_CALLS: dict[str, Callable[[Runtime, Any], Any]] = {
    "register": lambda rt, name: rt.register(name, 1),
    "unregister": lambda rt, name: rt.unregister(name),
    "resolve": lambda rt, name: rt.resolve(name),
    "whereis": lambda rt, name: rt.whereis(name),
    "send_named": lambda rt, name: rt.send_named(name, b""),
    "register_path": lambda rt, path: rt.register_path(path, 1),
    "unregister_path": lambda rt, path: rt.unregister_path(path),
    "whereis_path": lambda rt, path: rt.whereis_path(path),
    "list_children": lambda rt, path: rt.list_children(path),
    "list_children_direct": lambda rt, path: rt.list_children_direct(path),
    "create_path_supervisor": lambda rt, path: rt.create_path_supervisor(path),
    "remove_path_supervisor": lambda rt, path: rt.remove_path_supervisor(path),
    "path_supervisor_children": lambda rt, path: rt.path_supervisor_children(path),
    "watch_path": lambda rt, path: rt.watch_path(path),
    "supervise": lambda rt, path: rt.supervise(path, []),
    "send_path": lambda rt, path: rt.send_path(path, b""),
    "listen": lambda rt, addr: rt.listen(addr),
    "unlisten": lambda rt, addr: rt.unlisten(addr),
    "resolve_remote address": lambda rt, addr: rt.resolve_remote(addr, "x"),
    "resolve_remote name": lambda rt, name: rt.resolve_remote("127.0.0.1:1", name),
    "is_node_up": lambda rt, addr: rt.is_node_up(addr),
    "register in the cluster": lambda rt, name: rt.register(name, 1, scope="cluster"),
    "send_remote": lambda rt, addr: rt.send_remote(addr, 1 << 23, b""),
    "disconnect": lambda rt, addr: rt.disconnect(addr),
}
TIMEOUT_CALLS: dict[str, Callable[[Runtime, int, Any], Any]] = {
    "call": lambda rt, pid, t: rt.call(pid, b"", timeout=t),
    "call_blocking": lambda rt, pid, t: rt.call_blocking(pid, b"", timeout=t),
    "stop": lambda rt, pid, t: rt.stop(pid, timeout=t),
    "join": lambda rt, pid, t: rt.join(pid, timeout=t),
    "close": lambda rt, pid, t: rt.close(timeout=t),
    "aclose": lambda rt, pid, t: rt.aclose(timeout=t),
    "stop_timeout": lambda rt, pid, t: Runtime(stop_timeout=t),
    "call_timeout": lambda rt, pid, t: Runtime(call_timeout=t),
}
DELAY_CALLS: dict[str, Callable[[Runtime, int, Any], Any]] = {
    "send_after": lambda rt, pid, ms: rt.send_after(pid, ms, b""),
    "send_interval": lambda rt, pid, ms: rt.send_interval(pid, ms, b""),
}
COUNT_CALLS: dict[str, Callable[[Runtime, Any], Any]] = {
    "budget": lambda rt, n: rt.spawn(lambda msg: None, budget=n),
    "bounded budget": lambda rt, n: rt.spawn_py_handler_bounded(lambda msg: None, n, 1),
    "capacity": lambda rt, n: rt.spawn_py_handler_bounded(lambda msg: None, 1, n),
    "pull budget": lambda rt, n: rt.spawn_with_mailbox(lambda box: None, n),
    "observed budget": lambda rt, n: rt.spawn_with_path_observed(n, "/o"),
    "observed capacity": lambda rt, n: rt.spawn_with_path_observed(1, "/o", capacity=n),
    "virtual budget": lambda rt, n: rt.spawn_virtual(lambda msg: None, n),
    "virtual capacity": lambda rt, n: rt.spawn_virtual(lambda msg: None, capacity=n),
    "release budget": lambda rt, n: rt.spawn(lambda msg: None, budget=n, release_gil=True),
    "pool_size": lambda rt, n: rt.set_release_gil_limits(1, n),
    "default_capacity": lambda rt, n: Runtime(default_capacity=n),
    "workers": lambda rt, n: Runtime(workers=n),
}
OTHER_CALLS: dict[str, Callable[[Runtime], Any]] = {
    "spawn": lambda rt: rt.spawn(lambda msg: None),
    "spawn_virtual": lambda rt: rt.spawn_virtual(lambda msg: None),
    "spawn_with_path_observed": lambda rt: rt.spawn_with_path_observed(1, "/o"),
    "spawn_py_handler_bounded": lambda rt: rt.spawn_py_handler_bounded(lambda msg: None, 1, 1),
    "spawn_with_mailbox": lambda rt: rt.spawn_with_mailbox(lambda box: None),
    "unregister": lambda rt: rt.unregister("name"),
    "resolve": lambda rt: rt.resolve("name"),
    "whereis": lambda rt: rt.whereis("name"),
    "unregister_path": lambda rt: rt.unregister_path("/path"),
    "demonitor": lambda rt: rt.demonitor(1),
    "children_count": lambda rt: rt.children_count(),
    "child_pids": lambda rt: rt.child_pids(),
    "on_restart": lambda rt: rt.on_restart(None),
    "on_supervision": lambda rt: rt.on_supervision(None),
    "whereis_path": lambda rt: rt.whereis_path("/path"),
    "list_children": lambda rt: rt.list_children("/"),
    "list_children_direct": lambda rt: rt.list_children_direct("/"),
    "send_named": lambda rt: rt.send_named("name", b""),
    "list_actors": lambda rt: rt.list_actors(),
    "get_metrics": lambda rt: rt.get_metrics(),
    "prometheus": lambda rt: rt.prometheus(),
    "on_crash": lambda rt: rt.on_crash(None),
    "on_pressure": lambda rt: rt.on_pressure(None),
    "on_dead_letter": lambda rt: rt.on_dead_letter(None),
    "set_actor_health": lambda rt: rt.set_actor_health(1, "healthy"),
    "supervision_tree": lambda rt: rt.supervision_tree(),
    "cancel_timer": lambda rt: rt.cancel_timer(1),
    "allocate_buffer": lambda rt: rt.allocate_buffer(1),
    "free_buffer": lambda rt: rt.free_buffer(1),
    "set_release_gil_limits": lambda rt: rt.set_release_gil_limits(1, 1),
    "set_release_gil_strict": lambda rt: rt.set_release_gil_strict(True),
    "set_watermarks": lambda rt: rt.set_watermarks(1, 2),
    "set_system_capacity": lambda rt: rt.set_system_capacity(None),
    "set_message_capacity": lambda rt: rt.set_message_capacity(None),
    "set_load_shedding": lambda rt: rt.set_load_shedding(True),
    "is_load_shedding_active": lambda rt: rt.is_load_shedding_active(),
    "configure_mesh": lambda rt: rt.configure_mesh(),
    "listen": lambda rt: rt.listen("127.0.0.1:0"),
    "unlisten": lambda rt: rt.unlisten("127.0.0.1:1"),
    "listening": lambda rt: rt.listening(),
    "resolve_remote": lambda rt: rt.resolve_remote("127.0.0.1:1", "x"),
    "resolve_remote_py": lambda rt: rt.resolve_remote_py("127.0.0.1:1", "x"),
    "is_node_up": lambda rt: rt.is_node_up("127.0.0.1:1"),
    "is_node_up_async": lambda rt: rt.is_node_up_async("127.0.0.1:1"),
    "remote_pid": lambda rt: rt.remote_pid("127.0.0.1:1", 1 << 23),
    "send_remote": lambda rt: rt.send_remote("127.0.0.1:1", 1 << 23, b""),
    "monitor_remote": lambda rt: rt.monitor_remote("127.0.0.1:1", 1 << 23),
    "disconnect": lambda rt: rt.disconnect("127.0.0.1:1"),
    "import_pid": lambda rt: rt.import_pid(b""),
    "remote_info_async": lambda rt: rt.remote_info_async(1 << 23),
    "nodes": lambda rt: rt.nodes(),
    "join_cluster": lambda rt: rt.join_cluster([]),
    "join_cluster_async": lambda rt: rt.join_cluster_async([]),
    "on_node_up": lambda rt: rt.on_node_up(None),
    "on_node_down": lambda rt: rt.on_node_down(None),
    "mesh_metrics": lambda rt: rt.mesh_metrics(),
    "vortex_set_auto_ghost_policy": lambda rt: rt.vortex_set_auto_ghost_policy("PreferPrimary"),
    "vortex_get_auto_ghost_policy": lambda rt: rt.vortex_get_auto_ghost_policy(),
    "vortex_get_auto_resolution_counts": lambda rt: rt.vortex_get_auto_resolution_counts(),
    "vortex_get_auto_replay_count": lambda rt: rt.vortex_get_auto_replay_count(),
    "vortex_reset_auto_telemetry": lambda rt: rt.vortex_reset_auto_telemetry(),
}
# Calls that need a live actor and say so by raising.
NEEDS_ACTOR = {
    "export_pid",
    "call",
    "call_blocking",
    "register",
    "register_path",
    "send_after",
    "send_interval",
    "set_overflow_policy",
    "set_trap_exit",
    "path_supervisor_watch",
    "path_supervise_with_factory",
    "hot_swap",
    "spawn_child",
    "spawn_child_with_mailbox",
    "spawn_child_pool",
    "get_messages",
    "selective_recv",
    "selective_recv_blocking",
    "behavior_version",
    "rollback_behavior",
}
# Calls that answer whether the mailbox took the message.
SENDS = {
    "send",
    "send_many",
    "send_async",
    "send_with_backpressure",
    "send_buffer",
    "send_user_with_backpressure",
}
AWAITABLE = {"call", "join_async", "send_async", "aclose", "selective_recv"}
NEVER_RAISE = {"close", "aclose"}


def table(*tables: dict[str, Any]) -> Any:
    """Each call of the tables, under its name."""
    return pytest.mark.parametrize(
        "call", [pytest.param(c, id=name) for t in tables for name, c in t.items()]
    )


def on_a_loop(f: Callable[[], Any]) -> Any:
    """Runs a call where its awaitable form can be had; a blocking form refuses to run there."""

    async def main() -> Any:
        result = f()
        return await result if inspect.isawaitable(result) else result

    return asyncio.run(main())


def run(name_of: Any, f: Callable[[], Any]) -> Any:
    return on_a_loop(f) if name_of in AWAITABLE else f()


TABLES = (PID_CALLS, WATCH_CALLS, DATA_CALLS, NAME_CALLS, TIMEOUT_CALLS, OTHER_CALLS)


def test_the_table_is_complete() -> None:
    public = {n for n in dir(Runtime) if not n.startswith("_")}
    told = {n for t in TABLES for n in t}
    assert public - told == {"closed", "id", "version"}


@table(PID_CALLS, WATCH_CALLS)
@pytest.mark.parametrize(
    "pid", [None, "1", b"1", 1.0, math.nan, True, False, [], object()], ids=repr
)
def test_a_pid_of_the_wrong_type(rt: Runtime, call: Any, pid: Any) -> None:
    with pytest.raises(TypeError, match="pid"):
        call(rt, pid)
    assert rt.get_metrics()["attempted"] == 0


@pytest.mark.parametrize("pid", [0, -1, 1, 2**53 - 1, 2**53, 2**63, 2**64, -(2**70), 10**30])
@pytest.mark.parametrize("name", PID_CALLS)
def test_a_number_that_is_no_actor(rt: Runtime, name: str, pid: int) -> None:
    answers = {
        "send": False,
        "send_many": 0,
        "stop": False,
        "kill": False,
        "is_alive": False,
        "is_remote": False,
        "remote_info": None,
        "mailbox_size": None,
        "actor_info": None,
        "send_async": False,
        "send_with_backpressure": (False, "NORMAL"),
        "send_buffer": False,
        "send_user_with_backpressure": (False, "NORMAL"),
        "mailbox_backpressure": None,
    }
    is_pid = 0 < pid < 2**53
    if name in NEEDS_ACTOR or ("join" in name and not is_pid):
        with pytest.raises(errors.NoSuchActor, match=r"^[^']*pid") as e:
            run(name, lambda: PID_CALLS[name](rt, pid))
        assert isinstance(e.value, KeyError)
    elif "join" in name:
        assert run(name, lambda: PID_CALLS[name](rt, pid)).reason == "noproc"
    else:
        assert run(name, lambda: PID_CALLS[name](rt, pid)) == answers[name]
    assert "call" in name or rt.get_metrics()["attempted"] == (name in SENDS)
    check_books(rt)


@pytest.mark.parametrize("name", PID_CALLS)
@pytest.mark.parametrize("kind", ["dead", "foreign"])
def test_the_dead_and_the_foreign(rt: Runtime, inbox: Inbox, name: str, kind: str) -> None:
    with Runtime() as other:
        if kind == "dead":
            pid = rt.spawn(inbox)
            rt.stop(pid)
        else:
            pid = other.spawn(inbox)
        if name in NEEDS_ACTOR:
            with pytest.raises(errors.NoSuchActor):
                run(name, lambda: PID_CALLS[name](rt, pid))
        elif "join" in name:
            reason = run(name, lambda: PID_CALLS[name](rt, pid)).reason
            assert reason == ("shutdown" if kind == "dead" else "noproc")
        else:
            answer = run(name, lambda: PID_CALLS[name](rt, pid))
            assert not answer or answer == (False, "NORMAL")
    check_books(rt)


@pytest.mark.parametrize("pid", [0, -1, 2**53, 2**64, 10**30])
@pytest.mark.parametrize("name", ["monitor", "link"])
def test_what_watches_refuses_numbers_that_are_no_pids(rt: Runtime, name: str, pid: int) -> None:
    with pytest.raises(errors.NoSuchActor):
        WATCH_CALLS[name](rt, pid)


@pytest.mark.parametrize("watcher", [None, "1", 1.0, True, []], ids=repr)
def test_a_watcher_of_the_wrong_type(rt: Runtime, inbox: Inbox, watcher: Any) -> None:
    with pytest.raises(TypeError, match="pid"):
        rt.monitor(rt.spawn(inbox), watcher)
    assert rt.get_metrics()["monitors"] == 0


@pytest.mark.parametrize("reference", [None, "1", 1.0, True, []], ids=repr)
def test_a_reference_of_the_wrong_type(rt: Runtime, reference: Any) -> None:
    with pytest.raises(TypeError, match="reference"):
        rt.demonitor(reference)


@table(DATA_CALLS)
@pytest.mark.parametrize("data", [None, "text", 1, 1.5, [1, 2], object(), {"a": 1}], ids=repr)
def test_data_of_the_wrong_type(rt: Runtime, inbox: Inbox, call: Any, data: Any) -> None:
    pid = rt.spawn(inbox)
    rt.register("name", pid)
    with pytest.raises(TypeError, match="bytes-like"):
        call(rt, pid, data)
    assert rt.get_metrics()["attempted"] == 0


@pytest.mark.parametrize("payloads", [None, 1, b"bytes", "text", [None], object()], ids=repr)
def test_payloads_of_the_wrong_type(rt: Runtime, inbox: Inbox, payloads: Any) -> None:
    with pytest.raises(TypeError):
        rt.send_many(rt.spawn(inbox), payloads)
    assert rt.get_metrics()["attempted"] == 0


def test_an_iterable_that_raises_sends_nothing(rt: Runtime, inbox: Inbox) -> None:
    def broken() -> Any:
        yield b"one"
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        rt.send_many(rt.spawn(inbox), broken())
    assert rt.get_metrics()["attempted"] == 0


@table(NAME_CALLS)
@pytest.mark.parametrize("name", [None, b"name", 1, 1.5, ["name"]], ids=repr)
def test_a_name_of_the_wrong_type(rt: Runtime, call: Any, name: Any) -> None:
    with pytest.raises(TypeError, match="name"):
        call(rt, name)


@table(TIMEOUT_CALLS)
@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, math.inf, -math.inf, 1e300, 10**400])
def test_a_timeout_out_of_range(rt: Runtime, inbox: Inbox, call: Any, timeout: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(ValueError, match="timeout") as e:
        call(rt, pid, timeout)
    assert isinstance(e.value, errors.InvalidArgument)
    assert rt.is_alive(pid)
    assert rt.get_metrics()["attempted"] == 0


@table(TIMEOUT_CALLS)
@pytest.mark.parametrize("timeout", ["1", b"1", True, [], object()], ids=repr)
def test_a_timeout_of_the_wrong_type(rt: Runtime, inbox: Inbox, call: Any, timeout: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(TypeError, match="timeout"):
        call(rt, pid, timeout)
    assert rt.is_alive(pid)


@table(DELAY_CALLS)
@pytest.mark.parametrize("ms", [-1, -0.001, math.nan, math.inf, 2**53 + 2, 1e300, 10**400])
def test_a_delay_out_of_range(rt: Runtime, inbox: Inbox, call: Any, ms: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(errors.InvalidArgument, match="delay"):
        call(rt, pid, ms)
    assert rt.get_metrics()["delays"] == 0


@table(DELAY_CALLS)
@pytest.mark.parametrize("ms", ["1", b"1", True, None, []], ids=repr)
def test_a_delay_of_the_wrong_type(rt: Runtime, inbox: Inbox, call: Any, ms: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(errors.InvalidType, match="delay"):
        call(rt, pid, ms)
    assert rt.get_metrics()["delays"] == 0


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (errors.InvalidArgument, [-1, -0.001, math.nan, math.inf, 2**53 + 2, 10**400]),
        (errors.InvalidType, ["1", b"1", True, []]),
    ],
)
def test_an_idle_timeout_that_is_none(rt: Runtime, kind: Any, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(kind, match="delay"):
            rt.spawn_virtual(lambda msg: None, 1, value)
    assert rt.list_actors() == []


def test_a_hook_that_is_none(rt: Runtime) -> None:
    def generator(ctx: Any) -> Any:
        yield

    for name in ("on_activate", "on_deactivate"):
        wrong: list[Any] = [1, "f", b"f", [], object(), generator]
        for value in wrong:
            with pytest.raises(errors.InvalidType):
                rt.spawn_virtual(lambda msg: None, **{name: value})
        shapes: list[Any] = [lambda: None, lambda a, b: None, lambda a, b, c: None]
        for value in shapes:
            with pytest.raises(errors.InvalidArgument):
                rt.spawn_virtual(lambda msg: None, **{name: value})
    assert rt.list_actors() == []


@pytest.mark.parametrize("name", ["set_system_capacity", "set_message_capacity"])
def test_a_capacity_is_none_or_a_number_above_zero(rt: Runtime, name: str) -> None:
    setter = getattr(rt, name)
    for n in (0, -1, 2**53 + 1, 2**70):
        with pytest.raises(errors.InvalidArgument, match="capacity"):
            setter(n)
    for wrong in ("1", 1.0, True, []):
        with pytest.raises(errors.InvalidType, match="capacity"):
            setter(wrong)
    setter(2**53)
    setter(None)


@pytest.mark.parametrize("marks", [(0, 1), (2, 1), (-1, 1), (1, 2**32)])
def test_watermarks_out_of_range(rt: Runtime, marks: tuple[int, int]) -> None:
    with pytest.raises(errors.InvalidArgument):
        rt.set_watermarks(*marks)


def test_a_policy_that_is_none(rt: Runtime, inbox: Inbox) -> None:
    pid, other = rt.spawn(inbox), rt.spawn(inbox)
    set_policy: Any = rt.set_overflow_policy
    for policy in ("", "dropall", "DROPNEW", "\udc80"):
        with pytest.raises(errors.InvalidArgument, match="policy"):
            set_policy(pid, policy)
    for policy in (None, 1, b"block", []):
        with pytest.raises(errors.InvalidType, match="policy"):
            set_policy(pid, policy)
    for args in (("redirect",), ("spill",), ("block", other), ("dropold", other)):
        with pytest.raises(errors.InvalidArgument, match="target"):
            set_policy(pid, *args)
    with pytest.raises(errors.InvalidType, match="pid"):
        set_policy(pid, "redirect", "1")
    for target in (0, 2**60, 2**30):
        with pytest.raises(errors.NoSuchActor):
            set_policy(pid, "redirect", target)


@pytest.mark.parametrize("timer", [None, "1", 1.0, True, []], ids=repr)
def test_a_timer_of_the_wrong_type(rt: Runtime, timer: Any) -> None:
    with pytest.raises(errors.InvalidType, match="timer"):
        rt.cancel_timer(timer)


@table(COUNT_CALLS)
@pytest.mark.parametrize("n", [0, -1, 2**31, 2**32, 2**70])
def test_a_count_out_of_range(rt: Runtime, call: Any, n: int) -> None:
    with pytest.raises(ValueError) as e:
        call(rt, n)
    assert isinstance(e.value, errors.InvalidArgument)
    assert rt.list_actors() == []


@table(COUNT_CALLS)
@pytest.mark.parametrize("n", ["1", 1.0, True, [], math.nan], ids=repr)
def test_a_count_of_the_wrong_type(rt: Runtime, call: Any, n: Any) -> None:
    with pytest.raises(TypeError):
        call(rt, n)
    assert rt.list_actors() == []


@pytest.mark.parametrize("handler", [None, 1, "print", b"", object(), []], ids=repr)
def test_a_handler_that_is_not_callable(rt: Runtime, handler: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        rt.spawn(handler)
    with pytest.raises(TypeError, match="callable"):
        rt.spawn_with_mailbox(handler)
    assert rt.list_actors() == []
    pid = rt.spawn(lambda msg: msg)
    with pytest.raises(TypeError, match="callable"):
        rt.hot_swap(pid, handler)
    assert rt.behavior_version(pid) == 1


def generator(msg: bytes) -> Any:
    yield msg


async def async_generator(msg: bytes) -> Any:
    yield msg


class NeedsThree:
    def __call__(self, a: Any, b: Any, c: Any) -> None:
        pass


class Yields:
    def __call__(self, msg: bytes) -> Any:
        yield msg


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (lambda: None, errors.InvalidArgument),
        (lambda a, b, c: None, errors.InvalidArgument),
        (lambda msg, *, key: None, errors.InvalidArgument),
        (lambda **kwargs: None, errors.InvalidArgument),
        (NeedsThree(), errors.InvalidArgument),
        (generator, errors.InvalidType),
        (async_generator, errors.InvalidType),
        (Yields(), errors.InvalidType),
    ],
    ids=["none", "three", "kwonly", "kwargs", "object", "generator", "async-gen", "yields"],
)
def test_a_handler_that_cannot_be_called(rt: Runtime, handler: Any, error: Any) -> None:
    with pytest.raises(error):
        rt.spawn(handler)
    with pytest.raises(error):
        rt.spawn_with_mailbox(handler)
    assert rt.list_actors() == []
    pid = rt.spawn(lambda msg: msg)
    with pytest.raises(error):
        rt.hot_swap(pid, handler)
    assert rt.behavior_version(pid) == 1


@pytest.mark.parametrize("size", [-1, -(2**70), 2**53 + 1, 2**64])
def test_a_size_out_of_range(rt: Runtime, size: int) -> None:
    with pytest.raises(errors.InvalidArgument, match="size"):
        rt.allocate_buffer(size)
    assert rt.get_metrics()["buffers"] == 0


def test_a_size_that_no_machine_has(rt: Runtime) -> None:
    with pytest.raises(MemoryError):
        rt.allocate_buffer(2**53)
    assert rt.get_metrics()["buffers"] == 0


@pytest.mark.parametrize("n", [None, "1", 1.0, True, [], b""], ids=repr)
def test_a_size_or_a_buffer_of_the_wrong_type(rt: Runtime, inbox: Inbox, n: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(errors.InvalidType, match="size"):
        rt.allocate_buffer(n)
    for call in (
        lambda: rt.send_buffer(pid, n),
        lambda: rt.send_user_with_backpressure(pid, n),
        lambda: rt.free_buffer(n),
    ):
        with pytest.raises(errors.InvalidType, match="buffer"):
            call()
    assert rt.get_metrics()["attempted"] == 0


@pytest.mark.parametrize("buffer", [0, -1, 1, 2**53, 2**64, -(2**70)])
def test_a_number_that_is_no_buffer(rt: Runtime, inbox: Inbox, buffer: int) -> None:
    pid = rt.spawn(inbox)
    for send in (rt.send_buffer, rt.send_user_with_backpressure):
        with pytest.raises(errors.NoSuchBuffer) as e:
            send(pid, buffer)
        assert isinstance(e.value, KeyError)
        assert "allocate" in str(e.value)
    assert not rt.free_buffer(buffer)
    assert rt.get_metrics()["attempted"] == 0


@pytest.mark.parametrize("limits", [(-1, 1), (65_537, 1), (1, 0), (1, -1), (1, 1025)])
def test_thread_limits_out_of_range(rt: Runtime, limits: tuple[int, int]) -> None:
    with pytest.raises(errors.InvalidArgument):
        rt.set_release_gil_limits(*limits)


@pytest.mark.parametrize("n", [None, "1", 1.0, True], ids=repr)
def test_thread_limits_of_the_wrong_type(rt: Runtime, n: Any) -> None:
    with pytest.raises(errors.InvalidType):
        rt.set_release_gil_limits(n, 1)
    with pytest.raises(errors.InvalidType):
        rt.set_release_gil_limits(1, n)


SPAWNS_WITH_CODEC: dict[str, Callable[[Runtime, Any], Any]] = {
    "spawn": lambda rt, c: rt.spawn(print, codec=c),
    "bounded": lambda rt, c: rt.spawn_py_handler_bounded(print, 1, 1, codec=c),
    "virtual": lambda rt, c: rt.spawn_virtual(print, codec=c),
    "mailbox": lambda rt, c: rt.spawn_with_mailbox(print, codec=c),
    "child": lambda rt, c: rt.spawn_child(parent(rt), print, codec=c),
    "child mailbox": lambda rt, c: rt.spawn_child_with_mailbox(parent(rt), print, codec=c),
    "pool": lambda rt, c: rt.spawn_child_pool(parent(rt), print, 2, codec=c),
}


def parent(rt: Runtime) -> int:
    live = rt.list_actors()
    return live[0] if live else rt.spawn(lambda msg: None)


class Nameless:
    encode = decode = staticmethod(lambda data: data)


class NotANamer(Nameless):
    name = 1


class Deaf:
    name = "deaf"
    encode = staticmethod(lambda data: data)


@table(SPAWNS_WITH_CODEC)
@pytest.mark.parametrize("codec", [1, b"json", [], object(), Nameless(), NotANamer(), Deaf()])
def test_a_codec_that_is_none(rt: Runtime, call: Any, codec: Any) -> None:
    with pytest.raises(errors.InvalidType, match="codec"):
        call(rt, codec)
    assert len(rt.list_actors()) <= 1


@table(SPAWNS_WITH_CODEC)
@pytest.mark.parametrize("codec", ["", "JSON", "msgpack", "\udc80"], ids=ascii)
def test_a_codec_that_nobody_has_registered(rt: Runtime, call: Any, codec: str) -> None:
    with pytest.raises(errors.NoSuchCodec, match="codec") as e:
        call(rt, codec)
    assert isinstance(e.value, KeyError)
    assert len(rt.list_actors()) <= 1


@pytest.mark.parametrize("workers", [0, -1, 65_537, 2**32, 2**70])
def test_a_pool_of_no_size(rt: Runtime, inbox: Inbox, workers: int) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(errors.InvalidArgument):
        rt.spawn_child_pool(pid, inbox, workers)
    assert rt.list_actors() == [pid]


@pytest.mark.parametrize("routing", ["", "random", "\udc80"], ids=ascii)
def test_a_routing_that_is_none(rt: Runtime, inbox: Inbox, routing: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(errors.InvalidArgument, match="routing"):
        rt.spawn_child_pool(pid, inbox, 1, routing=routing)
    with pytest.raises(errors.InvalidType, match="routing"):
        rt.spawn_child_pool(pid, inbox, 1, routing=1)  # type: ignore[arg-type]
    assert rt.list_actors() == [pid]


SPECULATING_SPAWNS: dict[str, Callable[[Runtime, Any], Any]] = {
    "spawn": lambda rt, v: rt.spawn(print, vortex=v),
    "bounded": lambda rt, v: rt.spawn_py_handler_bounded(print, 1, 1, vortex=v),
    "child": lambda rt, v: rt.spawn_child(parent(rt), print, vortex=v),
    "pool": lambda rt, v: rt.spawn_child_pool(parent(rt), print, 2, vortex=v),
}


@table(SPECULATING_SPAWNS)
def test_a_speculation_that_is_none(rt: Runtime, call: Any) -> None:
    names = ("ghost_after_ms", "grace_ms", "max_rate")
    wrong: list[Any] = [1, "yes", [], b"", *({n: v} for n in names for v in ("1", True, [], b""))]
    for value in wrong:
        with pytest.raises(errors.InvalidType):
            call(rt, value)
    odd = (-1, math.nan, math.inf, 1e300)
    for value in (
        {"ghost_after": 1},
        {1: 1},
        {"max_rate": 1.1},
        *({n: v} for n in names for v in odd),
    ):
        with pytest.raises(errors.InvalidArgument):
            call(rt, value)
    assert len(rt.list_actors()) <= 1


@pytest.mark.parametrize("policy", [None, 1, b"PreferPrimary", True, []], ids=repr)
def test_a_policy_of_the_wrong_type(rt: Runtime, policy: Any) -> None:
    with pytest.raises(errors.InvalidType, match="policy"):
        rt.vortex_set_auto_ghost_policy(policy)
    for name in ("", "preferprimary", "\udc80"):
        assert rt.vortex_set_auto_ghost_policy(name) is False
    assert rt.vortex_get_auto_ghost_policy() == "FirstSafePointWins"


@pytest.mark.parametrize("hook", [1, "hook", b"", []], ids=repr)
def test_a_hook_that_is_not_callable(rt: Runtime, hook: Any) -> None:
    with pytest.raises(TypeError, match="hook"):
        rt.on_crash(hook)
    with pytest.raises(errors.InvalidType):
        rt.on_pressure(hook)
    with pytest.raises(errors.InvalidType):
        rt.on_dead_letter(hook)


@pytest.mark.parametrize("flag", [1, 0, "yes", None], ids=repr)
def test_flags_are_bools(rt: Runtime, inbox: Inbox, flag: Any) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(TypeError):
        rt.stop(pid, drain=flag)
    with pytest.raises(TypeError):
        rt.spawn(inbox, release_gil=flag)
    with pytest.raises(TypeError):
        rt.spawn_child(pid, inbox, release_gil=flag)
    with pytest.raises(TypeError):
        rt.spawn_child_pool(pid, inbox, 2, release_gil=flag)
    with pytest.raises(TypeError):
        rt.spawn_py_handler_bounded(inbox, 1, 1, release_gil=flag)
    with pytest.raises(TypeError):
        rt.set_release_gil_strict(flag)
    with pytest.raises(TypeError):
        rt.set_load_shedding(flag)
    assert rt.list_actors() == [pid]


@pytest.mark.parametrize("slice_ms", [0, -1, math.nan, math.inf, 1e300])
def test_a_time_slice_out_of_range(slice_ms: float) -> None:
    with pytest.raises(errors.InvalidArgument):
        Runtime(time_slice_ms=slice_ms)


@pytest.mark.parametrize("slice_ms", ["5", True, b"", []], ids=repr)
def test_a_time_slice_of_the_wrong_type(slice_ms: Any) -> None:
    with pytest.raises(errors.InvalidType):
        Runtime(time_slice_ms=slice_ms)


def test_the_longest_timeout_is_legal(rt: Runtime) -> None:
    longest = 2**53 / 1000
    echo = rt.spawn(lambda msg: msg)
    assert rt.call_blocking(echo, b"x", timeout=longest) == b"x"
    rt.stop(echo, timeout=longest)
    assert rt.join(echo, timeout=longest).reason == "shutdown"
    Runtime(time_slice_ms=2**53, stop_timeout=longest, call_timeout=longest).close(longest)


def test_unknown_options_and_arguments(rt: Runtime) -> None:
    with pytest.raises(TypeError):
        Runtime(threads=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Runtime(2)  # type: ignore[misc]
    with pytest.raises(TypeError):
        rt.send(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        rt.send(1, b"", b"")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        iris.Context()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        iris.ExitInfo()


@pytest.mark.parametrize("name", sorted(n for n in dir(Runtime) if not n.startswith("_")))
def test_after_close_every_call_raises_runtime_closed(inbox: Inbox, name: str) -> None:
    rt = Runtime()
    pid = rt.spawn(inbox)
    rt.close()
    if name in ("closed", "id", "version"):
        assert getattr(rt, name)
        return
    calls: dict[str, Callable[[], Any]] = {
        **{n: lambda c=c: c(rt, pid) for n, c in PID_CALLS.items()},
        "monitor": lambda: rt.monitor(pid, print),
        "link": lambda: rt.link(pid, pid),
        "unlink": lambda: rt.unlink(pid, pid),
        "terminate_child": lambda: rt.terminate_child("/svc", pid),
        **{n: lambda c=c: c(rt, pid, b"") for n, c in DATA_CALLS.items()},
        **{n: lambda c=c: c(rt, "name") for n, c in NAME_CALLS.items()},
        **{n: lambda c=c: c(rt) for n, c in OTHER_CALLS.items()},
        "close": rt.close,
        "aclose": rt.aclose,
    }
    if name in NEVER_RAISE:
        run(name, calls[name])
        return
    with pytest.raises(errors.RuntimeClosed) as e:
        run(name, calls[name])
    assert isinstance(e.value, RuntimeError)


def test_every_kind_of_error_is_a_class_with_its_code() -> None:
    for name, code in _iris.ERROR_CODES:
        cls = getattr(errors, name)
        assert issubclass(cls, errors.IrisError)
        assert cls.code == code
        assert len(cls.__mro__) > 4, f"{name} inherits no builtin beside Exception"
        assert str(cls("a sentence")) == "a sentence"
    assert {n for n, _ in _iris.ERROR_CODES} == set(errors.__all__) - {"IrisError"}
    for name in errors.__all__:
        assert getattr(iris, name) is getattr(errors, name)
        assert name in iris.__all__
