"""Offload when things go wrong: no executable memory, Ctrl-C, exceptions in the middle of a map or after a write."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import textwrap
from array import array
from typing import Any

import iris
import pytest
from jit_generator import outcome


def script(tmp_path: Any, source: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(source))
    return [sys.executable, str(path)]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(PR_SET_MDWE)")
def test_fault_row_42_a_compile_that_fails_in_mid_run_is_interpreted_and_reported(
    tmp_path: Any,
) -> None:
    command = script(
        tmp_path,
        """
        import ctypes
        import iris

        @iris.offload
        def f(x, n):
            total = x
            for i in range(n):
                total = total * 3 - i
            return total

        plain = f.__wrapped__
        assert f(1, 10) == plain(1, 10)
        assert ": native" in f.explain()
        # From here on the kernel gives this process no executable memory.
        if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
            print("no PR_SET_MDWE")
            raise SystemExit(77)
        for _ in range(3):
            assert f(1.5, 10) == plain(1.5, 10)
            assert f(2, 100) == plain(2, 100)  # big ints: it leaves
            assert f(1, 10) == plain(1, 10)
        print(f.explain())
        """,
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr
    assert "(int, int) -> int: native" in done.stdout
    assert "(float, int) -> float: interpreted (no executable memory" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
@pytest.mark.parametrize("shape", ["loop", "array", "map"])
def test_ctrl_c_stops_an_endless_call(tmp_path: Any, shape: str) -> None:
    command = script(
        tmp_path,
        f"""
        import threading, time
        from array import array
        import iris

        @iris.offload
        def loop(x):
            while x > 0.0:
                x = x + 1.0 if x < 100.0 else 1.0
            return x

        @iris.offload
        def walk(a):
            i = 0
            while True:
                a[i] = a[i] + 1.0
                i = (i + 1) % len(a)

        call = {{
            "loop": lambda: loop(1.0),
            "array": lambda: walk(array("d", [0.0] * 10)),
            "map": lambda: loop(array("d", [1.0] * 400_000)),
        }}[{shape!r}]
        offloaded = walk if {shape!r} == "array" else loop

        def tell():
            while not any(v["calls"] for v in offloaded._report()["variants"]):
                time.sleep(0.01)
            print("running", flush=True)

        threading.Thread(target=tell, daemon=True).start()
        try:
            call()
        except KeyboardInterrupt:
            print("interrupted", offloaded._report()["variants"][0]["runs"])
        """,
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted native\n"
    finally:
        process.kill()


def reciprocal_root(x: Any) -> Any:
    return math.sqrt(x) + 1 / x


@pytest.mark.parametrize("count", [10, 3_000, 600_000])
@pytest.mark.parametrize("first", ["negative", "zero"])
def test_the_first_exception_of_a_map_wins(count: int, first: str) -> None:
    bad = {"negative": (-1.0, 0.0), "zero": (0.0, -1.0)}[first]
    column = array("d", [4.0]) * count
    column[count // 2 + 1], column[count - 1] = bad
    offloaded = iris.offload(reciprocal_root)
    expected = ValueError if first == "negative" else ZeroDivisionError
    with pytest.raises(expected):
        offloaded(column)
    assert ": native" in offloaded.explain()
    column[count // 2 + 1] = column[count - 1] = 0.25
    assert offloaded(column).tolist() == [reciprocal_root(x) for x in column]


def raises_after_a_write(a: Any, z: Any) -> Any:
    for i in range(len(a)):
        a[i] = a[i] + 1
    return 10 // z


def grows_after_a_write(a: Any, z: Any) -> Any:
    total = 1
    for i in range(len(a)):
        a[i] += 1
        total = total * (z + 2**40)
    return total


def leaves_the_array(a: Any, z: Any) -> Any:
    i = 0
    while i <= z + len(a):
        a[i] = a[i] * 2
        i += 1
    return i


def overflows_the_element(a: Any, z: Any) -> Any:
    for i in range(len(a)):
        a[i] = a[i] * 2**20 + z
    return len(a)


@pytest.mark.parametrize(
    "function",
    [raises_after_a_write, grows_after_a_write, leaves_the_array, overflows_the_element],
)
@pytest.mark.parametrize("code", "diqB")
def test_writes_happen_exactly_once(function: Any, code: str) -> None:
    for z in (0, 3):
        plain, offloaded = array(code, [1, 2, 3, 100]), array(code, [1, 2, 3, 100])
        compiled = iris.offload(function)
        expected = outcome(function, (plain, z))
        assert outcome(compiled, (offloaded, z)) == expected
        assert offloaded == plain
        assert ": native" in compiled.explain()
