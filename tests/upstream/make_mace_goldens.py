# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the MACE goldens that cover what published checkpoints lack.

    python tests/upstream/make_mace_goldens.py [--write]

`mace_heads`: ScaleShiftMACE with two heads, three layers with vectors and quadrupoles, another
correlation in each, repulsion. `mace_plain`: MACE of one layer, without scale and shift. Random
weights from a seed, double precision. Without --write, what is computed is compared with what is
stored. Needs mace-torch 0.3.16 (e3nn 0.4.4), ASE and safetensors; our package is not needed.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

# e3nn 0.4 reads a table of its own with torch.load, which torch 2.6 and later refuse otherwise.
os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

import e3nn
import mace
import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from mace import modules
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "mace"
ELEMENTS = [1, 6, 8]
SEED = 20261125
LEFT_OUT = ("output_mask", "_w3j_", "_zeroed", "U_matrix", "covalent_radii")


def blocks(first: str, later: str) -> dict[str, Any]:
    """Classes of the interactions by name."""
    return {
        "interaction_cls_first": modules.interaction_classes[first],
        "interaction_cls": modules.interaction_classes[later],
    }


def networks() -> dict[str, tuple[torch.nn.Module, dict[str, Any]]]:
    """Build the networks, each with the configuration that our exporter reads."""
    residual = "RealAgnosticResidualInteractionBlock"
    plain = "RealAgnosticInteractionBlock"
    common: dict[str, Any] = {
        "num_bessel": 5,
        "num_polynomial_cutoff": 5,
        "num_elements": 3,
        "atomic_numbers": ELEMENTS,
        "gate": torch.nn.functional.silu,
        "radial_MLP": [16, 16],
        "use_reduced_cg": False,
    }
    heads: dict[str, Any] = {
        "r_max": 3.5,
        "max_ell": 3,
        "num_interactions": 3,
        "correlation": [3, 2, 1],
        "avg_num_neighbors": 9.0,
        "heads": ["pbe", "ccsd"],
    }
    energies = np.array([[-13.0, -1029.0, -2041.0], [-12.0, -1030.0, -2040.0]])
    torch.manual_seed(SEED)
    first = modules.ScaleShiftMACE(
        **common,
        **heads,
        **blocks(plain, residual),
        hidden_irreps=e3nn.o3.Irreps("4x0e+4x1o+4x2e"),
        MLP_irreps=e3nn.o3.Irreps("6x0e"),
        atomic_energies=energies,
        pair_repulsion=True,
        atomic_inter_scale=[0.9, 1.3],
        atomic_inter_shift=[0.2, -0.4],
    )
    told = {
        **{"r_max": 3.5, "max_ell": 3, "num_interactions": 3, "correlation": [3, 2, 1]},
        **{"hidden": "4x0e+4x1o+4x2e", "MLP": "6x0e", "first": plain, "inter": residual},
        **{"avg": 9.0, "num_bessel": 5, "num_polynomial_cutoff": 5, "radial_MLP": [16, 16]},
        "heads": ["pbe", "ccsd"],
    }
    torch.manual_seed(SEED + 1)
    single: dict[str, Any] = {
        "r_max": 4.0,
        "max_ell": 2,
        "num_interactions": 1,
        "correlation": 2,
        "avg_num_neighbors": 12.0,
    }
    second = modules.MACE(
        **common,
        **single,
        **blocks(residual, residual),
        hidden_irreps=e3nn.o3.Irreps("5x0e+5x1o"),
        MLP_irreps=e3nn.o3.Irreps("6x0e"),
        atomic_energies=energies[0],
    )
    told_single = {
        **{"r_max": 4.0, "max_ell": 2, "num_interactions": 1, "correlation": 2},
        **{"hidden": "5x0e+5x1o", "MLP": "6x0e", "first": residual, "inter": residual},
        **{"avg": 12.0, "num_bessel": 5, "num_polynomial_cutoff": 5, "radial_MLP": [16, 16]},
    }
    return {"mace_heads": (first, told), "mace_plain": (second, told_single)}


