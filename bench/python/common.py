"""What the measured Python programs share: the payload, the clock, memory and the line each figure
is printed as.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

PAYLOAD = b"\x07" * 64

now = time.perf_counter


def emit(metric: str, value: float, unit: str) -> None:
    """Print one figure as a line of JSON; bench/run.mjs reads them."""
    print(json.dumps({"metric": metric, "value": round(value, 3), "unit": unit}), flush=True)


def rss() -> int:
    """Resident memory of this process in bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096


def least_seconds() -> float:
    """How long a rate is measured at least (environment: BENCH_MIN_MS, 300)."""
    return float(os.environ.get("BENCH_MIN_MS", "300")) / 1000


def rate(n: int, once: Callable[[int], float]) -> float:
    """Warm up on tenths of the work for a third of the least time, then repeat the whole of it
    until that is over.

    ``once(n)`` answers the seconds that n units took; the answer is units/s.
    """
    least = least_seconds()
    spent = 0.0
    while spent < least / 3:
        spent += once(max(1, n // 10))
    done, spent = 0, 0.0
    while spent < least or done == 0:
        spent += once(n)
        done += n
    return done / spent
