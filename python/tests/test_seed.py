"""The surface that was asked for: its signatures are there, its examples run as written."""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import iris
import pytest
from helpers import run_program
from iris import Runtime

# What was asked for, word for word; copying it here has cost it its indentation and many line ends.
REFERENCE = (Path(__file__).parents[2] / "tests/vectors/seed-usage.txt").read_text()

# Signatures as they stand there; `bytes` stands for what it calls bytes-like.
SIGNATURES = """
spawn(handler, budget: int = 100, release_gil: bool = False)
spawn_py_handler_bounded(handler, budget: int, capacity: int, release_gil: bool = False)
spawn_with_mailbox(handler, budget: int = 100)
spawn_child(parent: int, handler, budget: int = 100, release_gil: bool = False)
spawn_child_pool(parent, handler, workers: int, budget: int = 100, release_gil: bool = False)
spawn_child_with_mailbox(parent, handler, budget: int = 100)
spawn_virtual(handler, budget: int = 100, idle_timeout_ms: Optional[int] = None)
spawn_with_path_observed(budget: int, path: str)
send(pid: int, data: bytes)
send_many(pid: int, payloads: Iterable[bytes])
send_named(name: str, data: bytes)
send_buffer(pid: int, buffer_id: int)
send_after(pid: int, delay_ms: int, data: bytes)
send_interval(pid: int, interval_ms: int, data: bytes)
cancel_timer(timer_id: int)
allocate_buffer(size: int)
mailbox_size(pid: int)
mailbox_backpressure(pid: int)
send_with_backpressure(pid: int, data: bytes)
send_user_with_backpressure(pid: int, buffer_id: int)
selective_recv(pid, matcher: Callable, timeout: Optional[float] = None)
selective_recv_blocking(pid, matcher, timeout=None)
register(name: str, pid: int)
unregister(name: str)
resolve(name: str)
whereis(name: str)
register_path(path: str, pid: int)
unregister_path(path: str)
whereis_path(path: str)
list_children(prefix: str)
list_children_direct(prefix: str)
create_path_supervisor(path: str)
remove_path_supervisor(path: str)
path_supervisor_watch(path: str, pid: int)
path_supervisor_children(path: str)
path_supervise_with_factory(path: str, pid: int, factory, strategy: str)
children_count()
child_pids()
hot_swap(pid: int, new_handler)
behavior_version(pid: int)
rollback_behavior(pid: int, steps: int = 1)
get_messages(observer_pid)
set_overflow_policy(pid, policy, target=None)
set_release_gil_limits(max_threads: int, pool_size: int)
set_release_gil_strict(strict: bool)
vortex_set_auto_ghost_policy(policy: str)
vortex_get_auto_ghost_policy()
vortex_get_auto_resolution_counts()
vortex_get_auto_replay_count()
vortex_reset_auto_telemetry()
stop(pid: int)
join(pid: int)
is_alive(pid: int)
listen(addr: str)
resolve_remote(addr: str, name: str)
resolve_remote_py(addr: str, name: str)
is_node_up(addr: str)
send_remote(addr: str, pid: int, data: bytes)
monitor_remote(addr: str, pid: int)
"""


def asked_for(line: str) -> tuple[str, list[str], dict[str, object]]:
    """The name of a call, its parameters in order, and the defaults of some."""
    [call] = ast.parse(f"def {line}: ...").body
    assert isinstance(call, ast.FunctionDef)
    names = [a.arg for a in call.args.args]
    values = [ast.literal_eval(d) for d in call.args.defaults]
    return call.name, names, dict(zip(names[len(names) - len(values) :], values, strict=True))


@pytest.mark.parametrize("line", SIGNATURES.split("\n")[1:-1])
def test_a_call_is_there_with_its_parameters(line: str) -> None:
    name, wanted, defaults = asked_for(line)
    have = list(inspect.signature(getattr(Runtime, name)).parameters.values())[1:]
    positional = [p for p in have if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional[: len(wanted)]] == wanted
    for p in positional[: len(wanted)]:
        assert p.default == defaults.get(p.name, p.empty), p
    extra = [p for p in have if p.name not in wanted]
    assert all(p.default is not p.empty for p in extra), extra


