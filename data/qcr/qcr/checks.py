# SPDX-License-Identifier: BSD-3-Clause
"""What must hold for every frame and run of the set. Needs neither RDKit nor PySCF."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from qcr.collection import Collection, read_collection, sum_errors
from qcr.frames import Frame
from qcr.molecules import SPLITS, molecules, runs
from qcr.readme import readme
from qcr.topology import bond_error
from qcr.units import HARTREE

LARGEST = 20 * 1024**2
"""Bytes of the whole folder."""
NET_FORCE = 1e-6
"""eV/Angstrom. The gradient sums to zero to 1e-13; eight decimals of 24 atoms are left."""
NET_TORQUE = 0.02
"""eV: the integration grid does not turn with the molecule."""
DRIFT = 0.1
"""eV that a relaxation may be above the lowest of its steps before; the optimizer is no descent."""
ATTEMPT = 1.0
"""The same for a single step that the optimizer takes back: the next is within DRIFT again."""
END = 1e-3
"""eV that the last structure may be above another of its relaxation."""
RELAXED_FORCE = 0.0235
"""eV/Angstrom on an atom of a relaxed structure: geomeTRIC's 4.5e-4 Hartree/Bohr is 0.0231."""
WORK_ERROR = 0.25
"""Energy differences of neighboring steps differ from the work of the mean force by at most this
share of the work of either force, ..."""
WORK_FLOOR = 3e-3
"""... and this, eV."""
SAME_SOLUTION = 1e-7
"""Hartree between the energies from the last orbitals and from a fresh guess."""
SAME_ENERGY = 1e-8
"""Hartree between an energy of the set and the same computed again."""
SMALLEST_GAP = 1.0
"""eV between HOMO and LUMO; below, a closed shell is a doubtful description."""


def frame_errors(frame: Frame) -> list[str]:
    """Report what is wrong with a single frame."""
    errors = []
    if frame.info.get("converged") is not True:
        errors.append("not converged")
    numbers = np.concatenate([[frame.energy], frame.positions.ravel(), frame.forces.ravel()])
    if not np.isfinite(numbers).all():
        return [*errors, "not finite"]
    net = np.abs(frame.forces.sum(axis=0)).max()
    if not net <= NET_FORCE:
        errors.append(f"net force {net:.1e} eV/Angstrom")
    centered = frame.positions - frame.positions.mean(axis=0)
    torque = np.abs(np.cross(centered, frame.forces).sum(axis=0)).max()
    if not torque <= NET_TORQUE:
        errors.append(f"net torque {torque:.1e} eV")
    gap = frame.info.get("gap")
    if not (isinstance(gap, float) and gap >= SMALLEST_GAP):
        errors.append(f"gap {gap} eV")
    return errors


def work_error(a: Frame, b: Frame) -> float:
    """Compare the energy difference of two neighboring steps with the forces' work; at most 1."""
    step = b.positions - a.positions
    works = [float((frame.forces * step).sum()) for frame in (a, b)]
    error = abs((b.energy - a.energy) + 0.5 * sum(works))
    return error / (WORK_FLOOR + WORK_ERROR * max(map(abs, works)))


def relaxation_errors(frames: list[Frame]) -> list[str]:
    """Report what is wrong with a relaxation, from its first step to its last."""
    errors = []
    energies = np.array([frame.energy for frame in frames])
    if not (energies[-1] <= energies.min() + END and energies[-1] < energies[0]):
        errors.append(f"ends {energies[-1] - energies.min():.4f} eV above its lowest step")
    above = energies - np.minimum.accumulate(energies)
    high = ~(above <= DRIFT)
    if high[-1:].any() or (high[1:] & high[:-1]).any() or not (above <= ATTEMPT).all():
        errors.append(f"step {int(above.argmax())} is {above.max():.3f} eV above those before")
    for a, b in pairwise(frames):
        if not work_error(a, b) <= 1:
            errors.append(
                f"step {b.info['step']}: energy and forces disagree ({work_error(a, b):.1f})"
            )
    if frames[-1].info["relaxed"]:
        largest = np.linalg.norm(frames[-1].forces, axis=1).max()
        if not largest <= RELAXED_FORCE:
            errors.append(f"relaxed with a force of {largest:.3f} eV/Angstrom")
    return errors


