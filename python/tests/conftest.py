import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from iris import Runtime

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not, and helpers.py is there

from helpers import Gate, Inbox

# A shell that runs the tests in the background has Ctrl-C ignored, and programs inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rt() -> Iterator[Runtime]:
    """A fresh runtime, closed afterwards; failures of actors are kept quiet."""
    runtime = Runtime()
    runtime.on_crash(lambda info: None)
    yield runtime
    if not runtime.closed:
        runtime.close(timeout=2)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def gate() -> Iterator[Gate]:
    g = Gate()
    yield g
    g.opened.set()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """For states that nobody announces: looks again every millisecond, fails after 30 s."""

    def wait(condition: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(30_000):
            if condition():
                return
            pause.wait(0.001)
        pytest.fail("the condition never came true")

    return wait


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: takes minutes; runs only when asked for: -m soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a soak test: run it with -m soak"))
