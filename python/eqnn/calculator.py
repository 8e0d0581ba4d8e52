# SPDX-License-Identifier: BSD-3-Clause
"""An ASE calculator for a model file, or for a committee of model files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from eqnn.errors import EqnnError
from eqnn.library import Potential, Properties
from eqnn.model_file import read_model
from eqnn.so3 import FloatArray
from eqnn.structures import cell_with_vacuum, has_volume

_PRECISIONS = ("reference", "double", "mixed", "single")
_DEVIATING = ("energy", "forces", "stress")

Value = float | FloatArray


class EQNN(Calculator):
    """ASE calculator for ``.eqnn`` files: energies, forces and stresses.

    Structures may be periodic along any axes. With several models, results are means over the
    models. The standard deviations ``energy_std`` (eV), ``forces_std`` [n, 3] (eV/Angstrom) and
    ``stress_std`` [6] (eV/Angstrom^3) tell how much the models disagree. OMP_NUM_THREADS sets the
    number of threads. The calculator can be pickled and copied. Several Python threads can use it;
    they take turns.

    Parameters
    ----------
    model : str or Path, or sequence of these
        A ``.eqnn`` file, or the files of a committee, which must have the same elements.
    precision : str
        ``double``, ``mixed``, ``single``, or ``reference`` (plain loops, in double).
    device : str
        ``cpu``, ``gpu``, or ``auto``: a GPU if the library was built for one.
    elements : sequence of str, optional
        Chemical symbols of all atoms that will be computed. A model of many elements then takes
        less memory, and less time to open. Results are the same. Default: all elements.
    allow_direct_forces : bool
        Accept models that predict forces directly, not as minus the gradient of the energy. They
        have no stress, and MD with them does not conserve energy.
    allow_mean_per_atom : bool
        Accept models whose energy is meaningful only for the numbers of atoms in training.

    Attributes
    ----------
    potentials : list of eqnn.library.Potential
        One for each file.
    cutoff : float
        The largest, in Angstrom.

    Raises
    ------
    EqnnError
        If a file cannot be used, or the model cannot compute a structure.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from eqnn import EQNN
    >>> ethanol = molecule("CH3CH2OH")
    >>> ethanol.calc = EQNN("potentials/mace_solvents.eqnn")
    >>> ethanol.get_forces().shape
    (9, 3)
    """

    ignored_changes = {"initial_magmoms", "initial_charges"}  # noqa: RUF012

    def __init__(
        self,
        model: str | Path | Sequence[str | Path],
        *,
        precision: str = "double",
        device: str = "auto",
        elements: Sequence[str] | None = None,
        allow_direct_forces: bool = False,
        allow_mean_per_atom: bool = False,
    ) -> None:
        if precision not in _PRECISIONS:
            raise EqnnError(
                f"precision is {precision!r}, expected one of {', '.join(_PRECISIONS)}. "
                "Correct the call of EQNN()."
            )
        paths = [model] if isinstance(model, str | Path) else list(model)
        if not paths:
            raise EqnnError("EQNN() was given no model, expected one or more. Name a .eqnn file.")
        # Absolute paths, so that a copy in another folder finds them.
        self._paths = [Path(path).absolute() for path in paths]
        self._how = {"precision": precision, "device": device}
        self._elements = None if elements is None else [_atomic_number(one) for one in elements]
        self._allowed = {"direct": allow_direct_forces, "mean-per-atom": allow_mean_per_atom}
        super().__init__()  # type: ignore[no-untyped-call]
        self._open()

    def _open(self) -> None:
        models = [read_model(path) for path in self._paths]
        documents = [model.document for model in models]
        for path, document in zip(self._paths, documents, strict=True):
            self._refuse(path, document)
            if set(document["species"]) != set(documents[0]["species"]):
                raise EqnnError(
                    f"{path}: its elements are not those of {self._paths[0]}. "
                    "Give a committee of models of the same elements."
                )
        self.cutoff = max(float(document["cutoff"]) for document in documents)
        has_virial = [document["forces"] == "gradient" for document in documents]
        self.potentials = [
            Potential(
                path,
                self._how["precision"],
                virial,
                device=self._how["device"],
                elements=self._elements,
            )
            for path, virial in zip(self._paths, has_virial, strict=True)
        ]
        names = ["energy", "free_energy", "energies", "forces"]
        names += ["stress"] if all(has_virial) else []
        if len(models) > 1:
            names += [f"{name}_std" for name in _DEVIATING if name in names]
        self.implemented_properties = names

    def _refuse(self, path: Path, document: dict[str, Any]) -> None:
        if document["forces"] == "direct" and not self._allowed["direct"]:
            raise EqnnError(
                f"{path}: its forces are predicted, not minus the gradient of the energy: MD does "
                "not conserve energy.\nGive allow_direct_forces=True to use it anyway."
            )
        semantics = document["energy"]["semantics"]
        if semantics == "mean-per-atom" and not self._allowed[semantics]:
            raise EqnnError(
                f"{path}: its energy is a mean per atom, meaningless for other numbers of atoms "
                "than in training.\nGive allow_mean_per_atom=True to use it anyway."
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out objects of the library, which cannot be pickled."""
        return {name: value for name, value in self.__dict__.items() if name != "potentials"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the files again."""
        self.__dict__.update(state)
        self._open()

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """Return the parameters that ASE's files store for a calculator."""
        return {"model": [str(path) for path in self._paths], **self._how}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute all properties of a structure; see ASE's Calculator.

        Parameters
        ----------
        atoms : Atoms
        properties : sequence of str
            Ignored: all properties are computed.
        system_changes : sequence of str
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        assert self.atoms is not None
        self.results = {}
        cell = cell_with_vacuum(self.atoms, self.cutoff)
        found = [
            potential.evaluate(self.atoms.numbers, self.atoms.positions, cell)
            for potential in self.potentials
        ]
        values = [self._values(one) for one in found]
        self.results = values[0] if len(values) == 1 else _mean_and_deviation(values)

    def _values(self, found: Properties) -> dict[str, Value]:
        assert self.atoms is not None
        values: dict[str, Value] = {
            "energy": found.energy,
            "free_energy": found.energy,
            "energies": found.atom_energies,
            "forces": found.forces,
        }
        # A molecule in a box has no stress, nor does anything without volume.
        if found.virial is not None and has_volume(self.atoms):
            stress = -found.virial / self.atoms.get_volume()
            values["stress"] = full_3x3_to_voigt_6_stress(stress)
        return values


def _atomic_number(symbol: str) -> int:
    if symbol not in atomic_numbers:
        raise EqnnError(
            f"elements of EQNN() has {symbol!r}, expected chemical symbols. Correct the call."
        )
    return int(atomic_numbers[symbol])


def _mean_and_deviation(values: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    out: dict[str, Value] = {}
    for name in values[0]:
        of_all = np.array([one[name] for one in values])
        out[name] = _plain(np.mean(of_all, axis=0))
        if name in _DEVIATING:
            out[f"{name}_std"] = _plain(np.std(of_all, axis=0))
    return out


def _plain(value: FloatArray) -> Value:
    """Return Python numbers instead of NumPy's, as ASE does."""
    return value.item() if value.ndim == 0 else value
