"""iris: actors for Python on a Rust core that it shares with Node.js.

```python
from iris import Runtime

with Runtime() as rt:
    echo = rt.spawn(lambda msg: msg)
    assert rt.call_blocking(echo, b"hello") == b"hello"
```
"""

try:
    from iris import _iris
except ImportError as e:
    if "subinterpreter" not in str(e):
        raise
    raise ImportError(
        "iris does not support subinterpreters: import it in the main interpreter, "
        "and use processes or threads"
    ) from e

from iris import _support, codecs, errors
from iris._iris import (
    ActorInfo,
    CallMessage,
    Context,
    DeadLetter,
    ExitInfo,
    Mailbox,
    PySystemMessage,
    Runtime,
    SupervisionEvent,
    __version__,
)
from iris._offload import (
    get_jit_logging,
    get_quantum_speculation,
    offload,
    set_jit_logging,
    set_quantum_speculation,
)
from iris._pool import Pool
from iris._supervise import Supervisor
from iris._types import (
    BackoffOptions,
    CrashHook,
    ExitReason,
    Handler,
    Health,
    Metrics,
    NodeDown,
    NodeInfo,
    NodePermissions,
    NodeUp,
    OverflowPolicy,
    Payload,
    Pid,
    Pressure,
    PressureHook,
    PullHandler,
    Received,
    RemoteInfo,
    RestartType,
    Strategy,
    SystemType,
    TlsOptions,
    VirtualHook,
    VortexOptions,
)
from iris.codecs import Codec
from iris.errors import (
    Aborted,
    ActorExited,
    AtCapacity,
    AuthFailed,
    Disconnected,
    HandlerFailed,
    Internal,
    InvalidArgument,
    InvalidPath,
    InvalidType,
    Io,
    IrisError,
    MailboxFull,
    NameTaken,
    NoSuchActor,
    NoSuchBuffer,
    NoSuchCodec,
    NotCompilable,
    NotLocal,
    NotPermitted,
    NotStaged,
    RuntimeClosed,
    SelfCall,
    StaleReply,
    Timeout,
    TooLarge,
    Unreachable,
    WouldDeadlock,
)

_support.install(_iris)

__all__ = [
    "Aborted",
    "ActorExited",
    "ActorInfo",
    "AtCapacity",
    "AuthFailed",
    "BackoffOptions",
    "CallMessage",
    "Codec",
    "Context",
    "CrashHook",
    "DeadLetter",
    "Disconnected",
    "ExitInfo",
    "ExitReason",
    "Handler",
    "HandlerFailed",
    "Health",
    "Internal",
    "InvalidArgument",
    "InvalidPath",
    "InvalidType",
    "Io",
    "IrisError",
    "Mailbox",
    "MailboxFull",
    "Metrics",
    "NameTaken",
    "NoSuchActor",
    "NoSuchBuffer",
    "NoSuchCodec",
    "NodeDown",
    "NodeInfo",
    "NodePermissions",
    "NodeUp",
    "NotCompilable",
    "NotLocal",
    "NotPermitted",
    "NotStaged",
    "OverflowPolicy",
    "Payload",
    "Pid",
    "Pool",
    "Pressure",
    "PressureHook",
    "PullHandler",
    "PySystemMessage",
    "Received",
    "RemoteInfo",
    "RestartType",
    "Runtime",
    "RuntimeClosed",
    "SelfCall",
    "StaleReply",
    "Strategy",
    "SupervisionEvent",
    "Supervisor",
    "SystemType",
    "Timeout",
    "TlsOptions",
    "TooLarge",
    "Unreachable",
    "VirtualHook",
    "VortexOptions",
    "WouldDeadlock",
    "__version__",
    "codecs",
    "errors",
    "get_jit_logging",
    "get_quantum_speculation",
    "offload",
    "set_jit_logging",
    "set_quantum_speculation",
]
