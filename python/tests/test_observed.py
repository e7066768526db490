"""Observed actors: they keep what they get until somebody asks for it."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import check_books, run_program
from iris import CallMessage, PySystemMessage, Runtime, errors


def is_(what: bytes) -> Callable[[object], bool]:
    return lambda msg: msg == what


def refuses(asked: threading.Event) -> Callable[[object], bool]:
    """A matcher of nothing that says when it was asked: whoever brought it waits from then on."""
    return lambda msg: asked.set() is not None


def test_it_keeps_messages_until_they_are_fetched(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(10, "/probe/one")
    assert rt.whereis_path("/probe/one") == pid
    info = rt.actor_info(pid)
    assert info is not None
    assert info.budget == 10
    assert rt.get_messages(pid) == []
    rt.send_many(pid, [b"a", b"b", b"c"])
    assert rt.mailbox_size(pid) == 3
    assert rt.get_messages(pid) == [b"a", b"b", b"c"]
    assert rt.get_messages(pid) == []
    assert check_books(rt)["handled"] == 3


def test_a_bounded_one_keeps_the_newest(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe", capacity=2)
    rt.set_overflow_policy(pid, "dropold")
    rt.send_many(pid, [b"a", b"b", b"c"])
    assert rt.get_messages(pid) == [b"b", b"c"]
    check_books(rt)


def test_it_keeps_system_messages_and_calls(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    target = rt.spawn(lambda msg: None)
    rt.monitor(target, pid)
    rt.kill(target)

    async def main() -> None:
        reply = rt.call(pid, b"question")
        down = await rt.selective_recv(pid, lambda m: isinstance(m, PySystemMessage), 30)
        assert isinstance(down, PySystemMessage)
        assert (down.type_name, down.from_pid, down.reason) == ("DOWN", target, "killed")
        (call,) = rt.get_messages(pid)
        assert isinstance(call, CallMessage)
        call.reply(call.data + b"!")
        assert await reply == b"question!"

    asyncio.run(main())
    check_books(rt)


def test_bad_and_taken_paths_spawn_nothing(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    with pytest.raises(errors.NameTaken):
        rt.spawn_with_path_observed(100, "/probe")
    with pytest.raises(errors.InvalidPath):
        rt.spawn_with_path_observed(100, "probe")
    assert rt.list_actors() == [pid]
    assert rt.get_metrics()["spawned"] == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_ends_at_once_and_its_path_is_free(rt: Runtime, end: str) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send(pid, b"kept")
    assert getattr(rt, end)(pid)
    assert rt.join(pid, 0).reason == {"stop": "shutdown", "kill": "killed"}[end]
    assert rt.whereis_path("/probe") is None
    with pytest.raises(errors.NoSuchActor):
        rt.get_messages(pid)
    assert sum(check_books(rt)["dead"].values()) == 1


def test_with_drain_it_ends_when_its_messages_were_fetched(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send_many(pid, [b"a", b"b"])
    rt.stop(pid, drain=True)
    assert rt.get_messages(pid) == [b"a", b"b"]
    assert rt.join(pid, 30).reason == "shutdown"
    check_books(rt)


def test_only_observed_ones_can_be_asked(rt: Runtime) -> None:
    for pid in (rt.spawn(lambda msg: None), rt.spawn_with_mailbox(lambda box: box.recv())):
        with pytest.raises(errors.InvalidArgument):
            rt.get_messages(pid)
        with pytest.raises(errors.InvalidArgument):
            rt.selective_recv_blocking(pid, is_(b""), 0)


def test_selective_recv_leaves_the_others_in_their_order(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send_many(pid, [b"a", b"b", b"c", b"d"])
    assert rt.selective_recv_blocking(pid, is_(b"c"), 30) == b"c"
    assert rt.get_messages(pid) == [b"a", b"b", b"d"]


def test_several_may_wait_at_once(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")

    async def main() -> None:
        waits = [rt.selective_recv(pid, is_(what), 30) for what in (b"x", b"y", b"z")]
        await asyncio.sleep(0)
        rt.send_many(pid, [b"noise", b"z", b"y", b"noise", b"x"])
        assert await asyncio.gather(*waits) == [b"x", b"y", b"z"]

    asyncio.run(main())
    assert rt.get_messages(pid) == [b"noise", b"noise"]
    check_books(rt)


def test_threads_share_out_the_messages(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    got: dict[int, list[Any]] = {0: [], 1: [], 2: []}

    def receive(kind: int) -> None:
        def matcher(msg: bytes) -> bool:
            return msg[0] == kind

        while len(got[kind]) < 200:
            got[kind].append(rt.selective_recv_blocking(pid, matcher, 60))

    threads = [threading.Thread(target=receive, args=(kind,)) for kind in got]
    for t in threads:
        t.start()
    for i in range(200):
        rt.send_many(pid, [bytes([kind, i]) for kind in (2, 0, 1)])
    for t in threads:
        t.join(60)
    for kind, messages in got.items():
        assert messages == [bytes([kind, i]) for i in range(200)]
    assert rt.get_messages(pid) == []
    check_books(rt)


def test_a_matcher_never_sees_again_what_it_has_refused(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    seen: list[bytes] = []

    def matcher(msg: bytes) -> bool:
        seen.append(msg)
        return msg == b"yes"

    rt.send_many(pid, [b"no"] * 1000)
    for _ in range(3):
        assert rt.selective_recv_blocking(pid, matcher, 0) is None
    rt.send_many(pid, [b"yes", b"later"])

    async def main() -> None:
        assert await rt.selective_recv(pid, matcher) == b"yes"

    asyncio.run(main())
    assert len(seen) == 1001


def test_what_a_matcher_raises_is_raised_and_the_message_stays(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send(pid, b"a")
    own = LookupError("matcher")

    def bad(msg: object) -> bool:
        raise own

    async def awaitable(msg: object) -> bool:
        return True

    async def main() -> None:
        with pytest.raises(LookupError) as e:
            await rt.selective_recv(pid, bad)
        assert e.value is own
        with pytest.raises(errors.InvalidArgument):
            await rt.selective_recv(pid, awaitable)

    asyncio.run(main())
    with pytest.raises(LookupError):
        rt.selective_recv_blocking(pid, bad)
    assert rt.get_messages(pid) == [b"a"]
    for wrong in (None, 1, b"f", []):
        any_matcher: Any = wrong
        with pytest.raises(errors.InvalidType):
            rt.selective_recv_blocking(pid, any_matcher, 0)


def test_a_wait_ends_with_its_timeout_its_task_or_the_actor(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send(pid, b"a")
    never = is_(b"never")
    assert rt.selective_recv_blocking(pid, never, 0.001) is None

    async def main() -> None:
        assert await rt.selective_recv(pid, never, 0.001) is None
        wait = rt.selective_recv(pid, never)
        await asyncio.sleep(0)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        ends = rt.selective_recv(pid, never)
        await asyncio.sleep(0)
        rt.stop(pid)
        assert await ends is None

    asyncio.run(main())
    other = rt.spawn_with_path_observed(100, "/probe")
    rt.send(other, b"a")
    asked = threading.Event()
    thread = threading.Thread(target=lambda: rt.selective_recv_blocking(other, refuses(asked)))
    thread.start()
    assert asked.wait(30)
    rt.stop(other)
    thread.join(30)
    assert not thread.is_alive()


def test_a_matcher_may_fetch_messages_itself(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send_many(pid, [b"1", b"2"])
    fetched: list[Any] = []

    def thief(msg: bytes) -> bool:
        fetched.extend(rt.get_messages(pid))
        return True

    assert rt.selective_recv_blocking(pid, thief, 0) is None
    assert fetched == [b"1", b"2"]
    check_books(rt)


def test_fault_row_37_blocking_is_refused_where_it_would_stop_the_world(rt: Runtime) -> None:
    pid = rt.spawn_with_path_observed(100, "/probe")
    seen: list[type] = []

    def handler(msg: bytes) -> None:
        try:
            rt.selective_recv_blocking(pid, bool)
        except errors.WouldDeadlock as e:
            seen.append(type(e))

    rt.call_blocking(rt.spawn(handler), b"")

    async def main() -> None:
        with pytest.raises(errors.WouldDeadlock):
            rt.selective_recv_blocking(pid, bool)

    asyncio.run(main())
    assert seen == [errors.WouldDeadlock]
    with pytest.raises(errors.NotLocal):
        rt.selective_recv(pid, bool)


def test_a_million_timeouts_leave_nothing_behind(rt: Runtime) -> None:
    import resource

    pid = rt.spawn_with_path_observed(100, "/probe")

    async def waits(n: int) -> None:
        for _ in range(n):
            await rt.selective_recv(pid, is_(b"never"), 0.0)

    asyncio.run(waits(2_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asyncio.run(waits(20_000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 8 * 1024


def test_close_ends_it_and_whoever_waits() -> None:
    rt = Runtime()
    pid = rt.spawn_with_path_observed(100, "/probe")
    rt.send(pid, b"a")
    got: list[object] = []
    asked = threading.Event()
    thread = threading.Thread(
        target=lambda: got.append(rt.selective_recv_blocking(pid, refuses(asked)))
    )
    thread.start()
    assert asked.wait(30)
    rt.close()
    thread.join(30)
    assert not thread.is_alive()
    assert got == [None]


def test_the_interpreter_exits_with_waiting_threads() -> None:
    code = """
        import threading
        from iris import Runtime
        rt = Runtime()
        pid = rt.spawn_with_path_observed(100, "/probe")
        rt.send(pid, b"a")
        asked = threading.Semaphore(0)
        for _ in range(3):
            threading.Thread(
                target=rt.selective_recv_blocking,
                args=(pid, lambda msg: asked.release()),
                daemon=True,
            ).start()
        for _ in range(3):
            asked.acquire()
        print("done")
    """
    done = run_program(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
