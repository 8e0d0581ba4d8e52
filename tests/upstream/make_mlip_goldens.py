# SPDX-License-Identifier: BSD-3-Clause
"""Make or hold the goldens of small random MACE and NequIP networks of InstaDeep's mlip.

    python tests/upstream/make_mlip_goldens.py [--write]

`mlip_mace`: products of three factors, l_max 2; `mlip_mace_heads`: two heads, l_max 3, three
layers, what goes round the first of them, tanh; `mlip_mace_r_min`: with the factor of the radial
basis that upstream computes in single precision; `mlip_nequip`: features of both parities, of
different numbers of channels; `mlip_nequip_heads`: two heads, nothing that goes round the layers,
another number of neighbors than the data's; `mlip_gaunt`: messages and contractions by Gaunt
products, three factors, fewer degrees in features; `mlip_gaunt_wide`: the same with two factors,
l_max 3, three layers, what goes round the first of them; `mlip_gaunt_messages`: Gaunt products in
messages alone; `mlip_gaunt_powers`: in contractions alone, one layer, four factors;
`mlip_gaunt_linear`: one factor, l_max 1; `mlip_mace_pseudo`: features of both parities;
`mlip_mace_gates`: gates by element; `mlip_mace_soft`: norms of features that are kept below a
limit; `mlip_mace_e3nn`: couplings in e3nn's order; `mlip_mace_symmetric`: couplings of symmetric
tensors alone. Weights are random, in single precision in the file, evaluated in double. Without
--write, results are compared with those stored. Needs mlip 0.2.5 (JAX, e3j, e3nn_jax) and ASE; our
package is not needed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from mlip.data import ChemicalSystem
from mlip.data.dataset_info import DatasetInfo
from mlip.data.helpers.dynamically_batch import dynamically_batch
from mlip.graph import Graph
from mlip.models import ForceField, Mace, Nequip
from mlip.models.inference_context import InferenceContext
from mlip.models.model_io import load_model_from_zip, save_model_to_zip
from mlip.typing.properties import Properties
from safetensors.numpy import load_file, save_file

jax.config.update("jax_enable_x64", True)

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "exporters"
ENERGIES = {1: -1.25, 6: -3.5, 8: -4.75, 14: -7.0}
COMMON = {"graph_cutoff_angstrom": 4.0, "avg_num_neighbors": 7.5}
_GAUNT = {"use_gaunt_tp_message_passing": True, "symmetric_contraction_backend": "gaunt_tp"}
_SMALL = {"num_rbf": 4, "radial_mlp_hidden": [5], "readout_irreps": ("3x0e", "0e")}
_PLAIN_DATA = {**COMMON, "atomic_energies_map": ENERGIES}
# A pseudoscalar arises in the third layer and reaches the energy in the sixth.
_BOTH_PARITIES = "4x0e + 2x0o + 2x1o + 2x1e"
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mlip_mace": (
        {
            **{"num_layers": 2, "num_channels": 6, "l_max": 2, "node_symmetry": 1},
            **{"correlation": 3, "readout_irreps": ("5x0e", "0e"), "num_rbf": 6},
            "radial_mlp_hidden": [8, 7],
        },
        {**COMMON, "atomic_energies_map": ENERGIES, "scaling_mean": 0.3, "scaling_stdev": 1.7},
    ),
    "mlip_mace_heads": (
        {
            **{"num_layers": 3, "num_channels": 4, "l_max": 3, "node_symmetry": 2},
            **{"correlation": 2, "readout_irreps": ("3x0e", "0e"), "num_rbf": 5},
            **{"radial_mlp_hidden": [6], "num_readout_heads": 2, "activation": "tanh"},
            **{"radial_mlp_activation": "tanh", "residual_connection_first_layer": True},
        },
        {
            **COMMON,
            "dataset_name": ["a", "b"],
            "atomic_energies_map": [ENERGIES, {z: 2.0 * e for z, e in ENERGIES.items()}],
        },
    ),
    "mlip_mace_r_min": (
        {
            **{"num_layers": 1, "num_channels": 3, "l_max": 1, "correlation": 2, "num_rbf": 4},
            **{"readout_irreps": ("2x0e", "0e"), "radial_mlp_hidden": [5]},
        },
        {**COMMON, "atomic_energies_map": ENERGIES, "avg_r_min_angstrom": 1.1},
    ),
    "mlip_nequip": (
        {
            **{"num_layers": 6, "target_irreps": _BOTH_PARITIES, "l_max": 1, "num_rbf": 5},
            "radial_mlp_hidden": [6, 7],
        },
        {**COMMON, "atomic_energies_map": ENERGIES, "scaling_mean": 0.3, "scaling_stdev": 1.7},
    ),
    "mlip_nequip_heads": (
        {
            **{"num_layers": 2, "target_irreps": "6x0e + 3x1o + 3x2e", "l_max": 2, "num_rbf": 4},
            **{"radial_mlp_hidden": [5], "radial_mlp_activation": "tanh", "num_readout_heads": 2},
            **{"use_residual_connection": False, "avg_num_neighbors": 4.5},
            "gate_nonlinearities": {"e": "tanh", "o": "tanh"},
        },
        {
            **COMMON,
            "dataset_name": ["a", "b"],
            "atomic_energies_map": [ENERGIES, {z: 2.0 * e for z, e in ENERGIES.items()}],
            "avg_r_min_angstrom": 1.1,  # which NequIP does not look at
        },
    ),
    "mlip_gaunt": (
        {
            **{"num_layers": 2, "num_channels": 4, "l_max": 2, "node_symmetry": 1},
            **{**_SMALL, **_GAUNT, "correlation": 3},
        },
        {**_PLAIN_DATA, "scaling_mean": 0.3, "scaling_stdev": 1.7},
    ),
    "mlip_gaunt_wide": (
        {
            **{"num_layers": 3, "num_channels": 5, "l_max": 3, "node_symmetry": 2},
            **{**_SMALL, **_GAUNT, "correlation": 2, "residual_connection_first_layer": True},
        },
        _PLAIN_DATA,
    ),
    "mlip_gaunt_messages": (
        {
            **{"num_layers": 2, "num_channels": 4, "l_max": 2, "correlation": 2, **_SMALL},
            "use_gaunt_tp_message_passing": True,
        },
        _PLAIN_DATA,
    ),
    "mlip_gaunt_powers": (
        {
            **{"num_layers": 1, "num_channels": 4, "l_max": 3, "correlation": 4, **_SMALL},
            "symmetric_contraction_backend": "gaunt_tp",
        },
        _PLAIN_DATA,
    ),
    "mlip_gaunt_linear": (
        {"num_layers": 2, "num_channels": 4, "l_max": 1, "correlation": 1, **_SMALL, **_GAUNT},
        _PLAIN_DATA,
    ),
    "mlip_mace_pseudo": (
        {
            **{"num_layers": 2, "num_channels": 4, "l_max": 2, "node_symmetry": 1},
            **{**_SMALL, "correlation": 2, "include_pseudotensors": True},
        },
        _PLAIN_DATA,
    ),
    "mlip_mace_gates": (
        {
            **{"num_layers": 2, "num_channels": 4, "l_max": 2, "node_symmetry": 1},
            **{**_SMALL, **_GAUNT, "correlation": 2, "gate_nodes": True},
        },
        _PLAIN_DATA,
    ),
    "mlip_mace_soft": (
        {
            **{"num_layers": 3, "num_channels": 4, "l_max": 2, "node_symmetry": 1},
            **{**_SMALL, "correlation": 2, "soft_normalization": 0.004},
            "residual_connection_first_layer": True,
        },  # features are small
        _PLAIN_DATA,
    ),
    "mlip_mace_e3nn": (
        {
            **{"num_layers": 2, "num_channels": 4, "l_max": 2, "node_symmetry": 1},
            **{**_SMALL, **_GAUNT, "correlation": 3, "symmetric_contraction_backend": "e3nn"},
        },
        _PLAIN_DATA,
    ),
    "mlip_mace_symmetric": (
        {
            **{"num_layers": 2, "num_channels": 4, "l_max": 2, "node_symmetry": 1},
            **{**_SMALL, "correlation": 3, "symmetric_contraction_backend": "e3nn_symmetric"},
        },
        _PLAIN_DATA,
    ),
}


def structures() -> dict[str, Atoms]:
    """Return the atoms of the other goldens of exporters."""
    found = {}
    for kind in ("molecule", "cell"):
        data = load_file(GOLDEN / f"mace_soft.{kind}.safetensors")
        cell = data.get("cell")
        found[kind] = Atoms(
            data["atomic_numbers"], data["positions"], cell=cell, pbc=cell is not None
        )
    return found


def kind_of(name: str) -> Any:
    """Return upstream's class of a network."""
    return Nequip if "nequip" in name else Mace


