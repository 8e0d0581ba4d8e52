# SPDX-License-Identifier: BSD-3-Clause
"""training/organic: what makes the frames of organic potentials.

Tests that need RDKit are skipped where it is missing, as in `make test`; `make test-dataset` brings
it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import ase.io
import numpy as np
import pytest
from organic import committee, dft, hot, nve, ship
from organic.dft import key, key_of, whole_frames, written
from organic.shared import FARTHEST, STIFFNESS, WIDEST, WINDOWS, held, hydrogen_bonds, windows
from organic.small import (
    CONTACTS,
    MOLECULES,
    STRETCHES,
    Task,
    alone,
    atoms,
    kinds_of_bonds,
    stretched,
    together,
)
from organic.structures import (
    BOLTZMANN,
    Floats,
    Molecule,
    beyond,
    distorted,
    sampled,
    seed_of,
    turned,
)
from organic.teacher import (
    LARGEST_DOUBT,
    LARGEST_FORCE,
    LEVEL,
    Lot,
    is_watched,
    load,
    lots_of,
    main,
    save_atomically,
)

from eqnn.errors import EqnnError
from eqnn.library import Potential
from eqnn.packed import Structure

ROOT = Path(__file__).resolve().parents[2]
MADE_UP = ("CNC(C)=O", "COC=N", "CCC=O", "C=CCN", "NCC#N", "CC(C)O", "CN(C)N", "OCC=O")
# 3-aminoacrolein by hand: N-H...O closes the ring.
RING = (
    [8, 6, 6, 6, 7, 1, 1, 1, 1, 1],
    np.array(
        [
            [0.0, 0.0, 0.0],
            [0.0, 1.24, 0.0],
            [1.2, 1.96, 0.0],
            [2.4, 1.28, 0.0],
            [2.5, -0.06, 0.0],
            [1.7, -0.66, 0.0],
            [3.4, -0.5, 0.1],
            [-0.95, 1.8, 0.0],
            [1.2, 3.05, 0.0],
            [3.35, 1.85, 0.0],
        ]
    ),
)


def a_lot(n_frames: int = 4, smiles: str = "CO") -> Lot:
    draw = np.random.default_rng(3)
    n_atoms = 6
    return Lot(
        np.array([smiles] * n_frames),
        np.array([[6, 8, 1, 1, 1, 1]] * n_frames),
        draw.normal(size=(n_frames, n_atoms, 3)),
        draw.normal(size=n_frames) - 3000.0,
        draw.normal(size=(n_frames, n_atoms, 3)),
        np.full(n_frames, 0.01),
    )


def butane() -> Molecule:
    """Return a zigzag chain of four carbons without hydrogens."""
    positions = np.array([[0, 0, 0], [1.2, 0.9, 0], [2.4, 0, 0], [3.6, 0.9, 0]], float)
    bonds = ((0, 1), (1, 2), (2, 3))
    return Molecule("CCCC", (6, 6, 6, 6), bonds, bonds, positions)


def test_beyond_a_bond_is_the_rest_of_the_chain() -> None:
    bonds = [(0, 1), (1, 2), (2, 3), (2, 4)]
    assert beyond((1, 2), bonds) == [2, 3, 4]
    assert beyond((2, 1), bonds) == [0, 1]


def test_turning_keeps_lengths_and_goes_the_right_way() -> None:
    x = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    found = turned(x, np.array([0.0, 0.0, 3.0]), np.pi / 2)
    assert np.abs(found - [[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]).max() <= 1e-12


def test_distorted_molecules_differ_by_the_draw_alone() -> None:
    molecule = butane()
    one, again, other = (distorted(molecule, np.random.default_rng(k)) for k in (1, 1, 2))
    assert (one == again).all()
    assert np.abs(one - other).max() > 0.01
    # Bonds are stretched by a quarter at most, and shaken by some 0.06 Angstrom.
    for seed in range(50):
        x = distorted(molecule, np.random.default_rng(seed))
        lengths = np.linalg.norm(x[1:] - x[:-1], axis=1)
        assert lengths.max() < 1.5 * 1.25**3 + 0.6 and lengths.min() > 1.5 * 0.88**3 - 0.6


def test_dynamics_sample_the_temperature() -> None:
    """Springs: the mean of k x^2 is k_B T, whatever the temperature."""
    spring = 5.0
    temperatures = np.repeat([100.0, 1000.0], 2000)

    def forces(x: Floats) -> Floats:
        return -spring * x

    rest = np.zeros((4000, 1, 3))
    draw = np.random.default_rng(5)
    kept = sampled(rest, temperatures, forces, [60, 120, 180], draw)
    assert len(kept) == 3
    x = kept[-1]
    for half, kelvin in ((slice(0, 2000), 100.0), (slice(2000, 4000), 1000.0)):
        found = spring * (x[half] ** 2).mean() / BOLTZMANN
        assert abs(found / kelvin - 1) < 0.08, (found, kelvin)


def test_huge_forces_do_not_throw_atoms_away() -> None:
    def forces(x: Floats) -> Floats:
        return np.full_like(x, 1e6)

    (x,) = sampled(np.zeros((1, 2, 3)), np.array([0.0]), forces, [1], np.random.default_rng(1))
    assert np.abs(x).max() < 0.1


def test_lots_have_one_number_of_atoms_and_all_molecules() -> None:
    lines = [(f"{k}", 5 + k % 3) for k in range(50)]
    lots = lots_of(lines, size=7)
    assert sorted(smiles for lot in lots for smiles in lot) == sorted(smiles for smiles, _ in lines)
    assert max(len(lot) for lot in lots) <= 7
    sizes = dict(lines)
    assert all(len({sizes[smiles] for smiles in lot}) == 1 for lot in lots)


def test_frames_that_teach_nothing_good_are_left_out() -> None:
    lot = a_lot(6)
    lot.forces[1, 2] = (LARGEST_FORCE + 0.1, 0.0, 0.0)
    lot.doubt[2] = LARGEST_DOUBT * 1.01
    lot.energies[3] = np.nan
    lot.forces[4, 0, 0] = np.nan
    assert lot.good().tolist() == [True, False, False, False, False, True]


def test_a_lot_is_whole_or_not_there(tmp_path: Path) -> None:
    lot = a_lot()
    save_atomically(tmp_path / "lot0000.npz", lot)
    found = load(tmp_path / "lot0000.npz")
    for name, values in vars(lot).items():
        assert (getattr(found, name) == values).all(), name
    assert [path.name for path in tmp_path.iterdir()] == ["lot0000.npz"]


@pytest.mark.parametrize("n", [0, 10, 400])
def test_a_damaged_lot_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], n: int) -> None:
    """By all that read lots, and nothing is written."""
    path = tmp_path / "lot0000.npz"
    save_atomically(path, a_lot())
    path.write_bytes(path.read_bytes()[:n])
    out = str(tmp_path / "out.xyz")
    for run, words in (
        (main, ["join", str(tmp_path)]),
        (dft.main, [str(tmp_path), out]),
        (committee.main, [str(tmp_path), out, "a.eqnn", "b.eqnn"]),
    ):
        with pytest.raises(SystemExit):
            run(words)
        said = capsys.readouterr().err
        assert "lot0000.npz: cannot be read as a lot of frames" in said
        assert "Delete it; organic.teacher makes it anew" in said
    assert not (tmp_path / "out.xyz").exists() and not (tmp_path / "train.xyz").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["join", "."], "found no lot*.npz"),
        (["frames", "none.txt", "."], "none.txt: cannot be read as a list"),
        (["frames", "none.txt", ".", "--part", "2/2"], "--part: found 2/2, expected K below N"),
        (["frames", "none.txt", ".", "--part", "half"], "--part: found half, expected K/N"),
    ],
)
def test_what_the_teacher_cannot_do_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(words)
    assert expected in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_their_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cure = "`pip install -r training/organic/requirements.txt` brings what is needed"
    output = tmp_path / "out.xyz"
    for module in ("rdkit", "pyscf"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit):
        dft.main([str(tmp_path), str(output), "--small"])
    assert "rdkit" in (said := capsys.readouterr().err) and cure in said
    (tmp_path / "list.txt").write_text("CO\n")
    with pytest.raises(SystemExit):
        main(["frames", str(tmp_path / "list.txt"), str(tmp_path)])
    assert "rdkit" in (said := capsys.readouterr().err) and cure in said
    monkeypatch.setattr(dft, "small", lambda: [Task("CO", "", [6, 8], np.eye(3)[:2])])
    with pytest.raises(SystemExit):
        dft.main([str(tmp_path), str(output), "--small"])
    assert "pyscf" in (said := capsys.readouterr().err) and cure in said


def test_the_set_is_joined_and_split_by_molecule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"C{'C' * k}O" for k in range(200)]
    watched = next(name for name in names if is_watched(name))
    fitted = next(name for name in names if not is_watched(name))
    for k, smiles in enumerate((watched, fitted)):
        lot = a_lot(3 + k, smiles)
        lot.doubt[0] = 1.0
        save_atomically(tmp_path / f"lot{k:04d}.npz", lot)
    assert main(["join", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "3 frames of 1 molecules" in told and "2 frames left out, of 2 lots." in told
    frames, watching = (list(ase.io.iread(tmp_path / f"{name}.xyz")) for name in ("train", "watch"))
    assert len(frames) == 3 and len(watching) == 2
    first, lot = frames[0], load(tmp_path / "lot0001.npz")
    assert first.info["smiles"] == fitted and first.info["level"] == LEVEL
    assert abs(first.get_potential_energy() - lot.energies[1]) <= 1e-6
    assert np.abs(first.get_forces() - lot.forces[1]).max() <= 1e-5
    assert np.abs(first.positions - lot.positions[1]).max() <= 1e-6


def test_molecules_that_the_teacher_doubts_are_another_choice(tmp_path: Path) -> None:
    names = [f"C{'C' * k}O" for k in range(200)]
    sure, doubted, half, torn = [name for name in names if not is_watched(name)][:4]
    lots = {name: a_lot(4, name) for name in (sure, doubted, half, torn)}
    lots[doubted].doubt[:3] = 2 * LARGEST_DOUBT
    lots[half].doubt[:2] = 2 * LARGEST_DOUBT
    lots[torn].doubt[:] = 2 * LARGEST_DOUBT
    lots[torn].forces[1:, 0, 0] = LARGEST_FORCE + 1
    for k, lot in enumerate(lots.values()):
        lot.numbers[:, :3] = 6
        save_atomically(tmp_path / f"lot{k:04d}.npz", lot)
    agreed = {smiles: k for smiles, _, k in dft.chosen(tmp_path)}
    assert set(agreed) == {sure, doubted, half}
    assert agreed[doubted] == 3 and agreed[half] in (2, 3)
    ((smiles, _, k),) = dft.chosen(tmp_path, doubtful=True)
    assert smiles == doubted and k in (0, 1, 2)


def test_potentials_choose_where_they_disagree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for k in range(200) if not is_watched(name := f"C{'C' * k}O")]
    watched = next(name for k in range(200) if is_watched(name := f"C{'C' * k}O"))
    apart = {names[0]: (0.1, 0.3, 0.2, 0.0), names[1]: (0.4, 0.1, 0.1, 0.5), watched: (0.5,) * 4}
    apart[names[2]] = (0.1, 0.1, dft.LARGEST_DISAGREEMENT + 0.01, 0.1)
    lots = {name: a_lot(4, name) for name in sorted(apart)}
    for k, (name, lot) in enumerate(lots.items()):
        lot.numbers[:, :4] = 6
        lot.positions[:, 0, 0] = apart[name]
        save_atomically(tmp_path / f"lot{k:04d}.npz", lot)

    def by_first_atom(
        _: Sequence[str], structures: Sequence[Structure]
    ) -> tuple[Floats, list[Floats]]:
        """Let two potentials disagree by what the first atom says."""
        apart = [np.reshape([1, -1], (2, 1, 1)) * np.asarray(x)[0, 0] for _, x, _ in structures]
        return np.zeros((2, len(apart))), apart

    monkeypatch.setattr(dft, "predictions", by_first_atom)
    found = [(smiles, k) for smiles, _, k in dft.disagreed(tmp_path, ["a", "b"])]
    assert found == [(names[1], 3), (names[0], 1)]


def shared_hydrogens(atoms: ase.Atoms, within: float) -> int:
    """Count the hydrogens that are within so many Angstrom of two heavy atoms."""
    distances = atoms.get_all_distances()[np.ix_(atoms.numbers == 1, atoms.numbers > 1)]
    return int(((distances <= within).sum(axis=1) >= 2).sum())


def test_stored_transfers_have_a_hydrogen_between_two_atoms() -> None:
    frames = ase.io.read(ROOT / "training" / "organic" / "transfers.xyz.gz", ":")
    assert isinstance(frames, list)
    assert all(shared_hydrogens(frame, dft.SHARED[1] + 1e-4) for frame in frames)


def test_larger_molecules_are_those_that_no_training_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dft, "LARGER", (3, 4))
    names = [f"C{'C' * k}O" for k in range(400)]
    watched = [name for name in names if is_watched(name)][:3]
    fitted = next(name for name in names if not is_watched(name))
    for k, name in enumerate((*watched, fitted)):
        lot = a_lot(4, name)
        lot.numbers[:, : 2 if k == 1 else 4] = 6
        lot.doubt[:2] = 2 * LARGEST_DOUBT
        save_atomically(tmp_path / f"lot{k:04d}.npz", lot)
    found = dft.larger(tmp_path)
    assert {smiles for smiles, _, _ in found} == {watched[0], watched[2]}
    assert all(k in (2, 3) for _, _, k in found)
    monkeypatch.setattr(dft, "N_LARGER", 1)
    assert [smiles for smiles, _, _ in dft.larger(tmp_path)] == [found[0][0]]


def formic_acid() -> tuple[list[int], Floats]:
    """C, two O that are 2.26 Angstrom apart, H of C, and H of the first O towards the second."""
    positions = np.array(
        [[0, 0, 0], [1.13, 1.0, 0], [-1.13, 1.1, 0], [0, -1.1, 0], [0.66, 1.85, 0]], float
    )
    return [6, 8, 8, 1, 1], positions


def test_a_transferred_hydrogen_is_between_two_heavy_atoms() -> None:
    numbers, x = formic_acid()
    draws = [dft.transferred(numbers, x, np.random.default_rng(k)) for k in range(20)]
    for moved in draws:
        assert moved is not None
        (h,) = np.flatnonzero(np.abs(moved - x).max(axis=1) > 1e-9)
        assert h == 4 and moved[h, 2] == pytest.approx(0, abs=1e-12)
        from_, to = np.linalg.norm(moved[[1, 2]] - moved[h], axis=1)
        assert dft.SHARED[0] <= from_ <= dft.SHARED[1] and dft.SHARED[0] <= to <= dft.SHARED[1]
        along = x[2] - x[1]
        across = np.cross(along, moved[h] - x[1])[2]
        assert across * np.cross(along, x[h] - x[1])[2] > 0, "the hydrogen changed sides"
    assert len({moved.tobytes() for moved in draws if moved is not None}) == 20


def test_a_transferred_hydrogen_is_near_both_atoms_of_a_wide_gap() -> None:
    """Distances that do not span it are stretched, which may put one beyond the limit."""
    numbers, x = formic_acid()
    x[1:3, 0] *= dft.APART[1] / 2.3
    assert 2.8 <= np.linalg.norm(x[2] - x[1]) <= dft.APART[1]
    draws = [dft.transferred(numbers, x, np.random.default_rng(k)) for k in range(200)]
    found = [moved for moved in draws if moved is not None]
    assert 100 <= len(found) < 200
    for moved in found:
        (h,) = np.flatnonzero(np.abs(moved - x).max(axis=1) > 1e-9)
        between = np.linalg.norm(moved[[1, 2]] - moved[h], axis=1)
        assert (between >= dft.SHARED[0]).all() and (between <= dft.SHARED[1] + 1e-9).all()


@pytest.mark.parametrize("case", ["carbons", "far", "bonded", "crowded", "straight", "no hydrogen"])
def test_a_structure_without_a_place_for_a_transfer_gives_none(case: str) -> None:
    numbers, x = formic_acid()
    if case == "carbons":
        numbers = [8, 6, 6, 1, 1]
    elif case == "far":
        x[2, 0] -= 4.0
    elif case == "bonded":
        x[2] = [0.4, 1.9, 0]
        numbers, x = numbers[1:3] + numbers[4:], x[[1, 2, 4]]
    elif case == "crowded":
        numbers, x = [*numbers, 7], np.vstack([x, [0.0, 1.3, 0.5]])
    elif case == "straight":
        x[4] = x[1] + (x[1] - x[2])
    else:
        numbers, x = numbers[:3], x[:3]
    assert dft.transferred(numbers, x, np.random.default_rng(0)) is None


def test_transfers_are_of_small_molecules_that_are_fitted(tmp_path: Path) -> None:
    names = [name for k in range(200) if not is_watched(name := f"C{'C' * k}O")][:2]
    watched = next(name for k in range(200) if is_watched(name := f"C{'C' * k}O"))
    numbers, x = formic_acid()
    torn = "CO"
    for k, name in enumerate((*names, watched, torn)):
        lot = a_lot(4, name)
        lot.numbers[:] = [*numbers, 1]
        lot.positions[:] = np.vstack([x, [0.0, -8.0, 0.0]])
        if name == torn:
            lot.forces[:, 0, 0] = LARGEST_FORCE + 1
        save_atomically(tmp_path / f"lot{k:04d}.npz", lot)
    found = dft.transfers(tmp_path)
    assert {smiles for smiles, _, _ in found} == set(names)
    for _, lot, k in found:
        assert np.abs(lot.positions[k, 4] - x[4]).max() > 1e-3
        assert np.abs(lot.positions[k, :4] - x[:4]).max() == 0
    again = dft.transfers(tmp_path)
    assert [(s, k) for s, _, k in again] == [(s, k) for s, _, k in found]
    assert all(
        np.array_equal(a[1].positions, b[1].positions) for a, b in zip(again, found, strict=True)
    )


def test_disagreement_is_the_spread_of_forces() -> None:
    models = [str(ROOT / "potentials" / f"organic_{name}.eqnn") for name in ("tdn", "mace")]
    water = np.array([[0.0, 0, 0], [0.0, 0, 0.97], [0.94, 0, -0.24]])
    structures = [(np.array([8, 1, 1]), water * scale, None) for scale in (1.0, 1.1)]
    forces = []
    for model in models:
        with Potential(model) as potential:
            forces.append([potential.evaluate(z, x).forces for z, x, _ in structures])
    # Of two, each is half of the difference away from the mean.
    expected = [np.sqrt(((a - b) ** 2).mean()) / 2 for a, b in zip(*forces, strict=True)]
    found = [committee.disagreement(of) for of in committee.predictions(models, structures)[1]]
    assert found == pytest.approx(expected, rel=1e-12)
    with Potential(models[0]) as one, Potential(models[1]) as other:  # open ones stay open
        for _ in range(2):
            again = committee.predictions([one, other], structures)[1]
            assert [committee.disagreement(of) for of in again] == found
    same = [committee.disagreement(np.stack([f, f])) for f in forces[0]]
    assert same == pytest.approx([0, 0], abs=1e-12)


def test_a_structure_that_a_potential_refuses_is_not_passed_over() -> None:
    """Leaving it out would shift the others against those of the next potential."""
    models = [str(ROOT / "potentials" / f"organic_{name}.eqnn") for name in ("tdn", "mace")]
    structures = [(np.array([8, z]), np.eye(3)[:2], None) for z in (1, 18)]
    with pytest.raises(EqnnError, match=r"organic_tdn\.eqnn: structure 1: atom 1 is Ar"):
        committee.predictions(models, structures)


def test_potentials_that_are_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what makes frames and what runs dynamics, and nothing is written."""
    lots, output = tmp_path / "lots", tmp_path / "out.xyz"
    lots.mkdir()
    save_atomically(lots / "lot0000.npz", a_lot(4, "CO"))
    missing = str(tmp_path / "missing.eqnn")
    frames = str(ROOT / "training" / "organic" / "larger.xyz.gz")
    for main_of, words in (
        (dft.main, [str(lots), str(output), "--disagree", missing, f"{missing}2"]),
        (nve.main, [missing, frames]),
        (nve.main, [frames, missing]),
    ):
        with pytest.raises(SystemExit):
            main_of(words)
        assert missing in capsys.readouterr().err and not output.exists()


