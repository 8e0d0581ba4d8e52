# SPDX-License-Identifier: BSD-3-Clause
"""Builds a model's graph stage by stage: all that an exporter of a new network needs.

The stages and their formulas are in docs/spec/model_file.md. Example::

    build = ModelBuilder(family="mine", species=[1, 8], cutoff=5.0, l_max=1)
    build.stage("spherical_harmonics", "harmonics", l_max=1)
    build.stage("edge_matrix", "matrix", {"harmonics": "harmonics"}, {"coupling": coupling})
    ...
    build.stage("energy", "energy", {"terms": ["site_energy"]})
    model = build.finish(energy=..., forces="gradient", parity="so3", provenance=...)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eqnn.errors import EqnnError
from eqnn.model_file import FORMAT_VERSION, Array, Document, Model, validate
from eqnn.so3 import equivariance_defect

EXACT_DEFECT = 1e-12


class ModelBuilder:
    """Collects stages and their weights.

    Parameters
    ----------
    family : str
        What people call this kind of network.
    species : sequence of int
        Atomic numbers, increasing: the row order of species tables.
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
        self._couplings: list[str] = []
        self._tensors: dict[str, Array] = {}

    def tensor(self, name: str, values: Array) -> str:
        """Store a tensor that several stages use; give them the name that this returns."""
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
        """Append a stage and return its output's name.

        Parameters
        ----------
        op, output : str
            Kind of stage; name of what it makes.
        inputs : mapping
            Role to the name of an earlier stage's output.
        weights : mapping
            Role to array; stored as ``output/role``.
        attributes
            As in the specification. An array anywhere in them (a layer's weight) is stored as a
            tensor and replaced by its name.
        """
        entry: dict[str, Any] = {"op": op, "output": output, "inputs": dict(inputs or {})}
        entry["weights"] = self._stored(dict(weights or {}), output)
        for key, value in attributes.items():
            entry[key] = self._stored(value, f"{output}/{key}")
        self._stages.append(entry)
        if op == "edge_matrix":
            self._couplings.append(entry["weights"]["coupling"])
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
        """Measure the equivariance defect, validate, and return the model, still without self-test.

        Parameters
        ----------
        energy, forces, parity, provenance
            Keys of the document, as in the specification.
        name : str
            What messages call the model.
        """
        couplings = [self._tensors[key].astype(np.float64) for key in self._couplings]
        defect = max((equivariance_defect(coupling) for coupling in couplings), default=0.0)
        document: Document = {
            **self._header,
            "parity": parity,
            "equivariance": {"exact": defect <= EXACT_DEFECT, "defect": defect},
            "energy": dict(energy),
            "forces": forces,
            "graph": self._stages,
            "self_test": [],
            "provenance": dict(provenance),
        }
        model = Model(document, self._tensors, name)
        validate(model)
        return model

    def _stored(self, value: Any, path: str) -> Any:
        if isinstance(value, np.ndarray):
            return self.tensor(path, value)
        if isinstance(value, Mapping):
            return {key: self._stored(item, f"{path}/{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._stored(item, f"{path}/{k}") for k, item in enumerate(value)]
        return value
