# SPDX-License-Identifier: BSD-3-Clause
"""Run molecules at constant energy in LAMMPS and print the drifts of their energies.

    PYTHONPATH=python:training:data/qcr python -m organic.nve MODEL.eqnn FRAMES.xyz.gz [--ps 5]

The relaxed structure of each molecule of FRAMES starts with velocities of 600 K; half of this
energy becomes potential energy. It runs in double precision with steps of 0.5 fs. The program
prints a row for each: the slope of the total energy against time, its largest deviation, the mean
temperature of the second half, and whether the molecule still has its bonds. Needs LAMMPS with the
plugin.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_masses, chemical_symbols

from qcr.topology import BONDED_AT_MOST, COVALENT_RADIUS, bond_error

TIME_STEP = 0.5  # fs
EVERY = 20  # steps between rows


@dataclass(frozen=True)
class Drift:
    """What became of a molecule at constant energy.

    Attributes
    ----------
    slope : float
        Of the total energy of the molecule, meV/ps.
    largest : float
        Largest deviation from the first energy, meV.
    kelvin : float
        Mean temperature in the second half.
    broken : str or None
        Which bond is broken or made at the end.
    """

    slope: float
    largest: float
    kelvin: float
    broken: str | None


def script_of(atoms: Atoms, model: Path, steps: int, seed: int, time_step: float) -> str:
    """Return LAMMPS's input."""
    species = sorted(set(atoms.numbers.tolist()))
    x = atoms.positions - atoms.positions.mean(axis=0) + 50.0
    lines = ["units metal", "atom_style atomic", "atom_modify map array", "boundary p p p"]
    lines += ["region box block 0 100 0 100 0 100", f"create_box {len(species)} box"]
    for z, place in zip(atoms.numbers, x, strict=True):
        words = " ".join(repr(float(v)) for v in place)
        lines.append(f"create_atoms {species.index(z) + 1} single {words}")
    lines += [f"mass {k + 1} {atomic_masses[z]}" for k, z in enumerate(species)]
    symbols = " ".join(chemical_symbols[z] for z in species)
    lines += ["pair_style eqnn energy_zero free_atoms", f'pair_coeff * * "{model}" {symbols}']
    lines += ["neigh_modify every 1 delay 0 check yes", f"timestep {time_step / 1000}"]
    lines += [f"velocity all create 600 {seed} mom yes rot yes dist gaussian", "fix 1 all nve"]
    lines += [f"thermo {EVERY}", "thermo_style custom step temp etotal"]
    lines += ["thermo_modify format float %.12g lost error norm no"]
    lines += [f"run {steps}", "write_dump all custom end.txt id x y z modify sort id"]
    return "\n".join([*lines, ""])


def drift_of(
    atoms: Atoms, model: Path, picoseconds: float, seed: int, time_step: float = TIME_STEP
) -> Drift:
    """Run a molecule."""
    steps = round(picoseconds * 1000 / time_step)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.nve").write_text(script_of(atoms, model.resolve(), steps, seed, time_step))
        command = [str(Path(sys.executable).parent / "lmp"), "-in", "in.nve", "-log", "none"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=env
        )
        if done.returncode != 0:
            raise SystemExit(f"{atoms.info.get('smiles')}: LAMMPS failed:\n{done.stdout[-1500:]}")
        lines = (folder / "end.txt").read_text().splitlines()
    rows = [line.split() for line in done.stdout.splitlines()]
    table = np.array([[float(w) for w in r] for r in rows if len(r) == 3 and _is_row(r)])
    if len(table) < steps // EVERY:
        raise SystemExit(f"{atoms.info.get('smiles')}: {len(table)} rows of {steps // EVERY}.")
    time, energy = table[:, 0] * time_step / 1000, 1000 * (table[:, 2] - table[0, 2])
    end = np.array([[float(w) for w in line.split()[1:]] for line in lines[9:]])
    symbols = atoms.get_chemical_symbols()
    return Drift(
        float(np.polyfit(time, energy, 1)[0]),
        float(np.abs(energy).max()),
        float(table[len(table) // 2 :, 1].mean()),
        bond_error(symbols, end, bonds_of(symbols, atoms.positions)),
    )


def _is_row(words: Sequence[str]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return words[0].isdigit()


def bonds_of(symbols: Sequence[str], positions: np.ndarray) -> list[tuple[int, int]]:
    """Return the bonds of a structure by distances."""
    radii = np.array([COVALENT_RADIUS[s] for s in symbols])
    ratio = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    ratio /= radii[:, None] + radii[None]
    n = len(symbols)
    # Between what is bonded (1.0) and what is not (1.6 at least).
    within = 0.5 * (1.0 + BONDED_AT_MOST) + 0.1
    return [(i, j) for i in range(n) for j in range(i + 1, n) if ratio[i, j] < within]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each molecule."""
    parser = argparse.ArgumentParser(description="Drift of energies at constant energy.")
    parser.add_argument("model", type=Path)
    parser.add_argument("frames", type=Path, nargs="+")
    parser.add_argument("--ps", type=float, default=5.0)
    parser.add_argument("--time-step", type=float, default=TIME_STEP, help="fs")
    options = parser.parse_args(arguments)
    for path in (options.model, *options.frames):
        if not path.is_file():
            parser.error(f"{path}: found no file. Expected a potential, then frames")
    seen: set[str] = set()
    print("| molecule | atoms | K | drift, meV/ps | largest deviation, meV | bonds |")
    print("|---|---|---|---|---|---|")
    for path in options.frames:
        for atoms in ase.io.iread(path):
            name = str(atoms.info["molecule"])
            if not atoms.info["relaxed"] or name in seen:
                continue
            seen.add(name)
            d = drift_of(atoms, options.model, options.ps, 1234 + len(seen), options.time_step)
            bonds = d.broken or "kept"
            print(
                f"| {name} | {len(atoms)} | {d.kelvin:.0f} | {d.slope:.3f} | {d.largest:.2f} "
                f"| {bonds} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
