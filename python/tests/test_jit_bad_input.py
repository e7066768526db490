"""Bad input of `offload(strategy='jit')`: the right answer, the right exception, or a clear reason at decoration."""

from __future__ import annotations

import asyncio
import builtins
import functools
import inspect
import math
import os
import signal
import sys
import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import iris
import numpy
import pytest

jit: Any = iris.offload(strategy="jit")


def outcome(func: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    try:
        value = func(*args, **kwargs)
    except BaseException as e:
        return (type(e).__name__, str(e))
    return ("returned", type(value).__name__, repr(value))


def same(func: Callable[..., Any], offloaded: Callable[..., Any], *args: Any, **kw: Any) -> None:
    for _ in range(3):
        assert outcome(offloaded, *args, **kw) == outcome(func, *args, **kw)


# --- what it is made of: a reason at once, and Python's answer ----------------------------------------


def from_exec() -> Any:
    space: dict[str, Any] = {}
    exec("def f(x): return x * 2", space)
    return space["f"]


async def coroutine(x: int) -> int:
    return x + 1


def generator(x: int) -> Iterator[int]:
    yield x


def with_star(*xs: int) -> int:
    return sum(xs)


def with_kwargs(**xs: int) -> int:
    return sum(xs.values())


def keyword_only(x: int, *, k: int = 2) -> int:
    return x * k


def logged(func: Any) -> Any:
    @functools.wraps(func)
    def inner(*args: Any) -> Any:
        return func(*args) + 1000

    return inner


def double(x: Any) -> Any:
    return x * 2


class Called:
    def __call__(self, x: Any) -> Any:
        return x * 7


class Methods:
    k = 3

    def bound(self, x: Any) -> Any:
        return x * self.k


def prints(x: Any) -> Any:
    print(end="")
    return x


def catches(x: Any) -> Any:
    try:
        return 1 / x
    except ZeroDivisionError:
        return 0


def slices(x: Any) -> Any:
    return x[1:]


def formats(x: Any) -> str:
    return f"{x}"


def writes_global(x: Any) -> Any:
    global written
    written = x
    return x


written: Any = None

REASONS: list[tuple[Any, tuple[Any, ...], str]] = [
    (from_exec(), (3,), "source is not available"),
    (eval("lambda x: x + 5"), (3,), "source is not available"),
    (len, ([1],), "builtin_function_or_method is not a Python function"),
    (math.sin, (1.0,), "is not a Python function"),
    (str.upper, ("a",), "is not a Python function"),
    (functools.partial(double, 3), (), "partial is not a Python function"),
    (Called(), (3,), "is not a Python function"),
    (Methods().bound, (3,), "is not a Python function"),
    (functools.lru_cache(double), (3,), "is not a Python function"),
    (int, ("5",), "is not a Python function"),
    (with_star, (1, 2), r"\*args, \*\*kwargs and keyword-only"),
    (with_kwargs, (), r"\*args, \*\*kwargs and keyword-only"),
    (keyword_only, (3,), r"\*args, \*\*kwargs and keyword-only"),
    (logged(double), (3,), r"\*args, \*\*kwargs and keyword-only"),
    (prints, (3,), "print|keyword arguments"),
    (catches, (0,), "Try does not compile"),
    (slices, ([1, 2],), "slice does not compile"),
    (formats, (3,), "JoinedStr does not compile"),
    (writes_global, (3,), "outer scope does not compile"),
]


@pytest.mark.parametrize(("func", "args", "reason"), REASONS, ids=[repr(r[0]) for r in REASONS])
def test_what_does_not_compile_says_why_and_runs_as_it_is(
    func: Any, args: tuple[Any, ...], reason: str
) -> None:
    offloaded = jit(func)
    first = offloaded.explain()
    assert ": python: " in first
    assert __import__("re").search(reason, first), first
    same(func, offloaded, *args)


@pytest.mark.parametrize(
    "bad", [5, None, "x", [1], property(double), functools.cached_property(double)]
)
def test_what_is_no_function_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="offload takes a function, not"):
        jit(bad) if bad is not None else iris.offload(strategy="jit")(bad)


