#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes docs/pair_eqnn.rst, the manual page in LAMMPS's own form, from docs/pair_eqnn.md.

    python3 cmake/pair_eqnn_rst.py          writes it
    python3 cmake/pair_eqnn_rst.py --check  fails where it is not what would be written

It supports what that page uses: headings, paragraphs, lists, tables, fenced code, links, bold,
italics and code spans. Links to other pages of this project become text, since LAMMPS's manual
lacks them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "pair_eqnn.md"
RST = PAGE.with_suffix(".rst")
HEAD = """.. index:: pair_style eqnn
.. index:: pair_style eqnn/kk

"""
# As LAMMPS's pages have them.
UNDERLINES = {1: "=", 2: '"', 3: "^"}
COMMANDS = {
    "pair_coeff": ":doc:`pair_coeff <pair_coeff>`",
    "pair_style hybrid": ":doc:`pair_style hybrid <pair_hybrid>`",
    "plugin": ":doc:`plugin <plugin>`",
}


def inline(text: str) -> str:
    """Spans of a line or cell: code, links, bold; italics are the same in both."""
    parts = re.split(r"(`[^`]+`|\[[^\]]+\]\([^)]+\))", text)
    out = []
    for part in parts:
        if part.startswith("`"):
            out.append(f"`{part}`")
        elif link := re.fullmatch(r"\[([^\]]+)\]\(([^)]+)\)", part):
            name, target = link.groups()
            if target.startswith("https://docs.lammps.org/") and name in COMMANDS:
                out.append(COMMANDS[name])
            elif target.startswith("http"):
                out.append(f"`{name} <{target}>`_")
            else:
                out.append(name)
        else:
            out.append(part)
    return "".join(out)


def table(rows: list[str]) -> list[str]:
    """Rows of a Markdown table as a list-table."""
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in (cells[0], *cells[2:]):
        for k, cell in enumerate(row):
            out.append(f"   {'* -' if k == 0 else '  -'} {inline(cell)}".rstrip())
    return out


def converted(markdown: str) -> str:
    """Return the page in reStructuredText."""
    lines = re.sub(r"^<!--.*?-->\n", "", markdown, flags=re.MULTILINE).splitlines()
    out: list[str] = []
    k = 0
    while k < len(lines):
        line = lines[k]
        if line.startswith("```"):
            end = next(j for j in range(k + 1, len(lines)) if lines[j].startswith("```"))
            inside = lines[k + 1 : end]
            language = "bash" if any(one.startswith("export ") for one in inside) else "LAMMPS"
            out += [f".. code-block:: {language}", ""]
            out += [f"   {one}".rstrip() for one in inside]
            k = end + 1
        elif line.startswith("|"):
            end = next(
                (j for j in range(k, len(lines)) if not lines[j].startswith("|")), len(lines)
            )
            out += table(lines[k:end])
            k = end
        elif heading := re.match(r"(#+) (.*)", line):
            title = inline(heading[2])
            out += [title, UNDERLINES[len(heading[1])] * len(title)]
            k += 1
        else:
            # A paragraph at once: a link may wrap.
            end = k
            while end < len(lines) and lines[end] and not lines[end].startswith(("|", "```", "#")):
                end += 1
            out += inline("\n".join(lines[k:end])).splitlines() or [""]
            k = max(end, k + 1)
    return HEAD + "\n".join(out).rstrip() + "\n"


def main() -> int:
    """Write or check."""
    made = converted(PAGE.read_text())
    if "--check" not in sys.argv[1:]:
        RST.write_text(made)
        return 0
    if not RST.is_file() or RST.read_text() != made:
        print(f"{RST.relative_to(ROOT)} is not what pair_eqnn.md says: `make format` writes it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
