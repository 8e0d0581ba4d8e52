# SPDX-License-Identifier: BSD-3-Clause
"""Write a model with a multiple of the channels and random weights, for timing and counting.

    .eqnn/venv/bin/python bench/widen_model.py tests/golden/mace/mace_l3c3.eqnn 8 WIDE.eqnn [89]

Dimensions of weights that are multiples of 16 are taken as channels, as in a MACE with 16 channels.
Layers within a radial function or a readout keep their widths. The last word is a number of
elements, hydrogen to that one; with it the file gets self-tests, as foundation models have them.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from eqnn.model_file import Array, Document, Model, read_model, write_model
from eqnn.self_test import add_self_test

CHANNELS = 16


def widened_irreps(irreps: str, factor: int) -> str:
    """Multiply "16x0e" by a factor."""

    def widened(found: re.Match[str]) -> str:
        n = int(found[1])
        return f"{n * factor if n % CHANNELS == 0 else n}x"

    return re.sub(r"(\d+)x", widened, irreps)


def widened_axes(document: Document) -> dict[str, tuple[int, ...]]:
    """Name the weights of layers, and of which of their axes extents are channels."""
    axes: dict[str, tuple[int, ...]] = {}
    for stage in document["graph"]:
        layers = stage.get("layers", [])
        for k, layer in enumerate(layers):
            is_end = k == (len(layers) - 1 if stage["op"] == "radial" else 0)
            axes[layer["weight"]] = (0 if stage["op"] == "radial" else 1,) if is_end else ()
    return axes


def species_tables(document: Document) -> set[str]:
    """Name the weights of MACE whose first axis counts species."""
    names: set[str] = set()
    for stage in document["graph"]:
        if stage["op"] in ("species_embedding", "species_linear"):
            names |= set(stage["weights"].values())
        names |= {term["weights"] for term in stage.get("terms", [])}
    return names


def set_species(document: Document, n: int) -> None:
    """Let a model have the first n elements."""
    document["species"] = list(range(1, n + 1))
    document["energy"]["reference"] = [-float(z) for z in document["species"]]
    if isinstance(document["energy"]["scale"], list):
        document["energy"]["scale"] = [document["energy"]["scale"][0]] * n


def main() -> None:
    """Write the third argument."""
    model, factor = read_model(Path(sys.argv[1])), int(sys.argv[2])
    random = np.random.default_rng(1)
    document = json.loads(json.dumps(model.document))
    document["self_test"] = []
    n_species = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    of_species = species_tables(document) if n_species else set()
    if n_species:
        set_species(document, n_species)
    for stage in document["graph"]:
        if "irreps" in stage:
            stage["irreps"] = widened_irreps(stage["irreps"], factor)
    axes = widened_axes(document)
    tensors: dict[str, Array] = {}
    for name, tensor in model.tensors.items():
        shape = tuple(
            n * factor if n % CHANNELS == 0 and axis in axes.get(name, range(tensor.ndim)) else n
            for axis, n in enumerate(tensor.shape)
        )
        if name in of_species:
            shape = (n_species, *shape[1:])
        if name.startswith("self_test"):
            continue
        if name.endswith(("/indices", "/values")):  # of couplings
            tensors[name] = tensor
            continue
        wide = random.normal(size=shape) / np.sqrt(shape[-1] if shape else 1)
        # random: half of a file is enough
        tensors[name] = tensor if shape == tensor.shape else wide.astype(np.float32)
    if n_species:
        document = add_self_test(Model(document, tensors, sys.argv[3])).document
    write_model(Path(sys.argv[3]), document, tensors)


if __name__ == "__main__":
    main()
