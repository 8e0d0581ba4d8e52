# SPDX-License-Identifier: BSD-3-Clause
"""What a checkpoint is, by its content: for ``eqnn info CHECKPOINT`` and ``eqnn export auto``."""

from __future__ import annotations

import json
import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eqnn.errors import ChoiceNeededError, EqnnError
from eqnn.export import UPSTREAMS, foreign
from eqnn.export.checkpoint import read_npz
from eqnn.export.torch_file import Stub, read_torch_file, unwrapped
from eqnn.export.upstream import STATED_KEYS, Upstream, check_checkpoint, exported

# Packages whose classes a file of torch may name, and which exporter speaks for them: it reads the
# file, or says what it is and what to give in its place.
_EXPORTER_OF = {"mace": "mace", "sevenn": "sevennet", "nequip": "nequip", "nequix": "nequix"}
# A tensor's name that weights of this code have and no other's.
_SIGN_OF = (
    (
        "mace-gaunt",
        r"products\.\d+\.(efficient_multi_tensorproduct|symmetric_contractions\.weights?\.)",
    ),
    ("mace", r"interactions\.\d+\.conv_tp_weights\."),
    ("sevennet", r"\d+[_ ]convolution\.weight_nn\."),
    ("tdn", r"atom_embed\.atom_type_lin\."),
)
# Exporters that read weights alone in the format of torch too.
_READ_TORCH_WEIGHTS = ("tdn", "mace-gaunt")
_SUFFIXES_WITH_CONFIG = (".safetensors", ".npz")


@dataclass(frozen=True)
class Recognized:
    """A checkpoint that an exporter speaks for.

    Attributes
    ----------
    upstream : Upstream
    what : str
        In words, as in ``a pickled ScaleShiftMACE``.
    needs_config : bool
        Whether it holds weights alone.
    """

    upstream: Upstream
    what: str
    needs_config: bool = False


def _upstream(name: str) -> Upstream:
    return next(one for one in UPSTREAMS if one.name == name)


def recognize(path: Path) -> Recognized:
    """Find the exporter of a checkpoint; raise EqnnError where there is none, saying what it is."""
    check_checkpoint(path)
    if path.suffix in _SUFFIXES_WITH_CONFIG:
        return _weights(path, _names_in(path), path.suffix[1:])
    if foreign.is_mlip(path):
        return Recognized(_upstream("mlip"), "a model of mlip")
    if foreign.is_package(path):
        return Recognized(_upstream("nequip"), "a package of NequIP")
    with path.open("rb") as file:
        start = file.readline(2**16)
    if foreign.is_nequix(start):
        return Recognized(_upstream("nequix"), "a file of Nequix")
    content = unwrapped(read_torch_file(path))
    if isinstance(content, Stub):
        return _module(path, content)
    if isinstance(content, Mapping):
        name = foreign.reader_of(content)
        if name is not None:
            return Recognized(_upstream(name), "a checkpoint of training, with its configuration")
        if "pytorch-lightning_version" in content:
            return Recognized(_upstream("nequip"), "a checkpoint of training by Lightning")
        for state in (content, *content.values()):
            if isinstance(state, Mapping) and any(
                isinstance(v, np.ndarray) for v in state.values()
            ):
                return _weights(path, [str(key) for key in state], "torch")
    raise EqnnError(
        f"{path}: holds a {type(content).__name__}, which no known code writes. {foreign.GIVE}"
    )


def _module(path: Path, module: Stub) -> Recognized:
    """Recognize a pickled module, or a compiled one, by the package of its class."""
    parts = [p for p in module.class_name.split(".") if p != "__torch__" and "mangle" not in p]
    is_compiled = "__torch__" in module.class_name.split(".")
    name = foreign.reader_of(module) or _EXPORTER_OF.get(parts[0])
    kind = parts[-1]
    if name is None:
        raise EqnnError(
            f"{path}: holds a {kind} of the package {parts[0]}, which has no exporter. There are "
            f"exporters of {', '.join(one.title for one in UPSTREAMS)}."
        )
    how = "compiled (TorchScript)" if is_compiled else "pickled"
    return Recognized(_upstream(name), f"a {kind}, {how}")


