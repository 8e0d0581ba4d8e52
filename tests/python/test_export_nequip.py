# SPDX-License-Identifier: BSD-3-Clause
"""Exporters of SevenNet, Nequix and NequIP.

SevenNet against numbers of upstream's code from its own checkpoint; the larger networks of all
three are in potentials/ and held against upstream's numbers in test_potentials.py. Here random
networks stand for what those lack: subsets of elements, fidelities, biases, every refusal.
"""

from __future__ import annotations

import copy
import io
import json
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import (
    PRETRAINED,
    PROVENANCE,
    assert_as_golden,
    golden_atoms,
    max_error,
    refusal,
)
from safetensors.numpy import load_file, save_file

from eqnn.export import e3nn, nequip, nequix, sevennet
from eqnn.export.e3nn import written
from eqnn.export.nequip import NequipModule, export_nequip
from eqnn.export.nequix import NequixConfig, export_nequix, read_nqx
from eqnn.export.sevennet import SevenNetConfig, export_sevennet
from eqnn.export.torch_file import Stub, _stub_class, read_torch_file
from eqnn.model_file import Array, Model
from eqnn.numpy_evaluator import edges_of as find_edges
from eqnn.numpy_evaluator import energy, forces, run
from eqnn.so3 import wigner_3j

STRUCTURES = ("hfo2_mono12", "hf2o4_cluster", "hfo2_fluorite3_small", "hfo2_47_ovac", "isolated_o")


def quiet(line: str) -> None:
    """Swallow the exporter's report."""


def options(**changes: Any) -> Namespace:
    keys = ("config", "species", "modality", "energy_unit", "data", "level_of_theory", "licence")
    return Namespace(**(dict.fromkeys(keys) | changes))


# ---- SevenNet ----


def checkpoint() -> tuple[dict[str, Array], dict[str, Any]]:
    found = read_torch_file(PRETRAINED / "sevennet_cp0.pth")
    return dict(found["model_state_dict"]), copy.deepcopy(found["config"])


def export(
    tensors: dict[str, Array] | None = None,
    config: dict[str, Any] | None = None,
    log: list[str] | None = None,
    **more: Any,
) -> Model:
    own, said = checkpoint()
    lines = [] if log is None else log
    return export_sevennet(
        own if tensors is None else tensors,
        SevenNetConfig(said if config is None else config, "c"),
        provenance=PROVENANCE,
        name="w.pth",
        log=lines.append,
        **more,
    )


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
def test_sevennet_with_parity_equals_upstream(structure: str) -> None:
    model = export()
    assert model.document["parity"] == "o3"
    assert model.document["species"] == [8, 72]
    assert_as_golden(model, PRETRAINED / f"sevennet_cp0.{structure}.safetensors")


def test_a_subset_of_sevennets_elements_has_the_same_energies() -> None:
    atoms = Atoms("O3", [[0, 0, 0], [1.2, 0, 0], [0, 1.3, 0.4]])
    subset = export(species=[8])
    assert subset.document["species"] == [8]
    assert abs(energy(subset, atoms) - energy(export(), atoms)) <= 1e-14


def test_weights_of_old_checkpoints_stand_in_another_order() -> None:
    tensors, config = checkpoint()
    config["version"] = "0.11.0"  # the weights did not change: now they are misread
    golden = golden_atoms(load_file(PRETRAINED / "sevennet_cp0.hf2o4_cluster.safetensors"))
    assert abs(energy(export(tensors, config), golden) - energy(export(), golden)) > 1e-6
    # Sorted as upstream sorts them, they are right again.
    before = SevenNetConfig(checkpoint()[1], "c")
    inputs: e3nn.Segments = [(4, 0, 1)]
    for t in range(3):
        outputs = before.outputs(inputs, t)
        targets = before.targets(inputs, outputs, t)
        paths, _ = e3nn.instructions(inputs, before.harmonics, targets, sorted_weights=False)
        key = f"{t}_convolution.weight_nn.layer2.weight"
        parts = np.split(tensors[key], len(paths), axis=1)
        order = sorted(range(len(paths)), key=lambda k: paths[k].target)
        tensors[key] = np.concatenate([parts[k] for k in order], axis=1)
        inputs = outputs
    assert abs(energy(export(tensors, config), golden) - energy(export(), golden)) <= 1e-14
    config["version"] = "0.11.0.dev0"
    assert not SevenNetConfig(config, "c").sorted_weights


def test_names_before_2024_are_understood() -> None:
    tensors, _ = checkpoint()
    old = {}
    for key, value in tensors.items():
        name = key.replace("edge_embedding.", "EdgeEmbedding.").replace(
            "denominator", "denumerator"
        )
        name = name.replace("1_self_interaction_2", "1 self interaction 2")
        name = name.replace("reduce_hidden_to_energy", "reducing nn hidden to energy")
        old[name] = value
    assert old.keys() != tensors.keys()
    assert export(old).sha256 == export().sha256


def test_the_other_sign_of_wigner_3j_is_seen_and_turned() -> None:
    tensors, _ = checkpoint()
    key = "1_convolution.convolution._compiled_main_left_right._w3j_1_1_2"
    tensors[key] = -tensors[key]
    log: list[str] = []
    model = export(tensors, log=log)
    found = [line for line in log if "1_convolution" in line and "1x1->2" in line]
    assert found and "trained with the other sign of Wigner 3j" in found[0]
    assert model.sha256 != export().sha256
    for wrong in (np.zeros((3, 3, 5)), np.full((3, 3, 5), np.nan), np.zeros((5, 3, 3))):
        tensors[key] = wrong
        assert f"w.pth: {key} is not e3nn's Wigner 3j" in refusal(lambda: export(tensors))


def test_scales_and_shifts_of_each_element() -> None:
    tensors, _ = checkpoint()
    tensors["rescale_atomic_energy.scale"] = np.array([2.0, 3.0])  # Hf, O
    tensors["rescale_atomic_energy.shift"] = np.array([-2.0, -3.0])
    said = export(tensors).document["energy"]
    assert said["scale"] == [3.0, 2.0] and said["reference"] == [-3.0, -2.0]
    tensors["rescale_atomic_energy.scale"] = np.array([2.0, 3.0, 4.0])
    assert "has shape [3], expected [2]" in refusal(lambda: export(tensors))


