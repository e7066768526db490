"""The works of offload: one function, run by iris, numba, numpy or plain Python.

Each figure is the median of repeated runs of the same call, in the unit that people quote: ns a
call, ms an array of n elements. `offload-first` is what the first call of a new function costs.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from array import array
from collections.abc import Callable
from typing import Any

from common import emit, least_seconds, now

WORKS = ("scalar", "sincos", "square", "rational", "recurrence", "first", "first-array")


def hypotenuse(x: float, y: float, z: float) -> float:
    """The scalar call: the example of README.md."""
    return (x * x + y * y + z * z) ** 0.5


def sincos(x: float, y: float, z: float) -> float:
    """Bound by libm."""
    return math.sin(x) * math.cos(y) + math.sqrt(z) - 1.5


def square(x: float) -> float:
    """Bound by memory."""
    return x * x


def rational(x: float) -> float:
    """Ten operations."""
    return (x * x * 0.5 + x * 3.0 - 1.25) / (x * x * 0.25 + x * 1.5 + 2.0)


def recurrence(x: float, n: int) -> float:
    """Each step needs the one before."""
    for _ in range(n):
        x = x * 0.999999 + 0.5
    return x


def inputs(name: str, n: int) -> list[Any]:
    """The arguments of a work: the same numbers for every system."""
    if name == "scalar":
        return [1.5, 2.5, 3.5]
    if name == "recurrence":
        return [1.0, n]
    make = random.Random(7)
    count = 3 if name == "sincos" else 1
    return [array("d", [make.random() * 10.0 for _ in range(n)]) for _ in range(count)]


FUNCTIONS: dict[str, Callable[..., float]] = {
    "scalar": hypotenuse,
    "sincos": sincos,
    "square": square,
    "rational": rational,
    "recurrence": recurrence,
}


def with_iris(name: str, args: list[Any]) -> tuple[Callable[..., Any], list[Any]]:
    """The function itself, offloaded. Arrays are numpy's where there is numpy, as for numba."""
    import iris

    return iris.offload(strategy="jit")(FUNCTIONS[name]), as_numpy(args)


def with_numba(name: str, args: list[Any]) -> tuple[Callable[..., Any], list[Any]]:
    """`njit`, and `vectorize` with lazy types for the array works: one thread, as it comes."""
    import numba

    if isinstance(args[0], float):
        return numba.njit(FUNCTIONS[name]), args
    return numba.vectorize(FUNCTIONS[name]), as_numpy(args)


def with_numpy(name: str, args: list[Any]) -> tuple[Callable[..., Any], list[Any]]:
    """What one writes with numpy."""
    import numpy as np

    if name == "sincos":
        return lambda x, y, z: np.sin(x) * np.cos(y) + np.sqrt(z) - 1.5, as_numpy(args)
    return FUNCTIONS[name], as_numpy(args)


def with_python(name: str, args: list[Any]) -> tuple[Callable[..., Any], list[Any]]:
    """The function in a comprehension."""
    function = FUNCTIONS[name]
    if isinstance(args[0], float):
        return function, args
    return lambda *columns: [function(*row) for row in zip(*columns, strict=True)], args


def as_numpy(args: list[Any]) -> list[Any]:
    """Arrays as numpy arrays, where there is numpy."""
    try:
        import numpy as np
    except ImportError:
        return args
    return [np.array(a) if isinstance(a, array) else a for a in args]


SYSTEMS = {"iris": with_iris, "numba": with_numba, "numpy": with_numpy, "python": with_python}


def calls(function: Callable[..., Any], args: list[Any]) -> float:
    """Seconds a call, of calls that a Python loop makes; the loop itself is taken off."""
    a, b, c = args
    count = 20_000
    function(a, b, c)
    took = []
    spent = 0.0
    while spent < least_seconds() or len(took) < 5:
        start = now()
        for _ in range(count):
            pass
        middle = now()
        for _ in range(count):
            function(a, b, c)
        end = now()
        took.append(((end - middle) - (middle - start)) / count)
        spent += end - start
    return statistics.median(took)


def runs(function: Callable[..., Any], args: list[Any]) -> float:
    """Seconds a run, the first one left out."""
    function(*args)
    took = []
    spent = 0.0
    while spent < least_seconds() or len(took) < 3:
        start = now()
        function(*args)
        took.append(now() - start)
        spent += took[-1]
    return statistics.median(took)


def first(system: str, work: str) -> float:
    """Seconds from the decorator to the first answer, everything imported before."""
    name, size = ("scalar", 0) if work == "first" else ("rational", 1000)
    wrap = SYSTEMS[system]
    args = inputs(name, size)
    # The import is not the function's.
    if system == "iris":
        import iris  # noqa: F401
    elif system == "numba":
        import numba  # noqa: F401
    args = as_numpy(args)
    start = now()
    function, _ = wrap(name, args)
    function(*args)
    return now() - start


def run(system: str, work: str, n: int) -> None:
    """Measure and print."""
    name = work.removeprefix("offload-")
    if system not in SYSTEMS or name not in WORKS:
        sys.exit(f"offload.py: no work {work!r} of {system!r}")
    if name.startswith("first"):
        emit("ms", first(system, name) * 1e3, "ms")
        return
    function, args = SYSTEMS[system](name, inputs(name, n))
    if name == "scalar":
        emit("ns", calls(function, args) * 1e9, "ns")
    else:
        emit("ms", runs(function, args) * 1e3, "ms")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
