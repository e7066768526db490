"""Other nodes, from Python: two runtimes of one process, and processes of their own."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import Inbox
from iris import Runtime, TlsOptions, errors

LOCAL = "127.0.0.1:0"
VECTORS = Path(__file__).parents[2] / "tests/vectors/wire.json"
Nodes = tuple[Runtime, Runtime]


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    a, b = Runtime(), Runtime()
    for rt in (a, b):
        rt.on_crash(lambda info: None)
    yield a, b
    for rt in (a, b):
        rt.close(timeout=2)


def meet(nodes: Nodes, handler: Callable[[bytes], Any]) -> tuple[int, int, str]:
    """An actor of the second node, its proxy at the first, and where the second listens."""
    a, b = nodes
    pid = b.spawn(handler)
    b.register("it", pid)
    addr = b.listen(LOCAL)
    proxy = a.resolve_remote(addr, "it")
    assert proxy is not None
    return pid, proxy, addr


def test_an_actor_of_another_node_is_called_by_its_name(nodes: Nodes) -> None:
    a, _ = nodes
    _, proxy, addr = meet(nodes, lambda msg: b"re: " + msg)
    assert a.is_remote(proxy)
    info = a.actor_info(proxy)
    assert info is not None
    assert info.kind == "remote"
    assert a.call_blocking(proxy, b"ping") == b"re: ping"
    assert a.resolve_remote(addr, "it") == proxy
    assert a.resolve_remote(addr, "nobody") is None
    assert a.is_node_up(addr)
    assert [(n["address"], n["connected"]) for n in a.nodes()] == [(addr, True)]
    seen = a.remote_info(proxy)
    assert seen is not None
    assert seen["handled"] == 1
    assert a.mesh_metrics()["proxies"] == 1


def test_the_awaitable_forms(nodes: Nodes) -> None:
    a, b = nodes

    async def main() -> None:
        async def shout(msg: bytes) -> bytes:
            await asyncio.sleep(0)
            return msg.upper()

        b.register("shout", b.spawn(shout))
        addr = b.listen(LOCAL)
        proxy = await a.resolve_remote_py(addr, "shout")
        assert proxy is not None
        assert await a.call(proxy, b"x") == b"X"
        assert await a.resolve_remote_py(addr, "nobody") is None
        assert await a.is_node_up_async(addr)
        seen = await a.remote_info_async(proxy)
        assert seen is not None
        with pytest.raises(errors.WouldDeadlock):
            a.resolve_remote(addr, "shout")
        with pytest.raises(errors.WouldDeadlock):
            a.is_node_up(addr)

    asyncio.run(main())


def test_sends_order_and_ends(nodes: Nodes, inbox: Inbox) -> None:
    a, b = nodes
    pid, proxy, addr = meet(nodes, inbox)
    assert a.send(proxy, b"0")
    assert a.send_many(proxy, [b"1", b"2"]) == 2
    assert a.send_remote(addr, pid, b"3")
    assert inbox.wait(4) == [b"0", b"1", b"2", b"3"]
    heard = threading.Event()
    a.monitor(proxy, lambda down: heard.set())
    b.stop(pid)
    assert heard.wait(30)
    ended = a.join(proxy, timeout=30)
    assert ended is not None
    assert ended.reason == "shutdown"
    assert not a.send(proxy, b"late")


def test_a_handler_that_raises_there(nodes: Nodes) -> None:
    a, _ = nodes

    def fail(msg: bytes) -> bytes:
        raise ValueError("no way")

    _, proxy, _ = meet(nodes, fail)
    with pytest.raises(errors.HandlerFailed, match="no way"):
        a.call_blocking(proxy, b"x")
    ended = a.join(proxy, timeout=30)
    assert ended is not None
    assert ended.reason == "crash"


def test_stop_kill_and_what_is_not_local(nodes: Nodes) -> None:
    a, b = nodes
    pid, proxy, _ = meet(nodes, lambda msg: msg)
    with pytest.raises(errors.NotLocal):
        a.spawn_child(proxy, lambda msg: None)
    with pytest.raises(errors.NotLocal):
        a.hot_swap(proxy, lambda msg: None)
    assert a.stop(proxy)
    assert not a.is_alive(proxy)
    ended = b.join(pid, timeout=30)
    assert ended is not None
    assert ended.reason == "shutdown"


def test_pids_travel(nodes: Nodes, inbox: Inbox) -> None:
    a, b = nodes
    _, proxy, _ = meet(nodes, lambda msg: b.send(b.import_pid(msg), b"thanks") and b"sent")
    mine = a.spawn(inbox)
    a.listen(LOCAL)
    assert a.call_blocking(proxy, a.export_pid(mine)) == b"sent"
    assert inbox.wait(1) == [b"thanks"]
    with pytest.raises(errors.InvalidArgument):
        a.import_pid(b"nonsense")


def test_monitor_remote_puts_the_proxy_under_the_global_supervisor(nodes: Nodes) -> None:
    a, b = nodes
    pid, proxy, addr = meet(nodes, lambda msg: msg)
    heard = threading.Event()
    assert a.monitor_remote(addr, pid, lambda down: heard.set()) == proxy
    assert a.child_pids() == [proxy]
    b.kill(pid)
    assert heard.wait(30)


def test_errors_are_the_builtins_too(nodes: Nodes) -> None:
    a, b = nodes
    addr = b.listen(LOCAL)
    with pytest.raises(OSError, match="in use") as e:
        a.listen(addr)
    assert isinstance(e.value, errors.Io)
    assert b.unlisten(addr)
    with pytest.raises(ConnectionError) as u:
        a.resolve_remote(addr, "x")
    assert isinstance(u.value, errors.Unreachable)
    with pytest.raises(errors.InvalidArgument, match="secret"):
        a.listen("0.0.0.0:0")
    for bad in ("", "host", "1.2.3.4:70000"):
        with pytest.raises(ValueError, match="address"):
            a.listen(bad)


def test_fault_row_31_secrets(nodes: Nodes) -> None:
    a, b = nodes
    addr = b.listen(LOCAL, secret="swordfish")
    b.register("echo", b.spawn(lambda msg: msg))
    with pytest.raises(PermissionError):
        a.resolve_remote(addr, "echo")
    a.configure_mesh(secret=b"swordfish")
    echo = a.resolve_remote(addr, "echo")
    assert echo is not None
    assert a.call_blocking(echo, b"x") == b"x"


def pem(name: str) -> str:
    return str(Path(__file__).parents[2] / "tests/vectors/tls" / f"{name}.pem")


def certificates(node: str = "node") -> TlsOptions:
    return {"cert": pem(node), "key": pem(f"{node}-key"), "ca": pem("ca")}


def test_fault_row_31_certificates(nodes: Nodes) -> None:
    a, b = nodes
    addr = b.listen(LOCAL, tls=certificates())
    b.register("echo", b.spawn(lambda msg: msg))
    with pytest.raises(errors.AuthFailed):
        a.resolve_remote(addr, "echo")
    a.configure_mesh(tls=certificates("other-node"))
    with pytest.raises(errors.AuthFailed):
        a.resolve_remote(addr, "echo")
    a.configure_mesh(tls={**certificates(), "server_name": "elsewhere.example"})
    with pytest.raises(errors.AuthFailed):
        a.resolve_remote(addr, "echo")
    a.configure_mesh(tls={**certificates(), "ca": Path(pem("ca")).read_text()})
    echo = a.resolve_remote(addr, "echo")
    assert echo is not None
    long = bytes(300_000)
    assert a.call_blocking(echo, long) == long
    assert len(b.nodes()) == 1


def test_certificates_that_are_none(nodes: Nodes) -> None:
    a, _ = nodes
    good: dict[str, Any] = dict(certificates())
    wrong_types: list[Any] = [1, "x", [], {**good, "cert": 1}, {**good, "server_name": b"x"}]
    for wrong in wrong_types:
        with pytest.raises(TypeError, match="tls"):
            a.listen(LOCAL, tls=wrong)
        with pytest.raises(TypeError, match="tls"):
            a.configure_mesh(tls=wrong)
    values: list[Any] = [
        {},
        {"cert": good["cert"]},
        {**good, "more": "x"},
        {**good, "cert": ""},
        {**good, "cert": good["key"]},
        {**good, "key": pem("other-node-key")},
        {**good, "server_name": "a b"},
    ]
    for bad in values:
        with pytest.raises(errors.InvalidArgument, match="tls"):
            a.listen(LOCAL, tls=bad)
    with pytest.raises(errors.Io, match="/no/such/file"):
        a.configure_mesh(tls={**certificates(), "ca": "/no/such/file"})


def test_permissions_bind(nodes: Nodes) -> None:
    a, b = nodes
    addr = b.listen(LOCAL, permissions={"send": "names", "stop": False})
    pid, hidden = b.spawn(lambda msg: msg), b.spawn(lambda msg: msg)
    b.register("open", pid)
    proxy = a.resolve_remote(addr, "open")
    assert proxy is not None
    assert not a.stop(proxy)
    assert b.is_alive(pid)
    ended = a.join(a.remote_pid(addr, hidden), timeout=30)
    assert ended is not None
    assert ended.reason == "noproc"
    wrong: Any
    for wrong in ({"spawn": True}, {"send": "all"}):
        with pytest.raises(errors.InvalidArgument):
            b.listen(LOCAL, permissions=wrong)
    for wrong in (1, {"stop": 1}, {"send": 1}):
        with pytest.raises(TypeError):
            b.listen(LOCAL, permissions=wrong)


def test_knobs_out_of_range(rt: Runtime) -> None:
    knobs: list[dict[str, Any]] = [
        {"heartbeat_ms": 0},
        {"down_after_ms": 1},
        {"phi": 0},
        {"phi": float("nan")},
        {"resume_window_ms": -1},
        {"max_payload": 1},
        {"window": 0},
        {"secret": b""},
    ]
    for knob in knobs:
        with pytest.raises(ValueError, match=r"must|secret|count"):
            rt.configure_mesh(**knob)


def test_garbage_is_closed(nodes: Nodes) -> None:
    a, _ = nodes
    _, proxy, addr = meet(nodes, lambda msg: msg)
    host, port = addr.split(":")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64):
        with socket.create_connection((host, int(port)), timeout=30) as s:
            s.sendall(garbage)
            try:
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert a.call_blocking(proxy, b"x") == b"x"


CHILD = """
import sys
from iris import Runtime
rt = Runtime()
rt.configure_mesh(heartbeat_ms=50, down_after_ms=60_000)
rt.register("it", rt.spawn(lambda msg: msg))
def block(ms):
    # One call into C that keeps the GIL.
    import ctypes
    ctypes.PyDLL(None).usleep(int(ms) * 1000)
    return b"done"