def test_a_committee_labels_what_it_agrees_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels are the means; frames of disagreement and of watched molecules are left out."""
    name = next(n for k in range(200) if not is_watched(n := f"C{'C' * k}O"))
    watched = next(n for k in range(200) if is_watched(n := f"C{'C' * k}O"))
    for k, smiles in enumerate((name, watched)):
        lot = a_lot(4, smiles)
        lot.positions[:, 0, 0] = 0.1 * np.arange(len(lot.energies))
        save_atomically(tmp_path / f"lot{k:04d}.npz", lot)
    count = len(a_lot(4, name).energies)
    odd = 0.1 * (count - 1)  # where the two potentials disagree

    def made_up(
        models: Sequence[str], structures: Sequence[Structure]
    ) -> tuple[Floats, list[Floats]]:
        x = [np.asarray(x)[0, 0] for _, x, _ in structures]
        energies = np.array([np.array(x) - 1, np.array(x) + 3])
        by = [committee.LARGEST_DISAGREEMENT * (1.01 if abs(v - odd) < 1e-9 else 0.5) for v in x]
        shapes = [np.asarray(positions).shape for _, positions, _ in structures]
        # Of two, each is `by` away from their mean, 2.
        return energies, [
            np.stack([np.full(shape, 2 - d), np.full(shape, 2 + d)])
            for d, shape in zip(by, shapes, strict=True)
        ]

    monkeypatch.setattr(committee, "predictions", made_up)
    output = tmp_path / "out.xyz"
    assert committee.main([str(tmp_path), str(output), "a.eqnn", "b.eqnn"]) == 0
    assert f"{count - 1} frames, of {count} labeled and {count} found" in capsys.readouterr().out
    frames = ase.io.read(output, ":")
    assert isinstance(frames, list) and len(frames) == count - 1
    for frame in frames:
        assert frame.info["smiles"] == name
        assert frame.info["level"] == "mean of a, b"
        assert frame.get_potential_energy() == pytest.approx(frame.positions[0, 0] + 1, abs=1e-6)
        assert frame.get_forces() == pytest.approx(2.0)
    assert committee.main([str(tmp_path), str(output), "a.eqnn", "b.eqnn", "--frames", "2"]) == 0
    assert "of 2 labeled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.eqnn"], "found one potential, expected two or more"),
        (["a.eqnn", "b.eqnn", "./a.eqnn"], "found ./a.eqnn twice, expected different potentials"),
        (["a.eqnn", "b.eqnn", "--frames", "0"], "--frames: found 0, expected 1 or more"),
        (["a.eqnn", "b.eqnn"], "found no lot*.npz. Expected the folder that"),
    ],
)
def test_committees_that_cannot_label_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    output = tmp_path / "out.xyz"
    with pytest.raises(SystemExit):
        committee.main([str(tmp_path), str(output), *words])
    assert expected in capsys.readouterr().err and not output.exists()
    save_atomically(tmp_path / "lot0000.npz", a_lot(4, "CO"))
    with pytest.raises(SystemExit):
        committee.main([str(tmp_path), str(tmp_path / "no" / "out.xyz"), "a.eqnn", "b.eqnn"])
    assert f"found no folder {tmp_path / 'no'}. Make it first" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        committee.main([str(tmp_path), str(output), "a.eqnn", "b.eqnn"])
    assert "a.eqnn" in capsys.readouterr().err and not output.exists()
    with pytest.raises(SystemExit):
        committee.main([str(tmp_path), str(tmp_path), "a.eqnn", "b.eqnn"])
    assert f"{tmp_path}: found a folder, expected a file to write" in capsys.readouterr().err


def test_labels_that_are_not_finite_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a label says which potentials it is of, though training calls all of them model.eqnn."""
    z, x = np.array([6, 8]), np.eye(3)[:2]
    forces = [np.zeros((2, 2, 3)), np.full((2, 2, 3), np.nan)]
    monkeypatch.setattr(committee, "predictions", lambda *_: (np.zeros((2, 2)), forces))
    found = committee.kept(["tdn/model.eqnn", "mace/model.eqnn"], [("CO", z, x), ("C=O", z, x)])
    (frame,) = found
    assert 'smiles="CO" level="mean of tdn/model, mace/model"' in frame


