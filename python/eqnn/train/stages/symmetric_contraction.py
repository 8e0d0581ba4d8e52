# SPDX-License-Identifier: BSD-3-Clause
"""Polynomials of a node's components: docs/spec/stages/symmetric_contraction.md."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from eqnn.model_file import degree_of, parse_irreps
from eqnn.train.stage_parts import (
    Context,
    Features,
    Stage,
    Tensor,
    TrainedOp,
    Weights,
    dense,
    einsum,
)


def _chosen(context: Context, x: Tensor, rows: Sequence[int]) -> Tensor:
    """Rows [node, row, C] by number, as a product with a matrix.

    Not by slices or indices: XLA would fuse slices of slices in a second derivative without end,
    and add what belongs to an index one by one.
    """
    choice = np.zeros((x.shape[1], len(rows)))
    choice[list(rows), np.arange(len(rows))] = 1.0
    return einsum("nic,iu->nuc", x, context.array(choice))


def _monomials(context: Context, x: Tensor, order: int) -> list[Tensor]:
    """Products of 1, 2, ... components [node, product, C], each once, by increasing components."""
    out = [x]
    for nu in range(2, order + 1):
        shorter = itertools.combinations_with_replacement(range(x.shape[1]), nu - 1)
        place = {product: k for k, product in enumerate(shorter)}
        products = list(itertools.combinations_with_replacement(range(x.shape[1]), nu))
        last = _chosen(context, x, [p[-1] for p in products])
        out.append(_chosen(context, out[-1], [place[p[:-1]] for p in products]) * last)
    return out


def _matrix(indices: Any, values: Any, d: int, n_m: int, n_paths: int) -> Any:
    """Coefficients [product, m, path] of a term's entries."""
    order = indices.shape[1] - 2
    products = itertools.combinations_with_replacement(range(d), order)
    row = {product: k for k, product in enumerate(products)}
    out = np.zeros((len(row), n_m, n_paths))
    for (m3, path, *components), value in zip(indices.tolist(), values.tolist(), strict=True):
        out[row[tuple(sorted(components))], m3, path] += value
    return out


def symmetric_contraction(
    context: Context, stage: Stage, weights: Weights, features: Features
) -> Features:
    """Features of the given irreps: polynomials of a node's components."""
    x = dense(features)
    parts: dict[str, list[Tensor]] = {block: [] for block in parse_irreps(stage["irreps"])}
    orders = [context.constant(term["indices"]).shape[1] - 2 for term in stage["terms"]]
    monomials = _monomials(context, x, max(orders, default=1))
    for term, order in zip(stage["terms"], orders, strict=True):
        indices, values = context.constant(term["indices"]), context.constant(term["values"])
        of_node = jnp.take(context.tensor(term["weights"]), context.species, axis=0)
        n_m = 2 * degree_of(term["irrep"]) + 1
        matrix = _matrix(indices, values, x.shape[1], n_m, of_node.shape[1])
        used = np.flatnonzero(np.abs(matrix).sum((1, 2)))
        first, last = used.min(initial=0), used.max(initial=0) + 1
        table = context.array(matrix[first:last])
        sums = einsum("umk,nuc->nmkc", table, monomials[order - 1][:, first:last])
        parts[term["irrep"]].append((sums * of_node[:, None]).sum(2))
    out: Features = {}
    for block, terms in parts.items():
        shape = (x.shape[0], 2 * degree_of(block) + 1, x.shape[2])
        out[block] = sum(terms[1:], start=terms[0]) if terms else jnp.zeros(shape, x.dtype)
    return out


def _trained(stage: Stage) -> list[str]:
    return [term["weights"] for term in stage["terms"]]


OPS = {"symmetric_contraction": TrainedOp(symmetric_contraction, _trained)}
