# SPDX-License-Identifier: BSD-3-Clause
"""Export the golden checkpoints again: tests/golden/*/*.eqnn and potentials/*.eqnn.

    python tests/golden/make_models.py [--no-self-test] [--published FOLDER] [PATTERN ...]

Patterns such as `mace/*` choose files; the default is all. Published checkpoints that are too large
for this repository (SevenNet-0, Nequix-mp-1, NequIP's toluene) are read from FOLDER, and skipped
without it; potentials/README.md says where they come from. Needs our package and, for the
self-tests, libeqnn.so. Files change only where the exporter does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from safetensors.numpy import load_file

from eqnn.export import mace, mace_gaunt, mlip, nequip, nequip_package, nequix, sevennet
from eqnn.export.checkpoint import read_checkpoint, read_npz
from eqnn.export.tdn import TdnConfig, export_tdn
from eqnn.export.torch_file import read_torch_file, state_dict
from eqnn.model_file import Model, in_single_precision, write_model
from eqnn.self_test import add_self_test

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parent.parent
UPSTREAM = "TDN, AIRS/OpenMol/TDN at commit 4a16c68a7da707c521019067dec51c227c10de45"
RANDOM_WEIGHTS = {
    "data": "none: random weights, a test of the arithmetic",
    "level_of_theory": "none",
    "licence": "BSD-3-Clause",
}


def quiet(line: str) -> None:
    """Swallow the exporter's report."""


def export(
    weights: Path, config: Path, provenance: dict[str, Any], exact_products: bool = False
) -> Model:
    """Export one golden checkpoint without self-test."""
    settings = TdnConfig(json.loads(config.read_text()), config.name)
    is_trained = "elements_Z" in settings.document
    return export_tdn(
        read_checkpoint(weights),
        settings,
        provenance=provenance,
        species=None if is_trained else [1, 6, 7, 8],
        energy="extensive",
        exact_products=exact_products,
        name=weights.name,
        log=quiet,
    )


EXPORTER = {"exporter": "eqnn 0.1.0, tests/golden/make_models.py"}
Made = tuple[Path, Callable[[], Model], Atoms | None]


def provenance(path: Path) -> dict[str, Any]:
    """Read the provenance file next to a potential."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found | EXPORTER


def tdn_models() -> Iterator[Made]:
    """Yield the path of each TDN, how to make it, and its self-test's molecule."""
    for config in sorted((GOLDEN / "tdn").glob("*.config.json")):
        stem = config.name.removesuffix(".config.json")
        weights = config.with_name(f"{stem}.weights.safetensors")
        told = RANDOM_WEIGHTS | {"upstream": UPSTREAM} | EXPORTER
        yield config.with_name(f"{stem}.eqnn"), partial(export, weights, config, told), None

    folder = GOLDEN / "tdn_3bpa"
    golden = load_file(folder / "golden20.safetensors")
    molecule = Atoms(golden["atomic_numbers"], np.round(golden["positions"][0], 8))
    weights, config = (folder / f"tdn_3bpa.{end}" for end in ("weights.safetensors", "config.json"))
    for exact in (False, True):
        name = "tdn_3bpa_exact" if exact else "tdn_3bpa"
        told = provenance(ROOT / "potentials" / f"{name}.provenance.json")
        make = partial(export, weights, config, told, exact)
        yield ROOT / "potentials" / f"{name}.eqnn", make, molecule
        if not exact:
            yield folder / f"{name}.eqnn", make, molecule


def mace_models() -> Iterator[Made]:
    """Yield the golden MACE and MACE-Gaunt networks."""
    for folder, upstream, read_config, make_model in (
        ("mace", "MACE, mace-torch 0.3.16", mace.network_from_config, mace.export_mace),
        (
            "mace_gaunt",
            "MACE-Gaunt, Gaunt-Tensor-Product at commit 7c5630a7f1316a1408c5811d836df864f26c02cb",
            mace_gaunt.network_from_config,
            mace_gaunt.export_mace_gaunt,
        ),
    ):
        for config in sorted((GOLDEN / folder).glob("*.config.json")):
            stem = config.name.removesuffix(".config.json")
            weights = read_checkpoint(config.with_name(f"{stem}.weights.safetensors"))
            network = read_config(json.loads(config.read_text()), config.name)
            told = RANDOM_WEIGHTS | {"upstream": upstream} | EXPORTER
            make = partial(make_model, weights, network, provenance=told, name=stem, log=quiet)
            if len(network.heads) == 1:
                yield config.with_name(f"{stem}.eqnn"), make, None
                continue
            for head in network.heads:
                one = partial(mace.export_mace, *make.args, head=head, **make.keywords)
                yield config.with_name(f"{stem}.{head}.eqnn"), one, None
    for name, told in (
        (
            "mace_acac.pt",
            {
                "upstream": "MACE, mace-torch 0.3.16",
                "data": "acetylacetone (BOTNet-datasets), train_300K.xyz",
                "level_of_theory": "PBE-D3/def2-SVP (ORCA 5.0)",
                "licence": "BSD-3-Clause (trained for this project)",
            },
        ),
        (
            "mace_tutorial.model",
            {
                "upstream": "MACE, ilyes319/mace-tutorials",
                "data": "solvents",
                "level_of_theory": "GFN2-xTB",
                "licence": "MIT, Copyright (c) 2023 Ilyes Batatia",
            },
        ),
    ):
        path = GOLDEN / "pretrained" / name
        yield path.with_suffix(".eqnn"), partial(_pickled_mace, path, told | EXPORTER), None