def test_a_folder_without_a_result_is_not_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ship, "ROOT", tmp_path)
    with pytest.raises(SystemExit):
        ship.main([str(tmp_path), "organic_tdn"])
    assert f"{tmp_path}: found no distilled/model.eqnn. Train" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out.xyz").mkdir()
    with pytest.raises(EqnnError, match=r"out\.xyz: cannot be written \(Is a directory\)"):
        committee.replace_text(tmp_path / "out.xyz", "text")


def test_two_processes_do_not_add_to_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second would replace the file to which the first writes, and its frames would be lost."""
    output = tmp_path / "out.xyz"
    task = Task("CO", "", [6, 8], np.eye(3)[:2])
    monkeypatch.setattr(dft, "small", lambda: [task])
    seconds: list[int] = []

    def computed(_: Task) -> tuple[float, Floats, float]:
        with pytest.raises(SystemExit) as left:
            dft.main([str(tmp_path), str(output), "--small"])
        seconds.append(int(str(left.value)))
        return -3000.0, np.zeros((2, 3)), 5.0

    monkeypatch.setattr(dft, "lowest", computed)
    assert dft.main([str(tmp_path), str(output), "--small"]) == 0
    assert "out.xyz: another process adds to it. Wait for it" in capsys.readouterr().err
    assert seconds == [2]
    assert list(whole_frames(output.read_text())) == [written(task, -3000.0, np.zeros((2, 3)), 5.0)]
    # It is done, so there is nothing to compute.
    assert dft.main([str(tmp_path), str(output), "--small"]) == 0 and seconds == [2]


@pytest.mark.parametrize("text", ["# notes\n", "\n", "-2\nx\ny\n", "1\n\nH 0 0 0\n"])
def test_a_file_of_another_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """It is left as it was."""
    output = tmp_path / "out.xyz"
    output.write_text(text)
    with pytest.raises(SystemExit):
        dft.main([str(tmp_path), str(output), "--small"])
    assert "found a file that this command did not write" in capsys.readouterr().err
    assert output.read_text() == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--disagree", "a.eqnn"], "expected two or more"),
        (["--disagree", "a.eqnn", "a.eqnn"], "--disagree: found a.eqnn twice"),
        (["--small", "--seconds", "nan"], "--seconds: found nan, expected 0 or more"),
        (["--shared", "a.eqnn"], "--shared: found one potential, expected two or more"),
        (["--shared", "a.eqnn", "b.eqnn", "--small"], "not allowed with"),
        (["--larger", "--doubtful"], "not allowed with"),
        (["--larger", "--disagree", "a.eqnn", "b.eqnn"], "not allowed with"),
        (["--transfers", "--doubtful"], "not allowed with"),
        (["--transfers", "--largest", "6"], "--largest: found it without --disagree"),
        (
            ["--disagree", "a.eqnn", "b.eqnn", "--largest", "0"],
            "--largest: found 0, expected 3 heavy atoms or more",
        ),
    ],
)
def test_choices_that_exclude_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    output = tmp_path / "out.xyz"
    with pytest.raises(SystemExit):
        dft.main([str(tmp_path), str(output), *words])
    assert expected in capsys.readouterr().err and not output.exists()


def test_folders_that_are_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing to compute would look like work that is done."""
    output = tmp_path / "out.xyz"
    for folder in (tmp_path, tmp_path / "missing", output):
        with pytest.raises(SystemExit):
            dft.main([str(folder), str(output)])
        said = f"{folder}: found no lot*.npz. Expected the folder that `python -m organic.teacher"
        assert said in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
    save_atomically(tmp_path / "lot0000.npz", a_lot(4, "CO"))
    with pytest.raises(SystemExit):
        dft.main([str(tmp_path), str(tmp_path / "missing" / "out.xyz")])
    said = f"out.xyz: found no folder {tmp_path / 'missing'}. Make it first"
    assert said in capsys.readouterr().err


