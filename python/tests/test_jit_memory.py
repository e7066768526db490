"""What offload leaves behind: no code, no memory; and one function called from many threads."""

from __future__ import annotations

import gc
import os
import threading
from array import array
from pathlib import Path
from typing import Any

import iris
import pytest

linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
MIB = 1 << 20


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def code_bytes() -> int:
    """Bytes of anonymous executable memory: all kernels' code."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if "x" in fields[1] and len(fields) == 5:
            start, end = (int(at, 16) for at in fields[0].split("-"))
            total += end - start
    return total


def polynomial(x: Any, y: Any) -> Any:
    total = 0
    for i in range(3):
        total += x * i - y
    return total


def cycles(count: int) -> None:
    column = array("d", [1.0, 2.0, 3.0])
    for i in range(count):
        # One that refers to itself through a cell, so that only the collector can free it.
        @iris.offload
        def factorial(n: int) -> int:
            return 1 if n < 2 else n * factorial(n - 1)

        offloaded = iris.offload(polynomial)
        assert offloaded(2.0, 1.0) == 3.0
        if i % 4 == 0:
            assert offloaded(column, 1.0).tolist() == [0.0, 3.0, 6.0]
            assert factorial(5) == 120
        if i % 100 == 0:
            gc.collect()
    gc.collect()


@linux
@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(1200)
def test_compile_and_drop_leaves_memory_flat(count: int) -> None:
    cycles(300)
    code, before = code_bytes(), rss()
    kept = iris.offload(polynomial)
    assert kept(1, 2) == polynomial(1, 2)
    assert code_bytes() > code, "a kernel's code is not found in the maps: the test proves nothing"
    del kept
    cycles(count)
    assert code_bytes() <= code
    # A kernel that stays is more than 4 KiB of code and some 10 KiB of IR.
    assert rss() - before < 6 * MIB


def test_calls_from_eight_threads_agree() -> None:
    mapped = iris.offload(polynomial)
    column = array("d", range(2_000))

    @iris.offload
    def walk(a: Any, n: int) -> float:
        total = 0.0
        for _ in range(n):
            for i in range(len(a)):
                total += a[i] * 0.5
        return total

    @iris.offload
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    expected = [
        [polynomial(x, y) for x, y in [(1.5, 2), (3, 4), (True, 2.5), (2**62, -(2**62))]],
        [polynomial(x, 2.0) for x in column],
        walk.__wrapped__(column, 20),
        100,
    ]
    ready = threading.Barrier(8)
    wrong: list[Any] = []

    def work() -> None:
        ready.wait()
        for _ in range(20):
            got = [
                [mapped(x, y) for x, y in [(1.5, 2), (3, 4), (True, 2.5), (2**62, -(2**62))]],
                mapped(column, 2.0).tolist(),
                walk(column, 20),
                depth(100),
            ]
            if got != expected:
                wrong.append(got)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert "native" in mapped.explain()
    assert "native" in walk.explain()
