import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Gate, check_books, settle, until, what_was_raised
from iris import Context, Runtime, errors


def test_await_call(rt: Runtime) -> None:
    echo = rt.spawn(lambda msg: msg)

    async def main() -> None:
        assert await rt.call(echo, b"one") == b"one"
        replies = await asyncio.gather(*(rt.call(echo, b"%d" % i) for i in range(1000)))
        assert replies == [b"%d" % i for i in range(1000)]

    asyncio.run(main())
    assert check_books(rt)["calls"] == 1001


def test_outcomes_of_awaited_calls(rt: Runtime, gate: Gate) -> None:
    boom = ValueError("boom")

    def broken(msg: bytes) -> None:
        raise boom

    async def main() -> None:
        with pytest.raises(ValueError, match="boom") as failed:
            await rt.call(rt.spawn(broken), b"")
        assert failed.value is boom
        stuck = rt.spawn(gate)
        with pytest.raises(TimeoutError):
            await rt.call(stuck, b"", timeout=0.01)
        pending = rt.call(stuck, b"", timeout=60)
        rt.kill(stuck)
        with pytest.raises(errors.ActorExited):
            await pending
        with pytest.raises(errors.NoSuchActor):
            rt.call(stuck, b"")

    asyncio.run(main())
    gate.opened.set()
    settle(rt)
    check_books(rt)


def test_a_cancelled_task_gives_its_call_up(
    rt: Runtime, gate: Gate, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    stuck = rt.spawn(gate)

    async def main() -> None:
        async def ask() -> bytes:
            return await rt.call(stuck, b"", timeout=600)

        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        await until(lambda: rt.get_metrics()["open_calls"] == 10)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results)
        await asyncio.sleep(0)
        assert rt.get_metrics()["open_calls"] == 0

    asyncio.run(main())
    gate.opened.set()
    settle(rt)
    wait_until(lambda: rt.get_metrics()["timers"] == 0)
    check_books(rt)


def test_wait_for_and_timeout_work_on_calls(rt: Runtime, gate: Gate) -> None:
    stuck = rt.spawn(gate)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rt.call(stuck, b"", timeout=600), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await rt.call(stuck, b"", timeout=600)
        await asyncio.sleep(0)
        assert rt.get_metrics()["open_calls"] == 0

    asyncio.run(main())
    gate.opened.set()


def test_the_loop_turns_while_the_lane_is_stuck(rt: Runtime, gate: Gate) -> None:
    """A timeout reaches the loop although the thread that runs handlers does not come back."""
    rt.send(rt.spawn(gate), b"")
    gate.wait_entered()
    other = rt.spawn(lambda msg: msg)

    async def main() -> None:
        with pytest.raises(errors.Timeout):
            await rt.call(other, b"", timeout=0.05)

    asyncio.run(asyncio.wait_for(main(), 30))
    gate.opened.set()