def _pickled_mace(
    path: Path,
    told: dict[str, Any],
    head: str | None = None,
    embedded: dict[str, float | None] | None = None,
) -> Model:
    module = read_torch_file(path)
    network = mace.network_from_module(module, path.name)
    return mace.export_mace(
        state_dict(module),
        network,
        head=head,
        embedded=embedded,
        provenance=told,
        name=path.name,
        log=quiet,
    )


def exporter_models() -> Iterator[Made]:
    """Yield MACE and SevenNet with options of all kinds."""
    for name, head in (
        ("mace_soft", None),
        ("mace_density_agnesi_zbl", None),
        ("mace_nonlinear_two_heads", "b"),
        ("mace_tanh_output_cutoff", None),
        ("mace_abs_chebyshev", None),
        ("mace_correlation_4", None),
        ("mace_pseudo", None),
        ("mace_attention", None),
        ("mace_attention_output_cutoff", None),
    ):
        path = GOLDEN / "exporters" / f"{name}.model"
        told = RANDOM_WEIGHTS | {"upstream": "MACE, mace-torch 0.3.16"} | EXPORTER
        yield path.with_suffix(".eqnn"), partial(_pickled_mace, path, told, head), None
    joint = GOLDEN / "exporters" / "mace_joint.model"
    state: dict[str, float | None] = {"total_charge": -2.0, "total_spin": 3.0}
    told_of_it = RANDOM_WEIGHTS | {"upstream": "MACE, mace-torch 0.3.16"} | EXPORTER
    yield (
        joint.with_name("mace_joint.q-2s3.eqnn"),
        partial(_pickled_mace, joint, {**told_of_it, **state}, embedded=state),
        None,
    )
    growing = GOLDEN / "exporters" / "sevennet_growing.pth"
    told = RANDOM_WEIGHTS | {"upstream": "SevenNet, sevenn 0.13.0"} | EXPORTER
    yield growing.with_suffix(".eqnn"), partial(_sevennet, growing, told), None


def _sevennet(path: Path, told: dict[str, Any]) -> Model:
    found = read_torch_file(path)
    config = sevennet.SevenNetConfig(found["config"], path.name)
    return sevennet.export_sevennet(
        found["model_state_dict"], config, provenance=told, name=path.name, log=quiet
    )


def gaunt_models() -> Iterator[Made]:
    """Yield the trained MACE-Gaunt."""
    name = "gaunt_acetylacetone"
    weights, config = (
        GOLDEN / "pretrained" / f"{name}.{end}" for end in ("weights.safetensors", "config.json")
    )
    golden = load_file(GOLDEN / "pretrained" / f"{name}.md300_0.safetensors")
    molecule = Atoms(golden["atomic_numbers"], np.round(golden["positions"], 8))

    def make() -> Model:
        return mace_gaunt.export_mace_gaunt(
            read_checkpoint(weights),
            mace_gaunt.network_from_config(json.loads(config.read_text()), config.name),
            provenance=provenance(ROOT / "potentials" / f"{name}.provenance.json"),
            name=weights.name,
            log=quiet,
        )

    yield ROOT / "potentials" / f"{name}.eqnn", make, molecule


def sevennet_models() -> Iterator[Made]:
    """Yield the golden SevenNet."""
    path = GOLDEN / "pretrained" / "sevennet_cp0.pth"
    told = {
        "upstream": "SevenNet, sevenn (a checkpoint of its tests)",
        "data": "HfO2, hardly trained",
        "level_of_theory": "not stated",
        "licence": "MIT, Copyright (c) 2024 Yutack Park",
    }

    yield path.with_suffix(".eqnn"), partial(_sevennet, path, told | EXPORTER), None


