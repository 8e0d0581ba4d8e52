# SPDX-License-Identifier: BSD-3-Clause
"""Relaxes molecules that a shipped potential was not trained on, and runs one; reports and draws.

``eqnn demo``, or ``make demo`` in a clone, which builds what it needs first.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.io import iread
from ase.io.lammpsdata import write_lammps_data
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eqnn.built import data_folder, find_built
from eqnn.errors import EqnnError
from eqnn.lammps import ask, environment, find_lammps
from eqnn.model_file import Model, read_model
from eqnn.relaxation import Settings, relax
from eqnn.relaxation.compare import bonds, changed_bonds, rmsd

MODEL = data_folder("potentials") / "organic_tdn.eqnn"
# Of data/qcr-small: the first, hot frame of each relaxation by DFT, and its minimum.
HELD_OUT = data_folder("examples") / "data" / "held_out.xyz"
ELEMENTS = ("H", "C", "N", "O")
# eV/Angstrom. On top of the barrier of a methyl group's turn, forces are small too: at 0.001,
# L-BFGS still stands on one that FIRE has left.
FMAX, FMAX_TOGETHER = 0.001, 0.0001
TIMESTEP = 0.0005  # ps
ROOM = 10.0  # Angstrom around a molecule

Table = NDArray[np.float64]

INPUT = """# Relaxes data.1 to data.{n} one after another, then runs the last at constant energy.
variable        k loop {n}
label           one
clear
units           metal
boundary        s s s
read_data       data.${{k}}
pair_style      eqnn precision double
pair_coeff      * * {model} {elements}
thermo_style    custom step temp pe etotal fmax
thermo_modify   format float %.10g
thermo          10
min_style       fire
minimize        0 {fmax} 10000 50000
write_dump      all custom relaxed.${{k}} id x y z modify sort id format float %.10f
next            k
jump            SELF one

# 600 K, of which the relaxed molecule's vibrations take half: it ends near 300 K
reset_timestep  0
velocity        all create 600 2025 mom yes rot yes
timestep        {timestep}
fix             1 all nve
run             {steps}
"""


@dataclass
class Molecule:
    """A molecule: its start, the DFT minimum, and the minima by LAMMPS and by `eqnn relax`."""

    name: str
    start: Atoms
    dft: Atoms
    found: Atoms
    energies: tuple[float, float]  # eV, of the start and of the minimum, by LAMMPS
    steps: int
    by_eqnn: float = float("nan")  # eV

    @property
    def drops(self) -> tuple[float, float]:
        """Decrease of the energy by the relaxation, eV: of the potential, and of DFT."""
        by_dft = self.start.get_potential_energy() - self.dft.get_potential_energy()
        return self.energies[0] - self.energies[1], float(by_dft)


def read_held_out() -> list[tuple[str, Atoms, Atoms]]:
    """Names, starts and DFT minima, the largest molecule last."""
    frames = list(iread(HELD_OUT))
    pairs = [(a.info["molecule"], a, b) for a, b in zip(frames[::2], frames[1::2], strict=True)]
    return sorted(pairs, key=lambda pair: len(pair[1]))


def write_data(path: Path, atoms: Atoms) -> None:
    """Write a LAMMPS data file with all elements as types, in a large box."""
    boxed = Atoms(atoms.numbers, atoms.positions - atoms.positions.min(axis=0) + ROOM)
    boxed.set_cell(np.diag(np.ptp(atoms.positions, axis=0) + 2 * ROOM))
    write_lammps_data(path, boxed, specorder=list(ELEMENTS), masses=True, units="metal")


def run_lammps(folder: Path, script: str) -> str:
    """Run an input script in its folder; return LAMMPS's log."""
    lmp = find_lammps()
    env = environment(lmp, find_built("eqnnplugin.so", "EQNN_PLUGIN", ask(lmp).release))
    log = folder / "log.lammps"
    start = time.monotonic()
    print(f"  lmp -in {script} ...", end="", flush=True)
    done = subprocess.run(
        [str(lmp), "-in", script, "-log", log.name, "-screen", "none"],
        cwd=folder,
        env=env | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f" {time.monotonic() - start:.1f} s", flush=True)
    if done.returncode != 0:
        lines = log.read_text().splitlines() if log.exists() else done.stderr.splitlines()
        raise EqnnError(
            f"LAMMPS failed (code {done.returncode}); the end of {log}:\n" + "\n".join(lines[-15:])
        )
    return log.read_text()


def thermo_tables(log: str) -> list[dict[str, Table]]:
    """Return the tables that LAMMPS printed, each as columns by name."""
    tables = []
    for match in re.finditer(r"^ +Step .*?(?=^Loop time)", log, re.MULTILINE | re.DOTALL):
        head, *rows = match.group(0).splitlines()
        numbers = [row.split() for row in rows if re.match(r"^ +\d+ ", row)]
        values = np.array(numbers, dtype=np.float64)
        tables.append(dict(zip(head.split(), values.T, strict=True)))
    return tables


