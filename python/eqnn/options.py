# SPDX-License-Identifier: BSD-3-Clause
"""Values on the command line that several commands take, and what is said of wrong ones."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from typing import Any

from ase.data import atomic_numbers


class Elements(argparse.Action):
    """Chemical symbols with commas or spaces between them, as atomic numbers in their order."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        more |= {"nargs": "+", "metavar": "ELEMENT"}
        super().__init__(option_strings, dest, **more)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the atomic numbers, or raise ArgumentError."""
        if getattr(namespace, self.dest, None) is not None:
            raise argparse.ArgumentError(
                self, "it stands twice, expected all elements after one, as in H,C,N,O"
            )
        words = [values] if isinstance(values, str) else list(values or [])
        symbols = re.split(r"\s*,\s*|\s+", " ".join(words).strip())
        for symbol in symbols:
            if not atomic_numbers.get(symbol):
                raise argparse.ArgumentError(
                    self,
                    f"{symbol!r} is not a chemical symbol, expected symbols with commas: H,C,N,O",
                )
            if symbols.count(symbol) > 1:
                raise argparse.ArgumentError(
                    self, f"{symbol} stands twice, expected each element once, as in H,C,N,O"
                )
        setattr(namespace, self.dest, [atomic_numbers[symbol] for symbol in symbols])


def charge(text: str) -> float:
    """Return a charge in e."""
    value = _number(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number, expected a charge in e")
    return value


def spin(text: str) -> float:
    """Return a spin multiplicity 2S + 1."""
    value = _number(text)
    if not (value >= 1.0 and value.is_integer()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no spin multiplicity 2S + 1, expected 1 (no unpaired electrons) or more"
        )
    return value


def told(text: str) -> str:
    """Return words that a person gave, which an empty text is not."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the text is empty. Leave the option out, or say it")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
