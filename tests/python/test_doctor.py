# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn doctor` and `eqnn lmp`: a sound installation, and everything that can be wrong with one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eqnn
from eqnn import EqnnError, built, cli, doctor, lammps, library
from eqnn.doctor import Finding, State

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def by_name() -> dict[str, Finding]:
    return {found.about: found for found in doctor.findings()}


def fake(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fake_lammps(folder: Path, date: str = "22 Jul 2025", packages: str = "PLUGIN KOKKOS") -> Path:
    said = (
        f"Large-scale Atomic/Molecular Massively Parallel Simulator - {date} - Update 4\n"
        "MPI v3.1: Open MPI v4.1.4\n\n"
        f"Installed packages:\n\n{packages}\n\nList of individual style options"
    )
    return fake(folder / "lmp", f"cat <<'END'\n{said}\nEND\ntouch {folder}/ran-$#")


def test_nothing_is_wrong_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"eqnn {eqnn.__version__} in ")
    for line in (
        "  ok   library    ",
        "  ok   self-test  mace_solvents.eqnn passes in double and single precision",
        "  ok   threads    OMP_NUM_THREADS is 1, of ",
        "22 Jul 2025; MPICH Version: ",
        "eqnnplugin.so loads and computes",
        "  ok   MPI        two ranks compute together",
    ):
        assert line in out
    assert out.endswith("Nothing is wrong.\n")


def test_a_missing_library_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQNN_LIBRARY", str(tmp_path / "none.so"))
    library._library.cache_clear()
    try:
        found = by_name()
    finally:
        library._library.cache_clear()
    for about in ("library", "self-test"):
        assert found[about].state is State.BAD
        assert "none.so, where there is no file" in found[about].text


def test_a_library_of_another_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "version", lambda: "0.0.9")
    found = by_name()["library"]
    assert found.state is State.BAD
    assert (
        f"is of version 0.0.9, this Python package of {eqnn.__version__}. Reinstall" in found.text
    )


def test_a_build_that_computes_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.Potential, "self_test", lambda _: (0.0, float("nan"), 0.0, 4))
    found = by_name()["self-test"]
    assert found.state is State.BAD
    assert "off, expected at most" in found.text and "Report it with the processor" in found.text


@pytest.mark.parametrize(
    ("said", "state", "text"),
    [
        (None, State.NOTE, "is not set: each process takes all"),
        ("1", State.GOOD, "OMP_NUM_THREADS is 1, of "),
        ("1000", State.BAD, "threads would wait for each other. Set it to "),
        ("many", State.BAD, "is 'many', expected a number of threads. Correct it"),
        ("0", State.BAD, "is '0', expected a number of threads"),
    ],
)
def test_threads(
    monkeypatch: pytest.MonkeyPatch, said: str | None, state: State, text: str
) -> None:
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    found = doctor._threads()
    assert (found.state, text in found.text) == (state, True)


def test_a_gpu_that_is_not_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "nvidia-smi", "echo NVIDIA H200; echo NVIDIA H200")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = doctor._gpu()
    assert found.state is State.NOTE
    assert found.text.startswith("NVIDIA H200, NVIDIA H200; not used: this build of eqnn has no ")
    fake(tmp_path / "nvidia-smi", "echo no driver; exit 9")
    assert doctor._gpu().text == "none found, none needed"


def test_no_lammps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQNN_LAMMPS", str(tmp_path / "lmp"))
    found = by_name()
    assert found["LAMMPS"].state is State.BAD and "plugin" not in found
    assert "where there is no file" in found["LAMMPS"].text


def test_what_is_no_lammps_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lmp = fake(tmp_path / "lmp", "echo libmpi.so.12: cannot open; exit 127")
    monkeypatch.setenv("EQNN_LAMMPS", str(lmp))
    assert by_name()["LAMMPS"].text == (
        f"{lmp}: `lmp -h` ended with code 127 and does not say what it is: libmpi.so.12: cannot "
        "open\nFix that, or set EQNN_LAMMPS to the path of another lmp."
    )


def test_a_lammps_without_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQNN_LAMMPS", str(fake_lammps(tmp_path, packages="MANYBODY KOKKOS")))
    found = by_name()
    assert "of 22 Jul 2025 lacks its PLUGIN package. Build it with" in found["LAMMPS"].text
    assert "plugin" not in found


def test_a_missing_plugin_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQNN_PLUGIN", str(tmp_path / "none.so"))
    found = by_name()
    assert found["LAMMPS"].state is State.GOOD
    assert found["plugin"].state is State.BAD and "MPI" not in found
    assert "none.so, where there is no file" in found["plugin"].text


@pytest.mark.parametrize("used", ["x86-64-v3", "x86-64-v2"])
def test_a_lower_level_than_the_processor_has_is_noted(
    monkeypatch: pytest.MonkeyPatch, used: str
) -> None:
    """Only an installed package has several levels, of which EQNN_LEVEL may force one."""
    monkeypatch.setenv("EQNN_LIBRARY", str(built.find_built("libeqnn.so", "EQNN_LIBRARY")))
    monkeypatch.setattr(built, "in_clone", lambda: False)
    monkeypatch.setattr(built, "engine_levels", lambda: ["x86-64-v4", "x86-64-v3", "x86-64-v2"])
    monkeypatch.setattr(built, "engine_level", lambda: used)
    monkeypatch.setattr(built, "runs_here", lambda level: level != "x86-64-v4")
    found = {f.about: f for f in doctor._library()}["processor"]
    text = f"code for {used} is used, of x86-64-v4, x86-64-v3, x86-64-v2"
    if used == "x86-64-v3":
        assert (found.state, found.text) == (State.GOOD, text)
    else:
        assert found.state is State.NOTE
        assert found.text == f"{text}; this one could run x86-64-v3: unset EQNN_LEVEL"


