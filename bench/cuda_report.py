# SPDX-License-Identifier: BSD-3-Clause
"""Reports ptxas's numbers for each kernel: registers, stack, spills, and warps per multiprocessor.

    make cuda-report

compiles the kernels of one precision once more, for compute capabilities 8.0 and 9.0, and needs no
GPU. Options: ``--precision single|mixed|double``, ``--arch 80 90``; ``--keep FILE``
writes what ptxas said, and ``--log FILE`` reads it in place of compiling.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".eqnn" / "build" / "cuda"
# Of src/kernels/types.hpp: threads of a team, and their lanes.
TEAM = 8 * 32
# CUDA C++ Programming Guide, table of compute capabilities: 8.0 and 9.0 have the same.
REGISTERS, WARPS, REGISTER_UNIT = 65536, 64, 256


@dataclass
class Kernel:
    """One entry function for one architecture."""

    name: str
    arch: str
    registers: int = 0
    stack: int = 0
    spills: int = 0
    shared: int = 0

    @property
    def warps(self) -> int:
        """Warps of teams that the registers of a multiprocessor hold."""
        per_warp = -(-self.registers * 32 // REGISTER_UNIT) * REGISTER_UNIT
        teams = REGISTERS // per_warp // (TEAM // 32)
        return min(WARPS, teams * (TEAM // 32))


def compiled(precision: str, archs: list[str]) -> str:
    """Return the output of ptxas for the kernels of a precision."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    source = str(ROOT / "src" / "kernels" / f"evaluator_{precision}.cpp")
    (command,) = (c for c in commands if c["file"] == source)
    words = [w for w in shlex.split(command["command"]) if "arch=" not in w]
    words += ["-Xptxas", "-v"]
    for arch in archs:
        words += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    with tempfile.TemporaryDirectory() as folder:
        words[words.index("-o") + 1] = f"{folder}/evaluator.o"
        done = subprocess.run(
            words, cwd=command["directory"], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        sys.exit(f"cuda_report: {shlex.join(words)}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def kernels(said: str) -> list[Kernel]:
    """Parse the output of ptxas."""
    found: list[Kernel] = []
    for line in said.splitlines():
        if m := re.search(r"Compiling entry function '(\S+)' for 'sm_(\d+)a?'", line):
            found.append(Kernel(m[1], m[2]))
        elif found and (m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill", line)):
            found[-1].stack, found[-1].spills = int(m[1]), int(m[2])
        elif found and (m := re.search(r"Used (\d+) registers", line)):
            found[-1].registers = int(m[1])
            if m := re.search(r"(\d+) bytes smem", line):
                found[-1].shared = int(m[1])
    names = "\n".join(kernel.name for kernel in found)
    done = subprocess.run(["c++filt"], input=names, capture_output=True, text=True, check=True)
    for kernel, name in zip(found, done.stdout.splitlines(), strict=True):
        kernel.name = short_name(name)
    return [kernel for kernel in found if kernel.name]


def short_name(demangled: str) -> str:
    """Name the function of eqnn that launches a kernel; empty for Kokkos's own."""
    found = re.findall(r"eqnn::kernels::(?:\(anonymous namespace\)::)?(\w+)<", demangled)
    functions = [name for name in found if name[0].islower()]
    return functions[0] if functions else ""


def print_table(found: list[Kernel]) -> None:
    """Print one row for each kernel: its largest instance."""
    largest: dict[str, dict[str, Kernel]] = defaultdict(dict)
    for kernel in found:
        other = largest[kernel.name].get(kernel.arch)
        if other is None or (kernel.stack, kernel.registers) > (other.stack, other.registers):
            largest[kernel.name][kernel.arch] = kernel
    archs = sorted({kernel.arch for kernel in found})
    heads = [f"sm_{arch}: registers | stack | spills | warps" for arch in archs]
    print(f"| kernel | {' | '.join(heads)} |\n{'|---' * (1 + 4 * len(archs))}|")
    for name, by_arch in sorted(largest.items()):
        cells = [
            f"{k.registers} | {k.stack} | {k.spills} | {k.warps}"
            for k in (by_arch.get(arch, Kernel(name, arch)) for arch in archs)
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    with_stack = {kernel.name for kernel in found if kernel.stack}
    spilled = {kernel.name for kernel in found if kernel.spills}
    print(
        f"\n{len(found)} entry functions of {len(largest)} kernels; with a stack: "
        f"{', '.join(sorted(with_stack)) or 'none'}; that spill: "
        f"{', '.join(sorted(spilled)) or 'none'}."
    )


def main() -> None:
    """Compile, or read, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=("single", "mixed", "double"), default="single")
    parser.add_argument("--arch", nargs="+", default=["80", "90"])
    parser.add_argument("--log", type=Path, help="what ptxas said before")
    parser.add_argument("--keep", type=Path, help="write what ptxas says")
    options = parser.parse_args()
    if options.log:
        said = options.log.read_text()
    else:
        said = compiled(options.precision, options.arch)
    if options.keep:
        options.keep.write_text(said)
    found = kernels(said)
    if not found:
        sys.exit("cuda_report: ptxas named no kernel of eqnn")
    print_table(found)


if __name__ == "__main__":
    main()