rt.register("block", rt.spawn(block))
print(rt.listen("127.0.0.1:0"), flush=True)
sys.stdin.read()
rt.close()
"""


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        yield other, other.stdout.readline().strip()
        other.kill()


BRISK: dict[str, Any] = {"heartbeat_ms": 50, "down_after_ms": 3000, "resume_window_ms": 500}


def test_fault_rows_17_and_18_killed_and_stopped_processes(
    rt: Runtime, child: tuple[subprocess.Popen[str], str]
) -> None:
    other, addr = child
    rt.configure_mesh(**BRISK)
    proxy = rt.resolve_remote(addr, "it")
    assert proxy is not None
    os.kill(other.pid, signal.SIGSTOP)
    ended = rt.join(proxy, timeout=30)
    assert ended is not None
    assert ended.reason == "node_down"
    os.kill(other.pid, signal.SIGCONT)
    again = rt.resolve_remote(addr, "it", timeout=30)
    assert again is not None
    assert again != proxy
    assert rt.call_blocking(again, b"x") == b"x"
    other.kill()
    ended = rt.join(again, timeout=30)
    assert ended is not None
    assert ended.reason == "node_down"


def test_fault_row_16_a_held_gil_is_stalled_not_down(
    rt: Runtime,
    child: tuple[subprocess.Popen[str], str],
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    _, addr = child
    # Shorter than the call, and so long that a busy machine keeps to it.
    rt.configure_mesh(**{**BRISK, "down_after_ms": 6000})
    block = rt.resolve_remote(addr, "block")
    assert block is not None
    threading.Thread(
        target=lambda: rt.call_blocking(block, b"8000", timeout=60), daemon=True
    ).start()
    wait_until(lambda: rt.nodes()[0]["stalled"])
    assert rt.is_alive(block)
    wait_until(lambda: not rt.nodes()[0]["stalled"])
    assert rt.is_alive(block)


def test_fault_row_28_goodbye(rt: Runtime, child: tuple[subprocess.Popen[str], str]) -> None:
    other, addr = child
    proxy = rt.resolve_remote(addr, "it")
    assert proxy is not None
    assert other.stdin is not None
    other.stdin.close()
    ended = rt.join(proxy, timeout=30)
    assert ended is not None
    assert ended.reason == "disconnected"


class Reader:
    """The wire in Python, as far as the vectors go."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def raw(self, n: int) -> bytes:
        head, self.data = self.data[:n], self.data[n:]
        assert len(head) == n
        return head

    def num(self, n: int) -> int:
        return int.from_bytes(self.raw(n), "little")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.num(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> str:
        return self.raw(self.varint()).decode()

    def rest(self) -> str:
        return self.raw(len(self.data)).hex()


def _hello(r: Reader) -> dict[str, Any]:
    r.num(1)
    me = {"node": r.raw(16).hex(), "incarnation": r.num(8)}
    r.raw(24)
    return me | {
        "received": r.num(8),
        "grants": r.num(1),
        "max_payload": r.num(4),
        "address": r.text(),
    }


def _refuse(r: Reader) -> dict[str, Any]:
    r.num(1)
    return {"code": r.num(1), "incarnation": r.num(8), "why": r.text()}


def _preamble(r: Reader) -> dict[str, Any]:
    assert r.raw(4) == b"IRIS"
    told: dict[str, Any] = {"low": r.num(1), "high": r.num(1), "secured": r.num(1) == 1}
    r.num(1)
    return told | {"capabilities": r.num(4)}


_OPS: dict[str, str] = {
    "send": "to from payload",
    "call": "to from id timeout_ms payload",
    "reply": "id payload",
    "fail": "id kind:1 message:t stack:t",
    "cancel": "id",
    "resolve": "id name:t",
    "resolved": "id pid credit",
    "watch": "pid",
    "credit": "pid more",
    "exit": "pid reason:1 message:t stack:t",
    "stop": "pid mode:1",
    "link": "to from on:b",
    "info": "id pid",
    "info_is": "id alive:b queue capacity handled",
    "goodbye": "",
    "gossip": "payload",
    "down": "to reference reason:1 about:l message:t stack:t",
    "trap": "pid on:b",
    "link_far": "to on:b other:l",
    "codec": "pid name:t",
}
_RECORDS = {
    "data": "offset:8 ack:8 bytes",
    "ack": "ack:8",
    "ping": "ack:8 stalled:b stamp:8",
    "pong": "ack:8 stamp:8",
}


def _fields(r: Reader, layout: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in layout.split():
        name, _, kind = field.partition(":")
        if name in {"payload", "bytes"}:
            found[name] = r.rest()
        elif kind == "t":
            found[name] = r.text()
        elif kind == "l":
            found[name] = r.raw(r.varint()).hex()
        elif kind == "b":
            found[name] = r.num(1) == 1
        elif kind:
            found[name] = r.num(int(kind))
        else:
            found[name] = r.varint()
    return found


def test_the_wire_means_in_python_what_the_vectors_say() -> None:
    vectors = json.loads(VECTORS.read_text())
    assert len(vectors) >= 30
    for vector in vectors:
        r, kind = Reader(bytes.fromhex(vector["hex"])), vector["kind"]
        if kind in {"hello", "welcome"}:
            found = _hello(r)
        elif kind == "refuse":
            found = _refuse(r)
        elif kind == "preamble":
            found = _preamble(r)
        elif kind in _RECORDS:
            assert r.num(4) == len(r.data)
            r.num(1)
            found = _fields(r, _RECORDS[kind])
        else:
            assert r.varint() == len(r.data)
            r.num(1)
            found = _fields(r, _OPS[kind])
        assert found == vector["fields"], kind
        assert r.data == b""
