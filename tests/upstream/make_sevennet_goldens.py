# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of small random SevenNets.

    python tests/upstream/make_sevennet_goldens.py [--write] [--published CHECKPOINT]

`sevennet_growing`: harmonics that are not normalized, as those of SevenNet-0 of May 2024.
`sevennet_cueq`: the layout of a checkpoint trained with cuEquivariance: tensors with the names and
shapes that sevenn's own conversion expects of one, and none of e3nn's tables. It takes a GPU to
train one; what is computed here is what sevenn makes of it after that conversion. `sevennet_ssp`:
the shifted softplus in gates and radial networks, tanh in a readout with a hidden layer. Random
weights from a seed, double precision; the structures are those of `mace_soft`. With --published,
the goldens of SevenNet-0 of May 2024 too, whose file comes with sevenn
(`SevenNet_0__22May2024/checkpoint_sevennet_0.pth`), on structures of `sevennet_0`: learned numbers
are promoted to double, Wigner 3j are those of double precision. Without --write, what the stored
checkpoints give is compared with what is stored. Needs sevenn 0.13.0 with e3nn 0.6.0; our package
is not needed.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import numpy as np
import sevenn
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from e3nn import o3
from safetensors.numpy import load_file, save_file
from sevenn import _const, _keys
from sevenn.atom_graph_data import AtomGraphData
from sevenn.checkpoint import SevenNetCheckpoint
from sevenn.model_build import build_E3_equivariant_model
from sevenn.train.dataload import unlabeled_atoms_to_graph

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "exporters"
PRETRAINED = GOLDEN.parent / "pretrained"
CUTOFF = 4.5
CONFIG: dict[str, Any] = {
    **copy.deepcopy(_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG),
    **{"cutoff": CUTOFF, "channel": 6, "lmax": 2, "num_convolution_layer": 3},
    **{"weight_nn_hidden_neurons": [8, 8], "conv_denominator": 9.0, "version": "0.13.0"},
    **{"_type_map": {1: 0, 6: 1, 8: 2, 14: 3}, "_number_of_species": 4, "shift": -1.5},
    **{"_model_type": "E3_equivariant_model", "scale": 1.25},
    "chemical_species": ["H", "C", "O", "Si"],
}
_SSP = {"e": "ssp", "o": "tanh"}
NETWORKS: dict[str, dict[str, Any]] = {
    "sevennet_growing": {"_normalize_sph": False},
    "sevennet_cueq": {"is_parity": False},
    "sevennet_ssp": {
        **{"act_radial": "ssp", "act_scalar": dict(_SSP), "act_gate": dict(_SSP)},
        **{"readout_as_fcn": True, "readout_fcn_hidden_neurons": [6]},
        "readout_fcn_activation": "tanh",
    },
}


