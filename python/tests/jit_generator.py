"""Random Python functions for the differential tests of offload: statements and expressions, from a seed."""

from __future__ import annotations

import linecache
import math
import random
import re
from collections.abc import Callable
from typing import Any

EDGE_FLOATS = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -7.5, 1e-20, -1e-20, 5e-324, 1e308,
    -1e308, 2.0**53, 2.0**63, -(2.0**63), 1e25, math.inf, -math.inf, math.nan, 0.1, 1e16, 700.0,
]  # fmt: skip
EDGE_INTS = [
    0, 1, -1, 2, -2, 3, 5, -7, 10, 31, 62, 63, 64, 65, 2**31, 2**53, 2**53 + 1, -(2**53) - 1,
    2**63 - 1, -(2**63), 2**63 - 2, 3_037_000_500, 100,
]  # fmt: skip
BINARY = ["+", "-", "*", "/", "//", "%", "+", "-", "*"]
RARE = ["**", "<<", ">>", "&", "|", "^"]
COMPARE = ["<", "<=", ">", ">=", "==", "!="]
MATH1 = ["sin", "cos", "exp", "sqrt", "log", "tanh", "floor", "ceil", "trunc", "fabs", "isnan"]


class Generator:
    """Writes one function; all of it follows from the random numbers it is given."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names = ["x", "y", "z"]
        self.loops = 0
        self.lines: list[str] = []

    def literal(self) -> str:
        r = self.rng
        if r.random() < 0.5:
            return repr(r.choice([0, 1, 2, 3, -1, 7, 10, 64, 2**53, 2**62]))
        return repr(r.choice([0.0, 0.5, 1.0, 2.0, -1.5, 1e-3, 1e10, 3.25]))

    def expr(self, depth: int) -> str:
        r = self.rng
        if depth <= 0 or r.random() < 0.15:
            return r.choice(self.names) if r.random() < 0.75 else self.literal()
        kind = r.randrange(17)
        a = self.expr(depth - 1)
        if kind < 7:
            return f"({a} {r.choice(BINARY)} {self.expr(depth - 1)})"
        if kind == 7:
            op = r.choice(RARE)
            # An exponent or a shift that is itself computed could ask for gigabytes of digits.
            right = self.small(op) if op in ("**", "<<") else self.expr(depth - 1)
            return f"({a} {op} {right})"
        if kind == 8:
            return f"(-{a})" if r.random() < 0.7 else f"(~{a})"
        if kind == 9:
            return f"({self.condition(depth - 1)})"
        if kind == 10:
            return f"({a} if {self.condition(depth - 1)} else {self.expr(depth - 1)})"
        if kind == 11:
            return f"({a} {r.choice(['and', 'or'])} {self.expr(depth - 1)})"
        if kind == 12:
            name = r.choice(["abs", "int", "float", "bool", "round"])
            return f"{name}({a})"
        if kind == 13:
            if r.random() < 0.2:
                return f"pow({a}, {self.small('**')})"
            return f"{r.choice(['min', 'max'])}({a}, {self.expr(depth - 1)})"
        if kind == 14:
            return f"math.{r.choice(MATH1)}({a})"
        if kind == 15:
            inner = re.sub(r"\bx\b", "k", self.expr(1)) if r.random() < 0.5 else f"k * {a}"
            return f"{r.choice(['sum', 'max', 'min', 'any', 'all'])}({inner} for k in range({r.randrange(5)}))"
        return f"helper({a}, {self.expr(depth - 1)})"

    def small(self, op: str) -> str:
        if op == "<<":
            return self.rng.choice(["1", "3", "31", "62", "64", "-1"])
        return self.rng.choice(["2", "2", "3", "0", "1", "-1", "0.5", "2.5"])

    def condition(self, depth: int) -> str:
        r = self.rng
        kind = r.randrange(6)
        if kind < 3:
            return f"{self.expr(depth)} {r.choice(COMPARE)} {self.expr(depth)}"
        if kind == 3:
            a, b = r.choice(COMPARE), r.choice(COMPARE)
            return f"{self.expr(depth - 1)} {a} {self.expr(depth - 1)} {b} {self.expr(depth - 1)}"
        if kind == 4:
            return f"not {self.expr(depth)}"
        return self.expr(depth)

    def block(self, indent: int, depth: int) -> None:
        for _ in range(self.rng.randrange(1, 3 if self.loops else 4)):
            self.statement(indent, depth)

    def put(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def statement(self, indent: int, depth: int) -> None:
        r = self.rng
        kind = r.randrange(12)
        if kind < 4 or depth <= 0:
            name = r.choice(["x", "y", "a", "b", "c"])
            text = self.expr(2)
            if name in self.names and r.random() < 0.4:
                self.put(indent, f"{name} {r.choice(['+', '-', '*'])}= {text}")
            else:
                self.put(indent, f"{name} = {text}")
                if indent == 1 and name not in self.names:
                    self.names.append(name)
        elif kind < 6:
            self.put(indent, f"if {self.condition(2)}:")
            self.block(indent + 1, depth - 1)
            if r.random() < 0.5:
                self.put(indent, "else:")
                self.block(indent + 1, depth - 1)
        elif kind < 9 and self.loops < 2:
            self.loops += 1
            target = r.choice(["i", "j"])
            start = r.choice(["", "1, ", "-3, "])
            step = r.choice(["", "", ", 2", ", -1"]) if start else ""
            self.put(indent, f"for {target} in range({start}{r.randrange(4)}{step}):")
            had = target in self.names
            if not had:
                self.names.append(target)
            self.block(indent + 1, depth - 1)
            if r.random() < 0.4:
                self.put(indent + 1, f"if {self.condition(1)}:")
                self.put(indent + 2, r.choice(["break", "continue", "break"]))
                self.block(indent + 1, 0)
            if r.random() < 0.25:
                self.put(indent, "else:")
                self.block(indent + 1, 0)
            if not had and r.random() < 0.8:
                self.names.remove(target)
        elif kind == 9 and self.loops < 2:
            self.loops += 1
            self.put(indent, f"n{self.loops} = 0")
            self.put(indent, f"while n{self.loops} < {r.randrange(5)}:")
            self.put(indent + 1, f"n{self.loops} += 1")
            self.block(indent + 1, depth - 1)
        elif kind == 10:
            self.put(indent, f"x, y = {self.expr(2)}, {self.expr(2)}")
        else:
            self.put(indent, f"if {self.condition(1)}:")
            self.put(indent + 1, f"return {self.expr(2)}")

    def function(self, name: str) -> str:
        self.put(0, f"def {name}(x, y, z):")
        self.block(1, 2)
        result = self.expr(3)
        self.put(
            1,
            f"return ({result}, {self.expr(1)})" if self.rng.random() < 0.1 else f"return {result}",
        )
        return "\n".join(self.lines) + "\n"

    def formula(self, name: str) -> str:
        """A function that is one expression of what has a form for lanes, mostly."""
        return f"def {name}(x, y, z):\n    return {self.term(4)}\n"

    def term(self, depth: int) -> str:
        r = self.rng
        if depth == 0 or r.random() < 0.1:
            return r.choice(["x", "y", "z", "x", "y", "0.5", "2.0", "-1.25", "3", "1e-3"])
        a = self.term(depth - 1)
        kind = r.randrange(16)
        if kind < 8:
            return f"({a} {r.choice(['+', '-', '*', '+', '-', '*', '/'])} {self.term(depth - 1)})"
        if kind == 12:
            return f"{r.choice(['min', 'max'])}({a} * 1.0, {self.term(depth - 1)} + 0.5)"
        if kind == 13:
            test = f"{self.term(1)} {r.choice(COMPARE)} {self.term(1)}"
            return f"({a} * 1.0 if {test} else {self.term(depth - 1)} - 0.25)"
        if kind == 14:
            return f"(int({a}) {r.choice(['//', '%', '&', '|', '^', '>>', '<<'])} {r.choice('1234567')})"
        if kind == 15:
            return f"({a} {r.choice(COMPARE)} {self.term(depth - 1)})"
        if kind == 8:
            return f"(-{a})"
        if kind == 9:
            return f"abs({a})"
        if kind == 10:
            return f"math.sqrt({a} * {a})"
        return f"math.fabs({a})"


HELPER = """def helper(p, q):
    if p > q:
        return p - q
    return q * 2
