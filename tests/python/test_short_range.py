# SPDX-License-Identifier: BSD-3-Clause
"""Walls between close atoms, against pair potentials whose walls are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from eqnn_models import ROOT, max_error

from eqnn import check, short_range
from eqnn.check import Status, check_model, report
from eqnn.errors import EqnnError
from eqnn.library import Potential, Properties
from eqnn.model_file import read_model
from eqnn.short_range import FINE_GRID, GRID, HOT, Report, bond, choose_pairs, examine, wall, zbl
from eqnn.so3 import FloatArray

CUTOFF = 4.0
Curve = Callable[[tuple[int, int], FloatArray], FloatArray]


def repulsive(pair: tuple[int, int], r: FloatArray) -> FloatArray:
    """ZBL with a bond's well: what atoms do."""
    return zbl(pair, r, 3.0, 4.0) - 3.0 * np.exp(-(((r / bond(pair) - 0.9) / 0.15) ** 2))


def soft(pair: tuple[int, int], r: FloatArray) -> FloatArray:
    """Rises all the way, by 1.4 eV."""
    return 2.0 * (1.0 - r / bond(pair))


def falling(pair: tuple[int, int], r: FloatArray) -> FloatArray:
    """Rise to 2 eV at half of the bond, fall by 30 eV to the innermost distance."""
    x = r / bond(pair)
    return np.where(x > 0.5, 4.0 * (1.0 - x), 2.0 - 150.0 * (0.5 - x))


def attractive(pair: tuple[int, int], r: FloatArray) -> FloatArray:
    return -1.0 / r


class Pairs:
    """Dimers by a curve; `free` is each atom's own energy."""

    def __init__(self, curve: Curve, free: float = 0.0, size: float = 0.0) -> None:
        self.curve, self.free, self.size = curve, free, size
        self.largest = 0

    def __call__(self, atoms: Atoms) -> Properties:
        n = len(atoms)
        self.largest = max(self.largest, n)
        parts = np.full(n, self.free)
        i, j, r = neighbor_list("ijd", atoms, CUTOFF)
        for a, b, x in zip(i, j, r, strict=True):
            pair = (int(atoms.numbers[min(a, b)]), int(atoms.numbers[max(a, b)]))
            parts[a] += 0.5 * float(self.curve(pair, np.array(x)))
        if not np.isfinite(parts).all():
            raise EqnnError("not finite")
        parts *= n**self.size
        return Properties(float(parts.sum()), parts, np.zeros((n, 3)), None)


def examined(curve: Curve, species: list[int], **options: float) -> Report:
    return examine(Pairs(curve, **options), species, CUTOFF, "m.eqnn")


# ---- walls ----


def test_a_right_repulsion_needs_nothing() -> None:
    found = examined(repulsive, [1, 6, 8], free=-7.0)
    assert found.n_pairs == 6 and found.n_low == 0
    assert found.lines == () and found.mendings == ()
    assert all(w.top is None for w in found.walls)
    measured = check.short_distances(found)
    assert measured.status is Status.OK
    assert "Atoms repel each other as they come close (all pairs of elements) down" in (
        measured.meaning
    )


def test_a_soft_wall_is_measured_to_its_height() -> None:
    found = examined(soft, [6], free=2.0)
    (low,) = found.walls
    assert low.height == pytest.approx(1.4, abs=1e-12) and low.top is None
    # E / 20 k_B
    assert low.temperature == pytest.approx(1.4 / (20 * 8.617333e-5))
    assert check.short_distances(found).status is Status.LIMIT


def test_a_wall_ends_where_the_energy_falls() -> None:
    (low,) = examined(falling, [8]).walls
    assert low.height == pytest.approx(2.0, abs=1e-9)
    assert low.top == pytest.approx(0.5 * bond((8, 8)))
    assert low.lowest == pytest.approx(2.0 - 30.0)


