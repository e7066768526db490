"""Which files are read: one file, all of a directory, or what git tracks in this checkout."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

SKIPPED = frozenset(
    [
        b".git",
        b".mypy_cache",
        b".pytest_cache",
        b".ruff_cache",
        b".venv",
        b"__pycache__",
        b"dist",
        b"node_modules",
        b"target",
    ]
)
"""Directories that hold nothing anybody wrote."""

SNIFFED = 8000
"""As git does: a NUL byte near the beginning means that this is no text."""

PLAIN = re.compile(rb"[A-Za-z0-9_+-]{1,16}\Z")


class BadInputError(Exception):
    """Something is wrong with what was asked for: said in one line, without a traceback."""


@dataclass(frozen=True)
class File:
    """A file to read. Paths are bytes, as they are on disk: a file name need not be UTF-8."""

    path: bytes
    name: str
    type: str
    size: int
    mtime_ns: int


def reason(error: OSError) -> str:
    """What an error says, in the words that the Node twin uses."""
    words = {
        PermissionError: "permission denied",
        FileNotFoundError: "no such file or directory",
        NotADirectoryError: "a part of the path is not a directory",
    }
    return words.get(type(error), error.strerror or str(error))


def type_of(path: bytes) -> str:
    """`Cargo.lock` -> `lock`, `Makefile` and `.gitignore` -> `(none)`, what is no plain extension
    -> `(other)`.
    """
    base = path.rsplit(b"/", 1)[-1]
    dot = base.rfind(b".")
    if dot <= 0:
        return "(none)"
    extension = base[dot + 1 :]
    return extension.decode("ascii").lower() if PLAIN.match(extension) else "(other)"


def inspect(path: bytes) -> str | None:
    """Open a file and look at its beginning: readable, and text? Answers what is wrong."""
    with open(path, "rb", buffering=0) as file:
        nul = file.read(SNIFFED).find(0)
    return None if nul < 0 else f"binary: a NUL byte at offset {nul}"


def walk(directory: bytes) -> Iterator[bytes]:
    """Every file below a directory."""
    with os.scandir(directory) as entries:
        for entry in entries:
            path = directory + b"/" + entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield path
            elif entry.name not in SKIPPED:
                yield from walk(path)


def tracked(root: str) -> list[bytes] | None:
    """What git tracks below ``root``; None where there is no git or no repository."""
    try:
        command = ["git", "-C", root, "ls-files", "-z"]
        listed = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    names = [name for name in listed.stdout.split(b"\0") if name]
    return [os.fsencode(root) + b"/" + name for name in names] or None


def entry_of(path: bytes, name: str, found: os.stat_result) -> File:
    """Describe a file."""
    return File(path, name, type_of(path), found.st_size, found.st_mtime_ns)


def gather(given: str | None, root: str) -> tuple[list[File], list[tuple[str, str]]]:
    """The files to read, and those left out with the reason.

    Args:
        given: a path, or None for what is tracked in the checkout ``root``.
        root: the checkout.
    """
    if given == "":
        raise BadInputError("the path is empty")
    start = root if given is None else given
    try:
        found = os.stat(start)
    except OSError as error:
        raise BadInputError(f"{start}: {reason(error)}") from error
    if stat.S_ISREG(found.st_mode):
        path = os.fsencode(start)
        try:
            wrong = inspect(path)
        except OSError as error:
            raise BadInputError(f"{start}: {reason(error)}") from error
        if wrong:
            raise BadInputError(f"{start}: {wrong}; there are no words to count")
        return [entry_of(path, start, found)], []
    if not stat.S_ISDIR(found.st_mode):
        raise BadInputError(f"{start}: neither a file nor a directory")

    try:
        paths = (tracked(root) if given is None else None) or list(walk(os.fsencode(start)))
    except OSError as error:
        raise BadInputError(f"{start}: {reason(error)}") from error
    files: list[File] = []
    skipped: list[tuple[str, str]] = []
    for path in sorted(paths):
        name = os.path.relpath(path, os.fsencode(start)).decode("utf-8", "replace")
        try:
            found = os.lstat(path)
            wrong = inspect(path) if stat.S_ISREG(found.st_mode) else "not a regular file"
        except OSError as error:
            wrong = reason(error)
        if wrong:
            skipped.append((name, wrong))
        else:
            files.append(entry_of(path, name, found))
    if not files:
        raise BadInputError(f"{start}: no text file in it")
    return files, skipped


def changed(files: list[File]) -> list[str]:
    """The names of the files that are no longer what they were when they were gathered."""

    def same(file: File) -> bool:
        try:
            now = os.stat(file.path)
        except OSError:
            return False
        return now.st_size == file.size and now.st_mtime_ns == file.mtime_ns

    return [file.name for file in files if not same(file)]
