# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of the trained MACE-Gaunt, potentials/gaunt_acetylacetone.

    python tests/upstream/make_gaunt_goldens.py CLONE [--write] [--data FOLDER]

Energies, forces and stresses by upstream's code in double precision, at the weights that
training/gaunt_acetylacetone.py left in tests/golden/pretrained, on the structures of the goldens of
mace_acac. Forces and stresses are held against finite differences of energies. Without --write,
what is computed is compared with what is stored. With the folder of acetylacetone in
BOTNet-datasets, the errors against DFT over its test sets too (meV a molecule, meV/Angstrom).
Needs a clone of Gaunt-Tensor-Product, torch 2.8.0, e3nn 0.5.6, ASE and safetensors; our package is
not needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import e3nn
import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from safetensors.torch import load_file, save_file
from torch import Tensor
from upstream_gaunt import COMMIT, Upstream, errors, graph, loaded, weights

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "pretrained"
NAME = "gaunt_acetylacetone"
STRUCTURES = ("md300_0", "md300_400_flipped", "acac3_pbc", "acac1_pbc_small", "isolated_h")


def evaluate(
    network: torch.nn.Module, atoms: Atoms, elements: list[int], cutoff: float
) -> dict[str, Tensor]:
    """Energy [1] in eV, forces [atom, 3] in eV/Angstrom, stress [3, 3] in eV/Angstrom^3."""
    receiver, sender, shift = neighbor_list("ijS", atoms, cutoff)
    # Upstream's edge goes from the sender to the receiver.
    shifts = torch.tensor(-shift @ atoms.cell.array, requires_grad=True)
    positions = torch.tensor(atoms.positions)
    vectors = positions[receiver] - positions[sender] + shifts.detach()
    assert not ((vectors.norm(dim=1) - cutoff).abs() <= 1e-4).any()
    data = graph(
        torch.tensor(atoms.numbers[:, None] == np.array(elements), dtype=torch.float64),
        positions,
        torch.tensor(np.stack([sender, receiver])),
        shifts,
    )
    out = network(data, training=True)
    found = {"energy": out["energy"].detach(), "forces": out["forces"].detach()}
    if atoms.pbc.all():
        (gradient,) = torch.autograd.grad(out["energy"].sum(), shifts)  # by the edges' vectors
        virial = vectors.T @ gradient
        found["stress"] = 0.5 * (virial + virial.T) / atoms.get_volume()
    return found


def held_to_differences(
    network: torch.nn.Module, atoms: Atoms, elements: list[int], cutoff: float
) -> dict[str, float]:
    """Errors of forces and stress along random directions against differences of energies."""
    rng, step = np.random.default_rng(1), 1e-3
    at_rest = evaluate(network, atoms, elements, cutoff)

    def slope(moved: Any) -> float:
        ends = [evaluate(network, moved(h), elements, cutoff)["energy"] for h in (-step, step)]
        return float((ends[1] - ends[0]) / (2 * step))

    direction = rng.normal(size=(len(atoms), 3))
    direction /= np.linalg.norm(direction)
    force = float((at_rest["forces"] * torch.tensor(direction)).sum())

    def pushed(h: float) -> Atoms:
        moved: Atoms = atoms.copy()
        moved.positions += h * direction
        return moved

    found = {"force": abs(slope(pushed) + force)}
    if "stress" in at_rest:
        part = rng.normal(size=(3, 3))
        part = (part + part.T) / np.linalg.norm(part + part.T)

        def strained(h: float) -> Atoms:
            moved: Atoms = atoms.copy()
            moved.set_cell(atoms.cell.array @ (np.eye(3) + h * part), scale_atoms=True)
            return moved

        stress = float((at_rest["stress"] * torch.tensor(part)).sum())
        found["stress"] = abs(slope(strained) / atoms.get_volume() - stress)
    return found


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--data", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path_of_weights = GOLDEN / f"{NAME}.weights.safetensors"
    document = json.loads((GOLDEN / f"{NAME}.config.json").read_text())
    elements, config = document["elements"], document["config"]
    network = Upstream(options.clone).network(config, elements, document["E0"])
    state = load_file(path_of_weights)
    assert state.keys() == weights(network).keys()
    network.load_state_dict(state, strict=False)  # without empty tensors and tables of e3nn's
    told = {
        "made_by": "make_gaunt_goldens.py",
        "upstream_commit": COMMIT,
        "versions": json.dumps(
            {"torch": torch.__version__, "e3nn": e3nn.__version__, "numpy": np.__version__}
        ),
        "weights_sha256": hashlib.sha256(path_of_weights.read_bytes()).hexdigest(),
    }
    for structure in STRUCTURES:
        source = load_file(GOLDEN / f"mace_acac.{structure}.safetensors")
        values = {key: source[key] for key in ("atomic_numbers", "positions", "cell", "pbc")}
        plain = {key: value.numpy() for key, value in values.items()}
        atoms = Atoms(
            plain["atomic_numbers"], plain["positions"], cell=plain["cell"], pbc=plain["pbc"]
        )
        values |= evaluate(network, atoms, elements, config["r_max"])
        differences = held_to_differences(network, atoms, elements, config["r_max"])
        # 1e4 eV hold 1e-12 eV; over a step of 2e-3 that is 1e-9, and the cube of the step 1e-6.
        assert max(differences.values()) <= 1e-5, (structure, differences)
        path = GOLDEN / f"{NAME}.{structure}.safetensors"
        if options.write:
            metadata = told | {"finite_differences": json.dumps(differences)}
            save_file(values, path, metadata=metadata)
            print(path.name, "written; against finite differences:", differences)
            continue
        stored = load_file(path)
        assert stored.keys() == values.keys(), path.name
        for key, value in values.items():
            scale = max(1.0, float(stored[key].double().abs().max()))
            error = float((stored[key] - value).double().abs().max()) / scale
            assert error <= 1e-12, (path.name, key, error)
        print(path.name, "as stored; against finite differences:", differences)
    if options.data is not None:
        energies = dict(zip(elements, document["E0"], strict=True))
        network.atomic_energies_fn.atomic_energies.zero_()
        frames = loaded(options.data / "train_300K.xyz", config["r_max"], energies)
        found = {"validation_300K": errors(network, [frames[k] for k in document["validation"]])}
        for name in ("test_MD_300K", "test_MD_600K"):
            frames = loaded(options.data / f"{name}.xyz", config["r_max"], energies)
            found[name] = errors(network, frames)
        path, text = GOLDEN / f"{NAME}.errors.json", json.dumps(found, indent=1) + "\n"
        if options.write:
            path.write_text(text)
        before = json.loads(path.read_text())
        for name, row in found.items():
            for key, value in row.items():
                assert abs(value - before[name][key]) <= 1e-6 * value, (name, key)
        print(text)


if __name__ == "__main__":
    main()
