# SPDX-License-Identifier: BSD-3-Clause
"""``eqnn export ... --verify``: upstream's own code in double precision against the model.

Here alone upstream's packages are imported, and only where --verify asks for them: **they run what
the checkpoint holds**. Structures are those of the model's self-test.
"""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from eqnn.errors import EqnnError, one_line
from eqnn.export.upstream import Log
from eqnn.model_file import Model
from eqnn.so3 import FloatArray

# How far figures may differ, relative to the largest: rounding of double precision; or, where a
# checkpoint is of single precision, that of its tables of couplings, which upstream keeps rounded
# and the exporter makes again.
TOLERANCE = {"double": 1e-9, "single": 2e-6}


@dataclass(frozen=True)
class Evaluated:
    """What upstream gives for one structure.

    Attributes
    ----------
    energy : float
        eV.
    forces : ndarray [n, 3]
        eV/Angstrom.
    stress : ndarray [3, 3] or None
        (dE/d strain)/V, eV/Angstrom^3; None for a structure in vacuum.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray | None


@dataclass(frozen=True)
class Verifier:
    """How to run an upstream code.

    Attributes
    ----------
    requirement : str
        What pip installs, with the version that was tried.
    evaluate : callable
        Takes the options and structures; returns what upstream gives for each, and the precision
        in which the checkpoint was saved, ``double`` or ``single``.
    """

    requirement: str
    evaluate: Callable[[Namespace, Sequence[Atoms]], tuple[list[Evaluated], str]]


def verify(options: Namespace, model: Model, log: Log) -> None:
    """Hold a model's self-test against upstream's code; raise where they differ.

    Parameters
    ----------
    options : Namespace
        Those of the export, with ``upstream``.
    model : Model
        In double precision, with self-test.
    log : callable
        Takes lines for people.
    """
    verifier: Verifier | None = options.upstream.verifier
    if verifier is None:
        raise EqnnError(
            f"--verify: {options.upstream.title} cannot be installed as a package. "
            "Leave the option out; tests/upstream compares the exporter with its code."
        )
    tests = model.document["self_test"]
    structures = [
        Atoms(test["numbers"], test["positions"], cell=test["cell"], pbc=test["cell"] is not None)
        for test in tests
    ]
    try:
        with _quiet():
            found, precision = verifier.evaluate(options, structures)
    except ImportError as error:
        raise EqnnError(
            f"--verify: upstream's code cannot be imported ({one_line(error, 80, named=False)}). "
            f"Install it:\npip install {verifier.requirement}"
        ) from None
    except EqnnError:
        raise
    except Exception as error:  # upstream raises whatever it likes
        if os.environ.get("EQNN_TRACEBACK"):
            raise
        raise EqnnError(
            f"--verify: upstream's code ({verifier.requirement}) does not run this checkpoint "
            f"({one_line(error, 100)}).\nNothing was written. Install the "
            "version that made the checkpoint, or leave the option out."
        ) from error
    bound = TOLERANCE[precision]
    said = model.document["energy"]
    reference = dict(zip(model.document["species"], said["reference"], strict=True))
    worst = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
    for test, atoms, upstream in zip(tests, structures, found, strict=True):
        errors = _errors(test, atoms, upstream, sum(reference[z] for z in test["numbers"]))
        for what, size in errors.items():
            if not size <= worst[what]:  # NaN too
                worst[what] = size
            if not size <= bound:
                raise EqnnError(
                    f"--verify: {test['name']}: {what} differ by {size:.1e} of the largest from "
                    f"upstream's, at most {bound:.0e} is allowed: energy {test['energy']:.10g} eV, "
                    f"upstream {upstream.energy:.10g} eV.\nNothing was written. Please report it "
                    "with the checkpoint."
                )
    log(
        f"Verified with {verifier.requirement} in double on {len(tests)} structures: energy "
        f"{worst['energy']:.1e}, forces {worst['forces']:.1e}, stress {worst['stress']:.1e} of the "
        f"largest (checkpoint in {precision} precision)."
    )


def _errors(
    test: dict[str, Any], atoms: Atoms, upstream: Evaluated, reference: float
) -> dict[str, float]:
    """Relative errors; that of the energy beside what free atoms have, and 1 eV."""
    energy = abs(test["energy"] - upstream.energy) - 1e-14 * abs(test["energy"])
    out = {
        "energy": max(energy, 0.0) / (1.0 + abs(upstream.energy - reference)),
        "forces": _relative(test["forces"], upstream.forces),
    }
    if not np.isfinite(upstream.energy):
        out["energy"] = float("nan")
    if upstream.stress is not None and test["virial"] is not None:
        virial = np.asarray(test["virial"])
        ours = -0.5 * (virial + virial.T) / atoms.get_volume()
        out["stress"] = _relative(ours, upstream.stress)
    return out


def _relative(found: Any, expected: FloatArray) -> float:
    difference = np.abs(np.asarray(found) - expected).max()
    return float(difference / max(np.abs(expected).max(), 1e-12))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _precision(dtype: Any) -> str:
    return "double" if str(dtype).endswith("float64") else "single"


def _structure_of(values: Any) -> FloatArray:
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float64)


# ---- upstream's codes ----


def mace(options: Namespace, structures: Sequence[Atoms]) -> tuple[list[Evaluated], str]:
    """Run mace-torch on the whole model."""
    path: Path = options.checkpoint
    if path.suffix == ".safetensors":
        raise EqnnError(
            "--verify: a state_dict does not hold the network's code. "
            "Give the whole .model, or leave the option out."
        )
    # e3nn 0.4 and models are pickles, which torch 2.6 and later refuse otherwise.
    os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    import torch
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric

    torch.set_default_dtype(torch.float64)
    model = torch.load(path, map_location="cpu", weights_only=False)
    model = getattr(model, "module", model)
    precision = _precision(next(model.parameters()).dtype)
    model = model.double().eval()
    table = AtomicNumberTable([int(z) for z in model.atomic_numbers])
    heads = list(getattr(model, "heads", None) or ["Default"])
    head = options.head or heads[0]
    out = []
    for atoms in structures:
        config = data.config_from_atoms(atoms, head_name=head)
        graph = data.AtomicData.from_config(
            config, z_table=table, cutoff=float(model.r_max), heads=heads
        )
        for key, value in (("total_charge", options.charge), ("total_spin", options.spin)):
            if value is not None:
                setattr(graph, key, torch.tensor(value, dtype=torch.float64))
        batch = next(iter(torch_geometric.dataloader.DataLoader([graph], batch_size=1)))
        found = model(batch.to_dict(), compute_stress=True)
        out.append(
            Evaluated(
                float(found["energy"].detach()),
                _structure_of(found["forces"]),
                _structure_of(found["stress"])[0] if atoms.pbc.all() else None,
            )
        )
    return out, precision


def sevennet(options: Namespace, structures: Sequence[Atoms]) -> tuple[list[Evaluated], str]:
    """Run sevenn on a checkpoint."""
    path: Path = options.checkpoint
    if path.suffix in (".npz", ".safetensors"):
        raise EqnnError(
            "--verify: sevenn reads only checkpoints. "
            "Give the checkpoint (.pth), or leave the option out."
        )
    import torch
    from sevenn import _keys
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.checkpoint import SevenNetCheckpoint
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    checkpoint = SevenNetCheckpoint(path)
    state = checkpoint.model_state_dict
    dtypes = {v.dtype for k, v in state.items() if "_w3j_" in k}
    dtypes = dtypes or {v.dtype for k, v in state.items() if k.endswith("linear.weight")}
    precision = _precision(dtypes.pop()) if len(dtypes) == 1 else "single"
    # Else upstream rounds a checkpoint of double precision.
    torch.set_default_dtype(torch.float64 if precision == "double" else torch.float32)
    model = checkpoint.build_model().double()
    model.set_is_batch_data(False)
    model.eval()

    def promote(module: Any, given: Any, graph: Any) -> None:
        for key in list(graph.keys()):
            if torch.is_tensor(graph[key]) and graph[key].dtype == torch.float32:
                graph[key] = graph[key].double()

    for module in model.modules():
        if type(module).__name__ == "OnehotEmbedding":  # of single precision always
            module.register_forward_hook(promote)
    out = []
    for atoms in structures:
        # Upstream wants a cell; a molecule's images are then out of reach.
        periodic = atoms.copy()
        if not atoms.pbc.all():
            size = np.ptp(atoms.positions, axis=0).max() + 3.0 * checkpoint.config["cutoff"]
            periodic = Atoms(atoms.numbers, atoms.positions, cell=size * np.eye(3), pbc=True)
        graph = AtomGraphData.from_numpy_dict(
            unlabeled_atoms_to_graph(periodic, checkpoint.config["cutoff"])
        )
        # Upstream's own graphs are of single precision: distances are computed again.
        i, j, vector, shift = neighbor_list("ijDS", periodic, checkpoint.config["cutoff"])
        graph[_keys.EDGE_IDX] = torch.tensor(np.stack([i, j]))
        graph[_keys.EDGE_VEC] = torch.tensor(vector)
        graph[_keys.CELL_SHIFT] = torch.tensor(shift, dtype=torch.float64)
        graph[_keys.CELL] = torch.tensor(periodic.cell.array)
        graph[_keys.CELL_VOLUME] = torch.tensor(periodic.get_volume(), dtype=torch.float64)
        graph[_keys.POS] = torch.tensor(periodic.positions)
        if options.modality is not None:
            graph[_keys.DATA_MODALITY] = options.modality
        found = model(graph)
        xx, yy, zz, xy, yz, zx = _structure_of(found[_keys.PRED_STRESS]).reshape(-1)
        stress = -np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
        out.append(
            Evaluated(
                float(found[_keys.PRED_TOTAL_ENERGY].detach()),
                _structure_of(found[_keys.PRED_FORCE]),
                stress if atoms.pbc.all() else None,
            )
        )
    return out, precision


def nequip(options: Namespace, structures: Sequence[Atoms]) -> tuple[list[Evaluated], str]:
    """Run a package with nequip, or a deployed model with torch."""
    from eqnn.export.foreign import is_package
    from eqnn.export.nequip import ENERGY_UNITS

    if is_package(options.checkpoint):
        run, cutoff, names, precision = _nequip_package(options.checkpoint)
    else:
        run, cutoff, names, precision = _nequip_deployed(options.checkpoint)
    unit = ENERGY_UNITS[options.energy_unit]
    out = []
    for atoms in structures:
        i, j, shift = neighbor_list("ijS", atoms, cutoff)
        types = [names.index(symbol) for symbol in atoms.get_chemical_symbols()]
        energy, forces, stress = run(atoms, np.stack([i, j]), shift.astype(float), types)
        out.append(
            Evaluated(energy * unit, forces * unit, stress * unit if atoms.pbc.all() else None)
        )
    return out, precision


_Run = Callable[[Atoms, Any, FloatArray, list[int]], tuple[float, FloatArray, FloatArray]]


def _nequip_package(path: Path) -> tuple[_Run, float, list[str], str]:
    import torch
    from nequip.data import AtomicDataDict
    from nequip.model.saved_models import load_saved_model

    model = load_saved_model(str(path)).double().eval()
    torch.set_default_dtype(torch.float64)
    metadata = model.metadata
    names = str(metadata["type_names"]).split()

    def run(
        atoms: Atoms, edges: Any, shift: FloatArray, types: list[int]
    ) -> tuple[float, FloatArray, FloatArray]:
        given = {
            AtomicDataDict.POSITIONS_KEY: torch.tensor(atoms.positions),
            AtomicDataDict.EDGE_INDEX_KEY: torch.tensor(edges),
            AtomicDataDict.ATOM_TYPE_KEY: torch.tensor(types),
            AtomicDataDict.CELL_KEY: torch.tensor(_cell(atoms))[None],
            AtomicDataDict.EDGE_CELL_SHIFT_KEY: torch.tensor(shift),
        }
        found = model(given)
        return (
            float(found["total_energy"].detach()),
            _structure_of(found["forces"]),
            _structure_of(found["stress"]).reshape(3, 3),
        )

    precision = _precision(metadata["model_dtype"])
    return run, float(metadata["r_max"]), names, precision


def _nequip_deployed(path: Path) -> tuple[_Run, float, list[str], str]:
    import torch

    extra = {"r_max": "", "type_names": "", "model_dtype": ""}
    model = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    said = {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in extra.items()}
    model = model.double().eval()

    def run(
        atoms: Atoms, edges: Any, shift: FloatArray, types: list[int]
    ) -> tuple[float, FloatArray, FloatArray]:
        found = model(
            {
                "pos": torch.tensor(atoms.positions),
                "edge_index": torch.tensor(edges),
                "edge_cell_shift": torch.tensor(shift),
                "cell": torch.tensor(_cell(atoms)),
                "atom_types": torch.tensor(types)[:, None],
            }
        )
        return (
            float(found["total_energy"].detach()),
            _structure_of(found["forces"]),
            _structure_of(found["stress"]).reshape(3, 3),
        )

    precision = _precision(said["model_dtype"] or "float64")
    return run, float(said["r_max"]), said["type_names"].split(), precision


def _cell(atoms: Atoms) -> FloatArray:
    """Cell of a crystal; a large one where there is none, which no shift uses."""
    if atoms.pbc.all():
        return np.ascontiguousarray(atoms.cell.array)
    return 1e3 * np.eye(3)


def _nequix_in_torch(options: Namespace, structures: Sequence[Atoms]) -> list[Evaluated]:
    """Run nequix's torch version."""
    import torch
    from nequix.torch_impl.model import load_model

    torch.set_default_dtype(torch.float64)  # of tables too, which are made anew
    model, config = load_model(str(options.checkpoint))
    model = model.double().eval()
    out = []
    for atoms in structures:
        i, j, shift = neighbor_list("ijS", atoms, config["cutoff"])
        n = torch.zeros(len(atoms), dtype=torch.int64)
        species = [config["atomic_numbers"].index(z) for z in atoms.numbers]
        energies, forces, stress = model(
            torch.tensor(species),
            torch.tensor(atoms.positions),
            torch.tensor(shift.astype(float)),
            torch.tensor(np.stack([j, i])),
            torch.tensor(_cell(atoms))[None],
            torch.tensor([len(atoms)]),
            torch.tensor([len(i)]),
            n,
        )
        out.append(
            Evaluated(
                float(energies.sum()),
                forces.detach().numpy(),
                stress[0].detach().numpy() if atoms.pbc.all() else None,
            )
        )
    return out


