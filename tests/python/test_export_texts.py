# SPDX-License-Identifier: BSD-3-Clause
"""What `eqnn export` says of files that are not what it was asked to read."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import zipfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import covalent_radii
from eqnn_models import EXPORTERS, MACE, PRETRAINED, TDN, max_error, refusal
from test_torch_file import Tensor, torch_file

from eqnn import cli
from eqnn.export import UPSTREAMS, e3nn, mace, nequip, nequix, sevennet
from eqnn.export.checkpoint import State, read_checkpoint
from eqnn.export.mace import network_from_config, network_from_module
from eqnn.export.nequix import NequixConfig
from eqnn.export.sevennet import SevenNetConfig, export_sevennet
from eqnn.export.torch_file import Stub, _stub_class, read_torch_file, state_dict, submodules
from eqnn.export.upstream import exported
from eqnn.export.verify import Evaluated, Verifier
from eqnn.library import Potential
from eqnn.model_file import Array, Model, read_model
from eqnn.numpy_evaluator import energy
from eqnn.options import Elements

SEVENNET = PRETRAINED / "sevennet_cp0.pth"
NEQUIX = PRETRAINED / "nequix_norm.nqx"
OPTIONS = ("config", "species", "head", "charge", "spin", "modality", "energy_unit")
TOLD = ("data", "level_of_theory", "licence")


def options(**given: Any) -> Namespace:
    return Namespace(**(dict.fromkeys((*OPTIONS, *TOLD)) | given))


def command(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 1) -> str:
    assert cli.main([str(word) for word in words]) == status
    text = capsys.readouterr().err
    assert text.startswith("eqnn: ") and len(text.splitlines()) <= 2
    return text.removeprefix("eqnn: ").rstrip("\n")


# ---- the checkpoint comes first ----


@pytest.mark.parametrize("upstream", [upstream.name for upstream in UPSTREAMS])
def test_a_missing_checkpoint_is_told_before_missing_options(
    upstream: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    expected = f"{path}: no such file. Give the checkpoint's path with --checkpoint."
    assert command(capsys, "export", upstream, "--checkpoint", path) == expected


def test_a_folder_is_no_checkpoint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = command(capsys, "export", "mace", "--checkpoint", tmp_path)
    assert found == (
        f"{tmp_path}: is a folder, expected a checkpoint. Name the file in it with --checkpoint."
    )


def test_a_device_is_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    found = command(capsys, "export", "mace", "--checkpoint", "/dev/null")
    assert found == "/dev/null: is no regular file. Give the checkpoint's path with --checkpoint."


@pytest.mark.parametrize(
    ("option", "values", "said"),
    [
        ("--charge", ("nan", "inf", "-inf", "x"), "is not a finite number, expected a charge in e"),
        (
            "--spin",
            ("nan", "inf", "x", "0", "-1", "1.5"),
            "is no spin multiplicity 2S + 1, expected 1 (no unpaired electrons) or more",
        ),
    ],
)
def test_a_charge_is_finite_and_a_spin_a_multiplicity(
    option: str,
    values: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    path = EXPORTERS / "mace_joint.model"
    for value in values:
        words = ("--checkpoint", path, "--output", tmp_path / "x.eqnn", f"{option}={value}")
        assert command(capsys, "export", "mace", *words, status=2) == (
            f"argument {option}: {value!r} {said}. See `eqnn export mace --help`."
        )


@pytest.mark.parametrize("words", [["H,C"], ["H", "C"], ["C, H"], ["H,", "C"], ["C H"]])
def test_elements_stand_with_commas_or_spaces(words: list[str]) -> None:
    parser = ArgumentParser()
    parser.add_argument("--species", action=Elements)
    found = parser.parse_args(["--species", *words]).species
    assert sorted(found) == [1, 6] and found[0] == (6 if words[0].startswith("C") else 1)


@pytest.mark.parametrize("name", ["model.eqnn", "model.safetensors"])
def test_a_model_file_is_no_checkpoint(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    shutil.copy(MACE / "mace_plain.eqnn", path)
    found = command(capsys, "export", "mace", "--checkpoint", path)
    assert found == (
        f"{path}: is a model file of eqnn already, made by an export. Use it as it is, "
        "or give the checkpoint\nthat it was made from (eqnn info says which)."
    )


def test_what_cannot_be_opened(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"x")

    def refuse(*given: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    found = command(capsys, "export", "mace", "--checkpoint", path)
    assert found == f"{path}: cannot be read (Permission denied). Check the file's permissions."


def test_no_export_ends_in_a_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trip(given: Any, log: Any) -> Model:
        raise KeyError("instructions")

    path = tmp_path / "x.model"
    path.write_bytes(b"x")
    upstream = Namespace(name="mace", title="MACE", export=trip, verifier=None)
    text = refusal(lambda: exported(upstream, options(checkpoint=path), print))  # type: ignore[arg-type]
    assert text.startswith(
        f"{path}: is damaged or foreign: reading it as mace stopped at test_export_texts.py:"
    )
    assert "(KeyError: 'instructions').\nGet the file again; if it is sound, report this" in text
    monkeypatch.setenv("EQNN_TRACEBACK", "1")
    with pytest.raises(KeyError):
        exported(upstream, options(checkpoint=path), print)  # type: ignore[arg-type]
    monkeypatch.undo()
    path.unlink()
    upstream.export = lambda given, log: path.read_bytes()
    text = refusal(lambda: exported(upstream, options(checkpoint=path), print))  # type: ignore[arg-type]
    assert text.startswith(f"{path}: cannot be read (No such file or directory).")


# ---- files of another kind ----

GIVE = "Give what the training code saved."
IS_NEQUIX = "is a file of Nequix (.nqx), which `eqnn export nequix` reads."
IS_SAFETENSORS = (
    "is a safetensors file: weights that do not say what the network is.\nGive it as *.safetensors "
    "with --config, which `eqnn export` mace, sevennet, tdn and others take."
)
IS_PACKAGE = "is a package of torch (.nequip.zip), which `eqnn export nequip` reads."
IS_NPZ = (
    "holds arrays of NumPy (.npz), which `eqnn export sevennet` reads under this suffix, "
    "with --config."
)
BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02"
PLAIN_FILES: dict[str, tuple[bytes | Path, str]] = {
    "a text": (b"# How to use it\n" * 9, f"is a text file, expected a checkpoint. {GIVE}"),
    "nothing": (b"", "is an empty file, expected a checkpoint. Get the file again."),
    "nequix": (NEQUIX, IS_NEQUIX),
    "safetensors": (MACE / "mace_l2c2.weights.safetensors", IS_SAFETENSORS),
    "json": (
        MACE / "mace_l2c2.config.json",
        "is a JSON file, expected a checkpoint. Give the weights with --checkpoint and their "
        "configuration with --config.",
    ),
    "old torch": (
        BEFORE_1_6,
        "is in the format of torch before 1.6. Load it with torch and save it again with torch "
        "1.6 or later.",
    ),
    "a pickle": (b"\x80\x04}.", f"is a pickle, but not one of torch.save. {GIVE}"),
    "numbers": (
        b"\x93\xffNUMPY",
        f"is not a zip archive, which torch.save writes, and of no format known here.\n{GIVE}",
    ),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "is a pointer of Git LFS, not the file itself. Get it with `git lfs pull`.",
    ),
}


@pytest.mark.parametrize("upstream", ["nequip", "mace", "sevennet"])
@pytest.mark.parametrize("kind", PLAIN_FILES)
def test_files_that_are_no_zip_are_told_what_they_are(
    kind: str, upstream: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content, said = PLAIN_FILES[kind]
    path = tmp_path / "x.model"
    path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    words = ("--checkpoint", path, "--output", tmp_path / "y.eqnn")
    assert command(capsys, "export", upstream, *words) == f"{path}: {said}"


@pytest.mark.parametrize("upstream", ["mace", "sevennet"])
@pytest.mark.parametrize("suffix", [".nequip.zip", ".pt"])
def test_packages_are_told_who_reads_them(
    suffix: str, upstream: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    shutil.copy(PRETRAINED / "nequip_zbl.nequip.zip", path)
    words = ("--checkpoint", path, "--output", tmp_path / "y.eqnn")
    assert command(capsys, "export", upstream, *words) == f"{path}: {IS_PACKAGE}"


@pytest.mark.parametrize("upstream", ["mace", "nequip", "sevennet"])
def test_other_zip_archives_are_told_what_they_are(
    upstream: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.model"
    words = ("--checkpoint", path, "--output", tmp_path / "y.eqnn")
    with path.open("wb") as file:
        np.savez(file, weight=np.zeros(3))
    assert command(capsys, "export", upstream, *words) == f"{path}: {IS_NPZ}"
    whole = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/readme", b"x")
    said = f"is a zip archive of no format known here: torch.save's has a data.pkl.\n{GIVE}"
    assert command(capsys, "export", upstream, *words) == f"{path}: {said}"
    path.write_bytes(whole[:40])
    found = command(capsys, "export", upstream, *words)
    assert found.startswith(f"{path}: not readable as arrays of NumPy (.npz) (BadZipFile: ")
    assert found.endswith("\nIt is damaged or incomplete: get it again.")


CHECKPOINTS = {
    "mace": (PRETRAINED / "mace_acac.pt", "holds a ScaleShiftMACE of mace-torch"),
    "sevennet": (SEVENNET, "holds a checkpoint of SevenNet"),
    "nequip": (PRETRAINED / "nequip_deployed.pth", "holds a deployed NequIP (GraphModel)"),
}


@pytest.mark.parametrize(("asked", "owner"), [*itertools.permutations(CHECKPOINTS, 2)])
def test_checkpoints_of_another_code_name_their_exporter(
    asked: str, owner: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, said = CHECKPOINTS[owner]
    words = ("--checkpoint", path, "--output", tmp_path / "y.eqnn")
    found = command(capsys, "export", asked, *words)
    assert found == f"{path}: {said}, which `eqnn export {owner}` reads."


# ---- MACE ----


def pickled(name: str = "mace_acac.pt", folder: Path = PRETRAINED) -> Stub:
    found = read_torch_file(folder / name)
    assert isinstance(found, Stub)
    return found


def make(class_name: str, **state: Any) -> Stub:
    package, name = class_name.rsplit(".", 1)
    out = _stub_class(package, name)()
    out.__setstate__({"_modules": {}, "_parameters": {}, "_buffers": {}} | state)
    return out


@pytest.mark.parametrize(
    "kind",
    [
        "__torch__.mace.calculators.lammps_mace.LAMMPS_MACE",
        "mace.calculators.lammps_mliap_mace.LAMMPS_MLIAP_MACE",
        "mace.calculators.lammps_mliap_mace.MACEEdgeForcesWrapper",
    ],
)
def test_copies_of_mace_for_lammps(kind: str) -> None:
    name = kind.rsplit(".", 1)[1]
    assert refusal(lambda: network_from_module(make(kind), "m.pt")) == (
        f"m.pt: holds a {name}, a copy for LAMMPS that mace_create_lammps_model made. "
        "Give the .model that it was made from."
    )


def test_lora_is_told_how_to_merge() -> None:
    module = pickled()
    products = submodules(submodules(module)["products"])
    base = submodules(products["0"])["linear"]
    lora = make("mace.modules.lora.LoRAO3Linear", _modules={"base": base})
    products["0"].__dict__["_modules"]["linear"] = lora
    text = refusal(lambda: network_from_module(module, "m.model"))
    assert text == (
        "m.model: holds weights of LoRA beside the network's own (LoRAO3Linear). Merge them with "
        "mace-torch and save the model:\nmace.modules.lora.merge_lora_weights(model)."
    )


def test_an_averaged_model_is_told_to_be_taken_out() -> None:
    whole = make("torch.optim.swa_utils.AveragedModel", _modules={"module": pickled()})
    text = refusal(lambda: network_from_module(whole, "m.model"))
    assert text == (
        "m.model: holds an AveragedModel of torch.optim.swa_utils, expected the model in it.\n"
        "Save that: torch.save(averaged.module, FILE.model)."
    )


@pytest.mark.parametrize(
    ("upstream", "path"), [(mace, PRETRAINED / "mace_acac.pt"), (sevennet, SEVENNET)]
)
def test_a_configuration_that_would_be_ignored(upstream: Any, path: Path) -> None:
    given = options(checkpoint=path, config=Path("c.json"))
    assert refusal(lambda: upstream.UPSTREAM.export(given, print)) == (
        f"--config c.json: is for a state_dict (.safetensors), but {path} is read as\n"
        "a file that describes the network itself. Leave --config out, or give the state_dict."
    )


def _gated(f: Stub) -> Stub:
    """Put a module in the place of a readout's function, where torch keeps a module."""
    module = pickled()
    readout = submodules(submodules(module)["readouts"])["1"]
    act = submodules(submodules(submodules(readout)["non_linearity"])["acts"])["0"]
    del act.__dict__["f"]
    act.__dict__["_modules"]["f"] = f
    return module


