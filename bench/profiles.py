# SPDX-License-Identifier: BSD-3-Clause
"""Write the energy profiles of acetylacetone in docs/benchmarks.md: shipped potentials against DFT.

    .eqnn/venv/bin/python bench/profiles.py [--write]

prints the table; with --write it takes the place of that in the document, beside its picture. The
structures are those of data/acetylacetone: a proton that goes from one oxygen to the other, and a
C-C bond that is turned. Each energy is relative to that of the profile's first structure.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import ase.io
import numpy as np
from ase import Atoms
from benchmarks_page import ORGANIC, ROOT, put, stated, table
from numpy.typing import NDArray

import eqnn
from eqnn import EQNN
from eqnn.report import PALETTE, drawing, png

DATA = ROOT / "data" / "acetylacetone"
PICTURE = ROOT / "docs" / "images" / "profiles.png"
BEGIN, END = "<!-- profiles against DFT -->", "<!-- end of profiles -->"
MODELS = ("tdn_acetylacetone", "gaunt_acetylacetone", "mace_acetylacetone", *ORGANIC)
HEAD = (
    *("potential", "proton transfer: barrier, meV", "RMSE", "torsion: barrier, meV"),
    *("end", "RMSE", "largest error, meV"),
)
PROTON, OXYGENS, TORSION = 11, [5, 3], (0, 1, 2, 3)  # atoms
HIGHEST = 150.0  # meV, of what is drawn of the proton's energies
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """Structures along a coordinate."""

    frames: list[Atoms]
    coordinate: Floats  # Angstrom, or degrees
    label: str

    def energies(self, calculator: EQNN | None = None) -> Floats:
        """Return energies in meV, relative to the first: those of DFT without a calculator."""
        energies = []
        for frame in self.frames:
            atoms = frame.copy()
            atoms.calc = calculator or frame.calc
            energies.append(atoms.get_potential_energy())
        found = np.array(energies) - energies[0]
        if not np.isfinite(found).all():
            raise SystemExit(f"{self.label}: has an energy that is no number.")
        return np.asarray(found * 1e3)


def scans() -> tuple[Scan, Scan]:
    """Return the transfer of the proton, and the torsion."""
    transfer = list(ase.io.iread(DATA / "test_H_transfer.xyz.gz"))
    torsion = list(ase.io.iread(DATA / "test_dihedral.xyz.gz"))
    way = [np.subtract(*a.get_distances(PROTON, OXYGENS)) for a in transfer]
    angle = [a.get_dihedral(*TORSION) for a in torsion]
    return (
        Scan(transfer, np.array(way), "distance to one oxygen minus the other (A)"),
        Scan(torsion, np.array(angle), "C-C-C-O dihedral (degrees)"),
    )


def row(name: str, found: tuple[Floats, Floats], expected: tuple[Floats, Floats]) -> list[str]:
    """Return the cells of a potential: meV."""
    transfer, torsion = found
    error = [f - e for f, e in zip(found, expected, strict=True)]
    rms = [f"{np.sqrt((e**2).mean()):.1f}" for e in error]
    return [
        *(name, f"{transfer.max():.1f}", rms[0], f"{torsion.max():.0f}", f"{torsion[-1]:.0f}"),
        *(rms[1], f"{np.abs(np.concatenate(error)).max():.0f}"),
    ]


def picture(of: tuple[Scan, Scan], lines: dict[str, tuple[Floats, Floats]]) -> bytes:
    """Draw both profiles; DFT's are points."""
    with drawing(9.0, 4.0) as figure:
        for axis, k in zip(figure.subplots(1, 2), (0, 1), strict=True):
            scan = of[k]
            axis.plot(scan.coordinate, scan.energies(), "o", color="0.2", ms=3.5, label="PBE-D3")
            for color, (name, energies) in enumerate(lines.items()):
                axis.plot(scan.coordinate, energies[k], color=PALETTE[color], label=name)
            axis.set_xlabel(scan.label)
            axis.set_ylabel("energy (meV)")
            if k == 0:  # who knows no proton between two oxygens would flatten the others
                axis.set_ylim(top=min(axis.get_ylim()[1], HIGHEST))
        axis.legend(fontsize="small")
        return png(figure)


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    transfer, torsion = scans()
    expected = transfer.energies(), torsion.energies()
    found = {}
    for model in MODELS:
        calculator = EQNN(ROOT / "potentials" / f"{model}.eqnn")
        found[model] = transfer.energies(calculator), torsion.energies(calculator)
    rows = [row("DFT", expected, expected)]
    rows += [row(f"`{model}`", energies, expected) for model, energies in found.items()]
    made = stated(eqnn.__version__, table(HEAD, rows))
    if not options.write:
        print(made)
        return
    PICTURE.write_bytes(picture((transfer, torsion), found))
    put(BEGIN, END, made)


if __name__ == "__main__":
    main()
