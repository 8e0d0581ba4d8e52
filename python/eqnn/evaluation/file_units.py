# SPDX-License-Identifier: BSD-3-Clause
"""Finds whole files in other units: all predictions differ by the factor between two units.

Errors of models, even of those that have not seen such molecules, change the size of forces and
relative energies by factors of 0.3 to 1.6 (shipped potentials on data/qcr-small). Units differ by
13.6 and more. If the ratio is near a unit's factor and the labels correlate, they are in that unit.

Lengths need no model: the nearest atom is at about the sum of the covalent radii.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.units import Bohr, Hartree, Rydberg, kcal, kJ, mol
from scipy.spatial import cKDTree

from eqnn.evaluation.frame import Frame
from eqnn.so3 import FloatArray
from eqnn.structures import is_partly_periodic, neighbors, wrapped

# eV, and eV/Angstrom, of one of the unit.
ENERGY_UNITS = {"Hartree": Hartree, "Rydberg": Rydberg, "kcal/mol": kcal / mol}
ENERGY_UNITS |= {"kJ/mol": kJ / mol, "meV": 1e-3}
FORCE_UNITS = {"Hartree/Bohr": Hartree / Bohr, "Hartree/Angstrom": Hartree}
FORCE_UNITS |= {"kcal/mol/Angstrom": kcal / mol, "kJ/mol/Angstrom": kJ / mol}
FORCE_UNITS |= {"Rydberg/Bohr": Rydberg / Bohr, "meV/Angstrom": 1e-3}

# A size is a unit's within this factor: the models' own errors, and less than the root of what the
# smallest factor, a Rydberg's 13.6, differs by from 1.
_REACH = 2.5
# Units are named beside the best one where they fit about as well, in the logarithm: the farther
# the best is off, the less it says.
_ALIKE = 0.1
# Sizes of models that agree less than this may be off by two: a Hartree has two Rydbergs.
_AGREE_IN_SIZE = 0.9
_ALIKE_IF_WEAK = np.log(2.0)
# Correlations from which sizes say something. Energies of some frames may go along by chance,
# forces of many atoms do not.
_FORCES_AGREE = 0.5
_ENERGIES_AGREE = 0.9
_ENERGIES_AGREE_WITH_FORCES = 0.6
# Numbers that are left after means are removed.
_FEWEST_ENERGIES = 5
_FEWEST_ATOMS = 30

# Distances in sums of covalent radii, by what the positions are then.
LENGTH_UNITS = {
    1.0 / Bohr: "in Bohr",
    Bohr: "Angstrom that were converted from Bohr once more",
    0.1: "in nm",
    10.0: "Angstrom that were converted from nm once more",
    100.0: "in pm",
}
# Of sound frames, from compressed metals to hydrogen and ions, they are 0.8 to 1.25; the root of
# what Bohr and Angstrom differ by is 1.37.
_RADII_REACH = 1.25
# Nearly all frames must say it: those of a scan of distances go through any factor.
_FRAMES_AGREE = 0.9
_FRAMES_ASKED = 100
# Noble gases have no bonds.
_NOBLE = (2, 10, 18, 36, 54, 86)
_FEWEST_OF_A_MOLECULE = 3


class Verdict:
    """One model's verdict on a file's unit.

    Parameters
    ----------
    agreement : float
        Correlation of what it predicts with the labels; its sign is theirs.
    size : float
        Size of the predictions over that of the labels: 1 of a good model.
    least : float
        Least correlation for a verdict.
    """

    def __init__(self, agreement: float, size: float, least: float) -> None:
        self.agreement = agreement
        self.size = size
        self.speaks = bool(abs(agreement) >= least and size > 0.0)

    def units(self, factors: Mapping[str, float]) -> set[str]:
        """Return the possible units of the labels; empty for eV and Angstrom."""
        off = {name: abs(np.log(self.size / factor)) for name, factor in factors.items()}
        best = min(off.values())
        if not best <= np.log(_REACH):
            return set()
        alike = _ALIKE if abs(self.agreement) >= _AGREE_IN_SIZE else _ALIKE_IF_WEAK
        return {name for name, x in off.items() if x <= 2.0 * best + alike}

    @property
    def is_usual(self) -> bool:
        """Whether the labels have the size that the model expects."""
        return bool(abs(np.log(self.size)) <= np.log(_REACH))


def of_forces(predicted: FloatArray, labels: FloatArray) -> Verdict:
    """Judge forces [n, 3] of all frames of a file, eV/Angstrom and what the file has."""
    size = _size(predicted) / _size(labels) if _size(labels) > 0.0 else 0.0
    both = float((predicted * labels).sum())
    norm = float(np.sqrt((predicted**2).sum() * (labels**2).sum()))
    agreement = both / norm if norm > 0.0 else 0.0
    return Verdict(agreement, size, _FORCES_AGREE if len(labels) >= _FEWEST_ATOMS else 2.0)


def _size(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def of_energies(
    frames: Sequence[Frame], predicted: FloatArray, forces: Verdict | None
) -> Verdict | None:
    """Judge relative energies of a file's frames; None where there are too few.

    Parameters
    ----------
    frames : sequence of Frame
    predicted : ndarray [n]
        eV.
    forces : Verdict or None
        The verdict on forces: if they agree, less evidence is needed for energies.
    """
    labels = np.array([frame.energy for frame in frames])
    for design in (_compositions(frames), _counts(frames)):
        basis = _basis(design)
        # Of the only frame of a composition nothing is left.
        is_left = (basis**2).sum(axis=1) < 1.0 - 1e-6
        if is_left.sum() - 1 >= _FEWEST_ENERGIES <= len(frames) - basis.shape[1]:
            left = [(x - basis @ (basis.T @ x))[is_left] for x in (predicted, labels)]
            return _of_residuals(left[0], left[1], forces)
    return None


def _of_residuals(predicted: FloatArray, labels: FloatArray, forces: Verdict | None) -> Verdict:
    typical = [float(np.median(np.abs(values))) for values in (predicted, labels)]
    if not min(typical) > 1e-9:
        return Verdict(0.0, 0.0, 1.0)
    size, usual = _size(predicted) / _size(labels), typical[0] / typical[1]
    agrees = min(_correlation(predicted, labels), _correlation(_ranks(predicted), _ranks(labels)))
    if not abs(np.log(size / usual)) <= np.log(_REACH):
        agrees = 0.0  # one frame, which the model takes for an explosion, say, decides the size
    least = _ENERGIES_AGREE
    if forces is not None and forces.speaks:
        least = _ENERGIES_AGREE_WITH_FORCES
    # The negative of an energy is no unit.
    return Verdict(max(agrees, 0.0), size, least)


def _correlation(a: FloatArray, b: FloatArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm > 0.0 else 0.0


def _ranks(values: FloatArray) -> FloatArray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def _compositions(frames: Sequence[Frame]) -> FloatArray:
    """Return which composition and stage each frame is of: their zeros are not the models'."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, frame in enumerate(frames):
        groups[frame.formula, frame.stage].append(k)
    design = np.zeros((len(frames), len(groups)))
    for column, members in enumerate(groups.values()):
        design[members, column] = 1.0
    return design


