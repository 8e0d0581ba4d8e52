# SPDX-License-Identifier: BSD-3-Clause
"""Write the table of vibrational frequencies in docs/benchmarks.md: shipped potentials against DFT.

    .eqnn/venv/bin/python bench/vibrations.py [--write]

prints it; with --write it takes the place of that in the document, beside its picture. Each
held-out molecule of data/qcr-small is relaxed with the potential from its DFT minimum; the Hessian
is made of central differences of forces, in double precision. Frequencies are compared in rising
order, without the six, or five for a linear molecule, of translations and rotations.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.optimize import LBFGS
from ase.vibrations import Vibrations
from benchmarks_page import ORGANIC, ROOT, put, stated, table
from numpy.typing import NDArray

import eqnn
from eqnn import EQNN
from eqnn.report import PALETTE, drawing, png

DATA = ROOT / "data" / "qcr-small"
FREQUENCIES = ROOT / "data" / "vibrations" / "frequencies.json"
PICTURE = ROOT / "docs" / "images" / "frequencies.png"
BEGIN, END = "<!-- frequencies against DFT -->", "<!-- end of frequencies -->"
MODELS = (*ORGANIC, "nequix_mp_1", "sevennet_0")
HEAD = (
    *("potential", "molecules", "frequencies", "MAE, 1/cm", "below 1000", "1000 to 2500", "above"),
    *("mean error", "largest", "imaginary"),
)
FORCE = 1e-4  # eV/Angstrom, of a relaxed structure
STEP = 5e-3  # Angstrom, of the differences
STEPS = 2000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """Frequencies of a molecule in 1/cm, rising, with DFT's; imaginary ones are negative."""

    molecule: str
    found: Floats
    expected: Floats


def reference() -> list[tuple[Atoms, Floats]]:
    """Return the held-out molecules at their DFT minima, and their frequencies there.

    Without those of which DFT has an imaginary one: no minimum.
    """
    said = json.loads(FREQUENCIES.read_text())["molecules"]
    minima: dict[tuple[str, str], Atoms] = {}
    for split in ("validation", "test"):
        for atoms in ase.io.read(DATA / f"{split}.xyz.gz", ":"):
            if atoms.info["relaxed"]:
                minima[split, str(atoms.info["run"])] = atoms
    found = [(minima[one["split"], one["run"]], np.array(one["frequencies"])) for one in said]
    return [(atoms, expected) for atoms, expected in found if (expected > 0).all()]


def frequencies(atoms: Atoms, n: int) -> Floats:
    """Relax with the calculator of ``atoms``, and return the ``n`` highest frequencies."""
    with LBFGS(atoms, logfile=os.devnull) as optimizer:
        if not optimizer.run(fmax=FORCE, steps=STEPS):
            raise SystemExit(f"{atoms.info['molecule']}: not relaxed after {STEPS} steps.")
    with tempfile.TemporaryDirectory() as folder:
        modes = Vibrations(atoms, name=str(Path(folder) / "modes"), delta=STEP)
        modes.run()
        found = np.asarray(modes.get_frequencies())
    # Moves of the whole molecule are those that are nearest to zero.
    return np.sort(sorted((found.real - found.imag).tolist(), key=abs)[len(found) - n :])


def compared(model: str) -> list[Compared]:
    """Compare all molecules with a potential, which must know H, C, N and O."""
    calculator = EQNN(ROOT / "potentials" / f"{model}.eqnn")
    out = []
    for minimum, expected in reference():
        atoms = minimum.copy()
        atoms.calc = calculator
        name = str(minimum.info["molecule"])
        out.append(Compared(name, frequencies(atoms, len(expected)), expected))
    return out


def row(model: str, found: list[Compared]) -> list[str]:
    """Return the cells of a potential."""
    x = np.concatenate([one.found for one in found])
    y = np.concatenate([one.expected for one in found])
    error = x - y
    if not np.isfinite(error).all():
        raise SystemExit(f"{model}: has a frequency that is no number.")

    def mae(kept: Any) -> str:
        return f"{np.abs(error[kept]).mean():.0f}"

    return [
        *(f"`{model}`", str(len(found)), str(len(x)), mae(y > -np.inf)),
        *(mae(y < 1000), mae((y >= 1000) & (y < 2500)), mae(y >= 2500)),
        *(f"{error.mean():.0f}", f"{np.abs(error).max():.0f}", str(int((x < 0).sum()))),
    ]


def picture(results: dict[str, list[Compared]]) -> bytes:
    """Draw errors against DFT's frequencies."""
    with drawing(8.0, 3.6) as figure:
        axis = figure.subplots()
        for color, (model, found) in enumerate(results.items()):
            x = np.concatenate([one.expected for one in found])
            y = np.concatenate([one.found for one in found]) - x
            axis.plot(x, y, ".", color=PALETTE[color], label=model)
        axis.axhline(0.0, color="0.4", linewidth=0.8)
        axis.set_xlabel("frequency, B3LYP/6-31G* (1/cm)")
        axis.set_ylabel("potential minus DFT (1/cm)")
        axis.legend()
        return png(figure)


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    results = {model: compared(model) for model in MODELS}
    made = stated(eqnn.__version__, table(HEAD, (row(*one) for one in results.items())))
    if not options.write:
        print(made)
        return
    PICTURE.write_bytes(picture(results))
    put(BEGIN, END, made)


if __name__ == "__main__":
    main()
