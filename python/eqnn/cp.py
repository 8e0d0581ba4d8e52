# SPDX-License-Identifier: BSD-3-Clause
"""Factors of couplings: canonical polyadic decompositions (CP) of Clebsch-Gordan tensors."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from eqnn.errors import EqnnError
from eqnn.so3 import FloatArray

_FILE = Path(__file__).with_name("exact_cp.npz")
_DEGREES = range(1, 6)


def exact_factors(l_max: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return factors A, B, C of the coupling of all paths with degrees up to ``l_max``.

    ``T[k, j, i] = sum_r C[k, r] B[j, r] A[i, r]`` is :func:`eqnn.so3.coupling_tensor`, to 3e-15 of
    its norm. The ranks are 8, 30, 90, 215 and 441; from ``l_max`` 2 on that is the generic rank,
    ceil(d^3 / (3 d - 2)) with d = (l_max + 1)^2. They were found in double by regularised
    alternating least squares, then by the method of Levenberg and Marquardt.

    Parameters
    ----------
    l_max : int
        1 to 5.

    Returns
    -------
    A, B, C : ndarray [d, R]
        For features, harmonics and products: ``source_factor``, ``harmonic_factor`` and
        ``out_factor`` of a ``cp_convolution``.
    """
    if l_max not in _DEGREES:
        raise EqnnError(
            f"exact factors of degree {l_max!r}, expected 1 to {_DEGREES[-1]}: no others are "
            "stored.\n"
            "Make them with `eqnn decompose`, or take a product on the sphere (gaunt_convolution)."
        )
    with np.load(_FILE) as stored:
        a, b, c = (stored[f"l{l_max}_{name}"] for name in "ABC")
    return a, b, c


def read_factors(path: Path, l_max: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the factors A, B, C [d, R] that `eqnn decompose` wrote, d = (l_max + 1)^2.

    Raises
    ------
    EqnnError
        Where the file is none, or has factors of another ``l_max``.
    """
    try:
        with np.load(path) as stored:
            a, b, c = (np.asarray(stored[name], dtype=np.float64) for name in "ABC")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EqnnError(
            f"{path}: {error}. Expected factors A, B and C as `eqnn decompose` writes them."
        ) from None
    d = (l_max + 1) ** 2
    shapes = {x.shape for x in (a, b, c)}
    if (
        len(shapes) > 1
        or a.ndim != 2
        or a.shape[0] != d
        or not all(np.isfinite(x).all() for x in (a, b, c))
    ):
        raise EqnnError(
            f"{path}: factors of shapes {a.shape}, {b.shape}, {c.shape}, expected three of finite "
            f"numbers [{d}, rank] for l_max {l_max}.\n"
            f"Make them with `eqnn decompose --l-max {l_max}`."
        )
    return a, b, c
