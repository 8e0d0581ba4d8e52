# SPDX-License-Identifier: BSD-3-Clause
"""Relaxes and runs a molecule in LAMMPS with a shipped model; reports and draws what came out.

``eqnn demo``, or ``make demo`` in a clone, which builds what it needs first.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import iread
from numpy.typing import NDArray

from eqnn.built import data_folder, find_built
from eqnn.errors import EqnnError
from eqnn.lammps import ask, environment, find_lammps
from eqnn.model_file import Model, read_model

INPUTS = data_folder("examples") / "lammps_inputs"
MODEL = data_folder("potentials") / "tdn_3bpa_exact.eqnn"
LABELLED = data_folder("examples") / "data" / "3bpa_labelled.xyz"
TIMESTEP = 0.0005  # ps, as in the input script
TEMPERATURES = (300, 600, 1200)  # of the thirds of the labelled frames

Table = NDArray[np.float64]


def run_lammps(folder: Path, script: str, **variables: str | Path) -> str:
    """Run an input script of the examples in a folder; return LAMMPS's log."""
    lmp = find_lammps()
    env = environment(lmp, find_built("eqnnplugin.so", "EQNN_PLUGIN", ask(lmp).release))
    log = folder / f"log.{script.removeprefix('in.')}"
    command = [str(lmp), "-in", script, "-log", log.name, "-screen", "none"]
    for name, value in variables.items():
        command += ["-var", name, str(value)]
    start = time.monotonic()
    print(f"  lmp -in {script} ...", end="", flush=True)
    done = subprocess.run(
        command,
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


@dataclass
class Comparison:
    """Predicted and DFT values of the labelled frames."""

    energies: Table  # [frame] eV
    dft_energies: Table
    forces: Table  # [frame, atom, 3] eV/Angstrom
    dft_forces: Table


def compare_with_dft(folder: Path) -> Comparison:
    """Evaluate the labelled frames in LAMMPS."""
    frames = list(iread(LABELLED))
    lines = []
    for step, atoms in enumerate(frames):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(atoms))]
        lines += ["ITEM: BOX BOUNDS ss ss ss", *["-50 50"] * 3, "ITEM: ATOMS id x y z"]
        lines += [f"{k + 1} {x} {y} {z}" for k, (x, y, z) in enumerate(atoms.positions)]
    (folder / "3bpa_frames.lammpstrj").write_text("\n".join(lines) + "\n")
    table = thermo_tables(
        run_lammps(folder, "in.3bpa_labelled_frames", model=MODEL, frames="3bpa_frames.lammpstrj")
    )[0]
    n = len(frames[0])
    rows = (folder / "3bpa_forces.lammpstrj").read_text().splitlines()
    numbers = [row.split()[1:4] for k, row in enumerate(rows) if k % (n + 9) > 8]
    return Comparison(
        energies=table["PotEng"],
        dft_energies=np.array([atoms.get_potential_energy() for atoms in frames]),
        forces=np.array(numbers, dtype=np.float64).reshape(-1, n, 3),
        dft_forces=np.array([atoms.get_forces() for atoms in frames]),
    )


def thirds(values: Table) -> list[Table]:
    """Split by the temperature of the molecular dynamics that the frames are from."""
    return np.split(values, 3)


