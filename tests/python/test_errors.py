# SPDX-License-Identifier: BSD-3-Clause
"""Texts of foreign errors in our own messages."""

from __future__ import annotations

import pytest

from eqnn.errors import one_line, shortened


def test_what_is_long_ends_after_a_word_and_says_so() -> None:
    text = "one two three four five"
    assert shortened(text, 23) == text
    assert shortened(text, 22) == "one two three four ..."
    assert shortened(text, 21) == "one two three ..."
    # Of one long word nothing would be left.
    assert shortened("a" * 30, 20) == "a" * 17 + "..."
    assert shortened("a " + "b" * 30, 20) == "a " + "b" * 15 + "..."


@pytest.mark.parametrize("length", range(8, 60))
def test_what_is_shortened_is_never_longer(length: int) -> None:
    text = "Failed to read all data for an_array_with_a_long_name. Expected (8, 17) elements"
    found = shortened(text, length)
    assert len(found) <= length and found.endswith("...")
    assert text.startswith(found.removesuffix("...").strip())


def test_one_line_of_a_foreign_error() -> None:
    error = ValueError("could not\n  read 90 elements")
    assert one_line(error) == "ValueError: could not read 90 elements"
    assert one_line(error, 22, named=False) == "could not read 90 ..."
