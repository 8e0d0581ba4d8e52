# SPDX-License-Identifier: BSD-3-Clause
"""The `eqnn` command as users see it: its output and exit status."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import numpy as np
import pytest
from ase import Atoms
from eqnn_models import (
    MACE_GAUNT,
    PRETRAINED,
    ROOT,
    TDN,
    TRAINED,
    config,
    tiny_cg_model,
    tiny_gate_model,
    tiny_gaunt_model,
    tiny_model,
    tiny_network_model,
)

import eqnn
from eqnn import cli, launch, library
from eqnn.errors import InvalidModelError
from eqnn.export import UPSTREAMS
from eqnn.info import cutoff_defects, describe
from eqnn.model_file import Model, read_model, write_model
from eqnn.numpy_evaluator import energy
from eqnn.self_test import add_self_test

SHIPPED = ROOT / "potentials" / "tdn_3bpa.eqnn"
WEIGHTS = TDN / "model_l1_h16_b1.weights.safetensors"
CONFIG = TDN / "model_l1_h16_b1.config.json"


class Ran(NamedTuple):
    """The result of a run of the command."""

    status: int
    out: str
    err: str


class Eqnn:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str | Path) -> Ran:
        status = cli.main([str(word) for word in words])
        return Ran(status, *self.capsys.readouterr())

    def fails(self, *words: str | Path, status: int = 1) -> str:
        """Run a command that must fail; return its message: one or two clean lines."""
        ran = self(*words)
        assert ran.status == status, ran
        assert ran.err.startswith("eqnn: ")
        assert 1 <= len(ran.err.splitlines()) <= 2
        assert "Traceback" not in ran.err
        return ran.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Eqnn:
    return Eqnn(capsys)


def export_words(output: Path, *more: str | Path) -> list[str | Path]:
    words: list[str | Path] = ["export", "tdn", "--checkpoint", WEIGHTS, "--config", CONFIG]
    words += ["--output", output]
    if "--species" not in more:
        words += ["--species", "H,C,N,O"]
    if "--energy" not in more:
        words += ["--energy", "extensive"]
    return [*words, *more]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- the command itself ----


def test_version(run: Eqnn, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"eqnn {eqnn.__version__}\n"


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("eqnn")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"eqnn {eqnn.__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["export", "--help"],
        ["check", "--help"],
        *(["export", upstream.name, "--help"] for upstream in UPSTREAMS),
    ],
)
def test_help_is_given(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0
    text = capsys.readouterr().out
    if words == ["export", "--help"]:
        for upstream in UPSTREAMS:
            assert upstream.name in text and upstream.title.split(" (")[0] in text
    if words == ["export", "tdn", "--help"]:
        for option in ("--exact-products", "--config", "--level-of-theory", "--force"):
            assert option in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["info"], "the following arguments are required: MODEL"),
        (["info", "a", "b"], "unrecognized arguments: b"),
        (["export"], "the following arguments are required: UPSTREAM"),
        (["export", "schnet"], "invalid choice: 'schnet'"),
        (["export", "tdn"], "the following arguments are required: --checkpoint, --output, --con"),
        (["check", "m", "--structure"], "argument --structure: expected one argument"),
        (
            ["export", "tdn", "--species", "H,Q"],
            "argument --species: 'Q' is not a chemical symbol, expected symbols with commas: "
            "H,C,N,O",
        ),
        (["export", "tdn", "--species", ""], "argument --species: '' is not a chemical symbol"),
        (["export", "tdn", "--species", "H,,C"], "argument --species: '' is not a chemical symbol"),
        (
            ["export", "tdn", "--species", "H", "6"],
            "argument --species: '6' is not a chemical symbol",
        ),
        (
            ["export", "tdn", "--species", "C,H,C"],
            "argument --species: C stands twice, expected each element once, as in H,C,N,O",
        ),
        (
            ["export", "tdn", "--species", "H", "C", "--species", "O"],
            "argument --species: it stands twice, expected all elements after one, as in H,C,N,O",
        ),
        *(
            (
                ["export", upstream, option.split("/")[0], " "],
                f"argument {option}: the text is empty. Leave the",
            )
            for upstream, option in (
                *(("mace", "--head"), ("mlip", "--head"), ("sevennet", "--modality")),
                *(("tdn", "--data"), ("tdn", "--level-of-theory"), ("tdn", "--licence/--license")),
            )
        ),
        (["export", "tdn", "--energy", "sum"], "argument --energy: invalid choice: 'sum'"),
    ],
)
def test_wrong_use_is_status_two(run: Eqnn, words: list[str], expected: str) -> None:
    text = run.fails(*words, status=2)
    assert expected in text
    assert "--help`." in text


def test_a_reader_that_stops_early_is_no_error() -> None:
    """As in `eqnn info MODEL | true`."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "eqnn.cli", "info", str(SHIPPED)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 1


