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
from eqnn_models import (
    RANDOM_MODELS,
    ROOT,
    TDN,
    refusal,
    tiny_cg_model,
    tiny_gate_model,
    tiny_gaunt_model,
    tiny_model,
)
from safetensors.numpy import save

from eqnn.model_file import (
    Array,
    Model,
    content_hash,
    format_irreps,
    parse_irreps,
    read_model,
    validate,
    write_model,
)

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
    assert ": is a folder, expected a model file. Name the file in it." in refusal(
        lambda: read_model(tmp_path)
    )


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04", "is a zip archive, as torch writes checkpoints and TorchScript"),
        (b"\x80\x02}q", "is a pickle, as torch and Python write them"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"\x1f\x8b\x08", "is a gzip archive"),
    ],
)
def test_checkpoints_are_no_models(tmp_path: Path, start: bytes, what: str) -> None:
    (tmp_path / "best.pt").write_bytes(start + bytes(100))
    assert (
        f"{what}, expected a model file of eqnn. Make one from a checkpoint with `eqnn export`."
        in refusal(lambda: read_model(tmp_path / "best.pt"))
    )


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


def test_tensors_of_other_types(tmp_path: Path) -> None:
    path = container(tmp_path, {"eqnn": "{}", "eqnn_sha256": "x"}, {"x": np.zeros(1, dtype=int)})
    assert 'tensor "x" has type int64, expected float64, float32 or int32' in refusal(
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
    "basis": (change("basis/kind", "cos", "radial"), "/graph/2/basis/kind: found 'cos'"),
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
        "/graph/5/inputs/b: 4x0e is not among the irreps 5x0e+5x1e of a, to which it would be",
    ),
    "degrees": (change("l_max", 0, "species"), "/graph/5/inputs/b: 4x1e is not among the"),
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


# ---- stages with Clebsch-Gordan paths and Gaunt products ----


def swap_blocks(output: str, found: str, wanted: str) -> Change:
    """Replace a part of a stage's irreps."""

    def apply(document: Document, tensors: dict[str, Array]) -> None:
        entry = stage(document, output)
        entry["irreps"] = entry["irreps"].replace(found, wanted)

    return apply


def drop(key: str, output: str) -> Change:
    """Remove `a/b` of a stage."""

    def apply(document: Document, tensors: dict[str, Array]) -> None:
        *path, last = key.split("/")
        where: Any = stage(document, output)
        for step in path:
            where = where[step]
        del where[last]

    return apply


def set_index(row: int, column: int, value: int) -> Change:
    def apply(document: Document, tensors: dict[str, Array]) -> None:
        indices = tensors["product/terms/1/indices"].copy()
        indices[row, column] = value
        tensors["product/terms/1/indices"] = indices

    return apply


def make_o3(document: Document, tensors: dict[str, Array]) -> None:
    document["parity"] = "o3"


def make_so3(document: Document, tensors: dict[str, Array]) -> None:
    document["parity"] = "so3"


def rename_block(document: Document, tensors: dict[str, Array]) -> None:
    """Call vectors of a linear stage pseudovectors."""
    swap_blocks("mixed1", "2x1o", "2x1e")(document, tensors)
    weights = stage(document, "mixed1")["weights"]
    weights["1e"] = weights.pop("1o")


