# SPDX-License-Identifier: BSD-3-Clause
"""Reading of checkpoints: a flat dictionary of arrays, whatever they were saved with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eqnn.errors import EqnnError
from eqnn.model_file import Array

# Where training scripts put the weights among the optimiser's state.
_NESTED = ("model_state_dict", "state_dict", "model")


def read_checkpoint(path: Path) -> dict[str, Array]:
    """Read a state_dict from ``.safetensors``, or from ``.pt``/``.pth`` where torch is installed.

    Names lose what torch's wrappers add: a leading ``module.`` (DistributedDataParallel) and
    ``_orig_mod.`` anywhere (torch.compile).
    """
    if not path.is_file():
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path with --checkpoint.")
    if path.suffix == ".safetensors":
        try:
            state: dict[str, Any] = load_file(path)
        except (SafetensorError, KeyError, TypeError) as error:
            raise EqnnError(
                f"{path}: not a readable safetensors file ({error}). Save the checkpoint again."
            ) from None
    else:
        state = _read_torch(path)
    out: dict[str, Array] = {}
    for name, values in state.items():
        plain = name.replace("_orig_mod.", "").removeprefix("module.")
        if plain in out:
            raise EqnnError(
                f'{path}: "{plain}" stands there twice, with and without torch\'s prefixes. '
                "Save one state_dict."
            )
        out[plain] = values
    return out


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        import torch
    except ModuleNotFoundError:
        raise EqnnError(
            f"{path}: reading this needs torch, which is not installed: `pip install torch`,\n"
            "or save the state_dict with safetensors.torch.save_file and give that file."
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EqnnError(
            f"{path}: torch cannot read it as plain weights ({first}). "
            "Save model.state_dict() alone."
        ) from None
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping):
        raise EqnnError(
            f"{path}: holds a {type(state).__name__}, expected a state_dict. "
            "Save model.state_dict()."
        )
    for name, values in state.items():
        if not isinstance(values, torch.Tensor):
            raise EqnnError(
                f'{path}: "{name}" is a {type(values).__name__}, expected a tensor. '
                f"Save model.state_dict() alone or under one of the keys {', '.join(_NESTED)}."
            )
    return {
        name: values.detach()
        .to(torch.float64 if values.dtype == torch.float64 else torch.float32)
        .numpy()
        .astype(np.float64 if values.dtype == torch.float64 else np.float32)
        for name, values in state.items()
    }
