# SPDX-License-Identifier: BSD-3-Clause
"""cmake/check_headers.py, a step of `make lint`: what it finds, and what it lets pass."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from eqnn_models import ROOT

HEADERS = sorted((ROOT / "include" / "eqnn").iterdir())


@pytest.fixture(scope="module")
def check() -> ModuleType:
    pytest.importorskip("clang.cindex", reason="libclang is not installed: `make lint` has it")
    spec = importlib.util.spec_from_file_location(
        "check_headers", ROOT / "cmake" / "check_headers.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_every_header_describes_what_it_declares(check: ModuleType, path: Path) -> None:
    assert check.problems(path) == []


CXX = """
#include <vector>
struct Other;
/// A thing.
class Thing {
public:
  /// From a size.
  explicit Thing(int n);
  Thing(const Thing&) = default;
  Thing& operator=(const Thing&) = default;
  ~Thing();
  std::vector<int> undescribed() const;
  int size = 0; ///< of it
  int bare = 0;
private:
  int hidden_ = 0;
};
enum class Kind { One, Two };
/// Does it.
void described(int n);
int naked(std::vector<int> x);
"""
C = """
/* What it is. */
typedef struct { int n; /* of it */ int m; } thing;
/* Does it. */
int described(const thing* x);
int naked(void);
"""


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.hpp", CXX, [(12, "undescribed"), (14, "bare"), (18, "Kind"), (21, "naked")]),
        ("a.h", C, [(3, "m"), (6, "naked")]),
    ],
)
def test_what_says_nothing_is_named_with_its_place(
    check: ModuleType, tmp_path: Path, name: str, text: str, found: list[tuple[int, str]]
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert check.problems(path) == [
        f"{path}:{line}: {what} says nothing of itself, expected a comment: what it is, shapes, "
        "units, errors"
        for line, what in found
    ]


def test_a_header_that_cannot_be_parsed_is_refused(check: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.hpp"
    path.write_text("/// It.\nNoSuchType f();\n")
    (problem,) = check.problems(path)
    assert "unknown type name 'NoSuchType'" in problem and str(path) in problem
