# SPDX-License-Identifier: BSD-3-Clause
"""Blend the weights of a network before and after fine-tuning.

    PYTHONPATH=python:training python -m organic.blend BEFORE.eqnn AFTER.eqnn PART OUTPUT.eqnn

Weights are those of BEFORE plus PART of what fine-tuning changed; all else is AFTER's. What few
molecules taught stays for the most part, and so does what many taught: close atoms, larger
molecules. A row for each of several parts: `--watch FRAMES.xyz.gz` (for choosing one).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from eqnn.library import Potential, Properties
from eqnn.model_file import Model, read_model, write_model
from eqnn.self_test import add_self_test
from eqnn.short_range import examine

PARTS = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def blended(before: Model, after: Model, part: float) -> Model:
    """Return the blend of two models of one graph, with self-tests.

    Parameters
    ----------
    before, after : Model
    part : float
        0 gives the weights of `before`, 1 those of `after`.
    """
    graphs = before.document["graph"], after.document["graph"]
    if graphs[0] != graphs[1] or set(before.tensors) != set(after.tensors):
        raise SystemExit(f"{before.name} and {after.name}: have different graphs, expected one.")
    tensors = {
        name: (1.0 - part) * before.tensors[name] + part * after.tensors[name]
        for name in after.tensors
    }
    told = {**after.document["provenance"]}
    told["training"] = {
        **told["training"],
        "blend": {"with": before.sha256, "part": part, "of": after.sha256},
    }
    document = {**after.document, "provenance": told}
    return add_self_test(Model(document, tensors, after.name))


def row(model: Path, frames: Sequence[Atoms]) -> str:
    """Say how far a model is from frames, and which wall close atoms meet."""
    with Potential(model, "double") as potential:
        found = potential.evaluate_many([(f.numbers, f.positions, None) for f in frames])
        forces, energies = [], []
        for atoms, one in zip(frames, found, strict=True):
            if one.properties is None:
                raise SystemExit(f"{model}: {one.reason}")
            forces.append((one.properties.forces - atoms.get_forces()).ravel())
            energies.append((one.properties.energy - atoms.get_potential_energy()) / len(atoms))

        def evaluate(atoms: Atoms) -> Properties:
            return potential.evaluate(atoms.numbers, atoms.positions)

        document = read_model(model).document
        walls = examine(evaluate, document["species"], document["cutoff"], "").walls
    e, f = (1e3 * np.abs(x).mean() for x in (np.array(energies), np.concatenate(forces)))
    return f"{e:.1f} meV/atom, {f:.1f} meV/A, lowest wall {walls[0].name} {walls[0].height:.1f} eV"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the blend."""
    parser = argparse.ArgumentParser(description="Blend two models of one graph.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("part", type=float)
    parser.add_argument("output", type=Path)
    parser.add_argument("--watch", type=Path, help="say what several parts give on these frames")
    options = parser.parse_args(arguments)
    before, after = read_model(options.before), read_model(options.after)
    if options.watch is not None:
        frames = [a for a in ase.io.iread(options.watch) if isinstance(a, Atoms)]
        for part in PARTS:
            model = blended(before, after, part)
            write_model(options.output, model.document, model.tensors)
            print(f"part {part:g}: {row(options.output, frames)}", flush=True)
    model = blended(before, after, options.part)
    write_model(options.output, model.document, model.tensors)
    print(f"Wrote {options.output}: part {options.part:g}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