def structure() -> Atoms:
    """Scatter atoms, some near enough for the repulsion, in a triclinic cell."""
    rng = np.random.default_rng(SEED)
    cell = np.array([[5.0, 0.0, 0.0], [0.6, 4.6, 0.0], [-0.4, 0.7, 5.3]])
    numbers = [6, 8, 1, 1, 6, 8, 1, 6, 1]
    positions: list[np.ndarray] = []
    while len(positions) < len(numbers):
        trial = rng.random(3) @ cell
        atoms = Atoms(numbers[: len(positions) + 1], [*positions, trial], cell=cell, pbc=True)
        distances = neighbor_list("d", atoms, 6.0)
        if len(distances) == 0 or distances.min() > 0.95:
            positions.append(trial)
    return Atoms(numbers, np.round(positions, 6), cell=cell, pbc=True)


def evaluate(model: torch.nn.Module, atoms: Atoms, head: int) -> dict[str, torch.Tensor]:
    """Energy, forces and stress of a structure."""
    cutoff = float(model.r_max)
    receiver, sender, shift = neighbor_list("ijS", atoms, cutoff)
    vector = atoms.positions[sender] - atoms.positions[receiver] + shift @ atoms.cell.array
    assert np.abs(np.linalg.norm(vector, axis=1) - cutoff).min() > 1e-4
    one_hot = np.eye(len(ELEMENTS))[[ELEMENTS.index(z) for z in atoms.numbers]]
    data = {
        "positions": torch.tensor(atoms.positions, requires_grad=True),
        "node_attrs": torch.tensor(one_hot),
        "edge_index": torch.tensor(np.stack([sender, receiver])),
        # Upstream's edge goes from the sender to the receiver.
        "unit_shifts": torch.tensor(-shift.astype(float)),
        "shifts": torch.tensor(-shift @ atoms.cell.array),
        "cell": torch.tensor(atoms.cell.array.copy()),
        "batch": torch.zeros(len(atoms), dtype=torch.int64),
        "ptr": torch.tensor([0, len(atoms)]),
        "head": torch.tensor([head]),
        "pbc": torch.tensor([[True] * 3]),
    }
    out = model(data, compute_stress=True)
    return {
        "energy": out["energy"].detach(),
        "node_energy": out["node_energy"].detach(),
        "forces": out["forces"].detach(),
        "stress": out["stress"][0].detach(),
    }


def wigner_3j() -> list[list[float]]:
    """List degrees, place and value of the first large number of each Wigner 3j of e3nn."""
    out = []
    for l1 in range(9):
        for l2 in range(l1, 9):
            for l3 in range(l2, min(8, l1 + l2) + 1):
                table = e3nn.o3.wigner_3j(l1, l2, l3).numpy()
                first = np.argwhere(np.abs(table) >= 0.5 * np.abs(table).max())[0]
                out.append([l1, l2, l3, *map(int, first), float(table[tuple(first)])])
    return out


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    torch.set_default_dtype(torch.float64)
    versions = {"mace_torch": mace.__version__, "e3nn": e3nn.__version__}
    versions["torch"] = torch.__version__
    table = GOLDEN / "wigner_3j.json"
    if write:
        table.write_text("[\n" + ",\n".join(map(json.dumps, wigner_3j())) + "\n]\n")
    assert np.abs(np.array(json.loads(table.read_text())) - np.array(wigner_3j())).max() <= 1e-12
    atoms = structure()
    for name, (model, told) in networks().items():
        weights = {
            key: value.contiguous()
            for key, value in model.state_dict().items()
            if value.numel() and not any(part in key for part in LEFT_OUT)
        }
        document = {"config": told, "elements": ELEMENTS, "seed": SEED, **versions}
        made = {f"{name}.weights.safetensors": weights}
        for head, label in enumerate(told.get("heads", ["Default"])):
            values = evaluate(model, atoms, head)
            values["positions"] = torch.tensor(atoms.positions)
            values["cell"] = torch.tensor(atoms.cell.array.copy())
            values["atomic_numbers"] = torch.tensor(atoms.numbers)
            end = f".{label}" if "heads" in told else ""
            made[f"{name}{end}.pbc9.safetensors"] = values
        for file, tensors in made.items():
            if write:
                save_file(tensors, GOLDEN / file, metadata={"made_by": "make_mace_goldens.py"})
                continue
            stored = load_file(GOLDEN / file)
            assert stored.keys() == tensors.keys(), file
            for key, value in tensors.items():
                scale = max(1.0, float(stored[key].abs().max()))
                error = float((stored[key] - value).abs().max()) / scale
                assert error <= 1e-12, (file, key, error)
            print(file, "as stored")
        if write:
            text = json.dumps(document, indent=1) + "\n"
            (GOLDEN / f"{name}.config.json").write_text(text)


if __name__ == "__main__":
    main()
