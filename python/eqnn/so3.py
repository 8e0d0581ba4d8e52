# SPDX-License-Identifier: BSD-3-Clause
"""Real spherical harmonics, Wigner 3j and D, and coupling tensors in e3nn's conventions.

Conventions: docs/spec/conventions.md. Everything is double precision and exact up to rounding.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def spherical_harmonics(l_max: int, vectors: FloatArray) -> FloatArray:
    """Real spherical harmonics of directions, component normalized: sum over m of Y_lm^2 = 2l+1.

    Parameters
    ----------
    l_max : int
        Highest degree.
    vectors : ndarray [..., 3]
        Any non-zero vectors (x, y, z); only the direction counts.

    Returns
    -------
    ndarray [..., (l_max+1)^2]
        Component l^2 + l + m; l = 1 is sqrt(3) (x, y, z) / r.
    """
    # Not linalg.norm: derivatives are taken by complex steps, so everything must be analytic.
    unit = vectors / np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    # e3nn's polar axis is y: the textbook's (x, y, z) are (z, x, y) here.
    y, z, x = unit[..., 0], unit[..., 1], unit[..., 2]
    out = np.empty((*unit.shape[:-1], (l_max + 1) ** 2), dtype=unit.dtype)
    cosine, sine = np.ones_like(x), np.zeros_like(x)  # of m phi, times sin(theta)^m
    diagonal = 1.0  # (2m-1)!!
    for m in range(l_max + 1):
        if m > 0:
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
            diagonal *= 2 * m - 1
        # Associated Legendre functions without (-1)^m and sin(theta)^m, upwards in l.
        previous, current = np.zeros_like(z), np.full_like(z, diagonal)
        for degree in range(m, l_max + 1):
            if degree > m:
                step = (2 * degree - 1) * z * current - (degree + m - 1) * previous
                previous, current = current, step / (degree - m)
            ratio = math.factorial(degree - m) / math.factorial(degree + m)
            scale = math.sqrt((2 * degree + 1) * ratio * (2 if m else 1))
            middle = degree * degree + degree
            out[..., middle + m] = scale * current * cosine
            if m:
                out[..., middle - m] = scale * current * sine
    return out


def clebsch_gordan(l1: int, l2: int, l3: int) -> FloatArray:
    """SU(2) Clebsch-Gordan coefficients <l1 m1 l2 m2 | l3 m3> (Racah's formula).

    Returns
    -------
    ndarray [2 l1 + 1, 2 l2 + 1, 2 l3 + 1]
        Indexed by l + m.
    """
    f = math.factorial
    out = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        return out
    triangle = (2 * l3 + 1) * f(l3 + l1 - l2) * f(l3 - l1 + l2) * f(l1 + l2 - l3)
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            m3 = m1 + m2
            low = max(0, l2 - l3 - m1, l1 - l3 + m2)
            high = min(l1 + l2 - l3, l1 - m1, l2 + m2)
            # Whole numbers until the end, so that the alternating sum loses no digit: the six
            # factorials' arguments add up to l1 + l2 + l3, a multinomial coefficient.
            total = 0
            for k in range(low, high + 1):
                below = f(k) * f(l1 + l2 - l3 - k) * f(l1 - m1 - k) * f(l2 + m2 - k)
                below *= f(l3 - l2 + m1 + k) * f(l3 - l1 - m2 + k)
                total += (-1) ** k * (f(l1 + l2 + l3) // below)
            norm = f(l3 + m3) * f(l3 - m3) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
            root = math.sqrt(triangle * norm / f(l1 + l2 + l3 + 1))
            value = root * total / f(l1 + l2 + l3)
            out[l1 + m1, l2 + m2, l3 + m3] = value
    return out


def _real_to_complex(degree: int) -> NDArray[np.complex128]:
    """Change of basis [2l+1 complex, 2l+1 real] with e3nn's phase (-i)^l."""
    q = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=np.complex128)
    q[degree, degree] = 1.0
    for m in range(1, degree + 1):
        q[degree - m, degree + m] = math.sqrt(0.5)
        q[degree - m, degree - m] = -1j * math.sqrt(0.5)
        q[degree + m, degree + m] = (-1) ** m * math.sqrt(0.5)
        q[degree + m, degree - m] = 1j * (-1) ** m * math.sqrt(0.5)
    return np.asarray((-1j) ** degree * q)


