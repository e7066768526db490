"""Pull actors on threads of their own and on event loops."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Inbox, check_books, run_program, until
from iris import CallMessage, Mailbox, Runtime, errors

WaitUntil = Callable[[Callable[[], bool]], None]


def test_messages_are_taken_in_order(rt: Runtime, inbox: Inbox) -> None:
    def worker(mailbox: Mailbox) -> None:
        assert mailbox.pid in rt.list_actors()
        while (msg := mailbox.recv()) is not None:
            inbox(msg)  # type: ignore[arg-type]
        assert mailbox.closed

    pid = rt.spawn_with_mailbox(worker)
    sent = [b"%d" % i for i in range(1000)]
    assert rt.send_many(pid, sent) == 1000
    assert inbox.wait(1000) == sent
    info = rt.actor_info(pid)
    assert info is not None
    assert info.kind == "pull"
    assert rt.stop(pid)
    assert rt.join(pid, timeout=30).reason == "shutdown"
    check_books(rt)


def test_it_ends_when_its_function_returns_or_raises(rt: Runtime, wait_until: WaitUntil) -> None:
    failures: list[Any] = []
    rt.on_crash(failures.append)

    def fails(mailbox: Mailbox) -> None:
        mailbox.recv()
        raise ValueError("pulled")

    pid = rt.spawn_with_mailbox(lambda mailbox: mailbox.recv())
    rt.send(pid, b"x")
    assert rt.join(pid, timeout=30).reason == "normal"
    pid = rt.spawn_with_mailbox(fails)
    rt.send_many(pid, [b"x", b"dead"])
    info = rt.join(pid, timeout=30)
    assert (info.reason, info.message) == ("crash", "ValueError: pulled")
    assert "in fails" in (info.traceback or "")
    assert check_books(rt)["dead"]["crash"] == 1
    wait_until(lambda: [f.pid for f in failures] == [pid])


def test_recv_gives_up_after_its_timeout(rt: Runtime, inbox: Inbox) -> None:
    def worker(mailbox: Mailbox) -> None:
        for timeout in (0, 0.02):
            began = time.monotonic()
            assert mailbox.recv(timeout) is None
            assert time.monotonic() - began >= timeout
            assert not mailbox.closed
        assert mailbox.try_recv() is None
        inbox(b"ready")
        assert mailbox.recv(30) == b"x"

    pid = rt.spawn_with_mailbox(worker)
    inbox.wait(1)
    rt.send(pid, b"x")
    assert rt.join(pid, timeout=30).reason == "normal"


@pytest.mark.parametrize("end", ["stop", "kill", "close"])
def test_who_waits_is_told_of_the_end(rt: Runtime, inbox: Inbox, end: str) -> None:
    def worker(mailbox: Mailbox) -> None:
        inbox(b"waits")
        inbox(repr((mailbox.recv(), mailbox.closed)).encode())

    pid = rt.spawn_with_mailbox(worker)
    inbox.wait(1)
    if end == "close":
        rt.close()
    else:
        getattr(rt, end)(pid)
        assert rt.join(pid).reason == ("shutdown" if end == "stop" else "killed")
    assert inbox.wait(2)[1] == b"(None, True)"


def test_a_drain_closes_after_the_last_message(rt: Runtime, inbox: Inbox) -> None:
    go = threading.Event()

    def worker(mailbox: Mailbox) -> None:
        go.wait(30)
        for msg in mailbox:
            inbox(msg)  # type: ignore[arg-type]

    pid = rt.spawn_with_mailbox(worker)
    rt.send_many(pid, [b"1", b"2"])
    rt.stop(pid, drain=True)
    go.set()
    assert rt.join(pid, timeout=30).reason == "shutdown"
    assert inbox.messages == [b"1", b"2"]


def test_calls(rt: Runtime) -> None:
    def worker(mailbox: Mailbox) -> None:
        for msg in mailbox:
            assert isinstance(msg, CallMessage)
            if msg.data == b"crash":
                raise ValueError("in a call")
            msg.reply(b"re: " + msg.data)
            with pytest.raises(errors.StaleReply):
                msg.reply(b"again")

    pid = rt.spawn_with_mailbox(worker)
    assert rt.call_blocking(pid, b"a", timeout=30) == b"re: a"
    assert asyncio.run(_call(rt, pid)) == b"re: b"
    with pytest.raises(errors.ActorExited):
        rt.call_blocking(pid, b"crash", timeout=30)
    check_books(rt)


async def _call(rt: Runtime, pid: int) -> bytes:
    return await rt.call(pid, b"b", timeout=30)


def test_its_thread_may_block_but_not_on_itself(rt: Runtime) -> None:
    echo = rt.spawn(lambda msg: msg)
    seen: list[Any] = []

    def worker(mailbox: Mailbox) -> None:
        seen.append(rt.call_blocking(echo, b"echo"))
        for call in (
            lambda: rt.call_blocking(mailbox.pid, b""),
            lambda: rt.join(mailbox.pid),
            rt.close,
        ):
            try:
                call()
            except errors.IrisError as e:
                seen.append(type(e))

    assert rt.join(rt.spawn_with_mailbox(worker), timeout=30).reason == "normal"
    assert seen == [b"echo", errors.SelfCall, errors.WouldDeadlock, errors.WouldDeadlock]


def test_variables_of_the_spawn_are_visible(rt: Runtime, inbox: Inbox) -> None:
    variable = contextvars.ContextVar("variable", default=b"default")
    variable.set(b"spawn")
    rt.spawn_with_mailbox(lambda mailbox: inbox(variable.get()))
    assert inbox.wait(1) == [b"spawn"]


# --- selective receive ------------------------------------------------------------------------


def in_actor(rt: Runtime, body: Callable[[Mailbox], Any], messages: list[bytes]) -> Any:
    """Runs a body in a pull actor to which the messages were sent before."""
    sent, answers = threading.Event(), []

    def worker(mailbox: Mailbox) -> None:
        assert sent.wait(30)
        answers.append(body(mailbox))

    pid = rt.spawn_with_mailbox(worker)
    rt.send_many(pid, messages)
    sent.set()
    info = rt.join(pid, timeout=60)
    assert info.reason == "normal", info.traceback
    check_books(rt)
    return answers[0]


def test_what_is_refused_keeps_its_place(rt: Runtime) -> None:
    def body(mailbox: Mailbox) -> list[Any]:
        got = [mailbox.selective_recv(lambda m: m in (b"2", b"4")) for _ in range(2)]
        return got + [mailbox.try_recv() for _ in range(4)]

    got = in_actor(rt, body, [b"1", b"2", b"3", b"4", b"5"])
    assert got == [b"2", b"4", b"1", b"3", b"5", None]


def test_a_matcher_is_not_asked_twice(rt: Runtime) -> None:
    asked: list[bytes] = []

    def matcher(msg: bytes) -> bool:
        asked.append(msg)
        return msg.endswith(b"!")

    def body(mailbox: Mailbox) -> list[Any]:
        got: list[Any] = [mailbox.selective_recv(matcher)]
        assert asked == [b"a", b"b!"]
        got += [mailbox.selective_recv(matcher, 0), mailbox.selective_recv(matcher, 0.001)]
        assert asked == [b"a", b"b!", b"c", b"d"]
        got.append(mailbox.recv())  # the front goes
        rt.send(mailbox.pid, b"e!")
        got.append(mailbox.selective_recv(matcher))
        assert asked == [b"a", b"b!", b"c", b"d", b"e!"]
        # Another matcher begins at the front.
        got.append(mailbox.selective_recv(lambda m: m == b"c"))
        rt.send(mailbox.pid, b"f!")
        got.append(mailbox.selective_recv(matcher))
        assert asked == [b"a", b"b!", b"c", b"d", b"e!", b"d", b"f!"]
        return got

    got = in_actor(rt, body, [b"a", b"b!", b"c", b"d"])
    assert got == [b"b!", None, None, b"a", b"e!", b"c", b"f!"]


def test_a_matcher_that_raises_leaves_the_message(rt: Runtime) -> None:
    def broken(msg: bytes) -> bool:
        if msg == b"2":
            raise ValueError("matcher")
        return False

    def body(mailbox: Mailbox) -> list[Any]:
        for _ in range(2):
            with pytest.raises(ValueError, match="matcher"):
                mailbox.selective_recv(broken)
        with pytest.raises(errors.InvalidType, match="matcher"):
            mailbox.selective_recv(None)  # type: ignore[arg-type]
        return [mailbox.recv(), mailbox.recv(), mailbox.size]

    assert in_actor(rt, body, [b"1", b"2"]) == [b"1", b"2", 0]


def test_a_matcher_cannot_receive_selectively(rt: Runtime) -> None:
    def body(mailbox: Mailbox) -> Any:
        with pytest.raises(errors.WouldDeadlock):
            mailbox.selective_recv(lambda m: mailbox.selective_recv(lambda m: True))
        return mailbox.selective_recv(lambda m: True)

    assert in_actor(rt, body, [b"1"]) == b"1"


def test_ten_thousand_are_scanned_once(rt: Runtime) -> None:
    asked = 0

    def matcher(msg: bytes) -> bool:
        nonlocal asked
        asked += 1
        return msg == b"yes"

    def body(mailbox: Mailbox) -> Any:
        for _ in range(3):
            assert mailbox.selective_recv(matcher, 0) is None
        rt.send(mailbox.pid, b"yes")
        return mailbox.selective_recv(matcher), mailbox.size

    assert in_actor(rt, body, [b"no"] * 10_000) == (b"yes", 10_000)
    assert asked == 10_001


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e300])
def test_a_timeout_out_of_range(rt: Runtime, timeout: float) -> None:
    def body(mailbox: Mailbox) -> bool:
        with pytest.raises(errors.InvalidArgument, match="timeout"):
            mailbox.recv(timeout)
        with pytest.raises(errors.InvalidArgument, match="timeout"):
            mailbox.selective_recv(lambda m: True, timeout)
        return mailbox.recv() == b"x"

    assert in_actor(rt, body, [b"x"])


def test_functions_that_take_something_else(rt: Runtime) -> None:
    spawn: Any = rt.spawn_with_mailbox
    for function in (lambda a, b: None, lambda: None):
        with pytest.raises(errors.InvalidArgument):
            spawn(function)
    assert rt.list_actors() == []


def test_only_push_actors_are_swapped(rt: Runtime) -> None:
    pid = rt.spawn_with_mailbox(lambda mailbox: mailbox.recv())
    for call in (
        lambda: rt.hot_swap(pid, lambda msg: None),
        lambda: rt.rollback_behavior(pid),
        lambda: rt.behavior_version(pid),
    ):
        with pytest.raises(errors.InvalidArgument, match="pull"):
            call()


# --- event loops ------------------------------------------------------------------------------


def test_an_async_function_awaits_its_mailbox(rt: Runtime) -> None:
    got: list[Any] = []
    looked = asyncio.Event()

    async def worker(mailbox: Any) -> None:
        assert await mailbox.recv(timeout=0.001) is None
        assert mailbox.try_recv() is None
        looked.set()
        async for msg in mailbox:
            if isinstance(msg, CallMessage):
                msg.reply(b"re: " + msg.data)
            else:
                got.append(msg)
        assert mailbox.closed

    async def main() -> None:
        pid = rt.spawn_with_mailbox(worker)
        await looked.wait()
        sent = [b"%d" % i for i in range(100)]
        rt.send_many(pid, sent)
        assert await rt.call(pid, b"c", timeout=30) == b"re: c"
        assert got == sent
        rt.stop(pid)
        assert (await rt.join_async(pid)).reason == "shutdown"

    asyncio.run(main())
    check_books(rt)


def test_an_async_function_on_the_loop_of_iris(rt: Runtime) -> None:
    async def worker(mailbox: Any) -> None:
        two = await mailbox.selective_recv(lambda m: m == b"2")
        raise ValueError(repr((two, await mailbox.recv(), await mailbox.recv())))

    pid = rt.spawn_with_mailbox(worker)
    for msg in (b"1", b"2", b"3"):
        rt.send(pid, msg)
    info = rt.join(pid, timeout=30)
    assert (info.reason, info.message) == ("crash", "ValueError: (b'2', b'1', b'3')")


def test_a_killed_coroutine_is_cancelled(rt: Runtime) -> None:
    ended = asyncio.Event()
    began = asyncio.Event()

    async def worker(mailbox: Any) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async def main() -> None:
        pid = rt.spawn_with_mailbox(worker)
        async with asyncio.timeout(30):
            await began.wait()
            rt.kill(pid)
            await ended.wait()
            await until(lambda: not rt.is_alive(pid))

    asyncio.run(main())


def test_a_cancelled_recv_takes_nothing(rt: Runtime) -> None:
    got: list[Any] = []

    async def worker(mailbox: Any) -> None:
        task = asyncio.ensure_future(mailbox.recv())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        rt.send(mailbox.pid, b"kept")
        got.append(await mailbox.recv(30))

    assert rt.join(rt.spawn_with_mailbox(worker), timeout=30).reason == "normal"
    assert got == [b"kept"]


# --- children ---------------------------------------------------------------------------------


def test_children_end_with_their_parent(rt: Runtime, inbox: Inbox) -> None:
    parent = rt.spawn(inbox)
    pull = rt.spawn_child_with_mailbox(parent, lambda mailbox: mailbox.recv())
    push = rt.spawn_child(parent, inbox)
    grandchild = rt.spawn_child(push, inbox)
    rt.stop(parent)
    for pid in (pull, push, grandchild):
        assert rt.join(pid, timeout=30).reason == "parent_exit"
    with pytest.raises(errors.NoSuchActor):
        rt.spawn_child(parent, inbox)
    with pytest.raises(errors.NoSuchActor):
        rt.spawn_child_with_mailbox(parent, lambda mailbox: mailbox.recv())
    assert rt.list_actors() == []


def test_a_child_that_could_not_be_spawned_takes_no_handler_along(rt: Runtime) -> None:
    dead = rt.spawn(lambda msg: msg)
    rt.stop(dead)
    rt.join(dead)
    echoes = []
    for i in range(100):
        with pytest.raises(errors.NoSuchActor):
            rt.spawn_child(dead, lambda msg: b"wrong")
        echoes.append(rt.spawn(lambda msg, i=i: b"%d" % i))
    assert [rt.call_blocking(e, b"") for e in echoes] == [b"%d" % i for i in range(100)]


# --- exit and fork ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["recv()", "selective_recv(lambda m: False)", "recv(3600)"])
def test_the_interpreter_exits_while_they_wait(what: str) -> None:
    done = run_program(f"""
        from iris import Runtime
        rt = Runtime()
        async def on_loop(mailbox):
            await mailbox.{what}
        pids = [rt.spawn_with_mailbox(lambda mailbox: mailbox.{what}) for _ in range(50)]
        pids += [rt.spawn_with_mailbox(on_loop) for _ in range(5)]
        for pid in pids:
            rt.send(pid, b"x") if "select" in {what!r} else None
        """)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_interpreter_exits_while_they_do_something_else() -> None:
    done = run_program("""
        import time
        from iris import Runtime
        rt = Runtime()
        def busy(mailbox):
            while True:
                sum(range(1000))
        for function in (lambda mailbox: time.sleep(3600), busy, lambda mailbox: mailbox.recv()):
            rt.spawn_with_mailbox(function)
        """)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_a_recv_on_the_main_thread() -> None:
    done = run_program("""
        import os, signal, threading
        from iris import Runtime
        rt = Runtime()
        boxes = []
        given, done = threading.Event(), threading.Event()
        def worker(mailbox):
            boxes.append(mailbox)
            given.set()
            done.wait(60)
        rt.spawn_with_mailbox(worker)
        given.wait(30)
        try:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            boxes[0].recv()
        except KeyboardInterrupt:
            print("interrupted")
        done.set()
        """)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_a_forked_child_leaves_them_alone() -> None:
    done = run_program("""
        import os, warnings
        from iris import Runtime, errors
        warnings.simplefilter("ignore", DeprecationWarning)
        rt = Runtime()
        pids = [rt.spawn_with_mailbox(lambda mailbox: mailbox.recv()) for _ in range(10)]
        child = os.fork()
        if child == 0:
            try:
                rt.spawn_with_mailbox(print)
            except errors.RuntimeClosed:
                with Runtime() as mine:
                    pid = mine.spawn_with_mailbox(lambda mailbox: mailbox.recv().reply(b"2"))
                    assert mine.call_blocking(pid, b"1") == b"2"
        else:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            for pid in pids:
                rt.send(pid, b"x")
                assert rt.join(pid, timeout=30).reason == "normal"
        """)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_deep_recursion_through_c_is_an_error_and_not_the_end(rt: Runtime) -> None:
    def deep(n: Any) -> Any:
        return sorted([n, n], key=deep)

    info = rt.join(rt.spawn_with_mailbox(deep), timeout=30)
    assert (info.message or "").startswith("RecursionError")


def test_two_thousand_wait_and_are_closed_at_once() -> None:
    with Runtime() as rt:
        pids = [rt.spawn_with_mailbox(lambda mailbox: mailbox.recv()) for _ in range(2000)]
        assert len(rt.list_actors()) == 2000
        assert all(rt.is_alive(pid) for pid in pids)


def test_ten_thousand_idle_pull_actors_live_at_once() -> None:
    done = run_program(
        """
        import os
        import threading
        from iris import Runtime

        N = 10_000

        def resident():
            with open("/proc/self/statm", encoding="ascii") as statm:
                return int(statm.read().split()[1]) * 4096

        rt = Runtime()
        lock, reached = threading.Lock(), threading.Event()
        begun = 0

        def pull(mailbox):
            global begun
            with lock:
                begun += 1
                if begun == N:
                    reached.set()
            for message in mailbox:
                if message.data == b"ask":
                    message.reply(b"%d" % mailbox.pid)

        before = resident()
        pids = [rt.spawn_with_mailbox(pull) for _ in range(N)]
        assert reached.wait(120)
        assert len(os.listdir("/proc/self/task")) >= N
        each = (resident() - before) / N
        assert each < 64 * 1024, each
        for pid in pids[:: N // 10]:
            assert rt.call_blocking(pid, b"ask", timeout=60) == b"%d" % pid
        rt.close(240)
        """,
        timeout=280,
    )
    assert (done.returncode, done.stderr) == (0, "")
