# SPDX-License-Identifier: BSD-3-Clause
"""The configuration of `eqnn train`: its keys, and checks. Needs no JAX."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers

from eqnn.errors import EqnnError, one_line

PRECISIONS = ("float32", "float64")
LOSSES = ("squares", "huber")
KEEP, FIT, REFIT = "keep", "fit", "refit"
OF_DATA = "data"


def _of(
    default: Any, said: str, *among: str, low: float = -math.inf, high: float = math.inf
) -> Any:
    meta = {"said": said, "among": among, "low": low, "high": high}
    return field(default=default, metadata=meta)


@dataclass(frozen=True)
class Data:
    """Files with frames, and the names of their labels."""

    train: tuple[str, ...] = _of((), "files of training frames")
    validation: tuple[str, ...] = _of((), "files of validation frames")
    validation_fraction: float = _of(
        0.0,
        "part of the training frames that validates instead, chosen by the seed",
        low=0,
        high=0.9,
    )
    energy_key: str | None = _of(None, "name of the energies in the files; default: ASE's")
    forces_key: str | None = _of(None, "name of the forces; default: ASE's")
    stress_key: str | None = _of(None, "name of the stresses; default: ASE's")
    skip_bad_frames: bool = _of(False, "leave out frames that cannot be used, and name them")


@dataclass(frozen=True)
class Energies:
    """The parts of an energy besides the network."""

    reference: str | dict[str, float] = _of(  # noqa: RUF009 - a field, as all are
        KEEP, "energies of free atoms: keep, fit or refit (least squares), or eV for each element"
    )
    scale: str | float = _of(
        KEEP, "factor of the network's output: keep, fit (RMS of forces), or eV"
    )
    shift: str | float = _of(KEEP, "eV per atom: keep, fit (mean of the rest), or a number")


@dataclass(frozen=True)
class Loss:
    """The loss to minimize."""

    kind: str = _of("huber", "loss of each deviation", *LOSSES)
    delta: float = _of(0.01, "deviation above which huber is linear", low=1e-12)
    energy: float = _of(1.0, "weight of energies, eV per atom", low=0)
    forces: float = _of(10.0, "weight of forces, eV/Angstrom", low=0)
    stress: float = _of(0.0, "weight of stresses, eV/Angstrom^3", low=0)
    equivariance: float = _of(
        0.0, "weight of what changes when a structure is rotated; 0: not computed", low=0
    )


@dataclass(frozen=True)
class SecondStage:
    """Other weights for the last part of a training."""

    start: float = _of(1.0, "fraction of the epochs after which it begins; 1: never", low=0, high=1)
    energy: float = _of(10.0, "weight of energies", low=0)
    forces: float = _of(10.0, "weight of forces", low=0)
    stress: float = _of(0.0, "weight of stresses", low=0)


@dataclass(frozen=True)
class Optimizer:
    """AdamW, its learning rate, and a moving average of the weights."""

    learning_rate: float = _of(1e-3, "highest learning rate", low=1e-12)
    last_learning_rate: float = _of(1e-5, "learning rate at the end of the cosine", low=0)
    warm_up: float = _of(
        0.02, "fraction of all steps until the highest learning rate", low=0, high=0.9
    )
    weight_decay: float = _of(0.0, "weight decay of matrices; vectors have none", low=0)
    clip: float = _of(10.0, "largest norm of the gradient; 0: no limit", low=0)
    ema: float = _of(
        0.99, "decay of the moving average that becomes the result; 0: none", low=0, high=1
    )


@dataclass(frozen=True)
class Provenance:
    """What the resulting file records about itself."""

    data: str = _of("not stated", "what the model was trained on")
    level_of_theory: str = _of("not stated", "functional and basis set of the data")
    licence: str = _of("not stated", "license of the weights")


@dataclass(frozen=True)
class Config:
    """A training."""

    model: str = _of("", "the .eqnn file to start from, trained or new (`eqnn new`)")
    output: str = _of(
        "", "folder for the result, the checkpoint, metrics.csv and the learning curve"
    )
    species: str = _of(
        OF_DATA,
        "elements of the result, those of the training frames or all of the model",
        *(OF_DATA, KEEP),
    )
    data: Data = field(default_factory=Data)
    energies: Energies = field(default_factory=Energies)
    loss: Loss = field(default_factory=Loss)
    second_stage: SecondStage = field(default_factory=SecondStage)
    optimizer: Optimizer = field(default_factory=Optimizer)
    provenance: Provenance = field(default_factory=Provenance)
    precision: str = _of("float32", "precision of the training", *PRECISIONS)
    seed: int = _of(1, "seed of the shuffling and of the choice of validation frames", low=0)
    epochs: int = _of(100, "how often each frame is used", low=1)
    batch_size: int = _of(8, "structures per step", low=1)
    shapes: int = _of(
        1, "groups of frames of similar sizes; each group is compiled once", low=1, high=16
    )
    checkpoint_seconds: float = _of(120.0, "seconds between checkpoints within an epoch", low=0)

    def key(self) -> str:
        """Return a hash of all that determines the result."""
        said = dataclasses.asdict(self)
        # Files enter by their content, which only the caller knows.
        for name in ("output", "checkpoint_seconds", "model"):
            del said[name]
        del said["data"]["train"], said["data"]["validation"]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_config(path: Path) -> Config:
    """Read a configuration, or report what is wrong; its paths are relative to its folder."""
    try:
        import yaml
    except ImportError:
        raise EqnnError(
            "configurations need PyYAML, which is not installed here. Install it with "
            "`pip install 'eqnn[train]'`."
        ) from None
    try:
        said = yaml.safe_load(path.read_text())
    except OSError as error:
        raise EqnnError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a configuration."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EqnnError(f"{path}: is not valid YAML ({one_line(error)}). Correct it.") from None
    found = config_of(said, str(path))
    folder = path.parent

    def placed(name: str) -> str:
        return str(folder / name) if name else name

    data = dataclasses.replace(
        found.data,
        train=tuple(map(placed, found.data.train)),
        validation=tuple(map(placed, found.data.validation)),
    )
    return dataclasses.replace(
        found,
        model=placed(found.model),
        output=placed(found.output),
        data=data,
    )


def config_of(said: Any, name: str) -> Config:
    """Convert parsed YAML to a configuration.

    Parameters
    ----------
    said : object
        A mapping of mappings.
    name : str
        What messages call it.
    """
    config: Config = _section(Config, said, name, "")
    for key in ("model", "output"):
        if not getattr(config, key):
            raise EqnnError(f"{name}: {key} is missing: {_said(Config, key)}. Add `{key}: PATH`.")
    if not config.data.train:
        cure = "Add `train: [FILE]` under data."
        raise EqnnError(f"{name}: data/train is missing: {_said(Data, 'train')}. {cure}")
    if config.data.validation and config.data.validation_fraction:
        raise EqnnError(
            f"{name}: data has validation and validation_fraction, expected one of them. "
            "Remove one."
        )
    loss, second = config.loss, config.second_stage
    if not any((loss.energy, loss.forces, loss.stress)) or (
        second.start < 1 and not any((second.energy, second.forces, second.stress))
    ):
        raise EqnnError(f"{name}: all weights of a loss are 0, so nothing is fitted. Give one.")
    reference = config.energies.reference
    if isinstance(reference, dict):
        for symbol in reference:
            if not atomic_numbers.get(symbol):
                raise EqnnError(
                    f"{name}: energies/reference has {symbol!r}, which is not a chemical symbol. "
                    "Correct it."
                )
    return config


def _said(kind: Any, key: str) -> str:
    return next(str(f.metadata["said"]) for f in fields(kind) if f.name == key)


def _section(kind: Any, said: Any, name: str, place: str) -> Any:
    """Convert a mapping to a section."""
    where = place.rstrip("/") or "the configuration"
    if said is None and place:
        said = {}
    if not isinstance(said, dict):
        raise EqnnError(
            f"{name}: {where} is {_shown(said)}, expected keys with values. See docs/train.md."
        )
    known = {f.name: f for f in fields(kind)}
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in said.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            cure = f"Write {near[0]}" if near else "Remove it"
            raise EqnnError(
                f"{name}: {place}{key} is not a key of {where}, which has {', '.join(known)}.\n"
                f"{cure}, or see docs/train.md."
            )
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            values[key] = _section(hint, value, name, f"{place}{key}/")
        else:
            values[key] = _value(hint, value, known[key].metadata, f"{name}: {place}{key}")
    return kind(**values)


def _value(hint: Any, value: Any, meta: Any, where: str) -> Any:
    """Check a value's type and bounds."""
    fits, found = _fitted(hint, value)
    bounds = ""
    if isinstance(found, float | int) and not isinstance(found, bool):
        low, high = meta["low"], meta["high"]
        fits = fits and math.isfinite(found) and low <= found <= high
        if math.isfinite(low):
            to_high = math.isfinite(high)
            bounds = f" from {low:g} to {high:g}" if to_high else f" of at least {low:g}"
    expected = _expected(hint) + bounds
    if meta["among"]:
        fits = fits and found in meta["among"]
        expected = " or ".join(meta["among"])
    elif isinstance(found, str) and float in typing.get_args(hint):
        fits = fits and found in (KEEP, FIT)
    elif isinstance(found, str) and dict[str, float] in typing.get_args(hint):
        fits = fits and found in (KEEP, FIT, REFIT)
    if not fits:
        raise EqnnError(
            f"{where} is {_shown(value)}, expected {expected} ({meta['said']}). Correct it."
        )
    return found


