# SPDX-License-Identifier: BSD-3-Clause
"""A model file's graph as a function in JAX: weights and edges in, energies and forces out."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eqnn.errors import EqnnError
from eqnn.model_file import Array, Model
from eqnn.train.stage_parts import Context, Tensor, Weights
from eqnn.train.stages import OP_OF


class Batch(NamedTuple):
    """Structures packed one after another, padded to a shape that batches share.

    Edges are those of `eqnn.stage_parts.Edges`, sorted by center. Padding comes last: its edges go
    from the last atom to itself, which is padding too, and so is the last structure.

    Attributes
    ----------
    species : array of int [atom]
        Rows of species tables.
    center, source : array of int [edge]
    vector : array [edge, 3]
        Angstrom.
    edge_mask, atom_mask, structure_mask : array of bool [edge], [atom], [structure]
        False for padding.
    structure : array of int [atom]
        Which structure an atom is of, increasing.
    """

    species: Tensor
    center: Tensor
    source: Tensor
    vector: Tensor
    edge_mask: Tensor
    atom_mask: Tensor
    structure: Tensor
    structure_mask: Tensor


class Found(NamedTuple):
    """What a network says of the structures of a batch; padding has zeros.

    Attributes
    ----------
    energy : array [structure]
        eV, without reference energies, which are far larger than what is learned.
    forces : array [atom, 3]
        eV/Angstrom.
    virial : array [structure, 3, 3]
        eV, -sum over edges of r (dE/dr); zeros for direct forces.
    """

    energy: Tensor
    forces: Tensor
    virial: Tensor


def trained_names(document: dict[str, Any]) -> list[str]:
    """Sorted names of the tensors to train, as declared by the stages."""
    names = set()
    for stage in document["graph"]:
        if stage["op"] not in OP_OF:
            raise EqnnError(
                f'the stage "{stage["output"]}" is a {stage["op"]}, which cannot be trained. '
                "Write its function in\npython/eqnn/train/stages: docs/adding_an_architecture.md."
            )
        names |= set(OP_OF[stage["op"]].trained(stage))
    return sorted(names)


class Network:
    """The graph of a model, ready to be evaluated with any weights.

    Parameters
    ----------
    model : Model
    dtype : str
        ``float32`` or ``float64``.

    Attributes
    ----------
    weights : dict of ndarray
        The model's own, in the working precision.
    """

    def __init__(self, model: Model, dtype: str = "float64") -> None:
        if dtype == "float64" and not jax.config.jax_enable_x64:
            jax.config.update("jax_enable_x64", True)
        self.document = model.document
        self.dtype = np.dtype(dtype)
        names = trained_names(model.document)
        self.weights: dict[str, Array] = {
            name: model.tensors[name].astype(self.dtype) for name in names
        }
        self._constants = {k: v for k, v in model.tensors.items() if k not in self.weights}
        said = model.document["energy"]
        n_species = len(model.document["species"])
        scale = np.asarray(said["scale"], dtype=np.float64)
        self._scale = np.broadcast_to(scale, n_species).astype(self.dtype)
        self._shift = float(said["shift"])

    def values(self, weights: Weights, batch: Batch, vector: Tensor) -> dict[str, Any]:
        """Values of all stages by name.

        Parameters
        ----------
        weights : dict
            As `self.weights`.
        batch : Batch
        vector : array [edge, 3]
            In the place of the batch's.
        """
        # An edge of zero length has no direction, so it counts as padding.
        r2 = (vector * vector).sum(1)
        mask = batch.edge_mask & (r2 > 0)
        anywhere = jnp.array([self.document["cutoff"], 0, 0], dtype=self.dtype)
        context = Context(
            self.document,
            {**self._constants, **weights},
            self.dtype,
            batch.species,
            batch.center,
            batch.source,
            jnp.where(mask[:, None], vector, anywhere),
            mask,
        )
        values: dict[str, Any] = {}
        for stage in self.document["graph"]:
            inputs = {
                role: [values[n] for n in name] if isinstance(name, list) else values[name]
                for role, name in stage["inputs"].items()
            }
            own = {role: context.tensor(name) for role, name in stage["weights"].items()}
            values[stage["output"]] = OP_OF[stage["op"]].forward(context, stage, own, **inputs)
        return values

    def _energies(self, weights: Weights, batch: Batch, vector: Tensor) -> tuple[Tensor, Any]:
        values = self.values(weights, batch, vector)
        e_i = values[self.document["graph"][-1]["output"]]
        said = self.document["energy"]
        if said["isolated_atoms"] == "zero":
            n = jax.ops.segment_sum(batch.edge_mask.astype(jnp.int32), batch.center, len(e_i))
            e_i = jnp.where(n > 0, e_i, 0)
        n_structures = len(batch.structure_mask)
        n_atoms = jax.ops.segment_sum(
            batch.atom_mask.astype(self.dtype), batch.structure, n_structures
        )
        site = jnp.take(jnp.asarray(self._scale), batch.species) * e_i
        if said["semantics"] == "mean-per-atom":
            site = site * jnp.take(n_atoms, batch.structure)
        site = jnp.where(batch.atom_mask, site + self._shift, 0)
        energy = jax.ops.segment_sum(site, batch.structure, n_structures)
        direct = [s["output"] for s in self.document["graph"] if s["op"] == "direct_forces"]
        return energy, values[direct[0]] if direct else None

    def energies(self, weights: Weights, batch: Batch) -> Tensor:
        """Energies [structure], eV, without reference energies."""
        return self._energies(weights, batch, batch.vector)[0]

    def evaluate(self, weights: Weights, batch: Batch) -> Found:
        """Energies, forces and virials, differentiable by the weights.

        Parameters
        ----------
        weights : dict
            As `self.weights`.
        batch : Batch
        """
        n_atoms, n_structures = len(batch.species), len(batch.structure_mask)

        def total(vector: Tensor) -> tuple[Tensor, tuple[Tensor, Any]]:
            energy, direct = self._energies(weights, batch, vector)
            return energy.sum(), (energy, direct)

        if self.document["forces"] == "direct":
            _, (energy, direct) = total(batch.vector)
            forces = jnp.where(batch.atom_mask[:, None], direct, 0)
            return Found(energy, forces, jnp.zeros((n_structures, 3, 3), self.dtype))
        slope, (energy, _) = jax.grad(total, has_aux=True)(batch.vector)
        pull = jax.ops.segment_sum(slope, batch.center, n_atoms, indices_are_sorted=True)
        forces = pull - jax.ops.segment_sum(slope, batch.source, n_atoms)
        outer = -batch.vector[:, :, None] * slope[:, None, :]
        of_atom = jax.ops.segment_sum(outer, batch.center, n_atoms, indices_are_sorted=True)
        virial = jax.ops.segment_sum(of_atom, batch.structure, n_structures)
        return Found(energy, forces, virial)
