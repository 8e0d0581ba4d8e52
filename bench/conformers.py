# SPDX-License-Identifier: BSD-3-Clause
"""Write the ranking of conformers in docs/benchmarks.md: shipped potentials against DFT.

    .eqnn/venv/bin/python bench/conformers.py [--write]

prints the table; with --write it takes the place of that in the document. Conformers are the
different minima of a molecule in the validation and test sets of data/qcr-small. A potential
relaxes each from its DFT minimum. Energies are relative to the molecule's lowest DFT minimum.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ase.io
import numpy as np
from ase import Atoms
from benchmarks_page import ORGANIC, ROOT, put, stated, table
from numpy.typing import NDArray

import eqnn
from eqnn.relaxation import Settings, relax

DATA = ROOT / "data" / "qcr-small"
BEGIN, END = "<!-- conformers against DFT -->", "<!-- end of conformers -->"
MODELS = (*ORGANIC, "nequix_mp_1", "sevennet_0")
HEAD = (
    *("potential", "molecules", "conformers", "pairs in DFT's order"),
    *("relative energies, MAE, meV", "largest error, meV", "conformers that turn into another"),
)
SAME = 0.002  # eV: minima of a molecule that differ by less are one conformer
FORCE = 0.001  # eV/Angstrom
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Energies of a molecule's conformers in eV, relative to that which is lowest by DFT."""

    found: Floats
    expected: Floats

    @property
    def pairs(self) -> tuple[int, int]:
        """How many pairs are in the order of DFT, and of how many."""
        pairs = list(itertools.combinations(range(len(self.expected)), 2))
        right = sum(
            (self.found[i] < self.found[j]) == (self.expected[i] < self.expected[j])
            for i, j in pairs
        )
        return right, len(pairs)

    @property
    def n_lost(self) -> int:
        """How many conformers have the energy of another one: they turned into it."""
        energies = np.sort(self.found)
        return int((np.diff(energies) < SAME).sum())


def conformers(minima: Iterable[Atoms]) -> list[list[Atoms]]:
    """Return the conformers of each molecule that has several, the lowest first."""
    of: dict[str, list[Atoms]] = {}
    for atoms in sorted(minima, key=lambda one: float(one.get_potential_energy())):
        known = of.setdefault(str(atoms.info["molecule"]), [])
        if not known or atoms.get_potential_energy() - known[-1].get_potential_energy() > SAME:
            known.append(atoms)
    return [of[name] for name in sorted(of) if len(of[name]) > 1]


def reference() -> list[list[Atoms]]:
    """Return the conformers of held-out molecules."""
    frames = (a for split in ("validation", "test") for a in ase.io.iread(DATA / f"{split}.xyz.gz"))
    return conformers(atoms for atoms in frames if atoms.info["relaxed"])


def ranked(molecules: Sequence[Sequence[Atoms]], model: str) -> list[Ranking]:
    """Relax all conformers with a potential and return their energies."""
    out = []
    for one in molecules:
        name = one[0].info["molecule"]
        results = relax(list(one), ROOT / "potentials" / f"{model}.eqnn", Settings(fmax=FORCE))
        energies = []
        for result in results:
            if result is None or result.status != "converged":
                raise SystemExit(f"{model}: a conformer of {name} did not converge: {result}")
            energies.append(result.energy)
        expected = np.array([atoms.get_potential_energy() for atoms in one])
        found = np.array(energies)
        out.append(Ranking(found - found[0], expected - expected[0]))
    return out


def row(model: str, found: Sequence[Ranking]) -> list[str]:
    """Return the cells of a potential: meV."""
    error = 1e3 * np.concatenate([(one.found - one.expected)[1:] for one in found])
    if not np.isfinite(error).all():
        raise SystemExit(f"{model}: has an energy that is no number.")
    right, pairs = np.sum([one.pairs for one in found], axis=0)
    return [
        *(f"`{model}`", str(len(found)), str(sum(len(one.expected) for one in found))),
        *(f"{right} of {pairs}", f"{np.abs(error).mean():.0f}", f"{np.abs(error).max():.0f}"),
        str(sum(one.n_lost for one in found)),
    ]


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    molecules = reference()
    rows = [row(model, ranked(molecules, model)) for model in MODELS]
    made = stated(eqnn.__version__, table(HEAD, rows))
    if options.write:
        put(BEGIN, END, made)
    else:
        print(made)


if __name__ == "__main__":
    main()
