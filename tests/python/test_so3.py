# SPDX-License-Identifier: BSD-3-Clause
"""Identities of the rotation group that hold in any book, and e3nn's signs by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from eqnn_models import max_error
from scipy.special import eval_legendre, sph_harm_y

from eqnn.so3 import (
    FloatArray,
    clebsch_gordan,
    coupling_tensor,
    equivariance_defect,
    gaunt,
    gaunt_curl,
    random_rotations,
    sphere_quadrature,
    spherical_harmonics,
    wigner_3j,
    wigner_d,
)

L_MAX = 6
ROTATIONS = random_rotations(4, seed=11)
REFLECTION = np.diag([1.0, -1.0, 1.0]) @ ROTATIONS[0]
PATHS = [
    (l1, l2, l3)
    for l1, l2, l3 in itertools.product(range(5), repeat=3)
    if abs(l1 - l2) <= l3 <= l1 + l2
]


def block(degree: int) -> slice:
    return slice(degree**2, (degree + 1) ** 2)


def directions(n: int) -> FloatArray:
    return np.random.default_rng(3).normal(size=(n, 3))


# ---- spherical harmonics ----


def test_first_degrees_are_the_polynomials_of_the_conventions() -> None:
    vectors = directions(20)
    x, y, z = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    expected = [
        np.ones_like(x),
        *(math.sqrt(3) * c for c in (x, y, z)),
        math.sqrt(15) * x * z,
        math.sqrt(15) * x * y,
        math.sqrt(5) * (y**2 - (x**2 + z**2) / 2),
        math.sqrt(15) * y * z,
        math.sqrt(15) / 2 * (z**2 - x**2),
    ]
    assert max_error(spherical_harmonics(2, vectors), np.stack(expected, axis=1)) <= 1e-14


def test_harmonics_are_scipys_with_permuted_axes() -> None:
    vectors = directions(20)
    # Our (x, y, z) are the textbook's (y, z, x); sqrt(4 pi) turns orthonormal into component.
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    theta, phi = np.arccos(unit[:, 1]), np.arctan2(unit[:, 0], unit[:, 2])
    found = spherical_harmonics(L_MAX, vectors)
    for degree in range(L_MAX + 1):
        for m in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(m), theta, phi) * (-1) ** abs(m)  # no Condon-Shortley
            part = value.real if m >= 0 else value.imag
            expected = math.sqrt(4 * math.pi) * (math.sqrt(2) if m else 1.0) * part
            assert max_error(found[:, degree**2 + degree + m], expected) <= 1e-12


def test_component_normalization_and_addition_theorem() -> None:
    a, b = directions(10), directions(20)[10:]
    ya, yb = spherical_harmonics(L_MAX, a), spherical_harmonics(L_MAX, b)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    for degree in range(L_MAX + 1):
        n = 2 * degree + 1
        assert max_error((ya[:, block(degree)] ** 2).sum(1), np.full(10, n)) <= 1e-12
        product = (ya[:, block(degree)] * yb[:, block(degree)]).sum(1)
        assert max_error(product, n * eval_legendre(degree, cosine)) <= 1e-12


def test_length_does_not_count_and_poles_are_regular() -> None:
    vectors = np.vstack([directions(5), np.eye(3), -np.eye(3)])
    found = spherical_harmonics(L_MAX, vectors)
    assert np.isfinite(found).all()
    assert max_error(spherical_harmonics(L_MAX, 7.5 * vectors), found) <= 1e-12


def test_parity_of_harmonics() -> None:
    vectors = directions(8)
    found, mirrored = spherical_harmonics(L_MAX, vectors), spherical_harmonics(L_MAX, -vectors)
    for degree in range(L_MAX + 1):
        expected = (-1) ** degree * found[:, block(degree)]
        assert max_error(mirrored[:, block(degree)], expected) <= 1e-13


# ---- Wigner D ----


@pytest.mark.parametrize("rotation", [*ROTATIONS, REFLECTION, -np.eye(3)])
def test_d_turns_harmonics_and_is_orthogonal(rotation: FloatArray) -> None:
    d = wigner_d(L_MAX, rotation)
    vectors = directions(9)
    turned = spherical_harmonics(L_MAX, vectors @ rotation.T)
    assert max_error(spherical_harmonics(L_MAX, vectors) @ d.T, turned) <= 1e-12
    assert max_error(d @ d.T, np.eye(len(d))) <= 1e-12


def test_d_is_a_representation() -> None:
    a, b = ROTATIONS[0], ROTATIONS[1]
    product = wigner_d(L_MAX, a) @ wigner_d(L_MAX, b)
    assert max_error(product, wigner_d(L_MAX, a @ b)) <= 1e-12


def test_d_of_vectors_is_the_rotation_itself() -> None:
    assert max_error(wigner_d(1, ROTATIONS[0])[1:, 1:], ROTATIONS[0]) <= 1e-14


def test_character_of_d() -> None:
    """Trace of D^l is sin((2l+1) a/2) / sin(a/2) for a rotation by a."""
    rotation = ROTATIONS[2]
    angle = math.acos((np.trace(rotation) - 1) / 2)
    for degree in range(L_MAX + 1):
        trace = np.trace(wigner_d(L_MAX, rotation)[block(degree), block(degree)])
        expected = math.sin((2 * degree + 1) * angle / 2) / math.sin(angle / 2)
        assert abs(trace - expected) <= 1e-12


# ---- coupling ----


def test_clebsch_gordan_of_the_books() -> None:
    half = clebsch_gordan(1, 1, 0)[:, :, 0]
    expected = np.zeros((3, 3))
    expected[0, 2] = expected[2, 0] = 1 / math.sqrt(3)
    expected[1, 1] = -1 / math.sqrt(3)
    assert max_error(half, expected) <= 1e-15
    assert abs(clebsch_gordan(1, 1, 1)[2, 0, 1] - 1 / math.sqrt(2)) <= 1e-15
    assert abs(clebsch_gordan(2, 1, 3)[2, 1, 3] - math.sqrt(3 / 5)) <= 1e-15
    assert clebsch_gordan(1, 1, 3).any() == np.False_


@pytest.mark.parametrize(("l1", "l2"), [(0, 0), (1, 2), (3, 3), (8, 8)])
def test_clebsch_gordan_is_unitary(l1: int, l2: int) -> None:
    columns = [
        clebsch_gordan(l1, l2, l3).reshape(-1, 2 * l3 + 1)
        for l3 in range(abs(l1 - l2), l1 + l2 + 1)
    ]
    matrix = np.hstack(columns)
    assert max_error(matrix.T @ matrix, np.eye(len(matrix))) <= 1e-12


@pytest.mark.parametrize(("l1", "l2", "l3"), PATHS)
def test_3j_orthogonality(l1: int, l2: int, l3: int) -> None:
    w = wigner_3j(l1, l2, l3)
    contracted = np.einsum("ijk,ijn->kn", w, w)
    assert max_error(contracted, np.eye(2 * l3 + 1) / (2 * l3 + 1)) <= 1e-13


@pytest.mark.parametrize(("l1", "l2", "l3"), PATHS)
def test_3j_is_invariant_under_rotation(l1: int, l2: int, l3: int) -> None:
    d = wigner_d(4, ROTATIONS[3])
    w = wigner_3j(l1, l2, l3)
    blocks = [d[block(degree), block(degree)] for degree in (l1, l2, l3)]
    assert max_error(np.einsum("ai,bj,ck,ijk->abc", *blocks, w), w) <= 1e-12


def test_3j_of_low_degrees_by_hand() -> None:
    """e3nn's signs: delta/sqrt(3) and epsilon/sqrt(6)."""
    epsilon = np.zeros((3, 3, 3))
    for i, j, k in itertools.permutations(range(3)):
        epsilon[i, j, k] = (i - j) * (j - k) * (k - i) / 2
    assert max_error(wigner_3j(1, 1, 0)[:, :, 0], np.eye(3) / math.sqrt(3)) <= 1e-15
    assert max_error(wigner_3j(0, 1, 1)[0], np.eye(3) / math.sqrt(3)) <= 1e-15
    assert max_error(wigner_3j(1, 1, 1), epsilon / math.sqrt(6)) <= 1e-15
    assert wigner_3j(0, 0, 0)[0, 0, 0] == 1.0


