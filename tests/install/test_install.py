# SPDX-License-Identifier: BSD-3-Clause
"""Tests the result of `cmake --install`: builds and runs another program with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import read

from eqnn.built import find_built
from eqnn.library import Potential

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "cpp"
HEADERS = sorted(path.name for path in (ROOT / "include" / "eqnn").iterdir())
MODEL = ROOT / "potentials" / "gaunt_acetylacetone.eqnn"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")


def run(*words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the build tree whose library the tests use."""
    folder = tmp_path_factory.mktemp("prefix")
    build = find_built("libeqnn.so", "EQNN_LIBRARY").parent.parent
    run("cmake", "--install", build, "--prefix", folder, "--strip")
    return folder


def library(prefix: Path) -> Path:
    (path,) = prefix.glob("lib*/**/libeqnn.so")
    return path


def test_headers_library_plugin_and_package_are_installed_and_nothing_else(prefix: Path) -> None:
    installed = {
        str(path.relative_to(prefix)).replace("lib64/", "lib/").replace("x86_64-linux-gnu/", "")
        for path in prefix.rglob("*")
        if not path.is_dir()
    }
    version = (ROOT / "VERSION").read_text().strip()
    expected = {f"include/eqnn/{name}" for name in HEADERS}
    expected |= {"lib/libeqnn.so", "lib/libeqnn.so.0", f"lib/libeqnn.so.{version}"}
    expected |= {"lib/lammps/plugins/eqnnplugin.so"}
    package = {path for path in installed if path.startswith("lib/cmake/eqnn/")}
    assert installed - package == expected
    assert {Path(path).name for path in package} >= {"eqnn-config.cmake", "eqnn-targets.cmake"}


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_stands_alone_in_cpp17(prefix: Path, tmp_path: Path, header: str) -> None:
    source = tmp_path / "alone.cpp"
    source.write_text(f"#include <eqnn/{header}>\n#include <eqnn/{header}>\n")
    run("g++", "-std=c++17", *WARNINGS, "-fsyntax-only", "-I", prefix / "include", source)


def test_the_c_header_is_c(prefix: Path, tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text(
        "#include <eqnn/eqnn.h>\n#include <stdio.h>\n"
        'int main(void) { printf("%s|%s", eqnn_version(), '
        'eqnn_open("none.eqnn", "double") ? "" : eqnn_last_error()); return 0; }\n'
    )
    folder = library(prefix).parent
    program = tmp_path / "program"
    run(
        *("g++", "-x", "c", "-std=c99", *WARNINGS, "-I", prefix / "include", source),
        *("-o", program, "-x", "none", "-L", folder, "-leqnn", f"-Wl,-rpath,{folder}"),
    )
    version, error = run(program).split("|")
    assert version == (ROOT / "VERSION").read_text().strip()
    assert error.startswith("none.eqnn")


def test_the_library_shows_its_interface_and_nothing_else(prefix: Path) -> None:
    """Another Kokkos in the same process must not meet ours."""
    symbols = [
        line.split(maxsplit=2)[2]
        for line in run("nm", "-D", "-C", "--defined-only", library(prefix)).splitlines()
    ]
    own = re.compile(r"(vtable for |typeinfo (name )?for )?eqnn::|eqnn_")
    assert [symbol for symbol in symbols if not own.match(symbol)] == []
    rooms = re.compile(r"eqnn::(kernels|plan|engine|reference|so3|test)::")
    assert [symbol for symbol in symbols if rooms.search(symbol)] == []
    assert any(symbol.startswith("eqnn::Potential::evaluate(") for symbol in symbols)


def build(source: Path, prefix: Path, build_folder: Path) -> None:
    run("cmake", "-S", source, "-B", build_folder, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build_folder)


def test_every_function_of_the_interface_links_and_does_what_it_says(
    prefix: Path, tmp_path: Path
) -> None:
    source = Path(__file__).parent / "consumer.cpp"
    text = source.read_text()
    for header in (ROOT / "include" / "eqnn").glob("*.hpp"):
        for name in functions_of(header.read_text()):
            assert re.search(rf"\b{name}\b", text), f"{header.name}: {name} is not in consumer.cpp"
    shutil.copy(source, tmp_path)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(consumer LANGUAGES CXX)\n"
        "find_package(eqnn 0.1 REQUIRED)\nadd_executable(consumer consumer.cpp)\n"
        f"target_compile_options(consumer PRIVATE {' '.join(WARNINGS)})\n"
        "target_link_libraries(consumer PRIVATE eqnn::eqnn)\n"
    )
    build(tmp_path, prefix, tmp_path / "build")
    run(tmp_path / "build" / "consumer", MODEL)


def functions_of(header: str) -> set[str]:
    """Return names of functions that a header declares and the library defines."""
    code = re.sub(r"//.*", "", header)
    free = re.findall(r"EQNN_API\s+(?!class)[^;{(]*?(\w+)\(", code)
    members = re.findall(
        r"^  (?:static |explicit )?[\w:<>&* ]*?(\w+)\((?:[^;{]|= \{\})*\)(?: const)?;", code, re.M
    )
    return {*free, *members} - {"operator"}


def test_functions_are_found() -> None:
    text = (ROOT / "include" / "eqnn" / "potential.hpp").read_text()
    assert functions_of(text) >= {"products_from_name", "evaluate", "bytes_used", "Potential"}


def test_the_example_relaxes_a_molecule(prefix: Path, tmp_path: Path) -> None:
    build(EXAMPLE, prefix, tmp_path / "build")
    (tmp_path / "relaxed.xyz").write_text(run(tmp_path / "build" / "relax", MODEL))
    atoms = read(tmp_path / "relaxed.xyz")
    assert isinstance(atoms, Atoms) and len(atoms) == 15
    with Potential(MODEL) as potential:
        found = potential.evaluate(atoms.numbers, atoms.positions)
    assert (found.forces**2).sum(axis=1).max() ** 0.5 < 0.01
    # Positions are written with 1e-12 Angstrom: times forces, nothing. Rounding of 1e4 eV is 1e-12.
    assert abs(found.energy - atoms.get_potential_energy()) <= 1e-7


def test_the_example_says_what_is_wrong(prefix: Path, tmp_path: Path) -> None:
    build(EXAMPLE, prefix, tmp_path / "build")

    def said(model: Path | str) -> str:
        words = [str(tmp_path / "build" / "relax"), str(model)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    assert said("none.eqnn").startswith("relax: none.eqnn")
    good = ROOT / "tests" / "model" / "good" / "uniform.eqnn"  # without self-tests
    assert said(good) == f"relax: {good} carries no structure. Add one: eqnn export does.\n"


def test_the_document_shows_the_example_as_it_is() -> None:
    text = (ROOT / "docs" / "library.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    program = (EXAMPLE / "relax.cpp").read_text()
    cmake = (EXAMPLE / "CMakeLists.txt").read_text()
    assert program.split("\n", 1)[1] in blocks  # without the license
    assert cmake.split("\n", 1)[1] in blocks
