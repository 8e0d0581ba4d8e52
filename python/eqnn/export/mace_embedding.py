# SPDX-License-Identifier: BSD-3-Clause
"""MACE's joint embedding of charge and spin, which are fixed where a network is exported.

A model file has no such inputs: with a charge and a spin of the whole system, the embedding is a
vector that is added to the features of each element.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from eqnn.errors import ChoiceNeededError, EqnnError
from eqnn.export.known import Known, Table
from eqnn.export.torch_file import Stub
from eqnn.so3 import FloatArray

if TYPE_CHECKING:
    from eqnn.export.checkpoint import State

# Quantities that can be fixed, and the options that fix them.
OPTIONS = {"total_charge": "--charge", "total_spin": "--spin"}
# Of a neutral system without unpaired electrons.
USUAL = {"total_charge": "0", "total_spin": "1"}


def _specs_known(module: Stub, name: str) -> str | None:
    specs = module.__dict__.get(name)
    if not isinstance(specs, Mapping):
        return "no dictionary"
    for key, spec in specs.items():
        if key not in OPTIONS:
            return f"an embedding of {key} has no stage, those of {' and '.join(OPTIONS)} have"
        if spec.get("per") != "graph":
            return f"{key} per {spec.get('per')} has no stage, one of the whole system has"
        if spec.get("type") not in ("categorical", "continuous"):
            return f"{key} of type {spec.get('type')}, expected categorical or continuous"
    return None


# All that modules of these classes may have; known.py says what for.
TABLE: Table = {
    "mace.GenericJointEmbedding": Known(
        used=("embedders", "project"),
        checks={"specs": _specs_known},
        inert=("base_dim", "out_dim"),
    ),
    "torch.Embedding": Known(
        used=("weight",),
        fixed={"padding_idx": (None,), "max_norm": (None,)},
        inert=("num_embeddings", "embedding_dim", "norm_type", "scale_grad_by_freq", "sparse"),
    ),
    "torch.Linear": Known(used=("weight", "bias"), inert=("in_features", "out_features")),
    "torch.SiLU": Known(inert=("inplace",)),
}


def specs_of(module: Stub) -> dict[str, dict[str, Any]]:
    """Quantities that a pickled model embeds, in upstream's order."""
    return {key: dict(spec) for key, spec in (module.__dict__.get("specs") or {}).items()}


def _silu(x: FloatArray) -> FloatArray:
    return np.asarray(x / (1.0 + np.exp(-x)))


def _linear(state: State, name: str, x: FloatArray) -> FloatArray:
    weight = state.take(f"{name}.weight", None, x.size).astype(float)
    out = weight @ x
    if f"{name}.bias" in state:
        out = out + state.take(f"{name}.bias", out.size).astype(float)
    return np.asarray(out)


def _categorical(
    state: State, name: str, key: str, value: float, spec: Mapping[str, Any]
) -> FloatArray:
    table = state.take(f"{name}.weight", None, None).astype(float)
    offset = spec.get("offset", 0)
    row = value + offset
    if row != int(row) or not 0 <= row < len(table):
        raise EqnnError(
            f"{OPTIONS[key]} {value:g}: {state.name} has {len(table)} kinds of {key}, from "
            f"{-offset} to {len(table) - 1 - offset}. Give one of them."
        )
    return np.asarray(table[int(row)])


def joint_embedding(
    state: State, specs: Mapping[str, Mapping[str, Any]], given: Mapping[str, float | None]
) -> FloatArray:
    """Return what is added to the features of each element [C].

    Parameters
    ----------
    state : State
    specs : mapping
        By quantity, as upstream has them.
    given : mapping of str to float
        The value at which each is fixed.
    """
    for key in specs:
        if given.get(key) is None:
            option, usual = OPTIONS[key], USUAL[key]
            raise ChoiceNeededError(
                f"{state.name}: its energy depends on {key}, which a model file has fixed. Say it, "
                f"as in {option} {usual}.",
                option,
                [usual],
            )
    parts = []
    for key, spec in specs.items():
        name, value = f"joint_embedding.embedders.{key}", given[key]
        assert value is not None
        if spec["type"] == "categorical":
            parts.append(_categorical(state, name, key, value, spec))
        else:
            hidden = _silu(_linear(state, f"{name}.0", np.array([float(value)])))
            parts.append(_linear(state, f"{name}.2", hidden))
    return _silu(_linear(state, "joint_embedding.project.0", np.concatenate(parts)))
