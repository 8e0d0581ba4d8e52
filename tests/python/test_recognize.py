# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn info CHECKPOINT` and `eqnn export auto`: a file is known by its content."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eqnn_models import EXPORTERS, MACE, MACE_GAUNT, PRETRAINED, TDN, refusal
from test_export_texts import make

from eqnn import cli
from eqnn.export import recognize
from eqnn.export.mlip import read_mlip
from eqnn.export.recognize import describe_checkpoint, with_exporter_named
from eqnn.export.torch_file import read_torch_file
from eqnn.model_file import read_model

PICKLED = {
    EXPORTERS / "mace_density.model": ("mace", "a ScaleShiftMACE, pickled"),
    EXPORTERS / "mace_compiled.model": ("mace", "a ScaleShiftMACE, compiled (TorchScript)"),
    EXPORTERS / "mace_cueq_format.model": ("mace", "a ScaleShiftMACE, pickled"),
    EXPORTERS / "nequip_nequip_0.14_plain.nequip.zip": ("nequip", "a package of NequIP"),
    EXPORTERS / "sevennet_omni_univ.pth": (
        "sevennet",
        "a checkpoint of training, with its configuration",
    ),
    PRETRAINED / "mace_acac.pt": ("mace", "a ScaleShiftMACE, pickled"),
    PRETRAINED / "nequip_deployed.pth": ("nequip", "a GraphModel, compiled (TorchScript)"),
    PRETRAINED / "nequix_norm.nqx": ("nequix", "a file of Nequix"),
}
WEIGHTS = {
    MACE / "mace_heads.weights.safetensors": "mace",
    MACE_GAUNT / "mg_l2_h8_c2.weights.safetensors": "mace-gaunt",
    TDN / "model_l1_h16_b1.weights.safetensors": "tdn",
}


@pytest.mark.parametrize("path", PICKLED, ids=lambda path: path.name)
def test_a_file_that_says_what_it_is(path: Path, tmp_path: Path) -> None:
    name, what = PICKLED[path]
    other = tmp_path / "x.pt"  # the name does not count
    other.write_bytes(path.read_bytes())
    for file in (path, other):
        found = recognize.recognize(file)
        assert (found.upstream.name, found.what, found.needs_config) == (name, what, False)


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.name)
def test_weights_alone_need_a_configuration(path: Path) -> None:
    found = recognize.recognize(path)
    assert (found.upstream.name, found.what) == (WEIGHTS[path], "weights alone (safetensors)")
    assert describe_checkpoint(path).splitlines()[2:] == [
        "  can be exported   with the configuration that the network was trained with",
        f"  command           eqnn export {WEIGHTS[path]} --checkpoint {path} --output "
        f"{path.name.removesuffix('.safetensors')}.eqnn --config JSON",
    ]


def test_what_can_be_exported_and_how() -> None:
    path = EXPORTERS / "mace_density.model"
    assert describe_checkpoint(path).splitlines() == [
        str(path),
        "  is                a ScaleShiftMACE, pickled, read by MACE (mace-torch)",
        "                    2 layers, 8x0e+8x1o then 8x0e; elements H, C, O, Si.",
        "  can be exported   yes",
        f"  command           eqnn export mace --checkpoint {path} --output mace_density.eqnn",
    ]


def test_choices_are_listed() -> None:
    text = describe_checkpoint(EXPORTERS / "mace_density_two_heads.model")
    assert "\n  --head            a, b: choose one\n" in text
    assert text.endswith(" --output mace_density_two_heads.eqnn --head HEAD")
    text = describe_checkpoint(EXPORTERS / "sevennet_omni_univ.pth")
    assert "  --modality        " in text and text.endswith("--modality MODALITY")
    text = describe_checkpoint(EXPORTERS / "nequip_nequip_0.14_plain.nequip.zip")
    assert "  --energy-unit     eV, meV, kcal/mol, kJ/mol, Hartree: choose one\n" in text
    assert text.endswith("--output nequip_nequip_0.14_plain.eqnn --energy-unit ENERGY_UNIT")
    text = describe_checkpoint(EXPORTERS / "mace_joint.model")
    assert "  --charge          0: say the one that you want\n" in text
    assert "  --spin            1: say the one that you want\n" in text
    assert text.endswith("--charge CHARGE --spin SPIN")


def test_what_cannot_be_exported_says_all_that_is_missing() -> None:
    text = describe_checkpoint(EXPORTERS / "mace_compiled.model")
    assert text.splitlines()[2] == (
        "  can be exported   no: holds a compiled copy of ScaleShiftMACE (TorchScript), which "
        "does not contain the original model. Give the .model that mace_run_train wrote beside "
        "it (without _compiled)."
    )
    assert "command" not in text
    assert "no: is in the layout of cuEquivariance" in describe_checkpoint(
        EXPORTERS / "mace_cueq_format.model"
    )


