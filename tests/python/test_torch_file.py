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
from eqnn_models import EXPORTERS, PRETRAINED, max_error, refusal

from eqnn.export.torch_file import (
    Stub,
    _legacy_storage,
    _stub_class,
    is_of,
    read_extra_files,
    read_torch_file,
    state_dict,
    submodules,
    unwrapped,
)
from eqnn.model_file import Array
from eqnn.so3 import wigner_3j


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


def torch_file(
    folder: Path, content: Any, *tensors: Tensor, protocol: int = 2, **more: bytes
) -> Path:
    """Write an archive as torch.save does."""
    path = folder / "model.pt"
    raw = io.BytesIO()
    with (
        module_named("torch._utils", _rebuild_tensor_v2),
        module_named("torch", DoubleStorage, FloatStorage, BFloat16Storage, ComplexFloatStorage),
    ):
        _Pickler(raw, protocol=protocol).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", raw.getvalue())
        for tensor in tensors:
            archive.writestr(f"model/data/{tensor.key}", tensor.values.tobytes())
        for name, value in more.items():
            archive.writestr(f"model/extra/{name}", value)
    return path


class GraphCode:
    """Pickled as torch.fx pickles a graph: from a dictionary, by a function of its own."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def __reduce__(self) -> Any:
        return reduce_graph_module, (self.body, "import torch")


def reduce_graph_module(*args: Any) -> None:
    """Stand where torch's function of this name stands."""


def graph_pickle(graph: GraphCode) -> bytes:
    with module_named("fx_graph_module", reduce_graph_module):
        return pickle.dumps(graph, protocol=4)


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


def test_numpys_scalars_and_arrays_are_plain_numbers(tmp_path: Path) -> None:
    """As in avg_num_neighbors of MACE and in configurations of SevenNet."""
    content: dict[str, Any] = {
        "scalar": np.float64(14.5),
        "single": np.float32(0.1),
        "integer": np.int64(-3),
        "flag": np.bool_(True),
        "text": np.str_("silu"),
        "array": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "big": np.arange(3, dtype=">f8"),
    }
    for protocol in (2, 4):
        found = read_torch_file(torch_file(tmp_path, content, protocol=protocol))
        assert found["scalar"] == 14.5 and type(found["scalar"]) is float
        assert found["single"] == float(np.float32(0.1)) and type(found["single"]) is float
        assert found["integer"] == -3 and type(found["integer"]) is int
        assert found["flag"] is True and found["text"] == "silu"
        for key in ("array", "fortran", "big"):
            np.testing.assert_array_equal(found[key], content[key])
            assert found[key].dtype.newbyteorder("=") == content[key].dtype.newbyteorder("=")


def test_arrays_of_objects_are_not_made(tmp_path: Path) -> None:
    path = torch_file(tmp_path, {"a": np.array([{}], dtype=object)})
    assert "a NumPy type object" in refusal(lambda: read_torch_file(path))


def test_bytes_in_old_pickles_are_bytes(tmp_path: Path) -> None:
    found = read_torch_file(torch_file(tmp_path, {"code": b"PK\x03\xff"}))
    assert found["code"] == b"PK\x03\xff"


def module(class_name: str, **state: Any) -> Stub:
    package, name = class_name.rsplit(".", 1)
    out = _stub_class(package, name)()
    out.__setstate__({"_modules": {}, "_parameters": {}, "_buffers": {}} | state)
    return out


@pytest.mark.parametrize("is_named", [False, True])
def test_tables_within_the_code_of_a_module_are_read(is_named: bool) -> None:
    """e3nn keeps a module's code with its constants, here as a graph of torch.fx."""
    table = np.arange(27.0).reshape(3, 3, 3)
    code = graph_pickle(GraphCode({"_buffers": {"_w3j_1_1_1": table, "n": 3}}))
    with_code = module("m.A", __codegen__={"main": ("fx", code) if is_named else code})
    tensors = state_dict(with_code)
    assert list(tensors) == ["main._w3j_1_1_1"]
    np.testing.assert_array_equal(tensors["main._w3j_1_1_1"], table)


def test_code_of_torchscript_is_read_likewise() -> None:
    found = read_torch_file(EXPORTERS / "mace_so3.model")
    assert isinstance(found, Stub)
    tables = {k: v for k, v in state_dict(found).items() if "_w3j_" in k}
    name = "interactions.1.conv_tp._compiled_main_left_right._w3j_"
    assert sorted(tables) == [name + ells for ells in ("1_1_1", "1_1_2", "1_2_1", "1_2_2")]
    assert max_error(tables[name + "1_2_2"], -wigner_3j(1, 2, 2)) <= 1e-15  # e3nn 0.4's sign


def test_storages_as_torch_wrote_them_before_1_6() -> None:
    """As within plain pickles: magic number, protocol, system, storage, its key, its numbers."""
    values = np.arange(4.0)
    with module_named("torch", DoubleStorage):
        items: list[Any] = [7, 1001, {}, ["0"]]
        parts = [pickle.dumps(item, protocol=2) for item in items]
        raw = io.BytesIO()
        _Pickler(raw, protocol=2).dump(_Storage(Tensor(values, "0")))
    content = b"".join([*parts[:3], raw.getvalue(), parts[3]])
    content += (4).to_bytes(8, "little") + values.tobytes()
    np.testing.assert_array_equal(_legacy_storage(content), values)
    with pytest.raises(ValueError, match="a storage of an unknown form"):
        _legacy_storage(b"".join(parts[:3]) + parts[0] + parts[3])


def test_wrappers_of_training_are_taken_off() -> None:
    inner = module("mace.modules.models.MACE")
    inner.__dict__["_buffers"]["r_max"] = np.array(4.0)
    part = module("torch._dynamo.eval_frame.OptimizedModule", _modules={"_orig_mod": inner})
    whole = module("torch.nn.parallel.data_parallel.DataParallel", _modules={"module": part})
    assert unwrapped(whole) is inner
    outer = module("m.A", _modules={"child": whole})
    assert list(state_dict(outer)) == ["child.r_max"]
    assert unwrapped({"a": 1}) == {"a": 1}


def test_pickles_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    raw = b"\x80\x02}r\xff\xff\xff\x7f."  # keeps object 2147483647
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", raw)
    assert "a pickle that keeps object 2147483647 of fewer" in refusal(
        lambda: read_torch_file(path)
    )
    tensor = Tensor(np.zeros(3), "0", size=(2**20, 2**20))
    tensor.stride = (0, 0)
    assert "a tensor of 1099511627776 numbers" in refusal(
        lambda: read_torch_file(torch_file(tmp_path, {"a": tensor}, tensor))
    )


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
    assert "x.pt: is a text file, expected a checkpoint." in refusal(
        lambda: read_torch_file(tmp_path / "x.pt")
    )
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        archive.writestr("a/other", b"")
    text = refusal(lambda: read_torch_file(tmp_path / "y.pt"))
    assert "is a zip archive of no format known here: torch.save's has a data.pkl." in text
    tensor = Tensor(np.zeros(3), "0")
    path = torch_file(tmp_path, {"a": tensor})  # without its storage
    assert "KeyError" in refusal(lambda: read_torch_file(path))
