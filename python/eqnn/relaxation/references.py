# SPDX-License-Identifier: BSD-3-Clause
"""Minima of another method: matches them to structures, and finds those that cannot be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

from eqnn.errors import EqnnError
from eqnn.structures import periodic_axes

# How far the cells of a structure and its minimum may be apart, in the ratios of sides, in volume
# and in angles: more than relaxations change, less than another choice of lattice vectors does.
_LENGTHS = 1.2
_VOLUMES = 2.0
_ANGLES = 15.0  # degrees
# Number of names in a line; the report's JSON has all.
NAMED = 5


@dataclass(frozen=True)
class BadReference:
    """A minimum that is not compared.

    Attributes
    ----------
    id : str
        Its id; empty if that cannot be read.
    number : int
        Of the frame in its file, from 0.
    what : str
        Why not.
    """

    id: str
    number: int
    what: str


@dataclass(frozen=True)
class References:
    """The result of matching the minima.

    Attributes
    ----------
    bad : sequence of BadReference
        Not compared; the structures that they are of are relaxed all the same.
    unused : sequence of str
        Ids that no structure has.
    """

    bad: Sequence[BadReference] = field(default_factory=tuple)
    unused: Sequence[str] = field(default_factory=tuple)

    def lines(self) -> list[str]:
        """Return a line for each reason why minima are not compared, with up to five names."""
        said = []
        if self.bad:
            names = _few([one.id or f"frame {one.number}" for one in self.bad])
            said.append(f"{_minima(len(self.bad))} bad and not compared: {names}.")
        if self.unused:
            said.append(f"{_minima(len(self.unused))} of no structure: {_few(self.unused)}.")
        return said


def _minima(n: int) -> str:
    return "1 minimum is" if n == 1 else f"{n} minima are"


def _few(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def fault_of(minimum: Atoms) -> str:
    """Return why a comparison with a minimum would be wrong; empty if it would not."""
    energy = None if minimum.calc is None else minimum.calc.results.get("energy")
    if not np.isfinite([*minimum.positions.ravel(), *minimum.cell.array.ravel()]).all():
        return "a coordinate is not finite"
    if energy is not None and not np.isfinite(energy):
        return "the energy is not finite"
    steps = minimum.info.get("steps")
    if steps is not None and not isinstance(steps, int | np.integer):
        said = steps.item() if isinstance(steps, np.generic) else steps
        return f"steps is {said!r}, expected a whole number"
    return ""


def mismatch(structure: Atoms, minimum: Atoms) -> str:
    """Return why a minimum does not belong to a structure; empty if it does."""
    if not np.array_equal(minimum.numbers, structure.numbers):
        return (
            f"{minimum.get_chemical_formula()} in another order or another molecule than "
            f"{structure.get_chemical_formula()}"
        )
    if not np.array_equal(minimum.pbc, structure.pbc):
        return f"{_periodicity(minimum)}, the structure is {_periodicity(structure)}"
    return _other_cell(structure, minimum) if minimum.pbc.any() else ""


def _periodicity(atoms: Atoms) -> str:
    axes = [axis for axis, periodic in zip("abc", atoms.pbc, strict=True) if periodic]
    return f"periodic along {' and '.join(axes)}" if axes else "not periodic"


def _other_cell(structure: Atoms, minimum: Atoms) -> str:
    """Compare places in cells: the vectors must be chosen alike, turned or not."""
    try:
        cells = [periodic_axes(structure), periodic_axes(minimum)]
    except EqnnError:
        return "a cell has no volume"
    volumes = [float(np.linalg.det(cell.array)) for cell in cells]
    if not min(map(abs, volumes)) > 0.0:
        return "a cell has no volume"
    if volumes[0] * volumes[1] < 0.0:
        return "one cell is left-handed and one right-handed: mirror images"
    (a, b) = (cell.cellpar() for cell in cells)
    size = (volumes[1] / volumes[0]) ** (1.0 / 3.0)
    ratio = b[:3] / a[:3] / size
    is_like = (
        max(ratio.max(), 1.0 / ratio.min()) <= _LENGTHS
        and max(size, 1.0 / size) ** 3 <= _VOLUMES
        and np.abs(a[3:] - b[3:]).max() <= _ANGLES
    )
    if is_like:
        return ""
    said = [" ".join(f"{x:.4g}" for x in cell) for cell in (b, a)]
    return f"its cell is {said[0]} (A, degrees), that of the structure {said[1]}: other vectors"


def twice(minima: Sequence[tuple[int, str, Atoms]]) -> list[BadReference]:
    """Find minima with the same id: it is unclear which of them is meant."""
    counts = Counter(name for _, name, _ in minima)
    return [
        BadReference(name, number, f"{counts[name]} minima have this id")
        for number, name, _ in minima
        if counts[name] > 1
    ]


def sorted_out(
    minima: Sequence[tuple[int, str, Atoms]], structure_of: Callable[[str], Atoms | None]
) -> tuple[dict[str, Atoms], References]:
    """Return the minima that can be compared by the id of their structure, and the others.

    Parameters
    ----------
    minima : sequence of (int, str, Atoms)
        Number in the file, id and structure.
    structure_of : callable
        Gives the structure of an id; None where there is none.
    """
    bad = twice(minima)
    repeated = {one.id for one in bad}
    good: dict[str, Atoms] = {}
    unused = []
    for number, name, minimum in minima:
        structure = structure_of(name)
        if structure is None:
            unused.append(name)
        elif name not in repeated:
            if what := fault_of(minimum) or mismatch(structure, minimum):
                bad.append(BadReference(name, number, what))
            else:
                good[name] = minimum
    return good, References(tuple(bad), tuple(dict.fromkeys(unused)))
