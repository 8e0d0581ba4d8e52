# SPDX-License-Identifier: BSD-3-Clause
"""Compute frames of many made-up molecules at B3LYP/6-31G*, with density fitting.

    PYTHONPATH=python:training:data/qcr python -m organic.dft FOLDER OUTPUT.xyz [--doubtful]
    PYTHONPATH=python:training:data/qcr python -m organic.dft FOLDER OTHER.xyz --larger
    PYTHONPATH=python:training:data/qcr python -m organic.dft FOLDER OTHER.xyz --disagree MODELS
    PYTHONPATH=python:training:data/qcr python -m organic.dft FOLDER OTHER.xyz --transfers
    PYTHONPATH=python:training:data/qcr python -m organic.dft FOLDER OTHER.xyz --small
    PYTHONPATH=python:training:data/qcr python -m organic.dft FOLDER OTHER.xyz --shared MODELS

FOLDER is that of `organic.teacher`. The program takes one frame of each molecule of 3 to 7 heavy
atoms from its dynamics; small molecules are taken more often and computed first. Options choose
other frames:

* `--doubtful`: of molecules on which the networks of the teacher disagree. Pretraining leaves them
  out.
* `--disagree`: of each molecule of 3 to 5 heavy atoms (or `--largest N`), the frame on which
  trained potentials disagree most.
* `--transfers`: of small molecules, with a hydrogen atom moved between two heavy atoms, where
  dynamics rarely takes one.
* `--larger`: of sixteen larger molecules that no training uses.
* `--small`: of what is too small for that dynamics (`organic.small`). It does not use FOLDER.
* `--shared`: with protons on their way in hydrogen bonds, by dynamics with trained potentials
  (`organic.shared`). It does not use FOLDER.

The level is that of qcr-small, but with density fitting (errors of 0.5 meV and 2 meV/Angstrom) and
a convergence of 1e-8 Hartree. The frames are for training and checks only; each says so. A frame is
added to OUTPUT.xyz when it is computed, and the same command continues after a kill.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from eqnn.errors import EqnnError
from organic.committee import (
    disagreement,
    output_error,
    potentials_error,
    predictions,
    replace_text,
)
from organic.shared import shared
from organic.small import Task, small
from organic.structures import Floats, needs, seed_of
from organic.teacher import Lot, calm_frames, is_watched, load, lot_paths, lots_error
from qcr.units import BOHR, HARTREE

LEVEL = "B3LYP(VWN3)/6-31G* Cartesian, density fitting def2-universal-jkfit"
SMALLEST_GAP = 1.0  # eV: below, a closed shell is in doubt
LARGEST_FORCE = 15.0  # eV/Angstrom
STEEPEST = 100.0  # eV/Angstrom, of small structures, which are pressed on purpose
# Of how many heavy atoms, and the part of the molecules that is taken.
PART = {3: 1.0, 4: 0.8, 5: 0.4, 6: 0.15, 7: 0.04}
LARGER, N_LARGER = (7, 9), 16  # heavy atoms, molecules
# By disagreement: heavy atoms, and eV/Angstrom, beyond which a molecule is too odd to matter.
SMALLEST_DISAGREED, MOST_DISAGREED = 3, 5
LARGEST_DISAGREEMENT = 0.6
# Transfers of hydrogen: heavy atoms of a molecule, between heavy atoms how far apart, how far from
# each, and from all other atoms; Angstrom.
MOST_TRANSFERRED = 5
APART = (2.0, 2.9)
SHARED = (1.05, 1.6)
CLEAR = 1.1
PART_DOUBTFUL = {3: 1.0, 4: 1.0, 5: 0.6, 6: 0.15}


def energy_and_forces(
    numbers: Sequence[int], positions: Floats, spin: int = 0
) -> tuple[float, Floats, float]:
    """Compute a structure: eV, eV/Angstrom, and the gap in eV; the energy is NaN if not converged.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers.
    positions : ndarray [atom, 3]
        Angstrom.
    spin : int
        Unpaired electrons. With any, spins are unrestricted, and the gap is the smaller of the two.
    """
    from pyscf import dft, gto

    atoms = [(chemical_symbols[z], tuple(x)) for z, x in zip(numbers, positions, strict=True)]
    molecule = gto.M(atom=atoms, unit="Angstrom", basis="6-31g*", cart=True, spin=spin, verbose=0)
    kind = dft.UKS if spin else dft.RKS
    field = kind(molecule).density_fit(auxbasis="def2-universal-jkfit")
    field.xc = "b3lypg"  # with VWN3
    field.grids.level = 3
    field.conv_tol = 1e-8
    field.kernel()
    if not field.converged:
        return float("nan"), np.zeros_like(positions), 0.0
    gradient = field.nuc_grad_method()
    gradient.grid_response = True
    levels = np.atleast_2d(field.mo_energy)
    gap = min(
        float(one[n] - one[n - 1]) for one, n in zip(levels, molecule.nelec, strict=False) if n
    )
    forces = -gradient.kernel() * (HARTREE / BOHR)
    return float(field.e_tot) * HARTREE, np.asarray(forces), gap * HARTREE


def lowest(task: Task) -> tuple[float, Floats, float]:
    """Compute a structure with each of its spins, and return the lowest in energy."""
    found = [energy_and_forces(task.numbers, task.positions, spin) for spin in task.spins]
    return min(found, key=lambda one: one[0] if one[0] < 0 else np.inf)


def chosen(folder: Path, doubtful: bool = False) -> list[tuple[str, Lot, int]]:
    """Choose a frame of each molecule, in the order in which they are computed.

    Parameters
    ----------
    folder : Path
        That of `organic.teacher`.
    doubtful : bool
        Choose molecules on most frames of which the networks disagree, in place of frames on which
        they agree.
    """
    part_of = PART_DOUBTFUL if doubtful else PART
    frames: list[tuple[float, str, Lot, int]] = []
    for path in lot_paths(folder):
        lot = load(path)
        heavy = (lot.numbers > 1).sum(axis=1)
        wanted = lot.doubtful() if doubtful else lot.good()
        of: dict[str, list[int]] = {}
        count: Counter[str] = Counter()
        for k, name in enumerate(lot.smiles.tolist()):
            count[name] += 1
            if wanted[k] and int(heavy[k]) in part_of and not is_watched(name):
                of.setdefault(name, []).append(k)
        for smiles, candidates in of.items():
            if doubtful and 2 * len(candidates) <= count[smiles]:
                continue
            draw = np.random.default_rng(seed_of(f"dft {smiles}"))
            n = int(heavy[candidates[0]])
            if draw.random() < part_of[n]:
                rank = draw.random() * n**2
                frames.append((rank, smiles, lot, int(draw.choice(candidates))))
    return [(smiles, lot, k) for _, smiles, lot, k in sorted(frames, key=lambda f: f[:2])]


def larger(folder: Path) -> list[tuple[str, Lot, int]]:
    """Choose a frame of each of some larger molecules that no training has; see `chosen`."""
    candidates: dict[str, list[tuple[Lot, int]]] = {}
    for path in lot_paths(folder):
        lot = load(path)
        heavy = (lot.numbers > 1).sum(axis=1)
        for k in np.flatnonzero(lot.good() & (heavy >= LARGER[0]) & (heavy <= LARGER[1])):
            smiles = str(lot.smiles[k])
            if is_watched(smiles):
                candidates.setdefault(smiles, []).append((lot, int(k)))
    names = sorted(candidates, key=lambda smiles: seed_of(f"large {smiles}"))[:N_LARGER]
    return [(s, *candidates[s][seed_of(f"f{s}") % len(candidates[s])]) for s in names]


def disagreed(
    folder: Path, models: Sequence[str], largest: int = MOST_DISAGREED
) -> list[tuple[str, Lot, int]]:
    """Choose the frame of each molecule on which potentials disagree most.

    Molecules of large disagreement and few heavy atoms come first. Otherwise as `chosen`.

    Parameters
    ----------
    folder : Path
        That of `organic.teacher`.
    models : sequence of str
        Files of two potentials or more.
    largest : int
        Heavy atoms of the largest molecules.
    """
    frames = [
        (str(lot.smiles[k]), lot, k)
        for _, lot, k in calm_frames(folder, SMALLEST_DISAGREED, largest)
    ]
    structures = [(lot.numbers[k], lot.positions[k], None) for _, lot, k in frames]
    apart = [disagreement(forces) for forces in predictions(models, structures)[1]]
    most: dict[str, tuple[float, Lot, int]] = {}
    for (smiles, lot, k), by in zip(frames, apart, strict=True):
        if smiles not in most or by > most[smiles][0]:
            most[smiles] = (by, lot, k)
    ordered = sorted(
        (-by / int((lot.numbers[k] > 1).sum()) ** 2, smiles, lot, k)
        for smiles, (by, lot, k) in most.items()
        if by <= LARGEST_DISAGREEMENT
    )
    return [(smiles, lot, k) for _, smiles, lot, k in ordered]


def transferred(numbers: Sequence[int], x: Floats, draw: np.random.Generator) -> Floats | None:
    """Move a hydrogen atom between two heavy atoms; None where a structure offers no place.

    The hydrogen leaves the heavy atom that is nearest to it for one that is `APART` from that. One
    of the two is no carbon. It stays in the plane of the three.

    Parameters
    ----------
    numbers : sequence of int
        Atomic numbers.
    x : ndarray [atom, 3]
        Positions, Angstrom.
    draw : Generator

    Returns
    -------
    ndarray [atom, 3] or None
        Angstrom.
    """
    z = np.asarray(numbers)
    heavy = np.flatnonzero(z > 1)
    places = []
    for h in np.flatnonzero(z == 1):
        i = heavy[np.linalg.norm(x[heavy] - x[h], axis=1).argmin()]
        for j in heavy:
            apart = np.linalg.norm(x[j] - x[i])
            if APART[0] <= apart <= APART[1] and (z[i] != 6 or z[j] != 6):
                places.append((h, i, j, apart))
    draw.shuffle(places)
    for h, i, j, apart in places:
        along = (x[j] - x[i]) / apart
        across = x[h] - x[i] - (x[h] - x[i]) @ along * along
        if np.linalg.norm(across) < 1e-3:
            continue
        # The two distances; together they span the gap.
        to_i, to_j = draw.uniform(*SHARED, size=2)
        if to_i + to_j <= apart:
            to_i, to_j = np.array([to_i, to_j]) * (1.01 * apart / (to_i + to_j))
            if max(to_i, to_j) > SHARED[1]:
                continue
        step = (to_i**2 - to_j**2 + apart**2) / (2 * apart)
        height = np.sqrt(to_i**2 - step**2)
        moved = x.copy()
        moved[h] = x[i] + step * along + height * across / np.linalg.norm(across)
        others = np.delete(moved, [h, i, j], axis=0)
        if len(others) == 0 or np.linalg.norm(others - moved[h], axis=1).min() >= CLEAR:
            return moved
    return None


def transfers(folder: Path) -> list[tuple[str, Lot, int]]:
    """Choose a frame of each small molecule and move a hydrogen of it; see `transferred`.

    Molecules of few heavy atoms come first. Otherwise as `chosen`.
    """
    found: list[tuple[float, str, Lot, int]] = []
    for path in lot_paths(folder):
        lot = load(path)
        heavy = (lot.numbers > 1).sum(axis=1)
        wanted = (lot.good() | lot.doubtful()) & (heavy >= 2) & (heavy <= MOST_TRANSFERRED)
        of: dict[str, list[int]] = {}
        for frame in np.flatnonzero(wanted).tolist():
            smiles = str(lot.smiles[frame])
            if not is_watched(smiles):
                of.setdefault(smiles, []).append(frame)
        positions = lot.positions.copy()
        lot = replace(lot, positions=positions)
        for smiles, candidates in of.items():
            draw = np.random.default_rng(seed_of(f"transfer {smiles}"))
            k = int(draw.choice(candidates))
            moved = transferred(lot.numbers[k].tolist(), positions[k], draw)
            if moved is not None:
                positions[k] = moved
                found.append((draw.random() * int(heavy[k]) ** 2, smiles, lot, k))
    return [(smiles, lot, k) for _, smiles, lot, k in sorted(found, key=lambda f: f[:2])]


def as_tasks(choice: Iterable[tuple[str, Lot, int]]) -> list[Task]:
    """Return the structures of a choice."""
    return [
        Task(smiles, "", lot.numbers[k].tolist(), lot.positions[k]) for smiles, lot, k in choice
    ]


def whole_frames(text: str) -> Iterator[str]:
    """Yield the frames of an extended XYZ that are whole: a kill may have cut the last."""
    lines = text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        end = at + 2 + int(lines[at])
        frame = lines[at:end]
        if end > len(lines) or not frame[-1].endswith("\n"):
            return
        yield "".join(frame)
        at = end


def key_of(frame: str) -> str:
    """Return what tells a frame from others: its SMILES, and what was done to it."""
    what = frame.split('what="', 1)[1].split('"', 1)[0] if 'what="' in frame else ""
    return key(frame.split('smiles="', 1)[1].split('"', 1)[0], what)


def key(smiles: str, what: str) -> str:
    """Return the name under which a structure is known, without blanks."""
    return "_".join([smiles, *what.split()])


def found_so_far(output: Path, refused: Path) -> tuple[list[str], set[str]]:
    """Return the frames that are done, and the keys of all structures that need no more work.

    Raises
    ------
    EqnnError
        If the output is not one of this command.
    """
    try:
        done = list(whole_frames(output.read_text())) if output.exists() else []
        known = {key_of(frame) for frame in done}
    except (ValueError, IndexError):
        raise EqnnError(
            f"{output}: found a file that this command did not write, expected its frames or no "
            "file. Name another"
        ) from None
    return done, known | (set(refused.read_text().split()) if refused.exists() else set())


def written(task: Task, e: float, f: Floats, gap: float) -> str:
    """Return a frame as extended XYZ."""
    rows = [
        f"{chemical_symbols[z]} " + " ".join([*(f"{v:.6f}" for v in a), *(f"{v:.5f}" for v in b)])
        for z, a, b in zip(task.numbers, task.positions, f, strict=True)
    ]
    what = f' what="{task.what}"' if task.what else ""
    said = f'smiles="{task.smiles}"{what} level="{LEVEL}" energy={e:.6f} gap={gap:.3f} pbc="F F F"'
    return f"{len(rows)}\nProperties=species:S:1:pos:R:3:forces:R:3 {said}\n" + "".join(
        f"{row}\n" for row in rows
    )


def planned(options: argparse.Namespace) -> list[Task]:
    """Return the structures that the options choose, in the order in which they are computed.

    Raises
    ------
    EqnnError
        If a potential cannot evaluate a structure.
    """
    if options.small:
        return small()
    if options.shared:
        return shared(options.shared)
    if options.disagree:
        largest = options.largest or MOST_DISAGREED
        return as_tasks(disagreed(options.folder, options.disagree, largest))
    if options.transfers:
        return as_tasks(transfers(options.folder))
    if options.larger:
        return as_tasks(larger(options.folder))
    return as_tasks(chosen(options.folder, options.doubtful))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute what is missing."""
    parser = argparse.ArgumentParser(description="Compute frames with density-functional theory.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    choices = parser.add_mutually_exclusive_group()
    choices.add_argument("--doubtful", action="store_true", help="molecules the teacher doubts")
    choices.add_argument("--larger", action="store_true", help="larger molecules, to test with")
    choices.add_argument("--transfers", action="store_true", help="a hydrogen between two atoms")
    choices.add_argument("--small", action="store_true", help="atoms, small molecules, two of them")
    choices.add_argument("--disagree", nargs="+", metavar="POTENTIAL", help="two files or more")
    choices.add_argument(
        "--shared", nargs="+", metavar="POTENTIAL", help="protons of hydrogen bonds; two or more"
    )
    parser.add_argument(
        "--largest",
        type=int,
        metavar="N",
        help=f"with --disagree: heavy atoms of the largest molecules ({MOST_DISAGREED})",
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these")
    options = parser.parse_args(arguments)
    for name in ("disagree", "shared"):
        models = getattr(options, name)
        problem = potentials_error(models) if models else None
        if problem is not None:
            parser.error(f"--{name}: {problem}")
    problem = output_error(options.output, [*(options.disagree or ()), *(options.shared or ())])
    if problem is not None:
        parser.error(problem)
    if not options.seconds >= 0:
        parser.error(f"--seconds: found {options.seconds}, expected 0 or more")
    if options.largest is not None and not options.disagree:
        parser.error("--largest: found it without --disagree, which alone chooses by size")
    if options.largest is not None and options.largest < SMALLEST_DISAGREED:
        parser.error(
            f"--largest: found {options.largest}, expected {SMALLEST_DISAGREED} heavy atoms or more"
        )
    problem = None if options.small or options.shared else lots_error(options.folder)
    if problem is not None:
        parser.error(problem)
    refused = options.output.with_suffix(".refused")
    try:
        found_so_far(options.output, refused)  # before what may take minutes
    except EqnnError as error:
        parser.error(str(error))
    try:
        tasks = planned(options)
    except EqnnError as error:
        parser.error(str(error))
    except ImportError as error:
        parser.error(needs(error))
    steepest = STEEPEST if options.small else LARGEST_FORCE
    began = time.monotonic()
    with ExitStack() as files:
        try:
            bad = files.enter_context(refused.open("a"))
            fcntl.flock(bad, fcntl.LOCK_EX | fcntl.LOCK_NB)
            done, known = found_so_far(options.output, refused)
            replace_text(options.output, "".join(done))  # a kill may have cut the last frame
        except BlockingIOError:
            parser.error(f"{options.output}: another process adds to it. Wait for it or stop it")
        except OSError as error:
            parser.error(f"{refused}: cannot be written ({error.strerror}). Name a file elsewhere")
        except EqnnError as error:
            parser.error(str(error))
        out = files.enter_context(options.output.open("a"))
        plan = [task for task in tasks if key(task.smiles, task.what) not in known]
        for k, task in enumerate(plan):
            spent = time.monotonic() - began
            if spent > options.seconds:
                break
            try:
                energy, forces, gap = lowest(task)
            except ImportError as error:
                parser.error(needs(error))
            largest_force = np.linalg.norm(forces, axis=1).max()
            if energy < 0 and gap >= SMALLEST_GAP and largest_force <= steepest:
                out.write(written(task, energy, forces, gap))
                out.flush()
            else:
                bad.write(f"{key(task.smiles, task.what)}\n")
                bad.flush()
            print(f"{k + 1} of {len(plan)}: {task.smiles} {task.what}, {spent:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