@cache
def wigner_3j(l1: int, l2: int, l3: int) -> FloatArray:
    """Wigner 3j symbols in e3nn's real basis and sign, of Frobenius norm 1.

    Returns
    -------
    ndarray [2 l1 + 1, 2 l2 + 1, 2 l3 + 1]
        Invariant under a joint rotation of the three indices; read-only.
    """
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        raise ValueError(f"l = {l1}, {l2}, {l3} violate the triangle inequality")
    q1, q2, q3 = (_real_to_complex(degree) for degree in (l1, l2, l3))
    real = np.einsum("ij,kl,nm,ikn->jlm", q1, q2, q3.conj(), clebsch_gordan(l1, l2, l3)).real
    out: FloatArray = np.ascontiguousarray(real / np.linalg.norm(real))
    out.flags.writeable = False
    return out


@cache
def gaunt(l_a: int, l_b: int, l_out: int) -> FloatArray:
    """Integrals over the sphere of products of three orthonormal harmonics, of all degrees up to l.

    Returns
    -------
    ndarray [(l_a+1)^2, (l_b+1)^2, (l_out+1)^2]
        G[i, j, k]: degrees l1, l2, l3 couple by sqrt((2 l1 + 1)(2 l2 + 1)/(4 pi))
        |<l1 0 l2 0|l3 0>| times wigner_3j; read-only.
    """
    out = np.zeros(((l_a + 1) ** 2, (l_b + 1) ** 2, (l_out + 1) ** 2))
    for l1 in range(l_a + 1):
        for l2 in range(l_b + 1):
            for l3 in range(abs(l1 - l2), min(l1 + l2, l_out) + 1):
                zero = clebsch_gordan(l1, l2, l3)[l1, l2, l3]
                size = math.sqrt((2 * l1 + 1) * (2 * l2 + 1) / (4 * math.pi)) * abs(zero)
                where = tuple(slice(n * n, (n + 1) ** 2) for n in (l1, l2, l3))
                out[where] = size * wigner_3j(l1, l2, l3)
    out.flags.writeable = False
    return out


@cache
def gaunt_curl(l_a: int, l_b: int, l_out: int) -> FloatArray:
    """Integrals over the sphere of S_k u.(grad S_i x grad S_j), S orthonormal harmonics.

    Returns
    -------
    ndarray [(l_a+1)^2, (l_b+1)^2, (l_out+1)^2]
        C[i, j, k]: couples exactly the degrees of odd sum; read-only.
    """
    points, weights = sphere_quadrature(l_a + l_b + l_out)
    l_max = max(l_a, l_b)
    step = 1e-30  # complex steps have no rounding: (u x grad) S is exact
    turned = []
    for axis in np.eye(3):
        moved = points + 1j * step * np.cross(axis, points)
        turned.append(spherical_harmonics(l_max, moved).imag / step)
    # Of two tangents, u.(a x b) = u.((u x a) x (u x b)).
    a = np.stack([values[:, : (l_a + 1) ** 2] for values in turned], axis=-1)
    b = np.stack([values[:, : (l_b + 1) ** 2] for values in turned], axis=-1)
    cross = np.cross(a[:, :, None], b[:, None])
    s = spherical_harmonics(l_out, points)
    out = np.einsum("p,pk,pijx,px->ijk", weights, s, cross, points, optimize=True)
    out = np.asarray(out / (4 * math.pi) ** 1.5)
    out.flags.writeable = False
    return out


