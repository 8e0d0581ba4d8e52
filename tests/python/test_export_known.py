# SPDX-License-Identifier: BSD-3-Clause
"""Walks the tables of what exporters know of upstream's classes: all that stands there is enforced.

Each attribute of each class is changed alone, in a golden checkpoint that has it: what is used must
change the model or be refused, what is fixed or checked must be refused by its name, what is inert
must change nothing; and what is in no table is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from eqnn_models import EXPORTERS, PRETRAINED, PROVENANCE

from eqnn.errors import EqnnError
from eqnn.export import known, mace, nequip, nequip_package
from eqnn.export.known import Known, attributes, key_of
from eqnn.export.nequip import NequipModule, export_nequip
from eqnn.export.nequip_package import NequipPackage, PackageExporter
from eqnn.export.torch_file import (
    Stub,
    _stub_class,
    read_extra_files,
    read_torch_file,
    read_torch_package,
    state_dict,
    submodules,
)


def quiet(line: str) -> None:
    """Swallow the exporter's report."""


def export_mace(tree: Any) -> str:
    network = mace.network_from_module(tree, "m")
    return mace.export_mace(
        state_dict(tree), network, provenance=PROVENANCE, name="m", log=quiet
    ).sha256


def export_package(tree: Any) -> str:
    package = NequipPackage(tree, {}, "m")
    return PackageExporter(package, quiet).export(1.0, None, PROVENANCE).sha256


def export_deployed(tree: Any) -> str:
    has_norms = any(key_of(part) == "e3nn.NormActivation" for _, part in modules(tree))
    path = EXPORTERS / "nequip_norm.pth" if has_norms else PRETRAINED / "nequip_deployed.pth"
    metadata = read_extra_files(path)
    module = NequipModule(tree, metadata, "m")
    return export_nequip(module, energy_unit="eV", provenance=PROVENANCE, log=quiet).sha256


@cache
def tree_of(file: str) -> Any:
    ours = file.startswith(("mace_", "nequip_nequip", "nequip_norm."))
    path = (EXPORTERS if ours else PRETRAINED) / file
    if file == "mace_acac.pt":
        path = PRETRAINED / file
    if file.endswith(".zip"):
        return read_torch_package(path, nequip_package.MEMBER)[0]
    return read_torch_file(path)


FAMILIES: dict[str, tuple[known.Table, Callable[[Any], str], tuple[str, ...]]] = {
    "mace": (mace.TABLE, export_mace, ("mace_so3.model", "mace_acac.pt", "mace_attention.model")),
    "nequip package": (
        nequip_package.TABLE,
        export_package,
        (
            *("nequip_zbl.nequip.zip", "nequip_nequip_0.14_plain.nequip.zip"),
            "nequip_norms.nequip.zip",
        ),
    ),
    "nequip deployed": (
        nequip.TABLE,
        export_deployed,
        ("nequip_deployed.pth", "nequip_norm.pth"),
    ),
}
# Attributes that say again what irreps, weights or other attributes say: these are what is used.
SAID_TWICE = {
    *("num_interactions", "edge_irreps", "use_edge_irreps_first", "use_last_readout_only"),
    *("use_so3", "use_agnostic_product", "use_reduced_cg", "pair_repulsion", "has_scales"),
    *("has_shifts", "irreps_gates", "irreps_out", "irreps_in1", "irreps_in2", "irreps_in"),
    # Empty, or of another version than the golden file's.
    *("weight", "bias", "sc", "scatter_norm_factor", "shift_by", "num_heads", "heads"),
    # Held against another attribute to some digits.
    *("r_max", "_factor", "covalent_radii", "cst", "hs"),
    # Of a block without a residual, to which it says nothing.
    "mace use_sc",
}


def modules(module: Stub, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Stub]]:
    yield path, module
    for key, child in submodules(module).items():
        yield from modules(child, (*path, key))


def at(tree: Stub, path: tuple[str, ...]) -> Stub:
    for key in path:
        tree = submodules(tree)[key]
    return tree


def places(family: str) -> list[tuple[str, tuple[str, ...], str, str]]:
    """File, path, attribute and what the table says of it: each class and attribute once."""
    table, _, files = FAMILIES[family]
    out: list[tuple[str, tuple[str, ...], str, str]] = []
    seen: set[tuple[str, str]] = set()
    for file in files:
        for path, module in modules(tree_of(file)):
            entry = table.get(key_of(module))
            if entry is None:
                continue
            for name in attributes(module):
                said = said_of(entry, name)
                if said and (key_of(module), name) not in seen:
                    seen.add((key_of(module), name))
                    out.append((file, path, name, said))
    return out


def said_of(entry: Known, name: str) -> str:
    for said in ("used", "fixed", "checks", "inert"):
        if name in getattr(entry, said):
            return said
    return ""


