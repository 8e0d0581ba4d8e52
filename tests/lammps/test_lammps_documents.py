# SPDX-License-Identifier: BSD-3-Clause
"""Every command that the documents show is run by a test, or is marked with a reason.

A block of code is fenced, or indented by four spaces. One that is not run has ``<!-- not run by
tests: REASON -->`` above it, which readers do not see. A block with LAMMPS's
commands is run in LAMMPS. Other lines are named here, with what runs them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ase.data import atomic_masses, atomic_numbers
from eqnn_models import PRETRAINED, TDN
from lmp import BIN, POTENTIALS, ROOT, environment, run_script

from eqnn.built import find_built

DOCUMENTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("potentials/*.md"),
        *ROOT.glob("tests/golden/*.md"),
        *ROOT.glob("data/*/*.md"),
        *ROOT.glob("training/*.md"),
    )
    # Of the site's own pages, Sphinx holds the lists of pages against what there is.
    # The tutorials are run as a whole, but the first one, by test_lammps_tutorials.py.
    if path.name != "CHANGELOG.md"
    and path.parent.name != "site"
    and (path.parent.name != "tutorials" or path.name == "mace_to_npt.md")
)
MARK = re.compile(r"^<!-- not run by tests: .{10,} -->$")
SHELL = re.compile(
    r"^(?:[A-Z_]+=\S+ )*(make|eqnn|cmake|ctest|python3?|pip|export|cd|gunzip|mpiexec|lmp|bench_\w+|"
    r"\.\S*/\S+|tests/\S+|relax/\S+)(\s|$)"
)
LAMMPS = re.compile(
    r"^(units|atom_style|pair_style|pair_coeff|pair_modify|plugin|fix|compute|run|neigh_modify|"
    r"special_bonds|newton|read_data|variable|thermo_style|dump|group|mass)\s"
)
MODELS = {"model.eqnn": "tdn_3bpa_exact.eqnn"}  # names that stand for any model


@dataclass(frozen=True)
class Runs:
    """A line that is run here as it is, in a folder with these files."""

    files: tuple[tuple[str, Path], ...] = ()


def of(name: str) -> Runs:
    return Runs(((name, POTENTIALS / "tdn_3bpa.eqnn"),))


LINES: dict[str, Runs | str] = {
    "eqnn export auto --checkpoint mace.model --output model.eqnn": Runs(
        (("mace.model", PRETRAINED / "mace_acac.pt"),)
    ),
    "make demo": "tests/lammps/test_lammps_documents.py::test_the_demo_runs",
    "make test": ".ci/run::make test",
    "eqnn export tdn --checkpoint best.pt --config config.json --output model.eqnn": (
        "tests/lammps/test_lammps_documents.py::test_a_torch_checkpoint_is_exported_as_the_readme_says"
    ),
    "eqnn info model.eqnn": of("model.eqnn"),
    "eqnn check model.eqnn": of("model.eqnn"),
    "eqnn validate model.eqnn": of("model.eqnn"),
    "eqnn doctor": Runs(),
    "eqnn examples start": Runs(),
    "eqnn info tests/golden/pretrained/mace_acac.pt": Runs(),
    "eqnn export auto --checkpoint tests/golden/pretrained/mace_acac.pt --output my.eqnn": Runs(),
    "eqnn check my.eqnn": Runs((("my.eqnn", POTENTIALS / "mace_acetylacetone.eqnn"),)),
    "eqnn evaluate my.eqnn --data data/acetylacetone/test_MD_300K.xyz.gz --output errors": Runs(
        (("my.eqnn", POTENTIALS / "mace_acetylacetone.eqnn"),)
    ),
    "cmake --preset openmp -DLAMMPS_SOURCE_DIR=/path/to/lammps -DKokkos_ROOT=/path/to/kokkos": (
        "tests/lammps/test_lammps_releases.py::plugin"
    ),
    "cmake --build .eqnn/build/openmp --target eqnnplugin": (
        "tests/lammps/test_lammps_releases.py::plugin"
    ),
    "export LAMMPS_PLUGIN_PATH=$(eqnn plugin-path)": (
        "tests/lammps/test_lammps_documents.py::test_what_lammps_prints_where_it_has_no_plugin"
    ),
    "make": ".ci/run::make test",
    "cmake --install .eqnn/build/openmp --prefix $HOME/eqnn": (
        "tests/install/test_install.py::prefix"
    ),
    "cmake -S examples/cpp -B relax -DCMAKE_PREFIX_PATH=$HOME/eqnn": (
        "tests/install/test_install.py::test_the_example_relaxes_a_molecule"
    ),
    "cmake --build relax": "tests/install/test_install.py::test_the_example_relaxes_a_molecule",
    "relax/relax potentials/gaunt_acetylacetone.eqnn > relaxed.xyz": (
        "tests/install/test_install.py::test_the_example_relaxes_a_molecule"
    ),
    "eqnn export tdn --checkpoint tests/golden/tdn_3bpa/tdn_3bpa.weights.safetensors "
    "--config tests/golden/tdn_3bpa/tdn_3bpa.config.json "
    "--output my.eqnn [--exact-products]": Runs(),
    "eqnn export mace-gaunt "
    "--checkpoint tests/golden/pretrained/gaunt_acetylacetone.weights.safetensors "
    "--config tests/golden/pretrained/gaunt_acetylacetone.config.json --output my.eqnn": Runs(),
    "eqnn evaluate potentials/gaunt_acetylacetone.eqnn potentials/mace_acetylacetone.eqnn "
    "--data data/acetylacetone/test_MD_300K.xyz.gz data/acetylacetone/test_MD_600K.xyz.gz "
    "--output errors --through-lammps 3": Runs(),
    "eqnn evaluate model.eqnn --data dft.xyz": Runs(
        (
            ("model.eqnn", POTENTIALS / "tdn_3bpa.eqnn"),
            ("dft.xyz", ROOT / "examples" / "data" / "3bpa_labelled.xyz"),
        )
    ),
    "eqnn evaluate potentials/organic_tdn.eqnn potentials/nequix_mp_1.eqnn "
    "--data data/qcr-small/validation.xyz.gz --output errors": Runs(),
    "eqnn relax potentials/organic_tdn.eqnn --input data/qcr-small/validation.xyz.gz "
    "--output relaxed.xyz --report minima": Runs(),
    "eqnn relax potentials/nequix_mp_1.eqnn --input data/qcr-small/validation.xyz.gz "
    "--output relaxed.xyz --report minima": Runs(),
    "eqnn evaluate potentials/organic_tdn.eqnn "
    "--data data/qcr-small/validation.xyz.gz data/qcr-small/test.xyz.gz": Runs(),
    "eqnn relax potentials/organic_tdn.eqnn --input data/qcr-small/test.xyz.gz "
    "--output relaxed.xyz --report minima": Runs(),
    "eqnn relax model.eqnn --input molecules.xyz --output relaxed.xyz": Runs(
        (
            ("model.eqnn", POTENTIALS / "tdn_3bpa.eqnn"),
            ("molecules.xyz", ROOT / "examples" / "data" / "3bpa_labelled.xyz"),
        )
    ),
    "python examples/new_architecture.py argon.eqnn": Runs(),
    "eqnn check argon.eqnn": Runs((("argon.eqnn", POTENTIALS / "nequip_toluene.eqnn"),)),
    "gunzip -c data/qcr-small/train.xyz.gz > train.xyz": Runs(),
    'ase.io.read("train.xyz", ":")': (
        "tests/lammps/test_lammps_documents.py::test_the_data_set_is_read_as_shown"
    ),
    "PYTHONPATH=data/qcr python -m qcr check": Runs(),
    "PYTHONPATH=data/qcr python -m qcr convert Data06.lmdb qcr.xyz.gz": (
        "data/qcr/tests/test_qcr_tools.py::converted"
    ),
}


@dataclass(frozen=True)
class Block:
    """Lines of code in a document."""

    where: str
    lines: tuple[str, ...]
    is_marked: bool

    @property
    def kind(self) -> str:
        """``lammps``, ``shell``, or ``other``: formulas, trees, file formats."""
        words = [line.strip() for line in self.lines]
        if any(LAMMPS.match(word) for word in words):
            return "lammps"
        return "shell" if any(SHELL.match(word) for word in words) else "other"

    def commands(self) -> list[str]:
        """Return command lines without comments, continued ones joined."""
        joined = re.sub(r"\\\n\s*", "", "\n".join(self.lines))
        lines = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in joined.splitlines()]
        return [re.sub(r"\s+", " ", line) for line in lines if line]


def blocks_of(path: Path) -> list[Block]:
    """Find fenced and indented blocks of a document."""
    lines = path.read_text().splitlines()
    found: list[Block] = []
    before = ""  # the last line of text that is not empty
    k = 0
    while k < len(lines):
        start = k
        if lines[k].startswith("```"):
            k += 1
            while not lines[k].startswith("```"):
                k += 1
            inside = lines[start + 1 : k]
            k += 1
        elif lines[k].startswith("    ") and (
            k == 0 or not lines[k - 1].strip() or before[:1] == "#"
        ):
            while k < len(lines) and (lines[k].startswith("    ") or not lines[k].strip()):
                k += 1
            inside = [line[4:] for line in lines[start:k]]
        else:
            before = lines[k].strip() or before
            k += 1
            continue
        where = f"{path.relative_to(ROOT)}:{start + 1}"
        found.append(Block(where, tuple(inside), MARK.match(before) is not None))
        before = ""
    return found


BLOCKS = [block for path in DOCUMENTS for block in blocks_of(path)]
SHOWN = {line for b in BLOCKS if b.kind == "shell" and not b.is_marked for line in b.commands()}


def test_documents_have_blocks_of_every_kind() -> None:
    assert {block.kind for block in BLOCKS} == {"lammps", "shell", "other"}
    assert len(BLOCKS) > 12 and any(block.is_marked for block in BLOCKS)


def test_what_a_block_is() -> None:
    text = (
        "# T\n\n```\nmake x   # why\n```\n<!-- not run by tests: it takes hours -->\n\n"
        "    eqnn a \\\n        b\n\nAnd\n\n    c = d\n\nOr\n\n    eqnn::Potential p(model);\n"
    )
    path = ROOT / "docs" / "none.md"
    found = [
        (block.kind, block.is_marked, block.commands())
        for block in blocks_of(_Text(path, text))  # type: ignore[arg-type]
    ]
    assert found == [
        ("shell", False, ["make x"]),
        ("shell", True, ["eqnn a b"]),
        ("other", False, ["c = d"]),
        ("other", False, ["eqnn::Potential p(model);"]),
    ]


@dataclass(frozen=True)
class _Text:
    """A document that is not on disk."""

    path: Path
    text: str

    def read_text(self) -> str:
        return self.text

    def relative_to(self, root: Path) -> Path:
        return self.path.relative_to(root)


def test_every_command_is_run_or_marked() -> None:
    unknown = {
        f"{block.where}: {line}"
        for block in BLOCKS
        if block.kind == "shell" and not block.is_marked
        for line in block.commands()
        if line not in LINES
    }
    assert not unknown, (
        "name in LINES what runs these, or put '<!-- not run by tests: REASON -->' above the block"
    )
    assert set(LINES) <= SHOWN, "no document shows these any more"


@pytest.mark.parametrize("line", [line for line, by in LINES.items() if isinstance(by, str)])
def test_what_is_named_as_running_a_line_exists(line: str) -> None:
    by = LINES[line]
    assert isinstance(by, str)
    file, name = by.split("::")
    pattern = rf"def {name}\b" if file.endswith(".py") else name
    assert re.search(pattern, (ROOT / file).read_text())


def workplace(folder: Path) -> dict[str, str]:
    """Make a folder from which the project's files are seen; return an environment for it."""
    for entry in ("tests", "examples", "potentials", "data", "docs"):
        (folder / entry).symlink_to(ROOT / entry)
    return {**environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize("line", [line for line, by in LINES.items() if isinstance(by, Runs)])
def test_lines_run_as_they_stand(tmp_path: Path, line: str) -> None:
    runs = LINES[line]
    assert isinstance(runs, Runs)
    env = workplace(tmp_path)
    for name, file in runs.files:
        shutil.copy(file, tmp_path / name)
    # [word] may be left out, or given.
    for said in {re.sub(r" \[[^]]*\]", "", line), re.sub(r"[][]", "", line)}:
        for made in tmp_path.glob("my.*"):
            if made.name not in dict(runs.files):
                made.unlink()
        done = subprocess.run(
            ["bash", "-c", said], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_torch_checkpoint_is_exported_as_the_readme_says(tmp_path: Path) -> None:
    """With a torch MACE, since there is no torch TDN here; the command is the same."""
    line = next(line for line in LINES if "best.pt" in line)
    said = line.replace("tdn", "mace").replace(" --config config.json", "")
    shutil.copy(PRETRAINED / "mace_acac.pt", tmp_path / "best.pt")
    env = workplace(tmp_path)
    done = subprocess.run(
        shlex.split(said), cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # And TDN's own options, with weights in the other format.
    shutil.copy(TDN / "model_l1_h16_b1.weights.safetensors", tmp_path / "best.safetensors")
    shutil.copy(TDN / "model_l1_h16_b1.config.json", tmp_path / "config.json")
    said = line.replace("best.pt", "best.safetensors").replace("model.eqnn", "tdn.eqnn")
    said += " --species H,C,N,O --energy extensive"
    done = subprocess.run(
        shlex.split(said), cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_data_set_is_read_as_shown(tmp_path: Path) -> None:
    packed, read = (line for line in LINES if "train.xyz" in line)
    env = workplace(tmp_path)
    subprocess.run(["bash", "-c", packed], cwd=tmp_path, env=env, check=True)
    code = f"import ase.io\nframes = {read}\nprint(frames[-1].get_forces().shape[1])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_the_demo_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eqnn.cli", "demo", "--output", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^  \S.* -> (0\.\d{4}) .*\d$", done.stdout, re.MULTILINE)
    assert len(rows) == 12 and max(map(float, rows)) < 0.05  # Angstrom
    (drift,) = re.findall(r"drift +([-+][\d.]+) meV/ps", done.stdout)
    assert abs(float(drift)) < 2
    assert "other bonds" not in done.stdout
    (other,) = re.findall(r"energies within ([\d.]+) meV of LAMMPS's", done.stdout)
    assert float(other) < 5


# ---- commands within sentences, and in marked blocks ----


COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:make|eqnn|python3?|\.eqnn/\S+) .")


def inline_commands(path: Path) -> list[str]:
    """Commands in code spans of a document; a span may continue on the next line."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = []
    for paragraph in re.split(r"\n\s*\n|^(?=\|)", text, flags=re.MULTILINE):
        spans = re.findall(r"(?<!`)`([^`]+)`(?!`)", paragraph)
        found += [" ".join(span.split()) for span in spans]
    return [said for said in found if COMMAND.match(said)]


def shown_commands() -> list[tuple[str, str]]:
    """Commands within sentences and in blocks that are not run, with their places."""
    found = [
        (str(path.relative_to(ROOT)), said) for path in DOCUMENTS for said in inline_commands(path)
    ]
    for block in BLOCKS:
        if block.kind == "shell" and block.is_marked:
            found += [(block.where, line) for line in block.commands()]
    return found


def test_a_command_that_wraps_is_found() -> None:
    text = (
        "A `span`, then `eqnn\ninfo m.eqnn` and `eqnn check\n  --no-such m.eqnn`.\n\n"
        "| `make\n| test` |\n\nLoose ` tick.\n\n* `make bench` or ``make `x` ``\n"
        "* `PYTHONPATH=python\n  python3 gone.py`\n```\n`make demo`\n```\n"
    )
    document = _Text(ROOT / "docs" / "none.md", text)
    assert inline_commands(document) == [  # type: ignore[arg-type]
        "eqnn info m.eqnn",
        "eqnn check --no-such m.eqnn",
        "make bench",
        "PYTHONPATH=python python3 gone.py",
    ]
    for said, missing in (
        ("eqnn check --no-such m.eqnn", "no --no-such"),
        ("PYTHONPATH=python python3 gone.py", "there is no gone.py"),
        ("make nothing", "make has no nothing"),
    ):
        with pytest.raises(AssertionError, match=missing):
            test_what_commands_name_exists("docs/none.md", said)


def test_one_way_to_the_plugin_is_shown() -> None:
    (line,) = (line for line in LINES if line.startswith("export "))
    for path in DOCUMENTS:
        for said in re.findall(r"export LAMMPS_PLUGIN_PATH=.*", path.read_text()):
            assert said == line, path


@pytest.mark.parametrize(("where", "said"), sorted(set(shown_commands())))
def test_what_commands_name_exists(where: str, said: str) -> None:
    """Targets of make, subcommands and options of eqnn, scripts."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    for target in re.findall(r"\bmake (?!make\b)([a-z][a-z-]*)", said):
        assert target in targets, f"{where}: make has no {target}"
    for variable in re.findall(r"\bmake [^,()]*?\b([A-Z_]+)=", said):
        assert f"$({variable})" in makefile, f"{where}: the Makefile reads no {variable}"
    for script in re.findall(r"[\w./-]+\.py\b", said):
        assert (ROOT / script).is_file(), f"{where}: there is no {script}"
    if said.startswith("eqnn "):
        words = said.split()
        shown = words[1:3] if words[1] == "export" else words[1:2]
        help_text = subprocess.run(
            [sys.executable, "-m", "eqnn.cli", *shown, "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        if words[1:] != ["export"] and "..." not in words:
            assert help_text.returncode == 0, f"{where}: {said}: {help_text.stderr}"
            for option in re.findall(r"--[a-z-]+", said):
                assert option in help_text.stdout, f"{where}: {said}: no {option}"


# ---- LAMMPS ----


def chunks() -> list[tuple[str, str]]:
    """Blocks with LAMMPS's commands that are not marked, cut where another pair_style begins."""
    found = []
    for block in BLOCKS:
        if block.kind != "lammps" or block.is_marked:
            continue
        for k, text in enumerate("\n".join(block.lines).split("\n\n")):
            found.append((f"{block.where}[{k}]", text))
    return found


@pytest.mark.parametrize(("where", "text"), chunks(), ids=[where for where, _ in chunks()])
def test_lammps_reads_what_documents_show(tmp_path: Path, where: str, text: str) -> None:
    """Whole inputs as they stand; others with other files, and an atom of each type."""
    pattern = r"^pair_coeff\s+\* \*(?: eqnn)?\s+(\S+\.eqnn)((?:\s+[A-Z]\w*)+)"
    coeff = re.search(pattern, text, re.MULTILINE)
    assert coeff is not None, (
        f"{where}: shows no 'pair_coeff * * MODEL.eqnn': mark it, or complete it"
    )
    name, symbols = coeff[1], coeff[2].split()
    if text.startswith("units"):  # a whole input, which runs in a clone as it stands
        for entry in ("examples", "potentials"):
            (tmp_path / entry).symlink_to(ROOT / entry)
        done = run_script(tmp_path, text + "\n")
        assert done.returncode == 0, f"{where}:\n{done.stdout}{done.stderr}"
        return
    model = POTENTIALS / name
    shutil.copy(model if model.exists() else POTENTIALS / MODELS[name], tmp_path / name)
    masses = [atomic_masses[atomic_numbers.get(s, 6)] for s in symbols]
    plugin = find_built("eqnnplugin.so", "EQNN_PLUGIN")
    script = [
        "units metal",
        "atom_modify map yes",
        "region box block 0 30 0 30 0 30",
        f"create_box {len(symbols)} box",
        *(f"mass {k + 1} {mass}" for k, mass in enumerate(masses)),
        *(f"create_atoms {k + 1} single {2 * k + 1} 1 1" for k in range(len(symbols))),
        text.replace("/path/to/eqnnplugin.so", str(plugin)),
        "run 1",
    ]
    env = environment()
    if re.search(r"^plugin\s+load", text, re.MULTILINE):
        del env["LAMMPS_PLUGIN_PATH"]
    done = run_script(tmp_path, "\n".join(script) + "\n", env=env)
    assert done.returncode == 0, f"{where}:\n{done.stdout}{done.stderr}"


def test_what_lammps_prints_where_it_has_no_plugin(tmp_path: Path) -> None:
    """Each row of the manual's table."""
    manual = (ROOT / "docs" / "pair_eqnn.md").read_text()
    said = manual.split("## When LAMMPS does not know the style")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", said, re.MULTILINE)[1:]
    box = "units metal\nregion r block 0 9 0 9 0 9\ncreate_box 1 r\n"
    plugin = find_built("eqnnplugin.so", "EQNN_PLUGIN")
    empty = tmp_path / "empty"
    empty.mkdir()
    strange = tmp_path / "strange"
    strange.mkdir()
    (tmp_path / "s.cpp").write_text("void missing(); void used() { missing(); }\n")
    plugin_of_another = str(strange / "eqnnplugin.so")
    build = ["c++", "-shared", "-fPIC", "-o", plugin_of_another, str(tmp_path / "s.cpp")]
    subprocess.run(build, check=True)

    def printed(path: str | None, line: str = "") -> str:
        env = environment()
        del env["LAMMPS_PLUGIN_PATH"]
        if path is not None:
            env["LAMMPS_PLUGIN_PATH"] = path
        done = run_script(tmp_path, f"{box}{line}\npair_style eqnn\n", env=env)
        return done.stdout + done.stderr

    error = "Unrecognized pair style 'eqnn'"
    assert "ERROR: Unrecognized pair style 'eqnn'" in said
    seen = {
        "nothing": printed(None),
        "Loaded 0 plugins from": printed(str(empty)),
        "undefined symbol": printed(str(strange)),
        "cannot open shared object file": printed(None, "plugin load eqnnplugin.so"),
    }
    for text, log in seen.items():
        assert error in log and (text == "nothing" or text in log), log
        assert any(text in row[0] for row in rows), text
    assert "plugin" not in seen["nothing"]
    # The file in the place of its folder, as the second row says.
    assert "Loaded 0 plugins from" in printed(str(plugin))
    misfit = plugin.parent.parent / "misfit"
    assert "eqnnplugin.so" in printed(str(misfit)) and "was compiled for" in printed(str(misfit))
    assert any("was compiled for" in row[0] for row in rows)
    # And the cure.
    line = next(line for line in LINES if line.startswith("export LAMMPS_PLUGIN_PATH"))
    (tmp_path / "in.cured").write_text(f"{box}pair_style eqnn\n")
    env = {**environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    del env["LAMMPS_PLUGIN_PATH"]
    run = f"{line} && {BIN / 'lmp'} -in in.cured -log none"
    done = subprocess.run(
        ["bash", "-c", run], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
