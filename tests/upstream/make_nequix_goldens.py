# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of small random Nequix networks.

    python tests/upstream/make_nequix_goldens.py [--write]

`nequix_norm`: with the norm, skip connections of all elements alike; `nequix_indexed`: without it,
skip connections of each element; `nequix_torch`: the first as upstream's conversion writes it for
its torch version. Every array is random, so that no norm is 1 by accident; single
precision in the file, evaluated in double. Without --write, results are compared with those
stored. Needs nequix 0.4.5 (JAX, equinox, e3nn_jax) and ASE; our package is not needed.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jraph
import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from nequix.model import Nequix
from safetensors.numpy import load_file, save_file

jax.config.update("jax_enable_x64", True)

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "pretrained"
ELEMENTS = [1, 6, 8]
NETWORKS = {
    "nequix_norm": {"index_weights": False, "layer_norm": True, "lmax": 3},
    "nequix_indexed": {"index_weights": True, "layer_norm": False, "lmax": 2},
}


def configuration(name: str) -> dict[str, Any]:
    """Return what a `.nqx` file's first line says."""
    choice = NETWORKS[name]
    irreps = "8x0e + 4x1o + 3x2e + 2x3o" if choice["lmax"] == 3 else "6x0e + 5x1o + 2x2e"
    return {
        **choice,
        **{"cutoff": 4.0, "atomic_numbers": ELEMENTS, "hidden_irreps": irreps, "n_layers": 3},
        **{"radial_basis_size": 6, "radial_mlp_size": 10, "radial_mlp_layers": 2},
        **{"radial_polynomial_p": 6.0, "mlp_init_scale": 4.0, "shift": 0.25, "scale": 1.5},
        "avg_n_neighbors": 11.0,
    }


def network(config: dict[str, Any]) -> Nequix:
    """Build upstream's module and give every array random numbers of single precision."""
    model = Nequix(
        key=jax.random.key(0),
        n_species=len(ELEMENTS),
        **{key: value for key, value in config.items() if key != "atomic_numbers"},
    )
    rng = np.random.default_rng(20261125)

    def random(leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        return jnp.asarray(rng.normal(size=leaf.shape).astype(np.float32))

    return jax.tree.map(random, model)


def structure() -> Atoms:
    """Scatter atoms in a triclinic cell."""
    rng = np.random.default_rng(6)
    cell = np.array([[5.1, 0.0, 0.0], [0.4, 4.8, 0.0], [-0.5, 0.6, 5.3]])
    numbers = [6, 8, 1, 1, 6, 8, 1]
    positions: list[np.ndarray] = []
    while len(positions) < len(numbers):
        trial = rng.random(3) @ cell
        atoms = Atoms(numbers[: len(positions) + 1], [*positions, trial], cell=cell, pbc=True)
        distances = neighbor_list("d", atoms, 6.0)
        if len(distances) == 0 or distances.min() > 1.1:
            positions.append(trial)
    return Atoms(numbers, np.round(positions, 6), cell=cell, pbc=True)


def evaluate(model: Nequix, cutoff: float) -> dict[str, np.ndarray]:
    """Energy, forces and stress in double."""
    atoms = structure()
    receivers, senders, shifts = neighbor_list("ijS", atoms, cutoff)
    promoted = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if eqx.is_array(leaf) else leaf, model
    )
    graph = jraph.GraphsTuple(
        nodes={
            "species": jnp.asarray([ELEMENTS.index(z) for z in atoms.numbers]),
            "positions": jnp.asarray(atoms.positions),
        },
        edges={"shifts": jnp.asarray(shifts.astype(float))},
        senders=jnp.asarray(senders),
        receivers=jnp.asarray(receivers),
        n_node=jnp.asarray([len(atoms)]),
        n_edge=jnp.asarray([len(senders)]),
        globals={"cell": jnp.asarray(atoms.cell.array)[None]},
    )
    # Upstream masks nodes of a last, empty graph.
    graph = jraph.pad_with_graphs(graph, len(atoms) + 1, len(senders) + 1, 2)
    energy, forces, stress = promoted(graph)
    return {
        "energy": np.asarray(energy[:1]),
        "forces": np.ascontiguousarray(forces[: len(atoms)]),
        "stress": np.ascontiguousarray(stress[0]),
        "positions": atoms.positions,
        "cell": np.ascontiguousarray(atoms.cell.array),
        "atomic_numbers": atoms.numbers,
    }


def torch_version(write: bool) -> None:
    """Convert `nequix_norm` and evaluate it by torch, in double."""
    import torch
    from nequix.torch_impl.model import save_model
    from nequix.torch_impl.utils import convert_model_jax_to_torch

    config = configuration("nequix_norm")
    model = network(config)
    energies = [float(e) for e in model.atom_energies]
    config["atom_energies"] = dict(zip(map(str, ELEMENTS), energies, strict=True))
    converted, _ = convert_model_jax_to_torch(model, config, False)
    path = GOLDEN / "nequix_torch.pt"
    if write:
        save_model(str(path), converted.float(), config)
    torch.set_default_dtype(torch.float64)  # of tables too, which are made anew
    converted, _ = convert_model_jax_to_torch(model, config, False)
    atoms = structure()
    i, j, shift = neighbor_list("ijS", atoms, config["cutoff"])
    energies_of_atoms, forces, stress = converted.double()(
        torch.tensor([ELEMENTS.index(z) for z in atoms.numbers]),
        torch.tensor(atoms.positions),
        torch.tensor(shift.astype(float)),
        torch.tensor(np.stack([j, i])),
        torch.tensor(atoms.cell.array)[None],
        torch.tensor([len(atoms)]),
        torch.tensor([len(i)]),
        torch.zeros(len(atoms), dtype=torch.int64),
    )
    values = {
        "energy": energies_of_atoms.sum().detach().numpy().reshape(1),
        "forces": forces.detach().numpy(),
        "stress": stress[0].detach().numpy(),
        "positions": atoms.positions,
        "cell": np.ascontiguousarray(atoms.cell.array),
        "atomic_numbers": atoms.numbers,
    }
    file = GOLDEN / "nequix_torch.pbc7.safetensors"
    if write:
        save_file(values, file, metadata={"made_by": "make_nequix_goldens.py"})
        file.chmod(0o644)
    for key, stored in load_file(file).items():
        scale = max(1.0, float(np.abs(stored).max()))
        assert float(np.abs(stored - values[key]).max()) / scale <= 1e-12, ("nequix_torch", key)
    jax_energy = load_file(GOLDEN / "nequix_norm.pbc7.safetensors")["energy"][0]
    print("nequix_torch as stored; its energy less that by JAX:", values["energy"][0] - jax_energy)


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    torch_version(write)
    for name in NETWORKS:
        config = configuration(name)
        model = network(config)
        content = io.BytesIO()
        content.write((json.dumps(config) + "\n").encode())
        eqx.tree_serialise_leaves(content, model)
        values = evaluate(model, config["cutoff"])
        checkpoint, file = GOLDEN / f"{name}.nqx", GOLDEN / f"{name}.pbc7.safetensors"
        if write:
            checkpoint.write_bytes(content.getvalue())
            save_file(values, file, metadata={"made_by": "make_nequix_goldens.py"})
            file.chmod(0o644)
            continue
        assert checkpoint.read_bytes() == content.getvalue(), name
        for key, stored in load_file(file).items():
            scale = max(1.0, float(np.abs(stored).max()))
            assert float(np.abs(stored - values[key]).max()) / scale <= 1e-12, (name, key)
        print(name, "as stored")


if __name__ == "__main__":
    main()