def modal() -> tuple[dict[str, Array], dict[str, Any]]:
    """Give the checkpoint two fidelities wherever they can be; the first is as before."""
    tensors, config = checkpoint()
    rng = np.random.default_rng(3)
    config |= {"use_modality": True, "_modal_map": {"a": 0, "b": 1}}
    config |= {"use_modal_node_embedding": True, "use_modal_self_inter_intro": True}
    config |= {"use_modal_self_inter_outro": True, "use_modal_output_block": True}
    said = SevenNetConfig(config, "c")
    inputs: e3nn.Segments = [(4, 0, 1)]

    def widen(name: str, given: e3nn.Segments, made: e3nn.Segments) -> None:
        """Append two one-hot inputs: zero for the first fidelity, random for the second."""
        key = f"{name}.linear.weight"
        wide = [*given, (2, 0, 1)]
        parts, start = [], 0
        for i, (mul, degree, parity) in enumerate(wide):
            for mul_out, degree_out, parity_out in made:
                if (degree, parity) != (degree_out, parity_out):
                    continue
                n = mul * mul_out
                if i < len(given):
                    part = tensors[key][start : start + n].astype(float)
                    start += n
                    fan_in = sum(m for m, *ir in given if tuple(ir) == (degree, parity))
                    # Upstream now divides by more inputs.
                    more = 2 if (degree, parity) == (0, 1) else 0
                    parts.append(part * np.sqrt((fan_in + more) / fan_in))
                else:
                    parts.append(np.stack([np.zeros(mul_out), rng.normal(size=mul_out)]).ravel())
        tensors[key] = np.concatenate(parts)

    widen("onehot_to_feature_x", [(2, 0, 1)], inputs)
    for t in range(3):
        outputs = said.outputs(inputs, t)
        _, mid = e3nn.instructions(
            inputs, said.harmonics, said.targets(inputs, outputs, t), sorted_weights=False
        )
        gate = e3nn.gate(
            [s for s in outputs if s[1] == 0],
            [s for s in outputs if s[1] > 0],
            said.scalar_activations,
            said.gate_activations,
        )
        widen(f"{t}_self_interaction_1", inputs, inputs)
        widen(f"{t}_self_interaction_2", e3nn.merged(mid), gate.inputs)
        inputs = outputs
    widen("reduce_input_to_hidden", inputs, [(2, 0, 1)])
    tensors["rescale_atomic_energy.shift"] = np.array([[0.0, 0.0], [1.0, 2.0]])
    return tensors, config


def test_the_chosen_fidelity_is_a_bias_of_its_layers() -> None:
    tensors, config = modal()
    log: list[str] = []
    model = export(tensors, config, log, modality="a")
    assert "Modality a of a, b." in log
    golden = PRETRAINED / "sevennet_cp0.hf2o4_cluster.safetensors"
    assert_as_golden(model, golden)
    other = export(tensors, config, modality="b")
    assert other.document["energy"]["reference"] == [2.0, 1.0]
    atoms = golden_atoms(load_file(golden))
    assert abs(energy(other, atoms) - energy(model, atoms) - 8.0) > 1e-3
    biased = [s["output"] for s in other.document["graph"] if "bias" in s["weights"]]
    assert biased == [
        "layer0.mixed",
        "layer1.source",
        "layer1.mixed",
        "layer2.source",
        "layer2.mixed",
    ]


def test_a_layers_own_bias_and_the_fidelitys_add() -> None:
    tensors, config = modal()
    name = "1_self_interaction_1.linear"
    without = export(tensors, config, modality="b").tensors["layer1.source/bias"]
    own = np.linspace(-1.0, 1.0, without.size)
    tensors[f"{name}.bias"] = own
    model = export(tensors, config, modality="b")
    assert max_error(model.tensors["layer1.source/bias"], without + own) <= 1e-15


def test_a_fidelity_must_be_chosen_and_exist() -> None:
    tensors, config = modal()
    text = refusal(lambda: export(tensors, config))
    assert text == "w.pth: has 2 modalities: a, b. Choose one with --modality."
    text = refusal(lambda: export(tensors, config, modality="c"))
    assert text == "--modality c: w.pth has a, b. Choose one of them."
    text = refusal(lambda: export(modality="a"))
    assert text == "--modality a: w.pth has none. Leave the option out."
    del config["use_modality"]
    tensors["rescale_atomic_energy.shift"] = np.zeros((2, 2))
    assert "weights, expected" in refusal(lambda: export(tensors, config))


def test_biases_of_linear_layers_are_kept() -> None:
    tensors, _ = checkpoint()
    atoms = golden_atoms(load_file(PRETRAINED / "sevennet_cp0.hf2o4_cluster.safetensors"))
    before = energy(export(), atoms)
    tensors["reduce_hidden_to_energy.linear.bias"] = np.array([0.25])
    assert abs(energy(export(tensors), atoms) - before - 6 * 0.25) <= 1e-12
    tensors["reduce_input_to_hidden.linear.bias"] = np.array([1.0, -2.0])
    weight = tensors["reduce_hidden_to_energy.linear.weight"].astype(float)
    more = 0.25 + weight @ [1.0, -2.0] / np.sqrt(2.0)
    assert abs(energy(export(tensors), atoms) - before - 6 * more) <= 1e-12
    tensors["0_self_interaction_1.linear.bias"] = np.ones(4)
    found = export(tensors).tensors["layer0.source/table"] - export().tensors["layer0.source/table"]
    assert max_error(found, np.ones((2, 4))) <= 1e-14


