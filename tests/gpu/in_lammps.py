# SPDX-License-Identifier: BSD-3-Clause
"""The LAMMPS part of the GPU bundle: compares the plugin on the GPU with the CPU."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

# Potential, data file, elements, periodic or not, copies of the cell for times.
CASES = (
    ("sevennet_0", "data.silicon", "Si", "p", "4 8 8"),
    ("mace_solvents", "data.ethanol", "H C O", "p", "4 4 4"),
    ("nequix_mp_1", "data.cu111_co", "C O Cu", "p", "7 7 2"),
    ("tdn_3bpa_exact", "data.3bpa", "C H N O", "s", ""),
)
# Where the model runs, and where edges are made: the first is what the others are held against.
WAYS = ("device cpu edges host", "device {gpu} edges device", "device {gpu} edges host")
STEPS = 10
RELATIVE = 1e-9  # of trajectories in double after STEPS steps: sums in other orders
SCRIPT = """
units metal
atom_style atomic
atom_modify map yes
boundary {boundary} {boundary} {boundary}
read_data {data}
{replicate}
pair_style eqnn precision {precision} {way}
pair_coeff * * {model} {elements}
velocity all create 300 2025 mom yes loop geom
timestep 0.0005
fix 1 all nve
neigh_modify every 5 delay 0 check no
thermo_style custom step pe press fnorm
thermo_modify format float %.15g norm no
thermo {steps}
run {steps}
"""
LOOP = re.compile(r"Loop time of ([\d.]+) on \d+ procs for (\d+) steps with (\d+) atoms")
SHARES = re.compile(r"^(Pair|Neigh|Comm|Modify|Other) +\|.* ([\d.]+)$", re.MULTILINE)


def environment(bundle: Path) -> dict[str, str]:
    """Return one in which LAMMPS finds MPI and the plugin."""
    return os.environ | {
        "LD_LIBRARY_PATH": str(bundle / "lammps" / "lib"),
        "LAMMPS_PLUGIN_PATH": str(bundle / "lib"),
        "OMP_NUM_THREADS": "1",
    }


def one(
    bundle: Path, folder: Path, words: dict[str, Any], ranks: int, limit: float
) -> dict[str, Any]:
    """Run LAMMPS once; return its last line of thermo, and its times."""
    model, data, elements, boundary, copies = words["case"]
    inputs = bundle / "examples"
    script = SCRIPT.format(
        boundary=boundary,
        data=inputs / data,
        replicate=f"replicate {copies}" if words["large"] and copies else "",
        precision=words["precision"],
        way=words["way"],
        model=bundle / "potentials" / f"{model}.eqnn",
        elements=elements,
        steps=STEPS,
    )
    (folder / "in.bundle").write_text(script)
    lammps = bundle / "lammps"
    launcher = [str(lammps / "bin" / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [*launcher, str(lammps / "lammps" / "lmp"), "-in", "in.bundle", "-log", "none"],
        cwd=folder,
        env=environment(bundle),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=limit,
        check=False,
    )
    loop = LOOP.search(done.stdout)
    rows = re.findall(rf"^ +{STEPS} +(.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or loop is None or not rows:
        return {"error": f"status {done.returncode}: {done.stdout[-600:]}"}
    seconds, n_steps, n_atoms = float(loop[1]), int(loop[2]), int(loop[3])
    on = re.search(r"precision on (\w+)", done.stdout)
    return {
        "thermo": [float(x) for x in rows[-1].split()],
        "on": on[1] if on else "?",
        "atoms": n_atoms,
        "us": 1e6 * seconds / (n_steps * n_atoms),
        "shares": {k: float(v) for k, v in SHARES.findall(done.stdout)},
    }


def difference(found: list[float], expected: list[float]) -> float:
    """Largest of all columns, relative; NaN stays NaN."""
    sizes = [max(1.0, abs(x)) for x in expected]
    errors = [abs(a - b) / s for a, b, s in zip(found, expected, sizes, strict=True)]
    return max(errors) if all(e == e for e in errors) else float("nan")
