# SPDX-License-Identifier: BSD-3-Clause
"""Derive the TDN goldens again with upstream's own code, and compare or write them.

    make test-upstream TDN=/path/to/AIRS/OpenMol/TDN

or, in an environment with cmake/requirements-upstream.txt,

    python tests/upstream/make_tdn_goldens.py --tdn /path/to/AIRS/OpenMol/TDN [--write FOLDER]

Random weights are made again from their seeds. Structures, factors of the tensor products, trained
weights and random directions are read from the golden files; every output and gradient in them is
computed by upstream's modules and held against what is stored. ``--write`` stores the new
numbers under FOLDER, in files of the same names.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from upstream_tdn import COMMIT, Upstream, forward, read_config

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
# Same code, same precision: another processor or library orders sums differently, no more.
TOLERANCE = 1e-12

Tensors = dict[str, Tensor]


def metadata_of(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file."""
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def gradients(out: Tensor, g: Tensor, **inputs: Tensor) -> Tensors:
    """Gradients of sum(g out) with respect to the inputs, under the goldens' names."""
    found = torch.autograd.grad((g * out).sum(), list(inputs.values()))
    return {f"grad_{name}": value for name, value in zip(inputs, found, strict=True)}


def leaf(tensor: Tensor) -> Tensor:
    """Return a tensor of its own that gradients reach."""
    return tensor.clone().requires_grad_(True)


def harmonics(vectors: Tensor, l_max: int) -> Tensor:
    """e3nn's spherical harmonics as upstream calls them [edge, d, 1]."""
    from e3nn import o3

    irreps = o3.Irreps("+".join(f"1x{degree}e" for degree in range(l_max + 1)))
    values: Tensor = o3.spherical_harmonics(
        irreps, vectors, normalize=True, normalization="component"
    )
    return values.unsqueeze(-1)


# ---- modules ----


def operation(upstream: Upstream, path: Path) -> Tensors:
    """Compute outputs and gradients of one op_*.safetensors."""
    stored, said = load_file(path), metadata_of(path)
    kind = path.name.split("_")[1].split(".")[0]
    state = {k.removeprefix("sd."): v for k, v in stored.items() if k.startswith("sd.")}
    make: Callable[..., torch.nn.Module] = upstream.make
    l_max, channels = int(said.get("lmax", 0)), int(said.get("channels", 16))
    if kind == "cptp":
        factors = {name: stored[name] for name in ("cp_a", "cp_b", "cp_c")}
        state = {f"cp_tp.{name}": factor for name, factor in factors.items()}
        module = make("CPTensorProductSH", state, l_max, channels, channels, l_max)
        x, vec, w = (leaf(stored[name]) for name in ("x", "vec", "w"))
        y = harmonics(vec, l_max)
        out = module(x, y, w)
        found = gradients(out, stored["g"], x=x, y=y, w=w, vec=vec)
        return {**found, "out": out, "y": y}
    if kind == "rbf":
        cutoff = float(said["cutoff"])
        module = make("GaussianRadialBasisLayer", state, 0, 0, state["mean"].shape[1], cutoff)
        r = leaf(stored["r"])
        out = module(r)
        return {"out": out, **gradients(out, stored["g"], r=r)}
    if kind in ("attn", "block", "degree"):
        return on_edges(make, kind, stored, said, state)
    if kind == "linear":
        n_out, n_in = state["linear.weight"].shape
        module = make("Linear", state, 0, 0, n_in, n_out)
    elif kind == "layernorm":
        module = make("LayerNorm", state, 0, 0, stored["x"].shape[-1], l_max)
    elif kind == "gate":
        module = make("Gate", state, 0, 0, l_max, torch.nn.SiLU(), torch.nn.Sigmoid())
    elif kind == "radialprofile":
        module = make("RadialProfile", state, 0, 0, json.loads(said["ch_list"]))
    else:
        module = make("SmoothLeakyReLU", state, 0, 0, float(said["alpha"]))
    x = leaf(stored["x"])
    out = module(x)
    g = stored.get("g", torch.ones_like(out))
    return {"out": out, **gradients(out, g, x=x)}