def test_attraction_is_no_wall_at_all() -> None:
    found = examined(attractive, [1])
    assert found.walls[0].height == 0.0 and found.walls[0].top is not None
    measured = check.short_distances(found)
    assert measured.verdict == "close atoms fuse at any temperature"
    assert "atoms that collide at any temperature (H-H)" in measured.meaning


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_energies_that_are_no_numbers_are_no_wall(bad: float) -> None:
    def broken(pair: tuple[int, int], r: FloatArray) -> FloatArray:
        return np.where(r < 0.5 * bond(pair), bad, repulsive(pair, r))

    found = examined(broken, [6])
    (low,) = found.walls
    assert low.top is not None and math.isnan(low.lowest)
    everywhere = examined(lambda pair, r: np.full(np.shape(r), bad), [6, 8])
    assert everywhere.n_low == 3
    assert check.short_distances(everywhere).status is Status.LIMIT
    assert "No ZBL within 1.6 of a bond's length mends" in (
        check.short_distances(everywhere).meaning
    )


def test_short_bonds_and_ripples_are_no_falls() -> None:
    def bound(pair: tuple[int, int], r: FloatArray) -> FloatArray:
        x = r / bond(pair)
        return 500.0 * (x - 0.6) ** 2 + 0.01 * np.cos(60.0 * x)

    assert examined(bound, [24]).walls[0].top is None
    energy = bound((24, 24), GRID * bond((24, 24)))
    assert wall((24, 24), GRID, energy).height > 40.0


def test_high_walls_that_end_are_said_and_no_limit() -> None:
    def high(pair: tuple[int, int], r: FloatArray) -> FloatArray:
        return 10.0 * falling(pair, r)

    measured = check.short_distances(examined(high, [6]))
    assert measured.status is Status.OK
    assert "up to 20 eV; then energies fall: cascades need ZBL's repulsion." in measured.meaning


# ---- which pairs ----


@pytest.mark.slow
def test_pairs_of_few_of_many_and_of_given_elements() -> None:
    assert choose_pairs([8, 1]) == [(1, 1), (1, 8), (8, 8)]
    many = list(range(1, 90))
    pairs = choose_pairs(many)
    assert len(pairs) == 89 + 4 * 89 - 4 - 6 and (26, 26) in pairs and (26, 28) not in pairs
    assert choose_pairs(many, {28, 26}) == [(26, 26), (26, 28), (28, 28)]
    found = examined(falling, many)
    assert found.n_pairs == len(pairs) and found.n_low == len(pairs)
    meaning = check.short_distances(found).meaning
    assert "each element with itself and with H, C, N, O; --structure checks all pairs" in meaning
    assert f"{len(pairs) - 5} more pairs: give --structure for those of your elements." in meaning
    assert sum(line.startswith("pair_coeff") for line in found.lines) <= 6


def test_dimers_go_together_only_where_energies_add_up() -> None:
    apart = Pairs(soft, size=1.0)
    found = examine(apart, [6, 8], CUTOFF, "m.eqnn", together=False)
    assert apart.largest == 2
    # E = n sum(e_i): twice the pair's energy.
    assert found.walls[0].height == pytest.approx(2.8, abs=1e-12)
    many = Pairs(soft)
    examine(many, [6, 8], CUTOFF, "m.eqnn")
    assert many.largest > 2


# ---- ZBL ----


def test_zbl_ends_smoothly() -> None:
    for pair in ((1, 1), (6, 8), (79, 79)):
        inner, outer = 0.6, 1.3
        # Energy, slope and bend end at zero: 1e-5 A inside, a cube is left.
        r = np.linspace(outer - 1e-5, outer + 1e-5, 5)
        assert np.abs(zbl(pair, r, inner, outer)).max() <= 1e-10
        # Inside, the unswitched force: the energy differs by a constant only.
        x = np.array([0.3, 0.4, 0.5, 0.6])
        same = np.diff(zbl(pair, x, inner, outer)) - np.diff(zbl(pair, x, 0.7, 1.6))
        assert np.abs(same).max() <= 1e-9 * zbl(pair, x, inner, outer).max()
        h, middle = 1e-4, np.linspace(0.55, 1.29, 75)
        slopes = (zbl(pair, middle + h, inner, outer) - zbl(pair, middle - h, inner, outer)) / h
        assert (slopes <= 0.0).all() and np.abs(np.diff(slopes)).max() <= 0.3 * -slopes[0]