def test_hot_frames_are_hot_and_labeled_by_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Springs to where each atom was: in equilibrium, each coordinate has kT/k as its variance."""
    rest = np.array([[0.0, 0, 0], [0.0, 0, 0.97], [0.94, 0, -0.24]])
    stiff = 5.0  # eV/Angstrom^2

    def springs(
        models: Sequence[str], structures: Sequence[Structure]
    ) -> tuple[Floats, list[Floats]]:
        # The two differ by a constant force, which their mean does not have.
        moved = [np.asarray(x) - rest for _, x, _ in structures]
        forces = [np.stack([-stiff * d - 0.1, -stiff * d + 0.1]) for d in moved]
        energies = [stiff * (d**2).sum() / 2 for d in moved]
        return np.array([energies, energies]), forces

    opened: list[str] = []

    def opening(model: str) -> nullcontext[None]:
        opened.append(model)
        return nullcontext()

    monkeypatch.setattr(hot, "Potential", opening)
    for module in (hot, committee):
        monkeypatch.setattr(module, "predictions", springs)
    start, output = tmp_path / "start.xyz", tmp_path / "out.xyz"
    ase.io.write(start, [ase.Atoms("OHH", rest)] * 2)
    words = [str(start), str(output), "a.eqnn", "b.eqnn", "--trajectories", "200"]
    assert hot.main([*words, "--hottest", "300"]) == 0
    assert "600 frames, of 600 labeled" in capsys.readouterr().out
    assert opened == ["a.eqnn", "b.eqnn"], "once, and not at every step"
    frames = ase.io.read(output, ":")
    assert isinstance(frames, list)
    moved = np.stack([frame.positions - rest for frame in frames])
    # 1800 numbers of each trajectory's three frames, which know of each other: within 10 %.
    assert (moved**2).mean() == pytest.approx(BOLTZMANN * 300 / stiff, rel=0.1)
    for frame, d in zip(frames[:20], moved, strict=False):
        assert frame.get_forces() == pytest.approx(-stiff * d, abs=2e-5)
        assert frame.info["level"] == "mean of a, b"
    first = output.read_text()
    assert hot.main([*words, "--hottest", "300"]) == 0 and output.read_text() == first
    assert hot.main([*words, "--hottest", "300", "--seed", "2"]) == 0
    assert output.read_text() != first


def test_protons_of_hot_frames_are_held_where_nothing_else_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their labels have no springs; a start without hydrogen bonds is refused."""
    numbers, x = RING

    def but_for_the_proton(
        _: object, structures: Sequence[Structure]
    ) -> tuple[Floats, list[Floats]]:
        forces = []
        for _, y, _ in structures:
            f = 20.0 * (x - y)
            f[5] = 0.0
            forces.append(np.stack([f, f]))
        return np.zeros((2, len(forces))), forces

    monkeypatch.setattr(hot, "Potential", lambda model: nullcontext())
    for module in (hot, committee):
        monkeypatch.setattr(module, "predictions", but_for_the_proton)
    start, output = tmp_path / "start.xyz", tmp_path / "out.xyz"
    ase.io.write(start, ase.Atoms(numbers, x))
    words = [str(start), str(output), "a.eqnn", "b.eqnn", "--hottest", "300", "--protons"]
    assert hot.main([*words, "--trajectories", "60"]) == 0
    frames = ase.io.read(output, ":")
    assert isinstance(frames, list) and len(frames) == 180
    way = [f.get_distance(4, 5) - f.get_distance(0, 5) for f in frames]
    assert max(map(abs, way)) < FARTHEST + 0.3
    assert min(way) < -0.6 and max(way) > 0.6 and sum(abs(w) < 0.3 for w in way) > 30
    assert all(np.array_equal(f.get_forces()[5], [0, 0, 0]) for f in frames)
    for bare in (ase.Atoms("OHH", np.eye(3)), ase.Atoms("HH", np.eye(3)[:2])):
        ase.io.write(start, bare)
        with pytest.raises(SystemExit):
            hot.main(words)
        said = capsys.readouterr().err
        assert "start.xyz: frame 0 has no hydrogen bond, expected one of at most 2.3 " in said
    apart = x.copy()
    apart[5] += 9.0
    ase.io.write(start, [ase.Atoms(numbers, x), ase.Atoms(numbers, apart)])
    with pytest.raises(SystemExit):
        hot.main(words)
    assert "start.xyz: frame 1 has no hydrogen bond" in capsys.readouterr().err


