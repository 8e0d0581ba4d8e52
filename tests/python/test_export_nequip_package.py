# SPDX-License-Identifier: BSD-3-Clause
"""Packaged NequIP models against numbers of nequip's own code."""

from __future__ import annotations

import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eqnn_models import (
    PRETRAINED,
    PROVENANCE,
    assert_as_golden,
    golden_atoms,
    max_error,
    refusal,
)
from safetensors.numpy import load_file

from eqnn.export import nequip, nequip_package
from eqnn.export.nequip_package import NequipPackage, PackageExporter
from eqnn.export.torch_file import Stub, _stub_class, read_torch_package, submodules
from eqnn.model_file import Model, write_model
from eqnn.numpy_evaluator import energy

NAMES = ("nequip_parity", "nequip_zbl", "nequip_cutoffs", "nequip_norms")
KCAL = 0.04336410390059322


def path_of(name: str) -> Path:
    return PRETRAINED / f"{name}.nequip.zip"


def root(name: str) -> tuple[Stub, dict[str, str]]:
    module, texts = read_torch_package(path_of(name), nequip_package.MEMBER)
    assert isinstance(module, Stub)
    return module, texts


def export(
    name: str, *changes: Callable[[Stub], None], unit: float = 1.0, species: Any = None
) -> Model:
    module, texts = root(name)
    for apply in changes:
        apply(module)
    package = NequipPackage(module, texts, "m.nequip.zip")
    return PackageExporter(package, lambda line: None).export(unit, species, PROVENANCE)


@pytest.mark.parametrize("name", NAMES)
def test_packages_equal_upstream(name: str) -> None:
    model = export(name)
    assert model.document["parity"] == "o3"
    assert model.document["species"] == [1, 6, 8]
    assert_as_golden(model, PRETRAINED / f"{name}.pbc9.safetensors")


def test_odd_scalars_take_the_odd_activation() -> None:
    graph = export("nequip_parity").document["graph"]
    found = [stage["activations"] for stage in graph if stage["op"] == "irreps_gate"]
    assert found[2] == {"0e": "silu", "0o": "tanh", "gates": "silu"}


def test_functions_of_norms_take_the_place_of_gates() -> None:
    graph = export("nequip_norms").document["graph"]
    found = [stage for stage in graph if stage["op"] == "norm_activation"]
    assert [stage["function"] for stage in found] == ["tanh"] * 4
    assert [stage["eps"] for stage in found] == [1e-8] * 4
    assert not [stage for stage in graph if stage["op"] == "irreps_gate"]


def test_norms_of_each_element_are_weights_of_each_element() -> None:
    ops = {s["output"]: s["op"] for s in export("nequip_parity").document["graph"]}
    assert ops["layer1_convnet.source"] == "species_linear"
    ops = {s["output"]: s["op"] for s in export("nequip_zbl").document["graph"]}
    assert ops["layer1_convnet.source"] == "irreps_linear"


def test_repulsion_is_not_scaled_with_the_network() -> None:
    model = export("nequip_zbl")
    assert model.document["energy"]["scale"] == 1.0
    graph = {s["output"]: s for s in model.document["graph"]}
    assert graph["site_energy"]["inputs"]["features"] == "scaled_energy"
    assert max_error(model.tensors["pair_potential/radius"], [2.0] * 3) == 0.0
    assert abs(sum(graph["pair_potential"]["coefficients"]) - 1.0) <= 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_units_and_subsets(name: str) -> None:
    atoms = golden_atoms(load_file(PRETRAINED / f"{name}.pbc9.safetensors"))
    model = export(name)
    assert abs(energy(export(name, unit=KCAL), atoms) - KCAL * energy(model, atoms)) <= 1e-10
    some = atoms[np.isin(atoms.numbers, [6, 8])]
    subset = export(name, species=[8, 6])
    assert subset.document["species"] == [6, 8]
    assert abs(energy(subset, some) - energy(model, some)) <= 1e-11


