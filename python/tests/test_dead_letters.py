"""on_dead_letter: every message that dies with its actor, once."""

import threading
import time

import pytest
from iris import DeadLetter, Runtime, errors


def test_dead_letters_go_to_the_hook_with_their_bytes(caplog: pytest.LogCaptureFixture) -> None:
    letters: list[DeadLetter] = []
    third = threading.Event()
    begun = threading.Event()
    gate = threading.Event()

    def hook(letter: DeadLetter) -> None:
        letters.append(letter)
        if len(letters) == 3:
            third.set()
        raise RuntimeError("a hook that raises ends nothing")

    def crash(_: bytes) -> None:
        begun.set()
        gate.wait()
        raise ValueError("no")

    with Runtime() as rt:
        rt.on_dead_letter(hook)
        pid = rt.spawn(crash)
        rt.send(pid, b"first")
        rt.send(pid, b"second")

        def open_when_all_wait() -> None:
            begun.wait()
            while rt.mailbox_size(pid) != 2:
                time.sleep(0)
            gate.set()

        waiting = threading.Thread(target=open_when_all_wait)
        waiting.start()
        with pytest.raises(errors.ActorExited):
            rt.call_blocking(pid, b"third")
        waiting.join()
        assert third.wait(60)
        assert rt.get_metrics()["dead"]["crash"] == 3
        rt.on_dead_letter(None)
        assert rt.send(pid, b"refused") is False
    seen = [(x.pid, x.reason, x.data, x.sender) for x in letters]
    assert seen == [
        (pid, "crash", None, None),
        (pid, "crash", b"second", None),
        (pid, "crash", b"third", None),
    ]
    assert [x.is_call for x in letters] == [False, False, True]
    assert "a hook that raises ends nothing" in caplog.text
