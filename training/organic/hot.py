# SPDX-License-Identifier: BSD-3-Clause
"""Make hot frames of one molecule by dynamics with trained potentials, labeled by their mean.

    PYTHONPATH=python:training:data/qcr python -m organic.hot START.xyz OUTPUT.xyz POTENTIAL...

Each trajectory starts from a frame of START.xyz, at a temperature drawn from a range, and its
forces are the mean of the potentials. With `--protons`, springs hold the protons of hydrogen bonds
on their way, as `organic.shared` does. See `organic.committee` for the labels, and for what is left
out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import ase.io
import numpy as np

from eqnn.errors import EqnnError
from eqnn.library import Potential
from organic.committee import kept, output_error, potentials_error, predictions, replace_text
from organic.shared import FARTHEST, NEAR, held, hydrogen_bonds
from organic.structures import Floats, sampled

TRAJECTORIES = 240
COLDEST, HOTTEST = 300.0, 1500.0  # K
KEEP = (100, 150, 200)  # steps


def frames_of(
    start: Path,
    models: Sequence[str],
    trajectories: int,
    hottest: float,
    seed: int,
    protons: bool = False,
) -> tuple[list[str], int]:
    """Run dynamics and label what comes.

    Parameters
    ----------
    start : Path
        Frames of one system, which is not periodic.
    models : sequence of str
        Files of two potentials or more.
    trajectories : int
    hottest : float
        K.
    seed : int
    protons : bool
        Whether to hold the protons of hydrogen bonds.

    Returns
    -------
    list of str
        Extended XYZ of frames on which the potentials agree.
    int
        How many were labeled.

    Raises
    ------
    EqnnError
        If the frames are unreadable or of several systems, or a potential cannot evaluate one, or a
        frame has no hydrogen bond whose proton could be held.
    """
    try:
        found = ase.io.read(start, ":")
    except Exception as error:  # ASE's readers raise whatever comes
        raise EqnnError(f"{start}: ASE cannot read frames from it: {error}") from error
    assert isinstance(found, list)
    z = found[0].numbers
    for k, atoms in enumerate(found):
        if atoms.pbc.any():
            raise EqnnError(f"{start}: frame {k} is periodic. Give frames of one molecule")
        if not np.array_equal(atoms.numbers, z):
            raise EqnnError(
                f"{start}: frame {k} is not of the molecule of frame 0. Give frames of one molecule"
            )
    draw = np.random.default_rng(seed)
    starts = draw.integers(len(found), size=trajectories)
    first = np.stack([found[k].positions for k in starts])
    temperatures = draw.uniform(COLDEST, hottest, size=trajectories)
    bonds = [hydrogen_bonds(z.tolist(), x, NEAR) if protons else [] for x in first]
    if protons and not all(bonds):
        k = min(k for k, some in zip(starts.tolist(), bonds, strict=True) if not some)
        raise EqnnError(
            f"{start}: frame {k} has no hydrogen bond, expected one of at most {NEAR} Angstrom. "
            "Leave out --protons, or such frames"
        )
    wanted = [draw.uniform(-FARTHEST, FARTHEST, size=len(some)) for some in bonds]

    with ExitStack() as stack:
        potentials = [stack.enter_context(Potential(model)) for model in models]

        def forces(x: Floats) -> Floats:
            of = predictions(potentials, [(z, r, None) for r in x])[1]
            return np.stack(
                [f.mean(axis=0) + held(*one) for f, *one in zip(of, x, bonds, wanted, strict=True)]
            )

        positions = [x for batch in sampled(first, temperatures, forces, KEEP, draw) for x in batch]
    smiles = found[0].get_chemical_formula()
    return kept(models, [(smiles, z, x) for x in positions]), len(positions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the frames."""
    parser = argparse.ArgumentParser(description="Hot frames, labeled by a mean of potentials.")
    parser.add_argument("start", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("potentials", nargs="+", help="two files or more")
    parser.add_argument("--trajectories", type=int, default=TRAJECTORIES)
    parser.add_argument("--hottest", type=float, default=HOTTEST, help="K")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--protons", action="store_true", help="hold those of hydrogen bonds on their way"
    )
    options = parser.parse_args(arguments)
    problem = potentials_error(options.potentials)
    problem = problem or output_error(options.output, [options.start, *options.potentials])
    if problem is not None:
        parser.error(problem)
    if options.trajectories < 1:
        parser.error(f"--trajectories: found {options.trajectories}, expected 1 or more")
    if not COLDEST <= options.hottest < np.inf:
        parser.error(f"--hottest: found {options.hottest}, expected {COLDEST:.0f} K or more")
    if options.seed < 0:
        parser.error(f"--seed: found {options.seed}, expected 0 or more")
    if not options.start.is_file():
        parser.error(f"{options.start}: found no file. Expected frames to start from")
    try:
        frames, n = frames_of(
            options.start,
            options.potentials,
            options.trajectories,
            options.hottest,
            options.seed,
            options.protons,
        )
        replace_text(options.output, "".join(frames))
    except EqnnError as error:
        parser.error(str(error))
    print(f"Wrote {options.output}: {len(frames)} frames, of {n} labeled.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
