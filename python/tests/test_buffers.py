"""Buffers: memory that is filled and sent without a copy, and never seen to change."""

import asyncio
import ctypes
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Gate, Inbox, check_books
from iris import Mailbox, Runtime, errors

MIB = 1 << 20


def address_of_view(view: memoryview) -> int:
    """Where a writable view's bytes are; leaves no view behind."""
    first = ctypes.c_char.from_buffer(view)
    address = ctypes.addressof(first)
    del first
    return address


def address_of_bytes(data: bytes) -> int:
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    assert address is not None
    return address


def test_64_mib_arrive_at_the_address_where_they_were_written(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    buffer, view = rt.allocate_buffer(64 * MIB)
    address = address_of_view(view)
    view[:5] = b"first"
    view[-4:] = b"last"
    assert rt.send_buffer(pid, buffer) is True
    [data] = inbox.wait(1)
    assert address_of_bytes(data) == address
    assert (len(data), data[:5], data[-4:]) == (64 * MIB, b"first", b"last")
    assert type(data) is bytes


def test_a_pull_actor_gets_the_memory_too(rt: Runtime) -> None:
    got: list[Any] = []
    done = threading.Event()

    def pull(mailbox: Mailbox) -> None:
        got.append(mailbox.recv())
        done.set()

    pid = rt.spawn_with_mailbox(pull)
    buffer, view = rt.allocate_buffer(MIB)
    address = address_of_view(view)
    rt.send_buffer(pid, buffer)
    assert done.wait(30)
    assert address_of_bytes(got[0]) == address


@pytest.mark.parametrize("size", [0, 1, 2, 22, 23, 64, 4095, 4096, 4097, 65_536])
def test_any_size_arrives_whole(rt: Runtime, inbox: Inbox, size: int) -> None:
    pid = rt.spawn(inbox)
    buffer, view = rt.allocate_buffer(size)
    assert (view.nbytes, view.readonly, view.format) == (size, False, "B")
    assert bytes(view) == bytes(size)
    pattern = bytes(i % 251 for i in range(size))
    view[:] = pattern
    assert rt.send_buffer(pid, buffer)
    assert inbox.wait(1) == [pattern]


def test_short_buffers_do_not_change_the_bytes_that_python_shares(rt: Runtime) -> None:
    for size in range(3):
        _, view = rt.allocate_buffer(size)
        view[:] = b"\xff" * size
    assert bytes(1) == b"\x00"
    assert bytes(2) == b"\x00\x00"
    assert b"" == bytes(0)  # noqa: SIM300


def test_sending_releases_the_view(rt: Runtime, inbox: Inbox) -> None:
    buffer, view = rt.allocate_buffer(8)
    rt.send_buffer(rt.spawn(inbox), buffer)
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    with pytest.raises(ValueError, match="released"):
        view.tobytes()


def test_what_was_behind_the_view_exports_nothing_any_more(rt: Runtime, inbox: Inbox) -> None:
    buffer, view = rt.allocate_buffer(8)
    source: Any = view.obj
    rt.send_buffer(rt.spawn(inbox), buffer)
    with pytest.raises(BufferError, match="sent"):
        memoryview(source)
    with pytest.raises(BufferError):
        bytes(source)
    assert inbox.wait(1) == [bytes(8)]


def test_an_id_works_once(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    buffer, _ = rt.allocate_buffer(8)
    assert rt.send_buffer(pid, buffer)
    for send in (rt.send_buffer, rt.send_user_with_backpressure):
        with pytest.raises(errors.NoSuchBuffer):
            send(pid, buffer)
    assert len(inbox.wait(1)) == 1
    assert rt.get_metrics()["attempted"] == 1


def test_a_refused_buffer_can_be_sent_again(rt: Runtime, inbox: Inbox) -> None:
    buffer, view = rt.allocate_buffer(4)
    address = address_of_view(view)
    view[:] = b"dat?"
    assert not rt.send_buffer(1, buffer)
    assert rt.send_user_with_backpressure(1, buffer) == (False, "NORMAL")
    assert rt.get_metrics()["buffers"] == 1
    view[3:] = b"a"  # a refused send changes nothing: the view is usable still
    assert bytes(view) == b"data"
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    [data] = inbox.wait(1)
    assert data == b"data"
    assert address_of_bytes(data) == address


@pytest.mark.parametrize("policy", ["dropnew", "redirect"])
def test_a_refusal_of_a_full_mailbox_leaves_the_view(
    rt: Runtime, gate: Gate, inbox: Inbox, policy: str
) -> None:
    full = rt.spawn_py_handler_bounded(gate, 100, 1, release_gil=True)
    if policy == "redirect":
        other = rt.spawn_py_handler_bounded(gate, 100, 1, release_gil=True)
        rt.send_many(other, [b"", b""])
        rt.set_overflow_policy(full, "redirect", other)
    rt.send(full, b"")
    gate.wait_entered()
    rt.send_many(full, [b"", b"", b""])
    if policy == "redirect":
        while rt.send(full, b""):
            pass
    buffer, view = rt.allocate_buffer(1 << 16)
    part = view[:3]
    assert not rt.send_buffer(full, buffer)
    assert rt.send_user_with_backpressure(full, buffer) == (False, "CRITICAL")
    part[:] = b"abc"
    assert bytes(view[:3]) == b"abc"
    address = address_of_view(view)
    part.release()
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    [data] = inbox.wait(1)
    assert address_of_bytes(data) == address
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    gate.opened.set()


def test_a_pid_of_the_wrong_type_uses_nothing_up(rt: Runtime, inbox: Inbox) -> None:
    buffer, view = rt.allocate_buffer(1)
    with pytest.raises(TypeError):
        rt.send_buffer("1", buffer)  # type: ignore[arg-type]
    view[0] = 7
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    assert inbox.wait(1) == [b"\x07"]


def numpy_array(view: memoryview) -> Any:
    numpy = pytest.importorskip("numpy")
    return numpy.frombuffer(view, dtype="uint8")


SUB_VIEWS: dict[str, Callable[[memoryview], Any]] = {
    "slice": lambda view: view[2:6],
    "memoryview": lambda view: memoryview(view),
    "cast": lambda view: view.cast("B"),
    "of the source": lambda view: memoryview(view.obj),  # type: ignore[arg-type]
    "ctypes": lambda view: (ctypes.c_ubyte * 8).from_buffer(view),
    "numpy": numpy_array,
}


@pytest.mark.parametrize("make", SUB_VIEWS.values(), ids=SUB_VIEWS)
def test_what_another_view_writes_afterwards_is_not_seen(
    rt: Runtime, inbox: Inbox, make: Callable[[memoryview], Any]
) -> None:
    buffer, view = rt.allocate_buffer(8)
    view[:] = b"original"
    other = make(view)
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    other[0] = 0
    other[1] = 0
    assert inbox.wait(1) == [b"original"]


@pytest.mark.parametrize("make", SUB_VIEWS.values(), ids=SUB_VIEWS)
def test_another_view_that_is_gone_costs_no_copy(
    rt: Runtime, inbox: Inbox, make: Callable[[memoryview], Any]
) -> None:
    buffer, view = rt.allocate_buffer(8)
    address = address_of_view(view)
    other = make(view)
    other[3] = 65
    del other
    gc.collect()
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    [data] = inbox.wait(1)
    assert data[2:5].find(b"A") >= 0 or data[5] == 65
    assert address_of_bytes(data) == address


def test_the_user_may_have_released_the_view(rt: Runtime, inbox: Inbox) -> None:
    buffer, view = rt.allocate_buffer(4)
    with view:
        view[:] = b"data"
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    assert inbox.wait(1) == [b"data"]


def test_freeing_keeps_views_alive(rt: Runtime, inbox: Inbox) -> None:
    buffer, view = rt.allocate_buffer(4)
    assert rt.free_buffer(buffer)
    assert not rt.free_buffer(buffer)
    with pytest.raises(errors.NoSuchBuffer):
        rt.send_buffer(rt.spawn(inbox), buffer)
    view[:] = b"mine"
    assert bytes(view) == b"mine"
    assert rt.get_metrics()["buffers"] == 0


# --- owners -------------------------------------------------------------------------------------


def end_of(rt: Runtime, pid: int) -> None:
    rt.join(pid, timeout=30)


@pytest.mark.parametrize("how", ["stop", "kill", "crash"])
@pytest.mark.parametrize("release_gil", [False, True])
def test_buffers_end_with_the_actor_that_allocated_them(
    rt: Runtime, inbox: Inbox, how: str, release_gil: bool
) -> None:
    ids: list[int] = []

    def handler(msg: bytes) -> None:
        ids.append(rt.allocate_buffer(16)[0])
        if msg == b"crash":
            raise ValueError

    pid = rt.spawn(handler, release_gil=release_gil)
    rt.call_blocking(pid, b"")
    kept, _ = rt.allocate_buffer(16)
    assert rt.get_metrics()["buffers"] == 2
    if how == "crash":
        rt.send(pid, b"crash")
    else:
        getattr(rt, how)(pid)
    end_of(rt, pid)
    assert rt.get_metrics()["buffers"] == 1
    target = rt.spawn(inbox)
    for buffer in ids:
        with pytest.raises(errors.NoSuchBuffer):
            rt.send_buffer(target, buffer)
    assert rt.send_buffer(target, kept)


def test_buffers_of_async_handlers_and_pull_actors_end_with_them(rt: Runtime) -> None:
    async def push(msg: bytes) -> None:
        await asyncio.sleep(0)
        rt.allocate_buffer(16)

    async def async_pull(mailbox: Any) -> None:
        await mailbox.recv()
        rt.allocate_buffer(16)
        await mailbox.recv()

    def pull(mailbox: Mailbox) -> None:
        mailbox.recv()
        rt.allocate_buffer(16)
        mailbox.recv()

    pids = [rt.spawn(push), rt.spawn_with_mailbox(async_pull), rt.spawn_with_mailbox(pull)]
    for pid in pids:
        rt.send(pid, b"go")
    pause = threading.Event()
    while rt.get_metrics()["buffers"] < 3:
        pause.wait(0.001)
    for pid in pids:
        rt.stop(pid)
        end_of(rt, pid)
    assert rt.get_metrics()["buffers"] == 0


def test_a_buffer_outlives_the_actor_once_it_is_sent(rt: Runtime, inbox: Inbox) -> None:
    target = rt.spawn(inbox)

    def handler(msg: bytes) -> None:
        buffer, view = rt.allocate_buffer(4)
        view[:] = b"kept"
        rt.send_buffer(target, buffer)

    pid = rt.spawn(handler)
    rt.call_blocking(pid, b"")
    rt.kill(pid)
    end_of(rt, pid)
    assert inbox.wait(1) == [b"kept"]


def test_a_closed_runtime_frees_its_buffers() -> None:
    rt = Runtime()
    buffer, view = rt.allocate_buffer(4)
    rt.close()
    with pytest.raises(errors.RuntimeClosed):
        rt.send_buffer(1, buffer)
    view[:] = b"mine"


def test_memory_stays_flat(rt: Runtime, inbox: Inbox) -> None:
    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096

    sink = rt.spawn(lambda msg: b"")

    def some() -> None:
        for i in range(50):
            buffer, view = rt.allocate_buffer(4 * MIB)
            view[:] = b"x" * (4 * MIB)
            view.release()
            if i % 2:
                rt.send_buffer(sink, buffer)
            else:
                rt.free_buffer(buffer)
        rt.call_blocking(sink, b"", timeout=60)

    some()
    before = resident()
    for _ in range(4):
        some()
    assert resident() - before < 64 * MIB
    assert rt.get_metrics()["buffers"] == 0


# --- every way into a mailbox -------------------------------------------------------------------


def filled(rt: Runtime, data: bytes) -> int:
    buffer, view = rt.allocate_buffer(len(data))
    view[:] = data
    return buffer


def test_overflow_policies_hold_for_buffers(rt: Runtime, gate: Gate, inbox: Inbox) -> None:
    other = rt.spawn(inbox)
    pid = rt.spawn_py_handler_bounded(gate, 100, 1, release_gil=True)  # it stands, the lane goes on
    assert rt.send_buffer(pid, filled(rt, b"running"))
    gate.wait_entered()
    assert rt.send_user_with_backpressure(pid, filled(rt, b"waiting")) == (True, "CRITICAL")
    refused = filled(rt, b"refused")
    assert rt.send_user_with_backpressure(pid, refused) == (False, "CRITICAL")
    rt.set_overflow_policy(pid, "spill", other)
    assert rt.send_buffer(pid, refused)
    assert inbox.wait(1) == [b"waiting"]
    rt.set_overflow_policy(pid, "redirect", other)
    assert rt.send_buffer(pid, filled(rt, b"redirected"))
    assert inbox.wait(2)[1] == b"redirected"
    rt.set_overflow_policy(pid, "dropold")
    assert rt.send_buffer(pid, filled(rt, b"newest"))
    gate.opened.set()
    rt.stop(pid, drain=True)
    rt.join(pid, timeout=30)
    assert gate.handled == [b"running", b"newest"]
    check_books(rt)


def test_a_blocked_sender_waits_with_its_buffer(rt: Runtime, gate: Gate) -> None:
    pid = rt.spawn_py_handler_bounded(gate, 100, 1)
    rt.set_overflow_policy(pid, "block")
    rt.send(pid, b"running")
    gate.wait_entered()
    rt.send(pid, b"waiting")
    answers: list[bool] = []
    thread = threading.Thread(
        target=lambda: answers.append(rt.send_buffer(pid, filled(rt, b"blocked")))
    )
    thread.start()
    gate.opened.set()
    thread.join(30)
    assert answers == [True]
    rt.stop(pid, drain=True)
    rt.join(pid, timeout=30)
    assert gate.handled == [b"running", b"waiting", b"blocked"]


def test_a_codec_decodes_what_a_buffer_holds(rt: Runtime) -> None:
    got: list[Any] = []
    done = threading.Event()
    pid = rt.spawn(lambda msg: (got.append(msg), done.set()), codec="json")
    rt.send_buffer(pid, filled(rt, b'{"n": 1}'))
    assert done.wait(30)
    assert got == [{"n": 1}]


def test_many_threads_send_many_buffers(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)

    def work(n: int) -> None:
        for i in range(200):
            assert rt.send_buffer(pid, filled(rt, b"%d-%d" % (n, i)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    got = inbox.wait(800)
    for n in range(4):
        mine = [m for m in got if m.startswith(b"%d-" % n)]
        assert mine == [b"%d-%d" % (n, i) for i in range(200)]
    assert check_books(rt)["buffers"] == 0
