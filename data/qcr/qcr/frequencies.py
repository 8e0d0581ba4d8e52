# SPDX-License-Identifier: BSD-3-Clause
"""Harmonic frequencies of the held-out molecules at their minima, by analytic second derivatives.

``frequencies.json`` holds for each molecule of the validation and test sets the frequencies at the
lowest of its relaxed structures, in 1/cm, rising; an imaginary one would be negative. The set's own
structures are taken as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

SPLITS = ("validation", "test")
LEVEL = "B3LYP (VWN3), 6-31G* with Cartesian d, analytic Hessian, average isotope masses"


def minima(data: Path) -> list[tuple[str, Atoms]]:
    """Return the split and the lowest relaxed structure of each held-out molecule, small first."""
    lowest: dict[str, tuple[str, Atoms]] = {}
    for split in SPLITS:
        for atoms in ase.io.read(data / f"{split}.xyz.gz", ":"):
            if not atoms.info["relaxed"]:
                continue
            name = str(atoms.info["molecule"])
            energy = atoms.get_potential_energy()
            if name not in lowest or energy < lowest[name][1].get_potential_energy():
                lowest[name] = split, atoms
    return sorted(lowest.values(), key=lambda one: (len(one[1]), str(one[1].info["molecule"])))


def generate(data: Path, output: Path, say: Callable[[str], None]) -> int:
    """Compute what ``output`` lacks, molecule by molecule; return the number of molecules."""
    from qcr.dft import Dft

    said: dict[str, Any] = {"level": LEVEL, "unit": "1/cm", "molecules": []}
    if output.exists():
        said = json.loads(output.read_text())
    known = {one["molecule"] for one in said["molecules"]}
    todo = [one for one in minima(data) if one[1].info["molecule"] not in known]
    for k, (split, atoms) in enumerate(todo):
        found = Dft(atoms.get_chemical_symbols()).frequencies(atoms.positions)
        said["molecules"].append(
            {
                **{key: str(atoms.info[key]) for key in ("molecule", "smiles", "run")},
                "split": split,
                "frequencies": [round(float(x), 2) for x in found],
            }
        )
        part = output.with_suffix(".part")
        part.write_text(json.dumps(said, indent=1) + "\n")
        os.replace(part, output)
        say(f"{k + 1} of {len(todo)}: {atoms.info['molecule']}, {found[0]:.0f} to {found[-1]:.0f}")
    return len(said["molecules"])
