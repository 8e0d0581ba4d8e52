# SPDX-License-Identifier: BSD-3-Clause
"""Many structures in one call: the bits of each alone, and a reason for each that fails."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from eqnn_models import ROOT, refusal, tiny_model

from eqnn.errors import EqnnError
from eqnn.library import Evaluated, Potential
from eqnn.model_file import write_model
from eqnn.packed import PROGRESS, Structure, told

MACE = ROOT / "potentials" / "mace_solvents.eqnn"


def some_molecules() -> list[Structure]:
    """Molecules of H, C and O, and two cells."""
    rng = np.random.default_rng(2)
    out: list[Structure] = []
    for name in ("CH3CH2OH", "H2O", "C6H6", "CH4", "CH3COOH", "CO2", "C3H8", "H2CO", "CH3OH"):
        atoms = molecule(name)
        atoms.positions += 0.05 * rng.normal(size=atoms.positions.shape)
        out.append((atoms.numbers, atoms.positions, None))
    for size in (1, 2):
        atoms = bulk("C", cubic=True) * (size, 1, 1)
        atoms.rattle(0.05, seed=size)
        out.append((atoms.numbers, atoms.positions, atoms.cell.array))
    return out


def bits(results: list[Evaluated]) -> list[bytes]:
    """All numbers of each result."""
    out = []
    for result in results:
        found = result.properties
        assert result.status == "ok" and result.reason == "" and found is not None
        assert found.virial is not None
        parts = (np.array(found.energy), found.atom_energies, found.forces, found.virial)
        out.append(b"".join(part.tobytes() for part in parts))
    return out


def hash_of_all(model: str) -> str:
    """Of everything, for passes of several sizes, which must agree."""
    with Potential(model, "single") as potential:
        structures = some_molecules()
        ways = {
            b"".join(bits(potential.evaluate_many(structures, atoms_at_once=size)))
            for size in (0, 1, 2, 7, 10**6)
        }
        backwards = bits(potential.evaluate_many(structures[::-1]))
        ways.add(b"".join(backwards[::-1]))
    assert len(ways) == 1
    return hashlib.sha256(ways.pop()).hexdigest()


def test_each_gets_what_it_gets_alone(tmp_path: Path) -> None:
    structures = some_molecules()
    with Potential(MACE) as potential:
        found = potential.evaluate_many(structures)
        for result, structure in zip(found, structures, strict=True):
            alone = Evaluated("ok", "", potential.evaluate(*structure))
            assert bits([result]) == bits([alone])


def test_neither_the_number_of_threads_nor_the_size_of_a_pass_changes_a_bit() -> None:
    hashes = set()
    for threads in ("1", "2", "3"):
        code = f"from test_evaluate_many import *; print(hash_of_all({str(MACE)!r}))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout)
    assert len(hashes) == 1


def bad_structures() -> list[tuple[Structure, str, str]]:
    """Structures, and the status and the beginning of the reason of each."""
    z, x = [8, 1], [[0.0, 0, 0], [0, 0, 1.0]]
    nan = [[0.0, 0, 0], [0, 0, np.nan]]
    flat = [[5.0, 0, 0], [5.0, 0, 0], [0, 0, 5.0]]
    return [
        (([26, 1], x, None), "unknown_element", "atom 0 is Fe, which the model does not know"),
        ((z, [[0.0, 0, 0]] * 2, None), "invalid", "node 1 is 0 Angstrom from atom 0"),
        ((z, nan, None), "nan", "atom 1 is at (0, 0, nan), expected finite coordinates."),
        ((z, x, flat), "invalid", "the cell's volume is 0 A^3, expected above 1e-06."),
        (([], np.zeros((0, 3)), None), "invalid", "there are no atoms, expected one or more."),
        ((z, x[:1], None), "invalid", "2 atomic numbers, 3 coordinates: expected three"),
        (([8, -1], x, None), "invalid", "atomic numbers from -1 to 8. Correct the structure."),
        ((z, x, [[1.0]]), "invalid", "2 atomic numbers, 6 coordinates, 1 components of the cell"),
    ]


@pytest.mark.parametrize("atoms_at_once", [0, 1, 3])
def test_a_structure_that_fails_stops_none_of_the_others(
    tmp_path: Path, atoms_at_once: int
) -> None:
    model = tiny_model()
    write_model(tmp_path / "tiny.eqnn", model.document, model.tensors)
    good: Structure = ([8, 1], [[0.0, 0, 0], [0, 0, 1.0]], None)
    bad = bad_structures()
    structures = [one for structure, _, _ in bad for one in (good, structure)]
    with Potential(tmp_path / "tiny.eqnn") as potential:
        found = potential.evaluate_many(structures, atoms_at_once=atoms_at_once)
        alone = potential.evaluate(*good)
    assert len(found) == len(structures)
    for k, (_, status, reason) in enumerate(bad):
        well = found[2 * k].properties
        assert well is not None and well.energy == alone.energy
        assert found[2 * k + 1].status == status
        assert found[2 * k + 1].reason.startswith(reason), found[2 * k + 1].reason
        assert found[2 * k + 1].reason.count("\n") <= 1
        assert found[2 * k + 1].properties is None


def test_progress_is_told_and_can_end_the_call() -> None:
    structures = [(m.numbers, m.positions, None) for m in [molecule("H2O")] * 5]
    told: list[tuple[int, int]] = []
    with Potential(MACE) as potential:
        potential.evaluate_many(
            structures, atoms_at_once=6, progress=lambda done, total: told.append((done, total))
        )
        assert told == [(2, 5), (4, 5), (5, 5)]
        found = potential.evaluate_many(
            structures, atoms_at_once=6, progress=lambda done, _: done < 4
        )
        assert [result.status for result in found] == ["ok"] * 4

        def interrupted(done: int, _total: int) -> bool:
            raise KeyboardInterrupt(f"at {done}")

        with pytest.raises(KeyboardInterrupt, match="at 2"):
            potential.evaluate_many(structures, atoms_at_once=6, progress=interrupted)
        assert potential.evaluate_many([]) == []


def test_what_cannot_be_done_for_any_structure_is_refused() -> None:
    water: Structure = (molecule("H2O").numbers, molecule("H2O").positions, None)
    with Potential(MACE, "reference") as potential:
        assert refusal(lambda: potential.evaluate_many([water])) == (
            f"{MACE}: the reference evaluator takes one structure at a time. Use double."
        )
    with pytest.raises(EqnnError, match=r"^the potential was closed\. Open it again\.$"):
        potential.evaluate_many([water])


def test_direct_forces_have_no_virial_here_either(tmp_path: Path) -> None:
    model = tiny_model(forces="direct")
    write_model(tmp_path / "direct.eqnn", model.document, model.tensors)
    atoms = Atoms("HOC", [[0, 0, 0], [1.0, 0, 0], [0, 1.2, 0]])
    structures: list[Structure] = [(atoms.numbers, atoms.positions, None)]
    with Potential(tmp_path / "direct.eqnn") as potential:
        assert refusal(lambda: potential.evaluate_many(structures)) == (
            f"{tmp_path / 'direct.eqnn'}: forces are direct, so there is no virial. "
            "Ask for energy and forces only."
        )
    with Potential(tmp_path / "direct.eqnn", has_virial=False) as potential:
        (found,) = potential.evaluate_many(structures)
        alone = potential.evaluate(*structures[0])
    assert found.properties is not None and found.properties.virial is None
    assert found.properties.forces.tobytes() == alone.forces.tobytes()


def test_a_negative_number_of_atoms_is_refused() -> None:
    with Potential(MACE) as potential:
        library = potential._library
        n_atoms, count = (ctypes.c_int * 1)(-1), ctypes.c_size_t()
        code = library.eqnn_evaluate_many(
            *(potential._opened, 1, n_atoms, None, None, None, None, 0),
            *(PROGRESS(), None),
            *(None, None, None, None, (ctypes.c_int * 1)(), ctypes.byref(count)),
        )
        assert code == 1
        assert library.eqnn_last_error().decode() == (
            "n_atoms[0] is -1, expected 0 or more. Correct the call."
        )


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Shells have what they start in the background ignore it, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_in_the_library_is_raised_after_a_callback_and_handled_as_before() -> None:
    """At the first line of a callback ctypes would drop it."""
    came = []

    def press(done: int, total: int) -> None:
        came.append(done)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), told(press) as callback:
        assert callback(None, 1, 2) == 1
    assert came == [1] and signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), told(None):
        signal.raise_signal(signal.SIGINT)  # after the last callback
    assert signal.getsignal(signal.SIGINT) is before
