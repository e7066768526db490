"""Codecs: messages that are no bytes, on every way into and out of an actor."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from helpers import Gate, check_books
from iris import CallMessage, Mailbox, Runtime, codecs, errors


@dataclass
class Order:
    item: str
    n: int


class OrderCodec:
    """`item:n`; refuses what is no order."""

    name = "test-order"

    def encode(self, message: Order, /) -> bytes:
        if not isinstance(message, Order):
            raise RefusedError(message)
        return f"{message.item}:{message.n}".encode()

    def decode(self, data: bytes, /) -> Order:
        item, n = data.decode().rsplit(":")
        return Order(item, int(n))


class RefusedError(Exception):
    pass


ORDERS = OrderCodec()


class Box:
    def __init__(self) -> None:
        self.got: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, msg: Any) -> Any:
        with self._changed:
            self.got.append(msg)
            self._changed.notify_all()
        return msg

    def wait(self, n: int) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= n, 30), self.got
            return list(self.got)


VALUES = {
    "json": [None, True, 1.5, "päivää", [1, [2]], {"a": {"b": None}}, ""],
    "pickle": [None, {1, 2}, Order("x", 1), b"bytes", 2**100, "\udc80"],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_arrive_as_they_were_sent_and_come_back(rt: Runtime, name: str) -> None:
    box = Box()
    pid = rt.spawn(box, codec=name)
    for value in VALUES[name]:
        assert rt.send(pid, value)
        assert rt.call_blocking(pid, value) == value
    assert box.wait(2 * len(VALUES[name])) == [v for v in VALUES[name] for _ in range(2)]
    info = rt.actor_info(pid)
    assert info is not None
    assert info.codec == name


def test_raw_is_bytes_as_they_are(rt: Runtime) -> None:
    pid: int = rt.spawn(lambda msg: msg, codec="raw")
    assert rt.call_blocking(pid, b"bytes") == b"bytes"
    info = rt.actor_info(pid)
    assert info is not None
    assert info.codec is None
    with pytest.raises(TypeError, match="bytes-like"):
        rt.send(pid, "text")  # type: ignore[call-overload]


SENDS: dict[str, Callable[[Runtime, Any, Any], Any]] = {
    "send": lambda rt, pid, data: rt.send(pid, data),
    "send_many": lambda rt, pid, data: rt.send_many(pid, [data]) == 1,
    "send_named": lambda rt, pid, data: rt.send_named("orders", data),
    "send_path": lambda rt, pid, data: rt.send_path("/orders", data),
    "send_with_backpressure": lambda rt, pid, data: rt.send_with_backpressure(pid, data)[0],
    "send_after": lambda rt, pid, data: rt.send_after(pid, 0, data),
    "send_interval": lambda rt, pid, data: rt.send_interval(pid, 1, data),
    "call_blocking": lambda rt, pid, data: rt.call_blocking(pid, data) == data,
    "send_async": lambda rt, pid, data: on_a_loop(lambda: rt.send_async(pid, data)),
    "call": lambda rt, pid, data: on_a_loop(lambda: rt.call(pid, data)) == data,
}


def on_a_loop(start: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await start()

    return asyncio.run(main())


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_every_way_to_send_encodes(rt: Runtime, send: Callable[..., Any]) -> None:
    box = Box()
    pid = rt.spawn(box, codec=ORDERS)
    rt.register("orders", pid)
    rt.register_path("/orders", pid)
    assert send(rt, pid, Order("tea", 3))
    assert box.wait(1)[0] == Order("tea", 3)


def test_what_waits_for_a_replacement_is_encoded_too(rt: Runtime, gate: Gate) -> None:
    box = Box()

    def start() -> int:
        return rt.spawn(box, codec=ORDERS)

    pid = start()
    rt.register("orders", pid)
    rt.register_path("/orders", pid)
    backoff: Any = {"initial_ms": 50, "jitter": 0}
    rt.path_supervise_with_factory("/svc", pid, start, "restartone", backoff=backoff)
    rt.send(rt.spawn(gate), b"")
    gate.wait_entered()  # the lane that would run the factory stands still
    rt.kill(pid)
    assert rt.whereis("orders") is None
    assert rt.send_named("orders", Order("tea", 1))
    assert rt.send_path("/orders", Order("tea", 2))
    with pytest.raises(RefusedError):
        rt.send_named("orders", "no order")
    gate.opened.set()
    assert box.wait(2) == [Order("tea", 1), Order("tea", 2)]


def test_bytes_are_asked_of_who_waits_for_a_replacement_and_has_no_codec(rt: Runtime) -> None:
    rt.spawn(Box(), codec=ORDERS)  # so that the runtime knows codecs

    def start() -> int:
        return rt.spawn(lambda msg: None)

    pid = start()
    rt.register("plain", pid)
    backoff: Any = {"initial_ms": 50, "jitter": 0}
    rt.path_supervise_with_factory("/svc", pid, start, "restartone", backoff=backoff)
    rt.kill(pid)
    with pytest.raises(TypeError, match="bytes-like"):
        rt.send_named("plain", Order("tea", 1))  # type: ignore[arg-type]
    assert rt.send_named("plain", b"tea")


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_what_the_codec_refuses_is_not_sent(rt: Runtime, send: Callable[..., Any]) -> None:
    pid = rt.spawn(Box(), codec=ORDERS)
    rt.register("orders", pid)
    rt.register_path("/orders", pid)
    for wrong in (b"tea:3", "tea:3", None, 1):
        with pytest.raises(RefusedError):
            send(rt, pid, wrong)
    m = rt.get_metrics()
    assert (m["attempted"], m["calls"], m["delays"]) == (0, 0, 0)


@pytest.mark.parametrize("result", ["text", None, 1, [1]])
def test_a_codec_must_make_bytes(rt: Runtime, result: Any) -> None:
    class Wrong:
        name = f"test-wrong-{result!r}"

        def encode(self, message: Any, /) -> Any:
            return result

        def decode(self, data: bytes, /) -> Any:
            return data

    pid = rt.spawn(Box(), codec=Wrong())
    with pytest.raises(errors.InvalidType, match="test-wrong"):
        rt.send(pid, 1)
    assert rt.get_metrics()["attempted"] == 0


def test_many_are_checked_before_one_is_sent(rt: Runtime) -> None:
    pid = rt.spawn(Box(), codec=ORDERS)
    with pytest.raises(RefusedError):
        rt.send_many(pid, [Order("a", 1), "wrong"])  # type: ignore[list-item]
    assert rt.get_metrics()["attempted"] == 0


def test_bytes_that_cannot_be_decoded_are_the_actors_crash(rt: Runtime, wait_until: Any) -> None:
    crashes: list[Any] = []
    rt.on_crash(crashes.append)
    pid = rt.spawn(Box(), codec="json")
    buffer, view = rt.allocate_buffer(4)
    view[:] = b"{{{{"
    assert rt.send_buffer(pid, buffer)
    assert rt.join(pid, timeout=30).reason == "crash"
    wait_until(lambda: len(crashes) == 1)
    assert crashes[0].message.startswith("JSONDecodeError")
    check_books(rt)


def test_ctx_sends_calls_and_replies_with_codecs(rt: Runtime) -> None:
    box = Box()
    sink = rt.spawn(box, codec=ORDERS)

    async def relay(msg: Any, ctx: Any) -> None:
        ctx.send(sink, Order(msg, 1))
        back = await ctx.call(sink, Order(msg, 2))
        ctx.reply({"back": back.item, "is_call": ctx.is_call})
        with pytest.raises(RefusedError):
            ctx.send(sink, "wrong")
        with pytest.raises(RefusedError):
            ctx.call(sink, "wrong")

    pid = rt.spawn(relay, codec="json")
    assert rt.call_blocking(pid, "tea") == {"back": "tea", "is_call": True}
    assert box.wait(2) == [Order("tea", 1), Order("tea", 2)]


def test_an_answer_that_the_codec_refuses_fails_the_call_and_the_actor(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: b"no order", codec=ORDERS)
    with pytest.raises(RefusedError):
        rt.call_blocking(pid, Order("tea", 1))
    assert rt.join(pid, timeout=30).reason == "crash"


def test_nothing_returned_is_encoded_like_anything(rt: Runtime) -> None:
    assert rt.call_blocking(rt.spawn(lambda msg: None, codec="json"), 1) is None


def test_pull_actors_receive_and_match_what_was_sent(rt: Runtime) -> None:
    got: list[Any] = []
    done = threading.Event()

    def pull(mailbox: Mailbox[Order]) -> None:
        got.append(mailbox.selective_recv(lambda order: order.n == 2))
        got.append(mailbox.recv())
        question = mailbox.recv()
        assert isinstance(question, CallMessage)
        got.append(question.data)
        with pytest.raises(RefusedError):
            question.reply("wrong")
        question.reply(Order("reply", 9))
        done.set()

    pid = rt.spawn_with_mailbox(pull, codec=ORDERS)
    rt.send_many(pid, [Order("a", 1), Order("a", 2)])
    assert rt.call_blocking(pid, Order("q", 3)) == Order("reply", 9)
    assert done.wait(30)
    assert got == [Order("a", 2), Order("a", 1), Order("q", 3)]


def test_async_pull_actors_too(rt: Runtime) -> None:
    box = Box()

    async def pull(mailbox: Any) -> None:
        async for message in mailbox:
            box(message)

    pid = rt.spawn_with_mailbox(pull, codec="json")
    rt.send_many(pid, [{"n": i} for i in range(3)])
    assert box.wait(3) == [{"n": i} for i in range(3)]


def test_what_a_pull_actor_cannot_decode_is_raised_by_its_receive(rt: Runtime) -> None:
    box = Box()

    def pull(mailbox: Mailbox[Any]) -> None:
        try:
            mailbox.recv()
        except ValueError as e:
            box(type(e).__name__)
        box(mailbox.recv())

    pid = rt.spawn_with_mailbox(pull, codec="json")
    buffer, view = rt.allocate_buffer(1)
    view[:] = b"{"
    rt.send_buffer(pid, buffer)
    rt.send(pid, "next")
    assert box.wait(2) == ["JSONDecodeError", "next"]


def test_children_bounded_virtual_and_swapped_actors_have_codecs(rt: Runtime) -> None:
    parent = rt.spawn(lambda msg: msg)
    pids: list[Any] = [
        rt.spawn_child(parent, lambda msg: [msg], codec="json"),
        rt.spawn_py_handler_bounded(lambda msg: [msg], 1, 5, codec="json"),
        rt.spawn_virtual(lambda msg: [msg], codec="json"),
        rt.spawn(lambda msg: [msg], release_gil=True, codec="json"),
    ]
    for pid in pids:
        assert rt.call_blocking(pid, {"a": 1}) == [{"a": 1}]
        rt.hot_swap(pid, lambda msg: "swapped")
        assert rt.call_blocking(pid, 0) == "swapped"


def test_a_full_mailbox_and_a_dead_pid_are_refusals_still(rt: Runtime, gate: Gate) -> None:
    pid: Any = rt.spawn_py_handler_bounded(lambda msg: gate(b""), 1, 1, codec="json")
    rt.send(pid, 1)
    gate.wait_entered()
    assert rt.send(pid, 2)
    assert not rt.send(pid, 3)
    gate.opened.set()
    rt.stop(pid)
    rt.join(pid, timeout=30)
    assert not rt.send(pid, b"the codec ended with the actor")
    check_books(rt)


def test_who_sends_to_an_actor_that_has_just_ended_is_told_so_and_nothing_else(
    rt: Runtime,
) -> None:
    pid: Any = rt.spawn(Box(), codec=ORDERS)
    rt.stop(pid)
    rt.join(pid, timeout=30)
    order = Order("tea", 1)
    assert rt.send(pid, order) is False
    assert rt.send_many(pid, [order, order]) == 0
    assert rt.send_with_backpressure(pid, order) == (False, "NORMAL")
    assert on_a_loop(lambda: rt.send_async(pid, order)) is False
    for ask in (
        lambda: rt.call_blocking(pid, order),
        lambda: on_a_loop(lambda: rt.call(pid, order)),
        lambda: rt.send_after(pid, 1, order),
        lambda: rt.send_interval(pid, 1, order),
    ):
        with pytest.raises(errors.NoSuchActor):
            ask()
    assert rt.get_metrics()["refused"]["no_such_actor"] >= 5
    with pytest.raises(TypeError, match="bytes-like"):
        rt.send(1, order)  # type: ignore[call-overload]
    check_books(rt)


def test_registration() -> None:
    assert {"raw", "json", "pickle"} <= set(codecs.names())
    codecs.register(ORDERS)
    codecs.register(ORDERS)
    assert codecs.get("test-order") is ORDERS
    with pytest.raises(errors.InvalidArgument, match="test-order"):
        codecs.register(OrderCodec())
    with pytest.raises(errors.InvalidArgument, match="json"):
        codecs.register(type("Other", (OrderCodec,), {"name": "json"})())
    for name in ("", "a\nb", "x" * 300):
        with pytest.raises(errors.InvalidArgument, match="name"):
            codecs.register(type("Other", (OrderCodec,), {"name": name})())
    with pytest.raises(errors.NoSuchCodec, match="nobody"):
        codecs.get("nobody")


def test_a_registered_codec_is_found_by_its_name(rt: Runtime) -> None:
    codecs.register(ORDERS)
    pid: Any = rt.spawn(lambda order: Order(order.item, order.n + 1), codec="test-order")
    assert rt.call_blocking(pid, Order("tea", 1)) == Order("tea", 2)


def test_pickle_says_that_it_is_for_this_process() -> None:
    assert getattr(codecs.get("pickle"), "local_only", False)
    assert not getattr(codecs.get("json"), "local_only", False)


def test_json_is_what_other_languages_read(rt: Runtime) -> None:
    json = codecs.get("json")
    assert json.encode({"ä": [1, 2]}) == '{"ä":[1,2]}'.encode()
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError):
            json.encode(value)