# ---- export ----


@pytest.mark.parametrize("option", ["--licence", "--license"])
def test_export_writes_a_complete_model_and_reports(run: Eqnn, tmp_path: Path, option: str) -> None:
    output = tmp_path / "m.eqnn"
    told = ["--data", "random", "--level-of-theory", "none", option, "BSD-3-Clause"]
    ran = run(*export_words(output, *told))
    assert (ran.status, ran.err) == (0, "")
    model = read_model(output)
    lines = ran.out.splitlines()
    assert lines[0] == f"Reading {WEIGHTS} as {UPSTREAMS[0].title}."
    assert lines[1].startswith("  Dropped the direct-force head (28 tensors, ")
    assert lines[2] == "  3 tensor products hold 1 distinct set(s) of factors of rank 7."
    assert lines[3].startswith("  Fitted coupling tensor: relative error 1.572e-02, equivariance")
    assert lines[4] == (
        "  Self-test: molecule (8 atoms); molecule, rotated (8 atoms); molecule, inverted "
        "(8 atoms); periodic cell (6 atoms)"
    )
    size = output.stat().st_size
    assert lines[5] == f"Wrote {output}: {model.n_parameters} numbers, {size} bytes."
    assert lines[6:] == [
        f"  SHA-256 {model.sha256}",
        f"  What it can be used for: eqnn check {output}",
    ]
    provenance = model.document["provenance"]
    assert provenance == {
        "upstream": "TDN, AIRS/OpenMol/TDN",
        "data": "random",
        "level_of_theory": "none",
        "licence": "BSD-3-Clause",
        "exporter": f"eqnn {eqnn.__version__}",
        "checkpoint": WEIGHTS.name,
        "checkpoint_sha256": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
    }
    # Same weights and graph as the golden model; only the provenance is another.
    golden = read_model(TDN / "model_l1_h16_b1.eqnn")
    assert model.document["graph"] == golden.document["graph"]
    assert all((model.tensors[n] == t).all() for n, t in golden.tensors.items())
    assert files(tmp_path) == ["m.eqnn"]


def test_what_is_not_stated_is_said(run: Eqnn, tmp_path: Path) -> None:
    ran = run(*export_words(tmp_path / "m.eqnn", "--data", "some"))
    assert (
        "  Not stated: level_of_theory, licence. State it with --level-of-theory --licence.\n"
        in ran.out
    )
    provenance = read_model(tmp_path / "m.eqnn").document["provenance"]
    assert provenance["licence"] == "not stated" and provenance["data"] == "some"


def test_the_configuration_states_provenance_and_options_have_the_last_word(
    run: Eqnn, tmp_path: Path
) -> None:
    document = config() | {
        "provenance": {
            "upstream": "TDN at commit 1",
            "data": "A",
            "level_of_theory": "B",
            "licence": "C",
            "seed": 3,
            "exporter": "another",
        }
    }
    path = tmp_path / "c.json"
    path.write_text(json.dumps(document))
    words = export_words(tmp_path / "m.eqnn", "--data", "mine")
    words[words.index(CONFIG)] = path
    assert run(*words).status == 0
    found = read_model(tmp_path / "m.eqnn").document["provenance"]
    assert (found["upstream"], found["data"], found["licence"]) == ("TDN at commit 1", "mine", "C")
    assert found["seed"] == 3 and found["exporter"] == f"eqnn {eqnn.__version__}"


@pytest.mark.parametrize(
    ("provenance", "expected"),
    [
        ([], "/provenance: found [], expected an object. Correct the configuration."),
        ({"data": 3}, "/provenance/data: found 3, expected a string. Correct the configuration."),
        ({"upstream": None}, "/provenance/upstream: found None, expected a string"),
    ],
)
def test_bad_provenance(run: Eqnn, tmp_path: Path, provenance: Any, expected: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(config() | {"provenance": provenance}))
    words = export_words(tmp_path / "m.eqnn")
    words[words.index(CONFIG)] = path
    assert expected in run.fails(*words)


