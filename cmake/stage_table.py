#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Keeps the table of stages in docs/spec/model_file.md equal to the pages of docs/spec/stages.

    python3 cmake/stage_table.py [--fix] [ROOT]

The table is between two comments; ``--fix`` rewrites it from src/base/stages.hpp (order and kinds)
and the pages (operations in a file, and the first sentence of *In the plan*).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BEGIN = "<!-- stages: `make format` writes this table from the pages of the stages -->\n"
END = "<!-- end of the stages -->\n"


def stages(root: Path) -> dict[str, str]:
    """Kind of each stage by its name, in the order of src/base/stages.hpp."""
    text = (root / "src" / "base" / "stages.hpp").read_text(encoding="utf-8")
    found = re.findall(r"^ +(FILE|GRAPH|KERNEL)\(\w+, (\w+)\)", text, re.MULTILINE)
    return {name: kind for kind, name in found}


def row(name: str, kind: str, page: str) -> str:
    """Write the line of a stage; its page's links lead from docs/spec now."""
    ops = ", ".join(f"`{op}`" for op in dict.fromkeys(re.findall(r'"op": "(\w+)"', page)))
    plan = re.search(r"^## In the plan\n(.+?)\.(?=\s)", page, re.DOTALL | re.MULTILINE)
    said = " ".join(plan[1].split()) if plan else ""
    said = re.sub(r"\]\((\w+\.md)", r"](stages/\1", said).replace("](../", "](")
    return f"| {ops} | [{name}](stages/{name}.md) | {kind} | {said} |\n"


def table(root: Path) -> str:
    """Write the table from the pages; a stage without one has an empty line."""
    text = "\n| op | stage | kind | in the plan |\n|---|---|---|---|\n"
    for name, kind in stages(root).items():
        page = root / "docs" / "spec" / "stages" / f"{name}.md"
        text += row(name, kind, page.read_text(encoding="utf-8") if page.exists() else "")
    return text + "\n"


def main() -> int:
    """Check the table, or write it; fail if it differs."""
    words = [word for word in sys.argv[1:] if word != "--fix"]
    root = Path(words[0]) if words else Path(__file__).resolve().parent.parent
    path = root / "docs" / "spec" / "model_file.md"
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{path}: no comments around the table of stages, expected\n{BEGIN}{END}", end="")
        return 1
    new = table(root)
    if old == new:
        return 0
    if "--fix" in sys.argv[1:]:
        path.write_text(before + begin + new + end + after, encoding="utf-8")
        return 0
    print(f"{path}: the table of stages is not what the pages say: `make format` writes it")
    return 1


if __name__ == "__main__":
    sys.exit(main())
