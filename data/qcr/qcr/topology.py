# SPDX-License-Identifier: BSD-3-Clause
"""Tells whether the bonds of a structure are those of its SMILES."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

COVALENT_RADIUS = {"H": 0.31, "C": 0.76, "N": 0.71, "O": 0.66}
"""Angstrom; Cordero et al., Dalton Trans. 2008, 2832."""

BONDED_AT_MOST = 1.35
"""A bond may be this many times the sum of the covalent radii: C-C 2.05, C-H 1.44, O-H 1.31."""

RELAXED_BONDED_AT_MOST = 1.25
"""The same for a relaxed structure: C-C 1.90, C-H 1.34, O-H 1.21."""

APART_AT_LEAST = 1.15
"""Atoms without a bond are further apart: C-C 1.75, O-H 1.12. (Bicyclopentane's bridgeheads have
1.87.)"""


def bond_error(
    elements: Sequence[str],
    positions: NDArray[np.float64],
    bonds: Iterable[tuple[int, int]],
    relaxed: bool = False,
) -> str | None:
    """Say which bond is broken or made; None if none is.

    Parameters
    ----------
    positions
        [n_atoms][3], Angstrom.
    bonds
        Pairs of atoms that have a bond.
    """
    radii = np.array([COVALENT_RADIUS[element] for element in elements])
    distances = np.linalg.norm(positions[:, None] - positions[None, :], axis=-1)
    ratios = distances / (radii[:, None] + radii[None, :])
    expected = {(min(pair), max(pair)) for pair in bonds}
    longest = RELAXED_BONDED_AT_MOST if relaxed else BONDED_AT_MOST
    for i in range(len(elements)):
        for j in range(i + 1, len(elements)):
            where = f"{elements[i]}{i}-{elements[j]}{j} at {distances[i, j]:.2f} Angstrom"
            if (i, j) in expected:
                if not ratios[i, j] <= longest:
                    return f"broken bond {where}"
            elif not ratios[i, j] >= APART_AT_LEAST:
                return f"new bond {where}"
    return None
