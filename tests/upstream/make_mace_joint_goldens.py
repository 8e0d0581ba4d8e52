# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of a MACE that embeds charge and spin.

    python tests/upstream/make_mace_joint_goldens.py [--write]

`mace_joint`: ScaleShiftMACE whose features and energies depend on the total charge (a category) and
on the spin (a number). Random weights from a seed, double precision; the structures are those of
`mace_soft`. Without --write, what is computed is compared with what is stored. Needs mace-torch
0.3.16 (e3nn 0.4.4), ASE and safetensors; our package is not needed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# e3nn 0.4 reads a table of its own with torch.load, which torch 2.6 and later refuse otherwise.
os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

import mace
import numpy as np
import torch
from ase import Atoms
from e3nn import o3
from mace import data, modules
from mace.tools import AtomicNumberTable, torch_geometric
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "exporters"
ELEMENTS = [1, 6, 8, 14]
CUTOFF = 4.5
SEED = 7
STATES = {"q0s1": (0, 1), "q-2s3": (-2, 3)}


def network() -> torch.nn.Module:
    """Make the network."""
    torch.manual_seed(SEED)
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=6,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=len(ELEMENTS),
        hidden_irreps=o3.Irreps("8x0e+8x1o"),
        MLP_irreps=o3.Irreps("8x0e"),
        atomic_energies=np.array([-1.0, -2.0, -3.0, -4.0]),
        avg_num_neighbors=11.0,
        atomic_numbers=ELEMENTS,
        correlation=2,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=0.9,
        atomic_inter_shift=0.05,
        embedding_specs={
            "total_charge": {
                **{"type": "categorical", "per": "graph", "num_classes": 11},
                **{"emb_dim": 5, "offset": 5},
            },
            "total_spin": {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4},
        },
        use_embedding_readout=True,
    )
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def evaluate(
    model: torch.nn.Module, golden: dict[str, np.ndarray], charge: int, spin: int
) -> dict[str, np.ndarray]:
    """Energy, forces and, in a cell, stress of a structure."""
    cell = golden.get("cell")
    atoms = Atoms(golden["atomic_numbers"], golden["positions"], cell=cell, pbc=cell is not None)
    config = data.Configuration(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        cell=np.array(atoms.cell),
        pbc=tuple(atoms.pbc),
        properties={"total_charge": charge, "total_spin": spin},
        property_weights={},
    )
    graph = data.AtomicData.from_config(config, z_table=AtomicNumberTable(ELEMENTS), cutoff=CUTOFF)
    batch = next(iter(torch_geometric.dataloader.DataLoader([graph], batch_size=1)))
    found = model(batch.to_dict(), compute_stress=cell is not None)
    out = {
        "atomic_numbers": golden["atomic_numbers"],
        "positions": golden["positions"],
        "energy": found["energy"].detach().numpy(),
        "forces": found["forces"].detach().numpy(),
    }
    if cell is not None:
        out |= {"cell": cell, "stress": found["stress"].detach().numpy().reshape(3, 3)}
    return out


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    torch.set_default_dtype(torch.float64)
    model = network()
    if write:
        torch.save(model, GOLDEN / "mace_joint.model")
    for name, (charge, spin) in STATES.items():
        for structure in ("cell", "molecule"):
            golden = load_file(GOLDEN / f"mace_soft.{structure}.safetensors")
            found = evaluate(model, golden, charge, spin)
            path = GOLDEN / f"mace_joint.{name}.{structure}.safetensors"
            told = {"mace": mace.__version__, "total_charge": str(charge), "total_spin": str(spin)}
            if write:
                save_file(found, path, metadata=told)
                continue
            for key, stored in load_file(path).items():
                error = np.abs(found[key] - stored).max() / max(1.0, np.abs(stored).max())
                assert error <= 1e-12, (path.name, key, error)
                print(f"{path.name} {key}: {error:.1e}")


if __name__ == "__main__":
    main()
