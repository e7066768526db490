"""Memory under churn: churn.py [cycles] [messages].

300,000 actors are spawned, handle a message and are stopped; then 10,000,000 messages go to one
that stays. RSS is sampled all the way; it is flat if the second half of each series does not grow.
Exit code 1 if it does.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable

from common import PAYLOAD, now, rss
from iris import Runtime

SAMPLES = 20
LIVE = 1000  # actors alive at a time
BURST = 10_000  # messages on their way at a time
NOISE = 8 * 2**20  # bytes that an allocator may move without it meaning anything


def slope_of(series: list[int]) -> float:
    """The least-squares slope of a series, in its unit per sample."""
    middle = (len(series) - 1) / 2
    mean = sum(series) / len(series)
    above = sum((x - middle) * (y - mean) for x, y in enumerate(series))
    return above / sum((x - middle) ** 2 for x in range(len(series)))


def sample(title: str, total: int, work: Callable[[int], None]) -> bool:
    """Do the work in parts and look at RSS after each; answers whether it is flat."""
    part = -(-total // SAMPLES)
    work(part)  # warm up: pools and the heap take their size
    series = []
    start = now()
    for _ in range(SAMPLES):
        work(part)
        gc.collect()
        series.append(rss())
    rate = total / (now() - start)
    second = series[SAMPLES // 2 :]
    slope = slope_of(second)
    grown = slope * (len(second) - 1)
    flat = grown < NOISE
    print(f"{total:,} {title}, {rate:,.0f}/s. RSS in MiB:")
    print("  " + " ".join(f"{size / 2**20:.1f}" for size in series))
    print(
        f"  second half: {slope * SAMPLES / total:.2f} B each, "
        f"{max(0.0, grown) / 2**20:.1f} MiB in all: "
        f"{'flat' if flat else 'NOT FLAT'}",
        flush=True,
    )
    return flat


class Gate:
    """Opens when so many messages have been handled. Handlers run one at a time, on the interpreter
    lane.
    """

    def __init__(self) -> None:
        self.left = 0
        self.open = threading.Event()

    def close(self, n: int) -> None:
        """Wait for n messages from now on."""
        self.left = n
        self.open.clear()

    def handle(self, _: bytes) -> None:
        """Count one."""
        self.left -= 1
        if self.left == 0:
            self.open.set()


def main() -> int:
    """Churn, then talk."""
    numbers = [int(text) for text in sys.argv[1:]] + [300_000, 10_000_000][len(sys.argv) - 1 :]
    if len(numbers) != 2 or min(numbers) < BURST:
        print(f"usage: churn.py [cycles] [messages]; at least {BURST} each", file=sys.stderr)
        return 2
    with Runtime() as rt:
        gate = Gate()

        def churn(n: int) -> None:
            for begun in range(0, n, LIVE):
                size = min(LIVE, n - begun)
                gate.close(size)
                pids = [rt.spawn(lambda message: gate.handle(message)) for _ in range(size)]
                for pid in pids:
                    rt.send(pid, PAYLOAD)
                gate.open.wait()
                for pid in pids:
                    if not rt.stop(pid):
                        raise RuntimeError(f"actor {pid} was gone already")
                rt.join(pids[-1])

        steady = rt.spawn(gate.handle)

        def talk(n: int) -> None:
            for begun in range(0, n, BURST):
                size = min(BURST, n - begun)
                gate.close(size)
                for _ in range(size):
                    rt.send(steady, PAYLOAD)
                gate.open.wait()

        actors = sample("spawn/stop cycles", numbers[0], churn)
        talking = sample("messages", numbers[1], talk)
        alive = rt.is_alive(steady)
    return 0 if actors and talking and alive else 1


if __name__ == "__main__":
    sys.exit(main())