def test_repulsion_with_one_scale_for_all() -> None:
    def one_scale(module: Stub) -> None:
        find(module, "per_type_energy_scale_shift").__dict__["_buffers"]["scales"] = np.array(2.0)

    model = export("nequip_zbl", one_scale)
    assert model.document["energy"]["scale"] == 2.0
    stage = next(s for s in model.document["graph"] if s["op"] == "zbl")
    assert abs(sum(stage["coefficients"]) - 0.5) <= 1e-4


def test_deep_linear_networks_are_one_layer() -> None:
    """A readout without nonlinearity is a product of matrices and one factor."""
    rng = np.random.default_rng(1)
    matrices = [rng.normal(size=(4, 4)), rng.normal(size=(4, 1))]

    def apply(module: Stub) -> None:
        weights = part("torch.nn.ParameterList")
        weights.__dict__["_parameters"] = {str(k): w for k, w in enumerate(matrices)}
        deep = part("nequip.nn.mlp.DeepLinearMLP", weights=weights)
        deep.__dict__["_buffers"]["alpha"] = np.array(0.5)
        find(module, "per_atom_energy_readout.mlp_module").__dict__["_modules"]["mlp"] = deep

    model = export("nequip_parity", apply)
    stage = next(s for s in model.document["graph"] if s["op"] == "readout")
    assert len(stage["layers"]) == 1
    silu = 1.6791767923989418
    expected = 0.5 * silu * (matrices[0] @ matrices[1]).T
    assert max_error(model.tensors["site_energy/layers/0/weight"], expected) <= 1e-14


def test_biases_of_a_readout_are_kept() -> None:
    biases = {"0": np.arange(5.0), "2": np.array([0.5])}

    def apply(module: Stub) -> None:
        for key, bias in biases.items():
            linear = find(module, f"per_atom_energy_readout.mlp_module.mlp.{key}")
            linear.__dict__["_parameters"]["bias"] = bias

    model = export("nequip_parity", apply)
    for key, bias in zip("01", biases.values(), strict=True):
        assert max_error(model.tensors[f"site_energy/layers/{key}/bias"], bias) == 0.0


# ---- the command ----


def options(**changes: Any) -> Namespace:
    keys = ("species", "energy_unit", "data", "level_of_theory", "licence")
    return Namespace(**(dict.fromkeys(keys) | changes))


def test_the_command_reads_packages() -> None:
    log: list[str] = []
    given = options(checkpoint=path_of("nequip_zbl"), energy_unit="kcal/mol")
    model = nequip.UPSTREAM.export(given, log.append)
    assert log[0] == "4 layers; elements C, H, O."
    assert log[1].startswith("Energies from kcal/mol to eV: times 0.04336410390059")
    told = model.document["provenance"]
    assert told["upstream"] == "NequIP, nequip 0.19.1"
    assert told["energy_unit_of_data"] == "kcal/mol"
    log.clear()
    given = options(checkpoint=path_of("nequip_zbl"), energy_unit="eV")
    nequip.UPSTREAM.export(given, log.append)
    assert not any("times" in line for line in log)


def test_packages_without_metadata_do_not_know_their_version() -> None:
    module, _ = root("nequip_zbl")
    assert NequipPackage(module, {}, "m").version == "of unknown version"


# ---- refusals ----


def find(module: Stub, path: str) -> Stub:
    for key in ["sole_model", "model", "func", *path.split(".")] if path else ["sole_model"]:
        module = submodules(module)[key]
    return module


def part(class_name: str, **children: Stub) -> Stub:
    module, name = class_name.rsplit(".", 1)
    out = _stub_class(module, name)()
    out.__setstate__({"_modules": children, "_parameters": {}, "_buffers": {}})
    return out


def set_part(path: str, key: str, class_name: str) -> Callable[[Stub], None]:
    def apply(module: Stub) -> None:
        find(module, path).__dict__["_modules"][key] = part(class_name)

    return apply


def set_in(path: str, key: str, value: Any) -> Callable[[Stub], None]:
    def apply(module: Stub) -> None:
        find(module, path).__dict__[key] = value

    return apply


def set_cutoffs(n: int) -> Callable[[Stub], None]:
    def apply(module: Stub) -> None:
        find(module, "edge_norm").__dict__["_buffers"]["_rmax_recip"] = np.full(n, 0.25)

    return apply


