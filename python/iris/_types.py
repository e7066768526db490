"""The types that signatures of `iris` are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar

if TYPE_CHECKING:
    import typing_extensions
    from typing_extensions import Buffer

    from iris._aio import AsyncMailbox
    from iris._iris import CallMessage, Context, ExitInfo, Mailbox, PySystemMessage

    T = typing_extensions.TypeVar("T", default=bytes)

T_contra = TypeVar("T_contra", contravariant=True)

Payload: TypeAlias = "Buffer"
"""A message to send: any C-contiguous bytes-like object."""

Handler: TypeAlias = "Callable[[bytes], object] | Callable[[bytes, Context], object]"
"""What runs for each message, `def` or `async def`.

What it returns (bytes-like, str or None) is the reply if the message is a call.
"""

CodecHandler: TypeAlias = "Callable[[T], object] | Callable[[T, Context], object]"
"""A `Handler` of an actor with a codec: it gets what that decodes."""

PullHandler: TypeAlias = "Callable[[Mailbox], object] | Callable[[AsyncMailbox], Awaitable[object]]"
"""The function of a pull actor, `def` or `async def`."""

Received: TypeAlias = "T | CallMessage[T] | PySystemMessage"
"""What a pull actor receives."""

Strategy: TypeAlias = Literal["restartone", "restartall", "restforone"]
"""Who is restarted with a child: nobody else, all its siblings, those started after it."""

RestartType: TypeAlias = Literal["permanent", "transient", "temporary"]
"""Which ends are followed by a restart: all, those that are errors, none."""


class BackoffOptions(TypedDict, total=False):
    """Waits before restarts: each `factor` times as long as the last, less a part by chance."""

    initial_ms: float
    """Before the first restart. Default 100."""
    max_ms: float
    """The longest. Default 30,000."""
    factor: float
    """Default 2."""
    jitter: float
    """The part that may be left off, 0 to 1. Default 0.5."""


class VortexOptions(TypedDict, total=False):
    """How an actor speculates."""

    ghost_after_ms: float
    """When a second branch is begun beside one that has not returned.

    Default: when it takes longer than 95 % of the last 128 messages took (never before there were
    20)."""
    grace_ms: float
    """How long a ghost that is done waits with the policy ``PreferPrimary``. Default 1,000."""
    max_rate: float
    """At most this part of the messages gets a ghost while the primary runs. Default 1.

    0: a message is handled again after a failure, and never beside a primary that runs."""


SystemType: TypeAlias = Literal["EXIT", "DOWN", "HOT_SWAP", "PING", "PONG"]
"""What a `PySystemMessage` is about."""

VirtualHook: TypeAlias = "Callable[[Context], object]"
"""What wakes a virtual actor or puts it to sleep, `def` or `async def`."""

CodecPullHandler: TypeAlias = (
    "Callable[[Mailbox[T]], object] | Callable[[AsyncMailbox[T]], Awaitable[object]]"
)
"""A `PullHandler` of an actor with a codec."""


class Pid(int, Generic[T_contra]):
    """For type checkers: the pid of an actor that takes messages of one type.

    At run time a pid is a plain `int`, as that of any other actor.
    """

    if TYPE_CHECKING:
        # So that it is no PlainPid: bytes are nothing that this actor takes.
        def conjugate(  # type: ignore[override]
            self,
        ) -> None: ...  # pyright: ignore[reportIncompatibleMethodOverride]


class PlainPid(Protocol):
    """For type checkers: any pid but a `Pid`; it takes bytes."""

    def conjugate(self) -> int:
        """What `int` has, and `Pid` denies."""
        ...


CrashHook: TypeAlias = "Callable[[ExitInfo], object]"
"""Who hears of actors that fail."""

ExitReason: TypeAlias = Literal[
    "normal",
    "shutdown",
    "killed",
    "crash",
    "panic",
    "timeout",
    "parent_exit",
    "noproc",
    "disconnected",
    "node_down",
    "name_conflict",
]
"""Why an actor ended."""


OverflowPolicy: TypeAlias = Literal["dropnew", "dropold", "redirect", "spill", "block"]
"""What a full mailbox does."""

Pressure: TypeAlias = Literal["NORMAL", "HIGH", "CRITICAL"]
"""How full a mailbox is."""

PressureHook: TypeAlias = "Callable[[int, Pressure], object]"
"""Who hears that a mailbox comes to another level."""


class NodePermissions(TypedDict, total=False):
    """What other nodes may do here; what is not said is allowed."""

    send: Literal["any", "names"]
    """``names``: only to actors that they found by a name, or that wrote to them."""
    resolve: bool
    """Ask for names."""
    stop: bool
    """Stop and kill actors, and link to them."""


class NodeUp(TypedDict):
    """A node that came."""

    id: str
    """Its id and incarnation."""
    address: str | None
    """Where it can be reached, if that is known."""


class NodeDown(NodeUp):
    """A node that went."""

    reason: str
    """``disconnected``: goodbye was said; ``node_down``: it is silent, a cut lasts, or another node
    is at its address."""


class _TlsFiles(TypedDict):
    cert: str
    """The certificate of this node, with those between it and the authority."""
    key: str
    """Its private key."""
    ca: str
    """The authorities that sign the certificates of all nodes."""


class TlsOptions(_TlsFiles, total=False):
    """Certificates: each text is PEM, or the path of a PEM file. Both ends show theirs."""

    server_name: str | None
    """The name that the certificates of others must bear. Default: the host of the address."""


class NodeInfo(TypedDict):
    """A node that this one has a session with."""

    id: str
    """Its id and incarnation."""
    address: str | None
    """Where this node connected to, or where it listens as a member of the cluster; None: not
    known."""
    connected: bool
    """Whether a connection carries the session now; after a cut it is being mended."""
    stalled: bool
    """Whether it says that an event loop or interpreter of its is stuck."""


class RemoteInfo(TypedDict):
    """What a remote actor's node knows of it."""

    queue: int
    """Messages that wait there."""
    capacity: int | None
    """Bound of its mailbox."""
    handled: int
    """Messages handled."""


