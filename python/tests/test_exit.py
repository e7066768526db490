"""An interpreter exits with its own code, whatever its actors do."""

import sys

import pytest
from helpers import run_program

LIVE_UNDER_LOAD = """
    import threading
    from iris import Runtime

    rt = Runtime()
    pids = [rt.spawn(lambda m: None) for _ in range(100)]

    def relay(msg, ctx):
        ctx.send(ctx.pid, msg)

    for _ in range(10):
        rt.send(rt.spawn(relay), b"for ever")

    def pull(mailbox):
        for _ in mailbox:
            pass

    async def awaited(msg):
        import asyncio
        await asyncio.sleep(0)

    echo = rt.spawn(lambda m: m)
    pids += [rt.spawn_with_mailbox(pull) for _ in range(5)]
    pids += [rt.spawn(awaited) for _ in range(5)]
    pids += [rt.spawn(lambda m: rt.call_blocking(echo, m), release_gil=True) for _ in range(5)]
    pids += rt.spawn_child_pool(echo, lambda m: None, 5)
    rt.set_release_gil_limits(5, 2)
    pids += [rt.spawn(lambda m: None, release_gil=True, codec="raw") for _ in range(5)]
    for p in pids:
        rt.send_interval(p, 1, b"tick")

    def flood():
        while True:
            try:
                for p in pids:
                    rt.send(p, b"x" * 64)
                    rt.send_buffer(p, rt.allocate_buffer(100)[0])
            except RuntimeError:
                return

    for _ in range(2):
        threading.Thread(target=flood, daemon=True).start()
    rt.call_blocking(pids[0], b"", timeout=60)
"""

