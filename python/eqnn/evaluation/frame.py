# SPDX-License-Identifier: BSD-3-Clause
"""DFT frames, and the problems of those that cannot be compared."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from eqnn.errors import EqnnError, shortened
from eqnn.so3 import FloatArray
from eqnn.structures import (
    cell_with_vacuum,
    has_volume,
    is_partly_periodic,
    periodic_axes,
    require_near,
)


class Kind(enum.Enum):
    """What is wrong with a frame."""

    UNREADABLE = "unreadable"
    EMPTY = "no atoms"
    NO_ENERGY = "no energy"
    NOT_FINITE = "not finite"
    CELL = "cell"
    SHAPE = "wrong shape"
    UNITS = "units"
    DUPLICATE = "duplicate"
    UNKNOWN_ELEMENT = "unknown element"
    REFUSED = "refused by the engine"


@dataclass(frozen=True)
class Problem:
    """Something wrong with a frame, or with all frames of a file from one on.

    Attributes
    ----------
    kind : Kind
    set : str
        Name of the file's set.
    number : int
        Of the frame in the file, from 0.
    what : str
        What was found.
    model : str
        The only model that it is wrong for; empty for all.
    is_left_out : bool
        Whether the frame is left out everywhere; otherwise this is only a warning.
    together : str
        Text for several such frames at once; empty if ``what`` is the same for all.
    """

    kind: Kind
    set: str
    number: int
    what: str
    model: str = ""
    is_left_out: bool = True
    together: str = ""

    def text(self) -> str:
        """Return one line for people."""
        who = f" for {self.model}" if self.model else ""
        end = "left out" if self.is_left_out else "kept"
        return f"{self.set}#{self.number}: {self.kind.value}{who}: {self.what} ({end})"


@dataclass(frozen=True)
class Keys:
    """Where a frame has its labels, if not in ASE's calculator.

    Attributes
    ----------
    energy, forces, stress : str or None
        Name in ``atoms.info`` or, of forces, in ``atoms.arrays``.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure with its DFT results.

    Attributes
    ----------
    set : str
        Name of its set, which is a file.
    number : int
        Place in the file, from 0.
    name : str
        What the file calls it; empty where it does not.
    stage : str
        Of a relaxation or a scan; empty where there is none.
    atoms : Atoms
        Numbers, positions (Angstrom), and the cell of those that are periodic.
    energy : float
        eV.
    forces : ndarray [n, 3] or None
        eV/Angstrom.
    stress : ndarray [3, 3] or None
        eV/Angstrom^3, ASE's sign: positive under tension.
    key : str
        Hash of the structure, whatever its labels are.
    """

    set: str
    number: int
    name: str
    stage: str
    atoms: Atoms
    energy: float
    forces: FloatArray | None
    stress: FloatArray | None
    key: str

    @cached_property
    def formula(self) -> str:
        """Chemical formula."""
        return str(self.atoms.get_chemical_formula())

    @property
    def label(self) -> str:
        """File and number, and the name where there is one."""
        place = f"{self.set}#{self.number}"
        more = " ".join(part for part in (self.name, self.stage) if part)
        return f"{place} ({more})" if more else place


class _Bad(Exception):
    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def frame_of(atoms: Atoms, set_name: str, number: int, keys: Keys) -> Frame | Problem:
    """Get structure and labels from ASE's atoms, or the reason why not."""
    try:
        return _frame(atoms, set_name, number, keys)
    except _Bad as bad:
        return Problem(bad.kind, set_name, number, str(bad))


def _frame(atoms: Atoms, set_name: str, number: int, keys: Keys) -> Frame:
    if len(atoms) == 0:
        raise _Bad(Kind.EMPTY, "the frame holds no atoms")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise _Bad(Kind.NOT_FINITE, "NaN or infinite coordinates")
    try:
        require_near(atoms, "the frame")
        cell_with_vacuum(atoms, 0.0, "the frame")
    except EqnnError as error:
        raise _Bad(Kind.CELL, _first_sentence(error)) from None
    _require_own_results(atoms)
    info = _info(atoms)
    energy = _energy(atoms, info, keys)
    forces = _array("forces", _label(atoms, info, "forces", keys.forces), (len(atoms), 3))
    stress = None
    if has_volume(atoms):
        found = _label(atoms, info, "stress", keys.stress)
        if found is not None and np.size(found) == 6:
            found = voigt_6_to_full_3x3_stress(np.ravel(found))
        stress = _array("stress", found, (3, 3))
    cell = atoms.cell.array if atoms.pbc.any() else None
    plain = Atoms(atoms.numbers, atoms.positions, cell=cell, pbc=atoms.pbc)
    name = next((str(info[k]) for k in ("run", "molecule", "name") if k in info), "")
    if name and "step" in info:
        name += f" {info['step']}"
    stage = next((str(info[k]) for k in ("stage", "config_type") if k in info), "")
    return Frame(set_name, number, name, stage, plain, energy, forces, stress, key_of(plain))


