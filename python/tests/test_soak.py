"""Row 44: a lot of everything leaves memory, threads and handles as they were."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading

import pytest
from helpers import settle
from iris import Runtime, errors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MIB = 2**20


def held() -> tuple[int, int, int]:
    """Resident bytes, file descriptors and threads."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * 4096, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def check_flat(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    assert after[0] - before[0] < 16 * MIB, f"{(after[0] - before[0]) / MIB:.1f} MiB more"
    assert after[1] <= before[1]
    assert after[2] <= before[2]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_fault_row_44_spawn_stop_cycles_leave_memory_and_handles_flat(
    rt: Runtime, count: int
) -> None:
    def cycles(n: int) -> None:
        for i in range(n):
            pid = rt.spawn(lambda msg: msg)
            rt.register("name", pid)
            rt.monitor(pid, lambda down: None)
            timer = rt.send_after(pid, 1_000_000, b"never")
            if i % 10 == 0:
                assert rt.call_blocking(pid, b"x") == b"x"
            else:
                rt.send(pid, bytes(64))
            if i % 2 == 0:
                rt.cancel_timer(timer)
            rt.stop(pid)
            if i % 500 == 0:
                rt.join(pid)

    cycles(count // 4)
    before = held()
    cycles(count)
    settle(rt)  # the last ones may be in their handlers yet
    metrics = rt.get_metrics()
    assert (metrics["actors"], metrics["names"], metrics["timers"]) == (0, 0, 0)
    assert (metrics["monitors"], metrics["delays"], metrics["open_calls"]) == (0, 0, 0)
    check_flat(before, held())


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_fault_row_44_call_timeouts_leave_memory_and_handles_flat(rt: Runtime, count: int) -> None:
    gate = threading.Event()
    stuck = rt.spawn(lambda msg: gate.wait())
    rt.send(stuck, b"holds it")

    async def timeout() -> None:
        with pytest.raises(errors.Timeout):
            await rt.call(stuck, b"x", timeout=0.001)

    async def timeouts(n: int) -> None:
        for _ in range(n // 1000):
            await asyncio.gather(*(timeout() for _ in range(1000)))

    async def main() -> None:
        await timeouts(count // 4)
        before = held()
        await timeouts(count)
        metrics = rt.get_metrics()
        assert (metrics["open_calls"], metrics["timers"]) == (0, 0)
        check_flat(before, held())

    try:
        asyncio.run(main())
    finally:
        gate.set()
