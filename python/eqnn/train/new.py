# SPDX-License-Identifier: BSD-3-Clause
"""`eqnn new`: writes untrained networks as model files. Needs no JAX.

Random weights keep values at about 1 through each stage. Maps are divided by the root of the number
of inputs, sums over neighbors by the root of the number of neighbors, and so are sums over paths
and harmonics.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import covalent_radii

from eqnn.builder import ModelBuilder, layer
from eqnn.cp import even_paths, exact_factors, read_factors
from eqnn.errors import EqnnError
from eqnn.export.mace import coupling_entries, coupling_table
from eqnn.model_file import Array, Model, block_of, degree_of, parity_of, write_model
from eqnn.options import Elements
from eqnn.self_test import add_self_test
from eqnn.so3 import coupling_tensor, equivariance_defect

# E[silu(x)^2] of a normal x is the square of this: what a layer makes smaller.
_SILU = 0.5964586854233045

# Of equivariance, of factors that are exact to rounding.
_DEFECT = 1e-12

# Order of the polynomial by which radial functions and attention end at the cutoff.
_ORDER = 6

_NORM_EPS = 0.01

# ZBL's universal screening, within the sum of the covalent radii.
_ZBL: dict[str, Any] = {
    "p": 6.0,
    "screening_length": 0.46850,
    "screening_exponent": 0.23,
    "coefficients": [0.02817, 0.28022, 0.50986, 0.18175],
    "exponents": [0.20162, 0.40290, 0.94229, 3.19980],
}


@dataclass(frozen=True)
class Shape:
    """Options of a new network.

    Attributes
    ----------
    species : sequence of int
        Atomic numbers, increasing.
    cutoff : float
        Angstrom.
    channels, l_max, layers : int
    correlation : int
        Highest power of features in a product of mace, 1 to 3.
    heads : int
        Of tdn-attention: groups of channels that have their own attention weights.
    basis, radial : int
        Radial functions, and units of the hidden layers of radial networks.
    neighbors : float
        Average number, which sums are divided by the root of.
    seed : int
        Of the weights.
    zbl : bool
        Whether nuclei that are closer than a bond repel each other whatever is learnt.
    even : bool
        Of tdn, tdn-attention and gaunt: whether parity is kept (``o3``), so that a molecule and its
        mirror image have one energy: no paths with an odd sum of degrees, no curls.
    factors : Path or None
        Of tdn: factors of the coupling, as `eqnn decompose` writes them; None: those that are
        stored, for ``l_max`` 1 to 5, of even paths to 4.
    """

    species: tuple[int, ...]
    cutoff: float = 5.0
    channels: int = 32
    l_max: int = 2
    layers: int = 2
    correlation: int = 3
    heads: int = 4
    basis: int = 8
    radial: int = 32
    neighbors: float = 14.0
    seed: int = 1
    zbl: bool = False
    even: bool = False
    factors: Path | None = None


class _Network:
    """Parts that all kinds share: harmonics, radial networks, maps with random weights."""

    def __init__(self, family: str, shape: Shape) -> None:
        self.shape = shape
        self.build = ModelBuilder(
            family=family, species=shape.species, cutoff=shape.cutoff, l_max=shape.l_max
        )
        self._random = np.random.default_rng(shape.seed)
        n = np.arange(1, shape.basis + 1)
        self._basis = {
            "kind": "bessel",
            "frequency": self.build.tensor("basis/frequency", np.pi * n / shape.cutoff),
            "amplitude": self.build.tensor(
                "basis/amplitude", np.full(shape.basis, math.sqrt(2.0 * shape.cutoff))
            ),
        }
        self.build.stage("spherical_harmonics", "harmonics", l_max=shape.l_max)

    def normal(self, *dims: int, gain: float = 1.0) -> Array:
        """Random numbers over the root of the last dimension."""
        return np.asarray(self._random.normal(size=dims) * (gain / math.sqrt(dims[-1])))

    def embed(self) -> str:
        """Make scalars of the elements."""
        table = self._random.normal(size=(len(self.shape.species), self.shape.channels))
        return self.build.stage("species_embedding", "elements", weights={"table": table}, l_max=0)

    def radial(self, name: str, n_out: int) -> str:
        """Make functions of distance that end smoothly at the cutoff."""
        units = self.shape.radial
        layers = [
            layer(self.normal(units, self.shape.basis), activation="silu"),
            layer(self.normal(units, units, gain=1 / _SILU), activation="silu"),
            layer(self.normal(n_out, units, gain=1 / _SILU)),
        ]
        ends = {"kind": "polynomial", "p": float(_ORDER), "on": "output"}
        return self.build.stage("radial", name, basis=self._basis, envelope=ends, layers=layers)

    def linear(
        self, name: str, x: str, n_in: dict[str, int], n_out: dict[str, int], gain: float = 1.0
    ) -> str:
        """Map channels, block by block."""
        weights = {block: self.normal(n_out[block], n_in[block], gain=gain) for block in n_out}
        return self.build.stage("irreps_linear", name, {"features": x}, weights, irreps=n_out)

    def natural_irreps(self) -> dict[str, int]:
        """Return blocks of all degrees with the harmonics' parities."""
        c = self.shape.channels
        return {block_of(n, (-1) ** n): c for n in range(self.shape.l_max + 1)}

    def uniform_irreps(self) -> dict[str, int]:
        """Return blocks of all degrees, with the harmonics' parities where parity is kept."""
        n_blocks, c = self.shape.l_max + 1, self.shape.channels
        return {block_of(n, (-1) ** n if self.shape.even else 1): c for n in range(n_blocks)}

    def parity(self) -> str:
        """Return the symmetry of uniform features."""
        return "o3" if self.shape.even else "so3"

    def gated(self, name: str, values: str, x: str) -> str:
        """Gate uniform features by a map of the scalars of others."""
        c = self.shape.channels
        weights = {"weight": self.normal(c, c), "bias": np.zeros(c)}
        gates = self.build.stage("linear", f"{name}/gates", {"features": x}, weights, l_max=0)
        return self.build.stage("gate", name, {"features": values, "gates": gates})

    def norm(self, name: str, x: str) -> str:
        """Divide uniform features by the root mean square of each degree, if that is not small.

        If vectors vanish by symmetry, a small `eps` would allow forces of any size.
        """
        c = self.shape.channels
        weights = {"scale": np.ones((self.shape.l_max + 1, c)), "shift": np.zeros(c)}
        return self.build.stage("equivariant_norm", name, {"features": x}, weights, eps=_NORM_EPS)

    def density(self, k: int, x: str, blocks: Iterable[str], made: dict[str, int]) -> str:
        """Sum messages along all paths from blocks to the output, and mix them."""
        shape, c = self.shape, self.shape.channels
        paths = [
            [block, l2, target]
            for target in made
            for block in blocks
            for l2 in range(shape.l_max + 1)
            if abs(degree_of(block) - l2) <= degree_of(target) <= degree_of(block) + l2
            and parity_of(block) * (-1) ** l2 == parity_of(target)
        ]
        inputs = {"source": x, "harmonics": "harmonics"}
        inputs["radial"] = self.radial(f"radial{k}", len(paths) * c)
        self.build.stage("edge_tensor_product", f"messages{k}", inputs, paths=paths)
        # w3j has norm 1: a path's components have a square of sqrt(2l3+1) less.
        weights = {
            block: self.normal(
                n,
                c * sum(path[2] == block for path in paths),
                gain=math.sqrt((2 * degree_of(block) + 1) / shape.neighbors),
            )
            for block, n in made.items()
        }
        return self.build.stage(
            "irreps_linear", f"density{k}", {"features": f"messages{k}"}, weights, irreps=made
        )

    def species_linear(self, name: str, x: str, n_in: dict[str, int], n_out: dict[str, int]) -> str:
        """Map channels by the atom's element, block by block."""
        n = len(self.shape.species)
        weights = {block: self.normal(n, n_out[block], n_in[block]) for block in n_out}
        return self.build.stage("species_linear", name, {"features": x}, weights, irreps=n_out)

    def readout(self, name: str, x: str, units: int = 0) -> str:
        """Map scalars to energies; small ones, since the network is untrained."""
        c = self.shape.channels
        layers = [layer(self.normal(1, units or c, gain=0.1))]
        if units:
            layers = [layer(self.normal(units, c), np.zeros(units), "silu"), *layers]
        return self.build.stage("readout", name, {"features": x}, layers=layers)

    def finish(self, terms: Sequence[str], parity: str) -> Model:
        """Return the model with self-tests."""
        terms = list(terms)
        if self.shape.zbl:
            radius = covalent_radii[list(self.shape.species)]
            terms.append(self.build.stage("zbl", "repulsion", weights={"radius": radius}, **_ZBL))
        self.build.stage("energy", "energy", {"terms": terms})
        model = self.build.finish(
            energy={
                "semantics": "extensive",
                "scale": 1.0,
                "shift": 0.0,
                "reference": [0.0] * len(self.shape.species),
                "isolated_atoms": "network",
            },
            forces="gradient",
            parity=parity,
            provenance={
                "upstream": "eqnn new",
                "exporter": "eqnn new",
                "data": "none: not trained",
                "level_of_theory": "none",
                "licence": "BSD-3-Clause",
            },
        )
        return add_self_test(model)


