# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints that torch wrote. Run by `make test-upstream`; the other tests need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eqnn.errors import EqnnError
from eqnn.export.checkpoint import read_checkpoint

WEIGHTS = (
    Path(__file__).resolve().parent.parent
    / "golden"
    / "tdn"
    / "model_l1_h16_b1.weights.safetensors"
)


def saved(folder: Path, content: Any) -> Path:
    path = folder / "checkpoint.pt"
    torch.save(content, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(EqnnError) as error:
        read_checkpoint(path)
    return str(error.value)


@pytest.mark.parametrize("key", [None, "model_state_dict", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_torch_files_hold_what_safetensors_files_hold(
    tmp_path: Path, key: str | None, prefix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in load_file(WEIGHTS).items()}
    path = saved(tmp_path, state if key is None else {key: state, "epoch": 3})
    found, expected = read_checkpoint(path), read_checkpoint(WEIGHTS)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_compiled_blocks_lose_their_infix(tmp_path: Path) -> None:
    state = {
        name.replace("blocks.0.", "blocks.0._orig_mod."): tensor
        for name, tensor in load_file(WEIGHTS).items()
    }
    assert read_checkpoint(saved(tmp_path, state)).keys() == load_file(WEIGHTS).keys()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_becomes_single_exactly(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.linspace(-3.0, 3.0, 7).to(dtype)
    found = read_checkpoint(saved(tmp_path, {"x": values}))["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.float().numpy())


def test_whole_modules_are_refused(tmp_path: Path) -> None:
    text = refusal(saved(tmp_path, torch.nn.Linear(2, 2)))
    assert "holds a torch.nn.modules.linear.Linear, expected a state_dict" in text


def test_lists_are_refused(tmp_path: Path) -> None:
    assert "holds a list, expected a state_dict" in refusal(saved(tmp_path, [torch.zeros(1)]))


def test_values_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    assert '"epoch" is a int, expected a tensor' in refusal(saved(tmp_path, {"epoch": 3}))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(b"not a checkpoint")
    assert "is a text file, expected a checkpoint" in refusal(path)
