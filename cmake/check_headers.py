#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks with clang's parser that every declaration in include/eqnn has a comment.

python3 cmake/check_headers.py [FILES]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from clang.cindex import AccessSpecifier, Cursor, CursorKind, Diagnostic, Index

ROOT = Path(__file__).resolve().parent.parent
_TYPES = {
    CursorKind.STRUCT_DECL,
    CursorKind.CLASS_DECL,
    CursorKind.CLASS_TEMPLATE,
    CursorKind.ENUM_DECL,
}
_DESCRIBED = _TYPES | {
    CursorKind.FUNCTION_DECL,
    CursorKind.CXX_METHOD,
    CursorKind.CONSTRUCTOR,
    CursorKind.FIELD_DECL,
    CursorKind.VAR_DECL,
    CursorKind.TYPE_ALIAS_DECL,
}
_HIDDEN = {AccessSpecifier.PRIVATE, AccessSpecifier.PROTECTED}


def _says_all_itself(cursor: Cursor) -> bool:
    """Whether no comment is needed: copies, moves, overrides, forward declarations."""
    if cursor.kind == CursorKind.CXX_METHOD:
        is_override = any(c.kind == CursorKind.CXX_OVERRIDE_ATTR for c in cursor.get_children())
        return is_override or cursor.spelling == "operator="
    if cursor.kind == CursorKind.CONSTRUCTOR:
        return bool(cursor.is_copy_constructor() or cursor.is_move_constructor())
    # `struct ModelSpec;`; in C, a typedef names what stands before it without a name.
    return cursor.kind in _TYPES and (not cursor.is_definition() or cursor.is_anonymous())


def undescribed(cursor: Cursor, path: str) -> Iterator[Cursor]:
    """Yield declarations of a file without a comment before or behind them.

    Parameters
    ----------
    cursor : Cursor
        What holds them.
    path : str
        The file; what it includes is not looked at.
    """
    for child in cursor.get_children():
        if child.location.file is not None and child.location.file.name != path:
            continue
        if child.access_specifier in _HIDDEN:
            continue
        if child.kind in _DESCRIBED and not _says_all_itself(child) and not child.raw_comment:
            yield child
        is_scope = child.kind in {CursorKind.NAMESPACE, CursorKind.LINKAGE_SPEC} | _TYPES
        if is_scope and child.kind != CursorKind.ENUM_DECL:
            yield from undescribed(child, path)


@cache
def _compiler_headers() -> str:
    """Return the folder of stddef.h, which libclang alone lacks."""
    command = ["g++", "-print-file-name=include"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def problems(path: Path) -> list[str]:
    """Return a line for each declaration of a header that has no comment."""
    # In C comments are plain.
    options = ["-fparse-all-comments", f"-I{ROOT / 'include'}", f"-isystem{_compiler_headers()}"]
    options += ["-xc"] if path.suffix == ".h" else ["-xc++", "-std=c++17"]
    unit = Index.create().parse(str(path), options)
    # What is not parsed would be passed over.
    errors = [str(said) for said in unit.diagnostics if said.severity >= Diagnostic.Error]
    return errors + [
        f"{path}:{found.location.line}: {found.spelling or 'this'} says nothing of itself, "
        "expected a comment: what it is, shapes, units, errors"
        for found in undescribed(unit.cursor, str(path))
    ]


def main() -> int:
    """Check the files named, or all of include/eqnn."""
    files = [Path(word) for word in sys.argv[1:]] or sorted((ROOT / "include" / "eqnn").iterdir())
    found = [line for path in files for line in problems(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
