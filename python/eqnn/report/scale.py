# SPDX-License-Identifier: BSD-3-Clause
"""Scales: thresholds for good, fair and poor results, and what they mean."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Grade(enum.Enum):
    """The grade of a number."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    NONE = "not judged"


_ORDER = (Grade.NONE, Grade.GOOD, Grade.FAIR, Grade.POOR)


@dataclass(frozen=True)
class Scale:
    """Thresholds of one quantity.

    Attributes
    ----------
    name : str
        The quantity, as tables call it.
    unit : str
        Its unit; empty for a pure number.
    good : float
        A number is good up to here.
    fair : float
        And fair up to here, poor beyond.
    meanings : tuple of str
        What a good, a fair and a poor number mean for who uses the model: three sentences.
    rises : bool
        Whether larger numbers are better, so that a number is good *from* ``good`` on.
    """

    name: str
    unit: str
    good: float
    fair: float
    meanings: tuple[str, str, str]
    rises: bool = False

    def grade(self, value: float | None) -> Grade:
        """Judge a number; NaN is poor, and what is missing is not judged."""
        if value is None:
            return Grade.NONE
        if value >= self.good if self.rises else value <= self.good:
            return Grade.GOOD
        if value >= self.fair if self.rises else value <= self.fair:
            return Grade.FAIR
        return Grade.POOR

    def meaning(self, value: float | None) -> str:
        """Say what a number means; empty for what is missing."""
        grade = self.grade(value)
        return "" if grade is Grade.NONE else self.meanings[_ORDER.index(grade) - 1]

    def limits(self) -> tuple[str, str, str]:
        """Return the limits of good, fair and poor, as a legend shows them."""
        up_to, beyond = ("≥", "<") if self.rises else ("≤", ">")
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{up_to} {self.good:g}{unit}",
            f"{up_to} {self.fair:g}{unit}",
            f"{beyond} {self.fair:g}{unit}",
        )


def worst(grades: Iterable[Grade]) -> Grade:
    """Return the worst of some grades; those that are not judged do not count."""
    return max(grades, key=_ORDER.index, default=Grade.NONE)
