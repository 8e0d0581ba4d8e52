# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn decompose`: factors of a coupling, exact where the rank allows it.

A coupling T[k, j, i] becomes sum_r C[k, r] B[j, r] A[i, r], a canonical polyadic decomposition.
Alternating least squares comes near; Levenberg and Marquardt's method then ends at rounding, where
an exact decomposition of this rank is near. Its linear equations are solved by preconditioned
conjugate gradients, with the structure of the normal equations used throughout (Sorber, Van Barel
and De Lathauwer, SIAM J. Optim. 23, 695, 2013): a product with the matrix costs d R^2 operations.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from eqnn.cp import even_paths, read_factors
from eqnn.errors import EqnnError
from eqnn.so3 import FloatArray, coupling_tensor, equivariance_defect
from eqnn.status_line import StatusLine, duration

Factors = tuple[FloatArray, FloatArray, FloatArray]

_EXACT = 3e-15  # relative error: rounding
_MOST_L_MAX = 6
_SWEEPS = 100
_MOST_STEPS = 2000
_MOST_GRADIENTS = 500  # of conjugate gradients, a step
# Steps without a tenth less error, after which there is no exact decomposition nearby.
_PATIENCE = 60
_SECONDS = 60.0  # between checkpoints


def generic_rank(d: int) -> int:
    """Return the rank of almost every tensor [d, d, d], ceil(d^3 / (3 d - 2)); of [4, 4, 4]: 7."""
    return -(-(d**3) // (3 * d - 2))


def coupling(l_max: int, even: bool) -> FloatArray:
    """Return the tensor to decompose: :func:`eqnn.so3.coupling_tensor`.

    Parameters
    ----------
    l_max : int
    even : bool
        Whether to keep only paths with an even sum of degrees, which parity requires of features of
        parity (-1)^l.
    """
    tensor = coupling_tensor(l_max)
    return even_paths(tensor) if even else tensor


def relative_error(tensor: FloatArray, factors: Factors) -> float:
    """Return the norm of the residual of A, B, C for a tensor [k, j, i], over its norm."""
    missed = _product(*factors) - tensor
    return float(np.linalg.norm(missed) / np.linalg.norm(tensor))


def _product(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    d, rank = c.shape
    pairs = (b[:, None, :] * a[None, :, :]).reshape(-1, rank)
    return (c @ pairs.T).reshape(d, b.shape[0], a.shape[0])


def _projections(x: FloatArray, factors: Factors) -> Factors:
    """Contract x [k, j, i] with two factors, for each that is left out: [., R]."""
    a, b, c = factors
    of_c = np.tensordot(x, c, axes=(0, 0))  # [j, i, R]
    return (
        np.einsum("jir,jr->ir", of_c, b),
        np.einsum("jir,ir->jr", of_c, a),
        np.einsum("kjr,jr->kr", np.tensordot(x, a, axes=(2, 0)), b),
    )


def _grams(factors: Factors) -> tuple[list[FloatArray], list[FloatArray]]:
    """F^T F of each factor, and the product, entry by entry, of the other two."""
    own = [f.T @ f for f in factors]
    return own, [own[1] * own[2], own[0] * own[2], own[0] * own[1]]


def _dot(x: Factors, y: Factors) -> float:
    return float(sum((a * b).sum() for a, b in zip(x, y, strict=True)))


def _plus(x: Factors, t: float, y: Factors) -> Factors:
    a, b, c = (u + t * v for u, v in zip(x, y, strict=True))
    return a, b, c


def _balanced(factors: Factors) -> Factors:
    """Return the same product by columns of equal norms."""
    norms = [np.linalg.norm(f, axis=0) for f in factors]
    mean = np.cbrt(norms[0] * norms[1] * norms[2])
    a, b, c = (f * (mean / n) for f, n in zip(factors, norms, strict=True))
    return a, b, c


def alternating_least_squares(tensor: FloatArray, rank: int, seed: int) -> Factors:
    """Return factors from random ones, each in turn the best for the others.

    A proximal term, which shrinks from sweep to sweep, keeps them from diverging.
    """
    random = np.random.default_rng(seed)
    factors = [random.normal(size=(n, rank)) / rank**0.25 for n in tensor.shape[::-1]]
    for sweep in range(_SWEEPS):
        step = 0.1 * 0.98**sweep + 1e-9
        for n in range(3):
            a, b, c = factors
            others = _grams((a, b, c))[1][n] + step * np.eye(rank)
            target = _projections(tensor, (a, b, c))[n] + step * factors[n]
            factors[n] = np.linalg.solve(others, target.T).T
        factors = list(_balanced((factors[0], factors[1], factors[2])))
    return factors[0], factors[1], factors[2]


class _Normal:
    """The matrix J^T J + damping of the sum of squares at some factors."""

    def __init__(self, factors: Factors, damping: float) -> None:
        self._factors = factors
        self._damping = damping
        self._own, self._others = _grams(factors)
        eye = np.eye(factors[0].shape[1])
        self._diagonal = [cho_factor(g + damping * eye) for g in self._others]

    def times(self, v: Factors) -> Factors:
        """Product with a step [., R] of each factor."""
        mixed = [x.T @ f for x, f in zip(v, self._factors, strict=True)]
        out = []
        for n in range(3):
            p, q = (k for k in range(3) if k != n)
            across = mixed[p] * self._own[q] + mixed[q] * self._own[p]
            out.append(v[n] @ self._others[n] + self._damping * v[n] + self._factors[n] @ across)
        return out[0], out[1], out[2]

    def nearly_over(self, v: Factors) -> Factors:
        """Solve with the blocks on the diagonal alone."""
        a, b, c = (cho_solve(g, x.T).T for g, x in zip(self._diagonal, v, strict=True))
        return a, b, c

    def over(self, v: Factors, tolerance: float) -> Factors:
        """Solve by preconditioned conjugate gradients, to so much of v's norm."""
        x: Factors = (np.zeros_like(v[0]), np.zeros_like(v[1]), np.zeros_like(v[2]))
        left = v
        z = self.nearly_over(left)
        along, size = z, _dot(left, z)
        enough = tolerance**2 * _dot(v, v)
        for _ in range(_MOST_GRADIENTS):
            image = self.times(along)
            t = size / _dot(along, image)
            x, left = _plus(x, t, along), _plus(left, -t, image)
            if _dot(left, left) <= enough:
                break
            z = self.nearly_over(left)
            new = _dot(left, z)
            along, size = _plus(z, new / size, along), new
        return x


@dataclass
class State:
    """The state of a decomposition.

    Attributes
    ----------
    factors : tuple of ndarray
        A, B, C.
    step : int
    damping : float
        Of the method of Levenberg and Marquardt.
    """

    factors: Factors
    step: int = 0
    damping: float = 1e-2


def decompose(
    tensor: FloatArray, state: State, report: Callable[[State, float], None] | None = None
) -> float:
    """Improve factors until they are exact up to rounding, or stop improving.

    Parameters
    ----------
    tensor : ndarray [d, d, d]
        T[k, j, i].
    state : State
        Initial state, from :func:`alternating_least_squares`; changed in place.
    report : callable, optional
        Called with the state and its error after each step.

    Returns
    -------
    float
        Relative error.
    """
    norm = float(np.linalg.norm(tensor))
    missed = _product(*state.factors) - tensor
    error = best = float(np.linalg.norm(missed)) / norm
    since = 0
    while error > _EXACT and state.step < _MOST_STEPS and since < _PATIENCE:
        normal = _Normal(state.factors, state.damping)
        slope = _projections(missed, state.factors)
        change = normal.over((-slope[0], -slope[1], -slope[2]), min(0.1, math.sqrt(error)))
        tried = _plus(state.factors, 1.0, change)
        then = _product(*tried) - tensor
        new = float(np.linalg.norm(then)) / norm
        # The decrease that the linearized problem predicts.
        foreseen = -2.0 * _dot(change, slope) - _dot(
            change, _plus(normal.times(change), -state.damping, change)
        )
        if new < error:
            gain = (error**2 - new**2) * norm**2 / foreseen if foreseen > 0 else 0.0
            state.factors, missed, error = tried, then, new
            state.damping = max(state.damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 1e-15)
        else:
            state.damping *= 4.0
        state.step += 1
        since += 1
        if error < 0.9 * best:
            best, since = error, 0
        if report is not None:
            report(state, error)
    state.factors = _balanced(state.factors)
    return error


# ---- the command ----


def add_parser(commands: Any) -> None:
    """Add the command to those of `eqnn`."""
    one = commands.add_parser(
        "decompose",
        help="make the factors of a coupling (TDN)",
        description="Computes the factors A, B, C [d, R] of the coupling of degrees up to L, and "
        "writes them to an .npz file for `eqnn new tdn --factors`. The same command continues a "
        "run that was killed. See docs/spec/cp.md.",
    )
    one.add_argument("--l-max", type=int, required=True, metavar="L", help="highest degree")
    one.add_argument(
        "--rank", type=int, metavar="R", help="rank; default: the generic one, 8 for L 1"
    )
    one.add_argument("--even", action="store_true", help="only paths with an even sum of degrees")
    one.add_argument("--seed", type=int, default=1, help="where the search begins; default: 1")
    one.add_argument(
        "--output", type=Path, required=True, metavar="FACTORS.npz", help="the file to write"
    )
    one.add_argument("--force", action="store_true", help="overwrite an existing output")
    one.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    path: Path = options.output
    if not 1 <= options.l_max <= _MOST_L_MAX:
        raise EqnnError(f"--l-max {options.l_max}: expected 1 to {_MOST_L_MAX}. Give one of these.")
    d = (options.l_max + 1) ** 2
    rank = options.rank if options.rank is not None else max(8, generic_rank(d))
    if not 1 <= rank <= d * d:
        raise EqnnError(
            f"--rank {rank}: expected 1 to {d * d}, at which any tensor has factors. "
            "Give one of these."
        )
    if not path.parent.is_dir():
        raise EqnnError(f"--output {path}: there is no folder {path.parent}. Make it first.")
    if path.suffix != ".npz":
        raise EqnnError(f"--output {path}: expected a name that ends in .npz. Give such a name.")
    if path.exists() and not options.force:
        raise EqnnError(
            f"--output {path}: exists already. Give another path, or --force to overwrite it."
        )
    settings = {
        "l_max": options.l_max, "rank": rank, "even": options.even, "seed": options.seed,
    }  # fmt: skip
    tensor = coupling(options.l_max, options.even)
    part = path.with_suffix(".part.npz")
    state = _taken_up(part, settings)
    if state is None:
        print(f"Rank {rank} of l_max {options.l_max}: alternating least squares.", flush=True)
        state = State(alternating_least_squares(tensor, rank, options.seed))
    else:
        print(f"Going on from {part}: step {state.step}.", flush=True)
    error = _watched(tensor, state, part, settings)
    _write(path, state, settings)
    part.unlink(missing_ok=True)
    found = _product(*state.factors)
    defect = equivariance_defect(found)
    said = "exact to rounding" if error <= 10 * _EXACT else "an approximation"
    print(f"Wrote {path}: l_max {options.l_max}, rank {rank}, {said}.")
    print(f"  relative error {error:.1e}, defect of equivariance {defect:.1e}")
    print(f"  {rank} multiply-adds an edge and channel, the matrix [{d}, {d}] has {d * d}")
    if error > 10 * _EXACT:
        print("  A higher --rank, or another --seed, may be exact.")
    return 0


def _watched(tensor: FloatArray, state: State, part: Path, settings: dict[str, Any]) -> float:
    """Decompose with a progress line and checkpoints."""
    line = StatusLine()
    began = shown = saved = time.monotonic()

    def report(now: State, error: float) -> None:
        nonlocal shown, saved
        at = time.monotonic()
        if line.is_due(at - shown):
            shown = at
            line.show(f"step {now.step}, relative error {error:.1e}, {duration(at - began)}")
        if at - saved >= _SECONDS:
            saved = at
            _write(part, now, settings)

    try:
        return decompose(tensor, state, report)
    except KeyboardInterrupt:
        _write(part, state, settings)
        raise EqnnError(
            f"interrupted at step {state.step}. The same command continues from {part}."
        ) from None
    finally:
        line.end()


def _write(path: Path, state: State, settings: dict[str, Any]) -> None:
    """Write factors atomically: if killed, the previous file remains."""
    temporary = path.with_suffix(".new.npz")
    a, b, c = state.factors
    np.savez(temporary, A=a, B=b, C=c, step=state.step, damping=state.damping, **settings)
    os.replace(temporary, path)


def _taken_up(part: Path, settings: dict[str, Any]) -> State | None:
    """Return the state of an interrupted run, if it had the same settings."""
    if not part.exists():
        return None
    factors = read_factors(part, settings["l_max"])
    with np.load(part) as stored:
        if any(key not in stored or stored[key].item() != settings[key] for key in settings):
            raise EqnnError(
                f"{part}: was made by another command. Remove it, or give another --output."
            )
        return State(factors, int(stored["step"]), float(stored["damping"]))
