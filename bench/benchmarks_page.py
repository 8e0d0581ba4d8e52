# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the scripts that write parts of docs/benchmarks.md."""

from __future__ import annotations

import re
import subprocess
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
