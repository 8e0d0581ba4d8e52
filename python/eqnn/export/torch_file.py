# SPDX-License-Identifier: BSD-3-Clause
"""Reads files that torch wrote, pickled modules and TorchScript included, without torch.

Nothing of the file runs: classes that it names become inert `Stub`s that keep their attributes, so
that neither the upstream package nor trust in the file is needed.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from eqnn.errors import EqnnError, one_line
from eqnn.export import foreign
from eqnn.model_file import Array

_STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
# Modules that compute what the one in them computes, by the name under which they keep it.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "module",
}
# Tensors may be views that repeat their storage, but not without bound.
_MOST_NUMBERS = 2**26
# The upper half of single precision, which NumPy does not have.
_BFLOAT16 = np.dtype([("bfloat16", "<u2")])


class Stub:
    """Stands for an object of a class that is not to be imported.

    Attributes
    ----------
    args : tuple
        What it was made from.
    state : object
        What it was given afterwards; the items of a mapping are attributes as well.
    items : dict
        What was stored in it as in a dictionary or a list.
    """

    class_name = ""

    args: tuple[Any, ...]
    state: Any
    items: dict[Any, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Stub:
        """Keep what the object is made from."""
        out = object.__new__(cls)  # pickles call no __init__
        out.args = args
        out.state = None
        out.items = {}
        return out

    def __setstate__(self, state: Any) -> None:
        self.state = state
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, Mapping):
                self.__dict__.update((k, v) for k, v in part.items() if isinstance(k, str))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Take an element of a list."""
        self.items[len(self.items)] = value

    def extend(self, values: Any) -> None:
        """Take elements of a list."""
        for value in values:
            self.append(value)

    def add(self, value: Any) -> None:
        """Take an element of a set."""
        self.append(value)


@cache
def _stub_class(module: str, name: str) -> type[Stub]:
    return type(name.replace(".", "_"), (Stub,), {"class_name": f"{module}.{name}"})


def is_of(value: Any, name: str) -> bool:
    """Whether a value stands for an object of a class of this name, whatever its module."""
    return isinstance(value, Stub) and value.class_name.rsplit(".", 1)[-1] == name


def function_name(value: Any) -> str:
    """Return the name of a pickled function, without its module.

    Functions of torch's core, torch.tanh among them, are pickled as attributes of a class.
    """
    if is_of(value, "getattr") and len(value.args) == 2:
        return str(value.args[1])
    return getattr(value, "class_name", str(value)).rsplit(".", 1)[-1]


class _DType(Stub):
    """NumPy's ``dtype``, of numbers and texts alone."""

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type itself; a file says its byte order afterwards."""
        kind = np.dtype(str(self.args[0]))
        if kind.kind not in "biufSU" or kind.itemsize > 2**16:
            raise ValueError(f"a NumPy type {kind}")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "|"
        return kind.newbyteorder(">") if order == ">" else kind


def _numpy_scalar(dtype: Any, raw: Any = b"") -> Any:
    """Rebuild a NumPy scalar as the Python number or text that it is."""
    kind = _as_dtype(dtype)
    return np.frombuffer(bytes(raw), dtype=kind, count=1)[0].item()


def _as_dtype(value: Any) -> np.dtype[Any]:
    if not isinstance(value, _DType):
        raise ValueError("a NumPy array of no known type")
    return value.numpy


class WidenedArray(np.ndarray):
    """Numbers that stood as bfloat16 in the file: their type no longer says how few digits."""


class _NumpyArray(np.ndarray):
    """An array that a pickle fills after it has made it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, raw = state
        kind = _as_dtype(dtype)
        values = np.frombuffer(bytes(raw), dtype=kind)
        values = values.reshape(shape, order="F" if is_fortran else "C")
        checked: Any = (1, values.shape, kind, 0, values.tobytes())
        super().__setstate__(checked)


def _numpy_reconstruct(*args: Any) -> _NumpyArray:
    return np.zeros(0).view(_NumpyArray)


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """Rebuild bytes, which old pickles keep as text."""
    return text.encode(encoding if encoding in ("latin1", "latin-1", "utf-8") else "utf-8")


def _legacy_storage(raw: bytes) -> Array:
    """Read one storage as torch wrote it before 1.6, as it still does within plain pickles."""
    file = io.BytesIO(raw)
    for _ in range(3):  # magic number, protocol, system
        _load(file, _Unpickler(file))
    found = _load(file, _Unpickler(file, persistent=lambda pid: pid))
    keys = _load(file, _Unpickler(file))
    if not isinstance(found, tuple) or len(keys) != 1:
        raise ValueError("a storage of an unknown form")
    count = int.from_bytes(file.read(8), "little")
    dtype = _storage_dtype(found[1])
    return _as_single(np.frombuffer(file.read(count * dtype.itemsize), dtype=dtype))


