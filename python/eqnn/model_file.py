# SPDX-License-Identifier: BSD-3-Clause
"""Reading, writing and validating of ``.eqnn`` files, format version 1 (docs/spec/model_file.md).

The rules are those of the C++ reader, so that no file that Python writes is refused by LAMMPS.
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
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eqnn.errors import EqnnError

FORMAT_VERSION = 1
MAX_L = 10
HEAVIEST_ELEMENT = 118
PROVENANCE_KEYS = ("upstream", "exporter", "data", "level_of_theory", "licence")

Array = NDArray[Any]
Document = dict[str, Any]

_DTYPES = {np.dtype("<f8"): "F64", np.dtype("<f4"): "F32", np.dtype("<i4"): "I32"}
_IRREP = re.compile(r"([1-9][0-9]{0,8})x([0-9]|10)([eo])")
_BLOCK = re.compile(r"([0-9]|10)([eo])")

_ACTIVATIONS = ("silu", "tanh", "sigmoid", "none")
_ODD_ACTIVATIONS = ("tanh", "none")

Irreps = dict[str, int]
"""Number of channels of each block, as in ``{"0e": 128, "1o": 64}``, in the file's order."""


@dataclass(frozen=True)
class Model:
    """A model file's content, validated.

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

    Coupling tensors stay as they are, since rounding would break the equivariance that the file
    states, and so do vectors, such as frequencies and scales, which take up none.
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
    """SHA-256 over the document's text and all tensors, as the specification's *Hash* says.

    Parameters
    ----------
    document : str
        The text of ``__metadata__.eqnn``.
    tensors : mapping of str to ndarray
        float32, float64 or int32 arrays of any shape.
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
    """Key that sorts blocks as features hold them: by increasing l, e before o."""
    return degree_of(block), block[-1]


