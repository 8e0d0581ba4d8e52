# SPDX-License-Identifier: BSD-3-Clause
"""Upstream's TDN modules from the user's own clone, as they are, in double precision.

Upstream's code is GPL-3.0 and is not part of this project: this file imports it. Two of its
dependencies are compiled packages that few machines have; what upstream uses of them, one function
each, is written here anew in torch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch_geometric  # noqa: F401  (before the stand-ins, or it would look for compiled kernels)
from torch import Tensor

COMMIT = "4a16c68a7da707c521019067dec51c227c10de45"
# SHA-256 of the files that matter, there.
FILES = {
    "models/tdn.py": "952b3ad65c7dd9a7070f95a6de6e6e925b92d0c2171e1ea49a9cff4de27ffb81",
    "models/_tensor_product.py": "63c6ba284200314bfa4c63803e2cf4cfc48f30727d99aec65be4a14a3f8a037a",
}


def scatter(
    src: Tensor, index: Tensor, dim: int = 0, dim_size: int | None = None, **_: Any
) -> Tensor:
    """torch_scatter.scatter with its default, the sum: index [n] along the first axis."""
    assert dim == 0
    size = int(index.max()) + 1 if dim_size is None else dim_size
    return src.new_zeros((size, *src.shape[1:])).index_add(0, index, src)


def radius_graph(pos: Tensor, r: float, batch: Tensor, max_num_neighbors: int) -> Tensor:
    """torch_cluster.radius_graph: [source, center] of all pairs of a molecule with distance < r."""
    near = torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist") < r
    near &= batch[:, None] == batch[None, :]
    near.fill_diagonal_(False)
    assert int(near.sum(1).max()) <= max_num_neighbors, "upstream would drop neighbors"
    center, source = near.nonzero(as_tuple=True)
    return torch.stack([source, center])


def load(clone: Path) -> tuple[ModuleType, ModuleType]:
    """Import upstream's tdn.py and _tensor_product.py from OpenMol/TDN of a clone."""
    if not (clone / "models" / "tdn.py").is_file():
        raise SystemExit(
            f"{clone}: no models/tdn.py there. Give OpenMol/TDN of a clone of divelab/AIRS, "
            f"commit {COMMIT}."
        )
    for file, expected in FILES.items():
        if hashlib.sha256((clone / file).read_bytes()).hexdigest() != expected:
            print(f"Note: {file} is not that of commit {COMMIT}.", flush=True)
    stand_ins = {"torch_scatter": scatter, "torch_cluster": radius_graph}
    for name, function in stand_ins.items():
        module = ModuleType(name)
        setattr(module, function.__name__, function)
        sys.modules[name] = module
    sys.path.insert(0, str(clone))
    return importlib.import_module("models.tdn"), importlib.import_module("models._tensor_product")


class Upstream:
    """Upstream's modules, with any tensor product given its factors in place of a fit.

    Parameters
    ----------
    clone : Path
        OpenMol/TDN of the user's clone.
    """

    def __init__(self, clone: Path) -> None:
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        self.tdn, self.products = load(clone)

    def make(
        self,
        kind: str,
        state: Mapping[str, Tensor],
        l_max: int,
        channels: int,
        *args: Any,
        **kw: Any,
    ) -> torch.nn.Module:
        """Construct a module of upstream's by the name of its class and load its state.

        Parameters
        ----------
        kind : str
            Class in tdn.py or _tensor_product.py.
        state : mapping
            Its state_dict; any ``cp_a``, ``cp_b``, ``cp_c`` in it also serve as the fit's cache.
        l_max, channels : int
            Of the tensor products in it.
        args, kw
            The constructor's.
        """
        factors = {
            name: next((v for k, v in state.items() if k.endswith(name)), None)
            for name in ("cp_a", "cp_b", "cp_c")
        }
        here = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # upstream keeps its fits in ./tmp
            try:
                if factors["cp_a"] is not None:
                    rank = factors["cp_a"].shape[1]
                    assert rank == self.products.rank_scheduler("quadratic", l_max)
                    Path("tmp").mkdir()
                    torch.save(
                        factors,
                        f"tmp/cp_init_lmax{l_max}_cin1{channels}_cin21_cout{channels}"
                        f"_rank{rank}_modeuvu.pt",
                    )
                cls = getattr(self.tdn, kind, None) or getattr(self.products, kind)
                module: torch.nn.Module = cls(*args, **kw)
            finally:
                os.chdir(here)
        module.load_state_dict(dict(state), strict=not set(state) <= set(factors))
        return module.eval()

    def initial_weights(
        self, config: Mapping[str, Any], seed: int, factors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Make random weights: upstream's initialization, its ones and zeros perturbed.

        Parameters
        ----------
        config : mapping
            The network's constants.
        seed : int
        factors : mapping
            ``cp_a``, ``cp_b``, ``cp_c`` of all tensor products.
        """
        torch.manual_seed(seed)
        network = self.network(config, factors)
        torch.manual_seed(seed + 1)
        for name, parameter in network.named_parameters():
            is_norm_weight = name.endswith(".weight") and parameter.ndim == 1
            if name.endswith(("bias", "affine_weight")) or name == "rbf.weight" or is_norm_weight:
                parameter.data += 0.1 * torch.randn_like(parameter)
        return dict(network.state_dict())

    def network(
        self, config: Mapping[str, Any], state: Mapping[str, Tensor], gradient_force: bool = True
    ) -> torch.nn.Module:
        """Upstream's network with its constants, which are globals there.

        With no more than ``cp_a``, ``cp_b`` and ``cp_c`` as its state it keeps its initial weights.
        """
        for name in ("avg_num_nodes", "avg_degree"):
            setattr(self.tdn, f"_{name.upper()}", config[name])
        constants = ("avg_num_nodes", "avg_degree", "gradient_force")
        network = self.make(
            "TensorDecompositionNetwork",
            {name: tensor.double() for name, tensor in state.items()},
            config["lmax"],
            config["hidden_channels"],
            compile_blocks=False,
            gradient_force=gradient_force,
            **{key: value for key, value in config.items() if key not in constants},
        )
        # Upstream casts the one-hot species to single precision: zeros and ones, as in double.
        network.atom_embed.atom_type_lin.register_forward_pre_hook(
            lambda _, inputs: (inputs[0].double(),)
        )
        return network


def forward(
    network: torch.nn.Module, numbers: Tensor, positions: Tensor, batch: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Upstream's forward as it is: energies [molecule], forces [kept atom, 3], kept atoms [n]."""
    data = SimpleNamespace(
        pos=positions.clone(),
        x=numbers[:, None],
        batch=torch.zeros_like(numbers) if batch is None else batch,
        num_nodes=len(numbers),
    )
    energy, forces, kept = network(data)
    return energy.detach(), forces.detach(), kept


def read_config(path: Path) -> dict[str, Any]:
    """Read the ``config`` object of a golden's JSON."""
    config: dict[str, Any] = json.loads(path.read_text())["config"]
    return config