FOREIGN: dict[str, tuple[Any, str]] = {
    "another code": (
        make("chgnet.model.model.CHGNet"),
        "holds a CHGNet of the package chgnet, which has no exporter. There are exporters of TDN",
    ),
    "a list": ([1], "holds a list, which no known code writes. Give what the training code"),
    "other weights": (
        {"model": {"atom_fea.weight": np.zeros(1)}},
        "holds 1 tensors (atom_fea.weight, ...), of no network that has an exporter.",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_of_no_exporter(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, said = FOREIGN[what]
    path = tmp_path / "x.pt"
    path.write_bytes(b"PK")
    monkeypatch.setattr(recognize, "read_torch_file", lambda path: content)
    assert refusal(lambda: recognize.recognize(path)).startswith(f"{path}: {said}")


def test_models_of_mlip_are_told(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hyperparams.json", json.dumps({"config": {"num_heads": 8}}))
        archive.writestr("params.npz", b"")
    text = describe_checkpoint(path)
    assert "a model of mlip, read by InstaDeep's mlip (MACE, NequIP)" in text
    assert "can be exported   no: not readable as a model of mlip (" in text
    assert refusal(lambda: read_torch_file(path)) == (
        f"{path}: is a model of mlip (InstaDeep), which `eqnn export mlip` reads."
    )


DAMAGED = {
    EXPORTERS / "mlip_mace.zip": "a model of mlip",
    EXPORTERS / "nequip_nequip_0.14_plain.nequip.zip": "a package of torch",
    PRETRAINED / "nequip_zbl.nequip.zip": "a package of torch",
    EXPORTERS / "mace_gate_none.model": "a file of torch.save",
    EXPORTERS / "mace_compiled.model": "a file of torch.save",
    PRETRAINED / "nequip_deployed.pth": "a file of torch.save",
}


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("whole", DAMAGED, ids=lambda path: path.name)
def test_a_damaged_archive_is_told_what_it_was(
    whole: Path, kept: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = whole.read_bytes()
    for name in ("x.zip", "x.pt"):  # the name does not count
        path = tmp_path / name
        path.write_bytes(content[: int(len(content) * kept)])
        for words in (
            ["info", str(path)],
            ["export", "auto", "--checkpoint", str(path), "--output", str(tmp_path / "x.eqnn")],
            ["export", "nequip", "--checkpoint", str(path), "--output", str(tmp_path / "x.eqnn")],
            ["export", "mlip", "--checkpoint", str(path), "--output", str(tmp_path / "x.eqnn")],
        ):
            assert cli.main(words) == 1
            said = capsys.readouterr().err.removeprefix("eqnn: ")
            assert said.startswith(f"{path}: not readable as {DAMAGED[whole]} (BadZipFile: ")
            assert said.endswith(").\nIt is damaged or incomplete: get it again.\n")


def test_archives_of_no_known_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data/x", b"x" * 400)
    assert refusal(lambda: recognize.recognize(path)) == (
        f"{path}: is a zip archive of no format known here: torch.save's has a data.pkl.\n"
        "Give what the training code saved."
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", b"x" * 400)
    path.write_bytes(path.read_bytes()[:100])
    assert refusal(lambda: recognize.recognize(path)) == (
        f"{path}: not readable as a zip archive (BadZipFile: File is not a zip file).\n"
        "It is damaged or incomplete: get it again."
    )
    path.write_bytes(b"some text")
    assert refusal(lambda: recognize.recognize(path)) == (
        f"{path}: is a text file, expected a checkpoint. Give what the training code saved."
    )
    path.write_bytes((EXPORTERS / "mace_gate_none.model").read_bytes())
    assert refusal(lambda: read_mlip(path)) == (
        f"{path}: is a file of torch.save, expected a model of mlip. `eqnn info` says what reads "
        "it."
    )
    path.write_bytes((PRETRAINED / "nequip_zbl.nequip.zip").read_bytes())
    assert refusal(lambda: read_mlip(path)) == (
        f"{path}: is a package of torch (.nequip.zip), which `eqnn export nequip` reads."
    )


def test_weights_of_training_are_told_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(b"PK")
    content = {"model": {"interactions.0.conv_tp_weights.layer0.weight": np.zeros(1)}}
    monkeypatch.setattr(recognize, "read_torch_file", lambda path: content)
    found = recognize.recognize(path)
    assert (found.upstream.name, found.needs_config) == ("mace", False)


def test_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not this")
    text = refusal(lambda: recognize.recognize(path))
    assert (
        text == f"{path}: not readable as safetensors. It is damaged or incomplete: get it again."
    )


def test_auto_is_the_exporter_of_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    path = str(EXPORTERS / "mace_density_two_heads.model")
    for name in ("mace", "auto"):
        output = tmp_path / f"{name}.eqnn"
        words = ["export", name, f"--checkpoint={path}", "--output", str(output)]
        assert cli.main([*words, "--head", "b"]) == 0, capsys.readouterr().err
        made.append(read_model(output).sha256)
    assert made[0] == made[1]
    words = ["export", "auto", "--checkpoint", path, "--output", str(tmp_path / "x.eqnn")]
    assert cli.main([*words, "--modality", "pbe"]) == 2
    assert "unrecognized arguments: --modality pbe" in capsys.readouterr().err


def test_auto_without_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_exporter_named(["export", "auto", "--output", "x"])[1] == "auto"
    assert cli.main(["export", "auto", "--output", "x.eqnn"]) == 2
    assert "the following arguments are required: --checkpoint" in capsys.readouterr().err
    assert cli.main(["export", "auto", "--output", "x.eqnn", "--checkpoint", ""]) in (1, 2)
    assert capsys.readouterr().err.startswith("eqnn: ")
