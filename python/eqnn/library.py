# SPDX-License-Identifier: BSD-3-Clause
"""The C++ library libeqnn.so through its C interface (include/eqnn/eqnn.h)."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from eqnn.built import find_built
from eqnn.c_relax import RelaxEvents, RelaxOptions
from eqnn.errors import EqnnError, InvalidModelError
from eqnn.packed import (
    NOTHING,
    PROGRESS,
    Arrays,
    IntArray,
    Packed,
    Progress,
    Structure,
    arrays_of,
    double_pointer,
    int_pointer,
    told,
)
from eqnn.so3 import FloatArray

# What include/eqnn/eqnn.h calls EQNN_OK, ...
STATUSES = ("ok", "unknown_element", "nan", "invalid")


@cache
def _library() -> ctypes.CDLL:
    path = find_built("libeqnn.so", "EQNN_LIBRARY")
    try:
        library = ctypes.CDLL(str(path))
        double_p = ctypes.POINTER(ctypes.c_double)
        int_p = ctypes.POINTER(ctypes.c_int)
        library.eqnn_version.restype = ctypes.c_char_p
        library.eqnn_last_error.restype = ctypes.c_char_p
        library.eqnn_validate.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int)
        ]
        library.eqnn_open_elements.restype = ctypes.c_void_p
        library.eqnn_open_elements.argtypes = [*[ctypes.c_char_p] * 3, ctypes.c_size_t, int_p]
        library.eqnn_n_threads.argtypes = [ctypes.c_void_p]
        library.eqnn_close.restype = None
        library.eqnn_close.argtypes = [ctypes.c_void_p]
        library.eqnn_evaluate.argtypes = [ctypes.c_void_p, ctypes.c_int, int_p, *[double_p] * 6]
        size_p = ctypes.POINTER(ctypes.c_size_t)
        arrays: list[Any] = [int_p, int_p, double_p, double_p, int_p]
        callback: list[Any] = [PROGRESS, ctypes.c_void_p]
        library.eqnn_evaluate_many.argtypes = [
            *(ctypes.c_void_p, ctypes.c_size_t),
            *arrays,
            ctypes.c_int,
            *callback,
            *[double_p] * 4,
            *(int_p, size_p),
        ]
        library.eqnn_relax_defaults.restype = None
        library.eqnn_relax_defaults.argtypes = [ctypes.POINTER(RelaxOptions)]
        library.eqnn_relax.argtypes = [
            *(ctypes.c_void_p, ctypes.c_size_t),
            *arrays,
            int_p,
            *(ctypes.POINTER(RelaxOptions), ctypes.POINTER(RelaxEvents)),
        ]
        library.eqnn_reason.restype = ctypes.c_char_p
        library.eqnn_reason.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        library.eqnn_self_test.argtypes = [ctypes.c_void_p, *[double_p] * 3, int_p]
        library.eqnn_describe.restype = ctypes.c_char_p
        library.eqnn_describe.argtypes = [ctypes.c_void_p]
        library.eqnn_plan.restype = ctypes.c_char_p
        library.eqnn_plan.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError) as error:
        raise EqnnError(
            f"{path}: cannot be used as eqnn's library ({error}). Run `make` again."
        ) from None
    return library


def version() -> str:
    """Return the library's version."""
    return str(_library().eqnn_version().decode())


def validate(name: str, content: bytes | None = None, *, load: bool = False) -> None:
    """Check a model file against all rules of the library, which alone decides.

    Parameters
    ----------
    name : str
        The file's path, or a name for the content in messages.
    content : bytes, optional
        The bytes of a file; those of the file ``name`` if left out.
    load : bool
        Whether to also prepare it to run in every precision, which takes seconds.

    Raises
    ------
    InvalidModelError
        At the first fault, with the JSON path and the cure.
    EqnnError
        If the library is not built.
    """
    library = _library()
    size = 0 if content is None else len(content)
    with _TURNS.turn():
        failed = library.eqnn_validate(content, size, os.fsencode(name), int(load)) != 0
        if load and os.environ.get("OMP_NUM_THREADS") != "1":  # it does not say on how many
            _TURNS.note_threads()
    if failed:
        raise InvalidModelError(library.eqnn_last_error().decode(errors="replace"), name)


def relax_defaults() -> RelaxOptions:
    """Return the default relaxation options of C++, which are ASE's."""
    options = RelaxOptions()
    _library().eqnn_relax_defaults(ctypes.byref(options))
    return options