def test_coroutines_and_generators_stay_what_they_are() -> None:
    assert inspect.iscoroutinefunction(jit(coroutine))
    assert inspect.isgeneratorfunction(jit(generator))
    assert asyncio.run(jit(coroutine)(1)) == 2
    assert list(jit(generator)(1)) == [1]
    assert "coroutine function" in jit(coroutine).explain()
    assert "generator function" in jit(generator).explain()


def test_descriptors_and_decorators() -> None:
    class Klass:
        k = 3

        @jit
        def method(self, x: Any) -> Any:
            return x * self.k

        @staticmethod
        @jit
        def inside(x: Any) -> Any:
            return x * 2

        @jit
        @staticmethod
        def outside(x: Any) -> Any:
            return x * 2

        @classmethod
        @jit
        def of_class(cls, x: Any) -> Any:
            return x * cls.k

        @jit
        @classmethod
        def of_class_too(cls, x: Any) -> Any:
            return x * cls.k

        @property
        @jit
        def three(self) -> Any:
            return self.k

        length = jit(len)

        @jit
        def __add__(self, x: Any) -> Any:
            return x + 10

    k = Klass()
    found = [
        k.method(2),
        Klass.method(k, 2),
        k.inside(2),
        Klass.inside(2),
        k.outside(2),
        Klass.outside(2),
    ]
    found += [
        k.of_class(2),
        Klass.of_class_too(2),
        k.of_class_too(2),
        k.three,
        k.length([1]),
        k + 2,
    ]
    assert found == [6, 6, 4, 4, 4, 4, 6, 6, 6, 3, 1, 12]
    assert logged(jit(double))(2) == 1004
    assert functools.partial(jit(double), 2)() == 4


def with_defaults(x: Any, y: Any = 2.0, /, z: Any = 1) -> Any:
    """Doc."""
    return x * y + z


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, 3), {}),
    ((1, 2, 3, 4), {}),
    ((1,), {"z": 3}),
    ((1,), {"y": 3}),
    ((1, 2), {"x": 3}),
    ((), {"x": 1}),
    ((1, 2, 3), {"z": 3}),
    ((1,), {"q": 3}),
    ((10**400, 1), {}),
    ((1, 10**400), {}),
    (("ab", 2), {"z": "c"}),
    ((None,), {}),
    ((True, True, True), {}),
    ((numpy.float64(2.5),), {}),
    ((numpy.int64(3), 2), {}),
    ((1j,), {}),
]


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    same(with_defaults, jit(with_defaults), *args, **kwargs)


def test_metadata_is_the_functions() -> None:
    offloaded = jit(with_defaults)
    assert inspect.signature(offloaded) == inspect.signature(with_defaults)
    assert (offloaded.__name__, offloaded.__doc__) == ("with_defaults", "Doc.")
    assert offloaded.__code__ is with_defaults.__code__
    assert offloaded.__defaults__ == (2.0, 1)
    assert offloaded.__kwdefaults__ is None


# --- what changes between calls ----------------------------------------------------------------------


def test_globals_and_closures_of_any_value() -> None:
    def make() -> tuple[Any, Any]:
        n: Any = 1

        def inner(x: Any) -> Any:
            return x + n

        def change(v: Any) -> None:
            nonlocal n
            n = v

        return inner, change

    inner, change = make()
    offloaded = jit(inner)
    for value in (1, 2.5, 10**30, "x", None, True, -0.0, math.nan):
        change(value)
        same(inner, offloaded, 1)


def helper(x: Any) -> Any:
    return x + 1


def helper_with_default(x: Any, y: Any = 3) -> Any:
    return x * y


def calls_helper(x: Any) -> Any:
    return helper(x) * 2


def calls_helper_with_default(x: Any) -> Any:
    return helper_with_default(x)