def test_the_trained_model_needs_no_options(run: Eqnn, tmp_path: Path) -> None:
    ran = run(
        *("export", "tdn", "--checkpoint", TRAINED / "tdn_3bpa.weights.safetensors"),
        *("--config", TRAINED / "tdn_3bpa.config.json", "--output", tmp_path / "m.eqnn"),
        "--exact-products",
    )
    assert ran.status == 0
    assert "Exact coupling tensor in its place: relative error 0, equivariance defect " in ran.out
    model = read_model(tmp_path / "m.eqnn")
    shipped = read_model(ROOT / "potentials" / "tdn_3bpa_exact.eqnn")
    assert model.document["graph"] == shipped.document["graph"]
    assert model.document["energy"] == shipped.document["energy"]
    assert model.document["provenance"]["products"].startswith("exact, in the place of the fitted")


def test_existing_files_stay_without_force(run: Eqnn, tmp_path: Path) -> None:
    output = tmp_path / "m.eqnn"
    output.write_text("precious")
    text = run.fails(*export_words(output))
    assert text == (
        f"eqnn: --output {output}: exists already. Give another path, or --force to overwrite it.\n"
    )
    assert output.read_text() == "precious"
    assert run(*export_words(output, "--force")).status == 0
    assert read_model(output).document["family"] == "tdn"


@pytest.mark.parametrize("option", ["checkpoint", "config"])
def test_inputs_are_never_overwritten(run: Eqnn, tmp_path: Path, option: str) -> None:
    original = {"checkpoint": WEIGHTS, "config": CONFIG}[option]
    copy = tmp_path / original.name
    shutil.copy(original, copy)
    link = tmp_path / "m.eqnn"
    link.symlink_to(copy)
    for output in (copy, link):
        words = export_words(output, "--force")
        words[words.index(original)] = copy
        text = run.fails(*words)
        assert text == f"eqnn: --output {output}: is the file of --{option}. Give another path.\n"
    assert copy.read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("none/m.eqnn", "there is no folder"),
        (".", "is a folder, expected a file's path"),
    ],
)
def test_outputs_that_cannot_be(run: Eqnn, tmp_path: Path, output: str, expected: str) -> None:
    assert expected in run.fails(*export_words(tmp_path / output))
    assert files(tmp_path) == []


def test_nothing_is_left_where_the_export_fails(
    run: Eqnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target == tmp_path / "m.eqnn":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    text = run.fails(*export_words(tmp_path / "m.eqnn"))
    assert "cannot be written (No space left on device)" in text
    assert files(tmp_path) == []


def test_without_the_library_nothing_is_read(
    run: Eqnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQNN_LIBRARY", str(tmp_path / "none.so"))
    monkeypatch.setattr(cli, "exported", lambda *_: pytest.fail("the checkpoint was read"))
    library._library.cache_clear()
    try:
        text = run.fails(*export_words(tmp_path / "m.eqnn"))
    finally:
        library._library.cache_clear()
    assert "none.so, where there is no file. Set it to the path of libeqnn.so" in text


def test_a_wrong_structure_is_told_before_the_checkpoint_is_read(
    run: Eqnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "exported", lambda *_: pytest.fail("the checkpoint was read"))
    words = export_words(tmp_path / "m.eqnn", "--self-test-structure", tmp_path / "none.xyz")
    assert "none.xyz: no such file. Give the path of a structure." in run.fails(*words)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "c.json: no such file. Give the path of the JSON file that belongs to the weights."),
        ("{", "c.json: not readable as JSON (Expecting property name"),
        ("[1]", "c.json: holds a JSON list, expected an object."),
        ("{}", 'c.json: key "config" with the network\'s constants is missing'),
        (b"\xff\xfe", "c.json: not readable as JSON ('utf-8' codec can't decode"),
    ],
)
def test_configurations_that_are_none(
    run: Eqnn, tmp_path: Path, content: str | bytes | None, expected: str
) -> None:
    path = tmp_path / "c.json"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    words = export_words(tmp_path / "m.eqnn")
    words[words.index(CONFIG)] = path
    assert expected in run.fails(*words)
    assert not (tmp_path / "m.eqnn").exists()


def test_missing_checkpoints(run: Eqnn, tmp_path: Path) -> None:
    words = export_words(tmp_path / "m.eqnn")
    words[words.index(WEIGHTS)] = tmp_path / "none.safetensors"
    assert "no such file. Give the checkpoint's path with --checkpoint." in run.fails(*words)


