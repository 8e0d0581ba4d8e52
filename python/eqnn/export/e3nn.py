# SPDX-License-Identifier: BSD-3-Clause
"""e3nn's irreps, weight layouts and normalisations, which end here: the file knows none of them.

Read in e3nn 0.4.4 and 0.5.6. A layer of e3nn has irreps that are a list of segments, in any order
and with repetitions; the file has one block for each degree and parity. Channels of a block are
those of its segments, in their order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eqnn.builder import layer
from eqnn.errors import EqnnError
from eqnn.export.torch_file import Stub
from eqnn.model_file import Array, block_of, block_order
from eqnn.so3 import FloatArray

# 1/sqrt(E[f(x)^2]) as e3nn's normalize2mom draws it: from a million random numbers of a fixed seed,
# not the integral (1.67653, 1.59254). Versions 0.4.4 and 0.5.6 give the same.
NORMALIZED = {"silu": 1.6791767923989418, "tanh": 1.5937334472592695, "none": 1.0}

Segment = tuple[int, int, int]
"""Multiplicity, degree, parity (1 or -1)."""
Segments = list[Segment]
Weights = dict[str, FloatArray]
"""Weights by block of the output, as stages take them."""

_SEGMENT = re.compile(r"(?:([0-9]+)x)?([0-9]+)([eo])")


def segments(value: Any, name: str) -> Segments:
    """Irreps, as a string, as nested tuples or as a pickled object of e3nn.

    Parameters
    ----------
    value : object
    name : str
        What messages call it.
    """
    try:
        out = list(_segments(value))
    except (TypeError, ValueError):
        raise EqnnError(
            f"{name}: found {value!s:.60}, expected irreps as in 128x0e+64x1o. "
            "Correct the configuration."
        ) from None
    return [segment for segment in out if segment[0] > 0]


def _segments(value: Any) -> Iterator[Segment]:
    if isinstance(value, str):
        for part in value.replace(" ", "").split("+"):
            found = _SEGMENT.fullmatch(part)
            if found is None:
                raise ValueError(part)
            yield int(found[1] or 1), int(found[2]), 1 if found[3] == "e" else -1
        return
    while isinstance(value, Stub):
        (value,) = value.args
    for entry in value:
        mul, ir = _plain(entry)
        degree, parity = _plain(ir)
        yield int(mul), int(degree), int(parity)


def _plain(value: Any) -> Any:
    while isinstance(value, Stub):
        (value,) = value.args
    return value


def written(irreps: Segments) -> str:
    """Write irreps as e3nn does."""
    return "+".join(f"{mul}x{block_of(degree, p)}" for mul, degree, p in irreps)


def channels(irreps: Segments) -> dict[str, int]:
    """Channels of each block, in the file's order."""
    out: dict[str, int] = {}
    for mul, degree, parity in irreps:
        block = block_of(degree, parity)
        out[block] = out.get(block, 0) + mul
    return {block: out[block] for block in sorted(out, key=block_order)}


def merged(irreps: Segments) -> Segments:
    """Join neighbouring segments of the same degree and parity (e3nn's simplify)."""
    out: Segments = []
    for mul, degree, parity in irreps:
        if out and out[-1][1:] == (degree, parity):
            mul += out.pop()[0]
        out.append((mul, degree, parity))
    return out


def _offsets(irreps: Segments) -> list[slice]:
    """Channels of each segment in its block."""
    found: dict[tuple[int, int], int] = {}
    out = []
    for mul, degree, parity in irreps:
        start = found.get((degree, parity), 0)
        out.append(slice(start, start + mul))
        found[degree, parity] = start + mul
    return out


def _layout(inputs: Segments, outputs: Segments) -> list[tuple[int, int]]:
    """Pairs of segments that a linear layer connects, in the order of its weights."""
    return [
        (i, j)
        for i, (_, *ir_in) in enumerate(inputs)
        for j, (_, *ir_out) in enumerate(outputs)
        if ir_in == ir_out
    ]


