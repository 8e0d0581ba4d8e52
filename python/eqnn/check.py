# SPDX-License-Identifier: BSD-3-Clause
"""Measures what a model and this build of the engine can be used for, and what it means for MD.

Each measurement is a function of an evaluator and a structure, and does not depend on the network.
Energies in measurements are without the elements' reference energies, which would hide the last
digits: some thousand eV for each atom of an all-electron method.
"""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from eqnn import library
from eqnn.builder import EXACT_DEFECT, graph_defect
from eqnn.errors import EqnnError
from eqnn.info import WIDTH, elements, free_atom_meaning
from eqnn.library import Potential, Properties
from eqnn.model_file import Model, read_model
from eqnn.short_range import Report, examine
from eqnn.so3 import FloatArray, random_rotations
from eqnn.structures import (
    cell_with_vacuum,
    cluster,
    cutoff_margins,
    neighbors,
    refuse_foreign,
    require_near,
)

Evaluate = Callable[[Atoms], Properties]

# Largest errors, in eV/atom and eV/Angstrom, with which LAMMPS accepts a model: rounding and radial
# tables are a hundred times smaller; a wrong sign, axis or unit is not.
SELF_TEST_TOLERANCE = {"reference": 1e-7, "double": 1e-7, "mixed": 1e-2, "single": 1e-2}
# Two orders above what central differences reach in double (truncation h^2 and rounding 1e-13/h
# meet near 1e-8); a term missing from a derivative is far larger.
DERIVATIVE_TOLERANCE = 1e-6
# Exact symmetries hold up to rounding: some thousand terms of 1e-16.
ROUNDING = 1e-9
# eV/atom. A millionth of kT at room temperature: nothing in MD notices.
UNNOTICED_ENERGY = 1e-6 * 0.025
# eV/Angstrom. A hundredth of the force errors of the best models, and of the forces' own noise.
UNNOTICED_FORCE = 1e-4
# eV for each crossing. 1e5 crossings, as in some ps of a small molecule, random in sign, then add
# up to 0.3 meV.
UNNOTICED_JUMP = 1e-6

MAX_ATOMS = 2000
STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
# Distance from the cutoff, Angstrom: the contribution of any slope stays below UNNOTICED_JUMP.
BESIDE_CUTOFF = 1e-8