def nequip_models() -> Iterator[Made]:
    """Yield the golden models of NequIP, deployed and packaged."""
    deployed = GOLDEN / "pretrained" / "nequip_deployed.pth"
    told_of_it = RANDOM_WEIGHTS | {"upstream": "NequIP, nequip 0.6.1"} | EXPORTER

    def make_deployed() -> Model:
        module = nequip.read(deployed)
        return nequip.export_nequip(module, energy_unit="eV", provenance=told_of_it, log=quiet)

    yield deployed.with_suffix(".eqnn"), make_deployed, None
    for path in sorted((GOLDEN / "pretrained").glob("nequip_*.nequip.zip")):
        told = RANDOM_WEIGHTS | {"upstream": "NequIP, nequip 0.19.1"} | EXPORTER

        def make(path: Path = path, told: dict[str, Any] = told) -> Model:
            package = nequip_package.read(path)
            return nequip_package.PackageExporter(package, quiet).export(1.0, None, told)

        yield path.with_name(path.name.replace(".nequip.zip", ".eqnn")), make, None


def nequix_models() -> Iterator[Made]:
    """Yield the golden Nequix networks."""
    for path in sorted((GOLDEN / "pretrained").glob("*.nqx")):
        told = RANDOM_WEIGHTS | {"upstream": "Nequix, nequix 0.4.5"} | EXPORTER

        def make(path: Path = path, told: dict[str, Any] = told) -> Model:
            config, arrays = nequix.read_nqx(path)
            said = nequix.NequixConfig(config, path.name)
            return nequix.export_nequix(said, arrays, provenance=told, log=quiet)

        yield path.with_suffix(".eqnn"), make, None


def mlip_models() -> Iterator[Made]:
    """Yield some of the golden networks of mlip."""
    for name in ("mlip_mace", "mlip_gaunt", "mlip_nequip", "mlip_mace_soft"):
        path = GOLDEN / "exporters" / f"{name}.zip"
        told = RANDOM_WEIGHTS | {"upstream": "mlip 0.2.5"} | EXPORTER

        def make(path: Path = path, told: dict[str, Any] = told) -> Model:
            said, tensors = mlip.read_mlip(path)
            return mlip.export_mlip(said, tensors, provenance=told, name=path.name, log=quiet)

        yield path.with_suffix(".eqnn"), make, None


def published_models(folder: Path) -> Iterator[Made]:
    """Yield the potentials whose checkpoints their authors publish."""
    potentials = ROOT / "potentials"

    def sevennet_0() -> Model:
        config = json.loads((folder / "checkpoint_sevennet_0_config.json").read_text())
        model = sevennet.export_sevennet(
            read_npz(folder / "checkpoint_sevennet_0_weights.npz"),
            sevennet.SevenNetConfig(config, "config"),
            provenance=provenance(potentials / "sevennet_0.provenance.json"),
            log=quiet,
        )
        return in_single_precision(model)

    def nequix_mp_1() -> Model:
        config, arrays = nequix.read_nqx(folder / "nequix-mp-1.nqx")
        told = provenance(potentials / "nequix_mp_1.provenance.json")
        said = nequix.NequixConfig(config, "nequix-mp-1.nqx")
        return in_single_precision(nequix.export_nequix(said, arrays, provenance=told, log=quiet))

    def nequip_toluene() -> Model:
        return nequip.export_nequip(
            nequip.read(folder / "toluene.nequip.pth"),
            energy_unit="kcal/mol",
            provenance=provenance(potentials / "nequip_toluene.provenance.json"),
            log=quiet,
        )

    def mace_solvents() -> Model:
        told = provenance(potentials / "mace_solvents.provenance.json")
        return _pickled_mace(folder / "mace01_swa.model", told)

    for make in (sevennet_0, nequix_mp_1, nequip_toluene, mace_solvents):
        yield potentials / f"{make.__name__}.eqnn", make, None


def main() -> None:
    """Write the models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-self-test", action="store_true")
    parser.add_argument("--published", type=Path, metavar="FOLDER")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN")
    options = parser.parse_args()
    made = [*tdn_models(), *mace_models(), *gaunt_models(), *sevennet_models()]
    made += [*nequip_models(), *nequix_models(), *exporter_models(), *mlip_models()]
    if options.published is not None:
        made += published_models(options.published)
    for path, make, molecule in made:
        if options.patterns and not any(path.match(pattern) for pattern in options.patterns):
            continue
        model = make()
        if not options.no_self_test:
            model = add_self_test(model, molecule)
        write_model(path, model.document, model.tensors)
        print(path.relative_to(ROOT), model.sha256)


if __name__ == "__main__":
    main()
