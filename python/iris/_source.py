"""The source of a function, as the tree that `src/jit/front/python/tree.rs` reads.

The parser is CPython's own, so that a function means here what it means to the interpreter. Before
a tree is trusted it is compiled, and its code compared with the function's: a file that was edited
since it was imported, a decorator in between or another lambda of the line cannot slip in.
"""

from __future__ import annotations

import ast
import copy
import inspect
import linecache
import struct
import textwrap
import types
from typing import Any

_FUTURE = 0x1FF0000 | 0x20000
_DESUGARED: dict[type[ast.unaryop], str] = {
    ast.Not: "not",
    ast.USub: "neg",
    ast.UAdd: "pos",
    ast.Invert: "inv",
}
MAX_SOURCE = 64 * 1024


class Unsupported(Exception):  # noqa: N818 - it never leaves this package
    """Why a function does not compile."""


class Parsed:
    """A function's definition, its tree, and the names that it takes from outside."""

    def __init__(self, node: ast.FunctionDef | ast.Lambda, func: types.FunctionType) -> None:
        self.node = node
        self.func = func
        code = func.__code__
        self.locals = [*code.co_varnames[code.co_argcount :], *code.co_cellvars]
        self.params = list(code.co_varnames[: code.co_argcount])
        self.names = _outer_names(node)

    def tree(self, helpers: dict[str, types.FunctionType]) -> str:
        """The tree, serialised; `helpers` are the functions that it calls, by name."""
        node = _Positional(helpers).visit(copy.deepcopy(self.node)) if helpers else self.node
        line, column = self.node.lineno, self.node.col_offset + 1
        if isinstance(node, ast.Lambda):
            body = f"(ret {line} {column} {_expr(node.body)})"
        else:
            body = " ".join(_statement(s) for s in node.body)
        name = _atom(self.func.__name__)
        params = " ".join(map(_atom, self.params))
        names = " ".join(map(_atom, self.locals))
        return f"(fn {line} {column} {name} [{params}] [{names}] [{body}])"


class _Positional(ast.NodeTransformer):
    """Keyword arguments of helpers that stand in the order of the parameters become positional.

    The order of evaluation stays. Others are left, and do not compile.
    """

    def __init__(self, helpers: dict[str, types.FunctionType]) -> None:
        self.helpers = helpers

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = self.helpers.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if called is None or not node.keywords:
            return node
        code = called.__code__
        first = len(node.args)
        wanted = code.co_varnames[first : code.co_argcount][: len(node.keywords)]
        if first >= code.co_posonlyargcount and [k.arg for k in node.keywords] == list(wanted):
            node.args += [k.value for k in node.keywords]
            node.keywords = []
        return node


def parse(func: types.FunctionType) -> Parsed:
    """Finds and parses the source of `func`.

    Raises:
        Unsupported: There is no source, or it is not a plain function.
    """
    code = func.__code__
    flags = code.co_flags
    if flags & inspect.CO_COROUTINE:
        raise Unsupported("a coroutine function does not compile")
    if flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        raise Unsupported("a generator function does not compile")
    if flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or code.co_kwonlyargcount:
        raise Unsupported("*args, **kwargs and keyword-only parameters do not compile")
    quick = _quick_lines(func)
    if quick is not None:
        try:
            return _definition(func, quick, code.co_firstlineno)
        except Unsupported:
            pass  # the block ends elsewhere: `inspect` knows more of where blocks end
    try:
        lines, first = inspect.getsourcelines(code)
    except (OSError, TypeError, IndexError, SyntaxError):
        raise Unsupported(
            "its source is not available (REPL, exec, or a file that is gone)"
        ) from None
    return _definition(func, lines, first)


def _quick_lines(func: types.FunctionType) -> list[str] | None:
    """The lines of a function's block, without `inspect`, which takes milliseconds.

    From its first line to the last one that has code, and on to where the indentation ends. Whether
    they are the right ones shows when they are compiled.
    """
    code = func.__code__
    name = code.co_filename
    if name.startswith("<") and name not in linecache.cache:
        return None
    linecache.checkcache(name)
    lines = linecache.getlines(name, func.__globals__)
    first = code.co_firstlineno - 1
    if not 0 <= first < len(lines):
        return None
    ends = [end for _, end, _, _ in code.co_positions() if end is not None]
    last = max(ends, default=first + 1)
    if func.__name__ == "<lambda>":
        return lines[first:last]
    start = lines[first]
    indent = len(start) - len(start.lstrip())
    while last < len(lines):
        line = lines[last]
        text = line.lstrip()
        if text and not text.startswith("#") and len(line) - len(text) <= indent:
            break
        last += 1
    return lines[first:last]


