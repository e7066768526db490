"""offload(strategy='actor'): calls on a pool, exceptions, bounds, timeouts, asyncio."""

import asyncio
import contextvars
import threading
import traceback

import pytest
from iris import errors
from iris._offload_actor import wrap


def test_a_call_runs_on_another_thread_and_answers() -> None:
    fn = wrap(lambda a, *, b: (a + b, threading.get_ident()), pool=2)
    result, thread = fn(1, b=2)
    assert result == 3
    assert thread != threading.get_ident()
    assert "actor, 2 thread(s)" in fn.explain()
    fn.close()
    with pytest.raises(errors.RuntimeClosed):
        fn(1, b=2)


def test_an_exception_has_class_and_traceback() -> None:
    def failing(n: int) -> int:
        return {}[n]

    fn = wrap(failing, pool=1)
    with pytest.raises(KeyError) as e:
        fn(7)
    assert "in failing" in "".join(traceback.format_exception(e.value))
    with pytest.raises(SystemExit):
        wrap(lambda: exit_now(), pool=1)()


def exit_now() -> None:
    raise SystemExit(3)


def test_the_queue_is_bounded_and_a_caller_gives_up() -> None:
    gate = threading.Event()
    begun = threading.Event()

    def wait() -> str:
        begun.set()
        gate.wait()
        return "done"

    fn = wrap(wait, pool=1, queue=1)
    running = fn.submit()
    assert begun.wait(60)
    waiting = fn.submit()
    with pytest.raises(errors.MailboxFull):
        fn.submit()
    with pytest.raises(errors.Timeout):
        waiting.result(0.01)
    gate.set()
    assert running.result() == "done"
    fn.close()


def test_asyncio_awaits_a_submitted_call() -> None:
    variable = contextvars.ContextVar[int]("variable")
    fn = wrap(lambda n: n + variable.get(), pool=2)

    async def main() -> list[int]:
        variable.set(10)
        return await asyncio.gather(*[fn.submit(n) for n in range(20)])

    assert asyncio.run(main()) == list(range(10, 30))
    fn.close()


def test_recursion_does_not_wait_for_its_own_pool() -> None:
    fn = wrap(lambda n: 1 if n < 2 else n * fn(n - 1), pool=1)
    assert fn(5) == 120
    fn.close()


def test_concurrent_callers() -> None:
    fn = wrap(lambda n: n * n, pool=3)
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.extend(fn(n) for n in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([n * n for n in range(50)] * 4)
    fn.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pool": 0}, errors.InvalidArgument),
        ({"pool": 257}, errors.InvalidArgument),
        ({"pool": 1.5}, errors.InvalidType),
        ({"pool": True}, errors.InvalidType),
        ({"queue": 0}, errors.InvalidArgument),
        ({"queue": "1"}, errors.InvalidType),
        ({"timeout": 0}, errors.InvalidArgument),
        ({"timeout": float("nan")}, errors.InvalidArgument),
        ({"timeout": "1"}, errors.InvalidType),
        ({"odd": 1}, errors.InvalidArgument),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        wrap(len, **options)  # type: ignore[arg-type]


def test_bad_functions() -> None:
    async def coroutine() -> None: ...

    def generator():  # type: ignore[no-untyped-def]
        yield 1

    for bad in (None, 1, "f", coroutine, generator):
        with pytest.raises(errors.InvalidType):
            wrap(bad)  # type: ignore[arg-type]
