# SPDX-License-Identifier: BSD-3-Clause
"""Export, check, compare, relax and train equivariant potentials for LAMMPS and ASE."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from eqnn.errors import EqnnError
from eqnn.model_file import Model, read_model, write_model

if TYPE_CHECKING:
    from eqnn.calculator import EQNN
    from eqnn.evaluation import evaluate
    from eqnn.relaxation import relax

try:
    __version__ = version("eqnn")
except PackageNotFoundError:  # run from a source tree
    __version__ = "unknown"

__all__ = [
    "EQNN",
    "EqnnError",
    "Model",
    "__version__",
    "evaluate",
    "read_model",
    "relax",
    "write_model",
]

# Modules that take half a second to import are imported on first use.
_FROM = {"EQNN": "eqnn.calculator", "evaluate": "eqnn.evaluation", "relax": "eqnn.relaxation"}


def __getattr__(name: str) -> Any:
    """Import a part of this package on first use."""
    if name not in _FROM:
        raise AttributeError(f"module 'eqnn' has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)
