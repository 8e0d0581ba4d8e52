# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn new`, and the example of docs/train.md from a new network to a result."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eqnn_models import ROOT, refusal
from train_models import jax, random_cluster, yaml

from eqnn.cli import main
from eqnn.info import cutoff_defects
from eqnn.library import Potential
from eqnn.model_file import Model, read_model, write_model
from eqnn.numpy_evaluator import edges_of, run
from eqnn.so3 import random_rotations
from eqnn.train.config import Config, Energies
from eqnn.train.data import with_energies
from eqnn.train.fit import require_agreement
from eqnn.train.new import KINDS, Shape, new_tdn

assert jax is not None  # the skip where there is none


def test_both_spellings_of_neighbors_are_one_option(tmp_path: Path) -> None:
    words = ["new", "tdn", "--species", "H", "--channels", "2", "--l-max", "1"]
    paths = [tmp_path / f"{name}.eqnn" for name in ("plain", "american", "british")]
    for path, option in zip(paths, ("", "--neighbors", "--neighbours"), strict=True):
        more = [option, "30"] if option else []
        assert main([*words, *more, "--output", str(path)]) == 0
    plain, american, british = (path.read_bytes() for path in paths)
    assert american == british != plain


@pytest.mark.parametrize(
    ("kind", "l_max", "more"),
    [
        *[(kind, n, more) for kind in KINDS for n, more in ((1, []), (2, []), (1, ["--zbl"]))],
        *[(kind, 2, ["--even"]) for kind in ("gaunt", "tdn", "tdn-attention")],
    ],
)
def test_new_networks_are_valid_sound_and_equivariant(
    tmp_path: Path, kind: str, l_max: int, more: list[str]
) -> None:
    path = tmp_path / "new.eqnn"
    words = ["new", kind, "--species", "O,H,C", "--channels", "6", "--l-max", str(l_max), *more]
    words += ["--heads", "3"]
    assert main([*words, "--output", str(path)]) == 0
    model = read_model(path)
    assert model.document["species"] == [1, 6, 8]
    assert model.document["equivariance"]["exact"] is True
    assert cutoff_defects(model) == []
    assert require_agreement(model) <= 1e-10
    atoms = random_cluster([1, 6, 8], 9, size=3.5)
    values = run(model, atoms.numbers, edges_of(atoms, 5.0))
    for name, value in values.items():
        blocks = value if isinstance(value, dict) else {"": value}
        for block, x in blocks.items():
            if name == "elements" and block not in ("", "0e"):
                assert not np.any(x)  # an element has no direction
                continue
            # Neither vanishes nor grows from stage to stage.
            assert 1e-3 < np.sqrt((np.asarray(x) ** 2).mean()) < 20, (name, block)
    with Potential(path, "double") as potential:
        found = potential.evaluate(atoms.numbers, atoms.positions)
        rotation = random_rotations(1, seed=3)[0]
        turned = potential.evaluate(atoms.numbers, atoms.positions @ rotation.T)
        assert abs(turned.energy - found.energy) <= 1e-11
        assert np.abs(turned.forces - found.forces @ rotation.T).max() <= 1e-11
        assert np.abs(found.forces).max() > 1e-3
        mirrored = potential.evaluate(atoms.numbers, -atoms.positions).energy - found.energy
        if model.document["parity"] == "o3":
            assert abs(mirrored) <= 1e-11
        else:
            assert l_max == 1 or abs(mirrored) > 1e-6  # what the odd paths are there for
    assert (model.document["parity"] == "o3") == (kind in ("mace", "nequip") or "--even" in more)


