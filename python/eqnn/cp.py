# SPDX-License-Identifier: BSD-3-Clause
"""Factors of couplings: canonical polyadic decompositions (CP) of Clebsch-Gordan tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eqnn.errors import EqnnError
from eqnn.so3 import FloatArray

_FILE = Path(__file__).with_name("exact_cp.npz")
_DEGREES = range(1, 5)


def exact_factors(l_max: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return factors A, B, C of the coupling of all paths with degrees up to ``l_max``.

    ``T[k, j, i] = sum_r C[k, r] B[j, r] A[i, r]`` is :func:`eqnn.so3.coupling_tensor`, to 3e-15 of
    its norm. The ranks are 8, 30, 90 and 215; from ``l_max`` 2 on that is the generic rank,
    ceil(d^3 / (3 d - 2)) with d = (l_max + 1)^2. They were found in double by regularised
    alternating least squares, then by the method of Levenberg and Marquardt.

    Parameters
    ----------
    l_max : int
        1 to 4.

    Returns
    -------
    A, B, C : ndarray [d, R]
        For features, harmonics and products: ``source_factor``, ``harmonic_factor`` and
        ``out_factor`` of a ``cp_convolution``.
    """
    if l_max not in _DEGREES:
        raise EqnnError(
            f"exact factors of degree {l_max!r}, expected 1 to {_DEGREES[-1]}: no others are "
            "known.\n"
            "Give factors of your own, or take a product on the sphere (gaunt_convolution)."
        )
    with np.load(_FILE) as stored:
        a, b, c = (stored[f"l{l_max}_{name}"] for name in "ABC")
    return a, b, c
