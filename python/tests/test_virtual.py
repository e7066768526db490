"""Virtual actors: a pid from the start, a handler's run only while there is something to do."""

import asyncio
import contextvars
import gc
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Gate, Inbox, check_books, run_program
from iris import Context, Runtime, errors


def eventually(done: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(60_000):
        if done():
            return
        pause.wait(0.001)
    raise AssertionError("waited in vain")


def state(rt: Runtime, pid: int) -> str | None:
    info = rt.actor_info(pid)
    return info.state if info else None


def asleep(rt: Runtime, pid: int) -> None:
    eventually(lambda: state(rt, pid) == "dormant")


class Log:
    """Hooks and a handler that say what was called."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def wake(self, ctx: Context) -> None:
        self.lines.append("wake")

    def sleep(self, ctx: Context) -> None:
        self.lines.append("sleep")

    def handle(self, msg: bytes) -> None:
        self.lines.append(msg.decode())


def test_it_is_alive_and_dormant_until_the_first_message(rt: Runtime) -> None:
    pid = rt.spawn_virtual(lambda msg: b"pong", 7, 3_600_000)
    assert rt.is_alive(pid)
    info = rt.actor_info(pid)
    assert info is not None
    assert (info.state, info.kind, info.budget) == ("dormant", "virtual", 7)
    assert rt.call_blocking(pid, b"ping") == b"pong"
    assert state(rt, pid) == "active"
    check_books(rt)


def test_it_sleeps_after_its_idle_timeout_and_the_next_message_wakes_it(rt: Runtime) -> None:
    log = Log()
    pid = rt.spawn_virtual(
        log.handle, idle_timeout_ms=1, on_activate=log.wake, on_deactivate=log.sleep
    )
    for n in (1, 2):
        rt.send(pid, str(n).encode())
        eventually(lambda n=n: log.lines.count("sleep") == n)  # type: ignore[misc]
        asleep(rt, pid)
    assert log.lines == ["wake", "1", "sleep", "wake", "2", "sleep"]


@pytest.mark.parametrize("is_async", [False, True])
def test_its_state_is_what_on_activate_answers_until_it_sleeps(rt: Runtime, is_async: bool) -> None:
    store: dict[int, int] = {}

    def load(ctx: Context) -> list[int]:
        return [store.get(ctx.pid, 0)]

    def save(ctx: Context) -> None:
        store[ctx.pid] = ctx.state[0]

    def count(msg: bytes, ctx: Context) -> bytes:
        ctx.state[0] += 1
        return str(ctx.state[0]).encode()

    async def aload(ctx: Context) -> list[int]:
        await asyncio.sleep(0)
        return load(ctx)

    async def asave(ctx: Context) -> None:
        await asyncio.sleep(0)
        save(ctx)

    async def acount(msg: bytes, ctx: Context) -> bytes:
        await asyncio.sleep(0)
        return count(msg, ctx)

    handler: Any = acount if is_async else count
    hooks: Any = (aload, asave) if is_async else (load, save)
    pid = rt.spawn_virtual(handler, idle_timeout_ms=1, on_activate=hooks[0], on_deactivate=hooks[1])
    for i in range(1, 13):
        assert rt.call_blocking(pid, b"") == str(i).encode()
        if i % 4 == 0:
            asleep(rt, pid)
    assert store == {pid: 12}
    check_books(rt)


def test_a_state_that_nobody_saves_is_gone(rt: Runtime) -> None:
    def handler(msg: bytes, ctx: Context) -> bytes:
        before = ctx.state
        ctx.state = "set"
        return repr(before).encode()

    pid = rt.spawn_virtual(handler, idle_timeout_ms=1)
    for _ in range(3):
        assert rt.call_blocking(pid, b"") == b"None"
        asleep(rt, pid)


def test_what_comes_while_a_hook_runs_waits(rt: Runtime, inbox: Inbox) -> None:
    gate = Gate()
    pid = rt.spawn_virtual(inbox, on_activate=lambda ctx: gate(b"") and None)
    rt.send(pid, b"1")
    gate.wait_entered()
    assert state(rt, pid) == "activating"
    rt.send(pid, b"2")
    assert rt.mailbox_size(pid) == 2
    gate.opened.set()
    assert inbox.wait(2) == [b"1", b"2"]


def raises(ctx: Context) -> None:
    raise LookupError("no")


async def araises(ctx: Context) -> None:
    raise LookupError("no")


@pytest.mark.parametrize("hook", [raises, araises])
def test_a_hook_that_raises_is_a_crash_with_the_books_right(rt: Runtime, hook: Any) -> None:
    failures: list[Any] = []
    rt.on_crash(failures.append)
    pid = rt.spawn_virtual(lambda msg: None, on_activate=hook)
    rt.send_many(pid, [b"1", b"2"])
    exit = rt.join(pid, 60)
    assert (exit.reason, exit.message) == ("crash", "LookupError: no")
    assert check_books(rt)["dead"]["crash"] == 2
    eventually(lambda: len(failures) == 1)
    idle = rt.spawn_virtual(lambda msg: None, idle_timeout_ms=1, on_deactivate=hook)
    rt.send(idle, b"")
    assert rt.join(idle, 60).reason == "crash"
    stopped = rt.spawn_virtual(lambda msg: None, on_deactivate=hook)
    rt.call_blocking(stopped, b"")
    rt.stop(stopped)
    assert rt.join(stopped, 60).reason == "crash"
    check_books(rt)


def test_stop_ends_a_dormant_one_at_once_and_an_active_one_after_the_hook(rt: Runtime) -> None:
    saved: list[int] = []

    def save(ctx: Context) -> None:
        saved.append(ctx.pid)

    dormant, active, killed = (
        rt.spawn_virtual(lambda msg: None, on_deactivate=save) for _ in range(3)
    )
    rt.call_blocking(active, b"")
    rt.call_blocking(killed, b"")
    assert rt.stop(dormant)
    assert rt.stop(active)
    assert rt.kill(killed)
    assert not rt.is_alive(active)
    assert not rt.send(active, b"")
    assert [rt.join(p, 60).reason for p in (dormant, active, killed)] == [
        "shutdown",
        "shutdown",
        "killed",
    ]
    assert saved == [active]


def test_close_deactivates_the_active_ones() -> None:
    saved: list[int] = []

    def save(ctx: Context) -> None:
        saved.append(ctx.pid)

    with Runtime() as rt:
        pid = rt.spawn_virtual(lambda msg: None, on_deactivate=save)
        rt.spawn_virtual(lambda msg: None, on_deactivate=save)
        rt.call_blocking(pid, b"")
    assert saved == [pid]


def test_a_hook_that_never_returns_is_abandoned_and_the_lane_goes_on(rt: Runtime) -> None:
    gate = Gate()
    pid = rt.spawn_virtual(lambda msg: None, on_activate=lambda ctx: gate(b"") and None)
    rt.send(pid, b"")
    gate.wait_entered()
    rt.stop(pid, timeout=0.01)
    assert rt.join(pid, 60).reason == "timeout"
    assert rt.call_blocking(rt.spawn(lambda msg: msg), b"on") == b"on"
    gate.opened.set()
    check_books(rt)


def test_a_hook_may_kill_or_call_its_own_actor(rt: Runtime) -> None:
    pid = rt.spawn_virtual(lambda msg: None, on_activate=lambda ctx: rt.kill(ctx.pid) and None)
    rt.send(pid, b"")
    assert rt.join(pid, 60).reason == "killed"
    seen: list[str] = []

    async def calls(ctx: Context) -> None:
        try:
            await ctx.call(ctx.pid, b"")
        except errors.SelfCall:
            seen.append("self")

    own = rt.spawn_virtual(lambda msg: None, on_activate=calls)
    rt.call_blocking(own, b"")
    assert seen == ["self"]
    check_books(rt)


def test_hot_swap_works_while_it_sleeps(rt: Runtime) -> None:
    log = Log()
    pid = rt.spawn_virtual(lambda msg: b"old", idle_timeout_ms=1, on_activate=log.wake)
    assert rt.hot_swap(pid, lambda msg: b"new") == 2
    assert state(rt, pid) == "dormant"
    assert rt.call_blocking(pid, b"") == b"new"
    asleep(rt, pid)
    assert rt.rollback_behavior(pid) == 1
    assert rt.call_blocking(pid, b"") == b"old"
    assert log.lines == ["wake", "wake"]


def test_a_bounded_one_applies_its_policy_while_it_wakes(rt: Runtime, inbox: Inbox) -> None:
    gate = Gate()
    pid = rt.spawn_virtual(inbox, capacity=2, on_activate=lambda ctx: gate(b"") and None)
    rt.set_overflow_policy(pid, "dropold")
    rt.send(pid, b"1")
    gate.wait_entered()
    assert rt.send_many(pid, [b"2", b"3"]) == 2
    gate.opened.set()
    assert inbox.wait(2) == [b"2", b"3"]
    check_books(rt)


def test_names_timers_and_joins_outlive_its_sleep(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn_virtual(inbox, idle_timeout_ms=1)
    rt.register("grain", pid)
    for n in range(1, 4):
        assert rt.send_named("grain", b"")
        inbox.wait(n)
        asleep(rt, pid)
    rt.send_after(pid, 1, b"")
    inbox.wait(4)
    with pytest.raises(errors.Timeout):
        rt.join(pid, 0)
    rt.stop(pid)
    assert rt.join(pid, 60).reason == "shutdown"
    assert rt.whereis("grain") is None


def test_hooks_see_the_contextvars_of_the_spawn(rt: Runtime) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    seen: list[str] = []

    def look(_: object) -> None:
        seen.append(var.get())

    def spawn() -> int:
        var.set("spawn")
        return rt.spawn_virtual(look, idle_timeout_ms=1, on_activate=look, on_deactivate=look)

    pid = contextvars.copy_context().run(spawn)
    rt.send(pid, b"")
    eventually(lambda: len(seen) == 3)
    assert seen == ["spawn"] * 3


def test_its_state_is_let_go_when_it_ends(rt: Runtime) -> None:
    class State:
        def __init__(self, ctx: Context) -> None:
            self.ctx = ctx

    states: list[Any] = []

    def load(ctx: Context) -> State:
        made = State(ctx)
        states.append(weakref.ref(made))
        return made

    for idle, end in ((1, lambda pid: asleep(rt, pid)), (None, rt.kill)):
        pid = rt.spawn_virtual(lambda msg: None, idle_timeout_ms=idle, on_activate=load)
        rt.call_blocking(pid, b"")
        end(pid)
    rt.call_blocking(rt.spawn(lambda msg: None), b"")

    def gone() -> bool:
        gc.collect()
        return all(s() is None for s in states)

    eventually(gone)


def test_in_asyncio(rt: Runtime) -> None:
    async def main() -> None:
        loops: set[Any] = set()

        async def where(_: object, __: object = None) -> None:
            loops.add(asyncio.get_running_loop())

        pid = rt.spawn_virtual(where, idle_timeout_ms=1, on_activate=where, on_deactivate=where)
        for _ in range(3):
            await rt.call(pid, b"")
            await asyncio.to_thread(asleep, rt, pid)
        assert loops == {asyncio.get_running_loop()}

    asyncio.run(main())


def test_twenty_thousand_active_ones_all_sleep_again(rt: Runtime) -> None:
    counts = {"wake": 0, "sleep": 0}

    def wake(ctx: Context) -> None:
        counts["wake"] += 1

    def sleep(ctx: Context) -> None:
        counts["sleep"] += 1

    def handler(msg: bytes) -> None:
        pass

    n = 20_000
    for _ in range(n):
        rt.send(rt.spawn_virtual(handler, 1, 10, on_activate=wake, on_deactivate=sleep), b"x")
    eventually(lambda: counts == {"wake": n, "sleep": n})
    eventually(lambda: check_books(rt)["timers"] == 0)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_sends_sleeps_stops_and_kills_keeps_every_count(seed: int) -> None:
    rng = random.Random(seed)
    with Runtime() as rt:
        inside = threading.Lock()
        handled = 0

        def hook(ctx: Context) -> None:
            assert inside.acquire(blocking=False)
            inside.release()

        async def ahook(ctx: Context) -> None:
            assert inside.acquire(blocking=False)
            await asyncio.sleep(0)
            inside.release()

        def handler(msg: bytes) -> None:
            nonlocal handled
            assert inside.acquire(blocking=False)
            handled += 1
            inside.release()

        hooks: list[Any] = [hook, ahook]
        pid = rt.spawn_virtual(
            handler,
            idle_timeout_ms=0,
            on_activate=rng.choice(hooks),
            on_deactivate=rng.choice(hooks),
        )
        steps: list[Callable[[], object]] = [
            lambda: rt.send(pid, b"x"),
            lambda: rt.send_many(pid, [b"x", b"y"]),
            lambda: threading.Event().wait(0.001),
            lambda: rt.stop(pid, drain=True) if rng.random() < 0.1 else None,
            lambda: rt.kill(pid) if rng.random() < 0.1 else None,
        ]
        for _ in range(60):
            rng.choice(steps)()
        books = check_books(rt)
        assert books["handled"] == handled


def test_the_interpreter_exits_with_active_ones() -> None:
    code = """
        from iris import Runtime
        rt = Runtime()
        pid = rt.spawn_virtual(lambda msg: None, on_deactivate=lambda ctx: print("saved"))
        rt.call_blocking(pid, b"")
        rt.spawn_virtual(lambda msg: None, idle_timeout_ms=3_600_000)
    """
    assert run_program(code).stdout == "saved\n"
