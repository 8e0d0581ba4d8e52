# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eqnn_models import RANDOM_MODELS, ROOT, TDN, refusal, tiny_model
from safetensors.numpy import save

from eqnn.model_file import Array, Model, content_hash, read_model, validate, write_model

Document = dict[str, Any]
Change = Callable[[Document, dict[str, Array]], Any]

SELF_TEST = {
    "name": "pair",
    "numbers": [1, 8],
    "positions": [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
    "cell": None,
    "energy": -1.0,
    "forces": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "virial": [[0.0] * 3] * 3,
}


def container(folder: Path, metadata: dict[str, str], tensors: dict[str, Array]) -> Path:
    path = folder / "model.eqnn"
    path.write_bytes(save(tensors, metadata=metadata))
    return path


def signed(folder: Path, text: str, tensors: dict[str, Array]) -> Path:
    """Write a file with any document and a hash that fits."""
    return container(folder, {"eqnn": text, "eqnn_sha256": content_hash(text, tensors)}, tensors)


# ---- round trips ----


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "tiny.eqnn"
    written = write_model(path, model.document, model.tensors)
    read = read_model(path)
    assert read.document == model.document
    assert read.tensors.keys() == model.tensors.keys()
    for name, tensor in model.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)
        assert read.tensors[name].dtype == tensor.dtype
    assert read.sha256 == written.sha256 == model.sha256
    assert read.n_parameters == sum(t.size for t in model.tensors.values())


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = tiny_model()
    files = [tmp_path / f"{k}.eqnn" for k in range(8)]  # one in 2^7 would agree by chance
    for path in files:
        write_model(path, model.document, model.tensors)
    assert len({path.read_bytes() for path in files}) == 1
    header = int.from_bytes(files[0].read_bytes()[:8], "little")
    assert header % 8 == 0


def test_numbers_of_single_precision_stay_so(tmp_path: Path) -> None:
    model = tiny_model()
    tensors = {name: tensor.astype(np.float32) for name, tensor in model.tensors.items()}
    write_model(tmp_path / "m", model.document, tensors)
    assert all(t.dtype == np.float32 for t in read_model(tmp_path / "m").tensors.values())


@pytest.mark.parametrize("name", RANDOM_MODELS)
def test_golden_models_are_valid_and_have_four_self_tests(name: str) -> None:
    model = read_model(TDN / f"model_{name}.eqnn")
    names = [test["name"] for test in model.document["self_test"]]
    assert names == ["molecule", "molecule, rotated", "molecule, inverted", "periodic cell"]


def test_hash_is_what_the_specification_says() -> None:
    text = '{"a": "Å"}'
    tensors = {
        "b": np.array([[1.0, 2.0]], dtype=np.float32),
        "a/x": np.array([0.5]),
        "é": np.zeros((2, 0)),
    }
    digest = hashlib.sha256(text.encode())
    digest.update(b"a/x\nF64\n[1]\n" + struct.pack("<d", 0.5))
    digest.update(b"b\nF32\n[1,2]\n" + struct.pack("<2f", 1.0, 2.0))
    digest.update("é\nF64\n[2,0]\n".encode())
    assert content_hash(text, tensors) == digest.hexdigest()


def test_hash_of_a_transposed_array_is_that_of_its_values() -> None:
    tensor = np.arange(6.0).reshape(2, 3).T
    assert content_hash("", {"x": tensor}) == content_hash("", {"x": tensor.copy()})


# ---- writing ----


