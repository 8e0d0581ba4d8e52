# SPDX-License-Identifier: BSD-3-Clause
"""Upstream's MACE-Gaunt modules from the user's own clone of Gaunt-Tensor-Product, as they are.

Upstream's code (Apache-2.0) is not part of this project: this file imports it. Packages that it
imports and few machines have are stood in for: of torch_scatter its one function that is used is
written anew, of torch_sparse, torch_geometric and torch_ema nothing that a network needs is used.
Upstream keeps its tables of Fourier coefficients in single precision; here they are computed in
closed form in double, and rounded where the network is in single precision.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import e3nn.o3  # before torch.load is stood in for: e3nn reads tables of its own
import numpy as np
import torch
from ase import Atoms
from ase.io import iread
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor

COMMIT = "7c5630a7f1316a1408c5811d836df864f26c02cb"
FOLDER = "force-field-modeling-3bpa/MACE"
CLASS = "EquivariantRealScaleShiftNonLinearBodyOrderedModel"
ELEMENTS = [1, 6, 8]  # of acetylacetone
BLOCK = "RealAgnosticResidualInteractionBlock"
# SHA-256 of the files that matter, there.
FILES = {
    "MACE/modules/models.py": "609b7fedf5d813d72d0d7041c8d96a9f45dd7550b0e17ebdbc4fa4893ce48b1b",
    "MACE/modules/blocks.py": "0723b4cf2dd1ddf016c35fbba676c58b4b696331c363d6b00dd9b21446245c57",
    "MACE/modules/efficient_multi_tensor_product.py": (
        "4b04e5492bce728cd858ca43e3d783ae4b8723c01832f20498ef549818a89282"
    ),
    "MACE/modules/efficient_utils.py": (
        "6ad3f0ba7e913c69e871dec1358e59d8e9b077091e3d78da8cf93c0b30010911"
    ),
    "MACE/modules/radial.py": "ac4fcc7929258ad779d0181519aaa6eded4f52a90df80a24366a8f4cd19d2306",
}


def scatter_sum(src: Tensor, index: Tensor, dim: int, dim_size: int) -> Tensor:
    """torch_scatter.scatter_sum with an index [n] along the first axis, which may be the last."""
    assert dim % src.ndim == 0
    return src.new_zeros((dim_size, *src.shape[1:])).index_add(0, index, src)


def _unused(*_: Any, **__: Any) -> None:
    raise NotImplementedError("stand-in for what upstream imports and a network does not use")


def stand_in(name: str, **attributes: Any) -> ModuleType:
    """Put a module with these attributes where imports find it."""
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(attributes)
    return module


# ---- tables of Fourier coefficients ----


def _polar(l: int, m: int) -> NDArray[np.complex128]:  # noqa: E741
    """Fourier coefficients [2 l + 1] in theta of the normalized associated Legendre function.

    sin^m theta is continued beyond pi with its sign, so that the series is finite.
    """
    n = 4 * l + 8
    theta = 2 * np.pi * np.arange(n) / n
    series = legendre.legder([0.0] * l + [1.0], m)
    scale = math.sqrt((2 * l + 1) / (4 * math.pi) * math.factorial(l - m) / math.factorial(l + m))
    values = scale * np.sin(theta) ** m * legendre.legval(np.cos(theta), series)
    coefficients = np.fft.fft(values) / n
    return coefficients[np.arange(-l, l + 1)]


def _moment(n: int) -> complex:
    """Integral of exp(i n theta) sin(theta) from 0 to pi."""
    if abs(n) == 1:
        return 0.5j * math.pi * n
    return 2 / (1 - n * n) if n % 2 == 0 else 0


def sh2f_table(l_max: int) -> Tensor:
    """Upstream's coefficient_sh2f.pt for degrees up to l_max, in double.

    Returns
    -------
    tensor [l, m, u, 2] of complex128
        What a harmonic (l, m) has of exp(i u theta) exp(+-i m phi); the last axis is the sign.
    """
    table = np.zeros((l_max + 1, 2 * l_max + 1, 2 * l_max + 1, 2), complex)
    for l in range(l_max + 1):  # noqa: E741
        for m in range(-l, l + 1):
            u = slice(l_max - l, l_max + l + 1)
            # (-1)^m: upstream's harmonics are turned by pi about the polar axis.
            phases = (1, 0) if m == 0 else (1, 1) if m > 0 else (1j, -1j)
            for sign, phase in enumerate(phases):
                norm = 1 if m == 0 else math.sqrt(0.5) * (-1) ** m
                table[l, l_max + m, u, sign] = norm * phase * _polar(l, abs(m))
    return torch.from_numpy(table)


def f2sh_table(l_max: int) -> Tensor:
    """Upstream's coefficient_f2sh.pt for a band and degrees up to l_max, in double.

    Returns
    -------
    tensor [l, m, u, 2] of complex128
        Projections of exp(i u theta) exp(+-i m phi) on the harmonic (l, m) over the sphere.
    """
    table = np.zeros((l_max + 1, 2 * l_max + 1, 2 * l_max + 1, 2), complex)
    moments = np.array(
        [[_moment(u + k) for k in range(-l_max, l_max + 1)] for u in range(-l_max, l_max + 1)]
    )
    for l in range(l_max + 1):  # noqa: E741
        for m in range(-l, l + 1):
            polar = moments[:, l_max - l : l_max + l + 1] @ _polar(l, abs(m))
            phases = (1, 0) if m == 0 else (1, 1) if m > 0 else (-1j, 1j)
            for sign, phase in enumerate(phases):
                norm = 2 if m == 0 else math.sqrt(2) * (-1) ** m
                table[l, l_max + m, :, sign] = norm * math.pi * phase * polar
    return torch.from_numpy(table)


# ---- upstream's modules ----


def load(clone: Path) -> tuple[ModuleType, ModuleType]:
    """Import upstream's MACE.modules and the module of its product from a clone."""
    folder = clone / FOLDER
    if not (folder / "MACE" / "modules" / "models.py").is_file():
        raise SystemExit(
            f"{folder}: no MACE/modules/models.py there. Give a clone of "
            f"lsj2408/Gaunt-Tensor-Product, commit {COMMIT}."
        )
    for file, expected in FILES.items():
        if hashlib.sha256((folder / file).read_bytes()).hexdigest() != expected:
            print(f"Note: {file} is not that of commit {COMMIT}.", flush=True)
    stand_in("torch_scatter", scatter_sum=scatter_sum)
    stand_in("torch_sparse", spmm=_unused)
    stand_in("torch_ema", ExponentialMovingAverage=_unused)
    names = {"Data": object, "Batch": object, "DataLoader": _unused}
    stand_in("torch_geometric", data=stand_in("torch_geometric.data", **names))
    sys.path.insert(0, str(folder))
    torch_load, torch.load = torch.load, lambda *_: {}  # the tables; ours take their place
    try:
        modules = importlib.import_module("MACE.modules")
    finally:
        torch.load = torch_load
    return modules, importlib.import_module("MACE.modules.efficient_multi_tensor_product")