@pytest.mark.parametrize(("l1", "l2", "l3"), [p for p in PATHS if sum(p) % 2 == 0])
def test_even_3j_couple_harmonics_of_one_direction_to_a_harmonic(l1: int, l2: int, l3: int) -> None:
    y = spherical_harmonics(4, directions(6))
    parts = [y[:, block(degree)] for degree in (l1, l2, l3)]
    product = np.einsum("ijk,ei,ej->ek", wigner_3j(l1, l2, l3), parts[0], parts[1])
    factor = (product * parts[2]).sum(1) / (2 * l3 + 1)
    assert np.ptp(factor) <= 1e-12 and factor[0] > 0.0
    assert max_error(product, factor[:, None] * parts[2]) <= 1e-12


@pytest.mark.parametrize(("l1", "l2", "l3"), [p for p in PATHS if sum(p) % 2 == 1])
def test_odd_3j_vanish_on_one_direction(l1: int, l2: int, l3: int) -> None:
    y = spherical_harmonics(4, directions(6))
    product = np.einsum("ijk,ei,ej->ek", wigner_3j(l1, l2, l3), y[:, block(l1)], y[:, block(l2)])
    assert max_error(product, np.zeros_like(product)) <= 1e-12


def test_3j_outside_the_triangle() -> None:
    with pytest.raises(ValueError, match="l = 1, 1, 3 violate the triangle inequality"):
        wigner_3j(1, 1, 3)


