"""Speculation: two branches of a message may run, and exactly one of them commits.

Branches wait for gates of the test; a ghost is begun by `ghost_after_ms: 0`, and nothing looks at
how long anything took.
"""

import asyncio
import contextvars
import itertools
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from helpers import Inbox, check_books, run_program, until
from iris import Context, ExitInfo, PySystemMessage, Runtime, VortexOptions, errors

NOW: VortexOptions = {"ghost_after_ms": 0, "grace_ms": 2.0**40}
NEVER: VortexOptions = {"max_rate": 0}


class Branch:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.ctx: Any = None
        self.cancelled = False


class Gated:
    """A handler whose branches wait until the test lets each go on; `body` is what they do then."""

    def __init__(self, body: Callable[[bytes, Context, int], Any] = lambda msg, ctx, n: None):
        self.primary, self.ghost = self.branches = (Branch(), Branch())
        self._body = body
        self._next = itertools.count()

    async def __call__(self, msg: bytes, ctx: Context) -> Any:
        number = next(self._next)
        branch = self.branches[number]
        branch.ctx = ctx
        branch.begun.set()
        try:
            await branch.go.wait()
        except asyncio.CancelledError:
            branch.cancelled = True
            raise
        return self._body(msg, ctx, number)

    async def both(self) -> None:
        for branch in self.branches:
            await branch.begun.wait()


async def turns() -> None:
    """Lets what is ready run: whatever a branch that was let go leads to."""
    for _ in range(20):
        await asyncio.sleep(0)


def counts(rt: Runtime) -> tuple[int, int, int]:
    return (*rt.vortex_get_auto_resolution_counts(), rt.vortex_get_auto_replay_count())


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())


@pytest.mark.parametrize(
    ("policy", "ghost_first", "winner"),
    [
        ("FirstSafePointWins", True, 1),
        ("FirstSafePointWins", False, 0),
        ("PreferPrimary", True, 0),
        ("PreferPrimary", False, 0),
    ],
)
def test_fault_row_41_both_branches_finish_and_one_commits(
    rt: Runtime, inbox: Inbox, policy: str, ghost_first: bool, winner: int
) -> None:
    def body(msg: bytes, ctx: Context, number: int) -> bytes:
        assert ctx.send(to, b"effect of %d" % number)
        return b"reply of %d" % number

    async def main() -> None:
        assert rt.vortex_set_auto_ghost_policy(policy)
        race = Gated(body)
        reply = rt.call(rt.spawn(race, vortex=NOW), b"x")
        await race.both()
        first, second = race.branches[ghost_first], race.branches[not ghost_first]
        first.go.set()
        await turns()
        second.go.set()
        assert await reply == b"reply of %d" % winner

    to = rt.spawn(inbox)
    run(main)
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"effect of %d" % winner, b"end"]
    assert check_books(rt)["handled"] == 3
    assert counts(rt) == ((1, 0, 0) if winner == 0 else (0, 1, 0))


@pytest.mark.parametrize("kind", ["sync", "async", "release_gil", "awaitable"])
def test_fault_row_41_a_crash_between_effect_and_commit_leaves_the_effect_once(
    rt: Runtime, inbox: Inbox, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    runs = itertools.count(1)

    def body(msg: bytes, ctx: Context) -> None:
        run = next(runs)
        assert ctx.send(to, b"effect of %d" % run)
        ctx.reply(msg)
        ctx.state = run
        if run == 1:
            raise ValueError("between effect and commit")

    async def async_body(msg: bytes, ctx: Context) -> None:
        body(msg, ctx)

    def awaitable(msg: bytes, ctx: Context) -> Awaitable[None]:
        return async_body(msg, ctx)

    to = rt.spawn(inbox)
    handler: Any = {"async": async_body, "awaitable": awaitable}.get(kind, body)
    with caplog.at_level(logging.WARNING, "iris"):
        pid = rt.spawn(handler, release_gil=kind == "release_gil", vortex=NEVER)
        assert rt.call_blocking(pid, b"paid") == b"paid"
        check_books(rt)
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"effect of 2", b"end"]
    assert rt.is_alive(pid)
    assert counts(rt) == (0, 1, 1)
    [record] = caplog.records
    assert "primary" in record.getMessage()
    assert "between effect and commit" in record.getMessage()


