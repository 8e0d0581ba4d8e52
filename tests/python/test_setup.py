# SPDX-License-Identifier: BSD-3-Clause
"""cmake/setup.py: where a LAMMPS with the KOKKOS package comes from."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MIRROR = "http://mirror.example/debian"


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("eqnn_setup", ROOT / "cmake" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "eqnn_setup", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HOME", tmp_path / "home")
    monkeypatch.setattr(module, "LOGS", tmp_path / "logs")
    monkeypatch.delenv("LAMMPS_SOURCE_DIR", raising=False)
    return module


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", f"# deb http://no.example/debian\ndeb {MIRROR} bookworm main\n"),
        ("sources.list", f"deb [arch=amd64 signed-by=/k] {MIRROR} bookworm main contrib\n"),
        ("sources.list.d/debian.sources", f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm\n"),
        (
            "sources.list.d/a.list",
            f"deb https://other.example/node_20.x nodistro main\ndeb {MIRROR} bookworm main\n",
        ),
    ],
)
def test_the_mirror_is_that_of_the_machine(
    setup: ModuleType, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)
    assert setup.debian_mirror(tmp_path) == MIRROR


def test_a_machine_without_debian_is_told_what_to_give(setup: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://mirror.example/ubuntu noble main\n"
        "deb http://security.example/debian-security bookworm-security main\n"
    )
    with pytest.raises(setup.SetupError) as error:
        setup.debian_mirror(tmp_path)
    assert f"no mirror of Debian's archive in {tmp_path}/sources.list" in str(error.value)
    assert "name it with 'make kokkos LAMMPS_SOURCE_DIR=folder'" in str(error.value)


def test_without_apt_get_the_user_brings_the_source(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.shutil, "which", lambda _: None)
    with pytest.raises(setup.SetupError, match="no apt-get to fetch LAMMPS's source with"):
        setup.fetch_lammps()


def test_another_archive_than_the_pinned_one_is_removed(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_run(_log: str, *command: str | Path, cwd: Path = ROOT) -> None:
        if "source" in command:
            (cwd / setup.LAMMPS_ARCHIVE).write_bytes(b"other bytes")

    monkeypatch.setattr(setup, "run", fake_run)
    monkeypatch.setattr(setup, "debian_mirror", lambda: MIRROR)
    setup.HOME.mkdir()
    with pytest.raises(setup.SetupError, match=r"expected 3671165b.*the download was removed"):
        setup.fetch_lammps()
    assert not (setup.HOME / "downloads" / setup.LAMMPS_ARCHIVE).exists()
    sources = (setup.HOME / "apt-source" / "sources.list").read_text()
    assert sources == f"deb-src [trusted=yes] {MIRROR} trixie main\n"


def test_a_named_source_must_have_the_package(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAMMPS_SOURCE_DIR", str(tmp_path))
    with pytest.raises(setup.SetupError, match=r"where no src/KOKKOS/pair_kokkos\.h is: give the"):
        setup.lammps_source()
    (tmp_path / "src" / "KOKKOS").mkdir(parents=True)
    (tmp_path / "src" / "KOKKOS" / "pair_kokkos.h").touch()
    assert setup.lammps_source() == tmp_path


def test_what_is_unpacked(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {
        "LICENSE": True,
        "cmake/CMakeLists.txt": True,
        "src/pair.h": True,
        "src/KOKKOS/pair_kokkos.h": True,
        "src/KOKKOS/pair_snap_kokkos.h": False,
        "potentials/Cu_u3.eam": False,
    }
    archive = tmp_path / "lammps.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(f"lammps-4Feb2025/{name}"))
    monkeypatch.setattr(setup, "fetch_lammps", lambda: archive)
    folder = setup.lammps_source()
    assert {name: (folder / name).exists() for name in names} == names
    # A second call finds it; one cut short begins anew.
    (folder / "src" / "pair.h").unlink()
    assert not (setup.lammps_source() / "src" / "pair.h").exists()
    (folder / "unpacked").unlink()
    assert (setup.lammps_source() / "src" / "pair.h").exists()


def test_another_named_source_is_built_anew(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    of_debian = setup.lammps_key()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "version.h").write_text('#define LAMMPS_VERSION "1 Jan 2026"')
    monkeypatch.setenv("LAMMPS_SOURCE_DIR", str(tmp_path))
    first = setup.lammps_key()
    (tmp_path / "src" / "version.h").write_text('#define LAMMPS_VERSION "2 Jan 2026"')
    assert len({of_debian, first, setup.lammps_key()}) == 3


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("pair_kokkos.h", False),
        ("pair_hybrid_overlay_kokkos.cpp", False),
        ("pair_zbl_kokkos.cpp", False),
        ("fix_nve_kokkos.cpp", False),
        ("bond_hybrid_kokkos.h", False),
        ("pair_snap_kokkos.cpp", True),
        ("bond_fene_kokkos.h", True),
        ("fix_shake_kokkos.cpp", True),
    ],
)
def test_which_styles_of_the_package_are_built(
    setup: ModuleType, name: str, left_out: bool
) -> None:
    found = setup.LAMMPS_STYLES_LEFT_OUT.search(f"lammps-4Feb2025/src/KOKKOS/{name}")
    assert (found is not None) is left_out


def test_what_training_runs_with_is_pinned_and_made_anew_where_a_pin_changes(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(setup, "VENV_TRAIN", tmp_path / "venv-train")  # it is removed first
    monkeypatch.setattr(setup, "run", lambda log, *words, cwd=ROOT: calls.append([log, *words]))
    part = setup.parts()["venv-train"]
    part.make()
    words = [[str(word) for word in call] for call in calls]
    assert any(str(ROOT / "cmake" / "requirements-train.txt") in call for call in words)
    assert words[-1][-2:] == ["-e", str(ROOT)]
    assert words[-1][1] == str(setup.VENV_TRAIN / "bin" / "python")
    pins = (ROOT / "cmake" / "requirements-train.txt").read_text().splitlines()[1:]
    assert {pin.split("==")[0] for pin in pins} >= {"jax", "jaxlib", "optax", "pyyaml", "pytest"}
    assert all(pin.count("==") == 1 for pin in pins)
    # The stamp holds these texts: nothing else is looked at on the next call.
    monkeypatch.setattr(setup, "text_of", lambda *paths: f"other {paths}")
    assert setup.parts()["venv-train"].key != part.key
    assert "cmake/requirements-train.txt" in setup.parts()["venv-train"].key


def test_torch_sim_asks_for_a_newer_python(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[tuple[Path, str]] = []
    monkeypatch.setattr(setup, "make_venv", lambda venv, pins: made.append((venv, pins)))
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    with pytest.raises(setup.SetupError) as error:
        setup.parts()["venv-torch-sim"].make()
    assert "is too old for torch-sim, 3.12 or newer is needed: name one with " in str(error.value)
    assert "make test-torch-sim TORCH_SIM_PYTHON=" in str(error.value) and made == []
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    setup.parts()["venv-torch-sim"].make()
    assert made == [(setup.VENV_TORCH_SIM, "requirements-torch-sim.txt")]


def test_without_the_cross_compiler_its_package_is_named(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    with pytest.raises(setup.SetupError) as error:
        setup.parts()["kokkos-aarch64"].make()
    assert str(error.value) == (
        "aarch64-linux-gnu-g++ is not on PATH: install Debian's package g++-aarch64-linux-gnu"
    )


@pytest.mark.parametrize("name", ["coverage", "torch-sim"])
def test_every_package_of_an_environment_is_pinned(setup: ModuleType, name: str) -> None:
    pins = (ROOT / "cmake" / f"requirements-{name}.txt").read_text().splitlines()
    pins = [pin for pin in pins if not pin.startswith("#")]
    assert pins and all(pin.count("==") == 1 for pin in pins)
    key = setup.parts()[f"venv-{name}"].key
    assert all(pin in key for pin in pins)


def test_what_is_inside_an_environment_is_lost_with_it_in_a_later_call_too(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make` made the environment anew, and `make lint` found no linters there."""
    made: list[str] = []
    pin = ["1"]

    def parts() -> dict[str, object]:
        def part(name: str, key: str, needs: list[str], inside: bool) -> object:
            return setup.Part(name, lambda: made.append(name), key, needs, inside)

        return {
            "packages": part("packages", pin[0], [], False),
            "linters": part("linters", "", ["packages"], True),
            "library": part("library", "", ["packages"], False),
        }

    monkeypatch.setattr(setup, "parts", parts)
    monkeypatch.setattr(setup, "HOME", tmp_path)
    for name in ("linters", "library", "linters"):
        setup.ensure(name)
    assert made == ["packages", "linters", "library"]
    pin[0] = "2"
    setup.ensure("library")
    setup.ensure("linters")
    assert made[3:] == ["packages", "linters"]


def test_pip_is_given_options_that_the_one_of_debian_12_knows(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The short name -C came after pip 23.0."""
    words: list[str] = []
    monkeypatch.setattr(setup, "pip", lambda name, *given, venv: words.extend(map(str, given)))
    setup.install_package(tmp_path)
    assert "--config-settings" in words and "-C" not in words
    for name in ("docs/install.md", "packaging/conda/recipe.yaml"):
        text = (ROOT / name).read_text()
        assert "--config-settings cmake.define" in text and " -C cmake.define" not in text
