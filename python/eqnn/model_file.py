# SPDX-License-Identifier: BSD-3-Clause
"""Reads and writes ``.eqnn`` files, format version 1 (docs/spec/model_file.md).

Only the library (src/model) decides what is valid. This module converts between files and arrays.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from eqnn import library
from eqnn.errors import EqnnError

FORMAT_VERSION = 1
HEAVIEST_ELEMENT = 118

Array = NDArray[Any]
Document = dict[str, Any]

# All that safetensors has a name for and NumPy a type; which of them a model may hold, the library
# says.
_DTYPES = {
    np.dtype(name): stored
    for stored, name in (
        *(("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("BOOL", "?")),
        *(("I64", "<i8"), ("I32", "<i4"), ("I16", "<i2"), ("I8", "i1")),
        *(("U64", "<u8"), ("U32", "<u4"), ("U16", "<u2"), ("U8", "u1")),
    )
}
_IRREP = re.compile(r"([1-9][0-9]{0,8})x([0-9]|10)([eo])")

Irreps = dict[str, int]
"""Number of channels of each block, as in ``{"0e": 128, "1o": 64}``, in the file's order."""


@dataclass(frozen=True)
class Model:
    """A model file's content.

    Attributes
    ----------
    document : dict
        The JSON document of docs/spec/model_file.md.
    tensors : dict of ndarray
        The weights by name, float32 or float64; int32 for indices.
    name : str
        What messages call it: the file's path.
    """

    document: Document
    tensors: dict[str, Array]
    name: str

    @property
    def sha256(self) -> str:
        """Hash of everything that the model says, 64 hexadecimal digits."""
        return content_hash(_dump(self.document), self.tensors)

    @property
    def n_parameters(self) -> int:
        """Number of stored numbers."""
        return sum(tensor.size for tensor in self.tensors.values())


def in_single_precision(model: Model) -> Model:
    """Round the weights that take up space, matrices and tables, to single precision.

    Coupling tensors are not rounded, since that would break the equivariance that the file states.
    Vectors, such as frequencies and scales, are too small to matter.
    """
    couplings = {
        stage["weights"]["coupling"]
        for stage in model.document["graph"]
        if stage["op"] == "edge_matrix"
    }
    tensors = {
        name: tensor.astype(np.float32)
        if tensor.ndim > 1 and tensor.dtype == np.float64 and name not in couplings
        else tensor
        for name, tensor in model.tensors.items()
    }
    return Model(model.document, tensors, model.name)


