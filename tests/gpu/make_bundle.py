#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Puts a build's test programs, benchmark and library into a folder that runs on another machine.

    make_bundle.py BUILD FOLDER

BUILD is a build tree with EQNN_BUILD_BENCH; `run.py` in the folder does the rest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import run

ROOT = Path(__file__).resolve().parents[2]
# Folders of tests/golden that the test programs read.
GOLDENS = ("mace", "mace_gaunt", "tdn", "tdn_3bpa")


def strip(program: Path, to: Path) -> None:
    """Copy a program without the symbols that only a debugger reads."""
    subprocess.run(["strip", "--strip-unneeded", "-o", str(to), str(program)], check=True)
    to.chmod(0o755)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("build", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "lib", "potentials"):
        (folder / name).mkdir(parents=True)
    for name in [*(f"test_{t}" for t in run.KERNEL_TESTS), "bench_model"]:
        program = arguments.build / "bin" / name
        if not program.exists():
            print(
                f"make_bundle.py: no {program}: build with -DEQNN_BUILD_BENCH=ON first",
                file=sys.stderr,
            )
            return 1
        strip(program, folder / "bin" / name)
    strip((arguments.build / "lib" / "libeqnn.so").resolve(), folder / "lib" / "libeqnn.so")
    for potential in (ROOT / "potentials").glob("*.eqnn"):
        shutil.copy(potential, folder / "potentials")
    for name in GOLDENS:
        shutil.copytree(ROOT / "tests" / "golden" / name, folder / "tests" / "golden" / name)
    shutil.copy(ROOT / "tests" / "gpu" / "run.py", folder)
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    (folder / "bundle.json").write_text(json.dumps({"commit": commit or "unknown"}))
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder}: {size / 1e6:.0f} MB; run.py there proves and times it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