SILU = "torch.nn.modules.activation.SiLU"


def test_a_gate_that_is_a_module() -> None:
    assert network_from_module(_gated(make(SILU, inplace=False)), "m.model").gate == "silu"


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (make("torch.nn.modules.activation.Tanh"), "activation tanh with constant"),
        (make("own.layers.SiLU"), "activation own.layers.SiLU with constant"),
        (make(SILU, _forward_hooks={0: "hook"}), "activation silu with hooks with constant"),
    ],
)
def test_gates_of_other_modules(f: Stub, said: str) -> None:
    text = refusal(lambda: network_from_module(_gated(f), "m.model"))
    assert text.startswith(f"m.model: readouts.1.non_linearity.acts.0.f: {said} 1.679")


def test_bfloat16_of_safetensors_is_no_damage(tmp_path: Path) -> None:
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert refusal(lambda: read_checkpoint(path)) == (
        f"{path}: holds weights of type bfloat16, expected float32 or float64. "
        "Save the checkpoint in one of these."
    )


def test_modules_that_are_of_no_known_code(tmp_path: Path) -> None:
    path = torch_file(tmp_path, [1])
    for upstream, said in (
        (nequip, "holds a list, expected what nequip-deploy of 0.5 or 0.6 made, or a package"),
        (sevennet, "holds no config and model_state_dict. Give a checkpoint of sevenn, or a"),
        (mace, "holds a list, expected a model. Give what mace-torch saved as .model,"),
    ):
        text = refusal(lambda up=upstream: up.UPSTREAM.export(options(checkpoint=path), print))  # type: ignore[misc]
        assert text.startswith(f"{path}: {said}")