def test_a_readout_with_hidden_layers() -> None:
    tensors, config = checkpoint()
    for name in ("reduce_input_to_hidden", "reduce_hidden_to_energy"):
        del tensors[f"{name}.linear.weight"]
    rng = np.random.default_rng(2)
    tensors["readout_FCN.fcn.layer0.weight"] = rng.normal(size=(4, 3))
    tensors["readout_FCN.fcn.layer1.weight"] = rng.normal(size=(3, 1))
    config["readout_fcn_activation"] = "silu"
    model = export(tensors, config)
    stage = next(s for s in model.document["graph"] if s["op"] == "readout")
    assert [entry["activation"] for entry in stage["layers"]] == ["silu", "none"]
    silu = e3nn.NORMALIZED["silu"]
    expected = tensors["readout_FCN.fcn.layer0.weight"].T / 2.0 * silu
    assert max_error(model.tensors["site_energy/layers/0/weight"], expected) <= 1e-14
    config["readout_fcn_activation"] = "relu"
    assert "readout_fcn_activation is relu, expected silu" in refusal(
        lambda: export(tensors, config)
    )


def with_config(**changes: Any) -> dict[str, Any]:
    out = checkpoint()[1] | changes
    return {key: value for key, value in out.items() if value is not None}


XPLOR = {"cutoff_function_name": "XPLOR", "cutoff_on": 3.0}
CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "type": (with_config(interaction_type="mace"), "c: interaction_type is mace, expected nequip"),
    "model": (with_config(_model_type="x"), "c: _model_type is x, expected E3_equivariant_model"),
    "harmonics": (
        with_config(_normalize_sph=1),
        "/_normalize_sph: found 1, expected true or false",
    ),
    "radial": (
        with_config(act_radial="elu"),
        "c: act_radial is elu, expected silu, tanh, ssp. Other activations have no stage.",
    ),
    "scalars": (
        with_config(act_scalar={"e": "abs", "o": "tanh"}),
        "c: act_scalar of parity e is abs, expected silu, tanh, ssp (odd: tanh)",
    ),
    "gates": (
        with_config(act_gate={"e": "silu", "o": "silu"}),
        "c: act_gate of parity o is silu, expected silu, tanh, ssp (odd: tanh)",
    ),
    "missing": (with_config(cutoff=None), 'c: key "cutoff" is missing, expected a length'),
    "map": (with_config(_type_map={72: 0, 8: 2}), "c/_type_map: indices are not 0 to 1, each once"),
    "envelope": (
        with_config(cutoff_function={"cutoff_function_name": "cosine"}),
        "c/cutoff_function: found cosine, expected poly_cut or XPLOR",
    ),
    "l_max": (with_config(lmax=1), "0_convolution.weight_nn: 12 outputs, expected 8 of the conv"),
    "channels": (
        with_config(channel=5),
        "onehot_to_feature_x: 8 weights, expected 10 of a layer from 2x0e to 5x0e",
    ),
    "edge": (
        with_config(lmax_edge=1, lmax_node=2),
        "0_convolution.weight_nn: 12 outputs, expected 8 of the convolution's paths",
    ),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_configurations_of_sevennet_that_do_not_fit(fault: str) -> None:
    config, expected = CONFIGS[fault]
    assert expected in refusal(lambda: export(config=config))


def test_irreps_may_be_given_or_follow_from_the_rest() -> None:
    tensors, config = checkpoint()
    said = SevenNetConfig(config, "c")
    inputs: e3nn.Segments = [(4, 0, 1)]
    given = [written(inputs)]
    for t in range(3):
        inputs = said.outputs(inputs, t)
        given.append(written(inputs))
    assert given[2] == "4x0e+4x1o+4x1e+4x2o+4x2e"
    config["irreps_manual"] = given
    assert export(tensors, config).sha256 == export().sha256
    config["irreps_manual"] = ["4x0e", "x", "y", "4x0e"]
    assert "c/irreps_manual: found x, expected irreps as in" in refusal(
        lambda: export(tensors, config)
    )


def test_a_radial_network_that_is_missing() -> None:
    tensors, _ = checkpoint()
    for k in range(3):
        del tensors[f"1_convolution.weight_nn.layer{k}.weight"]
    text = refusal(lambda: export(tensors))
    assert 'tensor "1_convolution.weight_nn.layer0.weight" is missing' in text


def test_radial_networks_of_another_width() -> None:
    tensors, _ = checkpoint()
    tensors["1_convolution.weight_nn.layer2.weight"] = np.ones((64, 61))
    text = refusal(lambda: export(tensors))
    assert "w.pth: 1_convolution.weight_nn: 61 outputs, expected 60 of the convolution's" in text


def test_the_xplor_envelope_of_sevennet() -> None:
    model = export(config=with_config(cutoff_function=XPLOR))
    stage = next(s for s in model.document["graph"] if s["op"] == "radial")
    assert stage["envelope"] == {"kind": "xplor", "start": 3.0, "on": "basis"}


def test_the_commands_forms_of_sevennet(tmp_path: Path) -> None:
    tensors, config = checkpoint()
    log: list[str] = []
    given = options(checkpoint=PRETRAINED / "sevennet_cp0.pth", data="HfO2")
    model = sevennet.UPSTREAM.export(given, log.append)
    assert log[0] == "3 layers, l_max 2; elements O, Hf."
    assert model.document["provenance"]["data"] == "HfO2"
    np.savez(tmp_path / "w.npz", **tensors)  # type: ignore[arg-type]
    save_file(tensors, tmp_path / "w.safetensors")
    keys = ["cutoff", "num_convolution_layer", "lmax", "is_parity", "channel", "_type_map"]
    keys += ["cutoff_function", "_normalize_sph", "version", "irreps_manual"]
    (tmp_path / "c.json").write_text(json.dumps({key: config[key] for key in keys}))
    for name in ("w.npz", "w.safetensors"):
        alone = options(checkpoint=tmp_path / name)
        text = refusal(lambda given=alone: sevennet.UPSTREAM.export(given, quiet))  # type: ignore[misc]
        assert "a state_dict does not describe the network. Give its configuration" in text
        both = options(checkpoint=tmp_path / name, config=tmp_path / "c.json")
        found = sevennet.UPSTREAM.export(both, quiet)
        assert found.document["graph"] == model.document["graph"]
        assert all((found.tensors[k] == v).all() for k, v in model.tensors.items())
    text = refusal(
        lambda: sevennet.UPSTREAM.export(options(checkpoint=PRETRAINED / "mace_acac.pt"), quiet)
    )
    assert "holds a ScaleShiftMACE of mace-torch, which `eqnn export mace` reads." in text


