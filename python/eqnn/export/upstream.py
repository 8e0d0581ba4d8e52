# SPDX-License-Identifier: BSD-3-Clause
"""What an exporter hands to the command line, and what all exporters share.

A new upstream code is one module with an `Upstream` in it, listed in eqnn/export/__init__.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

import eqnn
from eqnn.errors import EqnnError, InvalidModelError, one_line, shortened
from eqnn.model_file import Model

if TYPE_CHECKING:
    from eqnn.export.verify import Verifier

Log = Callable[[str], None]

NOT_STATED = "not stated"
# Keys of the provenance that only a person can know, and the options that set them.
STATED_KEYS = {
    "data": "--data",
    "level_of_theory": "--level-of-theory",
    "licence": "--licence",
}


@dataclass(frozen=True)
class Upstream:
    """A published code whose checkpoints can be exported.

    Attributes
    ----------
    name : str
        The word after ``eqnn export``.
    title : str
        One line for people.
    add_options : callable
        Adds the options that only this upstream needs; ``--checkpoint``, ``--species``,
        ``--output`` and those of the provenance are there.
    export : callable
        Turns the parsed options into a model without self-test; the second argument takes lines
        of the report.
    verifier : Verifier, optional
        Runs upstream's own code for --verify, where it is a package.
    """

    name: str
    title: str
    add_options: Callable[[ArgumentParser], None]
    export: Callable[[Namespace, Log], Model]
    verifier: Verifier | None = None


def exported(upstream: Upstream, options: Namespace, log: Log) -> Model:
    """Export a checkpoint; whatever its content makes fail becomes a sentence that names it.

    Only reading and translating a checkpoint is covered, nothing that follows. With the environment
    variable EQNN_TRACEBACK an unforeseen error is raised as it is.

    Parameters
    ----------
    upstream : Upstream
    options : Namespace
    log : callable
        Takes lines for people.
    """
    path: Path = options.checkpoint
    try:
        return upstream.export(options, log)
    except InvalidModelError as error:
        raise EqnnError(
            f"{path}: is of a kind that `eqnn export {upstream.name}` cannot express: a model file "
            f"cannot hold\nwhat was read ({error.reason}). Export a network without it."
        ) from error
    except EqnnError:
        raise
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be read ({error.strerror or type(error).__name__}). "
            "Check the file and its permissions."
        ) from error
    except Exception as error:  # what a damaged or foreign file can trip over has no end
        if os.environ.get("EQNN_TRACEBACK"):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise EqnnError(
            f"{path}: is damaged or foreign: reading it as {upstream.name} stopped at "
            f"{Path(frame.filename).name}:{frame.lineno} ({one_line(error)}).\n"
            "Get the file again; if it is sound, report this with EQNN_TRACEBACK=1 set."
        ) from error


def is_model_file(path: Path) -> bool:
    """Whether a file is one of eqnn by its name or its content; one that is not there may be."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return path.suffix == ".eqnn"
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be read ({error.strerror}). Check the file's permissions."
        ) from None
    return path.suffix == ".eqnn" or b'"__metadata__":{"eqnn' in start.replace(b" ", b"")


def check_checkpoint(path: Path) -> None:
    """Refuse what is no checkpoint before anything else is asked of the user."""
    if path.is_dir():
        raise EqnnError(
            f"{path}: is a folder, expected a checkpoint. Name the file in it with --checkpoint."
        )
    if not path.is_file():
        what = "is no regular file" if path.exists() else "no such file"
        raise EqnnError(f"{path}: {what}. Give the checkpoint's path with --checkpoint.")
    if is_model_file(path):
        raise EqnnError(
            f"{path}: is a model file of eqnn already, made by an export. Use it as it is, "
            "or give the checkpoint\nthat it was made from (eqnn info says which)."
        )