def test_weights_of_bfloat16_are_refused_as_those_of_float16(tmp_path: Path) -> None:
    tensor = Tensor(np.array([16544], dtype=np.uint16), "0")
    whole = read_torch_file(torch_file(tmp_path, {"r_max": tensor}, tensor))
    for values, kind in (
        (whole["r_max"], "bfloat16"),
        (np.array([5.0], dtype=np.float16), "float16"),
    ):
        state = State({"r_max": values}, "m.model", ["^$"])
        assert refusal(lambda state=state: state.take("r_max")) == (  # type: ignore[misc]
            f'm.model: "r_max" has type {kind}, expected float32 or float64. '
            "Save the checkpoint in one of these."
        )


def test_cuequivariance_is_told_how_to_convert_back() -> None:
    path = EXPORTERS / "mace_cueq_format.model"
    text = refusal(lambda: network_from_module(read_torch_file(path), "m.model"))
    assert text == (
        "m.model: is in the layout of cuEquivariance. Convert it back with mace-torch and "
        "cuequivariance-torch:\nmace_cueq_to_e3nn m.model --output_model e3nn.model --return_model"
    )


@pytest.mark.parametrize(
    ("content", "kind"), [({"w": np.zeros(3)}, "state_dict"), ([1], "list"), ({"a": 1}, "dict")]
)
def test_files_that_hold_no_mace(content: Any, kind: str) -> None:
    text = refusal(lambda: network_from_module(content, "m.pt"))
    assert text == (
        f"m.pt: holds a {kind}, expected a model. Give what mace-torch saved as .model,\n"
        "or a state_dict as .safetensors with --config."
    )


def compiled(module: Stub) -> Stub:
    """Return a module as torch.compile's is pickled: a call with it, and no state of its own."""
    made: Stub = _stub_class("torch._dynamo.eval_frame", "OptimizedModule")(module, None)
    return made


WRAPPERS: dict[str, Any] = {
    "torch.compile": compiled,
    "torch.compile, with state": lambda module: make(
        "torch._dynamo.eval_frame.OptimizedModule", _modules={"_orig_mod": module}
    ),
    "DataParallel": lambda module: make(
        "torch.nn.parallel.data_parallel.DataParallel", _modules={"module": module}
    ),
    "DistributedDataParallel": lambda module: make(
        "torch.nn.parallel.distributed.DistributedDataParallel", _modules={"module": module}
    ),
}
# The whole model, or a part of it: one that were passed over would be lost without a word.
WRAPPED_PARTS = [(), ("scale_shift",), ("readouts", "0"), ("readouts", "1"), ("products", "1")]


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("part", WRAPPED_PARTS, ids=".".join)
def test_wrapped_mace_is_the_same(wrapper: str, part: tuple[str, ...], monkeypatch: Any) -> None:
    whole = pickled()
    if part:
        holder = whole
        for key in part[:-1]:
            holder = holder.__dict__["_modules"][key]
        modules = holder.__dict__["_modules"]
        modules[part[-1]] = WRAPPERS[wrapper](modules[part[-1]])
    else:
        whole = WRAPPERS[wrapper](whole)
    monkeypatch.setattr(mace, "read_torch_file", lambda path: whole)
    given = options(checkpoint=PRETRAINED / "mace_acac.pt")
    wrapped = mace.UPSTREAM.export(given, lambda line: None)
    monkeypatch.undo()
    assert wrapped.sha256 == mace.UPSTREAM.export(given, lambda line: None).sha256


def test_a_wrapper_or_a_part_that_holds_nothing() -> None:
    whole = pickled()
    modules = whole.__dict__["_modules"]
    scale_shift = modules["scale_shift"]
    modules["scale_shift"] = make("torch.nn.parallel.data_parallel.DataParallel")
    assert refusal(lambda: submodules(whole)) == (
        "a DataParallel holds no module where one is expected. Save the model without the wrapper, "
        "and export that."
    )
    modules["scale_shift"] = {"scale": 1.0}
    text = refusal(lambda: submodules(whole))
    assert "its part scale_shift is a dict, expected a module." in text
    modules["scale_shift"] = None  # as torch registers a part that is not there
    assert "scale_shift" not in submodules(whole)
    modules["scale_shift"] = scale_shift