@pytest.mark.parametrize(("l_max", "n_paths"), [(0, 1), (1, 5), (2, 15), (3, 34)])
def test_coupling_holds_every_path_once(l_max: int, n_paths: int) -> None:
    coupling = coupling_tensor(l_max)
    assert abs((coupling**2).sum() - n_paths) <= 1e-12
    assert equivariance_defect(coupling) <= 1e-13


def test_coupling_order_is_output_harmonic_feature() -> None:
    """Of a feature e_x and a harmonic e_y the vector part is e_x cross e_y."""
    coupling = coupling_tensor(1)
    cross = coupling[1:, 2, 1] * math.sqrt(6)  # harmonic y, feature x
    assert max_error(cross, [0.0, 0.0, 1.0]) <= 1e-15


def test_defect_of_a_tensor_that_is_not_equivariant() -> None:
    """One number off by 0.1 in a tensor of norm sqrt(5): turned, it is elsewhere."""
    coupling = coupling_tensor(1)
    coupling[1, 2, 3] += 0.1
    defect = equivariance_defect(coupling)
    assert 0.02 < defect < 2 * 0.1 / math.sqrt(5)


def test_random_rotations_are_rotations_and_seeded() -> None:
    found = random_rotations(50, seed=1)
    assert max_error(found @ found.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1))) <= 1e-14
    assert max_error(np.linalg.det(found), np.ones(50)) <= 1e-14
    assert max_error(found, random_rotations(50, seed=1)) == 0.0
    assert np.abs(found.mean(0)).max() < 0.3  # no direction is preferred


# ---- products of functions on the sphere ----


def orthonormal(l_max: int, points: FloatArray) -> FloatArray:
    return spherical_harmonics(l_max, points) / math.sqrt(4 * math.pi)


@pytest.mark.parametrize("degree", [0, 1, 5, 8])
def test_quadrature_integrates_polynomials_of_its_degree_exactly(degree: int) -> None:
    points, weights = sphere_quadrature(degree)
    assert max_error(np.linalg.norm(points, axis=1), np.ones(len(points))) <= 1e-15
    expected = np.zeros((degree + 1) ** 2)
    expected[0] = math.sqrt(4 * math.pi)
    assert max_error(weights @ orthonormal(degree, points), expected) <= 1e-13


def test_quadrature_of_a_lower_degree_is_not_exact() -> None:
    points, weights = sphere_quadrature(3)
    assert np.abs(weights @ orthonormal(8, points))[1:].max() > 0.1


@pytest.mark.parametrize("degrees", [(1, 1, 2), (2, 3, 4), (4, 2, 3)])
def test_gaunt_coefficients_are_integrals_of_three_harmonics(degrees: tuple[int, int, int]) -> None:
    points, weights = sphere_quadrature(sum(degrees))
    a, b, c = (orthonormal(degree, points) for degree in degrees)
    expected = np.einsum("p,pi,pj,pk->ijk", weights, a, b, c, optimize=True)
    assert max_error(gaunt(*degrees), expected) <= 1e-14


def test_the_product_of_two_vectors_as_functions() -> None:
    # sqrt(3/4 pi)^2 (a.u)(b.u): its mean is a.b/3, its degree 1 vanishes.
    a, b = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.25, 2.0])
    table = gaunt(1, 1, 2)[1:, 1:]
    found = np.einsum("ijk,i,j->k", table, a, b)
    assert abs(found[0] - a @ b / math.sqrt(4 * math.pi)) <= 1e-14
    assert max_error(found[1:4], np.zeros(3)) == 0.0


def test_curl_of_two_vectors_is_their_cross_product() -> None:
    # grad(a.u) x grad(b.u) . u = (a x b).u, and S_1m = sqrt(3/4 pi) u_m.
    a, b = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.25, 2.0])
    found = np.einsum("ijk,i,j->k", gaunt_curl(1, 1, 2)[1:, 1:], a, b)
    assert max_error(found[1:4], math.sqrt(3 / (4 * math.pi)) * np.cross(a, b)) <= 1e-14
    assert max_error(np.delete(found, slice(1, 4)), np.zeros(6)) <= 1e-14


@pytest.mark.parametrize("l3", range(5))
def test_curl_couples_what_the_product_lacks_and_nothing_else(l3: int) -> None:
    product, curl = gaunt(3, 3, 4), gaunt_curl(3, 3, 4)
    for l1, l2 in itertools.product(range(4), repeat=2):
        where = (block(l1), block(l2), block(l3))
        fits = abs(l1 - l2) <= l3 <= l1 + l2
        even = (l1 + l2 + l3) % 2 == 0
        assert (np.abs(product[where]).max() > 1e-3) == (fits and even)
        assert (np.abs(curl[where]).max() > 1e-3) == (fits and not even and min(l1, l2) > 0)
        if fits:
            w3j = wigner_3j(l1, l2, l3)
            for table in (product, curl):
                part = table[where]
                assert max_error(part, (part * w3j).sum() * w3j) <= 1e-13
