# SPDX-License-Identifier: BSD-3-Clause
"""Finds frames that look sound by themselves but not together: copies, and other units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ase.data import covalent_radii
from ase.units import Bohr

from eqnn.evaluation.file_units import (
    ENERGY_UNITS,
    FORCE_UNITS,
    Verdict,
    common_units,
    of_energies,
    of_forces,
    of_lengths,
)
from eqnn.evaluation.frame import Frame, Kind, Problem
from eqnn.so3 import FloatArray
from eqnn.structures import neighbors

# Frames that agree within this are copies: trajectories have as many digits. Angstrom.
SAME = 1e-3
# How near a ratio must be to a factor between units: total energies of one composition differ by
# less than a hundredth, forces by the model's own error.
_ENERGY_TOLERANCE = 0.02
_LENGTH_TOLERANCE = 0.05
_FORCE_TOLERANCE = 0.1
# Below this, the ratio of forces to their prediction says little.
_FORCE_COSINE = 0.95
_TELLING_ATOMS = 6
_TELLING_FORCE = 0.3
# With fewer frames, there is no majority to compare with.
_FEWEST = 3

_ENERGY_UNITS = {"eV": 1.0, **ENERGY_UNITS}
_LENGTH_UNITS = {1.0 / Bohr: "Bohr", Bohr: "Angstrom among Bohr", 0.1: "nm"}


def duplicates(frames: Iterable[Frame]) -> list[Problem]:
    """Find frames that an earlier set has too: training frames in a test set flatter the errors."""
    alike: dict[bytes, list[Frame]] = defaultdict(list)
    for frame in frames:
        alike[frame.atoms.numbers.tobytes()].append(frame)
    first = {k: v for group in alike.values() for k, v in _first_copies(group).items()}
    return [
        Problem(
            Kind.DUPLICATE,
            frame.set,
            frame.number,
            f"the same structure as {first[id(frame)].label}, of another set",
            is_left_out=False,
            together=f"structures that are in {first[id(frame)].set} too",
        )
        for group in alike.values()
        for frame in group
        if id(frame) in first
    ]


def _first_copies(group: Sequence[Frame]) -> dict[int, Frame]:
    """For frames (by `id`) that an earlier set has, its first one. All have the same atoms.

    Copies are close along any direction in coordinate space, so only close ones are compared.
    """
    places = np.stack([_place(frame) for frame in group])
    direction = np.random.default_rng(0).normal(size=places.shape[1])
    along = places @ (direction / np.linalg.norm(direction))
    reach = SAME * np.sqrt(places.shape[1])
    order = np.argsort(along, kind="stable")
    end = np.searchsorted(along[order], along[order] + reach, side="right")
    first: dict[int, int] = {}
    for k, a in enumerate(order):
        others = order[k + 1 : end[k]]
        for b in others[np.abs(places[others] - places[a]).max(axis=1) < SAME]:
            early, late = sorted((int(a), int(b)))
            if group[early].set != group[late].set:
                first[late] = min(early, first.get(late, early))
    return {id(group[late]): group[early] for late, early in first.items()}


def _place(frame: Frame) -> FloatArray:
    """Coordinates relative to the center, and the lattice: equal for a shifted copy."""
    positions = frame.atoms.positions - frame.atoms.positions.mean(axis=0)
    lattice = frame.atoms.cell.array * frame.atoms.pbc[:, None]
    return np.concatenate([positions.ravel(), lattice.ravel()])


def length_units(frames: Sequence[Frame]) -> list[Problem]:
    """Find sets whose interatomic distances look like another unit."""
    found = []
    for members in _by_set(frames).values():
        if said := of_lengths(members):
            found += [_units(frame, said) for frame in members]
    return found


def _by_set(frames: Iterable[Frame]) -> dict[str, list[Frame]]:
    sets: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        sets[frame.set].append(frame)
    return sets


def mixed_units(frames: Sequence[Frame]) -> list[Problem]:
    """Find frames whose energies or lengths differ from others by the factor between two units."""
    groups: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[frame.formula].append(frame)
    found = []
    for group in groups.values():
        if len(group) >= _FEWEST:
            found += _other_energies(group)
            found += _other_lengths(group)
    order = {(frame.set, frame.number): k for k, frame in enumerate(frames)}
    return sorted(found, key=lambda p: order[p.set, p.number])


def _median(values: FloatArray) -> float:
    """Return one of the values, even for an even number of them: never a mean of two units."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def _other_energies(group: Sequence[Frame]) -> list[Problem]:
    energies = np.array([frame.energy for frame in group])
    rule = _median(energies)
    # Relative energies, which cross zero, have every ratio to each other: most must be alike.
    if not np.mean(np.abs(energies - rule) < 0.05 * abs(rule)) >= 0.5:
        return []
    pairs = [(b / a, x, y) for x, a in _ENERGY_UNITS.items() for y, b in _ENERGY_UNITS.items()]
    found = []
    for frame, ratio in zip(group, energies / rule, strict=True):
        hits = [(a, b) for r, a, b in pairs if a != b and abs(ratio / r - 1) < _ENERGY_TOLERANCE]
        if hits:
            # eV first: what others are in, and what this one then is in.
            rule_unit, unit = next(((b, a) for a, b in hits if b == "eV"), (hits[0][1], hits[0][0]))
            found.append(
                _units(
                    frame,
                    f"energy {frame.energy:.6g} is {ratio:.4g} times that of the molecule's other "
                    f"frames, as {unit} is of {rule_unit}",
                    f"energies of the molecule's frames differ as {unit} and {rule_unit}",
                )
            )
    return found


