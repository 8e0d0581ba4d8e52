# SPDX-License-Identifier: BSD-3-Clause
"""Compares a relaxed structure with the minimum of another method."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list

from eqnn.so3 import FloatArray
from eqnn.structures import periodic_axes

# Fraction of the sum of covalent radii up to which a pair is bonded.
BOND = 1.25
# Ways to exchange like atoms that are tried; molecules of more have many equal parts.
MOST_WAYS = 5000
# Atoms that are placed to find them, dead ends too: a second or so.
MOST_PLACED = 300_000


@dataclass(frozen=True)
class Comparison:
    """How far a relaxed structure is from the reference.

    Attributes
    ----------
    rmsd : float or None
        Angstrom, of the heavy atoms (of all atoms where there are none), turned onto each other,
        like atoms exchanged as the molecule's symmetry allows. Of a cell: of all atoms, by the
        nearest images. None of one atom, which is always where it should be.
    rmsd_counts : bool
        Whether it stands for a structure: of molecules with three such atoms or more, and cells
        with two. Of fewer it is a distance, and would flatter any mean.
    made, broken : tuple of str
        Bonds that the reference lacks, and that it has: ``C1-O4``.
    energy_drop_error : float or None
        eV: by how much more the model's energy falls along the relaxation than that of the
        reference; None where the reference's energies are not known.
    steps, reference_steps : int, int or None
    """

    rmsd: float | None
    rmsd_counts: bool
    made: tuple[str, ...]
    broken: tuple[str, ...]
    energy_drop_error: float | None
    steps: int
    reference_steps: int | None


def bonds(atoms: Atoms) -> set[tuple[int, int]]:
    """Return the bonded pairs (i < j), by distances."""
    radii = covalent_radii[atoms.numbers]
    i, j = neighbor_list("ij", atoms, list(BOND * radii))
    return {(int(a), int(b)) for a, b in zip(i, j, strict=True) if a < b}


def changed_bonds(atoms: Atoms, reference: Atoms) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the bonds that were made and those that were broken."""
    now, then = bonds(atoms), bonds(reference)
    symbols = [chemical_symbols[z] for z in atoms.numbers]

    def names(pairs: set[tuple[int, int]]) -> tuple[str, ...]:
        return tuple(f"{symbols[i]}{i + 1}-{symbols[j]}{j + 1}" for i, j in sorted(pairs))

    return names(now - then), names(then - now)


def _measured(reference: Atoms) -> Any:
    """Return the atoms that the distance covers."""
    heavy = np.flatnonzero(reference.numbers > 1)
    is_all = reference.pbc.any() or heavy.size == 0
    return np.arange(len(reference)) if is_all else heavy


def rmsd(atoms: Atoms, reference: Atoms) -> float:
    """Return the root mean square distance (Angstrom) that `Comparison.rmsd` says."""
    if reference.pbc.any():
        fractions = periodic_axes(atoms).scaled_positions(atoms.positions)
        axes = periodic_axes(reference)
        fractions = fractions - axes.scaled_positions(reference.positions)
        # From the first atom: a shift of all by half a cell has no nearest image.
        fractions -= fractions[0]
        fractions -= np.round(fractions) * reference.pbc
        fractions -= fractions.mean(axis=0)
        moved = fractions @ axes.array
        return float(np.sqrt((moved**2).sum(axis=1).mean()))
    chosen = _measured(reference)
    x, y = atoms.positions[chosen], reference.positions[chosen]
    ways = itertools.islice(_symmetries(reference, chosen.tolist()), MOST_WAYS)
    return min(_aligned(x[list(way)], y) for way in ways)


