# SPDX-License-Identifier: BSD-3-Clause
"""Builds a model's graph stage by stage: all that an exporter of a new network needs.

The stages and their formulas are in docs/spec/stages. Example::

    build = ModelBuilder(family="mine", species=[1, 8], cutoff=5.0, l_max=1)
    build.stage("spherical_harmonics", "harmonics", l_max=1)
    build.stage("edge_matrix", "matrix", {"harmonics": "harmonics"}, {"coupling": coupling})
    ...
    build.stage("energy", "energy", {"terms": ["site_energy"]})
    model = build.finish(energy=..., forces="gradient", parity="so3", provenance=...)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eqnn.errors import EqnnError
from eqnn.model_file import (
    FORMAT_VERSION,
    Array,
    Document,
    Model,
    degree_of,
    format_irreps,
    parse_irreps,
    validate,
)
from eqnn.so3 import FloatArray, equivariance_defect, random_rotations, wigner_d

EXACT_DEFECT = 1e-12


def layer(weight: Array, bias: Array | None = None, activation: str = "none") -> dict[str, Any]:
    """One layer of a radial function or a readout.

    Parameters
    ----------
    weight : ndarray [out, in]
    bias : ndarray [out], optional
    activation : str
        ``silu`` or ``none``.
    """
    return {"weight": weight, "bias": bias, "layer_norm": None, "activation": activation}


def contraction_defect(
    degree: int,
    indices: Array,
    values: Array,
    n_rotations: int = 32,
    seed: int = 20240229,
    features: Sequence[int] | None = None,
) -> float:
    """Largest relative Frobenius norm of D.T - T of one term of a symmetric contraction.

    Parameters
    ----------
    degree : int
        Of the output block.
    indices : ndarray [n, nu+2]
        (m3, k, i_1..i_nu), as in the specification.
    values : ndarray [n]
    n_rotations, seed : int
        Number and seed of the rotations.
    features : sequence of int, optional
        Degrees of the blocks of the features, in the file's order. Left out, there is one block of
        each degree.
    """
    indices = np.asarray(indices, dtype=np.int64)
    order = indices.shape[1] - 2
    if features is None:
        features = range(math.isqrt(int(indices[:, 2:].max())) + 1)
    components = np.concatenate([np.arange(n * n, (n + 1) ** 2) for n in features])
    d = len(components)
    # Two blocks of the same degree do not mix.
    block, degrees = np.repeat(
        [np.arange(len(features)), features], [2 * n + 1 for n in features], 1
    )
    mixed = (block[:, None] != block) & (degrees[:, None] == degrees)
    tensor = np.zeros((int(indices[:, 1].max()) + 1, 2 * degree + 1, *[d] * order))
    # The sum over entries is symmetric in the components, whatever order is stored.
    orders = list(itertools.permutations(range(2, 2 + order)))
    for permuted in orders:
        where = tuple(indices[:, column] for column in (1, 0, *permuted))
        np.add.at(tensor, where, values.astype(np.float64) / len(orders))
    norm = np.linalg.norm(tensor)
    if norm == 0.0:  # a block that nothing leads to
        return 0.0
    worst = 0.0
    for rotation in random_rotations(n_rotations, seed):
        turned: FloatArray = tensor
        rotate = wigner_d(max(*features, degree), rotation)
        out = rotate[degree**2 : (degree + 1) ** 2, degree**2 : (degree + 1) ** 2]
        one = np.where(mixed, 0.0, rotate[np.ix_(components, components)])
        for axis, matrix in enumerate([out, *[one] * order], start=1):
            turned = np.moveaxis(np.tensordot(matrix, turned, (1, axis)), 0, axis)
        worst = max(worst, float(np.linalg.norm(turned - tensor) / norm))
    return worst


def graph_defect(graph: Sequence[Mapping[str, Any]], tensors: Mapping[str, Array]) -> float:
    """Equivariance defect of a graph: the largest over all of its coupling tensors."""
    defects = [0.0]
    made = {stage["output"]: stage for stage in graph}
    for stage in graph:
        if stage["op"] == "edge_matrix":
            coupling = tensors[stage["weights"]["coupling"]]
            defects.append(equivariance_defect(coupling.astype(np.float64)))
        for term in stage["terms"] if stage["op"] == "symmetric_contraction" else ():
            indices, values = tensors[term["indices"]], tensors[term["values"]]
            features = _degrees(stage["inputs"]["features"], made)
            degree = degree_of(term["irrep"])
            defects.append(contraction_defect(degree, indices, values, features=features))
    return max(defects)


def _degrees(name: str, made: Mapping[str, Mapping[str, Any]]) -> list[int] | None:
    """Degrees of the blocks of a stage's output; None where there is one of each degree."""
    stage = made[name]
    if "irreps" in stage:
        degrees = [degree_of(block) for block in parse_irreps(stage["irreps"])]
        return None if degrees == list(range(len(degrees))) else degrees
    if stage["op"] in ("add", "divide", "rms_norm", "norm_activation", "soft_normalization"):
        inputs = stage["inputs"]
        return _degrees(inputs["a"] if "a" in inputs else inputs["features"], made)
    return None


