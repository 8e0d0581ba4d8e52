# SPDX-License-Identifier: BSD-3-Clause
"""What a file is that an exporter cannot read, and which exporter reads it.

A user who gives the wrong file has a sound file: to save or to fetch it again does not help. So a
refusal says what was found, by the file's content whatever its name is.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ZIP = b"PK\x03\x04"
# Bytes before the name of a file in a zip archive; two of them are the name's length.
_ZIP_HEADER = 30
# The number with which torch.save began before it wrote zip archives, as a pickle of protocol 2.
_TORCH_BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Enough for the first line of a .nqx and the header of any other format.
_START = 2**16
# Keys of a .nqx's first line, which together no other code's JSON has.
_NEQUIX_KEYS = {"atomic_numbers", "cutoff", "radial_polynomial_p", "hidden_irreps"}
# What mlip writes: a configuration, and arrays that NumPy reads.
_MLIP_FILES = {"hyperparams.json", "params.npz"}
# A key of the configuration that this network has and no other's.
_MLIP_KINDS = {
    **{"correlation": "MACE", "target_irreps": "NequIP", "vecnorm_type": "ViSNet"},
    "sphere_channels": "eSEN",
}
MLIP_CURE = (
    "Evaluate it with mlip, or train its MACE or NequIP of 0.2 without these parts, or with a code "
    "that has an exporter."
)
GIVE = "Give what the training code saved."


# What a zip archive is by the names in it, and what to say of one that another exporter was given.
_TORCH, _NO_KIND = "a file of torch.save", "a zip archive"
_ZIP_KINDS = {
    "a model of mlip": "is a model of mlip (InstaDeep), which `eqnn export mlip` reads.",
    "a package of torch": "is a package of torch (.nequip.zip), which `eqnn export nequip` reads.",
    "arrays of NumPy (.npz)": "holds arrays of NumPy (.npz), which `eqnn export sevennet` reads "
    "under this suffix, with --config.",
    _NO_KIND: f"is a zip archive of no format known here: torch.save's has a data.pkl.\n{GIVE}",
}


def unreadable(path: Path, error: str, asked: str = _TORCH) -> str:
    """Say what a file is that is not readable as what was asked for.

    Parameters
    ----------
    path : Path
    error : str
        What reading it ended with, for files that are of the right kind and damaged.
    asked : str
        The kind that was expected.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    if not start.startswith(_ZIP):
        return f"{path}: {_other(start)}"
    try:
        with zipfile.ZipFile(path) as archive:
            kind = _kind_of_zip(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        asked = kind = _kind_of_zip(_names_at(start), is_whole=False)
    if kind == asked:
        said = f"not readable as {kind} ({error}).\nIt is damaged or incomplete: get it again."
    else:
        said = _ZIP_KINDS.get(kind, f"is {kind}, expected {asked}. `eqnn info` says what reads it.")
    return f"{path}: {said}"


def _kind_of_zip(names: Sequence[str], *, is_whole: bool = True) -> str:
    names = [name for name in names if not name.endswith("/")]
    if any(name.endswith("/data.pkl") for name in names):
        return _TORCH
    if _MLIP_FILES & set(names):
        return "a model of mlip"
    if any("/.data/" in name for name in names):
        return "a package of torch"
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy (.npz)"
    # What may come before the data.pkl, where the file ends too early.
    is_torch = not is_whole and any("/data/" in name or "/extra/" in name for name in names)
    return _TORCH if is_torch else _NO_KIND


def _names_at(start: bytes) -> list[str]:
    """Names in an archive whose list of names, at its end, is missing: each precedes its file."""
    names = []
    place = start.find(_ZIP)
    while place >= 0:
        header = start[place : place + _ZIP_HEADER]
        size = int.from_bytes(header[26:28], "little")
        name = start[place + _ZIP_HEADER : place + _ZIP_HEADER + size]
        names.append(name.decode(errors="replace"))
        place = start.find(_ZIP, place + len(_ZIP))
    return names


def is_mlip(path: Path) -> bool:
    """Whether a file is a model of InstaDeep's mlip."""
    return names_in_zip(path) >= _MLIP_FILES


def is_package(path: Path) -> bool:
    """Whether a file is a package of torch, whatever its name is: other files have a data.pkl."""
    names = names_in_zip(path)
    return any("/.data/" in name and name.endswith(".storage") for name in names) and not any(
        name.endswith("/data.pkl") for name in names
    )


def names_in_zip(path: Path) -> set[str]:
    """Return the names of the files in a zip archive; none if it is not a whole one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return set()


def kind_of_mlip(config: Mapping[str, Any]) -> str:
    """Name the network of a configuration of mlip."""
    return next((kind for key, kind in _MLIP_KINDS.items() if key in config), "another network")


def _other(start: bytes) -> str:
    if not start:
        return "is an empty file, expected a checkpoint. Get the file again."
    if start.startswith(_TORCH_BEFORE_1_6):
        return (
            "is in the format of torch before 1.6. Load it with torch and save it again with "
            "torch 1.6 or later."
        )
    if start.startswith(b"{"):
        return _json(start)
    if start[8:9] == b"{":  # after the length of this header
        return (
            "is a safetensors file: weights that do not say what the network is.\nGive it as "
            "*.safetensors with --config, which `eqnn export` mace, sevennet, tdn and others take."
        )
    if start.startswith(b"\x80"):
        return f"is a pickle, but not one of torch.save. {GIVE}"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself. Get it with `git lfs pull`."
    try:
        # A character may end behind what was read.
        start[: _START - 4].decode()
    except UnicodeDecodeError:
        return (
            f"is not a zip archive, which torch.save writes, and of no format known here.\n{GIVE}"
        )
    return f"is a text file, expected a checkpoint. {GIVE}"


def is_nequix(start: bytes) -> bool:
    """Whether a file that begins like this is one of Nequix: its first line says what it holds."""
    try:
        first = json.loads(start.split(b"\n", 1)[0])
    except ValueError:
        return False
    return isinstance(first, Mapping) and first.keys() >= _NEQUIX_KEYS


def _json(start: bytes) -> str:
    if is_nequix(start):
        return "is a file of Nequix (.nqx), which `eqnn export nequix` reads."
    return (
        "is a JSON file, expected a checkpoint. Give the weights with --checkpoint "
        "and their configuration with --config."
    )


def reader_of(content: Any) -> str | None:
    """Name the exporter that reads what a file of torch holds, or None.

    Parameters
    ----------
    content : object
        As `torch_file.read_torch_file` gives it.
    """
    if isinstance(content, Mapping):
        return "sevennet" if {"config", "model_state_dict"} <= content.keys() else None
    kind = getattr(content, "class_name", "").rsplit(".", 1)[-1]
    if kind in ("MACE", "ScaleShiftMACE"):
        return "mace"
    # What nequip-deploy writes: the outermost module is one of these by nequip's version.
    return "nequip" if kind in ("GraphModel", "RescaleOutput") else None


def read_elsewhere(content: Any, asked: str) -> str | None:
    """Say that another exporter reads what a file of torch holds, where one does.

    Parameters
    ----------
    content : object
    asked : str
        Name of the exporter that was asked.
    """
    name = reader_of(content)
    if name is None or name == asked:
        return None
    kind = getattr(content, "class_name", "").rsplit(".", 1)[-1]
    titles = {"mace": f"a {kind} of mace-torch", "nequip": f"a deployed NequIP ({kind})"}
    what = titles.get(name, "a checkpoint of SevenNet")
    return f"holds {what}, which `eqnn export {name}` reads."
