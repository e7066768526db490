"""Fault 7: a full mailbox, by each policy and each way a message can come: the counts are exact."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Gate, check_books, until
from iris import Context, Runtime, errors

CAPACITY = 2
SENT = 5
OVER = SENT - CAPACITY


def buffer(rt: Runtime, pid: int) -> bool:
    id, _ = rt.allocate_buffer(1)
    return rt.send_buffer(pid, id)


def user_buffer(rt: Runtime, pid: int) -> bool:
    id, _ = rt.allocate_buffer(1)
    return rt.send_user_with_backpressure(pid, id)[0]


# Each sends one message; what is no bool is awaited when all is over.
WAYS: dict[str, Callable[[Runtime, int, Context], Any]] = {
    "send": lambda rt, pid, ctx: rt.send(pid, b"x"),
    "send_many": lambda rt, pid, ctx: rt.send_many(pid, [b"x"]) == 1,
    "send_named": lambda rt, pid, ctx: rt.send_named("full", b"x"),
    "send_with_backpressure": lambda rt, pid, ctx: rt.send_with_backpressure(pid, b"x")[0],
    "send_buffer": lambda rt, pid, ctx: buffer(rt, pid),
    "send_user_with_backpressure": lambda rt, pid, ctx: user_buffer(rt, pid),
    "ctx.send": lambda rt, pid, ctx: ctx.send(pid, b"x"),
    "send_async": lambda rt, pid, ctx: rt.send_async(pid, b"x"),
    "call": lambda rt, pid, ctx: rt.call(pid, b"x"),
    "ctx.call": lambda rt, pid, ctx: ctx.call(pid, b"x"),
    "send_after": lambda rt, pid, ctx: rt.send_after(pid, 0, b"x"),
}
# What each policy does with the three that are too many.
POLICIES: dict[str, dict[str, int]] = {
    "dropnew": {"refused": OVER},
    "dropold": {"accepted": OVER, "displaced": OVER},
    "redirect": {"accepted": OVER, "target": OVER},
    "spill": {"accepted": 2 * OVER, "forwarded": OVER, "target": OVER},
    "block": {"refused": OVER},
}


def counts(rt: Runtime) -> dict[str, int]:
    m = rt.get_metrics()
    return {
        "attempted": m["attempted"],
        "accepted": m["accepted"],
        "full": m["refused"]["full"],
        "displaced": m["dropped"]["displaced"],
        "forwarded": m["forwarded"],
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("policy", POLICIES)
def test_fault_row_7_counts_exactly(rt: Runtime, gate: Gate, policy: Any, way: str) -> None:
    expected = POLICIES[policy]
    contexts: list[Context] = []

    def speaker(msg: bytes, ctx: Context) -> None:
        contexts.append(ctx)

    rt.call_blocking(rt.spawn(speaker), b"")
    pid = rt.spawn_py_handler_bounded(gate, 100, CAPACITY)
    target = rt.spawn(lambda msg: msg)
    rt.register("full", pid)
    rt.send(pid, b"in hand")
    gate.wait_entered()  # the lane stands still: what waits is what was sent
    rt.set_overflow_policy(pid, policy, *([target] if "target" in expected else []))
    before = counts(rt)
    waits = way == "send_async" and policy == "block"
    refused = 0 if waits else expected.get("refused", 0)
    attempted = SENT + expected.get("forwarded", 0) - (OVER if waits else 0)
    lost = refused + expected.get("displaced", 0)

    async def send() -> list[Any]:
        answers: list[Any] = []
        for _ in range(SENT):
            try:
                answers.append(WAYS[way](rt, pid, contexts[0]))
            except errors.MailboxFull as e:
                answers.append(e)
        if way == "send_after":
            await until(lambda: counts(rt)["attempted"] == before["attempted"] + attempted)
        assert rt.mailbox_size(pid) == CAPACITY
        assert rt.mailbox_size(target) == expected.get("target", 0)
        assert {k: n - before[k] for k, n in counts(rt).items()} == {
            "attempted": attempted,
            "accepted": CAPACITY + expected.get("accepted", 0),
            "full": refused,
            "displaced": expected.get("displaced", 0),
            "forwarded": expected.get("forwarded", 0),
        }
        gate.opened.set()
        pending = [a for a in answers if asyncio.isfuture(a)]
        done = await asyncio.gather(*pending, return_exceptions=True)
        return [a for a in answers if not asyncio.isfuture(a)] + list(done)

    answers = asyncio.run(send())
    if "call" in way:
        failed = [a for a in answers if isinstance(a, errors.MailboxFull)]
        assert len(failed) == lost
        assert all(isinstance(a, bytes) for a in answers if a not in failed)
    elif way != "send_after":
        assert answers.count(True) == SENT - refused
    handled = check_books(rt)["handled"]
    assert handled == 1 + 1 + SENT - lost