def test_damaged_torch_checkpoints(run: Eqnn, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"")
    words = export_words(tmp_path / "m.eqnn")
    words[words.index(WEIGHTS)] = path
    assert "w.pt: is an empty file, expected a checkpoint. Get the file again." in run.fails(*words)


def test_a_structure_for_the_self_test(run: Eqnn, tmp_path: Path) -> None:
    water = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    ase.io.write(tmp_path / "water.xyz", water)
    words = export_words(tmp_path / "m.eqnn", "--self-test-structure", tmp_path / "water.xyz")
    assert "Self-test: molecule (3 atoms); " in run(*words).out
    assert read_model(tmp_path / "m.eqnn").document["self_test"][0]["numbers"] == [8, 1, 1]
    for text, expected in (("3\n\nHe 0 0 0\n", "ASE cannot read"), ("1\n\nS 0 0 0\n", "holds S")):
        (tmp_path / "water.xyz").write_text(text)
        assert expected in run.fails(*words, "--force")


def test_species_and_energies_of_the_command_line(run: Eqnn, tmp_path: Path) -> None:
    words = ["--species", " O, C", "--energy", "mean-per-atom"]
    assert run(*export_words(tmp_path / "m.eqnn", *words)).status == 0
    model = read_model(tmp_path / "m.eqnn")
    assert model.document["species"] == [6, 8]
    assert model.document["energy"]["semantics"] == "mean-per-atom"


EXPORTS: dict[str, list[str | Path]] = {
    "mace": ["--checkpoint", PRETRAINED / "mace_tutorial.model"],
    "mace-gaunt": [
        *("--checkpoint", MACE_GAUNT / "mg_l2_h8_c2.weights.safetensors"),
        *("--config", MACE_GAUNT / "mg_l2_h8_c2.config.json"),
    ],
    "sevennet": ["--checkpoint", PRETRAINED / "sevennet_cp0.pth"],
}


@pytest.mark.parametrize("upstream", EXPORTS)
def test_exports_of_every_kind_carry_self_tests(run: Eqnn, tmp_path: Path, upstream: str) -> None:
    output = tmp_path / "m.eqnn"
    ran = run("export", upstream, *EXPORTS[upstream], "--output", output)
    assert (ran.status, ran.err) == (0, "")
    assert "  Equivariance defect " in ran.out
    assert "  Self-test: molecule (8 atoms); molecule, rotated (8 atoms);" in ran.out
    assert f"  SHA-256 {read_model(output).sha256}" in ran.out
    assert "  Not stated: data, level_of_theory, licence." in ran.out
    for test in read_model(output).document["self_test"]:
        atoms = Atoms(test["numbers"], test["positions"], cell=test["cell"], pbc=bool(test["cell"]))
        assert abs(energy(read_model(output), atoms) - test["energy"]) <= 1e-8


def test_weights_may_be_stored_in_single_precision(run: Eqnn, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("double.eqnn", "single.eqnn")]
    for path, more in zip(paths, ([], ["--single"]), strict=True):
        assert run(*export_words(path, *more)).status == 0
    assert paths[1].stat().st_size < 0.8 * paths[0].stat().st_size
    double, single = (read_model(path) for path in paths)
    for name, tensor in single.tensors.items():
        is_coupling = name == "matrix/coupling"
        is_matrix = tensor.ndim > 1 and not is_coupling
        assert tensor.dtype == (np.float32 if is_matrix else double.tensors[name].dtype), name
        assert np.abs(tensor - double.tensors[name]).max() <= 1e-7 * np.abs(tensor).max()
    assert single.document["equivariance"] == double.document["equivariance"]


# ---- info ----


