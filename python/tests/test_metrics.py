"""What Prometheus and an operator see."""

import time

from iris import Runtime


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
