"""The books balance whatever happens, in whatever order."""

import contextlib
import threading
from typing import Any

from helpers import check_books, settle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iris import Context, Runtime, errors

ACTORS = 4

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, ACTORS - 1), st.integers(0, 40)),
        st.tuples(st.just("many"), st.integers(0, ACTORS - 1), st.integers(0, 200)),
        st.tuples(st.just("call"), st.integers(0, ACTORS - 1), st.sampled_from([0, 0.001, 30])),
        st.tuples(st.just("crash"), st.integers(0, ACTORS - 1), st.just(0)),
        st.tuples(st.just("stop"), st.integers(0, ACTORS - 1), st.sampled_from([0, 1])),
        st.tuples(st.just("kill"), st.integers(0, ACTORS - 1), st.just(0)),
        st.tuples(st.just("spawn"), st.integers(0, ACTORS - 1), st.integers(0, 3)),
        st.tuples(st.sampled_from(["after", "every"]), st.integers(0, ACTORS - 1), st.just(1)),
        st.tuples(st.sampled_from(["buffer", "pressure"]), st.integers(0, ACTORS - 1), st.just(0)),
        st.tuples(
            st.just("policy"),
            st.integers(0, ACTORS - 1),
            st.tuples(
                st.sampled_from(["dropnew", "dropold", "redirect", "spill", "block"]),
                st.integers(0, ACTORS - 1),
            ),
        ),
        st.tuples(st.just("self-stop"), st.integers(0, ACTORS - 1), st.just(0)),
        st.tuples(st.just("forward"), st.integers(0, ACTORS - 1), st.integers(0, ACTORS - 1)),
    ),
    max_size=40,
)


class World:
    """Some actors, and steps that are taken on them."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.handled = 0
        self.lock = threading.Lock()
        self.timers: list[int] = []
        self.pids = [self.spawn(i) for i in range(ACTORS)]

    def spawn(self, kind: int) -> int:
        def handler(msg: bytes, ctx: Context) -> bytes | None:
            with self.lock:
                self.handled += 1
            if msg == b"crash":
                raise ValueError("told to")
            if msg == b"self-stop":
                ctx.stop()
            if msg.startswith(b"forward"):
                ctx.send(self.pids[int(msg[7:])], b"forwarded")
            return msg if ctx.is_call else None

        async def async_handler(msg: bytes, ctx: Context) -> bytes | None:
            return handler(msg, ctx)

        if kind == 0:
            return self.rt.spawn(handler, budget=7)
        if kind in (1, 3):
            return self.rt.spawn_py_handler_bounded(handler, 3, 10, release_gil=kind == 3)
        return self.rt.spawn(async_handler)

    def take(self, step: tuple[str, int, Any]) -> None:
        what, i, n = step
        pid = self.pids[i]
        match what:
            case "send":
                for _ in range(n):
                    self.rt.send(pid, b"x")
            case "many":
                self.rt.send_many(pid, [b"y"] * n)
            case "call":
                with contextlib.suppress(errors.IrisError):
                    self.rt.call_blocking(pid, b"z", timeout=n)
            case "after" | "every":
                delay = self.rt.send_after if what == "after" else self.rt.send_interval
                with contextlib.suppress(errors.NoSuchActor):
                    self.timers.append(delay(pid, n, b"t"))
            case "buffer":
                buffer, _ = self.rt.allocate_buffer(3)
                if not self.rt.send_buffer(pid, buffer):
                    assert self.rt.free_buffer(buffer)
            case "pressure":
                self.rt.send_with_backpressure(pid, b"p")
            case "policy":
                policy, to = n
                target = self.pids[to] if policy in ("redirect", "spill") else None
                # Nobody there, a cycle, or a mailbox without a bound.
                with contextlib.suppress(errors.NoSuchActor, errors.InvalidArgument):
                    self.rt.set_overflow_policy(pid, policy, target)
            case "crash" | "self-stop":
                self.rt.send(pid, what.encode())
            case "stop":
                self.rt.stop(pid, drain=bool(n))
            case "kill":
                self.rt.kill(pid)
            case "spawn":
                self.pids[i] = self.spawn(n)
            case _:
                self.rt.send(pid, b"forward%d" % n)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=3))
def test_the_books_balance_after_any_interleaving(programs: list[Any]) -> None:
    with Runtime() as rt:
        rt.on_crash(lambda info: None)
        world = World(rt)
        threads = [
            threading.Thread(target=lambda p=program: [world.take(s) for s in p])
            for program in programs
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
            assert not t.is_alive()
        for timer in world.timers:
            rt.cancel_timer(timer)
        settle(rt)
        m = check_books(rt)
        assert m["queued"] == 0
        assert (m["open_calls"], m["timers"], m["buffers"]) == (0, 0, 0)
        crashes = m["exited"]["crash"]
        assert world.handled == m["handled"] - 1 + crashes or m["exited"]["killed"]
