# SPDX-License-Identifier: BSD-3-Clause
"""ASE's Atoms, relaxed together by the engine."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from eqnn import c_relax
from eqnn.errors import EqnnError, readable
from eqnn.library import Potential, relax_defaults
from eqnn.model_file import read_model
from eqnn.packed import Arrays, IntArray, arrays_of, interrupts
from eqnn.structures import cell_with_vacuum, elements_in, is_partly_periodic

# Called with how many are done, how many there are, and the number of evaluations so far; returning
# False stops.
Progress = Callable[[int, int, int], bool | None]

# The largest count of the library.
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Settings:
    """How structures are relaxed.

    Attributes
    ----------
    fmax : float
        eV/Angstrom; converged is a structure of which no atom, and of a relaxed cell no row of the
        cell's force, has more.
    max_steps : int
    optimizer : str
        ``lbfgs`` or ``fire``, with ASE's parameters and update rules.
    relax_cell : bool
        Relax the cells of periodic structures too, as ASE's FrechetCellFilter does.
    exploded_force, exploded_distance, exploded_volume : float
        A structure has exploded when a force is larger (eV/Angstrom), an atom went farther
        (Angstrom), or the volume changed by more than this factor.
    atoms_at_once : int
        Atoms of one pass; 0: what suits the machine. No result depends on it.
    """

    fmax: float = 0.05
    max_steps: int = 500
    optimizer: str = "lbfgs"
    relax_cell: bool = False
    exploded_force: float = 1e4
    exploded_distance: float = 50.0
    exploded_volume: float = 5.0
    atoms_at_once: int = 0

    def require_valid(self, name_of: Callable[[str], str] = str) -> None:
        """Raise where a setting makes no sense.

        Parameters
        ----------
        name_of : callable
            Gives the name by which the user knows a setting.
        """
        if self.optimizer not in c_relax.OPTIMIZERS:
            raise EqnnError(f"optimizer {self.optimizer!r}, expected lbfgs or fire.")
        for name in ("max_steps", "atoms_at_once"):
            if not 0 <= (n := getattr(self, name)) <= _MOST:
                raise EqnnError(f"{name_of(name)} is {n}, expected 0 to {_MOST}. Correct it.")
        for name in ("fmax", "exploded_force", "exploded_distance", "exploded_volume"):
            if not (math.isfinite(value := getattr(self, name)) and value > 0):
                raise EqnnError(
                    f"{name_of(name)} is {value:g}, expected a finite number above 0. Correct it."
                )

    def for_c(self) -> c_relax.RelaxOptions:
        """Return these settings in the form that the library takes."""
        self.require_valid()
        options = relax_defaults()
        options.optimizer = c_relax.OPTIMIZERS.index(self.optimizer)
        options.relax_cell = int(self.relax_cell)
        for name in ("fmax", "max_steps", "atoms_at_once"):
            setattr(options, name, getattr(self, name))
        for name in ("exploded_force", "exploded_distance", "exploded_volume"):
            setattr(options, name, getattr(self, name))
        return options


@dataclass(frozen=True)
class Relaxed:
    """The result of a structure.

    Attributes
    ----------
    status : str
        ``converged``, ``max_steps``, ``nan``, ``exploded``, ``unknown_element`` or ``invalid``.
    reason : str
        What was found, what was expected, and the cure; empty for the first two.
    atoms : Atoms
        The last structure whose energy could be computed, with energy and forces as ASE's results;
        the first one where none could.
    steps : int
    fmax : float
        eV/Angstrom, what the criterion looks at; NaN where nothing could be computed.
    energy, first_energy : float
        eV, of ``atoms`` and of where it began; NaN where they could not be computed.
    """

    status: str
    reason: str
    atoms: Atoms
    steps: int
    fmax: float
    energy: float
    first_energy: float


def relax(
    structures: Sequence[Atoms],
    model: str | Path | Potential,
    settings: Settings | None = None,
    *,
    precision: str = "double",
    finished: Callable[[int, Relaxed], bool | None] | None = None,
    frame: Callable[[int, Atoms, int], None] | None = None,
    progress: Progress | None = None,
) -> list[Relaxed | None]:
    """Relax structures together, each with its own optimizer.

    Results are the same bit by bit for any order of the structures, any number of them and any
    number of threads. If a structure fails, its result has the reason; the others are not affected.

    Parameters
    ----------
    structures : sequence of Atoms
        Periodic along any axes. Atoms under ``FixAtoms`` do not move.
    model : str, Path or Potential
        A ``.eqnn`` file, or an open one.
    settings : Settings, optional
        Default: the parameters of ASE.
    precision : str
        ``double``, ``mixed`` or ``single``, for a file.
    finished : callable, optional
        Called with the number of a structure and its `Relaxed` as soon as it is done. Return False
        to stop.
    frame : callable, optional
        Called for each step, with the number of a structure, its atoms and the step.
    progress : callable, optional
        Called after each pass with the number of structures that are done, of all structures, and
        of evaluations of single structures so far. Return False to stop.

    Returns
    -------
    list of Relaxed or None
        In the order of ``structures``; None if a callback stopped the run before it was done.
    """
    settings = settings or Settings()
    if isinstance(structures, Atoms):
        raise EqnnError("structures is one structure, expected a sequence of them. Give [atoms].")
    for k, one in enumerate(structures):
        if not isinstance(one, Atoms):
            raise EqnnError(
                f"structures[{k}] is a {type(one).__name__}, expected Atoms of ASE. Give those."
            )
    if not isinstance(model, Potential):
        with open_for(structures, model, precision) as potential:
            return relax(
                structures,
                potential,
                settings,
                finished=finished,
                frame=frame,
                progress=progress,
            )
    run = _Run(
        structures,
        settings,
        cache(lambda: float(read_model(model.path).document["cutoff"])),
        finished,
        frame,
        progress,
    )
    if run.goes_on:
        with interrupts() as run.interrupted:
            model.relax_many(run.arrays, settings.for_c(), run.events, run.fixed)
    if run.raised:
        raise run.raised[0]
    if run.interrupted.is_set():  # after the last callback
        raise KeyboardInterrupt
    return run.results


def open_for(structures: Sequence[Atoms], model: str | Path, precision: str) -> Potential:
    """Open a model file with the elements of the structures to relax."""
    elements = elements_in(structures, read_model(Path(model)).document["species"])
    return Potential(model, precision, has_virial=False, elements=elements)


class _Run:
    """One call: the arrays for C, and its callbacks."""

    def __init__(
        self,
        structures: Sequence[Atoms],
        settings: Settings,
        cutoff: Callable[[], float],
        finished: Callable[[int, Relaxed], bool | None] | None,
        frame: Callable[[int, Atoms, int], None] | None,
        progress: Progress | None,
    ) -> None:
        self.structures = structures
        self.results: list[Relaxed | None] = [None] * len(structures)
        self.raised: list[BaseException] = []
        self.goes_on = True
        self.interrupted = threading.Event()
        self.arrays: list[Arrays] = []
        self.fixed: list[IntArray] = []
        self._where: list[int] = []  # of each structure that goes to C
        self._settings, self._cutoff = settings, cutoff
        self._finished, self._frame, self._progress = finished, frame, progress
        for k, atoms in enumerate(structures):
            self._add(k, atoms)
        self.events = c_relax.RelaxEvents(
            None,
            c_relax.FINISHED(self._guarded(self._on_finished)),
            c_relax.FRAME() if frame is None else c_relax.FRAME(self._guarded(self._on_frame)),
            # Always: after each pass it is asked whether the run is interrupted.
            c_relax.PROGRESS(self._guarded(self._on_progress)),
        )

    def _add(self, k: int, atoms: Atoms) -> None:
        """Store a structure for C, or its refusal as its result."""
        try:
            arrays = arrays_of(
                atoms.numbers, atoms.positions, _cell_of(atoms, self._settings, self._cutoff)
            )
            fixed = _fixed(atoms)
        except EqnnError as error:
            nan = math.nan
            relaxed = Relaxed("invalid", str(error), atoms.copy(), 0, nan, nan, nan)
            self.results[k] = relaxed
            if self.goes_on and self._finished is not None:
                self.goes_on = self._finished(k, relaxed) is not False
            return
        self.arrays.append(arrays)
        self.fixed.append(fixed)
        self._where.append(k)

    def _guarded(self, call: Callable[..., bool | None]) -> Callable[..., int]:
        """C has no exceptions: the call ends first, then the exception is raised."""

        def guarded(_context: int | None, *arguments: Any) -> int:
            try:
                ends = call(*arguments) is False
                if self.interrupted.is_set():
                    raise KeyboardInterrupt
                return int(ends)
            except BaseException as error:
                self.raised.append(error)
                return 1

        return guarded

    def _on_finished(self, structure: int, found: Any) -> bool | None:
        k, relaxed = self._where[structure], found.contents
        result = Relaxed(
            c_relax.STATUSES[relaxed.status],
            readable(relaxed.reason.decode()),
            self._atoms(k, relaxed.last),
            int(relaxed.last.step),
            float(relaxed.last.fmax),
            float(relaxed.last.energy),
            float(relaxed.first_energy),
        )
        self.results[k] = result
        return None if self._finished is None else self._finished(k, result)

    def _on_frame(self, structure: int, found: Any) -> bool | None:
        assert self._frame is not None
        k = self._where[structure]
        self._frame(k, self._atoms(k, found.contents), int(found.contents.step))
        return None

    def _on_progress(self, done: int, _total: int, n_evaluations: int) -> bool | None:
        if self._progress is None:
            return None
        refused = len(self.structures) - len(self._where)
        return self._progress(done + refused, len(self.structures), n_evaluations)

    def _atoms(self, k: int, frame: Any) -> Atoms:
        """Return a copy of the structure with the positions of this frame."""
        atoms: Atoms = self.structures[k].copy()
        n = frame.n_atoms
        constraints, atoms.constraints = atoms.constraints, []
        if frame.cell and atoms.pbc.all():
            atoms.set_cell(_copied(frame.cell, 9).reshape(3, 3))
        if n:
            atoms.positions[:] = _copied(frame.positions, 3 * n).reshape(n, 3)
        atoms.constraints = constraints
        if frame.forces:
            forces = _copied(frame.forces, 3 * n).reshape(n, 3)
            atoms.calc = SinglePointCalculator(atoms, energy=float(frame.energy), forces=forces)
        return atoms


def _copied(pointer: Any, n: int) -> Any:
    return np.array(
        np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_double)), (n,))
    )


def _cell_of(atoms: Atoms, settings: Settings, cutoff: Callable[[], float]) -> Any:
    """Return the cell for C, which refuses bad vectors itself, with a better message."""
    if not is_partly_periodic(atoms):
        return atoms.cell.array if atoms.pbc.all() else None
    if settings.relax_cell:
        raise EqnnError(
            "its cell cannot be relaxed: the structure is periodic along "
            f"{int(atoms.pbc.sum())} of 3 axes, expected all or none.\nRelax its atoms alone, "
            "or make it periodic along all axes, with vacuum."
        )
    # What moves farther has exploded.
    return cell_with_vacuum(atoms, cutoff(), room=settings.exploded_distance)


def _fixed(atoms: Atoms) -> IntArray:
    fixed = np.zeros(len(atoms), np.intc)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise EqnnError(
                f"the structure has the constraint {type(constraint).__name__}, expected only "
                "FixAtoms.\nRemove it, or fix atoms instead."
            )
        fixed[constraint.index] = 1
    return fixed
