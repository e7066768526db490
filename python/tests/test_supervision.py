import asyncio
import threading
import time
from typing import Any

import pytest
from helpers import Inbox, check_books, settle
from iris import Context, Mailbox, Runtime, SupervisionEvent, errors

WAIT = 30


class Worker:
    """Children that keep what they get; ``boom`` makes one crash."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.got: list[bytes] = []
        self.starts = 0

    def handle(self, msg: bytes) -> bytes:
        if msg == b"boom":
            raise ValueError("boom")
        self.got.append(msg)
        return msg

    def start(self) -> int:
        self.starts += 1
        return self.rt.spawn(self.handle)

    def replaced(self, name: str, old: int) -> int:
        def there() -> bool:
            pid = self.rt.whereis(name)
            return pid is not None and pid != old

        until(there)
        pid = self.rt.whereis(name)
        assert pid is not None
        return pid


def until(done: Any) -> None:
    end = time.monotonic() + WAIT
    while not done():
        assert time.monotonic() < end
        time.sleep(0.001)


def supervised(rt: Runtime, worker: Worker, **options: Any) -> int:
    pid = worker.start()
    rt.register("w", pid)
    rt.path_supervise_with_factory("/svc", pid, worker.start, "restartone", **options)
    return pid


def held(rt: Runtime) -> threading.Event:
    """Holds the lane, which all of them share, until the event is set."""
    ready, go = threading.Event(), threading.Event()

    def hold(msg: bytes) -> None:
        ready.set()
        assert go.wait(WAIT)

    rt.send(rt.spawn(hold), b"")
    assert ready.wait(WAIT)
    return go


def test_fault_rows_1_and_12_a_crash_loses_one_message(rt: Runtime) -> None:
    crashes: list[Any] = []
    rt.on_crash(crashes.append)
    worker = Worker(rt)
    pid = supervised(rt, worker)
    rt.register_path("/svc/w", pid)
    go = held(rt)
    sent = [b"boom", *(str(i).encode() for i in range(300))]
    assert rt.send_many(pid, sent) == len(sent)
    go.set()
    new = worker.replaced("w", pid)
    settle(rt)
    assert worker.got == sent[1:]
    assert rt.whereis_path("/svc/w") == new
    assert rt.path_supervisor_children("/svc") == [new]
    books = check_books(rt)
    assert books["dead"]["crash"] == 1
    assert (books["restarts"], books["parked"]) == (1, 0)
    assert crashes == []
    assert rt.join(pid, WAIT).reason == "crash"


def test_open_calls_wait_for_the_replacement() -> None:
    async def main() -> None:
        async with Runtime() as rt:
            worker = Worker(rt)
            pid = supervised(rt, worker)
            go = held(rt)
            first = rt.call(pid, b"boom", timeout=WAIT)
            rest = [rt.call(pid, str(i).encode(), timeout=WAIT) for i in range(20)]
            go.set()
            with pytest.raises(ValueError, match="boom"):
                await first
            assert await asyncio.gather(*rest) == [str(i).encode() for i in range(20)]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("restart", "end", "again"),
    [
        ("permanent", "crash", True),
        ("permanent", "stop", True),
        ("transient", "crash", True),
        ("transient", "stop", False),
        ("transient", "kill", True),
        ("temporary", "crash", False),
    ],
)
def test_which_ends_are_followed_by_a_restart(
    rt: Runtime, restart: Any, end: str, again: bool
) -> None:
    rt.on_crash(lambda info: None)
    worker = Worker(rt)
    pid = supervised(rt, worker, restart=restart)
    if end == "crash":
        rt.send(pid, b"boom")
    else:
        getattr(rt, end)(pid)
    rt.join(pid, WAIT)
    if again:
        new = worker.replaced("w", pid)
        until(lambda: rt.path_supervisor_children("/svc") == [new])
    else:
        until(lambda: rt.path_supervisor_children("/svc") == [])
        assert rt.whereis("w") is None


def test_fault_row_4_a_crash_loop_ends_the_supervisor(rt: Runtime) -> None:
    crashes: list[Any] = []
    rt.on_crash(crashes.append)
    worker = Worker(rt)
    pid = supervised(rt, worker, max_restarts=2, within_ms=60_000)
    for _ in range(2):
        rt.send(pid, b"boom")
        pid = worker.replaced("w", pid)
    rt.send(pid, b"boom")
    until(lambda: rt.get_metrics()["gave_up"] == 1 and crashes)
    settle(rt)
    assert rt.path_supervisor_children("/svc") == []
    assert "gave up" in crashes[0].message
    assert "boom" in crashes[0].message
    assert check_books(rt)["parked"] == 0


@pytest.mark.parametrize(
    ("strategy", "started"),
    [("restartone", ["b"]), ("restforone", ["b", "c"]), ("restartall", ["a", "b", "c"])],
)
def test_fault_row_5_strategies_start_in_order(
    rt: Runtime, strategy: Any, started: list[str]
) -> None:
    log: list[str] = []
    events: list[str | None] = []
    rt.on_restart(lambda e: events.append(e.id))

    def spec(name: str) -> dict[str, Any]:
        def handle(msg: bytes) -> None:
            if msg == b"boom":
                raise ValueError("boom")

        def start() -> int:
            log.append(name)
            return rt.spawn(handle)

        return {"id": name, "start": start}

    sup = rt.supervise("/svc", [spec(n) for n in "abc"], strategy=strategy)
    assert log == ["a", "b", "c"]
    before = sup.children
    b = sup.whereis("b")
    assert b is not None
    log.clear()
    rt.send(b, b"boom")
    until(lambda: len(events) == len(started))
    assert log == started
    assert events == started
    assert len(sup.children) == 3
    assert len(set(sup.children) & set(before)) == 3 - len(started)
    sup.stop()
    assert rt.list_children("/svc") == []
    assert rt.get_metrics()["actors"] == 0


def test_fault_row_3_a_factory_that_fails_is_a_failed_restart(rt: Runtime) -> None:
    events: list[SupervisionEvent] = []
    rt.on_supervision(events.append)
    rt.on_crash(lambda info: None)
    worker = Worker(rt)
    answers: list[Any] = [LookupError("no luck"), "no pid", None, 1, worker.start]

    def factory(old: int | None) -> Any:
        assert old == pid
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    pid = worker.start()
    rt.register("w", pid)
    rt.path_supervise_with_factory("/svc", pid, factory, "restartone", max_restarts=10)
    go = held(rt)
    rt.send_many(pid, [b"boom", b"kept"])
    go.set()
    worker.replaced("w", pid)
    until(lambda: events and events[-1].event == "restarted")
    assert [e.event for e in events] == ["start_failed"] * 4 + ["restarted"]
    assert "no luck" in (events[0].message or "")
    settle(rt)
    assert worker.got == [b"kept"]
    assert "restarted" in repr(events[-1])


def test_fault_row_3_a_pull_actor_that_raises_as_it_begins_counts(rt: Runtime) -> None:
    events: list[str] = []
    downs: list[str | None] = []
    rt.on_supervision(lambda event: events.append(event.event))
    begin = threading.Event()

    def body(mailbox: Any) -> None:
        begin.wait()
        raise LookupError("not even begun")

    def start() -> int:
        return rt.spawn_with_mailbox(body)

    pid = start()
    rt.monitor(pid, lambda down: downs.append(down.reason))
    rt.path_supervise_with_factory("/svc", pid, start, "restartone", max_restarts=2)
    begin.set()
    until(lambda: "gave_up" in events)
    assert events == ["restarted", "restarted", "gave_up"]
    settle(rt)
    assert downs == ["crash"]
    assert rt.get_metrics()["actors"] == 0


def test_terminate_child_ends_one_that_waits_for_its_restart(rt: Runtime) -> None:
    pid = rt.spawn(lambda msg: None)
    rt.register("w", pid)
    rt.create_path_supervisor("/sup", backoff={"initial_ms": 1_000_000})
    rt.path_supervise_with_factory("/sup", pid, lambda: rt.spawn(lambda msg: None), "restartone")
    rt.kill(pid)
    assert rt.send_named("w", b"parked") is True
    assert rt.terminate_child("/sup", pid) is True
    assert rt.terminate_child("/sup", pid) is False
    assert rt.send_named("w", b"nobody") is False
    settle(rt)
    metrics = rt.get_metrics()
    assert (metrics["dead"]["killed"], metrics["parked"], metrics["names"]) == (1, 0, 0)


def test_a_factory_may_be_async_and_wait_in_between(rt: Runtime) -> None:
    worker = Worker(rt)

    async def factory() -> int:
        await asyncio.sleep(0)
        pid = worker.start()
        await asyncio.sleep(0.01)
        rt.send(pid, b"later")
        return pid

    pid = worker.start()
    rt.register("w", pid)
    rt.path_supervise_with_factory("/svc", pid, factory, "restartone")
    rt.on_crash(lambda info: None)
    go = held(rt)
    rt.send_many(pid, [b"boom", b"kept"])
    go.set()
    worker.replaced("w", pid)
    settle(rt)
    assert worker.got == [b"kept", b"later"]


def test_pull_actors_are_replaced_with_their_queue(rt: Runtime) -> None:
    got: list[Any] = []
    crashed = threading.Event()

    def body(mailbox: Mailbox) -> None:
        for msg in mailbox:
            if msg == b"boom":
                crashed.set()
                raise ValueError("boom")
            got.append(msg)

    pid = rt.spawn_with_mailbox(body)
    rt.register("w", pid)
    rt.path_supervise_with_factory("/svc", pid, lambda: rt.spawn_with_mailbox(body), "restartone")
    rt.send_many(pid, [b"1", b"boom", b"2", b"3"])
    assert crashed.wait(WAIT)
    rt.send_named("w", b"4")
    until(lambda: got and got[-1] == b"4")
    assert got[0] == b"1"


def test_backoff_keeps_what_is_sent_to_the_name(rt: Runtime) -> None:
    worker = Worker(rt)
    backoff: Any = {"initial_ms": 50, "jitter": 0}
    pid = supervised(rt, worker, backoff=backoff)
    rt.register_path("/svc/w", pid)
    go = held(rt)  # whose lane would run the factory
    rt.kill(pid)
    assert rt.whereis("w") is None
    assert rt.send_named("w", b"by name") is True
    assert rt.send_path("/svc/w", b"by path") is True
    with pytest.raises(errors.NameTaken, match="kept"):
        rt.register("w", rt.spawn(worker.handle))
    go.set()
    worker.replaced("w", pid)
    settle(rt)
    assert worker.got == [b"by name", b"by path"]


def test_watching_terminating_and_removing(rt: Runtime, inbox: Inbox) -> None:
    rt.on_crash(lambda info: None)
    a, b = rt.spawn(inbox), rt.spawn(inbox)
    rt.register_path("/svc/a", a)
    rt.register_path("/svc/b", b)
    assert rt.create_path_supervisor("/sup", strategy="restartall") is True
    assert rt.create_path_supervisor("/sup") is False
    rt.path_supervisor_watch("/sup", a)
    assert rt.path_supervisor_children("/sup") == [a]
    assert rt.watch_path("/svc") == 2
    assert rt.children_count() == 2
    assert rt.child_pids() == [a, b]
    assert rt.terminate_child("/sup", b) is False
    assert rt.terminate_child("/sup", a) is True
    assert rt.join(a, WAIT).reason == "shutdown"
    until(lambda: rt.children_count() == 1)
    assert rt.remove_path_supervisor("/sup") is True
    assert rt.remove_path_supervisor("/sup") is False
    assert rt.path_supervisor_children("/nobody") == []
    with pytest.raises(errors.NoSuchActor):
        rt.path_supervisor_watch("/sup", a)


def test_a_tree_restarts_what_is_below_and_pools_are_so_many(rt: Runtime) -> None:
    rt.on_crash(lambda info: None)
    worker = Worker(rt)
    sup = rt.supervise(
        "/app",
        [
            {"id": "one", "start": worker.start},
            {
                "id": "sub",
                "max_restarts": 0,
                "children": [{"id": "deep", "start": worker.start}],
            },
            {"id": "pool", "start": worker.start, "workers": 3},
        ],
    )
    assert [path for path, _ in rt.list_children("/app")] == [
        "/app/one",
        "/app/pool/0",
        "/app/pool/1",
        "/app/pool/2",
        "/app/sub/deep",
    ]
    deep, one = sup.whereis("sub/deep"), sup.whereis("one")
    assert deep is not None
    rt.send(deep, b"boom")
    # The one below gives up at once; the one above starts it anew.
    until(lambda: sup.whereis("sub/deep") not in (None, deep))
    assert sup.whereis("one") == one
    member = sup.whereis("pool/1")
    assert member is not None
    rt.send(member, b"boom")
    until(lambda: sup.whereis("pool/1") not in (None, member))
    sup.stop()
    assert rt.list_children("/app") == []


def test_children_started_anew_by_an_async_start_have_their_paths_again(rt: Runtime) -> None:
    rt.on_crash(lambda info: None)
    worker = Worker(rt)

    async def start() -> int:
        await asyncio.sleep(0)
        return worker.start()

    children = [{"id": "sub", "max_restarts": 0, "children": [{"id": "w", "start": start}]}]
    sup = rt.supervise("/top", children)
    first = sup.whereis("sub/w")
    assert first is not None
    rt.send(first, b"boom")
    until(lambda: sup.whereis("sub/w") not in (None, first))
    assert rt.send_path("/top/sub/w", b"x")
    until(lambda: worker.got == [b"x"])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_virtual_actor_that_a_hook_ended_is_replaced_at_once(is_async: bool) -> None:
    with Runtime(stop_timeout=600) as rt:
        starts = 0

        def start() -> int:
            nonlocal starts
            starts += 1
            nth = starts

            def fails(ctx: Context) -> None:
                if nth < 3:
                    raise ValueError("boom")

            async def fails_later(ctx: Context) -> None:
                await asyncio.sleep(0)
                fails(ctx)

            return rt.spawn_virtual(
                lambda msg: b"%d" % nth, on_activate=fails_later if is_async else fails
            )

        sup = rt.supervise("/svc", [{"id": "w", "start": start}])
        first = sup.whereis("w")
        assert first is not None
        assert rt.call_blocking(first, b"x", WAIT) == b"3"
        check_books(rt)


def test_a_child_that_does_not_start_undoes_what_was_begun(rt: Runtime) -> None:
    worker = Worker(rt)

    def fails() -> int:
        raise LookupError("no luck")

    with pytest.raises(LookupError, match="no luck"):
        rt.supervise("/svc", [{"id": "a", "start": worker.start}, {"id": "b", "start": fails}])
    until(lambda: rt.get_metrics()["actors"] == 0)
    assert rt.create_path_supervisor("/svc") is True
    with pytest.raises(errors.NameTaken):
        rt.supervise("/svc", [])


@pytest.mark.parametrize(
    ("children", "error"),
    [
        (None, TypeError),
        ("abc", TypeError),
        ([1], TypeError),
        ([{"start": print}], TypeError),
        ([{"id": "", "start": print}], ValueError),
        ([{"id": "a/b", "start": print}], ValueError),
        ([{"id": "a"}], TypeError),
        ([{"id": "a", "start": 1}], TypeError),
        ([{"id": "a", "start": print, "restart": "often"}], ValueError),
        ([{"id": "a", "start": print, "restart": 1}], TypeError),
        ([{"id": "a", "start": print, "workers": 0}], ValueError),
        ([{"id": "a", "start": print, "workers": "2"}], TypeError),
        ([{"id": "a", "start": print, "budget": 1}], ValueError),
        ([{"id": "a", "start": print}, {"id": "a", "start": print}], ValueError),
        ([{"id": "a", "children": [{"id": "b"}]}], TypeError),
    ],
)
def test_specs_that_are_none(rt: Runtime, children: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        rt.supervise("/svc", children)
    assert rt.create_path_supervisor("/svc") is True


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"strategy": "one_for_one"}, ValueError),
        ({"strategy": 1}, TypeError),
        ({"max_restarts": -1}, ValueError),
        ({"max_restarts": 1.5}, TypeError),
        ({"max_restarts": True}, TypeError),
        ({"within_ms": 0}, ValueError),
        ({"within_ms": float("nan")}, ValueError),
        ({"within_ms": "1"}, TypeError),
        ({"restart": "always"}, ValueError),
        ({"restart": 1}, TypeError),
        ({"backoff": 1}, TypeError),
        ({"backoff": {"initial": 1}}, ValueError),
        ({"backoff": {"initial_ms": -1}}, ValueError),
        ({"backoff": {"initial_ms": "1"}}, TypeError),
        ({"backoff": {"factor": 0}}, ValueError),
        ({"backoff": {"jitter": 2}}, ValueError),
        ({"backoff": {"max_ms": 1e12}}, ValueError),
    ],
)
def test_supervisor_options_out_of_range(
    rt: Runtime, inbox: Inbox, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rt.create_path_supervisor("/svc", **options)
    pid = rt.spawn(inbox)
    strategy = options.pop("strategy", "restartone")
    with pytest.raises(error):
        rt.path_supervise_with_factory("/svc", pid, print, strategy, **options)
    assert rt.create_path_supervisor("/svc") is True, "nothing was made"


def test_factories_of_the_wrong_kind(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    with pytest.raises(TypeError, match="callable"):
        rt.path_supervise_with_factory("/svc", pid, 1, "restartone")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="factory"):
        rt.path_supervise_with_factory("/svc", pid, lambda a, b: 1, "restartone")  # type: ignore[misc,arg-type]
    rt.path_supervise_with_factory("/svc", pid, lambda: 1, "restartone")
    with pytest.raises(errors.InvalidArgument, match="/svc"):
        rt.path_supervise_with_factory("/other", pid, lambda: 1, "restartone")