@dataclass(frozen=True)
class Properties:
    """Results of an evaluation.

    Attributes
    ----------
    energy : float
        eV.
    atom_energies : ndarray [n]
        eV.
    forces : ndarray [n, 3]
        eV/Angstrom.
    virial : ndarray [3, 3] or None
        -sum over edges of r (dE/dr), eV; None for direct forces.
    """

    energy: float
    atom_energies: FloatArray
    forces: FloatArray
    virial: FloatArray | None


@dataclass(frozen=True)
class Evaluated:
    """Result of one structure among many.

    Attributes
    ----------
    status : str
        One of `STATUSES`.
    reason : str
        What was found, what was expected, and how to fix it; empty for ``ok``.
    properties : Properties or None
        None if the status is not ``ok``.
    """

    status: str
    reason: str
    properties: Properties | None


class _Turns:
    """A lock: one Python thread computes at a time, since an evaluation uses all threads.

    A process that fork() made after OpenMP was used lacks its threads, and computing there would
    wait for them forever.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process_with_threads: int | None = None
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        # Another thread of the parent may have held it.
        self._lock = threading.RLock()

    def note_threads(self) -> None:
        """Note that this process has threads now."""
        if self._process_with_threads is None:
            self._process_with_threads = os.getpid()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Context in which to compute; other threads wait."""
        if self._process_with_threads not in (None, os.getpid()):
            raise EqnnError(
                f"process {os.getpid()} was made by fork() from process "
                f"{self._process_with_threads}, whose threads it lacks.\nStart it by spawn "
                '(multiprocessing.get_context("spawn")), or set OMP_NUM_THREADS=1.'
            )
        with self._lock:
            yield


_TURNS = _Turns()


