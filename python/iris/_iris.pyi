"""The native half of `iris`; import from `iris`, not from here.

A message is any C-contiguous bytes-like object; handlers get `bytes`. Time spans are in seconds.
A method raises `TypeError` for an argument of the wrong type, `RuntimeClosed` once the runtime is
closed or in a forked child, and never half-applies.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import GenericAlias, TracebackType
from typing import Any, ClassVar, Generic, Literal, Self, final, overload

from typing_extensions import TypeVar, disjoint_base

from iris._pool import Pool
from iris._supervise import Supervisor
from iris._types import (
    BackoffOptions,
    CodecHandler,
    CodecPullHandler,
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
    PlainPid,
    Pressure,
    PressureHook,
    PullHandler,
    Received,
    RemoteInfo,
    RestartType,
    Strategy,
    SupervisorInfo,
    SystemType,
    TlsOptions,
    VirtualHook,
    VortexOptions,
)
from iris.codecs import Codec

_T = TypeVar("_T")
_M = TypeVar("_M", default=bytes)

__all__ = [
    "ERROR_CODES",
    "ActorInfo",
    "BranchContext",
    "CallMessage",
    "Context",
    "DeadLetter",
    "ExitInfo",
    "Hedge",
    "JitFunction",
    "Mailbox",
    "PoolCore",
    "PySystemMessage",
    "Race",
    "Runtime",
    "SupervisionEvent",
    "__version__",
    "after_fork_in_child",
    "at_exit",
    "jit_costs",
    "jit_interpret",
    "jit_libm",
    "jit_logging",
    "jit_quantum",
    "jit_settle",
]

__version__: str
ERROR_CODES: list[tuple[str, str]]

def at_exit() -> None: ...
def after_fork_in_child() -> None: ...

@final
class ExitInfo:
    """How an actor ended."""

    @property
    def pid(self) -> int:
        """Who ended."""
    @property
    def reason(self) -> ExitReason:
        """Why."""
    @property
    def message(self) -> str | None:
        """What was raised, as ``Class: message``; None unless the actor failed."""
    @property
    def traceback(self) -> str | None:
        """Where it was raised; None where that is not known."""

@final
class DeadLetter:
    """A message that was accepted and that nobody will handle: its actor has ended."""

    @property
    def pid(self) -> int:
        """To whom it was sent."""
    @property
    def reason(self) -> ExitReason:
        """Why that actor ended."""
    @property
    def data(self) -> bytes | None:
        """The bytes; None: the handler had them already, and did not finish."""
    @property
    def sender(self) -> int | None:
        """The actor that sent it in its own name, if one did."""
    @property
    def is_call(self) -> bool:
        """Whether it was a call; its caller has been told."""

@final
class ActorInfo:
    """What is known of a live actor."""

    @property
    def pid(self) -> int:
        """Who."""
    @property
    def state(self) -> str:
        """``idle``, ``queued``, ``running``, ``draining`` or ``stopping``.

        Of virtual actors ``dormant``, ``activating``, ``active`` or ``deactivating`` in the place
        of the first three.
        """
    @property
    def kind(self) -> str:
        """``push``, ``virtual`` or ``pull``."""
    @property
    def budget(self) -> int:
        """Messages a turn."""
    @property
    def capacity(self) -> int | None:
        """Mailbox bound in messages; None: unbounded."""
    @property
    def queue(self) -> int:
        """Messages that wait."""
    @property
    def high_water(self) -> int:
        """The longest the queue has been, in messages."""
    @property
    def handled(self) -> int:
        """Messages handled."""
    @property
    def age_ms(self) -> int:
        """Time since the spawn, in milliseconds."""
    @property
    def names(self) -> list[str]:
        """Names it holds."""
    @property
    def paths(self) -> list[str]:
        """Paths it holds."""
    @property
    def codec(self) -> str | None:
        """What its messages are encoded with; None: they are bytes."""
    @property
    def lane(self) -> tuple[int, str] | None:
        """Number and host of the lane that runs it; None: the core's threads, or its own."""
    @property
    def parent(self) -> int | None:
        """Whose end is its end."""
    @property
    def children(self) -> list[int]:
        """Whose end its own is, in the order of their spawns."""
    @property
    def restarts(self) -> int:
        """How often supervisors replaced its predecessors."""
    @property
    def health(self) -> Health:
        """Its condition, as `Runtime.set_actor_health` said."""

@final
class SupervisionEvent:
    """Something that a supervisor did."""

    @property
    def event(self) -> Literal["restarted", "start_failed", "ended", "gave_up"]:
        """What.

        ``start_failed``: a factory raised or answered no live actor; ``ended``: a child ended and
        is not restarted; ``gave_up``: there were too many restarts, and the supervisor ended.
        """
    @property
    def path(self) -> str:
        """The supervisor's."""
    @property
    def id(self) -> str | None:
        """The child's, if it has one."""
    @property
    def old_pid(self) -> int | None:
        """Who ended."""
    @property
    def pid(self) -> int | None:
        """The replacement."""
    @property
    def reason(self) -> ExitReason:
        """Why it ended."""
    @property
    def message(self) -> str | None:
        """What was raised."""
    @property
    def traceback(self) -> str | None:
        """Where it was raised."""
    @property
    def restarts(self) -> int:
        """How often this child was restarted."""

@final
class PySystemMessage:
    """What the runtime itself tells an actor, in the order of its messages.

    Pull actors get them, and push actors that were spawned with ``system=True``.
    """

    @property
    def type_name(self) -> SystemType:
        """What it is about."""
    @property
    def from_pid(self) -> int | None:
        """The actor that it is about."""
    @property
    def target_pid(self) -> int | None:
        """The actor that got it; None: it was for a function."""
    @property
    def reason(self) -> ExitReason | None:
        """How `from_pid` ended, for ``EXIT`` and ``DOWN``."""
    @property
    def metadata(self) -> dict[str, Any]:
        """What else is known: ``ref`` of the monitor, ``message`` and ``stack`` of a crash."""

@disjoint_base
class Context:
    """A handler's view of its own actor: its second argument, if it takes two.

    One object serves all messages of an actor but calls, each of which gets its own.
    """

    @property
    def pid(self) -> int:
        """This actor."""
    @property
    def runtime(self) -> Runtime:
        """The runtime of this actor."""
    @property
    def is_call(self) -> bool:
        """Whether the sender waits for an answer."""
    @property
    def sender(self) -> int | None:
        """The actor that sent the message in its own name (`send`, `call`); else None."""
    @property
    def state(self) -> Any:
        """A value of the actor's own, the same in all its contexts; None at first.

        What `on_activate` of a virtual actor answers is put here; it is gone when the actor sleeps
        or ends.
        """
    @state.setter
    def state(self, value: Any) -> None: ...
    @property
    def cancelled(self) -> bool:
        """Whether nothing is done any more through this context.

        It is that of a branch (`Runtime.spawn`, ``vortex``) that has lost, or whose actor has
        ended. False for actors that do not speculate.
        """
    @overload
    def send(self, pid: Pid[_T], data: _T) -> bool: ...
    @overload
    def send(self, pid: PlainPid, data: Payload) -> bool:
        """Sends in this actor's name.

        Args:
            pid: Who is to get it.
            data: The message.

        Returns:
            Whether the mailbox took it.

        Raises:
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def call(self, pid: Pid[_T], data: _T, timeout: float | None = None) -> Future[Any]: ...
    @overload
    def call(self, pid: PlainPid, data: Payload, timeout: float | None = None) -> Future[bytes]:
        """Asks in this actor's name; for ``async def`` handlers. See `Runtime.call`."""
    def reply(self, data: Any) -> None:
        """Answers the call; without it, what the handler returns is the answer.

        Args:
            data: The answer, bytes-like or what the actor's codec takes. A late one is dropped and
                counted (`late_replies`).

        Raises:
            StaleReply: Nothing waits for this reply: it is no call, or was answered already.
            BufferError: `data` is not C-contiguous.
        """
    def monitor(self, target: int) -> int:
        """Has this actor told when another ends: one ``DOWN`` in its mailbox.

        Args:
            target: The other actor.

        Returns:
            The reference of the monitor. See `Runtime.monitor`.
        """
    def link(self, other: int) -> None:
        """Links this actor with another. See `Runtime.link`.

        Args:
            other: The other actor.
        """
    def stop(self) -> bool:
        """Stops this actor when the handler returns.

        Returns:
            Whether the actor was alive.
        """

