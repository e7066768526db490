"""OpenTelemetry contexts through send and call, with the real API."""

import asyncio
import queue
from typing import Any

import pytest
from iris import Runtime, errors, telemetry
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

tracer = TracerProvider().get_tracer("test")


def active() -> int:
    return trace.get_current_span().get_span_context().span_id


def test_send_and_call_carry_the_context(rt: Runtime) -> None:
    seen: queue.Queue[tuple[str, bytes, int]] = queue.Queue()

    def last(msg: bytes) -> bytes:
        seen.put(("last", msg, active()))
        return b"answer"

    last_pid = telemetry.spawn(rt, last)

    def first(msg: bytes, ctx: Any) -> bytes:
        seen.put(("first", msg, active()))
        rt.send(last_pid, msg)
        return b"done"

    first_pid = telemetry.spawn(rt, first)
    with tracer.start_as_current_span("outer") as span:
        expected = span.get_span_context().span_id
        assert rt.call_blocking(first_pid, b"inside") == b"done"
        assert rt.call_blocking(last_pid, b"called") == b"answer"
    assert rt.call_blocking(first_pid, b"outside") == b"done"
    got = [seen.get() for _ in range(5)]
    assert got == [
        ("first", b"inside", expected),
        ("last", b"inside", expected),
        ("last", b"called", expected),
        ("first", b"outside", 0),
        ("last", b"outside", 0),
    ]


def test_an_async_handler_keeps_it_over_await() -> None:
    async def main() -> None:
        async with Runtime() as rt:

            async def handler(msg: bytes) -> bytes:
                await asyncio.sleep(0)
                return str(active()).encode()

            with tracer.start_as_current_span("spawning"):
                pid = telemetry.spawn(rt, handler)
            with tracer.start_as_current_span("outer") as span:
                reply = await rt.call(pid, b"x")
                assert reply == str(span.get_span_context().span_id).encode()
            assert await rt.call(pid, b"x") == b"0"

    asyncio.run(main())


def test_messages_and_codecs_are_what_they_are(rt: Runtime) -> None:
    echo = telemetry.spawn(rt, lambda msg: msg)
    ours = b"\xf1iris+tc\x09\x09x"
    listed = telemetry.spawn(rt, lambda msg: [msg, active()], codec="json")
    with tracer.start_as_current_span("outer") as span:
        for message in (b"", b"x", ours, b"y" * 100_000):
            assert rt.call_blocking(echo, message) == message
        expected = span.get_span_context().span_id
        assert rt.call_blocking(listed, {"a": 1}) == [{"a": 1}, expected]
    assert rt.call_blocking(echo, ours) == ours


def test_wrong_handlers_are_refused(rt: Runtime) -> None:
    with pytest.raises(errors.InvalidType):
        telemetry.spawn(rt, 1)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgument):
        telemetry.spawn(rt, lambda: None)


def test_a_runtime_with_tracing_carries_the_context_for_all() -> None:
    seen: queue.Queue[tuple[str, int]] = queue.Queue()
    with Runtime(tracing=True) as rt:

        def note(name: str) -> Any:
            return lambda msg: seen.put((name, active()))

        def reply(msg: bytes, ctx: Any) -> None:
            ctx.reply(b"<%s>" % msg)

        plain = rt.spawn(note("plain"))
        parent = rt.spawn(lambda msg: None)
        actors = [
            plain,
            rt.spawn_py_handler_bounded(note("bounded"), 10, 10),
            rt.spawn_virtual(note("virtual"), 10),
            rt.spawn_child(parent, note("child")),
        ]
        replier = rt.spawn(reply)
        with tracer.start_as_current_span("outer") as span:
            expected = span.get_span_context().span_id
            assert all(rt.send(pid, b"x") for pid in actors)
            assert rt.call_blocking(replier, b"r") == b"<r>"
        names = ["bounded", "child", "plain", "virtual"]
        assert sorted(seen.get(timeout=30) for _ in actors) == [(n, expected) for n in names]
        rt.hot_swap(plain, note("swapped"))
        with tracer.start_as_current_span("outer") as span:
            rt.send(plain, b"x")
            assert seen.get(timeout=30) == ("swapped", span.get_span_context().span_id)
        rt.send(plain, b"x")
        assert seen.get(timeout=30) == ("swapped", 0)


def test_async_handlers_of_a_runtime_with_tracing_do_not_mix_contexts() -> None:
    async def main() -> None:
        async with Runtime(tracing=True) as rt:

            async def handler(msg: bytes) -> bytes:
                before = active()
                await asyncio.sleep(0)
                return b"%d %d" % (before, active())

            pids = [rt.spawn(handler) for _ in range(20)]
            calls = []
            ids = []
            for pid in pids:
                with tracer.start_as_current_span("one") as span:
                    ids.append(span.get_span_context().span_id)
                    calls.append(asyncio.ensure_future(rt.call(pid, b"x")))
            replies = await asyncio.gather(*calls)
            assert replies == [b"%d %d" % (i, i) for i in ids]

    asyncio.run(main())


@pytest.mark.parametrize("tracing", [1, "yes", None])
def test_tracing_is_a_bool(tracing: Any) -> None:
    with pytest.raises(errors.InvalidType):
        Runtime(tracing=tracing)