def linear_size(inputs: Segments, outputs: Segments) -> int:
    """Count the weights of ``Linear``."""
    return sum(inputs[i][0] * outputs[j][0] for i, j in _layout(inputs, outputs))


def linear(weight: Array, inputs: Segments, outputs: Segments, name: str) -> Weights:
    """Weights [Cout, Cin] of ``Linear``, its 1/sqrt(fan in) multiplied in.

    Parameters
    ----------
    weight : ndarray [weight_numel]
        Matrices [mul in, mul out] of the connected segments, one after the other.
    inputs, outputs : list of segments
    name : str
        What messages call it.
    """
    return {
        block: tensor[0]
        for block, tensor in species_linear(weight, inputs, 1, outputs, name).items()
    }


def species_linear(
    weight: Array, inputs: Segments, n_species: int, outputs: Segments, name: str
) -> Weights:
    """Weights [species, Cout, Cin] of ``FullyConnectedTensorProduct`` with a one-hot vector.

    Parameters
    ----------
    weight : ndarray [weight_numel]
        Matrices [mul in, species, mul out] of the connected segments, one after the other.
    inputs, outputs : list of segments
    n_species : int
        Length of the one-hot vector.
    name : str
        What messages call it.
    """
    pairs = _layout(inputs, outputs)
    expected = linear_size(inputs, outputs) * n_species
    if weight.size != expected:
        raise EqnnError(
            f"{name}: {weight.size} weights, expected {expected} of a layer from "
            f"{written(inputs)} to {written(outputs)}.\n"
            "This is another network than the configuration says: give the configuration it has."
        )
    flat = weight.astype(np.float64).reshape(-1)
    c_in, c_out = channels(inputs), channels(outputs)
    in_at, out_at = _offsets(inputs), _offsets(outputs)
    out = {b: np.zeros((n_species, n, c_in[b])) for b, n in c_out.items() if b in c_in}
    start = 0
    for i, j in pairs:
        (mul_in, degree, parity), mul_out = inputs[i], outputs[j][0]
        size = mul_in * n_species * mul_out
        matrix = flat[start : start + size].reshape(mul_in, n_species, mul_out)
        start += size
        fan_in = n_species * sum(inputs[k][0] for k, to in pairs if to == j)
        block = out[block_of(degree, parity)]
        block[:, out_at[j], in_at[i]] = matrix.transpose(1, 2, 0) / math.sqrt(fan_in)
    return out


def network(weights: Sequence[Array], name: str, activation: str = "silu") -> list[dict[str, Any]]:
    """Layers of ``FullyConnectedNet`` [in, out], whose last is linear; no layer has a bias.

    e3nn divides by sqrt(fan in) and multiplies each activation by its constant.
    """
    out = []
    constant = 1.0
    for k, weight in enumerate(weights):
        if weight.ndim != 2 or (k and weight.shape[0] != weights[k - 1].shape[1]):
            raise EqnnError(
                f"{name}: layer {k} has shape {list(weight.shape)} after "
                f"{list(weights[k - 1].shape) if k else 'the basis'}, expected [in, out] that fit."
                "\nThe checkpoint is damaged or of another version: save it again."
            )
        matrix = weight.astype(np.float64).T * (constant / math.sqrt(weight.shape[0]))
        is_last = k == len(weights) - 1
        out.append(layer(matrix, activation="none" if is_last else activation))
        constant = NORMALIZED[activation]
    return out


@dataclass(frozen=True)
class Convolution:
    """``TensorProduct`` of features with harmonics in mode uvu, one weight for each channel.

    Attributes
    ----------
    paths : list of [source block, degree, target block]
        In the order of the weights.
    outputs : list of segments
        One for each path, in the order in which the next layer takes them.
    factors : ndarray [number of weights]
        What each weight is to be multiplied by: sqrt(2l+1) of the output, e3nn's normalisation.
    rows : ndarray of int [number of weights]
        Where the file's weights stand among upstream's.
    """

    paths: list[list[Any]]
    outputs: Segments
    factors: FloatArray
    rows: np.ndarray