def test_what_cannot_get_hot_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, output = tmp_path / "start.xyz", tmp_path / "out.xyz"
    water, ammonia = ase.Atoms("OHH", np.eye(3)), ase.Atoms("NHHH", np.eye(4)[:, :3])
    for frames, words, expected in (
        (None, ["a", "b"], "start.xyz: found no file. Expected frames to start from"),
        ([water], ["a"], "found one potential, expected two or more"),
        ([water], ["a", "b", "--trajectories", "0"], "--trajectories: found 0, expected 1"),
        ([water], ["a", "b", "--hottest", "nan"], "--hottest: found nan, expected 300 K or more"),
        ([water], ["a", "b", "--hottest", "inf"], "--hottest: found inf, expected 300 K or more"),
        ([water], ["a", "a"], "found a twice, expected different potentials"),
        ([water], ["a", "b", "--seed", "-1"], "--seed: found -1, expected 0 or more"),
        ([water, ammonia], ["a", "b"], "frame 1 is not of the molecule of frame 0"),
        ([ase.Atoms("O", cell=[5, 5, 5], pbc=True)], ["a", "b"], "frame 0 is periodic"),
    ):
        if frames is not None:
            ase.io.write(start, frames)
        with pytest.raises(SystemExit):
            hot.main([str(start), str(output), *words])
        assert expected in capsys.readouterr().err and not output.exists()
    with pytest.raises(SystemExit):
        hot.main([str(start), str(tmp_path / "no" / "out.xyz"), "a", "b"])
    assert f"found no folder {tmp_path / 'no'}. Make it first" in capsys.readouterr().err
    for inputs in ([str(start), str(start), "a", "b"], [str(start), "b", "a", "b"]):
        with pytest.raises(SystemExit):
            hot.main(inputs)
        said = f"{inputs[1]}: found it among the inputs, expected another file"
        assert said in capsys.readouterr().err
    for text in ("", "hello\n"):
        start.write_text(text)
        with pytest.raises(SystemExit):
            hot.main([str(start), str(output), "a", "b"])
        assert "start.xyz: ASE cannot read frames from it" in capsys.readouterr().err