def network(name: str) -> ForceField:
    """Build upstream's network and give every array random numbers of single precision."""
    config, info = NETWORKS[name]
    kind = kind_of(name)
    force_field = ForceField.from_mlip_network(kind(kind.Config(**config), DatasetInfo(**info)))
    rng = np.random.default_rng(20261128)
    params = jax.tree.map(
        lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), force_field.params
    )
    return ForceField(force_field.predictor, params)


def evaluate(path: Path, head: str | None) -> dict[str, dict[str, np.ndarray]]:
    """Energy, forces and, of a cell, stress of each structure: in double."""
    force_field = load_model_from_zip(
        kind_of(path.name),
        path,
        Properties(stress=True),
        inference_context=None if head is None else InferenceContext(dataset_name=head),
    )
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype=jnp.float64), force_field.params)
    force_field = ForceField(
        force_field.predictor, params, inference_context=force_field.inference_context
    )
    graphs = {
        kind: Graph.from_chemical_system(
            ChemicalSystem.from_ase_atoms(atoms, get_property_fields=False),
            force_field.cutoff_distance,
        )
        for kind, atoms in structures().items()
    }
    # Upstream masks nodes of a last, empty graph. One shape for all, since compiling takes minutes.
    n_node = max(len(atoms) for atoms in structures().values()) + 1
    n_edge = max(len(graph.senders) for graph in graphs.values()) + 1
    predict = jax.jit(force_field.predict)
    made = {}
    for kind, atoms in structures().items():
        (padded,) = dynamically_batch([graphs[kind]], n_node=n_node, n_edge=n_edge, n_graph=2)
        found = predict(padded)
        out = {
            "energy": np.asarray(found.energy[:1], dtype=np.float64),
            "forces": np.asarray(found.forces[: len(atoms)], dtype=np.float64),
            "positions": atoms.positions,
            "atomic_numbers": atoms.numbers,
        }
        if atoms.pbc.all():
            out["stress"] = np.asarray(found.stress[0], dtype=np.float64)
            out["cell"] = np.ascontiguousarray(atoms.cell.array)
        made[kind] = out
    return made


