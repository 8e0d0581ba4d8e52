# SPDX-License-Identifier: BSD-3-Clause
"""Links in documents have targets, and the package matches pyproject.toml."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from eqnn_models import ROOT

import eqnn
from eqnn import library

# Built, or of the reader's machine: no file of the tree.
NOT_IN_THE_TREE = re.compile(r"^\.eqnn/|^/|^~|[*?{}<>$…]|\.\.\.|NAME|STRUCTURE")


def files(folder: str, suffix: str) -> list[Path]:
    """Files of a folder of the project; without those that are built, which are hidden."""
    found = sorted((ROOT / folder).rglob(f"*{suffix}"))
    return [path for path in found if not re.search(r"/\.|/build", str(path.relative_to(ROOT)))]


TOP = [entry.name for entry in ROOT.iterdir() if entry.is_dir() and entry.name[0] != "."]
# Not the page that becomes one elsewhere.
DOCUMENTS = [
    path
    for path in (*sorted(ROOT.glob("*.md")), *(d for top in sorted(TOP) for d in files(top, ".md")))
    if "template" not in path.name
]


def anchors(text: str) -> set[str]:
    """Names that headings have as targets of links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def broken(path: Path, text: str) -> list[str]:
    """Links of a document, and paths in code spans, that lead nowhere."""
    found = []
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if file and not place.exists():
            found.append(f"[...]({target}): no such file")
        elif anchor and anchor not in anchors(place.read_text() if file else text):
            found.append(f"[...]({target}): no such heading")
    for said in re.findall(rf"`((?:{'|'.join(TOP)})/[\w./-]+)", text):
        if not NOT_IN_THE_TREE.search(said) and not (ROOT / said.rstrip("./")).exists():
            found.append(f"`{said}`: no such file")
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    assert broken(path, path.read_text()) == []


def test_the_tour_names_what_stands_in_the_files_that_it_links() -> None:
    """`Class::function` in [file](path): the file has the function."""
    tour = ROOT / "docs" / "tour.md"
    named = re.findall(
        r"`([\w:]+?)(?:\(\))?`\*{0,2}\s+in\s+\[[^]]+\]\(([^)]+)\)",
        " ".join(tour.read_text().split()),
    )
    assert len(named) > 10
    for name, target in named:
        text = (tour.parent / target).read_text()
        for part in name.split("::")[-2:]:
            assert re.search(rf"\b{part}\b", text), f"{name} is not in {target}"


WIDE = re.compile(r"^.{101,}$", re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / "include" / "eqnn").iterdir(),
        *(ROOT / "examples" / "cpp").iterdir(),
        *(ROOT / "cmake").glob("*.cmake"),
        ROOT / "CMakeLists.txt",
        *(path for top in TOP for path in files(top, "CMakeLists.txt")),
        ROOT / "Makefile",
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_line_is_wider_than_a_hundred(path: Path) -> None:
    """What no formatter wraps: comments, recipes, strings."""
    assert WIDE.findall(path.read_text()) == []


def test_what_a_broken_link_is() -> None:
    path = ROOT / "docs" / "none.md"
    text = (
        "# A head, of *it*\n\n[a](tour.md) [b](#a-head-of-it) [c](gone.md) [d](#none)\n"
        "`docs/tour.md` `docs/gone.md` `docs/*.md` `other/file`\n"
    )
    assert broken(path, text) == [
        "[...](gone.md): no such file",
        "[...](#none): no such heading",
        "`docs/gone.md`: no such file",
    ]