def molecules(folder: Path, tables: Sequence[dict[str, Table]]) -> list[Molecule]:
    """Read LAMMPS's result for each molecule, and relax the same molecules together without it."""
    out = []
    for k, (name, start, dft) in enumerate(read_held_out()):
        found = Atoms(start.numbers, np.loadtxt(folder / f"relaxed.{k + 1}", skiprows=9)[:, 1:4])
        energy = tables[k]["PotEng"]
        steps = int(tables[k]["Step"][-1])
        require_relaxed("LAMMPS", name, float(tables[k]["Fmax"][-1]), FMAX, steps)
        out.append(Molecule(name, start, dft, found, (energy[0], energy[-1]), steps))
    relaxed = relax([one.start for one in out], MODEL, Settings(fmax=FMAX_TOGETHER))
    for one, by_eqnn in zip(out, relaxed, strict=True):
        assert by_eqnn is not None
        require_relaxed("eqnn relax", one.name, by_eqnn.fmax, FMAX_TOGETHER, by_eqnn.steps)
        one.by_eqnn = by_eqnn.energy
    return out


def require_relaxed(program: str, name: str, largest: float, limit: float, steps: int) -> None:
    """Raise EqnnError if the largest force on an atom, eV/Angstrom, is above the limit."""
    if not largest <= limit:
        raise EqnnError(
            f"{program} did not relax {name}: after {steps} steps the largest force is "
            f"{largest:.3g} eV/A, expected at most {limit:g}.\n"
            f"Check the installation with `eqnn doctor`, and the potential with `eqnn check`."
        )


def onto(atoms: Atoms, reference: Atoms) -> Table:
    """Return positions [n, 3] rotated onto the reference, both relative to their centers."""
    x = atoms.positions - atoms.positions.mean(axis=0)
    y = reference.positions - reference.positions.mean(axis=0)
    turn, _ = Rotation.align_vectors(y, x)
    return np.asarray(turn.apply(x))


def draw_molecule(axes: Any, one: Molecule) -> None:
    """Draw the start in gray, DFT's minimum as lines, and the potential's as atoms."""
    centered = one.dft.positions - one.dft.positions.mean(axis=0)
    plane = np.linalg.svd(centered)[2]  # the widest view
    pairs = sorted(bonds(one.dft))
    start, dft, found = (
        onto(atoms, one.dft) @ plane.T for atoms in (one.start, one.dft, one.found)
    )
    for i, j in pairs:
        axes.plot(
            *start[[i, j], :2].T,
            color="0.85",
            lw=5,
            zorder=0,
            solid_capstyle="round",
            clip_on=False,
        )
        axes.plot(*found[[i, j], :2].T, color="0.55", lw=2.5, zorder=1)
        axes.plot(*dft[[i, j], :2].T, color="C3", lw=0.8, zorder=4)
    for k in np.argsort(found[:, 2]):
        z = one.dft.numbers[k]
        size = 330 * covalent_radii[z]
        axes.scatter(
            *found[k, :2],
            s=size,
            color=jmol_colors[z],
            edgecolor="0.3",
            lw=0.6,
            zorder=2,
            clip_on=False,
        )
    axes.set(aspect="equal", xlim=(-2.9, 2.9), ylim=(-2.6, 2.6))  # all on the same scale
    axes.axis("off")
    axes.set_title(f"{one.name}\n{rmsd(one.found, one.dft):.3f} Å", fontsize=8)


def draw(found: Sequence[Molecule], nve: dict[str, Table], path: Path) -> None:
    """Write the picture: the molecules, and energies along the run."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.add_gridspec(3, 6, width_ratios=(1, 1, 1, 1, 1.1, 1.1))
    for k, one in enumerate(found):
        draw_molecule(figure.add_subplot(grid[k // 4, k % 4]), one)
    figure.suptitle(
        "hot start (gray), relaxed by eqnn (atoms), DFT's minimum (red lines); "
        "distance of heavy atoms from DFT's",
        fontsize=9,
    )
    picosecond = nve["Step"] * TIMESTEP
    axes = figure.add_subplot(grid[:2, 4:])
    axes.plot(picosecond, nve["PotEng"] - nve["TotEng"][0], color="C0", label="potential")
    axes.plot(picosecond, nve["TotEng"] - nve["TotEng"][0], color="k", label="total")
    axes.set(title=f"{found[-1].name} at constant energy (NVE)", xlabel="time / ps")
    axes.set_ylabel("energy / eV")
    axes.legend(frameon=False)
    axes = figure.add_subplot(grid[2, 4:])
    drops = np.array([one.drops for one in found])
    axes.plot([0, drops.max()], [0, drops.max()], color="0.7", lw=1, zorder=0)
    axes.plot(drops[:, 1], drops[:, 0], "o", ms=4)
    axes.set(xlabel="energy of relaxation by DFT / eV", ylabel="by eqnn / eV", aspect="equal")
    figure.savefig(path, dpi=150)


def report(model: Model, log: str, found: Sequence[Molecule], nve: dict[str, Table]) -> None:
    """Print what ran, and the results."""
    release = re.search(r"LAMMPS \((.*)\)", log)
    loops = re.findall(r"^Loop time of (\S+) on .* for (\d+) steps with (\d+) atoms", log, re.M)
    seconds, n_steps, n_atoms = float(loops[-1][0]), int(loops[-1][1]), int(loops[-1][2])
    femtoseconds, picoseconds = 1e3 * TIMESTEP, n_steps * TIMESTEP
    print(f"""
