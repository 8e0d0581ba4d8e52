# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of a training: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from eqnn.errors import EqnnError, one_line

FORMAT = "eqnn training 1"


@dataclass
class Progress:
    """The progress of a training.

    Attributes
    ----------
    epoch : int
        The one that is under way, from 0.
    step : int
        Steps of it that are done.
    sums : list of float
        Losses of these steps, added up, and their number.
    rows : list of dict
        A row of metrics for each epoch that is done.
    best_loss : float
        Of validation, in the stage of training of ``best_stage``.
    best_epoch, best_stage : int
        -1: none yet.
    seconds : float
        Of work on it in all runs.
    """

    epoch: int
    step: int
    sums: list[float]
    rows: list[dict[str, Any]]
    best_loss: float
    best_epoch: int
    best_stage: int
    seconds: float


def write_checkpoint(path: Path, key: str, progress: Progress, state: Any) -> None:
    """Write the state from which a training continues. A kill at any time leaves a complete file.

    Parameters
    ----------
    path : Path
    key : str
        Of the configuration and all files that it names.
    progress : Progress
    state : pytree of arrays
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    tensors = {jax.tree_util.keystr(where): np.array(leaf, order="C") for where, leaf in leaves}
    said = {"format": FORMAT, "key": key, "progress": json.dumps(vars(progress))}
    put_whole(path, save(tensors, metadata=said))


def read_checkpoint(path: Path, key: str, like: Any) -> tuple[Progress, Any]:
    """Read a checkpoint of the same training.

    Parameters
    ----------
    path : Path
    key : str
        As of `write_checkpoint`.
    like : pytree of arrays
        A state of the same form.
    """
    leaves, form = jax.tree_util.tree_flatten_with_path(like)
    try:
        with safe_open(path, framework="np") as file:
            said = file.metadata() or {}
            if said.get("format") != FORMAT:
                raise ValueError(f"format {said.get('format')!r}, expected {FORMAT!r}")
            if said.get("key") != key:
                raise EqnnError(
                    f"{path}: belongs to another configuration, model or data. Give another "
                    "output, or undo\nthe change; to start again here, remove the file."
                )
            names = [jax.tree_util.keystr(where) for where, _ in leaves]
            if set(file.keys()) != set(names):
                raise ValueError("other tensors than this version of eqnn has")
            found = [file.get_tensor(name) for name in names]
            for name, tensor, (_, leaf) in zip(names, found, leaves, strict=True):
                # A different shape would be broadcast, and change rounding.
                if tensor.shape != leaf.shape or tensor.dtype != leaf.dtype:
                    raise ValueError(f"{name} is {tensor.dtype}{list(tensor.shape)}")
            progress = Progress(**json.loads(said["progress"]))
    except EqnnError:
        raise
    except Exception as error:  # a foreign or broken file raises whatever it meets
        raise EqnnError(
            f"{path}: is not a checkpoint from which training can continue ({one_line(error)}).\n"
            "Remove it: the training then starts from the beginning."
        ) from None
    return progress, jax.tree_util.tree_unflatten(form, found)


def put_whole(path: Path, content: bytes) -> None:
    """Write a temporary file to disk, then move it into place."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be written ({error.strerror}). Free some space and run it again: it "
            "continues from the last checkpoint."
        ) from None
