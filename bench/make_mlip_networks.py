# SPDX-License-Identifier: BSD-3-Clause
"""Write networks of InstaDeep's mlip with random weights, for time_calculators.py.

    PYTHON bench/make_mlip_networks.py FOLDER

PYTHON is the interpreter of an environment with mlip. FOLDER gets `mlip_mace.zip` and
`mlip_nequip.zip`: Si and O, a cutoff of 5 Angstrom, upstream's own initial weights.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from mlip.data.dataset_info import DatasetInfo
from mlip.models import ForceField, Mace, Nequip
from mlip.models.model_io import save_model_to_zip

DATA = DatasetInfo(
    graph_cutoff_angstrom=5.0,
    avg_num_neighbors=30.0,
    atomic_energies_map={8: 0.0, 14: 0.0},
)
NETWORKS = {
    "mlip_mace": Mace(
        Mace.Config(num_layers=2, num_channels=64, l_max=2, node_symmetry=1, correlation=3), DATA
    ),
    "mlip_nequip": Nequip(
        Nequip.Config(num_layers=3, target_irreps="32x0e + 32x1o + 32x2e", l_max=2), DATA
    ),
}


def main() -> None:
    """Write all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in NETWORKS.items():
        save_model_to_zip(folder / f"{name}.zip", ForceField.from_mlip_network(network, seed=1))


if __name__ == "__main__":
    main()
