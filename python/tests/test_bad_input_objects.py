"""Bad input over every call of what the runtime gives out, and user's code that raises.

A typed error, or that code's own; nothing is half done. The calls of the runtime itself are in
test_errors_table.py.
"""

import asyncio
import inspect
import math
import threading
from collections.abc import Callable
from typing import Any

import iris
import pytest
from helpers import Inbox, check_books
from iris import CallMessage, Context, Mailbox, Runtime, codecs, errors

NOT_DATA: list[Any] = [None, 1, "text", object(), [b"x"], 1.5]
NOT_PIDS: list[Any] = [None, "1", b"1", 1.0, True, object()]
NOT_CALLABLE: list[Any] = [None, 1, "f", object()]
NO_TIMEOUT: list[Any] = [-1, math.nan, -math.inf]
NOT_TIMEOUT: list[Any] = ["1", b"1", object(), True]

Case = tuple[list[Any], Callable[[Any, Any, int], Any], type[BaseException]]


def waits(call: Callable[[Any, Any, int], Any]) -> list[Case]:
    """A timeout that is none."""
    return [(NO_TIMEOUT, call, ValueError), (NOT_TIMEOUT, call, TypeError)]


MAILBOX: dict[str, list[Case]] = {
    "recv": waits(lambda box, v, _: box.recv(v)),
    "selective_recv": [
        (NOT_CALLABLE, lambda box, v, _: box.selective_recv(v), TypeError),
        *waits(lambda box, v, _: box.selective_recv(bool, v)),
    ],
    "monitor": [(NOT_PIDS, lambda box, v, _: box.monitor(v), TypeError)],
    "link": [(NOT_PIDS, lambda box, v, _: box.link(v), TypeError)],
    "try_recv": [],
}
# For each kind of object its calls, each with values, what to do with one, and what is raised.
TABLES: dict[str, dict[str, list[Case]]] = {
    "Mailbox": MAILBOX,
    "AsyncMailbox": MAILBOX,
    "CallMessage": {"reply": [(NOT_DATA[1:], lambda call, v, _: call.reply(v), TypeError)]},
    "Context": {
        "send": [
            (NOT_PIDS, lambda ctx, v, _: ctx.send(v, b""), TypeError),
            (NOT_DATA, lambda ctx, v, pid: ctx.send(pid, v), TypeError),
        ],
        "call": [
            (NOT_PIDS, lambda ctx, v, _: ctx.call(v, b""), TypeError),
            (NOT_DATA, lambda ctx, v, pid: ctx.call(pid, v), TypeError),
            *waits(lambda ctx, v, pid: ctx.call(pid, b"", v)),
        ],
        "reply": [(NOT_DATA[1:], lambda ctx, v, _: ctx.reply(v), TypeError)],
        "monitor": [(NOT_PIDS, lambda ctx, v, _: ctx.monitor(v), TypeError)],
        "link": [(NOT_PIDS, lambda ctx, v, _: ctx.link(v), TypeError)],
        "stop": [],
    },
    "Pool": {
        "send": [(NOT_DATA, lambda pool, v, _: pool.send(v), TypeError)],
        "call": [
            (NOT_DATA, lambda pool, v, _: pool.call(v), TypeError),
            *waits(lambda pool, v, _: pool.call(b"", v)),
        ],
        "call_blocking": [
            (NOT_DATA, lambda pool, v, _: pool.call_blocking(v), TypeError),
            *waits(lambda pool, v, _: pool.call_blocking(b"", v)),
        ],
    },
}


def wrong(calls: dict[str, list[Case]], target: Any, live: int) -> list[str]:
    """What did not raise as it should, of calls that do not wait."""
    found = []
    for name, cases in calls.items():
        for values, call, error in cases:
            for value in values:
                try:
                    got = call(target, value, live)
                except error as e:
                    if isinstance(e, errors.IrisError) or type(e) is error:
                        continue
                    got = e
                except BaseException as e:
                    got = e
                found.append(f"{name}({value!r}): {got!r}")
    return found


async def wrong_async(calls: dict[str, list[Case]], target: Any, live: int) -> list[str]:
    """As `wrong`; what is awaitable is awaited."""
    found = []
    for name, cases in calls.items():
        for values, call, error in cases:
            for value in values:
                try:
                    got = call(target, value, live)
                    if inspect.isawaitable(got):
                        got = await got
                except error as e:
                    if isinstance(e, errors.IrisError) or type(e) is error:
                        continue
                    got = e
                found.append(f"{name}({value!r}): {got!r}")
    return found


def run_in_actor(rt: Runtime, kind: str, live: int) -> list[str]:
    """Makes an object of that kind, and tries its table on it."""
    calls, found, done = TABLES[kind], [["it was not tried"]], threading.Event()

    def told(answer: list[str]) -> None:
        found[0] = answer
        done.set()

    if kind == "Mailbox":
        rt.spawn_with_mailbox(lambda box: told(wrong(calls, box, live)))
    elif kind == "AsyncMailbox":

        async def pull(box: Any) -> None:
            told(await wrong_async(calls, box, live))

        rt.spawn_with_mailbox(pull)
    elif kind == "CallMessage":

        def answers(box: Mailbox) -> None:
            call = box.recv()
            assert isinstance(call, CallMessage)
            told(wrong(calls, call, live))
            call.reply(b"")

        assert rt.call_blocking(rt.spawn_with_mailbox(answers), b"") == b""
    elif kind == "Context":

        async def handler(_: bytes, ctx: Context) -> None:
            told(await wrong_async(calls, ctx, live))

        rt.call_blocking(rt.spawn(handler), b"")
    else:
        pool = rt.spawn_child_pool(rt.spawn(print), print, 2)
        asyncio.run(_pool(calls, pool, live, told))
        blocking = {"call_blocking": calls["call_blocking"]}
        told(found[0] + wrong(blocking, pool, live))
    assert done.wait(30)
    return found[0]