CG_FAULTS: dict[str, tuple[Change, str]] = {
    "scales": (change("energy/scale", [1.0]), "/energy/scale: 1 numbers, expected 3"),
    "scale": (change("energy/scale", [1.0, NAN, 1.0]), "/energy/scale/1: found nan, expected a"),
    "basis key": (
        change("basis/width", "x", "radial1"),
        '/graph/2/basis: unknown key "width"',
    ),
    "frequency": (
        set_tensor("radial1/basis/amplitude", np.ones(3)),
        'tensor "radial1/basis/amplitude" has shape [3], expected [4]',
    ),
    "on": (
        change("envelope/on", "input", "radial1"),
        '/envelope/on: found \'input\', expected one of "basis", "output"',
    ),
    "envelope of nothing": (
        drop("envelope/on", "radial1"),
        '/graph/2/envelope: key "on" is missing',
    ),
    "polynomial without p": (
        drop("envelope/p", "radial1"),
        '/graph/2/envelope: key "p" is missing',
    ),
    "xplor with p": (
        change("envelope", {"kind": "xplor", "p": 6.0, "on": "basis"}, "radial1"),
        '/envelope: unknown key "p"',
    ),
    "xplor start": (
        change("envelope", {"kind": "xplor", "start": 3.0, "on": "basis"}, "radial1"),
        "/envelope/start: found 3.0, expected a number below the cutoff 3",
    ),
    "xplor at zero": (
        change("envelope", {"kind": "xplor", "start": 0.0, "on": "basis"}, "radial1"),
        "/envelope/start: found 0.0, expected a number above 0",
    ),
    "irreps form": (
        swap_blocks("mixed1", "2x1o", "two"),
        'as in 128x0e+64x1o ("two" is not of the form 128x1o)',
    ),
    "irreps order": (
        swap_blocks("mixed1", "2x1o", "2x3o"),
        '("2e" stands after "3o")',
    ),
    "irreps twice": (swap_blocks("mixed1", "2x1o", "2x0e"), '("0e" stands after "0e")'),
    "no channels": (swap_blocks("mixed1", "2x1o", "0x1o"), '"0x1o" is not of the form'),
    "irreps absent": (
        swap_blocks("mixed1", "2x1o+2x2e", "2x1e"),
        '/graph/4/weights: unknown key "1o"',
    ),
    "no such block": (
        rename_block,
        "/graph/4/irreps: block 1e is not among the irreps 3x0e+3x1o+3x2e of the input",
    ),
    "weight missing": (drop("weights/1o", "mixed1"), '/graph/4/weights: key "1o" is missing'),
    "weight shape": (
        set_tensor("mixed1/1o", np.zeros((2, 2))),
        'tensor "mixed1/1o" has shape [2, 2], expected [2, 3]',
    ),
    "bias shape": (set_tensor("mixed1/bias", np.zeros(2)), "has shape [2], expected [6]"),
    "no bias without 0e": (
        lambda d, t: (
            change("irreps", "2x1o+2x2e", "mixed1")(d, t),
            drop("weights/0e", "mixed1")(d, t),
        ),
        "/graph/4/weights/bias: a bias without a block 0e, which irreps 2x1o+2x2e lack",
    ),
    "odd in so3": (make_so3, "block 1o in a model of parity so3, where every parity is e"),
    "species weights": (
        set_tensor("own/0e", np.zeros((2, 3, 2))),
        'tensor "own/0e" has shape [2, 3, 2], expected [3, 3, 2]',
    ),
    "species bias": (change("weights/bias", "x", "own"), '/weights: unknown key "bias"'),
    "no path": (change("paths", [], "messages1"), "/paths: no path, expected at least one"),
    "path form": (
        change("paths/0", ["0e", 0], "messages1"),
        "/graph/3/paths/0: found ['0e', 0], expected a path as in",
    ),
    "path block": (
        change("paths/0/0", "zero", "messages1"),
        "/paths/0/0: found 'zero', expected a block as in 1o",
    ),
    "path source": (
        change("paths/0/0", "1e", "messages1"),
        "/paths/0/0: block 1e is not among the irreps 3x0e of source",
    ),
    "path degree": (
        change("paths/0/1", 3, "messages1"),
        "/paths/0/1: found 3, expected an integer from 0 to 2",
    ),
    "triangle": (
        change("paths/0/2", "1o", "messages1"),
        "/paths/0: ['0e', 0, '1o'] violates the triangle inequality of degrees",
    ),
    "parities": (
        change("paths/1/2", "1e", "messages1"),
        "/paths/1: parities of ['0e', 1, '1e'] do not multiply",
    ),
    "path weights": (
        lambda d, t: stage(d, "messages1")["paths"].pop(),
        "/graph/3/inputs/radial: the number of channels is 9, expected 6",
    ),
    "scalars": (
        change("scalars/0e", 3, "gated1"),
        "/scalars/0e: 3 scalars and 4 gates of block 0e, which has 6 channels",
    ),
    "scalars missing": (drop("scalars/0e", "gated1"), '/scalars: key "0e" is missing'),
    "scalars absent": (
        change("scalars/0o", 1, "gated1"),
        '/graph/5/scalars: unknown key "0o"',
    ),
    "activations absent": (
        change("activations/0o", "tanh", "gated1"),
        '/graph/5/activations: unknown key "0o"',
    ),
    "gate activation": (
        change("activations/gates", "relu", "gated1"),
        '/activations/gates: found \'relu\', expected one of "silu", "tanh"',
    ),
    "gates named": (change("gates", "1o", "gated1"), "/gates: found '1o', expected one of"),
    "gates absent": (
        lambda d, t: (
            change("gates", "0o", "gated1")(d, t),
            change("scalars/0e", 6, "gated1")(d, t),
        ),
        "/graph/5/gates: block 0o is not among the irreps 6x0e+2x1o+2x2e of the input",
    ),
    "norm weights": (drop("weights/2e", "normed"), '/graph/6/weights: key "2e" is missing'),
    "norm shape": (set_tensor("normed/2e", np.ones(3)), "has shape [3], expected [2]"),
    "norm eps": (change("eps", 0.0, "normed"), "/graph/6/eps: found 0.0, expected a number"),
    "added": (
        change("inputs/a", "normed", "sum"),
        "/inputs/b: 3x0e is not among the irreps 2x0e+2x1o+2x2e of a, to which it would be added",
    ),
    "not uniform": (
        change("inputs/features", "messages2", "product"),
        '"messages2" has irreps 4x0e+4x1e+4x1o+2x2e, expected uniform ones: equally many',
    ),
    "contraction channels": (
        swap_blocks("product", "3x1o", "2x1o"),
        "/irreps: 2 channels of block 1o, expected the input's 3",
    ),
    "no terms": (change("terms", [], "product"), "/terms: no term, expected at least one"),
    "term key": (change("terms/0/order", 2, "product"), '/terms/0: unknown key "order"'),
    "term block": (
        change("terms/0/irrep", "2e", "product"),
        "/terms/0/irrep: block 2e is not among the irreps 3x0e+3x1o",
    ),
    "columns": (
        set_tensor("product/terms/1/indices", np.zeros((4, 6), dtype=np.int32)),
        'tensor "product/terms/1/indices" has 6 columns, expected 3 to 5: m3, k and one to three',
    ),
    "values": (
        set_tensor("product/terms/1/values", np.zeros(3)),
        'tensor "product/terms/1/values" has shape [3], expected [4]',
    ),
    "indices": (
        set_tensor("product/terms/1/indices", np.zeros((4, 4))),
        'tensor "product/terms/1/indices" has type float64, expected int32',
    ),
    "integers": (
        set_tensor("product/terms/1/values", np.zeros(4, dtype=np.int32)),
        'tensor "product/terms/1/values" has type int32, expected float64 or float32',
    ),
    "negative": (set_index(2, 2, -1), "holds -1 in row 2, column 2, expected 0 to 8"),
    "component": (set_index(3, 3, 9), "holds 9 in row 3, column 3, expected 0 to 8"),
    "order m": (set_index(0, 0, 1), "holds 1 in row 0, column 0, expected 0 to 0"),
    "weight k": (set_index(0, 1, 2), "holds 2 in row 0, column 1, expected 0 to 1"),
    "radius": (
        set_tensor("repulsion/radius", np.array([1.0, 0.0, 1.0])),
        "/weights/radius: a radius of 0 Angstrom, expected positive ones",
    ),
    "screening": (
        change("screening_length", 0.0, "repulsion"),
        "/screening_length: found 0.0, expected a number above 0",
    ),
    "coefficients": (
        change("coefficients", [], "repulsion"),
        "/coefficients: no number, expected at least one",
    ),
    "exponents": (
        change("exponents", [1.0], "repulsion"),
        "/exponents: 1 numbers, expected 4",
    ),
    "no scalars": (
        change("inputs/features", "vectors", "site2"),
        '"vectors" has irreps 3x1o, expected a block 0e',
    ),
}


