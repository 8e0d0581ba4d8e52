# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn decompose`: exact factors, approximate ones, kills, refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from eqnn_models import refusal

from eqnn.cli import main
from eqnn.cp import exact_factors, read_factors
from eqnn.decompose import (
    State,
    alternating_least_squares,
    coupling,
    decompose,
    generic_rank,
    relative_error,
)
from eqnn.so3 import coupling_tensor, equivariance_defect


@pytest.mark.parametrize(
    ("l_max", "even", "rank"), [(1, False, 8), (1, True, 7), (2, False, 30), (2, True, 26)]
)
def test_factors_are_exact_at_the_rank(l_max: int, even: bool, rank: int) -> None:
    tensor = coupling(l_max, even)
    state = State(alternating_least_squares(tensor, rank, seed=1))
    error = decompose(tensor, state)
    assert error <= 3e-15
    a, b, c = state.factors
    found = np.einsum("kr,jr,ir->kji", c, b, a)
    assert np.abs(found - tensor).max() <= 1e-14
    assert equivariance_defect(found) <= 1e-13
    assert a.shape == b.shape == c.shape == ((l_max + 1) ** 2, rank)


def test_errors_fall_from_step_to_step_and_stop_where_the_rank_is_too_small() -> None:
    tensor = coupling_tensor(1)
    state = State(alternating_least_squares(tensor, 5, seed=3))
    errors = [relative_error(tensor, state.factors)]
    error = decompose(tensor, state, lambda _, now: errors.append(now))
    assert all(after <= before for before, after in pairwise(errors))
    assert 1e-2 < error < errors[0]
    assert relative_error(tensor, state.factors) == pytest.approx(error, rel=1e-9)
    assert state.step < 2000


def test_even_paths_are_those_that_parity_allows() -> None:
    tensor = coupling(2, even=True)
    assert np.abs(tensor[1:4, 1:4, 1:4]).max() == 0.0  # 1 x 1 -> 1
    assert np.abs(tensor[4:9, 1:4, 1:4]).max() > 0.1  # 1 x 1 -> 2
    assert [generic_rank(d) for d in (9, 16, 25, 36, 49)] == [30, 90, 215, 441, 812]


def test_the_command_writes_what_a_new_network_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "factors.npz"
    assert main(["decompose", "--l-max", "1", "--output", str(path)]) == 0
    said = capsys.readouterr().out
    assert "l_max 1, rank 8, exact to rounding." in said
    assert "8 multiply-adds an edge and channel, the matrix [4, 4] has 16" in said
    assert list(tmp_path.iterdir()) == [path]
    a, b, c = read_factors(path, 1)
    expected = np.einsum("kr,jr,ir->kji", *exact_factors(1)[::-1])
    assert np.abs(np.einsum("kr,jr,ir->kji", c, b, a) - expected).max() <= 1e-14
    new = ["new", "tdn", "--species", "H,O", "--channels", "4", "--l-max", "1"]
    model = tmp_path / "new.eqnn"
    assert main([*new, "--factors", str(path), "--output", str(model)]) == 0
    assert main(["validate", str(model)]) == 0
    assert main([*new, "--even", "--factors", str(path), "--output", str(tmp_path / "b")]) == 1
    assert "their product has odd paths, up to " in capsys.readouterr().err
    few = tmp_path / "few.npz"
    assert main(["decompose", "--l-max", "1", "--rank", "6", "--output", str(few)]) == 0
    said = capsys.readouterr().out
    assert "an approximation" in said
    assert "A higher --rank, or another --seed, may be exact." in said
    assert main([*new, "--factors", str(few), "--output", str(tmp_path / "b.eqnn")]) == 1
    said = capsys.readouterr().err
    assert "their product is off by" in said
    assert "Give exact ones: `eqnn decompose` with a higher --rank." in said


def test_what_was_killed_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "factors.npz"
    code = (
        "import eqnn.decompose, sys; from eqnn.cli import main; eqnn.decompose._SECONDS = 0.0; "
        "sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "decompose", "--l-max", "3", "--output", str(path)]
    part = path.with_suffix(".part.npz")
    # Threads that wait for each other take minutes where others use the cores.
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
    for _ in range(600):
        if part.exists():
            break
        time.sleep(0.1)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert part.exists()
    assert not path.exists()
    with np.load(part) as stored:
        step = int(stored["step"])
    assert step > 0
    # Of another command: not taken up, and kept.
    said = refusal(lambda: _decompose_again("--seed", "2", "--output", str(path)))
    assert "was made by another command. Remove it" in said
    assert part.exists()
    out = subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout
    assert f"Going on from {part}: step " in out
    assert "rank 90, exact to rounding." in out
    assert list(tmp_path.iterdir()) == [path]


def _decompose_again(*more: str) -> None:
    from argparse import ArgumentParser

    from eqnn.decompose import add_parser

    parser = ArgumentParser()
    add_parser(parser.add_subparsers())
    options = parser.parse_args(["decompose", "--l-max", "3", *more])
    options.run(options)


def test_what_cannot_be_made_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["decompose", "--output", str(tmp_path / "a.npz")]
    for more, text in (
        (["--l-max", "0"], "--l-max 0: expected 1 to 6. Give one of these."),
        (["--l-max", "7"], "--l-max 7: expected 1 to 6. Give one of these."),
        (["--l-max", "1", "--rank", "0"], "--rank 0: expected 1 to 16, at which any tensor has"),
        (
            ["--l-max", "1", "--output", str(tmp_path / "no" / "a.npz")],
            f"there is no folder {tmp_path / 'no'}. Make it first.",
        ),
        (
            ["--l-max", "1", "--output", str(tmp_path / "a.txt")],
            "expected a name that ends in .npz. Give such a name.",
        ),
    ):
        assert main([*words, *more]) == 1
        assert text in capsys.readouterr().err
    (tmp_path / "a.npz").write_text("not a file of arrays")
    assert main([*words, "--l-max", "1"]) == 1
    assert "exists already. Give another path, or --force" in capsys.readouterr().err
    assert (tmp_path / "a.npz").read_text() == "not a file of arrays"
    new = ["new", "tdn", "--species", "H", "--output", str(tmp_path / "a.eqnn")]
    assert main([*new, "--factors", str(tmp_path / "a.npz")]) == 1
    assert "Expected factors A, B and C as `eqnn decompose` writes" in capsys.readouterr().err
    np.savez(tmp_path / "b.npz", A=np.ones((4, 8)), B=np.ones((4, 8)), C=np.full((4, 8), np.nan))
    assert main([*new, "--l-max", "1", "--factors", str(tmp_path / "b.npz")]) == 1
    assert "expected three of finite numbers [4, rank] for l_max 1." in capsys.readouterr().err
    assert main(["new", "mace", *new[2:], "--factors", str(tmp_path / "b.npz")]) == 1
    assert "--factors: mace has no coupling in factors. Leave it out." in capsys.readouterr().err