def needs_no_config(options: Namespace) -> None:
    """Refuse --config where it would be ignored: who gives it expects that it counts.

    Parameters
    ----------
    options : Namespace
        With ``checkpoint``, which is no bare state_dict by its suffix, and ``config``.
    """
    if options.config is not None:
        raise EqnnError(
            f"--config {options.config}: is for a state_dict (.safetensors), but "
            f"{options.checkpoint} is read as\na file that describes the network itself. "
            "Leave --config out, or give the state_dict."
        )


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object that a person gave on the command line.

    Parameters
    ----------
    path : Path
    what : str
        What it should hold, for messages.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EqnnError(f"{path}: no such file. Give the path of {what}.") from None
    except (OSError, ValueError) as error:
        raise EqnnError(
            f"{path}: not readable as JSON ({one_line(error, named=False)}). Give {what}."
        ) from None
    if not isinstance(document, dict):
        raise EqnnError(
            f"{path}: holds a JSON {type(document).__name__}, expected an object. Give {what}."
        )
    return document


def provenance_of(
    options: Namespace, *, upstream: str, stated: Any = None, source: str = ""
) -> dict[str, Any]:
    """Collect the provenance: options first, then what a configuration states.

    Parameters
    ----------
    options : Namespace
        With ``checkpoint``, ``data``, ``level_of_theory`` and ``licence``.
    upstream : str
        The code that made the checkpoint, unless the configuration names it more exactly.
    stated : mapping, optional
        The configuration's own ``provenance``.
    source : str
        The configuration's name for messages.
    """
    if stated is None:
        stated = {}
    if not isinstance(stated, Mapping):
        raise EqnnError(
            f"{source}: /provenance: found {shortened(repr(stated), 60)}, expected an object. "
            "Correct the configuration."
        )
    out: dict[str, Any] = {"upstream": upstream}
    out |= dict.fromkeys(STATED_KEYS, NOT_STATED)
    out |= stated
    out |= {key: given for key in STATED_KEYS if (given := getattr(options, key)) is not None}
    for key in ("upstream", *STATED_KEYS):
        if not isinstance(out[key], str):
            raise EqnnError(
                f"{source}: /provenance/{key}: found {shortened(repr(out[key]), 60)}, "
                "expected a string. "
                "Correct the configuration."
            )
    checkpoint: Path = options.checkpoint
    out["exporter"] = f"eqnn {eqnn.__version__}"
    out["checkpoint"] = checkpoint.name
    out["checkpoint_sha256"] = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return out


def typed(
    document: Mapping[str, Any],
    key: str,
    kind: type | UnionType,
    expected: str,
    where: str,
    default: Any = None,
) -> Any:
    """Return a value of a JSON object, of the type that is expected.

    Parameters
    ----------
    document : mapping
    key : str
    kind : type
        Types of Python that fit; a bool is no number.
    expected : str
        The type in words, for messages.
    where : str
        File and path of the object, for messages.
    default : object, optional
        What a missing key means; it is an error if left out.
    """
    if key not in document:
        if default is not None:
            return default
        raise EqnnError(
            f'{where}: key "{key}" is missing, expected {expected}. '
            "Add the value that the network was trained with."
        )
    value = document[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise EqnnError(
            f"{where}/{key}: found {shortened(repr(value), 60)}, expected {expected}. "
            "Correct the configuration."
        )
    return value


def elements_of(document: Mapping[str, Any], key: str, where: str) -> list[int]:
    """Return the atomic numbers of a JSON object's array."""
    given = typed(document, key, list, "atomic numbers", where)
    for z in given:
        if not isinstance(z, int) or isinstance(z, bool) or not 0 < z < len(chemical_symbols):
            raise EqnnError(
                f"{where}/{key}: found {shortened(repr(z), 40)}, expected atomic numbers. "
                "Correct the configuration."
            )
    return list(given)


def kept_species(known: Sequence[int], chosen: Sequence[int] | None, name: str) -> list[int]:
    """Atomic numbers, increasing: all that a network knows, or those chosen."""
    out = sorted(set(known if chosen is None else chosen))
    for z in out:
        if z not in known:
            symbols = ", ".join(chemical_symbols[k] for k in sorted(known))
            raise EqnnError(
                f"--species: {chemical_symbols[z]} is not among the elements of {name}: "
                f"{symbols}.\nName only those."
            )
    return out