def set_cutoffs_and_repulsion(module: Stub) -> None:
    set_cutoffs(9)(module)
    add_repulsion(module)


def drop_scale(module: Stub) -> None:
    graph = submodules(submodules(submodules(module)["sole_model"])["model"])["func"]
    del graph.__dict__["_modules"]["per_type_energy_scale_shift"]


def add_module(module: Stub) -> None:
    graph = submodules(submodules(submodules(module)["sole_model"])["model"])["func"]
    graph.__dict__["_modules"]["allegro"] = part("allegro.nn.Allegro_Module")


def add_repulsion(module: Stub) -> None:
    other, _ = root("nequip_zbl")
    graph = submodules(submodules(submodules(module)["sole_model"])["model"])["func"]
    modules = graph.__dict__["_modules"]
    last = modules.pop("total_energy_sum")
    modules["pair_potential"] = find(other, "pair_potential")
    modules["total_energy_sum"] = last


def function(name: str) -> Stub:
    """Pickled as functions of torch's core are."""
    return _stub_class("builtins", "getattr")(_stub_class("torch._C", "_Functions"), name)


def set_odd_silu(module: Stub) -> None:
    act = find(module, "layer2_convnet.equivariant_nonlin.act_scalars.acts.1")
    act.__dict__.update(f=function("silu"), cst=1.6791767923989418)


def set_unknown(module: Stub) -> None:
    find(module, f"{GATE}.act_gates.acts.0").__dict__.update(f=function("gelu"), cst=1.0)


