"""Quantum speculation: off by default; measured, decided, dropped; the same answers whichever way runs.

Costs are injected by the name of the way: no test here looks at a clock.
"""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import iris
import pytest
from iris import _iris

jit: Any = iris.offload(strategy="jit")


@pytest.fixture(autouse=True)
def _quantum() -> Iterator[None]:
    iris.set_quantum_speculation(True)
    yield
    iris.set_quantum_speculation(False)
    _iris.jit_costs(None)


def ways(function: Any, at: int = 0) -> dict[str, tuple[bool, str, int, int, int | None]]:
    return {name: tuple(rest) for name, *rest in function._report()["variants"][at]["ways"]}


def poly(x: Any) -> Any:
    return x * x + 3 * x - 1


@pytest.mark.parametrize(("costs", "best"), [((10, 50), "native"), ((50, 10), "python")])
def test_the_cheapest_way_of_a_scalar_call_runs(costs: tuple[int, int], best: str) -> None:
    _iris.jit_costs(dict(zip(("native", "python"), costs, strict=True)))
    offloaded = jit(poly)
    assert [offloaded(i) for i in range(200)] == [poly(i) for i in range(200)]
    standing = ways(offloaded)
    assert [name for name, way in standing.items() if way[0]] == [best]
    assert {name: way[4] for name, way in standing.items()} == {
        "native": costs[0],
        "python": costs[1],
    }
    assert standing[best][2] == 1
    assert standing[best][3] > 100
    text = offloaded.explain()
    assert f"{best}: runs; {min(costs)} ns; 1 wins" in text
    assert "native: kept; 50 ns" in text or "python: dropped; 50 ns" in text


def test_python_is_not_tried_where_native_code_takes_long() -> None:
    _iris.jit_costs({"native": 5_000_000, "python": 1})
    offloaded = jit(poly)
    assert [offloaded(i) for i in range(100)] == [poly(i) for i in range(100)]
    assert ways(offloaded)["python"][3] == 0


MAPS = [
    ({"lanes": 10, "one by one": 5}, 1_000, "one by one"),
    ({"lanes": 5, "one by one": 10}, 1_000, "lanes"),
    (
        {
            "lanes, threads": 9,
            "lanes, one thread": 8,
            "one by one, threads": 7,
            "one by one, one thread": 6,
        },
        1 << 18,
        "one by one, one thread",
    ),
    (
        {
            "lanes, threads": 5,
            "lanes, one thread": 8,
            "one by one, threads": 7,
            "one by one, one thread": 6,
        },
        1 << 18,
        "lanes, threads",
    ),
]


@pytest.mark.parametrize(("costs", "count", "best"), MAPS)
def test_the_cheapest_way_of_a_map_runs(costs: dict[str, int], count: int, best: str) -> None:
    _iris.jit_costs(costs)
    offloaded = jit(poly)
    source = array("d", range(count))
    expected = array("d", map(poly, source))
    for _ in range(36):
        assert offloaded(source) == expected
    _iris.jit_settle()  # what was asked for in the background is there now
    for _ in range(8 * len(costs) + 4):
        assert offloaded(source) == expected
    standing = ways(offloaded)
    assert [name for name, way in standing.items() if way[0]] == [best], standing
    assert {name: way[4] for name, way in standing.items()} == costs


def test_hot_functions_compile_new_types_in_the_background() -> None:
    offloaded = jit(poly)
    for i in range(40):
        offloaded(i)
    offloaded(2.5)  # hot by now: Python answers, and a job is on its way
    text = offloaded.explain()
    assert "1 calls ran in Python: a specialisation that compiles in the background" in text
    assert "(float)" not in text
    _iris.jit_settle()
    assert offloaded(2.5) == poly(2.5)
    assert "(float) -> float: native" in offloaded.explain()


def test_exceptions_and_big_ints_are_the_same_in_each_way() -> None:
    def divide(a: Any, b: Any) -> Any:
        return a // b

    for costs in ({"native": 1, "python": 9}, {"native": 9, "python": 1}):
        _iris.jit_costs(costs)
        offloaded = jit(divide)
        for i in range(120):
            assert offloaded(i, 3) == i // 3
            assert offloaded(-(2**63), -1) == 2**63
            with pytest.raises(ZeroDivisionError, match="integer division or modulo by zero"):
                offloaded(i, 0)


def test_off_by_default_and_set_by_the_environment() -> None:
    code = "import iris; print(iris.get_quantum_speculation())"
    for value, expected in (("", "False"), ("0", "False"), ("1", "True")):
        env = {**os.environ, "IRIS_JIT_QUANTUM": value}
        found = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True
        )
        assert found.stdout.strip() == expected, found.stderr


def test_nothing_is_measured_while_it_is_off() -> None:
    iris.set_quantum_speculation(False)
    offloaded = jit(poly)
    for i in range(100):
        offloaded(i)
    assert ways(offloaded) == {}
