"""What the example prints: progress while it runs, bars at the end."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from .words import Summary

BARS = 10  # words shown of a type
TYPES = 3  # types shown
EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]


def mebibytes(size: float) -> str:
    """1.5 MiB."""
    return f"{size / 2**20:.1f} MiB"


class Progress:
    """A line that is written over on a terminal, and now and then a line of its own in a log."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.terminal = stream.isatty()
        self.every = 0.1 if self.terminal else 2.0
        self.last = time.perf_counter()

    def show(self, line: str) -> None:
        """Show a line, unless the last one is too fresh."""
        now = time.perf_counter()
        if now - self.last < self.every:
            return
        self.last = now
        columns = shutil.get_terminal_size().columns
        self.stream.write(f"\r\x1b[K{line[: columns - 1]}" if self.terminal else f"{line}\n")
        self.stream.flush()

    def end(self) -> None:
        """Leave an empty line behind."""
        if self.terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def bar(share: float, width: int) -> str:
    """A bar of eighths of a character."""
    eighths = max(1, round(share * width * 8))
    return "█" * (eighths >> 3) + EIGHTHS[eighths & 7]


def chart(types: dict[str, Summary], columns: int) -> str:
    """The first words of the types with the most words, as bars."""
    lines: list[str] = []
    with_words = [(name, each) for name, each in types.items() if each["words"]]
    with_words.sort(key=lambda entry: (-entry[1]["words"], entry[0]))
    for name, each in with_words[:TYPES]:
        lines += ["", f"{name}: {each['words']:,} words, {each['distinct']:,} different"]
        shown = each["top"][:BARS]
        label = min(32, max(len(word) for word, _ in shown))
        number = max(len(f"{n:,}") for _, n in shown)
        room = max(10, min(columns, 120) - label - number - 6)
        for word, n in shown:
            text = word if len(word) <= label else word[: label - 1] + "…"
            lines.append(f"  {text:<{label}} {n:>{number},} {bar(n / shown[0][1], room)}")
    return "\n".join(lines)