def _aligned(x: FloatArray, y: FloatArray) -> float:
    """Kabsch: the best rotation, without reflection."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    u, s, v = np.linalg.svd(x.T @ y)
    if np.linalg.det(u @ v) < 0:
        s[-1] = -s[-1]
    square = (x**2).sum() + (y**2).sum() - 2.0 * s.sum()
    return float(np.sqrt(max(square, 0.0) / len(x)))


def _symmetries(atoms: Atoms, chosen: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the permutations of like atoms that keep all bonds, the identity among the first.

    Like atoms have one element, as many hydrogens, and like neighbors.
    """
    place = {atom: k for k, atom in enumerate(chosen)}
    near: list[set[int]] = [set() for _ in chosen]
    hydrogens = [0] * len(chosen)
    for i, j in bonds(atoms):
        for a, b in ((i, j), (j, i)):
            if a in place and b in place:
                near[place[a]].add(place[b])
            elif a in place:
                hydrogens[place[a]] += 1
    kinds: list[object] = list(zip(atoms.numbers[list(chosen)].tolist(), hydrogens, strict=True))
    # What differs somewhere differs here after as many rounds as atoms lie between.
    for _ in chosen:
        found = [(kinds[k], tuple(sorted(hash(kinds[j]) for j in near[k]))) for k in place.values()]
        names = {kind: number for number, kind in enumerate(dict.fromkeys(found))}
        kinds = [names[kind] for kind in found]
    yield from _ways(kinds, near)


def _along_bonds(near: Sequence[set[int]]) -> list[tuple[int, int | None]]:
    """Return all atoms, each with a bonded one before it, or None for the first of a part."""
    order: list[tuple[int, int | None]] = []
    seen: set[int] = set()
    for start in range(len(near)):
        queue: deque[tuple[int, int | None]] = deque([(start, None)])
        while queue:
            atom, before = queue.popleft()
            if atom not in seen:
                seen.add(atom)
                order.append((atom, before))
                queue.extend((j, atom) for j in sorted(near[atom]) if j not in seen)
    return order


def _ways(kinds: Sequence[object], near: Sequence[set[int]]) -> Iterator[tuple[int, ...]]:
    """Place atoms one by one along bonds, so that a dead end is found early."""
    order = _along_bonds(near)
    place = {atom: k for k, (atom, _) in enumerate(order)}
    # Bonds to atoms that were placed before; by their number, none is made or lost.
    earlier = [[j for j in near[atom] if place[j] < k] for k, (atom, _) in enumerate(order)]
    way: dict[int, int] = {}
    used: set[int] = set()
    n_placed = 0

    def candidates(k: int) -> Iterator[int]:
        atom, before = order[k]
        images = range(len(kinds)) if before is None else near[way[before]]
        for image in sorted(images, key=lambda j: (j != atom, j)):
            if image in used or kinds[image] != kinds[atom]:
                continue
            bonded = near[image]
            n_bonds = sum(j in used for j in bonded)
            if n_bonds == len(earlier[k]) and all(way[j] in bonded for j in earlier[k]):
                yield image

    # A stack, not recursion: a molecule may have more atoms than Python has frames.
    stack = [candidates(0)]
    while stack:
        k = len(stack) - 1
        if order[k][0] in way:
            used.discard(way.pop(order[k][0]))
        image = next(stack[-1], None)
        if image is None:
            stack.pop()
            continue
        n_placed += 1
        if n_placed > MOST_PLACED:
            return
        way[order[k][0]] = image
        used.add(image)
        if k + 1 == len(order):
            yield tuple(way[atom] for atom in range(len(order)))
        else:
            stack.append(candidates(k + 1))


def compare(
    atoms: Atoms,
    reference: Atoms,
    drops: tuple[float | None, float | None],
    steps: tuple[int, int | None],
) -> Comparison:
    """Compare a relaxed structure with the reference.

    Parameters
    ----------
    atoms, reference : Atoms
        The same atoms in the same order.
    drops : tuple
        eV, by which the energy fell: of the model, and of the reference.
    steps : tuple
        Of the model, and of the reference.
    """
    made, broken = changed_bonds(atoms, reference)
    model, other = drops
    error = None if model is None or other is None else model - other
    n = len(_measured(reference))
    distance = rmsd(atoms, reference) if n >= 2 else None
    counts = n >= (2 if reference.pbc.any() else 3)
    return Comparison(distance, counts, made, broken, error, *steps)
