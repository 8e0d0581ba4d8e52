# SPDX-License-Identifier: BSD-3-Clause
"""Export the golden checkpoints again: tests/golden/*/*.eqnn and potentials/*.eqnn.

    python tests/golden/make_models.py [--no-self-test]

Needs our package and, for the self-tests, libeqnn.so. Files change only where the exporter does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from safetensors.numpy import load_file

from eqnn.export.checkpoint import read_checkpoint
from eqnn.export.tdn import TdnConfig, export_tdn
from eqnn.model_file import Model, write_model
from eqnn.self_test import add_self_test

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parent.parent
UPSTREAM = "TDN, AIRS/OpenMol/TDN at commit 4a16c68a7da707c521019067dec51c227c10de45"
RANDOM_WEIGHTS = {
    "upstream": UPSTREAM,
    "data": "none: random weights, a test of the arithmetic",
    "level_of_theory": "none",
    "licence": "BSD-3-Clause",
}


def quiet(line: str) -> None:
    """Swallow the exporter's report."""


def export(
    weights: Path, config: Path, provenance: dict[str, Any], exact_products: bool = False
) -> Model:
    """Export one golden checkpoint without self-test."""
    settings = TdnConfig(json.loads(config.read_text()), config.name)
    is_trained = "elements_Z" in settings.document
    return export_tdn(
        read_checkpoint(weights),
        settings,
        provenance=provenance,
        species=None if is_trained else [1, 6, 7, 8],
        energy="extensive",
        exact_products=exact_products,
        name=weights.name,
        log=quiet,
    )


def models() -> Iterator[tuple[Path, Model, Atoms | None]]:
    """Yield where each model goes, the model, and its self-test's molecule (None: built in)."""
    exporter = {"exporter": "eqnn 0.1.0, tests/golden/make_models.py"}
    for config in sorted((GOLDEN / "tdn").glob("*.config.json")):
        stem = config.name.removesuffix(".config.json")
        weights = config.with_name(f"{stem}.weights.safetensors")
        yield (
            config.with_name(f"{stem}.eqnn"),
            export(weights, config, RANDOM_WEIGHTS | exporter),
            None,
        )

    folder = GOLDEN / "tdn_3bpa"
    golden = load_file(folder / "golden20.safetensors")
    molecule = Atoms(golden["atomic_numbers"], np.round(golden["positions"][0], 8))
    for exact in (False, True):
        name = "tdn_3bpa_exact" if exact else "tdn_3bpa"
        provenance = json.loads((ROOT / "potentials" / f"{name}.provenance.json").read_text())
        model = export(
            folder / "tdn_3bpa.weights.safetensors",
            folder / "tdn_3bpa.config.json",
            provenance | exporter,
            exact,
        )
        yield ROOT / "potentials" / f"{name}.eqnn", model, molecule
        if not exact:
            yield folder / f"{name}.eqnn", model, molecule


def main() -> None:
    """Write all models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-self-test", action="store_true")
    without = parser.parse_args().no_self_test
    for path, model, molecule in models():
        if not without:
            model = add_self_test(model, molecule)
        write_model(path, model.document, model.tensors)
        print(path.relative_to(ROOT), model.sha256)


if __name__ == "__main__":
    main()