def test_a_repulsion_that_mace_passes_over() -> None:
    whole = pickled()
    repulsion = make("mace.modules.radial.ZBLBasis", p=6)
    whole.__dict__["_modules"]["pair_repulsion_fn"] = repulsion
    whole.__dict__.pop("pair_repulsion", None)
    text = refusal(lambda: network_from_module(whole, "m.pt"))
    assert "m.pt: has pair_repulsion_fn, but no attribute pair_repulsion, without which" in text


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MACE / "mace_l2c2.config.json").read_text())
    found["config"] |= changes
    return found


def test_features_that_use_so3_never_makes() -> None:
    text = refusal(lambda: network_from_config(document(use_so3=True), "c.json"))
    assert text == (
        "c.json: /config/hidden: found 1o, which use_so3 never makes: there all parities are "
        "even.\nGive the hidden irreps that the network was trained with, as in 8x0e+8x1e."
    )


def changed(place: str, **values: Any) -> Stub:
    """Change attributes of a module within a pickled MACE."""
    out = module = pickled()
    for key in filter(None, place.split(".")):
        module = submodules(module)[key]
    for key, value in values.items():
        module.__dict__[key] = value
        for group in ("_buffers", "_parameters"):
            if key in (module.__dict__.get(group) or {}):
                module.__dict__[group][key] = value
    return out


def test_features_that_use_so3_never_makes_of_a_pickled_model() -> None:
    module = pickled()
    for block in submodules(submodules(module)["interactions"]).values():
        block.__dict__["edge_attrs_irreps"] = "1x0e+1x1e+1x2e"
    linear = submodules(submodules(submodules(module)["products"])["0"])["linear"]
    linear.__dict__["irreps_out"] = "4x0e+4x1o"
    text = refusal(lambda: network_from_module(module, "m.model"))
    assert text == (
        "m.model: products.0: found 1o, which use_so3 never makes: there all parities are even.\n"
        "It cannot be exported: train with even irreps, as in 8x0e+8x1e."
    )


def export_changed(module: Stub, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(mace, "read_torch_file", lambda path: module)
    given = options(checkpoint=PRETRAINED / "mace_acac.pt")
    text = refusal(lambda: exported(mace.UPSTREAM, given, lambda line: None))
    assert len(text.splitlines()) <= 2 and "Re-export" not in text
    return text.removeprefix(f"{given.checkpoint}: ")


LAYER = "interactions.1"
POWER = np.array([1.0], dtype=np.float32)
KINDS: list[tuple[str, dict[str, Any], str]] = [
    (
        LAYER,
        {"avg_num_neighbors": 0.0},
        "interactions.1: avg_num_neighbors is 0, expected a positive number: messages are divided "
        "by it.\nSuch a network has no energy; it cannot be exported.",
    ),
    (LAYER, {"avg_num_neighbors": np.nan}, "interactions.1: avg_num_neighbors is nan, expected a"),
    (
        LAYER,
        {"node_feats_irreps": "2x0e+2x0e+4x1o"},
        "interactions.1: irreps 2x0e+2x0e+4x1o name a block twice, expected each once. "
        "It cannot be exported.",
    ),
    (
        LAYER + ".conv_tp",
        {"irreps_in1": "4x0e+4x1o+4x4e"},
        "interactions.1: edge_irreps 4x0e+4x1o+4x4e have 4e, which the features ",
    ),
    (
        "products.1.linear",
        {"irreps_out": "4x1o"},
        "the last layer makes 4x1o, the first block of the hidden irreps, expected 0e.\n"
        "Its readout gets no scalars. It cannot be exported.",
    ),
    (
        "",
        {"atomic_numbers": np.array([1, 119])},
        "atomic_numbers: found 119, expected numbers from 1 to 118. Networks of other atoms cannot",
    ),
    ("", {"atomic_numbers": np.array([0, 8])}, "atomic_numbers: found 0, expected numbers from 1"),
    (
        "radial_embedding.cutoff_fn",
        {"p": POWER},
        "radial_embedding.cutoff_fn.p is 1, expected at least 2: no other envelope has a stage. "
        "It cannot be exported.",
    ),
]


@pytest.mark.parametrize(("place", "values", "said"), KINDS)
def test_networks_of_mace_that_no_model_file_holds(
    place: str, values: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export_changed(changed(place, **values), monkeypatch).startswith(said)


def test_what_the_format_refuses_is_no_damaged_model_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mace, "LEAST_POWER", 0.0)
    text = export_changed(changed("radial_embedding.cutoff_fn", p=POWER), monkeypatch)
    assert text.startswith("is of a kind that `eqnn export mace` cannot express: a model file ")
    assert text.endswith(
        "cannot hold\nwhat was read (/graph/3/envelope/p: found 1, expected at least 2). "
        "Export a network without it."
    )


def test_every_unknown_key_and_block_is_told() -> None:
    given = document(dropout=0.1, norm="layer")
    text = refusal(lambda: network_from_config(given, "c.json"))
    assert text.startswith("c.json: /config/dropout, /config/norm: unknown key; it may change the")
    another = "RealAgnosticOtherInteractionBlock"
    given = document(first=another, inter="Other")
    text = refusal(lambda: network_from_config(given, "c.json"))
    assert f"interactions.0: {another} has no stage; " in text
    assert "interactions.1: Other has no stage.\nBlocks that have stages: RealAgnostic" in text
    given = document(inter=mace.NONLINEAR)
    text = refusal(lambda: network_from_config(given, "c.json"))
    assert text == (
        f"c.json: /config: found {mace.NONLINEAR}, whose weights do not determine it.\n"
        "Give the whole .model instead of a state_dict."
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"MLP": "8x0e"}, "MLP is 16x0e, but the configuration says 8x0e"),
        ({"radial_MLP": [32]}, "hidden layers of [32, 32, 32], but the configuration says radial"),
        ({"max_ell": 999}, "found max_ell 999 and num_interactions 2, expected up to 20"),
        ({"num_interactions": 0}, "and num_interactions 0, expected up to 20 and 1 to 50"),
        ({"hidden": "4x99e"}, "found degree 99 of parity 1, expected degrees up to 20"),
        ({"gate": "relu"}, '/gate: found "relu", expected silu, tanh, abs, None. Others have no'),
    ],
)
def test_arguments_are_held_against_the_weights(changes: dict[str, Any], expected: str) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(MACE / "mace_l2c2.weights.safetensors")

    def export() -> Model:
        network = network_from_config(document(**changes), "c.json")
        return mace.export_mace(tensors, network, provenance={}, log=lambda line: None)

    assert expected in refusal(export)