def test_info_says_what_a_person_wants_to_know(run: Eqnn) -> None:
    ran = run("info", SHIPPED)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == str(SHIPPED)
    assert all(len(line) <= 100 and line == line.rstrip() for line in lines)
    said = dict((line[:20].strip(), line[20:]) for line in lines[1:] if line[:20].strip())
    assert said["family"] == "tdn"
    assert said["elements"] == "H C N O"
    assert said["cutoff"] == "5 Angstrom"
    assert said["size"] == "l_max 2, 32 channels, 2 attention layer(s), 32634 parameters"
    assert said["stages"] == (
        "spherical_harmonics, edge_matrix, species_embedding, 3 radial, degree_embedding,"
    )
    assert said["energies"].startswith("extensive: a sum over atoms")
    assert said["forces"].startswith("minus the gradient of the energy")
    assert said["equivariance"] == (
        "approximate, defect 2.3e-02: energies depend a little on orientation"
    )
    assert said["symmetry"] == "rotations only: mirror images have different energies"
    assert said["at the cutoff"].startswith("energies jump where a pair crosses it (radial func")
    assert said["self-test"] == ("molecule; molecule, rotated; molecule, inverted; periodic cell")
    assert said["SHA-256"] == read_model(SHIPPED).sha256
    assert said["level of theory"] == "wB97X/6-31G(d)"
    assert "300K_validation: n 50, energy 35.3, force 75.7" in ran.out


def test_info_cuts_long_entries_of_the_provenance() -> None:
    tiny = tiny_model()
    document = json.loads(json.dumps(tiny.document))
    document["provenance"]["training"] = {"seed": {"a": 1}, "from": "x" * 320 + "unseen"}
    model = type(tiny)(document, tiny.tensors, "m")
    cut, full = "".join(describe(model).split()), "".join(describe(model, in_full=True).split())
    assert "x" * 314 + "...(12morecharacters:--all)" in cut  # of 332: "from: " is printed too
    assert "unseen" not in cut
    assert "x" * 320 + "unseen" in full
    assert "--all" not in full


def test_info_prints_all_on_request(run: Eqnn) -> None:
    organic = ROOT / "potentials" / "organic_tdn.eqnn"
    assert "more characters: --all" in run("info", organic).out
    assert "more characters: --all" not in run("info", "--all", organic).out


def test_every_option_of_every_command_says_what_it_is() -> None:
    silent = []
    queue = [cli._parser()]
    while queue:
        parser = queue.pop()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                queue += action.choices.values()
                silent += [f"{parser.prog} {a.dest}" for a in action._choices_actions if not a.help]
            elif not action.help:
                silent.append(f"{parser.prog} {action.option_strings or action.dest}")
        if not parser.description:
            silent.append(f"{parser.prog}: no description")
    assert silent == []


def test_info_tells_other_kinds_apart() -> None:
    direct = describe(tiny_model(forces="direct"))
    assert "predicted directly, not the gradient of the energy" in direct
    assert "allow direct-forces" in " ".join(direct.split())
    tiny = tiny_model()
    document = json.loads(json.dumps(tiny.document))
    document["energy"]["semantics"] = "mean-per-atom"
    document["parity"] = "o3"
    text = " ".join(describe(type(tiny)(document, tiny.tensors, "m")).split())
    assert "energies mean per atom: fitted to energies divided by the number of atoms" in text
    assert "symmetry rotations and inversion" in text
    assert "an atom without neighbors has an energy from the network too" in text
    assert "equivariance exact (defect " in text
    assert "self-test none: not a complete file" in text
    assert "at the cutoff energies jump where a pair crosses it (attention weights without" in text


def test_what_makes_energies_jump() -> None:
    assert cutoff_defects(tiny_model()) == ["attention weights without an envelope"]
    assert cutoff_defects(tiny_model(fading=6)) == []
    assert cutoff_defects(tiny_model(envelope=None))[0] == "radial functions without an envelope"
    assert len(cutoff_defects(read_model(SHIPPED))) == 3


def test_a_bias_after_the_envelope_does_not_end_at_the_cutoff() -> None:
    assert cutoff_defects(tiny_cg_model()) == []
    assert cutoff_defects(tiny_gate_model()) == []  # its biases stand before the envelope
    model = tiny_gate_model()
    for stage in model.document["graph"]:
        if stage["op"] == "radial":
            stage["envelope"]["on"] = "basis"
    assert cutoff_defects(model) == ["radial functions with a bias after the envelope"]


def test_weights_of_both_atoms_end_at_the_cutoff_by_an_envelope_of_their_own() -> None:
    expected = "weights of edges that depend on both atoms, without an envelope"
    assert cutoff_defects(tiny_network_model(None)) == [expected]
    model = tiny_network_model()
    assert cutoff_defects(model) == []
    (of_network,) = (s for s in model.document["graph"] if s["output"] == "radial2")
    of_network["envelope"] = {"kind": "none"}  # what is made of it has one
    assert cutoff_defects(model) == []
    (product,) = (s for s in model.document["graph"] if s["output"] == "messages1")
    product["inputs"]["radial"] = "radial2"
    assert cutoff_defects(model) == ["radial functions without an envelope"]