def on_edges(
    make: Callable[..., torch.nn.Module],
    kind: str,
    stored: Tensors,
    said: dict[str, str],
    state: Tensors,
) -> Tensors:
    """Attention, block and degree embedding: functions of edges."""
    l_max, channels = int(said["lmax"]), int(said.get("channels", 16))
    vectors, scalars = leaf(stored["edge_vec"]), leaf(stored["edge_scalars"])
    attributes = harmonics(vectors, l_max)
    where = (stored["edge_src"], stored["edge_dst"])
    inputs = {"edge_vec": vectors, "edge_scalars": scalars}
    if kind == "degree":
        hidden = [state[f"rad.net.{k}.bias"].shape[0] for k in (0, 3)]
        sizes = [stored["edge_scalars"].shape[-1], *hidden]
        average = float(said["avg_aggregate_num"])
        module = make(
            "NodeDegreeEmbeddingNetwork", state, l_max, channels, channels, l_max, sizes, average
        )
        nodes = torch.zeros(int(said["n_nodes"]), (l_max + 1) ** 2, channels)
        out = module(nodes, attributes, scalars, *where)
    else:
        name = "GraphAttention" if kind == "attn" else "TransBlock"
        sizes = json.loads(said["fc_neurons"])
        heads = int(said["heads"])
        module = make(name, state, l_max, channels, channels, l_max, sizes, heads)
        nodes = leaf(stored["node_input"])
        out = module(nodes, *where, attributes, scalars, batch=None)
        inputs |= {"node_input": nodes, "edge_attr": attributes}
    return {"out": out, **gradients(out, stored["g"], **inputs)}


# ---- networks ----


def on_given_edges(network: Any, stored: Tensors, wants_trace: bool) -> Tensors:
    """Upstream's modules in upstream's order on the edges of a golden, periodic ones too."""
    source, center, numbers = stored["edge_src"], stored["edge_dst"], stored["atomic_numbers"]
    vectors = leaf(stored["edge_vec"])
    edges = {
        "edge_src": source,
        "edge_dst": center,
        "edge_attr": harmonics(vectors, network.lmax),
        "edge_scalars": network.rbf(vectors.norm(dim=1)).unsqueeze(1),
    }
    trace: Tensors = {}
    hooks = list(tracers(network, trace)) if wants_trace else []
    embedded = network.atom_embed(numbers)
    degree = network.edge_embed(embedded, edges["edge_attr"], edges["edge_scalars"], source, center)
    x = embedded + degree
    for block in network.blocks:
        x = block(node_input=x, batch=stored["batch"], **edges)
    normed = network.norm(x)
    head = network.head(normed)
    n_graphs = int(stored["batch"].max()) + 1
    energy = network.scale_scatter(head, stored["batch"], dim=0, dim_size=n_graphs)[:, 0, 0]
    slope = torch.autograd.grad(energy.sum(), vectors)[0]
    for hook in hooks:
        hook.remove()
    forces = torch.zeros(len(numbers), 3)
    forces.index_add_(0, center, slope).index_add_(0, source, -slope)
    found = {
        "energy": energy,
        "dE_dedge_vec": slope,
        "dE_dstrain": torch.einsum("ea,eb->ab", stored["edge_vec"], slope),
        "forces": forces,
    }
    if "stress" in stored:
        found["stress"] = found["dE_dstrain"] / torch.linalg.det(stored["cell"]).abs()
    if wants_trace:
        e_node = head[:, 0, 0]
        found |= {f"trace.{name}": value for name, value in trace.items()}
        found |= {
            "trace.edge_sh": edges["edge_attr"][..., 0],
            "trace.edge_rbf": edges["edge_scalars"][:, 0],
            "trace.node_embed": embedded,
            "trace.degree_embed": degree,
            "trace.x_norm": normed,
            "trace.e_node_head": e_node,
            "trace.e_atom": e_node / network.scale_scatter.avg_aggregate_num**0.5,
        }
    return found