A Tensor Decomposition Network relaxes {len(found)} molecules that it was not trained on

  LAMMPS             {release.group(1) if release else "?"}, unpatched, with eqnnplugin.so
  model              {MODEL.name}: {model.n_parameters} parameters; see potentials/README.md
  relaxation         FIRE, from hot molecules to {FMAX} eV/A

                       heavy atoms off DFT's     energy of relaxation / eV
                       minimum / A               by eqnn      by DFT     steps""")
    for one in found:
        made, broken = changed_bonds(one.found, one.dft)
        changed = f"   other bonds: {' '.join(made + broken)}" if made or broken else ""
        ours, dft = one.drops
        print(
            f"  {one.name:21}{rmsd(one.start, one.dft):6.2f} -> {rmsd(one.found, one.dft):.4f}"
            f"{ours:20.2f}{dft:12.2f}{one.steps:10}{changed}"
        )
    distance = [rmsd(one.found, one.dft) for one in found]
    error = [abs(one.drops[0] - one.drops[1]) for one in found]
    other = 1e3 * np.max([abs(one.by_eqnn - one.energies[1]) for one in found])  # keeps a NaN
    per_step = 1e3 * seconds / n_steps
    total = 1e3 * (nve["TotEng"] - nve["TotEng"][0])
    slope = np.polyfit(nve["Step"] * TIMESTEP, total, 1)[0]
    temperature = nve["Temp"][len(nve["Temp"]) // 2 :].mean()
    print(f"""
  median             {np.median(distance):.4f} A; error of the energy (mean) {np.mean(error):.2f} eV
  eqnn relax         all in one call, by L-BFGS to {FMAX_TOGETHER} eV/A:
                     energies within {other:.1f} meV of LAMMPS's
  constant energy    {found[-1].name}, {n_steps} steps of {femtoseconds:g} fs, {temperature:.0f} K
    drift            {slope:+.2f} meV/ps in {picoseconds:g} ps; within {np.ptp(total):.1f} meV
  time               {per_step:.2f} ms a step, {1e3 * per_step / n_atoms:.0f} us a step and atom
                     (double precision, one thread)""")


def run(options: argparse.Namespace) -> int:
    """Run, report, draw."""
    folder: Path = options.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EqnnError(
            f"--output {folder}: cannot be made ({error.strerror}). Name another folder."
        ) from None
    held_out = read_held_out()
    for k, (_, start, _) in enumerate(held_out):
        write_data(folder / f"data.{k + 1}", start)
    # LAMMPS drops what is not ASCII in a path.
    (folder / MODEL.name).write_bytes(MODEL.read_bytes())
    script = INPUT.format(
        n=len(held_out),
        model=MODEL.name,
        elements=" ".join(ELEMENTS),
        fmax=FMAX,
        timestep=TIMESTEP,
        steps=4000,
    )
    (folder / "in.demo").write_text(script)
    print(f"running in {folder}, on one thread:")
    log = run_lammps(folder, "in.demo")
    *relaxations, nve = thermo_tables(log)
    found = molecules(folder, relaxations)
    picture = folder / "demo.png"
    draw(found, nve, picture)
    report(read_model(MODEL), log, found, nve)
    print(f"""
  picture            {picture}
  input script       {folder / "in.demo"}""")
    return 0


def add_parser(commands: Any) -> None:
    """Add ``eqnn demo``."""
    parser = commands.add_parser(
        "demo",
        help="relax molecules in LAMMPS and compare them with DFT",
        description="Relaxes twelve molecules in LAMMPS with a shipped potential that was not "
        "trained on them, compares them with the DFT minima, and runs one. Half a minute.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("eqnn-demo"),
        metavar="FOLDER",
        help="folder for the results; default: eqnn-demo",
    )
    parser.set_defaults(run=run)