"""


def formulas(seed: int, count: int) -> tuple[str, dict[str, Callable[..., Any]]]:
    """`count` functions of one expression each."""
    rng = random.Random(seed)
    parts = ["import math\n"]
    parts += [Generator(random.Random(rng.getrandbits(64))).formula(f"f{i}") for i in range(count)]
    return load(f"<jit-formulas-{seed}>", parts, count)


def module(seed: int, count: int) -> tuple[str, dict[str, Callable[..., Any]]]:
    """`count` functions from a seed, with their source."""
    rng = random.Random(seed)
    parts = ["import math\n", HELPER]
    parts += [Generator(random.Random(rng.getrandbits(64))).function(f"f{i}") for i in range(count)]
    return load(f"<jit-generated-{seed}>", parts, count)


def load(filename: str, parts: list[str], count: int) -> tuple[str, dict[str, Callable[..., Any]]]:
    """Compiles source whose lines `inspect` finds."""
    source = "\n".join(parts)
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    space: dict[str, Any] = {"__name__": "jit_generated"}
    exec(compile(source, filename, "exec"), space)
    return source, {f"f{i}": space[f"f{i}"] for i in range(count)}


def value(rng: random.Random, kind: type) -> int | float | bool:
    """An argument of a type: an edge value, mostly."""
    if kind is bool:
        return rng.random() < 0.5
    if rng.random() < 0.3:
        return rng.uniform(-100, 100) if kind is float else rng.randrange(-20, 20)
    return rng.choice(EDGE_FLOATS) if kind is float else rng.choice(EDGE_INTS)


def inputs(rng: random.Random, signatures: int, each: int) -> list[tuple[int | float | bool, ...]]:
    """Arguments of a few combinations of types: each combination is a compilation."""
    found: list[tuple[int | float | bool, ...]] = []
    for _ in range(signatures):
        kinds = [rng.choice([float, float, int, int, bool]) for _ in range(3)]
        found += [tuple(value(rng, kind) for kind in kinds) for _ in range(each)]
    return found


def outcome(call: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call gives, so that equal means: same value, type, NaN, sign of zero, exception class."""
    try:
        return ("value", *spell(call(*args)))
    except Exception as e:
        return ("raises", type(e).__name__)


def spell(v: Any) -> tuple[Any, ...]:
    if isinstance(v, tuple | list):
        return (type(v).__name__, *[spell(item) for item in v])
    if type(v) is float:
        return ("float", "nan" if v != v else v.hex())
    return (type(v).__name__, repr(v) if type(v) is not int or v.bit_length() < 4000 else hash(v))