def tracers(network: Any, trace: Tensors) -> Iterator[Any]:
    """Hooks that keep what modules inside the blocks return."""

    def keep(name: str, module: torch.nn.Module) -> Any:
        def hook(_: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            # What enters the dropout are the attention weights.
            trace[name] = inputs[0] if name.endswith(".alpha") else output

        return module.register_forward_hook(hook)

    for k, block in enumerate(network.blocks):
        yield keep(f"blk{k}.rad_out", block.attn.rad)
        yield keep(f"blk{k}.tp1_out", block.attn.tp1)
        yield keep(f"blk{k}.tp2_out", block.attn.tp2)
        yield keep(f"blk{k}.alpha", block.attn.alpha_dropout)
        yield keep(f"blk{k}.attn_out", block.attn)
        yield keep(f"x_block{k}", block)


def model_set(upstream: Upstream, weights: Path, path: Path) -> Tensors:
    """Compute what upstream's network gives for a model_*.SET.safetensors or tdn_3bpa file."""
    stored, state = load_file(path), load_file(weights)
    config = config_of(weights)
    kind = path.name.split(".")[-2]
    if kind == "direct":
        network = upstream.network(config, state, gradient_force=False)
        energy, forces, _ = forward(network, stored["atomic_numbers"], stored["positions"])
        return {"energy": energy, "forces": forces}
    network = upstream.network(config, state)
    if kind == "isolated":
        energy, forces, kept = forward(network, stored["atomic_numbers"], stored["positions"])
        return {"energy": energy, "forces_masked": forces, "mask": kept}
    if "E_model" in stored:
        frames = [forward(network, stored["atomic_numbers"], x) for x in stored["positions"]]
        return {
            "E_model": torch.cat([energy for energy, _, _ in frames]),
            "forces": torch.stack([forces for _, forces, _ in frames]),
        }
    has_trace = any(name.startswith("trace.") for name in stored)
    found = on_given_edges(network, stored, has_trace)
    if not stored["edge_shift_cart"].any():
        batch = stored["batch"]
        energy, forces, _ = forward(network, stored["atomic_numbers"], stored["positions"], batch)
        found |= {"energy_upstream": energy, "forces_upstream": forces}
    return found


def seeded_weights(upstream: Upstream, path: Path) -> Tensors:
    """Random weights of one model_*.weights.safetensors, from its seed."""
    stored = load_file(path)
    factors = {name: stored[f"edge_embed.tp.cp_tp.{name}"] for name in ("cp_a", "cp_b", "cp_c")}
    return upstream.initial_weights(config_of(path), int(metadata_of(path)["seed"]), factors)


def config_of(weights: Path) -> dict[str, Any]:
    """Constants of the network that stand beside its weights."""
    return read_config(
        weights.with_name(weights.name.replace("weights.safetensors", "config.json"))
    )


# ---- comparison ----


def cases(upstream: Upstream) -> Iterator[tuple[Path, Callable[[], Tensors]]]:
    """Yield each golden file and how to derive what is in it."""
    for path in sorted((GOLDEN / "tdn").glob("op_*.safetensors")):
        yield path, partial(operation, upstream, path)
    for weights in sorted(GOLDEN.glob("*/*.weights.safetensors")):
        stem = weights.name.removesuffix(".weights.safetensors")
        pattern = "*.safetensors"
        if "seed" in metadata_of(weights):
            pattern = f"{stem}.*.safetensors"
            yield weights, partial(seeded_weights, upstream, weights)
        for path in sorted(weights.parent.glob(pattern)):
            if path != weights:
                yield path, partial(model_set, upstream, weights, path)


def deviation(found: Tensor, stored: Tensor) -> float:
    """Largest error over the largest stored value; infinite for another shape or a NaN."""
    if found.shape != stored.shape or not torch.isfinite(found.double()).all():
        return float("inf")
    found, stored = found.detach().double(), stored.double()
    scale = float(stored.abs().max().clamp_min(1e-300)) if stored.numel() else 1.0
    return float((found - stored).abs().max()) / scale


def main() -> int:
    """Compare all goldens with upstream; 1 where one deviates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tdn", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    upstream = Upstream(options.tdn.resolve())
    print(f"torch {torch.__version__}; upstream expected at commit {COMMIT}")
    failed: list[str] = []
    n_compared = 0
    for path, derive in cases(upstream):
        stored = load_file(path)
        found = {name: tensor.detach() for name, tensor in derive().items()}
        # Files keep what some test needs; upstream's forward twice, for instance, only some.
        errors = {k: deviation(v, stored[k]) for k, v in found.items() if k in stored}
        n_compared += len(errors)
        worst = max(errors, key=lambda name: errors[name])
        ok = errors[worst] <= TOLERANCE
        name = str(path.relative_to(GOLDEN))
        said = f"{len(errors):3} tensors, {errors[worst]:.1e} ({worst})"
        print(f"{'ok  ' if ok else 'FAIL'} {name:<45} {said}")
        if not ok:
            failed.append(name)
        if options.write is not None:
            target = options.write / path.relative_to(GOLDEN)
            target.parent.mkdir(parents=True, exist_ok=True)
            new = {k: found.get(k, v).contiguous() for k, v in stored.items()}
            save_file(new, target, metadata=metadata_of(path))
    print(f"{n_compared} tensors compared; {len(failed)} file(s) deviate by over {TOLERANCE:g}")
    return 1 if failed or n_compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