def test_effects_wait_in_order_for_the_safe_point(rt: Runtime, inbox: Inbox) -> None:
    to = rt.spawn(inbox)
    entered, go = threading.Event(), threading.Event()

    def handler(msg: bytes, ctx: Context) -> None:
        data = bytearray(b"one")
        assert ctx.send(to, data) is True
        data[:] = b"two"
        assert ctx.send(to, data) is True
        ctx.state = "mine"
        assert ctx.state == "mine"
        assert ctx.stop() is True
        entered.set()
        assert go.wait(60)

    pid = rt.spawn(handler, release_gil=True, vortex=NEVER)
    rt.send(pid, b"x")
    assert entered.wait(60)
    assert rt.get_metrics()["attempted"] == 1
    assert rt.is_alive(pid)
    go.set()
    assert rt.join(pid).reason == "shutdown"
    assert inbox.wait(2) == [b"one", b"two"]
    check_books(rt)


def test_the_state_is_that_of_whoever_committed(rt: Runtime) -> None:
    fails = itertools.cycle([True, False])

    def handler(msg: bytes, ctx: Context) -> bytes:
        ctx.state = (ctx.state or 0) + 1
        if next(fails):
            raise ValueError("again")
        return b"%d" % ctx.state

    pid = rt.spawn(handler, vortex=NEVER)
    assert [rt.call_blocking(pid, b"") for _ in range(3)] == [b"1", b"2", b"3"]


def test_what_answers_before_the_safe_point_is_refused(rt: Runtime) -> None:
    async def main() -> None:
        echo = rt.spawn(lambda msg: msg)
        later: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def after(ctx: Context) -> None:
            later.set_result(await ctx.call(echo, b"after"))

        tasks = []

        async def handler(msg: bytes | PySystemMessage, ctx: Context) -> None:
            for refused in (
                lambda: ctx.call(echo, b""),
                lambda: ctx.monitor(echo),
                lambda: ctx.link(echo),
            ):
                with pytest.raises(errors.NotStaged):
                    refused()
            with pytest.raises(TypeError):
                ctx.send(echo, 5)  # type: ignore[call-overload]
            with pytest.raises(errors.StaleReply):
                ctx.reply(b"no call")
            assert ctx.send(1, b"") is False
            assert (ctx.pid, ctx.sender, ctx.is_call, ctx.cancelled) == (pid, None, False, False)
            assert ctx.runtime is rt
            assert isinstance(ctx, Context)
            tasks.append(asyncio.create_task(after(ctx)))

        pid = rt.spawn(handler, system=True, vortex=NEVER)  # type: ignore[arg-type]
        rt.send(pid, b"")
        assert await later == b"after"
        assert rt.is_alive(pid)

    run(main)


@pytest.mark.parametrize("is_async", [False, True])
def test_both_fail_and_the_actor_crashes_with_the_error_of_the_primary(
    rt: Runtime, inbox: Inbox, is_async: bool
) -> None:
    to = rt.spawn(inbox)
    runs = itertools.count(1)

    def body(msg: bytes, ctx: Context) -> None:
        ctx.send(to, b"never")
        raise ValueError(f"run {next(runs)}")

    async def async_body(msg: bytes, ctx: Context) -> None:
        body(msg, ctx)

    pid = rt.spawn(async_body if is_async else body, vortex=NEVER)
    with pytest.raises(ValueError, match="run 1"):
        rt.call_blocking(pid, b"x")
    ended = rt.join(pid)
    assert isinstance(ended, ExitInfo)
    assert (ended.reason, ended.message) == ("crash", "ValueError: run 1")
    assert next(runs) == 3
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"end"]
    assert counts(rt) == (0, 0, 1)
    check_books(rt)


def test_only_the_ghost_fails(rt: Runtime) -> None:
    def body(msg: bytes, ctx: Context, number: int) -> bytes:
        if number == 1:
            raise ValueError("the ghost")
        return b"the primary"

    async def main() -> None:
        race = Gated(body)
        reply = rt.call(rt.spawn(race, vortex=NOW), b"x")
        await race.both()
        race.ghost.go.set()
        await turns()
        race.primary.go.set()
        assert await reply == b"the primary"
        assert counts(rt) == (1, 0, 0)

    run(main)