def new_mace(shape: Shape) -> Model:
    """MACE's graph: convolutions along Clebsch-Gordan paths, and powers of features at atoms."""
    net, c = _Network("mace", shape), shape.channels
    uniform = net.natural_irreps()
    x, blocks, terms = net.embed(), {"0e": c}, []
    for k in range(shape.layers):
        last = k == shape.layers - 1
        net.density(k, x, blocks, uniform)
        made = {"0e": c} if last else uniform
        net.build.stage(
            "symmetric_contraction",
            f"product{k}",
            {"features": f"density{k}"},
            irreps=made,
            terms=_couplings(net, list(made)),
        )
        out = net.linear(f"mixed{k}", f"product{k}", made, made)
        if k > 0:
            own = {block: n for block, n in made.items() if block in blocks}
            net.species_linear(f"own{k}", x, blocks, own)
            out = net.build.stage("add", f"features{k}", {"a": out, "b": f"own{k}"})
        terms.append(net.readout(f"site{k}", out, 16 if last else 0))
        x, blocks = out, made
    return net.finish(terms, "o3")


def new_nequip(shape: Shape) -> Model:
    """NequIP's graph: convolutions along Clebsch-Gordan paths, each followed by gates.

    Features have the parities of the harmonics. Each layer adds a linear map of an atom's own
    features by its element. Source: Batzner et al., arXiv 2101.03164.
    """
    net, c = _Network("nequip", shape), shape.channels
    x, blocks = net.embed(), {"0e": c}
    for k in range(shape.layers):
        last = k == shape.layers - 1
        kept = {"0e": c} if last else net.natural_irreps()
        n_gates = c * (len(kept) - 1)
        # Gates are more scalars, one for each channel of a block of l > 0.
        made = {**kept, "0e": c + n_gates}
        x_in = net.linear(f"mixed{k}", x, blocks, blocks)
        net.density(k, x_in, blocks, made)
        own = {block: n for block, n in made.items() if block in blocks}
        net.species_linear(f"own{k}", x, blocks, own)
        both = net.build.stage("add", f"sum{k}", {"a": f"density{k}", "b": f"own{k}"})
        x = net.build.stage(
            "irreps_gate",
            f"features{k}",
            {"features": both},
            scalars={"0e": c},
            activations={"0e": "silu", "gates": "silu"},
            gates="0e",
        )
        blocks = kept
    return net.finish([net.readout("site", x, 16)], "o3")


