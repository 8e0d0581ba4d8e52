# SPDX-License-Identifier: BSD-3-Clause
"""e3nn's irreps, weight layouts and normalizations, which end here: the file knows none of them.

Read in e3nn 0.4.4 and 0.5.6. A layer of e3nn has irreps that are a list of segments, in any order
and with repetitions; the file has one block for each degree and parity. Channels of a block are
those of its segments, in their order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eqnn.builder import ModelBuilder, layer
from eqnn.errors import EqnnError, shortened
from eqnn.export.torch_file import Stub
from eqnn.model_file import Array, block_of, block_order, degree_of
from eqnn.so3 import FloatArray, wigner_3j

# 1/sqrt(E[f(x)^2]) as e3nn's normalize2mom draws it: from a million random numbers of a fixed seed,
# not the integral (1.67653, 1.59254). Versions 0.4.4 and 0.5.6 give the same.
NORMALIZED = {
    **{"silu": 1.6791767923989418, "tanh": 1.5937334472592695, "abs": 1.001110600838467},
    **{"gelu": 1.5360642850770576, "mish": 1.4891609082630328, "none": 1.0},
    "shifted_softplus": 1.878204668541552,
}

HIGHEST_DEGREE = 20  # of irreps that are read: far beyond any network
W3J_ROUNDING = 1e-5
# Second number of the version of e3nn that brought today's signs: 0.5.0.
SIGNS_SINCE = 5
# Degrees, in increasing order, of the Wigner 3j that have the other sign in e3nn 0.4, up to l = 8.
_OTHER_SIGN = {
    *((1, n, n) for n in range(2, 9)),
    *((3, n, n + 2) for n in range(4, 7)),
    *((4, n, n + 1) for n in range(4, 8)),
    *((5, n, n) for n in range(5, 9)),
}

Log = Callable[[str], None]
Segment = tuple[int, int, int]
"""Multiplicity, degree, parity (1 or -1)."""
Segments = list[Segment]
Weights = dict[str, FloatArray]
"""Weights by block of the output, as stages take them."""

_SEGMENT = re.compile(r"(?:([0-9]+)x)?([0-9]+)([eo])")


def segments(value: Any, name: str, *, with_empty: bool = False) -> Segments:
    """Irreps, as a string, as nested tuples or as a pickled object of e3nn.

    Parameters
    ----------
    value : object
    name : str
        What messages call it.
    with_empty : bool
        Whether segments without channels are kept, for the sake of their places.
    """
    try:
        out = list(_segments(value))
    except (TypeError, ValueError):
        raise EqnnError(
            f"{name}: found {shortened(str(value), 60)}, expected irreps as in 128x0e+64x1o. "
            "Correct the configuration."
        ) from None
    for _, degree, parity in out:
        if not 0 <= degree <= HIGHEST_DEGREE or parity not in (1, -1):
            raise EqnnError(
                f"{name}: found degree {degree} of parity {parity}, expected degrees up to "
                f"{HIGHEST_DEGREE}. Correct the configuration."
            )
    return [segment for segment in out if segment[0] > 0 or with_empty]


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
    """Join neighboring segments of the same degree and parity (e3nn's simplify)."""
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
        What each weight is to be multiplied by: sqrt(2l+1) of the output, e3nn's normalization.
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
    """
    wanted = {(degree, parity) for _, degree, parity in targets}
    found: list[tuple[int, int, Segment]] = []
    for i, (mul, l1, p1) in enumerate(inputs):
        for j, (_, l2, p2) in enumerate(harmonics):
            for l3 in range(abs(l1 - l2), l1 + l2 + 1):
                if (l3, p1 * p2) in wanted:
                    found.append((i, j, (mul, l3, p1 * p2)))

    ordered = sorted(range(len(found)), key=lambda k: found[k][2][1:])  # 0o, 0e, 1o, 1e, ...
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


def sign_is_old(version: str | None, name: str) -> bool | None:
    """Whether a version of e3nn has the old signs of Wigner 3j; None where it is not known.

    Parameters
    ----------
    version : str, optional
    name : str
        Where it stands, for messages.
    """
    if version is None:
        return None
    found = re.match(r"0\.([0-9]+)(?![0-9])", version)
    if found is None and not re.match(r"[1-9][0-9]*\.", version):
        raise EqnnError(
            f"{name}: found {shortened(repr(version), 40)}, "
            "expected a version of e3nn as in 0.4.4. "
            "Correct the configuration."
        )
    return found is not None and int(found[1]) < SIGNS_SINCE


def sign_depends(l1: int, l2: int, l3: int) -> bool:
    """Whether the sign of a Wigner 3j depends on the version of e3nn."""
    return tuple(sorted((l1, l2, l3))) in _OTHER_SIGN


def old_wigner_3j(l1: int, l2: int, l3: int) -> FloatArray:
    """Wigner 3j with the sign of e3nn 0.4, which mace-torch pins."""
    return (-1.0 if sign_depends(l1, l2, l3) else 1.0) * wigner_3j(l1, l2, l3)


def untold_signs(what: str, name: str, cure: str) -> EqnnError:
    """Make the error of a checkpoint that does not say which signs its couplings have."""
    return EqnnError(
        f"{name}: {what}: its sign differs between versions of e3nn, and the checkpoint holds "
        f"neither its tables nor a version.\n{cure}"
    )


def with_stored_signs(
    convolved: Convolution,
    tensors: Mapping[str, Array],
    prefix: str,
    name: str,
    log: Log,
    *,
    is_old: bool | None = None,
    cure: str = "Give a checkpoint that holds the tables of Wigner 3j (_w3j_).",
) -> Convolution:
    """Turn the sign of paths whose Wigner 3j had the other sign in e3nn when it was trained.

    A path whose sign depends on e3nn's version is refused where neither a table nor a version
    tells it.

    Parameters
    ----------
    convolved : Convolution
    tensors : mapping of str to ndarray
        All that the checkpoint holds; its Wigner 3j may lie under the tensor product's name.
    prefix : str
        Name of the tensor product.
    name : str
        What messages call the checkpoint.
    log : callable
        Takes lines for people.
    is_old : bool, optional
        Whether it was made with the old signs, for paths without a table, where that is known.
    cure : str
        What to do where it is not.
    """
    factors = convolved.factors.copy()
    start = 0
    turned = set()
    for (source, l2, target), (mul, _, _) in zip(convolved.paths, convolved.outputs, strict=True):
        ells = degree_of(source), l2, degree_of(target)
        key = f"{prefix}._compiled_main_left_right._w3j_" + "_".join(map(str, ells))
        if key in tensors:
            now = wigner_3j(*ells)
            stored = tensors[key]
            overlap = float((stored * now).sum()) if stored.shape == now.shape else 0.0
            if not abs(abs(overlap) - 1.0) <= W3J_ROUNDING:
                raise EqnnError(
                    f"{name}: {key} is not e3nn's Wigner 3j. The checkpoint is damaged: "
                    "get it again."
                )
            is_turned = overlap < 0.0
        elif sign_depends(*ells):
            if is_old is None:
                what = "{}: Wigner 3j {}x{}->{}".format(prefix, *ells)
                raise untold_signs(what, name, cure)
            is_turned = is_old
        else:
            is_turned = False
        if is_turned:
            factors[start : start + mul] *= -1.0
            turned.add("{}x{}->{}".format(*ells))
        start += mul
    if turned:
        log(f"{prefix}: trained with the other sign of Wigner 3j {', '.join(sorted(turned))}.")
    return replace(convolved, factors=factors)


def fold_rows(layers: list[dict[str, Any]], convolved: Convolution) -> list[dict[str, Any]]:
    """Multiply a convolution's factors into the last layer of its radial network, in its order."""
    last = dict(layers[-1])
    last["weight"] = last["weight"][convolved.rows] * convolved.factors[:, None]
    if last["bias"] is not None:
        last["bias"] = last["bias"][convolved.rows] * convolved.factors
    return [*layers[:-1], last]


def scaled(weights: Mapping[str, FloatArray], factor: float) -> Weights:
    """Multiply weights by a number."""
    return {block: tensor * factor for block, tensor in weights.items()}


def scale_inputs(weights: Mapping[str, FloatArray], factors: Mapping[str, float]) -> Weights:
    """Multiply weights by a number for each block of their input, as of activations before."""
    return {block: tensor * factors.get(block, 1.0) for block, tensor in weights.items()}


# ---- the layers of NequIP, SevenNet and Nequix ----


@dataclass(frozen=True)
class Gate:
    """What ends a layer: e3nn's ``Gate``, or its ``NormActivation``, which has no gates.

    Where its input lies, the stage and its attributes, what follows from it.

    Attributes
    ----------
    inputs, outputs : list of segments
    attributes : dict
        ``scalars``, ``activations`` and ``gates`` of the stage ``irreps_gate``, or ``function`` and
        ``eps`` of ``norm_activation``.
    rows : ndarray of int
        Channels of the block of the gates in the file's order: gates follow the blocks they gate.
    factors : dict of float
        By block of the output: e3nn's constants of the activations, for the weights that follow.
    op : str
        The stage.
    """

    inputs: Segments
    outputs: Segments
    attributes: dict[str, Any]
    rows: np.ndarray
    factors: dict[str, float]
    op: str = "irreps_gate"

    @property
    def gates(self) -> str:
        """The block of the gates; empty where there are none."""
        return str(self.attributes.get("gates", ""))

    def arranged(self, weights: Mapping[str, FloatArray]) -> Weights:
        """Put the rows of weights [.., Cout, Cin] or a table [.., Cout] that lead here in order."""
        return {
            block: tensor[..., self.rows, :] if block == self.gates else tensor
            for block, tensor in weights.items()
        }

    def add(self, build: ModelBuilder, name: str, x: str) -> str:
        """Append the stage."""
        if self.attributes.get("function") == "abs":  # |n|/n is 1
            return x
        return build.stage(self.op, name, {"features": x}, **self.attributes)


def gate(
    scalars: Segments,
    gated: Segments,
    scalar_activations: Mapping[str, str],
    gate_activations: Mapping[str, str],
    constants: Mapping[str, float] = NORMALIZED,
) -> Gate:
    """Lay out a gate as e3nn does: scalars, then one gate for each channel of l > 0.

    Parameters
    ----------
    scalars, gated : list of segments
        Of the output, in upstream's order.
    scalar_activations, gate_activations : mapping
        Name of the activation of parity ``e`` and ``o``.
    constants : mapping
        What each activation is multiplied by.
    """
    parity = 1 if any(p == 1 for _, _, p in scalars) else -1
    gates = [(mul, 0, parity) for mul, _, _ in gated]
    inputs = merged(sorted([*scalars, *gates, *gated], key=lambda segment: segment[1:]))
    block = block_of(0, parity)
    n_scalars = {name: channels(scalars).get(name, 0) for name in channels(inputs)}
    n_scalars = {name: n for name, n in n_scalars.items() if name in ("0e", "0o")}
    # Upstream's gates stand in the order of the gated segments, the file's in that of its blocks.
    first = n_scalars.get(block, 0)
    starts = first + np.concatenate([[0], np.cumsum([mul for mul, _, _ in gated])]).astype(int)
    order = sorted(range(len(gated)), key=lambda k: block_order(block_of(*gated[k][1:])))
    rows = [np.arange(first)] + [np.arange(starts[k], starts[k] + gated[k][0]) for k in order]
    activations = {name: scalar_activations[name[-1]] for name in n_scalars}
    activations["gates"] = gate_activations["e" if parity == 1 else "o"]
    outputs = [*scalars, *((mul, degree, p * parity) for mul, degree, p in gated)]
    factors = {
        name: constants[activations[name] if name in ("0e", "0o") else activations["gates"]]
        for name in channels(outputs)
    }
    attributes = {"scalars": n_scalars, "activations": activations, "gates": block}
    return Gate(inputs, outputs, attributes, np.concatenate(rows).astype(int), factors)


# Norms below it are raised to it, in every version of NequIP.
NORM_EPS = 1e-8


def norm_activation(irreps: Segments, function: str) -> Gate:
    """Lay out e3nn's ``NormActivation`` as NequIP builds it: normalized, without bias.

    Parameters
    ----------
    irreps : list of segments
        Of the input and of the output.
    function : str
        Of the norms. Unlike those of gates, it is multiplied by no constant.
    """
    factors = dict.fromkeys(channels(irreps), 1.0)
    attributes = {"function": function, "eps": NORM_EPS}
    rows = np.arange(0)
    return Gate(irreps, irreps, attributes, rows, factors, op="norm_activation")


def add_linear(
    build: ModelBuilder, name: str, x: str, weights: Weights, bias: FloatArray | None = None
) -> str:
    """Append a stage ``irreps_linear``."""
    irreps = {block: tensor.shape[0] for block, tensor in weights.items()}
    given = dict(weights) if bias is None else {**weights, "bias": bias}
    return build.stage("irreps_linear", name, {"features": x}, given, irreps=irreps)


def add_species_linear(build: ModelBuilder, name: str, x: str, weights: Weights) -> str:
    """Append a stage ``species_linear``."""
    irreps = {block: tensor.shape[1] for block, tensor in weights.items()}
    return build.stage("species_linear", name, {"features": x}, weights, irreps=irreps)


def _add_any_linear(
    build: ModelBuilder, name: str, x: str, weights: Weights, bias: FloatArray | None = None
) -> str:
    """Append a stage of either kind, by the weights' rank; a bias goes with the plain one."""
    if next(iter(weights.values())).ndim == 3:
        return add_species_linear(build, name, x, weights)
    return add_linear(build, name, x, weights, bias)


def _times(weight: FloatArray, x: FloatArray) -> FloatArray:
    """Apply weights [Cout, Cin] or [species, Cout, Cin] to the scalars of each species."""
    return np.asarray(np.einsum("zoi,zi->zo" if weight.ndim == 3 else "oi,zi->zo", weight, x))


@dataclass(frozen=True)
class ConvnetLayer:
    """One layer of NequIP's kind: x -> gate(W2 sum of messages of W1 x, plus S x).

    Attributes
    ----------
    source : Weights
        W1, [Cout, Cin] or [species, Cout, Cin].
    source_bias : ndarray, optional
        Of the block 0e.
    radial : list of layers
        The convolution's weights; its factors are multiplied in.
    convolution : Convolution
    mixing : Weights
        W2, any division of messages included.
    mixing_bias : ndarray, optional
        Of the block 0e.
    skip : Weights
        S, [Cout, Cin] or [species, Cout, Cin]; empty where there is none.
    gate : Gate
    norm : Weights
        Scales [C] of a ``rms_norm`` before the gate; empty where there is none.
    eps : float
        Of the norm.
    grows : bool
        Whether harmonics of degree l grow with the distance as r^l.
    kept : mapping of str to float
        Where features go round the whole layer: what each block of x is to be multiplied by.
    """

    source: Weights
    radial: list[dict[str, Any]]
    convolution: Convolution
    mixing: Weights
    skip: Weights
    gate: Gate
    source_bias: FloatArray | None = None
    mixing_bias: FloatArray | None = None
    norm: Weights = field(default_factory=dict)
    eps: float = 0.0
    grows: bool = False
    kept: Mapping[str, float] = field(default_factory=dict)


def add_convnet_layer(
    build: ModelBuilder,
    name: str,
    x: str | FloatArray,
    spec: ConvnetLayer,
    basis: Mapping[str, Any],
    envelope: Mapping[str, Any],
    transform: Mapping[str, Any] | None = None,
) -> str:
    """Append the stages of a layer and return the name of what the gate makes.

    Parameters
    ----------
    build : ModelBuilder
        With a stage ``harmonics``.
    name : str
        Prefix of the stages' names.
    x : str or ndarray [species, C]
        Features; or, before the first layer, the scalars of each species, which are then taken
        through all that stands before the convolution.
    spec : ConvnetLayer
    basis, envelope, transform : mapping
        Of the radial stage.
    """
    mixing, skip = spec.gate.arranged(spec.mixing), spec.gate.arranged(spec.skip)
    mixing_bias = spec.mixing_bias
    if mixing_bias is not None and spec.gate.gates == "0e":
        mixing_bias = mixing_bias[spec.gate.rows]
    skipped = ""
    if isinstance(x, str):
        source = _add_any_linear(build, f"{name}.source", x, spec.source, spec.source_bias)
        if skip:
            skipped = _add_any_linear(build, f"{name}.skip", x, skip)
    else:
        table = _times(spec.source["0e"], x)
        if spec.source_bias is not None:
            table = table + spec.source_bias
        source = build.stage(
            "species_embedding", f"{name}.source", weights={"table": table}, l_max=0
        )
        if skip:
            skipped = build.stage(
                "species_embedding",
                f"{name}.skip",
                weights={"table": _times(skip["0e"], x)},
                l_max=0,
            )
    layers = fold_rows(spec.radial, spec.convolution)
    more: dict[str, Any] = {} if transform is None else {"transform": dict(transform)}
    if spec.grows:
        degrees = [(mul, path[1]) for path, (mul, _, _) in _paths_of(spec.convolution)]
        more["powers"] = np.concatenate([np.full(mul, d, dtype=np.int32) for mul, d in degrees])
    radial = build.stage(
        "radial",
        f"{name}.radial",
        basis=dict(basis),
        envelope=dict(envelope),
        layers=layers,
        **more,
    )
    inputs = {"source": source, "harmonics": "harmonics", "radial": radial}
    y = build.stage("edge_tensor_product", f"{name}.messages", inputs, paths=spec.convolution.paths)
    y = add_linear(build, f"{name}.mixed", y, mixing, mixing_bias)
    if skipped:
        y = build.stage("add", f"{name}.sum", {"a": y, "b": skipped})
    if spec.norm:
        norm = spec.gate.arranged({block: w[:, None] for block, w in spec.norm.items()})
        scales = {block: w[:, 0] for block, w in norm.items()}
        y = build.stage("rms_norm", f"{name}.norm", {"features": y}, scales, eps=spec.eps)
    if not spec.kept:
        return spec.gate.add(build, name, y)
    assert isinstance(x, str)
    y = spec.gate.add(build, f"{name}.gate", y)
    # Both without the constants that wait for the next layer.
    sizes = channels(spec.gate.outputs)
    new = {block: factor * np.eye(sizes[block]) for block, factor in spec.gate.factors.items()}
    old = {block: spec.kept[block] * np.eye(sizes[block]) for block in new}
    y = add_linear(build, f"{name}.new", y, new)
    x = add_linear(build, f"{name}.old", x, old)
    return build.stage("add", name, {"a": y, "b": x})


def _paths_of(convolved: Convolution) -> Iterator[tuple[list[Any], Segment]]:
    return zip(convolved.paths, convolved.outputs, strict=True)


def kept_around(
    factors: Mapping[str, float], inputs: Segments, gate: Gate, name: str
) -> dict[str, float]:
    """Return what features are to be multiplied by that go round a whole layer.

    Parameters
    ----------
    factors : mapping of str to float
        Of the layer before; empty before the first.
    inputs : list of segments
        The features.
    gate : Gate
        What ends the layer.
    name : str
        What messages call the part.
    """
    if not factors or channels(inputs) != channels(gate.outputs):
        raise EqnnError(
            f"{name}: features {written(inputs)} that skip a layer which makes "
            f"{written(gate.outputs)}, or skip the first layer, have no exporter. "
            "It cannot be exported."
        )
    return dict(factors)


def scalars_alone(spec: ConvnetLayer) -> ConvnetLayer:
    """Keep of a layer what leads to its even scalars, where nothing else of it is used."""
    n = channels(spec.gate.outputs)["0e"]
    kept: list[list[Any]] = []
    outputs, parts = [], []
    start = 0
    for path, segment in _paths_of(spec.convolution):
        if path[2] == "0e":
            kept.append(path)
            outputs.append(segment)
            parts.append(slice(start, start + segment[0]))
        start += segment[0]
    convolved = Convolution(
        kept,
        outputs,
        np.concatenate([spec.convolution.factors[part] for part in parts]),
        np.concatenate([spec.convolution.rows[part] for part in parts]),
    )
    sources = {path[0] for path in kept}
    attributes = spec.gate.attributes
    if spec.gate.gates:
        activation = attributes["activations"]["0e"]
        activations = {"0e": activation, "gates": activation}
        attributes = {"scalars": {"0e": n}, "activations": activations, "gates": "0e"}
    scalars = [(n, 0, 1)]
    factors = {"0e": spec.gate.factors["0e"]}
    bias = None if spec.mixing_bias is None else spec.mixing_bias[:n]
    return replace(
        spec,
        source={block: w for block, w in spec.source.items() if block in sources},
        convolution=convolved,
        mixing={"0e": spec.mixing["0e"][:n]},
        mixing_bias=bias,
        skip={"0e": spec.skip["0e"][..., :n, :]} if spec.skip else {},
        gate=Gate(scalars, scalars, attributes, np.arange(n), factors, spec.gate.op),
    )