def test_the_chosen_fidelity_stands_in_the_provenance(tmp_path: Path) -> None:
    tensors, config = modal()
    np.savez(tmp_path / "w.npz", **tensors)  # type: ignore[arg-type]
    (tmp_path / "c.json").write_text(json.dumps(config, default=str))
    given = options(checkpoint=tmp_path / "w.npz", config=tmp_path / "c.json", modality="b")
    assert sevennet.UPSTREAM.export(given, quiet).document["provenance"]["modality"] == "b"


def test_npz_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    missing = options(checkpoint=tmp_path / "x.npz", config=tmp_path / "c.json")
    assert "x.npz: no such file" in refusal(lambda: sevennet.UPSTREAM.export(missing, quiet))
    (tmp_path / "x.npz").write_bytes(b"nothing")
    assert "x.npz: not readable as .npz" in refusal(
        lambda: sevennet.UPSTREAM.export(missing, quiet)
    )


# ---- Nequix ----


def nqx(**changes: Any) -> tuple[dict[str, Any], list[Array]]:
    """Make a small random network: two layers, elements H, C, O."""
    config: dict[str, Any] = {
        **{"atomic_numbers": [1, 6, 8], "cutoff": 3.0, "lmax": 2, "n_layers": 2},
        **{"radial_basis_size": 4, "radial_mlp_size": 5, "radial_mlp_layers": 2},
        **{"radial_polynomial_p": 6.0, "index_weights": False, "layer_norm": True},
        **{"shift": 0.125, "scale": 2.0, "avg_n_neighbors": 4.0},
        "hidden_irreps": "4x0e + 3x1o + 2x2e",
        "learning_rate": 0.01,
    } | changes
    rng = np.random.default_rng(9)
    arrays: list[Array] = [np.array([-1.0, -2.0, -3.0], dtype=np.float32)]

    def add(*shape: int) -> None:
        arrays.append(rng.normal(size=shape).astype(np.float32))

    said = NequixConfig(config, "c")
    inputs: e3nn.Segments = [(3, 0, 1)]
    for k in range(2):
        outputs = said.hidden if k == 0 else said.hidden[:1]
        paths, mid = e3nn.instructions(inputs, said.harmonics, outputs, sorted_weights=True)
        n = sum(inputs[path.source][0] for path in paths)
        for sizes in ((4, 5), (5, 5), (5, n)):
            add(*sizes)
        have, made = e3nn.channels(inputs), e3nn.channels(e3nn.merged(mid))
        for mul, degree, parity in inputs:
            add(have[f"{degree}{'e' if parity == 1 else 'o'}"], mul)
        wide = e3nn.channels(outputs)
        wide["0e"] += sum(c for block, c in wide.items() if block != "0e")
        for block, c in wide.items():
            add(made[block], c)
        first = (3,) if said.index_weights else ()
        for block, c in wide.items():
            if block in have:
                add(*first, have[block], c)
        if said.layer_norm:
            for c in wide.values():
                add(c)
        inputs = outputs
    add(4, 1)
    return config, arrays


def export_nqx(
    config: dict[str, Any], arrays: list[Array] | dict[str, Array], **more: Any
) -> Model:
    return export_nequix(
        NequixConfig(config, "c"), arrays, provenance=PROVENANCE, name="m.nqx", log=quiet, **more
    )


def write_nqx(path: Path, config: dict[str, Any], arrays: list[Array]) -> Path:
    content = io.BytesIO()
    content.write(json.dumps(config).encode() + b"\n")
    for array in arrays:
        np.save(content, array)
    path.write_bytes(content.getvalue() + b"\n")
    return path


def water() -> Atoms:
    positions = [[0, 0, 0], [0.9, 0.3, 0], [-0.5, 0.7, 0.4], [0.2, -1.1, 0.9]]
    return Atoms("OHHC", positions)


@pytest.mark.parametrize("name", ["nequix_norm", "nequix_indexed"])
def test_nequix_equals_upstream(name: str) -> None:
    config, arrays = read_nqx(PRETRAINED / f"{name}.nqx")
    model = export_nqx(config, arrays)
    assert_as_golden(model, PRETRAINED / f"{name}.pbc7.safetensors")


def test_nequix_of_torch_equals_upstream() -> None:
    config, arrays = read_nqx(PRETRAINED / "nequix_torch.pt")
    model = export_nqx(config, arrays)
    assert_as_golden(model, PRETRAINED / "nequix_torch.pbc7.safetensors")
    same = export_nqx(*read_nqx(PRETRAINED / "nequix_norm.nqx"))
    assert all(np.array_equal(model.tensors[key], same.tensors[key]) for key in same.tensors)


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_nequix_is_read_and_symmetric(tmp_path: Path, indexed: bool, norm: bool) -> None:
    config, arrays = nqx(index_weights=indexed, layer_norm=norm)
    model = nequix.UPSTREAM.export(
        options(checkpoint=write_nqx(tmp_path / "m.nqx", config, arrays)), quiet
    )
    assert model.tensors.keys() == export_nqx(config, arrays).tensors.keys()
    ops = [stage["op"] for stage in model.document["graph"]]
    assert ops.count("rms_norm") == (2 if norm else 0)
    assert ops.count("species_linear") == (1 if indexed else 0)
    assert model.document["energy"]["reference"] == [-1.0, -2.0, -3.0]
    atoms = water()
    mirrored = Atoms(atoms.numbers, -atoms.positions)
    assert abs(energy(model, atoms) - energy(model, mirrored)) <= 1e-11
    assert np.abs(forces(model, atoms)).max() > 1e-2


