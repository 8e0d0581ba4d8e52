# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of training share: a skip where there is no JAX, batches of structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from eqnn.model_file import Model
from eqnn.train.packing import Example, Shape, example_of, pack, shape_for

jax = pytest.importorskip("jax", reason="needs JAX: `make test-train` runs it")
# The linters bring it where JAX is not: not to be imported by a file before it is asked for here.
yaml = pytest.importorskip("yaml", reason="needs PyYAML: `make test-train` runs it")
jax.config.update("jax_enable_x64", True)


def self_test_atoms(model: Model) -> list[Atoms]:
    """Structures of a model's self-tests."""
    return [
        Atoms(t["numbers"], t["positions"], cell=t["cell"], pbc=t["cell"] is not None)
        for t in model.document["self_test"]
    ]


def random_cluster(species: Sequence[int], n: int = 7, seed: int = 3, size: float = 2.6) -> Atoms:
    """Return atoms at random places, none nearer than 0.8 Angstrom."""
    rng = np.random.default_rng(seed)
    places: list[Any] = []
    while len(places) < n:
        trial = rng.uniform(-size / 2, size / 2, 3)
        if all(np.linalg.norm(trial - other) > 0.8 for other in places):
            places.append(trial)
    return Atoms([species[k % len(species)] for k in range(n)], places)


def examples_of(model: Model, structures: Sequence[Atoms]) -> list[Example]:
    """Structures with their edges."""
    return [example_of(atoms, model.document) for atoms in structures]


EXTRA = Shape(3, 7, 1)


def batch_of(
    model: Model, structures: Sequence[Atoms], extra: Shape = EXTRA, dtype: str = "float64"
) -> Any:
    """One batch of structures with room for more."""
    from eqnn.train.network import Batch

    examples = examples_of(model, structures)
    shape = Shape(*(a + b for a, b in zip(shape_for(examples), extra, strict=True)))
    packed = pack(examples, shape, dtype, model.document["cutoff"])
    return Batch(*packed[: len(Batch._fields)])
