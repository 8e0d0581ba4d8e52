# SPDX-License-Identifier: BSD-3-Clause
"""Describes a model file, as ``eqnn info`` prints it."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ase.data import chemical_symbols

from eqnn.model_file import Model, format_irreps, parse_irreps
from eqnn.numpy_evaluator import free_atoms

WIDTH = 100
_LABEL = 18

ENERGY_MEANING = {
    "extensive": "extensive: a sum over atoms of energies that depend on the atoms nearby",
    "mean-per-atom": "mean per atom: fitted to energies divided by the number of atoms, so "
    "meaningless for other numbers of atoms than in training; LAMMPS refuses it unless told "
    "`allow mean-per-atom`",
}
FORCE_MEANING = {
    "gradient": "minus the gradient of the energy: conservative, with a virial",
    "direct": "predicted directly, not the gradient of the energy: not conservative, no virial; "
    "LAMMPS refuses them unless told `allow direct-forces`",
}
PARITY_MEANING = {
    "so3": "rotations only: mirror images have different energies",
    "o3": "rotations and inversion",
}
# eV. Where the network adds nothing to an atom alone, rounding adds less than this.
NOTHING = 1e-9
# More elements than this are not listed one by one.
_LISTED = 6
# Characters of an entry of the provenance that are printed: a training's configuration has more.
_TOLD = 320
# A space where lines do not break.
_NO_BREAK = "\u00a0"


def free_atom_meaning(beyond: Mapping[int, float]) -> str:
    """Say what an atom without neighbors has, in `eqnn info` and in `eqnn check` alike.

    Parameters
    ----------
    beyond : mapping of int to float
        What the network adds to each element's reference energy and shift, eV.
    """
    if all(abs(energy) <= NOTHING for energy in beyond.values()):
        return "an atom without neighbors has its reference energy and the shift alone"
    text = "an atom without neighbors has an energy from the network too: "
    if len(beyond) <= _LISTED:
        return text + ", ".join(f"{chemical_symbols[z]} {e:.3g}" for z, e in beyond.items()) + " eV"
    low, high = min(beyond, key=lambda z: beyond[z]), max(beyond, key=lambda z: beyond[z])
    return text + (
        f"from {beyond[low]:.3g} ({chemical_symbols[low]}) to {beyond[high]:.3g} eV "
        f"({chemical_symbols[high]})"
    )


def elements(model: Model) -> str:
    """Chemical symbols of the model's species."""
    return " ".join(chemical_symbols[z] for z in model.document["species"])


def cutoff_defects(model: Model) -> list[str]:
    """Name the parts of the graph that make the energy jump when a pair crosses the cutoff."""
    out = []
    graph = model.document["graph"]
    networks = [s for s in graph if s["op"] == "edge_network_product"]
    # What such a stage makes of them has an envelope of its own, or is listed below.
    inner = {s["inputs"]["radial"] for s in networks}
    inner -= {s["inputs"].get("radial") for s in graph if s not in networks}
    radial = [s for s in graph if s["op"] == "radial" and s["output"] not in inner]
    if any(s["envelope"]["kind"] == "none" for s in radial):
        out.append("radial functions without an envelope")
    on_basis = [s for s in radial if s["envelope"].get("on") == "basis"]
    layers = [layer for s in on_basis for layer in s["layers"]]
    # What is left of a layer where all of its inputs have faded.
    constants = [x["bias"] for x in layers if x["bias"]]
    constants += [x["layer_norm"]["shift"] for x in layers if x["layer_norm"]]
    constants += [name for s in on_basis for name in s.get("species", {}).values()]
    if any(model.tensors[name].any() for name in constants):
        out.append("radial functions with a bias after the envelope")
    # Both count a neighbor at the cutoff in full, whatever its radial function is.
    if any(s["op"] == "edge_attention" and "envelope" not in s for s in graph):
        out.append("attention weights without an envelope")
    if any("envelope" not in s for s in networks):
        out.append("weights of edges that depend on both atoms, without an envelope")
    if any(
        s["op"] == "degree_embedding" and model.tensors[s["weights"]["bias"]].any() for s in graph
    ):
        out.append("a degree embedding with a bias")
    return out