def test_the_norm_of_nequix_by_hand() -> None:
    config, arrays = nqx()
    with_norm, without = export_nqx(config, arrays), export_nqx(*nqx_without_norm(config, arrays))
    atoms = water()
    edges = find_edges(atoms, 3.0)
    x = run(without, atoms.numbers, edges)["layer0.sum"]
    y = run(with_norm, atoms.numbers, edges)["layer0.norm"]
    # Upstream: the sum over channels of squares over 2l+1, its mean over m, its mean over blocks.
    sizes = [(v**2 / (v.shape[1] * len(x))).sum(2).mean(1) for v in x.values()]
    size = np.sqrt(sum(sizes) + 1e-12)
    norms = arrays[9:12]
    assert [n.shape for n in norms] == [(9,), (3,), (2,)]
    for block, weight in zip(x, norms, strict=True):
        expected = x[block] * weight / size[:, None, None]
        assert max_error(y[block], expected) <= 1e-12


def nqx_without_norm(
    config: dict[str, Any], arrays: list[Array]
) -> tuple[dict[str, Any], list[Array]]:
    kept = [a for k, a in enumerate(arrays) if k not in (9, 10, 11, len(arrays) - 2)]
    return config | {"layer_norm": False}, kept


def test_a_subset_of_nequixs_elements_has_the_same_energies() -> None:
    for indexed in (False, True):
        config, arrays = nqx(index_weights=indexed)
        atoms = water()[:3]
        subset = export_nqx(config, arrays, species=[8, 1])
        assert subset.document["species"] == [1, 8]
        assert abs(energy(subset, atoms) - energy(export_nqx(config, arrays), atoms)) <= 1e-12


def test_numbers_after_the_last_array_are_passed_over(tmp_path: Path) -> None:
    """As in nequix-oam-1, of which upstream reads no more than it needs."""
    config, arrays = nqx()
    more = [*arrays, np.array(-1.5), np.array(True), np.array(3)]
    log: list[str] = []
    given = options(checkpoint=write_nqx(tmp_path / "m.nqx", config, more))
    model = nequix.UPSTREAM.export(given, log.append)
    assert "3 numbers after the last array, which upstream does not read either." in log
    for key, tensor in export_nqx(config, arrays).tensors.items():
        assert max_error(model.tensors[key], tensor) == 0.0


def test_files_of_nequix_that_do_not_fit(tmp_path: Path) -> None:
    config, arrays = nqx()
    text = refusal(lambda: export_nqx(config, arrays[:-1]))
    assert f"m.nqx: ends after {len(arrays) - 1} arrays, before readout. The file is cut" in text
    text = refusal(lambda: export_nqx(config, [*arrays, np.zeros(()), np.zeros(1)]))
    assert "m.nqx: 2 arrays are left over" in text
    text = refusal(lambda: export_nqx(config, [*arrays, np.zeros(1)]))
    assert "m.nqx: 1 arrays are left over" in text
    text = refusal(lambda: export_nqx(config | {"radial_mlp_size": 6}, arrays))
    assert "array 1 (layers[0].radial_mlp) has shape [4, 5], expected [4, 6]" in text
    wrong = list(arrays)
    wrong[2] = np.full((5, 5), np.nan)
    text = refusal(lambda: export_nqx(config, wrong))
    assert "array 2 (layers[0].radial_mlp) of type float64 does not hold finite" in text
    wrong[2] = np.ones((5, 5), dtype=int)
    assert "of type int64 does not hold finite" in refusal(lambda: export_nqx(config, wrong))
    for irreps in ("4x0e + 3x1e", "3x1o + 4x0e", "4x0e + 2x1o + 1x2e + 1x1o", "2x1o"):
        text = refusal(lambda irreps=irreps: NequixConfig(config | {"hidden_irreps": irreps}, "c"))  # type: ignore[misc]
        assert "c/hidden_irreps: found " in text and "expected each degree once, with the" in text
    text = refusal(lambda: NequixConfig({k: v for k, v in config.items() if k != "scale"}, "c"))
    assert 'c: key "scale" is missing, expected an energy' in text

    assert "x.nqx: no such file" in refusal(lambda: read_nqx(tmp_path / "x.nqx"))
    (tmp_path / "x.nqx").write_bytes(b"[1]\n")
    assert "not readable as .nqx (its first line is no JSON object)" in refusal(
        lambda: read_nqx(tmp_path / "x.nqx")
    )
    path = write_nqx(tmp_path / "x.nqx", config, arrays)
    path.write_bytes(path.read_bytes()[:-60])
    assert "x.nqx: not readable as .nqx (" in refusal(lambda: read_nqx(path))
    path.write_bytes((PRETRAINED / "nequix_norm.nqx").read_bytes()[:-400])
    text = refusal(lambda: read_nqx(path))
    assert re.search(r"could only read \d+ elements\. \(file seems( \w+)* \.\.\.\)\. Get the", text)


# ---- NequIP ----


def stub(class_name: str, *args: Any, **state: Any) -> Stub:
    """Make what the reader of TorchScript archives makes of a module."""
    module, name = class_name.rsplit(".", 1)
    out = _stub_class("__torch__." + module, name)(*args)
    if state:
        out.__setstate__(state)
    return out


def tagged(values: list[Any]) -> Stub:
    return stub("torch.jit._pickle.restore_type_tag", values, "List[Any]")


def irreps(text: str) -> tuple[Any, ...]:
    return tuple((mul, (degree, p)) for mul, degree, p in e3nn.segments(text, "test"))


METADATA = {
    "config": b"nonlinearity_gates:\n  e: silu\n  o: tanh\nnonlinearity_scalars:\n  e: silu\n"
    b"  o: tanh\nnonlinearity_type: gate\n",
    "type_names": b"H C O",
    "nequip_version": b"0.6.1",
}


def tables(
    inputs: e3nn.Segments, sh: e3nn.Segments, outputs: e3nn.Segments, paths: list[e3nn.Instruction]
) -> Stub:
    """Make the code of a tensor product, which holds its Wigner 3j."""
    found = {}
    for path in paths:
        ells = inputs[path.source][1], sh[path.harmonic][1], outputs[path.target][1]
        if all(ells):
            found["_w3j_{}_{}_{}".format(*ells)] = wigner_3j(*ells)
    return stub("torch.fx.graph_module.GraphModule", **{"x": 1, **found})


