"""Pools of actors: the list of pids that `Runtime.spawn_child_pool` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Future

    from iris._iris import PoolCore


class Pool(list[int]):
    """The pids of actors that share the work.

    A member that fails is replaced, in its place; one that is stopped or killed leaves the list.
    The pool goes on without this object, which is only its list and its sending end.
    """

    __slots__ = ("__weakref__", "_core")

    def __init__(self, core: PoolCore) -> None:
        super().__init__()
        self._core = core

    @property
    def pids(self) -> list[int]:
        """A copy of the list."""
        return list(self)

    @property
    def size(self) -> int:
        """How many members there are."""
        return len(self)

    def send(self, data: Any) -> bool:
        """Send to one member: by turns, or to the shortest queue.

        A member that refuses is passed over.

        Args:
            data: The message.

        Returns:
            Whether one took it.
        """
        return self._core.send(data)

    def call(self, data: Any, timeout: float | None = None) -> Future[Any]:
        """Ask one member. See `Runtime.call`.

        Args:
            data: The request.
            timeout: In seconds. Default: the runtime's `call_timeout`.

        Returns:
            A future of the reply.

        Raises:
            NoSuchActor: No member is left.
        """
        return self._core.call(data, timeout)

    def call_blocking(self, data: Any, timeout: float | None = None) -> Any:
        """Ask one member and block until it answers. See `Runtime.call_blocking`.

        Args:
            data: The request.
            timeout: In seconds. Default: the runtime's `call_timeout`.

        Returns:
            The reply.

        Raises:
            NoSuchActor: No member is left.
        """
        return self._core.call_blocking(data, timeout)

    def __repr__(self) -> str:
        return f"Pool({super().__repr__()})"

    def _show(self, pids: list[int]) -> None:
        self[:] = pids