def _couplings(net: _Network, made: Sequence[str]) -> list[dict[str, Any]]:
    """Terms of a symmetric contraction of all powers."""
    shape = net.shape
    harmonics = [(1, n, (-1) ** n) for n in range(shape.l_max + 1)]
    out = []
    for block in made:
        for nu in range(1, shape.correlation + 1):
            degree, parity = degree_of(block), parity_of(block)
            table = coupling_table(harmonics, degree, parity, nu, is_old=False)
            indices, values = coupling_entries(table, degree)
            if len(values) == 0:
                continue
            n_paths = table.shape[-1]
            size = (len(shape.species), n_paths, shape.channels)
            # The square of a power of normal numbers: nu! of each product of components.
            norm = math.sqrt((values**2).sum() / (2 * degree + 1) * math.factorial(nu))
            weights = net.normal(*size) * math.sqrt(size[-1]) / norm / math.sqrt(shape.correlation)
            out.append({"irrep": block, "indices": indices, "values": values, "weights": weights})
    return out


def new_tdn(shape: Shape) -> Model:
    """Convolutional TDN: messages linear in the neighbor by exact CP factors, products at atoms.

    Every path of the coupling is there, odd sums of degrees too (parity ``so3``) unless only even
    ones are asked for; the coupling is exact, so that the network is equivariant to rounding.
    """
    net = _Network("tdn", shape)
    names = ("source_factor", "harmonic_factor", "out_factor")
    factors = dict(zip(names, _factors(shape), strict=True))
    shared = {
        name: net.build.tensor(name, values) for name, values in factors.items() if name != names[0]
    }

    def messages(k: int, x: str, n_components: int) -> tuple[str, float]:
        inputs = {"source": x, "harmonics": "harmonics"}
        inputs["radial"] = net.radial(f"radial{k}", shape.channels)
        source = net.build.tensor(f"source_factor{k}", factors[names[0]][:n_components])
        weights: dict[str, Any] = {names[0]: source, **shared}
        made = net.build.stage("cp_convolution", f"messages{k}", inputs, weights, l_max=shape.l_max)
        # Features and messages of size 1: a coupling's entries are that much smaller.
        return made, 1.0

    return _convolutional(net, messages)