def content(path: Path) -> dict[str, Any]:
    """Return what a file holds; the archive itself has the time of day."""
    with zipfile.ZipFile(path) as archive:
        arrays = np.load(io.BytesIO(archive.read("params.npz")))
        return {
            **{key: arrays[key].tobytes() for key in arrays.files},
            "": json.loads(archive.read("hyperparams.json")),
        }


def main() -> None:
    """Make all, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", help="networks whose name holds this")
    given = parser.parse_args()
    write = given.write
    for name in NETWORKS:
        if given.only and given.only not in name:
            continue
        checkpoint = GOLDEN / f"{name}.zip"
        made = checkpoint if write else checkpoint.with_suffix(".new")
        save_model_to_zip(made, network(name))
        if not write:
            same = content(made) == content(checkpoint)
            made.unlink()
            assert same, name
        head = "b" if name.endswith("heads") else None
        for kind, values in evaluate(checkpoint, head).items():
            file = GOLDEN / f"{name}.{kind}.safetensors"
            if write:
                save_file(values, file, metadata={"made_by": "make_mlip_goldens.py"})
                file.chmod(0o644)
                continue
            for key, stored in load_file(file).items():
                scale = max(1.0, float(np.abs(stored).max()))
                error = float(np.abs(stored - values[key]).max()) / scale
                assert error <= 1e-12, (name, kind, key, error)
        print(name, "written" if write else "as stored")


if __name__ == "__main__":
    main()
