# SPDX-License-Identifier: BSD-3-Clause
"""Tests a model for atoms closer than any bond, where no training set reaches.

A dimer of each pair of elements is compressed. Real atoms repel each other more and more: some ten
eV at half of a bond length. The energy of a network that was not trained there may fall instead.
Then hot atoms, or those of a bad starting structure, fuse. LAMMPS's ZBL repulsion, added to the
model, corrects that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from eqnn.errors import EqnnError
from eqnn.library import Properties
from eqnn.so3 import FloatArray

Evaluate = Callable[[Atoms], Properties]
Pair = tuple[int, int]

# Distances in sums of covalent radii, from the outermost to the innermost.
GRID = np.linspace(1.0, 0.3, 15)
# The shortest bonds (Cr2, V2) have 0.58: what falls inside is no bond.
SHORTEST_BOND = 0.55
# For pairs that must be mended: beyond the bond, where ZBL may have to begin.
FINE_GRID = np.linspace(1.6, 0.3, 66)
# eV. Falls below this are ripples that no atom notices at some hundred K.
RIPPLE = 0.05
# A wall of E stops all but one in e^20 = 5e8 collisions at E / 20 k_B.
KELVIN_PER_EV = 1.0 / (20.0 * 8.617333e-5)
# Below this temperature a wall is too low for what is run in MD: melts, shocks, diamond anvils.
HOT = 5000.0
# More elements than this: not every pair, but each element with itself and with these.
MANY_ELEMENTS = 12
COMMON = (1, 6, 7, 8)
# Atoms in one evaluation: the search for neighbors grows with the square.
_BATCH = 240

# LAMMPS's pair_style zbl: e^2/(4 pi eps0) in eV Angstrom, screening length in Angstrom.
_COULOMB = 14.399645
_SCREENING = 0.46850
_POWER = 0.23
_TERMS = ((0.02817, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.19980))


@dataclass(frozen=True)
class Wall:
    """The energy barrier between two close atoms.

    Attributes
    ----------
    pair : tuple of int
        Atomic numbers.
    height : float
        Above the lowest energy farther out, eV: of the top where the energy falls again, or of the
        innermost distance where it does not.
    top : float or None
        Distance within which the energy falls, Angstrom; None where it rises all the way.
    lowest : float
        Lowest energy within the top against two free atoms, eV; NaN where it is not finite.
    """

    pair: Pair
    height: float
    top: float | None
    lowest: float

    @property
    def temperature(self) -> float:
        """Temperature up to which it holds, K."""
        return self.height * KELVIN_PER_EV

    @property
    def name(self) -> str:
        """Symbols, as in ``H-O``."""
        return "-".join(chemical_symbols[z] for z in self.pair)


@dataclass(frozen=True)
class Mending:
    """ZBL cutoffs for a pair, Angstrom, and the resulting wall; None if no ZBL suffices."""

    wall: Wall
    cutoffs: tuple[float, float] | None
    mended: Wall | None


def bond(pair: Pair) -> float:
    """Sum of the covalent radii, Angstrom."""
    return float(covalent_radii[pair[0]] + covalent_radii[pair[1]])


def choose_pairs(species: Sequence[int], present: Iterable[int] | None = None) -> list[Pair]:
    """Return the pairs to examine.

    Parameters
    ----------
    species : sequence of int
        Atomic numbers of the model.
    present : iterable of int, optional
        Elements of a given structure: then all of their pairs.
    """
    elements = sorted(set(species) if present is None else set(present))
    pairs = list(combinations_with_replacement(elements, 2))
    if present is not None or len(elements) <= MANY_ELEMENTS:
        return pairs
    return [(a, b) for a, b in pairs if a == b or a in COMMON or b in COMMON]


def curves(
    evaluate: Evaluate, pairs: Sequence[Pair], grid: FloatArray, cutoff: float, together: bool
) -> FloatArray:
    """Energies of dimers relative to free atoms [pair, distance], eV; NaN if not finite.

    Parameters
    ----------
    evaluate : callable
    pairs : sequence of (int, int)
    grid : ndarray [distance]
        In sums of covalent radii.
    cutoff : float
        Angstrom.
    together : bool
        Whether dimers out of each other's reach may be evaluated as one structure: not where
        energies are means per atom.
    """
    dimers = [(pair, x * bond(pair)) for pair in pairs for x in grid]
    size = _BATCH // 2 if together else 1
    energies: list[float] = []
    for start in range(0, len(dimers), size):
        energies += _energies(evaluate, dimers[start : start + size], cutoff)
    free = {z: evaluate(Atoms([z], np.zeros((1, 3)))).energy for pair in pairs for z in pair}
    table = np.reshape(energies, (len(pairs), len(grid)))
    return np.asarray(table - np.reshape([free[a] + free[b] for a, b in pairs], (-1, 1)))


def _energies(
    evaluate: Evaluate, dimers: Sequence[tuple[Pair, float]], cutoff: float
) -> list[float]:
    apart = 2.0 * cutoff + 10.0
    positions = [
        [r * atom, apart * (k % 8), apart * (k // 8)]
        for k, (_, r) in enumerate(dimers)
        for atom in (0, 1)
    ]
    atoms = Atoms([z for pair, _ in dimers for z in pair], positions)
    try:
        parts = evaluate(atoms).atom_energies
        return [float(e) for e in parts.reshape(-1, 2).sum(1)]
    except EqnnError:  # not finite: which ones?
        if len(dimers) == 1:
            return [math.nan]
        return [e for dimer in dimers for e in _energies(evaluate, [dimer], cutoff)]


def wall(pair: Pair, grid: FloatArray, energy: FloatArray) -> Wall:
    """Judge a dimer's curve.

    Going inward from the lowest energy at distances of bonds, the energy must rise. Where it falls
    by more than ripples, what it had risen to is the wall.

    Parameters
    ----------
    pair : tuple of int
    grid : ndarray [distance]
        Falling, in sums of covalent radii.
    energy : ndarray [distance]
        eV.
    """
    bonding = grid >= SHORTEST_BOND - 1e-9
    outside = np.where(np.isfinite(energy[bonding]), energy[bonding], np.inf)
    start = int(np.argmin(outside))
    top = start
    for k in range(start + 1, len(grid)):
        # Negated, so that what is not finite is a fall.
        falls = not energy[k] >= energy[top] - RIPPLE
        if falls and (grid[k] < 0.65 or not np.isfinite(energy[k])):
            inside = energy[top:]
            return Wall(
                pair,
                max(0.0, float(energy[top] - energy[start])),
                float(grid[top] * bond(pair)),
                float(inside.min()),
            )
        if energy[k] > energy[top]:
            top = k
    return Wall(pair, max(0.0, float(energy[-1] - energy[start])), None, float(energy[-1]))


def zbl(pair: Pair, r: FloatArray, inner: float, outer: float) -> FloatArray:
    """LAMMPS's pair_style zbl, including its switching function.

    Parameters
    ----------
    pair : tuple of int
        Atomic numbers.
    r : ndarray
        Angstrom.
    inner, outer : float
        Cutoffs in Angstrom: between them the energy is switched off.

    Returns
    -------
    ndarray
        eV.
    """

    def bare(x: FloatArray, order: int) -> FloatArray:
        """Return a derivative of the unswitched energy."""
        length = _SCREENING / (pair[0] ** _POWER + pair[1] ** _POWER)
        terms = [(c * np.exp(-d * x / length), -d / length) for c, d in _TERMS]
        phi, slope, bend = (sum(t * k**n for t, k in terms) for n in range(3))
        factor = _COULOMB * pair[0] * pair[1]
        if order == 0:
            return np.asarray(factor * phi / x)
        if order == 1:
            return np.asarray(factor * (slope / x - phi / x**2))
        return np.asarray(factor * (bend / x - 2 * slope / x**2 + 2 * phi / x**3))

    e, de, dde = (float(bare(np.array(outer), order)) for order in range(3))
    width = outer - inner
    a = (-3 * de + width * dde) / width**2
    b = (2 * de - width * dde) / width**3
    c = -e + 0.5 * width * de - width**2 * dde / 12
    x = np.clip(np.asarray(r, dtype=float) - inner, 0.0, None)
    switched = bare(np.asarray(r, dtype=float), 0) + a / 3 * x**3 + b / 4 * x**4 + c
    return np.where(np.asarray(r) < outer, switched, 0.0)


def mend(found: Wall, energy: FloatArray) -> Mending:
    """Find the shortest ZBL that gives a pair a wall for hot runs.

    Parameters
    ----------
    found : Wall
    energy : ndarray [distance]
        The dimer's on `FINE_GRID`, eV.
    """
    length = bond(found.pair)
    first, last = math.ceil(6.0 * length), math.floor(16.0 * length)
    # A hole that ends in NaN is beyond mending.
    for tenths in range(max(first, 3), last + 1):
        outer = tenths / 10
        inner = round(0.5 * outer, 2)
        total = energy + zbl(found.pair, FINE_GRID * length, inner, outer)
        within = FINE_GRID <= max(1.0, outer / length)
        mended = wall(found.pair, FINE_GRID[within], total[within])
        if mended.temperature >= 2.0 * HOT and mended.top is None:
            return Mending(found, (inner, outer), mended)
    return Mending(found, None, None)


def lammps_lines(mendings: Sequence[Mending], model: str, species: Sequence[int]) -> list[str]:
    """Return LAMMPS's input lines that put ZBL beside the model.

    Parameters
    ----------
    mendings : sequence of Mending
        Those without cutoffs are left out.
    model : str
        The file, as it stands in pair_coeff.
    species : sequence of int
        Atomic numbers of the atom types.
    """
    used = [m for m in mendings if m.cutoffs is not None]
    styles = sorted({m.cutoffs for m in used if m.cutoffs is not None})
    if not styles:
        return []
    words = " ".join(f"zbl {inner:g} {outer:g}" for inner, outer in styles)
    symbols = " ".join(chemical_symbols[z] for z in species)
    file = f'"{model}"' if any(c.isspace() for c in model) else model
    lines = [f"pair_style hybrid/overlay eqnn {words}", f"pair_coeff * * eqnn {file} {symbols}"]
    for m in used:
        assert m.cutoffs is not None
        # Of several styles of one name, LAMMPS asks for the number.
        number = f" {styles.index(m.cutoffs) + 1}" if len(styles) > 1 else ""
        a, b = m.wall.pair
        i, j = sorted((list(species).index(a) + 1, list(species).index(b) + 1))
        zi, zj = species[i - 1], species[j - 1]
        lines.append(f"pair_coeff {i} {j} zbl{number} {zi} {zj}")
    return lines


# ---- in words ----

_ROWS = 5
_LINES = 10


@dataclass(frozen=True)
class Report:
    """Results for a model at short distances.

    Attributes
    ----------
    n_pairs : int
        Number of pairs examined.
    which : str
        Which ones.
    walls : tuple of Wall
        All of them, the lowest first.
    mendings : tuple of Mending
        Of those that are too low for hot runs, the lowest first; the worst of them if many.
    n_low : int
        How many are too low.
    lines : tuple of str
        A table, and lines for LAMMPS.
    """

    n_pairs: int
    which: str
    walls: tuple[Wall, ...]
    mendings: tuple[Mending, ...]
    n_low: int
    lines: tuple[str, ...]


def examine(
    evaluate: Evaluate,
    species: Sequence[int],
    cutoff: float,
    model: str,
    *,
    present: Iterable[int] | None = None,
    together: bool = True,
) -> Report:
    """Compress dimers of a model.

    Parameters
    ----------
    evaluate : callable
    species : sequence of int
        Atomic numbers of the model.
    cutoff : float
        Angstrom.
    model : str
        The file's name, for the lines.
    present : iterable of int, optional
        Elements of a given structure.
    together : bool
        See `curves`.
    """
    pairs = choose_pairs(species, present)
    energies = curves(evaluate, pairs, GRID, cutoff, together)
    walls = [wall(pair, GRID, energy) for pair, energy in zip(pairs, energies, strict=True)]
    walls.sort(key=lambda w: (w.height if np.isfinite(w.height) else -np.inf, w.pair))
    low = [w for w in walls if not w.temperature >= HOT]
    chosen = low if len(low) <= _LINES else low[:_ROWS]
    fine = curves(evaluate, [w.pair for w in chosen], FINE_GRID, cutoff, together)
    mendings = [mend(w, energy) for w, energy in zip(chosen, fine, strict=True)]
    if len(species) <= MANY_ELEMENTS and present is None:
        types = list(species)
    elif present is not None:
        types = sorted(set(present))
    else:
        types = sorted({z for w in chosen for z in w.pair})
    lines = _table(mendings[:_ROWS]) + lammps_lines(mendings, model, types) if low else []
    return Report(
        len(pairs), _which(species, present), tuple(walls), tuple(mendings), len(low), tuple(lines)
    )


def _which(species: Sequence[int], present: Iterable[int] | None) -> str:
    if present is not None:
        return "all pairs of the structure's elements"
    if len(set(species)) <= MANY_ELEMENTS:
        return "all pairs of elements"
    common = ", ".join(chemical_symbols[z] for z in COMMON if z in species)
    return (
        f"each element with itself{' and with ' + common if common else ''}; --structure checks "
        "all pairs of its elements"
    )


def _table(mendings: Sequence[Mending]) -> list[str]:
    rows = [
        f"{'pair':<6} {'wall/eV':>8} {'holds to/K':>10} {'falls within/A':>14} {'down to/eV':>11}"
    ]
    for m in mendings:
        w = m.wall
        top, lowest = ("-", "-") if w.top is None else (f"{w.top:.2f}", f"{w.lowest:.3g}")
        rows.append(f"{w.name:<6} {w.height:8.2f} {w.temperature:10.0f} {top:>14} {lowest:>11}")
    return rows