def test_async_handlers_run_on_the_spawning_loop_one_message_at_a_time(rt: Runtime) -> None:
    log: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def handler(msg: bytes, ctx: Context) -> bytes:
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task() is not None
            log.append(f"begin {msg!r}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append(f"end {msg!r}")
            return msg

        pid = rt.spawn(handler)
        replies = await asyncio.gather(*(rt.call(pid, b"%d" % i) for i in range(5)))
        assert replies == [b"%d" % i for i in range(5)]
        info = rt.actor_info(pid)
        assert info is not None
        rt.stop(pid)
        assert (await rt.join_async(pid)).reason == "shutdown"

    asyncio.run(main())
    assert log == [f"{what} {b'%d' % i!r}" for i in range(5) for what in ("begin", "end")]
    check_books(rt)


def test_async_handlers_run_on_iris_own_loop_where_none_runs(rt: Runtime) -> None:
    threads: set[str] = set()

    async def handler(msg: bytes) -> bytes:
        threads.add(threading.current_thread().name)
        await asyncio.sleep(0.001)
        return msg

    pids = [rt.spawn(handler) for _ in range(20)]
    for pid in pids:
        rt.send(pid, b"tell")
        assert rt.call_blocking(pid, b"call") == b"call"
    assert threads == {"iris-asyncio"}
    check_books(rt)


def test_different_async_actors_overlap(rt: Runtime) -> None:
    async def main() -> None:
        meet = asyncio.Barrier(10)

        async def handler(msg: bytes) -> None:
            await meet.wait()

        pids = [rt.spawn(handler) for _ in range(10)]
        await asyncio.wait_for(asyncio.gather(*(rt.call(p, b"", timeout=60) for p in pids)), 30)

    asyncio.run(main())


def test_a_plain_handler_may_answer_an_awaitable(rt: Runtime) -> None:
    async def work(msg: bytes) -> bytes:
        await asyncio.sleep(0)
        return msg * 2

    assert rt.call_blocking(rt.spawn(lambda msg: work(msg)), b"x") == b"xx"

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def where(msg: bytes) -> bytes:
            return b"here" if asyncio.get_running_loop() is loop else b"elsewhere"

        assert await rt.call(rt.spawn(lambda msg: where(msg)), b"") == b"here"

    asyncio.run(main())
    settle(rt)
    check_books(rt)


@pytest.mark.parametrize("where", ["own", "spawner"])
@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_async_handlers_that_raise_end_their_actor_only(
    rt: Runtime, where: str, error: BaseException
) -> None:
    async def handler(msg: bytes) -> None:
        await asyncio.sleep(0)
        raise error

    async def echo(msg: bytes) -> bytes:
        return msg

    def check() -> tuple[int, int]:
        return rt.spawn(handler), rt.spawn(echo)

    async def on_loop() -> None:
        pid, good = check()
        with pytest.raises((type(error), errors.HandlerFailed)) as e:
            await rt.call(pid, b"")
        assert type(what_was_raised(e.value)) is type(error)
        assert (await rt.join_async(pid)).reason == "crash"
        assert await rt.call(good, b"alive") == b"alive"

    if where == "spawner":
        asyncio.run(on_loop())
    else:
        pid, good = check()
        with pytest.raises((type(error), errors.HandlerFailed)) as e:
            rt.call_blocking(pid, b"")
        assert type(what_was_raised(e.value)) is type(error)
        assert rt.join(pid).reason == "crash"
        assert rt.call_blocking(good, b"alive") == b"alive"
    settle(rt)
    check_books(rt)


def test_kill_cancels_the_awaited_handler(rt: Runtime) -> None:
    entered = threading.Event()
    cancelled = threading.Event()

    async def handler(msg: bytes) -> None:
        entered.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    pid = rt.spawn(handler)
    rt.send_many(pid, [b"1", b"2"])
    assert entered.wait(30)
    assert rt.kill(pid)
    assert cancelled.wait(30)
    assert rt.join(pid).reason == "killed"
    assert check_books(rt)["dead"]["killed"] == 2


def test_stop_lets_the_awaited_handler_finish(rt: Runtime) -> None:
    entered = threading.Event()
    go = threading.Event()

    async def handler(msg: bytes) -> bytes:
        entered.set()
        await until(go.is_set)
        return b"done"

    pid = rt.spawn(handler)
    replies: list[bytes] = []
    asker = threading.Thread(target=lambda: replies.append(rt.call_blocking(pid, b"", timeout=60)))
    asker.start()
    assert entered.wait(30)
    assert rt.stop(pid)
    go.set()
    asker.join(30)
    assert replies == [b"done"]
    assert rt.join(pid).reason == "shutdown"
    check_books(rt)


def test_an_awaited_handler_that_never_ends_is_given_up(rt: Runtime) -> None:
    entered = threading.Event()

    async def handler(msg: bytes) -> None:
        entered.set()
        await asyncio.sleep(600)

    pid = rt.spawn(handler)
    rt.send(pid, b"")
    assert entered.wait(30)
    rt.stop(pid, timeout=0.02)
    assert rt.join(pid, timeout=30).reason == "timeout"
    settle(rt)
    assert check_books(rt)["dead"]["timeout"] == 1


def test_ctx_call_in_an_async_handler(rt: Runtime) -> None:
    inner = rt.spawn(lambda msg, ctx: ctx.reply(b"%d" % (ctx.sender or 0)))

    async def outer(msg: bytes, ctx: Context) -> bytes:
        return await ctx.call(inner, msg)

    pid = rt.spawn(outer)
    assert rt.call_blocking(pid, b"") == b"%d" % pid


def test_async_handlers_see_the_contextvars_of_their_spawner(rt: Runtime) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("v", default="none")

    async def handler(msg: bytes) -> str:
        before = var.get()
        await asyncio.sleep(0)
        return f"{before} {var.get()}"

    async def main() -> None:
        bare = rt.spawn(handler)
        var.set("spawner")
        pid = rt.spawn(handler)
        var.set("caller")
        assert await rt.call(pid, b"") == b"spawner spawner"
        assert await rt.call(bare, b"") == b"none none"

    asyncio.run(main())


def test_blocking_calls_refuse_to_block_the_loop(rt: Runtime) -> None:
    echo = rt.spawn(lambda msg: msg)

    async def main() -> None:
        for blocking in (
            lambda: rt.call_blocking(echo, b""),
            lambda: rt.join(echo),
            rt.close,
        ):
            with pytest.raises(errors.WouldDeadlock, match="event loop"):
                blocking()

    asyncio.run(main())
    assert rt.is_alive(echo)


def test_awaitables_need_a_loop(rt: Runtime) -> None:
    echo = rt.spawn(lambda msg: msg)
    for make in (lambda: rt.call(echo, b""), lambda: rt.join_async(echo), rt.aclose):
        with pytest.raises(errors.NotLocal, match="blocking form"):
            make()
    assert rt.get_metrics()["attempted"] == 0


def test_async_with_closes() -> None:
    async def main() -> Runtime:
        async with Runtime() as rt:

            async def handler(msg: bytes) -> bytes:
                return msg

            assert await rt.call(rt.spawn(handler), b"a") == b"a"
            assert await rt.call(rt.spawn(lambda msg: msg), b"b") == b"b"
        assert rt.closed
        await rt.aclose()
        with pytest.raises(errors.RuntimeClosed):
            rt.spawn(handler)
        return rt

    assert asyncio.run(main()).closed


def test_aclose_ends_open_calls_and_joins(gate: Gate) -> None:
    async def main() -> None:
        rt = Runtime()
        rt.on_crash(lambda info: None)
        pid = rt.spawn(gate)
        call = asyncio.ensure_future(rt.call(pid, b"", timeout=60))
        join = rt.join_async(pid)
        await until(gate.entered.is_set)
        await rt.aclose(timeout=0.05)
        with pytest.raises(errors.ActorExited):
            await call
        assert (await join).reason == "timeout"

    asyncio.run(main())
    gate.opened.set()


def test_a_cancelled_join_is_taken_back(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: None)

    async def main() -> None:
        for _ in range(100):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(rt.join_async(pid), 0)
        join = rt.join_async(pid)
        rt.stop(pid)
        assert (await join).reason == "shutdown"

    asyncio.run(main())


def test_a_loop_that_is_gone_takes_its_actors_with_it(
    rt: Runtime, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    async def handler(msg: bytes) -> bytes:
        return msg

    async def main() -> int:
        pid = rt.spawn(handler)
        assert await rt.call(pid, b"x") == b"x"
        return pid

    pid = asyncio.run(main())
    rt.send(pid, b"to nobody")
    wait_until(lambda: not rt.is_alive(pid))
    assert rt.join(pid).reason == "disconnected"
    with pytest.raises(errors.NoSuchActor):
        rt.call_blocking(pid, b"")
    check_books(rt)


def test_a_call_whose_loop_is_gone_hurts_nobody(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)

    async def main() -> None:
        task = asyncio.ensure_future(rt.call(pid, b"", timeout=60))
        await until(gate.entered.is_set)
        task.cancel()

    asyncio.run(main())

    loop = asyncio.new_event_loop()

    async def leave() -> Any:
        return rt.call(pid, b"", timeout=60)

    pending = loop.run_until_complete(leave())
    loop.close()
    gate.opened.set()
    settle(rt)
    assert not pending.done()
    assert rt.call_blocking(rt.spawn(lambda msg: msg), b"x") == b"x"
    check_books(rt)


def test_many_loops_come_and_go(rt: Runtime) -> None:
    async def handler(msg: bytes) -> bytes:
        return msg

    async def main() -> None:
        pid = rt.spawn(handler)
        assert await rt.call(pid, b"x") == b"x"

    for _ in range(30):
        asyncio.run(main())
    assert len(rt.list_actors()) <= 1
    check_books(rt)


def test_loops_on_two_threads(rt: Runtime) -> None:
    done: list[bytes] = []
    both = threading.Barrier(2)

    async def handler(msg: bytes) -> bytes:
        return threading.current_thread().name.encode()

    pids: dict[str, int] = {}

    async def main(other: str) -> None:
        pids[threading.current_thread().name] = rt.spawn(handler)
        await asyncio.to_thread(both.wait, 30)
        for _ in range(50):
            done.append(await rt.call(pids[other], b""))
            assert done[-1] == other.encode()
        await asyncio.to_thread(both.wait, 30)

    threads = [
        threading.Thread(target=lambda o=other: asyncio.run(main(o)), name=name)
        for name, other in (("a", "b"), ("b", "a"))
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert len(done) == 100


def test_flooding_an_async_actor_leaves_the_loop_responsive(rt: Runtime) -> None:
    async def main() -> None:
        handled = 0

        async def handler(msg: bytes) -> None:
            nonlocal handled
            handled += 1

        pid = rt.spawn(handler)
        rt.send_many(pid, [b""] * 20_000)
        turns = 0
        while handled < 20_000:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10

    asyncio.run(main())
