"""1,000,000 live actors in one process, each of which handles a message: million.py [actors]."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable

from common import PAYLOAD, now, rss
from iris import Runtime


def main() -> int:
    """Spawn, send, count."""
    actors = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if actors < 1:
        print("usage: million.py [actors]", file=sys.stderr)
        return 2
    handled = bytearray(actors)
    left = actors
    finished = threading.Event()

    def handler(i: int) -> Callable[[bytes], None]:
        # A closure of its own for each, as real actors have.
        def handle(_: bytes) -> None:
            nonlocal left
            handled[i] += 1
            if handled[i] == 1:
                left -= 1
                if left == 0:
                    finished.set()

        return handle

    with Runtime() as rt:
        gc.collect()
        before = rss()
        start = now()
        pids = [rt.spawn(handler(i)) for i in range(actors)]
        took = now() - start
        idle = rss()
        print(
            f"{actors:,} actors in {took:.2f} s: "
            f"RSS {before / 2**20:.1f} -> {idle / 2**20:.1f} MiB, "
            f"{(idle - before) / actors:.0f} B each (their closures and the list of pids included)"
        )
        start = now()
        refused = sum(not rt.send(pid, PAYLOAD) for pid in pids)
        done = refused == 0 and finished.wait(300)
        again = sum(times != 1 for times in handled)
        print(
            f"a message to each, handled in {now() - start:.2f} s: RSS {rss() / 2**20:.1f} MiB; "
            f"{actors - left:,} have handled it, {refused} refused, "
            f"{again} handled it not exactly once"
        )
        start = now()
    print(f"closed in {now() - start:.2f} s")
    return 0 if done and again == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