def test_no_call_of_the_reference_is_forgotten() -> None:
    flat = re.sub(r"\s+", " ", REFERENCE).replace("bytes-like", "bytes")
    for line in SIGNATURES.split("\n")[1:-1]:
        assert line in flat or line == "allocate_buffer(size: int)", line
    listed = {line.split("(")[0] for line in SIGNATURES.split()}
    # What stands before `->` or a dash is a call that is promised.
    promised = re.findall(r"([a-z]\w+)\((?:[^()]|\([^()]*\))*\) ?(?:->|\u2014)", flat)
    # Some are glued to the end of a type.
    names = {re.sub(r"^(?:int|boolean|list)(?=vortex)", "", name) for name in promised}
    calls = {name for name in names if hasattr(Runtime, name)}
    assert len(calls) >= 45
    assert calls <= listed, calls - listed
    defined = set(re.findall(r"def (\w+)", REFERENCE))
    assert {n for n in names - calls - defined if not hasattr(iris, n)} == set()


# Examples of the usage reference, one program each; what they take for granted stands before.
HEAD = """
    import iris
    from iris import Runtime
    rt = Runtime()
    def handler(msg):
        print('got', msg)

    pid = rt.spawn(handler, budget=50)
    """
EXAMPLES = {
    "spawn": "",
    "push and pull": """
        # push actor
        rt.spawn(lambda m: print('push', m))
        # pull actor
        def mailbox_worker(mailbox):
            while True:
                msg = mailbox.recv()
                if not msg:
                    break
                print('pull', msg)

        rt.spawn_with_mailbox(mailbox_worker)
        """,
    "timers and batches": """
        timer = rt.send_after(pid, 200, b'tick')
        # cancel
        rt.cancel_timer(timer)
        # batch send
        accepted = rt.send_many(pid, [b"a", bytearray(b"b"), memoryview(b"c")])
        print("accepted", accepted)
        assert accepted == 3
        """,
    "mailbox size": """
        size = rt.mailbox_size(pid)
        print('size=', size)
        """,
    "names and paths": """
        rt.register('auth', pid)
        assert rt.whereis('auth') == pid
        rt.register_path('/svc/test/one', pid)
        print(rt.list_children('/svc/test'))
        """,
    "supervisors": """
        rt.create_path_supervisor('/svc/test')
        rt.path_supervisor_watch('/svc/test', pid)
        print(rt.path_supervisor_children('/svc/test'))
        """,
    "hot swap": """
        def a(msg):
            print('got', msg)

        pid = rt.spawn(a)
        rt.hot_swap(pid, lambda m: print('upgraded', m))
        """,
    "the GIL": """
        rt.set_release_gil_limits(8, 16)
        rt.set_release_gil_strict(True)
        """,
    "ghosts": """
        rt = Runtime()
        rt.vortex_reset_auto_telemetry()
        rt.vortex_set_auto_ghost_policy("PreferPrimary")
        primary_wins, ghost_wins = rt.vortex_get_auto_resolution_counts()
        replayed = rt.vortex_get_auto_replay_count()
        print(primary_wins, ghost_wins, replayed)
        assert (primary_wins, ghost_wins, replayed) == (0, 0, 0)
        """,
    "other nodes": """
        other = Runtime()
        other.register('auth', other.spawn(lambda m: b'remote ' + m))
        addr = other.listen('127.0.0.1:0')

        assert rt.is_node_up(addr)
        proxy = rt.resolve_remote(addr, 'auth')
        assert rt.call_blocking(proxy, b'hello') == b'remote hello'

        there = other.resolve('auth')
        assert rt.send_remote(addr, there, b'hello')
        assert rt.monitor_remote(addr, there) == proxy
        other.close()
        """,
    "other nodes, awaited": """
        import asyncio
        other = Runtime()
        other.register('auth_worker', other.spawn(print))
        addr = other.listen('127.0.0.1:0')

        async def main():
            proxy = await rt.resolve_remote_py(addr, 'auth_worker')
            if proxy:
                rt.send(proxy, b'login')
            return proxy

        assert asyncio.run(main())
        other.close()
        """,
    "offload": """
        @iris.offload(strategy='jit', return_type='float')
        def vec_mag(x: float, y: float, z: float) -> float:
            return (x*x + y*y + z*z) ** 0.5

        print(vec_mag(1.0, 2.0, 3.0))
        """,
    "stop": """
        rt.stop(pid)
        rt.join(pid)
        assert not rt.is_alive(pid)
        """,
    "overflow": """
        primary = rt.spawn_py_handler_bounded(lambda m: print(m), 100, capacity=1)
        fallback = rt.spawn(lambda m: print('fallback', m), 100)
        rt.set_overflow_policy(primary, 'redirect', fallback)
        """,
    "together": """
        rt = Runtime()
        def hello(msg):
            print('hello', msg)

        pid = rt.spawn(hello)
        rt.register('greeter', pid)
        rt.send_named('greeter', b'world')
        tid = rt.send_interval(pid, 1000, b'ping')
        # later
        rt.cancel_timer(tid)
        """,
}