def _storage_dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, np.dtype):
        raise ValueError(f"storage of unknown type {getattr(dtype, 'class_name', dtype)}")
    return dtype


def _as_single(values: Array) -> Array:
    """Widen bfloat16, which NumPy does not know."""
    if values.dtype != _BFLOAT16:
        return values
    return (values["bfloat16"].astype("<u4") << 16).view("<f4").view(WidenedArray)


def _rebuild_tensor(
    storage: Array, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> Array:
    strides = [step * storage.itemsize for step in stride]
    if not isinstance(storage, np.ndarray):
        raise ValueError("a tensor without a storage")
    if any(n < 0 for n in (*size, *stride, offset)):
        raise ValueError("a tensor of negative size")
    if math.prod(size) > max(storage.size, _MOST_NUMBERS):
        raise ValueError(f"a tensor of {math.prod(size)} numbers")
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and reach >= storage.size:
        raise ValueError("a tensor that reaches beyond its storage")
    if 0 in size:
        return np.zeros(size, dtype=storage.dtype).view(type(storage))
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
    # Whether they were widened stays known, and a tensor is a plain array in all else.
    return view.copy().view(type(storage))


def _first(value: Any, *rest: Any) -> Any:
    return value


def _checked(raw: bytes) -> bytes:
    """Refuse a pickle whose damage would make Python reserve memory without bound."""
    for operation, argument, _ in pickletools.genops(raw):
        if operation.name.endswith("PUT") and int(argument or 0) > len(raw):
            raise ValueError(f"a pickle that keeps object {argument} of fewer")
    return raw


def _load(file: io.BytesIO, unpickler: _Unpickler) -> Any:
    start = file.tell()
    _checked(file.getvalue()[start:])
    file.seek(start)
    return unpickler.load()


class _Unpickler(pickle.Unpickler):
    """Makes plain values and arrays as they are, and `Stub` of all else."""

    def __init__(self, file: io.BytesIO, *, persistent: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file)
        self.persistent = persistent

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _first,
            ("torch._utils", "_rebuild_parameter_with_state"): _first,
            ("torch.storage", "_load_from_bytes"): _legacy_storage,
            ("torch", "Size"): _tuple,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("_codecs", "encode"): _encode,
            ("numpy", "dtype"): _DType,
        }
        if (module, name) in known:
            return known[module, name]
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "scalar":
                return _numpy_scalar
            if name == "_reconstruct":
                return _numpy_reconstruct
        if module in ("torch", "torch.storage"):
            if name in _STORAGES:
                return _STORAGES[name]
            if name == "BFloat16Storage":
                return _BFLOAT16
        return _stub_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise ValueError("a reference to what lies outside of the file")
        return self.persistent(pid)


class _Archive:
    """Storages of a zip archive that torch wrote.

    Parameters
    ----------
    archive : ZipFile
    root : str
        Folder of all members.
    storage : str
        Where an archive of this kind keeps a storage, of its key.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str, storage: str) -> None:
        self.archive = archive
        self.root = root
        self.storage = storage
        self.storages: dict[str, Array] = {}

    def load(self, member: str) -> Any:
        """Read a pickled object."""
        file = io.BytesIO(self.archive.read(f"{self.root}/{member}"))
        return _load(file, _Unpickler(file, persistent=self._persistent))

    def _persistent(self, pid: Any) -> Any:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise ValueError(f"a reference to a {kind}")
        dtype = _storage_dtype(dtype)
        if key not in self.storages:
            raw = self.archive.read(f"{self.root}/{self.storage.format(key)}")
            self.storages[key] = _as_single(np.frombuffer(raw, dtype=dtype))
        return self.storages[key]


def _tuple(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


def _read_archive(file: Path | io.BytesIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} data.pkl in the archive, expected 1")
        root = names[0].removesuffix("/data.pkl")
        return _Archive(archive, root, "data/{}").load("data.pkl")


def read_torch_file(path: Path) -> Any:
    """Read what ``torch.save`` or ``torch.jit.save`` wrote.

    Returns
    -------
    object
        Dictionaries, lists and numbers as they are, tensors as arrays, all else as `Stub`.
    """
    try:
        return _read_archive(path)
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise EqnnError(foreign.unreadable(path, one_line(error))) from None


def read_torch_bytes(content: bytes, name: str) -> Any:
    """Read what ``torch.save`` wrote behind something else; `name` is for messages."""
    try:
        return _read_archive(io.BytesIO(content))
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise EqnnError(
            f"{name}: not readable as a file of torch.save ({one_line(error)}).\n"
            "It is damaged or incomplete: get it again."
        ) from None


def read_torch_package(path: Path, member: str) -> tuple[Any, dict[str, str]]:
    """Read a pickled object of a ``torch.package`` archive.

    Parameters
    ----------
    path : Path
    member : str
        Its path in the package, as in ``model/eager_model.pkl``.

    Returns
    -------
    tuple of object and dict
        The object, as `read_torch_file` gives it; texts that stand beside it, by name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/{member}")]
            if len(names) != 1:
                raise ValueError(f"{len(names)} {member} in the archive, expected 1")
            root = names[0].removesuffix(f"/{member}")
            folder = f"{root}/{member.rsplit('/', 1)[0]}/"
            texts = {
                name.removeprefix(folder): archive.read(name).decode(errors="replace")
                for name in archive.namelist()
                if name.startswith(folder) and not name.endswith((".pkl", ".py", "/"))
            }
            return _Archive(archive, root, ".data/{}.storage").load(member), texts
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise EqnnError(
            f"{path}: not readable as a package of torch ({one_line(error)}).\n"
            "Package the model again."
        ) from None


