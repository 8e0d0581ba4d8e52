# SPDX-License-Identifier: BSD-3-Clause
"""The list of molecules, and the order in which they are computed."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from qcr.errors import QcrError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Molecule:
    """One row of ``molecules.csv``."""

    name: str
    smiles: str  # canonical in RDKit
    formula: str
    split: str
    runs: int  # how many relaxations, each from another conformer or another hot start

    @property
    def counts(self) -> dict[str, int]:
        """Atoms of each element."""
        pairs = re.findall(r"([A-Z])(\d*)", self.formula)
        return {element: int(number or 1) for element, number in pairs}

    @property
    def basis_functions(self) -> int:
        """Size of the Cartesian 6-31G* basis."""
        return sum((2 if element == "H" else 15) * n for element, n in self.counts.items())

    @property
    def heavy_atoms(self) -> int:
        """Atoms other than hydrogen."""
        return sum(n for element, n in self.counts.items() if element != "H")


@dataclass(frozen=True)
class Run:
    """One relaxation of one molecule."""

    molecule: Molecule
    index: int

    @property
    def name(self) -> str:
        """Unique; also the name of its file."""
        return f"{self.molecule.name}-{self.index}"


@cache
def molecules() -> tuple[Molecule, ...]:
    """All molecules of the list, in its order."""
    text = resources.files(__package__).joinpath("molecules.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        Molecule(row["name"], row["smiles"], row["formula"], row["split"], int(row["runs"]))
        for row in rows
    )


@cache
def runs() -> tuple[Run, ...]:
    """All relaxations in the order in which they are computed.

    Small molecules come first. The second relaxation of a molecule waits until those of a third
    more basis functions have had their first, so that at any time there are many molecules rather
    than many relaxations of a few. Splits are dealt out along the sizes in ``molecules.csv``, so
    that each gets its share at any time.
    """
    every = [Run(molecule, index) for molecule in molecules() for index in range(molecule.runs)]
    return tuple(
        sorted(every, key=lambda run: run.molecule.basis_functions * (1 + 0.35 * run.index))
    )


def wanted(
    splits: Sequence[str] = SPLITS, first: bool = False, names: Sequence[str] = ()
) -> tuple[Run, ...]:
    """All relaxations of these splits in order; with ``first``, one of each molecule.

    With ``names``, only of these molecules. Raises QcrError if the list, or these splits, have no
    such molecule.
    """
    split_of = {molecule.name: molecule.split for molecule in molecules()}
    for name in sorted(set(names)):
        if name not in split_of:
            raise QcrError(f"{name}: no such molecule. Expected a name of molecules.csv.")
        if split_of[name] not in splits:
            raise QcrError(f"{name} is in {split_of[name]}, expected one of {', '.join(splits)}.")
    return tuple(
        run
        for run in runs()
        if run.molecule.split in splits
        and not (first and run.index)
        and (not names or run.molecule.name in names)
    )
