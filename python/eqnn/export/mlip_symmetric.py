# SPDX-License-Identifier: BSD-3-Clause
"""Couplings of equal features in the symmetric basis of e3nn_jax, which mlip's MACE can have.

Read in e3nn_jax 0.21.0, ``reduced_symmetric_tensor_product_basis``, whose steps are followed, since
weights belong to its vectors one by one. It is not needed, nor is JAX. Upstream rounds numbers to
roots of fractions with denominators up to 2^20, which changes them by 1e-12 or less; here they stay
as computed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from eqnn.so3 import FloatArray, wigner_3j

Irrep = tuple[int, int]
"""Degree, parity (1 or -1)."""
Basis = dict[Irrep, FloatArray]
"""Vectors [d, .., d, K, 2l+1] of each irrep, K of them, in upstream's order."""

# Upstream's tolerance for vectors that depend on those before, and for zero eigenvalues.
EPSILON = 1e-5


def symmetric_couplings(
    features: Sequence[Irrep], correlation: int, l_out: int
) -> list[dict[int, FloatArray]]:
    """Couplings of 1, 2, .. equal features to each degree.

    Parameters
    ----------
    features : sequence of (degree, parity)
        Irreps of the features, in upstream's order.
    correlation : int
        Highest power.
    l_out : int
        Highest degree of the output, which has the parities of harmonics.

    Returns
    -------
    list of dict
        For each power: degree -> ndarray [2l+1, d, .., d, K], components in the order of features.
    """
    kept = frozenset((degree, (-1) ** degree) for degree in range(l_out + 1))
    powers = []
    for power in range(1, correlation + 1):
        basis = _power(tuple(features), power, kept)
        powers.append({ir[0]: np.moveaxis(table, -1, 0) for ir, table in basis.items()})
    return powers


def upstream_order(irrep: Irrep) -> tuple[int, bool]:
    """Where upstream sorts an irrep (degree, parity): harmonics' parities come first."""
    degree, parity = irrep
    return degree, parity != (-1) ** degree


def _times(irreps: frozenset[Irrep], others: Sequence[Irrep], n: int = 1) -> frozenset[Irrep]:
    """Irreps in products with n factors of others."""
    for _ in range(n):
        irreps = frozenset(
            (degree, p1 * p2)
            for l1, p1 in irreps
            for l2, p2 in others
            for degree in range(abs(l1 - l2), l1 + l2 + 1)
        )
    return irreps


def _power(features: tuple[Irrep, ...], power: int, kept: frozenset[Irrep]) -> Basis:
    """Return the symmetric power of a sum of irreps, of one copy each."""
    if power == 1 or len(features) == 1:
        return _power_of_one(features, power, kept)
    powers = {
        (k, n): _power_of_one((irrep,), n, _times(kept, features, power - n))
        for k, irrep in enumerate(features)
        for n in range(1, power + 1)
    }
    dims = [2 * degree + 1 for degree, _ in features]
    begins = np.cumsum([0, *dims])
    d = sum(dims)
    made: dict[Irrep, list[FloatArray]] = {}
    for counts in _counts(len(features), power):
        present = [k for k, n in enumerate(counts) if n]
        product = powers[present[0], counts[present[0]]]
        if len(present) == 1:
            product = {ir: table for ir, table in product.items() if ir in kept}
        for k in present[1:]:
            filtered = kept if k == present[-1] else None
            product = _product(product, powers[k, counts[k]], filtered)
        # Each order of the factors once.
        sequence = [k for k in present for _ in range(counts[k])]
        orders: dict[tuple[int, ...], tuple[int, ...]] = {}
        for axes in itertools.permutations(range(power)):
            orders.setdefault(tuple(sequence[axis] for axis in axes), axes)
        for irrep, table in product.items():
            whole = np.zeros((d,) * power + table.shape[power:])
            for parts, axes in orders.items():
                place = tuple(slice(begins[k], begins[k + 1]) for k in parts)
                whole[place] += table.transpose(*axes, power, power + 1)
            made.setdefault(irrep, []).append(whole / math.sqrt(len(orders)))
    return {irrep: np.concatenate(made[irrep], -2) for irrep in sorted(made, key=upstream_order)}


