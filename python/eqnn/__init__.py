# SPDX-License-Identifier: BSD-3-Clause
"""Export, inspect and check equivariant potentials for LAMMPS."""

from importlib.metadata import PackageNotFoundError, version

from eqnn.errors import EqnnError
from eqnn.model_file import Model, read_model, write_model
from eqnn.relaxation import Relaxed, relax
from eqnn.relaxation import Settings as RelaxSettings

try:
    __version__ = version("eqnn")
except PackageNotFoundError:  # run from a source tree
    __version__ = "unknown"

__all__ = [
    "EqnnError",
    "Model",
    "RelaxSettings",
    "Relaxed",
    "__version__",
    "read_model",
    "relax",
    "write_model",
]