def test_the_loser_is_cancelled_and_can_do_nothing_any_more(rt: Runtime, inbox: Inbox) -> None:
    to = rt.spawn(inbox)

    async def main() -> None:
        race = Gated()
        pid = rt.spawn(race, vortex=NOW)
        reply = rt.call(pid, b"x")
        await race.both()
        assert not race.primary.ctx.cancelled
        race.ghost.go.set()
        assert await reply == b""
        await until(lambda: race.primary.cancelled)
        assert not race.ghost.ctx.cancelled
        ctx = race.primary.ctx
        assert ctx.cancelled
        assert ctx.send(to, b"late") is False
        assert ctx.stop() is False
        ctx.state = "late"
        with pytest.raises(errors.StaleReply):
            ctx.reply(b"late")
        with pytest.raises(errors.Aborted):
            ctx.call(to, b"late")
        assert race.ghost.ctx.state is None
        assert rt.is_alive(pid)

    run(main)
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"end"]
    check_books(rt)


@pytest.mark.parametrize("fails", [False, True])
def test_a_preferred_primary_is_waited_for_until_it_fails_or_the_grace_is_over(
    rt: Runtime, fails: bool
) -> None:
    def body(msg: bytes, ctx: Context, number: int) -> bytes:
        if number == 0:
            raise ValueError("the primary")
        return b"the ghost"

    async def main() -> None:
        rt.vortex_set_auto_ghost_policy("PreferPrimary")
        race = Gated(body)
        options: VortexOptions = NOW if fails else {"ghost_after_ms": 0, "grace_ms": 1}
        reply = rt.call(rt.spawn(race, vortex=options), b"x")
        await race.both()
        race.ghost.go.set()
        if fails:
            await turns()
            assert not reply.done()
            race.primary.go.set()
        assert await reply == b"the ghost"
        assert counts(rt) == (0, 1, 0)

    run(main)


def test_each_branch_has_a_message_of_its_own(rt: Runtime) -> None:
    seen = []

    def change(message: dict[str, str]) -> dict[str, str]:
        seen.append(message["text"])
        message["text"] = "changed"
        if len(seen) == 1:
            raise ValueError("again")
        return message

    pid = rt.spawn(change, codec="json", vortex=NEVER)
    assert rt.call_blocking(pid, {"text": "value"}) == {"text": "changed"}
    assert seen == ["value", "value"]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_no_reply_commits_nothing(rt: Runtime, inbox: Inbox, is_async: bool) -> None:
    to = rt.spawn(inbox)

    def body(msg: bytes, ctx: Context) -> int:
        ctx.send(to, b"never")
        return 5

    async def async_body(msg: bytes, ctx: Context) -> int:
        return body(msg, ctx)

    pid = rt.spawn(async_body if is_async else body, vortex=NEVER)
    with pytest.raises(errors.InvalidType):
        rt.call_blocking(pid, b"x")
    assert rt.join(pid).reason == "crash"
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"end"]


def test_a_killed_actor_commits_nothing_and_both_branches_are_cancelled(
    rt: Runtime, inbox: Inbox
) -> None:
    to = rt.spawn(inbox)

    async def main() -> None:
        race = Gated(lambda msg, ctx, number: ctx.send(to, b"never"))
        pid = rt.spawn(race, vortex=NOW)
        reply = rt.call(pid, b"x")
        await race.both()
        rt.kill(pid)
        race.primary.go.set()
        with pytest.raises(errors.ActorExited):
            await reply
        race.ghost.go.set()
        await until(lambda: race.primary.ctx.cancelled and race.ghost.ctx.cancelled)

    run(main)
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"end"]
    assert counts(rt) == (0, 0, 0)
    check_books(rt)


