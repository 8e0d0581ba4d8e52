# SPDX-License-Identifier: BSD-3-Clause
"""Tables, scales and pages of reports."""

from __future__ import annotations

import builtins
import csv
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eqnn.errors import EqnnError
from eqnn.report import Column, Grade, Page, Scale, Table, drawing, number, png, worst

FORCE = Scale("force error", "meV/A", 20.0, 100.0, ("Small.", "Middling.", "Large."))
COSINE = Scale("cosine", "", 0.99, 0.9, ("Same way.", "Nearly.", "Elsewhere."), rises=True)


# ---- scales ----


@pytest.mark.parametrize(
    ("scale", "value", "grade"),
    [
        (FORCE, 0.0, Grade.GOOD),
        (FORCE, 20.0, Grade.GOOD),
        (FORCE, 20.1, Grade.FAIR),
        (FORCE, 100.0, Grade.FAIR),
        (FORCE, 100.1, Grade.POOR),
        (FORCE, math.inf, Grade.POOR),
        (FORCE, math.nan, Grade.POOR),
        (FORCE, None, Grade.NONE),
        (COSINE, 1.0, Grade.GOOD),
        (COSINE, 0.95, Grade.FAIR),
        (COSINE, -1.0, Grade.POOR),
        (COSINE, math.nan, Grade.POOR),
    ],
)
def test_a_scale_judges_and_nan_is_poor(scale: Scale, value: float | None, grade: Grade) -> None:
    assert scale.grade(value) is grade
    expected = {Grade.GOOD: 0, Grade.FAIR: 1, Grade.POOR: 2}
    assert scale.meaning(value) == ("" if value is None else scale.meanings[expected[grade]])


def test_limits_say_which_side_is_good() -> None:
    assert FORCE.limits() == ("≤ 20 meV/A", "≤ 100 meV/A", "> 100 meV/A")
    assert COSINE.limits() == ("≥ 0.99", "≥ 0.9", "< 0.9")


def test_the_worst_grade_counts() -> None:
    assert worst([Grade.GOOD, Grade.POOR, Grade.FAIR]) is Grade.POOR
    assert worst([Grade.NONE, Grade.GOOD]) is Grade.GOOD
    assert worst([]) is Grade.NONE


# ---- tables ----


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (4.395500245, "4.40"),
        (18.147, "18.1"),
        (-123.456, "-123"),
        (9.999, "10.0"),
        (0.0123456, "0.0123"),
        (1.234e-7, "1.2e-07"),
        (1234567.0, "1.2e+06"),
        (-9391.25, "-9391"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def table() -> Table:
    made = Table(
        "Errors",
        [Column("model"), Column("n"), Column("force error", "meV/A", scale=FORCE)],
        note="Of components.",
    )
    made.add("good <one>", 650, 18.147201098805283)
    made.add("poor", 7, math.nan)
    made.add("none", None, None)
    return made


def test_a_table_is_text_with_marks() -> None:
    assert table().text() == (
        "Errors\n"
        "  model         n  force error\n"
        "                         meV/A\n"
        "  good <one>  650         18.1\n"
        "  poor          7          nan!\n"
        "  none\n"
        "  Of components."
    )


def test_a_table_is_csv_with_every_digit() -> None:
    rows = list(csv.reader(io.StringIO(table().csv())))
    assert rows == [
        ["model", "n", "force error (meV/A)"],
        ["good <one>", "650", "18.147201098805283"],
        ["poor", "7", "nan"],
        ["none", "", ""],
    ]


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="2 cells for 3 columns"):
        table().add("a", 1)


# ---- pages ----


class Outside(HTMLParser):
    """Finds tags that are not closed, and references to what is not in the file."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page() -> Page:
    made = Page("Errors of <models>", "on & on", foot="libeqnn 1")
    first = made.section("How good, in short")
    first.text("a < b").items(["one", "two & three"]).table(table())
    first.cards([("force error", "18.1 meV/A", "Small.", Grade.GOOD), ("n", "7", "", Grade.NONE)])
    with drawing(2.0, 1.0) as figure:
        figure.add_subplot().plot([0, 1], [0, 1])
    second = made.section("Thresholds")
    second.scales([FORCE, COSINE]).pictures([(png(figure), 'A "line"')])
    second.table(table(), is_long=True)
    return made


def test_a_page_is_whole_and_refers_to_nothing_outside_itself() -> None:
    text = page().html()
    parser = Outside()
    parser.feed(text)
    assert parser.open == []
    assert [r[:22] for r in parser.references] == [
        "#how-good-in-short",
        "#thresholds",
        "data:image/png;base64,",
    ]
    assert set(re.findall(r'id="([^"]+)"', text)) == {"how-good-in-short", "thresholds"}
    assert not re.search(r"url\(|@import|https?:", text)
    assert 'name="viewport"' in text and "@media print" in text


def test_a_page_shows_texts_as_they_are() -> None:
    text = page().html()
    assert "Errors of &lt;models&gt;" in text and "<models>" not in text
    assert "good &lt;one&gt;" in text and "<one>" not in text
    assert "a &lt; b" in text and "two &amp; three" in text


def test_grades_are_seen_without_colors() -> None:
    text = page().html()
    assert '<td class="number good">18.1 <span class="mark">✓</span></td>' in text
    assert '<td class="number poor">nan <span class="mark">✗</span></td>' in text
    assert "good ≤ 20 meV/A" in text and "✗ poor &lt; 0.9" in text


def test_a_page_takes_the_place_of_an_older_one_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def broken(self: Page) -> str:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Page, "html", broken)
        with pytest.raises(MemoryError):
            page().write(path)
    assert path.read_text() == "old"
    page().write(path)
    assert path.read_text() == page().html()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_equal_figures_give_equal_pictures() -> None:
    made = []
    for _ in range(2):
        with drawing(2.0, 1.0) as figure:
            figure.add_subplot().plot([0, 1], [0, 1])
        made.append(png(figure))
    assert made[0] == made[1] and made[0].startswith(b"\x89PNG")


def test_plots_without_matplotlib_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EqnnError) as found, drawing():
        pass
    assert str(found.value) == (
        "plots need matplotlib, which is not installed here. Install it with "
        "`pip install 'eqnn[report]'`, or `pip install matplotlib`."
    )
