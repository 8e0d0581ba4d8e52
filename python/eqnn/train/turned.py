# SPDX-License-Identifier: BSD-3-Clause
"""By how much a network's energies and forces change when structures are turned.

Products of fewer terms than an exact coupling has, as the published TDN's, depend on orientation. A
penalty on that, `loss.equivariance`, makes the weights depend on it less.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from eqnn.train.network import Batch, Found, Network
from eqnn.train.stage_parts import PRECISION, Tensor, Weights


def random_rotations(key: Any, n: int, dtype: Any) -> Tensor:
    """Uniformly distributed rotation matrices [n, 3, 3], from random unit quaternions."""
    q = jax.random.normal(key, (n, 4), dtype)
    w, x, y, z = (q / jnp.sqrt((q * q).sum(1, keepdims=True))).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=1)


def evaluate_turned(network: Network, weights: Weights, batch: Batch, rotations: Tensor) -> Found:
    """Evaluate each structure turned by its rotation [structure, 3, 3], and turn the forces back.

    Of an equivariant network the energies and forces are those of `network.evaluate`. Virials are
    those of the turned structures.
    """
    of_edge = jnp.take(rotations, jnp.take(batch.structure, batch.center), axis=0)
    vector = jnp.einsum("eij,ej->ei", of_edge, batch.vector, precision=PRECISION)
    found = network.evaluate(weights, batch._replace(vector=vector))
    of_atom = jnp.take(rotations, batch.structure, axis=0)
    forces = jnp.einsum("aji,aj->ai", of_atom, found.forces, precision=PRECISION)
    return found._replace(forces=forces)
