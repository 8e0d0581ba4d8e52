# SPDX-License-Identifier: BSD-3-Clause
"""Evaluates some frames by the pair style in LAMMPS itself, and compares."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import chemical_symbols
from ase.io.lammpsdata import write_lammps_data

from eqnn.built import find_built
from eqnn.check import SELF_TEST_TOLERANCE
from eqnn.errors import EqnnError, shortened
from eqnn.evaluation.errors import Pair
from eqnn.evaluation.predict import Judged
from eqnn.lammps import environment, find_lammps
from eqnn.so3 import FloatArray
from eqnn.structures import cell_with_vacuum

# Margin of the box around a molecule, Angstrom: wide enough that nothing leaves it.
_ROOM = 10.0


@dataclass(frozen=True)
class ThroughLammps:
    """Largest differences between LAMMPS's numbers and the engine's.

    Attributes
    ----------
    n_frames : int
    energy : float
        eV/atom.
    force : float
        Of a component, eV/Angstrom.
    worst : str
        Label of the frame with the largest.
    tolerance : float
        Both should be below; that of a model file's self-test.
    """

    n_frames: int
    energy: float
    force: float
    worst: str
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the differences are within the tolerance; False for NaN."""
        return self.energy <= self.tolerance and self.force <= self.tolerance


def choose(pairs: Sequence[Pair], n: int, seed: int) -> list[Pair]:
    """Choose n of the pairs at random, in their order; all if there are fewer."""
    chosen = np.random.default_rng(seed).permutation(len(pairs))[:n]
    return [pairs[k] for k in sorted(chosen.tolist())]


def through_lammps(judged: Judged, pairs: Sequence[Pair]) -> ThroughLammps:
    """Run the frames of some pairs in LAMMPS and compare with the pairs' predictions.

    Raises
    ------
    EqnnError
        If LAMMPS is not found, or fails: with its last line.
    """
    lmp = find_lammps()
    energies, forces = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # LAMMPS drops what is not ASCII in a path.
        shutil.copyfile(judged.path, folder / "model.eqnn")
        cutoff = judged.model.document["cutoff"]
        prisms = [_write_frame(folder, k, pair.frame.atoms, cutoff) for k, pair in enumerate(pairs)]
        script = "".join(_commands(judged, k, pair.frame.atoms) for k, pair in enumerate(pairs))
        (folder / "in.frames").write_text(script)
        log = _run(lmp, folder)
        found = [float(e) for e in re.findall(r"^eqnn-energy (\S+)$", log, re.MULTILINE)]
        for k, (pair, prism) in enumerate(zip(pairs, prisms, strict=True)):
            atoms = pair.frame.atoms
            rows = np.loadtxt(folder / f"forces.{k}", skiprows=9, ndmin=2)
            turned = prism.vector_to_ase(rows[:, 1:4])
            energies.append(abs(found[k] - pair.found.energy) / len(atoms))
            forces.append(_largest(turned - pair.found.forces))
    largest = np.maximum(np.array(energies), np.array(forces))
    worst = pairs[int(np.argmax(largest))].frame.label if pairs else ""  # argmax finds a NaN
    return ThroughLammps(
        len(pairs),
        _largest(np.array(energies)),
        _largest(np.array(forces)),
        worst,
        SELF_TEST_TOLERANCE[judged.precision],
    )


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _write_frame(folder: Path, k: int, atoms: Atoms, cutoff: float) -> Prism:
    """Write a data file; return the rotation from LAMMPS's axes back to the frame's."""
    boxed: Atoms = atoms.copy()
    cell = cell_with_vacuum(atoms, cutoff)
    if cell is not None:
        # LAMMPS allows skewed boxes only along periodic axes; the others get vacuum.
        boxed.set_cell(cell)
        boxed.pbc = True
    else:
        extent = np.ptp(atoms.positions, axis=0)
        boxed.set_cell(np.diag(extent + 2.0 * _ROOM))
        boxed.positions += _ROOM - atoms.positions.min(axis=0)
    prism = Prism(boxed.cell.array, boxed.pbc)
    symbols = [chemical_symbols[z] for z in sorted(set(atoms.numbers.tolist()))]
    write_lammps_data(
        folder / f"data.{k}",
        boxed,
        specorder=symbols,
        prismobj=prism,
        masses=True,
        units="metal",
        atom_style="atomic",
    )
    return prism


def _commands(judged: Judged, k: int, atoms: Atoms) -> str:
    document = judged.model.document
    symbols = " ".join(chemical_symbols[z] for z in sorted(set(atoms.numbers.tolist())))
    allowed = ""
    if document["energy"]["semantics"] != "extensive":
        allowed += " allow mean-per-atom"
    if document["forces"] != "gradient":
        allowed += " allow direct-forces"
    return (
        "clear\nunits metal\natom_style atomic\natom_modify map yes\n"
        f"boundary {'p p p' if atoms.pbc.any() else 'f f f'}\nbox tilt large\n"
        f"read_data data.{k}\npair_style eqnn precision {judged.precision}{allowed}\n"
        f"pair_coeff * * model.eqnn {symbols}\nthermo_style custom step pe\nrun 0\n"
        'print "eqnn-energy $(pe:%.17g)"\n'
        f"write_dump all custom forces.{k} id fx fy fz modify sort id format float %.17g\n"
    )


def _run(lmp: Path, folder: Path) -> str:
    done = subprocess.run(
        [str(lmp), "-in", "in.frames", "-log", "none"],
        cwd=folder,
        env=environment(lmp, find_built("eqnnplugin.so", "EQNN_PLUGIN")),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "nothing")
        raise EqnnError(
            f"--through-lammps: {lmp} failed with code {done.returncode}: "
            f"{shortened(said.strip(), 200)}\n"
            "Fix what it says, or leave the option out."
        )
    return done.stdout