def test_a_frame_that_a_kill_cut_is_computed_again() -> None:
    draw = np.random.default_rng(2)
    frames = [
        written(
            Task(smiles, what, [6, 8], draw.normal(size=(2, 3))),
            -3000.0,
            draw.normal(size=(2, 3)),
            5.0,
        )
        for smiles, what in (("CO", ""), ("C=O", "C-O 0.70"))
    ]
    text = "".join(frames)
    assert [key_of(frame) for frame in whole_frames(text)] == ["CO", "C=O_C-O_0.70"]
    assert key("C=O", "C-O 0.70") == "C=O_C-O_0.70" and key("CO", "") == "CO"
    for cut in range(1, len(frames[1])):
        assert list(whole_frames(text[:-cut])) == frames[:1]


METHANOL = Molecule(
    "CO",
    (6, 8, 1, 1, 1, 1),
    ((0, 1), (0, 2), (0, 3), (0, 4), (1, 5)),
    ((0, 1), (0, 2), (0, 3), (0, 4), (1, 5)),
    np.array(
        [
            [-0.05, 0.66, 0.0],
            [-0.05, -0.76, 0.0],
            [-1.09, 0.98, 0.0],
            [0.44, 1.07, 0.89],
            [0.44, 1.07, -0.89],
            [0.87, -1.06, 0.0],
        ]
    ),
)


def test_two_atoms_come_close_with_spins_that_fit() -> None:
    tasks = list(atoms())
    assert len(tasks) == 10 * 9 and len({key(t.smiles, t.what) for t in tasks}) == len(tasks)
    for task in tasks:
        assert all((sum(task.numbers) - spin) % 2 == 0 for spin in task.spins), task
        r = np.linalg.norm(task.positions[1] - task.positions[0])
        assert 0.18 < r < 1.4
    nearest = [t for t in tasks if t.smiles == "[H].[C]"][-1]
    assert np.linalg.norm(nearest.positions[1]) == pytest.approx(0.3 * (0.31 + 0.76))


def test_bonds_of_small_molecules_are_stretched_one_at_a_time() -> None:
    bonds = kinds_of_bonds(METHANOL)
    assert bonds == {"C-O": (0, 1), "C-H": (0, 2), "H-O": (1, 5)}
    lengths = {
        by: [
            np.linalg.norm(x[i] - x[j])
            for x in (stretched(METHANOL, (0, 1), by),)
            for i, j in METHANOL.bonds
        ]
        for by in (1.0, 0.6, 1.6)
    }
    for by, found in lengths.items():
        expected = np.array(lengths[1.0]) * [by, 1, 1, 1, 1]
        assert found == pytest.approx(expected, rel=1e-12)
    tasks = list(alone(METHANOL))
    assert len({task.what for task in tasks}) == len(tasks) == 6 + 3 * len(STRETCHES)
    assert all(task.spins == (0,) and task.numbers == [*METHANOL.numbers] for task in tasks)
    (shortest,) = (task for task in tasks if task.what == "C-O 0.60")
    r = np.linalg.norm(shortest.positions[1] - shortest.positions[0])
    assert r == pytest.approx(0.6 * 1.42, abs=0.1)


