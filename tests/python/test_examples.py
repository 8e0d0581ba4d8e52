# SPDX-License-Identifier: BSD-3-Clause
"""The network of examples/new_architecture.py does what docs/adding_an_architecture.md says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms
from eqnn_models import ROOT, max_error

from eqnn.library import Potential
from eqnn.model_file import Model, read_model
from eqnn.numpy_evaluator import energy, forces

DOCS = ROOT / "docs" / "adding_an_architecture.md"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "new_architecture", ROOT / "examples" / "new_architecture.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "argon.eqnn"
    example.main(path)
    return path


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return read_model(path)


def test_it_has_learnt_clusters_that_it_has_not_seen(example: ModuleType, model: Model) -> None:
    clusters = example.clusters(30, seed=9)
    expected = np.array([example.lennard_jones(atoms) for atoms in clusters])
    found = np.array([energy(model, atoms) for atoms in clusters])
    error = float(np.sqrt(np.mean((found - expected) ** 2)))
    # 0.8 meV on 50 clusters when it was written, where energies spread by 16 meV.
    assert error <= 0.1 * expected.std()


def test_the_engine_computes_what_was_built(path: Path, model: Model, example: ModuleType) -> None:
    atoms = example.clusters(1, seed=4)[0]
    expected = forces(model, atoms)
    assert np.abs(expected).max() > 1e-4
    for evaluator in ("reference", "double"):
        with Potential(path, evaluator) as potential:
            found = potential.evaluate(atoms.numbers.tolist(), atoms.positions, None)
        assert abs(found.energy - energy(model, atoms)) <= 1e-12
        assert max_error(found.forces, expected) <= 1e-11


def test_it_is_symmetric(model: Model, example: ModuleType) -> None:
    atoms = example.clusters(1, seed=4)[0]
    mirrored = Atoms(atoms.numbers, -atoms.positions)
    assert abs(energy(model, mirrored) - energy(model, atoms)) <= 1e-14
    assert np.abs(forces(model, atoms).sum(0)).max() <= 1e-14


def test_the_page_names_what_exists() -> None:
    # Blocks are files of the example, whose links start where those files stand.
    text = re.sub(r"^(`{3,}).*?^\1$", "", DOCS.read_text(), flags=re.DOTALL | re.MULTILINE)
    for name in re.findall(r"\]\(([^)#]+)\)", text):
        assert (DOCS.parent / name).is_file(), name
    files = re.findall(r"`((?:python|src|docs|export)/[\w/.]+)`", text)
    assert len(files) > 5
    for name in files:
        found = ROOT / name if not name.startswith("export/") else ROOT / "python/eqnn" / name
        assert found.exists(), name
    source = "".join(path.read_text() for path in (ROOT / "python" / "eqnn").rglob("*.py"))
    cxx = "".join(path.read_text() for path in (ROOT / "src").rglob("*.?pp"))
    for name in re.findall(r"`(?:[\w.]+\.)?(\w+)\(", text):
        known = f"def {name}(" in source or f"class {name}" in source or f" {name}(" in cxx
        assert known, name
