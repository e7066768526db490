"""OpenTelemetry: handlers that run in the context in which their message was sent.

It needs the package ``opentelemetry-api``. Actors that are not spawned here pay nothing.

```python
from iris import Runtime, telemetry

with Runtime() as rt:
    pid = telemetry.spawn(rt, lambda msg: msg)
```
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from iris import codecs, errors
from iris._support import inspect_handler

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from iris._iris import Context, Runtime
    from iris.codecs import Codec

__all__ = ["spawn"]

# The same stand in lib/telemetry.js: before the length of the carrier (16 bits) and itself, JSON.
_MAGIC = b"\xf1iris+tc"
_HEAD = len(_MAGIC) + 2
_MOST = 0xFFFF


class _Carried:
    """A message and what its sender's context is to the receiver."""

    __slots__ = ("carrier", "message")

    def __init__(self, message: Any, carrier: Mapping[str, str]) -> None:
        self.message = message
        self.carrier = carrier


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
        return (
            _Carried(message, cast("dict[str, str]", carrier))
            if isinstance(carrier, dict)
            else message
        )


_made: dict[str, _Traced] = {}


def _codec(codec: str | Codec[Any]) -> _Traced:
    if isinstance(codec, str):
        codec = codecs.get(codec)
    else:
        codecs.register(codec)
    return _made.setdefault(codec.name, _Traced(codec))


def _enter(message: Any) -> tuple[Any, Any]:
    """The message itself, and the context to be active; nothing: none is."""
    from opentelemetry import propagate
    from opentelemetry.context import Context as TraceContext

    if isinstance(message, _Carried):
        return message.message, propagate.extract(message.carrier, TraceContext())
    return message, TraceContext()


def _sync(handler: Callable[..., object]) -> Callable[[Any, Context], object]:
    from opentelemetry import context

    def traced(message: Any, ctx: Context) -> object:
        message, active = _enter(message)
        token = context.attach(active)
        try:
            return handler(message, ctx)
        finally:
            context.detach(token)

    return traced


def _async(handler: Callable[..., Awaitable[object]]) -> Callable[[Any, Context], object]:
    from opentelemetry import context

    async def traced(message: Any, ctx: Context) -> object:
        message, active = _enter(message)
        token = context.attach(active)
        try:
            return await handler(message, ctx)
        finally:
            context.detach(token)

    return traced


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
    try:
        import opentelemetry.propagate  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as e:
        raise errors.InvalidArgument(
            "iris.telemetry needs opentelemetry-api: pip install opentelemetry-api"
        ) from e
    if not callable(handler):
        raise errors.InvalidType(f"handler must be callable, got {type(handler).__name__}")
    wants_ctx, is_async = inspect_handler(handler)

    def without_ctx(message: Any, _ctx: Context) -> Any:
        return handler(message)

    full = handler if wants_ctx else without_ctx
    traced = _async(full) if is_async else _sync(full)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    return runtime.spawn(traced, budget, release_gil, system=system, codec=_codec(codec))