def test_info_of_models_with_paths_and_products_on_the_sphere() -> None:
    text = " ".join(describe(tiny_cg_model()).split())
    assert "size l_max 2, 6x0e+2x1o+2x2e, 2 convolution(s) by tensor products, " in text
    assert "scale H 1.5, C 0.5, O -2 shift 0.5 eV per atom" in text
    text = " ".join(describe(tiny_network_model()).split())
    assert "1 convolution(s) by tensor products, 1 convolution(s) with networks on edges, " in text
    text = " ".join(describe(tiny_gaunt_model()).split())
    assert "size l_max 2, 2 channels, 2 convolution(s) by Gaunt products, " in text


def test_info_says_how_products_on_the_sphere_are_computed(run: Eqnn, tmp_path: Path) -> None:
    path = MACE_GAUNT / "mg_l3_h8_c3.eqnn"
    last = run("info", path).out.splitlines()[-1]
    assert re.fullmatch(
        r"  products on the sphere: (sparse|grid|fourier), (sparse|grid|fourier)", last
    )
    path = tmp_path / "gaunt.eqnn"
    model = tiny_gaunt_model()
    write_model(path, model.document, model.tensors)
    *_, convolutions, products = run("info", path).out.splitlines()
    assert re.fullmatch(r"  convolutions on the sphere: (sparse|aligned)(, \w+)*", convolutions)
    assert products.startswith("  products on the sphere: ")


def test_info_prints_the_plan_in_each_precision(run: Eqnn) -> None:
    ran = run("info", "--plan", SHIPPED)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.removeprefix(cli.PLAN_LEGEND + "\n").splitlines()
    assert re.fullmatch(
        r"radial 0: \d+ intervals of degree 9, \d+ channels, relative error \S+", lines[0]
    )
    assert any(re.match(r"\S+ \[9, 32\] in \d+/\d+, with ghosts = linear of ", x) for x in lines)
    assert lines[-1].startswith("energy += readout of ")
    single = run("info", "--plan", "--precision", "single", SHIPPED).out
    assert " intervals of degree 5, " in single.splitlines()[3]
    assert run("info", "--plan", "--precision", "double", SHIPPED).out == ran.out
    text = run.fails("info", "--precision", "single", SHIPPED, status=2)
    assert text == ("eqnn: --precision needs --plan. Add --plan, or leave it out.\n")


@pytest.mark.parametrize("command", ["info", "check", "validate"])
def test_an_empty_path_is_no_model(run: Eqnn, command: str) -> None:
    text = run.fails(command, "", status=2)
    assert text == (
        "eqnn: argument MODEL: the path is empty, expected that of a .eqnn file. "
        f"See `eqnn {command} --help`.\n"
    )


def test_info_of_what_is_no_model(run: Eqnn, tmp_path: Path) -> None:
    assert "no such file" in run.fails("info", tmp_path / "none")
    assert "config.json: is a JSON file, expected a checkpoint. Give" in run.fails("info", CONFIG)
    assert "is a folder, expected a file" in run.fails("info", tmp_path)
    for option in ("--plan", "--all"):
        assert run.fails("info", option, WEIGHTS, status=2) == (
            "eqnn: --all, --plan and --precision need a model file, not a checkpoint. Export it "
            "first.\n"
        )


# ---- check ----


def test_check_of_a_good_model_ends_with_its_limits_and_zero(run: Eqnn, tmp_path: Path) -> None:
    model = add_self_test(tiny_model())
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    ran = run("check", tmp_path / "m.eqnn")
    assert (ran.status, ran.err) == (0, "")
    last = ran.out.split("\n\n")[-1]
    assert last.startswith("Verdict: computed rightly; limits in MD: ")


def test_check_of_a_wrong_model_ends_with_one(run: Eqnn, tmp_path: Path) -> None:
    model = add_self_test(tiny_model())
    document = json.loads(json.dumps(model.document))
    document["self_test"][0]["energy"] += 1.0
    write_model(tmp_path / "m.eqnn", document, model.tensors)
    ran = run("check", tmp_path / "m.eqnn")
    assert (ran.status, ran.err) == (1, "")
    assert "\nVerdict: WRONG, do not use: the self-test fails (plain loops);" in ran.out


