# SPDX-License-Identifier: BSD-3-Clause
"""Write networks of InstaDeep's mlip with random weights, for time_calculators.py.

    PYTHON bench/make_mlip_networks.py FOLDER [NAME ...]

PYTHON is the interpreter of an environment with mlip. FOLDER gets `mlip_mace.zip`, `mlip_gaunt.zip`
and `mlip_nequip.zip`, or those that are named: Si and O, a cutoff of 5 Angstrom, upstream's own
initial weights. JAX compiles each for a minute or more.
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
MACE = Mace.Config(num_layers=2, num_channels=64, l_max=2, node_symmetry=1, correlation=3)
GAUNT = {"use_gaunt_tp_message_passing": True, "symmetric_contraction_backend": "gaunt_tp"}
NETWORKS = {
    "mlip_mace": Mace(MACE, DATA),
    "mlip_gaunt": Mace(MACE.model_copy(update=GAUNT), DATA),
    "mlip_nequip": Nequip(
        Nequip.Config(num_layers=3, target_irreps="32x0e + 32x1o + 32x2e", l_max=2), DATA
    ),
}


def main() -> None:
    """Write those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.names or NETWORKS:
        field = ForceField.from_mlip_network(NETWORKS[name], seed=1)
        save_model_to_zip(given.folder / f"{name}.zip", field)


if __name__ == "__main__":
    main()
