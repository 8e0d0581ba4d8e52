# SPDX-License-Identifier: BSD-3-Clause
"""Factors of couplings: canonical polyadic decompositions (CP) of Clebsch-Gordan tensors."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

from eqnn.errors import EqnnError
from eqnn.so3 import FloatArray

_FILE = Path(__file__).with_name("exact_cp.npz")
_HIGHEST = {False: 5, True: 4}  # degree; of all paths, of even ones


def exact_factors(l_max: int, *, even: bool = False) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return factors A, B, C of the coupling of all paths with degrees up to ``l_max``.

    ``T[k, j, i] = sum_r C[k, r] B[j, r] A[i, r]`` is :func:`eqnn.so3.coupling_tensor`, to 3e-15 of
    its norm, or the part of it where the sum of the degrees is even. The ranks are 8, 30, 90, 215
    and 441, of even paths 6, 19, 53 and 125: docs/spec/cp.md. `eqnn decompose` found them.

    Parameters
    ----------
    l_max : int
        1 to 5; of even paths 1 to 4.
    even : bool
        Whether to use only paths that parity allows between features of parity (-1)^l.

    Returns
    -------
    A, B, C : ndarray [d, R]
        For features, harmonics and products: ``source_factor``, ``harmonic_factor`` and
        ``out_factor`` of a ``cp_convolution``.
    """
    if l_max not in range(1, _HIGHEST[even] + 1):
        raise EqnnError(
            f"exact factors of degree {l_max!r}, expected 1 to {_HIGHEST[even]}: no others are "
            "stored.\n"
            "Make them with `eqnn decompose`, or take a product on the sphere (gaunt_convolution)."
        )
    paths = "even" if even else "l"
    with np.load(_FILE) as stored:
        a, b, c = (stored[f"{paths}{l_max}_{name}"] for name in "ABC")
    return a, b, c


def even_paths(tensor: FloatArray) -> FloatArray:
    """Return a coupling [d, d, d] without the entries whose degrees have an odd sum."""
    l_max = math.isqrt(tensor.shape[0]) - 1
    degree = np.array([n for n in range(l_max + 1) for _ in range(2 * n + 1)])
    total = degree[:, None, None] + degree[None, :, None] + degree[None, None, :]
    return np.where(total % 2 == 1, 0.0, tensor)


def read_factors(path: Path, l_max: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the factors A, B, C [d, R] that `eqnn decompose` wrote, d = (l_max + 1)^2.

    Raises
    ------
    EqnnError
        If it is not such a file, or has factors for another ``l_max``.
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