def test_helpers_that_change(monkeypatch: pytest.MonkeyPatch) -> None:
    offloaded = jit(calls_helper)
    same(calls_helper, offloaded, 3)
    for other in (lambda x: x - 5, math.sqrt, Called(), abs, jit(double), 5, None):
        monkeypatch.setitem(globals(), "helper", other)
        same(calls_helper, offloaded, 4)
    monkeypatch.delitem(globals(), "helper")
    same(calls_helper, offloaded, 4)
    monkeypatch.setitem(globals(), "helper", double)
    original = double.__code__
    try:
        double.__code__ = (lambda x: x - 1).__code__
        same(calls_helper, offloaded, 4)
    finally:
        double.__code__ = original
    same(calls_helper, offloaded, 4)


def test_defaults_of_helpers_that_change() -> None:
    offloaded = jit(calls_helper_with_default)
    original = helper_with_default.__defaults__
    try:
        for defaults in ((3,), (7,), (2.5,), (None,), None, ("a",), (3,)):
            helper_with_default.__defaults__ = defaults
            same(calls_helper_with_default, offloaded, 2)
    finally:
        helper_with_default.__defaults__ = original


def test_its_own_code_and_defaults_that_change() -> None:
    def changing(x: Any, y: Any = 2) -> Any:
        return x * y

    offloaded: Any = jit(changing)
    same(changing, offloaded, 3)
    for defaults in ((10,), None, ("a",)):
        changing.__defaults__ = defaults
        same(changing, offloaded, 3)
    replacements: list[Any] = [
        lambda x, y: x - y,
        lambda x, y, z: x - y - z,
        lambda x, y=1: x - y,
        lambda *a: a,
        lambda y, x: x - y,
    ]
    for replacement in replacements:
        changing.__code__ = replacement.__code__
        for args in ((3,), (3, 1), (3, 1, 1)):
            same(changing, offloaded, *args)
        same(changing, offloaded, 3, y=1)


def uses_builtins(x: Any) -> Any:
    return abs(x) + max(x, 2)


def uses_math(x: Any) -> Any:
    return math.sin(x) * math.pi


def test_built_ins_and_math_that_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    offloaded = jit(uses_builtins)
    same(uses_builtins, offloaded, -3)
    monkeypatch.setitem(globals(), "abs", lambda x: 42)
    same(uses_builtins, offloaded, -3)
    monkeypatch.undo()
    same(uses_builtins, offloaded, -3)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "max", lambda *a, **k: -1)
        found = offloaded(-3)
    assert found == 2
    same(uses_builtins, offloaded, -3)
    offloaded = jit(uses_math)
    same(uses_math, offloaded, 1.0)
    for name, value in (("pi", 3), ("sin", lambda x: 5)):
        with monkeypatch.context() as patch:
            patch.setattr(math, name, value)
            same(uses_math, offloaded, 1.0)
        same(uses_math, offloaded, 1.0)


# --- recursion, buffers, running long -----------------------------------------------------------------


def deep(n: int) -> int:
    return 0 if n == 0 else 1 + deep(n - 1)


def test_the_recursion_limit_is_the_interpreters() -> None:
    offloaded = jit(deep)
    frames = len(inspect.stack())
    limit = sys.getrecursionlimit()
    for n in (10, limit - frames - 60, limit - frames + 5, limit * 5):
        assert outcome(offloaded, n) == outcome(deep, n)


def total(a: Any) -> Any:
    s = 0
    for i in range(len(a)):
        s += a[i]
    return s


def fill(a: Any, d: int) -> Any:
    for i in range(len(a)):
        a[i] = a[i] + 1
    return 1 // d


def product(a: Any) -> Any:
    return a[0] * a[1]


