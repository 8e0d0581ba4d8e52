# SPDX-License-Identifier: BSD-3-Clause
"""Runs LAMMPS with the plugin in its own processes, on any number of ranks; reads the results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, chemical_symbols
from safetensors.numpy import load_file

from eqnn.built import find_built
from eqnn.model_file import read_model
from eqnn.so3 import FloatArray

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
POTENTIALS = ROOT / "potentials"
# "openmp" or "serial": the LAMMPS with the KOKKOS package of `make kokkos`, every style with /kk.
KOKKOS = os.environ.get("EQNN_LAMMPS_KOKKOS", "")
# Words that every `pair_style eqnn` gets, as --lammps-words says.
WORDS = os.environ.get("EQNN_LAMMPS_WORDS", "")
# Another LAMMPS by its environment's bin folder, with the plugin for it in EQNN_PLUGIN.
VENV_BIN = Path(sys.executable).parent
BIN = Path(os.environ.get("EQNN_LAMMPS_BIN", VENV_BIN))
if KOKKOS:
    BIN = ROOT / ".eqnn" / "lammps-kokkos" / KOKKOS / "bin"
MPIEXEC = str((VENV_BIN if KOKKOS else BIN) / "mpiexec")
LAMMPS_DATE = "4 Feb 2025" if KOKKOS else "22 Jul 2025"
# LAMMPS's own constant: eV/A^3 in bar, for units metal
NKTV2P = 1.6021765e6
VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def environment() -> dict[str, str]:
    """Environment in which LAMMPS finds MPI and the plugin."""
    env = dict(os.environ)
    env["LD_LIBRARY_PATH"] = f"{BIN.parent / 'lib'}:{env.get('LD_LIBRARY_PATH', '')}"
    plugin = ROOT / ".eqnn" / "build" / f"kokkos-{KOKKOS}" / "lib" / "eqnnplugin.so"
    if not KOKKOS or "EQNN_PLUGIN" in os.environ:
        plugin = find_built("eqnnplugin.so", "EQNN_PLUGIN")
    env["LAMMPS_PLUGIN_PATH"] = str(plugin.parent)
    env["OMP_NUM_THREADS"] = "1"
    return env


LMP = (str(BIN / "lmp"), "-in", "in.test", "-log", "none")


def kokkos_options(env: dict[str, str], package: str = "") -> list[str]:
    """Return the options that switch KOKKOS on, or none.

    Parameters
    ----------
    env : dict
        LAMMPS does not read OMP_NUM_THREADS itself where KOKKOS is on.
    package : str
        Options of LAMMPS's command ``package kokkos``.
    """
    if not KOKKOS:
        return []
    threads = env["OMP_NUM_THREADS"] if KOKKOS == "openmp" else "1"
    words = ["-k", "on", "t", threads, "-sf", "kk"]
    return words + (["-pk", "kokkos", *package.split()] if package else [])


def with_words(script: str, words: str) -> str:
    """Add keywords to every ``pair_style eqnn``, in hybrid styles too."""
    return (
        re.sub(r"^(pair_style .*\beqnn)\b(?!\.)", rf"\1 {words}", script, flags=re.M)
        if words
        else script
    )


def run_script(
    folder: Path,
    script: str,
    ranks: int = 1,
    env: dict[str, str] | None = None,
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run an input script; return the finished process, whether it succeeded or not."""
    env = environment() if env is None else env
    launcher = [] if ranks == 1 else [MPIEXEC, "-n", str(ranks)]
    # who names a suffix or a package names all of KOKKOS's words
    kokkos = [] if "-k" in options else kokkos_options(env)
    return _run(folder, script, [*launcher, *LMP, *kokkos, *options], env)


