"""Each row of docs/jit.md's semantics table: value, type, NaN, sign of zero, exception class."""

from __future__ import annotations

import math
from array import array
from typing import Any

import iris
import pytest
from iris import _iris
from jit_generator import outcome

INF, NAN = math.inf, math.nan
HUGE, LARGE = 10**400, 10**399


def floordiv(a: Any, b: Any) -> Any:
    return a // b


def mod(a: Any, b: Any) -> Any:
    return a % b


def truediv(a: Any, b: Any) -> Any:
    return a / b


def add(a: Any, b: Any) -> Any:
    return a + b


def mul(a: Any, b: Any) -> Any:
    return a * b


def power(a: Any, b: Any) -> Any:
    return a**b


def shl(a: Any, b: Any) -> Any:
    return a << b


def shr(a: Any, b: Any) -> Any:
    return a >> b


def pow2(a: Any, b: Any) -> Any:
    return pow(a, b)


def pow3(a: Any, b: Any, c: Any) -> Any:
    return pow(a, b, c)


def fmod(a: Any, b: Any) -> Any:
    return math.fmod(a, b)


def equal(a: Any, b: Any) -> Any:
    return a == b


def equals_its_float(a: Any) -> Any:
    return a == float(a)


def unequal(a: Any, b: Any) -> Any:
    return a != b


def falling(a: Any, b: Any, c: Any) -> Any:
    return a > b > c


def rising(a: Any, b: Any, c: Any) -> Any:
    return a < b < c


def both(a: Any, b: Any) -> Any:
    return a and b


def either(a: Any, b: Any) -> Any:
    return a or b


def invert(a: Any) -> Any:
    return ~a


def negate(a: Any) -> Any:
    return -a


def negation(a: Any) -> Any:
    return not a


def absolute(a: Any) -> Any:
    return abs(a)


def least(a: Any, b: Any) -> Any:
    return min(a, b)


def most(a: Any, b: Any) -> Any:
    return max(a, b)


def rounded(a: Any) -> Any:
    return round(a)


def rounded_to(a: Any, n: Any) -> Any:
    return round(a, n)


def integer(a: Any) -> Any:
    return int(a)


def root(a: Any) -> Any:
    return math.sqrt(a)


def logarithm(a: Any) -> Any:
    return math.log(a)


def exponential(a: Any) -> Any:
    return math.exp(a)


def total(a: Any) -> Any:
    return sum(a)


def item(a: Any, i: Any) -> Any:
    return a[i]


def last_index(n: Any) -> Any:
    i = -1
    for i in range(n):
        pass
    return i


def unbound(n: Any) -> Any:
    for i in range(n):
        pass
    return i


def deep(n: Any) -> Any:
    return 0 if n == 0 else 1 + deep(n - 1)


