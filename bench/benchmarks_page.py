# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the scripts that write parts of docs/benchmarks.md."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
ORGANIC = ("organic_tdn", "organic_gaunt", "organic_mace")


def commit() -> str:
    """Return the abbreviated hash of the checked-out commit."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def put(begin: str, end: str, made: str) -> None:
    """Replace the text between two comments of the page."""
    page = PAGE.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no {begin} ... {end}.")
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n{made}\n{end}", page))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def stated(version: str, made: str) -> str:
    """Put before a table what it was made with."""
    return f"Commit {commit()}; eqnn {version}, double precision.\n\n{made}\n"
