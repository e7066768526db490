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


def test_every_call_of_an_inherited_runtime_says_that_it_was_forked() -> None:
    done = run_program("""
        import inspect, os, sys, threading, warnings
        from iris import Runtime, errors

        warnings.simplefilter("ignore", DeprecationWarning)
        rt = Runtime()
        pid = rt.spawn(lambda m: m)
        own = rt.spawn(lambda m: m, release_gil=True)
        puller = rt.spawn_with_mailbox(lambda mailbox: [None for _ in mailbox])
        pool = rt.spawn_child_pool(pid, lambda m: m, 2)
        buffer, view = rt.allocate_buffer(8)
        for p in (pid, own, *pool):
            assert rt.call_blocking(p, b"x") == b"x"

        # Arguments of the right kind for parameters that have no default; the others are numbers.
        arguments = dict(
            handler=lambda m: m, new_handler=lambda m: m, matcher=len, factory=lambda: pid,
            pid=pid, parent=pid, target=pid, watcher=pid, observer_pid=pid, a=pid, b=pid, other=pid,
            data=b"", payloads=[], name="name", path="/path", prefix="/", policy="block",
            strategy="restartone", addr="127.0.0.1:1", hook=None, on=True, strict=True, trap=True,
            traps=True, value=True, buffer_id=buffer, seeds=[],
        )
        child = os.fork()
        if child == 0:
            wrong = []
            for n in dir(Runtime):
                if n.startswith("_") or n in ("closed", "id", "version"):
                    continue
                f = getattr(rt, n)
                wanted = [p.name for p in inspect.signature(f).parameters.values()
                          if p.default is p.empty]
                try:
                    f(*[arguments.get(w, 1) for w in wanted])
                except errors.RuntimeClosed as e:
                    if "forked" not in str(e):
                        wrong.append((n, e))
                except BaseException as e:
                    wrong.append((n, repr(e)))
                else:
                    wrong.append((n, "did not raise"))
            for call in (pool.send, pool.call_blocking, pool.call):
                try:
                    call(b"")
                    wrong.append(call)
                except errors.RuntimeClosed:
                    pass
            if not rt.closed:
                wrong.append("closed")
            view[:] = b"in child"
            print(wrong, file=sys.stderr) if wrong else None
            sys.stderr.flush()
            os._exit(len(wrong))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        for p in (pid, own, *pool):
            assert rt.call_blocking(p, b"y") == b"y"
        assert rt.send_buffer(pid, buffer)
        """)
    assert done.returncode == 0, done.stderr


def test_an_inherited_mailbox_and_ctx_are_of_no_use_in_the_child() -> None:
    done = run_program("""
        import os, threading, warnings
        from iris import Runtime, errors

        warnings.simplefilter("ignore", DeprecationWarning)
        rt = Runtime()
        kept, ready = [], threading.Event()
        def pull(mailbox):
            kept.append(mailbox)
            ready.set()
            mailbox.recv()
        rt.spawn_with_mailbox(pull)
        rt.call_blocking(rt.spawn(lambda m, ctx: kept.append(ctx)), b"")
        ready.wait()
        child = os.fork()
        if child == 0:
            refused = 0
            mailbox = next(k for k in kept if hasattr(k, "recv"))
            ctx = next(k for k in kept if hasattr(k, "reply"))
            for call in (mailbox.recv, mailbox.try_recv, lambda: mailbox.selective_recv(len),
                         ctx.stop, lambda: ctx.send(1, b""), lambda: ctx.reply(b"")):
                try:
                    call()
                except errors.RuntimeClosed as e:
                    refused += "forked" in str(e)
            os._exit(0 if refused == 6 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """)
    assert done.returncode == 0, done.stderr