def as_cueq(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Arrange weights as cuEquivariance's layers have them, beside constants of their own."""
    out = {}
    for key, tensor in state.items():
        if key.endswith(".output_mask") or ".convolution." in key:
            continue
        is_flat = key.endswith(("linear.weight", "fc_tensor_product.weight"))
        out[key] = tensor.reshape(1, -1) if is_flat else tensor
        if is_flat:
            out[key.removesuffix("weight") + "f.tp.f_fx.module.c"] = torch.ones(3)
    return out


def checkpoint(name: str) -> dict[str, Any]:
    """Make a network's checkpoint."""
    config = copy.deepcopy(CONFIG | NETWORKS[name])
    torch.manual_seed(13)
    model = build_E3_equivariant_model(copy.deepcopy(config))
    state = dict(model.state_dict())
    if name == "sevennet_cueq":
        state = as_cueq(state)
        config["cuequivariance_config"] = {"use": True}
    return {"config": config, "model_state_dict": state}


def evaluate(path: Path, golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Energy, forces and, in a cell, stress of a structure, all in double."""
    stored = SevenNetCheckpoint(path)
    # Upstream compares tables of this precision with those of the file.
    torch.set_default_dtype(stored.model_state_dict["onehot_to_feature_x.linear.weight"].dtype)
    model = stored.build_model().double()
    torch.set_default_dtype(torch.float64)
    cutoff = float(stored.config["cutoff"])
    for module in model.modules():
        for key, table in module.named_buffers(recurse=False):
            if key.startswith("_w3j_"):
                exact = o3.wigner_3j(*map(int, key.split("_")[2:]), dtype=torch.float64)
                table.copy_(exact * torch.sign((exact * table).sum()))
    model.set_is_batch_data(False)
    model.eval()
    for module in model.modules():
        if type(module).__name__ == "OnehotEmbedding":  # of single precision always
            module.register_forward_hook(promote)
    cell = golden.get("cell")
    if cell is not None and not golden.get("pbc", np.ones(3)).all():
        cell = None
    # Upstream wants a cell; a molecule's images are then out of reach.
    atoms = Atoms(golden["atomic_numbers"], golden["positions"], cell=cell, pbc=True)
    if cell is None:
        atoms.cell = (np.ptp(atoms.positions, axis=0).max() + 3.0 * cutoff) * np.eye(3)
    graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, cutoff))
    # Upstream's own graphs are of single precision: distances are computed again.
    i, j, vector, shift = neighbor_list("ijDS", atoms, cutoff)
    graph[_keys.EDGE_IDX] = torch.tensor(np.stack([i, j]))
    graph[_keys.EDGE_VEC] = torch.tensor(vector)
    graph[_keys.CELL_SHIFT] = torch.tensor(shift.astype(float))
    graph[_keys.POS] = torch.tensor(atoms.positions)
    graph[_keys.CELL] = torch.tensor(atoms.cell.array)
    graph[_keys.CELL_VOLUME] = torch.tensor(atoms.get_volume())
    found = model(graph)
    out = {
        "atomic_numbers": golden["atomic_numbers"],
        "positions": golden["positions"],
        "energy": found[_keys.PRED_TOTAL_ENERGY].detach().numpy().reshape(1),
        "forces": np.ascontiguousarray(found[_keys.PRED_FORCE].detach().numpy()),
    }
    if cell is not None:
        # Upstream's order is xx, yy, zz, xy, yz, zx, its sign that of a pressure.
        xx, yy, zz, xy, yz, zx = -found[_keys.PRED_STRESS].detach().numpy().reshape(6)
        stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
        out |= {"cell": cell, "stress": stress}
    return out


def promote(module: Any, given: Any, graph: Any) -> None:
    """Turn what is of single precision into double."""
    for key in list(graph.keys()):
        if torch.is_tensor(graph[key]) and graph[key].dtype == torch.float32:
            graph[key] = graph[key].double()


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--published", type=Path)
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    for name in NETWORKS:
        path = GOLDEN / f"{name}.pth"
        if options.write:
            torch.save(checkpoint(name), path)
        for structure in ("cell", "molecule"):
            golden = load_file(GOLDEN / f"mace_soft.{structure}.safetensors")
            hold(evaluate(path, golden), GOLDEN / f"{name}.{structure}.safetensors", options.write)
    for structure in ("3bpa0", "mgo2_small") if options.published else ():
        golden = load_file(PRETRAINED / f"sevennet_0.{structure}.safetensors")
        found = evaluate(options.published, golden)
        hold(found, PRETRAINED / f"sevennet_0_may.{structure}.safetensors", options.write)


def hold(found: dict[str, np.ndarray], file: Path, write: bool) -> None:
    """Write a golden, or compare with the stored one."""
    if write:
        save_file(found, file, metadata={"sevenn": sevenn.__version__})
        file.chmod(0o644)
        print(file.name, found["energy"], np.abs(found["forces"]).max())
        return
    for key, stored in load_file(file).items():
        error = np.abs(found[key] - stored).max() / max(1.0, np.abs(stored).max())
        assert error <= 1e-12, (file.name, key, error)
        print(f"{file.name} {key}: {error:.1e}")


if __name__ == "__main__":
    main()
