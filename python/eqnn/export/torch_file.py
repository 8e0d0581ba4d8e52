# SPDX-License-Identifier: BSD-3-Clause
"""Reads files that torch wrote, pickled modules and TorchScript included, without torch.

Nothing of the file runs: classes that it names become inert `Stub`s that keep their attributes, so
that neither the upstream package nor trust in the file is needed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from eqnn.errors import EqnnError
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


def _rebuild_tensor(
    storage: Array, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> Array:
    strides = [step * storage.itemsize for step in stride]
    if any(n < 0 for n in (*size, *stride, offset)):
        raise ValueError("a tensor of negative size")
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and reach >= storage.size:
        raise ValueError("a tensor that reaches beyond its storage")
    if 0 in size:
        return np.zeros(size, dtype=storage.dtype)
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
    return view.copy()


def _first(value: Any, *rest: Any) -> Any:
    return value


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str, member: str, storage: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/{member}")))
        self.archive = archive
        self.root = root
        self.storage = storage  # where an archive of this kind keeps a storage
        self.storages: dict[str, Array] = {}

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _first,
            ("torch._utils", "_rebuild_parameter_with_state"): _first,
            ("torch", "Size"): tuple,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
        }
        if (module, name) in known:
            return known[module, name]
        if module in ("torch", "torch.storage"):
            if name in _STORAGES:
                return _STORAGES[name]
            if name == "BFloat16Storage":
                return _BFLOAT16
        return _stub_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _, _ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise ValueError(f"storage of unknown type {getattr(dtype, 'class_name', dtype)}")
        if key not in self.storages:
            raw = self.archive.read(f"{self.root}/{self.storage.format(key)}")
            values = np.frombuffer(raw, dtype=dtype)
            if dtype == _BFLOAT16:
                values = (values["bfloat16"].astype("<u4") << 16).view("<f4")
            self.storages[key] = values
        return self.storages[key]


def read_torch_file(path: Path) -> Any:
    """Read what ``torch.save`` or ``torch.jit.save`` wrote.

    Returns
    -------
    object
        Dictionaries, lists and numbers as they are, tensors as arrays, all else as `Stub`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                raise ValueError(f"{len(names)} data.pkl in the archive, expected 1")
            root = names[0].removesuffix("/data.pkl")
            return _Unpickler(archive, root, "data.pkl", "data/{}").load()
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise EqnnError(
            f"{path}: not readable as a file of torch.save ({type(error).__name__}: {error}).\n"
            "Save the model again with torch 1.6 or later."
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
            return _Unpickler(archive, root, member, ".data/{}.storage").load(), texts
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the checkpoint's path.") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise EqnnError(
            f"{path}: not readable as a package of torch ({type(error).__name__}: {error}).\n"
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


def submodules(module: Stub) -> dict[str, Stub]:
    """Children of a module, by name."""
    named = module.__dict__.get("_modules")
    if named is None:  # TorchScript keeps everything as attributes
        named = module.state if isinstance(module.state, Mapping) else {}
    return {k: v for k, v in named.items() if isinstance(v, Stub)}


def state_dict(module: Stub) -> dict[str, Array]:
    """Parameters and buffers of a module and of all in it, under torch's names."""
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
    for name, child in submodules(module).items():
        yield from _tensors(child, f"{prefix}{name}.")