BUFFERS: list[Callable[[], Any]] = [
    lambda: numpy.arange(4).astype(">f8"),
    lambda: numpy.arange(4).astype(">i4"),
    lambda: numpy.arange(8.0)[::2],
    lambda: numpy.arange(4.0)[::-1],
    lambda: numpy.arange(4).astype("f2"),
    lambda: numpy.arange(4).astype("c16"),
    lambda: numpy.arange(6.0).reshape(2, 3),
    lambda: numpy.array(2.5),
    lambda: numpy.array([]),
    lambda: numpy.array([True, False]),
    lambda: numpy.broadcast_to(numpy.array([1.0]), (4,)),
    lambda: memoryview(array("d", [1.0, 2.0, 3.0]))[::-1],
    lambda: memoryview(b"abc"),
    lambda: memoryview(b"abc").cast("c"),
    lambda: memoryview(bytes(6)).cast("B", (2, 3)),
    lambda: array("Q", [2**64 - 1, 1]),
    lambda: array("b", [127, 0]),
    lambda: array("u", "ab"),
    lambda: [1, 2.5],
    lambda: (1, 2),
    lambda: range(3),
    lambda: b"abc",
    lambda: "abc",
    lambda: {0: 1},
]


@pytest.mark.parametrize("make", BUFFERS)
def test_buffers_of_every_kind(make: Callable[[], Any]) -> None:
    same(total, jit(total), make())
    for divisor in (1, 0):
        one, other = make(), make()
        assert outcome(jit(fill), one, divisor) == outcome(fill, other, divisor)
        assert repr(one) == repr(other) or isinstance(one, memoryview)
        if not isinstance(one, dict | str | int):
            assert list(one) == list(other) if getattr(one, "ndim", 1) == 1 else True


def test_what_numpy_tells_about_floats_is_told() -> None:
    offloaded = jit(product)
    for pair in ([1e308, 1e308], [1e-308, 1e-308], [math.inf, 0.0], [1.0, 2.0]):
        for state in ("warn", "raise", "ignore"):
            with numpy.errstate(all=state):  # type: ignore[call-overload]
                same(product, offloaded, numpy.array(pair))


def spin(flag: Any) -> int:
    n = 0
    while flag[0] == 0:
        n += 1
    return 1


def test_a_buffer_that_is_lent_cannot_be_resized() -> None:
    flag = array("b", [0])
    offloaded = jit(spin)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(offloaded(flag)))
    thread.start()
    while True:
        try:
            flag.append(0)
        except BufferError:
            break
    flag[0] = 1
    thread.join()
    assert answers == [1]
    flag.append(1)


def endless(x: int) -> int:
    while True:
        x = x + 1 if x < 10 else 0


def endless_writer(a: Any) -> None:
    while True:
        a[0] = a[0] + 1


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another event there")
@pytest.mark.parametrize(("func", "arg"), [(endless, 1), (endless_writer, array("d", [0.0]))])
def test_ctrl_c_ends_an_endless_loop(func: Any, arg: Any) -> None:
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        jit(func)(arg)
    timer.join()
    if func is endless_writer:
        assert arg[0] > 0


def test_what_was_written_before_an_exception_stays_and_is_written_once() -> None:
    for make in (
        lambda: array("q", [0] * 5),
        lambda: numpy.zeros(5),
        lambda: array("d", [0.0] * 5),
    ):
        a = make()
        with pytest.raises(ZeroDivisionError):
            jit(fill)(a, 0)
        assert list(a) == [1] * 5


def scaled(x: Any, by: Any = 2, plus: Any = 1) -> Any:
    return x * by + plus


def positional_only(x: Any, y: Any = 2, /) -> Any:
    return x * y


def in_order(a: Any) -> Any:
    return scaled(a, by=3) + scaled(a, by=a, plus=2) + scaled(x=a)


def out_of_order(a: Any) -> Any:
    return scaled(a, plus=(b := a + 1), by=b)


def wrong_name(a: Any) -> Any:
    return scaled(a, nothing=1)  # type: ignore[call-arg]


def given_twice(a: Any) -> Any:
    return scaled(a, x=1)  # type: ignore[misc]


def not_by_name(a: Any) -> Any:
    return positional_only(a, y=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("func", [in_order, out_of_order, wrong_name, given_twice, not_by_name])
def test_keyword_arguments_of_helpers(func: Any) -> None:
    offloaded = jit(func)
    for value in (3, 2.5, True, -0.0, 10**30, "a", None):
        same(func, offloaded, value)
    assert ("-> int: native" in offloaded.explain()) == (func is in_order)
