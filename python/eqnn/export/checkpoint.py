# SPDX-License-Identifier: BSD-3-Clause
"""Reading of checkpoints: a flat dictionary of arrays, whatever they were saved with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eqnn.errors import EqnnError, one_line
from eqnn.export.torch_file import Stub, WidenedArray, read_torch_file
from eqnn.model_file import Array

# Where training scripts put the weights among the optimizer's state.
_NESTED = ("model_state_dict", "state_dict", "model")


class State:
    """A state_dict of which every tensor must be used, so that nothing of a network is lost.

    Parameters
    ----------
    tensors : mapping of str to ndarray
    name : str
        What messages call the checkpoint.
    ignored : sequence of str
        Regular expressions of names that carry nothing: masks, tables that are computed again.
    """

    def __init__(self, tensors: Mapping[str, Array], name: str, ignored: Sequence[str]) -> None:
        self.name = name
        self.everything = tensors
        pattern = re.compile("|".join(ignored))
        self.tensors = {
            key: tensor
            for key, tensor in tensors.items()
            if tensor.size and not pattern.search(key)
        }
        self.used: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def take(self, key: str, *shape: int | None) -> Array:
        """Return a tensor of floating-point numbers; None is any extent, no extents any shape."""
        if key not in self.tensors:
            raise EqnnError(
                f'{self.name}: tensor "{key}" is missing. '
                "Check that this is a checkpoint of the network that the configuration names."
            )
        self.used.add(key)
        tensor = self.tensors[key]
        kind = "bfloat16" if isinstance(tensor, WidenedArray) else str(tensor.dtype)
        if kind not in ("float32", "float64"):
            raise EqnnError(
                f'{self.name}: "{key}" has type {kind}, expected float32 or float64. '
                "Save the checkpoint in one of these."
            )
        if not np.isfinite(tensor).all():
            raise EqnnError(
                f'{self.name}: "{key}" holds NaN or infinity: the training diverged. '
                "Use an earlier checkpoint."
            )
        fits = tensor.ndim == len(shape) and all(
            n in (None, found) for found, n in zip(tensor.shape, shape, strict=True)
        )
        if shape and not fits:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise EqnnError(
                f'{self.name}: "{key}" has shape {list(tensor.shape)}, expected [{wanted}]. '
                "Give the configuration that the network was trained with."
            )
        return tensor

    def number(self, key: str) -> float:
        """Return the one number of a tensor."""
        tensor = self.take(key)
        if tensor.size != 1:
            raise EqnnError(
                f'{self.name}: "{key}" has shape {list(tensor.shape)}, expected one number. '
                "Give the configuration that the network was trained with."
            )
        return float(tensor.reshape(-1)[0])

    def layers(self, prefix: str) -> list[Array]:
        """Return the weights of e3nn's FullyConnectedNet, layer0, layer1, ..."""
        out: list[Array] = []
        while f"{prefix}.layer{len(out)}.weight" in self:
            out.append(self.take(f"{prefix}.layer{len(out)}.weight"))
        if not out:
            self.take(f"{prefix}.layer0.weight")
        return out

    def finish(self) -> None:
        """Refuse tensors that nothing used: the network has a part that would be lost."""
        unused = [key for key in self.tensors if key not in self.used]
        if unused:
            some = ", ".join(f'"{key}"' for key in unused[:4]) + (", ..." if unused[4:] else "")
            raise EqnnError(
                f"{self.name}: {len(unused)} tensor(s) belong to no part that this exporter knows: "
                f"{some}.\nThis is a network of another kind or version; it cannot be exported."
            )


def read_checkpoint(path: Path) -> dict[str, Array]:
    """Read a state_dict from ``.safetensors``, or from what ``torch.save`` wrote, without torch.

    Names lose what torch's wrappers add: a leading ``module.`` (DistributedDataParallel) and
    ``_orig_mod.`` anywhere (torch.compile).
    """
    if not path.is_file():
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path with --checkpoint.")
    if path.suffix == ".safetensors":
        try:
            state: dict[str, Any] = load_file(path)
        except (SafetensorError, KeyError, TypeError) as error:
            if "bfloat16" in str(error) or "BF16" in str(error):  # NumPy does not have it
                raise EqnnError(
                    f"{path}: holds weights of type bfloat16, expected float32 or float64. "
                    "Save the checkpoint in one of these."
                ) from None
            raise EqnnError(
                f"{path}: not a readable safetensors file ({one_line(error)}).\n"
                "Save the checkpoint again."
            ) from None
    else:
        state = _read_torch(path)
    return plain_names(state, str(path))


def plain_names(state: Mapping[str, Array], name: str) -> dict[str, Array]:
    """Take off what torch's wrappers add to the names of a state_dict.

    Parameters
    ----------
    state : mapping of str to ndarray
    name : str
        What messages call the checkpoint.
    """
    out: dict[str, Array] = {}
    for key, values in state.items():
        plain = key.replace("_orig_mod.", "").removeprefix("module.")
        if plain in out:
            raise EqnnError(
                f'{name}: "{plain}" occurs twice, with and without torch\'s prefixes. '
                "Save one state_dict."
            )
        out[plain] = values
    return out


def read_npz(path: Path) -> dict[str, Array]:
    """Read a state_dict from NumPy's ``.npz``; pickled objects in it are refused."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except Exception as error:  # a damaged archive raises whatever it likes
        raise EqnnError(
            f"{path}: not readable as .npz ({one_line(error)}).\n"
            "Save the state_dict with numpy.savez again."
        ) from None


def _read_torch(path: Path) -> dict[str, Any]:
    state = read_torch_file(path)
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping):
        kind = state.class_name if isinstance(state, Stub) else type(state).__name__
        raise EqnnError(f"{path}: holds a {kind}, expected a state_dict. Save model.state_dict().")
    for name, values in state.items():
        if not isinstance(values, np.ndarray):
            raise EqnnError(
                f'{path}: "{name}" is a {type(values).__name__}, expected a tensor. '
                f"Save model.state_dict() alone or under one of the keys {', '.join(_NESTED)}."
            )
    return {
        # As plain arrays: here half precision, bfloat16 too, is widened.
        name: np.asarray(values, dtype=np.float64 if values.dtype == np.float64 else np.float32)
        for name, values in state.items()
    }