def draw(relaxation: dict[str, Table], nve: dict[str, Table], dft: Comparison, path: Path) -> None:
    """Write the picture: energy and largest force along the run; forces against DFT."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(11, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.3))
    zero = relaxation["PotEng"][-1]
    picosecond = nve["Step"] * TIMESTEP

    top = figure.add_subplot(grid[0, 0])
    top.plot(relaxation["Step"], relaxation["PotEng"] - zero, color="C0")
    top.set(title="relaxation (FIRE)", ylabel="energy / eV")
    below = figure.add_subplot(grid[1, 0], sharex=top)
    below.semilogy(relaxation["Step"], relaxation["Fmax"], color="C3")
    below.set(xlabel="step", ylabel="largest force / (eV/Å)")

    top = figure.add_subplot(grid[0, 1])
    top.plot(picosecond, nve["PotEng"] - zero, color="C0", label="potential")
    top.plot(picosecond, nve["TotEng"] - zero, color="k", label="total")
    top.set(title="constant energy (NVE)", ylabel="energy / eV")
    top.legend(frameon=False)
    below = figure.add_subplot(grid[1, 1], sharex=top)
    below.plot(picosecond, nve["Fmax"], color="C3")
    below.set(xlabel="time / ps", ylabel="largest force / (eV/Å)", ylim=(0, None))

    parity = figure.add_subplot(grid[:, 2])
    limit = 1.05 * np.abs(dft.dft_forces).max()
    parity.plot([-limit, limit], [-limit, limit], color="0.7", lw=1, zorder=0)
    pairs = zip(TEMPERATURES, thirds(dft.dft_forces), thirds(dft.forces), strict=True)
    for (temperature, x, y), color in zip(reversed(list(pairs)), ("C3", "C1", "C0"), strict=True):
        error = 1e3 * np.abs(x - y).mean()
        label = f"{temperature} K, mean error {error:.0f} meV/Å"
        parity.plot(x.ravel(), y.ravel(), ".", ms=2.5, color=color, label=label)
    parity.set(
        title="forces against DFT",
        xlabel="DFT / (eV/Å)",
        ylabel="eqnn / (eV/Å)",
        xlim=(-limit, limit),
        ylim=(-limit, limit),
        aspect="equal",
    )
    parity.legend(frameon=False, markerscale=4)
    figure.savefig(path, dpi=150)


def report(
    model: Model, log: str, relaxation: dict[str, Table], nve: dict[str, Table], dft: Comparison
) -> None:
    """Print what ran and what came out."""
    loops = re.findall(r"^Loop time of (\S+) on .* for (\d+) steps with (\d+) atoms", log, re.M)
    seconds, n_steps, n_atoms = float(loops[-1][0]), int(loops[-1][1]), int(loops[-1][2])
    milliseconds, per_atom = 1e3 * seconds / n_steps, 1e6 * seconds / n_steps / n_atoms
    release = re.search(r"LAMMPS \((.*)\)", log)
    energy, largest = relaxation["PotEng"], relaxation["Fmax"]
    drift = 1e3 * (nve["TotEng"][-1] - nve["TotEng"][0])
    femtoseconds, picoseconds = 1e3 * TIMESTEP, n_steps * TIMESTEP
    temperature = nve["Temp"][len(nve["Temp"]) // 2 :].mean()
    energy_errors = [1e3 * np.abs(e).mean() for e in thirds(dft.energies - dft.dft_energies)]
    force_errors = [1e3 * np.abs(f).mean() for f in thirds(dft.forces - dft.dft_forces)]
    level = model.document["provenance"]["level_of_theory"]
    print(f"""
A Tensor Decomposition Network relaxes and runs 3BPA (C12H12N2O, {n_atoms} atoms)

  LAMMPS             {release.group(1) if release else "?"}, unpatched, with eqnnplugin.so
  model              {MODEL.name}: {model.n_parameters} parameters,
                     trained by its authors' own code on DFT ({level})
  relaxation         FIRE, {relaxation["Step"][-1]:.0f} steps from hot molecular dynamics
    energy           {energy[0]:.4f} -> {energy[-1]:.4f} eV ({energy[-1] - energy[0]:+.4f})
    largest force    {largest[0]:.3f} -> {largest[-1]:.3f} eV/A
  constant energy    {n_steps} steps of {femtoseconds:g} fs, {temperature:.0f} K in its second half
    drift            {drift:+.1f} meV in {picoseconds:g} ps: the network has no envelope,
                     so its energy jumps where a pair crosses the cutoff
  time               {milliseconds:.2f} ms a step, {per_atom:.0f} us a step and atom
                     (double precision, one thread)

  mean errors against DFT, {len(dft.energies)} structures (trained on others, at 300 K only)
                     {"".join(f"{t:10} K" for t in TEMPERATURES)}
    energy           {"".join(f"{e:12.0f}" for e in energy_errors)}   meV per molecule
    forces           {"".join(f"{f:12.0f}" for f in force_errors)}   meV/A per component""")


def run(options: argparse.Namespace) -> int:
    """Run, report, draw."""
    folder: Path = options.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EqnnError(
            f"--output {folder}: cannot be made ({error.strerror}). Name another folder."
        ) from None
    for name in ("data.3bpa", "in.3bpa_relax_and_nve", "in.3bpa_labelled_frames"):
        (folder / name).write_bytes((INPUTS / name).read_bytes())
    model = read_model(MODEL)
    print(f"running in {folder}, on one thread:")
    log = run_lammps(folder, "in.3bpa_relax_and_nve", model=MODEL)
    relaxation, nve = thermo_tables(log)
    dft = compare_with_dft(folder)
    picture = folder / "demo.png"
    draw(relaxation, nve, dft, picture)
    report(model, log, relaxation, nve, dft)
    print(f"""
  picture            {picture}
  relaxed structure  {folder / "3bpa_relaxed.xyz"}
  input scripts      {folder}/in.3bpa_*""")
    return 0


def add_parser(commands: Any) -> None:
    """Add ``eqnn demo``."""
    parser = commands.add_parser(
        "demo",
        help="relax and run a molecule in LAMMPS, with a report and a picture",
        description="Relaxes and runs 3BPA in LAMMPS with a shipped model, and compares with DFT. "
        "Half a minute.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("eqnn-demo"),
        metavar="FOLDER",
        help="made if it is not there; eqnn-demo if left out",
    )
    parser.set_defaults(run=run)
