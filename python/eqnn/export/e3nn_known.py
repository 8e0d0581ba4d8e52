# SPDX-License-Identifier: BSD-3-Clause
"""What the exporters know of e3nn's modules (0.4.4 to 0.6.0); see known.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from eqnn.export import e3nn
from eqnn.export.e3nn import Segments
from eqnn.export.known import HOOKS, Check, Known, Table
from eqnn.export.torch_file import Stub, function_name, is_of, submodules

Path = tuple[Any, ...]

_CODE = (
    *("__codegen__", "_optimize_einsums", "_specialized_code", "_profiling_str", "output_mask"),
    *("_compiled_main", "_compiled_main_left_right", "_compiled_main_right"),
)
_LINEAR = ("weight_numel", "bias_numel", "weight_index_slices", *_CODE)
_PRODUCT = ("weight_numel", "_in1_dim", "_in2_dim", "_did_compile_right", *_CODE)
_LAYERS = tuple(f"layer{k}" for k in range(10))

# Where torch keeps activations that are modules: SiLU() computes what silu does.
_MODULES = "torch.nn.modules.activation"


def function_is(*names: str) -> Check:
    """Make a check of ``normalize2mom``: its function and its constant."""

    def check(module: Stub, name: str) -> str | None:
        child = (module.__dict__.get("_modules") or {}).get("f")
        found = function_name(module.__dict__.get("f", child)).lower()
        if isinstance(child, Stub):
            if child.class_name != f"{_MODULES}.{function_name(child)}":
                found = child.class_name  # may have the name of torch's and compute something else
            elif any(child.__dict__.get(hook) for hook in HOOKS):
                found += " with hooks"
        constant = module.__dict__.get("cst")
        if isinstance(constant, int | float) and found in names:
            if abs(constant - e3nn.NORMALIZED[found]) <= 1e-9:
                return None
        expected = " or ".join(f"{key} with {e3nn.NORMALIZED[key]}" for key in names)
        return f"activation {found} with constant {constant}, expected {expected}"

    return check


def paths_of(module: Stub) -> list[Path]:
    """Return the paths of a linear layer or a product, pickled or in TorchScript."""
    found: Any = module.__dict__.get("instructions")
    if is_of(found, "restore_type_tag"):
        found = found.args[0]
    if not isinstance(found, list | tuple):
        raise ValueError("instructions are no list")
    return [tuple(path.args if isinstance(path, Stub) else path) for path in found]


def _wrong_weight(paths: list[Path], at: int, expected: Callable[[Path], float]) -> str | None:
    for path in paths:
        if len(path) > at and not math.isclose(path[at], expected(path), rel_tol=1e-6):
            return f"a path of weight {path[at]:g}, expected {expected(path):g}"
    return None


def _linear_paths(module: Stub, name: str) -> str | None:
    """Hold paths against 1/sqrt(inputs that lead to the output), which is folded into weights."""
    inputs = _segments(module, "irreps_in")
    paths = paths_of(module)
    if not paths and module.__dict__.get("weight_numel"):
        return "no paths"

    def expected(path: Path) -> float:
        if path[0] == -1:  # a bias
            return 1.0
        n = sum(inputs[p[0]][0] for p in paths if p[1] == path[1] and p[0] != -1)
        return 1.0 / math.sqrt(n)

    return _wrong_weight(paths, 3, expected)


def _product_paths(mode: str) -> Check:
    def check(module: Stub, name: str) -> str | None:
        """Hold paths against sqrt((2l+1)/inputs that lead to the output)."""
        first, second, out = (_segments(module, f"irreps_{key}") for key in ("in1", "in2", "out"))
        paths = paths_of(module)
        if not paths and module.__dict__.get("weight_numel"):
            return "no paths"
        for path in paths:
            if path[3] != mode or path[4] is not True:
                return f"a path of mode {path[3]}, expected {mode} with weights"

        def size(path: Path) -> int:
            return second[path[1]][0] * (first[path[0]][0] if mode == "uvw" else 1)

        def expected(path: Path) -> float:
            n = sum(size(p) for p in paths if p[2] == path[2])
            return math.sqrt((2 * out[path[2]][1] + 1) / n)

        return _wrong_weight(paths, 5, expected)

    return check


def _segments(module: Stub, key: str) -> Segments:
    return e3nn.segments(module.__dict__.get(key), key, with_empty=True)


def _hidden_layers(*functions: str) -> Check:
    """Make a check that every layer but the last has an activation, one of these."""

    def check(module: Stub, name: str) -> str | None:
        layers = [part for key, part in submodules(module).items() if key in _LAYERS]
        acts = ["act" in submodules(part) for part in layers]
        if acts and acts != [True] * (len(acts) - 1) + [False]:
            return "layers with another order of activations than one after each but the last"
        is_known = function_is(*functions)
        for part in layers[:-1]:
            act = submodules(part)["act"]
            # That of TorchScript says nothing.
            said = is_known(act, "f") if "cst" in act.__dict__ and functions else None
            if said:
                return said
        return None

    return check


def _norm_function(*functions: str) -> Check:
    """Make a check of the function of norms of ``NormActivation``, one of these."""

    def check(module: Stub, name: str) -> str | None:
        found = function_name(module.__dict__.get(name)).lower()
        if found in functions:
            return None
        return f"function of norms {found}, expected {' or '.join(functions)}"

    return check


def _norm_eps(module: Stub, name: str) -> str | None:
    found = module.__dict__.get(name)
    expected = e3nn.NORM_EPS if name == "epsilon" else e3nn.NORM_EPS**2
    if isinstance(found, float) and math.isclose(found, expected, rel_tol=1e-9):
        return None
    return f"{found}, expected {expected:g}"


def e3nn_table(*functions: str, hidden: tuple[str, ...] = ()) -> Table:
    """Make the table of e3nn's modules, for networks whose activations are these.

    Parameters
    ----------
    *functions : str
        Anywhere.
    hidden : tuple of str
        Those of ``FullyConnectedNet``, where they are fewer.
    """
    return {
        "e3nn.Linear": Known(
            used=("weight", "bias", "irreps_in", "irreps_out"),
            fixed={"internal_weights": (True,), "shared_weights": (True,)},
            checks={"instructions": _linear_paths},
            inert=_LINEAR,
        ),
        "e3nn.TensorProduct": Known(
            used=("irreps_in1", "irreps_in2", "irreps_out", "weight"),
            fixed={"internal_weights": (False,), "shared_weights": (False,)},
            checks={"instructions": _product_paths("uvu")},
            inert=_PRODUCT,
        ),
        "e3nn.FullyConnectedTensorProduct": Known(
            used=("irreps_in1", "irreps_in2", "irreps_out", "weight"),
            fixed={"internal_weights": (True,), "shared_weights": (True,)},
            checks={"instructions": _product_paths("uvw")},
            inert=_PRODUCT,
        ),
        "e3nn.FullyConnectedNet": Known(used=_LAYERS, checks={"hs": _hidden_layers(*hidden)}),
        "e3nn._Layer": Known(
            used=("weight", "act"),
            fixed={"var_in": (1, 1.0), "var_out": (1, 1.0)},
            inert=("h_in", "h_out", "_profiling_str"),
        ),
        "e3nn.Activation": Known(
            used=("acts",), inert=("irreps_in", "irreps_out", "paths"), closed=()
        ),
        "e3nn.normalize2mom": Known(
            used=("cst",), fixed={"_is_id": (False,)}, checks={"f": function_is(*functions)}
        ),
        "e3nn.SphericalHarmonics": Known(
            used=("irreps_out",),
            fixed={
                "normalize": (True,),
                "normalization": ("component",),
                "_is_range_lmax": (True,),
            },
            inert=("irreps_in", "_ls_list", "_lmax", "_prof_str", "sph_func"),
        ),
        "e3nn.Gate": Known(
            used=("irreps_scalars", "irreps_gates", "irreps_gated", "act_scalars", "act_gates"),
            inert=("_irreps_in", "_irreps_out"),
            closed=("sc", "mul"),
        ),
        "e3nn.NormActivation": Known(
            fixed={"normalize": (True,), "bias": (False,)},
            checks={
                "scalar_nonlinearity": _norm_function("silu", "tanh", "abs", "shifted_softplus"),
                "epsilon": _norm_eps,
                "_eps_squared": _norm_eps,
            },
            inert=("irreps_in", "irreps_out"),
            closed=("norm", "scalar_multiplier"),
        ),
    }
