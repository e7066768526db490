#!/usr/bin/env python3
"""Count the words of real text with actors.

A reader streams files line by line to parsers, which tell aggregators; these are asked for the most
frequent words of every file type, and the answer is compared with a plain count. The twin of
examples/node/pipeline.mjs.

Exit code: 0 both counts are equal, 1 they are not or an actor crashed, 2 nothing to count (bad
input).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris import ExitInfo, Runtime
from wordcount.actors import Progress, ask, start
from wordcount.files import BadInputError, File, changed, gather
from wordcount.plain import count_plainly
from wordcount.show import Progress as Line
from wordcount.show import chart, mebibytes
from wordcount.words import Summary, top

CHECKOUT = str(Path(__file__).resolve().parents[2])


class CrashedError(Exception):
    """An actor failed: said in one line."""


class Holds:
    """How long other Python threads had to wait for the interpreter: a thread that should wake
    every 5 ms.
    """

    EVERY = 0.005

    def __init__(self) -> None:
        self.longest = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        """Sleep and look how late it is."""
        while not self.over.is_set():
            slept = time.perf_counter()
            time.sleep(self.EVERY)
            self.longest = max(self.longest, time.perf_counter() - slept - self.EVERY)

    def __enter__(self) -> Holds:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


@dataclass
class Run:
    """What the pipeline answered, and what its run was like."""

    summaries: list[Summary]
    progress: Progress
    took: float
    longest: int
    held: float
    messages: int


def merge(parts: list[Summary]) -> Summary:
    """A word belongs to one aggregator, so numbers add up and the first words are among the first
    of each.
    """
    return {
        "words": sum(part["words"] for part in parts),
        "distinct": sum(part["distinct"] for part in parts),
        "top": top((word, n) for part in parts for word, n in part["top"]),
    }


def count_with_actors(files: list[File], types: list[str], parsers: int, aggregators: int) -> Run:
    """Run the pipeline."""
    crashes: list[ExitInfo] = []
    shown = Line(sys.stderr)
    with Runtime() as rt, Holds() as holds:
        rt.on_crash(crashes.append)
        began = time.perf_counter()
        pipeline = start(rt, files, types, parsers=parsers, aggregators=aggregators)
        progress = pipeline.progress
        counters = [*pipeline.parsers, *pipeline.aggregators]
        try:
            end = None
            while not crashes and (end := ended(rt, pipeline.reader)) is None:
                queue = max((rt.mailbox_size(pid) or 0) for pid in counters)
                rate = progress.lines / (time.perf_counter() - began)
                shown.show(
                    f"{progress.files}/{len(files)} files, {mebibytes(progress.bytes)}, "
                    f"{progress.lines:,} lines ({rate:,.0f}/s), longest queue now {queue:,}"
                )
        finally:
            shown.end()
        if end is None or end.reason != "shutdown":
            failed = end or crashes[0]
            raise CrashedError(f"actor {failed.pid} ended by {failed.reason}: {failed.message}")
        shards = [ask(rt, pid) for pid in pipeline.aggregators]
        took = time.perf_counter() - began
        longest = max(high_water(rt, pid) for pid in counters)
        messages = handled(rt)
    summaries = [merge([shard[i] for shard in shards]) for i in range(len(types))]
    return Run(summaries, progress, took, longest, holds.longest, messages)


def ended(rt: Runtime, pid: int) -> ExitInfo | None:
    """Wait a little for an actor to end."""
    try:
        return rt.join(pid, timeout=0.05)
    except TimeoutError:
        return None


def high_water(rt: Runtime, pid: int) -> int:
    """The longest that an actor's queue has been."""
    info = rt.actor_info(pid)
    return info.high_water if info else 0


def handled(rt: Runtime) -> int:
    """Messages that all actors have handled."""
    return rt.get_metrics()["handled"]


def several(text: str) -> int:
    """A whole number from 1 to 999."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 999):
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 999")
    return int(text)


def save(path: str, answer: dict[str, Any]) -> None:
    """Write the answer, in the very bytes that the Node twin writes."""
    try:
        Path(path).write_text(json.dumps(answer, indent=2) + "\n", encoding="ascii")
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}") from error


def main() -> int:
    """Count twice and compare."""
    options = argparse.ArgumentParser(description="Count the words of real text with actors.")
    options.add_argument("path", nargs="?", help="a file or directory (default: this checkout)")
    options.add_argument("--parsers", type=several, default=4)
    options.add_argument("--aggregators", type=several, default=3)
    options.add_argument("--json", metavar="FILE", help="write the answer to a file")
    given = options.parse_args()

    files, skipped = gather(given.path, CHECKOUT)
    types = sorted({file.type for file in files})
    size = sum(file.size for file in files)
    print(
        f"{len(files):,} files ({mebibytes(size)}, {len(types)} types) -> reader -> "
        f"{given.parsers} parsers -> {given.aggregators} aggregators"
    )
    for name, why in skipped[:5]:
        print(f"left out: {name}: {why}")
    if len(skipped) > 5:
        print(f"left out: {len(skipped) - 5} more files")

    run = count_with_actors(files, types, given.parsers, given.aggregators)
    by_type = dict(zip(types, run.summaries, strict=True))
    answer = {
        "files": len(files),
        "lines": run.progress.lines,
        "bytes": run.progress.bytes,
        "types": by_type,
    }

    began = time.perf_counter()
    try:
        plain, lines = count_plainly(files, types)
    except OSError as error:
        names = ", ".join(changed(files))
        if not names:
            raise
        raise BadInputError(f"these files changed meanwhile, run it again: {names}") from error
    plain_took = time.perf_counter() - began

    columns = shutil.get_terminal_size().columns
    print(chart(by_type, columns) or "\nthere is not one word in it")
    print()
    print(
        f"{run.progress.lines:,} lines, {mebibytes(run.progress.bytes)}, "
        f"{run.messages:,} messages in {run.took:.2f} s: {run.messages / run.took:,.0f} messages/s "
        f"(plain count: {plain_took:.2f} s)"
    )
    print(f"longest queue: {run.longest:,} messages")
    print(f"interpreter held longest: {run.held * 1000:.1f} ms")
    if given.json:
        save(given.json, answer)

    if lines == run.progress.lines and plain == run.summaries:
        print("equal to the plain count")
        return 0
    moved = changed(files)
    if moved:
        names = ", ".join(moved)
        print(f"not equal: these files changed meanwhile, run it again: {names}", file=sys.stderr)
    else:
        wrong = [name for name, a, b in zip(types, plain, run.summaries, strict=True) if a != b]
        print(
            f"not equal to the plain count: lines {run.progress.lines} / {lines}, types {wrong}",
            file=sys.stderr,
        )
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BadInputError, CrashedError) as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInputError) else 1)
    except BrokenPipeError:
        os._exit(0)  # whoever reads has seen enough