def _counts(frames: Sequence[Frame]) -> FloatArray:
    """Return how many atoms of each element each frame has: zeros of energies are sums of those."""
    elements = sorted({z for frame in frames for z in frame.atoms.numbers.tolist()})
    return np.array([[(frame.atoms.numbers == z).sum() for z in elements] for frame in frames])


def _basis(design: FloatArray) -> FloatArray:
    """Return an orthonormal basis [n, rank] of the columns."""
    u, s, _ = np.linalg.svd(design, full_matrices=False)
    return np.asarray(u[:, s > 1e-10 * s[0]])


def common_units(verdicts: Sequence[Verdict | None], factors: Mapping[str, float]) -> list[str]:
    """Return the units on which all models with a verdict agree, the likeliest first."""
    speaking = [one for one in verdicts if one is not None and one.speaks]
    if not speaking:
        return []
    found = set.intersection(*(one.units(factors) for one in speaking))
    size = float(np.exp(np.mean([np.log(one.size) for one in speaking])))
    return sorted(found, key=lambda name: abs(float(np.log(size / factors[name]))))


# ---- lengths ----


def of_lengths(frames: Sequence[Frame]) -> str:
    """Return the unit of a set's positions; empty for Angstrom, or if unknown."""
    step = -(-len(frames) // _FRAMES_ASKED)
    asked = [bond_in_radii(frame.atoms) for frame in frames[::step]]
    bonds = np.array([bond for bond in asked if bond is not None])
    if not bonds.size:
        return ""
    for factor, unit in LENGTH_UNITS.items():
        if np.mean(np.abs(np.log(bonds / factor)) <= np.log(_RADII_REACH)) >= _FRAMES_AGREE:
            typical = float(np.median(bonds))
            return (
                f"nearest atoms are {typical:.2g} times the sum of their covalent radii apart: "
                f"positions are {unit}, it seems"
            )
    return ""


def bond_in_radii(atoms: Atoms) -> float | None:
    """Return the median over atoms of the distance to the nearest other, in sums of covalent radii.

    None if bonds cannot be judged: single atoms, also in a box; pairs, which a scan may have at any
    distance; and noble gases.

    Parameters
    ----------
    atoms : Atoms
    """
    if len(atoms) < _FEWEST_OF_A_MOLECULE and not atoms.pbc.any():
        return None
    if len(atoms) == 1 and np.allclose(atoms.cell.angles(), 90.0):
        return None  # a box: no element but polonium has such a primitive cell
    if is_partly_periodic(atoms):
        atoms = _with_images(atoms)
    found = _nearest_in_crystal(atoms) if atoms.pbc.all() else _nearest_in_molecule(atoms)
    numbers = atoms.numbers
    distances = [
        d / (covalent_radii[numbers[i]] + covalent_radii[numbers[j]])
        for i, j, d in found
        if numbers[i] not in _NOBLE and numbers[j] not in _NOBLE
    ]
    bond = float(np.median(distances)) if distances else 0.0
    return bond if bond > 0.0 else None


def _with_images(atoms: Atoms) -> Atoms:
    """Return a piece of a chain or slab of three cells a side, as a molecule."""
    out: Atoms = wrapped(atoms).repeat(np.where(atoms.pbc, 3, 1))
    out.pbc = False
    return out


def _nearest_in_molecule(atoms: Atoms) -> list[tuple[int, int, float]]:
    """Return each atom, its nearest other, and how far that is (Angstrom)."""
    distances, indices = cKDTree(atoms.positions).query(atoms.positions, k=2)
    rows = np.arange(len(atoms))
    # Of two atoms at one place either may come first.
    other = np.where(indices[:, 1] == rows, indices[:, 0], indices[:, 1])
    return list(zip(rows.tolist(), other.tolist(), distances[:, 1].tolist(), strict=True))


def _nearest_in_crystal(atoms: Atoms) -> list[tuple[int, int, float]]:
    """Return likewise, among all images, without those that are far from all others."""
    # By the volume of an atom, as cells in nm are dense; in a close packing it is 1.12.
    reach = 1.2 * float(atoms.get_volume() / len(atoms)) ** (1 / 3)
    i, j, d = neighbors("ijd", atoms, reach)
    order = np.argsort(d, kind="stable")
    _, first = np.unique(i[order], return_index=True)
    nearest = order[first]
    return list(zip(i[nearest].tolist(), j[nearest].tolist(), d[nearest].tolist(), strict=True))
