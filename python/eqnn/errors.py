# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions of the package. All derive from EqnnError."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence


class EqnnError(Exception):
    """Says what was found, what was expected, where, and what to do, in at most two lines."""


class ChoiceNeededError(EqnnError):
    """A checkpoint has several variants, and one must be chosen.

    Attributes
    ----------
    option : str
        The option that chooses, such as ``--head``.
    choices : list of str
    """

    def __init__(self, text: str, option: str, choices: Sequence[str]) -> None:
        super().__init__(text)
        self.option = option
        self.choices = list(choices)


class InvalidModelError(EqnnError):
    """A model breaks a rule of the format, or exceeds a limit of the engine.

    Attributes
    ----------
    reason : str
        Place and error, without the model's name and without the cure for readers of a file.
    """

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        # Code that builds a model cannot export it again.
        reason = re.sub(r"\s*Re-export the model[^.]*\.$", "", text.removeprefix(f"{name}: "))
        self.reason = reason.strip(" .")


def shortened(text: str, length: int) -> str:
    """Return a text of at most so many characters; ``...`` stands for words that are left out."""
    if len(text) <= length:
        return text
    found = textwrap.shorten(text, length, placeholder=" ...")
    # Of one long word nothing would be left.
    return found if len(found) > length // 2 else f"{text[: length - 3]}..."


def listed(words: Sequence[str], most: int = 12) -> str:
    """Write a list for a message, with commas; of a long one, the first words and how many more."""
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most} more"


def one_line(error: BaseException, length: int = 120, *, named: bool = True) -> str:
    """Text of another library's exception in one line, after its name; cut after a word."""
    text = shortened(" ".join(str(error).split()), length)
    return f"{type(error).__name__}: {text}" if named else text


# Numbers with a point or an exponent: other digits are counts and names.
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+(?:e[-+]?\d+)?|e[-+]?\d+)(?![\w.]*\w)")


def readable(text: str) -> str:
    """Return a text of the library with its numbers rounded to six digits.

    A number keeps all digits if six would make it look like an integer: 0.9999999 is not 1.
    """

    def shorter(found: re.Match[str]) -> str:
        value = float(found.group())
        said = f"{value:.6g}"
        if "." in said or "e" in said or value == float(said):
            return said
        return f"{value:.12g}"

    return _NUMBER.sub(shorter, text)