class Nequip:
    """A small random NequIP with parity, as an archive would give it: three layers, H, C, O."""

    def __init__(self, with_parity: bool = True) -> None:
        self.rng = np.random.default_rng(12)
        sh = "1x0e+1x1o+1x2e" if with_parity else "1x0e+1x1e+1x2e"
        first = "4x0e"
        gated = "3x1e+2x2e"
        odd, natural = "", "2x2e+3x1e"
        if with_parity:  # in NequIP's order: even first, then odd
            gated, odd, natural = gated + "+3x1o+2x2o", "+2x0o", "2x2e+3x1o"
        one_hot = stub("nequip.nn.OneHotAtomEncoding", num_types=3)
        self.parts = {
            "one_hot": one_hot,
            "spharm_edges": stub("nequip.nn.SphericalHarmonicEdgeAttrs", irreps_edge_sh=irreps(sh)),
            "radial_basis": stub(
                "nequip.nn.RadialBasisEdgeEncoding",
                basis=stub(
                    "nequip.nn.BesselBasis",
                    r_max=3.0,
                    prefactor=2.0 / 3.0,
                    bessel_weights=np.pi * np.arange(1.0, 5.0),
                ),
                cutoff=stub("nequip.nn.PolynomialCutoff", p=6.0),
            ),
            "chemical_embedding": stub(
                "nequip.nn.AtomwiseLinear", linear=self.linear("3x0e", first)
            ),
            "layer0_convnet": self.layer(first, sh, "4x0e", natural),
            "layer1_convnet": self.layer(f"4x0e+{natural}", sh, "4x0e", gated),
            "layer2_convnet": self.layer(f"4x0e+{gated}", sh, f"4x0e{odd}", gated),
            "conv_to_output_hidden": stub(
                "nequip.nn.AtomwiseLinear", linear=self.linear(f"4x0e{odd}+{gated}", "2x0e")
            ),
            "output_hidden_to_scalar": stub(
                "nequip.nn.AtomwiseLinear", linear=self.linear("2x0e", "1x0e")
            ),
            "per_species_rescale": stub(
                "nequip.nn.PerSpeciesScaleShift", shifts=np.array([-1.0, -2.0, -3.0])
            ),
            "total_energy_sum": stub("nequip.nn.AtomwiseReduce", constant=1.0),
        }
        self.rescale: dict[str, Any] = {"scale_by": np.array(2.0), "shift_by": np.zeros(0)}
        self.metadata = dict(METADATA)

    def linear(self, given: str, made: str) -> Stub:
        size = e3nn.linear_size(e3nn.segments(given, "t"), e3nn.segments(made, "t"))
        return stub(
            "e3nn.o3._linear.Linear",
            irreps_in=irreps(given),
            irreps_out=irreps(made),
            weight=self.rng.normal(size=size),
        )

    def layer(self, given: str, sh: str, scalars: str, gated: str) -> Stub:
        a, b = e3nn.segments(given, "t"), e3nn.segments(sh, "t")
        s, g = e3nn.segments(scalars, "t"), e3nn.segments(gated, "t")
        activations = {"e": "silu", "o": "tanh"}
        gate = e3nn.gate(s, g, activations, activations)
        paths, outputs = e3nn.instructions(a, b, [*s, *g], sorted_weights=False)
        n = sum(a[path.source][0] for path in paths)
        weights = [np.sqrt(2.0 * outputs[p.target][1] + 1.0) for p in paths]
        told = [
            (p.source, p.harmonic, p.target, "uvu", True, float(w), ())
            for p, w in zip(paths, weights, strict=True)
        ]
        around = 3 * e3nn.linear_size(a, gate.inputs)
        conv = stub(
            "nequip.nn._interaction_block.InteractionBlock",
            avg_num_neighbors=4.0,
            use_sc=True,
            linear_1=self.linear(given, given),
            linear_2=self.linear(written(e3nn.merged(outputs)), written(gate.inputs)),
            fc=stub(
                "e3nn.nn._fc.FullyConnectedNet",
                layer0=stub("e3nn.nn._fc._Layer", weight=self.rng.normal(size=(4, 5))),
                layer1=stub("e3nn.nn._fc._Layer", weight=self.rng.normal(size=(5, n))),
            ),
            tp=stub(
                "e3nn.o3.TensorProduct",
                irreps_in1=irreps(given),
                irreps_in2=irreps(sh),
                irreps_out=irreps(written(outputs)),
                instructions=tagged(told),
                _compiled_main_left_right=tables(a, b, outputs, paths),
            ),
            sc=stub(
                "e3nn.o3.FullyConnectedTensorProduct",
                irreps_in1=irreps(given),
                weight=self.rng.normal(size=around),
            ),
        )
        nonlin = stub(
            "e3nn.nn._gate.Gate", irreps_scalars=irreps(scalars), irreps_gated=irreps(gated)
        )
        return stub("nequip.nn.ConvNetLayer", resnet=False, conv=conv, equivariant_nonlin=nonlin)

    def module(self) -> NequipModule:
        graph = stub("nequip.nn.SequentialGraphNetwork", irreps_in=tagged([]), **self.parts)
        inner = stub("nequip.nn._grad_output.StressOutput", func=graph)
        outer = stub("nequip.nn._rescale.RescaleOutput", model=inner, **self.rescale)
        return NequipModule(stub("nequip.nn.GraphModel", model=outer), self.metadata, "n.pth")

    def export(self, **more: Any) -> Model:
        given: dict[str, Any] = {"energy_unit": "eV", "log": quiet} | more
        return export_nequip(self.module(), provenance=PROVENANCE, **given)

    def part(self, path: str) -> dict[str, Any]:
        found: Any = self.parts
        for key in path.split("."):
            found = found[key] if isinstance(found, dict) else found.__dict__[key]
        out: dict[str, Any] = found.__dict__
        return out


def test_a_deployed_nequip_equals_upstream() -> None:
    module = nequip.read(PRETRAINED / "nequip_deployed.pth")
    model = export_nequip(module, energy_unit="eV", provenance=PROVENANCE, log=quiet)
    assert_as_golden(model, PRETRAINED / "nequip_deployed.pbc7.safetensors")