def test_a_killed_sync_handler_commits_nothing(rt: Runtime, inbox: Inbox) -> None:
    to = rt.spawn(inbox)
    entered, go, left = threading.Event(), threading.Event(), threading.Event()

    def handler(msg: bytes, ctx: Context) -> None:
        ctx.send(to, b"never")
        entered.set()
        assert go.wait(60)
        left.set()

    pid = rt.spawn(handler, release_gil=True, vortex=NEVER)
    rt.send(pid, b"x")
    assert entered.wait(60)
    rt.kill(pid)
    go.set()
    assert left.wait(60)
    check_books(rt)
    rt.call_blocking(to, b"end")
    assert inbox.messages == [b"end"]


def test_a_stopping_actor_finishes_and_commits(rt: Runtime, inbox: Inbox) -> None:
    to = rt.spawn(inbox)

    async def main() -> None:
        race = Gated(lambda msg, ctx, number: ctx.send(to, b"the last") and None)
        pid = rt.spawn(race, vortex=NOW)
        rt.send(pid, b"x")
        rt.send(pid, b"dies")
        await race.both()
        rt.stop(pid)
        race.ghost.go.set()
        assert (await rt.join_async(pid)).reason == "shutdown"

    run(main)
    assert inbox.wait(1) == [b"the last"]
    check_books(rt)


def test_a_handler_that_is_given_up_commits_nothing(inbox: Inbox) -> None:
    with Runtime(stop_timeout=0.001) as rt:
        rt.on_crash(lambda info: None)

        async def main() -> None:
            race = Gated()
            pid = rt.spawn(race, vortex=NOW)
            rt.send(pid, b"x")
            await race.both()
            rt.stop(pid)
            assert (await rt.join_async(pid)).reason == "timeout"
            await until(lambda: race.primary.cancelled and race.ghost.cancelled)

        run(main)
        check_books(rt)


def test_a_swap_speculates_on_and_a_message_that_began_finishes_on_the_old(rt: Runtime) -> None:
    async def main() -> None:
        race = Gated(lambda msg, ctx, number: b"old %d" % number)
        pid = rt.spawn(race, vortex=NOW)
        first, second = rt.call(pid, b""), rt.call(pid, b"")
        await race.both()
        fails = itertools.chain([True], itertools.repeat(False))

        def new(msg: bytes) -> bytes:
            if next(fails):
                raise ValueError("again")
            return b"new"

        assert rt.hot_swap(pid, new) == 2
        race.ghost.go.set()
        assert [await first, await second] == [b"old 1", b"new"]
        assert counts(rt) == (0, 2, 1)
        with pytest.raises(errors.InvalidType):
            rt.hot_swap(pid, 5)  # type: ignore[arg-type]
        assert rt.rollback_behavior(pid) == 1

    run(main)


def test_a_supervisor_replaces_whoever_has_failed_twice(rt: Runtime) -> None:
    fails = itertools.chain([True, True], itertools.repeat(False))
    restarted = threading.Event()
    rt.on_restart(lambda event: restarted.set())

    def handler(msg: bytes) -> bytes:
        if msg == b"bad" and next(fails):
            raise ValueError("x")
        return msg

    pid = rt.spawn(handler, vortex=NEVER)
    rt.register("one", pid)
    rt.create_path_supervisor("/svc")
    rt.path_supervise_with_factory(
        "/svc", pid, lambda: rt.spawn(handler, vortex=NEVER), "restartone"
    )
    rt.send(pid, b"bad")
    assert restarted.wait(60)
    new = rt.whereis("one")
    assert new is not None
    assert new != pid
    assert rt.call_blocking(new, b"good") == b"good"


def test_branches_run_in_the_variables_of_the_spawn(rt: Runtime) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def main() -> None:
        variable.set("spawned")
        race = Gated(lambda msg, ctx, number: seen.append(variable.get()))
        pid = rt.spawn(race, vortex=NOW)
        variable.set("later")
        reply = rt.call(pid, b"")
        await race.both()
        race.primary.go.set()
        await reply

    run(main)
    assert seen == ["spawned"]