def sphere_quadrature(degree: int) -> tuple[FloatArray, FloatArray]:
    """Points [n, 3] and weights [n] that integrate polynomials up to a degree over the unit sphere.

    Gauss-Legendre along the polar axis, equal angles about it; the weights add up to 4 pi.
    """
    z, w = np.polynomial.legendre.leggauss(degree // 2 + 1)
    n_phi = degree + 1
    phi = 2 * math.pi * np.arange(n_phi) / n_phi
    rho = np.sqrt(1.0 - z * z)
    points = np.stack(
        np.broadcast_arrays(
            rho[:, None] * np.cos(phi), rho[:, None] * np.sin(phi), z[:, None] + 0 * phi
        ),
        axis=-1,
    )
    weights = np.repeat(w * 2 * math.pi / n_phi, n_phi)
    return points.reshape(-1, 3), weights


def coupling_tensor(l_max: int) -> FloatArray:
    """Exact coupling T[k][j][i] of all paths l1 x l2 -> l3 up to l_max, each of Frobenius norm 1.

    Returns
    -------
    ndarray [d, d, d], d = (l_max+1)^2
        k: output, j: harmonic, i: feature component.
    """
    d = (l_max + 1) ** 2
    block = [slice(degree**2, (degree + 1) ** 2) for degree in range(l_max + 1)]
    out = np.zeros((d, d, d))
    for l1 in range(l_max + 1):
        for l2 in range(l_max + 1):
            for l3 in range(abs(l1 - l2), min(l1 + l2, l_max) + 1):
                out[block[l3], block[l2], block[l1]] = wigner_3j(l1, l2, l3).transpose(2, 1, 0)
    return out


def random_rotations(n: int, seed: int) -> FloatArray:
    """Uniformly distributed rotation matrices [n, 3, 3] (from random unit quaternions)."""
    q = np.random.default_rng(seed).normal(size=(n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


@cache
def _probe(l_max: int) -> tuple[FloatArray, FloatArray]:
    """Return directions [n, 3] on a spiral and the pseudo-inverse [n, d] of their harmonics."""
    n = 4 * (l_max + 1) ** 2
    z = 1.0 - (2.0 * np.arange(n) + 1.0) / n
    phi = np.arange(n) * math.pi * (3.0 - math.sqrt(5.0))
    rho = np.sqrt(1.0 - z * z)
    points = np.stack([rho * np.cos(phi), rho * np.sin(phi), z], axis=-1)
    inverse = np.asarray(np.linalg.pinv(spherical_harmonics(l_max, points)).T, dtype=np.float64)
    return points, inverse


def wigner_d(l_max: int, rotation: FloatArray) -> FloatArray:
    """Block-diagonal matrix D with Y(R v) = D Y(v) for all degrees up to l_max.

    Parameters
    ----------
    l_max : int
        Highest degree.
    rotation : ndarray [3, 3]
        Orthogonal matrix R; with determinant -1 the parity (-1)^l is included.

    Returns
    -------
    ndarray [(l_max+1)^2, (l_max+1)^2]
    """
    points, inverse = _probe(l_max)
    out = spherical_harmonics(l_max, points @ rotation.T).T @ inverse
    degree = np.array([n for n in range(l_max + 1) for _ in range(2 * n + 1)])
    out[degree[:, None] != degree[None, :]] = 0.0
    return out


def equivariance_defect(coupling: FloatArray, n_rotations: int = 32, seed: int = 20240229) -> float:
    """Largest relative Frobenius norm of D.T - T over random rotations; 0 is exactly equivariant.

    Parameters
    ----------
    coupling : ndarray [d, d, d]
        T[k][j][i], d = (l_max+1)^2.
    n_rotations, seed : int
        Number and seed of the rotations.
    """
    l_max = math.isqrt(coupling.shape[0]) - 1
    norm = np.linalg.norm(coupling)
    worst = 0.0
    for rotation in random_rotations(n_rotations, seed):
        d = wigner_d(l_max, rotation)
        turned = np.einsum("kc,jb,ia,cba->kji", d, d, d, coupling, optimize=True)
        worst = max(worst, float(np.linalg.norm(turned - coupling) / norm))
    return worst
