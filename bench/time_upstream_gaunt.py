# SPDX-License-Identifier: BSD-3-Clause
"""Time upstream's MACE-Gaunt on one thread, to compare with bench_model.

    .eqnn/venv-upstream/bin/python bench/time_upstream_gaunt.py CLONE OUTPUT [NEIGHBORS ...]
    eqnn export mace-gaunt --checkpoint OUTPUT/gaunt.safetensors --config OUTPUT/gaunt.json \
        --output OUTPUT/gaunt.eqnn
    .eqnn/build/openmp/bin/bench_model --model OUTPUT/gaunt.eqnn --neighbors 24

CLONE is Gaunt-Tensor-Product. Energy and forces in single precision, edges given. Random weights,
64x0e+64x1o, l_max 3, correlation 3, two layers, cutoff 5; written to OUTPUT. The structures are
those of bench_model: its generator of random numbers is followed call by call, and OUTPUT gets
upstream's energies and forces of them. Upstream's products are timed as they are, by Fourier
transforms, and by quadrature, which is the same in exact arithmetic. Prints the best of five, after
two to warm up. Needs torch, e3nn 0.5.6 and safetensors.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "upstream"))
from upstream_gaunt import Upstream, by_quadrature, graph, weights

N_ATOMS, CUTOFF, ELEMENTS, SEED = 216, 5.0, [1, 6, 8], 64
CONFIG = {
    "r_max": CUTOFF,
    "num_bessel": 8,
    "num_polynomial_cutoff": 5,
    "max_ell": 3,
    "correlation": 3,
    "hidden": "64x0e + 64x1o",
    "num_interactions": 2,
    "MLP": "16x0e",
    "avg": 24.0,
    "scale": 1.0,
    "shift": 0.0,
}


def structure(neighbors: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Element indices [atom], positions [atom, 3], side of the periodic cube of bench_model.

    Its std::mt19937 with libstdc++'s distributions: two words make a double, one picks an element.
    """
    density = neighbors / (4 / 3 * np.pi * CUTOFF**3)
    side, least = float((N_ATOMS / density) ** (1 / 3)), 0.45 / density ** (1 / 3)
    words = np.random.RandomState(7)

    def word() -> int:
        return int(words.randint(0, 2**32, dtype=np.uint64))

    positions: list[np.ndarray] = []
    kinds: list[int] = []
    while len(kinds) < N_ATOMS:
        x = np.array([(word() + word() * 2**32) / 2**64 * side for _ in range(3)])
        delta = np.array(positions).reshape(-1, 3) - x
        delta -= side * np.round(delta / side)
        if (np.sum(delta**2, axis=1) > least**2).all():
            positions.append(x)
            kinds.append(word() >> 31)
    return torch.tensor(kinds), torch.tensor(np.array(positions)), side


def edges(positions: torch.Tensor, side: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs [2, edge] within the cutoff, and the shifts [edge, 3] of their vectors."""
    vectors = positions[None] - positions[:, None]
    shifts = -side * torch.round(vectors / side)
    near = (vectors + shifts).norm(dim=2) < CUTOFF
    near.fill_diagonal_(False)
    return near.nonzero().T, shifts[near]


def timed(network: torch.nn.Module, *inputs: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
    """CPU time of an evaluation, us an atom, best of five after two; and what it gives."""
    times = []
    for _ in range(7):
        data = graph(*inputs)
        start = time.process_time()
        found: dict[str, torch.Tensor] = network(data)
        times.append(time.process_time() - start)
    return 1e6 * min(times[2:]) / N_ATOMS, found


def main() -> None:
    """Time each number of neighbors, products as they are and by quadrature."""
    clone, output = (Path(argument) for argument in sys.argv[1:3])
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    upstream = Upstream(clone)
    torch.manual_seed(SEED)
    network = upstream.network(CONFIG, ELEMENTS, [0.0] * len(ELEMENTS), torch.float32)
    save_file(weights(network), output / "gaunt.safetensors")
    document = {"config": CONFIG, "elements": ELEMENTS, "seed": SEED}
    (output / "gaunt.json").write_text(json.dumps(document, indent=1) + "\n")
    for products in ("Fourier transforms", "quadrature"):
        if products == "quadrature":
            by_quadrature(network)
        for neighbors in [float(argument) for argument in sys.argv[3:]] or [24.0, 48.0]:
            kinds, positions, side = structure(neighbors)
            pairs, shifts = edges(positions, side)
            one_hot = torch.nn.functional.one_hot(kinds, len(ELEMENTS)).float()
            us, found = timed(network, one_hot, positions.float(), pairs, shifts.float())
            told = {
                "numbers": [ELEMENTS[k] for k in kinds.tolist()],
                "positions": positions.tolist(),
                "side": side,
                "energy": float(found["energy"].detach()),
                "forces": found["forces"].tolist(),
            }
            (output / f"structure_{neighbors:g}.json").write_text(json.dumps(told))
            print(
                f"64x0e+64x1o, l_max 3, correlation 3, products by {products}, "
                f"{pairs.shape[1] / N_ATOMS:.1f} neighbors: {us:.0f} us/atom "
                f"(CPU time, torch {torch.__version__})",
                flush=True,
            )


if __name__ == "__main__":
    main()