def _other_lengths(group: Sequence[Frame]) -> list[Problem]:
    if len(group[0].atoms) < _FEWEST:
        return []
    # Two measures of size, so that fragments that part are no other unit. Bonds cost more, so that
    # they are measured where the extent is suspicious.
    extents = np.array([_extent(frame) for frame in group])
    rule = _median(extents)
    found: list[Problem] = []
    usual = [frame for frame, x in zip(group, extents, strict=True) if _is_near(x, rule, 1.0)]
    for frame, extent in zip(group, extents, strict=True):
        for factor, unit in _LENGTH_UNITS.items():
            if _is_near(extent, rule, factor):
                bond = _median(np.array([_bond(one) for one in usual[:_FEWEST]]))
                if _is_near(_bond(frame), bond, factor):
                    said = f"{extent / rule:.4g} times those of the molecule's other frames"
                    together = f"distances of the molecule's frames differ by a factor: {unit}"
                    found.append(_units(frame, f"distances are {said}: {unit}", together))
    return found


def _is_near(size: float, rule: float, factor: float) -> bool:
    return bool(abs(size - factor * rule) < _LENGTH_TOLERANCE * factor * rule)


def _bond(frame: Frame) -> float:
    """Median over atoms of the distance to the nearest other, in sums of covalent radii."""
    numbers = frame.atoms.numbers
    i, j, r = neighbors("ijd", frame.atoms, 12.0)
    nearest = np.full(len(numbers), np.inf)
    np.minimum.at(nearest, i, r / (covalent_radii[numbers[i]] + covalent_radii[numbers[j]]))
    return float(np.median(nearest))


def _extent(frame: Frame) -> float:
    if frame.atoms.pbc.any():
        vectors = frame.atoms.cell.array[frame.atoms.pbc]
        return float(np.linalg.det(vectors @ vectors.T) ** (0.5 / len(vectors)))
    return float(np.sqrt(frame.atoms.positions.var(axis=0).sum()))


def _units(frame: Frame, what: str, together: str = "") -> Problem:
    return Problem(Kind.UNITS, frame.set, frame.number, what, together=together)


def force_units(
    frames: Sequence[Frame], predicted: Mapping[str, Mapping[str, FloatArray]]
) -> list[Problem]:
    """Find frames whose forces all models reproduce except for a unit factor or the sign.

    Parameters
    ----------
    frames : sequence of Frame
    predicted : mapping of str to mapping of str to ndarray [n, 3]
        Forces (eV/Angstrom) by the name of the model and the frame's key.
    """
    found = []
    for members in _by_set(frame for frame in frames if frame.forces is not None).values():
        if of_all := _of_all(members, predicted):
            found += [_units(frame, of_all) for frame in members]
            continue
        said = [_force_units(members, forces) for forces in predicted.values()]
        for k, frame in enumerate(members):
            words = {one[k] for one in said if one[k] is not None}
            if len(words) == 1 and (what := words.pop()):
                found.append(_units(frame, what))
    return found


