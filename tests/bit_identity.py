# SPDX-License-Identifier: BSD-3-Clause
"""Hash the results of every model of this tree, bit by bit.

Run it before and after a change that only moves code:

    python tests/bit_identity.py write before.json
    python tests/bit_identity.py compare before.json

``EQNN_LIBRARY`` names another libeqnn.so, of a Serial build for instance. Hashes are valid for one
machine and one compiler, so they are not goldens. Every self-test of every model file is evaluated
by
the reference evaluator and at each precision, on one and two threads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from safetensors import safe_open

from eqnn.library import Potential

ROOT = Path(__file__).resolve().parent.parent
EVALUATORS = ("reference", "double", "mixed", "single")
THREADS = (1, 2)


def models() -> list[Path]:
    """Return the model files of potentials/ and tests/golden/."""
    folders = (ROOT / "potentials", ROOT / "tests" / "golden")
    return sorted(path for folder in folders for path in folder.rglob("*.eqnn"))


def hashes_of(path: Path) -> dict[str, str]:
    """Return a hash of energies, forces and virial for each evaluator and self-test."""
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["eqnn"])
    has_virial = document["forces"] != "direct"
    found = {}
    for evaluator in EVALUATORS:
        with Potential(path, evaluator, has_virial=has_virial) as potential:
            for test in document["self_test"]:
                result = potential.evaluate(test["numbers"], test["positions"], test["cell"])
                content = hashlib.sha256(result.atom_energies.tobytes() + result.forces.tobytes())
                if result.virial is not None:
                    content.update(result.virial.tobytes())
                found[f"{evaluator}/{test['name']}"] = content.hexdigest()[:16]
    return found


def all_hashes() -> dict[str, str]:
    """Return the hashes of all models, with one process for each number of threads."""
    found: dict[str, str] = {}
    for n_threads in THREADS:
        for path in models():
            print(f"{n_threads} thread(s): {path.name}", file=sys.stderr)
            done = subprocess.run(
                [sys.executable, __file__, "one", str(path)],
                env={**os.environ, "OMP_NUM_THREADS": str(n_threads)},
                stdout=subprocess.PIPE,
                check=True,
            )
            for key, value in json.loads(done.stdout).items():
                found[f"{path.relative_to(ROOT)}/{n_threads}/{key}"] = value
    return found


def main() -> int:
    """Write the hashes to a file, or compare them with those of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("write", "compare", "one"))
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    if given.what == "one":
        print(json.dumps(hashes_of(given.file)))
        return 0
    found = all_hashes()
    if given.what == "write":
        given.file.write_text(json.dumps(found, indent=0))
        print(f"{len(found)} results of {len(models())} models in {given.file}")
        return 0
    before = json.loads(given.file.read_text())
    keys = before.keys() | found.keys()
    differing = sorted(key for key in keys if before.get(key) != found.get(key))
    print(f"{len(before)} results before, {len(found)} now, {len(differing)} differ")
    print("\n".join(differing[:40]))
    return 1 if differing or not found else 0


if __name__ == "__main__":
    sys.exit(main())