async def _pool(
    calls: dict[str, list[Case]], pool: Any, live: int, told: Callable[[list[str]], None]
) -> None:
    told(await wrong_async({n: c for n, c in calls.items() if n != "call_blocking"}, pool, live))


@pytest.mark.parametrize("kind", TABLES)
def test_every_call_answers_wrong_input_with_a_typed_error(
    rt: Runtime, inbox: Inbox, kind: str
) -> None:
    assert run_in_actor(rt, kind, rt.spawn(inbox)) == []
    assert inbox.messages == []
    check_books(rt)


@pytest.mark.parametrize("kind", TABLES)
def test_the_tables_have_every_call(kind: str) -> None:
    from iris import _aio

    cls = getattr(iris, kind, None) or getattr(_aio, kind)
    inherited = dir(list) if kind == "Pool" else []
    public = {n for n in dir(cls) if not n.startswith("_") and n not in inherited}
    calls = {n for n in public if callable(getattr(cls, n))}
    assert calls == set(TABLES[kind])


class OwnError(Exception):
    """Of the user's own."""


def raises(*_: object) -> Any:
    raise OwnError


def test_what_a_matcher_raises_is_raised_by_the_wait_and_the_message_stays(rt: Runtime) -> None:
    seen: list[Any] = []

    def pull(box: Mailbox) -> None:
        with pytest.raises(OwnError):
            box.selective_recv(raises)
        seen.append(box.recv())

    pid = rt.spawn_with_mailbox(pull)
    assert rt.send(pid, b"kept")
    assert rt.join(pid).reason == "normal"
    assert seen == [b"kept"]
    observed = rt.spawn_with_path_observed(100, "/observed")
    assert rt.send(observed, b"kept")
    with pytest.raises(OwnError):
        rt.selective_recv_blocking(observed, raises)

    async def awaited() -> None:
        with pytest.raises(OwnError):
            await rt.selective_recv(observed, raises)

    asyncio.run(awaited())
    assert rt.get_messages(observed) == [b"kept"]
    check_books(rt)


class Throws:
    """A codec that takes nothing."""

    name = "throws-to-encode"
    encode = staticmethod(raises)
    decode = staticmethod(bytes)


def test_what_a_codec_raises_the_sender_gets_and_nothing_is_sent(rt: Runtime, inbox: Inbox) -> None:
    codec = Throws()
    pid: Any = rt.spawn(inbox, codec=codec)
    rt.register("it", pid)
    rt.register_path("/it", pid)

    async def awaited(call: Callable[[], Any]) -> None:
        await call()

    for send in (
        lambda: rt.send(pid, 1),
        lambda: rt.send_many(pid, [1, 2]),
        lambda: rt.send_named("it", 1),
        lambda: rt.send_path("/it", 1),
        lambda: rt.send_after(pid, 0, 1),
        lambda: rt.send_interval(pid, 1, 1),
        lambda: rt.send_with_backpressure(pid, 1),
        lambda: rt.call_blocking(pid, 1),
        lambda: asyncio.run(awaited(lambda: rt.send_async(pid, 1))),
        lambda: asyncio.run(awaited(lambda: rt.call(pid, 1))),
    ):
        with pytest.raises(OwnError):
            send()
    metrics = check_books(rt)
    assert (metrics["accepted"], metrics["timers"], metrics["open_calls"]) == (0, 0, 0)
    assert codecs.get(codec.name) is codec


def test_a_buffer_works_once(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    sends: tuple[Any, ...] = (rt.send_buffer, rt.send_user_with_backpressure)
    for send in sends:
        number, _view = rt.allocate_buffer(8192)
        assert send(pid, number)
        for again in sends:
            with pytest.raises(errors.NoSuchBuffer):
                again(pid, number)
    assert [len(m) for m in inbox.wait(2)] == [8192, 8192]


def test_a_policy_whose_messages_would_come_back_is_refused(rt: Runtime, inbox: Inbox) -> None:
    a, b, c = (rt.spawn_py_handler_bounded(inbox, 100, 1) for _ in range(3))
    for policy in ("redirect", "spill"):
        with pytest.raises(errors.InvalidArgument):
            rt.set_overflow_policy(a, policy, a)
        rt.set_overflow_policy(a, policy, b)
        rt.set_overflow_policy(b, policy, c)
        for back in (a, b, c):
            with pytest.raises(errors.InvalidArgument):
                rt.set_overflow_policy(c, policy, back)
        with pytest.raises(errors.InvalidArgument):
            rt.set_overflow_policy(c, policy)
    assert rt.send(c, b"x")
    assert inbox.wait(1) == [b"x"]
