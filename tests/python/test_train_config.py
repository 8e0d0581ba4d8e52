# SPDX-License-Identifier: BSD-3-Clause
"""The configuration of `eqnn train`: what is refused, and with which cure. Needs no JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eqnn_models import ROOT, refusal

from eqnn.train.config import Config, config_of, read_config, schema

SAID: dict[str, Any] = {"model": "a.eqnn", "output": "out", "data": {"train": ["a.xyz"]}}


def refused(**changed: Any) -> str:
    return refusal(lambda: config_of({**SAID, **changed}, "c.yaml"))


def test_what_is_left_out_has_its_default() -> None:
    config = config_of({**SAID, "data": {"train": "a.xyz"}, "loss": None}, "c.yaml")
    assert config.data.train == ("a.xyz",)
    assert config == Config(model="a.eqnn", output="out", data=config.data)
    assert (
        config_of({**SAID, "optimizer": {"learning_rate": "1e-2"}}, "c").optimizer.learning_rate
        == 0.01
    )


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"epoch": 3},
            "c.yaml: epoch is not a key of the configuration, which has model, output, species, "
            "data, energies, loss, second_stage, optimizer, provenance, precision, seed, epochs, "
            "batch_size, shapes, checkpoint_seconds.\nWrite epochs, or see docs/train.md.",
        ),
        (
            {"loss": {"zzz": 1}},
            "c.yaml: loss/zzz is not a key of loss, which has kind, delta, energy, forces, "
            "stress, equivariance.\nRemove it, or see docs/train.md.",
        ),
        ({"loss": 3}, "c.yaml: loss is 3, expected keys with values. See docs/train.md."),
        (
            {"epochs": 0},
            "c.yaml: epochs is 0, expected a whole number of at least 1 (how often each "
            "frame is used). Correct it.",
        ),
        (
            {"epochs": 2.5},
            "c.yaml: epochs is 2.5, expected a whole number of at least 1 (how often each "
            "frame is used). Correct it.",
        ),
        (
            {"epochs": True},
            "c.yaml: epochs is true, expected a whole number (how often each frame is used). "
            "Correct it.",
        ),
        (
            {"loss": {"kind": "mse"}},
            'c.yaml: loss/kind is "mse", expected squares or huber (loss of each '
            "deviation). Correct it.",
        ),
        (
            {"optimizer": {"ema": 1.5}},
            "c.yaml: optimizer/ema is 1.5, expected a number from 0 to 1 (decay of the moving "
            "average that becomes the result; 0: none). Correct it.",
        ),
        (
            {"optimizer": {"clip": float("nan")}},
            "c.yaml: optimizer/clip is NaN, expected a number of at least 0 (largest norm of the "
            "gradient; 0: no limit). Correct it.",
        ),
        (
            {"energies": {"scale": "rms"}},
            'c.yaml: energies/scale is "rms", expected keep, fit or a number (factor of '
            "the network's output: keep, fit (RMS of forces), or eV). Correct it.",
        ),
        (
            {"energies": {"reference": {"H": "x"}}},
            'c.yaml: energies/reference is {"H": "x"}, expected keep, fit, refit or a '
            "number for each element (energies of free atoms: keep, fit or refit (least squares), "
            "or eV for each element). Correct it.",
        ),
        (
            {"energies": {"reference": {"Xx": 1.0}}},
            "c.yaml: energies/reference has 'Xx', which is not a chemical symbol. Correct it.",
        ),
        (
            {"data": {"train": [3]}},
            "c.yaml: data/train is [3], expected a list of files (files of training frames). "
            "Correct it.",
        ),
        (
            {"data": {}},
            "c.yaml: data/train is missing: files of training frames. Add `train: [FILE]` under "
            "data.",
        ),
        (
            {"model": ""},
            "c.yaml: model is missing: the .eqnn file to start from, trained or new (`eqnn new`). "
            "Add `model: PATH`.",
        ),
        (
            {"data": {"train": ["a"], "validation": ["b"], "validation_fraction": 0.1}},
            "c.yaml: data has validation and validation_fraction, expected one of them. "
            "Remove one.",
        ),
        (
            {"loss": {"energy": 0, "forces": 0}},
            "c.yaml: all weights of a loss are 0, so nothing is fitted. Give one.",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(changed: dict[str, Any], text: str) -> None:
    assert refused(**changed) == text


def test_a_configuration_must_have_keys() -> None:
    text = refusal(lambda: config_of(["a"], "c.yaml"))
    assert text.startswith('c.yaml: the configuration is ["a"], expected keys with values.')


def test_paths_are_those_of_the_configurations_folder(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="needs PyYAML, which `eqnn train` alone does")
    path = tmp_path / "c.yaml"
    path.write_text("model: a.eqnn\noutput: out\ndata: {train: [x.xyz, /b/y.xyz]}\n")
    config = read_config(path)
    assert config.model == str(tmp_path / "a.eqnn") and config.output == str(tmp_path / "out")
    assert config.data.train == (str(tmp_path / "x.xyz"), "/b/y.xyz")
    path.write_text("model: [\n")
    assert "is not valid YAML" in refusal(lambda: read_config(path))
    text = refusal(lambda: read_config(tmp_path / "none.yaml"))
    assert "cannot be read (No such file or directory)" in text


@pytest.mark.parametrize("path", sorted((ROOT / "training").rglob("*.yaml")), ids=lambda p: p.stem)
def test_the_configurations_of_shipped_potentials_are_valid(path: Path) -> None:
    pytest.importorskip("yaml", reason="needs PyYAML, which `eqnn train` alone does")
    config = read_config(path)
    assert config.provenance.data != "not stated" and config.data.train


def test_the_page_has_each_key_with_its_default() -> None:
    page = (ROOT / "docs" / "train.md").read_text()
    for place, default, said in schema():
        assert (
            f"| `{place}` | {f'`{default}`' if default else ''} | {said} |".replace("  ", " ")
            in page
        )
