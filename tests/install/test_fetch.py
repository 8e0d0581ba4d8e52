# SPDX-License-Identifier: BSD-3-Clause
"""If Kokkos, Eigen, nlohmann-json and GoogleTest are not found, CMake fetches them.

From archives made from the files of `make setup`: tests need no network.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".eqnn"
SOURCES: dict[str, Path | None] = {
    "KOKKOS": next(HOME.glob("src/pygenten-*/tpls/kokkos"), None),
    "NLOHMANN_JSON": next(HOME.glob("src/pygenten-*/tpls/json"), None),
    "GTEST": next(HOME.glob("src/pygenten-*/tpls/googletest"), None),
    "EIGEN3": next(HOME.glob("deps/include/eigen3"), None),
}
PACKAGES = ("Kokkos", "Eigen3", "nlohmann_json", "GTest")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in SOURCES.values(), reason="no sources: `make setup` has them"),
]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pack each library as its release is packed: one folder in an archive."""
    folder = tmp_path_factory.mktemp("archives")
    packed = {}
    for name, source in SOURCES.items():
        assert source is not None
        packed[name] = folder / f"{name}.tar.gz"
        with tarfile.open(packed[name], "w:gz", compresslevel=1) as archive:
            archive.add(source, arcname=name.lower())
    return packed


def configure(build: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Configure a build that finds nothing of what an installation has."""
    hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON" for package in PACKAGES]
    return subprocess.run(
        ["cmake", "-S", ROOT, "-B", build, "-DEQNN_BUILD_PLUGIN=OFF", *hidden, *options],
        capture_output=True,
        text=True,
        check=False,
    )


def urls(archives: dict[str, Path], **wrong: str) -> list[str]:
    """Return the options that name the archives."""
    out = []
    for name, path in archives.items():
        digest = wrong.get(name, hashlib.sha256(path.read_bytes()).hexdigest())
        out += [f"-DEQNN_{name}_URL=file://{path}", f"-DEQNN_{name}_SHA256={digest}"]
    return out


def test_what_is_not_found_is_fetched_and_compiles(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    done = configure(tmp_path / "b", *urls(archives))
    assert done.returncode == 0, done.stderr
    for package in PACKAGES:
        assert f"-- {package} is not found: fetching file://" in done.stdout
    build = ["cmake", "--build", str(tmp_path / "b"), "--parallel", "2", "--target", "test_base"]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert subprocess.run([tmp_path / "b" / "bin" / "test_base"], check=False).returncode == 0
    # Nothing of theirs is installed with ours.
    said = (tmp_path / "b" / "cmake_install.cmake").read_text()
    assert "_deps" not in said


def test_an_archive_of_another_hash_is_refused(archives: dict[str, Path], tmp_path: Path) -> None:
    done = configure(tmp_path / "b", *urls(archives, KOKKOS="0" * 64))
    assert done.returncode != 0
    assert "SHA256 hash of" in done.stderr and "does not match expected value" in done.stderr


def test_sources_that_are_there_are_taken(archives: dict[str, Path], tmp_path: Path) -> None:
    there = [f"-DFETCHCONTENT_SOURCE_DIR_{name}={path}" for name, path in SOURCES.items()]
    unreachable = [f"-DEQNN_{name}_URL=file:///none" for name in SOURCES]
    done = configure(tmp_path / "b", *there, *unreachable)
    assert done.returncode == 0, done.stderr


def test_fetching_can_be_refused(tmp_path: Path) -> None:
    done = configure(tmp_path / "b", "-DEQNN_FETCH=OFF", "-DEQNN_BUILD_TESTS=OFF")
    assert done.returncode != 0 and "is not found: fetching" not in done.stdout
    assert re.search(r"find_package.*Kokkos", done.stderr, re.DOTALL)


def test_the_kokkos_of_a_lammps_is_never_fetched(archives: dict[str, Path], tmp_path: Path) -> None:
    done = configure(tmp_path / "b", *urls(archives), "-DEQNN_KOKKOS_STYLE=ON")
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert (
        "EQNN_KOKKOS_STYLE is on, and the Kokkos of this LAMMPS is not found: give its folder with "
        "-DKokkos_ROOT=/path"
    ) in said
