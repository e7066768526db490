"""The same count without actors, one file after the other: what the pipeline's answer is compared
with.
"""

from __future__ import annotations

from collections import Counter

from .files import File
from .words import LONGER_THAN_A_WORD, WORD, Summary, run_at_end, summary

CHUNK = 1 << 20


def count_file(path: bytes, counts: Counter[bytes]) -> int:
    """Count a file, in bounded memory whatever its size and the length of its lines; answers its
    lines.
    """
    tail = b""  # a run that the end of the chunk may have cut
    lines = 0
    last = b"\n"
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
            text = tail + chunk
            run = run_at_end(text)
            counts.update(WORD.findall(text, 0, run))
            # Of a run that is too long for a word this much is enough to see it, however it goes
            # on.
            tail = text[run : run + LONGER_THAN_A_WORD]
    counts.update(WORD.findall(tail))
    return lines if last == b"\n" else lines + 1


def count_plainly(files: list[File], types: list[str]) -> tuple[list[Summary], int]:
    """One summary for each file type, and the lines of all files."""
    counts: list[Counter[bytes]] = [Counter() for _ in types]
    lines = sum(count_file(file.path, counts[types.index(file.type)]) for file in files)
    return [summary(each) for each in counts], lines