def content_hash(document: str, tensors: Mapping[str, Array]) -> str:
    """SHA-256 over the document's text and all tensors: *Hash* in the specification.

    Parameters
    ----------
    document : str
        The text of ``__metadata__.eqnn``.
    tensors : mapping of str to ndarray
        Arrays of any shape.
    """
    digest = hashlib.sha256(document.encode())
    for name in sorted(tensors, key=str.encode):
        tensor = tensors[name]
        shape = ",".join(str(n) for n in tensor.shape)
        digest.update(f"{name}\n{_DTYPES[tensor.dtype]}\n[{shape}]\n".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def block_of(degree: int, parity: int) -> str:
    """Name of the block of a degree and a parity (1 or -1), as in ``1o``."""
    return f"{degree}{'e' if parity == 1 else 'o'}"


def degree_of(block: str) -> int:
    """Degree l of a block, as 1 of ``1o``."""
    return int(block[:-1])


def parity_of(block: str) -> int:
    """Parity of a block: 1 (e) or -1 (o)."""
    return 1 if block[-1] == "e" else -1


def block_order(block: str) -> tuple[int, str]:
    """Sort key for the order of blocks in features: by increasing l, e before o."""
    return degree_of(block), block[-1]


def parse_irreps(text: str) -> Irreps:
    """Read ``128x0e+64x1o``.

    Raises
    ------
    ValueError
        If a block is not of this form, occurs twice, or follows one that it should precede.
    """
    out: Irreps = {}
    for part in text.split("+"):
        found = _IRREP.fullmatch(part)
        if found is None:
            raise ValueError(f'"{part}" is not of the form 128x1o')
        block = found[2] + found[3]
        if out and block_order(block) <= block_order(list(out)[-1]):
            raise ValueError(f'"{block}" stands after "{list(out)[-1]}"')
        out[block] = int(found[1])
    return out


def format_irreps(irreps: Mapping[str, int]) -> str:
    """Write ``128x0e+64x1o``; blocks in any order."""
    return "+".join(f"{irreps[block]}x{block}" for block in sorted(irreps, key=block_order))


def uniform_irreps(l_max: int, channels: int, all_even: bool) -> Irreps:
    """Irreps of uniform features, with the parities of the harmonics or all even."""
    return {
        block_of(degree, 1 if all_even else (-1) ** degree): channels for degree in range(l_max + 1)
    }


def write_model(path: str | Path, document: Document, tensors: Mapping[str, Array]) -> Model:
    """Validate a model and write it. The file is complete and valid, or is not written.

    Parameters
    ----------
    path : str or Path
        The file, replaced if it exists.
    document : dict
        What the file's JSON says: docs/spec/model_file.md.
    tensors : mapping of str to ndarray
        The weights by name, in double or single precision; indices are int32.

    Returns
    -------
    Model
        What was written.

    Raises
    ------
    EqnnError
        If the library refuses the model.
    """
    stored = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    model = Model(document, stored, str(path))
    content = _content(model)
    library.validate(model.name, content)
    _write_whole(Path(path), content)
    return model


def validate(model: Model, *, load: bool = False) -> None:
    """Check a model against everything that the specification demands and the engine can run.

    Parameters
    ----------
    model : Model
    load : bool
        Whether to also prepare it to run in every precision, which takes seconds.

    Raises
    ------
    InvalidModelError
        At the first fault found, with the JSON path and the cure.
    """
    library.validate(model.name, _content(model), load=load)


def _content(model: Model) -> bytes:
    """Return the bytes of a model's file."""
    for name, tensor in model.tensors.items():
        if tensor.dtype not in _DTYPES:
            raise EqnnError(
                f'{model.name}: tensor "{name}" has type {tensor.dtype}, expected float64, float32 '
                "or int32. Convert it."
            )
    metadata = {"eqnn": _dump(model.document), "eqnn_sha256": model.sha256}
    # Not save_file: it makes files that only their owner can read.
    stored = {name: np.ascontiguousarray(tensor) for name, tensor in model.tensors.items()}
    return _sorted_header(save(stored, metadata=metadata))


def _sorted_header(content: bytes) -> bytes:
    """Sort the header of a safetensors file, whose order differs from one save to the next."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # as safetensors aligns the tensors
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _write_whole(path: Path, content: bytes) -> None:
    """Write a temporary file and move it into place, so that no partial file is ever visible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be written ({error.strerror}). Give a path where you may write."
        ) from None


def read_model(path: str | Path) -> Model:
    """Read a model file. The library validates it first.

    Parameters
    ----------
    path : str or Path
        The ``.eqnn`` file.

    Returns
    -------
    Model
        Its JSON and its tensors.

    Raises
    ------
    EqnnError
        If anything is wrong, with the name of the file, the JSON path and how to fix it.
    """
    name = str(path)
    library.validate(name)
    with safe_open(name, framework="np") as file:
        document: Document = json.loads(file.metadata()["eqnn"])
        tensors: dict[str, Array] = {key: file.get_tensor(key) for key in file.keys()}
    return Model(document, tensors, name)


def _dump(document: Document) -> str:
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise EqnnError(
            f"the model's document cannot be written as JSON ({_no_number(document) or error}). "
            "Look for NaN or infinity in the checkpoint's configuration."
        ) from None


def _no_number(value: Any, path: str = "") -> str:
    """Return the path of the first NaN or infinity in a document; empty if there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path}: found {value}, expected a finite number"
    entries: Any = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, list | tuple):
        entries = enumerate(value)
    found = (_no_number(item, f"{path}/{key}") for key, item in entries)
    return next(filter(None, found), "")