def test_couplings_of_both_parities_are_those_of_upstream() -> None:
    """Made again from a configuration, where the checkpoint's own are left out."""
    module = read_torch_file(EXPORTERS / "mace_pseudo.model")
    pickled = network_from_module(module, "m.model")
    tensors = {
        key: tensor
        for key, tensor in state_dict(module).items()
        if "U_matrix" not in key and "_w3j_" not in key
    }
    block = "RealAgnosticResidualInteractionBlock"
    config = {
        **{"hidden": "4x0e+4x0o+4x1e+4x1o", "max_ell": 1, "num_interactions": 3, "avg": 11.0},
        **{"first": block, "inter": block, "correlation": 3},
    }
    stated = {"config": config, "elements": pickled.elements, "e3nn": "0.4.4"}
    network = network_from_config(stated, "c.json")
    quiet: dict[str, Any] = {"provenance": PROVENANCE, "log": lambda line: None}
    found = mace.export_mace(tensors, network, **quiet).tensors
    expected = mace.export_mace(state_dict(module), pickled, **quiet).tensors
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert max_error(found[key], tensor) <= 1e-12, key


def test_pseudovectors_that_no_coupling_makes_are_zero() -> None:
    """Hidden 4x0e+4x1o+4x1e at correlation 2: couplings of equal vectors to 1e cancel."""
    rng = np.random.default_rng(5)
    config = document(hidden="4x0e+4x1o+4x1e", MLP=None, radial_MLP=None, r_max=None)
    config["config"] |= dict.fromkeys(("scale", "shift", "num_polynomial_cutoff", "avg"))
    config["config"]["avg"] = 5.0
    given = {k: v for k, v in config["config"].items() if v is not None}
    given |= {"max_ell": 1, "num_bessel": 3, "correlation": 2}
    network = network_from_config({"config": given, "elements": [1, 6], "e3nn": "0.4.4"}, "c.json")
    tensors = _random_mace(network, rng)
    model = mace.export_mace(tensors, network, provenance=PROVENANCE, log=lambda line: None)
    stage = next(s for s in model.document["graph"] if s["op"] == "symmetric_contraction")
    assert stage["irreps"] == "4x0e+4x1e+4x1o"
    zero = [term for term in stage["terms"] if term["irrep"] == "1e"]
    assert len(zero) == 1 and not model.tensors[zero[0]["weights"]].any()
    assert model.document["equivariance"]["exact"]


def _random_mace(network: mace.MaceNetwork, rng: np.random.Generator) -> dict[str, Array]:
    """Make random weights of a network of two layers with linear readouts."""
    n = len(network.elements)
    out: dict[str, Array] = {
        "r_max": np.array(4.0),
        "radial_embedding.bessel_fn.bessel_weights": rng.normal(size=3),
        "radial_embedding.bessel_fn.prefactor": np.array(0.7),
        "radial_embedding.cutoff_fn.p": np.array(5),
        "radial_embedding.cutoff_fn.r_max": np.array(4.0),
        "node_embedding.linear.weight": rng.normal(size=n * 4),
        "atomic_energies_fn.atomic_energies": rng.normal(size=n),
        "scale_shift.scale": np.array(0.8),
        "scale_shift.shift": np.array(0.1),
    }
    for k, spec in enumerate(network.layers):
        name = f"interactions.{k}"
        paths, mid = e3nn.instructions(
            spec.edges, network.harmonics, spec.targets, sorted_weights=True
        )
        sizes = {
            "linear_up": e3nn.linear_size(spec.inputs, spec.edges),
            "linear": e3nn.linear_size(e3nn.merged(mid), spec.targets),
            "skip_tp": n * e3nn.linear_size(spec.inputs, spec.outputs),
        }
        if not mace.BLOCKS[spec.block].is_residual:
            sizes["skip_tp"] = n * e3nn.linear_size(spec.targets, spec.targets)
        for part, size in sizes.items():
            out[f"{name}.{part}.weight"] = rng.normal(size=size)
        numel = sum(spec.edges[path.source][0] for path in paths)
        out[f"{name}.conv_tp_weights.layer0.weight"] = rng.normal(size=(3, 5))
        out[f"{name}.conv_tp_weights.layer1.weight"] = rng.normal(size=(5, numel))
        out[f"products.{k}.linear.weight"] = rng.normal(
            size=e3nn.linear_size(spec.outputs, spec.outputs)
        )
        for c, (_, degree, parity) in enumerate(spec.outputs):
            prefix = f"products.{k}.symmetric_contractions.contractions.{c}"
            for nu, key in ((1, "weights.0"), (2, "weights_max")):
                table = mace.coupling_table(network.harmonics, degree, parity, nu)
                out[f"{prefix}.U_matrix_{nu}"] = table[0] if degree == 0 else table
                out[f"{prefix}.{key}"] = rng.normal(size=(n, table.shape[-1], 4))
        out[f"readouts.{k}.linear.weight"] = rng.normal(size=4)
    return out


def test_elements_of_a_configuration() -> None:
    for wrong in (0, 119, "H", True, 1.5):
        given = {**document(), "elements": [wrong]}
        text = refusal(lambda given=given: network_from_config(given, "c.json"))  # type: ignore[misc]
        assert f"c.json/elements: found {wrong!r}, expected atomic numbers" in text


def test_gate_none_of_a_configuration_is_none() -> None:
    assert network_from_config(document(gate="None"), "c.json").gate == "none"


def test_heads_that_readouts_do_not_know() -> None:
    found = pickled()
    readout = submodules(submodules(found)["readouts"])["1"]
    readout.__dict__["num_heads"] = 2
    text = refusal(lambda: network_from_module(found, "m.model"))
    assert "m.model: readouts.1.num_heads: 2, expected 1 as in heads" in text


