"""What iris raises.

Every class derives from `IrisError` and from the builtin that says the same, so that
``except TimeoutError`` works too. `IrisError.code` is the code that Node.js shows as ``err.code``.
"""

# ruff: noqa: N818 - each class is named after the error's kind, which all languages share

from typing import ClassVar

__all__ = [
    "Aborted",
    "ActorExited",
    "AtCapacity",
    "AuthFailed",
    "Disconnected",
    "HandlerFailed",
    "Internal",
    "InvalidArgument",
    "InvalidPath",
    "InvalidType",
    "Io",
    "IrisError",
    "MailboxFull",
    "NameTaken",
    "NoSuchActor",
    "NoSuchBuffer",
    "NoSuchCodec",
    "NotCompilable",
    "NotLocal",
    "NotPermitted",
    "NotStaged",
    "RuntimeClosed",
    "SelfCall",
    "StaleReply",
    "Timeout",
    "TooLarge",
    "Unreachable",
    "WouldDeadlock",
]


class IrisError(Exception):
    """Anything that iris raises."""

    code: ClassVar[str] = "ERR_IRIS_INTERNAL"
    """The stable code of this class, the same in every language."""


class InvalidArgument(IrisError, ValueError):
    """An argument of the right type is out of range: budget 0, a negative timeout."""

    code = "ERR_IRIS_INVALID_ARGUMENT"


class InvalidType(IrisError, TypeError):
    """An argument is of the wrong type."""

    code = "ERR_IRIS_INVALID_TYPE"


class NoSuchActor(IrisError, KeyError):
    """The pid is unknown, dead, or of another runtime."""

    code = "ERR_IRIS_NO_SUCH_ACTOR"

    # A KeyError shows the repr of its key; this one carries a sentence.
    __str__ = Exception.__str__


class ActorExited(IrisError, RuntimeError):
    """The actor ended before it answered."""

    code = "ERR_IRIS_ACTOR_EXITED"


class HandlerFailed(IrisError, RuntimeError):
    """The handler, in another process, raised while it handled the call.

    In the process of the handler a call raises what the handler raised, itself. What is no
    `Exception` (`SystemExit`), or would end the caller's own iteration (`StopIteration`), is the
    ``__cause__`` of this error instead.
    """

    code = "ERR_IRIS_HANDLER_FAILED"


class Timeout(IrisError, TimeoutError):
    """The deadline passed first."""

    code = "ERR_IRIS_TIMEOUT"


class MailboxFull(IrisError, RuntimeError):
    """The mailbox is full."""

    code = "ERR_IRIS_MAILBOX_FULL"


class NameTaken(IrisError, ValueError):
    """The name belongs to another live actor."""

    code = "ERR_IRIS_NAME_TAKEN"


class InvalidPath(IrisError, ValueError):
    """The path is not absolute, too long, or has an empty segment."""

    code = "ERR_IRIS_INVALID_PATH"


class RuntimeClosed(IrisError, RuntimeError):
    """The runtime was closed, or belongs to the process before a fork."""

    code = "ERR_IRIS_RUNTIME_CLOSED"


class WouldDeadlock(IrisError, RuntimeError):
    """Waiting here would stop a lane, an event loop, a timer or an I/O thread."""

    code = "ERR_IRIS_WOULD_DEADLOCK"


class AtCapacity(IrisError, RuntimeError):
    """There is no room for another actor, runtime, thread or message."""

    code = "ERR_IRIS_AT_CAPACITY"


class SelfCall(IrisError, RuntimeError):
    """An actor called itself and would wait for itself."""

    code = "ERR_IRIS_SELF_CALL"


class StaleReply(IrisError, RuntimeError):
    """The reply is late, or the call was answered already."""

    code = "ERR_IRIS_STALE_REPLY"


class Aborted(IrisError, RuntimeError):
    """The caller gave up."""

    code = "ERR_IRIS_ABORTED"


class NotLocal(IrisError, RuntimeError):
    """The call needs the actor's own thread or process."""

    code = "ERR_IRIS_NOT_LOCAL"


class NoSuchBuffer(IrisError, KeyError):
    """No buffer that waits to be sent has this id: it was sent, or its owner has ended."""

    code = "ERR_IRIS_NO_SUCH_BUFFER"

    __str__ = Exception.__str__


class NoSuchCodec(IrisError, KeyError):
    """Nobody has registered a codec of this name here."""

    code = "ERR_IRIS_NO_SUCH_CODEC"

    __str__ = Exception.__str__


class Disconnected(IrisError, ConnectionError):
    """The link to a remote actor's node is gone."""

    code = "ERR_IRIS_DISCONNECTED"


class Unreachable(IrisError, ConnectionError):
    """No node answers at the address, or what answers is none."""

    code = "ERR_IRIS_UNREACHABLE"


class AuthFailed(IrisError, PermissionError):
    """The other node has another secret or authority, or only one of the two has one."""

    code = "ERR_IRIS_AUTH_FAILED"


class NotPermitted(IrisError, PermissionError):
    """The other node does not allow it."""

    code = "ERR_IRIS_NOT_PERMITTED"


class TooLarge(IrisError, ValueError):
    """The message is larger than the other node takes."""

    code = "ERR_IRIS_TOO_LARGE"


class Io(IrisError, OSError):
    """The operating system refused: an address in use, a missing right."""

    code = "ERR_IRIS_IO"


class NotCompilable(IrisError, ValueError):
    """The source of a function is outside of what offload takes."""

    code = "ERR_IRIS_NOT_COMPILABLE"


class NotStaged(IrisError, RuntimeError):
    """An effect of a speculating handler that answers something before the safe point."""

    code = "ERR_IRIS_NOT_STAGED"


class Internal(IrisError, RuntimeError):
    """A bug in iris: please report it."""

    code = "ERR_IRIS_INTERNAL"