def _factors(shape: Shape) -> tuple[Array, Array, Array]:
    """Return the factors of a new TDN, which must be equivariant to rounding."""
    if shape.factors is None:
        highest = 4 if shape.even else 5
        if not 1 <= shape.l_max <= highest:
            raise EqnnError(
                f"--l-max {shape.l_max}: exact factors are stored for 1 to {highest}.\n"
                "Give one of these, or --factors from `eqnn decompose`."
            )
        return exact_factors(shape.l_max, even=shape.even)
    a, b, c = read_factors(shape.factors, shape.l_max)
    product = np.einsum("kr,jr,ir->kji", c, b, a, optimize=True)
    odd = np.abs(product - even_paths(product)).max()
    if shape.even and not odd <= _DEFECT:
        raise EqnnError(
            f"--factors {shape.factors}: their product has odd paths, up to {odd:.1e}, which "
            "--even excludes.\nMake factors with `eqnn decompose --even`."
        )
    defect = equivariance_defect(product)
    if not defect <= _DEFECT:
        raise EqnnError(
            f"--factors {shape.factors}: their product is off by {defect:.1e} when it is "
            f"rotated, expected {_DEFECT:.0e} at most.\nGive exact ones: `eqnn decompose` with a "
            "higher --rank."
        )
    return a, b, c


def new_tdn_attention(shape: Shape) -> Model:
    """TDN's published graph, with an exact coupling and energies that are smooth at the cutoff.

    Blocks of attention over edges and of gates at atoms, each after a norm and added to what was
    there (Lin et al., arXiv 2507.01131). An envelope ends radial functions and attention weights;
    upstream has none, and cuts the coupling to fewer products than make it equivariant.
    """
    if shape.channels % shape.heads:
        raise EqnnError(
            f"--heads {shape.heads}: does not divide {shape.channels} channels. Give a divisor."
        )
    net, c = _Network("tdn", shape), shape.channels
    build, uniform = net.build, net.uniform_irreps()
    coupling = coupling_tensor(shape.l_max)
    coupling = even_paths(coupling) if shape.even else coupling
    build.stage("edge_matrix", "matrix", {"harmonics": "harmonics"}, {"coupling": coupling})
    table = {"table": net.normal(len(shape.species), c, gain=math.sqrt(c))}
    elements = build.stage("species_embedding", "elements", weights=table, l_max=shape.l_max)
    seen = build.stage(
        "degree_embedding",
        "neighbors",
        {"matrix": "matrix", "radial": net.radial("radial_of_neighbors", c)},
        {"weight": net.normal(c, c, gain=1 / math.sqrt(shape.neighbors)), "bias": np.zeros(c)},
    )
    x = build.stage("add", "embedding", {"a": elements, "b": seen})
    for k in range(shape.layers):
        y = _attention(net, k, net.norm(f"norm{k}", x), coupling)
        x = build.stage("add", f"attended{k}", {"a": x, "b": y})
        y = net.norm(f"norm{k}_of_attended", x)
        y = net.gated(f"gated{k}", net.linear(f"values{k}", y, uniform, uniform), y)
        y = net.linear(f"forward{k}", y, uniform, uniform)
        x = build.stage("add", f"features{k}", {"a": x, "b": y})
    return net.finish([net.readout("site", net.norm("norm", x), 16)], net.parity())


