"""Codecs: how messages that are no bytes become bytes, and back.

An actor that is spawned with a codec gets decoded messages, and whoever sends to it gives what its
codec encodes: `rt.spawn(handler, codec="json")`. Built in are ``raw`` (bytes as they are, the
default), ``json`` and ``pickle``.
"""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from iris import errors

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Codec", "get", "names", "register"]

T = TypeVar("T")


class Codec(Protocol[T]):
    """What turns messages into bytes and back; any object with these three members.

    What `encode` raises is raised by whoever sends, and nothing is sent. What `decode` raises
    counts as raised by the handler.
    """

    @property
    def name(self) -> str:
        """The codec's name, the same in every process and language that speaks it."""
        ...

    def encode(self, message: T, /) -> Buffer:
        """A message, or a reply, as bytes."""
        ...

    def decode(self, data: bytes, /) -> T:
        """The message that some bytes stand for."""
        ...


class _Raw:
    name = "raw"

    def encode(self, message: Buffer, /) -> Buffer:
        return message

    def decode(self, data: bytes, /) -> bytes:
        return data


class _Json:
    """JSON as every language reads it: UTF-8, no NaN, no infinities."""

    name = "json"
    _encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
    _decode = json.JSONDecoder().decode

    def encode(self, message: Any, /) -> bytes:
        return self._encode(message).encode()

    def decode(self, data: bytes, /) -> Any:
        return self._decode(data.decode())


class _Pickle:
    """Whatever pickle takes; for actors of this process alone, as unpickling runs code."""

    name = "pickle"
    local_only = True

    def encode(self, message: Any, /) -> bytes:
        return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)

    def decode(self, data: bytes, /) -> Any:
        return pickle.loads(data)


_lock = threading.Lock()
_codecs: dict[str, Codec[Any]] = {c.name: c for c in (_Raw(), _Json(), _Pickle())}


def register(codec: Codec[Any]) -> None:
    """Make a codec known by its name, in this process.

    A codec that carries ``local_only = True`` is refused for actors of other nodes.

    Args:
        codec: The codec. The same one again is fine.

    Raises:
        InvalidType: It lacks a name, `encode` or `decode`.
        InvalidArgument: Another codec has the name, or the name is none.
    """
    name: Any = getattr(codec, "name", None)
    if not isinstance(name, str) or not all(
        callable(getattr(codec, part, None)) for part in ("encode", "decode")
    ):
        raise errors.InvalidType(
            f"a codec must have a name (str), encode(message) and decode(data); {codec!r} does not"
        )
    if not 0 < len(name.encode("utf-8", "replace")) <= 255 or not name.isprintable():
        raise errors.InvalidArgument(
            f"a codec's name must be 1 to 255 printable bytes, got {name!r}"
        )
    with _lock:
        held = _codecs.setdefault(name, codec)
    if held is not codec:
        raise errors.InvalidArgument(f"another codec has the name {name!r}; give this one its own")


def get(name: str) -> Codec[Any]:
    """The codec of a name.

    Args:
        name: The name.

    Returns:
        The codec.

    Raises:
        NoSuchCodec: Nobody has registered it in this process.
    """
    try:
        return _codecs[name]
    except KeyError:
        raise errors.NoSuchCodec(
            f"no codec {name!r} is registered here; there are {', '.join(names())}. "
            "iris.codecs.register makes one known"
        ) from None


def names() -> list[str]:
    """The names of all codecs that are known here."""
    return sorted(_codecs)


def resolve(
    codec: str | Codec[Any],
) -> tuple[str, bool, Callable[[Any], Buffer], Callable[[bytes], Any]] | None:
    """What ``codec=`` means: None for bytes, or the name, whether it is local, the functions."""
    if isinstance(codec, str):
        codec = get(codec)
    else:
        register(codec)
    if codec.name == "raw":
        return None
    return codec.name, bool(getattr(codec, "local_only", False)), codec.encode, codec.decode
