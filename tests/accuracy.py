# SPDX-License-Identifier: BSD-3-Clause
"""Print the tables of docs/accuracy.md.

    .eqnn/venv/bin/python tests/accuracy.py

Errors of each evaluator against upstream and against the reference evaluator, and of the shipped
potentials against DFT.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from safetensors.numpy import load_file

from eqnn import library
from eqnn.library import Potential, Properties
from eqnn.so3 import FloatArray

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
EVALUATORS = ("reference", "double", "mixed", "single")
FAMILIES = ("mace", "mace_gaunt", "exporters", "pretrained")
SETS = ("3bpa0", "3bpa1", "acac2", "pbc16")


@dataclass
class Errors:
    """Largest errors so far; keeps a NaN."""

    largest: dict[str, float] = field(default_factory=dict)

    def meet(self, name: str, found: FloatArray, expected: FloatArray, scale: float = 1.0) -> None:
        """Record the largest |found - expected| / scale under a name."""
        error = float(np.max(np.abs(found - expected), initial=0.0)) / scale
        self.largest[name] = float(np.maximum(self.largest.get(name, 0.0), error))

    def row(self, *names: str) -> list[str]:
        """Numbers for a table."""
        return [f"{self.largest[name]:.1e}" for name in names]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def models() -> Iterator[tuple[str, Path]]:
    """Yield names and files of all models."""
    for path in sorted((GOLDEN / "tdn").glob("*.eqnn")):
        yield path.stem, path
    for path in sorted((ROOT / "potentials").glob("tdn_*.eqnn")):
        yield path.stem, path


def published() -> None:
    """Print errors of the other families against their upstream codes in double."""
    files = [path for folder in FAMILIES for path in sorted((GOLDEN / folder).glob("*.eqnn"))]
    files += sorted((ROOT / "potentials").glob("*.eqnn"))
    rows = []
    for path in files:
        goldens = [
            golden
            for folder in FAMILIES
            for golden in sorted((GOLDEN / folder).glob(f"{path.stem}.*.safetensors"))
            if not golden.name.endswith(".weights.safetensors")
        ]
        for evaluator in EVALUATORS[1:] if goldens else ():
            errors, largest = Errors(), 0.0
            with Potential(path, evaluator) as potential:
                for file in goldens:
                    golden = load_file(file)
                    cell = golden.get("cell", np.zeros((3, 3)))
                    is_periodic = cell.any() and golden.get("pbc", np.ones(3)).all()
                    atoms = Atoms(golden["atomic_numbers"], golden["positions"])
                    if is_periodic:
                        atoms.set_cell(cell)
                        atoms.pbc = True
                    found = evaluated(potential, atoms)
                    energy = np.ravel(golden["energy"])[0]
                    errors.meet("e", np.array(found.energy), energy, len(atoms))
                    errors.meet("f", found.forces, golden["forces"])
                    largest = max(largest, float(np.abs(golden["forces"]).max()))
                    if is_periodic and found.virial is not None:
                        virial = -golden["stress"].reshape(3, 3) * atoms.get_volume()
                        errors.meet("v", found.virial, virial, len(atoms))
            errors.largest.setdefault("v", np.nan)
            e, f, v = errors.row("e", "f", "v")
            rows.append([path.stem, evaluator, e, f, f"{largest:.2g}", "" if v == "nan" else v])
    head = ["model", "precision", "energy, eV/atom", "force, eV/A", "largest force"]
    table([*head, "virial, eV/atom"], rows)


def upstreams(path: Path) -> Iterator[tuple[Atoms, float, FloatArray, FloatArray | None]]:
    """Yield structures with upstream's energy, forces and virial."""
    if path.stem == "tdn_3bpa_exact":
        return
    if path.stem == "tdn_3bpa":
        golden = load_file(GOLDEN / "tdn_3bpa" / "golden20.safetensors")
        for x, e, f in zip(golden["positions"], golden["E_total"], golden["forces"], strict=True):
            yield Atoms(golden["atomic_numbers"], x), float(e), f, None
        return
    for kind in SETS:
        golden = load_file(path.with_suffix(f".{kind}.safetensors"))
        for graph, energy in enumerate(golden["energy"]):
            one = golden["batch"] == graph
            atoms = Atoms(golden["atomic_numbers"][one], golden["positions"][one])
            if "cell" in golden:
                atoms.set_cell(golden["cell"])
                atoms.pbc = True
            # Strain derivatives are of a file's molecules together.
            virial = -golden["dE_dstrain"] if len(golden["energy"]) == 1 else None
            yield atoms, float(energy), golden["forces"][one], virial