def put(module: Stub, name: str, value: Any) -> None:
    for group in ("_parameters", "_buffers", "_modules"):
        if name in (module.__dict__.get(group) or {}):
            module.__dict__[group][name] = value
            return
    module.__dict__[name] = value
    if isinstance(module.state, dict) and name in module.state:
        module.state[name] = value


def other(value: Any) -> Any:
    """Make something else of a value; None where there is nothing to change."""
    if isinstance(value, np.ndarray):
        if not value.size or value.dtype.kind not in "fi":
            return None
        return (
            value * 2
            if value.dtype.kind == "i"
            else value * np.linspace(1.5, 1.7, value.size).reshape(value.shape)
        )
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    return None


def outcome(family: str, file: str, change: Callable[[Any], None]) -> str:
    """Hash of the model from a changed tree, or the text that refuses it."""
    tree = copy.deepcopy(tree_of(file))
    change(tree)
    try:
        return FAMILIES[family][1](tree)
    except EqnnError as error:
        return str(error)
    except Exception as error:  # the command makes a sentence of it
        return f"m: {error}"


@cache
def unchanged(family: str, file: str) -> str:
    return FAMILIES[family][1](copy.deepcopy(tree_of(file)))


PLACES = [(family, *place) for family in FAMILIES for place in places(family)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "file", "path", "name", "said"),
    PLACES,
    ids=[f"{family} {'.'.join(path)}.{name}" for family, _, path, name, _ in PLACES],
)
def test_every_attribute_of_the_tables(
    family: str, file: str, path: tuple[str, ...], name: str, said: str
) -> None:
    before = attributes(at(tree_of(file), path))[name]
    if name in SAID_TWICE or f"{family} {name}" in SAID_TWICE:
        return
    if said in ("fixed", "checks"):
        value: Any = "other" if not isinstance(before, list) else []
        if said == "fixed" and isinstance(before, bool):
            value = not before
        text = outcome(family, file, lambda tree: put(at(tree, path), name, value))
        assert text.startswith("m: ") and (name in text or said == "checks"), text
        return
    value = other(before)
    if value is None:
        return
    found = outcome(family, file, lambda tree: put(at(tree, path), name, value))
    if said == "inert":
        assert found == unchanged(family, file)
    else:
        assert found != unchanged(family, file), name


CLASSES = [
    (family, file, path)
    for family, (table, _, files) in FAMILIES.items()
    for file in files[:1]
    for key, path in {
        key_of(module): path for path, module in modules(tree_of(file)) if key_of(module) in table
    }.items()
]


def closed(family: str, file: str, path: tuple[str, ...]) -> bool:
    """Whether a module lies within one that the rest determines."""
    table = FAMILIES[family][0]
    for k in range(len(path)):
        entry = table.get(key_of(at(tree_of(file), path[:k])))
        if entry is not None and path[k] not in entry.used:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "file", "path"), CLASSES, ids=[f"{f} {'.'.join(p)}" for f, _, p in CLASSES]
)
def test_what_is_in_no_table_is_refused(family: str, file: str, path: tuple[str, ...]) -> None:
    if closed(family, file, path) or (
        family != "mace" and path[-1:] in ((), ("func",), ("model",))
    ):
        return  # the outermost ones must have exactly what they have
    inner = path[1:] if path[:1] == ("sole_model",) else path
    where = ".".join((*inner[-1:], "surprise"))

    def attribute(tree: Any) -> None:
        put(at(tree, path), "surprise", 3)

    text = outcome(family, file, attribute)
    assert where in text and "3 is of no part that this exporter knows" in text

    def hook(tree: Any) -> None:
        put(at(tree, path), "_forward_pre_hooks", {0: "f"})

    assert "_forward_pre_hooks: hooks, which may change the result" in outcome(family, file, hook)

    def child(tree: Any) -> None:
        new = _stub_class("torch.nn", "Dropout")()
        new.__setstate__({"_modules": {}, "_parameters": {}, "_buffers": {}})
        module = at(tree, path)
        if "_modules" in module.__dict__:
            module.__dict__["_modules"]["surprise"] = new
        else:
            put(module, "surprise", new)
            module.state["surprise"] = new

    text = outcome(family, file, child)
    assert where in text and "Dropout is of no part that this exporter knows" in text


def test_every_entry_of_a_table_is_said_once() -> None:
    for family, (table, _, _) in FAMILIES.items():
        for key, entry in table.items():
            names = entry.names
            assert len(names) == len(set(names)), (family, key)


def test_all_faults_are_told_at_once_and_equal_ones_together() -> None:
    found = [("A has no stage", f"x.{k}") for k in range(4)] + [("b is odd", "y")]
    with pytest.raises(EqnnError) as caught:
        known.refuse(found, "m")
    assert str(caught.value) == (
        "m: x.0, x.1 and 2 more: A has no stage; y: b is odd.\nIt cannot be exported."
    )
    known.refuse([], "m")
