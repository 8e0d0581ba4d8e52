# SPDX-License-Identifier: BSD-3-Clause
"""Time the ASE calculators of eqnn and upstream in turn, with the same weights and structure.

    export PYTHONPATH=python EQNN_LIBRARY=.eqnn/build/openmp/lib/libeqnn.so
    PYTHON bench/time_calculators.py nequix nequix-mp-1.nqx potentials/nequix_mp_1.eqnn

PYTHON is the interpreter of an environment with upstream's package and ASE, as `--verify` needs it;
MODEL.eqnn is what `eqnn export` makes of the checkpoint. Both run in this process on one thread.
After five calls that are not counted, each round moves all atoms a little and calls one, then the
other: energy and forces, lists of neighbors made anew, as ASE's users call them. CPU seconds of the
process count, so that other programs on the machine disturb both alike; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

THREADS = {f"{of}_NUM_THREADS": "1" for of in ("OMP", "MKL", "OPENBLAS", "KOKKOS", "NPROC")} | {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
STEP = 0.002  # Angstrom, of a round
WARM = 5  # calls that compile


def nequix(path: Path, precision: str, atoms: Any) -> Any:
    """Upstream's calculator; JAX compiles it for the structure."""
    if precision == "double":
        raise SystemExit("nequix computes in single precision. Give --precision single.")
    from nequix.calculator import NequixCalculator

    return NequixCalculator(model_path=str(path), use_kernel=False)


def sevennet(path: Path, precision: str, atoms: Any) -> Any:
    """Upstream's calculator."""
    if precision == "double":
        raise SystemExit("sevenn computes in single precision. Give --precision single.")
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(str(path), device="cpu")


def nequip(path: Path, precision: str, atoms: Any) -> Any:
    """Load a deployed model of nequip 0.5 or 0.6 (TorchScript), which torch alone runs."""
    if precision == "double":
        raise SystemExit("deployed models compute in single precision. Give --precision single.")
    import numpy as np
    import torch
    from ase.calculators.calculator import Calculator
    from ase.neighborlist import neighbor_list

    said: dict[str, Any] = {"r_max": "", "type_names": ""}
    torch.jit.set_fusion_strategy([("DYNAMIC", 3)])  # as upstream: edges vary in number
    model = torch.jit.load(str(path), map_location="cpu", _extra_files=said)
    types, cutoff = said["type_names"].decode().split(), float(said["r_max"])

    class Deployed(Calculator):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012

        def calculate(self, atoms: Any = None, *more: Any) -> None:
            super().calculate(atoms, *more)  # type: ignore[no-untyped-call]
            i, j, shift = neighbor_list("ijS", atoms, cutoff)
            single = torch.float32
            out = model(
                {
                    "pos": torch.tensor(atoms.positions, dtype=single),
                    "edge_index": torch.tensor(np.stack([i, j])),
                    "edge_cell_shift": torch.tensor(shift, dtype=single),
                    "cell": torch.tensor(atoms.cell.array, dtype=single),
                    "atom_types": torch.tensor([types.index(s) for s in atoms.symbols]),
                }
            )
            self.results = {
                "energy": float(out["total_energy"].detach()),
                "forces": out["forces"].detach().numpy().astype(float),
            }

    return Deployed()  # type: ignore[no-untyped-call]


def mace(path: Path, precision: str, atoms: Any) -> Any:
    """Upstream's calculator."""
    from mace.calculators import MACECalculator

    dtype = {"single": "float32", "double": "float64"}[precision]
    return MACECalculator(model_paths=str(path), device="cpu", default_dtype=dtype)


def mlip(path: Path, precision: str, atoms: Any) -> Any:
    """Upstream's calculator; JAX compiles it for the structure."""
    if precision == "double":
        raise SystemExit("mlip's calculator is for single precision. Give --precision single.")
    import json
    import zipfile

    from mlip.models import Mace, Nequip
    from mlip.models.model_io import load_model_from_zip
    from mlip.simulation.ase.mlip_ase_calculator import MLIPForceFieldASECalculator

    with zipfile.ZipFile(path) as archive:
        is_nequip = "target_irreps" in json.loads(archive.read("hyperparams.json"))["config"]
    force_field = load_model_from_zip(Nequip if is_nequip else Mace, path)
    return MLIPForceFieldASECalculator(atoms, 1.25, force_field)


UPSTREAM: dict[str, tuple[str, Callable[[Path, str, Any], Any]]] = {
    "nequix": ("nequix", nequix),
    "sevennet": ("sevenn", sevennet),
    "nequip": ("torch", nequip),
    "mace": ("mace-torch", mace),
    "mlip": ("mlip", mlip),
}


def main() -> None:
    """Time both, and print microseconds an atom and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("code", choices=UPSTREAM)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--unit", type=float, default=1.0, help="eV of upstream's unit")
    parser.add_argument("--elements", nargs=2, default=["Si", "O"])
    parser.add_argument(
        "--cells", type=int, default=2, help="copies of a cell of 8 along each axis"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    given = parser.parse_args()
    if any(os.environ.get(key) != value for key, value in THREADS.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **THREADS})

    import numpy as np
    from ase.build import bulk

    from eqnn import EQNN

    distribution, calculator_of = UPSTREAM[given.code]
    atoms = bulk("NaCl", "rocksalt", a=5.0, cubic=True).repeat(given.cells)
    atoms.symbols = [given.elements[int(z == 11)] for z in atoms.numbers]
    atoms.rattle(0.05, seed=1)
    theirs = calculator_of(given.checkpoint, given.precision, atoms)
    ours = EQNN(given.model, precision=given.precision, elements=given.elements)
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    found: dict[str, tuple[float, Any]] = {}
    rng = np.random.default_rng(2)
    for call in range(WARM + given.rounds):
        atoms.positions += rng.uniform(-STEP, STEP, atoms.positions.shape)
        for name, calculator in (("theirs", theirs), ("ours", ours)):
            one = atoms.copy()
            one.calc = calculator
            start = time.process_time()
            forces = one.get_forces()
            energy = one.get_potential_energy()
            if call >= WARM:
                seconds[name].append(time.process_time() - start)
            unit = given.unit if name == "theirs" else 1.0
            found[name] = unit * energy, unit * forces
    us = {name: 1e6 * statistics.median(of) / len(atoms) for name, of in seconds.items()}
    energies = abs(found["theirs"][0] - found["ours"][0]) / len(atoms)
    forces = float(np.abs(found["theirs"][1] - found["ours"][1]).max())
    n_edges = len(_neighbors(atoms, ours.cutoff)) / len(atoms)
    print(
        f"{given.model.stem} {given.precision}: {len(atoms)} atoms, {n_edges:.1f} neighbors; "
        f"{distribution} {version(distribution)} {us['theirs']:.0f} us/atom, "
        f"eqnn {us['ours']:.0f}, ratio {us['theirs'] / us['ours']:.1f}; "
        f"energies differ by {energies:.1e} eV/atom, "
        f"forces by {forces:.1e} of {np.abs(found['ours'][1]).max():.1e} eV/Angstrom"
    )


def _neighbors(atoms: Any, cutoff: float) -> Any:
    from ase.neighborlist import neighbor_list

    return neighbor_list("i", atoms, cutoff)


if __name__ == "__main__":
    main()