class Upstream:
    """Upstream's networks.

    Parameters
    ----------
    clone : Path
        The user's clone of Gaunt-Tensor-Product.
    """

    def __init__(self, clone: Path) -> None:
        self.modules, self.products = load(clone)

    def network(
        self,
        config: Mapping[str, Any],
        elements: Sequence[int],
        energies: Sequence[float],
        dtype: torch.dtype = torch.float64,
    ) -> torch.nn.Module:
        """Construct upstream's network with its initial weights; sets torch's default dtype.

        Parameters
        ----------
        config : mapping
            Its arguments by the names that `eqnn export mace-gaunt` reads.
        elements : sequence of int
            Atomic numbers.
        energies : sequence of float
            Of the free atoms, eV.
        dtype : torch.dtype
        """
        torch.set_default_dtype(dtype)
        kind = torch.complex128 if dtype == torch.float64 else torch.complex64
        l_max, correlation = config["max_ell"], config["correlation"]
        # Upstream's keys are the number of degrees, lmax + 1.
        vars(self.products).update(
            sh2f_bases_dict={l_max + 1: sh2f_table(l_max).to(kind)},
            f2sh_bases_dict={
                nu * l_max + 1: f2sh_table(nu * l_max).to(kind) for nu in range(2, correlation + 1)
            },
        )
        block = self.modules.interaction_classes[BLOCK]
        network: torch.nn.Module = getattr(self.modules, CLASS)(
            r_max=config["r_max"],
            num_bessel=config["num_bessel"],
            num_polynomial_cutoff=config["num_polynomial_cutoff"],
            max_ell=l_max,
            interaction_cls=block,
            interaction_cls_first=block,
            num_interactions=config["num_interactions"],
            num_elements=len(elements),
            hidden_irreps=e3nn.o3.Irreps(config["hidden"]),
            MLP_irreps=e3nn.o3.Irreps(config["MLP"]),
            atomic_energies=np.array(energies),
            avg_num_neighbors=config["avg"],
            correlation=correlation,
            num_radial_coupling=1,
            gate=torch.nn.functional.silu,
            atomic_inter_scale=config["scale"],
            atomic_inter_shift=config["shift"],
        )
        return network


def weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """State without what e3nn makes again: what `eqnn export mace-gaunt` reads."""
    return {
        name: tensor.clone().contiguous()
        for name, tensor in network.state_dict().items()
        if tensor.numel() and not any(part in name for part in ("output_mask", "_w3j_"))
    }


def graph(
    one_hot: Tensor,
    positions: Tensor,
    edge_index: Tensor,
    shifts: Tensor | None = None,
    batch: Tensor | None = None,
    n_graphs: int = 1,
) -> SimpleNamespace:
    """Gather what upstream's forward reads of a batch.

    Parameters
    ----------
    one_hot : [atom, element]
    positions : [atom, 3]
        Angstrom.
    edge_index : [2, edge]
        Sender and receiver; a vector goes from sender to receiver.
    shifts : [edge, 3], optional
        Added to the vectors.
    batch : [atom], optional
        Which molecule an atom is of.
    n_graphs : int
    """
    return SimpleNamespace(
        node_attrs=one_hot,
        positions=positions,
        edge_index=edge_index,
        shifts=positions.new_zeros((edge_index.shape[1], 3)) if shifts is None else shifts,
        batch=torch.zeros(len(positions), dtype=torch.long) if batch is None else batch,
        num_graphs=n_graphs,
    )


def by_quadrature(network: torch.nn.Module) -> torch.nn.Module:
    """Have the products of a network computed by quadrature on the sphere: the same, and sooner.

    Upstream's transforms and their second derivatives take most of the time of a training step. A
    Gauss-Legendre rule times equidistant azimuths integrates these polynomials exactly.
    """
    for block in network.products:
        product = block.efficient_multi_tensorproduct
        block.efficient_multi_tensorproduct.forward = _Quadrature(product)
    return network


