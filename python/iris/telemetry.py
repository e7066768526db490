"""OpenTelemetry: handlers that run in the context in which their message was sent.

It needs the package ``opentelemetry-api``. ``Runtime(tracing=True)`` spawns all its push and
virtual actors so; without it those that `spawn` spawns. Others pay nothing.

```python
from iris import Runtime, telemetry

with Runtime() as rt:
    pid = telemetry.spawn(rt, lambda msg: msg)
```
"""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from iris import codecs, errors
from iris._iris import PySystemMessage
from iris._support import inspect_handler

if TYPE_CHECKING:
    from opentelemetry.context import Context as TraceContext
    from typing_extensions import Buffer

    from iris._iris import Context, Runtime
    from iris.codecs import Codec

__all__ = ["spawn"]

# The same stand in lib/telemetry.js: before the length of the carrier (16 bits) and itself, JSON.
_MAGIC = b"\xf1iris+tc"
_HEAD = len(_MAGIC) + 2
_MOST = 0xFFFF


class _Arrived(threading.local):
    """The carrier of the message that this thread has decoded last, until its handler is called."""

    carrier: Mapping[str, str] | None = None


_arrived = _Arrived()


class _Traced:
    """A codec with the sender's context beside each message."""

    def __init__(self, inner: Codec[Any]) -> None:
        self.name = f"traced+{inner.name}"
        self.local_only = bool(getattr(inner, "local_only", False))
        self._inner = inner

    def encode(self, message: Any, /) -> Buffer:
        from opentelemetry import propagate

        data = self._inner.encode(message)
        raw = data.encode() if isinstance(data, str) else bytes(data)
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        # One that looks like ours says that it has none.
        if not carrier and not raw.startswith(_MAGIC):
            return raw
        text = json.dumps(carrier, separators=(",", ":")).encode() if carrier else b""
        if len(text) > _MOST:
            text = b""
        return b"".join((_MAGIC, len(text).to_bytes(2, "little"), text, raw))

    def decode(self, data: bytes, /) -> Any:
        _arrived.carrier = None
        if len(data) < _HEAD or not data.startswith(_MAGIC):
            return self._inner.decode(data)
        start = _HEAD + int.from_bytes(data[len(_MAGIC) : _HEAD], "little")
        if start > len(data):
            return self._inner.decode(data)
        message = self._inner.decode(data[start:])
        try:
            carrier: Any = json.loads(data[_HEAD:start]) if start > _HEAD else None
        except ValueError:
            carrier = None
        if isinstance(carrier, dict):
            # For the handler, which this thread calls next; who decodes a reply leaves it.
            _arrived.carrier = cast("dict[str, str]", carrier)
        return message


_made: dict[str, _Traced] = {}


def _codec(codec: str | Codec[Any]) -> _Traced:
    if isinstance(codec, str):
        codec = codecs.get(codec)
    else:
        codecs.register(codec)
    return _made.setdefault(codec.name, _Traced(codec))


def _sender(message: Any) -> TraceContext:
    """The context in which this message was sent; an empty one if it was sent in none."""
    from opentelemetry import propagate
    from opentelemetry.context import Context as TraceContext

    carrier, _arrived.carrier = _arrived.carrier, None
    # What the runtime itself tells went through no codec.
    if carrier is None or isinstance(message, PySystemMessage):
        return TraceContext()
    return propagate.extract(carrier, TraceContext())


def _sync(handler: Callable[..., object]) -> Callable[[Any, Context], object]:
    from opentelemetry import context

    def traced(message: Any, ctx: Context) -> object:
        token = context.attach(_sender(message))
        try:
            return handler(message, ctx)
        finally:
            context.detach(token)

    return traced


async def _shape(message: Any, ctx: Context) -> object:
    """What iris is to take an `_AsyncHandler` for."""


class _AsyncHandler:
    """An ``async def`` handler; the context is taken when it is called, before its first step."""

    def __init__(self, handler: Callable[..., Awaitable[object]]) -> None:
        self._handler = handler
        self.__wrapped__ = _shape

    def __call__(self, message: Any, ctx: Context) -> Awaitable[object]:
        return self._run(message, ctx, _sender(message))

    async def _run(self, message: Any, ctx: Context, active: TraceContext) -> object:
        from opentelemetry import context

        token = context.attach(active)
        try:
            return await self._handler(message, ctx)
        finally:
            context.detach(token)


def check_installed() -> None:
    """Raise InvalidArgument unless the package ``opentelemetry-api`` can be imported."""
    try:
        import opentelemetry.propagate  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as e:
        raise errors.InvalidArgument(
            "tracing needs opentelemetry-api: pip install opentelemetry-api"
        ) from e


def wrap(handler: Callable[..., object]) -> Callable[[Any, Context], object]:
    """Wrap a handler of a traced actor: it runs in the context of who sends."""
    if not callable(handler):
        raise errors.InvalidType(f"handler must be callable, got {type(handler).__name__}")
    wants_ctx, is_async = inspect_handler(handler)

    def without_ctx(message: Any, _ctx: Context) -> Any:
        return handler(message)

    full = handler if wants_ctx else without_ctx
    return _AsyncHandler(full) if is_async else _sync(full)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def traced(
    handler: Callable[..., object], codec: str | Codec[Any] | None
) -> tuple[Callable[..., object], Codec[Any]]:
    """Answer what is spawned instead of a handler with a codec."""
    if isinstance(codec, _Traced):
        return handler, codec
    return wrap(handler), _codec("raw" if codec is None else codec)


def spawn(
    runtime: Runtime,
    handler: Callable[..., object],
    budget: int = 100,
    release_gil: bool = False,
    *,
    system: bool = False,
    codec: str | Codec[Any] = "raw",
) -> int:
    """Spawn an actor whose handler runs in the OpenTelemetry context of who sends to it.

    Whatever is sent or called within a context carries it by the global propagator (W3C
    ``traceparent`` by default); what is sent where none is active is handled in none.

    Args:
        runtime: Where the actor is to live.
        handler: As for `Runtime.spawn`, ``def`` or ``async def``.
        budget: As for `Runtime.spawn`.
        release_gil: As for `Runtime.spawn`.
        system: As for `Runtime.spawn`.
        codec: As for `Runtime.spawn`.

    Returns:
        The pid of the actor.

    Raises:
        InvalidArgument: ``opentelemetry-api`` is not installed, or as for `Runtime.spawn`.
        InvalidType: As for `Runtime.spawn`.
    """
    check_installed()
    handler, made = traced(handler, codec)
    return runtime.spawn(handler, budget, release_gil, system=system, codec=made)