class ModelBuilder:
    """Builds a model file from stages and their weights.

    Parameters
    ----------
    family : str
        The usual name of this family of networks.
    species : sequence of int
        Atomic numbers, increasing: the order of rows in species tables.
    cutoff : float
        Angstrom.
    l_max : int
        Highest degree of any spherical harmonic.
    """

    def __init__(self, *, family: str, species: Sequence[int], cutoff: float, l_max: int) -> None:
        self._header: Document = {
            "format_version": FORMAT_VERSION,
            "family": family,
            "species": [int(z) for z in species],
            "cutoff": float(cutoff),
            "units": {"length": "Angstrom", "energy": "eV"},
            "spherical_harmonics": {
                "l_max": l_max,
                "normalization": "component",
                "axes": "e3nn",
                "edge_vector": "source_minus_center",
            },
        }
        self._stages: list[dict[str, Any]] = []
        self._tensors: dict[str, Array] = {}

    def tensor(self, name: str, values: Array) -> str:
        """Store a tensor that several stages use, and return its name."""
        if name in self._tensors:
            raise EqnnError(f'tensor "{name}" exists already. Give each tensor a name of its own.')
        self._tensors[name] = np.array(values, order="C")
        return name

    def stage(
        self,
        op: str,
        output: str,
        inputs: Mapping[str, Any] | None = None,
        weights: Mapping[str, Array] | None = None,
        **attributes: Any,
    ) -> str:
        """Append a stage and return the name of its output.

        Parameters
        ----------
        op, output : str
            Kind of the stage; name of its output.
        inputs : mapping
            Maps roles to names of outputs of earlier stages.
        weights : mapping
            Maps roles to arrays, which are stored as ``output/role``.
        attributes
            As in the specification. Arrays anywhere in them (the weight of a layer, for example)
            are stored as tensors and replaced by their names. ``irreps`` may be a mapping, such as
            ``{"0e": 128}``.
        """
        entry: dict[str, Any] = {"op": op, "output": output, "inputs": dict(inputs or {})}
        entry["weights"] = self._stored(dict(weights or {}), output)
        if isinstance(attributes.get("irreps"), Mapping):
            attributes["irreps"] = format_irreps(attributes["irreps"])
        for key, value in attributes.items():
            entry[key] = self._stored(value, f"{output}/{key}")
        self._stages.append(entry)
        return output

    def finish(
        self,
        *,
        energy: Mapping[str, Any],
        forces: str,
        parity: str,
        provenance: Mapping[str, Any],
        name: str = "new model",
    ) -> Model:
        """Measure the equivariance defect, validate, and return the model, without self-tests.

        Parameters
        ----------
        energy, forces, parity, provenance
            Keys of the document, as in the specification.
        name : str
            The name of the model in messages.
        """
        document: Document = {
            **self._header,
            "parity": parity,
            "equivariance": {"exact": False, "defect": 0.0},
            "energy": dict(energy),
            "forces": forces,
            "graph": self._stages,
            "self_test": [],
            "provenance": dict(provenance),
        }
        model = Model(document, self._tensors, name)
        validate(model)  # first, so that errors name their place
        defect = graph_defect(self._stages, self._tensors)
        document["equivariance"] = {"exact": defect <= EXACT_DEFECT, "defect": defect}
        return model

    def _stored(self, value: Any, path: str) -> Any:
        if isinstance(value, np.ndarray):
            return self.tensor(path, value)
        if isinstance(value, Mapping):
            return {key: self._stored(item, f"{path}/{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._stored(item, f"{path}/{k}") for k, item in enumerate(value)]
        return value