class Refusals(TypedDict):
    """Sends that no mailbox took, by reason."""

    no_such_actor: int
    foreign: int
    full: int
    closed: int
    target_gone: int
    shed: int
    too_large: int


class Drops(TypedDict):
    """Messages that a mailbox had taken and that a policy dropped, by reason."""

    displaced: int
    target_gone: int
    target_full: int


class ByExit(TypedDict):
    """Something counted by `ExitReason`."""

    normal: int
    shutdown: int
    killed: int
    crash: int
    panic: int
    timeout: int
    parent_exit: int
    noproc: int
    disconnected: int
    node_down: int
    name_conflict: int


class Dead(ByExit):
    """Messages that died, by the reason of their actor's end."""

    handover: int
    """Its replacement had no room for them."""


Health: TypeAlias = Literal["healthy", "degraded", "unhealthy"]
"""The condition of an actor."""


class ChildInfo(TypedDict):
    """A child as `Runtime.supervision_tree` shows it."""

    id: str | None
    pid: int | None
    restart: RestartType
    restarts: int
    has_factory: bool


class SupervisorInfo(TypedDict):
    """A supervisor as `Runtime.supervision_tree` shows it."""

    path: str | None
    strategy: Strategy
    max_restarts: int
    within_ms: int
    children: list[ChildInfo]


class LaneMetrics(TypedDict):
    """What one lane (an interpreter, an event loop) has done."""

    lane: int
    host: Literal["python", "asyncio", "release_gil", "node", "host"]
    turns: int
    busy_ms: float
    longest_hold_ms: float


class Metrics(TypedDict):
    """The books, exact whenever the runtime is quiet.

    ``attempted = accepted + refused``;
    ``accepted = handled + in_flight + queued + expired + forwarded + dropped + dead``.
    """

    attempted: int
    accepted: int
    refused: Refusals
    handled: int
    in_flight: int
    queued: int
    expired: int
    forwarded: int
    dropped: Drops
    dead: Dead
    late_replies: int
    calls: int
    call_timeouts: int
    open_calls: int
    spawned: int
    parked: int
    restarts: int
    failed_starts: int
    gave_up: int
    exited: ByExit
    actors: int
    names: int
    paths: int
    monitors: int
    timers: int
    delays: int
    missed_ticks: int
    buffers: int
    uptime_ms: int
    lanes: list[LaneMetrics]
