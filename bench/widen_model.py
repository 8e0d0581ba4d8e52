# SPDX-License-Identifier: BSD-3-Clause
"""Write a model with so many times the channels, for timing and counting: weights are random.

    .eqnn/venv/bin/python bench/widen_model.py tests/golden/mace/mace_l3c3.eqnn 8 WIDE.eqnn

Extents of weights that are multiples of 16 are taken for channels: those of MACE with 16 channels.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from eqnn.model_file import Array, read_model, write_model

CHANNELS = 16


def widened_irreps(irreps: str, factor: int) -> str:
    """Multiply "16x0e" by a factor."""

    def widened(found: re.Match[str]) -> str:
        n = int(found[1])
        return f"{n * factor if n % CHANNELS == 0 else n}x"

    return re.sub(r"(\d+)x", widened, irreps)


def main() -> None:
    """Write the third argument."""
    model, factor = read_model(Path(sys.argv[1])), int(sys.argv[2])
    random = np.random.default_rng(1)
    document = json.loads(json.dumps(model.document))
    document["self_test"] = []
    for stage in document["graph"]:
        if "irreps" in stage:
            stage["irreps"] = widened_irreps(stage["irreps"], factor)
    tensors: dict[str, Array] = {}
    for name, tensor in model.tensors.items():
        shape = tuple(n * factor if n % CHANNELS == 0 else n for n in tensor.shape)
        if name.startswith("self_test"):
            continue
        if name.endswith(("/indices", "/values")):  # of couplings
            tensors[name] = tensor
            continue
        wide = random.normal(size=shape) / np.sqrt(shape[-1] if shape else 1)
        # random: half of a file is enough
        tensors[name] = tensor if shape == tensor.shape else wide.astype(np.float32)
    write_model(Path(sys.argv[3]), document, tensors)


if __name__ == "__main__":
    main()