def with_vectors(document: Document, tensors: dict[str, Array]) -> None:
    """Add a stage that makes vectors alone."""
    entry = {"op": "irreps_linear", "output": "vectors", "inputs": {"features": "product"}}
    entry |= {"weights": {"1o": "vectors/1o"}, "irreps": "3x1o"}
    tensors["vectors/1o"] = np.eye(3)
    graph = document["graph"]
    graph.insert(next(k for k, s in enumerate(graph) if s["output"] == "site2"), entry)


def fault_of(model: Model, *changes: Change) -> str:
    document, tensors = copy.deepcopy(model.document), dict(model.tensors)
    for apply in changes:
        apply(document, tensors)
    return refusal(lambda: validate(Model(document, tensors, "file.eqnn")))


@pytest.mark.parametrize("fault", CG_FAULTS)
def test_faults_of_stages_with_clebsch_gordan_paths(fault: str) -> None:
    apply, expected = CG_FAULTS[fault]
    changes = [with_vectors, apply] if fault == "no scalars" else [apply]
    text = fault_of(tiny_cg_model(), *changes)
    assert text.startswith("file.eqnn: ")
    assert expected in text


GATE_FAULTS: dict[str, tuple[Change, str]] = {
    "even scalars": (
        change("activations/0o", "silu", "gated"),
        "/activations/0o: 'silu' of odd scalars, expected an odd function: tanh or none",
    ),
    "even gates": (
        change("activations/gates", "sigmoid", "gated"),
        "/activations/gates: 'sigmoid' of odd gates, expected an odd function: tanh or none",
    ),
}


@pytest.mark.parametrize("fault", GATE_FAULTS)
def test_faults_of_odd_gates(fault: str) -> None:
    apply, expected = GATE_FAULTS[fault]
    assert expected in fault_of(tiny_gate_model(), apply)


def test_odd_gates_of_a_model_without_parity() -> None:
    text = fault_of(tiny_cg_model("so3"), change("gates", "0o", "gated1"))
    assert "/gates: block 0o in a model of parity so3, where every parity is e" in text