class _Quadrature:
    """Upstream's product: sum over nu of weight_nu[l] times the projection of f^nu."""

    def __init__(self, product: Any) -> None:
        self.product = product
        l_in, l_out = product.L_in - 1, product.L_out - 1
        degree = product.correlation * l_in + l_out
        height, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
        azimuth = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
        y, phi = (grid.ravel() for grid in np.meshgrid(height, azimuth, indexing="ij"))
        ring = np.sqrt(1 - y**2)
        points = torch.from_numpy(np.stack([ring * np.sin(phi), y, ring * np.cos(phi)], 1))
        harmonics = e3nn.o3.spherical_harmonics(
            list(range(l_in + 1)), points, False, normalization="integral"
        )
        solid_angle = torch.from_numpy(np.repeat(weight, degree + 1)) * 2 * np.pi / (degree + 1)
        self.values = harmonics.T.to(torch.get_default_dtype())
        self.back = (solid_angle[:, None] * harmonics).to(torch.get_default_dtype())

    def __call__(self, features: Tensor, one_hot: Tensor) -> Tensor:
        kept = self.product.L_out**2
        degrees = [l for l in range(self.product.L_out) for _ in range(2 * l + 1)]  # noqa: E741
        function = features @ self.values
        result = torch.zeros_like(features[..., :kept])
        power = torch.ones_like(function)
        for nu in range(1, self.product.correlation + 1):
            power = power * function
            weights = torch.einsum("ne,ecl->ncl", one_hot, self.product.weights[str(nu)][0])
            result = result + weights[..., degrees] * (power @ self.back[:, :kept])
        blocks = result.split([2 * l + 1 for l in range(self.product.L_out)], -1)  # noqa: E741
        return torch.cat([block.flatten(1) for block in blocks], 1)


# ---- structures with energies and forces of DFT, and a network's errors over them ----


def frames_of(path: Path) -> list[Atoms]:
    """Read all structures of an extended XYZ file."""
    found: list[Atoms] = list(iread(path))
    return found


def loaded(path: Path, cutoff: float, energies: dict[int, float]) -> list[dict[str, Tensor]]:
    """Read structures with forces: positions, forces, edges, energy without free atoms, in eV."""
    found = []
    for atoms in frames_of(path):
        x = atoms.positions
        near = np.linalg.norm(x[:, None] - x[None], axis=2) < cutoff
        np.fill_diagonal(near, False)
        energy = atoms.get_potential_energy() - sum(energies[z] for z in atoms.numbers)
        found.append(
            {
                "positions": torch.tensor(x, dtype=torch.get_default_dtype()),
                "forces": torch.tensor(atoms.get_forces(), dtype=torch.get_default_dtype()),
                "edges": torch.tensor(np.array(near.nonzero())),
                "energy": torch.tensor(energy, dtype=torch.get_default_dtype()),
                "one_hot": torch.tensor(
                    atoms.numbers[:, None] == np.array(ELEMENTS), dtype=torch.get_default_dtype()
                ),
            }
        )
    return found


def collated(frames: Sequence[dict[str, Tensor]]) -> tuple[SimpleNamespace, Tensor, Tensor]:
    """One batch: upstream's graph, energies [molecule], forces [atom, 3]."""
    sizes = torch.tensor([len(frame["positions"]) for frame in frames])
    first = torch.cumsum(sizes, 0) - sizes
    edges = [frame["edges"] + k for frame, k in zip(frames, first, strict=True)]
    joined = {k: torch.cat([f[k] for f in frames]) for k in ("positions", "forces", "one_hot")}
    batch = torch.repeat_interleave(torch.arange(len(frames)), sizes)
    data = graph(
        joined["one_hot"], joined["positions"], torch.cat(edges, 1), None, batch, len(frames)
    )
    return data, torch.stack([frame["energy"] for frame in frames]), joined["forces"]


def errors(network: torch.nn.Module, frames: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Errors of energies (meV a molecule) and forces (meV/Angstrom over components)."""
    energy_errors, force_errors = [], []
    for k in range(0, len(frames), 25):
        data, energy, forces = collated(frames[k : k + 25])
        found = network(data)
        energy_errors.append((found["energy"].detach() - energy).numpy())
        force_errors.append((found["forces"].detach() - forces).numpy().ravel())
    e, f = (1e3 * np.concatenate(all_errors) for all_errors in (energy_errors, force_errors))
    return {
        "n": len(frames),
        "energy_mae": float(np.abs(e).mean()),
        "energy_rmse": float(np.sqrt((e**2).mean())),
        "force_mae": float(np.abs(f).mean()),
        "force_rmse": float(np.sqrt((f**2).mean())),
    }