@pytest.mark.parametrize("curve", [soft, falling])
def test_the_mended_curve_rises_to_a_wall_for_hot_runs(curve: Curve) -> None:
    found = examined(curve, [6, 8])
    assert [m.wall.name for m in found.mendings] == [w.name for w in found.walls]
    for m in found.mendings:
        pair = m.wall.pair
        assert m.cutoffs is not None
        inner, outer = m.cutoffs
        r = FINE_GRID * bond(pair)
        total = curve(pair, r) + zbl(pair, r, inner, outer)
        mended = wall(pair, FINE_GRID, total)
        assert mended.top is None and mended.temperature >= 2 * HOT
        # Beyond the outer cutoff nothing changes.
        assert max_error(total[r >= outer], curve(pair, r)[r >= outer]) == 0.0


def test_lines_number_styles_and_types() -> None:
    found = examined(soft, [8, 1])
    assert found.lines[0] == "pair    wall/eV holds to/K falls within/A  down to/eV"
    assert found.lines[1].split() == ["H-H", "1.40", "812", "-", "-"]
    style, coeff, *pairs = found.lines[4:]
    cutoffs = sorted({m.cutoffs for m in found.mendings if m.cutoffs})
    assert style == "pair_style hybrid/overlay eqnn " + " ".join(
        f"zbl {a:g} {b:g}" for a, b in cutoffs
    )
    assert coeff == "pair_coeff * * eqnn m.eqnn O H"
    # Types in the order of the elements; I <= J, and charges in that order.
    assert {tuple(line.split()[1:3] + line.split()[-2:]) for line in pairs} == {
        ("1", "1", "8", "8"),
        ("1", "2", "8", "1"),
        ("2", "2", "1", "1"),
    }
    (one,) = examined(soft, [6]).mendings
    assert one.cutoffs is not None
    lines = short_range.lammps_lines([one], "my model.eqnn", [6])
    assert lines[0] == f"pair_style hybrid/overlay eqnn zbl {one.cutoffs[0]:g} {one.cutoffs[1]:g}"
    assert lines[1:] == ['pair_coeff * * eqnn "my model.eqnn" C', "pair_coeff 1 1 zbl 6 6"]


# ---- models ----


def test_a_network_with_zbl_is_fit_and_one_without_is_not() -> None:
    counts = {}
    for name in ("nequip_zbl", "nequip_parity"):
        path = ROOT / "tests" / "golden" / "pretrained" / f"{name}.eqnn"
        model = read_model(path)
        with Potential(path) as potential:
            evaluate = check.network_of(potential, model)
            document = model.document
            counts[name] = examine(evaluate, document["species"], document["cutoff"], name).n_low
    assert counts["nequip_zbl"] == 0 < counts["nequip_parity"]


@pytest.mark.slow
def test_the_check_prints_table_and_lines(tmp_path: Path) -> None:
    path = ROOT / "potentials" / "gaunt_acetylacetone.eqnn"
    molecule = Atoms("OCH", [[0, 0, 0], [1.2, 0, 0], [1.8, 0.9, 0]])
    result = check_model(path, molecule)
    found = result.measurements[-1]
    assert found.what == "close pairs (6)" and "all pairs of the structure's elements" in (
        found.meaning
    )
    lines = [line.strip() for line in report(result).splitlines()]
    start = lines.index(found.lines[0])
    assert tuple(lines[start : start + len(found.lines)]) == found.lines
    assert f"pair_coeff * * eqnn {path} H C O" in found.lines
    assert all(len(line) <= 112 for line in found.lines)
    top = {line.split()[0]: float(line.split()[3]) for line in found.lines if line[:1] in "HCO"}
    # H and C are 0.70 A apart there, where bonds have 1.09.
    assert 0.5 < top["H-C"] / float(covalent_radii[1] + covalent_radii[6]) < 0.8