def test_zbl_keeps_nuclei_apart_whatever_the_scale(tmp_path: Path) -> None:
    shape = Shape((1, 8), channels=4, l_max=1, cutoff=4.0)
    without, model = (KINDS["tdn"](replace(shape, zbl=zbl)) for zbl in (False, True))
    config = Config(model="", output="", energies=Energies(scale=2.5, shift=0.5))
    for changed in (False, True):
        bare, mended = (with_energies(m, config, []) if changed else m for m in (without, model))
        assert bare.document["energy"]["scale"] == (2.5 if changed else 1.0)
        energies = []
        for one in (bare, mended):
            write_model(tmp_path / "a.eqnn", one.document, one.tensors)
            with Potential(tmp_path / "a.eqnn", "reference") as potential:
                energies.append(
                    [
                        potential.evaluate(np.array([1, 8]), np.array([[0, 0, 0], [0, 0, r]]))
                        for r in (0.4, 0.8, 0.97, 1.5)
                    ]
                )
        found = [b.energy - a.energy for a, b in zip(*energies, strict=True)]
        # By hand: 14.3996 Z Z' / r times the screening of Ziegler, Biersack and Littmark, ended
        # smoothly at the sum of the covalent radii, 0.31 + 0.66 Angstrom.
        expected = []
        for r in (0.4, 0.8):
            x = r * (1 + 8**0.23) / 0.4685
            phi = 0.02817 * np.exp(-0.20162 * x) + 0.28022 * np.exp(-0.40290 * x)
            phi += 0.50986 * np.exp(-0.94229 * x) + 0.18175 * np.exp(-3.19980 * x)
            u = r / 0.97
            cut = 1 - 28 * u**6 + 48 * u**7 - 21 * u**8
            expected.append(14.3996 * 8 / r * phi * cut)
        assert np.abs(np.array(found) - [*expected, 0.0, 0.0]).max() <= 1e-10 * expected[0]
        assert expected[0] > 40


def test_a_scale_of_each_element_cannot_be_changed_beside_zbl() -> None:
    model = new_tdn(Shape((1, 8), channels=4, l_max=1, zbl=True))
    energy = {**model.document["energy"], "scale": [1.0, 2.0]}
    model = Model({**model.document, "energy": energy}, model.tensors, "a.eqnn")
    config = Config(model="", output="", energies=Energies(scale=2.5))
    assert refusal(lambda: with_energies(model, config, [])) == (
        "a.eqnn: energies/scale is 2.5, but the model has one scale for each element, with which "
        "its zbl stage is in eV. Leave energies/scale at keep."
    )


def test_what_cannot_be_made_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["new", "mace", "--species", "H,C", "--output", str(tmp_path / "a.eqnn")]
    for more, text in (
        (["--channels", "0"], "--channels 0: expected 1 to 1024. Give one of these."),
        (["--cutoff", "nan"], "--cutoff nan: expected 0.1 to 100.0. Give one of these."),
        (["--species", "O"], "--species: it stands twice, expected all elements after one"),
        (["--output", str(tmp_path / "no" / "a.eqnn")], f"there is no folder {tmp_path / 'no'}."),
    ):
        assert main([*words, *more]) in (1, 2)
        assert text in capsys.readouterr().err
    assert main([*words[:3], "H,H", *words[4:]]) == 2
    text = "H stands twice, expected each element once, as in H,C,N,O"
    assert text in capsys.readouterr().err
    (tmp_path / "a.eqnn").touch()
    assert main(words) == 1
    assert "exists already. Give another path, or --force" in capsys.readouterr().err
    for kind in ("mace", "nequip"):
        assert main(["new", kind, "--even", *words[2:4], "--output", str(tmp_path / "b.eqnn")]) == 1
        assert f"--even: {kind} always keeps parity. Leave it out." in capsys.readouterr().err
    text = refusal(lambda: KINDS["tdn-attention"](Shape((1,), channels=6, heads=4)))
    assert text == "--heads 4: does not divide 6 channels. Give a divisor."
    text = refusal(lambda: new_tdn(Shape((1,), l_max=5, even=True)))
    assert text.startswith("--l-max 5: exact factors are stored for 1 to 4.")
    text = refusal(lambda: new_tdn(Shape((1,), l_max=0)))
    assert text == (
        "--l-max 0: exact factors are stored for 1 to 5.\n"
        "Give one of these, or --factors from `eqnn decompose`."
    )


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "train.md").read_text()
    said = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```\n", page, re.M | re.S)[0])
    said["epochs"] = 2
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(said))
    shutil.copy(ROOT / "examples" / "data" / "3bpa_labelled.xyz", tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"^eqnn (.+)$", page, re.MULTILINE):
        assert main(line.split()) == 0, line
    told = capsys.readouterr().out
    assert "frames: 54 train, 6 watch" in told
    assert main(["validate", "run/model.eqnn"]) == 0
    assert {"metrics.csv", "curve.png", "checkpoint.safetensors"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
