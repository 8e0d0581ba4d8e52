# SPDX-License-Identifier: BSD-3-Clause
"""A table that is text for a terminal, CSV for programs and HTML for a page."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from eqnn.report.scale import Grade, Scale

Cell = str | int | float | Grade | None
"""What a table holds; a grade is shown as its word, in its color."""

# Readable without colors: in print, and for people with red-green color blindness.
MARKS = {Grade.GOOD: "✓", Grade.FAIR: "~", Grade.POOR: "✗", Grade.NONE: ""}
_TEXT_MARKS = {Grade.GOOD: " ", Grade.FAIR: "~", Grade.POOR: "!", Grade.NONE: " "}
# Characters of a head that stands in one line, whatever the page's width.
_LONG_HEAD = 12


def number(value: float, digits: int = 3) -> str:
    """Format a number for people.

    Parameters
    ----------
    value : float
        Any number; NaN and infinities are named.
    digits : int
        Significant ones.
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0.0:
        return "0"
    size = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -4 <= size < 6:
        return f"{value:.{digits - 2}e}"
    return f"{value:.{max(0, digits - 1 - size)}f}"


def _plain(cell: Cell) -> str | int | float:
    if isinstance(cell, Grade):
        return cell.value
    return "" if cell is None else cell


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes
    ----------
    name : str
        Head of the column.
    unit : str
        Below the name; empty for none.
    digits : int
        Significant digits for people; CSV has all.
    scale : Scale or None
        Judges the numbers of the column.
    wraps : bool
        Whether its text may be broken into lines on a page: sentences, not names.
    """

    name: str
    unit: str = ""
    digits: int = 3
    scale: Scale | None = None
    wraps: bool = False

    def text(self, cell: Cell) -> str:
        """Format a cell for people."""
        if cell is None:
            return ""
        if isinstance(cell, float):
            return number(cell, self.digits)
        if isinstance(cell, Grade):
            return cell.value
        return str(cell)

    def grade(self, cell: Cell) -> Grade:
        """Judge a cell, where the column has a scale and the cell a number, or is a grade."""
        if isinstance(cell, Grade):
            return cell
        if self.scale is None or cell is None or isinstance(cell, str):
            return Grade.NONE
        return self.scale.grade(cell)


@dataclass
class Table:
    """Rows of cells under columns.

    Attributes
    ----------
    title : str
        What the table is of.
    columns : sequence of Column
    rows : list of sequence of Cell
        Texts, numbers, or None for missing values.
    note : str
        A sentence below the table; empty for none.
    """

    title: str
    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    note: str = ""

    def add(self, *cells: Cell) -> None:
        """Add a row; it has a cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells)

    def text(self) -> str:
        """Return lines for a terminal: texts left, numbers right, ``~`` fair and ``!`` poor."""
        shown = [[c.text(cell) for c, cell in self._pairs(row)] for row in self.rows]
        units = [c.unit for c in self.columns]
        heads = [[c.name for c in self.columns], *([units] if any(units) else [])]
        marks = [[" "] * len(units) for _ in heads]
        marks += [[_TEXT_MARKS[c.grade(cell)] for c, cell in self._pairs(row)] for row in self.rows]
        widths = [max(map(len, texts)) for texts in zip(*heads, *shown, strict=True)]
        lines = [self.title] if self.title else []
        for texts, signs in zip([*heads, *shown], marks, strict=True):
            cells = []
            for k, text in enumerate(texts):
                padded = text.rjust(widths[k]) if self._is_numeric(k) else text.ljust(widths[k])
                cells.append(padded + (signs[k] if self.columns[k].scale else ""))
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines + ([f"  {self.note}"] if self.note else []))

    def csv(self) -> str:
        """Return the table as CSV, with a head of names and units, and every digit."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([f"{c.name} ({c.unit})" if c.unit else c.name for c in self.columns])
        for row in self.rows:
            writer.writerow([_plain(cell) for cell in row])
        return out.getvalue()

    def html(self, *, is_long: bool = False, with_title: bool = True) -> str:
        """Return the table as HTML; it scrolls sideways by itself where the page is narrow.

        Parameters
        ----------
        is_long : bool
            Whether it also scrolls downwards, in a box.
        with_title : bool
            Whether the title stands above it.
        """
        heads = "".join(self._head(k) for k in range(len(self.columns)))
        rows = "".join(
            "<tr>" + "".join(self._cell(k, cell) for k, cell in enumerate(row)) + "</tr>\n"
            for row in self.rows
        )
        caption = (
            f"<caption>{html.escape(self.title)}</caption>" if self.title and with_title else ""
        )
        note = f'<p class="note">{html.escape(self.note)}</p>\n' if self.note else ""
        box = "table long" if is_long else "table"
        return (
            f'<div class="{box}" tabindex="0"><table>{caption}\n<thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{rows}</tbody></table></div>\n{note}"
        )

    def _pairs(self, row: Sequence[Cell]) -> list[tuple[Column, Cell]]:
        return list(zip(self.columns, row, strict=True))

    def _is_numeric(self, k: int) -> bool:
        cells = [row[k] for row in self.rows if row[k] is not None]
        return bool(cells) and all(isinstance(cell, int | float) for cell in cells)

    def _head(self, k: int) -> str:
        column = self.columns[k]
        unit = f'<br><span class="unit">{html.escape(column.unit)}</span>' if column.unit else ""
        kinds = ["number"] if self._is_numeric(k) else []
        kinds += ["breaks"] if len(column.name) > _LONG_HEAD else []
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        return f'<th scope="col"{kind}>{html.escape(column.name)}{unit}</th>'

    def _cell(self, k: int, cell: Cell) -> str:
        column = self.columns[k]
        grade = column.grade(cell)
        kinds = ["number"] if self._is_numeric(k) else []
        kinds += ["wraps"] if column.wraps else []
        kinds += [] if grade is Grade.NONE else [grade.value]
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        mark = f' <span class="mark">{MARKS[grade]}</span>' if MARKS[grade] else ""
        return f"<td{kind}>{html.escape(column.text(cell))}{mark}</td>"
