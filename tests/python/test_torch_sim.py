# SPDX-License-Identifier: BSD-3-Clause
"""The model of torch-sim against ASE's calculator, in states of one and of many systems."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from eqnn_models import ROOT, refusal, tiny_model

from eqnn import EQNN
from eqnn.model_file import write_model

SOLVENTS = ROOT / "potentials" / "mace_solvents.eqnn"
MATERIALS = ROOT / "potentials" / "sevennet_0.eqnn"


@pytest.fixture
def ts() -> Any:
    """torch-sim, whose classes for other codes warn that these are not installed."""
    return pytest.importorskip(
        "torch_sim",
        reason="torch-sim is not installed: `make test-torch-sim` has it",
        exc_type=ImportError,
    )


def cells() -> list[Atoms]:
    """Crystals of several sizes, one of them smaller than the cutoff and sheared."""
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    carbon = bulk("C", "diamond", a=3.7)
    carbon.set_cell(carbon.cell.array @ (np.eye(3) + 0.01 * np.arange(9).reshape(3, 3)), True)
    for k, atoms in enumerate((salt, carbon)):
        atoms.rattle(0.05, seed=k)
    # Outside of its cell.
    salt.positions[0] += 3 * salt.cell[0] - salt.cell[1]
    return [salt, carbon]


def slab() -> Atoms:
    """Two layers of carbon, periodic along two axes, with a cell that says nothing of the third."""
    atoms = bulk("C", "diamond", a=3.6, cubic=True)
    atoms.pbc = (True, True, False)
    atoms.cell[2] = 0.0
    atoms.rattle(0.05, seed=4)
    return atoms


def molecules() -> list[Atoms]:
    """Molecules of several sizes."""
    out = [molecule(name) for name in ("CH3CH2OH", "H2O", "CH4")]
    for k, atoms in enumerate(out):
        atoms.rattle(0.05, seed=k)
    return out


def assert_same_as_ase(found: dict[str, Any], structures: Sequence[Atoms], model: Any) -> None:
    """Energies and forces of a state are, bit by bit, what the calculator has of each structure."""
    first = 0
    for k, atoms in enumerate(structures):
        atoms.calc = EQNN(model)
        assert float(found["energy"][k]) == atoms.get_potential_energy()
        forces = found["forces"][first : first + len(atoms)].numpy()
        assert np.array_equal(forces, atoms.get_forces())
        stress = found["stress"][k].numpy()
        if atoms.cell.volume > 0:
            # ASE keeps six numbers: means of components that differ by rounding.
            expected = atoms.get_stress(voigt=False)
            assert np.abs(stress - expected).max() <= 1e-12 * np.abs(expected).max()
        else:
            assert np.isnan(stress).all()
        first += len(atoms)
    assert len(found["energy"]) == len(structures) and len(found["forces"]) == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "structures"),
    [(MATERIALS, cells()), (MATERIALS, [slab()]), (SOLVENTS, molecules())],
    ids=["cells", "slab", "molecules"],
)
def test_a_state_has_the_numbers_of_the_calculator(ts: Any, model: Any, structures: Any) -> None:
    import torch

    from eqnn.torch_sim import EQNNModel

    ours = EQNNModel(model)
    state = ts.io.atoms_to_state(structures, torch.device("cpu"), torch.float64)
    assert_same_as_ase(ours(state), structures, model)
    single = ts.io.atoms_to_state(structures, torch.device("cpu"), torch.float32)
    found = EQNNModel(model, precision="single", dtype=torch.float32)(single)
    assert {values.dtype for values in found.values()} == {torch.float32}
    # Coordinates of float32: 1e-6 A of some 10, by at most 100 eV/A^2.
    assert float((found["forces"] - ours(state)["forces"]).abs().max()) <= 1e-4


@pytest.mark.slow
def test_torch_sim_accepts_the_model(ts: Any) -> None:
    """Its own test of models: shapes, batches, images, what must not change."""
    import torch
    from torch_sim.models.interface import validate_model_outputs

    from eqnn.torch_sim import EQNNModel

    validate_model_outputs(EQNNModel(MATERIALS), torch.device("cpu"), torch.float64)


@pytest.mark.slow
def test_a_relaxation_in_torch_sim_ends_without_forces(ts: Any) -> None:
    from eqnn.torch_sim import EQNNModel

    state = ts.optimize(
        system=molecules(),
        model=EQNNModel(SOLVENTS),
        optimizer=ts.Optimizer.fire,
        convergence_fn=ts.generate_force_convergence_fn(0.05, include_cell_forces=False),
    )
    for atoms in state.to_atoms():
        atoms.calc = EQNN(SOLVENTS)
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= 0.05


@pytest.mark.slow
def test_what_cannot_be_computed_names_its_system(ts: Any) -> None:
    import torch

    from eqnn.torch_sim import EQNNModel

    state = ts.io.atoms_to_state(
        [molecule("H2O"), molecule("SO2")], torch.device("cpu"), torch.float64
    )
    text = refusal(lambda: EQNNModel(SOLVENTS)(state))
    assert text.startswith("system 1 of the state: ") and "S" in text


@pytest.mark.slow
def test_direct_forces_have_no_stress(ts: Any, tmp_path: Any) -> None:
    import torch

    from eqnn.torch_sim import EQNNModel

    model = tiny_model(forces="direct")
    path = tmp_path / "direct.eqnn"
    write_model(path, model.document, model.tensors)
    assert "its forces are predicted" in refusal(lambda: EQNNModel(path))
    ours = EQNNModel(path, allow_direct_forces=True)
    assert not ours.compute_stress
    state = ts.io.atoms_to_state([molecule("H2O")], torch.device("cpu"), torch.float64)
    assert set(ours(state)) == {"energy", "forces"}


def test_without_torch_sim_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in ("torch", "torch_sim"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "eqnn.torch_sim", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as raised:
        import eqnn.torch_sim  # noqa: F401
    assert str(raised.value) == (
        "eqnn.torch_sim cannot import torch-sim (No module named 'torch'). "
        "Install it: pip install torch-sim-atomistic"
    )


def test_the_documents_program_relaxes(ts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "ase.md").read_text()
    (block,) = [
        b for b in re.findall(r"^```python\n(.*?)^```", page, re.S | re.M) if "torch_sim" in b
    ]
    monkeypatch.chdir(ROOT)
    found: dict[str, Any] = {}
    exec(block, found)
    relaxed = found["relaxed"]
    forces = found["EQNNModel"](SOLVENTS)(relaxed)["forces"]
    assert len(forces) == 12 and float(forces.norm(dim=1).max()) < 0.05