def _counts(length: int, total: int) -> Iterator[tuple[int, ...]]:
    """How often each irrep may occur in a product, in upstream's order."""
    if length == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _counts(length - 1, total - first):
            yield first, *rest


@cache
def _power_of_one(irreps: tuple[Irrep, ...], power: int, kept: frozenset[Irrep]) -> Basis:
    """Return the symmetric power of one irrep; of the first power, of any."""
    unit: Basis = {}
    begin, d = 0, sum(2 * degree + 1 for degree, _ in irreps)
    for degree, parity in irreps:
        n = 2 * degree + 1
        unit[degree, parity] = np.eye(d)[:, None, begin : begin + n]
        begin += n
    if power == 1:
        return {ir: unit[ir] for ir in sorted(unit, key=upstream_order) if ir in kept}
    before = unit
    if power > 2:
        before = _power_of_one(irreps, power - 1, _times(kept, irreps))
    return _symmetrized(_product(before, unit, kept), power)


def _product(first: Basis, second: Basis, kept: frozenset[Irrep] | None) -> Basis:
    """Couple two bases; the axes of the first come first."""
    made: dict[Irrep, list[FloatArray]] = {}
    for (l1, p1), x1 in first.items():
        for (l2, p2), x2 in second.items():
            for degree in range(abs(l1 - l2), l1 + l2 + 1):
                irrep = degree, p1 * p2
                if kept is not None and irrep not in kept:
                    continue
                w = math.sqrt(2 * degree + 1) * wigner_3j(degree, l1, l2)
                a, b = x1.reshape(-1, *x1.shape[-2:]), x2.reshape(-1, *x2.shape[-2:])
                table = np.einsum("aui,bvj,kij->abuvk", a, b, w, optimize=True)
                shape = *x1.shape[:-2], *x2.shape[:-2], -1, 2 * degree + 1
                made.setdefault(irrep, []).append(table.reshape(shape))
    return {irrep: np.concatenate(made[irrep], -2) for irrep in sorted(made, key=upstream_order)}


def _symmetrized(basis: Basis, power: int) -> Basis:
    """Keep the combinations of vectors that are symmetric tensors, as upstream finds them."""
    out = {}
    for irrep, table in basis.items():
        rows = table[..., 0].reshape(-1, table.shape[-2]).T
        symmetric = _symmetric_tensors(table.shape[0], power)
        # Null vectors (a, b): a combination a of the rows equals one b of symmetric tensors.
        across = rows @ symmetric.T
        gram = np.block([[rows @ rows.T, -across], [-across.T, np.eye(len(symmetric))]])
        values, vectors = np.linalg.eigh(gram)
        null = vectors[: len(rows), values < EPSILON]
        chosen = _gram_schmidt(null @ null.T)
        if len(chosen):
            out[irrep] = np.einsum("vu,...ui->...vi", chosen, table)
    return out


@cache
def _symmetric_tensors(d: int, power: int) -> FloatArray:
    """Orthonormal basis [n, d^power] of the symmetric tensors."""
    rows = []
    for indices in itertools.combinations_with_replacement(range(d), power):
        row = np.zeros((d,) * power)
        orders = set(itertools.permutations(indices))
        for order in orders:
            row[order] = 1.0 / math.sqrt(len(orders))
        rows.append(row.reshape(-1))
    return np.array(rows)


def _gram_schmidt(rows: FloatArray) -> FloatArray:
    """Orthonormalize rows one after another; those that depend on others are left out."""
    found: list[FloatArray] = []
    for row in rows:
        rest = row.copy()
        for one in found:
            rest -= (one @ rest) * one
        size = float(np.linalg.norm(rest))
        if size > EPSILON:
            found.append(rest / size)
    return np.array(found).reshape(-1, rows.shape[1])
