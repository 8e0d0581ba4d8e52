#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A network of its own, built from the stages that the engine knows, fitted and run in LAMMPS.

    python examples/new_architecture.py [argon.eqnn]

Docs: docs/adding_an_architecture.md. The network: atoms look at their neighbors (tensor products
with Clebsch-Gordan paths), multiply what they saw with itself on the sphere (a Gaunt product), pass
it through a gate, look again, and read scalars out. Its weights are random but for the last, which
are fitted to Lennard-Jones energies of argon clusters by least squares: enough to see that what was
built is what runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lj import LennardJones

from eqnn.builder import ModelBuilder, layer
from eqnn.model_file import Array, Model, write_model
from eqnn.numpy_evaluator import edges_of, run
from eqnn.self_test import add_self_test

SPECIES, CUTOFF, L_MAX, CHANNELS, BASIS = [18], 6.0, 2, 16, 8
# Lennard-Jones argon, made smooth at the cutoff of the network.
ARGON = {"sigma": 3.4, "epsilon": 0.0103, "rc": CUTOFF, "ro": 4.5, "smooth": True}


def build(readout: Array, shift: float = 0.0, seed: int = 1) -> Model:
    """Build the network, without self-test.

    Parameters
    ----------
    readout : ndarray [CHANNELS]
        Weights of the last layer.
    shift : float
        eV added for each atom.
    seed : int
        Of the random weights.
    """
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        out: Array = rng.normal(size=shape) / np.sqrt(shape[-1])
        return out

    c, uniform = CHANNELS, {"0e": CHANNELS, "1o": CHANNELS, "2e": CHANNELS}
    network = ModelBuilder(family="example", species=SPECIES, cutoff=CUTOFF, l_max=L_MAX)
    network.stage("spherical_harmonics", "harmonics", l_max=L_MAX)
    frequency = np.pi * np.arange(1, BASIS + 1) / CUTOFF
    basis = {
        "kind": "bessel",
        "frequency": network.tensor("basis/frequency", frequency),
        "amplitude": network.tensor("basis/amplitude", np.full(BASIS, 2.0)),
    }

    def convolve(name: str, source: str, paths: list[list[Any]]) -> str:
        """Sum messages over neighbors; each path has a radial function for each channel."""
        layers = [layer(weights(16, BASIS), activation="silu"), layer(weights(len(paths) * c, 16))]
        envelope = {"kind": "polynomial", "p": 6.0, "on": "basis"}
        radial = network.stage(
            "radial", f"{name}/radial", basis=basis, envelope=envelope, layers=layers
        )
        inputs = {"source": source, "harmonics": "harmonics", "radial": radial}
        return network.stage("edge_tensor_product", name, inputs, paths=paths)

    network.stage("species_embedding", "atoms", weights={"table": np.ones((1, c))}, l_max=0)
    convolve("density", "atoms", [["0e", 0, "0e"], ["0e", 1, "1o"], ["0e", 2, "2e"]])
    network.stage("gaunt_product", "pairs", {"a": "density", "b": "density"}, l_max=L_MAX)
    # Scalars, then one gate for each channel of vectors and of quadrupoles.
    wide = {"0e": 3 * c, "1o": c, "2e": c}
    mixed = {block: weights(n, c) for block, n in wide.items()}
    network.stage("irreps_linear", "mixed", {"features": "pairs"}, mixed, irreps=wide)
    network.stage(
        "irreps_gate",
        "gated",
        {"features": "mixed"},
        scalars={"0e": c},
        activations={"0e": "silu", "gates": "sigmoid"},
        gates="0e",
    )
    network.stage("add", "features", {"a": "gated", "b": "density"})
    convolve("messages", "features", [["0e", 0, "0e"], ["1o", 1, "0e"], ["2e", 2, "0e"]])
    last = {"0e": weights(c, 3 * c)}
    network.stage("irreps_linear", "scalars", {"features": "messages"}, last, irreps={"0e": c})
    own = {block: weights(n, c) for block, n in uniform.items() if block == "0e"}
    network.stage("irreps_linear", "own", {"features": "features"}, own, irreps={"0e": c})
    network.stage("add", "descriptors", {"a": "scalars", "b": "own"})
    network.stage("readout", "site", {"features": "descriptors"}, layers=[layer(readout[None, :])])
    network.stage("energy", "energy", {"terms": ["site"]})
    return network.finish(
        energy={
            "semantics": "extensive",
            "scale": 1.0,
            "shift": shift,
            "reference": [0.0],
            "isolated_atoms": "network",
        },
        forces="gradient",
        parity="o3",
        provenance={
            "upstream": "examples/new_architecture.py",
            "exporter": "examples/new_architecture.py",
            "data": "Lennard-Jones clusters of argon",
            "level_of_theory": "Lennard-Jones",
            "licence": "BSD-3-Clause",
        },
    )


def clusters(n: int, seed: int) -> list[Atoms]:
    """Clusters of argon: every atom has a neighbor at 3.3 to 5 Angstrom, and none nearer."""
    rng = np.random.default_rng(seed)
    out: list[Atoms] = []
    while len(out) < n:
        size = int(rng.integers(2, 7))
        positions = [np.zeros(3)]
        while len(positions) < size:
            trial = rng.normal(size=3) * 4.0
            if 3.3 < np.linalg.norm(np.array(positions) - trial, axis=1).min() < 5.0:
                positions.append(trial)
        out.append(Atoms("Ar" * size, positions))
    return out


def lennard_jones(atoms: Atoms) -> float:
    """Energy in eV."""
    return float(LennardJones(**ARGON).get_potential_energy(atoms.copy()))


def fit(n: int = 200) -> tuple[Array, float]:
    """Fit the last layer to energies of clusters; return its weights and the shift."""
    model = build(np.ones(CHANNELS))
    rows, energies = [], []
    for atoms in clusters(n, seed=2):
        values = run(model, atoms.numbers, edges_of(atoms, CUTOFF))
        descriptors = values["descriptors"]["0e"][:, 0]
        rows.append([*descriptors.sum(0), len(atoms)])
        energies.append(lennard_jones(atoms))
    solution, *_ = np.linalg.lstsq(np.array(rows), np.array(energies), rcond=1e-10)
    return solution[:-1], float(solution[-1])


def main(path: Path) -> Model:
    """Fit, write the model with its self-test, and return it."""
    model = add_self_test(build(*fit()))
    write_model(path, model.document, model.tensors)
    return model


if __name__ == "__main__":
    output = Path(sys.argv[1] if len(sys.argv) > 1 else "argon.eqnn")
    main(output)
    print(f"Wrote {output}. In LAMMPS: pair_style eqnn; pair_coeff * * {output} Ar")
