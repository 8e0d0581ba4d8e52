# SPDX-License-Identifier: BSD-3-Clause
"""Structures of generated molecules: conformers, distortions and dynamics.

All of it is NumPy, except for `conformer`, which uses RDKit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# eV/K, and what makes eV/Angstrom over amu an acceleration in Angstrom/fs^2.
BOLTZMANN = 8.617333262e-5
ACCELERATION = 9.648533212e-3
# Masses do not change what is sampled: equal ones, for hydrogens too, allow long steps.
MASS = 12.0
TIME_STEP = 2.0
FRICTION = 0.02
# eV/Angstrom: steps are made with no more than this on an atom, so that close atoms part calmly.
LARGEST_FORCE = 30.0


@dataclass(frozen=True)
class Molecule:
    """A molecule with one conformer.

    Attributes
    ----------
    smiles : str
    numbers : tuple of int
        Atomic numbers; heavy atoms in the order of the SMILES, hydrogens follow.
    bonds : tuple of (int, int)
    turnable : tuple of (int, int)
        Bonds that are in no ring: what lies beyond one can be moved against the rest.
    positions : ndarray [atom, 3]
        Angstrom.
    """

    smiles: str
    numbers: tuple[int, ...]
    bonds: tuple[tuple[int, int], ...]
    turnable: tuple[tuple[int, int], ...]
    positions: Floats


def needs(error: ImportError) -> str:
    """Tell which package is missing, and what brings it."""
    return f"{error}. `pip install -r training/organic/requirements.txt` brings what is needed"


def seed_of(text: str) -> int:
    """31 bits that depend on nothing but the text."""
    return zlib.crc32(text.encode()) & 0x7FFFFFFF


def conformer(smiles: str, seed: int) -> Molecule | None:
    """Return a conformer of a SMILES, relaxed with a force field; None where RDKit finds none."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(molecule, randomSeed=seed, maxAttempts=20) != 0:
        return None
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        AllChem.MMFFOptimizeMolecule(molecule, maxIters=100)
    else:
        AllChem.UFFOptimizeMolecule(molecule, maxIters=100)
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.IsInRing()) for b in molecule.GetBonds()]
    return Molecule(
        smiles,
        tuple(a.GetAtomicNum() for a in molecule.GetAtoms()),
        tuple((i, j) for i, j, _ in bonds),
        tuple((i, j) for i, j, in_ring in bonds if not in_ring),
        np.array(molecule.GetConformer().GetPositions()),
    )


def beyond(bond: tuple[int, int], bonds: Sequence[tuple[int, int]]) -> list[int]:
    """Return the atoms on the second atom's side of a bond that is in no ring."""
    found, front = {bond[1]}, [bond[1]]
    while front:
        here = front.pop()
        for i, j in bonds:
            for a, b in ((i, j), (j, i)):
                if a == here and b not in found and {a, b} != set(bond):
                    found.add(b)
                    front.append(b)
    return sorted(found)


def turned(vectors: Floats, axis: Floats, angle: float) -> Floats:
    """Turn vectors [n, 3] about an axis through the origin, by an angle in radian."""
    k = axis / np.linalg.norm(axis)
    along = np.outer(vectors @ k, k)
    return np.asarray(
        along + (vectors - along) * np.cos(angle) + np.cross(k, vectors) * np.sin(angle)
    )


def distorted(molecule: Molecule, draw: np.random.Generator) -> Floats:
    """Stretch, bend and turn a few bonds of a molecule, and shake its atoms.

    Returns
    -------
    ndarray [atom, 3]
        Angstrom.
    """
    x = molecule.positions.copy()
    for _ in range(draw.integers(1, 4) if molecule.turnable else 0):
        i, j = molecule.turnable[draw.integers(len(molecule.turnable))]
        part = beyond((i, j), molecule.bonds)
        axis = x[j] - x[i]
        kind = draw.integers(3)
        if kind == 0:  # stretched or pressed
            x[part] += axis * draw.uniform(-0.12, 0.25)
        elif kind == 1:  # bent about a random direction across the bond
            across = np.cross(axis, draw.normal(size=3))
            x[part] = x[i] + turned(x[part] - x[i], across, draw.normal() * 0.25)
        else:
            x[part] = x[j] + turned(x[part] - x[j], axis, draw.uniform(-np.pi, np.pi))
    return np.asarray(x + draw.normal(size=x.shape) * draw.uniform(0.0, 0.06))


def sampled(
    positions: Floats,
    temperatures: Floats,
    forces: Callable[[Floats], Floats],
    keep: Sequence[int],
    draw: np.random.Generator,
) -> list[Floats]:
    """Run Langevin dynamics of many molecules of the same number of atoms (BAOAB).

    Parameters
    ----------
    positions : ndarray [molecule, atom, 3]
        Angstrom.
    temperatures : ndarray [molecule]
        K.
    forces : callable
        From positions to eV/Angstrom.
    keep : sequence of int
        After how many steps positions are kept, increasing.
    draw : Generator

    Returns
    -------
    list of ndarray [molecule, atom, 3]
        One for each of `keep`.
    """
    x = positions.copy()
    speed = np.sqrt(BOLTZMANN * temperatures / MASS * ACCELERATION)[:, None, None]
    # A calm start shares its energy with the springs: twice of it at first.
    v = np.sqrt(2.0) * speed * draw.normal(size=x.shape)
    keeps = np.exp(-FRICTION * TIME_STEP)
    kick = np.sqrt(1.0 - keeps**2) * speed

    def pushed() -> Floats:
        f = forces(x)
        size = np.linalg.norm(f, axis=-1, keepdims=True)
        f = f * np.minimum(1.0, LARGEST_FORCE / np.maximum(size, 1e-9))
        return np.asarray(f * (0.5 * TIME_STEP * ACCELERATION / MASS))

    out = []
    push = pushed()
    for step in range(1, keep[-1] + 1):
        v = v + push
        x = x + 0.5 * TIME_STEP * v
        v = keeps * v + kick * draw.normal(size=x.shape)
        x = x + 0.5 * TIME_STEP * v
        push = pushed()
        v = v + push
        if step in keep:
            out.append(x.copy())
    return out