def _definition(func: types.FunctionType, lines: list[str], first: int) -> Parsed:
    """The definition of `func` among its lines."""
    code = func.__code__
    source = textwrap.dedent("".join(lines))
    if len(source) > MAX_SOURCE:
        raise Unsupported(f"its source is larger than {MAX_SOURCE} bytes")
    tree = _parse(source)
    ast.increment_lineno(tree, first - 1)
    candidates = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and _is_named(node, code.co_name)
    ]
    matching = [node for node in candidates if _compiles_to(node, func)]
    if not matching:
        raise Unsupported("its source does not match its code (edited since, or decorated)")
    if len({ast.dump(node) for node in matching}) > 1:
        raise Unsupported("several functions of its line look alike")
    return Parsed(matching[0], func)


def _parse(source: str) -> ast.Module:
    # A lambda's line may be the middle of a statement: what stands around it is cut off.
    for text in (source, source.strip().rstrip(","), "(" + source.strip().rstrip(",") + ")"):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        except (RecursionError, MemoryError):
            raise Unsupported("its source is nested too deeply") from None
    at = source.find("lambda")
    for end in range(len(source), at, -1) if at >= 0 and len(source) < 2_000 else ():
        try:
            return ast.parse("(" + source[at:end] + ")")
        except (SyntaxError, ValueError):
            continue
    raise Unsupported("its source cannot be parsed on its own")


def _is_named(node: ast.FunctionDef | ast.Lambda, name: str) -> bool:
    return name == ("<lambda>" if isinstance(node, ast.Lambda) else node.name)


def _wrapped(
    node: ast.FunctionDef | ast.Lambda,
    func: types.FunctionType,
    cells: tuple[str, ...],
    by_global: bool,
    imported: bool,
) -> types.CodeType:
    """The module code that defines `node` inside of a function whose variables are `cells`.

    `by_global`: the function finds its own name among the globals, not in a cell.
    `imported`: the modules that it uses are imported at the top of its file, not elsewhere.
    """
    if isinstance(node, ast.Lambda):
        inner: ast.stmt = ast.Return(
            ast.copy_location(ast.Lambda(_bare(node.args), node.body), node)
        )
        last: list[ast.stmt] = []
    else:
        inner = ast.copy_location(
            ast.FunctionDef(node.name, _bare(node.args), node.body, [], None, None), node
        )
        if hasattr(inner, "type_params"):
            setattr(inner, "type_params", [])  # noqa: B010 - from Python 3.12 on
        last = [ast.Return(ast.Name(node.name, ast.Load()))]
        if by_global:
            last.insert(0, ast.Global([node.name]))
    params = [ast.arg(cell) for cell in cells]
    outer = ast.FunctionDef(
        "__iris_make",
        ast.arguments(
            posonlyargs=[], args=params, vararg=None, kwonlyargs=[], kw_defaults=[], defaults=[]
        ),
        [*last[:-1], inner, *last[-1:]],
        [],
        None,
        None,
    )
    if hasattr(outer, "type_params"):
        setattr(outer, "type_params", [])  # noqa: B010 - from Python 3.12 on
    # On CPython 3.11.7 `math.sqrt(x)` has other code where the file imports `math` at its top.
    names = [
        n for n in func.__code__.co_names if isinstance(func.__globals__.get(n), types.ModuleType)
    ]
    imports: list[ast.stmt] = [ast.Import([ast.alias(name)]) for name in names] if imported else []
    module = ast.fix_missing_locations(ast.Module([outer, *imports], []))
    flags = func.__code__.co_flags & _FUTURE
    filename = func.__code__.co_filename
    made: types.CodeType = compile(module, filename, "exec", flags, dont_inherit=True)
    return made


def _bare(args: ast.arguments) -> ast.arguments:
    def plain(arg: ast.arg) -> ast.arg:
        return ast.arg(arg.arg)

    return ast.arguments(
        posonlyargs=[plain(a) for a in args.posonlyargs],
        args=[plain(a) for a in args.args],
        vararg=None,
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )


def _find(code: types.CodeType, name: str) -> types.CodeType | None:
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            if const.co_name == name:
                return const
            found = _find(const, name)
            if found is not None:
                return found
    return None


