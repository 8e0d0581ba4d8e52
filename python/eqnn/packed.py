# SPDX-License-Identifier: BSD-3-Clause
"""Structures as arrays for the C interface: one, or many packed one after another."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqnn.errors import EqnnError
from eqnn.so3 import FloatArray

IntArray = NDArray[np.intc]
# Atomic numbers [n], positions [n, 3] and, of a periodic structure, the cell [3, 3]; Angstrom.
Structure = tuple[ArrayLike, ArrayLike, ArrayLike | None]
# The same with consistent sizes and types.
Arrays = tuple[IntArray, FloatArray, FloatArray | None]
# Called with how many of all are done; returning False ends the call.
Progress = Callable[[int, int], bool | None]

PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
NOTHING: Arrays = (np.zeros(0, np.intc), np.zeros(0), None)


def arrays_of(numbers: ArrayLike, positions: ArrayLike, cell: ArrayLike | None = None) -> Arrays:
    """Return a structure as arrays of consistent sizes, or raise.

    Parameters
    ----------
    numbers : array_like of int [n]
        Atomic numbers.
    positions : array_like [n, 3]
        Angstrom.
    cell : array_like [3, 3], optional
        Rows are lattice vectors.
    """
    z = np.asarray(numbers, dtype=None if np.size(numbers) else np.intc)
    n = z.size
    x = np.ascontiguousarray(positions, dtype=np.float64)
    h = None if cell is None else np.ascontiguousarray(cell, dtype=np.float64)
    if x.size != 3 * n or (h is not None and h.size != 9):
        raise EqnnError(
            f"{n} atomic numbers, {x.size} coordinates{'' if h is None else f', {h.size} '}"
            f"{'' if h is None else 'components of the cell'}: expected three coordinates per "
            "atom and nine components of a cell.\nCorrect the structure."
        )
    # A number that overflows would otherwise become another element.
    if n > 0 and not (z.min() >= 0 and z.max() <= np.iinfo(np.intc).max):
        raise EqnnError(f"atomic numbers from {z.min()} to {z.max()}. Correct the structure.")
    z = np.ascontiguousarray(z.astype(np.intc, casting="same_kind"))
    return z.reshape(-1), x.reshape(-1), None if h is None else h.reshape(-1)


class Packed:
    """The arrays of many structures, one after another.

    Parameters
    ----------
    structures : sequence of Arrays
        As of `arrays_of`.

    Attributes
    ----------
    n_atoms : ndarray of int [n_structures]
    first : ndarray of int [n_structures + 1]
        The first atom of each structure.
    numbers : ndarray of int [n]
    positions : ndarray [3 n]
        Angstrom.
    cells : ndarray [9 n_structures]
        Zero where ``is_periodic`` is.
    is_periodic : ndarray of int [n_structures]
    """

    def __init__(self, structures: Sequence[Arrays]) -> None:
        self.n_atoms: IntArray = np.array([z.size for z, _, _ in structures], np.intc)
        self.first = np.concatenate([[0], np.cumsum(self.n_atoms, dtype=np.int64)])
        self.numbers: IntArray = np.concatenate([NOTHING[0], *(z for z, _, _ in structures)])
        self.positions: FloatArray = np.concatenate([NOTHING[1], *(x for _, x, _ in structures)])
        self.is_periodic: IntArray = np.array([h is not None for _, _, h in structures], np.intc)
        self.cells: FloatArray = np.zeros(9 * len(structures))
        for k, (_, _, cell) in enumerate(structures):
            if cell is not None:
                self.cells[9 * k : 9 * k + 9] = cell

    def of_atoms(self, values: FloatArray, structure: int) -> FloatArray:
        """Return a copy of the rows of one structure, of values [n, ...]."""
        return np.array(values[self.first[structure] : self.first[structure + 1]])


def double_pointer(values: FloatArray | None) -> Any:
    """Return what ctypes hands to C as a `double*`."""
    return None if values is None else np.ctypeslib.as_ctypes(values.reshape(-1))


def int_pointer(values: IntArray | None) -> Any:
    """Return what ctypes hands to C as an `int*`."""
    return None if values is None else np.ctypeslib.as_ctypes(values.reshape(-1))


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Record Ctrl-C instead of raising it, so that C callbacks can ask for it.

    Python may raise KeyboardInterrupt at the first line of a callback. Then ctypes drops it, and
    the call continues without the data of that callback. If another handler is installed, or in
    another thread, this does nothing.
    """
    came = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if before is not signal.default_int_handler or not is_main:
        yield came
        return
    signal.signal(signal.SIGINT, lambda number, frame: came.set())
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def told(progress: Progress | None) -> Iterator[Any]:
    """Yield a C callback that calls ``progress``, and raise its exception at the end."""
    raised: list[BaseException] = []

    def call(_context: int | None, done: int, total: int) -> int:
        try:
            ends = progress is not None and progress(done, total) is False
            if came.is_set():
                raise KeyboardInterrupt
            return int(ends)
        except BaseException as error:  # C knows no exceptions: the call ends, then it goes on
            raised.append(error)
            return 1

    with interrupts() as came:
        yield PROGRESS(call) if progress is not None else PROGRESS()
    if raised:
        raise raised[0]
    if came.is_set():  # after the last callback
        raise KeyboardInterrupt