ROWS: list[tuple[Any, tuple[Any, ...]]] = [
    *[
        (floordiv, a)
        for a in [(-7, 2), (7, -2), (-7.5, 2), (-1e-20, 1), (INF, 1), (1, 0), (1.0, 0.0)]
    ],
    *[(floordiv, a) for a in [(-(2**63), -1), (True, 2), (0.0, -1.0), (5, 0.5)]],
    *[
        (mod, a)
        for a in [(-7, 2), (7, -2), (-7.5, 2), (5.0, -3.0), (-0.0, 5.0), (0.0, -5.0), (1e-20, -1)]
    ],
    *[(mod, a) for a in [(1, 0), (1.0, 0.0), (-(2**63), -1), (INF, 2.0), (2.0, INF), (-2.0, INF)]],
    *[
        (truediv, a)
        for a in [(1, 0), (1.0, 0.0), (HUGE, 1), (HUGE, LARGE), (2**53 + 1, 1), (True, 2)]
    ],
    *[(add, a) for a in [(2**63 - 1, 1), (True, True), (1, 0.5), (0.0, -0.0)]],
    *[(mul, a) for a in [(1e308, 10), (2**62, 2), (-(2**63), -1), (0, -1.0)]],
    *[
        (power, a)
        for a in [(2, -1), (0, 0), (0.0, 0), (0, -1), (0.0, -1.0), (-2.0, 0.5), (2.0, 1024)]
    ],
    *[
        (power, a)
        for a in [(3, 40), (3, 41), (-2.0, 3.0), (NAN, 0), (1.0, NAN), (-1.0, INF), (2, 63)]
    ],
    *[(shl, a) for a in [(1, 64), (1, -1), (0, 100), (-1, 63), (1, 63), (True, 3), (1.0, 2)]],
    *[(shr, a) for a in [(-1, 70), (-5, 1), (5, -1), (2**62, 61)]],
    *[(pow2, a) for a in [(2, 10), (2.0, -1), (2, -1)]],
    *[(pow3, a) for a in [(2, -1, 7), (-3, 3, 5)]],
    *[(fmod, a) for a in [(-7, 2), (1.0, 0.0), (INF, 1.0), (1.0, INF)]],
    *[(equal, a) for a in [(NAN, NAN), (2**53 + 1, 2.0**53), (1, True), (None, None), (None, 1)]],
    (equals_its_float, (2**53 + 1,)),
    (unequal, (NAN, NAN)),
    *[(falling, a) for a in [(3, 2, 2), (3, 2, 1)]],
    *[(rising, a) for a in [(1, 2, 3), (1, NAN, 3)]],
    *[(both, a) for a in [(5, 0), (0.0, 1), (-0.0, 1)]],
    *[(either, a) for a in [(0, "x"), (0, 2.5), (NAN, 1)]],
    *[(invert, a) for a in [(True,), (5,), (1.5,)]],
    *[(negate, a) for a in [(True,), (0.0,), (0,), (-(2**63),)]],
    *[(negation, a) for a in [(NAN,), (0,), (-0.0,)]],
    *[(absolute, a) for a in [(-(2**63),), (-0.0,), (True,), (-5,)]],
    *[(least, a) for a in [(NAN, 1), (1, NAN), (0.0, -0.0), (1, 1.0), (1.0, 1)]],
    *[(most, a) for a in [(-0.0, 0.0), (NAN, 1), (1, 2.5)]],
    *[(rounded, a) for a in [(2.5,), (-2.5,), (0.5,), (NAN,), (INF,), (1e300,), (7,), (True,)]],
    *[(rounded_to, a) for a in [(2.675, 2), (1234, -2)]],
    *[(integer, a) for a in [(-2.7,), (NAN,), (INF,), (1e30,), (True,)]],
    *[(root, a) for a in [(-1,), (4,), (NAN,), (INF,), (-0.0,)]],
    *[(logarithm, a) for a in [(0,), (-1.0,), (10,), (INF,)]],
    *[(exponential, a) for a in [(1000,), (-1000,), (1,)]],
    *[
        (total, a)
        for a in [([0.1] * 10,), (array("d", [0.1] * 10),), (array("q", [2**62, 2**62]),)]
    ],
    *[(item, (array("d", [1.0, 2.0]), i)) for i in (0, 1, -1, -2, 2, -3, True, 1.0)],
    *[(last_index, a) for a in [(0,), (3,), (-1,)]],
    *[(unbound, a) for a in [(0,), (3,)]],
    *[(deep, a) for a in [(10,), (500,), (100_000,)]],
]


@pytest.mark.parametrize("interpret", [False, True], ids=["native", "interpreted"])
@pytest.mark.parametrize(
    ("function", "args"), ROWS, ids=[f"{f.__name__}-{i}" for i, (f, _) in enumerate(ROWS)]
)
def test_an_offloaded_function_answers_like_the_plain_one(
    function: Any, args: tuple[Any, ...], interpret: bool
) -> None:
    _iris.jit_interpret(interpret)
    try:
        offloaded = iris.offload(function)
        first, again = outcome(offloaded, args), outcome(offloaded, args)
    finally:
        _iris.jit_interpret(False)
    assert first == again == outcome(function, args)


def test_the_middle_of_a_chain_is_evaluated_once() -> None:
    count = 0

    def middle(value: Any) -> Any:
        nonlocal count
        count += 1
        return value

    @iris.offload
    def chain(a: int, c: int) -> bool:
        return a < middle(5) < c

    assert chain(1, 9) is True
    assert count == 1
