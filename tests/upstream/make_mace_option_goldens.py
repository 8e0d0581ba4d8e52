# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of MACE networks with options that few use.

    python tests/upstream/make_mace_option_goldens.py [--write] [NAME ...]

Random weights from a seed, double precision; the structures are those of `mace_soft`. torch has no
derivative of `special.chebyshev_polynomial_t`, so that upstream's forces are not the gradient of
its energy: here its basis is computed by the recurrence, which gives the same energy. Without
--write, what is computed by the stored checkpoint is compared with what is stored. Needs mace-torch
0.3.16 (e3nn 0.4.4), ASE and safetensors; our package is not needed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

# e3nn 0.4 reads a table of its own with torch.load, which torch 2.6 and later refuse otherwise.
os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

import mace
import numpy as np
import torch
from ase import Atoms
from e3nn import o3
from e3nn.nn import FullyConnectedNet
from mace import data, modules
from mace.tools import AtomicNumberTable, torch_geometric
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "exporters"
ELEMENTS = [1, 6, 8, 14]
CUTOFF = 4.5
SEED = 11
DENSITY = "RealAgnosticDensityResidualInteractionBlock"
ATTENTION = "RealAgnosticAttResidualInteractionBlock"
# Upstream's hidden layers of the network on edges have 256 each; so many would be megabytes.
ATTENTION_WIDTHS = (16, 24, 20)
# What differs from `network`, by the golden's name.
OPTIONS: dict[str, dict[str, Any]] = {
    "mace_tanh_output_cutoff": {
        "gate": torch.tanh,
        "apply_cutoff": False,
        "edge_irreps": o3.Irreps("4x0e+4x1o"),
        "interaction_cls": DENSITY,
    },
    "mace_abs_chebyshev": {
        **{"gate": torch.abs, "radial_type": "chebyshev", "num_bessel": 4},
        "distance_transform": "Agnesi",
    },
    "mace_correlation_4": {"correlation": 4, "max_ell": 1},
    # Of three layers: pseudoscalars are zero before the second one's product.
    "mace_pseudo": {
        **{"hidden_irreps": "4x0e+4x0o+4x1e+4x1o", "correlation": 3, "max_ell": 1},
        "num_interactions": 3,
    },
    # Of three layers: the weights of the first one depend on species alone.
    "mace_attention": {
        **{"interaction_cls": ATTENTION, "num_interactions": 3},
        "hidden_irreps": "6x0e+6x1o+6x2e",
    },
    "mace_attention_output_cutoff": {
        **{"interaction_cls": ATTENTION, "apply_cutoff": False, "distance_transform": "Agnesi"},
        "edge_irreps": o3.Irreps("4x0e+4x1o"),
    },
}


def chebyshev(basis: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Chebyshev polynomials of order 1 to n, with a derivative."""
    orders = [torch.ones_like(x), x]
    while len(orders) <= basis.num_basis:
        orders.append(2.0 * x * orders[-1] - orders[-2])
    found = torch.cat(orders[1:], dim=1)
    assert (found - upstreams_chebyshev(basis, x)).abs().max() <= 1e-14
    return found


upstreams_chebyshev = modules.radial.ChebychevBasis.forward
modules.radial.ChebychevBasis.forward = chebyshev


def network(**changes: Any) -> torch.nn.Module:
    """Make a network."""
    torch.manual_seed(SEED)
    given: dict[str, Any] = {
        **{"num_bessel": 6, "hidden_irreps": "6x0e+6x1o", "correlation": 2},
        **{"gate": torch.nn.functional.silu, "max_ell": 2},
        "num_interactions": 2,
        "interaction_cls": "RealAgnosticResidualInteractionBlock",
        **changes,
    }
    given["hidden_irreps"] = o3.Irreps(given["hidden_irreps"])
    given["interaction_cls"] = modules.interaction_classes[given["interaction_cls"]]
    model = modules.ScaleShiftMACE(
        **given,
        r_max=CUTOFF,
        num_polynomial_cutoff=5,
        interaction_cls_first=given["interaction_cls"],
        num_elements=len(ELEMENTS),
        MLP_irreps=o3.Irreps("8x0e"),
        radial_MLP=[16, 16],
        atomic_energies=np.array([-1.0, -2.0, -3.0, -4.0]),
        avg_num_neighbors=11.0,
        atomic_numbers=ELEMENTS,
        atomic_inter_scale=0.9,
        atomic_inter_shift=0.05,
    )
    for block in model.interactions:
        if given["interaction_cls"].__name__ == ATTENTION:
            widths = list(block.conv_tp_weights.hs)
            widths[1:-1] = ATTENTION_WIDTHS
            block.conv_tp_weights = FullyConnectedNet(widths, torch.nn.functional.silu)
    # Strong weights: a wrong sign shows.
    for name, parameter in model.named_parameters():
        strength = 1.0 if "products" in name else 0.3
        parameter.data += strength * torch.randn_like(parameter)
    return model


def evaluate(model: torch.nn.Module, golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Energy, forces and, in a cell, stress of a structure."""
    cell = golden.get("cell")
    atoms = Atoms(golden["atomic_numbers"], golden["positions"], cell=cell, pbc=cell is not None)
    config = data.config_from_atoms(atoms)
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
    parser.add_argument("names", nargs="*", help="of goldens; all if left out")
    given = parser.parse_args()
    write = given.write
    torch.set_default_dtype(torch.float64)
    for name, changes in OPTIONS.items():
        if given.names and name not in given.names:
            continue
        path = GOLDEN / f"{name}.model"
        if write:
            torch.save(network(**changes), path)
        model = torch.load(path, weights_only=False)
        told = {key: getattr(value, "__name__", str(value)) for key, value in changes.items()}
        for structure in ("cell", "molecule"):
            golden = load_file(GOLDEN / f"mace_soft.{structure}.safetensors")
            found = evaluate(model, golden)
            path = GOLDEN / f"{name}.{structure}.safetensors"
            if write:
                save_file(found, path, metadata={"mace": mace.__version__, **told})
                print(name, structure, found["energy"], np.abs(found["forces"]).max())
                continue
            for key, stored in load_file(path).items():
                error = np.abs(found[key] - stored).max() / max(1.0, np.abs(stored).max())
                assert error <= 1e-12, (path.name, key, error)
                print(f"{path.name} {key}: {error:.1e}")


if __name__ == "__main__":
    main()
