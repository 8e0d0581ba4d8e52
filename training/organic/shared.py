# SPDX-License-Identifier: BSD-3-Clause
"""Structures with protons that two atoms share in a hydrogen bond.

There are two kinds. In one, the hydrogen bond closes a ring of six atoms: O=C-C=C-O-H, and the same
with nitrogen. In the other, two equal molecules have two hydrogen bonds. Both are taken from 300 fs
of dynamics with trained potentials. Springs hold each proton at a place on its way that is drawn at
random (umbrella sampling; Torrie and Valleau, J. Comput. Phys. 23, 187 (1977)), so structures far
from a minimum occur, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from eqnn.library import Potential
from organic.committee import predictions
from organic.small import Task
from organic.structures import Floats, sampled, seed_of
from organic.teacher import is_watched

ENDS = (("O", "O"), ("O", "N"), ("N", "N"))
BRANCHES = ("", "(C)", "(N)", "(O)")
MOST_HEAVY = 7
PAIRED = ("O=CO", "NC=O", "N=CN", "N=CO")
CONFORMERS = 40
NEAR = 2.3  # Angstrom: of a hydrogen and the atom that accepts it, in a conformer
NEAR_IN_PAIR = 2.6  # Angstrom: in a molecule that makes a pair, where the bond is strained
PAIR_GAP = 1.7  # Angstrom: the same, in the start of a pair
WINDOWS = 3  # of each molecule or pair
FARTHEST = 0.9  # Angstrom: of the two distances' difference, from zero
STIFFNESS = 10.0  # eV/Angstrom^2, of both springs
WIDEST = 2.75  # Angstrom, between the two heavy atoms: beyond, a spring pulls
COLDEST, HOTTEST = 150.0, 900.0  # K
STEPS = 150

Bond = tuple[int, int, int]


def names() -> list[str]:
    """Return the SMILES of the molecules with a ring of six, without those that no training has."""
    from organic.molecules import canonical, held_out  # needs RDKit

    out = held_out()
    found = []
    for (x, y), (a, b, c) in itertools.product(ENDS, itertools.product(BRANCHES, repeat=3)):
        n = 5 + sum(branch != "" for branch in (a, b, c))
        # The proton's move makes the one of these two from the other.
        both = [f"{x}=C{a}C{b}=C{c}{y}", f"{y}=C{c}C{b}=C{a}{x}"]
        if n > MOST_HEAVY or (x == y and BRANCHES.index(a) > BRANCHES.index(c)):
            continue
        smiles, other = (canonical(one) for one in both)
        if smiles in found or any(one in out or is_watched(one) for one in (smiles, other)):
            continue
        found.append(smiles)
    return found


def hydrogen_bonds(numbers: Sequence[int], x: Floats, nearest: float) -> list[Bond]:
    """Return the hydrogen bonds of a structure.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers.
    x : ndarray [atom, 3]
        Positions, Angstrom.
    nearest : float
        Angstrom: hydrogen and acceptor are at most so far apart.

    Returns
    -------
    list of (donor, hydrogen, acceptor)
        Both are nitrogen or oxygen. The shortest bond comes first, and an atom has one at most.
    """
    z = np.asarray(numbers)
    heavy, polar = np.flatnonzero(z > 1), np.flatnonzero(z > 6)
    if not polar.size:
        return []
    apart = np.linalg.norm(x[:, None] - x[None], axis=-1)
    found: list[tuple[float, Bond]] = []
    for h in np.flatnonzero(z == 1).tolist():
        donor = int(heavy[apart[h, heavy].argmin()])
        if z[donor] <= 6:
            continue
        for acceptor in polar.tolist():
            if acceptor != donor and apart[h, acceptor] <= nearest:
                found.append((float(apart[h, acceptor]), (donor, h, acceptor)))
    bonds: list[Bond] = []
    for _, bond in sorted(found):
        if not {bond[0], bond[2]} & {atom for other in bonds for atom in (other[0], other[2])}:
            bonds.append(bond)
    return bonds


def conformers(smiles: str) -> tuple[list[int], Floats, list[Floats]]:
    """Return conformers of a SMILES, relaxed with a force field.

    Returns
    -------
    numbers : list of int
        Atomic numbers.
    steps : ndarray [atom, atom]
        Bonds between two atoms.
    positions : list of ndarray [atom, 3]
        Angstrom.
    """
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(molecule, CONFORMERS, randomSeed=seed_of(smiles))
    AllChem.MMFFOptimizeMoleculeConfs(molecule)
    return (
        [atom.GetAtomicNum() for atom in molecule.GetAtoms()],
        np.array(Chem.GetDistanceMatrix(molecule)),
        [np.array(one.GetPositions()) for one in molecule.GetConformers()],
    )


def ring(smiles: str) -> tuple[list[int], Floats, list[Bond]] | None:
    """Return a conformer that a hydrogen bond closes to a ring; None where RDKit finds none.

    Returns
    -------
    numbers : list of int
    positions : ndarray [atom, 3]
        Angstrom.
    bonds : list of (donor, hydrogen, acceptor)
        One.
    """
    numbers, steps, several = conformers(smiles)
    best: tuple[float, Floats, Bond] | None = None
    for x in several:
        for bond in hydrogen_bonds(numbers, x, NEAR):
            apart = float(np.linalg.norm(x[bond[1]] - x[bond[2]]))
            if steps[bond[0], bond[2]] == 4 and (best is None or apart < best[0]):
                best = (apart, x, bond)
    return None if best is None else (numbers, best[1], [best[2]])


def pair(smiles: str) -> tuple[list[int], Floats, list[Bond]] | None:
    """Return a molecule and its mirror through a point, with two hydrogen bonds; None without.

    Returns
    -------
    As `ring`, with two bonds.
    """
    numbers, _, several = conformers(smiles)
    for x in several:
        for donor, h, acceptor in hydrogen_bonds(numbers, x, NEAR_IN_PAIR):
            along = (x[h] - x[donor]) / np.linalg.norm(x[h] - x[donor])
            both = np.vstack([x, x[h] + PAIR_GAP * along + x[acceptor] - x])
            bonds = hydrogen_bonds([*numbers, *numbers], both, PAIR_GAP + 0.05)
            gaps = np.linalg.norm(both[: len(x), None] - both[None, len(x) :], axis=-1)
            if len(bonds) == 2 and gaps.min() > PAIR_GAP - 0.05:
                return [*numbers, *numbers], both, bonds
    return None


def held(x: Floats, bonds: Sequence[Bond], wanted: Floats) -> Floats:
    """Return the forces of the springs that hold protons on their way.

    Parameters
    ----------
    x : ndarray [atom, 3]
        Angstrom.
    bonds : sequence of (donor, hydrogen, acceptor)
    wanted : ndarray [bond]
        The distance from the donor less that from the acceptor, Angstrom.

    Returns
    -------
    ndarray [atom, 3]
        eV/Angstrom.
    """
    out = np.zeros_like(x)
    for (donor, h, acceptor), target in zip(bonds, wanted, strict=True):
        to_d, to_a, across = x[h] - x[donor], x[h] - x[acceptor], x[acceptor] - x[donor]
        r_d, r_a, r = (float(np.linalg.norm(v)) for v in (to_d, to_a, across))
        pull = STIFFNESS * (r_d - r_a - target)
        out[donor] += pull * to_d / r_d
        out[acceptor] -= pull * to_a / r_a
        out[h] -= pull * (to_d / r_d - to_a / r_a)
        tie = STIFFNESS * max(0.0, r - WIDEST)
        out[donor] += tie * across / r
        out[acceptor] -= tie * across / r
    return out


def windows(
    smiles: str,
    start: tuple[list[int], Floats, list[Bond]],
    potentials: Sequence[Potential],
) -> Iterator[Task]:
    """Yield one structure of each window; see the module."""
    numbers, x, bonds = start
    draw = np.random.default_rng(seed_of(f"shared {smiles}"))
    wanted = draw.uniform(-FARTHEST, FARTHEST, size=(WINDOWS, len(bonds)))
    temperatures = draw.uniform(COLDEST, HOTTEST, size=WINDOWS)

    def forces(many: Floats) -> Floats:
        of = predictions(potentials, [(np.array(numbers), r, None) for r in many])[1]
        pulled = [held(r, bonds, t) for r, t in zip(many, wanted, strict=True)]
        return np.stack([f.mean(axis=0) + p for f, p in zip(of, pulled, strict=True)])

    (last,) = sampled(np.stack([x] * WINDOWS), temperatures, forces, (STEPS,), draw)
    for target, positions in zip(wanted, last, strict=True):
        told = " and ".join(f"{t:.2f}" for t in target)
        yield Task(smiles, f"shared {told} Angstrom", numbers, positions)


def shared(models: Sequence[str]) -> list[Task]:
    """Return all structures of this module, in the order in which they are computed.

    Parameters
    ----------
    models : sequence of str
        Files of two potentials or more.

    Raises
    ------
    EqnnError
        If a potential cannot evaluate a structure.
    """
    starts = [(f"{smiles}.{smiles}", pair(smiles)) for smiles in PAIRED]
    starts += [(smiles, ring(smiles)) for smiles in names()]
    with ExitStack() as stack:
        potentials = [stack.enter_context(Potential(model)) for model in models]
        tasks = [
            task
            for smiles, start in starts
            if start is not None
            for task in windows(smiles, start, potentials)
        ]

    def heavy(task: Task) -> int:
        return sum(z > 1 for z in task.numbers)

    # Small ones first; of equal ones, in an order that mixes molecules.
    return sorted(tasks, key=lambda t: (heavy(t), seed_of(f"{t.smiles} {t.what}")))
