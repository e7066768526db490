import asyncio
import contextvars
import logging
import threading
from typing import Any

import pytest
from helpers import Inbox, check_books, settle
from iris import Mailbox, PySystemMessage, Runtime, errors

WAIT = 30


def boom(msg: bytes) -> None:
    raise ValueError("boom")


class Events:
    """System messages that came, on whatever thread."""

    def __init__(self) -> None:
        self.all: list[PySystemMessage] = []
        self.changed = threading.Condition()

    def __call__(self, message: Any) -> None:
        with self.changed:
            self.all.append(message)
            self.changed.notify_all()

    def wait(self, n: int) -> list[PySystemMessage]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.all) >= n, WAIT)
            return list(self.all)


def test_each_reference_gets_one_down_after_the_last_message(rt: Runtime) -> None:
    got = Events()

    def watch(mailbox: Mailbox) -> None:
        for message in mailbox:
            got(message)

    watcher = rt.spawn_with_mailbox(watch)

    def last_words(msg: bytes, ctx: Any) -> None:
        ctx.send(watcher, b"last words")
        raise ValueError("boom")

    target = rt.spawn(last_words)
    refs = [rt.monitor(target, watcher) for _ in range(3)]
    assert rt.demonitor(refs[1]) is True
    assert rt.demonitor(refs[1]) is False
    rt.on_crash(lambda info: None)
    rt.send(target, b"")
    first, *downs = got.wait(3)
    assert first == b"last words"
    assert [d.metadata["ref"] for d in downs] == [refs[0], refs[2]]
    for down in downs:
        assert isinstance(down, PySystemMessage)
        assert (down.type_name, down.from_pid, down.target_pid) == ("DOWN", target, watcher)
        assert down.reason == "crash"
        assert "boom" in down.metadata["message"]
    assert "DOWN" in repr(downs[0])
    rt.stop(watcher)
    settle(rt)
    assert check_books(rt)["monitors"] == 0


def test_a_function_hears_once_in_the_context_of_its_monitor(rt: Runtime, inbox: Inbox) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    got = Events()
    seen: list[str] = []

    def callback(message: PySystemMessage) -> None:
        seen.append(variable.get())
        got(message)

    target = rt.spawn(inbox)
    variable.set("mine")
    kept, gone = rt.monitor(target, callback), rt.monitor(target, callback)
    assert rt.demonitor(gone)
    rt.stop(target)
    dead = rt.monitor(target, callback)
    messages = got.wait(2)
    assert [(m.reason, m.metadata["ref"]) for m in messages] == [
        ("shutdown", kept),
        ("noproc", dead),
    ]
    assert seen == ["mine", "mine"]
    assert rt.demonitor(kept) is False


def test_what_a_callback_raises_is_logged(
    rt: Runtime, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    got = Events()

    def broken(message: PySystemMessage) -> None:
        raise LookupError("a broken callback")

    target = rt.spawn(inbox)
    rt.monitor(target, broken)
    rt.monitor(target, got)
    with caplog.at_level(logging.ERROR, logger="iris"):
        rt.kill(target)
        got.wait(1)
    assert "a broken callback" in caplog.text


def test_push_actors_must_ask_for_system_messages(rt: Runtime, inbox: Inbox) -> None:
    target, deaf = rt.spawn(inbox), rt.spawn(inbox)
    with pytest.raises(errors.InvalidArgument, match="system"):
        rt.monitor(target, deaf)
    got = Events()
    hears = rt.spawn(got, system=True)
    rt.monitor(target, hears)
    rt.send(hears, b"first")
    rt.kill(target)
    first, down = got.wait(2)
    assert first == b"first"
    assert down.reason == "killed"


def test_links_take_down_and_trapped_ones_tell(rt: Runtime, inbox: Inbox) -> None:
    rt.on_crash(lambda info: None)
    a, b = rt.spawn(boom), rt.spawn(inbox)
    rt.link(a, b)
    rt.send(a, b"")
    assert (rt.join(a, WAIT).reason, rt.join(b, WAIT).reason) == ("crash", "crash")

    got = Events()
    trapper, other = rt.spawn(got, system=True), rt.spawn(inbox)
    assert rt.set_trap_exit(trapper, True) is False
    rt.link(trapper, other)
    rt.kill(other)
    (message,) = got.wait(1)
    assert (message.type_name, message.from_pid, message.reason) == ("EXIT", other, "killed")
    assert rt.is_alive(trapper)

    c, d = rt.spawn(inbox), rt.spawn(inbox)
    rt.link(c, d)
    assert rt.unlink(d, c) is True
    assert rt.unlink(d, c) is False
    rt.kill(c)
    assert rt.is_alive(d)
    rt.link(c, d)
    assert rt.join(d, WAIT).reason == "noproc"
    with pytest.raises(errors.NoSuchActor):
        rt.link(c, d)


def test_ctx_and_mailboxes_monitor_and_link(rt: Runtime, inbox: Inbox) -> None:
    got = Events()

    def push(msg: Any, ctx: Any) -> None:
        if isinstance(msg, PySystemMessage):
            got(msg)
        else:
            ctx.monitor(int(msg))

    def pull(mailbox: Mailbox) -> None:
        mailbox.monitor(target)
        mailbox.link(other)
        ready.set()
        message = mailbox.recv()
        assert isinstance(message, PySystemMessage)
        got(message)
        mailbox.recv()

    ready = threading.Event()
    target, other = rt.spawn(inbox), rt.spawn(inbox)
    watcher = rt.spawn(push, system=True)
    puller = rt.spawn_with_mailbox(pull)
    rt.send(watcher, str(target).encode())
    assert ready.wait(WAIT)
    settle(rt)
    rt.kill(target)
    assert {m.target_pid for m in got.wait(2)} == {watcher, puller}
    rt.kill(other)
    assert rt.join(puller, WAIT).reason == "killed"


def test_an_async_mailbox_monitors(inbox: Inbox) -> None:
    async def main() -> None:
        async with Runtime() as rt:
            target = rt.spawn(inbox)
            told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            async def pull(mailbox: Any) -> None:
                mailbox.monitor(target)
                rt.kill(target)
                told.set_result(await mailbox.recv())

            rt.spawn_with_mailbox(pull)
            message = await asyncio.wait_for(told, WAIT)
            assert (message.type_name, message.from_pid) == ("DOWN", target)

    asyncio.run(main())