def run_ranks(
    folder: Path, script: str, commands: Sequence[Sequence[str]], env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an input script with a command of its own on each rank."""
    words = [MPIEXEC]
    for k, command in enumerate(commands):
        words += [":"] * (k > 0) + ["-n", "1", *command]
    return _run(folder, script, words, env)


def _run(
    folder: Path, script: str, words: Sequence[str], env: dict[str, str] | None
) -> subprocess.CompletedProcess[str]:
    (folder / "in.test").write_text(with_words(script, WORDS))
    return _run_words(folder, words, environment() if env is None else env)


def _run_words(
    folder: Path, words: Sequence[str], env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        errors="replace",  # LAMMPS breaks characters beyond ASCII
        timeout=300,
        check=False,
    )


def run_python(folder: Path, program: str, argument: str) -> str:
    """Run a program with LAMMPS's Python module, which must succeed; return what it printed."""
    done = _run_words(folder, [sys.executable, "-c", program, argument], environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def succeed(folder: Path, script: str, ranks: int = 1, options: Sequence[str] = ()) -> str:
    """Run an input script that must succeed; return what LAMMPS printed."""
    done = run_script(folder, script, ranks, options=options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fail(folder: Path, script: str, ranks: int = 1) -> str:
    """Run an input script that must end with an error; return what LAMMPS printed, on one line."""
    done = run_script(folder, script, ranks)
    assert done.returncode != 0, done.stdout
    assert "ERROR" in done.stdout + done.stderr, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def write_data(
    path: Path, atoms: Atoms, elements: Sequence[int], types: Sequence[int] | None = None
) -> None:
    """Write a data file at full precision.

    Parameters
    ----------
    path : Path
    atoms : Atoms
        Periodic ones have a lower triangular cell; others get a box around them.
    elements : sequence of int
        Atomic number of each atom type.
    types : sequence of int, optional
        Atom types from 1; by the element if left out.
    """
    if types is None:
        types = [list(elements).index(z) + 1 for z in atoms.numbers]
    lines = ["test", "", f"{len(atoms)} atoms", f"{len(elements)} atom types", ""]
    if atoms.pbc.any():
        cell = atoms.cell.array
        assert np.allclose(np.triu(cell, 1), 0.0)
        low = np.zeros(3)
        high = np.diag(cell)
        tilt = f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz"
    else:
        low, high = atoms.positions.min(axis=0) - 8.0, atoms.positions.max(axis=0) + 8.0
        tilt = ""
    for axis, a, b in zip("xyz", low, high, strict=True):
        lines.append(f"{a:.17g} {b:.17g} {axis}lo {axis}hi")
    lines += [tilt, "", "Masses", ""]
    lines += [f"{k + 1} {atomic_masses[z]}" for k, z in enumerate(elements)]
    lines += ["", "Atoms # atomic", ""]
    for k, (kind, x) in enumerate(zip(types, atoms.positions, strict=True)):
        lines.append(f"{k + 1} {kind} " + " ".join(f"{v:.17g}" for v in x))
    path.write_text("\n".join(lines) + "\n")


def write_trajectory(path: Path, numbers: FloatArray, frames: FloatArray, margin: float) -> None:
    """Write positions [frame, atom, 3] of a molecule for ``rerun``, at full precision."""
    lines = []
    for step, positions in enumerate(frames):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(numbers))]
        lines += ["ITEM: BOX BOUNDS ff ff ff"]
        lines += [f"{min(x) - margin:.17g} {max(x) + margin:.17g}" for x in positions.T]
        lines += ["ITEM: ATOMS id x y z"]
        lines += [f"{k + 1} {x:.17g} {y:.17g} {z:.17g}" for k, (x, y, z) in enumerate(positions)]
    path.write_text("\n".join(lines) + "\n")


def read_dump(path: Path, n_atoms: int, columns: slice) -> FloatArray:
    """Read all frames of a sorted dump: [frame, atom, column]."""
    lines = path.read_text().splitlines()
    rows = [line.split() for k, line in enumerate(lines) if k % (n_atoms + 9) > 8]
    table = np.array(rows, dtype=np.float64)
    return table.reshape(-1, n_atoms, table.shape[1])[:, :, columns]


@dataclass
class Result:
    """One evaluation, in eV and Angstrom (or LAMMPS's units, if others were asked for).

    Attributes
    ----------
    energy : float
    forces : ndarray [n, 3]
    virial : ndarray [6]
        xx yy zz xy xz yz; zeros where none was asked for.
    atom_energies : ndarray [n]
    atom_virials : ndarray [n, 6]
    log : str
    """

    energy: float
    forces: FloatArray
    virial: FloatArray
    atom_energies: FloatArray
    atom_virials: FloatArray
    log: str


@dataclass
class Setup:
    """The input script of an evaluation."""

    model: Path
    atoms: Atoms
    elements: Sequence[int] | None = None  # of the atom types; those of the atoms if None
    types: Sequence[int] | None = None
    style: str = "eqnn"
    coeffs: Sequence[str] | None = None  # pair_coeff lines, if not the usual one
    units: str = "metal"
    before: str = ""  # lines before the data file is read
    after: str = ""  # lines after pair_coeff
    virial: bool = True

    def __post_init__(self) -> None:
        if self.elements is None:
            self.elements = sorted(set(self.atoms.numbers.tolist()))

    def script(self, folder: Path) -> str:
        """Write the data file; return the script up to pair_coeff."""
        assert self.elements is not None
        write_data(folder / "data.test", self.atoms, self.elements, self.types)
        symbols = " ".join(chemical_symbols[z] for z in self.elements)
        coeffs = self.coeffs or [f"pair_coeff * * {self.model} {symbols}"]
        boundary = " ".join("p" if p else "f" for p in self.atoms.pbc)
        return "\n".join(
            [
                f"units {self.units}",
                "atom_style atomic",
                "atom_modify map yes",
                f"boundary {boundary}",
                self.before,
                "read_data data.test",
                f"pair_style {self.style}",
                *coeffs,
                self.after,
                "",
            ]
        )

    def evaluate(self, folder: Path, ranks: int = 1, options: Sequence[str] = ()) -> Result:
        """Evaluate the structure once."""
        stress = "compute s all stress/atom NULL virial\ncompute p all pressure NULL virial\n"
        columns = " c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]" if self.virial else ""
        pressures = " ".join(f"$(c_p[{k}]:%.17g)" for k in range(1, 7))
        log = succeed(
            folder,
            self.script(folder)
            + "compute e all pe/atom\n"
            + (stress if self.virial else "")
            + "thermo_style custom step pe vol"
            + (" c_p[1]\n" if self.virial else "\n")
            + "thermo_modify norm no\n"
            + f"dump d all custom 1 dump.test id fx fy fz c_e{columns}\n"
            + "dump_modify d sort id format float %.17g\n"
            + "run 0\n"
            + 'print "RESULT $(pe:%.17g) $(vol:%.17g) '
            + (pressures if self.virial else "0 0 0 0 0 0")
            + '"\n',
            ranks,
            options,
        )
        line = next(line for line in log.splitlines() if line.startswith("RESULT"))
        energy, volume, *pressure = (float(word) for word in line.split()[1:])
        table = read_dump(folder / "dump.test", len(self.atoms), slice(None))[-1]
        # stress/atom is the negative of the virial, in bar A^3
        atom_virials = -table[:, 5:11] / NKTV2P if self.virial else np.zeros((len(table), 6))
        return Result(
            energy=energy,
            forces=table[:, 1:4],
            virial=np.array(pressure) * volume / NKTV2P,
            atom_energies=table[:, 4],
            atom_virials=atom_virials,
            log=log,
        )


def with_bonds(folder: Path, setup: Setup, special_bonds: str, n_bonds: int) -> str:
    """Write the data file with bonds 1-2, 2-3, ...; return the script for it."""
    script = setup.script(folder).replace("atom_style atomic", "atom_style bond")
    head, atoms = (folder / "data.test").read_text().split("Atoms # atomic\n\n")
    head = head.replace("atom types\n", f"atom types\n1 bond types\n{n_bonds} bonds\n")
    words = [line.split() for line in atoms.splitlines()]
    rows = [" ".join([number, "1", *rest]) for number, *rest in words]  # molecule 1
    bonds = [f"{k} 1 {k} {k + 1}" for k in range(1, n_bonds + 1)]
    parts = [head + "Atoms # bond", "\n".join(rows), "Bonds", "\n".join(bonds)]
    (folder / "data.test").write_text("\n\n".join(parts) + "\n")
    return script.replace(
        "read_data data.test",
        f"bond_style zero\n{special_bonds}\ncomm_modify cutoff 12\n"
        "read_data data.test extra/special/per/atom 20\nbond_coeff *",
    )


@dataclass
class GoldenFrame:
    """A structure with upstream's energy, forces and virial (eV, Angstrom)."""

    atoms: Atoms
    energy: float
    forces: FloatArray
    virial: FloatArray | None  # [6], the symmetric part


def golden(name: str, model: Path) -> GoldenFrame:
    """Read a golden file (``tdn/model_l1_h16_b1.pbc16``), the model's atomic energies added."""
    data = load_file(GOLDEN / f"{name}.safetensors")
    cell = data.get("cell")
    atoms = Atoms(data["atomic_numbers"], data["positions"], cell=cell, pbc=cell is not None)
    strain = data.get("dE_dstrain")
    virial = None
    if strain is not None:
        virial = np.array([-0.5 * (strain[a, b] + strain[b, a]) for a, b in VOIGT])
    said = read_model(model).document
    of_atom = dict(zip(said["species"], said["energy"]["reference"], strict=True))
    energy = float(data["energy"].sum())
    energy += sum(of_atom[z] + said["energy"]["shift"] for z in atoms.numbers.tolist())
    return GoldenFrame(atoms, energy, data["forces"], virial)


def upstream_frame(path: Path) -> GoldenFrame:
    """Read a golden file of a published family, rotated to LAMMPS's axes."""
    data = load_file(path)
    cell = data.get("cell")
    energy = float(np.ravel(data["energy"])[0])
    if cell is None or not np.abs(cell).sum() > 0.0 or not data.get("pbc", np.ones(3)).any():
        atoms = Atoms(data["atomic_numbers"], data["positions"])
        return GoldenFrame(atoms, energy, data["forces"], None)
    atoms = Atoms(data["atomic_numbers"], data["positions"], cell=cell, pbc=True)
    # LAMMPS wants a lower triangular cell: turn everything.
    standard, turn = atoms.cell.standard_form()
    turned = Atoms(atoms.numbers, atoms.positions @ turn.T, cell=standard, pbc=True)
    stress = turn @ data["stress"].reshape(3, 3) @ turn.T * -turned.get_volume()
    virial = np.array([0.5 * (stress[a, b] + stress[b, a]) for a, b in VOIGT])
    return GoldenFrame(turned, energy, data["forces"] @ turn.T, virial)


@dataclass(frozen=True)
class Tolerance:
    """Energies: relative to the network's part or 1 eV an atom; forces: eV/A; virials: relative."""

    energy: float
    force: float
    virial: float


# Doubles throughout; sums run in another order than upstream's.
DOUBLE = Tolerance(1e-10, 1e-9, 1e-9)


@dataclass
class Comparison:
    """Errors in the units of Tolerance, and LAMMPS's log."""

    energy: float
    force: float
    virial: float
    log: str


def expect_frame(
    model: Path,
    frame: GoldenFrame,
    tolerance: Tolerance,
    folder: Path,
    ranks: int,
    style: str = "eqnn",
) -> Comparison:
    """Evaluate a structure in LAMMPS and compare with upstream; sums over atoms must agree."""
    found = Setup(model, frame.atoms, style=style).evaluate(folder, ranks)
    said = read_model(model).document
    of_atom = dict(zip(said["species"], said["energy"]["reference"], strict=True))
    constant = sum(of_atom[z] + said["energy"]["shift"] for z in frame.atoms.numbers.tolist())
    scale = max(abs(frame.energy - constant), float(len(frame.atoms)))
    rounding = 1e-15 * abs(frame.energy)
    energy = abs(found.energy - frame.energy)
    assert energy <= tolerance.energy * scale + rounding
    force = float(np.abs(found.forces - frame.forces).max())
    assert force <= tolerance.force
    assert abs(found.atom_energies.sum() - found.energy) <= 1e-12 * scale + rounding
    assert np.abs(found.atom_virials.sum(axis=0) - found.virial).max() <= 1e-10 * scale
    virial = 0.0
    if frame.virial is not None:
        size = max(np.abs(frame.virial).max(), 1.0)
        virial = float(np.abs(found.virial - frame.virial).max() / size)
        assert virial <= tolerance.virial
    return Comparison(energy / scale, force, virial, found.log)