def test_nequip_is_symmetric_and_complete() -> None:
    model = Nequip().export()
    assert model.document["parity"] == "o3"
    assert model.document["energy"]["scale"] == 2.0
    assert model.document["energy"]["reference"] == [-2.0, -4.0, -6.0]
    atoms = water()
    mirrored = Atoms(atoms.numbers, -atoms.positions)
    assert abs(energy(model, atoms) - energy(model, mirrored)) <= 1e-11
    assert np.abs(forces(model, atoms)).max() > 1e-2


def test_without_parity_mirror_images_differ() -> None:
    model = Nequip(with_parity=False).export()
    assert model.document["parity"] == "so3"
    atoms = water()
    mirrored = Atoms(atoms.numbers, -atoms.positions)
    assert abs(energy(model, atoms) - energy(model, mirrored)) >= 1e-8


def test_what_the_last_layer_makes_for_nobody_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Nequip().export()
    graph = {stage["output"]: stage for stage in model.document["graph"]}
    assert {path[2] for path in graph["layer2_convnet.messages"]["paths"]} == {"0e"}
    assert graph["layer2_convnet"]["scalars"] == {"0e": 4}
    assert graph["layer1_convnet"]["scalars"] == {"0e": 4}
    assert len(graph["layer1_convnet.messages"]["paths"]) > 8
    atoms = water()
    found = energy(model, atoms)
    monkeypatch.setattr(e3nn, "scalars_alone", lambda spec: spec)
    whole = Nequip().export()
    assert whole.n_parameters > model.n_parameters
    assert abs(energy(whole, atoms) - found) <= 1e-11


def test_gates_are_put_in_the_order_of_the_files_blocks() -> None:
    gate = e3nn.gate(
        [(2, 0, 1), (1, 0, -1)],
        [(3, 1, 1), (2, 2, 1), (1, 1, -1)],
        {"e": "silu", "o": "tanh"},
        {"e": "silu", "o": "tanh"},
    )
    assert written(gate.inputs) == "1x0o+8x0e+1x1o+3x1e+2x2e"
    # Upstream: 1e, 2e, 1o; the file: 1e, 1o, 2e.
    assert gate.rows.tolist() == [0, 1, 2, 3, 4, 7, 5, 6]
    assert gate.attributes["scalars"] == {"0e": 2, "0o": 1}
    assert written(gate.outputs) == "2x0e+1x0o+3x1e+2x2e+1x1o"


def test_a_subset_of_nequips_elements_has_the_same_energies() -> None:
    atoms = water()[:3]
    subset = Nequip().export(species=[8, 1])
    assert subset.document["species"] == [1, 8]
    assert abs(energy(subset, atoms) - energy(Nequip().export(), atoms)) <= 1e-11


def test_units_are_converted_and_said() -> None:
    log: list[str] = []
    ours, theirs = Nequip().export(), Nequip().export(energy_unit="kcal/mol", log=log.append)
    factor = 0.04336410390059322
    assert abs(energy(theirs, water()) - factor * energy(ours, water())) <= 1e-10
    assert log[0].startswith("Energies from kcal/mol to eV: times 0.04336410390059")
    small = nequip.ENERGY_UNITS
    assert abs(small["Hartree"] - 27.211386) <= 1e-5
    assert abs(small["kJ/mol"] * 4.184 - small["kcal/mol"]) <= 1e-12


def test_scales_of_each_element_of_nequip() -> None:
    network = Nequip()
    network.part("per_species_rescale")["state"]["scales"] = np.array([1.0, 2.0, 3.0])
    said = network.export().document["energy"]
    assert said["scale"] == [2.0, 4.0, 6.0]


def set_in(path: str, key: str, value: Any) -> Any:
    def apply(network: Nequip) -> None:
        attributes = network.part(path)
        attributes[key] = value
        attributes["state"][key] = value

    return apply


def drop_part(network: Nequip) -> None:
    del network.parts["per_species_rescale"]


def add_part(network: Nequip) -> None:
    network.parts["pair_potential"] = stub("nequip.nn.pair_potential.ZBL", num_types=3)


NEQUIPS: dict[str, tuple[Any, str]] = {
    "module less": (drop_part, "(more: none; missing: per_species_rescale)"),
    "module more": (add_part, "(more: pair_potential; missing: none)"),
    "resnet": (
        set_in("layer1_convnet", "resnet", True),
        "n.pth: layer1_convnet.resnet: features 4x0e+2x2e+3x1o that skip a layer which makes",
    ),
    "nonlinearity": (
        set_in("layer0_convnet", "equivariant_nonlin", stub("e3nn.nn.Extract", x=1)),
        "layer0_convnet.equivariant_nonlin: Extract has no stage",
    ),
    "biases of norms": (
        set_in("layer0_convnet", "equivariant_nonlin", stub("e3nn.nn.NormActivation", biases=1)),
        "layer0_convnet.equivariant_nonlin.biases: 1 is of no part that this exporter knows",
    ),
    "envelope": (
        set_in("radial_basis", "cutoff", stub("nequip.nn.CosineCutoff", p=6.0)),
        "radial_basis.cutoff: CosineCutoff has no stage",
    ),
    "shift": (
        lambda network: network.rescale.update(shift_by=np.array(3.0)),
        "n.pth: shift_by shifts the energy of a whole structure, whatever its size",
    ),
    "activations": (
        lambda network: network.metadata.update(config=b"nonlinearity_scalars:\n  e: relu\n"),
        "n.pth: nonlinearity_scalars of parity e is relu, expected silu or tanh or abs or ssp "
        "(odd: tanh)",
    ),
    "no metadata": (
        lambda network: network.metadata.update(config=b"", nequip_version=b"0.5.6"),
        "n.pth: the metadata's config says no nonlinearity_scalars, and nequip 0.5.6 deployed it, "
        "expected 0.6, whose defaults are known.",
    ),
    "no metadata, not even the version": (
        lambda network: network.metadata.update(config=b"", nequip_version=b""),
        "says no nonlinearity_scalars, and nequip of unknown version deployed it, expected 0.6",
    ),
    "an alias of nothing": (
        lambda network: network.metadata.update(config=b"nonlinearity_scalars: *id001\n"),
        "n.pth: nonlinearity_scalars of parity e is None, expected silu or tanh",
    ),
    "shared activations that have no stage": (
        lambda network: network.metadata.update(
            config=METADATA["config"].replace(
                b"nonlinearity_gates:\n  e: silu\n  o: tanh", b"nonlinearity_gates: *id002"
            )
            + b"others: &id002\n  e: silu\n  o: abs\n"
        ),
        "n.pth: nonlinearity_gates of parity o is abs, expected silu or tanh",
    ),
    "tanh": (
        lambda network: network.metadata.update(
            config=METADATA["config"].replace(b"scalars:\n  e: silu", b"scalars:\n  e: tanh")
        ),
        "n.pth: radial networks use tanh, expected silu or ssp. Upstream has no others.",
    ),
    "types": (
        lambda network: network.metadata.update(type_names=b"H X1 O"),
        "n.pth: type_names: 'X1' is not a chemical symbol",
    ),
    "no types": (
        lambda network: network.metadata.pop("type_names"),
        "n.pth: holds no type_names",
    ),
    "order": (
        set_in("layer0_convnet.conv.linear_2", "irreps_out", irreps("9x0e+2x2e+3x1o")),
        "layer0_convnet: the gate takes 9x0e+3x1o+2x2e, but linear_2 makes 9x0e+2x2e+3x1o",
    ),
    "unused": (
        set_in("total_energy_sum", "more", np.ones(3)),
        "total_energy_sum.more: an array of shape [3] is of no part that this exporter knows",
    ),
}


