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
