"""Load shedding: by every way that a message can come, and every way to spawn."""

import asyncio
from collections.abc import Callable

import pytest
from helpers import Gate, check_books, until
from iris import Context, PySystemMessage, Runtime, errors


def test_at_the_message_capacity_every_send_is_refused_and_counted(rt: Runtime, gate: Gate) -> None:
    contexts: list[Context] = []

    def speaker(msg: bytes, ctx: Context) -> None:
        contexts.append(ctx)

    rt.call_blocking(rt.spawn(speaker), b"")
    pid = rt.spawn(gate)
    probe = rt.spawn_with_path_observed(100, "/probe")
    rt.register("full", pid)
    rt.send(pid, b"in hand")
    gate.wait_entered()
    rt.set_message_capacity(2)
    rt.send_many(pid, [b"a", b"b"])
    assert not rt.is_load_shedding_active()
    rt.set_load_shedding(True)
    assert rt.is_load_shedding_active()

    async def main() -> None:
        assert not rt.send(pid, b"x")
        assert rt.send_many(pid, [b"x", b"y"]) == 0
        assert not rt.send_named("full", b"x")
        assert rt.send_with_backpressure(pid, b"x") == (False, "NORMAL")
        assert not contexts[0].send(pid, b"x")
        assert not rt.send_buffer(pid, rt.allocate_buffer(1)[0])
        assert not await rt.send_async(pid, b"x")
        for call in (rt.call, contexts[0].call):
            with pytest.raises(errors.AtCapacity):
                await call(pid, b"x")
        rt.send_after(pid, 0, b"x")
        await until(lambda: rt.get_metrics()["refused"]["shed"] == 11)
        target = rt.spawn(lambda msg: None)
        rt.monitor(target, probe)
        rt.kill(target)
        down = await rt.selective_recv(probe, lambda m: isinstance(m, PySystemMessage), 30)
        assert isinstance(down, PySystemMessage)

    asyncio.run(main())
    rt.set_message_capacity(None)
    assert not rt.is_load_shedding_active()
    assert rt.send(pid, b"x")
    gate.opened.set()
    check_books(rt)


def test_at_the_system_capacity_every_spawn_is_refused(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: None)
    rt.set_system_capacity(1)
    rt.set_load_shedding(True)
    spawns: list[Callable[[], object]] = [
        lambda: rt.spawn(lambda msg: None),
        lambda: rt.spawn_py_handler_bounded(lambda msg: None, 1, 1),
        lambda: rt.spawn_virtual(lambda msg: None),
        lambda: rt.spawn_with_mailbox(lambda box: None),
        lambda: rt.spawn_with_path_observed(1, "/probe"),
        lambda: rt.spawn_child(pid, lambda msg: None),
        lambda: rt.spawn_child_with_mailbox(pid, lambda box: None),
        lambda: rt.spawn_child_pool(pid, lambda msg: None, 2),
    ]
    for spawn in spawns:
        with pytest.raises(errors.AtCapacity):
            spawn()
    assert rt.list_actors() == [pid]
    assert rt.send(pid, b"x"), "messages have a capacity of their own"
    rt.set_load_shedding(False)
    assert rt.is_alive(rt.spawn(lambda msg: None))