def test_children_bounded_actors_and_members_of_pools_speculate(rt: Runtime) -> None:
    fails = itertools.cycle([True, False])

    def flaky(msg: bytes) -> bytes:
        if next(fails):
            raise ValueError("again")
        return msg

    parent = rt.spawn(flaky, vortex=True)
    pids = [
        parent,
        rt.spawn_child(parent, flaky, vortex=True),
        rt.spawn_py_handler_bounded(flaky, 1, 1, vortex=True),
    ]
    assert [rt.call_blocking(pid, b"x") for pid in pids] == [b"x"] * 3
    pool = rt.spawn_child_pool(parent, flaky, 2, vortex=True)
    assert pool.call_blocking(b"x") == b"x"
    assert rt.vortex_get_auto_replay_count() == 4


def test_policies_and_telemetry(rt: Runtime) -> None:
    assert rt.vortex_get_auto_ghost_policy() == "FirstSafePointWins"
    assert rt.vortex_set_auto_ghost_policy("PreferPrimary") is True
    assert rt.vortex_get_auto_ghost_policy() == "PreferPrimary"
    assert rt.vortex_set_auto_ghost_policy("none of these") is False
    assert rt.vortex_get_auto_ghost_policy() == "PreferPrimary"
    fails = itertools.chain([True], itertools.repeat(False))

    def flaky(msg: bytes) -> None:
        if next(fails):
            raise ValueError("again")

    pid = rt.spawn(flaky, vortex=NEVER)
    rt.call_blocking(pid, b"")
    rt.call_blocking(pid, b"")
    assert counts(rt) == (0, 1, 1)
    rt.vortex_reset_auto_telemetry()
    assert counts(rt) == (0, 0, 0)
    ordinary = rt.spawn(lambda msg, ctx: b"%d" % ctx.cancelled, vortex=False)
    assert rt.call_blocking(ordinary, b"") == b"0"


@pytest.mark.parametrize("ends", ["", "rt.close(timeout=0)"])
def test_a_process_ends_while_two_branches_wait(ends: str) -> None:
    done = run_program(
        f"""
        import asyncio, threading
        from iris import Runtime

        rt = Runtime()
        rt.on_crash(lambda info: None)
        begun = threading.Semaphore(0)

        async def stuck(msg):
            begun.release()
            await asyncio.Event().wait()

        rt.send(rt.spawn(stuck, vortex={{"ghost_after_ms": 0}}), b"x")
        begun.acquire()
        begun.acquire()
        {ends}
        print("done")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_whatever_two_branches_do_one_commits_or_the_actor_crashes(rt: Runtime) -> None:
    dice = random.Random(41)

    async def one(inbox: Inbox, to: int) -> None:
        fails = [dice.random() < 0.5 for _ in range(2)]
        effects = [dice.randrange(3) for _ in range(2)]
        prefer, kill, ghost_first = (dice.random() < 0.5 for _ in range(3))
        kill = kill and dice.random() < 0.5

        def body(msg: bytes, ctx: Context, number: int) -> bytes:
            for _ in range(effects[number]):
                ctx.send(to, b"%d" % number)
            if fails[number]:
                raise ValueError(str(number))
            return b"%d" % number

        rt.vortex_set_auto_ghost_policy("PreferPrimary" if prefer else "FirstSafePointWins")
        race = Gated(body)
        pid = rt.spawn(race, vortex=NOW)
        reply = rt.call(pid, b"x")
        await race.both()
        if kill:
            rt.kill(pid)
        for branch in (race.branches[ghost_first], race.branches[not ghost_first]):
            branch.go.set()
            await turns()
        good = [n for n in range(2) if not fails[n]]
        winner = None if kill or not good else good[0]
        if winner is not None and len(good) == 2:
            winner = 0 if prefer else int(ghost_first)
        if winner is not None:
            assert await reply == b"%d" % winner
        else:
            with pytest.raises((errors.ActorExited if kill else ValueError), match=r"."):
                await reply
        await rt.call(to, b"end")
        expected = [] if winner is None else [b"%d" % winner] * effects[winner]
        assert inbox.messages == [*expected, b"end"]
        assert rt.is_alive(pid) == (winner is not None)

    async def main() -> None:
        for _ in range(60):
            inbox = Inbox()
            await one(inbox, rt.spawn(inbox))

    run(main)
    check_books(rt)