def test_an_envelope_that_ends_elsewhere() -> None:
    found = pickled()
    cutoff = submodules(submodules(found)["radial_embedding"])["cutoff_fn"]
    cutoff.__dict__["_buffers"]["r_max"] = np.array(3.0)
    network = network_from_module(found, "m.model")
    text = refusal(lambda: mace.export_mace(state_dict(found), network, provenance={}, log=print))
    assert "radial_embedding.cutoff_fn.r_max is 3, expected r_max, " in text


@pytest.mark.slow
def test_radii_of_the_repulsion_are_those_of_the_file() -> None:
    from safetensors.numpy import load_file

    tensors = load_file(MACE / "mace_heads.weights.safetensors")
    radii = np.linspace(0.2, 1.0, 119)
    config = json.loads((MACE / "mace_heads.config.json").read_text())
    network = network_from_config(config, "c.json")

    def export(radii: Array) -> Model:
        given = {**tensors, "pair_repulsion_fn.covalent_radii": radii}
        return mace.export_mace(
            given, network, provenance=PROVENANCE, head="pbe", log=lambda line: None
        )

    assert max_error(export(radii).tensors["pair_repulsion_fn/radius"], radii[[1, 6, 8]]) == 0.0
    text = refusal(lambda: export(radii[:5]))
    assert "pair_repulsion_fn.covalent_radii: 5 radii, expected one for each element" in text


PROVENANCE = {
    "upstream": "none",
    "exporter": "tests",
    "data": "none",
    "level_of_theory": "none",
    "licence": "none",
}


# ---- signs of Wigner 3j ----


def test_signs_that_nothing_tells_are_refused() -> None:
    found = pickled("mace_so3.model", EXPORTERS)
    tensors = {k: v for k, v in state_dict(found).items() if "_w3j_" not in k}
    network = network_from_module(found, "m.model")
    text = refusal(lambda: mace.export_mace(tensors, network, provenance={}, log=print))
    assert text == (
        "checkpoint: interactions.1.conv_tp: Wigner 3j 1x2->2: its sign differs between versions "
        "of e3nn, and the checkpoint holds neither its tables nor a version.\n" + mace.SIGN_CURE
    )


@pytest.mark.parametrize("version", ["0.4.4", "0.5.6", "1.0.0"])
def test_the_version_of_e3nn_tells_the_signs(version: str) -> None:
    is_old = e3nn.sign_is_old(version, "c")
    assert is_old is (version == "0.4.4")
    found = pickled("mace_so3.model", EXPORTERS)
    stored = state_dict(found)
    network = network_from_module(found, "m.model")
    expected = mace.export_mace(stored, network, provenance=PROVENANCE, log=lambda line: None)
    network.__dict__["has_old_signs"] = is_old
    bare = {k: v for k, v in stored.items() if "_w3j_" not in k}
    model = mace.export_mace(bare, network, provenance=PROVENANCE, log=lambda line: None)
    same = model.sha256 == expected.sha256
    assert same is (version == "0.4.4")


@pytest.mark.parametrize("version", ["new", "0.x", "", "4"])
def test_versions_of_e3nn_that_are_none(version: str) -> None:
    text = refusal(lambda: e3nn.sign_is_old(version, "c.json: /e3nn"))
    assert f"c.json: /e3nn: found {version!r}, expected a version of e3nn as in 0.4.4" in text


@pytest.mark.slow
def test_tables_of_single_precision_may_have_either_sign() -> None:
    """A table that is rounded is made again with the signs that it has."""
    from safetensors.numpy import load_file

    config = json.loads((MACE / "mace_l3c3.config.json").read_text())
    tensors = load_file(MACE / "mace_l3c3.weights.safetensors")
    network = network_from_config(config, "c.json")
    exported_with = {}
    for is_old in (True, False):
        given = dict(tensors)
        for k in range(2):
            for c, degree in enumerate((0, 1) if k == 0 else (0,)):
                prefix = f"products.{k}.symmetric_contractions.contractions.{c}"
                for nu in (1, 2, 3):
                    table = mace.coupling_table(
                        network.harmonics, degree, (-1) ** degree, nu, is_old=is_old
                    )
                    table = table[0] if degree == 0 else table
                    given[f"{prefix}.U_matrix_{nu}"] = table.astype(np.float32)
        exported_with[is_old] = mace.export_mace(
            given, network, provenance=PROVENANCE, log=lambda line: None
        )
    golden = mace.export_mace(tensors, network, provenance=PROVENANCE, log=lambda line: None)
    assert exported_with[True].sha256 == golden.sha256
    assert exported_with[False].sha256 != golden.sha256


def test_missing_tables_need_a_version_or_the_model() -> None:
    from safetensors.numpy import load_file

    config = json.loads((MACE / "mace_l3c3.config.json").read_text())
    tensors = load_file(MACE / "mace_l3c3.weights.safetensors")
    del config["e3nn"]

    def export() -> Model:
        network = network_from_config(config, "c.json")
        return mace.export_mace(tensors, network, provenance=PROVENANCE, log=print)

    text = refusal(export)
    assert "U_matrix_3: its sign differs between versions of e3nn, and the checkpoint" in text
    config["e3nn"] = "0.4.4"
    config["config"]["use_reduced_cg"] = True
    text = refusal(export)
    assert "is missing, and with use_reduced_cg only the checkpoint has it." in text


# ---- SevenNet ----


def seven() -> tuple[dict[str, Array], dict[str, Any]]:
    found = read_torch_file(SEVENNET)
    return dict(found["model_state_dict"]), copy.deepcopy(found["config"])


def export_seven(tensors: dict[str, Array], config: dict[str, Any]) -> Model:
    return export_sevennet(
        tensors, SevenNetConfig(config, "c"), provenance=PROVENANCE, log=lambda line: None
    )


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_training_are_taken_off(prefix: str) -> None:
    tensors, config = seven()
    prefixed = {prefix + key: value for key, value in tensors.items()}
    assert export_seven(prefixed, config).sha256 == export_seven(tensors, config).sha256
    both = {**tensors, **prefixed}
    assert "occurs twice, with and without torch's prefixes" in refusal(
        lambda: export_seven(both, config)
    )