def _attention(net: _Network, k: int, x: str, coupling: Array) -> str:
    """Attention over the edges of each atom, and a map of what it makes."""
    shape, c, uniform = net.shape, net.shape.channels, net.uniform_irreps()
    # Of normal numbers: what an edge's matrix makes of them has about this square.
    size = math.sqrt((coupling**2).sum() / len(coupling))
    gain = 1 / (math.sqrt(2) * size)
    inputs = {
        "source": net.linear(f"source{k}", x, uniform, uniform, gain=gain),
        "center": net.linear(f"center{k}", x, uniform, uniform, gain=gain),
        "matrix": "matrix",
        "radial": net.radial(f"radial{k}", c),
    }
    weights = {f"{name}_weight": net.normal(c, c) for name in ("logit", "value", "gate")}
    weights |= {f"{name}_bias": np.zeros(c) for name in ("logit", "value", "gate")}
    weights["logit_vector"] = net.normal(shape.heads, c // shape.heads)
    out = net.build.stage(
        "edge_attention",
        f"attention{k}",
        inputs,
        weights,
        heads=shape.heads,
        negative_slope=0.2,
        eps=1e-16,
        envelope={"kind": "polynomial", "p": _ORDER},
    )
    # Messages have the radial functions twice, which are large for the neighbors that are nearest.
    return net.linear(f"mixed{k}", out, uniform, uniform, gain=0.1 / size)


def new_gaunt(shape: Shape) -> Model:
    """Gaunt's twin of :func:`new_tdn`: messages are products of functions on the sphere.

    A neighbor's features times a filter that is zonal about the edge, a radial function for each
    of its degrees; at atoms, products, with curls unless parity is to be kept: they couple degrees
    of odd sum (parity ``so3``).
    """
    net = _Network("gaunt", shape)

    def messages(k: int, x: str, n_components: int) -> tuple[str, float]:
        inputs = {"source": x, "harmonics": "harmonics"}
        inputs["radial"] = net.radial(f"radial{k}", (shape.l_max + 1) * shape.channels)
        made = net.build.stage("gaunt_convolution", f"messages{k}", inputs, l_max=shape.l_max)
        # The product of two functions with components of size 1: _product has the same.
        return made, math.sqrt(4 * math.pi / n_components)

    return _convolutional(net, messages)


def _convolutional(net: _Network, messages: Callable[[int, str, int], tuple[str, float]]) -> Model:
    """Messages, the product of what an atom sees with itself, and gates, layer by layer.

    messages : callable
        Of the layer, its features and the number of their components: makes the stage, returns its
        name and by what messages are to be scaled.
    """
    shape, build = net.shape, net.build
    c = shape.channels
    uniform = net.uniform_irreps()
    d = (shape.l_max + 1) ** 2
    x, terms = net.embed(), []
    for k in range(shape.layers):
        last = k == shape.layers - 1
        made, scale = messages(k, x, 1 if k == 0 else d)
        gain = scale * math.sqrt(1.0 / shape.neighbors)
        density = net.linear(f"density{k}", made, uniform, uniform, gain=gain)
        product = _product(net, f"product{k}", density)
        out = net.linear(f"mixed{k}", product, uniform, uniform)
        out = build.stage("add", f"sum{k}", {"a": density, "b": out})
        gated = net.gated(f"gated{k}", out, out)
        out = net.linear(f"out{k}", gated, uniform, {"0e": c} if last else uniform)
        if k > 0:
            own = {"0e": c} if last else uniform
            before = net.linear(f"own{k}", x, uniform, own)
            out = build.stage("add", f"features{k}", {"a": out, "b": before})
        terms.append(net.readout(f"site{k}", out, 16 if last else 0))
        x = out
    return net.finish(terms, net.parity())


def _product(net: _Network, name: str, density: str) -> str:
    """Multiply an atom's features by themselves: on the sphere, and by curls without parity."""
    l_max, c = net.shape.l_max, net.shape.channels
    scales = {
        "scale_a": np.ones((l_max + 1, c)),
        "scale_b": net.normal(l_max + 1, c) * math.sqrt(c),
        "scale_out": np.full((l_max + 1, c), math.sqrt(4 * math.pi) / (l_max + 1)),
    }
    if not net.shape.even:
        scales["curl"] = net.normal(l_max + 1, c) * math.sqrt(c) * 0.1
    pair = {"a": density, "b": density}
    return net.build.stage("gaunt_product", name, pair, scales, l_max=l_max)


KINDS = {
    "gaunt": new_gaunt,
    "mace": new_mace,
    "nequip": new_nequip,
    "tdn": new_tdn,
    "tdn-attention": new_tdn_attention,
}


# ---- the command ----


def add_parser(commands: Any) -> None:
    """Add the command to those of `eqnn`."""
    one = commands.add_parser(
        "new",
        help="make a new network to train",
        description="Makes a model file with random weights, for `eqnn train`. See docs/train.md.",
    )
    one.add_argument("kind", choices=sorted(KINDS), help="the kind of network")
    one.add_argument("--species", action=Elements, required=True, help="its elements")
    one.add_argument(
        "--output", type=Path, required=True, metavar="MODEL.eqnn", help="the file to write"
    )
    one.add_argument("--force", action="store_true", help="overwrite an existing output")
    for name, text in (
        ("cutoff", "distance up to which atoms are neighbors, Angstrom"),
        ("channels", "channels of each degree"),
        ("l-max", "highest degree of features and harmonics"),
        ("layers", "number of convolutions"),
        ("correlation", "for mace: highest power of features, 1 to 3"),
        ("heads", "for tdn-attention: groups of channels with attention weights of their own"),
        ("basis", "number of radial functions"),
        ("radial", "units of the hidden layers of radial networks"),
        ("neighbors", "average number of neighbors; sums are divided by its square root"),
        ("seed", "seed of the weights"),
    ):
        default = getattr(Shape, name.replace("-", "_"))
        spellings = [f"--{name}", *(["--neighbours"] if name == "neighbors" else [])]
        one.add_argument(
            *spellings, type=type(default), default=default, help=f"{text}; default: {default}"
        )
    one.add_argument(
        "--zbl", action="store_true", help="add the ZBL repulsion of atoms closer than a bond"
    )
    one.add_argument(
        "--even",
        action="store_true",
        help="for tdn, tdn-attention and gaunt: keep parity (o3 instead of so3)",
    )
    one.add_argument(
        "--factors",
        type=Path,
        metavar="FILE.npz",
        help="for tdn: a file that `eqnn decompose` wrote; default: the built-in factors, up to "
        "--l-max 5, or 4 with --even",
    )
    one.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    path: Path = options.output
    if not path.parent.is_dir():
        raise EqnnError(f"--output {path}: there is no folder {path.parent}. Make it first.")
    if path.exists() and not options.force:
        raise EqnnError(
            f"--output {path}: exists already. Give another path, or --force to overwrite it."
        )
    for name, low, high in (
        ("cutoff", 0.1, 100.0),
        ("channels", 1, 1024),
        ("l_max", 0, 6 if options.kind == "tdn" else 4),
        ("layers", 1, 10),
        ("correlation", 1, 3),
        ("heads", 1, 1024),
        ("basis", 1, 64),
        ("radial", 1, 1024),
        ("neighbors", 0.01, 1e4),
        ("seed", 0, 2**31),
    ):
        value = getattr(options, name)
        if not low <= value <= high:
            raise EqnnError(
                f"--{name.replace('_', '-')} {value}: expected {low} to {high}. Give one of these."
            )
    if options.factors is not None and options.kind != "tdn":
        raise EqnnError(f"--factors: {options.kind} has no coupling in factors. Leave it out.")
    if options.even and options.kind in ("mace", "nequip"):
        raise EqnnError(f"--even: {options.kind} always keeps parity. Leave it out.")
    keys = Shape.__dataclass_fields__
    given = {key: value for key, value in vars(options).items() if key in keys}
    shape = Shape(**(given | {"species": tuple(sorted(options.species))}))
    model = KINDS[options.kind](shape)
    write_model(path, model.document, model.tensors)
    print(f"Wrote {path}: {options.kind}, {model.n_parameters} numbers, not trained.")
    print("  Train it with `eqnn train`: docs/train.md.")
    return 0