def describe(model: Model, *, in_full: bool = False) -> str:
    """Lines for people: family, elements, sizes, energies, forces, symmetry, origin.

    Parameters
    ----------
    model : Model
        The model to describe.
    in_full : bool
        Whether to print long entries of the provenance in full.
    """
    lines = [model.name]
    for label, text in _entries(model, in_full):
        first, rest = f"  {label:<{_LABEL}}", " " * (_LABEL + 2)
        wrapped = textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
        lines += [line.replace(_NO_BREAK, " ") for line in wrapped] or [first.rstrip()]
    return "\n".join(lines)


def _entries(model: Model, in_full: bool) -> Iterator[tuple[str, str]]:
    document = model.document
    graph = document["graph"]
    energy = document["energy"]
    yield "family", document["family"]
    yield "elements", elements(model)
    yield "cutoff", f"{document['cutoff']:g} Angstrom"
    l_max = document["spherical_harmonics"]["l_max"]
    kinds = {
        "edge_attention": "attention layer(s)",
        "edge_tensor_product": "convolution(s) by tensor products",
        "edge_network_product": "convolution(s) with networks on edges",
        "gaunt_convolution": "convolution(s) by Gaunt products",
    }
    layers = [
        f"{n} {what}" for op, what in kinds.items() if (n := sum(s["op"] == op for s in graph))
    ]
    parts = [f"l_max {l_max}", *_channels(model), *layers, f"{model.n_parameters} parameters"]
    yield "size", ", ".join(parts)
    counts = Counter(stage["op"] for stage in graph)
    yield "stages", ", ".join(op if n == 1 else f"{n}{_NO_BREAK}{op}" for op, n in counts.items())
    yield "", "their formulas: docs/spec/model_file.md#stages"
    yield "energies", ENERGY_MEANING[energy["semantics"]]
    references = (
        f"{chemical_symbols[z]} {e:g}"
        for z, e in zip(document["species"], energy["reference"], strict=True)
    )
    scale = energy["scale"]
    if isinstance(scale, list):
        scales = zip(document["species"], scale, strict=True)
        yield "", "scale " + ", ".join(f"{chemical_symbols[z]} {s:g}" for z, s in scales)
        yield "", f"shift {energy['shift']:g} eV per atom"
    else:
        yield "", f"scale {scale:g}, shift {energy['shift']:g} eV per atom"
    yield "", f"reference energies in eV: {', '.join(references)}"
    yield "", free_atom_meaning(free_atoms(model))
    yield "forces", FORCE_MEANING[document["forces"]]
    defect = document["equivariance"]["defect"]
    yield (
        "equivariance",
        (
            f"exact (defect {defect:.1e})"
            if document["equivariance"]["exact"]
            else f"approximate, defect {defect:.1e}: energies depend a little on orientation"
        ),
    )
    yield "symmetry", PARITY_MEANING[document["parity"]]
    jumps = cutoff_defects(model)
    yield (
        "at the cutoff",
        (
            f"energies jump where a pair crosses it ({', '.join(jumps)})"
            if jumps
            else "energies are smooth"
        ),
    )
    names = "; ".join(test["name"] for test in document["self_test"])
    yield "self-test", names or "none: not a complete file"
    yield "SHA-256", model.sha256
    for key, value in document["provenance"].items():
        for label, text in _told(key.replace("_", " "), value):
            more = 0 if in_full else len(text) - _TOLD
            yield label, f"{text[:_TOLD]}... ({more} more characters: --all)" if more > 0 else text


def _channels(model: Model) -> list[str]:
    """Widest features: irreps if a stage has them, otherwise the embedding's channels."""
    graph = model.document["graph"]
    named = [parse_irreps(s["irreps"]) for s in graph if "irreps" in s]
    if named:
        return [format_irreps(max(named, key=lambda irreps: sum(irreps.values())))]
    tables = [s["weights"]["table"] for s in graph if s["op"] == "species_embedding"]
    return [f"{max(model.tensors[t].shape[1] for t in tables)} channels"] if tables else []


def _told(label: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield one entry of the provenance; an object of objects gets a line for each."""
    if isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
        yield label, ""
        for key, item in value.items():
            yield "", f"{key}: {_flat(item)}"
    else:
        yield label, _flat(value)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    return json.dumps(value, ensure_ascii=False)