def test_frequencies_that_are_not_trained_are_computed() -> None:
    tensors, config = seven()
    key = "edge_embedding.basis_function.coeffs"
    n = tensors[key].size
    numbers = (np.arange(1, n + 1) * np.pi / config["cutoff"]).astype(np.float32)
    with_them = export_seven({**tensors, key: numbers}, config)
    del tensors[key]
    text = refusal(lambda: export_seven(tensors, config))
    assert f'tensor "{key}" is missing' in text
    config["radial_basis"] = {**config["radial_basis"], "trainable_coeff": False}
    assert export_seven(tensors, config).sha256 == with_them.sha256


@pytest.mark.parametrize("version", ["0.13.0rc1", "0.11.0", "0.11.0.post1", "1.0.0+cu"])
def test_versions_of_sevenn_that_sort(version: str) -> None:
    config = seven()[1] | {"version": version}
    assert SevenNetConfig(config, "c").sorted_weights


@pytest.mark.parametrize("version", ["0.11.0.dev0", "0.10.4", "0.9.5rc2"])
def test_versions_of_sevenn_that_do_not_sort(version: str) -> None:
    assert not SevenNetConfig(seven()[1] | {"version": version}, "c").sorted_weights


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "version": (
        {"version": None},
        "c: version is None, expected sevenn's as in 0.11.0: it determines the order",
    ),
    "word": ({"version": "new"}, "c: version is new, expected sevenn's as in 0.11.0"),
    "unknown": (
        {"attention": True, "heads": 3},
        "c: attention, heads: unknown key; it may change the network.",
    ),
    "basis": (
        {"radial_basis": {"radial_basis_name": "bessel", "width": 3}},
        "c: radial_basis/width: unknown key; it may change the network",
    ),
    "irreps": ({"irreps_manual": ["4x0e"]}, "expected irreps of the input and of each of 3 layer"),
    "hidden": (
        {"weight_nn_hidden_neurons": [64]},
        "0_convolution.weight_nn: hidden layers of [64, 64], but the configuration says [64]",
    ),
    "function": (
        {"radial_basis": {"radial_basis_name": "gaussian"}},
        "c/radial_basis: found gaussian, expected bessel",
    ),
    "count": (
        {"radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 5}},
        "has shape [8], expected [5]",
    ),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_configurations_of_sevennet(fault: str) -> None:
    changes, expected = CONFIGS[fault]
    tensors, config = seven()
    assert expected in refusal(lambda: export_seven(tensors, config | changes))


def test_features_of_sevennet_that_nothing_makes() -> None:
    tensors, config = seven()
    config["irreps_manual"] = ["4x0e", "4x0e+4x0o+4x1o+4x2e", "4x0e", "4x0e"]
    name = "0_self_interaction_2.linear.weight"
    said = SevenNetConfig(config, "c")
    outputs = said.outputs([(4, 0, 1)], 0)
    gate = e3nn.gate(
        [s for s in outputs if not s[1]],
        [s for s in outputs if s[1]],
        said.scalar_activations,
        said.gate_activations,
    )
    targets = said.targets([(4, 0, 1)], outputs, 0)
    _, mid = e3nn.instructions([(4, 0, 1)], said.harmonics, targets, sorted_weights=False)
    tensors[name] = np.ones(e3nn.linear_size(e3nn.merged(mid), gate.inputs))
    around = "0_self_connection_intro.fc_tensor_product.weight"
    tensors[around] = np.ones(2 * e3nn.linear_size([(4, 0, 1)], gate.inputs))
    text = refusal(lambda: export_seven(tensors, config))
    assert "layer 0 makes 4x0e+4x0o+4x1o+4x2e, but nothing leads to 0o: it stays zero" in text


def test_irreps_of_sevennet_without_scalars_first() -> None:
    _, config = seven()
    config["irreps_manual"] = ["4x0e", "3x1o+4x0e", "4x0e", "4x0e"]
    text = refusal(lambda: SevenNetConfig(config, "c"))
    assert "c/irreps_manual: found 3x1o+4x0e, expected scalars first, as e3nn's gate" in text


@pytest.mark.parametrize(
    ("version", "is_sorted"),
    [
        ("0.10.4", False),
        ("0.11.0.dev0", False),
        ("0.11.0", True),
        ("0.11.1.dev0", True),
        ("0.12.0.dev0", True),
    ],
)
def test_versions_of_sevennet_that_sort_weights(version: str, is_sorted: bool) -> None:
    _, config = seven()
    assert SevenNetConfig(config | {"version": version}, "c").sorted_weights == is_sorted


def test_numpy_scalars_in_a_configuration_are_numbers(tmp_path: Path) -> None:
    _, config = seven()
    content = {"config": {"cutoff": np.float64(4.0), "lmax": np.int64(2), "shift": np.ones(2)}}
    path = torch_file(tmp_path, content)
    found = read_torch_file(path)["config"]
    config |= {key: found[key] for key in ("cutoff", "lmax")}
    assert SevenNetConfig(config, "c").cutoff == 4.0


def test_checkpoints_of_sevennet_without_their_parts(tmp_path: Path) -> None:
    content: dict[str, Any] = {"config": [1], "model_state_dict": {}}
    path = torch_file(tmp_path, content)
    text = refusal(lambda: sevennet.read(options(checkpoint=path)))
    assert text == (
        f"{path}: config is a list, expected a dictionary. Give a checkpoint of sevenn."
    )


# ---- NequIP ----


def test_checkpoints_of_training_are_told_to_be_packaged(tmp_path: Path) -> None:
    for name, content in (
        ("last.ckpt", {"a": 1}),
        ("last.pt", {"pytorch-lightning_version": "2.5"}),
    ):
        path = torch_file(tmp_path, content).rename(tmp_path / name)
        assert refusal(lambda path=path: nequip.read(path)) == (  # type: ignore[misc]
            f"{path}: is a training checkpoint, which does not contain the whole network. "
            f"Package it with nequip:\nnequip-package build {name} last.nequip.zip"
        )


def test_a_state_dict_of_nequip(tmp_path: Path) -> None:
    tensor = Tensor(np.zeros(3), "0")
    path = torch_file(tmp_path, {"w": tensor}, tensor)
    assert refusal(lambda: nequip.read(path)) == (
        f"{path}: holds a state_dict, which does not describe the network.\nGive what "
        "nequip-deploy of 0.5 or 0.6 made, or a package of a later version (.nequip.zip)."
    )


def test_packages_are_known_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    shutil.copy(EXPORTERS / "nequip_nequip_0.14_plain.nequip.zip", path)
    text = refusal(lambda: nequip.UPSTREAM.export(options(checkpoint=path), print))
    assert text.startswith("--energy-unit: a model does not say in which unit its training data")


# ---- Nequix ----


def nequix_line(**changes: Any) -> dict[str, Any]:
    with NEQUIX.open("rb") as file:
        found: dict[str, Any] = json.loads(file.readline())
    return found | changes


def test_torch_files_of_nequix(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(b"PK\x03\x04 and so on\n")
    assert refusal(lambda: nequix.read_nqx(path)) == (
        f"{path}: not readable as .nqx (it is a file of torch, expected one of JAX). "
        "Get the file again."
    )
    path.write_bytes(json.dumps(nequix_line()).encode() + b"\nPK\x03\x04")
    assert refusal(lambda: nequix.read_nqx(path)) == (
        f"{path}: not readable as a file of torch.save (BadZipFile: File is not a zip file).\n"
        "It is damaged or incomplete: get it again."
    )


def test_features_of_nequix_above_the_harmonics() -> None:
    text = refusal(lambda: NequixConfig(nequix_line(lmax=1), "c"))
    assert "with lmax 1, expected degrees up to lmax: nequix itself does not run this" in text


def test_unknown_keys_of_nequix() -> None:
    text = refusal(lambda: NequixConfig(nequix_line(attention=True, gate="x"), "c"))
    assert text == (
        "c: attention, gate: unknown key; it may change the network.\n"
        "This file is of a version that has no exporter."
    )


# ---- --verify ----


def verified(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any, output: Path, evaluate: Any, status: int
) -> str:
    upstream = next(one for one in UPSTREAMS if one.name == "mace")
    changed = {**upstream.__dict__, "verifier": Verifier("mace-torch==0.3.16", evaluate)}
    monkeypatch.setattr(cli, "UPSTREAMS", (type(upstream)(**changed),))
    words = ["export", "mace", "--checkpoint", str(PRETRAINED / "mace_acac.pt")]
    words += ["--output", str(output), "--verify", "--force"]
    assert cli.main(words) == status
    ran = capsys.readouterr()
    return ran.err if status else ran.out


def test_verify_holds_upstream_against_the_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    golden = read_model(PRETRAINED / "mace_acac.eqnn")
    factor, energies = 1.0, 0.0

    def evaluate(given: Namespace, structures: Any) -> tuple[list[Evaluated], str]:
        out = []
        with Potential(PRETRAINED / "mace_acac.eqnn", "reference") as potential:
            pressed = structures[-1]
            radii = covalent_radii[pressed.numbers]
            bonds = pressed.get_all_distances() / (radii[:, None] + radii)
            assert 0.6 < bonds[bonds > 0].min() < 0.85  # where a ZBL would be seen
            result = potential.evaluate(pressed.numbers, pressed.positions)
        last = {"positions": pressed.positions, "energy": result.energy, "forces": result.forces}
        tests = [*golden.document["self_test"], last]
        for atoms, test in zip(structures, tests, strict=True):
            np.testing.assert_array_equal(atoms.positions, test["positions"])
            stress = None
            if atoms.pbc.all():
                virial = np.array(test["virial"])
                stress = -0.5 * factor * (virial + virial.T) / atoms.get_volume()
            forces = np.array(test["forces"])
            out.append(Evaluated(energy(golden, atoms) + energies, forces, stress))
        return out, "double"

    output = tmp_path / "m.eqnn"
    text = verified(capsys, monkeypatch, output, evaluate, 0)
    assert "  Verified with mace-torch==0.3.16 in double on 5 structures: energy " in text
    assert output.is_file()
    output.unlink()
    for factor, energies, what in (  # noqa: B007
        (1.0 + 1e-7, 0.0, "periodic cell: stress differ by 1.0e-07 of the largest from upstream's"),
        (1.0, 1e-3, "molecule: energy differ by "),
        (1.0, float("nan"), "molecule: energy differ by nan of the largest from upstream's"),
    ):
        text = verified(capsys, monkeypatch, output, evaluate, 1)
        assert f"eqnn: --verify: {what}" in text
        assert "Nothing was written. Please report it with the checkpoint." in text
        assert not output.exists()


def test_verify_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(given: Namespace, structures: Any) -> Any:
        raise ImportError("No module named 'torch'")

    text = verified(capsys, monkeypatch, tmp_path / "m.eqnn", missing, 1)
    assert text == (
        "eqnn: --verify: upstream's code cannot be imported (No module named 'torch'). "
        "Install it:\npip install mace-torch==0.3.16\n"
    )

    def fails(given: Namespace, structures: Any) -> Any:
        raise RuntimeError("no\nsuch file")

    text = verified(capsys, monkeypatch, tmp_path / "m.eqnn", fails, 1)
    assert text.startswith(
        "eqnn: --verify: upstream's code (mace-torch==0.3.16) does not run this checkpoint "
        "(RuntimeError: no such file).\nNothing was written."
    )


def test_verify_of_code_that_is_no_package(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stem = TDN / "model_l1_h16_b1"
    words: list[str | Path] = ["export", "tdn", "--checkpoint", f"{stem}.weights.safetensors"]
    words += ["--config", f"{stem}.config.json", "--species", "H,C", "--energy", "extensive"]
    words += ["--verify", "--output", tmp_path / "m.eqnn"]
    found = command(capsys, *words)
    assert found.startswith(
        "--verify: TDN (Tensor Decomposition Network; AIRS, OpenMol/TDN) cannot be"
    )
    assert not (tmp_path / "m.eqnn").exists()


def test_no_exporter_imports_an_upstream_package() -> None:
    """Without --verify nothing of a checkpoint runs, whatever is installed."""
    import subprocess
    import sys

    code = "import sys, eqnn.cli; print([m for m in ('torch','jax','mace') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
