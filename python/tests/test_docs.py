"""Runs every Python example of README.md and docs/: a claim in the docs gets a test or goes.

A block fenced as python is a program of its own. `no-run` behind the language (```python no-run)
leaves a block out.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"^ {0,3}(?P<ticks>`{3,})python(?P<options>[^\n]*)\n(?P<code>.*?)^ {0,3}(?P=ticks)\s*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Example:
    """One block and where it stands."""

    page: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples_of(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    return [
        Example(str(page.relative_to(ROOT)), text.count("\n", 0, m.start()) + 1, m["code"])
        for m in FENCE.finditer(text)
        if "no-run" not in m["options"].split()
    ]


README = ROOT / "README.md"
# Pages whose examples go on where the one before ended.
PROGRAMS = [ROOT / "docs/usage-python.md"]
EXAMPLES = [
    example
    for page in [README, *sorted((ROOT / "docs").rglob("*.md"))]
    if page not in PROGRAMS
    for example in examples_of(page)
] + [
    Example(str(page.relative_to(ROOT)), 1, "\n".join(e.code for e in examples_of(page)))
    for page in PROGRAMS
]


def test_readme_has_an_example() -> None:
    assert examples_of(README)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_runs(example: Example, tmp_path: Path) -> None:
    program = tmp_path / f"line_{example.line}.py"
    program.write_text(example.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