@pytest.mark.parametrize("contact", CONTACTS)
def test_two_molecules_touch_as_wanted(contact: tuple[float, float]) -> None:
    task = together(METHANOL, METHANOL, contact)
    x, y = task.positions[:6], task.positions[6:]
    nearest = np.linalg.norm(x[:, None] - y[None], axis=-1).min()
    assert contact[0] - 0.01 <= nearest <= contact[1] + 0.01
    assert task.numbers == [*METHANOL.numbers] * 2 and task.smiles == "CO.CO"
    for part in (x, y):  # whole, but for a shake
        r = [np.linalg.norm(part[i] - part[j]) for i, j in METHANOL.bonds]
        whole = [
            np.linalg.norm(METHANOL.positions[i] - METHANOL.positions[j]) for i, j in METHANOL.bonds
        ]
        assert r == pytest.approx(whole, abs=0.15)
    other = together(METHANOL, METHANOL, CONTACTS[0 if contact == CONTACTS[1] else 1])
    assert not np.allclose(task.positions, other.positions)


def test_the_lowest_spin_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that did not converge has no energy, and is never the lowest."""
    energies = {0: float("nan"), 2: -5.0, 4: -6.0}
    monkeypatch.setattr(
        dft,
        "energy_and_forces",
        lambda numbers, x, spin: (energies[spin], np.full_like(x, spin), 1.0),
    )
    x = np.zeros((2, 3))
    for spins, expected in (((0, 2), 2), ((2, 0), 2), ((0, 2, 4), 4), ((2, 4, 0), 4)):
        energy, forces, _ = dft.lowest(Task("[C].[C]", "", [6, 6], x, spins))
        assert energy == energies[expected] and (forces == expected).all()
    energy, _, _ = dft.lowest(Task("[C].[C]", "", [6, 6], x, (0,)))
    assert np.isnan(energy)


def test_a_seed_depends_on_the_text_alone() -> None:
    assert seed_of("CNO 1") == 489034991


# ---- with RDKit ----


def test_held_out_molecules_are_not_made_up() -> None:
    pytest.importorskip("rdkit", reason="RDKit is not installed: `make test-dataset` brings it")
    from organic import molecules
    from rdkit import Chem

    wanted = {3: 40, 4: 60, 5: 30}
    made = molecules.make_up(wanted, 1, changes=20_000)
    assert made == molecules.make_up(wanted, 1, changes=20_000)
    assert made != molecules.make_up(wanted, 2, changes=20_000)
    assert len(made) == len(set(made)) > 100
    listed = (ROOT / "data" / "qcr" / "qcr" / "molecules.csv").read_text().splitlines()
    rows = list(csv.DictReader(listed))
    kept = [row["smiles"] for row in rows if row["split"] != "train"]
    assert len(kept) > 40
    begun = {molecules.canonical(row["smiles"]) for row in rows}  # these stand as they are
    out = {molecules.canonical(smiles) for smiles in [*kept, *molecules.BENCHMARKS]}
    assert out == molecules.held_out() and not out & set(made)
    for smiles in made:
        assert molecules.canonical(smiles) == smiles
        is_sound = molecules.acceptable(Chem.MolFromSmiles(smiles))
        assert is_sound or smiles in begun, smiles
    for refused in ("OOO", "C[CH2]", "C[NH3+]", "C1#CC1", "CCl", "C1CC2CC3CC1C23"):
        assert not molecules.acceptable(Chem.MolFromSmiles(refused)), refused


def test_conformers_are_those_of_the_seed() -> None:
    pytest.importorskip("rdkit", reason="RDKit is not installed: `make test-dataset` brings it")
    from organic.structures import conformer

    for smiles in MADE_UP:
        one, again = conformer(smiles, 7), conformer(smiles, 7)
        assert one is not None and again is not None
        assert (one.positions == again.positions).all()
        assert set(one.turnable) <= set(one.bonds)
        lengths = [np.linalg.norm(one.positions[i] - one.positions[j]) for i, j in one.bonds]
        assert 0.9 < min(lengths) and max(lengths) < 1.7
    ring = conformer("C1CC1C", 7)
    assert ring is not None and (0, 1) not in ring.turnable


def test_held_out_structures_of_3bpa_are_not_in_its_training_set() -> None:
    folder = ROOT / "data" / "3bpa"
    names = ["train_300K", *(f"heldout_{kelvin}K" for kelvin in (300, 600, 1200))]
    seen: set[bytes] = set()
    counts = []
    for name in names:
        frames = ase.io.read(folder / f"{name}.xyz.gz", ":")
        assert isinstance(frames, list)
        assert all(np.isfinite(a.get_forces()).all() and len(a) == 27 for a in frames)
        places = {np.round(a.positions, 4).tobytes() for a in frames}
        assert len(places) == len(frames) and not places & seen
        seen |= places
        counts.append(len(frames))
    assert counts == [500, 136, 167, 166]


def test_small_structures_by_density_functional_theory_are_sound() -> None:
    frames = ase.io.read(ROOT / "training" / "organic" / "small.xyz.gz", ":")
    assert isinstance(frames, list) and len(frames) >= 700
    names = [key(frame.info["smiles"], frame.info["what"]) for frame in frames]
    assert len(set(names)) == len(frames)
    kinds = {"alone": 0, "atoms": 0, "together": 0}
    for frame in frames:
        assert frame.info["level"] == dft.LEVEL and frame.info["gap"] >= dft.SMALLEST_GAP
        assert set(frame.info["smiles"].split(".")) <= {*MOLECULES, "[H]", "[C]", "[N]", "[O]"}
        forces = frame.get_forces()
        assert np.linalg.norm(forces, axis=1).max() <= dft.STEEPEST
        assert np.abs(forces.sum(axis=0)).max() < 2e-2
        whole = "." in frame.info["smiles"]
        kind = "alone" if not whole else "atoms" if len(frame) == 2 else "together"
        kinds[kind] += 1
    assert kinds["alone"] > 300 and kinds["atoms"] > 40 and kinds["together"] > 150, kinds
    # The bond of hydrogen, 0.743 Angstrom at this level, lies between a pushing and a pulling one.
    pairs = [frame for frame in frames if frame.info["smiles"] == "[H][H]"]
    for frame in pairs:
        r = frame.get_distance(0, 1)
        push = float(frame.get_forces()[1] @ (frame.positions[1] - frame.positions[0]))
        assert abs(r - 0.743) < 0.01 or (push > 0) == (r < 0.743), (r, push)


@pytest.mark.parametrize(
    ("name", "at_least", "heavy"),
    [
        ("dft", 727, (3, 7)),
        ("disagreed", 1353, (3, dft.MOST_DISAGREED)),
        ("disagreed_again", 349, (3, 6)),
        ("transfers", 296, (3, dft.MOST_TRANSFERRED)),
        ("larger", 16, dft.LARGER),
    ],
)
def test_frames_by_density_functional_theory_are_sound(
    name: str, at_least: int, heavy: tuple[int, int]
) -> None:
    frames = ase.io.read(ROOT / "training" / "organic" / f"{name}.xyz.gz", ":")
    assert isinstance(frames, list)
    assert len(frames) >= at_least
    assert len({frame.info["smiles"] for frame in frames}) == len(frames)
    for frame in frames:
        assert frame.info["level"] == dft.LEVEL
        assert frame.info["gap"] >= dft.SMALLEST_GAP
        assert set(frame.numbers) <= {1, 6, 7, 8}
        assert heavy[0] <= (frame.numbers > 1).sum() <= heavy[1]
        forces = frame.get_forces()
        assert np.linalg.norm(forces, axis=1).max() <= dft.LARGEST_FORCE
        # Of a whole molecule with density fitting and finite grids.
        assert np.abs(forces.sum(axis=0)).max() <= 0.01
        # What watches a training, or tests its result, is never fitted.
        assert is_watched(frame.info["smiles"]) == (name == "larger")


def test_hydrogen_bonds_of_a_structure() -> None:
    """They join nitrogen and oxygen alone, and no atom has two."""
    numbers, x = RING
    assert hydrogen_bonds(numbers, x, 2.3) == [(4, 5, 0)]
    assert hydrogen_bonds(numbers, x, 1.5) == []
    assert hydrogen_bonds([1, 1], np.eye(3)[:2], 2.3) == []
    assert hydrogen_bonds([], np.zeros((0, 3)), 2.3) == []
    # A second molecule far away, then so near that each atom has a choice.
    for away, n in ((20.0, 2), (1.0, 1)):
        both = np.vstack([x, x * [1.0, 1.0, -1.0] + [0.0, 0.0, away]])
        bonds = hydrogen_bonds([*numbers, *numbers], both, 2.3)
        atoms = [atom for bond in bonds for atom in (bond[0], bond[2])]
        assert len(bonds) == n and len(set(atoms)) == 2 * n


def test_springs_are_the_slope_of_their_energy() -> None:
    """By central differences; both springs pull here."""
    x = RING[1]
    x = x + np.random.default_rng(2).normal(size=x.shape) * 0.05
    x[4] += [0.4, -0.2, 0.1]
    bonds, wanted = [(4, 5, 0)], np.array([0.3])

    def energy(y: Floats) -> float:
        d, a, r = (np.linalg.norm(y[i] - y[j]) for i, j in ((4, 5), (5, 0), (4, 0)))
        assert r > WIDEST
        return float(0.5 * STIFFNESS * ((d - a - 0.3) ** 2 + (r - WIDEST) ** 2))

    h = 1e-5
    slope = np.zeros_like(x)
    for k in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        slope[k] = (energy(up) - energy(down)) / (2 * h)
    assert np.abs(slope).max() > 1.0
    np.testing.assert_allclose(held(x, bonds, wanted), -slope, atol=1e-7)


def test_windows_hold_the_proton_where_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without other forces, the proton is where its window has it, to what its heat allows."""
    from organic import shared

    numbers, x = RING

    def nothing(_: object, structures: Sequence[Structure]) -> tuple[Floats, list[Floats]]:
        forces = []
        for _, y, _ in structures:  # all atoms keep near their start, but for the proton
            f = 20.0 * (x - y)
            f[5] = 0.0
            forces.append(np.stack([f, f]))
        return np.zeros((2, len(forces))), forces

    monkeypatch.setattr(shared, "predictions", nothing)
    tasks = list(windows("NC=CC=O", (numbers, x, [(4, 5, 0)]), ()))
    assert len(tasks) == WINDOWS and len({task.what for task in tasks}) == WINDOWS
    for task in tasks:
        wanted = float(task.what.split()[1])
        y = task.positions
        found = np.linalg.norm(y[5] - y[4]) - np.linalg.norm(y[5] - y[0])
        assert abs(wanted) <= FARTHEST and abs(found - wanted) < 0.25, task.what
        assert task.smiles == "NC=CC=O" and task.numbers == numbers
    again = list(windows("NC=CC=O", (numbers, x, [(4, 5, 0)]), ()))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(tasks, again, strict=True))


