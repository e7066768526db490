"""Functions that nobody wrote for the compiler: offloaded they answer, and do, what they do undecorated."""

from __future__ import annotations

import struct
import warnings
from array import array
from collections.abc import Callable
from typing import Any

import iris
import pytest

numpy = pytest.importorskip("numpy")

from offload_strangers import CASES  # type: ignore[import-untyped]  # noqa: E402


def encoded(value: Any) -> Any:
    """A value with all that may not differ: type, bits, shape."""
    kind = type(value)
    if kind is float:
        return ("float", struct.pack("d", value) if value == value else "nan")
    if kind in (list, tuple):
        return (kind.__name__, [encoded(v) for v in value])
    if kind is array:
        return ("array", value.typecode, [encoded(v) for v in value])
    if isinstance(value, numpy.ndarray):
        return (kind.__name__, str(value.dtype), value.shape, repr(value.ravel().tolist()))
    if kind is memoryview:
        try:
            return ("memoryview", value.format, value.shape, value.tobytes())
        except ValueError:
            return ("memoryview", "released")
    return (kind.__name__, repr(value))


def outcome(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Any]:
    """What a call answers or raises, and what became of its arguments."""
    try:
        answer: tuple[str, Any] = ("returned", encoded(func(*args)))
    except Exception as e:
        answer = (type(e).__name__, str(e))
    return answer, [encoded(a) for a in args]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f.__name__ for f, _ in CASES])
def test_it_answers_like_the_undecorated_function(number: int) -> None:
    func, calls = CASES[number]
    offloaded: Any = iris.offload(strategy="jit")(func)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's; the interpreter's own are the same function's
        for call in calls:
            for _ in range(2):
                assert outcome(offloaded, call()) == outcome(func, call()), offloaded.explain()
