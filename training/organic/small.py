# SPDX-License-Identifier: BSD-3-Clause
"""Structures of atoms and molecules too small for the made-up list, and of two such together.

The list of `organic.molecules` begins with three heavy atoms. Its dynamics breaks no bonds and
presses no atoms together. This module adds two atoms at a bond's length and closer, molecules of up
to two heavy atoms with a compressed or stretched bond, and two molecules side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from organic.structures import Floats, Molecule, beyond, conformer, seed_of, turned

MOLECULES = (
    *("[H][H]", "C", "N", "O", "N#N", "[C-]#[O+]", "C#N", "C#C", "C=C", "CC"),
    *("C=O", "CO", "CN", "C=N", "OO", "NN", "N=N", "NO", "N=O"),
)
ELEMENTS = ("H", "C", "N", "O")
ATOMS_APART = np.linspace(0.9, 0.3, 9)  # over the sum of the covalent radii
SHAKES = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12)  # Angstrom, on each coordinate
STRETCHES = (0.6, 0.65, 0.7, 0.75, 0.8, 0.87, 1.15, 1.25, 1.35, 1.45, 1.6)  # of a bond's length
SHAKEN = 0.02  # Angstrom, where a bond is stretched or two molecules are together
CONTACTS = ((0.9, 2.2), (2.2, 3.6))  # Angstrom: the nearest two atoms of two molecules


@dataclass(frozen=True)
class Task:
    """A structure to compute.

    Attributes
    ----------
    smiles : str
    what : str
        What was done to it; with the SMILES it is unique.
    numbers : list of int
        Atomic numbers.
    positions : ndarray [atom, 3]
        Angstrom.
    spins : tuple of int
        Unpaired electrons; the lowest energy of these counts.
    """

    smiles: str
    what: str
    numbers: list[int]
    positions: Floats
    spins: tuple[int, ...] = (0,)


def atoms() -> Iterator[Task]:
    """Yield two atoms at all distances, of each pair of elements."""
    for a, b in itertools.combinations_with_replacement(ELEMENTS, 2):
        numbers = [atomic_numbers[a], atomic_numbers[b]]
        odd = sum(numbers) % 2
        for part in ATOMS_APART:
            r = part * covalent_radii[numbers].sum()
            yield Task(
                f"[{a}].[{b}]",
                f"{part:.3f} of the radii",
                numbers,
                np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r]]),
                (odd, odd + 2),
            )


def stretched(molecule: Molecule, bond: tuple[int, int], by: float) -> Floats:
    """Move what lies beyond a bond along it, until the bond has `by` times its length."""
    x = molecule.positions.copy()
    x[beyond(bond, molecule.bonds)] += (x[bond[1]] - x[bond[0]]) * (by - 1)
    return np.asarray(x)


def kinds_of_bonds(molecule: Molecule) -> dict[str, tuple[int, int]]:
    """Return one bond between each two elements."""
    out: dict[str, tuple[int, int]] = {}
    for i, j in molecule.turnable:
        name = "-".join(sorted(chemical_symbols[molecule.numbers[k]] for k in (i, j)))
        out.setdefault(name, (i, j))
    return out


def alone(molecule: Molecule) -> Iterator[Task]:
    """Yield a molecule shaken, and with each kind of bond pressed and stretched."""
    draw = np.random.default_rng(seed_of(f"small {molecule.smiles}"))
    numbers = list(molecule.numbers)

    def shaken(x: Floats, sigma: float) -> Floats:
        return np.asarray(x + draw.normal(size=x.shape) * sigma)

    for sigma in SHAKES:
        x = shaken(molecule.positions, sigma)
        yield Task(molecule.smiles, f"shaken {sigma:.2f}", numbers, x)
    for name, bond in kinds_of_bonds(molecule).items():
        for by in STRETCHES:
            x = shaken(stretched(molecule, bond, by), SHAKEN)
            yield Task(molecule.smiles, f"{name} {by:.2f}", numbers, x)


def together(a: Molecule, b: Molecule, contact: tuple[float, float]) -> Task:
    """Put two molecules side by side in a random way, the nearest two atoms so far apart."""
    name = f"{a.smiles}.{b.smiles}"
    draw = np.random.default_rng(seed_of(f"{name} {contact}"))
    nearest = draw.uniform(*contact)

    def placed(molecule: Molecule) -> Floats:
        x = molecule.positions - molecule.positions.mean(axis=0)
        x = turned(x, draw.normal(size=3), draw.uniform(-np.pi, np.pi))
        return np.asarray(x + draw.normal(size=x.shape) * SHAKEN)

    x, y = placed(a), placed(b)
    way = draw.normal(size=3)
    way /= np.linalg.norm(way)

    def gap(shift: float) -> float:
        return float(np.linalg.norm(x[:, None] - (y + shift * way)[None], axis=-1).min())

    # From afar inwards, until the nearest atoms are as wanted.
    far, step = 20.0, 0.01
    while gap(far - step) > nearest:
        far -= step
    return Task(
        name,
        f"{contact[0]:.1f} to {contact[1]:.1f} Angstrom",
        [*a.numbers, *b.numbers],
        np.vstack([x, y + far * way]),
    )


def small() -> list[Task]:
    """Return all structures of this module, in the order in which they are computed."""
    molecules = []
    for smiles in MOLECULES:
        molecule = conformer(smiles, seed_of(smiles))
        assert molecule is not None, smiles
        molecules.append(molecule)
    tasks = [*atoms(), *itertools.chain.from_iterable(map(alone, molecules))]
    pairs = [
        together(a, b, contact)
        for a, b in itertools.combinations_with_replacement(molecules, 2)
        for contact in CONTACTS
    ]
    return tasks + sorted(pairs, key=lambda task: seed_of(f"{task.smiles} {task.what}"))
