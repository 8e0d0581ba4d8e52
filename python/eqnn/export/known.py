# SPDX-License-Identifier: BSD-3-Clause
"""What may stand in a network that an exporter reads, class by class: nothing else is let through.

A pickled module says what it computes by its class and its attributes. An exporter that reads some
of these and overlooks one writes a wrong number and no word. So each family has a table: for each
class of modules every attribute (children, parameters and buffers among them) is *used* by the
exporter, *fixed* to the values that it stands for, or *inert*, which changes no energy. A class or
an attribute that is in no table is refused by its name, and all that is refused is told at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eqnn.errors import EqnnError, shortened
from eqnn.export.torch_file import Stub, submodules

Check = Callable[[Stub, str], str | None]
"""Takes a module and an attribute's name; says what is wrong with it."""


@dataclass(frozen=True)
class Known:
    """What is known of a class of modules.

    Attributes
    ----------
    used : tuple of str
        Attributes that the exporter reads, children that it walks through.
    fixed : mapping of str to tuple
        Values that an attribute may have: the exporter stands for these alone.
    checks : mapping of str to callable
        Attributes that are held against what the exporter computes itself.
    inert : tuple of str
        Attributes that change no energy.
    closed : tuple of str
        Children that the rest of the module determines: code, sorting, reshaping.
    refused : mapping of str to str
        Attributes that are refused where they have content, and why.
    """

    used: tuple[str, ...] = ()
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    inert: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All attributes that are known."""
        return (
            *self.used,
            *self.fixed,
            *self.checks,
            *self.inert,
            *self.closed,
            *self.refused,
        )


Table = Mapping[str, Known]

CONTAINERS = ("ModuleList", "Sequential", "ParameterList", "ModuleDict")
# torch's own attributes of every module.
_TORCH = (
    *("training", "_non_persistent_buffers_set", "_is_full_backward_hook", "_state_dict_hooks"),
    *("_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
    *("_version", "dump_patches", "call_super_init", "_compiled_call_impl", "_backend_name"),
    *("_backward_hooks", "_backward_pre_hooks", "_forward_hooks_always_called"),
    *("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_size"),
)
# These run before or after a module and may change what it makes.
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_OWN = ("args", "state", "items", "_modules", "_parameters", "_buffers")


def short(module: Stub) -> str:
    """Name of a module's class without its module."""
    return module.class_name.rsplit(".", 1)[-1]


def key_of(module: Stub) -> str:
    """Key of a class in a table: its package and its own name, as in ``e3nn.Linear``."""
    parts = module.class_name.split(".")
    parts = [part for part in parts if part != "__torch__" and "torch_mangle" not in part]
    return f"{parts[0]}.{parts[-1]}"


def attributes(module: Stub) -> dict[str, Any]:
    """All that a module has, children, parameters and buffers included."""
    out = {key: value for key, value in module.__dict__.items() if key not in _OWN}
    for group in ("_parameters", "_buffers"):
        out |= module.__dict__.get(group) or {}
    named = module.__dict__.get("_modules")
    return out | (named if named is not None else {}) | submodules(module)


def _is_module(value: Stub) -> bool:
    """Whether a pickled object may be a module: those of TorchScript's typed lists are not."""
    return ("_pickle" not in value.class_name.split(".") and "_modules" in value.__dict__) or (
        isinstance(value.state, Mapping) and "_pickle" not in value.class_name.split(".")
    )


def _is_nothing(value: Any) -> bool:
    """Whether an attribute stands there without content."""
    return value is None or (isinstance(value, np.ndarray) and not value.size)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(wanted, float) and isinstance(value, int | float):
        return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return type(value) is type(wanted) and bool(value == wanted)


def faults(module: Stub, table: Table, path: str = "") -> list[tuple[str, str]]:
    """List what a module has that its family's table does not let through.

    Parameters
    ----------
    module : Stub
    table : mapping
        Of the family, by `key_of` a class.
    path : str
        Of the module, for messages.

    Returns
    -------
    list of (str, str)
        What is wrong, and where.
    """
    if short(module) in CONTAINERS:
        found = []
        for key, child in submodules(module).items():
            found += faults(child, table, f"{path}.{key}".lstrip("."))
        return found
    known = table.get(key_of(module))
    if known is None:
        return [(f"{short(module)} has no stage", path or "the model")]
    out: list[tuple[str, str]] = []
    children = submodules(module)
    for name, value in attributes(module).items():
        where = f"{path}.{name}".lstrip(".")
        if name in known.checks:
            said = known.checks[name](module, name)
            if said:
                out.append((said, where))
        elif name in known.fixed:
            if not any(_same(value, wanted) for wanted in known.fixed[name]):
                expected = " or ".join(map(str, known.fixed[name]))
                out.append((f"{_shown(value)}, expected {expected}", where))
        elif name in known.refused:
            if not _is_nothing(value):
                out.append((known.refused[name], where))
            continue
        elif name in HOOKS:
            if value:
                out.append(("hooks, which may change the result", where))
        elif name not in (*known.used, *known.inert, *known.closed, *_TORCH):
            if not _is_nothing(value):
                what = short(value) if name in children else _shown(value)
                out.append((f"{what} is of no part that this exporter knows", where))
            continue
        if name in children and name in known.used and _is_module(children[name]):
            out += faults(children[name], table, where)
    return out


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.item()) if value.size == 1 else f"an array of shape {list(value.shape)}"
    if isinstance(value, Stub):
        return short(value)
    return shortened(repr(value), 40)


def refuse(
    found: Iterable[tuple[str, str]], name: str, cure: str = "It cannot be exported."
) -> None:
    """Raise with all that was found, equal faults together; do nothing where there is none.

    Parameters
    ----------
    found : iterable of (str, str)
        What is wrong, and where.
    name : str
        What messages call the checkpoint.
    cure : str
        Last sentence.
    """
    places: dict[str, list[str]] = {}
    for what, where in found:
        places.setdefault(what, []).append(where)
    if not places:
        return
    said = []
    for what, where_all in places.items():
        more = f" and {len(where_all) - 2} more" if len(where_all) > 2 else ""
        said.append(f"{', '.join(where_all[:2])}{more}: {what}")
    raise EqnnError(f"{name}: {'; '.join(said)}.\n{cure}".replace("..", "."))
