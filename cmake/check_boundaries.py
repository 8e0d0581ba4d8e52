#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks the boundaries between the libraries: which may include what.

python3 cmake/check_boundaries.py [SOURCE_ROOT]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# Our own folders that a folder under src/ may include. All may include include/eqnn, which includes
# itself and the standard library alone.
MAY_INCLUDE = {
    "base": {"base"},
    "so3": {"so3", "base"},
    # Structures in a model file are checked by the rules of edges_of().
    "model": {"model", "neighbors", "base"},
    "plan": {"plan", "model", "so3", "base"},
    # The reference evaluator is the oracle: if it used the plan, it would share the plan's errors.
    "reference": {"reference", "model", "so3", "base"},
    "kernels": {"kernels", "plan", "model", "base"},
    "engine": {"engine", "kernels", "plan", "model", "base"},
    "neighbors": {"neighbors", "base"},
    "self_test": {"self_test", "engine", "model", "base"},
    "capi": {"capi", "self_test", "engine", "reference", "model", "base"},
    # Edges in, observables out: the LAMMPS side uses the same interface as any program.
    "pair_style": {"pair_style", "base"},
}
# Headers that belong to some folders alone, though others may include their folder: of a file, all
# but src/model see what Model::open() and parse() made of it.
PRIVATE_HEADERS = {
    "model/graph_reader.hpp": {"model"},
    "model/json_reader.hpp": {"model"},
    "model/model_file.hpp": {"model"},
    "model/safetensors.hpp": {"model"},
    "model/stored_weights.hpp": {"model"},
    "neighbors/lattice.hpp": {"neighbors", "model"},
}
# Libraries, and the folders under src/ that may include them. Tests and benchmarks may include any.
LIBRARIES = {
    "nlohmann-json": (re.compile(r"nlohmann/"), {"model"}),
    "Eigen": (re.compile(r"(unsupported/)?Eigen/"), {"plan", "reference"}),
    "Kokkos": (re.compile(r"Kokkos_"), {"kernels"}),
    "LAMMPS or MPI": (
        re.compile(
            r"(pair|pointers|atom|comm|domain|error|force|memory|modify|group|neighbor|neigh_list|"
            r"neigh_request|update|utils|lammps|lmptype|library|lammpsplugin|version|input|mpi|"
            r"[a-z_]*kokkos[a-z_]*)\.h$"
        ),
        {"pair_style"},
    ),
}
# The engine runs graphs: which published network a graph came from is the exporter's business.
GENERIC_FOLDERS = {"engine", "kernels", "plan", "pair_style"}
ARCHITECTURES = re.compile(
    r"\b(tdn|mace|nequip|allegro|equiformer|sevennet|painn|schnet)\b", re.IGNORECASE
)

# C headers of the standard library too: one of the headers is for C.
PUBLIC_MAY_INCLUDE = re.compile(r"eqnn/\w+\.hp{0,2}$|[a-z_0-9]+$|std\w+\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
SUFFIXES = {".hpp", ".cpp", ".h", ".c", ".cu", ".in"}


def problems_of(path: Path, source: Path) -> list[str]:
    """All violations in one file under src/."""
    folder = path.relative_to(source).parts[0]
    if folder not in MAY_INCLUDE:
        return [
            f"{path}:1: src/{folder} is not known to check_boundaries.py: add it to MAY_INCLUDE"
        ]
    found = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        where = f"{path}:{number}:"
        match = INCLUDE.match(line)
        if match:
            header = match.group(1)
            owner = header.split("/")[0] if "/" in header else ""
            if owner in MAY_INCLUDE and owner not in MAY_INCLUDE[folder]:
                allowed = ", ".join(sorted(MAY_INCLUDE[folder]))
                found.append(f"{where} src/{folder} includes '{header}'; it may include {allowed}")
            if folder not in PRIVATE_HEADERS.get(header, {folder}):
                allowed = " and ".join(f"src/{name}" for name in sorted(PRIVATE_HEADERS[header]))
                found.append(f"{where} src/{folder} includes '{header}', which is {allowed}'s own")
            for library, (pattern, folders) in LIBRARIES.items():
                if pattern.match(header) and folder not in folders:
                    allowed = " and ".join(f"src/{name}" for name in sorted(folders))
                    found.append(f"{where} '{header}': {library} belongs to {allowed} alone")
        if folder in GENERIC_FOLDERS:
            name = ARCHITECTURES.search(line)
            if name:
                found.append(
                    f"{where} names the architecture '{name.group(0)}'; src/{folder} knows none"
                )
    return found


def problems_of_public(path: Path) -> list[str]:
    """All breaches in a header that C++ programs see: they have nothing but it and the library."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = INCLUDE.match(line)
        if match and not PUBLIC_MAY_INCLUDE.match(match.group(1)):
            found.append(
                f"{path}:{number}: '{match.group(1)}'; include/eqnn may include itself and the "
                "standard library"
            )
    return found


def main() -> int:
    """Check every C++ file under src/ and include/; print each violation; fail if there is one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    source = root / "src"
    public = root / "include" / "eqnn"
    files = sorted(p for p in source.rglob("*") if p.suffix in SUFFIXES)
    headers = sorted(p for p in public.rglob("*") if p.suffix in SUFFIXES)
    for folder, inside in ((source, files), (public, headers)):
        if not inside:
            print(f"check_boundaries.py: no C++ files under {folder}", file=sys.stderr)
            return 2
    found = [problem for path in files for problem in problems_of(path, source)]
    found += [problem for path in headers for problem in problems_of_public(path)]
    print("\n".join(found) or f"include boundaries hold in {len(files) + len(headers)} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