def test_a_plugin_that_does_not_compute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example the plugin of another LAMMPS: LAMMPS's own message is shown."""
    text = (tmp_path / "eqnnplugin.so", "not a library")
    text[0].write_text(text[1])
    monkeypatch.setenv("EQNN_PLUGIN", str(text[0]))
    found = by_name()
    assert found["plugin"].state is State.BAD and "MPI" not in found
    assert "LAMMPS ended with code 1: ERROR" in found["plugin"].text


def test_the_mpiexec_of_another_mpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts several LAMMPS of one rank each, which nothing else would reveal."""
    mpiexec = fake(tmp_path / "mpiexec", 'shift 2; "$@"; "$@"')
    monkeypatch.setattr(lammps, "find_mpiexec", lambda _: mpiexec)
    found = by_name()["MPI"]
    assert found.state is State.BAD
    assert (
        f"{mpiexec} -n 2 started 2 LAMMPS of 1 rank each, expected one of 2: it is another MPI's."
    ) in found.text
    assert "Put the mpiexec of this LAMMPS (MPICH Version:" in found.text


def test_a_lammps_without_mpiexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lmp = fake_lammps(tmp_path / "bin")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EqnnError, match=r"Install the MPI of this LAMMPS, or leave -np out\."):
        lammps.command(lmp, 2, [])


def test_findings_make_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> Iterator[Finding]:
        yield Finding("one", State.GOOD, "sound")
        yield Finding("two", State.BAD, "long " * 30 + "\nthe cure")

    assert doctor.run(None, look) == 1  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert "  ok   one        sound\n  BAD  two        long long" in out
    assert "\n                  the cure\n1 of 2 are bad.\n" in out
    assert max(map(len, out.splitlines()[1:])) <= 100


def test_a_demo_that_cannot_write_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--output", "/proc/none"]) == 1
    assert capsys.readouterr().err == (
        "eqnn: --output /proc/none: cannot be made (No such file or directory). Name another "
        "folder.\n"
    )


@pytest.mark.parametrize("n_other", [0, 2, 3])
def test_busy_cores_are_found(monkeypatch: pytest.MonkeyPatch, n_other: int) -> None:
    monkeypatch.setattr("eqnn.launch.other_load", lambda: n_other)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    found = list(doctor._other_programs())
    if n_other < 3:  # a quarter of the cores
        assert found == []
        return
    assert found == [
        Finding(
            "cores",
            State.NOTE,
            "other programs run 3 threads on the 8 cores of this process. `eqnn` lets its threads "
            "sleep while they wait.\nElsewhere (`lmp`, Python) set OMP_WAIT_POLICY=passive, or "
            "steps may take tens of times as long.",
        )
    ]


# ---- eqnn lmp ----

SCRIPT = """units metal
region box block 0 9 0 9 0 9
create_box 1 box
mass 1 12
create_atoms 1 random 3 5 NULL
pair_style eqnn
pair_coeff * * {model} C
run 0
"""


def eqnn_lmp(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(model=ROOT / "potentials" / "mace_solvents.eqnn")
    (folder / "in.test").write_text(script)
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("LD_LIBRARY_PATH", "LAMMPS_PLUGIN_PATH", "OMP_NUM_THREADS")
    }
    return subprocess.run(
        [BIN / "eqnn", "lmp", *words],
        cwd=folder,
        env=clean | env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_lammps_runs_with_nothing_set(tmp_path: Path, ranks: int) -> None:
    words = ["-np", str(ranks)] if ranks > 1 else []
    done = eqnn_lmp(tmp_path, *words, "-in", "in.test", "-log", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    threads = max(1, lammps.cores() // ranks)
    assert f"{threads} OpenMP thread(s) per MPI task" in done.stdout
    assert f" on {ranks * threads} procs for 0 steps" in done.stdout


def test_threads_that_are_said_are_taken(tmp_path: Path) -> None:
    done = eqnn_lmp(tmp_path, "-in", "in.test", "-log", "none", OMP_NUM_THREADS="3")
    assert "with 3 threads" in done.stdout


def test_lammps_own_exit_status_comes_through(tmp_path: Path) -> None:
    done = eqnn_lmp(tmp_path, "-in", "in.none", "-log", "none")
    assert done.returncode == 1
    assert "in.none" in done.stdout + done.stderr


def test_a_wrong_number_of_ranks(tmp_path: Path) -> None:
    done = eqnn_lmp(tmp_path, "-np", "0", "-in", "in.test")
    assert done.returncode == 1
    assert done.stderr == "eqnn: -np 0: expected 1 or more ranks. Correct it.\n"


def test_the_plugin_of_the_lammps_that_is_found_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQNN_LAMMPS", str(fake_lammps(tmp_path, "2 Aug 2023")))
    asked: list[Any] = []

    def find(*words: object) -> Path:
        asked.append(words)
        return tmp_path / "p.so"

    monkeypatch.setattr(lammps, "find_built", find)
    monkeypatch.setattr(os, "execve", lambda *a: asked.append(a))
    cli.main(["lmp", "-in", "in.x"])
    assert asked[0] == ("eqnnplugin.so", "EQNN_PLUGIN", 20230802)
    line, words, env = asked[1]
    assert words == [line, "-in", "in.x"]
    assert env["LAMMPS_PLUGIN_PATH"] == str(tmp_path)