def _require_own_results(atoms: Atoms) -> None:
    """Refuse a calculator's results for earlier positions, as ASE does."""
    known = None if atoms.calc is None else getattr(atoms.calc, "atoms", None)
    if not isinstance(known, Atoms) or not getattr(atoms.calc, "results", None):
        return
    if not _is_same(known, atoms):
        raise _Bad(
            Kind.NO_ENERGY,
            "the calculator's results are of another structure: the atoms changed after it ran",
        )


def _is_same(known: Atoms, atoms: Atoms) -> bool:
    """Whether two structures are the same up to a shift of all atoms and wrapping into the cell."""
    if not (np.array_equal(known.numbers, atoms.numbers) and (known.pbc == atoms.pbc).all()):
        return False
    moved = atoms.positions - known.positions
    moved = moved - moved[0]
    if atoms.pbc.any():
        change = known.cell.array[atoms.pbc] - atoms.cell.array[atoms.pbc]
        if not (np.abs(change) <= 1e-6).all():
            return False
        cells = np.round(periodic_axes(atoms).scaled_positions(moved)) * atoms.pbc
        moved -= cells @ atoms.cell.array
    return bool((np.abs(moved) <= 1e-6).all())


def key_of(atoms: Atoms) -> str:
    """Hash of elements, positions and periodic lattice vectors, bit by bit."""
    found = hashlib.sha256(np.ascontiguousarray(atoms.numbers, dtype=np.int64).tobytes())
    found.update(np.ascontiguousarray(atoms.positions, dtype=np.float64).tobytes())
    found.update(np.ascontiguousarray(atoms.cell.array[atoms.pbc], dtype=np.float64).tobytes())
    if is_partly_periodic(atoms):
        found.update(atoms.pbc.tobytes())
    return found.hexdigest()[:32]


def _info(atoms: Atoms) -> Mapping[str, Any]:
    """Return a file's information about a frame; ASE's databases keep it one level deeper."""
    return {**atoms.info, **atoms.info.get("key_value_pairs", {}), **atoms.info.get("data", {})}


def _label(atoms: Atoms, info: Mapping[str, Any], what: str, key: str | None) -> Any:
    if key is not None:
        return atoms.arrays[key] if key in atoms.arrays else info.get(key)
    return None if atoms.calc is None else atoms.calc.results.get(what)


def _energy(atoms: Atoms, info: Mapping[str, Any], keys: Keys) -> float:
    found = _label(atoms, info, "energy", keys.energy)
    if found is None:
        numbers = [k for k, v in info.items() if isinstance(v, int | float) and "nergy" in k]
        cure = f"; it has {', '.join(numbers)}: name one by --energy-key" if numbers else ""
        raise _Bad(Kind.NO_ENERGY, f"no {keys.energy or 'energy'}{cure}")
    return float(_finite("energy", found, ()))


def _array(what: str, found: Any, shape: tuple[int, ...]) -> FloatArray | None:
    return None if found is None else _finite(what, found, shape)


def _finite(what: str, found: Any, shape: tuple[int, ...]) -> FloatArray:
    try:
        values = np.array(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise _Bad(
            Kind.SHAPE, f"{what} is {shortened(str(found), 30)!r}, expected numbers"
        ) from None
    if values.shape != shape and values.size != int(np.prod(shape)):
        raise _Bad(Kind.SHAPE, f"{what} has shape {list(values.shape)}, expected {list(shape)}")
    if not np.isfinite(values).all():
        raise _Bad(Kind.NOT_FINITE, f"{what} holds NaN or an infinity")
    return values.reshape(shape)


def _first_sentence(error: EqnnError) -> str:
    return str(error).removeprefix("the frame: ").split(". ")[0].split(".\n")[0].rstrip(".")
