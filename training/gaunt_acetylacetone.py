# SPDX-License-Identifier: BSD-3-Clause
"""Train upstream's MACE-Gaunt on acetylacetone: the network of potentials/gaunt_acetylacetone.

    PYTHONPATH=tests/upstream python training/gaunt_acetylacetone.py CLONE DATA OUTPUT [--epochs N]

CLONE is a clone of Gaunt-Tensor-Product. DATA is the folder of acetylacetone in BOTNet-datasets.
OUTPUT is a folder for the weights, the configuration and a log. The network is upstream's, with its
products computed by quadrature, which gives the same numbers faster. The training loop is our own:
single precision, Adam (AMSGrad) and a moving average of the weights. It trains on 450 structures at
300 K; 50 others show its progress, and nothing is chosen by them. The energies of the free atoms
are added at the end: with 9.4 keV in it, a total energy in single precision is good to 1 meV only.
Needs torch 2.8.0, e3nn 0.5.6, ASE and safetensors.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import e3nn
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from upstream_gaunt import (
    CLASS,
    COMMIT,
    ELEMENTS,
    Upstream,
    by_quadrature,
    collated,
    errors,
    frames_of,
    loaded,
    weights,
)

SEED = 20261126
TRAINING: dict[str, Any] = {
    "n_train": 450,
    "batch_size": 5,
    "learning_rate": 0.01,
    "last_learning_rate": 1e-4,
    "ema_decay": 0.99,
    "force_weight": 100.0,
    "last_energy_weight": 100.0,
    "last_stage": 0.75,
    "max_gradient_norm": 10.0,
    "weight_decay": 5e-7,
}


class MovingAverage:
    """Exponential moving average of the parameters, which can stand in their place."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.parameters = list(network.parameters())
        self.averages = [p.detach().clone() for p in self.parameters]
        self.decay, self.n_updates = decay, 0

    def update(self) -> None:
        """Follow one step; early ones count for more."""
        self.n_updates += 1
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            average.lerp_(parameter.detach(), 1 - decay)

    def swap(self) -> None:
        """Exchange parameters and averages."""
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            kept = parameter.detach().clone()
            parameter.data.copy_(average)
            average.copy_(kept)


def batches(n: int, size: int, generator: np.random.Generator) -> Iterator[list[int]]:
    """Shuffle indices into batches."""
    order = generator.permutation(n)
    for k in range(0, n, size):
        yield order[k : k + size].tolist()


def train(
    network: torch.nn.Module,
    frames: Sequence[dict[str, Tensor]],
    held_out: Sequence[dict[str, Tensor]],
    epochs: int,
    output: Path,
) -> None:
    """Train in place; the network ends with the averaged weights."""
    chosen = SimpleNamespace(**TRAINING)
    optimizer = torch.optim.Adam(
        network.parameters(),
        lr=chosen.learning_rate,
        amsgrad=True,
        weight_decay=chosen.weight_decay,
    )
    average = MovingAverage(network, chosen.ema_decay)
    generator = np.random.default_rng(SEED)
    n_steps = epochs * math.ceil(len(frames) / chosen.batch_size)
    step, start = 0, time.monotonic()
    for epoch in range(epochs):
        total = 0.0
        for indices in batches(len(frames), chosen.batch_size, generator):
            done = step / n_steps
            fall = 0.5 * (1 + math.cos(math.pi * done))
            span = chosen.learning_rate - chosen.last_learning_rate
            optimizer.param_groups[0]["lr"] = chosen.last_learning_rate + span * fall
            energy_weight = chosen.last_energy_weight if done > chosen.last_stage else 1.0
            data, energy, forces = collated([frames[k] for k in indices])
            found = network(data, training=True)
            n_atoms = len(forces) / len(energy)
            loss = energy_weight * ((found["energy"] - energy) ** 2).mean() / n_atoms
            loss = loss + chosen.force_weight * ((found["forces"] - forces) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), chosen.max_gradient_norm)
            optimizer.step()
            average.update()
            total += float(loss.detach())
            step += 1
        if epoch % 2 == 1 or epoch == epochs - 1:
            average.swap()
            found_errors = errors(network, held_out)
            torch.save({"epoch": epoch, "state": network.state_dict()}, output / "checkpoint.pt")
            average.swap()
            line = {"epoch": epoch + 1, "loss": total * chosen.batch_size / len(frames)}
            line |= {"seconds": time.monotonic() - start} | found_errors
            with (output / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
    average.swap()


def main() -> None:
    """Train, write the weights and the configuration."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("clone", "data", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--hidden", default="16x0e + 16x1o")
    parser.add_argument("--max-ell", type=int, default=3)
    parser.add_argument("--correlation", type=int, default=3)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    cutoff = 5.0
    free = frames_of(options.data / "isolated_atoms.xyz")
    energies = {int(a.numbers[0]): float(a.get_potential_energy()) for a in free}
    frames = loaded(options.data / "train_300K.xyz", cutoff, energies)
    order = np.random.default_rng(SEED).permutation(len(frames))
    n_train = TRAINING["n_train"]
    training, held_out = ([frames[k] for k in part] for part in (order[:n_train], order[n_train:]))
    n_atoms = sum(len(f["positions"]) for f in training)
    config = {
        "r_max": cutoff,
        "num_bessel": 8,
        "num_polynomial_cutoff": 5,
        "max_ell": options.max_ell,
        "correlation": options.correlation,
        "hidden": options.hidden,
        "num_interactions": 2,
        "MLP": "16x0e",
        "avg": round(sum(f["edges"].shape[1] for f in training) / n_atoms, 4),
        "scale": round(float(torch.cat([f["forces"] for f in training]).pow(2).mean().sqrt()), 6),
        "shift": round(sum(float(f["energy"]) for f in training) / n_atoms, 6),
    }
    upstream = Upstream(options.clone)
    torch.manual_seed(SEED)
    network = by_quadrature(
        upstream.network(config, ELEMENTS, [0.0] * len(ELEMENTS), torch.float32)
    )
    n_parameters = sum(p.numel() for p in network.parameters())
    print(json.dumps(config), n_parameters, "parameters", flush=True)
    train(network, training, held_out, options.epochs, options.output)

    network.atomic_energies_fn.atomic_energies.zero_()
    told: dict[str, Any] = {"validation_300K": errors(network, held_out)}
    for name in ("test_MD_300K", "test_MD_600K"):
        told[name] = errors(network, loaded(options.data / f"{name}.xyz", cutoff, energies))
    print(json.dumps(told, indent=1), flush=True)
    state = weights(network)
    state["atomic_energies_fn.atomic_energies"] = torch.tensor(
        [energies[z] for z in ELEMENTS], dtype=torch.float64
    )
    save_file(state, options.output / "gaunt_acetylacetone.weights.safetensors")
    document = {
        "config": config,
        "elements": ELEMENTS,
        "E0": [energies[z] for z in ELEMENTS],
        "seed": SEED,
        "training": TRAINING | {"epochs": options.epochs, "n_parameters": n_parameters},
        "validation": sorted(order[n_train:].tolist()),
        "errors_single_precision": told,
        "class_": CLASS,
        "e3nn": e3nn.__version__,
        "torch": torch.__version__,
        "upstream_commit": COMMIT,
    }
    (options.output / "gaunt_acetylacetone.config.json").write_text(
        json.dumps(document, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