# What they print, where no handler prints at the same time.
PRINTS = {
    "mailbox size": ("size= 0",),
    "names and paths": ("/svc/test/one",),
    "supervisors": ("[",),
    "offload": ("3.7416573867739413",),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_is_written(name: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(textwrap.dedent(HEAD) + textwrap.dedent(EXAMPLES[name]))
    done = subprocess.run(
        [sys.executable, "-W", "error", file],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for text in PRINTS.get(name, ()):
        assert text in done.stdout


def lines_of(code: str) -> list[str]:
    return [line.strip() for line in code.splitlines() if line.strip()]


def test_the_examples_are_those_of_the_reference_line_by_line() -> None:
    """Each block of the text is, but for its indentation, part of an example above."""
    text = REFERENCE.replace("192.168.1.5:9000", "ADDR").splitlines()
    blocks = [i + 1 for i, line in enumerate(text) if line.startswith("Example")]
    assert len(blocks) == 12
    examples = [lines_of(code.replace("(addr,", "('ADDR',")) for code in EXAMPLES.values()]
    for at in [*blocks, text.index("def handler(msg):")]:
        assert any(_follows(text[at:], code) for code in [lines_of(HEAD), *examples]), text[at]
    [last] = [i for i, line in enumerate(text) if line.endswith("spawn, register, send, timers:")]
    assert _follows(text[last + 1 :], lines_of(EXAMPLES["together"]))


def _follows(text: list[str], code: list[str]) -> bool:
    """Whether `text` begins with lines of `code`, prose after the last one aside."""
    if text[0] not in code:
        return False
    for line, want in zip(text, code[code.index(text[0]) :], strict=False):
        if line != want:
            # A block ends in the middle of a line, where the prose goes on.
            return line.startswith(want)
    return True


OFFLOAD = """
import iris
@iris.offload(strategy='jit', return_type='float')
def vec_mag(x: float, y: float, z: float) -> float:
    return (x*x + y*y + z*z) ** 0.5
print(vec_mag(1.0, 2.0, 3.0))
"""


def test_the_offload_example_runs_natively_as_it_is_written(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(OFFLOAD)
    done = run_program(
        f"import runpy; print(runpy.run_path({str(program)!r})['vec_mag'].explain())"
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer, *explained = done.stdout.splitlines()
    assert answer == repr(14.0**0.5)
    assert explained[1].startswith("  (float, float, float) -> float: native")


def test_the_controls_of_offload_are_in_the_package() -> None:
    done = run_program(
        """
        import iris
        from iris import offload, set_jit_logging, get_jit_logging
        from iris import set_quantum_speculation, get_quantum_speculation

        for set_, get in [(set_jit_logging, get_jit_logging),
                          (set_quantum_speculation, get_quantum_speculation)]:
            assert get() is False
            set_(True)
            assert get() is True
            set_(False)
            assert get() is False

        @offload(strategy='actor', return_type='int')
        def total(n):
            return sum(range(n))

        assert total(1000) == 499500
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
