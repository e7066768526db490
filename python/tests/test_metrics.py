"""What Prometheus and an operator see."""

import queue
import time

import pytest
from iris import Runtime, SupervisionEvent, errors


def value_of(text: str, metric: str) -> float:
    """The value of one line of an exposition."""
    for line in text.splitlines():
        if line.startswith(metric + " "):
            return float(line.removeprefix(metric + " "))
    raise AssertionError(f"{metric} is missing in\n{text}")


def test_prometheus_shows_the_numbers_of_get_metrics() -> None:
    with Runtime() as rt:
        pid = rt.spawn(lambda _: b"")
        for _ in range(10):
            rt.send(pid, b"x")
        rt.send(12345, b"nobody")
        rt.call_blocking(pid, b"the last")
        text, metrics = rt.prometheus(), rt.get_metrics()
    assert value_of(text, "iris_messages_attempted_total") == metrics["attempted"] == 12
    assert (
        value_of(text, 'iris_messages_refused_total{reason="no_such_actor"}')
        + value_of(text, 'iris_messages_refused_total{reason="foreign"}')
        == 1
    )
    assert value_of(text, "iris_actors") == 1


def test_a_lane_counts_its_turns_and_how_long_it_held_the_interpreter() -> None:
    def work(_: bytes) -> None:
        until = time.monotonic() + 0.003
        while time.monotonic() < until:
            pass

    with Runtime() as rt:
        pid = rt.spawn(work)
        rt.call_blocking(pid, b"work")
        rt.stop(pid, drain=True)
        rt.join(pid)
        lanes = rt.get_metrics()["lanes"]
    assert [(lane["lane"], lane["host"]) for lane in lanes] == [(1, "python")]
    assert lanes[0]["turns"] >= 1


def test_actor_info_tells_lane_kin_restarts_and_health() -> None:
    with Runtime() as rt:
        parent = rt.spawn(lambda _: None)
        child = rt.spawn_child(parent, lambda _: None)
        above, below = rt.actor_info(parent), rt.actor_info(child)
        assert above is not None
        assert below is not None
        assert (above.lane, above.parent, above.children) == ((1, "python"), None, [child])
        assert (below.parent, below.children, below.restarts) == (parent, [], 0)
        assert above.health == "healthy"
        rt.set_actor_health(parent, "degraded")
        above = rt.actor_info(parent)
        assert above is not None
        assert above.health == "degraded"
        with pytest.raises(errors.InvalidArgument):
            rt.set_actor_health(parent, "ill")  # type: ignore[arg-type]
        rt.stop(parent)
        rt.join(parent)
        with pytest.raises(errors.NoSuchActor):
            rt.set_actor_health(parent, "healthy")


def test_supervision_tree_shows_supervisors_children_and_restarts() -> None:
    with Runtime() as rt:
        restarted: queue.Queue[SupervisionEvent] = queue.Queue()

        def work(msg: bytes) -> None:
            if msg == b"die":
                raise ValueError("as asked")

        def start() -> int:
            return rt.spawn(work)

        rt.on_restart(restarted.put)
        rt.supervise("/svc", [{"id": "one", "start": start}], strategy="restforone", max_restarts=7)
        (before,) = [s for s in rt.supervision_tree() if s["path"] == "/svc"]
        pid = before["children"][0]["pid"]
        assert pid is not None
        rt.send(pid, b"die")
        new = restarted.get(timeout=60).pid
        (sup,) = [s for s in rt.supervision_tree() if s["path"] == "/svc"]
        child = {"id": "one", "pid": new, "restart": "permanent", "restarts": 1}
        assert sup == {
            "path": "/svc",
            "strategy": "restforone",
            "max_restarts": 7,
            "within_ms": 5000,
            "children": [{**child, "has_factory": True}],
        }
