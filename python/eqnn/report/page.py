# SPDX-License-Identifier: BSD-3-Clause
"""A self-contained HTML page: one file, pictures inside, for phones, screens and paper."""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eqnn.report.scale import Grade, Scale
from eqnn.report.style import CSS
from eqnn.report.table import MARKS, Table


@dataclass
class Section:
    """A part of a page under a heading; its methods add to its end and return it."""

    title: str
    parts: list[str] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Name of the heading as the target of a link."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def text(self, text: str) -> Section:
        """Add a paragraph of plain text."""
        self.parts.append(f"<p>{html.escape(text)}</p>\n")
        return self

    def head(self, text: str) -> Section:
        """Add a heading below that of the section."""
        self.parts.append(f"<h3>{html.escape(text)}</h3>\n")
        return self

    def items(self, texts: Sequence[str]) -> Section:
        """Add a list of plain texts."""
        inside = "".join(f"<li>{html.escape(text)}</li>\n" for text in texts)
        self.parts.append(f"<ul>\n{inside}</ul>\n")
        return self

    def table(self, table: Table, *, is_long: bool = False, with_title: bool = True) -> Section:
        """Add a table; a long one scrolls in a box of its own, and is whole in print."""
        self.parts.append(table.html(is_long=is_long, with_title=with_title))
        return self

    def pictures(self, pictures: Sequence[tuple[bytes, str]]) -> Section:
        """Add pictures side by side where the page is wide enough.

        Parameters
        ----------
        pictures : sequence of (bytes, str)
            A PNG and what it shows, in words.
        """
        inside = []
        for content, caption in pictures:
            data = base64.b64encode(content).decode()
            said = html.escape(caption)
            inside.append(
                f'<figure><img src="data:image/png;base64,{data}" alt="{said}">'
                f"<figcaption>{said}</figcaption></figure>\n"
            )
        self.parts.append(f'<div class="pictures">\n{"".join(inside)}</div>\n')
        return self

    def cards(self, cards: Sequence[tuple[str, str, str, Grade]]) -> Section:
        """Add the few most important numbers.

        Parameters
        ----------
        cards : sequence of (str, str, str, Grade)
            Name, number with unit, meaning, and grade.
        """
        inside = []
        for name, value, meaning, grade in cards:
            kind = "" if grade is Grade.NONE else f" {grade.value}"
            mark = f' <span class="mark">{MARKS[grade]}</span>' if MARKS[grade] else ""
            inside.append(
                f'<div class="card{kind}"><div class="name">{html.escape(name)}</div>'
                f'<div class="value">{html.escape(value)}{mark}</div>'
                f'<div class="meaning">{html.escape(meaning)}</div></div>\n'
            )
        self.parts.append(f'<div class="cards">\n{"".join(inside)}</div>\n')
        return self

    def scales(self, scales: Sequence[Scale]) -> Section:
        """Add the thresholds, and the meaning of good, fair and poor for each."""
        inside = []
        for scale in scales:
            grades = (Grade.GOOD, Grade.FAIR, Grade.POOR)
            rows = "".join(
                f'<li><span class="grade {grade.value}">{MARKS[grade]} {grade.value} '
                f"{html.escape(limit)}</span> {html.escape(meaning)}</li>\n"
                for grade, limit, meaning in zip(
                    grades, scale.limits(), scale.meanings, strict=True
                )
            )
            inside.append(f"<h3>{html.escape(scale.name)}</h3>\n<ul>\n{rows}</ul>\n")
        self.parts.append(f'<div class="scales">\n{"".join(inside)}</div>\n')
        return self


@dataclass
class Page:
    """The whole page.

    Attributes
    ----------
    title : str
    subtitle : str
        One line below the title.
    sections : list of Section
        Made by `section`.
    foot : str
        Last line: versions, machine, date.
    """

    title: str
    subtitle: str = ""
    sections: list[Section] = field(default_factory=list)
    foot: str = ""

    def section(self, title: str) -> Section:
        """Begin a new section and return it."""
        self.sections.append(Section(title))
        return self.sections[-1]

    def html(self) -> str:
        """Return the page; it refers to nothing outside itself."""
        title = html.escape(self.title)
        links = "".join(
            f'<a href="#{s.anchor}">{html.escape(s.title)}</a>\n' for s in self.sections
        )
        body = "".join(
            f'<section id="{s.anchor}">\n<h2>{html.escape(s.title)}</h2>\n{"".join(s.parts)}'
            "</section>\n"
            for s in self.sections
        )
        subtitle = f'<p class="subtitle">{html.escape(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n"
            f"<header><h1>{title}</h1>\n{subtitle}<nav>{links}</nav></header>\n<main>\n{body}"
            f"</main>\n<footer>{html.escape(self.foot)}</footer>\n</body>\n</html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page atomically: if interrupted, an older one remains."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(self.html(), encoding="utf-8")
        os.replace(partial, path)