PROGRAMS = {
    "nothing spawned": "from iris import Runtime; rt = Runtime()",
    "live under load": LIVE_UNDER_LOAD,
    "closed": """
        from iris import Runtime
        with Runtime() as rt:
            rt.call_blocking(rt.spawn(lambda m: m), b"x")
        """,
    "a handler waits outside of Python": """
        import threading, time
        from iris import Runtime
        rt = Runtime()
        entered = threading.Event()
        rt.send(rt.spawn(lambda m: (entered.set(), time.sleep(600))), b"")
        entered.wait()
        """,
    "release_gil handlers wait outside of Python and in calls": """
        import threading, time
        from iris import Runtime
        rt = Runtime()
        entered = [threading.Event() for _ in range(3)]
        never = rt.spawn_with_mailbox(lambda mailbox: (mailbox.recv(), mailbox.recv()))
        waits = [
            lambda m: (entered[0].set(), time.sleep(600)),
            lambda m: (entered[1].set(), threading.Event().wait(600)),
            lambda m: (entered[2].set(), rt.call_blocking(never, b"", timeout=600)),
        ]
        for wait in waits:
            rt.send(rt.spawn(wait, release_gil=True), b"")
        for e in entered:
            e.wait()
        """,
    "release_gil handlers spin in Python": """
        import threading
        from iris import Runtime
        rt = Runtime()
        entered = [threading.Event() for _ in range(3)]
        def spin(msg):
            entered[int(msg)].set()
            while True:
                pass
        for i in range(3):
            rt.send(rt.spawn(spin, release_gil=True), b"%d" % i)
        for e in entered:
            e.wait()
        """,
    "pull actors wait": """
        import threading
        from iris import Runtime
        rt = Runtime()
        entered = threading.Event()
        for _ in range(50):
            rt.spawn_with_mailbox(lambda mailbox: (entered.set(), mailbox.recv()))
        entered.wait()
        """,
    "buffers that were not sent": """
        from iris import Runtime
        rt = Runtime()
        kept = [rt.allocate_buffer(1 << 20) for _ in range(10)]
        sent = rt.spawn_with_mailbox(lambda mailbox: mailbox.recv(0.01))
        rt.send_buffer(sent, rt.allocate_buffer(1 << 20)[0])
        """,
    "a pool whose members crash": """
        import threading
        from iris import Runtime
        rt = Runtime()
        rt.on_crash(lambda info: None)
        crashed = threading.Event()
        def crash(msg):
            crashed.set()
            raise ValueError
        pool = rt.spawn_child_pool(rt.spawn(lambda m: None), crash, 4)
        for _ in range(1000):
            pool.send(b"")
        crashed.wait()
        """,
    "a handler spins in Python": """
        import threading
        from iris import Runtime
        rt = Runtime()
        entered = threading.Event()
        def spin(msg):
            entered.set()
            while True:
                pass
        rt.send(rt.spawn(spin), b"")
        entered.wait()
        """,
    "a handler spins and swallows": """
        import threading
        from iris import Runtime
        rt = Runtime()
        entered = threading.Event()
        def spin(msg):
            while True:
                try:
                    entered.set()
                    for _ in range(10**9):
                        pass
                except BaseException:
                    pass
        rt.send(rt.spawn(spin), b"")
        entered.wait()
        """,
    "async handlers sleep on iris' own loop": """
        import asyncio, threading
        from iris import Runtime
        rt = Runtime()
        entered = threading.Event()
        async def sleep(msg):
            entered.set()
            await asyncio.sleep(600)
        for _ in range(10):
            rt.send(rt.spawn(sleep), b"")
        entered.wait()
        """,
    "async handlers of a loop that is gone": """
        import asyncio
        from iris import Runtime
        rt = Runtime()
        async def main():
            entered = asyncio.Event()
            async def sleep(msg):
                entered.set()
                await asyncio.sleep(600)
            rt.send(rt.spawn(sleep), b"")
            await entered.wait()
        asyncio.run(main())
        """,
    "a daemon thread waits for a reply": """
        import threading
        from iris import Runtime
        rt = Runtime()
        gate = threading.Event()
        pid = rt.spawn(lambda m: gate.wait(600))
        def ask():
            try:
                rt.call_blocking(pid, b"", timeout=600)
            except RuntimeError:
                pass
        threading.Thread(target=ask, daemon=True).start()
        while rt.get_metrics()["calls"] == 0:
            pass
        """,
    "handlers send from finalisers": """
        import gc
        from iris import Runtime, errors
        rt = Runtime()
        class Handler:
            def __call__(self, msg): pass
            def __del__(self):
                try:
                    rt.send(1, b"")
                except Exception:
                    pass
        pids = [rt.spawn(Handler()) for _ in range(10)]
        rt.call_blocking(pids[0], b"")
        """,
    "many runtimes": """
        from iris import Runtime
        rts = [Runtime() for _ in range(20)]
        for rt in rts:
            rt.call_blocking(rt.spawn(lambda m: m), b"")
        """,
    "a runtime made at exit": """
        import atexit
        from iris import Runtime
        def late():
            with Runtime() as rt:
                assert rt.call_blocking(rt.spawn(lambda m: m), b"x") == b"x"
        atexit.register(late)
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_exit_is_clean(name: str) -> None:
    done = run_program(PROGRAMS[name])
    assert (done.returncode, done.stderr) == (0, ""), name


def test_sys_exit_keeps_its_code_with_live_actors() -> None:
    done = run_program(LIVE_UNDER_LOAD + "\n    import sys; sys.exit(3)")
    assert (done.returncode, done.stderr) == (3, "")


def test_an_uncaught_exception_keeps_its_code_and_traceback() -> None:
    done = run_program(LIVE_UNDER_LOAD + "\n    raise ValueError('the end')")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: the end")


def test_after_exit_began_no_runtime_can_be_made() -> None:
    done = run_program("""
        import atexit
        def late():
            from iris import Runtime, errors
            try:
                Runtime()
            except errors.RuntimeClosed as e:
                print("refused:", e)
        atexit.register(late)  # runs after iris' own, which is registered later
        from iris import Runtime
        Runtime()
        """)
    assert done.returncode == 0
    assert done.stdout.startswith("refused: ")


def exits(n: int) -> list[int]:
    return [run_program(LIVE_UNDER_LOAD).returncode for _ in range(n)]


@pytest.mark.timeout(900)
def test_fault_row_38_fifty_exits_with_live_threads() -> None:
    assert exits(50) == [0] * 50


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fault_row_38_five_hundred_exits_with_live_threads() -> None:
    assert exits(500) == [0] * 500


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module was renamed")
def test_subinterpreters_get_a_clear_import_error() -> None:
    done = run_program("""
        import iris
        import _xxsubinterpreters as sub
        code = '''
        import sys
        try:
            import iris
        except ImportError as e:
            assert str(e).startswith("iris does not support subinterpreters"), e
        else:
            raise SystemExit("it was imported")
        '''
        import textwrap
        i = sub.create()
        sub.run_string(i, textwrap.dedent(code))
        sub.destroy(i)
        print("refused")
        """)
    assert done.stdout == "refused\n", done.stderr


def test_the_thread_that_imported_iris_may_end_before_others_use_it() -> None:
    done = run_program("""
        import threading

        def use() -> None:
            from iris import Runtime

            with Runtime() as rt:
                print(rt.call_blocking(rt.spawn(lambda m: m), b"alive").decode())

        for _ in range(5):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n" * 5, "")