@final
class CallMessage(Generic[_M]):
    """A call, as a pull mailbox receives it."""

    @property
    def data(self) -> _M:
        """The request."""
    @property
    def sender(self) -> int | None:
        """The actor that called in its own name; else None."""
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def reply(self, data: Any) -> None:
        """Answers the call.

        Args:
            data: The answer, bytes-like or what the actor's codec takes.

        Raises:
            StaleReply: Nothing waits for this reply: answered, or too late.
            BufferError: `data` is not C-contiguous.
        """

@final
class Mailbox(Generic[_M]):
    """A pull actor's mailbox; iterating over it receives until it is closed."""

    @property
    def pid(self) -> int:
        """This actor."""
    @property
    def size(self) -> int:
        """Messages that wait."""
    @property
    def closed(self) -> bool:
        """Whether no message will come any more: the actor was stopped, or has ended."""
    def recv(self, timeout: float | None = None) -> Received[_M] | None:
        """Takes the next message; waits for it with the GIL released.

        On the main thread, and only there, Ctrl-C ends the wait.

        Args:
            timeout: In seconds. Default: for ever.

        Returns:
            The message; a call as `CallMessage`, news of the runtime as `PySystemMessage`. None:
            the time is over, or none will come (`closed` tells).

        Raises:
            WouldDeadlock: This thread runs handlers or an event loop.
            InvalidArgument: `timeout` is out of range.
        """
    def monitor(self, target: int) -> int:
        """Has this actor told when another ends: one ``DOWN`` in this mailbox.

        Args:
            target: The other actor.

        Returns:
            The reference of the monitor. See `Runtime.monitor`.
        """
    def link(self, other: int) -> None:
        """Links this actor with another. See `Runtime.link`.

        Args:
            other: The other actor.
        """
    def try_recv(self) -> Received[_M] | None:
        """Takes the next message if there is one.

        Returns:
            As `recv`.
        """
    def selective_recv(
        self, matcher: Callable[[_M], object], timeout: float | None = None
    ) -> Received[_M] | None:
        """Takes the next message that `matcher` likes; the others keep their place and order.

        As long as it is the same object, a matcher is not asked again about what it has refused.

        Args:
            matcher: Called with a message. What it raises is raised here, and the
                message stays.
            timeout: In seconds. Default: for ever.

        Returns:
            As `recv`.

        Raises:
            InvalidType: `matcher` is not callable.
            WouldDeadlock: This thread runs handlers or an event loop, or another selective receive
                is under way.
            InvalidArgument: `timeout` is out of range.
        """
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Received[_M]: ...
    def _try_select(self, matcher: Callable[[_M], object]) -> Received[_M] | None: ...
    def _arm(self, waker: object, timeout: float | None = None) -> None: ...
    def _when_gone(self, waker: object) -> None: ...
    def _finish(self, error: BaseException | None) -> None: ...

@final
class PoolCore:
    """The sending half of `iris.Pool`."""

    def send(self, data: Any) -> bool: ...
    def call(self, data: Any, timeout: float | None = None) -> Future[Any]: ...
    def call_blocking(self, data: Any, timeout: float | None = None) -> Any: ...

