# SPDX-License-Identifier: BSD-3-Clause
"""Files of torch.save and torch.jit.save are read without torch, and nothing of them runs."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eqnn_models import PRETRAINED, max_error, refusal

from eqnn.export.torch_file import (
    Stub,
    is_of,
    read_extra_files,
    read_torch_file,
    state_dict,
    submodules,
)
from eqnn.model_file import Array


class Tensor:
    """What a test puts into a pickle where torch puts a tensor."""

    def __init__(self, values: Array, key: str, offset: int = 0, size: Any = None) -> None:
        self.values, self.key, self.offset = values, key, offset
        self.size = values.shape if size is None else size
        self.stride = tuple(int(s) // values.itemsize for s in values.strides)


class _Storage:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _rebuild_tensor_v2(*args: Any) -> None:
    """Stand where torch's function of this name stands."""


class DoubleStorage:
    """Stand where torch's class of this name stands."""


class FloatStorage:
    """Stand where torch's class of this name stands."""


class BFloat16Storage:
    """Stand where torch's class of this name stands."""


class ComplexFloatStorage:
    """A storage that is not read."""


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        kinds = {np.dtype("f8"): DoubleStorage, np.dtype("f4"): FloatStorage}
        kinds |= {np.dtype("u2"): BFloat16Storage}
        kind = kinds.get(obj.tensor.values.dtype, ComplexFloatStorage)
        return ("storage", kind, obj.tensor.key, "cpu", obj.tensor.values.size)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            args = (_Storage(obj), obj.offset, obj.size, obj.stride, False, None)
            return _rebuild_tensor_v2, args
        return NotImplemented


@contextmanager
def module_named(name: str, *members: Any) -> Iterator[None]:
    """Let members be pickled as those of a module that does not exist."""
    module = types.ModuleType(name)
    before = {member: member.__module__ for member in members}
    for member in members:
        setattr(module, member.__name__, member)
        member.__module__ = name
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
        for member, own in before.items():
            member.__module__ = own


def torch_file(folder: Path, content: Any, *tensors: Tensor, **more: bytes) -> Path:
    """Write an archive as torch.save does."""
    path = folder / "model.pt"
    raw = io.BytesIO()
    with (
        module_named("torch._utils", _rebuild_tensor_v2),
        module_named("torch", DoubleStorage, FloatStorage, BFloat16Storage, ComplexFloatStorage),
    ):
        _Pickler(raw, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", raw.getvalue())
        for tensor in tensors:
            archive.writestr(f"model/data/{tensor.key}", tensor.values.tobytes())
        for name, value in more.items():
            archive.writestr(f"model/extra/{name}", value)
    return path


class Danger:
    """Unpickled by `pickle`, it would run a function."""

    def __reduce__(self) -> Any:
        return print, ("this must not run",)


def test_tensors_and_plain_values_are_read(tmp_path: Path) -> None:
    a = Tensor(np.arange(6.0).reshape(2, 3), "0")
    b = Tensor(np.arange(4, dtype=np.float32), "1", offset=1, size=(2,))
    empty = Tensor(np.zeros((0, 2)), "2")
    content = {"a": a, "b": b, "n": 3, "list": [1.5, "x", None], "empty": empty}
    found = read_torch_file(torch_file(tmp_path, content, a, b, empty))
    np.testing.assert_array_equal(found["a"], np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found["b"], [1.0, 2.0])
    assert found["b"].dtype == np.float32
    assert found["empty"].shape == (0, 2)
    assert found["n"] == 3 and found["list"] == [1.5, "x", None]


def test_transposed_tensors_keep_their_order(tmp_path: Path) -> None:
    tensor = Tensor(np.arange(6.0).reshape(2, 3), "0")
    tensor.size, tensor.stride = (3, 2), (1, 3)
    found = read_torch_file(torch_file(tmp_path, {"a": tensor}, tensor))
    np.testing.assert_array_equal(found["a"], np.arange(6.0).reshape(2, 3).T)


def test_half_precision_of_the_other_kind_becomes_single(tmp_path: Path) -> None:
    exact = np.array([1.0, -2.5, 3.140625, 0.0], dtype=np.float32)
    tensor = Tensor((exact.view("<u4") >> 16).astype("<u2"), "0")
    found = read_torch_file(torch_file(tmp_path, {"a": tensor}, tensor))["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, exact)


def test_nothing_of_a_file_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = torch_file(tmp_path, {"x": Danger()})
    found = read_torch_file(path)
    assert capsys.readouterr().out == ""
    assert is_of(found["x"], "print")
    assert found["x"].args == ("this must not run",)


def test_a_pickled_model_is_a_tree_of_stubs() -> None:
    module = read_torch_file(PRETRAINED / "mace_acac.pt")
    assert is_of(module, "ScaleShiftMACE") and not is_of(module, "MACE")
    assert not is_of(3, "int")
    assert list(submodules(module))[:2] == ["node_embedding", "radial_embedding"]
    assert module.__dict__["heads"] == ["Default"]
    tensors = state_dict(module)
    assert tensors["r_max"] == 5.0
    assert tensors["interactions.1.linear.weight"].shape == (1792,)
    assert max_error(tensors["atomic_numbers"], [1, 6, 8]) == 0.0


def test_items_of_containers_are_kept() -> None:
    stub = Stub(1, 2)
    stub["key"] = 3
    assert (stub.args, stub.items) == ((1, 2), {"key": 3})
    other = Stub()
    other.append("a")
    other.extend("bc")
    other.add("d")
    assert list(other.items.values()) == ["a", "b", "c", "d"]


def test_extra_files_of_an_archive(tmp_path: Path) -> None:
    path = torch_file(tmp_path, {}, type_names=b"H C", r_max=b"6.0")
    assert read_extra_files(path) == {"type_names": b"H C", "r_max": b"6.0"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"offset": 5}, "ValueError: a tensor that reaches beyond its storage"),
        ({"size": (2, 4)}, "ValueError: a tensor that reaches beyond its storage"),
        ({"offset": -1}, "ValueError: a tensor of negative size"),
        ({"stride": (-3, 1)}, "ValueError: a tensor of negative size"),
        ({"values": np.zeros((2, 3), dtype=np.int16)}, "storage of unknown type torch.ComplexFlo"),
    ],
)
def test_tensors_that_are_damaged(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    tensor = Tensor(np.arange(6.0).reshape(2, 3), "0")
    for key, value in change.items():
        setattr(tensor, key, value)
    text = refusal(lambda: read_torch_file(torch_file(tmp_path, {"a": tensor}, tensor)))
    assert "model.pt: not readable as a file of torch.save (" in text
    assert expected in text


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "no such file. Give the checkpoint's path" in refusal(
        lambda: read_torch_file(tmp_path / "x.pt")
    )
    (tmp_path / "x.pt").write_bytes(b"not a zip")
    assert "not readable as a file of torch.save (BadZipFile" in refusal(
        lambda: read_torch_file(tmp_path / "x.pt")
    )
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        archive.writestr("a/other", b"")
    text = refusal(lambda: read_torch_file(tmp_path / "y.pt"))
    assert "0 data.pkl in the archive, expected 1" in text
    tensor = Tensor(np.zeros(3), "0")
    path = torch_file(tmp_path, {"a": tensor})  # without its storage
    assert "KeyError" in refusal(lambda: read_torch_file(path))
