#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Keeps the prose of Markdown within 100 columns; ``--fix`` wraps longer lines.

    python3 cmake/wrap_markdown.py [--fix] FILE...

Prose is paragraphs, list items, quotes and headings. Code, tables, HTML comments and lines that
are one link stay as they are. mdformat is not used: it rewrites tables with columns as wide as
their widest cell, turns indented code into fences, and escapes the brackets of formulas.
A paragraph without a long line is left alone, so that a small change is a small difference.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

WIDTH = 100

ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
FENCE = re.compile(r"^\s*(```|~~~)")
# A line that stands alone: a table's row, a heading, an image or link, a definition of a link.
ALONE = re.compile(r"^\s*(?:\||#|!?\[[^\]]*\](?:\([^)]*\)|:\s*\S+)\s*$)")
# What may not be split: code, links, and whole words.
UNIT = re.compile(r"(?:(`+)(?!`).+?(?<!`)\1(?!`)|!?\[[^\]]*\]\([^)\s]*\)|\S)+")
# What would begin a block of its own at the start of a line.
BEGINS_A_BLOCK = re.compile(r"^(?:[-*+]|\d+[.)])$|^[#>|=]|^(?:---|```|~~~)|^<!")


@dataclass
class Paragraph:
    """Lines of one paragraph or list item: ``lines[first:last]``, numbers from 0."""

    first: int
    last: int


def indent_of(line: str) -> int:
    """Count the spaces that a line begins with."""
    return len(line) - len(line.lstrip(" "))


def paragraphs(lines: list[str]) -> list[Paragraph]:
    """Find paragraphs and list items; code, tables, comments and headings are none."""
    found: list[Paragraph] = []
    item_indent = 0  # where the text of the list item begins that we are in
    k = 0
    while k < len(lines):
        line = lines[k]
        fence = FENCE.match(line)
        if fence:
            k += 1
            while k < len(lines) and not lines[k].strip().startswith(fence[1]):
                k += 1
            k += 1
        elif line.lstrip().startswith("<!--"):
            while k < len(lines) and "-->" not in lines[k]:
                k += 1
            k += 1
        elif not line.strip() or ALONE.match(line):
            if ALONE.match(line):
                item_indent = 0
            k += 1
        else:
            if indent_of(line) < item_indent:
                item_indent = 0
            item = ITEM.match(line)
            # Four spaces more than the text around: code. An item may be as deep as its list.
            if indent_of(line) >= item_indent + 4:
                k += 1
                continue
            if item:
                item_indent = item.end()
            first = k
            k += 1
            while (
                k < len(lines)
                and lines[k].strip()
                and not ITEM.match(lines[k])
                and not ALONE.match(lines[k])
                and not FENCE.match(lines[k])
                and not lines[k].lstrip().startswith("<!--")
            ):
                k += 1
            found.append(Paragraph(first, k))
    return found


def columns(text: str) -> int:
    """Width of a text: an accent that is a character of its own has none."""
    return sum(not unicodedata.combining(character) for character in text)


def units(text: str) -> list[str]:
    """Cut a text into what stays on one line; what would begin a block goes with what is before.

    Code and links stay whole unless they would fill most of a line.
    """
    found: list[str] = []
    for match in UNIT.finditer(text):
        whole = match.group()
        for word in whole.split() if columns(whole) > 0.8 * WIDTH else [whole]:
            if found and BEGINS_A_BLOCK.match(word):
                found[-1] += f" {word}"
            else:
                found.append(word)
    return found


def filled(text: str, begin: str, rest: str) -> list[str]:
    """Fill lines with a text; ``begin`` stands before the first, ``rest`` before the others."""
    made: list[str] = []
    line = begin
    is_empty = True
    for unit in units(text):
        if is_empty:
            line += unit
        elif columns(line) + 1 + columns(unit) <= WIDTH:
            line += f" {unit}"
        else:
            made.append(line)
            line = rest + unit
        is_empty = False
    return [*made, line]


def wrapped(lines: list[str]) -> list[str]:
    """Wrap one paragraph or list item; hard breaks and lines that begin in bold stay."""
    item = ITEM.match(lines[0])
    begin = item.group() if item else " " * indent_of(lines[0])
    rest = " " * len(begin)
    pieces: list[list[str]] = [[]]
    for k, line in enumerate(lines):
        text = line[len(begin) :] if k == 0 else line.strip()
        breaks = k > 0 and (lines[k - 1].endswith(("  ", "\\")) or text.startswith("**"))
        if breaks:
            pieces.append([])
        pieces[-1].append(text.strip() + ("  " if line.endswith("  ") else ""))
    made: list[str] = []
    for k, piece in enumerate(pieces):
        hard = "  " if piece[-1].endswith("  ") else ""
        done = filled(" ".join(piece), begin if k == 0 else rest, rest)
        made += [*done[:-1], done[-1] + hard]
    return made


def is_long(line: str) -> bool:
    """Whether a line of prose has more columns than it may, and a place to break it."""
    return columns(line.rstrip()) > WIDTH and len(units(line.strip())) > 1


def mended(text: str) -> str:
    """Wrap the paragraphs of a document that have a long line."""
    lines = text.splitlines()
    for paragraph in reversed(paragraphs(lines)):
        part = slice(paragraph.first, paragraph.last)
        if any(is_long(line) for line in lines[part]):
            lines[part] = wrapped(lines[part])
    return "\n".join(lines) + "\n"


def problems(text: str) -> list[tuple[int, int]]:
    """Lines of prose that are too long: number and columns."""
    lines = text.splitlines()
    of_prose = [k for p in paragraphs(lines) for k in range(p.first, p.last)]
    fence = False
    for k, line in enumerate(lines):
        fence ^= FENCE.match(line) is not None
        if not fence and re.match(r"#+ ", line):
            of_prose.append(k)
    return [(k + 1, columns(lines[k])) for k in sorted(of_prose) if is_long(lines[k])]


def main() -> int:
    """Check or mend the files that are named; fail if there is a long line of prose."""
    fix = "--fix" in sys.argv[1:]
    found = []
    for name in (argument for argument in sys.argv[1:] if argument != "--fix"):
        path = Path(name)
        text = path.read_text(encoding="utf-8")
        if fix and mended(text) != text:
            path.write_text(text := mended(text), encoding="utf-8")
        found += [
            f"{path}:{k}: prose of {n} columns, expected at most {WIDTH}: `make format` wraps it"
            for k, n in problems(text)
        ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