def structures(path: Path) -> list[Atoms]:
    """Return all structures for measuring a model."""
    if path.stem == "tdn_3bpa_exact":
        return structures(path.with_name("tdn_3bpa.eqnn"))
    found = [atoms for atoms, *_ in upstreams(path)]
    if path.stem == "tdn_3bpa":
        golden = load_file(GOLDEN / "tdn_3bpa" / "pbc_hot440.safetensors")
        cell = golden["cell"]
        found.append(Atoms(golden["atomic_numbers"], golden["positions"], cell=cell, pbc=True))
    return found


def evaluated(potential: Potential, atoms: Atoms) -> Properties:
    """Evaluate a structure."""
    return potential.evaluate(
        atoms.numbers, atoms.positions, atoms.cell.array if atoms.pbc.all() else None
    )


def against_upstream() -> None:
    """Print each evaluator's errors against upstream's code in double."""
    rows = []
    for name, path in models():
        for evaluator in EVALUATORS:
            errors = Errors()
            with Potential(path, evaluator) as potential:
                for atoms, energy, forces, virial in upstreams(path):
                    found = evaluated(potential, atoms)
                    errors.meet("e", np.array(found.energy), np.array(energy), len(atoms))
                    errors.meet("f", found.forces, forces, float(np.abs(forces).max()))
                    if virial is not None and found.virial is not None:
                        errors.meet("v", found.virial, virial, float(np.abs(virial).max()))
            if errors.largest:
                errors.largest.setdefault("v", np.nan)
                rows.append([name, evaluator, *errors.row("e", "f", "v")])
    head = ["model", "evaluator", "energy, eV/atom", "forces, relative", "virial, relative"]
    table(head, [[("" if cell == "nan" else cell) for cell in row] for row in rows])


def against_reference() -> None:
    """Print errors of double, mixed and single against the reference evaluator."""
    rows = []
    for name, path in models():
        with Potential(path, "reference") as reference:
            expected = [(atoms, evaluated(reference, atoms)) for atoms in structures(path)]
        largest = max(float(np.abs(e.forces).max()) for _, e in expected)
        for evaluator in EVALUATORS[1:]:
            errors, squares = Errors(), []
            with Potential(path, evaluator) as potential:
                for atoms, exact in expected:
                    found = evaluated(potential, atoms)
                    scale = len(atoms) / 1e3
                    errors.meet("e", np.array(found.energy), np.array(exact.energy), scale)
                    errors.meet("f", found.forces, exact.forces)
                    squares.append((found.forces - exact.forces).ravel() ** 2)
                    assert found.virial is not None and exact.virial is not None
                    errors.meet("v", found.virial, exact.virial, scale)
            rms = float(np.sqrt(np.concatenate(squares).mean()))
            e, f, v = errors.row("e", "f", "v")
            rows.append([name, evaluator, e, f, f"{rms:.1e}", f"{largest:.2g}", v])
    head = ["model", "precision", "energy, meV/atom", "force, eV/A", "force rms", "largest force"]
    table([*head, "virial, meV/atom"], rows)


def against_dft() -> None:
    """Print errors of the shipped potentials against DFT, in each precision."""
    frames = ase.io.read(ROOT / "examples" / "data" / "3bpa_labelled.xyz", index=":")
    rows = []
    for path in sorted((ROOT / "potentials").glob("tdn_*.eqnn")):
        for evaluator in EVALUATORS[1:]:
            with Potential(path, evaluator) as potential:
                row = [path.stem, evaluator]
                for k in range(3):
                    energies, forces = [], []
                    for atoms in frames[20 * k : 20 * k + 20]:
                        found = evaluated(potential, atoms)
                        energies.append(found.energy - atoms.get_potential_energy())
                        forces.append(found.forces - atoms.get_forces())
                    row.append(f"{1e3 * np.abs(energies).mean():.1f}")
                    row.append(f"{1e3 * np.abs(forces).mean():.1f}")
            rows.append(row)
    head = ["model", "precision"]
    for kelvin in (300, 600, 1200):
        head += [f"{kelvin} K energy, meV", "force, meV/A"]
    table(head, rows)


def main() -> None:
    """Print where this ran, and the tables."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor()
    with Potential(ROOT / "potentials" / "tdn_3bpa.eqnn", "double") as potential:
        described = potential.describe()
    print(f"libeqnn {library.version()} at commit {commit}; {processor}, {platform.machine()}.")
    print(f"{described}\n")
    print("## Against upstream\n")
    against_upstream()
    print("## Published families against their own codes\n")
    published()
    print("## Against the reference evaluator\n")
    against_reference()
    print("## Against DFT\n")
    against_dft()


if __name__ == "__main__":
    main()