def run_errors(name: str, frames: list[Frame], entry: dict[str, object]) -> list[str]:
    """Report what is wrong with a run: its frames, steps, bonds and name."""
    run = {run.name: run for run in runs()}[name]
    errors = []
    relaxation = [frame for frame in frames if frame.info["stage"] == "relax"]
    perturbed = [frame for frame in frames if frame.info["stage"] == "perturbed"]
    if [frame.info["step"] for frame in relaxation] != list(range(len(relaxation))):
        errors.append("steps of the relaxation are missing")
    if [frame.info["step"] for frame in perturbed] != list(range(len(perturbed))):
        errors.append("perturbed frames are missing")
    if relaxation + perturbed != frames or not relaxation or not perturbed:
        errors.append("has no relaxation followed by perturbed frames")
        return errors
    if any(frame.info["relaxed"] for frame in frames if frame is not relaxation[-1]):
        errors.append("a frame that is not the last is said to be relaxed")
    difference = entry["fresh_guess_difference"]
    if not (isinstance(difference, float) and abs(difference) <= SAME_SOLUTION):
        errors.append(f"another guess led to an energy {difference} Hartree apart")
    errors += relaxation_errors(relaxation)
    bonds = [(int(i), int(j)) for i, j in entry["bonds"]]  # type: ignore[attr-defined]
    for frame in frames:
        where = f"{frame.info['stage']} {frame.info['step']}"
        if (frame.info["molecule"], frame.info["smiles"]) != (
            run.molecule.name,
            run.molecule.smiles,
        ):
            errors.append(f"{where}: another molecule")
        if Counter(frame.elements) != Counter(run.molecule.counts):
            errors.append(f"{where}: atoms are not {run.molecule.formula}")
            continue
        errors += [f"{where}: {error}" for error in frame_errors(frame)]
        problem = bond_error(frame.elements, frame.positions, bonds, bool(frame.info["relaxed"]))
        if problem is not None:
            errors.append(f"{where}: {problem}")
    return errors


def collection_errors(collection: Collection) -> list[str]:
    """Report what is wrong with the set as a whole and with each run."""
    errors = []
    split_of = {molecule.name: molecule.split for molecule in molecules()}
    for name in SPLITS:
        strays = {
            str(frame.info["molecule"])
            for frame in collection.frames[name]
            if split_of.get(str(frame.info["molecule"])) != name
        }
        errors += [f"{stray} is in {name}" for stray in sorted(strays)]
    frames = collection.by_run()
    known = {run.name for run in runs()}
    for name in sorted(set(frames) ^ set(collection.runs)):
        errors.append(f"{name} is in only one of the files and the manifest")
    for name in sorted(set(frames) & set(collection.runs)):
        if name not in known:
            errors.append(f"{name} is no run of molecules.csv")
            continue
        errors += [
            f"{name}: {error}" for error in run_errors(name, frames[name], collection.runs[name])
        ]
    return errors


def check(data: Path) -> list[str]:
    """Report all that is wrong with the set in a folder; empty if all is well.

    Raises QcrError where it cannot be read.
    """
    errors = sum_errors(data)
    collection = read_collection(data)
    errors += collection_errors(collection)
    size = sum(path.stat().st_size for path in data.iterdir())
    if size > LARGEST:
        errors.append(f"{size} bytes, at most {LARGEST} are allowed")
    if (data / "README.md").read_text(encoding="utf-8") != readme(collection):
        errors.append("README.md does not say what `build` would write")
    return errors


def dft_errors(data: Path, number: int, seed: int) -> list[str]:
    """Recompute some frames of small molecules with PySCF; report those that differ.

    Only frames of at most nine atoms, so that each takes seconds.
    """
    from qcr.dft import Dft  # needs PySCF

    frames = [frame for some in read_collection(data).by_run().values() for frame in some]
    small = [frame for frame in frames if len(frame.elements) <= 9]
    errors = []
    for frame in random.Random(seed).sample(small, min(number, len(small))):
        result = Dft(frame.elements).energy_and_gradient(frame.positions)
        difference = result.energy - frame.energy / HARTREE
        if not abs(difference) <= SAME_ENERGY:
            info = frame.info
            errors.append(
                f"{info['run']} {info['stage']} {info['step']}: "
                f"PySCF's energy is {difference:.1e} Hartree off"
            )
    return errors