def test_check_on_a_structure(run: Eqnn, tmp_path: Path) -> None:
    model = add_self_test(tiny_model())
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    ase.io.write(tmp_path / "s.xyz", Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    ran = run("check", tmp_path / "m.eqnn", "--structure", tmp_path / "s.xyz")
    assert ran.status == 0
    assert "on the given structure (3 atoms)" in ran.out
    text = run.fails("check", tmp_path / "m.eqnn", "--structure", tmp_path / "none.xyz")
    assert "none.xyz: no such file. Give the path of a structure." in text


def test_check_of_what_is_no_model(run: Eqnn, tmp_path: Path) -> None:
    assert "no such file" in run.fails("check", tmp_path / "none")


# ---- validate ----


def test_validate_says_that_a_model_runs(run: Eqnn) -> None:
    ran = run("validate", SHIPPED)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"{SHIPPED}: valid, and runs in double, mixed and single precision.\n"


def test_validate_says_what_is_wrong_and_where(run: Eqnn, tmp_path: Path) -> None:
    assert "no such file. Check the path." in run.fails("validate", tmp_path / "none")
    content = SHIPPED.read_bytes()
    (tmp_path / "m.eqnn").write_bytes(content[:-1])
    assert "truncated or damaged: copy or export it again" in run.fails(
        "validate", tmp_path / "m.eqnn"
    )


def test_validate_finds_what_only_loading_tells(run: Eqnn, tmp_path: Path) -> None:
    model = tiny_cg_model()
    wild = {**model.tensors, "radial1/basis/frequency": np.full(4, 1e6)}
    path = tmp_path / "m.eqnn"
    write_model(path, model.document, wild)
    text = run.fails("validate", path)
    assert (
        f"{path}: in double precision: stage radial1: a radial function cannot be tabulated" in text
    )
    assert text.endswith("Check its basis functions.\n")


def test_self_tests_are_of_models_that_run() -> None:
    model = tiny_cg_model()
    wild = {**model.tensors, "radial1/basis/frequency": np.full(4, 1e6)}
    with pytest.raises(InvalidModelError, match="stage radial1: a radial function cannot be tab"):
        add_self_test(Model(model.document, wild, "wild"))


# ---- plugin-path ----


def test_plugin_path_is_the_folder_for_lammps_or_the_file(run: Eqnn) -> None:
    folder = run("plugin-path").out.strip()
    assert (Path(folder) / "eqnnplugin.so").is_file()
    assert run("plugin-path", "--file").out.strip() == f"{folder}/eqnnplugin.so"


def test_plugin_path_of_another_build(
    run: Eqnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "eqnnplugin.so"
    monkeypatch.setenv("EQNN_PLUGIN", str(file))
    text = run.fails("plugin-path")
    assert f"EQNN_PLUGIN is {file}, where there is no file" in text
    file.write_text("")
    assert run("plugin-path").out == f"{tmp_path.resolve()}\n"


def test_ctrl_c_while_libraries_are_loaded_ends_without_a_traceback() -> None:
    code = (
        "import os, signal, sys, time\n"
        "import eqnn.launch\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'eqnn.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(5)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "sys.exit(eqnn.launch.main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_in_any_command_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("eqnn.cli.main", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert launch.main() == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err == "eqnn: stopped by Ctrl-C.\n"


@pytest.mark.parametrize(
    ("running", "set_before", "expected"),
    [
        ("1", {}, {}),  # this process alone
        ("9", {}, {"OMP_WAIT_POLICY": "passive"}),
        ("9", {"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ("9", {"GOMP_SPINCOUNT": "50"}, {"GOMP_SPINCOUNT": "50"}),
        ("", {}, {}),
    ],
)
def test_threads_sleep_where_others_use_the_cores(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    running: str,
    set_before: dict[str, str],
    expected: dict[str, str],
) -> None:
    load = tmp_path / "loadavg"
    load.write_text(f"0.20 0.18 0.12 {running}/80 11206\n" if running else "unknown\n")
    monkeypatch.setattr(launch, "_LOAD", load)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    launch.let_threads_sleep(set_before)
    assert set_before == expected


def test_the_command_lets_threads_sleep_before_openmp_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = tmp_path / "loadavg"
    load.write_text("0.20 0.18 0.12 999/1200 11206\n")
    monkeypatch.setattr(launch, "_LOAD", load)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("eqnn.cli.main", lambda: 0)
    assert launch.main() == 0
    assert os.environ.pop("OMP_WAIT_POLICY") == "passive"
