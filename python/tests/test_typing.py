"""What users' type checkers see: good code passes mypy --strict, bad code does not."""

import subprocess
import sys
from pathlib import Path

import iris
from iris import _types

GOOD = """
import asyncio
from dataclasses import dataclass
from iris import CallMessage, Codec, Mailbox, Pid, Pool, codecs
from iris import Context, ExitInfo, ExitReason, Handler, Metrics, Payload, Runtime, errors

def plain(msg: bytes) -> bytes:
    return msg

def with_ctx(msg: bytes, ctx: Context) -> None:
    if ctx.is_call:
        ctx.reply(bytearray(msg))
    sender: int | None = ctx.sender
    ctx.runtime.send(ctx.pid, memoryview(msg))

async def awaited(msg: bytes, ctx: Context) -> str:
    return (await ctx.call(1, msg)).decode()

def hook(info: ExitInfo) -> None:
    reason: ExitReason = info.reason

async def main() -> None:
    async with Runtime() as rt:
        reply: bytes = await rt.call(1, b"", timeout=1)
        info: ExitInfo = await rt.join_async(1)
        await asyncio.wait_for(rt.call(1, b""), 1)

@dataclass
class Order:
    n: int

class OrderCodec:
    name = "order"
    def encode(self, message: Order, /) -> bytes:
        return str(message.n).encode()
    def decode(self, data: bytes, /) -> Order:
        return Order(int(data))

def on_order(order: Order, ctx: Context) -> Order:
    return Order(order.n + 1)

def pull(box: Mailbox[Order]) -> None:
    message = box.recv()
    if isinstance(message, CallMessage):
        message.reply(Order(message.data.n))
    for other in box:
        print(other)

def typed(rt: Runtime) -> None:
    codec: Codec[Order] = OrderCodec()
    codecs.register(codec)
    pid: Pid[Order] = rt.spawn(on_order, codec=codec)
    pulls: Pid[Order] = rt.spawn_with_mailbox(pull, codec="order")
    number: int = pid
    took: bool = rt.send(pid, Order(1)) and rt.send_many(pulls, [Order(1)]) == 1
    rt.send_after(pid, 1, Order(1))
    pool: Pool = rt.spawn_child_pool(pid, on_order, 3, release_gil=True, codec="order")
    members: list[int] = pool
    pool.send(Order(1))
    buffer, view = rt.allocate_buffer(10)
    view[0] = 1
    sent: tuple[bool, str] = rt.send_user_with_backpressure(number, buffer)
    rt.set_release_gil_limits(8, 16)

handlers: list[Handler] = [plain, with_ctx, awaited, print]
data: Payload = b""
with Runtime(workers=1, stop_timeout=1.5, default_capacity=10) as rt:
    pids: list[int] = [rt.spawn(h) for h in handlers]
    rt.on_crash(hook)
    taken: bool = rt.send(pids[0], data)
    n: int = rt.send_many(pids[0], (b"x" for _ in range(3)))
    m: Metrics = rt.get_metrics()
    total: int = m["accepted"] + m["dead"]["crash"] + m["refused"]["full"]
    found: int | None = rt.whereis("name")
    try:
        rt.call_blocking(pids[0], b"")
    except (errors.Timeout, TimeoutError) as e:
        print(e)
"""

BAD = [
    'rt.send("1", b"")',
    'rt.send(1, "text")',
    "rt.spawn(1)",
    "rt.spawn(lambda: None)",
    "rt.spawn(lambda a, b, c: None)",
    "Runtime(threads=1)",
    "x: bytes = rt.call(1, b'')",
    "rt.get_metrics()['typo']",
    "rt.closed = True",
    "class Sub(Runtime): ...",
    'rt.send(numbers, "text")',
    "rt.send(numbers, {'a': 'b'})",
    "rt.send_many(numbers, [1])",
    "rt.call_blocking(numbers, [1])",
    "rt.send_after(numbers, 1, None)",
    'rt.send(numbers, b"bytes")',
    'rt.send_many(numbers, [b"bytes"])',
    'rt.call_blocking(numbers, b"bytes")',
    'rt.send_interval(numbers, 1, b"bytes")',
    "rt.spawn(on_numbers)",
    "rt.spawn(on_numbers, codec=1)",
    "rt.spawn_child_pool(1, on_numbers, '2')",
    "rt.send_buffer(1, b'')",
]


def mypy(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "program.py"
    program.write_text(code, encoding="utf-8")
    here = Path(iris.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", program],
        cwd=tmp_path,
        env={"MYPYPATH": str(here), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_good_code_passes_mypy_strict(tmp_path: Path) -> None:
    done = mypy(GOOD, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_bad_code_does_not(tmp_path: Path) -> None:
    head = (
        "from iris import Runtime\nrt = Runtime()\n"
        "def on_numbers(n: dict[str, int]) -> None: ...\n"
        'numbers = rt.spawn(on_numbers, codec="json")\n'
    )
    done = mypy(head + "\n".join(BAD) + "\n", tmp_path)
    first = head.count("\n") + 1
    refused = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    passed = [code for i, code in enumerate(BAD) if first + i not in refused]
    assert passed == []


def test_the_type_of_the_metrics_names_every_one_of_them() -> None:
    with iris.Runtime() as rt:
        metrics = rt.get_metrics()
    assert set(metrics) == set(_types.Metrics.__annotations__)
    for name, type_ in (
        ("refused", _types.Refusals),
        ("dropped", _types.Drops),
        ("dead", _types.Dead),
        ("exited", _types.ByExit),
    ):
        assert set(dict(metrics)[name]) == set(type_.__annotations__)  # type: ignore[call-overload]


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(iris.__file__).parent / "py.typed").is_file()
