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
    tiny_density_model,
    tiny_gate_model,
    tiny_gaunt_model,
    tiny_model,
    tiny_network_model,
    tiny_norm_model,
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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty, expected an eqnn"),
        (b"hello", 'is text that begins with "hello", expe'),
        (b"\xff" * 64, "not a safetensors file, or truncated. Copy or export the model again."),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.eqnn"
    path.write_bytes(content)
    text = refusal(lambda: read_model(path))
    assert said in text


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
        f"{what}, expected an eqnn model file. Make one from a checkpoint with `eqnn export`."
        in refusal(lambda: read_model(tmp_path / "best.pt"))
    )


def test_truncated_files(tmp_path: Path) -> None:
    content = (ROOT / "potentials" / "tdn_3bpa.eqnn").read_bytes()
    path = tmp_path / "x.eqnn"
    for size, expected in (
        (7, "not a safetensors file, or truncated"),
        (1000, "not a safetensors file, or truncated"),
        (len(content) - 1, "The file is truncated or damaged: copy or export it again"),
    ):
        path.write_bytes(content[:size])
        assert expected in refusal(lambda: read_model(path))


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
    assert f'/__metadata__: key "{key}" is missing: this is not an eqnn model' in refusal(
        lambda: read_model(path)
    )


def test_unknown_metadata(tmp_path: Path) -> None:
    path = container(tmp_path, {"eqnn": "{}", "eqnn_sha256": "x", "more": ""}, {"x": np.zeros(1)})
    assert '/__metadata__: unknown key "more"' in refusal(lambda: read_model(path))


@pytest.mark.parametrize("dtype", [int, bool, np.int16])
def test_tensors_of_other_types_are_not_written(tmp_path: Path, dtype: type) -> None:
    model = tiny_model()
    tensors = {**model.tensors, "species/table": np.zeros((3, 4), dtype=dtype)}
    text = refusal(lambda: write_model(tmp_path / "m.eqnn", model.document, tensors))
    assert ", expected F64 or F32. Re-export the model." in text
    assert list(tmp_path.iterdir()) == []


def test_types_that_no_file_can_hold_are_named(tmp_path: Path) -> None:
    model = tiny_model()
    tensors = {**model.tensors, "species/table": np.zeros((3, 4), dtype=complex)}
    text = refusal(lambda: write_model(tmp_path / "m.eqnn", model.document, tensors))
    assert text.endswith(
        'tensor "species/table" has type complex128, expected float64, float32 or int32. '
        "Convert it."
    )


@pytest.mark.parametrize("value", [float("nan"), -np.inf])
def test_a_number_that_is_none_is_named_with_its_place(tmp_path: Path, value: float) -> None:
    model = tiny_model()
    document = copy.deepcopy(model.document)
    document["energy"]["scale"] = [1.0, value, 1.0]
    text = refusal(lambda: write_model(tmp_path / "m.eqnn", document, model.tensors))
    assert f"JSON (/energy/scale/1: found {value}, expected a finite number). Look for" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "/__metadata__/eqnn: not valid JSON"),
        ("[]", "/: found array, expected an object"),
        ('{"a": 1, "a": 2}', '/__metadata__/eqnn: key "a" occurs twice in one object'),
        ("{}", '/: key "format_version" is missing'),
    ],
)
def test_documents_that_are_none(tmp_path: Path, text: str, expected: str) -> None:
    path = signed(tmp_path, text, {"x": np.zeros(1)})
    assert expected in refusal(lambda: read_model(path))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tiny_model(fading=4),
        tiny_cg_model,
        lambda: tiny_cg_model("so3"),
        lambda: tiny_cg_model(envelope="xplor", on="output"),
        tiny_density_model,
        tiny_network_model,
        tiny_gate_model,
        tiny_norm_model,
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
