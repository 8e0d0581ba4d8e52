# SPDX-License-Identifier: BSD-3-Clause
"""Finds defects that make energies wrong whatever the errors are, with ``eqnn check``."""

from __future__ import annotations

from collections.abc import Sequence

from eqnn.check import (
    Measurement,
    Status,
    cutoff_jump,
    extensivity,
    inversion,
    network_of,
    rotation,
)
from eqnn.errors import EqnnError
from eqnn.evaluation.frame import Frame
from eqnn.evaluation.predict import Judged
from eqnn.library import Potential
from eqnn.report import Grade
from eqnn.structures import neighbors

# It is evaluated some fifty times.
MOST_ATOMS = 200

GRADES = {
    Status.OK: Grade.GOOD,
    Status.NOTE: Grade.FAIR,
    Status.LIMIT: Grade.FAIR,
    Status.WRONG: Grade.POOR,
}


def defects(
    judged: Judged, potential: Potential, frames: Sequence[Frame]
) -> tuple[str, tuple[Measurement, ...]]:
    """Measure on the first suitable frame.

    Parameters
    ----------
    judged : Judged
    potential : Potential
        The same, open.
    frames : sequence of Frame
        Of the model's elements.

    Returns
    -------
    tuple
        Label of the frame, empty if none is suitable, and the measurements: rotation, inversion, a
        pair crossing the cutoff, twice the system.
    """
    document = judged.model.document
    cutoff = document["cutoff"]
    evaluate = network_of(potential, judged.model)
    for frame in frames:
        atoms = frame.atoms
        if len(atoms) > MOST_ATOMS or len(neighbors("i", atoms, cutoff)) == 0:
            continue
        is_extensive = document["energy"]["semantics"] == "extensive"
        try:
            return frame.label, (
                rotation(evaluate, atoms, document["equivariance"]["exact"]),
                inversion(evaluate, atoms, document["parity"] == "o3"),
                cutoff_jump(evaluate, atoms, cutoff),
                extensivity(evaluate, atoms, cutoff, is_extensive),
            )
        except EqnnError:  # moved atoms may meet: another frame will do
            continue
    return "", ()