class Potential:
    """A model file that is open. Python threads that share it take turns.

    Parameters
    ----------
    path : str or Path
        The ``.eqnn`` file.
    evaluator : str
        ``reference`` (plain loops, double), ``double``, ``mixed`` or ``single``.
    has_virial : bool
        False for models with direct forces.
    device : str
        ``cpu``, ``gpu``, or ``auto``: a GPU if the library was built for one.
    elements : sequence of int or ndarray, optional
        Atomic numbers, in any order. Weights and tables of other elements are not kept. No result
        changes. Default: all elements of the model.

    Attributes
    ----------
    path : Path
        As given.
    """

    def __init__(
        self,
        path: str | Path,
        evaluator: str = "double",
        has_virial: bool = True,
        *,
        device: str = "auto",
        elements: Sequence[int] | np.ndarray[Any, Any] | None = None,
    ):
        self.path = Path(path)
        self._library = _library()
        self._has_virial = has_virial
        self._handle = None
        numbers = None if elements is None else np.array(elements, np.intc)
        with _TURNS.turn():
            self._handle = self._library.eqnn_open_elements(
                *(os.fsencode(path), evaluator.encode(), device.encode()),
                *(0 if elements is None else len(elements), int_pointer(numbers)),
            )
            if not self._handle:
                raise EqnnError(self._library.eqnn_last_error().decode())
            if self._library.eqnn_n_threads(self._handle) > 1:
                _TURNS.note_threads()

    def evaluate(
        self, numbers: ArrayLike, positions: ArrayLike, cell: ArrayLike | None = None
    ) -> Properties:
        """Evaluate one structure.

        Parameters
        ----------
        numbers : array_like of int [n]
            Atomic numbers.
        positions : array_like [n, 3]
            Angstrom.
        cell : array_like [3, 3], optional
            Rows are lattice vectors, periodic in all three directions.
        """
        z, x, h = arrays_of(numbers, positions, cell)
        n = z.size
        energy, atom_energies, forces = np.zeros(1), np.zeros(n), np.zeros((n, 3))
        virial = np.zeros((3, 3)) if self._has_virial else None
        with _TURNS.turn():
            self._check(
                self._library.eqnn_evaluate(
                    self._opened,
                    n,
                    np.ctypeslib.as_ctypes(z),
                    *map(double_pointer, (x, h, energy, atom_energies, forces, virial)),
                )
            )
        return Properties(float(energy[0]), atom_energies, forces, virial)

    def evaluate_many(
        self,
        structures: Sequence[Structure],
        *,
        atoms_at_once: int = 0,
        progress: Progress | None = None,
    ) -> list[Evaluated]:
        """Evaluate many structures in one call, on all threads.

        Parameters
        ----------
        structures : sequence of (numbers [n], positions [n, 3], cell [3, 3] or None)
            As in `evaluate`. If one fails, the others are not affected.
        atoms_at_once : int
            Atoms of one pass; 0 chooses for this machine. Results do not depend on it.
        progress : callable, optional
            Called with how many structures are done and how many there are. Return False to stop.

        Returns
        -------
        list of Evaluated
            In the order of `structures`; shorter if ``progress`` stopped the call. Numbers are
            those of `evaluate`, bit by bit.
        """
        arrays: list[Arrays] = []
        refused: dict[int, str] = {}
        for k, structure in enumerate(structures):
            try:
                arrays.append(arrays_of(*structure))
            except EqnnError as error:
                arrays.append(NOTHING)
                refused[k] = str(error)
        packed = Packed(arrays)
        n, n_atoms = len(arrays), int(packed.first[-1])
        status = np.zeros(n, np.intc)
        energy, atom_energies = np.zeros(n), np.zeros(n_atoms)
        forces = np.zeros((n_atoms, 3))
        virial = np.zeros((n, 3, 3)) if self._has_virial else None
        done = ctypes.c_size_t()
        with _TURNS.turn(), told(progress) as callback:
            self._check(
                self._library.eqnn_evaluate_many(
                    *(self._opened, n, int_pointer(packed.n_atoms), int_pointer(packed.numbers)),
                    *map(double_pointer, (packed.positions, packed.cells)),
                    *(int_pointer(packed.is_periodic), atoms_at_once, callback, None),
                    *map(double_pointer, (energy, atom_energies, forces, virial)),
                    *(int_pointer(status), ctypes.byref(done)),
                )
            )

        def result(k: int) -> Evaluated:
            if k in refused:
                return Evaluated("invalid", refused[k], None)
            if status[k] != 0:
                return Evaluated(STATUSES[status[k]], self._reason(k), None)
            return Evaluated(
                STATUSES[0],
                "",
                Properties(
                    float(energy[k]),
                    packed.of_atoms(atom_energies, k),
                    packed.of_atoms(forces, k),
                    None if virial is None else np.array(virial[k]),
                ),
            )

        return [result(k) for k in range(done.value)]

    def relax_many(
        self,
        structures: Sequence[Arrays],
        options: RelaxOptions,
        events: RelaxEvents,
        fixed: Sequence[IntArray] | None = None,
    ) -> None:
        """Relax many structures together, and report to the callbacks in ``events``.

        `eqnn.relax` does this for ASE's Atoms.

        Parameters
        ----------
        structures : sequence of Arrays
            As of `eqnn.packed.arrays_of`.
        options : RelaxOptions
            As of `relax_defaults`.
        events : RelaxEvents
            C callbacks. They must catch their own exceptions.
        fixed : sequence of ndarray of int [n], optional
            For each structure, not 0 for atoms that do not move.
        """
        packed = Packed(structures)
        flags = None if fixed is None else np.concatenate([NOTHING[0], *fixed])
        if flags is not None and flags.size != packed.numbers.size:
            raise EqnnError(
                f"{flags.size} flags of fixed atoms for {packed.numbers.size} atoms, expected one "
                "for each. Correct the call."
            )
        with _TURNS.turn():
            self._check(
                self._library.eqnn_relax(
                    *(self._opened, len(structures)),
                    *map(int_pointer, (packed.n_atoms, packed.numbers)),
                    *map(double_pointer, (packed.positions, packed.cells)),
                    *map(int_pointer, (packed.is_periodic, flags)),
                    *(ctypes.byref(options), ctypes.byref(events)),
                )
            )

    def self_test(self) -> tuple[float, float, float, int]:
        """Run the file's self-tests.

        Returns
        -------
        tuple
            Largest energy error in eV/atom, largest force error in eV/Angstrom, largest virial
            error in eV/atom (0 for direct forces), number of tests.
        """
        energy, force, virial = (ctypes.c_double() for _ in range(3))
        count = ctypes.c_int()
        with _TURNS.turn():
            self._check(
                self._library.eqnn_self_test(
                    self._opened, *(ctypes.byref(x) for x in (energy, force, virial, count))
                )
            )
        return energy.value, force.value, virial.value, count.value

    def describe(self) -> str:
        """Return text for a log."""
        return str(self._library.eqnn_describe(self._opened).decode())

    def plan(self) -> str:
        """Return the plan: a line for each table and stage. Empty for the reference."""
        return str(self._library.eqnn_plan(self._opened).decode())

    def close(self) -> None:
        """Free the library's memory. The potential cannot be used afterwards."""
        if self._handle:
            self._library.eqnn_close(self._handle)
            self._handle = None

    def __enter__(self) -> Potential:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _opened(self) -> int:
        if not self._handle:
            raise EqnnError("the potential was closed. Open it again.")
        return int(self._handle)

    def _reason(self, structure: int) -> str:
        return str(self._library.eqnn_reason(self._opened, structure).decode())

    def _check(self, code: int) -> None:
        if code != 0:
            raise EqnnError(self._library.eqnn_last_error().decode())
