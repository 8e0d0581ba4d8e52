# SPDX-License-Identifier: BSD-3-Clause
"""Time upstream's TDN on one thread, to compare with bench_model.

.eqnn/venv-upstream/bin/python bench/time_upstream_tdn.py OpenMol/TDN-of-a-clone [L_MAX ...]

Energy and forces in single precision. Random weights, 64 channels, 4 blocks, 216 atoms at random
in an open cube whose density gives as many neighbors as bench_model's first case has. Prints the
best of five, after two to warm up.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "upstream"))
from upstream_tdn import Upstream, forward

N_ATOMS, CUTOFF, NEIGHBORS = 216, 4.5, 17.6


def cluster(side: float) -> torch.Tensor:
    """Atoms at least 1.1 Angstrom apart in a cube."""
    generator = torch.Generator().manual_seed(7)
    positions: list[torch.Tensor] = []
    while len(positions) < N_ATOMS:
        x = side * torch.rand(3, generator=generator, dtype=torch.float64)
        if all((x - y).norm() > 1.1 for y in positions):
            positions.append(x)
    return torch.stack(positions)


def neighbors(positions: torch.Tensor) -> float:
    """Mean number within the cutoff."""
    return float((torch.cdist(positions, positions) < CUTOFF).sum() - N_ATOMS) / N_ATOMS


def main() -> None:
    """Time each l_max."""
    upstream = Upstream(Path(sys.argv[1]))
    side = 20.0
    while neighbors(positions := cluster(side)) < NEIGHBORS:
        side -= 0.25
    numbers = torch.tensor([(1, 6, 8)[k % 3] for k in range(N_ATOMS)])
    for l_max in [int(argument) for argument in sys.argv[2:]] or [1, 2, 3]:
        d, rank = (l_max + 1) ** 2, 7 * l_max**2
        config = {
            "lmax": l_max,
            "hidden_channels": 64,
            "num_interactions": 4,
            "cutoff": CUTOFF,
            "avg_num_nodes": 1.0,
            "avg_degree": NEIGHBORS,
        }
        factors = {
            name: torch.randn(d, rank, dtype=torch.float64) / d for name in ("cp_a", "cp_b", "cp_c")
        }
        network = upstream.network(config, factors).float()
        network.atom_embed.atom_type_lin._forward_pre_hooks.clear()
        times = []
        for _ in range(7):
            start = time.process_time()
            forward(network, numbers, positions.float())
            times.append(time.process_time() - start)
        print(
            f"l_max {l_max}, 64 channels, 4 blocks, {neighbors(positions):.1f} neighbors: "
            f"{1e6 * min(times[2:]) / N_ATOMS:.0f} us/atom (CPU time, torch {torch.__version__})",
            flush=True,
        )


if __name__ == "__main__":
    main()
