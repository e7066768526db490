"""What a word is, and the order of a list of them. The Node twin says the same, so that both give
the same answer.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from typing import TypedDict

WORD = re.compile(rb"\b[A-Za-z_]\w{0,254}\b")
"""A word is a run of ASCII letters, digits and `_` that does not begin with a digit and is at most
255 bytes long.
"""

LONGER_THAN_A_WORD = 256
"""More bytes of a run than a word can have: from here on it is no word, however it goes on."""

TOP = 20

IN_RUN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Summary(TypedDict):
    """How many words and how many different ones there are, and the first of them."""

    words: int
    distinct: int
    top: list[tuple[str, int]]


def run_at_end(text: bytes | bytearray) -> int:
    """Where the run at the end of the text begins: its length, if it ends with none."""
    at = len(text)
    while at > 0 and text[at - 1] in IN_RUN:
        at -= 1
    return at


def top(entries: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Most frequent first; words that are equally frequent in the order of their bytes."""
    return heapq.nsmallest(TOP, entries, key=lambda entry: (-entry[1], entry[0]))


def summary(counts: Mapping[bytes, int]) -> Summary:
    """Sum up the counts of one file type."""
    first = heapq.nsmallest(TOP, counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return {
        "words": sum(counts.values()),
        "distinct": len(counts),
        "top": [(word.decode("ascii"), n) for word, n in first],
    }