@final
class Runtime:
    """A runtime: actors, mailboxes, names, calls. Several may live in one process, apart.

    It lives until it is closed or nobody holds it any more; then what still runs is killed.
    ``with`` and ``async with`` close it.
    """

    version: ClassVar[str]
    """The version of iris."""

    def __new__(
        cls,
        *,
        workers: int | None = None,
        stop_timeout: float | None = None,
        call_timeout: float | None = None,
        default_capacity: int | None = None,
        time_slice_ms: float | None = None,
        tracing: bool = False,
    ) -> Self:
        """Makes a runtime.

        Args:
            workers: Threads for Rust actors, started with the first of them; 1 to 1024.
                Default: one a core.
            stop_timeout: How long `stop` waits for a running handler, in seconds. Default 5.
            call_timeout: How long a call waits if it does not say, in seconds. Default 5.
            default_capacity: Mailbox bound of actors that do not say, in messages.
                Default: unbounded.
            time_slice_ms: How long handlers run before other threads get the GIL, or the event loop
                its turn, in milliseconds. Default 5. The thread that runs ``def``
                handlers lets go of the GIL by itself after 10 ms at the least; a
                thread that asks for it gets it earlier.
            tracing: Whether handlers of push and virtual actors run in the OpenTelemetry context of
                who sends to them, as with `iris.telemetry.spawn`. Needs ``opentelemetry-api``.

        Raises:
            InvalidArgument: An option is out of range, or ``opentelemetry-api`` is not installed.
            AtCapacity: 512 runtimes are open in this process.
        """
    @overload
    def spawn(
        self,
        handler: Handler,
        budget: int = 100,
        release_gil: bool = False,
        *,
        system: bool = False,
        codec: None = None,
        vortex: bool | VortexOptions = False,
    ) -> int: ...
    @overload
    def spawn(
        self,
        handler: CodecHandler[_T],
        budget: int = 100,
        release_gil: bool = False,
        *,
        system: bool = False,
        codec: str | Codec[_T],
        vortex: bool | VortexOptions = False,
    ) -> Pid[_T]:
        """Spawns an actor.

        A ``def`` handler runs on the interpreter lane, a thread that all of them share; an
        ``async def`` handler on the running event loop of this thread, or on iris' own if there is
        none, and is awaited before the actor's next message. Variables of `contextvars` that are
        set now are visible in the handler.

        Args:
            handler: Called with ``(msg)``, or with ``(msg, ctx)`` if it requires two arguments.
            budget: Messages the actor may handle before others run; 1 to 1,000,000.
            release_gil: Gives a ``def`` handler a thread of its own, which it may block; beyond the
                limit (`set_release_gil_limits`) a shared one. An ``async def`` handler stays on its
                event loop.
            system: Whether it gets system messages (`PySystemMessage`) too.
            codec: What messages and replies are encoded with: ``raw``, ``json``, ``pickle``, the
                name of another that was registered (`iris.codecs`), or a codec. The handler gets
                what it decodes, and may return whatever it encodes. Default: bytes as they are.
            vortex: True, or how: a message whose handler is slow or has failed is handled by a
                second branch too, and what is done through ``ctx`` becomes visible only when the
                one that wins has returned. See docs/vortex.md.

        Returns:
            The pid of the actor: never 0, never used again.

        Raises:
            InvalidArgument: `budget` is out of range, or `handler` takes neither ``(msg)`` nor
                ``(msg, ctx)``.
            InvalidType: `handler` is not callable, or a generator function; `codec` is none.
            NoSuchCodec: Nobody has registered a codec of this name.
            AtCapacity: No slot or no thread is free; or, in strict mode, no own thread.
        """
    @overload
    def spawn_py_handler_bounded(
        self,
        handler: Handler,
        budget: int,
        capacity: int,
        release_gil: bool = False,
        *,
        system: bool = False,
        codec: None = None,
        vortex: bool | VortexOptions = False,
    ) -> int: ...
    @overload
    def spawn_py_handler_bounded(
        self,
        handler: CodecHandler[_T],
        budget: int,
        capacity: int,
        release_gil: bool = False,
        *,
        system: bool = False,
        codec: str | Codec[_T],
        vortex: bool | VortexOptions = False,
    ) -> Pid[_T]:
        """Spawns an actor whose mailbox holds at most `capacity` messages; more are refused.

        Args:
            handler: As for `spawn`.
            budget: As for `spawn`.
            capacity: The bound in messages; 1 to 2^30.
            release_gil: As for `spawn`.
            system: As for `spawn`.
            codec: As for `spawn`.
            vortex: As for `spawn`.

        Returns:
            The pid of the actor.

        Raises:
            InvalidArgument: As for `spawn`, and if `capacity` is out of range.
            InvalidType: As for `spawn`.
            AtCapacity: As for `spawn`.
        """
    @overload
    def spawn_with_mailbox(
        self, handler: PullHandler, budget: int = 100, *, codec: None = None
    ) -> int: ...
    @overload
    def spawn_with_mailbox(
        self, handler: CodecPullHandler[_T], budget: int = 100, *, codec: str | Codec[_T]
    ) -> Pid[_T]:
        """Spawns a pull actor: a function that receives from its mailbox itself.

        A `def` function gets a `Mailbox` and a thread of its own, with a stack of 4 MiB; an
        ``async def`` function an `AsyncMailbox`, on the running event loop of this thread or, if
        there is none, on iris' own. The actor ends when the function returns or raises.

        Args:
            handler: Called once, with ``(mailbox)``.
            budget: As for `spawn`.
            codec: As for `spawn`. What it does not decode raises from the receive.

        Returns:
            The pid of the actor.

        Raises:
            InvalidArgument: `budget` is out of range, or `handler` does not take ``(mailbox)``.
            InvalidType: `handler` is not callable, or a generator function.
            AtCapacity: No slot or no thread is free.
        """
    def spawn_with_path_observed(
        self, budget: int, path: str, *, capacity: int | None = None
    ) -> int:
        """Spawns an observed actor: it has no handler, and keeps what it gets until it is asked.

        It is registered under `path`, and ends when it is stopped; with `drain` once its messages
        have been fetched. An unbounded one keeps everything; with a `capacity` and the policy
        ``dropold`` it keeps the newest.

        Args:
            budget: As for `spawn`.
            path: Where it is registered.
            capacity: The bound of its mailbox in messages; 1 to 2^30. Default: the runtime's.

        Returns:
            The pid of the actor.

        Raises:
            InvalidPath: `path` is none.
            NameTaken: `path` is another live actor's; nothing is spawned.
            InvalidArgument: `budget` or `capacity` is out of range.
            AtCapacity: No slot is free.
        """
    def get_messages(self, observer_pid: int) -> list[Received]:
        """Takes everything that an observed actor has kept, oldest first.

        Args:
            observer_pid: The observed actor.

        Returns:
            The messages; calls as `CallMessage`, what the runtime itself tells as
            `PySystemMessage`.

        Raises:
            NoSuchActor: It is unknown or dead.
            InvalidArgument: It is no observed actor.
        """
    def selective_recv(
        self,
        pid: int,
        matcher: Callable[[Any], object],
        timeout: float | None = None,
    ) -> Future[Received | None]:
        """Waits on an asyncio event loop for a message of an observed actor that `matcher` likes.

        The others keep their place and order. As long as it is the same object, a matcher is not
        asked again about what it has refused. Several may wait at once.

        Args:
            pid: The observed actor.
            matcher: Called with the bytes of a message, or with a `PySystemMessage`. What it raises
                is raised here, and the message stays.
            timeout: In seconds. Default: for ever.

        Returns:
            A future of the message; None: the time is over, or the actor has ended.

        Raises:
            NoSuchActor: It is unknown or dead.
            InvalidArgument: It is no observed actor, or `timeout` is out of range.
            NotLocal: No event loop runs on this thread.
            WouldDeadlock: This is a handler that is not ``async def``.
        """
    def selective_recv_blocking(
        self,
        pid: int,
        matcher: Callable[[Any], object],
        timeout: float | None = None,
    ) -> Received | None:
        """`selective_recv` that blocks, with the GIL released; Ctrl-C works on the main thread.

        Args:
            pid: As for `selective_recv`.
            matcher: As for `selective_recv`.
            timeout: As for `selective_recv`.

        Returns:
            The message; None: the time is over, or the actor has ended.

        Raises:
            WouldDeadlock: This thread runs handlers or an event loop.
            NoSuchActor: As for `selective_recv`.
            InvalidArgument: As for `selective_recv`.
        """
    @overload
    def spawn_virtual(
        self,
        handler: Handler,
        budget: int = 100,
        idle_timeout_ms: float | None = None,
        *,
        on_activate: VirtualHook | None = None,
        on_deactivate: VirtualHook | None = None,
        capacity: int | None = None,
        codec: None = None,
    ) -> int: ...
    @overload
    def spawn_virtual(
        self,
        handler: CodecHandler[_T],
        budget: int = 100,
        idle_timeout_ms: float | None = None,
        *,
        on_activate: VirtualHook | None = None,
        on_deactivate: VirtualHook | None = None,
        capacity: int | None = None,
        codec: str | Codec[_T],
    ) -> Pid[_T]:
        """Spawns a virtual actor: its pid is good from now on, and nothing runs for it until then.

        The first message wakes it; without one for `idle_timeout_ms` it sleeps again, and costs
        what it did at first. `stop`, with `drain` after what waits, and `close` end an active one
        after its `on_deactivate`, a dormant one at once; `kill` and a crash run no hook. A hook
        that raises ends the actor with ``crash``.

        Args:
            handler: As for `spawn`.
            budget: As for `spawn`.
            idle_timeout_ms: In milliseconds, 0 to 2^53; more than 24 days is for ever.
                Default: it stays active until it ends.
            on_activate: Called with ``(ctx)`` before the first message, and before the first after
                each sleep; `def` or `async def`. What it answers, unless None, is ``ctx.state``.
            on_deactivate: Called with ``(ctx)`` before an active one sleeps or is stopped.
            capacity: The bound of its mailbox in messages; 1 to 2^30. Default: the runtime's.
            codec: As for `spawn`.

        Returns:
            The pid of the actor.

        Raises:
            InvalidArgument: As for `spawn`; `idle_timeout_ms` or `capacity` is out of range, or a
                hook does not take ``(ctx)``.
            InvalidType: As for `spawn`, and of a hook.
            AtCapacity: As for `spawn`.
        """
    @overload
    def spawn_child(
        self,
        parent: int,
        handler: Handler,
        budget: int = 100,
        release_gil: bool = False,
        *,
        system: bool = False,
        codec: None = None,
        vortex: bool | VortexOptions = False,
    ) -> int: ...
    @overload
    def spawn_child(
        self,
        parent: int,
        handler: CodecHandler[_T],
        budget: int = 100,
        release_gil: bool = False,
        *,
        system: bool = False,
        codec: str | Codec[_T],
        vortex: bool | VortexOptions = False,
    ) -> Pid[_T]:
        """Spawns an actor that ends with its parent, whatever ends that.

        Args:
            parent: Whose child it is.
            handler: As for `spawn`.
            budget: As for `spawn`.
            release_gil: As for `spawn`.
            system: As for `spawn`.
            codec: As for `spawn`.
            vortex: As for `spawn`.

        Returns:
            The pid of the actor.

        Raises:
            NoSuchActor: The parent is unknown or dead; nothing is spawned.
            InvalidArgument: As for `spawn`.
            InvalidType: As for `spawn`.
            AtCapacity: As for `spawn`.
        """
    def spawn_child_pool(
        self,
        parent: int,
        handler: Handler | CodecHandler[Any],
        workers: int,
        budget: int = 100,
        release_gil: bool = False,
        *,
        routing: Literal["roundrobin", "shortest"] = "roundrobin",
        codec: str | Codec[Any] | None = None,
        vortex: bool | VortexOptions = False,
    ) -> Pool:
        """Spawns children that share the work.

        A member that fails is replaced by one that gets what it had queued; one that is stopped or
        killed is not. The pool ends with its parent.

        Args:
            parent: Whose children they are.
            handler: As for `spawn`; all members run the same.
            workers: How many; 1 to 65,536.
            budget: As for `spawn`.
            release_gil: As for `spawn`, for each member.
            routing: Who gets what is sent to the pool: each in turn, or who has the fewest queued.
            codec: As for `spawn`.
            vortex: As for `spawn`.

        Returns:
            The list of their pids, kept up to date, which can `send` and `call`.

        Raises:
            NoSuchActor: The parent is unknown or dead; nothing is spawned.
            InvalidArgument: As for `spawn`, and if `workers` or `routing` is out of range.
            InvalidType: As for `spawn`.
            NoSuchCodec: As for `spawn`.
            AtCapacity: As for `spawn`; nothing is left of the members before.
        """
    @overload
    def spawn_child_with_mailbox(
        self,
        parent: int,
        handler: PullHandler,
        budget: int = 100,
        *,
        codec: None = None,
    ) -> int: ...
    @overload
    def spawn_child_with_mailbox(
        self,
        parent: int,
        handler: CodecPullHandler[_T],
        budget: int = 100,
        *,
        codec: str | Codec[_T],
    ) -> Pid[_T]:
        """Spawns a pull actor that ends with its parent.

        Args:
            parent: Whose child it is.
            handler: As for `spawn_with_mailbox`.
            budget: As for `spawn`.
            codec: As for `spawn_with_mailbox`.

        Returns:
            The pid of the actor.

        Raises:
            NoSuchActor: The parent is unknown or dead; nothing is spawned.
            InvalidArgument: As for `spawn_with_mailbox`.
            InvalidType: As for `spawn_with_mailbox`.
            AtCapacity: As for `spawn_with_mailbox`.
        """
    @overload
    def send(self, pid: Pid[_T], data: _T) -> bool: ...
    @overload
    def send(self, pid: PlainPid, data: Payload) -> bool:
        """Sends a message. Never runs the handler.

        A full mailbox does what its policy says (`set_overflow_policy`). Only one with ``block``
        waits for room, and only on a thread that may wait, with the GIL released and Ctrl-C
        working; where handlers or an event loop run, it answers False: use `send_async`.

        Args:
            pid: Who is to get it.
            data: The message.

        Returns:
            Whether the mailbox took it: False for an unknown or dead pid and for a full mailbox.

        Raises:
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def send_async(self, pid: Pid[_T], data: _T) -> Future[bool]: ...
    @overload
    def send_async(self, pid: PlainPid, data: Payload) -> Future[bool]:
        """Sends on an asyncio event loop, and waits for room where the policy is ``block``.

        The message is sent, or queues for room, at once; cancelling takes it back.

        Args:
            pid: Who is to get it.
            data: The message.

        Returns:
            A future of whether the mailbox took it.

        Raises:
            NotLocal: No event loop runs on this thread.
            WouldDeadlock: This is a handler that is not ``async def``.
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def send_with_backpressure(self, pid: Pid[_T], data: _T) -> tuple[bool, Pressure]: ...
    @overload
    def send_with_backpressure(self, pid: PlainPid, data: Payload) -> tuple[bool, Pressure]:
        """Sends, never waits (not for ``block`` either), and tells how full the mailbox is now.

        Args:
            pid: Who is to get it.
            data: The message.

        Returns:
            Whether the mailbox took it, and its level; NORMAL for an unknown or dead pid.

        Raises:
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def send_many(self, pid: Pid[_T], payloads: Iterable[_T]) -> int: ...
    @overload
    def send_many(self, pid: PlainPid, payloads: Iterable[Payload]) -> int:
        """Sends each payload, as `send` in a loop would.

        Args:
            pid: Who is to get them.
            payloads: The messages; one of the wrong type and none is sent.

        Returns:
            How many the mailbox took.

        Raises:
            BufferError: A payload is not C-contiguous.
        """
    def send_named(self, name: str, data: Any) -> bool:
        """Sends to whoever holds a name.

        Args:
            name: The name.
            data: The message.

        Returns:
            Whether somebody holds the name and the mailbox took it.

        Raises:
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def call(self, pid: Pid[_T], data: _T, timeout: float | None = None) -> Future[Any]: ...
    @overload
    def call(self, pid: PlainPid, data: Payload, timeout: float | None = None) -> Future[bytes]:
        """Asks, and answers an awaitable of the reply; on an asyncio event loop.

        The request is sent at once. Cancelling the awaitable gives the call up.

        Args:
            pid: Who is asked.
            data: The request.
            timeout: In seconds. Default: the runtime's.

        Returns:
            A future of the reply. It raises `Timeout`, `ActorExited`, or what the handler raised
            (`HandlerFailed` if that was on another node).

        Raises:
            NoSuchActor: At once, as are the following.
            MailboxFull: The mailbox is full.
            SelfCall: The handler that runs here is that of `pid`, and would wait for itself.
            NotLocal: No event loop runs on this thread.
            WouldDeadlock: This is a handler that is not ``async def``.
            InvalidArgument: `timeout` is out of range.
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def call_blocking(self, pid: Pid[_T], data: _T, timeout: float | None = None) -> Any: ...
    @overload
    def call_blocking(self, pid: PlainPid, data: Payload, timeout: float | None = None) -> bytes:
        """Asks, and blocks until the reply. The GIL is released; Ctrl-C works.

        Args:
            pid: Who is asked.
            data: The request.
            timeout: In seconds. Default: the runtime's.

        Returns:
            The reply.

        Raises:
            Timeout: The deadline passed first.
            ActorExited: The actor ended before it answered.
            Exception: What the handler raised (`HandlerFailed` if that was on another node).
            NoSuchActor: The actor is unknown or dead.
            MailboxFull: The mailbox is full.
            WouldDeadlock: This thread runs handlers or an event loop.
            InvalidArgument: `timeout` is out of range.
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def send_after(self, pid: Pid[_T], delay_ms: float, data: _T) -> int: ...
    @overload
    def send_after(self, pid: PlainPid, delay_ms: float, data: Payload) -> int:
        """Sends once, after a delay: never earlier, and not if the actor has ended by then.

        Args:
            pid: Who is to get it.
            delay_ms: In milliseconds; 0 to 2^53.
            data: The message, copied now.

        Returns:
            The timer's id, for `cancel_timer`.

        Raises:
            InvalidArgument: `delay_ms` is out of range.
            NoSuchActor: The actor is unknown or dead.
            AtCapacity: 16,777,216 timers wait.
            BufferError: `data` is not C-contiguous.
        """
    @overload
    def send_interval(self, pid: Pid[_T], interval_ms: float, data: _T) -> int: ...
    @overload
    def send_interval(self, pid: PlainPid, interval_ms: float, data: Payload) -> int:
        """Sends again and again, first after one interval, until cancelled or the actor's end.

        Ticks do not drift and do not pile up: what is missed is skipped and counted.

        Args:
            pid: Who is to get it.
            interval_ms: In milliseconds; above 0, at most 2^53.
            data: The message, copied now.

        Returns:
            The timer's id, for `cancel_timer`.

        Raises:
            InvalidArgument: `interval_ms` is out of range.
            NoSuchActor: The actor is unknown or dead.
            AtCapacity: 16,777,216 timers wait.
            BufferError: `data` is not C-contiguous.
        """
    def cancel_timer(self, timer_id: int) -> bool:
        """Takes a timer back.

        Args:
            timer_id: What `send_after` or `send_interval` answered.

        Returns:
            Whether it was still to fire.
        """
    def allocate_buffer(self, size: int) -> tuple[int, memoryview]:
        """Allocates memory for one message, to be filled and then sent without a copy.

        The memory is freed with the actor whose code allocated it, if it was not sent by then; else
        with the runtime.

        Args:
            size: In bytes; 0 to 2^53.

        Returns:
            The id, for `send_buffer`, and a writable view of zeros.

        Raises:
            InvalidArgument: `size` is out of range.
            MemoryError: There is not so much memory.
        """
    def send_buffer(self, pid: int, buffer_id: int) -> bool:
        """Sends a buffer. It is not copied: the handler's `bytes` are that very memory.

        The view that `allocate_buffer` gave is released if the message is taken (or waits for
        room, with the policy `block`): a refused send changes nothing. If other views of it are
        alive (a slice, a numpy array), what is sent is a copy. No codec is asked: the receiver's
        decodes the bytes.

        Args:
            pid: Who is to get it.
            buffer_id: What `allocate_buffer` answered. It works once; again if this is False.

        Returns:
            Whether the mailbox took it.

        Raises:
            NoSuchBuffer: It was sent, or ended with its owner, or never was.
        """
    def send_user_with_backpressure(self, pid: int, buffer_id: int) -> tuple[bool, Pressure]:
        """Sends a buffer as `send_buffer`, never waits, and tells how full the mailbox is now.

        Args:
            pid: Who is to get it.
            buffer_id: As for `send_buffer`.

        Returns:
            As `send_with_backpressure`.

        Raises:
            NoSuchBuffer: As for `send_buffer`.
        """
    def free_buffer(self, buffer_id: int) -> bool:
        """Frees a buffer that will not be sent. Its views stay valid.

        Args:
            buffer_id: What `allocate_buffer` answered.

        Returns:
            Whether there was one.
        """
    def set_release_gil_limits(self, max_threads: int, pool_size: int) -> None:
        """Says how many threads there are for actors that were spawned with ``release_gil=True``.

        It holds for the spawns that follow.

        Args:
            max_threads: How many actors have threads of their own; 0 to 65,536. Default 256.
            pool_size: How many threads the others share, and must not block; 1 to 1,024. Default 8.

        Raises:
            InvalidArgument: One of them is out of range.
        """
    def set_release_gil_strict(self, strict: bool) -> None:
        """Says what ``release_gil=True`` does when `max_threads` actors have threads of their own.

        Args:
            strict: True: the spawn raises `AtCapacity`. False, the default: a shared thread.
        """
    def vortex_set_auto_ghost_policy(self, policy: str) -> bool:
        """Says which of two branches commits, for messages that are handled from now on.

        Args:
            policy: ``FirstSafePointWins``, the default: whichever has returned first.
                ``PreferPrimary``: the ghost waits until the primary has failed, or its grace is
                over.

        Returns:
            Whether there is such a policy; if not, nothing has changed.
        """
    def vortex_get_auto_ghost_policy(self) -> str | None:
        """Tells the policy in force."""
    def vortex_get_auto_resolution_counts(self) -> tuple[int, int]:
        """Counts the messages that had a ghost.

        Returns:
            Those that the primary committed, and those that the ghost did.
        """
    def vortex_get_auto_replay_count(self) -> int:
        """Counts the ghosts that were begun because the primary had failed."""
    def vortex_reset_auto_telemetry(self) -> None:
        """Sets what is counted to 0."""
    def hot_swap(self, pid: int, new_handler: Handler | CodecHandler[Any]) -> int:
        """Gives an actor another handler; queue, names and pid stay.

        What is being handled finishes on the old handler; every later message sees the new one. The
        16 handlers before it are kept for `rollback_behavior`. The new one sees the same variables
        of `contextvars` as the old, and runs on the same thread; `def` or ``async def``.

        Args:
            pid: Whose handler. Push actors only.
            new_handler: As for the `handler` of `spawn`.

        Returns:
            The version now in force.

        Raises:
            NoSuchActor: The actor is unknown or dead.
            InvalidArgument: It is a pull actor, or `new_handler` takes neither ``(msg)`` nor
                ``(msg, ctx)``.
            InvalidType: `new_handler` is not callable, or a generator function.
        """
    def behavior_version(self, pid: int) -> int:
        """Tells which handler is in force.

        Args:
            pid: Whose handler. Push actors only.

        Returns:
            1 for that of the spawn; each `hot_swap` gives a new number, one more than there were.

        Raises:
            NoSuchActor: The actor is unknown or dead.
            InvalidArgument: It is a pull actor.
        """
    def rollback_behavior(self, pid: int, steps: int = 1) -> int:
        """Goes back to an earlier handler; those after it are forgotten.

        Args:
            pid: Whose handler. Push actors only.
            steps: How many versions.

        Returns:
            The version now in force.

        Raises:
            NoSuchActor: The actor is unknown or dead.
            InvalidArgument: It is a pull actor, or fewer versions are kept; nothing has changed.
        """
    def register(
        self, name: str, pid: int, *, scope: Literal["local", "cluster"] = "local"
    ) -> None:
        """Gives a name to a live actor. The same pair again is fine.

        In the scope ``cluster`` every node of the cluster finds it: of two that took it at the same
        time, or on two sides of a partition, the older registration stays, and the other actor ends
        with ``name_conflict``, unless it traps exits.

        Args:
            name: 1 to 1024 bytes as UTF-8.
            pid: Who is to hold it.
            scope: Where the name is known.

        Raises:
            NameTaken: Another live actor holds it.
            NoSuchActor: The actor is unknown or dead.
            NotLocal: In the cluster: the actor lives on another node; register it there.
            InvalidArgument: The name is empty or too long, or the scope is neither.
        """
    def unregister(self, name: str) -> bool:
        """Takes a name away.

        Args:
            name: The name.

        Returns:
            Whether a live actor held it.
        """
    def register_path(self, path: str, pid: int) -> None:
        """Registers a live actor under a path. The same pair again is fine.

        Args:
            path: Absolute, such as ``/svc/payments/one``; at most 1024 bytes, no empty segment. A
                slash at its end is dropped.
            pid: Who is to be found there.

        Raises:
            InvalidPath: The path is none.
            NameTaken: Another live actor is registered there.
            NoSuchActor: The actor is unknown or dead.
        """
    def unregister_path(self, path: str) -> bool:
        """Takes a path away.

        Args:
            path: The path.

        Returns:
            Whether a live actor held it.

        Raises:
            InvalidPath: The path is none.
        """
    def whereis_path(self, path: str) -> int | None:
        """Finds who is registered under a path.

        Args:
            path: The path.

        Returns:
            The pid of the live actor there, or None.

        Raises:
            InvalidPath: The path is none.
        """
    def list_children(self, prefix: str) -> list[tuple[str, int]]:
        """Lists all live actors below a path, in the order of the paths' bytes.

        Args:
            prefix: The path; ``/`` is above them all.

        Returns:
            Path and pid of each. It costs what it answers, not what there is.

        Raises:
            InvalidPath: The path is none.
        """
    def list_children_direct(self, prefix: str) -> list[tuple[str, int]]:
        """Lists the live actors one level below a path; as `list_children`.

        Args:
            prefix: The path; ``/`` is above them all.

        Returns:
            Path and pid of each.

        Raises:
            InvalidPath: The path is none.
        """
    def resolve(self, name: str) -> int | None:
        """Finds who holds a name.

        Args:
            name: The name.

        Returns:
            The pid of the live actor that holds it, or None.
        """
    def whereis(self, name: str) -> int | None:
        """The same as `resolve`."""
    def stop(self, pid: int, drain: bool = False, timeout: float | None = None) -> bool:
        """Stops an actor: it takes no message from now on; its running handler finishes.

        Args:
            pid: Who is to stop.
            drain: Whether it handles what is queued first. Else that is dead.
            timeout: How long the handler may go on before it is given up, in seconds. Default: the
                runtime's.

        Returns:
            Whether it was alive.

        Raises:
            InvalidArgument: `timeout` is out of range.
        """
    def kill(self, pid: int) -> bool:
        """Ends an actor at once, whatever its handler does.

        Args:
            pid: Who is to end.

        Returns:
            Whether it was alive.
        """
    def join(self, pid: int, timeout: float | None = None) -> ExitInfo:
        """Blocks until an actor has ended. The GIL is released; Ctrl-C works.

        Args:
            pid: Whose end is waited for.
            timeout: In seconds. Default: for ever.

        Returns:
            How it ended; reason ``noproc`` if that is not known any more, or never was.

        Raises:
            Timeout: It has not ended by then.
            WouldDeadlock: This thread runs handlers or an event loop.
            NoSuchActor: The number is no pid.
            InvalidArgument: `timeout` is out of range.
        """
    def join_async(self, pid: int) -> Future[ExitInfo]:
        """Waits for an actor's end on an asyncio event loop.

        Args:
            pid: Whose end is waited for.

        Returns:
            A future of what `join` answers.

        Raises:
            NotLocal: No event loop runs on this thread.
            WouldDeadlock: This is a handler that is not ``async def``.
            NoSuchActor: The number is no pid.
        """
    def is_alive(self, pid: int) -> bool:
        """Asks whether an actor has not ended and is not about to.

        Args:
            pid: Who.

        Returns:
            Whether it takes messages, or handles the last of them.
        """
    def mailbox_size(self, pid: int) -> int | None:
        """Counts the messages that wait for an actor.

        Args:
            pid: Whose mailbox.

        Returns:
            The number; None for an unknown or dead pid.
        """
    def mailbox_backpressure(self, pid: int) -> Pressure | None:
        """Tells how full a mailbox is.

        Args:
            pid: Whose mailbox.

        Returns:
            HIGH from half of its capacity on, CRITICAL from 90 %; unbounded ones have watermarks.
            None for an unknown or dead pid.
        """
    def set_overflow_policy(
        self, pid: int, policy: OverflowPolicy, target: int | None = None
    ) -> None:
        """Says what happens to messages that find the mailbox full.

        Args:
            pid: Whose mailbox.
            policy: ``dropnew`` (the default): the new one is refused. ``dropold``: the oldest goes.
                ``redirect``: the new one goes to `target`. ``spill``: the oldest goes to `target`.
                ``block``: the sender waits for room, see `send`.
            target: For ``redirect`` and ``spill``, and only for them.

        Raises:
            InvalidArgument: The policy is unknown, does not go with `target`, or makes a cycle.
            NoSuchActor: `pid` or `target` is unknown or dead.
        """
    def set_watermarks(self, high: int, critical: int) -> None:
        """Sets from how many messages on unbounded mailboxes are HIGH and CRITICAL.

        Args:
            high: Default 1,000.
            critical: Default 10,000.

        Raises:
            InvalidArgument: Unless ``0 < high <= critical < 2^32``.
        """
    def set_system_capacity(self, actors: int | None) -> None:
        """Bounds the live actors while load is shed; `spawn` is `AtCapacity` beyond.

        Args:
            actors: 1 to 2^53. None: no bound.

        Raises:
            InvalidArgument: It is out of range.
        """
    def set_message_capacity(self, messages: int | None) -> None:
        """Bounds the queued messages of the runtime while load is shed; `send` is False beyond.

        Args:
            messages: 1 to 2^53. None: no bound.

        Raises:
            InvalidArgument: It is out of range.
        """
    def set_load_shedding(self, on: bool) -> None:
        """Turns load shedding on or off.

        Args:
            on: Default: off.
        """
    def is_load_shedding_active(self) -> bool:
        """Asks whether load is being shed right now.

        Returns:
            Whether it is on and one of the capacities is reached.
        """
    def list_actors(self) -> list[int]:
        """Lists the live actors.

        Returns:
            Their pids in the order of their spawns. O(actors).
        """
    def actor_info(self, pid: int) -> ActorInfo | None:
        """Tells what is known of an actor.

        Args:
            pid: Who.

        Returns:
            The state of this moment; None for an unknown or dead pid.
        """
    def get_metrics(self) -> Metrics:
        """Reads the books and the sizes of things. O(1).

        Returns:
            Counts since the runtime began.
        """
    def send_path(self, path: str, data: Payload) -> bool:
        """Sends to whoever is registered under a path; as `send_named`.

        Args:
            path: The path.
            data: The message.

        Returns:
            Whether a mailbox took it. While a replacement is to come, it waits for that.

        Raises:
            InvalidPath: The path is none.
        """
    def create_path_supervisor(
        self,
        path: str,
        *,
        strategy: Strategy | None = None,
        max_restarts: int | None = None,
        within_ms: float | None = None,
        restart: RestartType | None = None,
        backoff: bool | BackoffOptions | None = None,
    ) -> bool:
        """Makes a supervisor at a path, or changes what is given of one.

        The nearest supervisor above a path has the ones below among its children. The tables of
        docs/supervision.md say who is restarted when.

        Args:
            path: Where.
            strategy: Who is restarted with a child: nobody else (``restartone``, the default), all
                its siblings (``restartall``), those started after it (``restforone``).
            max_restarts: Restarts that are fine within the window; one more ends all its children,
                then itself. Default 3.
            within_ms: The window in milliseconds. Default 5,000.
            restart: Which of its own ends the supervisor above restarts. Default ``permanent``.
            backoff: Waits before restarts; True: with the defaults. Default: none.

        Returns:
            Whether it is new.

        Raises:
            InvalidPath: The path is none.
            InvalidArgument: A word or a number is out of range.
        """
    def remove_path_supervisor(self, path: str) -> bool:
        """Takes a supervisor away; its children live on without one.

        Args:
            path: Where.

        Returns:
            Whether it was there.
        """
    def path_supervisor_watch(self, path: str, pid: int) -> None:
        """Puts an actor under the supervisor at a path, which is made if it is not there.

        Args:
            path: Where.
            pid: The actor: its end is reported (`on_supervision`), never followed by a restart.

        Raises:
            InvalidPath: The path is none.
            NoSuchActor: The actor is unknown or dead.
        """
    def path_supervisor_children(self, path: str) -> list[int]:
        """The live children of the supervisor at a path, in start order.

        Args:
            path: Where.

        Returns:
            Their pids; none if there is no supervisor.
        """
    def path_supervise_with_factory(
        self,
        path: str,
        pid: int,
        factory: Callable[[], int | Awaitable[int]] | Callable[[int | None], int | Awaitable[int]],
        strategy: Strategy | None,
        *,
        restart: RestartType | None = None,
        max_restarts: int | None = None,
        within_ms: float | None = None,
        backoff: bool | BackoffOptions | None = None,
        id: str | None = None,
    ) -> None:
        """Has a factory replace an actor when it ends.

        The replacement gets what was queued, the open calls, the names and the paths; what is sent
        to those meanwhile waits for it. Only the message that crashed is lost.

        Args:
            path: The supervisor's; it is made if it is not there.
            pid: The actor.
            factory: Called on the interpreter lane, with nothing, or, if it requires an argument,
                with the pid that left messages (None: nobody did); answers the pid of the
                replacement, or an awaitable of it. What it spawns handles nothing before it is
                over. If it raises, or answers no live actor, that is a failed restart.
            strategy: As for `create_path_supervisor`.
            restart: Which ends are followed by a restart: all (``permanent``, the default), errors
                (``transient``), none (``temporary``).
            max_restarts: The supervisor's.
            within_ms: The supervisor's.
            backoff: The supervisor's.
            id: The child's name, for hooks.

        Raises:
            InvalidPath: The path is none.
            NoSuchActor: The actor is unknown or dead.
            InvalidArgument: It has a factory already, or a word or number is out of range.
        """
    def terminate_child(self, path: str, pid: int) -> bool:
        """Stops a child of the supervisor at a path for good.

        Args:
            path: The supervisor's.
            pid: The child.

        Returns:
            Whether it was one.
        """
    def watch_path(self, prefix: str) -> int:
        """Puts the live actors one level below a path under the global supervisor.

        Args:
            prefix: The path.

        Returns:
            How many there are.
        """
    def children_count(self) -> int:
        """How many live children the global supervisor has."""
    def child_pids(self) -> list[int]:
        """The live children of the global supervisor."""
    def supervise(
        self,
        path: str,
        children: Sequence[Mapping[str, Any]],
        *,
        strategy: Strategy | None = None,
        max_restarts: int | None = None,
        within_ms: float | None = None,
        restart: RestartType | None = None,
        backoff: bool | BackoffOptions | None = None,
    ) -> Supervisor:
        """Makes a supervisor at a path and starts its children in order.

        Args:
            path: Where.
            children: A dict each: ``id`` (it is registered at ``path/id``), ``start`` (spawns it,
                first and for every restart), ``restart``, ``workers`` (so many of them). One with
                ``children`` is a supervisor itself, with the options of this call.
            strategy: As for `create_path_supervisor`.
            max_restarts: As for `create_path_supervisor`.
            within_ms: As for `create_path_supervisor`.
            restart: As for `create_path_supervisor`.
            backoff: As for `create_path_supervisor`.

        Returns:
            The supervisor. If a child does not start, those that did are stopped, and this raises
            what it raised.

        Raises:
            NameTaken: There is a supervisor already.
            InvalidArgument: A spec is wrong.
            InvalidType: A spec is wrong.
        """
    def on_supervision(self, hook: Callable[[SupervisionEvent], object] | None) -> None:
        """Sets who hears of everything that supervisors do.

        Args:
            hook: Called on a thread of iris' own; what it raises is logged. None: nobody.
        """
    def on_restart(self, hook: Callable[[SupervisionEvent], object] | None) -> None:
        """Sets who hears of restarts.

        Args:
            hook: As for `on_supervision`.
        """
    def _start_over(self, ticket: int, answer: Any, error: BaseException | None = None) -> None: ...
    def _start_at_hand(self, ticket: int) -> None: ...
    def monitor(self, target: int, watcher: int | Callable[[PySystemMessage], object]) -> int:
        """Has a watcher told when an actor ends: exactly one ``DOWN`` for each reference.

        It comes after what the actor had sent before it ended, when its names and paths are free
        again, and at once, with the reason ``noproc``, if it has ended already.

        Args:
            target: Whose end.
            watcher: An actor that takes system messages (a pull actor, or one spawned with
                ``system=True``), or a function, which is called with a `PySystemMessage` on a
                thread of iris' own, in the `contextvars` context of this call. What it raises is
                logged.

        Returns:
            The reference: in the message's ``metadata["ref"]``, and for `demonitor`.

        Raises:
            InvalidArgument: The watcher does not take system messages.
            NoSuchActor: The watcher has ended, or `target` is no pid at all.
        """
    def demonitor(self, reference: int) -> bool:
        """Takes a monitor back.

        Args:
            reference: What `monitor` answered.

        Returns:
            Whether its ``DOWN`` was still to come.
        """
    def link(self, a: int, b: int) -> None:
        """Links two actors: each ends when the other does, for the same reason.

        Not if that is ``normal``, and not if it traps exits (`set_trap_exit`): then an ``EXIT``
        comes instead. A link to an actor that has ended is its end with ``noproc``.

        Args:
            a: One of them.
            b: The other.

        Raises:
            NoSuchActor: Both have ended, or one is no pid at all.
        """
    def unlink(self, a: int, b: int) -> bool:
        """Takes a link away.

        Args:
            a: One of them.
            b: The other.

        Returns:
            Whether there was one.
        """
    def set_trap_exit(self, pid: int, traps: bool) -> bool:
        """Says whether the ends of linked actors come as ``EXIT`` messages.

        A push actor that does not take system messages only lives on. `kill` cannot be trapped.

        Args:
            pid: The actor.
            traps: Whether.

        Returns:
            What was set before.

        Raises:
            NoSuchActor: The actor is unknown or dead.
        """
    def configure_mesh(
        self,
        *,
        secret: str | Payload | None = None,
        heartbeat_ms: float | None = None,
        down_after_ms: float | None = None,
        phi: float | None = None,
        resume_window_ms: float | None = None,
        handshake_timeout_ms: float | None = None,
        stall_ms: float | None = None,
        max_payload: int | None = None,
        send_buffer: int | None = None,
        proxy_capacity: int | None = None,
        window: int | None = None,
        max_peers: int | None = None,
        max_handshakes: int | None = None,
        permissions: NodePermissions | None = None,
        tls: TlsOptions | None = None,
    ) -> None:
        """Changes how this node behaves towards others, for connections that begin from now on.

        What is None stays as it is. docs/distributed.md explains each knob.

        Args:
            secret: What all nodes of the mesh know: it encrypts, and keeps others out. Take 32
                random bytes. Default: none.
            heartbeat_ms: Time between signs of life. Default 1,000.
            down_after_ms: How long a node may be silent before it is down. Default 10,000.
            phi: Judge silences by what is usual on the link (phi-accrual); the threshold, 8 for one
                error in 10^8. Default: off.
            resume_window_ms: How long a session waits for a new connection after a cut. Default
                10,000.
            handshake_timeout_ms: How long a connection may take until both have said who they are.
                Default 5,000.
            stall_ms: How long a lane may be stuck before others see this node as stalled. Default
                5,000.
            max_payload: Longest message, in bytes. Default 16 MiB; 1 KiB to 1 GiB.
            send_buffer: Bytes of one session that wait for an acknowledgement; then proxies keep
                their messages. Default 8 MiB.
            proxy_capacity: Bound of proxies' mailboxes, in messages. Default: the runtime's
                ``default_capacity``.
            window: Messages that a node may have on their way to one actor here. Default 16,384.
            max_peers: Nodes that are connected at once. Default 1,024.
            max_handshakes: Connections that have not said who they are; one more ends the oldest.
                Default 128.
            permissions: What nodes may do here over connections that this node opens.
            tls: Certificates: they encrypt, and keep out who has none of this authority. Default:
                none.

        Raises:
            InvalidArgument: A value is out of range, a permission does not exist, or something is
                no certificate.
            Io: A file of ``tls`` cannot be read.
        """
    def listen(
        self,
        addr: str,
        *,
        secret: str | Payload | None = None,
        insecure: bool = False,
        permissions: NodePermissions | None = None,
        tls: TlsOptions | None = None,
    ) -> str:
        """Listens for other nodes.

        Args:
            addr: ``host:port`` (port 0: a free one), ``[ipv6]:port`` or ``unix:/path``. Without a
                secret only addresses that other machines cannot reach.
            secret: The secret of this listener. Default: the mesh's; if that has none, this becomes
                its.
            insecure: Listen beyond this machine without a secret or certificates.
            permissions: What nodes may do here over connections that they open.
            tls: The certificates of this listener. Default: the mesh's; if that has none, these
                become its.

        Returns:
            The bound address.

        Raises:
            Io: The system refused: in use, no right.
            InvalidArgument: This is no address, it needs a secret, or something of ``tls`` is no
                certificate.
        """
    def unlisten(self, addr: str) -> bool:
        """Stops listening; connections that are open stay.

        Args:
            addr: Where.

        Returns:
            Whether it listened there.
        """
    def listening(self) -> list[str]:
        """Lists the addresses that this node listens at.

        Returns:
            The bound addresses.
        """
    def resolve_remote(self, addr: str, name: str, timeout: float | None = None) -> int | None:
        """Asks the node at an address who has a name there, and waits.

        Args:
            addr: Where; connects if need be.
            name: Which name.
            timeout: Seconds. Default 5.

        Returns:
            A proxy: a pid that works in every call, and takes what the actor's codec encodes. None:
            nobody has the name.

        Raises:
            Unreachable: No node answers there.
            AuthFailed: It has another secret, or only one of the two has one.
            NotPermitted: It lets nobody ask.
            Timeout: It did not answer in time.
            WouldDeadlock: This thread runs an event loop or actors.
        """
    def resolve_remote_py(
        self, addr: str, name: str, timeout: float | None = None
    ) -> Future[int | None]:
        """Asks as `resolve_remote` does, without blocking.

        Args:
            addr: Where.
            name: Which name.
            timeout: Seconds. Default 5.

        Returns:
            An awaitable of the running event loop.

        Raises:
            NotLocal: No event loop runs on this thread.
        """
    def is_node_up(self, addr: str, timeout: float | None = None) -> bool:
        """Asks whether a node answers at an address, and waits.

        Args:
            addr: Where.
            timeout: Seconds. Default 2.

        Returns:
            Whether it does.

        Raises:
            WouldDeadlock: This thread runs an event loop or actors.
        """
    def is_node_up_async(self, addr: str, timeout: float | None = None) -> Future[bool]:
        """Asks as `is_node_up` does, without blocking.

        Args:
            addr: Where.
            timeout: Seconds. Default 2.

        Returns:
            An awaitable of the running event loop.

        Raises:
            NotLocal: No event loop runs on this thread.
        """
    def remote_pid(self, addr: str, pid: int) -> int:
        """Makes the proxy of an actor from its node's address and its pid there.

        It takes messages at once; if the node cannot be reached it ends with ``node_down``, and if
        there is no such actor with ``noproc``. What the actor speaks is not known here: messages
        for it are bytes, encoded already.

        Args:
            addr: Where.
            pid: Its pid on that node.

        Returns:
            The proxy.
        """
    def send_remote(self, addr: str, pid: int, data: Payload) -> bool:
        """Sends to the actor that has a pid on the node at an address.

        Args:
            addr: Where.
            pid: Its pid on that node.
            data: The message.

        Returns:
            Whether its proxy took it.
        """
    def monitor_remote(
        self,
        addr: str,
        pid: int,
        watcher: int | Callable[[PySystemMessage], object] | None = None,
    ) -> int:
        """Watches the actor that has a pid on the node at an address.

        Args:
            addr: Where.
            pid: Its pid on that node.
            watcher: Who hears of its end besides the global supervisor; see `monitor`.

        Returns:
            Its proxy.
        """
    def disconnect(self, addr: str) -> bool:
        """Says goodbye to a node: proxies of its actors end with ``disconnected``.

        Args:
            addr: Where this node had connected to.

        Returns:
            Whether there was a session.
        """
    def export_pid(self, pid: int) -> bytes:
        """Writes a pid as bytes, for messages.

        Args:
            pid: A live actor, or a proxy.

        Returns:
            What any node of the mesh can turn back with `import_pid`.

        Raises:
            NoSuchActor: The actor is unknown or dead.
        """
    def import_pid(self, data: Payload) -> int:
        """Turns such bytes into the pid that they mean here.

        Args:
            data: From `export_pid`.

        Returns:
            The actor itself where it lives, a proxy elsewhere.

        Raises:
            InvalidArgument: The bytes are none of `export_pid`.
            NoSuchActor: Its node was declared down since.
            Unreachable: Its node is not connected and does not listen.
        """
    def is_remote(self, pid: int) -> bool:
        """Asks whether an actor lives on another node.

        Args:
            pid: Who.

        Returns:
            Whether the pid is a proxy's.
        """
    def remote_info(self, pid: int, timeout: float | None = None) -> RemoteInfo | None:
        """Asks the node of a remote actor about it, and waits.

        Args:
            pid: A proxy.
            timeout: Seconds. Default 5.

        Returns:
            What is known there. None: it has ended, or is no remote actor.

        Raises:
            WouldDeadlock: This thread runs an event loop or actors.
        """
    def remote_info_async(
        self, pid: int, timeout: float | None = None
    ) -> Future[RemoteInfo | None]:
        """Asks as `remote_info` does, without blocking.

        Args:
            pid: A proxy.
            timeout: Seconds. Default 5.

        Returns:
            An awaitable of the running event loop.

        Raises:
            NotLocal: No event loop runs on this thread.
        """
    def nodes(self) -> list[NodeInfo]:
        """Lists the nodes that this one has a session with.

        Returns:
            One entry a node.
        """
    def join_cluster(
        self,
        seeds: Iterable[str],
        *,
        name: str | None = None,
        gossip_ms: float | None = None,
        timeout: float | None = None,
        advertise: str | None = None,
    ) -> None:
        """Makes this node a member of the cluster that the nodes at `seeds` are in, and waits.

        Members connect to each other by themselves and know the names that are registered in the
        scope ``cluster``. docs/distributed.md says what it is good for.

        Args:
            seeds: Where some members listen; none: this node is the first.
            name: Nodes of other clusters do not gossip with this one. Default ``iris``.
            gossip_ms: Between rounds of gossip; news go out at once. Default 1,000; at least 10.
            timeout: Seconds to wait for one of the seeds. Default 5.
            advertise: Where other members reach this node, if that is not where it listens.

        Raises:
            Unreachable: No seed answers.
            AuthFailed: The seeds have another secret.
            Timeout: The seeds answer but are in no cluster of that name.
            InvalidArgument: A seed is no address, or an option is out of range.
            WouldDeadlock: This thread runs handlers or an event loop.
        """
    def join_cluster_async(
        self,
        seeds: Iterable[str],
        *,
        name: str | None = None,
        gossip_ms: float | None = None,
        timeout: float | None = None,
        advertise: str | None = None,
    ) -> Future[None]:
        """Joins as `join_cluster` does, without blocking.

        Args:
            seeds: Where some members listen; none: this node is the first.
            name: Nodes of other clusters do not gossip with this one.
            gossip_ms: Between rounds of gossip.
            timeout: Seconds to wait for one of the seeds.
            advertise: Where other members reach this node.

        Returns:
            An awaitable of the running event loop.

        Raises:
            NotLocal: No event loop runs on this thread.
        """
    def on_node_up(self, hook: Callable[[NodeUp], object] | None) -> None:
        """Sets who hears that there is a session with a node.

        Args:
            hook: Called once for each, on a thread of iris that must not be blocked. What it raises
                is logged. None: nobody.
        """
    def on_node_down(self, hook: Callable[[NodeDown], object] | None) -> None:
        """Sets who hears that a session with a node has ended, and why.

        Args:
            hook: As that of `on_node_up`.
        """
    def mesh_metrics(self) -> dict[str, int]:
        """Reads the numbers of the mesh.

        Returns:
            Each under its name; docs/distributed.md explains them.
        """
    def prometheus(self) -> str:
        """Writes the metrics as text that Prometheus reads. O(lanes).

        Returns:
            Exposition format 0.0.4, to be served as ``text/plain; version=0.0.4``;
            docs/observability.md explains each metric.
        """
    def on_crash(self, hook: CrashHook | None) -> None:
        """Sets who hears of actors that fail: crash, panic, or given up after a stop.

        Args:
            hook: Called once for each, on a thread of iris that must not be blocked. None: the
                default, an error in the logger ``iris``.
        """
    def set_actor_health(self, pid: int, health: Health) -> None:
        """Says in what condition an actor is; `actor_info` tells it.

        An actor begins ``healthy``, and nothing follows from what is said: who watches decides.

        Args:
            pid: Who.
            health: ``healthy``, ``degraded`` or ``unhealthy``.

        Raises:
            NoSuchActor: It has ended.
            InvalidArgument: Another word.
        """
    def supervision_tree(self) -> list[SupervisorInfo]:
        """Shows every supervisor with its children at this moment, in path order.

        Returns:
            One dict each; the path of the global supervisor is None.
        """
    def on_dead_letter(self, hook: Callable[[DeadLetter], object] | None) -> None:
        """Sets who hears of dead letters: messages that were accepted and died with their actor.

        What a mailbox refused is none: `send` was False.

        Args:
            hook: Called once for each, on a thread of iris that must not be blocked. What it raises
                is logged. None: nobody, which costs nothing.
        """
    def on_pressure(self, hook: PressureHook | None) -> None:
        """Sets who hears that a mailbox comes to another level, up or down, whatever filled it.

        Mailboxes that are above ``NORMAL`` now are told at once; an actor that ends changes no
        level.

        Args:
            hook: Called with ``(pid, level)`` once for each change and in their order, on a thread
                of iris that must not be blocked. What it raises is reported
                (`sys.unraisablehook`), and ends nothing. None: nobody, which costs nothing.
        """
    def close(self, timeout: float = 5.0) -> None:
        """Stops every actor, the last spawned first, and blocks until all have ended.

        Then every call raises `RuntimeClosed`; closing again does nothing.

        Args:
            timeout: How long running handlers may go on before they are given up, in seconds.

        Raises:
            WouldDeadlock: This thread runs handlers or an event loop; use `aclose`.
            InvalidArgument: `timeout` is out of range.
        """
    def aclose(self, timeout: float = 5.0) -> Future[None]:
        """`close` on an asyncio event loop.

        Args:
            timeout: As for `close`.

        Returns:
            A future that is done when all actors have ended.

        Raises:
            NotLocal: No event loop runs on this thread.
            InvalidArgument: `timeout` is out of range.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        tb: TracebackType | None = None,
    ) -> None: ...
    def __aenter__(self) -> Future[Self]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        tb: TracebackType | None = None,
    ) -> Future[None]: ...
    @property
    def closed(self) -> bool:
        """Whether the runtime was closed."""
    @property
    def id(self) -> int:
        """The number of this runtime in its process, from 1."""
    def _audit(self) -> None: ...

@final
class Hedge:
    """How an actor speculates: for `iris._vortex`."""

    def __new__(
        cls, ghost_after: float | None, grace: float | None, max_rate: float | None
    ) -> Self: ...

@final
class BranchContext(Context):
    """The context of one branch of a message: what is done is staged."""

@final
class Race:
    """One message and its branches: for `iris._vortex`."""

    def __new__(cls, hedge: Hedge, ctx: Context) -> Self: ...
    def branch(self, ghost: bool) -> BranchContext: ...
    def finished(self, ghost: bool, value: object) -> int: ...
    def failed(self, ghost: bool) -> int: ...
    def slow(self) -> int: ...
    def grace_over(self) -> int: ...
    def gone(self) -> int: ...
    @property
    def ghost_after(self) -> float | None: ...
    @property
    def grace(self) -> float: ...

@final
class JitFunction:
    """A function that `iris.offload` made; it answers like the function that it was made from."""

    def __new__(
        cls, func: Callable[..., Any], resolve: Callable[..., Any], params: list[str]
    ) -> Self: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: object, owner: object = None, /) -> Any: ...
    def __reduce__(self) -> str: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...
    @property
    def __code__(self) -> Any: ...
    @__code__.setter
    def __code__(self, value: Any) -> None: ...
    @property
    def __defaults__(self) -> Any: ...
    @__defaults__.setter
    def __defaults__(self, value: Any) -> None: ...
    @property
    def __kwdefaults__(self) -> Any: ...
    @__kwdefaults__.setter
    def __kwdefaults__(self, value: Any) -> None: ...
    def explain(self) -> str:
        """Whether it runs natively, and why not, as text: one line a specialisation."""
    def _report(self) -> dict[str, Any]: ...

def jit_logging(on: bool | None) -> bool: ...
def jit_quantum(on: bool | None) -> bool: ...
def jit_costs(costs: dict[str, int] | None) -> None: ...
def jit_settle() -> None: ...
def jit_interpret(on: bool) -> bool: ...
def jit_libm(name: str, x: float, y: float) -> float: ...
