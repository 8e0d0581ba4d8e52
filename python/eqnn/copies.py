# SPDX-License-Identifier: BSD-3-Clause
"""``eqnn examples``: copies of the shipped potentials and inputs, to start from."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eqnn.built import data_folder
from eqnn.errors import EqnnError

# Folders of the clone or the package, and their files that users start from.
_COPIED = {
    "potentials": ("*.eqnn", "LICENSE.*", "README.md"),
    "examples/lammps_inputs": ("in.*", "data.*"),
    "examples/data": ("*.xyz", "README.md"),
}


def add_parser(commands: Any) -> None:
    """Add ``eqnn examples``."""
    one = commands.add_parser(
        "examples",
        help="copy the shipped potentials, LAMMPS inputs and structures into a folder",
        description="Copies potentials/ and examples/ into a folder. Files that are there already "
        "stay as they are.",
    )
    one.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        help="where to copy them; default: the current folder",
    )
    one.set_defaults(run=run)


def _files() -> Iterator[tuple[Path, Path]]:
    """Yield each file, and its path in the copy."""
    for name, patterns in _COPIED.items():
        top, _, rest = name.partition("/")
        folder = data_folder(top) / rest
        for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
            yield path, Path(name) / path.name


def run(options: argparse.Namespace) -> int:
    """Copy files that do not exist yet, and list them."""
    copied, kept = 0, []
    for source, name in _files():
        target = options.folder / name
        if target.exists():
            kept += [] if target.read_bytes() == source.read_bytes() else [target]
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise EqnnError(
                f"{target}: cannot be written ({error.strerror}). Name another folder."
            ) from None
        copied += 1
    print(f"Copied {copied} files into {' and '.join(sorted({p.split('/')[0] for p in _COPIED}))}.")
    for target in kept:
        print(f"  {target} is another file, and stays as it is.")
    inputs = options.folder / "examples" / "lammps_inputs"
    print(f"Run an input in its folder: cd {inputs}; eqnn lmp -in in.ethanol_mace")
    return 0