def nequix(options: Namespace, structures: Sequence[Atoms]) -> tuple[list[Evaluated], str]:
    """Run nequix with JAX on the CPU; weights are promoted, so that all is in double."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with options.checkpoint.open("rb") as file:
        file.readline()
        is_torch = file.read(2) == b"PK"
    if is_torch:
        return _nequix_in_torch(options, structures), "double"
    import equinox
    import jax
    import jax.numpy as jnp
    import jraph
    from nequix.model import load_model

    jax.config.update("jax_enable_x64", False)  # as files are stored
    model, config = load_model(str(options.checkpoint))
    jax.config.update("jax_enable_x64", True)
    model = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if equinox.is_array(leaf) else leaf, model
    )
    out = []
    for atoms in structures:
        i, j, shift = neighbor_list("ijS", atoms, config["cutoff"])
        graph = jraph.GraphsTuple(
            nodes={
                "species": jnp.asarray([config["atomic_numbers"].index(z) for z in atoms.numbers]),
                "positions": jnp.asarray(atoms.positions),
            },
            edges={"shifts": jnp.asarray(shift.astype(float))},
            senders=jnp.asarray(j),
            receivers=jnp.asarray(i),
            n_node=jnp.asarray([len(atoms)]),
            n_edge=jnp.asarray([len(i)]),
            globals={"cell": jnp.asarray(_cell(atoms))[None]},
        )
        # Upstream masks nodes of a last, empty graph.
        graph = jraph.pad_with_graphs(graph, len(atoms) + 1, len(i) + 1, 2)
        energy, forces, stress = model(graph)
        out.append(
            Evaluated(
                float(energy[0]),
                np.asarray(forces[: len(atoms)]),
                np.asarray(stress[0]) if atoms.pbc.all() else None,
            )
        )
    return out, "double"


def mlip(options: Namespace, structures: Sequence[Atoms]) -> tuple[list[Evaluated], str]:
    """Run mlip with JAX on the CPU; weights are promoted, so that all is in double."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    from mlip.data import ChemicalSystem
    from mlip.data.helpers.dynamically_batch import dynamically_batch
    from mlip.graph import Graph
    from mlip.models import ForceField, Mace, Nequip
    from mlip.models.inference_context import InferenceContext
    from mlip.models.model_io import load_model_from_zip
    from mlip.typing.properties import Properties

    from eqnn.export.mlip import head_names, head_number

    jax.config.update("jax_enable_x64", True)
    context = None
    with zipfile.ZipFile(options.checkpoint) as archive:
        said = json.loads(archive.read("hyperparams.json"))
    config = said["config"]
    if options.head is not None:
        names = head_names(said["dataset_info"], config["num_readout_heads"])
        context = InferenceContext(dataset_idx=head_number(names, options.head))
    loaded = load_model_from_zip(
        Nequip if "target_irreps" in config else Mace,
        options.checkpoint,
        Properties(stress=True),
        inference_context=context,
    )
    params = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), loaded.params)
    field = ForceField(loaded.predictor, params, inference_context=loaded.inference_context)
    out = []
    for atoms in structures:
        graph = Graph.from_chemical_system(
            ChemicalSystem.from_ase_atoms(atoms, get_property_fields=False), field.cutoff_distance
        )
        # Upstream masks nodes of a last, empty graph.
        (padded,) = dynamically_batch(
            [graph], n_node=len(atoms) + 1, n_edge=len(graph.senders) + 1, n_graph=2
        )
        found = field.predict(padded)
        out.append(
            Evaluated(
                float(found.energy[0]),
                np.asarray(found.forces[: len(atoms)]),
                np.asarray(found.stress[0]) if atoms.pbc.all() else None,
            )
        )
    # One factor of the radial basis is computed in single precision, where the file asks for it.
    is_rounded = loaded.dataset_info.avg_r_min_angstrom is not None
    return out, "single" if is_rounded else "double"


MACE = Verifier("mace-torch==0.3.16", mace)
SEVENNET = Verifier("sevenn==0.13.0", sevennet)
NEQUIP = Verifier("nequip==0.19.1", nequip)
NEQUIX = Verifier("nequix==0.4.5", nequix)
MLIP = Verifier("mlip==0.2.5", mlip)