def read_extra_files(path: Path) -> dict[str, bytes]:
    """Read the extra files of a TorchScript archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.split("/extra/", 1)[1]: archive.read(name)
            for name in archive.namelist()
            if "/extra/" in name
        }


def unwrapped(module: Any) -> Any:
    """Return the module within those of torch.compile and of data parallel training."""
    while isinstance(module, Stub):
        wrapper = module.class_name.rsplit(".", 1)[-1]
        key = _WRAPPERS.get(wrapper)
        if key is None:
            return module
        inner = (module.__dict__.get("_modules") or {}).get(key)
        if inner is None and module.args:  # torch.compile's is pickled as a call with the module
            inner = module.args[0]
        if not isinstance(inner, Stub):
            raise EqnnError(
                f"a {wrapper} holds no module where one is expected. Save the model without the "
                "wrapper, and export that."
            )
        module = inner
    return module


def submodules(module: Stub) -> dict[str, Stub]:
    """Children of a module, by name, without wrappers."""
    named = module.__dict__.get("_modules")
    if named is None:  # TorchScript keeps everything as attributes
        attributes = module.state if isinstance(module.state, Mapping) else {}
        named = {k: v for k, v in attributes.items() if isinstance(v, Stub)}
    found = {str(k): unwrapped(v) for k, v in named.items() if v is not None}
    for (
        key,
        child,
    ) in found.items():  # one that is passed over is a part of the network that is lost
        if not isinstance(child, Stub):
            raise EqnnError(
                f"{module.class_name}: its part {key} is a {type(child).__name__}, expected a "
                "module. Save the model again."
            )
    return found


def state_dict(module: Stub) -> dict[str, Array]:
    """Parameters and buffers of a module and of all in it, under torch's names.

    So are constants within the code that e3nn writes for a module: its Wigner 3j.
    """
    return dict(_tensors(module, ""))


def _tensors(module: Stub, prefix: str) -> Iterator[tuple[str, Array]]:
    own: dict[str, Any] = {}
    if "_modules" in module.__dict__:
        own |= module.__dict__.get("_parameters") or {}
        own |= module.__dict__.get("_buffers") or {}
    elif isinstance(module.state, Mapping):
        own |= module.state
    for name, value in own.items():
        if isinstance(value, np.ndarray):
            yield prefix + name, value
    for name, code in (module.__dict__.get("__codegen__") or {}).items():
        for key, value in _constants_of(code):
            yield f"{prefix}{name}.{key}", value
    for name, child in submodules(module).items():
        yield from _tensors(child, f"{prefix}{name}.")


def _constants_of(code: Any) -> Iterator[tuple[str, Array]]:
    """Tensors within a function that e3nn wrote: TorchScript, or a pickled graph of torch.fx."""
    if isinstance(code, tuple) and len(code) == 2:  # its kind goes before it, since e3nn 0.5.2
        code = code[1]
    if not isinstance(code, bytes):
        return
    if zipfile.is_zipfile(io.BytesIO(code)):
        function = _read_archive(io.BytesIO(code))
    else:
        file = io.BytesIO(code)
        function = _load(file, _Unpickler(file))
    if is_of(function, "reduce_graph_module") and function.args:
        tensors = (function.args[0] or {}).get("_buffers") or {}
    else:
        tensors = function.state if isinstance(function, Stub) else {}
    for key, value in (tensors or {}).items():
        if isinstance(value, np.ndarray):
            yield str(key), value
