"""What the native half asks of Python: inspection, logging, the hooks at exit and fork."""

import atexit
import functools
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from iris import errors

if TYPE_CHECKING:
    from iris._iris import ExitInfo

_log = logging.getLogger("iris")


def install(native: ModuleType) -> None:
    """Close runtimes at interpreter exit and cut forked children off."""
    atexit.register(_at_exit, native)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=native.after_fork_in_child)


def _at_exit(native: ModuleType) -> None:
    native.at_exit()
    if "iris._aio" in sys.modules:
        from iris import _aio

        _aio.stop_own_loop()


def inspect_handler(handler: Callable[..., object]) -> tuple[bool, bool]:
    """Whether a callable that is no plain function wants ``ctx``, and whether it is ``async``.

    Raises:
        InvalidArgument: it takes neither ``(msg)`` nor ``(msg, ctx)``.
        InvalidType: it is a generator function.
    """
    inner: Any = handler
    while isinstance(inner, functools.partial):
        inner = inner.func  # pyright: ignore[reportUnknownMemberType]
    inner = inspect.unwrap(inner)
    bodies: list[Any] = [inner]
    if not inspect.isroutine(inner) and not inspect.isclass(inner):
        bodies.append(type(inner).__call__)
    if any(inspect.isgeneratorfunction(b) or inspect.isasyncgenfunction(b) for b in bodies):
        raise errors.InvalidType(
            f"{handler!r} is a generator function: calling it would run nothing"
        )
    is_async = any(inspect.iscoroutinefunction(b) for b in bodies)
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # builtins that do not say
        return False, is_async
    required = 0
    accepts = 0
    for p in signature.parameters.values():
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            accepts += 1
            required += p.default is p.empty
        elif p.kind is p.VAR_POSITIONAL:
            accepts += 2
        elif p.kind is p.KEYWORD_ONLY and p.default is p.empty:
            required = 3
    if required > 2 or accepts == 0:
        raise errors.InvalidArgument(
            f"a handler must take (msg) or (msg, ctx); {handler!r} does not"
        )
    return required == 2, is_async


def describe(error: BaseException) -> tuple[str, str]:
    """An exception as ``Class: message`` and its traceback; it may have no usable ``str``."""
    name = type(error).__qualname__
    try:
        text = str(error)
    except BaseException:
        text = "<its str() raises>"
    message = f"{name}: {text}" if text else name
    try:
        key = _origin(error, message)
        stack = None if key is None else _stacks.get(key)
    except BaseException:  # whatever an exception of a user's does when it is looked at
        key = stack = None
    if stack is None:
        try:
            stack = "".join(traceback.format_exception(error))
        except BaseException:
            stack = message
        stack = stack.encode("utf-8", "backslashreplace").decode()
        if key is not None:
            if len(_stacks) >= 64:
                _stacks.clear()
            _stacks[key] = stack
    return message.encode("utf-8", "backslashreplace").decode(), stack


#: Tracebacks by what they are made of: in a storm of crashes most are the same, and to write one
#: costs more than a restart.
_stacks: dict[tuple[object, ...], str] = {}


def _origin(error: BaseException, message: str) -> tuple[object, ...] | None:
    """What the traceback of a plain exception is made of; ``None``: of more than its frames."""
    if (
        error.__cause__ is not None
        or error.__context__ is not None
        or hasattr(error, "__notes__")
        or isinstance(
            error, (SyntaxError, NameError, AttributeError, ImportError, BaseExceptionGroup)
        )
    ):
        return None
    origin: list[object] = [type(error), message]
    at = error.__traceback__
    while at is not None:
        if len(origin) > 34:
            return None
        origin += (at.tb_frame.f_code, at.tb_lasti)
        at = at.tb_next
    return tuple(origin)


def log_crash(info: "ExitInfo") -> None:
    """What happens to a failure that no hook takes."""
    said = f"actor {info.pid} ended ({info.reason}): {info.message or info.reason}"
    # What was abandoned, or fails without an exception, has no traceback.
    if info.traceback:
        said = f"{said}\n{info.traceback.rstrip()}"
    _log.error("%s", said)


def wants_old(factory: Callable[..., object]) -> bool:
    """Whether a factory requires an argument: who is replaced.

    Raises:
        InvalidArgument: it takes neither nothing nor one argument.
    """
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # builtins that do not say
        return False
    for args in ((), (None,)):
        try:
            signature.bind(*args)
        except TypeError:
            continue
        return bool(args)
    raise errors.InvalidArgument(f"a factory must take () or (old); {factory!r} does not")


def log_callback(error: BaseException) -> None:
    """What happens to an exception that a monitor's callback, or a supervision hook, raises."""
    message, stack = describe(error)
    _log.error("a callback failed: %s\n%s", message, stack.rstrip())


def interrupt(thread: int) -> None:
    """Ask the Python code that runs on a thread to end."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(SystemExit))