GATE = "layer1_convnet.equivariant_nonlin"
REFUSALS: dict[str, tuple[Callable[[Stub], None], str]] = {
    "more": (add_module, "(more: allegro; missing: none)"),
    "less": (drop_scale, "(more: none; missing: per_type_energy_scale_shift)"),
    "types": (
        set_in("", "type_names", ["C", "H", "O2"]),
        "m.nequip.zip: type_names: 'O2' is not a chemical symbol",
    ),
    "fields": (
        set_in("type_embed", "do_categorical_graph_field_embed", True),
        "type_embed.do_categorical_graph_field_embed: embeddings of fields of the whole",
    ),
    "cutoffs": (set_cutoffs(4), "edge_norm._rmax_recip: 4 numbers for 3 elements"),
    "cutoffs and repulsion": (
        set_cutoffs_and_repulsion,
        "pair_potential: a repulsion together with cutoffs per pair has no stages",
    ),
    "envelope": (
        set_part("bessel_encode", "cutoff", "nequip.nn.CosineCutoff"),
        "bessel_encode.cutoff: CosineCutoff has no stage",
    ),
    "resnet": (
        set_in("layer1_convnet", "resnet", True),
        "layer1_convnet.resnet: features 4x0e+3x1o+2x2e that skip a layer which makes",
    ),
    "nonlinearity": (
        set_part("layer1_convnet", "equivariant_nonlin", "e3nn.nn.Extract"),
        "layer1_convnet.equivariant_nonlin: Extract has no stage",
    ),
    "activation": (
        set_in(f"{GATE}.act_scalars.acts.0", "f", part("torch.gelu")),
        "act_scalars.acts.0.f: activation gelu with constant 1.6791767923989418, expected silu",
    ),
    "odd activation": (
        set_in("layer2_convnet.equivariant_nonlin.act_scalars.acts.1", "f", function("silu")),
        "act_scalars.acts.1.f: activation silu with constant 1.5937334472592695, expected",
    ),
    "odd silu": (
        set_odd_silu,
        "act_scalars: activation silu with constant 1.6791767923989418 has no stage",
    ),
    "unknown": (
        set_unknown,
        "act_gates.acts.0.f: activation gelu with constant 1.0, expected silu with",
    ),
    "constant": (
        set_in(f"{GATE}.act_gates.acts.0", "cst", 1.5),
        "act_gates.acts.0.f: activation silu with constant 1.5, expected silu with",
    ),
    "layer": (
        set_part("layer0_convnet.conv.edge_mlp.mlp", "1", "torch.nn.ReLU"),
        "layer0_convnet.conv.edge_mlp.mlp.1: ReLU has no stage",
    ),
    "hidden": (
        add_repulsion,
        "pair_potential: a repulsion together with scales per element and a readout with hidden "
        "lay",
    ),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_packages_that_have_no_stages(fault: str) -> None:
    apply, expected = REFUSALS[fault]
    assert expected in refusal(lambda: export("nequip_parity", apply))


def test_other_pair_potentials() -> None:
    def apply(module: Stub) -> None:
        graph = submodules(submodules(submodules(module)["sole_model"])["model"])["func"]
        old = graph.__dict__["_modules"]["pair_potential"]
        new = part("nequip.nn.pair_potential.LennardJones")
        new.__dict__["_buffers"] = old.__dict__["_buffers"]
        graph.__dict__["_modules"]["pair_potential"] = new

    text = refusal(lambda: export("nequip_zbl", apply))
    assert "pair_potential: LennardJones has no stage" in text


def test_gates_that_are_sorted_otherwise() -> None:
    def apply(module: Stub) -> None:
        linear = find(module, "layer1_convnet.conv.linear_2")
        linear.__dict__["irreps_out"] = "14x0e+3x1e+3x1o+2x2e+2x2o"

    text = refusal(lambda: export("nequip_parity", apply))
    assert "layer1_convnet: the gate takes " in text
    assert "This version of e3nn sorts irreps differently" in text


def test_objects_that_are_no_packages_of_models() -> None:
    text = refusal(lambda: NequipPackage({"a": 1}, {}, "m"))
    assert text.startswith("m: sole_model is nothing, expected GraphModel. Package the model")
    other = part("torch.nn.ModuleDict", sole_model=part("nequip.nn.EnsembleModel"))
    text = refusal(lambda: NequipPackage(other, {}, "m"))
    assert text.startswith("m: sole_model is EnsembleModel, expected GraphModel.")


def test_files_that_are_no_packages(tmp_path: Path) -> None:
    missing = tmp_path / "x.nequip.zip"
    assert "x.nequip.zip: no such file" in refusal(lambda: nequip_package.read(missing))
    with zipfile.ZipFile(missing, "w") as archive:
        archive.writestr("a/model/compile_model.pkl", b"")
    text = refusal(lambda: nequip_package.read(missing))
    assert "not readable as a package of torch (ValueError: 0 model/eager_model.pkl in" in text
    missing.write_bytes(b"nothing")
    assert "not readable as a package of torch (BadZipFile" in refusal(
        lambda: nequip_package.read(missing)
    )


NORM_FAULTS: dict[str, tuple[str, Any, str]] = {
    "function": ("scalar_nonlinearity", part("torch.sigmoid"), "function of norms sigmoid"),
    "eps": ("epsilon", 1e-6, "1e-06, expected 1e-08"),
    "square": ("_eps_squared", 1e-14, "1e-14, expected 1e-16"),
    "bias": ("bias", True, "True, expected False"),
    "normalize": ("normalize", False, "False, expected True"),
}


@pytest.mark.parametrize("fault", NORM_FAULTS)
def test_other_functions_of_norms_are_refused(fault: str) -> None:
    key, value, text = NORM_FAULTS[fault]

    def change(module: Stub) -> None:
        find(module, "layer1_convnet.equivariant_nonlin").__dict__[key] = value

    assert f"layer1_convnet.equivariant_nonlin.{key}: {text}" in refusal(
        lambda: export("nequip_norms", change)
    )


def test_the_absolute_value_of_norms_is_no_stage(tmp_path: Path) -> None:
    """|n|/n is 1: the layer ends with its sum."""

    def change(module: Stub) -> None:
        for k in range(4):
            nonlin = find(module, f"layer{k}_convnet.equivariant_nonlin")
            nonlin.__dict__["scalar_nonlinearity"] = function("abs")

    model = export("nequip_norms", change)
    ops = [stage["op"] for stage in model.document["graph"]]
    assert "norm_activation" not in ops and "irreps_gate" not in ops
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