def _names_in(path: Path) -> list[str]:
    if path.suffix == ".npz":
        return list(read_npz(path))
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        return [key for key in header if key != "__metadata__"]
    except (ValueError, OverflowError, MemoryError, AttributeError, TypeError):
        raise EqnnError(
            f"{path}: not readable as safetensors. It is damaged or incomplete: get it again."
        ) from None


def _weights(path: Path, names: Sequence[str], form: str) -> Recognized:
    for name, sign in _SIGN_OF:
        if any(re.match(sign, key.removeprefix("module.")) for key in names):
            needs_config = form != "torch" or name in _READ_TORCH_WEIGHTS
            return Recognized(_upstream(name), f"weights alone ({form})", needs_config)
    some = ", ".join(names[:2])
    raise EqnnError(
        f"{path}: holds {len(names)} tensors ({some}, ...), of no network that has an exporter.\n"
        f"{foreign.GIVE}"
    )


def describe_checkpoint(path: Path) -> str:
    """Say what a checkpoint is, whether it can be exported, how, and all that is missing if not.

    It is exported on trial: what says yes here is exported by the command that is named.
    """
    found = recognize(path)
    lines = [str(path), f"  {'is':<18}{found.what}, read by {found.upstream.title}"]
    words = ["eqnn", "export", found.upstream.name, "--checkpoint", str(path)]
    name = path.name.removesuffix(path.suffix).removesuffix(".nequip")
    words += ["--output", f"{name}.eqnn"]
    if found.needs_config:
        command = shlex.join([*words, "--config"]) + " JSON"
        lines.append(
            f"  {'can be exported':<18}with the configuration that the network was trained with"
        )
        return "\n".join([*lines, f"  {'command':<18}{command}"])
    said: list[str] = []
    chosen: dict[str, str] = {}
    while True:
        said.clear()
        try:
            exported(found.upstream, _options(found.upstream, path, chosen), said.append)
            verdict = "yes"
            break
        except ChoiceNeededError as choice:
            if choice.option in chosen or not choice.choices:
                raise
            one = "choose one" if len(choice.choices) > 1 else "say the one that you want"
            lines.append(f"  {choice.option:<18}{', '.join(choice.choices)}: {one}")
            chosen[choice.option] = choice.choices[0]
        except EqnnError as error:
            text = str(error).removeprefix(f"{path}: ").replace("\n", " ")
            verdict = f"no: {text}"
            break
    lines += [f"  {'':<18}{line}" for line in said[:1]]
    lines.append(f"  {'can be exported':<18}{verdict}")
    if verdict == "yes":
        for option in chosen:
            words += [option, option.removeprefix("--").upper().replace("-", "_")]
        lines.append(f"  {'command':<18}{shlex.join(words)}")
    return "\n".join(lines)


def _options(upstream: Upstream, path: Path, chosen: Mapping[str, str]) -> Namespace:
    """Parse the options of an exporter as the command line does."""
    parser = ArgumentParser(add_help=False)
    upstream.add_options(parser)
    words = [word for pair in chosen.items() for word in pair]
    options = parser.parse_args(words)
    given: dict[str, Any] = {"checkpoint": path, "species": None, **dict.fromkeys(STATED_KEYS)}
    for key, value in given.items():
        setattr(options, key, value)
    return options


def with_exporter_named(words: Sequence[str]) -> list[str]:
    """Put the exporter's name in the place of ``auto`` in the words of a command.

    Parameters
    ----------
    words : sequence of str
        After ``eqnn``, as in ``export auto --checkpoint FILE ...``. They are as they were where
        they name no checkpoint.
    """
    found = list(words)
    if found[:2] != ["export", "auto"]:
        return found
    for k, word in enumerate(found):
        option, _, value = word.partition("=")
        if option != "--checkpoint":
            continue
        if not value and k + 1 < len(found):
            value = found[k + 1]
        if value:
            found[1] = recognize(Path(value)).upstream.name
    return found
