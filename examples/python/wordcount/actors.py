"""The actors of the pipeline: one reader -> N parsers -> a few aggregators, which acknowledge to
the reader.

::

               lines              words, by the aggregator that owns them
      reader --------> parser 1 ----------> aggregator 1
         ^  \\                   \\ /
         |   `-------> parser 2 -X--------> aggregator 2
         |                                       |
         `--------------- acknowledge -----------'

Flow control. The reader sends a file chunk by chunk, and after each chunk a numbered MARK to every
parser; a parser passes it on to every aggregator. Messages between two actors keep their order, so
an aggregator that has the mark of *all* parsers has handled every word of that chunk: it
acknowledges it to the reader. At most WINDOW chunks are unacknowledged, hence at most WINDOW *
CHUNK bytes of text are on their way, whatever the size of the file.

The end is a mark like any other, END: order holds between a sender and a receiver only, so an
aggregator is done when it has counted END from every parser, not when the first one comes.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from iris import Context, Runtime

from .files import File
from .words import LONGER_THAN_A_WORD, WORD, Summary, run_at_end, summary

CHUNK = 64 * 1024
"""Bytes the reader reads at a time."""

WINDOW = 16
"""Chunks on their way at most."""

MAX_LINE = 64 * 1024
"""A longer line travels in pieces, cut between two words."""

# The first byte of a message says what it is; four bytes follow it: the file type of a text, the
# number of a mark.
TEXT, MARK, END, READ, ACK, ALL_HANDLED, TOP_WORDS = range(7)
HEAD = struct.Struct("<BI")


class PipelineError(Exception):
    """A part of the pipeline is gone."""


@dataclass
class Progress:
    """How far the reader is."""

    files: int = 0
    lines: int = 0
    bytes: int = 0


def tell(rt: Runtime, pid: int, message: bytes) -> None:
    """``send`` answers False when nobody took the message. Here that means that a part of the
    pipeline is gone.
    """
    if not rt.send(pid, message):
        raise PipelineError(f"actor {pid} does not take messages any more")


@dataclass
class Reader:
    """Streams the files: one chunk for each READ or ACK message, so that it never holds the lane
    for long.
    """

    rt: Runtime
    files: list[File]
    types: list[str]
    parsers: list[int]
    aggregators: int
    progress: Progress = field(default_factory=Progress)
    turn: int = 0  # the parser that gets the next line
    marks: int = 0  # chunks sent
    acknowledged: Counter[int] = field(default_factory=Counter)  # chunk -> aggregators done with it
    unacknowledged: int = 0
    waiting: bool = False  # for an acknowledgement
    ended: int = 0  # aggregators that have handled everything
    file: BinaryIO | None = None
    next: int = 0  # the file to open next
    head: bytes = b""  # of a text of its type
    rest: bytes = b""  # a line of which only a part has been read
    begun: bool = False

    def receive(self, message: bytes, ctx: Context) -> None:
        """Handle a message."""
        kind, mark = HEAD.unpack_from(message)
        if kind == ALL_HANDLED:
            self.ended += 1
            if self.ended == self.aggregators:
                ctx.stop()
            return
        if kind == ACK:
            self.acknowledged[mark] += 1
            if self.acknowledged[mark] < self.aggregators:
                return
            del self.acknowledged[mark]
            self.unacknowledged -= 1
            if not self.waiting:
                return
        if not self.read_chunk():
            return  # the end is sent
        self.waiting = self.unacknowledged >= WINDOW
        if not self.waiting:
            tell(self.rt, ctx.pid, HEAD.pack(READ, 0))

    def read_chunk(self) -> bool:
        """Read and send a chunk; False after the last."""
        if self.file is None:
            if self.next == len(self.files):
                for parser in self.parsers:
                    tell(self.rt, parser, HEAD.pack(END, 0))
                return False
            file = self.files[self.next]
            self.next += 1
            self.head = HEAD.pack(TEXT, self.types.index(file.type))
            self.file = open(file.path, "rb", buffering=0)  # noqa: SIM115 - open until its end is read
        chunk = self.file.read(CHUNK)
        if not chunk:
            self.file.close()
            self.file = None
            if self.begun:
                self.end_line(b"")  # the last line has no newline
            self.progress.files += 1
            return True
        self.progress.bytes += len(chunk)
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self.end_line(line)
        if rest:
            self.begun = True
            self.rest += rest
            self.cut()
        for parser in self.parsers:
            tell(self.rt, parser, HEAD.pack(MARK, self.marks))
        self.marks += 1
        self.unacknowledged += 1
        return True

    def end_line(self, line: bytes) -> None:
        """The rest of a line has come."""
        if self.rest:
            self.rest += line
            self.cut()
            line, self.rest = self.rest, b""
        self.send_text(line)
        self.begun = False
        self.progress.lines += 1

    def cut(self) -> None:
        """If the line is longer than a message may be: send it up to its last run and keep that
        run.
        """
        while len(self.rest) > MAX_LINE:
            piece = self.rest[:MAX_LINE]
            run = run_at_end(piece)
            self.send_text(piece[:run])
            if run > 0:
                self.rest = self.rest[run:]
                continue
            # All of it is one run, too long for a word: this much of it is enough to see that.
            end = MAX_LINE
            while end < len(self.rest) and run_at_end(self.rest[end : end + 1]) == 0:
                end += 1
            self.rest = self.rest[:LONGER_THAN_A_WORD] + self.rest[end:]

    def send_text(self, text: bytes) -> None:
        """Send to the parser whose turn it is."""
        if not text:
            return
        tell(self.rt, self.parsers[self.turn], self.head + text)
        self.turn = (self.turn + 1) % len(self.parsers)


def parser(rt: Runtime, aggregators: list[int]) -> Callable[[bytes], None]:
    """Finds the words of a line and tells each aggregator its own."""
    shards = len(aggregators)
    find = WORD.findall

    def receive(line: bytes) -> None:
        if line[0] != TEXT:
            for aggregator in aggregators:
                tell(rt, aggregator, line)  # MARK or END: to everyone
            return
        words = find(line[HEAD.size :])
        if not words:
            return
        found: list[list[bytes]] = [[] for _ in range(shards)]
        for word in words:
            # Any rule will do that always answers the same.
            found[(word[0] * 31 + word[-1] * 7 + len(word)) % shards].append(word)
        head = line[: HEAD.size]
        for aggregator, mine in zip(aggregators, found, strict=True):
            if mine:
                tell(rt, aggregator, head + b" ".join(mine))

    return receive


def aggregator(
    rt: Runtime, types: list[str], parsers: int, reader: Callable[[], int]
) -> Callable[[bytes], bytes | None]:
    """Counts the words that are its own, by file type."""
    counts: list[Counter[bytes]] = [Counter() for _ in types]
    marks: Counter[int] = Counter()  # mark -> parsers it came from
    ends = 0

    def receive(message: bytes) -> bytes | None:
        nonlocal ends
        kind, number = HEAD.unpack_from(message)
        if kind == TEXT:
            count = counts[number]
            for word in message[HEAD.size :].split(b" "):
                count[word] += 1
        elif kind == MARK:
            marks[number] += 1
            if marks[number] == parsers:
                del marks[number]
                tell(rt, reader(), HEAD.pack(ACK, number))
        elif kind == END:
            ends += 1
            if ends == parsers:
                tell(rt, reader(), HEAD.pack(ALL_HANDLED, 0))
        elif kind == TOP_WORDS:
            return json.dumps([summary(each) for each in counts]).encode()
        return None

    return receive


@dataclass
class Pipeline:
    """The pids of a running pipeline. The reader ends when every word has been counted."""

    reader: int
    parsers: list[int]
    aggregators: list[int]
    progress: Progress


def start(
    rt: Runtime, files: list[File], types: list[str], *, parsers: int, aggregators: int
) -> Pipeline:
    """Spawn the pipeline and start it: join the reader, then ask the aggregators."""
    reader_pid = 0
    last = [
        rt.spawn(aggregator(rt, types, parsers, lambda: reader_pid)) for _ in range(aggregators)
    ]
    middle = [rt.spawn(parser(rt, last)) for _ in range(parsers)]
    state = Reader(rt, files, types, middle, aggregators)
    reader_pid = rt.spawn(state.receive)
    rt.send(reader_pid, HEAD.pack(READ, 0))
    return Pipeline(reader_pid, middle, last, state.progress)


def ask(rt: Runtime, pid: int) -> list[Summary]:
    """Ask an aggregator for its words: one summary for each file type."""
    answer: list[Summary] = json.loads(rt.call_blocking(pid, HEAD.pack(TOP_WORDS, 0), timeout=60))
    return answer
