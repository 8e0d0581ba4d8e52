# SPDX-License-Identifier: BSD-3-Clause
"""training/organic/rehearse.py: frames of two close atoms, so that walls stay."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from eqnn_models import max_error
from organic.rehearse import (
    DEEPEST,
    HIGHEST,
    STEEPEST,
    TURN,
    dimers,
    labeled,
    main,
    repulsion,
    wall_at,
)
from train_models import jax, random_cluster, yaml
from training_runs import labeled as labels_of

from eqnn.library import Potential
from eqnn.model_file import write_model
from eqnn.train.new import Shape, new_tdn

assert jax is not None  # the skip where there is none


@pytest.mark.parametrize(
    ("energies", "expected"),
    [
        ([0.0, 1.0, 5.0, 40.0], 4),  # a wall
        ([0.0, -4.0, -9.0, -3.0, 20.0], 5),  # a bond shorter than the sum of the radii, then a wall
        ([0.0, 5.0, 9.0, 9.0 - 1.1 * TURN, -500.0], 3),  # through a wall
        ([0.0, 0.5, 0.2, 6.0], 4),  # a ripple
        ([0.0, -0.9 * DEEPEST, -1.1 * DEEPEST, 0.0], 2),  # no wall at all
    ],
)
def test_where_a_wall_ends(energies: list[float], expected: int) -> None:
    assert wall_at(energies) == expected


def test_the_repulsion_is_ziegler_biersack_and_littmarks() -> None:
    r = np.linspace(0.1, 1.5, 40)
    for z_i, z_j in ((1, 1), (6, 8)):
        energy, force = repulsion((z_i, z_j), r)
        x = r * (z_i**0.23 + z_j**0.23) / 0.4685
        terms = ((0.02817, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.19980))
        expected = 14.399645 * z_i * z_j / r * sum(c * np.exp(-d * x) for c, d in terms)
        # But for a constant, since it is switched off far away.
        assert max_error(energy - energy[-1], expected - expected[-1]) <= 1e-8 * energy[0]
        slope = np.gradient(expected, r, edge_order=2)
        assert max_error(force[20:], -slope[20:]) <= 0.02 * force[20]
        assert (np.diff(force) < 0).all()


def test_frames_are_those_of_the_network_up_to_its_wall_and_rise_beyond(tmp_path: Path) -> None:
    model = new_tdn(Shape((1, 8), channels=4, l_max=1, cutoff=4.0))
    pairs = dimers(model.document["species"])
    assert [p[0].get_chemical_formula() for p in pairs] == ["H2", "HO", "O2"]
    write_model(tmp_path / "m.eqnn", model.document, model.tensors)
    frames = labeled(model, pairs)
    n_of_network = 0
    with Potential(tmp_path / "m.eqnn", "double") as potential:
        for atoms in frames:
            found = potential.evaluate(atoms.numbers, atoms.positions)
            is_same = abs(atoms.get_potential_energy() - found.energy) <= 1e-10
            if is_same:
                n_of_network += 1
            assert np.abs(atoms.get_forces().sum(0)).max() <= 1e-10
    assert n_of_network >= len(pairs)
    for of_pair in pairs:
        kept = [a for a in of_pair if a.calc is not None]
        energies = np.array([a.get_potential_energy() for a in kept])
        assert (energies <= energies[0] + HIGHEST).all()
        # Without ZBL an untrained network has no walls: those of ZBL go on from where it is.
        assert energies[-1] > energies[0] + 0.3 * HIGHEST


def test_what_a_network_made_too_steep_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the edge of what it has learned, a network may say hundreds of eV/Angstrom."""
    model = new_tdn(Shape((1, 8), channels=4, l_max=1, cutoff=4.0))

    def steepest(frames: list[Atoms]) -> list[float]:
        return [float(np.abs(a.get_forces()).max()) for a in frames]

    calm = labeled(model, dimers(model.document["species"]))
    assert max(steepest(calm)) <= STEEPEST
    limit = float(np.median(steepest(calm)))
    monkeypatch.setattr("organic.rehearse.STEEPEST", limit)
    fewer = labeled(model, dimers(model.document["species"]))
    assert steepest(fewer) == [f for f in steepest(calm) if f <= limit] and 0 < len(fewer) < len(
        calm
    )


def test_the_command_leaves_its_own_frames_out(tmp_path: Path) -> None:
    model = new_tdn(Shape((1, 6, 8), channels=4, l_max=1, cutoff=4.0))
    moved = dataclasses.replace(model)
    moved.document["energy"]["reference"] = [-10.0, -20.0, -30.0]
    write_model(tmp_path / "start.eqnn", moved.document, moved.tensors)
    with Potential(tmp_path / "start.eqnn", "reference") as potential:
        frames = [labels_of(potential, random_cluster([1, 6, 8], n, seed=n)) for n in (3, 4, 5, 7)]
    ase.io.write(tmp_path / "train.xyz", frames)
    said = {
        "model": "start.eqnn",
        "output": "out",
        "data": {"train": ["train.xyz", "dimers.xyz"]},
        "energies": {"reference": "refit"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(said))
    words = [str(tmp_path / "config.yaml"), str(tmp_path / "dimers.xyz")]
    assert main(words) == 0
    first = (tmp_path / "dimers.xyz").read_bytes()
    assert main(words) == 0
    assert (tmp_path / "dimers.xyz").read_bytes() == first
    found = ase.io.read(tmp_path / "dimers.xyz", ":")
    assert isinstance(found, list) and all(isinstance(a, Atoms) and len(a) == 2 for a in found)
    assert {a.get_chemical_formula() for a in found} == {"H2", "CH", "HO", "C2", "CO", "O2"}


def test_a_configuration_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none.yaml"), str(tmp_path / "out.xyz")])
    said = capsys.readouterr().err
    assert "none.yaml" in said and "Traceback" not in said
    assert not (tmp_path / "out.xyz").exists()