class Status(enum.Enum):
    """The outcome of a measurement."""

    OK = "ok"
    NOTE = "note"
    LIMIT = "limit"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Measurement:
    """One line of the report.

    Attributes
    ----------
    what : str
    values : tuple of (float, str)
        Numbers and their units.
    status : Status
    meaning : str
        What it means for MD.
    verdict : str
        Part of the last line, if it is a limit or wrong.
    sweep : tuple of (float, float)
        Steps and errors of finite differences.
    lines : tuple of str
        Printed below verbatim: a table, or lines for an input script.
    """

    what: str
    values: tuple[tuple[float, str], ...]
    status: Status
    meaning: str
    verdict: str = ""
    sweep: tuple[tuple[float, float], ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """All measurements of one model."""

    model: Model
    structures: tuple[str, ...]
    measurements: tuple[Measurement, ...]


def _largest(values: FloatArray | float) -> float:
    """Largest absolute value; NaN counts as larger than everything."""
    return float(np.abs(values).max(initial=0.0))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _virial(properties: Properties) -> FloatArray:
    assert properties.virial is not None  # called only for gradient forces
    return properties.virial


# ---- the engine ----


def self_test(model: Model, evaluator: str, evaluate: Evaluate) -> Measurement:
    """Compare total energies, forces and virials with those of the exporter in the file."""
    energy = force = virial = 0.0
    for test in model.document["self_test"]:
        cell = test["cell"]
        found = evaluate(Atoms(test["numbers"], test["positions"], cell=cell, pbc=cell is not None))
        n = len(test["numbers"])
        energy = np.maximum(energy, abs(found.energy - test["energy"]) / n)
        force = np.maximum(force, _largest(found.forces - np.array(test["forces"])))
        if test["virial"] is not None:
            error = _largest(_virial(found) - np.array(test["virial"]))
            virial = np.maximum(virial, error / n)
    tolerance = SELF_TEST_TOLERANCE[evaluator]
    passed = float(np.max([energy, force, virial])) <= tolerance
    name = "plain loops" if evaluator == "reference" else evaluator
    return Measurement(
        f"self-test, {name}",
        ((float(energy), "eV/atom"), (float(force), "eV/A"), (float(virial), "eV/atom virial")),
        Status.OK if passed else Status.WRONG,
        f"This build computes what the exporter computed (at most {tolerance:g})."
        if passed
        else f"This build does not compute what the exporter computed (at most {tolerance:g} "
        "expected). Do not use it: run `make test`, and export the model again.",
        f"the self-test fails ({name})",
    )


NO_SELF_TEST = Measurement(
    "self-test",
    (),
    Status.WRONG,
    "The file holds no self-test: nobody can tell whether it is computed rightly. Export it again.",
    "there is no self-test",
)


def precision(name: str, lower: Evaluate, double: Evaluate, atoms: Atoms) -> Measurement:
    """Errors of an evaluator in lower precision against the one in double."""
    found, expected = lower(atoms), double(atoms)
    energy = abs(found.energy - expected.energy) / len(atoms)
    force = _largest(found.forces - expected.forces)
    fit = energy <= 1e-5 and force <= 1e-3
    return Measurement(
        f"{name} against double",
        ((1e3 * energy, "meV/atom"), (force, "eV/A")),
        Status.OK if fit else Status.LIMIT,
        "Far below any model's error against DFT: use it for speed."
        if fit
        else "Rounding is no longer small against a good model's error (0.01 meV/atom, 1 meV/A): "
        "use double.",
        f"{name} precision is too coarse",
    )


# ---- derivatives ----


def _sweep(error_at: Callable[[float], float], largest_step: float) -> list[tuple[float, float]]:
    return [(step, error_at(step)) for step in STEPS if step < largest_step]


def _derivative(
    what: str,
    sweep: Sequence[tuple[float, float]],
    scale: float,
    unit: str,
    ok: str,
    wrong: str,
    verdict: str,
) -> Measurement:
    if len(sweep) < 3:
        return Measurement(
            what,
            (),
            Status.NOTE,
            "Not measured: a pair is so near to the cutoff that every step moves it across.",
        )
    smallest = float(np.min([error for _, error in sweep]))
    passed = smallest <= DERIVATIVE_TOLERANCE * max(1.0, scale)
    return Measurement(
        what,
        ((smallest, unit),),
        Status.OK if passed else Status.WRONG,
        ok if passed else wrong,
        verdict,
        tuple(sweep),
    )


def finite_differences(evaluate: Evaluate, atoms: Atoms, cutoff: float) -> Measurement:
    """Compare forces with central differences of the energy, for some atoms, at several steps.

    It uses the atoms whose pairs are farthest from the cutoff: if the energy jumps there,
    differences across it have no limit.
    """
    margins = cutoff_margins(atoms, cutoff)
    chosen = np.argsort(-margins, kind="stable")[:6]
    forces = evaluate(atoms).forces

    def error_at(step: float) -> float:
        errors = []
        for i in chosen:
            for axis in range(3):
                energies = []
                for sign in (1, -1):
                    moved = atoms.copy()
                    moved.positions[i, axis] += sign * step
                    energies.append(evaluate(moved).energy)
                slope = (energies[0] - energies[1]) / (2 * step)
                errors.append(-slope - forces[i, axis])
        return _largest(np.array(errors))

    return _derivative(
        "forces against finite differences",
        _sweep(error_at, 0.5 * margins[chosen].min()),
        _largest(forces),
        "eV/A",
        "Forces are minus the gradient of the energy: MD samples the energy that is printed.",
        "Forces are not minus the gradient of the energy: the engine or the model is wrong.",
        "forces are not the gradient of the energy",
    )


def virial(evaluate: Evaluate, atoms: Atoms, cutoff: float) -> Measurement:
    """All nine components of the virial against strain derivatives of the energy."""
    expected = _virial(evaluate(atoms))

    def error_at(step: float) -> float:
        slope = np.empty((3, 3))
        for a in range(3):
            for b in range(3):
                energies = []
                for sign in (1, -1):
                    strain = np.eye(3)
                    strain[a, b] += sign * step
                    moved = atoms.copy()
                    moved.set_cell(atoms.cell.array @ strain)
                    moved.positions = atoms.positions @ strain
                    energies.append(evaluate(moved).energy)
                slope[a, b] = (energies[0] - energies[1]) / (2 * step)
        return _largest(-slope - expected)

    return _derivative(
        "virial against finite strains",
        _sweep(error_at, 0.5 * cutoff_margins(atoms, cutoff).min() / cutoff),
        _largest(expected),
        "eV",
        "Pressures and cell relaxations follow the energy, in all nine components.",
        "The virial is not the strain derivative of the energy: pressures would be wrong.",
        "the virial is not the strain derivative of the energy",
    )


def direct_forces(evaluate: Evaluate, atoms: Atoms, cutoff: float) -> Measurement:
    """Deviation of directly predicted forces from the gradient of the energy."""
    found = finite_differences(evaluate, atoms, cutoff)
    net = _largest(evaluate(atoms).forces.sum(0))
    return Measurement(
        "direct forces against gradient",
        (*found.values, (net, "eV/A net force")),
        Status.LIMIT,
        "Forces are not the gradient of the energy: total energy is not conserved, the net force "
        "is not zero and there is no pressure. Relax with care; do not run NVE or NPT.",
        "forces are predicted directly",
    )


# ---- symmetry ----


def coupling_defect(model: Model) -> Measurement:
    """Measure the file's equivariance defect again."""
    found = graph_defect(model.document["graph"], model.tensors)
    said = model.document["equivariance"]
    agrees = abs(found - said["defect"]) <= 1e-6 * found + EXACT_DEFECT
    agrees = agrees and (found <= EXACT_DEFECT) == said["exact"]
    return Measurement(
        "coupling tensors",
        ((found, "relative defect"),),
        Status.OK if agrees else Status.WRONG,
        f"As the file says: {'exactly' if said['exact'] else 'approximately'} equivariant."
        if agrees
        else f"The file says {said['defect']:.3e}: it was not made by this exporter as it stands.",
        "the file misstates its equivariance",
    )


def _transformed(atoms: Atoms, matrix: FloatArray) -> Atoms:
    out: Atoms = atoms.copy()
    out.set_cell(atoms.cell.array @ matrix.T)
    out.positions = atoms.positions @ matrix.T
    return out


def _defects(
    evaluate: Evaluate, atoms: Atoms, matrices: Iterable[FloatArray]
) -> tuple[float, float]:
    """Largest change of the energy per atom, and rms change of the forces after rotating back."""
    start = evaluate(atoms)
    energies, forces = [], []
    for matrix in matrices:
        found = evaluate(_transformed(atoms, matrix))
        energies.append((found.energy - start.energy) / len(atoms))
        forces.append(found.forces @ matrix - start.forces)
    return _largest(np.array(energies)), _rms(np.array(forces))


def rotation(evaluate: Evaluate, atoms: Atoms, is_exact: bool) -> Measurement:
    """Energies and forces under sixteen random rotations."""
    energy, force = _defects(evaluate, atoms, random_rotations(16, seed=1))
    unnoticed = energy <= UNNOTICED_ENERGY and force <= UNNOTICED_FORCE
    if unnoticed:
        status, meaning = Status.OK, "Energies and forces do not depend on orientation."
    elif is_exact:
        status = Status.WRONG
        meaning = "The file says that it is exactly equivariant, and it is not: a wrong engine."
    else:
        status = Status.LIMIT
        meaning = (
            "Energies depend on orientation: angular momentum is not conserved, and molecules that "
            "tumble see a torque. Where exported from fitted factors: --exact-products ends it."
        )
    return Measurement(
        "rotation",
        ((1e3 * energy, "meV/atom"), (force, "eV/A rms")),
        status,
        meaning,
        "energies depend on orientation",
    )


def inversion(evaluate: Evaluate, atoms: Atoms, is_invariant: bool) -> Measurement:
    """Energies and forces of the mirror image."""
    energy, force = _defects(evaluate, atoms, [-np.eye(3)])
    unnoticed = energy <= UNNOTICED_ENERGY and force <= UNNOTICED_FORCE
    if unnoticed:
        status, meaning = Status.OK, "Mirror images have equal energies."
    elif is_invariant:
        status = Status.WRONG
        meaning = "The file says that it is invariant under inversion, and it is not."
    else:
        status = Status.LIMIT
        meaning = (
            "Mirror images have different energies: do not compare enantiomers, and expect left "
            "and right conformers of a molecule in unequal numbers."
        )
    return Measurement(
        "inversion",
        ((1e3 * energy, "meV/atom"), (force, "eV/A rms")),
        status,
        meaning,
        "mirror images differ in energy",
    )


def permutation(evaluate: Evaluate, atoms: Atoms) -> Measurement:
    """Energies and forces with the atoms in another order."""
    # A cyclic shift is the identity for no atom.
    order = np.roll(np.arange(len(atoms)), 1)
    start, found = evaluate(atoms), evaluate(atoms[order])
    energy = abs(found.energy - start.energy) / len(atoms)
    force = _largest(found.forces - start.forces[order])
    passed = energy <= ROUNDING and force <= ROUNDING * max(1.0, _largest(start.forces))
    return Measurement(
        "permutation",
        ((1e3 * energy, "meV/atom"), (force, "eV/A")),
        Status.OK if passed else Status.WRONG,
        "The order of atoms does not matter."
        if passed
        else "Results depend on the order of atoms: they change when LAMMPS sorts them.",
        "results depend on the order of atoms",
    )


# ---- cutoff, size ----


def cutoff_jump(evaluate: Evaluate, atoms: Atoms, cutoff: float, n_pairs: int = 16) -> Measurement:
    """Jumps of energy and forces where one pair crosses the cutoff.

    One atom of a pair that is near the cutoff is moved along the line between them until the pair
    is just inside and just outside. If a molecule is smaller than the cutoff, a second copy of it
    is moved away.
    """
    energies, forces = [], []
    for inside, outside in _across_cutoff(atoms, cutoff, n_pairs):
        one, other = evaluate(inside), evaluate(outside)
        energies.append(other.energy - one.energy)
        forces.append(_largest(other.forces - one.forces))
    energy = np.array(energies)
    smooth = _largest(energy) <= UNNOTICED_JUMP and _largest(np.array(forces)) <= UNNOTICED_FORCE
    return Measurement(
        f"pair crossing the cutoff ({len(energies)} pairs)",
        (
            (1e3 * _rms(energy), "meV rms"),
            (1e3 * _largest(energy), "meV largest"),
            (_largest(np.array(forces)), "eV/A largest"),
        ),
        Status.OK if smooth else Status.LIMIT,
        "Energies and forces are continuous at the cutoff: NVE can conserve energy."
        if smooth
        else "Energies jump where a pair crosses the cutoff: total energy drifts in NVE at any "
        "timestep. Use a thermostat, and minimize with FIRE: line searches stop at a jump.",
        "energies jump at the cutoff",
    )


def _across_cutoff(atoms: Atoms, cutoff: float, n_pairs: int) -> list[tuple[Atoms, Atoms]]:
    i, j, vectors = neighbors("ijD", atoms, cutoff + 1.0)
    r = np.linalg.norm(vectors, axis=1)
    one_way = np.flatnonzero((i < j) & (r > cutoff - 1.0))
    nearest = one_way[np.argsort(np.abs(r[one_way] - cutoff), kind="stable")[:n_pairs]]
    if len(nearest) == 0:
        return [_two_apart(atoms, cutoff, direction) for direction in random_rotations(4, 2)[:, 0]]
    out = []
    for pair in nearest:
        unit = vectors[pair] / r[pair]
        both = []
        for target in (cutoff - BESIDE_CUTOFF, cutoff + BESIDE_CUTOFF):
            moved = atoms.copy()
            moved.positions[j[pair]] += (target - r[pair]) * unit
            both.append(moved)
        out.append((both[0], both[1]))
    return out


def _two_apart(atoms: Atoms, cutoff: float, direction: FloatArray) -> tuple[Atoms, Atoms]:
    """Two copies along a direction whose nearest pair is just inside and just outside."""
    apart = atoms.positions[None] - atoms.positions[:, None]
    along = apart @ direction
    across = (apart**2).sum(-1) - along**2
    # Distance at which each pair of atoms of the two copies is at the cutoff; the last one counts.
    with np.errstate(invalid="ignore"):
        shifts = np.sqrt(cutoff**2 - across) - along
    shift = float(np.nanmax(shifts))
    both = []
    for beside in (-BESIDE_CUTOFF, BESIDE_CUTOFF):
        copy = atoms.copy()
        copy.positions += (shift + beside) * direction
        both.append(atoms + copy)
    return both[0], both[1]


def extensivity(evaluate: Evaluate, atoms: Atoms, cutoff: float, is_extensive: bool) -> Measurement:
    """E(2) - 2 E(1) for two copies beyond each other's cutoff, or for the doubled cell."""
    if atoms.pbc.any():
        times = np.ones(3, int)
        times[np.flatnonzero(atoms.pbc)[0]] = 2
        double = atoms.repeat(times)
    else:
        copy = atoms.copy()
        copy.positions[:, 0] += np.ptp(atoms.positions[:, 0]) + 2.0 * cutoff
        double = atoms + copy
    error = abs(evaluate(double).energy - 2.0 * evaluate(atoms).energy) / len(double)
    adds_up = error <= ROUNDING
    if adds_up:
        status, meaning = Status.OK, "Energies add up: systems of any size can be compared."
    elif is_extensive:
        status = Status.WRONG
        meaning = "Energies of separate systems do not add up, though the file says so."
    else:
        status = Status.LIMIT
        meaning = (
            "Energies of separate systems do not add up: they mean something only for numbers of "
            "atoms as in training. Not for MD of anything else."
        )
    return Measurement(
        "twice the system",
        ((1e3 * error, "meV/atom"),),
        status,
        meaning,
        "energies do not add up",
    )


def isolated_atoms(
    evaluate: Evaluate, species: Sequence[int], cutoff: float, is_zero: bool
) -> Measurement:
    """Energies of free atoms, and the jump when the last neighbor of an atom crosses the cutoff."""
    free = {z: evaluate(Atoms([z], [[0.0, 0.0, 0.0]])).energy for z in species}
    jumps = []
    for z in species:
        dimer = Atoms([z, z], [[0.0, 0.0, 0.0], [cutoff - BESIDE_CUTOFF, 0.0, 0.0]])
        jumps.append(evaluate(dimer).energy - 2.0 * free[z])
    energy, jump = _largest(np.array(list(free.values()))), _largest(np.array(jumps))
    said = free_atom_meaning(free)
    said = said[0].upper() + said[1:]
    values = ((energy, "eV beyond reference"), (jump, "eV with the last neighbor"))
    if is_zero and not energy <= ROUNDING:
        status = Status.WRONG
        meaning = "The file says that free atoms have their reference energies, and they do not."
    elif jump <= UNNOTICED_JUMP:
        status = Status.OK
        meaning = f"{said}. Atoms leave and join a system smoothly."
    else:
        status = Status.LIMIT
        meaning = (
            f"{said}. An atom that loses its last neighbor changes its energy at once: do not "
            "evaporate atoms or break a dimer with it."
        )
    return Measurement("free atoms", values, status, meaning, "an atom that leaves jumps in energy")


def short_distances(found: Report) -> Measurement:
    """Report the energy of pairs closer than a bond, and how to correct it."""
    lowest = found.walls[0]
    values = ((lowest.height, "eV lowest wall"), (lowest.temperature, "K where it is crossed"))
    what = f"close pairs ({found.n_pairs})"
    if found.n_low == 0:
        falling = [w for w in found.walls if w.top is not None]
        return Measurement(
            what,
            values,
            Status.OK,
            f"Atoms repel each other as they come close ({found.which})"
            + (
                f", up to {min(w.height for w in falling):.3g} eV; then energies fall: cascades "
                "need ZBL's repulsion."
                if falling
                else " down to 0.3 of the sum of their covalent radii."
            ),
        )
    at_worst = (
        "at any temperature"
        if not lowest.temperature >= 1.0
        else (f"above some {lowest.temperature:.0f} K")
    )
    unmended = [m.wall.name for m in found.mendings if m.cutoffs is None]
    more = found.n_low - len(found.mendings)
    meaning = (
        f"{found.n_low} of {found.n_pairs} pairs ({found.which}) have too low a repulsion: atoms "
        f"that collide {at_worst} ({lowest.name}), or that overlap at the start, go through it and "
        "fuse. 'holds to': E/20k, where it stops all but one collision in 5e8."
    )
    if unmended:
        meaning += f" No ZBL within 1.6 of a bond's length mends {', '.join(unmended)}."
    if more > 0:
        meaning += f" {more} more pairs: give --structure for those of your elements."
    if len(unmended) < len(found.mendings):
        meaning += " The lines add ZBL's repulsion, which acts within its outer cutoff only:"
    return Measurement(
        what,
        values,
        Status.LIMIT,
        meaning,
        f"close atoms fuse {at_worst}",
        lines=found.lines,
    )


# ---- all together ----


def check_model(path: str | Path, structure: Atoms | None = None) -> Result:
    """Measure a model file with this build of the library.

    Parameters
    ----------
    path : str or Path
        The model file.
    structure : Atoms, optional
        Used instead of the self-test's molecule and periodic cell.
    """
    model = read_model(path)
    document = model.document
    cutoff, species = document["cutoff"], document["species"]
    if structure is not None:
        require_near(structure, "--structure")
        refuse_foreign(structure, species, "--structure")
        if len(structure) > MAX_ATOMS:
            raise EqnnError(
                f"--structure: {len(structure)} atoms, expected at most {MAX_ATOMS}: it is "
                "evaluated some 600 times. Give a smaller piece."
            )
        molecule = periodic = structure
        names = [f"the given structure ({len(structure)} atoms)"]
    else:
        molecule, periodic, names = _own_structures(model)
    if len(neighbors("i", molecule, cutoff)) == 0:
        raise EqnnError(
            f"no two atoms are within the cutoff of {cutoff:g} A, so there is nothing to measure. "
            "Give another structure."
        )
    is_gradient = document["forces"] == "gradient"

    measurements: list[Measurement] = []
    engines = {name: Potential(path, name, is_gradient) for name in SELF_TEST_TOLERANCE}
    try:
        if not document["self_test"]:
            measurements.append(NO_SELF_TEST)
        else:
            for name, engine in engines.items():
                measurements.append(self_test(model, name, _total(engine, cutoff)))
        double = network_of(engines["double"], model)
        for name in ("mixed", "single"):
            measurements.append(precision(name, network_of(engines[name], model), double, molecule))
        if is_gradient:
            measurements.append(finite_differences(double, molecule, cutoff))
            measurements.append(virial(double, periodic, cutoff))
        else:
            measurements.append(direct_forces(double, molecule, cutoff))
        measurements.append(coupling_defect(model))
        measurements.append(rotation(double, molecule, document["equivariance"]["exact"]))
        measurements.append(inversion(double, molecule, document["parity"] == "o3"))
        measurements.append(permutation(double, molecule))
        measurements.append(cutoff_jump(double, molecule, cutoff))
        is_extensive = document["energy"]["semantics"] == "extensive"
        measurements.append(extensivity(double, periodic, cutoff, is_extensive))
        is_zero = document["energy"]["isolated_atoms"] == "zero"
        measurements.append(isolated_atoms(double, species, cutoff, is_zero))
        present = None if structure is None else set(structure.numbers.tolist())
        close = examine(double, species, cutoff, model.name, present=present, together=is_extensive)
        measurements.append(short_distances(close))
    finally:
        for engine in engines.values():
            engine.close()
    return Result(model, tuple(names), tuple(measurements))


def _own_structures(model: Model) -> tuple[Atoms, Atoms, list[str]]:
    """Molecule and periodic cell of the self-test, or a cluster if there is none."""
    found: dict[bool, tuple[str, Atoms]] = {}
    for test in model.document["self_test"]:
        cell = test["cell"]
        atoms = Atoms(test["numbers"], test["positions"], cell=cell, pbc=cell is not None)
        found.setdefault(cell is not None, (test["name"], atoms))
    if False not in found:
        made = cluster(model.document["species"], model.document["cutoff"])
        found[False] = ("a made-up cluster", made)
    name, molecule = found[False]
    names = [f"{name} ({len(molecule)} atoms)"]
    if True not in found:
        return molecule, molecule, names
    name, periodic = found[True]
    return molecule, periodic, [*names, f"{name} ({len(periodic)} atoms)"]


def _total(potential: Potential, cutoff: float) -> Evaluate:
    def evaluate(atoms: Atoms) -> Properties:
        return potential.evaluate(atoms.numbers, atoms.positions, cell_with_vacuum(atoms, cutoff))

    return evaluate


def network_of(potential: Potential, model: Model) -> Evaluate:
    """Evaluate without the constant parts: shift and reference energies."""
    energy = model.document["energy"]
    constant = np.zeros(max(model.document["species"]) + 1)
    constant[model.document["species"]] = energy["shift"] + np.array(energy["reference"])
    total = _total(potential, model.document["cutoff"])

    def evaluate(atoms: Atoms) -> Properties:
        found = total(atoms)
        parts = found.atom_energies - constant[atoms.numbers]
        return replace(found, energy=float(parts.sum()), atom_energies=parts)

    return evaluate


def exit_status(measurements: Iterable[Measurement]) -> int:
    """Return 1 if something is wrong; limits are not failures."""
    return int(any(m.status is Status.WRONG for m in measurements))


def verdict(measurements: Sequence[Measurement]) -> str:
    """One sentence for the last line."""
    wrong = [m.verdict for m in measurements if m.status is Status.WRONG]
    if wrong:
        return "Verdict: WRONG, do not use: " + "; ".join(wrong) + "."
    limits = [m.verdict for m in measurements if m.status is Status.LIMIT]
    if limits:
        return "Verdict: computed rightly; limits in MD: " + "; ".join(limits) + "."
    return "Verdict: suitable for MD."


def _short(value: float) -> str:
    return "0" if value == 0.0 else f"{value:.1e}"


def report(result: Result) -> str:
    """Table to read: status, measurement and numbers, and below each its meaning."""
    model = result.model
    lines = [
        f"{model.name}: {model.document['family']}, {elements(model)}, "
        f"cutoff {model.document['cutoff']:g} A",
        f"libeqnn {library.version()}, in double where not said otherwise, "
        f"on {' and '.join(result.structures)}",
        "",
    ]
    width = max(len(m.what) for m in result.measurements)
    indent = " " * 7
    for m in result.measurements:
        numbers = "   ".join(f"{_short(value):>8} {unit}" for value, unit in m.values)
        lines.append(f"{m.status.value:<7}{m.what:<{width}}  {numbers}".rstrip())
        lines += textwrap.wrap(m.meaning, WIDTH, initial_indent=indent, subsequent_indent=indent)
        lines += [indent + line for line in m.lines]
        if m.sweep:
            lines.append(indent + "step   " + "".join(f"{step:9.0e}" for step, _ in m.sweep))
            lines.append(indent + "error  " + "".join(f"{error:9.1e}" for _, error in m.sweep))
    lines += ["", *textwrap.wrap(verdict(result.measurements), WIDTH)]
    return "\n".join(lines)