def test_no_invalid_model_is_written(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "bad.eqnn"
    document = {**model.document, "cutoff": -1.0}
    assert "/cutoff" in refusal(lambda: write_model(path, document, model.tensors))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    path = tmp_path / "model.eqnn"
    path.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    text = refusal(lambda: write_model(path, model.document, model.tensors))
    assert "model.eqnn: cannot be written (No space left on device)" in text
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "none" / "m.eqnn"
    text = refusal(lambda: write_model(path, model.document, model.tensors))
    assert "cannot be written (No such file or directory). Give a path where you may write" in text


def test_other_users_can_read_what_is_written(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "m.eqnn"
    write_model(path, model.document, model.tensors)
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode


def test_nan_in_what_no_rule_covers_is_an_error(tmp_path: Path) -> None:
    model = tiny_model()
    document = copy.deepcopy(model.document)
    document["provenance"]["loss"] = float("nan")
    text = refusal(lambda: write_model(tmp_path / "m", document, model.tensors))
    assert "cannot be written as JSON" in text
    assert "Look for NaN or infinity" in text


# ---- reading ----


def test_missing_file() -> None:
    assert refusal(lambda: read_model("nowhere.eqnn")) == (
        "nowhere.eqnn: no such file. Check the path."
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.eqnn"
    path.write_bytes(content)
    text = refusal(lambda: read_model(path))
    assert "not a readable safetensors file" in text
    assert "copy it again, or export it with `eqnn export`" in text


def test_folders_are_no_models(tmp_path: Path) -> None:
    assert "not a readable safetensors file" in refusal(lambda: read_model(tmp_path))


def test_truncated_files(tmp_path: Path) -> None:
    content = (ROOT / "potentials" / "tdn_3bpa.eqnn").read_bytes()
    path = tmp_path / "x.eqnn"
    for size in (7, 8, 1000, len(content) - 1):
        path.write_bytes(content[:size])
        assert "not a readable safetensors file" in refusal(lambda: read_model(path))


@pytest.mark.parametrize("where", [0.05, 0.3, 0.6, 0.999])
def test_any_flipped_bit_is_found(tmp_path: Path, where: float) -> None:
    model = tiny_model()
    path = tmp_path / "x.eqnn"
    write_model(path, model.document, model.tensors)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(bytes(content))
    refusal(lambda: read_model(path))


def test_a_tampered_weight_is_told_from_the_hash(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "x.eqnn"
    write_model(path, model.document, model.tensors)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last byte of the last tensor
    path.write_bytes(bytes(content))
    text = refusal(lambda: read_model(path))
    assert "/__metadata__/eqnn_sha256: the content has SHA-256 " in text
    assert f"the file states {model.sha256}." in text
    assert "damaged or edited" in text


@pytest.mark.parametrize("key", ["eqnn", "eqnn_sha256"])
def test_missing_metadata(tmp_path: Path, key: str) -> None:
    metadata = {"eqnn": "{}", "eqnn_sha256": "x"}
    del metadata[key]
    path = container(tmp_path, metadata, {"x": np.zeros(1)})
    assert f'/__metadata__: key "{key}" is missing: not a model of eqnn' in refusal(
        lambda: read_model(path)
    )


def test_unknown_metadata(tmp_path: Path) -> None:
    path = container(tmp_path, {"eqnn": "{}", "eqnn_sha256": "x", "more": ""}, {"x": np.zeros(1)})
    assert '/__metadata__: unknown key "more"' in refusal(lambda: read_model(path))


def test_tensors_of_integers(tmp_path: Path) -> None:
    path = container(tmp_path, {"eqnn": "{}", "eqnn_sha256": "x"}, {"x": np.zeros(1, dtype=int)})
    assert 'tensor "x" has type int64, expected float64 or float32' in refusal(
        lambda: read_model(path)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "/__metadata__/eqnn: not valid JSON"),
        ("[]", "/__metadata__/eqnn: not a JSON object"),
        ('{"a": 1, "a": 2}', '/__metadata__/eqnn: key "a" stands twice in one object'),
        ("{}", '/: key "format_version" is missing'),
    ],
)
def test_documents_that_are_none(tmp_path: Path, text: str, expected: str) -> None:
    path = signed(tmp_path, text, {"x": np.zeros(1)})
    assert expected in refusal(lambda: read_model(path))


# ---- validation ----


def stage(document: Document, output: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in document["graph"] if s["output"] == output)
    return found


def change(key: str, value: Any, output: str = "") -> Change:
    """Set `a/b/c` of the document, or of one of its stages."""

    def apply(document: Document, tensors: dict[str, Array]) -> None:
        where: Any = stage(document, output) if output else document
        *path, last = key.split("/")
        for step in path:
            where = where[int(step) if step.isdigit() else step]
        where[int(last) if last.isdigit() else last] = value

    return apply


def add_stage(**entry: Any) -> Change:
    return lambda document, tensors: document["graph"].insert(-1, {"weights": {}, **entry})


def set_tensor(name: str, values: Array) -> Change:
    return lambda document, tensors: tensors.update({name: values})


def with_test(**changes: Any) -> Change:
    return change("self_test", [{**SELF_TEST, **changes}])


def swap_stages(document: Document, tensors: dict[str, Array]) -> None:
    graph = document["graph"]
    graph[0], graph[1] = graph[1], graph[0]


def empty_tensor() -> Array:
    return np.zeros((0,))


NAN = float("nan")
FAULTS: dict[str, tuple[Change, str]] = {
    # header
    "version": (change("format_version", 2), "/format_version: format version 2, this reader"),
    "version true": (change("format_version", True), "/format_version: format version True"),
    "unknown key": (change("colour", 1), '/: unknown key "colour"'),
    "missing": (lambda d, t: d.pop("cutoff"), '/: key "cutoff" is missing'),
    "string": (change("family", 1), "/family: found 1, expected a string"),
    "array": (change("species", 1), "/species: found 1, expected an array"),
    "no element": (change("species", []), "/species: no element, expected at least one"),
    "order": (change("species", [6, 1]), "/species/1: atomic number 1 after 6, expected inc"),
    "repeated": (change("species", [1, 1]), "/species/1: atomic number 1 after 1"),
    "too heavy": (change("species", [1, 119]), "found 119, expected an integer from 1 to 118"),
    "integer": (change("species", [1, 6.0]), "/species/1: found 6.0, expected an integer"),
    "boolean": (change("species", [True]), "/species/0: found True, expected an integer"),
    "number": (change("cutoff", "5"), "/cutoff: found '5', expected a number"),
    "number true": (change("cutoff", True), "/cutoff: found True, expected a number"),
    "above": (change("cutoff", 0.0), "/cutoff: found 0.0, expected a number above 0"),
    "infinite": (change("cutoff", float("inf")), "/cutoff: found inf, expected a number above 0"),
    "finite": (change("energy/scale", NAN), "/energy/scale: found nan, expected a finite number"),
    "at least": (
        change("equivariance/defect", -1.0),
        "/equivariance/defect: found -1.0, expected a number of at least 0",
    ),
    "object": (change("units", []), "/units: found [], expected an object"),
    "object, again": (change("self_test", [3]), "/self_test/0: found 3, expected an object"),
    "word": (change("units/length", "nm"), "/units/length: found 'nm', expected one of \"Angs"),
    "units": (change("units/time", "fs"), '/units: unknown key "time"'),
    "axes": (change("spherical_harmonics/axes", "z"), "/spherical_harmonics/axes: found 'z'"),
    "l_max": (change("spherical_harmonics/l_max", 11), "found 11, expected an integer from 0 to"),
    "parity": (change("parity", "o(3)"), '/parity: found \'o(3)\', expected one of "so3", "o3"'),
    "exact": (change("equivariance/exact", 1), "/equivariance/exact: found 1, expected true or"),
    "semantics": (change("energy/semantics", "sum"), "/energy/semantics: found 'sum', expected"),
    "references": (change("energy/reference", [0.0]), "/energy/reference: 1 numbers, expected 3"),
    "isolated": (change("energy/isolated_atoms", ""), "/energy/isolated_atoms: found ''"),
    "forces": (change("forces", "none"), "/forces: found 'none', expected one of"),
    "provenance": (
        lambda d, t: d["provenance"].pop("licence"),
        '/provenance: key "licence" is missing',
    ),
    "long": (change("family", list(range(99))), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13"),
    # self-test
    "test element": (with_test(numbers=[1, 7]), "/self_test/0/numbers/1: the model has no element"),
    "test rows": (with_test(positions=[[0, 0, 0]]), "/self_test/0/positions: 1 rows, expected 2"),
    "test columns": (with_test(forces=[[0, 0], [0]]), "/self_test/0/forces/0: 2 numbers, expect"),
    "test cell": (
        with_test(cell=[[1, 0, 0], [1, 0, 0], [0, 0, 1]]),
        "/self_test/0/cell: the cell's volume is 0 A^3, expected above 0.001",
    ),
    "test virial": (with_test(virial=None), "/self_test/0/virial: found null, expected a 3x3"),
    "test energy": (with_test(energy=NAN), "/self_test/0/energy: found nan"),
    "test key": (with_test(stress=0), '/self_test/0: unknown key "stress"'),
    # graph
    "no stage": (change("graph", []), "/graph: no stage, expected at least one"),
    "unknown op": (change("op", "conv", "matrix"), '/graph/1/op: unknown stage "conv"'),
    "no output": (change("output", "", "matrix"), '/graph/1/output: output "" is empty or made'),
    "made twice": (change("output", "harmonics", "matrix"), 'output "harmonics" is empty or made'),
    "unused": (
        add_stage(op="spherical_harmonics", output="more", inputs={}, l_max=1),
        '/graph: output "more" is used by no stage',
    ),
    "no energy": (
        lambda d, t: d["graph"].pop(),
        '/graph: output "site" is used by no stage',
    ),
    "two energies": (
        lambda d, t: d["graph"].append(
            {"op": "energy", "output": "e2", "inputs": {"terms": ["site"]}, "weights": {}}
        ),
        "/graph: 2 energy stages and the last one makes energy, expected one energy stage",
    ),
    "direct missing": (change("forces", "direct"), "/graph: 0 direct_forces stages, expected 1"),
    "tensor unused": (set_tensor("extra", np.zeros(3)), 'tensor "extra" is used by no stage'),
    "out of order": (swap_stages, "is made by this or a later stage, expected an earlier one"),
    "itself": (change("inputs/a", "embedding", "embedding"), "the graph has a cycle"),
    "no such output": (change("inputs/a", "x", "embedding"), '"x" is the output of no stage'),
    "kind": (change("inputs/a", "radial", "embedding"), '"radial" is of kind radial, expected fea'),
    "stage key": (change("scale", 1, "embedding"), '/graph/5: unknown key "scale"'),
    "input key": (change("inputs/c", "x", "embedding"), '/graph/5/inputs: unknown key "c"'),
    "weight key": (change("weights/w", "x", "embedding"), '/graph/5/weights: unknown key "w"'),
    "attribute": (lambda d, t: stage(d, "norm").pop("eps"), '/graph/6: key "eps" is missing'),
    "absent tensor": (change("weights/table", "x", "species"), 'tensor "x" is not in the file'),
    "tensor type": (
        set_tensor("species/table", np.zeros((3, 4), dtype=np.float16)),
        'tensor "species/table" has type float16, expected float64 or float32',
    ),
    "shape": (
        set_tensor("species/table", np.zeros((2, 4))),
        'tensor "species/table" has shape [2, 4], expected [3, any]',
    ),
    "rank": (set_tensor("norm/shift", np.zeros((4, 1))), "has shape [4, 1], expected [4]"),
    "empty": (set_tensor("norm/shift", empty_tensor()), "has shape [0], expected [4]"),
    "NaN": (
        set_tensor("norm/shift", np.array([0.0, NAN, 0.0, 0.0])),
        'tensor "norm/shift" holds nan at flat index 1. The training diverged',
    ),
    "inf": (set_tensor("norm/shift", np.full(4, np.inf)), "holds inf at flat index 0"),
    "coupling": (set_tensor("matrix/coupling", np.zeros((9, 9, 9))), "expected [4, 4, 4]"),
    "basis": (change("basis/kind", "bessel", "radial"), "/graph/2/basis/kind: found 'bessel'"),
    "width": (
        set_tensor("radial/basis/width", np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])),
        "/graph/2/basis/width: a width of 0 Angstrom, expected positive ones",
    ),
    "no object": (
        change("envelope", 3, "radial"),
        "/graph/2/envelope: found 3, expected an object",
    ),
    "envelope": (change("envelope/kind", "cos", "radial"), "/graph/2/envelope/kind: found 'cos'"),
    "envelope p": (change("envelope/p", 1.0, "radial"), "expected a number of at least 2"),
    "envelope key": (
        change("envelope", {"kind": "none", "p": 3}, "radial"),
        '/graph/2/envelope: unknown key "p"',
    ),
    "no layer": (change("layers", [], "radial"), "/graph/2/layers: no layer, expected at least"),
    "layer key": (change("layers/0/dropout", 0, "radial"), '/layers/0: unknown key "dropout"'),
    "layer eps": (change("layers/0/layer_norm/eps", 0, "radial"), "expected a number above 0"),
    "activation": (change("layers/0/activation", "relu", "radial"), "found 'relu', expected one"),
    "readout norm": (
        change("layers/0/layer_norm", {}, "site"),
        "/layers/0/layer_norm: layer_norm in a readout, expected null",
    ),
    "readout width": (
        lambda d, t: t.update(
            {"site/layers/0/weight": np.ones((2, 4)), "site/layers/0/bias": np.ones(2)}
        ),
        "the last layer's number of outputs is 2, expected 1",
    ),
    "channels": (
        lambda d, t: t.update({"species/table": np.ones((3, 5))}),
        "/graph/5/inputs/b: the number of channels is 4, expected 5",
    ),
    "degrees": (change("l_max", 0, "species"), "/graph/5/inputs/b: l_max is 1, expected 0"),
    "heads": (change("heads", 3, "attention"), "/heads: 3 heads do not divide 4 channels"),
    "gates": (change("l_max", 1, "gates"), "/inputs/gates: l_max is 1, expected 0"),
    "too many degrees": (change("l_max", 2, "gates"), "found 2, expected an integer from 0 to 1"),
    "no terms": (change("inputs/terms", [], "energy"), "/inputs/terms: no terms, expected at"),
    "term twice": (
        change("inputs/terms", ["site", "site"], "energy"),
        "/inputs/terms/0: this term stands twice, expected once",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_its_place(fault: str) -> None:
    model = tiny_model()
    apply, expected = FAULTS[fault]
    document, tensors = copy.deepcopy(model.document), dict(model.tensors)
    apply(document, tensors)
    text = refusal(lambda: validate(Model(document, tensors, "file.eqnn")))
    assert text.startswith("file.eqnn: ")
    assert expected in text


def energy_first(document: Document, tensors: dict[str, Array]) -> None:
    graph = document["graph"]
    forces = next(k for k, s in enumerate(graph) if s["op"] == "direct_forces")
    graph.append(graph.pop(forces))


DIRECT_FAULTS: dict[str, tuple[Change, str]] = {
    "last": (energy_first, "/graph: 1 energy stages and the last one makes forces, expected one"),
    "gradient": (change("forces", "gradient"), "/graph: 1 direct_forces stages, expected 0"),
    "scalars": (
        change("l_max", 0, "vectors"),
        "/inputs/features: l_max is 0, expected at least 1 (forces are vectors)",
    ),
    "channels": (
        set_tensor("vectors/weight", np.ones((2, 4))),
        "/inputs/features: the number of channels is 2, expected 1",
    ),
    "virial": (with_test(), "/self_test/0/virial: found a matrix, expected null: direct forces"),
}


@pytest.mark.parametrize("fault", DIRECT_FAULTS)
def test_faults_of_direct_forces(fault: str) -> None:
    model = tiny_model(forces="direct")
    apply, expected = DIRECT_FAULTS[fault]
    document, tensors = copy.deepcopy(model.document), dict(model.tensors)
    apply(document, tensors)
    assert expected in refusal(lambda: validate(Model(document, tensors, "file.eqnn")))


def test_a_self_test_without_virial_fits_direct_forces() -> None:
    model = tiny_model(forces="direct")
    document = {**model.document, "self_test": [{**SELF_TEST, "virial": None}]}
    validate(Model(document, model.tensors, "f"))


def test_unicode_survives(tmp_path: Path) -> None:
    model = tiny_model()
    document = copy.deepcopy(model.document)
    document["provenance"]["data"] = "Ångström, 水"
    write_model(tmp_path / "m", document, model.tensors)
    assert read_model(tmp_path / "m").document["provenance"]["data"] == "Ångström, 水"
    assert json.loads(json.dumps(document)) == document