def _compiles_to(node: ast.FunctionDef | ast.Lambda, func: types.FunctionType) -> bool:
    try:
        cells = func.__code__.co_freevars
        by_global = func.__code__.co_name not in cells
        cells = tuple(c for c in cells if c != func.__code__.co_name)
        for imported in (True, False):
            made = _find(_wrapped(node, func, cells, by_global, imported), func.__code__.co_name)
            if made is not None and _same(made, func.__code__):
                return True
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        pass
    return False


def _same(a: types.CodeType, b: types.CodeType) -> bool:
    return (
        a.co_code == b.co_code
        and a.co_varnames == b.co_varnames
        and a.co_names == b.co_names
        and a.co_freevars == b.co_freevars
        and a.co_cellvars == b.co_cellvars
        and len(a.co_consts) == len(b.co_consts)
        and all(map(_same_constant, a.co_consts, b.co_consts))
    )


def _same_constant(a: object, b: object) -> bool:
    if isinstance(a, types.CodeType) and isinstance(b, types.CodeType):
        return _same(a, b)
    return type(a) is type(b) and repr(a) == repr(b)


def rebuild(parsed: Parsed, cells: dict[str, Any]) -> types.FunctionType:
    """The same function with `cells` as variables of an outer scope; its own name is itself."""
    func = parsed.func
    names = tuple(n for n in (*func.__code__.co_freevars, *cells) if n != func.__name__)
    names = tuple(dict.fromkeys(names))
    code = _wrapped(parsed.node, func, names, False, imported=False)
    space: dict[str, Any] = {}
    exec(code, func.__globals__, space)
    own = dict(zip(func.__code__.co_freevars, func.__closure__ or (), strict=True))
    made: types.FunctionType = space["__iris_make"](*[cells.get(n) for n in names])
    closure = tuple(
        own[n] if n in own and n not in cells else cell
        for n, cell in zip(made.__code__.co_freevars, made.__closure__ or (), strict=True)
    )
    result = types.FunctionType(
        made.__code__, func.__globals__, func.__name__, func.__defaults__, closure
    )
    for name, cell in zip(made.__code__.co_freevars, closure, strict=True):
        if name == func.__name__ and name not in own:
            cell.cell_contents = result
    result.__kwdefaults__ = func.__kwdefaults__
    result.__qualname__ = func.__qualname__
    return result


def _outer_names(node: ast.FunctionDef | ast.Lambda) -> list[str]:
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    found: dict[str, None] = {}
    for statement in body:
        for child in ast.walk(statement):
            if isinstance(child, ast.Name):
                found[child.id] = None
    return list(found)


# --- serialising ---------------------------------------------------------------------------------


def _atom(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name) or "_"


def _at(node: ast.AST) -> str:
    return f"{getattr(node, 'lineno', 0)} {getattr(node, 'col_offset', 0) + 1}"


def _bad(node: ast.AST, why: str) -> str:
    return f"(bad {_at(node)} {why.replace(' ', '_')})"


def _statements(body: list[ast.stmt]) -> str:
    return "[" + " ".join(_statement(s) for s in body) + "]"


def _statement(node: ast.stmt) -> str:
    at = _at(node)
    match node:
        case ast.Assign(targets, value):
            return f"(= {at} {_expr(value)} [{' '.join(map(_target, targets))}])"
        case ast.AnnAssign(target, _, None, _):
            return (
                f"(pass {at})" if isinstance(target, ast.Name) else _bad(node, "a bare annotation")
            )
        case ast.AnnAssign(target, _, value, _) if value is not None:
            return f"(= {at} {_expr(value)} [{_target(target)}])"
        case ast.AugAssign(target, op, value):
            return f"(aug {at} {type(op).__name__} {_target(target)} {_expr(value)})"
        case ast.Expr(ast.Constant()):
            return f"(pass {at})"
        case ast.Expr(value):
            return f"(expr {at} {_expr(value)})"
        case ast.If(test, body, orelse):
            return f"(if {at} {_expr(test)} {_statements(body)} {_statements(orelse)})"
        case ast.While(test, body, orelse):
            return f"(while {at} {_expr(test)} {_statements(body)} {_statements(orelse)})"
        case ast.For(target, of, body, orelse):
            target_text = _target(target)
            return f"(for {at} {target_text} {_expr(of)} {_statements(body)} {_statements(orelse)})"
        case ast.Break():
            return f"(break {at})"
        case ast.Continue():
            return f"(continue {at})"
        case ast.Pass():
            return f"(pass {at})"
        case ast.Return(value):
            text = f"(none {at})" if value is None else _expr(value)
            return f"(ret {at} {text})"
        case ast.Raise():
            return f"(raise {at})"
        case ast.Assert(test, _):
            return f"(assert {at} {_expr(test)})" if __debug__ else f"(pass {at})"
        case ast.Global() | ast.Nonlocal():
            return _bad(node, "writing to variables of an outer scope does not compile")
        case _:
            return _bad(node, f"the statement {type(node).__name__} does not compile")


