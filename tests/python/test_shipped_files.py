# SPDX-License-Identifier: BSD-3-Clause
"""Files that others rely on are those that the READMEs beside them describe."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from eqnn_models import GOLDEN, PRETRAINED, ROOT, TRAINED
from safetensors.numpy import load_file

from eqnn.model_file import read_model

POTENTIALS = ROOT / "potentials"


def golden_files() -> list[str]:
    folders = [path for path in GOLDEN.iterdir() if path.is_dir() and path.name != "__pycache__"]
    found = (path for folder in folders for path in folder.rglob("*"))
    return sorted(str(path.relative_to(GOLDEN)) for path in found if path.is_file())


def sums() -> dict[str, str]:
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_every_golden_file_has_its_hash() -> None:
    assert sorted(sums()) == golden_files()
    changed = [
        name
        for name, digest in sums().items()
        if hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() != digest
    ]
    assert changed == []


def test_every_golden_file_is_described() -> None:
    text = (GOLDEN / "README.md").read_text()
    patterns = re.findall(r"^\| `([^`]*)` \|", text, flags=re.MULTILINE)
    described: set[str] = set()
    for pattern in patterns:
        named = {str(path.relative_to(GOLDEN)) for path in GOLDEN.glob(pattern)}
        assert named, f"{pattern}: no such file"
        described |= named
    assert sorted(described) == golden_files()


def test_golden_outputs_are_finite_and_not_all_zero() -> None:
    for name in golden_files():
        if name.endswith(".safetensors"):
            for key, values in load_file(GOLDEN / name).items():
                assert np.isfinite(values).all(), (name, key)
                alone = key == "forces" and ".isolated_" in name
                if key in ("energy", "forces", "out", "dE_dedge_vec") and not alone:
                    assert values.any(), (name, key)


def stated() -> dict[str, str]:
    """Hashes that the README of the potentials states."""
    text = (POTENTIALS / "README.md").read_text()
    return dict(re.findall(r"^\| `([^`]+\.eqnn)` \|.*`([0-9a-f]{64})` \|$", text, re.MULTILINE))


def test_every_potential_is_described_with_its_hash() -> None:
    files = {path.name for path in POTENTIALS.glob("*.eqnn")}
    assert set(stated()) == files and files
    for name, digest in stated().items():
        assert read_model(POTENTIALS / name).sha256 == digest


@pytest.mark.parametrize("path", sorted(POTENTIALS.glob("*.eqnn")), ids=lambda path: path.stem)
def test_potentials_carry_the_provenance_beside_them(path: Path) -> None:
    beside = json.loads(path.with_suffix(".provenance.json").read_text())
    inside = read_model(path).document["provenance"]
    assert {key: inside[key] for key in beside} == beside
    assert set(inside) - set(beside) == {"exporter"}


def test_the_readme_states_the_errors_that_were_measured() -> None:
    """The trained model's rows, from the files that the training left."""
    text = " ".join((POTENTIALS / "README.md").read_text().split())  # sentences wrap
    metrics = json.loads((TRAINED / "metrics.json").read_text())
    physics = json.loads((TRAINED / "physics_checks.json").read_text())
    drift = json.loads((TRAINED / "nve_attribution.json").read_text())
    validation = metrics["val_300K(50)"]
    jump = physics["cutoff_jump_meV_per_pair"]
    shares = [
        100 * run["sum_of_steps_with_edge_change_meV"] / run["H_change_meV"]
        for run in (drift["dt0.5"], drift["dt0.25"])
    ]
    for number in (
        f"{validation['E_mae_meV']:.1f} | {validation['F_mae_meVA']:.1f}",
        f"{jump['rms']:.1f} meV rms",
        f"{jump['max']:.0f} meV",
        f"{physics['nve_1ps_300K']['H_end_minus_start_meV']:.0f} meV",
        f"{physics['rot_val0']['E_std_meV']:.1f} meV",
        f"{physics['rot_val0']['E_range_meV']:.0f} meV",
        f"{shares[0]:.0f} and {shares[1]:.0f} %",
        f"{drift['dt0.5']['H_change_meV']:.0f} and {drift['dt0.25']['H_change_meV']:.0f} meV",
    ):
        assert number in text, number


def test_the_readme_states_the_errors_of_the_trained_mace_gaunt() -> None:
    """Its rows are what its authors' code gave on the test sets."""
    text = (POTENTIALS / "README.md").read_text()
    found = json.loads((PRETRAINED / "gaunt_acetylacetone.errors.json").read_text())
    assert list(found) == ["validation_300K", "test_MD_300K", "test_MD_600K"]
    labels = ("300 K, validation", "300 K, test", "600 K, test")
    keys = ("energy_mae", "energy_rmse", "force_mae", "force_rmse")
    for label, row in zip(labels, found.values(), strict=True):
        numbers = " | ".join(f"{row[key]:.1f}" for key in keys)
        assert f"| {label} | {row['n']} | {numbers} |" in text, label


def test_the_tests_that_the_conventions_name_exist() -> None:
    text = (ROOT / "docs" / "spec" / "conventions.md").read_text()
    files = {path.name: path for path in (ROOT / "tests").rglob("*") if path.is_file()}
    named = re.findall(r"`(\w+\.(?:py|cpp))(?:::(\w+))?`", text)
    assert len(named) > 15
    for file, test in named:
        assert file in files, file
        assert not test or f"def {test}(" in files[file].read_text(), test
    inside = files["test_so3.py"].read_text()
    names = re.findall(r"`(?:\.\.\.::)?(test_\w+)\*?`", text)
    assert names
    for name in names:
        found = [path for path in files.values() if path.suffix == ".py"]
        assert f"def {name}" in inside or any(f"def {name}" in p.read_text() for p in found), name