def parse_irreps(text: str) -> Irreps:
    """Read ``128x0e+64x1o``.

    Raises
    ------
    ValueError
        Where a block is not of this form, stands twice, or stands after one that it precedes.
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


def write_model(path: str | Path, document: Document, tensors: Mapping[str, Array]) -> Model:
    """Validate a model and write it: whole and valid, or not at all."""
    stored = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    model = Model(document, stored, str(path))
    validate(model)
    metadata = {"eqnn": _dump(document), "eqnn_sha256": model.sha256}
    # Not save_file: it makes files that only their owner can read.
    _write_whole(Path(path), _sorted_header(save(stored, metadata=metadata)))
    return model


def _sorted_header(content: bytes) -> bytes:
    """Put a safetensors file's header in order, which differs from one save to the next."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # as safetensors aligns the tensors
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that no half of it is ever found."""
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


# How files of others begin that are given in the place of a model.
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as torch writes checkpoints and TorchScript",
    b"\x80\x02": "a pickle, as torch and Python write them",
    b"\x80\x04": "a pickle, as torch and Python write them",
    b"\x80\x05": "a pickle, as torch and Python write them",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
}


def _refuse_foreign(path: Path) -> None:
    """Say what a file is that is no safetensors file, where that can be told."""
    if path.is_dir():
        raise EqnnError(f"{path}: is a folder, expected a model file. Name the file in it.")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        return
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise EqnnError(
                f"{path}: is {what}, expected a model file of eqnn. "
                "Make one from a checkpoint with `eqnn export`."
            )


def read_model(path: str | Path) -> Model:
    """Read and validate a model file.

    Raises
    ------
    EqnnError
        Where anything is wrong, with the file's name, the JSON path and the cure.
    """
    name = str(path)
    try:
        with safe_open(name, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Array] = {key: file.get_tensor(key) for key in file.keys()}
    except FileNotFoundError:
        raise EqnnError(f"{name}: no such file. Check the path.") from None
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        _refuse_foreign(Path(path))
        raise EqnnError(
            f"{name}: not a readable safetensors file ({error}).\n"
            "It is damaged or something else: copy it again, or export it with `eqnn export`."
        ) from None
    for key in ("eqnn", "eqnn_sha256"):
        if key not in metadata:
            raise EqnnError(
                f'{name}: /__metadata__: key "{key}" is missing: not a model of eqnn. '
                "Make one with `eqnn export`."
            )
    for key in metadata:
        if key not in ("eqnn", "eqnn_sha256"):
            raise EqnnError(f'{name}: /__metadata__: unknown key "{key}". Re-export the model.')
    for key, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise EqnnError(
                f'{name}: tensor "{key}" has type {tensor.dtype}, expected float64, float32 or '
                "int32. Re-export the model."
            )
    found = content_hash(metadata["eqnn"], tensors)
    if found != metadata["eqnn_sha256"]:
        raise EqnnError(
            f"{name}: /__metadata__/eqnn_sha256: the content has SHA-256 {found}, the file states "
            f"{metadata['eqnn_sha256']}.\n"
            "The file was damaged or edited: copy or export it again."
        )
    model = Model(_parse(metadata["eqnn"], name), tensors, name)
    validate(model)
    return model


def validate(model: Model) -> None:
    """Check a model against everything that the specification demands.

    Raises
    ------
    EqnnError
        At the first fault found.
    """
    document = _Json(model.document, model.name)
    _check_header(document)
    graph = _GraphChecker(document, model.tensors)
    graph.check()
    for test in document.at("self_test").elements():
        _check_self_test(test, document)


def _dump(document: Document) -> str:
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise EqnnError(
            f"the model's document cannot be written as JSON ({error}). "
            "Look for NaN or infinity in the checkpoint's configuration."
        ) from None


def _parse(text: str, name: str) -> Document:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise EqnnError(
                    f'{name}: /__metadata__/eqnn: key "{key}" stands twice in one object. '
                    "Re-export the model."
                )
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        raise EqnnError(
            f"{name}: /__metadata__/eqnn: not valid JSON ({error}). "
            "The file is damaged: copy or export it again."
        ) from None
    if not isinstance(document, dict):
        raise EqnnError(f"{name}: /__metadata__/eqnn: not a JSON object. Re-export the model.")
    return document


class _Json:
    """A JSON value and the path where it stands, so that every complaint names both."""

    def __init__(self, value: Any, file: str, path: str = "") -> None:
        self.value = value
        self.file = file
        self.path = path

    def fail(self, message: str, cure: str = "Re-export the model.") -> NoReturn:
        raise EqnnError(f"{self.file}: {self.path or '/'}: {message}. {cure}")

    def at(self, key: str) -> _Json:
        if not isinstance(self.value, dict):
            self.fail(f"found {self.shown()}, expected an object")
        if key not in self.value:
            self.fail(f'key "{key}" is missing')
        return _Json(self.value[key], self.file, f"{self.path}/{key}")

    def allow_only(self, *keys: str) -> None:
        if not isinstance(self.value, dict):
            self.fail(f"found {self.shown()}, expected an object")
        for key in self.value:
            if key not in keys:
                self.fail(
                    f'unknown key "{key}"',
                    f"Format version {FORMAT_VERSION} does not have it: update eqnn or re-export "
                    "the model.",
                )

    def elements(self) -> list[_Json]:
        if not isinstance(self.value, list):
            self.fail(f"found {self.shown()}, expected an array")
        return [_Json(v, self.file, f"{self.path}/{k}") for k, v in enumerate(self.value)]

    def string(self) -> str:
        if not isinstance(self.value, str):
            self.fail(f"found {self.shown()}, expected a string")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            self.fail(f"found {self.shown()}, expected true or false")
        return self.value

    def number(self, above: float = -math.inf, at_least: float = -math.inf) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail(f"found {self.shown()}, expected a number")
        number = float(self.value)
        if not (math.isfinite(number) and number > above and number >= at_least):
            bound = max(above, at_least)
            relation = "above" if above > at_least else "of at least"
            wanted = "a finite number" if bound == -math.inf else f"a number {relation} {bound:g}"
            self.fail(f"found {self.shown()}, expected {wanted}")
        return number

    def integer(self, low: int, high: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fail(f"found {self.shown()}, expected an integer")
        if not low <= self.value <= high:
            self.fail(f"found {self.value}, expected an integer from {low} to {high}")
        return self.value

    def word(self, *words: str) -> str:
        if self.value not in words:
            choices = ", ".join(f'"{word}"' for word in words)
            self.fail(f"found {self.shown()}, expected one of {choices}")
        return str(self.value)

    def vector(self, length: int) -> list[float]:
        elements = self.elements()
        if len(elements) != length:
            self.fail(f"{len(elements)} numbers, expected {length}")
        return [element.number() for element in elements]

    def vectors(self, rows: int) -> list[list[float]]:
        elements = self.elements()
        if len(elements) != rows:
            self.fail(f"{len(elements)} rows, expected {rows}")
        return [element.vector(3) for element in elements]

    def shown(self) -> str:
        text = repr(self.value)
        return text if len(text) <= 60 else text[:60] + "..."


def _check_header(document: _Json) -> None:
    version = document.at("format_version")
    if version.value != FORMAT_VERSION or isinstance(version.value, bool | float):
        version.fail(
            f"format version {version.shown()}, this reader knows {FORMAT_VERSION}",
            "Update eqnn, or export the model with this version.",
        )
    document.allow_only(
        *("format_version", "family", "species", "cutoff", "units", "spherical_harmonics"),
        *("parity", "equivariance", "energy", "forces", "graph", "self_test", "provenance"),
    )
    document.at("family").string()
    species = document.at("species").elements()
    if not species:
        document.at("species").fail("no element, expected at least one")
    previous = 0
    for number in species:
        if number.integer(1, HEAVIEST_ELEMENT) <= previous:
            number.fail(f"atomic number {number.value} after {previous}, expected increasing ones")
        previous = number.value
    document.at("cutoff").number(above=0.0)

    units = document.at("units")
    units.allow_only("length", "energy")
    units.at("length").word("Angstrom")
    units.at("energy").word("eV")

    harmonics = document.at("spherical_harmonics")
    harmonics.allow_only("l_max", "normalization", "axes", "edge_vector")
    harmonics.at("l_max").integer(0, MAX_L)
    harmonics.at("normalization").word("component")
    harmonics.at("axes").word("e3nn")
    harmonics.at("edge_vector").word("source_minus_center")

    document.at("parity").word("so3", "o3")
    equivariance = document.at("equivariance")
    equivariance.allow_only("exact", "defect")
    equivariance.at("exact").boolean()
    equivariance.at("defect").number(at_least=0.0)

    energy = document.at("energy")
    energy.allow_only("semantics", "scale", "shift", "reference", "isolated_atoms")
    energy.at("semantics").word("extensive", "mean-per-atom")
    if isinstance(energy.at("scale").value, list):
        energy.at("scale").vector(len(species))
    else:
        energy.at("scale").number()
    energy.at("shift").number()
    energy.at("reference").vector(len(species))
    energy.at("isolated_atoms").word("zero", "network")
    document.at("forces").word("gradient", "direct")

    provenance = document.at("provenance")
    for key in PROVENANCE_KEYS:
        provenance.at(key).string()


def _check_self_test(test: _Json, document: _Json) -> None:
    test.allow_only("name", "numbers", "positions", "cell", "energy", "forces", "virial")
    test.at("name").string()
    species = document.value["species"]
    for number in test.at("numbers").elements():
        if number.integer(1, HEAVIEST_ELEMENT) not in species:
            number.fail(f"the model has no element {number.value}")
    n_atoms = len(test.value["numbers"])
    test.at("positions").vectors(n_atoms)
    if test.at("cell").value is not None:
        volume = abs(float(np.linalg.det(np.array(test.at("cell").vectors(3)))))
        if not volume > 1e-3:
            test.at("cell").fail(f"the cell's volume is {volume:g} A^3, expected above 0.001")
    test.at("energy").number()
    test.at("forces").vectors(n_atoms)
    is_direct = document.value["forces"] == "direct"
    if test.at("virial").value is not None:
        if is_direct:
            test.at("virial").fail("found a matrix, expected null: direct forces have no virial")
        test.at("virial").vectors(3)
    elif not is_direct:
        test.at("virial").fail("found null, expected a 3x3 matrix")


class _Value:
    """What a stage makes: its kind, and its size where the kind has one.

    Attributes
    ----------
    kind : str
    l_max, channels : int
        Of harmonics, matrices, radial functions and uniform features.
    irreps : dict
        Of features.
    """

    def __init__(
        self, kind: str, l_max: int = 0, channels: int = 0, irreps: Irreps | None = None
    ) -> None:
        self.kind = kind
        self.l_max = l_max
        self.channels = channels
        self.irreps: Irreps = irreps or {}
        self.n_uses = 0
        if self.irreps:
            self.l_max = max(map(degree_of, self.irreps))
            self.channels = max(self.irreps.values())

    @property
    def parities(self) -> set[str]:
        """Which of both kinds of uniform features these are: of the ``harmonics``, all ``even``."""
        out = set()
        for kind in ("harmonics", "even"):
            if self.irreps == uniform_irreps(self.l_max, self.channels, kind == "even"):
                out.add(kind)
        return out


def uniform_irreps(l_max: int, channels: int, all_even: bool) -> Irreps:
    """Irreps of uniform features, with the parities of the harmonics or all even."""
    return {
        block_of(degree, 1 if all_even else (-1) ** degree): channels for degree in range(l_max + 1)
    }


class _GraphChecker:
    """Goes through the stages in order and knows the values made so far."""

    def __init__(self, document: _Json, tensors: Mapping[str, Array]) -> None:
        self.document = document
        self.l_max: int = document.value["spherical_harmonics"]["l_max"]
        self.is_o3: bool = document.value["parity"] == "o3"
        self.n_species = len(document.value["species"])
        self.tensors = tensors
        self.used: set[str] = set()
        self.values: dict[str, _Value] = {}
        # What a matrix of harmonics acts on; with parity so3 both names mean the same.
        self.natural = {"harmonics"} if self.is_o3 else {"even"}

    def check(self) -> None:
        graph = self.document.at("graph")
        stages = graph.elements()
        if not stages:
            graph.fail("no stage, expected at least one")
        self.all_outputs = {stage.at("output").string() for stage in stages}
        for stage in stages:
            op = stage.at("op").string()
            check = getattr(self, f"_stage_{op}", None)
            if check is None:
                stage.at("op").fail(
                    f'unknown stage "{op}"', "Update eqnn, or export with this version."
                )
            output = stage.at("output").string()
            if not output or output in self.values:
                stage.at("output").fail(
                    f'output "{output}" is empty or made twice, expected a name of its own'
                )
            self.values[output] = check(stage)
        self._check_ends(graph)

    def _check_ends(self, graph: _Json) -> None:
        ends = ("energy", "forces")
        for output, value in self.values.items():
            if value.n_uses == 0 and value.kind not in ends:
                graph.fail(f'output "{output}" is used by no stage')
        kinds = [value.kind for value in self.values.values()]
        if kinds.count("energy") != 1 or kinds[-1] != "energy":
            graph.fail(
                f"{kinds.count('energy')} energy stages and the last one makes {kinds[-1]}, "
                "expected one energy stage, the last"
            )
        n_direct = 1 if self.document.value["forces"] == "direct" else 0
        if kinds.count("forces") != n_direct:
            graph.fail(f"{kinds.count('forces')} direct_forces stages, expected {n_direct}")
        for name in self.tensors:
            if name not in self.used:
                raise EqnnError(
                    f'{self.document.file}: tensor "{name}" is used by no stage. '
                    "Re-export the model."
                )

    # ---- helpers ----

    def _open(
        self,
        stage: _Json,
        inputs: tuple[str, ...],
        weights: tuple[str, ...] | None,
        *attributes: str,
    ) -> tuple[_Json, _Json]:
        """Refuse unknown keys of a stage; return its inputs and weights (None: of other names)."""
        stage.allow_only("op", "output", "inputs", "weights", *attributes)
        stage.at("inputs").allow_only(*inputs)
        if weights is not None:
            stage.at("weights").allow_only(*weights)
        for key in attributes:
            stage.at(key)
        return stage.at("inputs"), stage.at("weights")

    def _input(self, name: _Json, kind: str) -> _Value:
        key = name.string()
        if key not in self.values:
            if key in self.all_outputs:
                name.fail(
                    f'"{key}" is made by this or a later stage, expected an earlier one '
                    "(the graph has a cycle or is out of order)"
                )
            name.fail(f'"{key}" is the output of no stage')
        value = self.values[key]
        if value.kind != kind:
            name.fail(f'"{key}" is of kind {value.kind}, expected {kind}')
        value.n_uses += 1
        return value

    def _uniform(self, name: _Json, parities: set[str] | None = None) -> _Value:
        """Look up features that have one block of equally many channels for each l."""
        value = self._input(name, "features")
        if not value.parities:
            name.fail(
                f'"{name.value}" has irreps {format_irreps(value.irreps)}, expected uniform ones: '
                "equally many channels for each l = 0 to l_max"
            )
        if parities is not None and not value.parities & parities:
            name.fail(
                f'"{name.value}" has irreps {format_irreps(value.irreps)}, expected parities of '
                f"{' or '.join(sorted(parities))}"
            )
        return value

    def _features(self, l_max: int, channels: int, all_even: bool = False) -> _Value:
        """Make uniform features; with parity so3 all are even."""
        return _Value(
            "features", irreps=uniform_irreps(l_max, channels, all_even or not self.is_o3)
        )

    def _like(self, x: _Value, l_max: int, channels: int) -> _Value:
        """Make uniform features with the parities of others."""
        return self._features(l_max, channels, "harmonics" not in x.parities)

    def _irreps(self, stage: _Json) -> Irreps:
        """Read a stage's attribute ``irreps``."""
        where = stage.at("irreps")
        try:
            irreps = parse_irreps(where.string())
        except ValueError as error:
            where.fail(
                f"found {where.shown()}, expected blocks of increasing l, e before o, as in "
                f"128x0e+64x1o ({error})"
            )
        for block in irreps:
            self._check_parity(where, block)
        return irreps

    def _block(self, where: _Json) -> str:
        block = where.string()
        if not _BLOCK.fullmatch(block):
            where.fail(f"found {where.shown()}, expected a block as in 1o")
        self._check_parity(where, block)
        return block

    def _check_parity(self, where: _Json, block: str) -> None:
        if parity_of(block) == -1 and not self.is_o3:
            where.fail(f"block {block} in a model of parity so3, where every parity is e")

    def _per_block(self, stage: _Json, irreps: Irreps, *more: str) -> _Json:
        """Refuse weights that are not one for each block; `more` are optional."""
        weights = stage.at("weights")
        weights.allow_only(*irreps, *more)
        for block in irreps:
            weights.at(block)
        return weights

    def _expect(self, where: _Json, what: str, found: int, expected: int) -> None:
        if found != expected:
            where.fail(f"{what} is {found}, expected {expected}")

    def _tensor(self, name: _Json, *shape: int | None, integer: bool = False) -> Array:
        """Look a tensor up and check its type, its shape (None: any extent) and values."""
        key = name.string()
        if key not in self.tensors:
            name.fail(f'tensor "{key}" is not in the file')
        tensor = self.tensors[key]
        if _DTYPES.get(tensor.dtype) not in (("I32",) if integer else ("F64", "F32")):
            wanted = "int32" if integer else "float64 or float32"
            name.fail(f'tensor "{key}" has type {tensor.dtype}, expected {wanted}')
        fits = tensor.ndim == len(shape) and all(
            found > 0 and wanted in (None, found)
            for found, wanted in zip(tensor.shape, shape, strict=True)
        )
        if not fits:
            extents = ", ".join("any" if n is None else str(n) for n in shape)
            name.fail(f'tensor "{key}" has shape {list(tensor.shape)}, expected [{extents}]')
        bad = np.flatnonzero(~np.isfinite(tensor))
        if bad.size:
            name.fail(
                f'tensor "{key}" holds {tensor.flat[bad[0]]} at flat index {bad[0]}',
                "The training diverged or the file is damaged: export it again.",
            )
        self.used.add(key)
        return tensor

    def _layers(self, layers: _Json, n_in: int, layer_norm: bool = True) -> int:
        """Check an MLP; return its number of outputs."""
        if not layers.elements():
            layers.fail("no layer, expected at least one")
        for layer in layers.elements():
            layer.allow_only("weight", "bias", "layer_norm", "activation")
            n_out = self._tensor(layer.at("weight"), None, n_in).shape[0]
            if layer.at("bias").value is not None:
                self._tensor(layer.at("bias"), n_out)
            norm = layer.at("layer_norm")
            if norm.value is not None:
                if not layer_norm:
                    norm.fail("layer_norm in a readout, expected null")
                norm.allow_only("scale", "shift", "eps")
                self._tensor(norm.at("scale"), n_out)
                self._tensor(norm.at("shift"), n_out)
                norm.at("eps").number(above=0.0)
            layer.at("activation").word("silu", "none")
            n_in = n_out
        return n_in

    # ---- one check per stage ----

    def _stage_spherical_harmonics(self, stage: _Json) -> _Value:
        self._open(stage, (), (), "l_max")
        return _Value("harmonics", stage.at("l_max").integer(0, self.l_max))

    def _stage_edge_matrix(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("harmonics",), ("coupling",))
        harmonics = self._input(inputs.at("harmonics"), "harmonics")
        d = (harmonics.l_max + 1) ** 2
        self._tensor(weights.at("coupling"), d, d, d)
        return _Value("matrix", harmonics.l_max)

    def _stage_radial(self, stage: _Json) -> _Value:
        self._open(stage, (), (), "basis", "envelope", "layers")
        basis = stage.at("basis")
        if basis.at("kind").word("gaussian", "bessel") == "gaussian":
            basis.allow_only("kind", "center", "width", "amplitude")
            n_basis = self._tensor(basis.at("center"), None).shape[0]
            width = self._tensor(basis.at("width"), n_basis)
            if not (width > 0.0).all():
                basis.at("width").fail(
                    f"a width of {width.min():g} Angstrom, expected positive ones"
                )
        else:
            basis.allow_only("kind", "frequency", "amplitude")
            n_basis = self._tensor(basis.at("frequency"), None).shape[0]
        self._tensor(basis.at("amplitude"), n_basis)
        envelope = stage.at("envelope")
        kind = envelope.at("kind").word("none", "polynomial", "xplor")
        if kind == "none":
            envelope.allow_only("kind")
        else:
            key = "p" if kind == "polynomial" else "start"
            envelope.allow_only("kind", key, "on")
            envelope.at("on").word("basis", "output")
            if kind == "polynomial":
                envelope.at(key).number(at_least=2.0)
            elif envelope.at(key).number(above=0.0) >= self.document.value["cutoff"]:
                envelope.at(key).fail(
                    f"found {envelope.at(key).shown()}, expected a number below the cutoff "
                    f"{self.document.value['cutoff']:g}"
                )
        return _Value("radial", channels=self._layers(stage.at("layers"), n_basis))

    def _stage_species_embedding(self, stage: _Json) -> _Value:
        _, weights = self._open(stage, (), ("table",), "l_max")
        l_max = stage.at("l_max").integer(0, self.l_max)
        table = self._tensor(weights.at("table"), self.n_species, None)
        return self._features(l_max, table.shape[1])

    def _stage_degree_embedding(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("matrix", "radial"), ("weight", "bias"))
        matrix = self._input(inputs.at("matrix"), "matrix")
        radial = self._input(inputs.at("radial"), "radial")
        n_out = self._tensor(weights.at("weight"), None, radial.channels).shape[0]
        self._tensor(weights.at("bias"), n_out)
        return self._features(matrix.l_max, n_out)

    def _stage_add(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("a", "b"), ())
        a = self._input(inputs.at("a"), "features")
        b = self._input(inputs.at("b"), "features")
        for block, channels in b.irreps.items():
            if a.irreps.get(block) != channels:
                inputs.at("b").fail(
                    f"{channels}x{block} is not among the irreps {format_irreps(a.irreps)} of a, "
                    "to which it would be added"
                )
        return _Value("features", irreps=a.irreps)

    def _stage_equivariant_norm(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("features",), ("scale", "shift"), "eps")
        x = self._uniform(inputs.at("features"))
        stage.at("eps").number(above=0.0)
        self._tensor(weights.at("scale"), x.l_max + 1, x.channels)
        self._tensor(weights.at("shift"), x.channels)
        return _Value("features", irreps=x.irreps)

    def _stage_linear(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("features",), ("weight", "bias"), "l_max")
        x = self._uniform(inputs.at("features"))
        l_max = stage.at("l_max").integer(0, x.l_max)
        n_out = self._tensor(weights.at("weight"), None, x.channels).shape[0]
        if "bias" in weights.value:
            self._tensor(weights.at("bias"), n_out)
        return self._like(x, l_max, n_out)

    def _stage_gate(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("features", "gates"), ())
        x = self._uniform(inputs.at("features"))
        gates = self._uniform(inputs.at("gates"))
        self._expect(inputs.at("gates"), "l_max", gates.l_max, 0)
        self._expect(inputs.at("gates"), "the number of channels", gates.channels, x.channels)
        return _Value("features", irreps=x.irreps)

    def _stage_edge_attention(self, stage: _Json) -> _Value:
        names = ("logit_weight", "logit_bias", "logit_vector", "value_weight", "value_bias")
        inputs, weights = self._open(
            stage,
            ("source", "center", "matrix", "radial"),
            (*names, "gate_weight", "gate_bias"),
            *("heads", "negative_slope", "eps"),
        )
        x = self._uniform(inputs.at("source"), self.natural)
        center = self._uniform(inputs.at("center"), self.natural)
        matrix = self._input(inputs.at("matrix"), "matrix")
        radial = self._input(inputs.at("radial"), "radial")
        c = x.channels
        self._expect(inputs.at("center"), "l_max", center.l_max, x.l_max)
        self._expect(inputs.at("center"), "the number of channels", center.channels, c)
        self._expect(inputs.at("matrix"), "l_max", matrix.l_max, x.l_max)
        self._expect(inputs.at("radial"), "the number of channels", radial.channels, c)
        heads = stage.at("heads").integer(1, c)
        if c % heads:
            stage.at("heads").fail(f"{heads} heads do not divide {c} channels")
        stage.at("negative_slope").number()
        stage.at("eps").number(at_least=0.0)
        for kind in ("logit", "value", "gate"):
            self._tensor(weights.at(f"{kind}_weight"), c, c)
            self._tensor(weights.at(f"{kind}_bias"), c)
        self._tensor(weights.at("logit_vector"), heads, c // heads)
        return _Value("features", irreps=x.irreps)

    def _stage_readout(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("features",), (), "layers")
        x = self._input(inputs.at("features"), "features")
        if "0e" not in x.irreps:
            inputs.at("features").fail(
                f'"{inputs.at("features").value}" has irreps {format_irreps(x.irreps)}, '
                "expected a block 0e"
            )
        n_out = self._layers(stage.at("layers"), x.irreps["0e"], layer_norm=False)
        self._expect(stage.at("layers"), "the last layer's number of outputs", n_out, 1)
        return _Value("scalar")

    def _stage_direct_forces(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("features",), ())
        x = self._uniform(inputs.at("features"), self.natural)
        self._expect(inputs.at("features"), "the number of channels", x.channels, 1)
        if x.l_max < 1:
            inputs.at("features").fail("l_max is 0, expected at least 1 (forces are vectors)")
        return _Value("forces")

    def _stage_irreps_linear(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("features",), None, "irreps")
        x = self._input(inputs.at("features"), "features")
        irreps = self._irreps(stage)
        self._per_block(stage, irreps, "bias")
        for block, n_out in irreps.items():
            self._tensor(weights.at(block), n_out, self._source_channels(stage, x, block))
        if "bias" in weights.value:
            if "0e" not in irreps:
                weights.at("bias").fail(
                    f"a bias without a block 0e, which irreps {format_irreps(irreps)} lack"
                )
            self._tensor(weights.at("bias"), irreps["0e"])
        return _Value("features", irreps=irreps)

    def _stage_species_linear(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("features",), None, "irreps")
        x = self._input(inputs.at("features"), "features")
        irreps = self._irreps(stage)
        self._per_block(stage, irreps)
        for block, n_out in irreps.items():
            n_in = self._source_channels(stage, x, block)
            self._tensor(weights.at(block), self.n_species, n_out, n_in)
        return _Value("features", irreps=irreps)

    def _source_channels(self, stage: _Json, x: _Value, block: str) -> int:
        if block not in x.irreps:
            stage.at("irreps").fail(
                f"block {block} is not among the irreps {format_irreps(x.irreps)} of the input"
            )
        return x.irreps[block]

    def _stage_edge_tensor_product(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("source", "harmonics", "radial"), (), "paths")
        x = self._input(inputs.at("source"), "features")
        harmonics = self._input(inputs.at("harmonics"), "harmonics")
        radial = self._input(inputs.at("radial"), "radial")
        if not stage.at("paths").elements():
            stage.at("paths").fail("no path, expected at least one")
        n_weights = 0
        found: Irreps = {}
        for path in stage.at("paths").elements():
            parts = path.elements()
            if len(parts) != 3:
                path.fail(f'found {path.shown()}, expected a path as in ["1o", 2, "3o"]')
            source, degree, target = self._block(parts[0]), parts[1], self._block(parts[2])
            if source not in x.irreps:
                parts[0].fail(
                    f"block {source} is not among the irreps {format_irreps(x.irreps)} of source"
                )
            l2 = degree.integer(0, harmonics.l_max)
            if not abs(degree_of(source) - l2) <= degree_of(target) <= degree_of(source) + l2:
                path.fail(f"{path.shown()} violates the triangle inequality of degrees")
            sign = (-1) ** l2 if self.is_o3 else 1
            if parity_of(source) * sign != parity_of(target):
                path.fail(f"parities of {path.shown()} do not multiply")
            n_weights += x.irreps[source]
            found[target] = found.get(target, 0) + x.irreps[source]
        self._expect(inputs.at("radial"), "the number of channels", radial.channels, n_weights)
        return _Value("features", irreps={b: found[b] for b in sorted(found, key=block_order)})

    def _stage_irreps_gate(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("features",), (), "scalars", "activations", "gates")
        x = self._input(inputs.at("features"), "features")
        scalar_blocks = [block for block in x.irreps if degree_of(block) == 0]
        gated = {b: c for b, c in x.irreps.items() if degree_of(b) > 0}
        gates = stage.at("gates").word("0e", "0o")
        self._check_parity(stage.at("gates"), gates)
        stage.at("scalars").allow_only(*scalar_blocks)
        stage.at("activations").allow_only(*scalar_blocks, "gates")
        stage.at("activations").at("gates").word(*_ACTIVATIONS)
        irreps: Irreps = {}
        for block in scalar_blocks:
            n_scalars = stage.at("scalars").at(block).integer(0, x.irreps[block])
            name = stage.at("activations").at(block)
            name.word(*_ACTIVATIONS)
            if block == "0o" and name.value not in _ODD_ACTIVATIONS:
                name.fail(f"{name.shown()} of odd scalars, expected an odd function: tanh or none")
            n_gates = sum(gated.values()) if block == gates else 0
            if n_scalars + n_gates != x.irreps[block]:
                stage.at("scalars").at(block).fail(
                    f"{n_scalars} scalars and {n_gates} gates of block {block}, which has "
                    f"{x.irreps[block]} channels"
                )
            if n_scalars:
                irreps[block] = n_scalars
        if gated and gates not in x.irreps:
            stage.at("gates").fail(
                f"block {gates} is not among the irreps {format_irreps(x.irreps)} of the input"
            )
        if gates == "0o" and stage.at("activations").at("gates").value not in _ODD_ACTIVATIONS:
            stage.at("activations").at("gates").fail(
                f"{stage.at('activations').at('gates').shown()} of odd gates, expected an odd "
                "function: tanh or none"
            )
        for block, channels in gated.items():
            irreps[block_of(degree_of(block), parity_of(block) * parity_of(gates))] = channels
        return _Value("features", irreps={b: irreps[b] for b in sorted(irreps, key=block_order)})

    def _stage_rms_norm(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("features",), None, "eps")
        x = self._input(inputs.at("features"), "features")
        stage.at("eps").number(above=0.0)
        self._per_block(stage, x.irreps)
        for block, channels in x.irreps.items():
            self._tensor(weights.at(block), channels)
        return _Value("features", irreps=x.irreps)

    def _stage_symmetric_contraction(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("features",), (), "irreps", "terms")
        x = self._uniform(inputs.at("features"))
        irreps = self._irreps(stage)
        for block, channels in irreps.items():
            if channels != x.channels:
                stage.at("irreps").fail(
                    f"{channels} channels of block {block}, expected the input's {x.channels}"
                )
        if not stage.at("terms").elements():
            stage.at("terms").fail("no term, expected at least one")
        for term in stage.at("terms").elements():
            term.allow_only("irrep", "indices", "values", "weights")
            block = self._block(term.at("irrep"))
            if block not in irreps:
                term.at("irrep").fail(
                    f"block {block} is not among the irreps {format_irreps(irreps)}"
                )
            weights = self._tensor(term.at("weights"), self.n_species, None, x.channels)
            indices = self._tensor(term.at("indices"), None, None, integer=True)
            if not 3 <= indices.shape[1] <= 5:
                term.at("indices").fail(
                    f'tensor "{term.at("indices").value}" has {indices.shape[1]} columns, expected '
                    "3 to 5: m3, k and one to three components"
                )
            self._tensor(term.at("values"), indices.shape[0])
            extents = [2 * degree_of(block) + 1, weights.shape[1]]
            extents += [(x.l_max + 1) ** 2] * (indices.shape[1] - 2)
            outside = np.argwhere((indices < 0) | (indices >= extents))
            if outside.size:
                row, column = outside[0]
                term.at("indices").fail(
                    f'tensor "{term.at("indices").value}" holds {indices[row, column]} in row '
                    f"{row}, column {column}, expected 0 to {extents[column] - 1}"
                )
        return _Value("features", irreps=irreps)

    def _stage_sphere_polynomial(self, stage: _Json) -> _Value:
        inputs, weights = self._open(stage, ("features",), None, "l_max")
        x = self._uniform(inputs.at("features"))
        if not isinstance(weights.value, dict) or not weights.value:
            weights.fail(f"found {weights.shown()}, expected order_1 and further orders")
        orders = [f"order_{nu}" for nu in range(1, len(weights.value) + 1)]
        weights.allow_only(*orders)
        l_max = stage.at("l_max").integer(0, min(MAX_L, len(orders) * x.l_max))
        for order in orders:
            self._tensor(weights.at(order), self.n_species, x.channels, l_max + 1)
        return self._like(x, l_max, x.channels)

    def _stage_gaunt_product(self, stage: _Json) -> _Value:
        names = ("scale_a", "scale_b", "scale_out", "curl")
        inputs, weights = self._open(stage, ("a", "b"), names, "l_max")
        a = self._uniform(inputs.at("a"))
        b = self._uniform(inputs.at("b"), a.parities)
        self._expect(inputs.at("b"), "the number of channels", b.channels, a.channels)
        l_max = stage.at("l_max").integer(0, min(MAX_L, a.l_max + b.l_max))
        for name, degree in zip(names, (a.l_max, b.l_max, l_max, l_max), strict=True):
            if name in weights.value:
                self._tensor(weights.at(name), degree + 1, a.channels)
        if "curl" in weights.value and self.is_o3:
            weights.at("curl").fail(
                "a curl in a model of parity o3: it couples degrees of odd sum, expected so3"
            )
        both = a.parities & b.parities
        return self._features(l_max, a.channels, "harmonics" not in both)

    def _stage_gaunt_convolution(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("source", "harmonics", "radial"), (), "l_max")
        x = self._uniform(inputs.at("source"), self.natural)
        harmonics = self._input(inputs.at("harmonics"), "harmonics")
        radial = self._input(inputs.at("radial"), "radial")
        wanted = (harmonics.l_max + 1) * x.channels
        self._expect(inputs.at("radial"), "the number of channels", radial.channels, wanted)
        l_max = stage.at("l_max").integer(0, min(MAX_L, x.l_max + harmonics.l_max))
        return self._features(l_max, x.channels)

    def _stage_zbl(self, stage: _Json) -> _Value:
        _, weights = self._open(
            *(stage, (), ("radius",), "p", "screening_length", "screening_exponent"),
            *("coefficients", "exponents"),
        )
        radius = self._tensor(weights.at("radius"), self.n_species)
        if not (radius > 0.0).all():
            weights.at("radius").fail(
                f"a radius of {radius.min():g} Angstrom, expected positive ones"
            )
        stage.at("p").number(at_least=2.0)
        stage.at("screening_length").number(above=0.0)
        stage.at("screening_exponent").number()
        n_terms = len(stage.at("coefficients").elements())
        if not n_terms:
            stage.at("coefficients").fail("no number, expected at least one")
        stage.at("coefficients").vector(n_terms)
        stage.at("exponents").vector(n_terms)
        return _Value("scalar")

    def _stage_energy(self, stage: _Json) -> _Value:
        inputs, _ = self._open(stage, ("terms",), ())
        terms = inputs.at("terms").elements()
        if not terms:
            inputs.at("terms").fail("no terms, expected at least one")
        for term in terms:
            self._input(term, "scalar")
            if inputs.value["terms"].count(term.value) > 1:
                term.fail("this term stands twice, expected once")
        return _Value("energy")