def _target(node: ast.expr) -> str:
    match node:
        case ast.Tuple(elts) | ast.List(elts):
            if any(isinstance(e, ast.Starred) for e in elts):
                return _bad(node, "a starred target does not compile")
            return f"(tup {_at(node)} [{' '.join(map(_target, elts))}])"
        case ast.Name() | ast.Subscript():
            return _expr(node)
        case _:
            return _bad(node, "an assignment to this target does not compile")


def _constant(node: ast.Constant) -> str:
    at = _at(node)
    value = node.value
    if value is None:
        return f"(none {at})"
    if isinstance(value, bool):
        return f"(b {at} {int(value)})"
    if isinstance(value, int):
        return (
            f"(i {at} {value})"
            if -(2**63) <= value < 2**63
            else _bad(node, "a literal beyond 64 bits")
        )
    if isinstance(value, float):
        return f"(f {at} {struct.pack('>d', value).hex()})"
    return _bad(node, f"a constant of type {type(value).__name__} does not compile")


def _expr(node: ast.expr) -> str:
    at = _at(node)
    match node:
        case ast.Name(name):
            return f"(n {at} {name})" if name.isascii() else _bad(node, "a name beyond ASCII")
        case ast.Constant():
            return _constant(node)
        case ast.BinOp(left, op, right):
            return f"(bin {at} {type(op).__name__} {_expr(left)} {_expr(right)})"
        case ast.UnaryOp(op, operand):
            return f"({_DESUGARED[type(op)]} {at} {_expr(operand)})"
        case ast.BoolOp(op, values):
            word = "and" if isinstance(op, ast.And) else "or"
            return f"({word} {at} [{' '.join(map(_expr, values))}])"
        case ast.Compare(left, ops, comparators):
            pairs = " ".join(
                f"[{type(op).__name__} {_expr(right)}]"
                for op, right in zip(ops, comparators, strict=True)
            )
            return f"(cmp {at} {_expr(left)} [{pairs}])"
        case ast.IfExp(test, body, orelse):
            return f"(ife {at} {_expr(test)} {_expr(body)} {_expr(orelse)})"
        case ast.Tuple(elts):
            if any(isinstance(e, ast.Starred) for e in elts):
                return _bad(node, "a starred item does not compile")
            return f"(tup {at} [{' '.join(map(_expr, elts))}])"
        case ast.List(elts):
            if any(isinstance(e, ast.Starred) for e in elts):
                return _bad(node, "a starred item does not compile")
            return f"(list {at} [{' '.join(map(_expr, elts))}])"
        case ast.Subscript(value, index):
            if isinstance(index, ast.Slice):
                return _bad(node, "a slice does not compile")
            return f"(sub {at} {_expr(value)} {_expr(index)})"
        case ast.Attribute(value, attr):
            return f"(attr {at} {_expr(value)} {attr})" if attr.isascii() else _bad(node, "a name")
        case ast.NamedExpr(target, value):
            return f"(walrus {at} {_target(target)} {_expr(value)})"
        case ast.Call(func, args, keywords):
            if keywords:
                return _bad(node, "keyword arguments in a call do not compile")
            if any(isinstance(a, ast.Starred) for a in args):
                return _bad(node, "starred arguments do not compile")
            return f"(call {at} {_expr(func)} [{' '.join(map(_expr, args))}])"
        case ast.GeneratorExp(elt, generators):
            return _comprehension("gen", node, elt, generators)
        case ast.ListComp(elt, generators):
            return _comprehension("lc", node, elt, generators)
        case _:
            return _bad(node, f"the expression {type(node).__name__} does not compile")


def _comprehension(
    kind: str, node: ast.expr, elt: ast.expr, generators: list[ast.comprehension]
) -> str:
    if any(g.is_async for g in generators):
        return _bad(node, "an asynchronous comprehension does not compile")
    loops = " ".join(
        f"(for {_at(g.target)} {_target(g.target)} {_expr(g.iter)} [{' '.join(map(_expr, g.ifs))}])"
        for g in generators
    )
    return f"({kind} {_at(node)} {_expr(elt)} [{loops}])"