GAUNT_FAULTS: dict[str, tuple[Change, str]] = {
    "orders": (
        change("weights", {}, "power"),
        "/graph/4/weights: found {}, expected order_1 and further orders",
    ),
    "order": (
        lambda d, t: stage(d, "power")["weights"].pop("order_2"),
        '/graph/4/weights: unknown key "order_3"',
    ),
    "order shape": (
        set_tensor("power/order_2", np.zeros((3, 2, 3))),
        'tensor "power/order_2" has shape [3, 2, 3], expected [3, 2, 2]',
    ),
    "power": (
        change("l_max", 7, "power"),
        "/graph/4/l_max: found 7, expected an integer from 0 to",
    ),
    "filter": (
        change("inputs/radial", "radial1", "messages"),
        '/graph: output "radial2" is used by no stage',
    ),
    "filter channels": (
        lambda d, t: t.update({"radial2/layers/1/weight": np.zeros((4, 5))}),
        "/inputs/radial: the number of channels is 4, expected 6",
    ),
    "degree": (change("l_max", 6, "product"), "/l_max: found 6, expected an integer from 0 to 5"),
    "convolved": (change("l_max", 4, "messages"), "/l_max: found 4, expected an integer from 0 t"),
    "factor": (
        set_tensor("product/scale_b", np.zeros((3, 2))),
        'tensor "product/scale_b" has shape [3, 2], expected [4, 2]',
    ),
    "curl": (
        make_o3,
        "/weights/curl: a curl in a model of parity o3: it couples degrees of odd sum",
    ),
}


@pytest.mark.parametrize("fault", GAUNT_FAULTS)
def test_faults_of_products_on_the_sphere(fault: str) -> None:
    apply, expected = GAUNT_FAULTS[fault]
    assert expected in fault_of(tiny_gaunt_model(), apply)


def test_functions_of_different_parities_are_not_multiplied() -> None:
    def apply(document: Document, tensors: dict[str, Array]) -> None:
        weights = {f"{n}e": f"{n}" for n in range(3)}
        graph = document["graph"]
        linear: dict[str, Any] = {
            "op": "irreps_linear",
            "output": "even",
            "inputs": {"features": "messages2"},
        }
        linear |= {"weights": weights, "irreps": "3x0e+3x1e+3x2e"}
        tensors.update({"0": np.zeros((3, 4)), "1": np.zeros((3, 4)), "2": np.zeros((3, 2))})
        product: dict[str, Any] = {"op": "gaunt_product", "output": "p", "weights": {}, "l_max": 0}
        product["inputs"] = {"a": "sum", "b": "even"}
        where = next(k for k, s in enumerate(graph) if s["output"] == "product")
        graph[where:where] = [linear, product]

    text = fault_of(tiny_cg_model(), apply)
    assert '/inputs/b: "even" has irreps 3x0e+3x1e+3x2e, expected parities of harmonics' in text


def test_channels_of_both_factors_are_equal() -> None:
    def apply(document: Document, tensors: dict[str, Array]) -> None:
        graph = document["graph"]
        linear: dict[str, Any] = {
            "op": "linear",
            "output": "wide",
            "inputs": {"features": "messages"},
        }
        linear |= {"weights": {"weight": "wide"}, "l_max": 1}
        tensors["wide"] = np.zeros((5, 2))
        where = next(k for k, s in enumerate(graph) if s["output"] == "product")
        graph.insert(where, linear)
        stage(document, "product")["inputs"]["b"] = "wide"

    text = fault_of(tiny_gaunt_model(), apply)
    assert "/inputs/b: the number of channels is 5, expected 2" in text


@pytest.mark.parametrize(
    "make",
    [
        tiny_cg_model,
        lambda: tiny_cg_model("so3"),
        lambda: tiny_cg_model(envelope="xplor", on="output"),
        tiny_gate_model,
        tiny_gaunt_model,
        lambda: tiny_gaunt_model(curl=False),
    ],
)
def test_models_of_the_new_stages_are_written_and_read_back(
    tmp_path: Path, make: Callable[[], Model]
) -> None:
    model = make()
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    read = read_model(tmp_path / "m.eqnn")
    assert read.document == model.document
    assert read.sha256 == model.sha256
    for name, tensor in model.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)
        assert read.tensors[name].dtype == tensor.dtype


def test_irreps_are_read_as_they_are_written() -> None:
    irreps = {"0e": 128, "0o": 2, "1o": 64, "10e": 1}
    assert parse_irreps(format_irreps(irreps)) == irreps
    assert format_irreps({"1o": 2, "0e": 1, "0o": 3}) == "1x0e+3x0o+2x1o"
    for text in ("", "0e", "1x0", "1x11e", "01x0e", "1x0e+", "1x0e 1x1o", "1x1o+1x1e"):
        with pytest.raises(ValueError):
            parse_irreps(text)


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
