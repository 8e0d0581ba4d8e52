# SPDX-License-Identifier: BSD-3-Clause
"""Time relaxations of many molecules: by the engine, and by ASE with the engine's calculator.

    .eqnn/venv/bin/python bench/relax_many.py [--molecules 1000] [--of-ase 50] [--model FILE]

Hexane, 20 atoms, each copy rattled differently; L-BFGS to 0.05 eV/Angstrom, one thread, single
precision. ASE relaxes the first --of-ase of them one after another, as its users do: its calculator
calls the same engine. Both in one run; both must take the same steps. What a step costs beside the
engine's pass (neighbors, optimizer, Python) is said too. With mace-torch installed,
``--torch FILE`` times a MACE checkpoint behind ASE in the same run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import LBFGS

from eqnn.library import Potential
from eqnn.relaxation import Settings, relax

ROOT = Path(__file__).resolve().parent.parent
FMAX = 0.05
MAX_STEPS = 500


class Engine(Calculator):
    """The engine behind ASE, one structure at a time."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, potential: Potential) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._potential = potential
        self.seconds = 0.0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Evaluate the given molecule."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        assert self.atoms is not None
        start = time.perf_counter()
        found = self._potential.evaluate(self.atoms.numbers, self.atoms.positions)
        self.seconds += time.perf_counter() - start
        self.results = {"energy": found.energy, "forces": found.forces}


def hexane(seed: int) -> Atoms:
    """Return a zigzag of six carbons with their hydrogens, rattled."""
    carbons = np.array([[1.27 * k, 0.0, 0.42 * (-1) ** k] for k in range(6)])
    symbols, places = ["C"] * 6, list(carbons)
    for k, (x, y, z) in enumerate(carbons):
        up = (-1) ** k
        for side in (-0.89, 0.89):
            symbols.append("H")
            places.append(np.array([x, y + side, z + 0.63 * up]))
        if k in (0, 5):
            symbols.append("H")
            places.append(np.array([x + (0.89 if k else -0.89), y, z - 0.63 * up]))
    atoms = Atoms(symbols, places)
    atoms.rattle(0.08, seed=seed)
    return atoms


def by_ase(molecules: list[Atoms], calculator: Any) -> tuple[float, list[int]]:
    """Return seconds of CPU time, and the steps of each molecule."""
    steps = []
    start = time.process_time()
    for atoms in molecules:
        one = atoms.copy()
        one.calc = calculator
        run = LBFGS(one, logfile=os.devnull)
        run.run(fmax=FMAX, steps=MAX_STEPS)
        steps.append(run.nsteps)
    return time.process_time() - start, steps


def say(name: str, seconds: float, n: int, steps: int) -> float:
    """Print a line and return molecules a second."""
    rate = n / seconds
    print(
        f"{name:<28} {n:5d} molecules {seconds:8.2f} s {rate:8.2f} molecules/s "
        f"{1e6 * seconds / (steps * 20):7.1f} us/atom/evaluation"
    )
    return rate


def main() -> int:
    """Time both ways and print molecules a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--molecules", type=int, default=1000)
    parser.add_argument("--of-ase", type=int, default=50)
    parser.add_argument("--model", type=Path, default=ROOT / "potentials" / "mace_solvents.eqnn")
    parser.add_argument("--precision", default="single")
    parser.add_argument("--atoms-at-once", type=int, default=0)
    parser.add_argument("--torch", type=Path, metavar="CHECKPOINT")
    given = parser.parse_args()
    molecules = [hexane(seed) for seed in range(given.molecules)]
    settings = Settings(fmax=FMAX, max_steps=MAX_STEPS, atoms_at_once=given.atoms_at_once)
    with Potential(given.model, given.precision) as potential:
        print(f"{given.model.name}: {potential.describe()}")
        relax(molecules[:5], potential, settings)  # tables are warm
        start = time.process_time()
        found = relax(molecules, potential, settings)
        seconds = time.process_time() - start
        steps = [one.steps for one in found if one is not None]
        n_converged = sum(one is not None and one.status == "converged" for one in found)
        rate = say("eqnn.relax", seconds, len(molecules), sum(steps) + len(molecules))
        engine = Engine(potential)
        few = molecules[: given.of_ase]
        seconds, of_ase = by_ase(few, engine)
        other = say("ASE, same engine", seconds, len(few), sum(of_ase) + len(few))
        print(f"  of which in the engine's calls {engine.seconds:.2f} s (wall)")
        print(f"  eqnn.relax is {rate / other:.2f} times as fast; {n_converged} converged")
        same = of_ase == steps[: len(few)]
        print(f"  steps of both {'are the same' if same else f'differ: {of_ase} {steps}'}")
    if given.torch is not None:
        from mace.calculators import MACECalculator

        dtype = "float32" if given.precision == "single" else "float64"
        calculator = MACECalculator(str(given.torch), device="cpu", default_dtype=dtype)
        seconds, of_torch = by_ase(molecules[: max(1, given.of_ase // 5)], calculator)
        n = max(1, given.of_ase // 5)
        other = say("ASE, mace-torch", seconds, n, sum(of_torch) + n)
        print(f"  eqnn.relax is {rate / other:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
