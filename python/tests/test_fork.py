import os

import pytest
from helpers import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_a_new_runtime_works_in_the_child() -> None:
    done = run_program("""
        import asyncio, os, warnings
        from iris import Runtime

        warnings.simplefilter("ignore", DeprecationWarning)

        async def echo(msg):
            await asyncio.sleep(0)
            return msg

        rt = Runtime()
        assert rt.call_blocking(rt.spawn(lambda m: m), b"1") == b"1"
        assert rt.call_blocking(rt.spawn(echo), b"1") == b"1"
        child = os.fork()
        if child == 0:
            with Runtime() as mine:
                assert mine.call_blocking(mine.spawn(lambda m: m), b"2") == b"2"
                assert mine.call_blocking(mine.spawn(echo), b"3") == b"3"
        else:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert rt.call_blocking(rt.spawn(lambda m: m), b"4") == b"4"
        """)
    assert done.returncode == 0, done.stderr


def test_fork_under_load_ten_times() -> None:
    done = run_program("""
        import os, sys, threading, warnings
        from iris import Runtime

        warnings.simplefilter("ignore", DeprecationWarning)
        rt = Runtime()
        stop = threading.Event()
        pids = [rt.spawn(lambda m: None) for _ in range(10)]

        def flood():
            while not stop.is_set():
                for p in pids:
                    rt.send(p, b"x" * 100)

        for _ in range(2):
            threading.Thread(target=flood, daemon=True).start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                del rt, pids
                sys.exit(5)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        stop.set()
        """)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: object) -> None:
    program = f"{tmp_path}/program.py"
    with open(program, "w", encoding="utf-8") as f:
        f.write(
            f"""
import multiprocessing
import warnings
from iris import Runtime, errors

warnings.simplefilter("ignore", DeprecationWarning)
rt = None

def child(pipe):
    if {method!r} == "fork":
        try:
            rt.send(1, b"")
        except errors.RuntimeClosed:
            pass
        else:
            raise SystemExit("not refused")
    with Runtime() as mine:
        pipe.send_bytes(mine.call_blocking(mine.spawn(lambda m: m + b"!"), b"child"))

if __name__ == "__main__":
    rt = Runtime()
    rt.call_blocking(rt.spawn(lambda m: m), b"x")
    context = multiprocessing.get_context({method!r})
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there,))
    process.start()
    assert here.recv_bytes() == b"child!"
    process.join(30)
    assert process.exitcode == 0, process.exitcode
"""
        )
    done = run_program(f"import runpy; runpy.run_path({program!r}, run_name='__main__')")
    if method == "fork":
        assert done.returncode == 0, done.stderr
    else:  # these start the program itself anew
        import subprocess
        import sys

        again = subprocess.run(
            [sys.executable, program], capture_output=True, text=True, timeout=60, check=False
        )
        assert again.returncode == 0, again.stderr
