"""`iris.offload`: functions at native speed that answer like the undecorated ones.

See docs/jit.md. The native half is `src/python/jit.rs`; names are resolved here.
"""

from __future__ import annotations

import builtins
import functools
import math
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, cast, overload

from iris import _iris, _source, errors

P = ParamSpec("P")
R = TypeVar("R")

_RETURN_TYPES = ("float", "int", "bool", "tuple", "list", "array", "None")
_BUILTINS = {
    name: getattr(builtins, name)
    for name in (
        *("abs", "all", "any", "bool", "divmod", "float", "int", "len", "max", "min", "pow"),
        *("range", "round", "sum"),
    )
}
_CONSTANTS = {name: getattr(math, name) for name in ("pi", "e", "tau", "inf", "nan")}
_MATH = {
    name: getattr(math, name)
    for name in (
        *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh"),
        *("acosh", "atanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "erf"),
        *("erfc", "sqrt", "fabs", "floor", "ceil", "trunc", "copysign", "isnan", "isinf"),
        *("isfinite", "degrees", "radians", "fmod", "pow"),
    )
    if hasattr(math, name)
}
_LIBM = (
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh"),
    *("acosh", "atanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "erf"),
    *("erfc", "pow"),
)
_SAMPLES = (0.5, -0.5, 1.5, 1e-3, 0.9999, 3.7, -2.25, 17.125, 1e5, 123456.789, 1e-300, 700.1)
_trusted: dict[str, bool] = {}


def _same_libm(name: str) -> bool:
    """Whether the interpreter's function and ours have the same bits; asked once a name."""
    if name not in _LIBM:
        return True
    if name not in _trusted:
        own = _MATH[name]
        same = True
        for x in _SAMPLES:
            args = (x, 1.25) if name in ("atan2", "pow") else (x,)
            try:
                expected = own(*args)
            except (ValueError, OverflowError):
                continue
            same = same and expected == _iris.jit_libm(name, args[0], args[-1])
        _trusted[name] = same
    return _trusted[name]


class _Resolver:
    """Finds out what the names of a function and of all that it calls mean."""

    def __init__(self) -> None:
        self.functions: list[tuple[str, dict[str, tuple[str, str]], list[tuple[str, str]]]] = []
        self.guards: list[tuple[list[object], str, object]] = []
        self.hidden: list[tuple[list[object], str]] = []
        self.parsed: list[_source.Parsed] = []
        self.numbers: dict[tuple[int, str], str] = {}
        self.index: dict[types.FunctionType, int] = {}
        self.cells: list[dict[str, types.FunctionType]] = []

    def add(self, func: types.FunctionType) -> int:
        if func in self.index:
            return self.index[func]
        if len(self.index) >= 32:
            raise _source.Unsupported("it calls too many functions")
        number = self.index[func] = len(self.functions)
        parsed = _source.parse(func)
        # Reloaders (IPython's autoreload) put new code into the old function.
        self.guards.append(([func], "__code__", func.__code__))
        self.functions.append(("", {}, []))
        self.parsed.append(parsed)
        self.cells.append({})
        names: dict[str, tuple[str, str]] = {}
        own = {*parsed.params, *parsed.locals}
        for name in parsed.names:
            if name in own and name not in func.__code__.co_freevars:
                continue
            entry = self.entry(func, name, number)
            if entry is not None:
                names[name] = entry
        tree = parsed.tree(self.cells[number])
        self.functions[number] = (tree, names, self.defaults(func, number))
        return number

    def entry(self, func: types.FunctionType, name: str, number: int) -> tuple[str, str] | None:
        places, value = _look_up(func, name)
        if places is None:
            return None
        if value is None:
            self.guards.append((places, _key(func, name), value))
            return ("none", "")
        if type(value) in (int, float, bool):
            key = (id(places[0]), name)
            if key not in self.numbers:
                self.numbers[key] = str(len(self.hidden))
                self.hidden.append((places, _key(func, name)))
            return ("number", self.numbers[key])
        for known, function in _BUILTINS.items():
            if value is function:
                self.guards.append((places, _key(func, name), value))
                return ("builtin", known)
        if value is math:
            self.guards.append((places, _key(func, name), value))
            for attribute in self.used_of_math(number, name):
                self.guards.append(([math], attribute, getattr(math, attribute)))
                original = _MATH.get(attribute, _CONSTANTS.get(attribute))
                if original is not None and getattr(math, attribute) is not original:
                    raise _source.Unsupported(f"`math.{attribute}` was replaced")
                if not _same_libm(attribute):
                    raise _source.Unsupported(f"`math.{attribute}` is not libm's here")
            return ("module", "math")
        for known, function in _MATH.items():
            if value is function:
                if not _same_libm(known):
                    raise _source.Unsupported(f"`math.{known}` is not libm's here")
                self.guards.append((places, _key(func, name), value))
                return ("math", known)
        called = _function_of(value)
        if called is not None:
            self.guards.append((places, _key(func, name), value))
            try:
                index = self.add(called)
            except _source.Unsupported as e:
                raise _source.Unsupported(f"`{name}`, which it calls: {e}") from None
            self.cells[number][name] = called
            return ("function", str(index))
        return None

    def used_of_math(self, number: int, name: str) -> list[str]:
        import ast

        node = self.parsed[number].node
        return sorted(
            {
                child.attr
                for child in ast.walk(node)
                if isinstance(child, ast.Attribute)
                and isinstance(child.value, ast.Name)
                and child.value.id == name
                and hasattr(math, child.attr)
            }
        )

    def defaults(self, func: types.FunctionType, number: int) -> list[tuple[str, str]]:
        """Defaults of helpers, as numbers that are looked up at each call."""
        found: list[tuple[str, str]] = []
        if number == 0:
            return found  # the face binds the entry's arguments
        self.guards.append(([func], "__defaults__", func.__defaults__))
        for at, value in enumerate(func.__defaults__ or ()):
            if value is None:
                found.append(("none", ""))
            elif type(value) in (int, float, bool):
                holder = types.SimpleNamespace(value=value)
                self.hidden.append(([holder], "value"))
                found.append(("number", str(len(self.hidden) - 1)))
            else:
                name = func.__code__.co_varnames[at]
                raise _source.Unsupported(f"the default of `{name}` is no number")
        return found

    def fallback(self, func: types.FunctionType) -> Callable[..., Any]:
        """What runs in Python: where functions call each other, copies that call the copies."""
        if not any(self.cells):
            return func
        made: dict[types.FunctionType, types.FunctionType] = {}
        boxes: dict[types.FunctionType, Callable[..., Any]] = {f: f for f in self.index}
        for called, number in self.index.items():
            try:
                made[called] = _source.rebuild(
                    self.parsed[number], {n: boxes[f] for n, f in self.cells[number].items()}
                )
            except (SyntaxError, ValueError, TypeError):
                return func
        for called, number in self.index.items():
            copy = made[called]
            for name, cell in zip(copy.__code__.co_freevars, copy.__closure__ or (), strict=True):
                target = self.cells[number].get(name)
                if target is not None:
                    cell.cell_contents = made[target]
        return made[func]


def _key(func: types.FunctionType, name: str) -> str:
    return "cell_contents" if name in func.__code__.co_freevars else name


def _look_up(func: types.FunctionType, name: str) -> tuple[list[object] | None, object]:
    if name in func.__code__.co_freevars:
        cell = (func.__closure__ or ())[func.__code__.co_freevars.index(name)]
        try:
            return [cell], cell.cell_contents
        except ValueError:
            return None, None
    builtin = func.__globals__.get("__builtins__", builtins)
    space = cast("dict[str, object]", builtin if isinstance(builtin, dict) else vars(builtin))
    if name in func.__globals__:
        return [func.__globals__, space], func.__globals__[name]
    if name in space:
        return [func.__globals__, space], space[name]
    return None, None


def _function_of(value: object) -> types.FunctionType | None:
    if isinstance(value, types.FunctionType):
        return value
    if isinstance(value, _iris.JitFunction):
        wrapped = getattr(value, "__wrapped__", None)
        return wrapped if isinstance(wrapped, types.FunctionType) else None
    return None


def resolve(params: list[str], func: Any) -> tuple[Any, ...]:
    """What the native half needs to know of a function; last, why it does not compile."""
    resolver = _Resolver()
    reason = None
    fallback = func
    try:
        if not isinstance(func, types.FunctionType):
            raise _source.Unsupported(f"{type(func).__name__} is not a Python function")
        if _params(func) != params:
            raise _source.Unsupported("its code was replaced by one with other parameters")
        resolver.add(func)
        fallback = resolver.fallback(func)
    except _source.Unsupported as e:
        reason = str(e)
    except RecursionError:
        reason = "its source is nested too deeply"
    except Exception as e:
        reason = f"its source could not be read: {type(e).__name__}: {e}"
    compensated = sys.version_info >= (3, 12)
    return (
        resolver.functions,
        resolver.guards,
        resolver.hidden,
        fallback,
        compensated,
        reason,
    )


# --- maps ----------------------------------------------------------------------------------------


def new_like(model: Any, container: str, code: str, count: int) -> Any:
    """A container like `model` for `count` results: `d` floats, `q` ints, `?` bools."""
    if container == "numpy":
        numpy = sys.modules["numpy"]
        return numpy.empty(
            model.shape, {"d": numpy.float64, "q": numpy.int64, "?": numpy.bool_}[code]
        )
    from array import array

    made = array("b" if code == "?" else code, bytes((1 if code == "?" else 8) * count))
    if container == "array":
        return made
    view: Any = memoryview(made)
    return view.cast("B").cast(code) if count else view


def compact(array: Any) -> Any:
    """A copy without gaps, in the machine's byte order, of an array that a map reads; or None."""
    if type(array).__name__ == "ndarray" and array.ndim and array.dtype.kind in "biuf":
        return sys.modules["numpy"].ascontiguousarray(array, array.dtype.newbyteorder("="))
    if type(array) is memoryview and array.ndim == 1 and array.format in tuple("bBhHiIlLqQfd?"):
        view: Any = memoryview(array.tobytes())
        return view.cast(array.format) if len(array) else array
    return None


def map_elements(
    func: Callable[..., Any], args: Sequence[Any], arrays: Sequence[bool], first: int
) -> Any:
    """The map, element by element in Python: what native code is measured against."""
    columns = [_elements(a) if is_array else None for a, is_array in zip(args, arrays, strict=True)]
    count = len(columns[first] or ())
    results = [
        func(*[a if c is None else c[i] for a, c in zip(args, columns, strict=True)])
        for i in range(count)
    ]
    kinds = set(map(type, results))
    code = "?" if kinds == {bool} else "q" if kinds <= {int, bool} and kinds else "d"
    if not kinds <= {int, bool, float}:
        odd = next(iter(kinds - {int, bool, float}))
        raise TypeError(f"an array cannot hold a result of type {odd.__name__}")
    model = args[first]
    name = type(model).__name__
    container = "numpy" if name == "ndarray" else "array" if name == "array" else "memoryview"
    made = new_like(model, container, code, count)
    flat = made.reshape(-1) if container == "numpy" else made
    for i, value in enumerate(results):
        flat[i] = float(value) if code == "d" else value
    return made


def _elements(array: Any) -> list[Any]:
    if type(array).__name__ == "ndarray":
        return cast("list[Any]", array.reshape(-1).tolist())
    return cast("list[Any]", array.tolist())


def ignores_underflow() -> bool:
    """Whether numpy's error state is such that only results that are not finite are told."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is None or numpy.geterr()["under"] == "ignore"


# --- the decorator -------------------------------------------------------------------------------


@overload
def offload(fn: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def offload(
    fn: None = None, /, *, strategy: str = "jit", return_type: str | None = None, **options: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def offload(
    fn: Callable[P, R] | None = None,
    /,
    *,
    strategy: str = "jit",
    return_type: str | None = None,
    **options: Any,
) -> Any:
    """Runs a function at native speed (`jit`) or on a pool of the core's actors (`actor`).

    The decorated function never answers differently from the undecorated one: same value, same
    type, same exception. What does not compile runs in Python, and `fn.explain()` says why.

    Args:
        fn: The function, where the decorator is used without parentheses.
        strategy: `"jit"` or `"actor"`.
        return_type: What the function returns, for readers and for `explain()`: `"float"`,
            `"int"`, `"bool"`, `"tuple"`, `"list"`, `"array"` or `"None"`. It converts nothing.
        options: Options of the strategy `"actor"`.

    Raises:
        InvalidArgument: The strategy, the return type or an option is unknown.
        InvalidType: `fn` is not callable.
    """
    if strategy not in ("jit", "actor"):
        raise errors.InvalidArgument(f"strategy must be 'jit' or 'actor', got {strategy!r}")
    if return_type is not None and return_type not in _RETURN_TYPES:
        known = ", ".join(map(repr, _RETURN_TYPES))
        raise errors.InvalidArgument(f"return_type must be one of {known}, got {return_type!r}")

    def decorate(func: Any) -> Any:
        kind: Any = cast("Any", getattr(func, "__class__", None))
        if kind in (staticmethod, classmethod):
            # What is decorated is the function; the descriptor goes around it, as before.
            return _descriptor(kind, decorate(func.__func__))
        if kind in (property, functools.cached_property):
            name = kind.__name__
            raise errors.InvalidType(f"offload takes a function, not a {name}: put it below")
        if not callable(func):
            raise errors.InvalidType(f"offload takes a function, not {type(func).__name__}")
        if strategy == "actor":
            from iris import _offload_actor

            return _offload_actor.wrap(func, return_type, **options)
        if options:
            raise errors.InvalidArgument(f"strategy 'jit' has no option {next(iter(options))!r}")
        return _jit(func, return_type)

    return decorate if fn is None else decorate(fn)


def _descriptor(kind: Any, func: Any) -> Any:
    return kind(func)


def _jit(func: Any, return_type: str | None) -> Any:
    if not hasattr(_iris, "JitFunction"):  # built without the feature `jit`
        func.explain = lambda: f"{func.__qualname__}: python: iris was built without offload"
        return func
    params = _params(func)
    made = _iris.JitFunction(func, functools.partial(resolve, params), params)
    for name in functools.WRAPPER_ASSIGNMENTS:  # not update_wrapper: `__wrapped__` is a property
        if hasattr(func, name):
            setattr(made, name, getattr(func, name))
    vars(made).update(getattr(func, "__dict__", {}))
    vars(made).pop("__wrapped__", None)
    vars(made)["_return_type"] = return_type
    if _iris.jit_logging(None):
        made._report()  # says at once why it does not compile
    return made


def _params(func: Any) -> list[str]:
    code = getattr(func, "__code__", None)
    return list(code.co_varnames[: code.co_argcount]) if code is not None else []


def explain(function: Any) -> str:
    """What became of an offloaded function, as text: one line a specialisation."""
    report = function._report()
    name = getattr(function, "__qualname__", repr(function))
    if report["reason"] is not None:
        return f"{name}: python: {report['reason']}"
    lines = [f"{name}: jit, {len(report['variants'])} specialisation(s)"]
    declared: str | None = getattr(function, "_return_type", None)
    for v in report["variants"]:
        line = f"  ({', '.join(v['args'])})"
        if v.get("returns"):
            line += f" -> {' | '.join(v['returns'])}"
        line += f": {v['runs']}"
        if v["reason"] is not None:
            line += f" ({v['reason']})"
        line += f"; compiled in {v['compile_ms']:.1f} ms; {v['calls']} calls"
        if v["exits"]:
            exits = ", ".join(f"{count} x {reason}" for reason, count in v["exits"].items())
            line += f"; left: {exits}"
        if declared is not None and v.get("returns") and v["returns"] != [declared]:
            line += f"; declared {declared}"
        lines.append(line)
        for name, best, state, wins, runs, median in v.get("ways", ()):
            cost = "not measured" if median is None else f"{median} ns"
            mark = "runs" if best else state
            lines.append(f"    {name}: {mark}; {cost}; {wins} wins; {runs} calls")
    for why, count in report["python_calls"].items():
        lines.append(f"  {count} calls ran in Python: {why}")
    return "\n".join(lines)


# --- controls ------------------------------------------------------------------------------------


def log(line: str) -> None:
    """Writes a line of the compile log."""
    print(f"iris.jit: {line}", file=sys.stderr, flush=True)


def set_jit_logging(on: bool) -> None:
    """Logs each compilation to standard error, like `IRIS_JIT_LOG=1`.

    Raises:
        InvalidType: `on` is not a bool.
    """
    _iris.jit_logging(_bool(on))


def get_jit_logging() -> bool:
    """Whether compilations are logged."""
    return _iris.jit_logging(None)


def set_quantum_speculation(on: bool) -> None:
    """Turns quantum speculation on or off, like `IRIS_JIT_QUANTUM=1`.

    While it is on, hot functions are measured on real calls in each of several ways, and run in
    the fastest; what they need is compiled on a thread of its own. `explain()` shows the ways.

    Raises:
        InvalidType: `on` is not a bool.
    """
    _iris.jit_quantum(_bool(on))


def get_quantum_speculation() -> bool:
    """Whether quantum speculation is on."""
    return _iris.jit_quantum(None)


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise errors.InvalidType(f"on must be a bool, not {type(value).__name__}")
    return value


def _from_environment() -> None:
    if os.environ.get("IRIS_JIT_LOG", "0") not in ("", "0"):
        _iris.jit_logging(True)
    if os.environ.get("IRIS_JIT_QUANTUM", "0") not in ("", "0"):
        _iris.jit_quantum(True)


_from_environment()
