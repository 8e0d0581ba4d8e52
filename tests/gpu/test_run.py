# SPDX-License-Identifier: BSD-3-Clause
"""Tests the script of the GPU bundle with stand-ins for its programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import in_lammps
import pytest
import run as bundle

SCRIPT = Path(bundle.__file__)
PASSES = """#!/bin/sh
echo '[ RUN      ] A.b'
echo '[       OK ] A.b (1 ms)'
echo '[==========] 1 test from 1 test suite ran. (1 ms total)'
"""
BENCH = """#!/bin/sh
echo 'x, 17.5 neighbors, 500 atoms, single: 4.4 us/atom, 0.3 MFLOP/atom, 1 % of peak, \
9.9 kB/atom, 53 kernels, set up in 0.2 s, energy 1 eV'
echo '  eqnn::linear     0.38 us/atom'
"""


# Of each potential in single and double; those of random weights in single.
N_TIMES = sum(1 if name.startswith("wide/") else 2 for name, _ in bundle.MODELS)
LMP = """#!/bin/sh
echo '  single precision on Serial with 1 thread;'
echo '      10   {energy}   -30.5   1e-3'
echo 'Loop time of 0.5 on 1 procs for 10 steps with 16 atoms'
echo 'Pair    | 0.4        | 0.4        | 0.4        |   0.0 | 97.5'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a sound bundle, except that the library is missing."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "potentials").mkdir()
    (tmp_path / "bundle.json").write_text('{"commit": "abc"}')
    for name in bundle.KERNEL_TESTS:
        program(tmp_path, f"test_{name}", PASSES)
    program(tmp_path, "bench_model", BENCH)
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def go(folder: Path, *words: str) -> tuple[int, str, list[str]]:
    command = [sys.executable, str(SCRIPT), "--bundle", str(folder), "--space", "OpenMP"]
    done = subprocess.run(
        [*command, "--results", str(folder / "results"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads((folder / "results" / "report.json").read_text())
    return done.returncode, done.stdout + done.stderr, bundle.failures(report)


def test_what_passes_is_counted_and_no_potentials_is_a_failure(folder: Path) -> None:
    status, text, wrong = go(folder)
    assert wrong == ["self_tests: no potentials"]
    assert status == 1
    assert "| test_stages | 1 | 1 |" in text
    assert text.count("| 4.4 | 53 | 9.9 |") == N_TIMES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\nexit 0\n", "test_stages: status 0 in nothing"),
        ("#!/bin/sh\necho '[ RUN      ] A.b'; kill -SEGV $$\n", "test_stages: status -11 in A.b"),
        (
            PASSES.replace("echo '[       OK ] A.b (1 ms)'", ""),
            "test_stages: 0 of 1 tests passed",
        ),
        (PASSES.replace("1 test from", "0 tests from"), "test_stages: 1 of 0 tests passed"),
        (
            PASSES.replace("[       OK ] A.b", "[  FAILED  ] A.b") + "exit 1\n",
            "test_stages: A.b",
        ),
    ],
)
def test_what_did_not_pass_is_said(folder: Path, text: str, said: str) -> None:
    program(folder, "test_stages", text)
    assert said in go(folder)[2]


def test_a_run_that_ends_early_has_failed_and_goes_on_later(folder: Path) -> None:
    status, _, wrong = go(folder, "--seconds", "1")
    assert status == 1
    assert "kernel_tests: has not run to its end; run this again" in wrong
    assert go(folder)[2] == ["self_tests: no potentials"]
    # Times that are there are not measured again.
    times = folder / "results" / "times.json"
    kept = json.loads(times.read_text())
    kept = {"cases": kept["cases"][:3], "stopped": True}
    kept["cases"][0]["us"] = 123.0
    times.write_text(json.dumps(kept))
    status, text, wrong = go(folder)
    assert wrong == ["self_tests: no potentials"]
    assert "| 123.0 |" in text
    assert text.count("| 4.4 |") == N_TIMES - 1


def test_a_library_that_does_not_load_fails_its_self_tests(folder: Path) -> None:
    (folder / "potentials" / "x.eqnn").write_text("")
    wrong = go(folder)[2]
    assert [line.split(":")[0] for line in wrong] == [
        f"self-test of x in {precision}" for precision in bundle.PRECISIONS
    ]


def lammps(folder: Path, text: str) -> None:
    for name in ("lammps/lmp", "bin/mpiexec"):
        path = folder / "lammps" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("energy", "said"),
    [
        ("-1.25", None),
        ("nan", "differs by nan"),
        # where edges are made on the device
        (
            "$(grep -q 'edges device' in.bundle && echo -1.2500001 || echo -1.25)",
            "differs by 8.0e-08",
        ),
    ],
)
def test_trajectories_of_lammps_are_compared(folder: Path, energy: str, said: str | None) -> None:
    lammps(
        folder,
        LMP.replace(
            "'      10   {energy}   -30.5   1e-3'", f'"      10   {energy}   -30.5   1e-3"'
        ),
    )
    wrong = [line for line in go(folder)[2] if line.startswith("lammps")]
    if said is None:
        assert wrong == []
    else:
        assert wrong
        assert all(said in line for line in wrong)


def test_a_lammps_that_fails_is_said(folder: Path) -> None:
    lammps(folder, "#!/bin/sh\necho ERROR: no such style; exit 1\n")
    wrong = [line for line in go(folder)[2] if line.startswith("lammps")]
    assert len(wrong) == 3 * len(in_lammps.CASES)
    assert all("status 1: ERROR: no such style" in line for line in wrong)