@dataclass(frozen=True)
class Instruction:
    """One path of upstream's tensor product: segments of both inputs and of the output."""

    source: int
    harmonic: int
    target: int


def instructions(
    inputs: Segments,
    harmonics: Segments,
    targets: Segments,
    *,
    sorted_weights: bool,
    odd_first: bool = True,
) -> tuple[list[Instruction], Segments]:
    """Paths that NequIP, MACE and SevenNet build, in the order of their weights, and the outputs.

    Every product of a segment and a degree of the harmonics that leads to an irrep of the target
    is a path with an output segment of its own; these are sorted by irrep.

    Parameters
    ----------
    inputs, harmonics, targets : list of segments
    sorted_weights : bool
        Whether weights stand in the order of the sorted outputs, or in that in which paths are
        found: source by source, degree by degree.
    odd_first : bool
        Order of parities in the sorted outputs.
    """
    wanted = {(degree, parity) for _, degree, parity in targets}
    found: list[tuple[int, int, Segment]] = []
    for i, (mul, l1, p1) in enumerate(inputs):
        for j, (_, l2, p2) in enumerate(harmonics):
            for l3 in range(abs(l1 - l2), l1 + l2 + 1):
                if (l3, p1 * p2) in wanted:
                    found.append((i, j, (mul, l3, p1 * p2)))

    def irrep(k: int) -> tuple[int, int]:
        _, degree, parity = found[k][2]
        return degree, parity if odd_first else -parity

    ordered = sorted(range(len(found)), key=irrep)
    place = {k: position for position, k in enumerate(ordered)}
    paths = [Instruction(i, j, place[k]) for k, (i, j, _) in enumerate(found)]
    if sorted_weights:
        paths.sort(key=lambda path: path.target)
    return paths, [found[k][2] for k in ordered]


def convolution(
    paths: Sequence[Instruction],
    inputs: Segments,
    harmonics: Segments,
    outputs: Segments,
    *,
    negated: bool,
) -> Convolution:
    """Turn a tensor product of mode uvu into the file's paths.

    Parameters
    ----------
    paths : sequence of Instruction
        In the order of their weights.
    inputs, harmonics, outputs : list of segments
        Those of upstream's tensor product; each path has an output segment of its own.
    negated : bool
        Whether upstream's edges point from source to center: factors get (-1)^l of the harmonics.
    """
    sizes = [inputs[path.source][0] for path in paths]
    begins = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    blocks = channels(inputs)
    out_paths: list[list[Any]] = []
    factors, rows = [], []
    # The file's paths follow the outputs, whose channels the next layer counts.
    for k in sorted(range(len(paths)), key=lambda k: paths[k].target):
        mul, l1, p1 = inputs[paths[k].source]
        l2 = harmonics[paths[k].harmonic][1]
        _, l3, p3 = outputs[paths[k].target]
        if blocks[block_of(l1, p1)] != mul:
            raise ValueError(f"{written(inputs)} has a block in parts")
        out_paths.append([block_of(l1, p1), l2, block_of(l3, p3)])
        sign = (-1) ** l2 if negated else 1
        factors.append(np.full(mul, sign * math.sqrt(2 * l3 + 1)))
        rows.append(np.arange(begins[k], begins[k] + mul))
    return Convolution(out_paths, outputs, np.concatenate(factors), np.concatenate(rows))


def fold_rows(layers: list[dict[str, Any]], convolved: Convolution) -> list[dict[str, Any]]:
    """Multiply a convolution's factors into the last layer of its radial network, in its order."""
    last = dict(layers[-1])
    last["weight"] = last["weight"][convolved.rows] * convolved.factors[:, None]
    return [*layers[:-1], last]


def scaled(weights: Mapping[str, FloatArray], factor: float) -> Weights:
    """Multiply weights by a number."""
    return {block: tensor * factor for block, tensor in weights.items()}


def scale_inputs(weights: Mapping[str, FloatArray], factors: Mapping[str, float]) -> Weights:
    """Multiply weights by a number for each block of their input, as of activations before."""
    return {block: tensor * factors.get(block, 1.0) for block, tensor in weights.items()}