def test_stored_protons_are_shared() -> None:
    """Of rings of six and of pairs; some are half-way, and none is of a molecule that watches."""
    frames = ase.io.read(ROOT / "training" / "organic" / "shared.xyz.gz", ":")
    assert isinstance(frames, list) and len(frames) == 88
    assert len({key(f.info["smiles"], f.info["what"]) for f in frames}) == 88
    assert len({f.info["smiles"] for f in frames}) == 45
    half_way = 0
    for frame in frames:
        assert frame.info["level"] == dft.LEVEL and frame.info["gap"] >= dft.SMALLEST_GAP
        forces = frame.get_forces()
        assert np.linalg.norm(forces, axis=1).max() <= dft.LARGEST_FORCE
        assert np.abs(forces.sum(axis=0)).max() <= 0.01
        assert not is_watched(frame.info["smiles"])
        bonds = hydrogen_bonds(frame.numbers.tolist(), frame.positions, 2.6)
        assert len(bonds) >= (2 if "." in frame.info["smiles"] else 1)
        half_way += shared_hydrogens(frame, 1.4) > 0
    assert half_way >= 20, half_way


def test_shared_protons_of_molecules_that_are_not_held_out() -> None:
    """Rings of six by RDKit, and pairs with two hydrogen bonds; no tautomer is held out."""
    pytest.importorskip("rdkit")
    from organic.molecules import canonical, held_out
    from organic.shared import PAIRED, names, pair, ring

    found = names()
    assert len(found) == len(set(found)) == 70
    assert not set(found) & held_out() and not any(map(is_watched, found))
    for smiles in ("CC(=O)C=C(C)O", "O=CC=CO"):  # acetylacetone, malonaldehyde
        assert canonical(smiles) not in found
    start = ring("NC=CC=O")
    assert start is not None and [start[0][k] for k in start[2][0]] == [7, 1, 8]
    assert ring("CCO") is None
    for smiles in PAIRED:
        two = pair(smiles)
        assert two is not None and len(two[2]) == 2
        n = len(two[0]) // 2
        for donor, h, acceptor in two[2]:  # from one molecule to the other
            assert (donor < n) == (h < n) != (acceptor < n)