@pytest.mark.parametrize("fault", NEQUIPS)
def test_networks_of_nequip_that_have_no_exporter(fault: str) -> None:
    apply, expected = NEQUIPS[fault]
    network = Nequip()
    apply(network)
    assert expected in refusal(network.export)


@pytest.mark.parametrize(
    "config",
    [
        "nonlinearity_gates: &id001\n  e: ssp\n  o: tanh\nnonlinearity_scalars: *id001\n",
        "a: &id001\n  e: ssp\n  o: tanh\nnonlinearity_gates: *id001\nnonlinearity_scalars: *id001",
        "b:\n- &id001\n  e: ssp\n  o: tanh\n- 1\nnonlinearity_gates: *id001\n"
        "nonlinearity_scalars: *id001",
        "c:\n  d: &id001\n    e: ssp\n    o: tanh\n  f: word\nnonlinearity_gates: *id001\n"
        "nonlinearity_scalars: *id001",
        "nonlinearity_gates: &id001 {e: ssp, o: tanh}\nnonlinearity_scalars: *id001\n",
        "nonlinearity_gates: {e: ssp, o: tanh}\nnonlinearity_scalars: {o: tanh, e: ssp}\n",
    ],
)
def test_activations_that_keys_of_the_configuration_share(config: str) -> None:
    network = Nequip()
    network.metadata["config"] = config.encode()
    gates = network.module().gate_activations
    assert network.module().scalar_activations == {"e": "shifted_softplus", "o": "tanh"} == gates


def test_activations_of_which_a_configuration_says_nothing() -> None:
    network = Nequip()
    network.metadata["config"] = b"nonlinearity_type: gate\n"
    module = network.module()
    assert module.scalar_activations == {"e": "silu", "o": "tanh"} == module.gate_activations


def test_archives_that_are_not_nequips(tmp_path: Path) -> None:
    text = refusal(lambda: NequipModule(stub("a.Model", x=1), {}, "n.pth"))
    assert "n.pth: model is nothing, expected RescaleOutput of nequip 0.5 or 0.6" in text
    outer = stub("a.GraphModel", model=stub("a.EnsembleModel", x=1))
    text = refusal(lambda: NequipModule(outer, {}, "n.pth"))
    assert "n.pth: model is EnsembleModel, expected RescaleOutput of nequip 0.5 or 0.6" in text
    text = refusal(lambda: nequip.read(tmp_path / "m.nequip.pt2"))
    assert "compiled models of nequip 0.7 and later hold machine code, no network" in text
    deployed = options(checkpoint=PRETRAINED / "nequip_deployed.pth")
    text = refusal(lambda: nequip.UPSTREAM.export(deployed, quiet))
    assert "--energy-unit: a model does not say in which unit its training data were" in text
    given = options(checkpoint=PRETRAINED / "mace_acac.pt", energy_unit="eV")
    text = refusal(lambda: nequip.UPSTREAM.export(given, quiet))
    assert "mace_acac.pt: holds a ScaleShiftMACE of mace-torch, which `eqnn export mace`" in text


def test_the_command_of_nequip_says_what_it_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(b"stands for an archive")
    monkeypatch.setattr(nequip, "read", lambda path: Nequip().module())
    log: list[str] = []
    given = options(checkpoint=path, energy_unit="Hartree", species=[1, 8])
    model = nequip.UPSTREAM.export(given, log.append)
    assert log[0] == "3 layers; elements H, C, O."
    assert log[1].startswith("Energies from Hartree to eV: times 27.21138")
    told = model.document["provenance"]
    assert told["upstream"] == "NequIP, nequip 0.6.1"
    assert told["energy_unit_of_data"] == "Hartree"


def test_a_network_without_self_connections() -> None:
    network = Nequip()
    for k in range(3):
        attributes = network.part(f"layer{k}_convnet.conv")
        attributes["use_sc"] = False
        del attributes["state"]["sc"]
    model = network.export()
    ops = [stage["op"] for stage in model.document["graph"]]
    assert "add" not in ops and "species_linear" not in ops


def test_segments_of_no_channels_are_none() -> None:
    assert e3nn.segments("2x0e + 0x1o + 1e", "i") == [(2, 0, 1), (1, 1, 1)]


def test_irreps_in_parts_are_not_misread() -> None:
    with pytest.raises(ValueError, match="has a block in parts"):
        inputs: e3nn.Segments = [(2, 0, 1), (3, 1, -1), (2, 0, 1)]
        paths, outputs = e3nn.instructions(inputs, [(1, 0, 1)], inputs, sorted_weights=True)
        e3nn.convolution(paths, inputs, [(1, 0, 1)], outputs, negated=False)