def test_the_package_is_all_that_is_under_python() -> None:
    """What is another product (the set's generator, training) is not installed."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]
    (folder,) = tool["wheel"]["packages"]
    ours = files("python", ".py")
    assert ours and all(path.is_relative_to(ROOT / folder) for path in ours)
    assert all((path.parent / "__init__.py").is_file() for path in ours)


def test_a_source_distribution_holds_all_that_a_build_reads(tmp_path: Path) -> None:
    code = f"from scikit_build_core.build import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    folders = ("cmake", "examples", "include", "packaging", "potentials", "python", "src")
    read = subprocess.run(
        ["git", "ls-files", *folders, "CMakeLists.txt", "VERSION", "LICENSE", "LICENSES"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert len(read) > 300 and set(read) <= held
    assert not any(name.startswith((".eqnn/", "tests/", "data/")) for name in held)


def test_the_version_is_that_of_the_file_version() -> None:
    """CMake, the package and the site read it; what has a copy is held against it."""
    version = (ROOT / "VERSION").read_text().strip()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(version)} - ", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert eqnn.__version__ == library.version() == version
    assert f'version: "{version}"' in (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    wheel = re.compile(r"eqnn-(\d[\w.]*?)-py3")
    for path in DOCUMENTS:
        assert set(wheel.findall(path.read_text())) <= {version}, path
    for name in ("pyproject.toml", "CMakeLists.txt"):
        assert version not in (ROOT / name).read_text(), name


def test_the_site_shows_every_header() -> None:
    """But eqnn.hpp, which includes the others."""
    page = (ROOT / "docs" / "site" / "cpp.md").read_text()
    shown = {Path(name).name for name in re.findall(r"{literalinclude} (\S+)", page)}
    headers = {path.name for path in (ROOT / "include" / "eqnn").iterdir()}
    assert shown == headers - {"eqnn.hpp"}


def test_the_recipe_for_conda_needs_what_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    asked = {*project["dependencies"], f"python{project['requires-python']}"}
    run = recipe.split("\n  run:\n")[1].split("\n\n")[0]
    assert {line.strip("- ").replace(" ", "") for line in run.splitlines()} == asked
    for path in project["license-files"]:
        assert path.split("*")[0] in recipe


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.split(".")[0] for name in found}


def test_the_package_and_the_generator_of_the_set_do_not_know_each_other() -> None:
    ours = [imported(path) for path in files("python", ".py")]
    of_the_set = [imported(path) for path in files("data/qcr", ".py")]
    assert ours and not any("qcr" in names for names in ours)
    assert of_the_set and not any("eqnn" in names for names in of_the_set)


def test_the_generator_runs_from_the_root() -> None:
    """With its own folder on the path and nothing else of the project."""
    done = subprocess.run(
        [sys.executable, "-m", "qcr", "--help"],
        cwd=ROOT,
        env={"PYTHONPATH": "data/qcr"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "convert" in done.stdout, done.stderr


# ---- the width of prose ----


@pytest.fixture(scope="module")
def wrap() -> ModuleType:
    """Load the script that `make lint` runs."""
    path = ROOT / "cmake" / "wrap_markdown.py"
    spec = importlib.util.spec_from_file_location("wrap_markdown", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wrap_markdown"] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


WORDS = "word " * 18  # 90 columns
LINE = WORDS.strip()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{WORDS}twelve more columns\n", f"{WORDS}twelve\nmore columns\n"),
        (f"* {WORDS}more of it\n  and\n* b\n", f"* {WORDS}more of\n  it and\n* b\n"),
        (f"12. {WORDS}more of it\n", f"12. {WORDS}more\n    of it\n"),
        # Neither code nor a link is split.
        (f"{WORDS}`make   all of it`, x\n", f"{LINE}\n`make   all of it`, x\n"),
        (f"{WORDS}([a b](c.md)).\n", f"{LINE}\n([a b](c.md)).\n"),
        # What would begin a list or a heading at the start of a line does not stand there.
        (f"{WORDS}123456789 - more\n", f"{LINE}\n123456789 - more\n"),
        (f"{WORDS}12345678 2. more\n", f"{LINE}\n12345678 2. more\n"),
        (f"{WORDS}123456789 # more\n", f"{LINE}\n123456789 # more\n"),
        # Lines that begin in bold, and hard breaks, stay.
        (f"**A.** {WORDS}more\n**B.** b\n", f"**A.** {LINE}\nmore\n**B.** b\n"),
        (f"{WORDS}twelve more columns  \nb\n", f"{WORDS}twelve\nmore columns  \nb\n"),
        # A character with an accent of its own is one column wide.
        (f"{WORDS}w\u0304\u0304\u0304 1234567\n", None),
        # Not prose.
        (f"| {WORDS}a | {WORDS} |\n", None),
        (f"```\n{WORDS}{WORDS}\n```\n", None),
        (f"a\n\n    {WORDS}{WORDS}\n", None),
        (f"* a\n\n      {WORDS}{WORDS}\n", None),
        (f"<!-- {WORDS}{WORDS} -->\n", None),
        (f"{'x' * 120}\n", None),
        # A paragraph that is short enough is left as it is.
        ("a\nb\n", None),
    ],
)
def test_prose_is_wrapped_and_nothing_else(
    wrap: ModuleType, before: str, after: str | None
) -> None:
    assert wrap.mended(before) == (before if after is None else after)
    assert wrap.mended(wrap.mended(before)) == wrap.mended(before)
    assert bool(wrap.problems(before)) == (after is not None)
    assert wrap.problems(wrap.mended(before)) == []


def test_long_prose_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"# Title\n\n{WORDS}more than a line\n# {WORDS}too long a heading\n")
    script = [sys.executable, str(ROOT / "cmake" / "wrap_markdown.py")]

    def run(*options: str) -> tuple[int, str]:
        done = subprocess.run(
            [*script, *options, str(path)], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    assert run() == (
        1,
        f"{path}:3: prose of 106 columns, expected at most 100: `make format` wraps it\n"
        f"{path}:4: prose of 110 columns, expected at most 100: `make format` wraps it\n",
    )
    # A heading cannot be wrapped: it is still refused.
    assert run("--fix")[0] == 1
    assert path.read_text().splitlines()[2:4] == [f"{WORDS}more than", "a line"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_are_wrapped(wrap: ModuleType, path: Path) -> None:
    assert wrap.problems(path.read_text()) == []
