import array
import threading
from typing import Any

import pytest
from helpers import Gate, Inbox, check_books, settle
from iris import Context, Runtime


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"view"),
        memoryview(b"xviewx")[1:-1],
        array.array("d", [1.0, 2.0]),
        b"",
        bytearray(),
        b"x" * 22,
        b"x" * 23,
    ],
    ids=lambda d: f"{type(d).__name__}-{len(d)}",
)
def test_handlers_get_bytes_whatever_was_sent(rt: Runtime, inbox: Inbox, data: Any) -> None:
    assert rt.send(rt.spawn(inbox), data) is True
    (got,) = inbox.wait(1)
    assert type(got) is bytes
    assert got == bytes(data)


def test_a_numpy_like_multidimensional_buffer_is_sent_whole(rt: Runtime, inbox: Inbox) -> None:
    grid = memoryview(bytes(range(12))).cast("B", (3, 4))
    rt.send(rt.spawn(inbox), grid)
    assert inbox.wait(1) == [bytes(range(12))]


def test_a_buffer_that_is_not_contiguous_is_refused(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(BufferError, match="contiguous"):
        rt.send(pid, memoryview(b"abcdef")[::2])
    with pytest.raises(BufferError):
        rt.send_many(pid, [b"ok", memoryview(b"abcdef")[::2]])
    settle(rt)
    assert inbox.messages == []


def test_the_sender_may_change_its_buffer_after_send(rt: Runtime, inbox: Inbox) -> None:
    data = bytearray(b"before")
    rt.send(rt.spawn(inbox), data)
    data[:] = b"after!"
    assert inbox.wait(1) == [b"before"]


def test_64_mib_arrive(rt: Runtime, inbox: Inbox) -> None:
    big = bytes(64 << 20)
    assert rt.send(rt.spawn(inbox), big)
    assert inbox.wait(1)[0] == big
    echo = rt.spawn(lambda msg: msg)
    assert rt.call_blocking(echo, big, timeout=60) == big


def test_order_is_kept_for_each_sender(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    senders = [
        threading.Thread(target=lambda k=k: [rt.send(pid, b"%d:%d" % (k, i)) for i in range(2000)])
        for k in range(4)
    ]
    for t in senders:
        t.start()
    for t in senders:
        t.join()
    got = inbox.wait(8000)
    for k in range(4):
        mine = [int(m.split(b":")[1]) for m in got if m.startswith(b"%d:" % k)]
        assert mine == list(range(2000))
    settle(rt)
    assert check_books(rt)["dead"]["crash"] == 0


def test_a_handler_never_runs_inside_send(rt: Runtime) -> None:
    log: list[str] = []
    done = threading.Event()

    def inner(msg: bytes) -> None:
        log.append("inner")
        done.set()

    target = rt.spawn(inner)

    def outer(msg: bytes) -> None:
        rt.send(target, msg)
        log.append("sent")

    rt.send(rt.spawn(outer), b"")
    assert done.wait(30)
    assert log == ["sent", "inner"]


def test_send_many_counts_what_was_taken_and_stops_at_nothing(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 100, 3)
    rt.send(pid, b"runs")
    gate.wait_entered()
    assert rt.send_many(pid, (b"%d" % i for i in range(10))) == 3
    assert rt.send_many(pid, []) == 0
    assert rt.send_many(pid, {b"a": 1}) == 0
    m = rt.get_metrics()
    assert m["refused"]["full"] == 8
    gate.opened.set()
    settle(rt)
    assert gate.handled == [b"runs", b"0", b"1", b"2"]
    check_books(rt)


def test_a_bound_of_one_means_one_message_waiting(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, budget=100, capacity=1)
    assert rt.send(pid, b"runs")
    gate.wait_entered()
    assert rt.send(pid, b"waits")
    assert not rt.send(pid, b"refused")
    assert rt.mailbox_size(pid) == 1
    gate.opened.set()
    settle(rt)
    assert gate.handled == [b"runs", b"waits"]


def test_the_default_capacity_bounds_every_mailbox(gate: Gate) -> None:
    with Runtime(default_capacity=2) as rt:
        pid = rt.spawn(gate)
        rt.send(pid, b"runs")
        gate.wait_entered()
        assert [rt.send(pid, b"") for _ in range(4)] == [True, True, False, False]
        gate.opened.set()


def test_the_mailbox_shrinks_while_a_long_run_goes_on(rt: Runtime) -> None:
    steps = threading.Semaphore(0)
    entered = threading.Semaphore(0)

    def handler(msg: bytes) -> None:
        entered.release()
        assert steps.acquire(timeout=30)

    pid = rt.spawn(handler)
    rt.send_many(pid, [b""] * 5)
    for waiting in (4, 3, 2, 1, 0):
        assert entered.acquire(timeout=30)
        assert rt.mailbox_size(pid) == waiting
        steps.release()


def test_ctx_names_the_sender_and_is_one_object_for_tells(rt: Runtime) -> None:
    seen: list[tuple[Context, int | None, bool]] = []
    done = threading.Event()

    def handler(msg: bytes, ctx: Context) -> None:
        seen.append((ctx, ctx.sender, ctx.is_call))
        if msg == b"last":
            done.set()

    target = rt.spawn(handler)

    def relay(msg: bytes, ctx: Context) -> None:
        assert ctx.runtime is rt
        ctx.send(target, msg)

    middle = rt.spawn(relay)
    rt.send(target, b"")
    rt.call_blocking(target, b"")
    rt.send(middle, b"last")
    assert done.wait(30)
    (a, nobody, _), (b, _, is_call), (c, sender, _) = seen
    assert nobody is None
    assert is_call
    assert sender == middle
    assert a is c
    assert a is not b
    assert a.pid == target


@pytest.mark.parametrize(
    "handler",
    [
        lambda msg, extra=1: None,
        lambda *args: None,
        lambda msg, *, key=1: None,
        [].append,
        print,
        dict,
    ],
    ids=["default", "varargs", "kwonly-default", "builtin", "print", "class"],
)
def test_handlers_with_one_required_argument_get_the_message_alone(
    rt: Runtime, handler: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = rt.spawn(handler)
    rt.send(pid, b"")
    settle(rt)
    assert rt.is_alive(pid)


def test_callable_objects_partials_and_methods_are_handlers(rt: Runtime) -> None:
    import functools

    class Thing:
        def __call__(self, msg: bytes, ctx: Context) -> bytes:
            return b"object"

        def method(self, msg: bytes) -> bytes:
            return b"method"

        @classmethod
        def klass(cls, msg: bytes, ctx: Context) -> bytes:
            return b"klass"

    thing = Thing()
    half = functools.partial(lambda prefix, msg: prefix + msg, b"partial")
    for handler, answer in [
        (thing, b"object"),
        (thing.method, b"method"),
        (Thing.klass, b"klass"),
        (half, b"partial"),
    ]:
        assert rt.call_blocking(rt.spawn(handler), b"") == answer


def test_fairness_an_actor_with_a_long_queue_lets_others_run(rt: Runtime) -> None:
    order: list[str] = []
    go = threading.Event()
    done = threading.Event()
    first = rt.spawn(lambda msg: go.wait(30))
    flood = rt.spawn(lambda msg: order.append("flood"), budget=10)

    def other(msg: bytes) -> None:
        order.append("other")
        done.set()

    late = rt.spawn(other)
    rt.send(first, b"")
    rt.send_many(flood, [b""] * 1000)
    rt.send(late, b"")
    go.set()
    assert done.wait(30)
    assert order.index("other") <= 10


def test_other_threads_run_while_handlers_never_run_out(rt: Runtime) -> None:
    """C handlers offer the GIL to nobody by themselves; the time slice does."""
    stop = threading.Event()
    sink: list[bytes] = []
    pid = rt.spawn(sink.append)
    rt.send_many(pid, [b""] * 300_000)
    ticks = 0
    while not stop.is_set() and rt.mailbox_size(pid):
        ticks += 1
    assert ticks > 0


def test_a_million_sends_before_anything_is_handled(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn(gate)
    rt.send(pid, b"")
    gate.wait_entered()
    send = rt.send
    assert all(send(pid, b"x" * 8) for _ in range(1_000_000))
    assert rt.mailbox_size(pid) == 1_000_000
    rt.stop(pid)
    gate.opened.set()
    assert rt.join(pid).reason == "shutdown"
    assert check_books(rt)["dead"]["shutdown"] == 1_000_000