def _fitted(hint: Any, value: Any) -> tuple[bool, Any]:
    """Return whether a value fits a type, and the value converted to it."""
    if isinstance(hint, types.UnionType):
        for one in typing.get_args(hint):
            fits, found = _fitted(one, value)
            if fits:
                return True, found
        return False, value
    if hint is type(None):
        return value is None, value
    if hint is bool:
        return isinstance(value, bool), value
    if isinstance(value, bool):
        return False, value
    if hint is float:
        # YAML 1.1 reads 1e-3 as text.
        if isinstance(value, str):
            try:
                return True, float(value)
            except ValueError:
                return False, value
        return isinstance(value, int | float), float(value) if isinstance(value, int) else value
    if hint == tuple[str, ...]:
        value = [value] if isinstance(value, str) else value
        fits = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
        return fits, tuple(value) if fits else value
    if hint == dict[str, float]:
        if not isinstance(value, dict):
            return False, value
        found = {str(k): _fitted(float, v) for k, v in value.items()}
        good = all(fits and math.isfinite(number) for fits, number in found.values())
        return good, {k: number for k, (_, number) in found.items()}
    return isinstance(value, hint), value


def _expected(hint: Any) -> str:
    names = {
        float: "a number",
        int: "a whole number",
        str: "text",
        bool: "true or false",
        type(None): "null",
        tuple[str, ...]: "a list of files",
        dict[str, float]: "a number for each element",
    }
    if not isinstance(hint, types.UnionType):
        return names[hint]
    args = typing.get_args(hint)
    choice = names[str]
    if float in args:
        choice = f"{KEEP}, {FIT}"
    elif dict[str, float] in args:
        choice = f"{KEEP}, {FIT}, {REFIT}"
    return " or ".join(choice if a is str else names[a] for a in args)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


def schema() -> list[tuple[str, str, str]]:
    """Return a line for each key: its path, default and meaning."""
    rows: list[tuple[str, str, str]] = []

    def add(kind: Any, place: str) -> None:
        hints = typing.get_type_hints(kind)
        for one in fields(kind):
            if dataclasses.is_dataclass(hints[one.name]):
                add(hints[one.name], f"{place}{one.name}.")
                continue
            default = one.default
            shown = json.dumps(list(default) if isinstance(default, tuple) else default)
            among = one.metadata["among"]
            said = str(one.metadata["said"]) + (f": {' or '.join(among)}" if among else "")
            rows.append((f"{place}{one.name}", "" if default in ("", ()) else shown, said))

    add(Config, "")
    return rows