def _of_all(members: Sequence[Frame], predicted: Mapping[str, Mapping[str, FloatArray]]) -> str:
    """Return the unit of all forces of a set; empty for eV/Angstrom, or if no model can tell."""
    verdicts = [one for forces in predicted.values() if (one := _verdict(members, forces))]
    speaking = [one for one in verdicts if one.speaks]
    is_turned = bool(speaking) and all(one.agreement < 0.0 for one in speaking)
    units = common_units(verdicts, FORCE_UNITS)
    if units and (is_turned or all(one.agreement > 0.0 for one in speaking)):
        sign = ", and have the other sign (the gradient)" if is_turned else ""
        return (
            f"against the models' the forces are in {' or '.join(units)}, it seems, "
            f"not in eV/Angstrom{sign}"
        )
    if is_turned and all(one.is_usual for one in speaking):
        return "against the models' the forces have the other sign: the gradient, it seems"
    return ""


def _verdict(members: Sequence[Frame], forces: Mapping[str, FloatArray]) -> Verdict | None:
    known = [f for f in members if f.key in forces and f.forces is not None]
    if len(known) < _FEWEST:
        return None
    return of_forces(
        np.concatenate([forces[frame.key] for frame in known]),
        np.concatenate([_labels(frame) for frame in known]),
    )


def energy_units(
    frames: Sequence[Frame],
    energies: Mapping[str, Mapping[str, float]],
    forces: Mapping[str, Mapping[str, FloatArray]],
) -> list[Problem]:
    """Find sets whose energies all models reproduce except for a factor between two units.

    Absolute energies cannot tell, since zeros differ between methods. Differences within a
    composition can or, if each has few frames, the residuals after a fit of energies per element.

    Parameters
    ----------
    frames : sequence of Frame
    energies : mapping of str to mapping of str to float
        eV, by the name of the model and the frame's key.
    forces : mapping of str to mapping of str to ndarray [n, 3]
        eV/Angstrom, likewise.
    """
    found = []
    for members in _by_set(frames).values():
        verdicts = []
        for model, predicted in energies.items():
            known = [frame for frame in members if frame.key in predicted]
            values = np.array([predicted[frame.key] for frame in known])
            if known:
                verdicts.append(of_energies(known, values, _verdict(known, forces[model])))
        if units := common_units(verdicts, ENERGY_UNITS):
            what = f"against the models' the energies are in {' or '.join(units)}, it seems, not"
            found += [_units(frame, f"{what} in eV") for frame in members]
    return found


def _force_units(members: Sequence[Frame], predicted: Mapping[str, FloatArray]) -> list[str | None]:
    """Return one model's verdict on each frame of a set: a unit, none (empty), or not asked."""
    pairs = {f.key: (predicted[f.key], _labels(f)) for f in members if f.key in predicted}
    if not pairs:
        return [None] * len(members)
    typical = float(np.median([_rms(forces) for forces, _ in pairs.values()]))
    words: list[str | None] = []
    for frame in members:
        if frame.key not in pairs:
            words.append(None)
            continue
        forces, labels = pairs[frame.key]
        # Between the model's minimum and DFT's their forces have any ratio: frames of forces that
        # are small for the set, or of few atoms, are judged with the others only.
        is_telling = len(labels) >= _TELLING_ATOMS and _rms(forces) >= _TELLING_FORCE * typical
        words.append(_force_unit(forces, labels) if is_telling else "")
    return words


def _labels(frame: Frame) -> FloatArray:
    assert frame.forces is not None  # only such frames are asked for
    return frame.forces


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _force_unit(predicted: FloatArray, labels: FloatArray) -> str:
    """Return the unit that a frame's labels seem to have; empty for eV/Angstrom, or if unclear."""
    square = float((labels**2).sum())
    both = float((labels * predicted).sum())
    size = np.sqrt(square * float((predicted**2).sum()))
    if not size > 0.0 or not abs(both) >= _FORCE_COSINE * size:
        return ""
    slope = both / square
    unit = min(FORCE_UNITS, key=lambda name: abs(slope / FORCE_UNITS[name] - 1))
    if abs(slope / FORCE_UNITS[unit] - 1) < _FORCE_TOLERANCE:
        # Without the ratio, which differs slightly between models.
        return f"against the models' the forces are in {unit}, it seems, not in eV/Angstrom"
    return ""
