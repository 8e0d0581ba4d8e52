# SPDX-License-Identifier: BSD-3-Clause
"""Every switch and word of mace-torch's constructors: the exporter follows, or refuses by name.

    make test-upstream-mace

Each option is flipped alone in a random network. Its energy must change, else the option would not
be tested; then `eqnn export mace --verify` either writes a model, which upstream's own code in
double agrees with, or refuses what the option brought, by its name. Options that change nothing
must be followed. An option that upstream adds fails the test until it is listed here.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

import numpy as np
import pytest
import torch
from ase import Atoms
from e3nn import o3
from mace import data, modules
from mace.tools import AtomicNumberTable, torch_geometric

from eqnn import cli

ELEMENTS = [1, 6, 8]
RESIDUAL = "RealAgnosticResidualInteractionBlock"
ATTENTION = "RealAgnosticAttResidualInteractionBlock"
PLAIN = "RealAgnosticInteractionBlock"
COMMON: dict[str, Any] = {
    **{"r_max": 4.0, "num_bessel": 4, "num_polynomial_cutoff": 5, "max_ell": 2},
    **{"num_interactions": 2, "num_elements": 3, "avg_num_neighbors": 7.0, "correlation": 2},
    **{"hidden_irreps": "6x0e+6x1o", "MLP_irreps": "5x0e", "radial_MLP": [8, 8]},
    **{"gate": torch.nn.functional.silu, "use_reduced_cg": False},
    **{"interaction_cls_first": RESIDUAL, "interaction_cls": RESIDUAL},
}
WITH_ATTENTION: dict[str, dict[str, Any]] = {
    "apply_cutoff": {"apply_cutoff": False},
    "distance_transform": {"distance_transform": "Soft"},
    "edge_irreps": {"edge_irreps": o3.Irreps("4x0e+4x1o")},
    "edge_irreps without scalars": {"edge_irreps": o3.Irreps("6x1o")},
    "use_so3": {"use_so3": True, "hidden_irreps": "6x0e+6x1e"},
    "hidden with a pseudovector": {"hidden_irreps": "6x0e+6x1o+6x1e"},
    "after another block": {"interaction_cls_first": RESIDUAL},
}
# Options by value: what changes, and what the refusal names; None where the exporter follows.
FOLLOWED = None
FLIPS: dict[str, tuple[dict[str, Any], str | None]] = {
    "gate None": ({"gate": None}, FOLLOWED),
    "gate tanh": ({"gate": torch.tanh}, FOLLOWED),
    "gate abs": ({"gate": torch.abs}, FOLLOWED),
    "pair_repulsion": ({"pair_repulsion": True}, FOLLOWED),
    "apply_cutoff": ({"apply_cutoff": False}, FOLLOWED),
    "use_so3": ({"use_so3": True, "hidden_irreps": "6x0e+6x1e"}, FOLLOWED),
    "use_agnostic_product": ({"use_agnostic_product": True}, FOLLOWED),
    "use_last_readout_only": ({"use_last_readout_only": True}, FOLLOWED),
    "use_embedding_readout": (
        {
            "use_embedding_readout": True,
            "embedding_specs": {
                "total_charge": {
                    **{"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4},
                    "use_bias": True,
                }
            },
        },
        FOLLOWED,
    ),
    "an embedding of what is not fixed": (
        {
            "embedding_specs": {
                "temperature": {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4}
            },
        },
        "joint_embedding.specs: an embedding of temperature has no stage",
    ),
    "distance_transform Agnesi": ({"distance_transform": "Agnesi"}, FOLLOWED),
    "distance_transform Soft": ({"distance_transform": "Soft"}, FOLLOWED),
    "edge_irreps": ({"edge_irreps": o3.Irreps("4x0e+4x1o")}, FOLLOWED),
    "use_edge_irreps_first": (
        {"edge_irreps": o3.Irreps("4x0e+4x1o"), "use_edge_irreps_first": True},
        FOLLOWED,
    ),
    "radial_type gaussian": ({"radial_type": "gaussian"}, FOLLOWED),
    "keep_last_layer_irreps": ({"keep_last_layer_irreps": True}, FOLLOWED),
    "readout_cls": ({"readout_cls": modules.blocks.NonLinearBiasReadoutBlock}, FOLLOWED),
    "hidden with a pseudovector": ({"hidden_irreps": "6x0e+6x1o+6x1e"}, FOLLOWED),
    "hidden with a pseudoscalar": ({"hidden_irreps": "6x0e+6x0o+6x1o"}, FOLLOWED),
    "correlation 1": ({"correlation": 1}, FOLLOWED),
    "correlation of each layer": ({"correlation": [3, 1]}, FOLLOWED),
    "correlation 4": ({"correlation": 4}, FOLLOWED),
    "correlation 5": (
        {"correlation": 5, "max_ell": 1},
        "correlation 5 has no stage, 1 to 4 have",
    ),
    "one layer": ({"num_interactions": 1}, FOLLOWED),
    **{
        f"interaction {name}": (
            {"interaction_cls_first": name, "interaction_cls": name},
            FOLLOWED,
        )
        for name in modules.interaction_classes
        if name != RESIDUAL
    },
    **{
        f"attention, {words}": (
            {"interaction_cls_first": ATTENTION, "interaction_cls": ATTENTION, **changes},
            FOLLOWED,
        )
        for words, changes in WITH_ATTENTION.items()
    },
}
# These alone change no energy, and must be followed.
WITHOUT_EFFECT = {
    "lammps_mliap": ({"lammps_mliap": True}, "lammps_mliap: True, expected False"),
    # Of use with cuEquivariance alone, which is not installed.
    "use_reduced_cg": ({"use_reduced_cg": True}, FOLLOWED),
}
STRUCTURE = Atoms(
    "OHHCH",
    [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [1.5, 1.6, 0.9], [2.2, 0.9, 1.6]],
)


@pytest.fixture(autouse=True)
def _double() -> None:
    torch.set_default_dtype(torch.float64)


def network(**changes: Any) -> torch.nn.Module:
    given = COMMON | changes
    given["hidden_irreps"] = o3.Irreps(given["hidden_irreps"])
    given["MLP_irreps"] = o3.Irreps(given["MLP_irreps"])
    for key in ("interaction_cls_first", "interaction_cls"):
        given[key] = modules.interaction_classes[given[key]]
    torch.manual_seed(3)
    model = modules.ScaleShiftMACE(
        **given,
        atomic_numbers=ELEMENTS,
        atomic_energies=np.array([-13.0, -1029.0, -2041.0]),
        atomic_inter_scale=0.9,
        atomic_inter_shift=0.1,
    )
    # Not all of a tensor of random numbers is seen before the weights are strong.
    for name, parameter in model.named_parameters():
        if "readouts" in name or "products" in name:
            parameter.data *= 3.0
    return model


def upstream_energy(model: torch.nn.Module) -> float:
    config = data.config_from_atoms(STRUCTURE)
    graph = data.AtomicData.from_config(config, z_table=AtomicNumberTable(ELEMENTS), cutoff=4.0)
    batch = next(iter(torch_geometric.dataloader.DataLoader([graph], batch_size=1))).to_dict()
    batch["total_charge"] = torch.tensor([1.0])
    batch["temperature"] = torch.tensor([1.0])
    return float(model(batch, compute_force=False)["energy"].detach())


def exported(
    model: torch.nn.Module, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    path = folder / "m.model"
    torch.save(model, path)
    words = ["export", "mace", "--checkpoint", str(path), "--output", str(folder / "m.eqnn")]
    if hasattr(model, "joint_embedding"):
        words += ["--charge", "1"]
    status = cli.main([*words, "--verify"])
    ran = capsys.readouterr()
    return status, ran.out + ran.err


def follows_or_refuses(
    model: torch.nn.Module, refusal: str | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = exported(model, folder, capsys)
    if refusal is None:
        assert status == 0, text
        assert "Verified with mace-torch" in text
    else:
        assert status == 1 and "--verify" not in text, text
        assert refusal in text, text


@pytest.mark.parametrize("option", FLIPS)
def test_an_option_that_matters(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, refusal = FLIPS[option]
    model = network(**changes)
    assert abs(upstream_energy(model) - upstream_energy(network())) > 1e-6
    follows_or_refuses(model, refusal, tmp_path, capsys)


@pytest.mark.parametrize("option", WITHOUT_EFFECT)
def test_an_option_that_changes_nothing(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, refusal = WITHOUT_EFFECT[option]
    model = network(**changes)
    assert abs(upstream_energy(model) - upstream_energy(network())) <= 1e-12
    follows_or_refuses(model, refusal, tmp_path, capsys)


def test_forces_that_upstream_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Torch has no derivative of Chebyshev's polynomials: upstream's forces lack a part."""
    model = network(radial_type="chebyshev", distance_transform="Agnesi")
    status, text = exported(model, tmp_path, capsys)
    assert status == 1 and "--verify: molecule: forces differ" in text, text
    assert "torch has no derivative of these polynomials" in text


def test_every_switch_and_word_of_the_constructors_is_here() -> None:
    tested = {key for changes, _ in (FLIPS | WITHOUT_EFFECT).values() for key in changes}
    for kind in (modules.MACE, modules.ScaleShiftMACE, modules.RadialEmbeddingBlock):
        for name, parameter in inspect.signature(kind.__init__).parameters.items():
            is_word = "bool" in str(parameter.annotation) or "str" in str(parameter.annotation)
            if is_word and name not in ("heads", "cueq_config", "oeq_config", "embedding_specs"):
                assert name in tested, f"{kind.__name__}: {name}"


def test_heads_are_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(4)
    given = COMMON | {"hidden_irreps": o3.Irreps("6x0e+6x1o"), "MLP_irreps": o3.Irreps("5x0e")}
    block = modules.interaction_classes[RESIDUAL]
    model = modules.ScaleShiftMACE(
        **(given | {"interaction_cls_first": block, "interaction_cls": block, "gate": None}),
        heads=["a", "b"],
        atomic_numbers=ELEMENTS,
        atomic_energies=np.array([[-13.0, -1029.0, -2041.0], [-12.0, -1028.0, -2040.0]]),
        atomic_inter_scale=[0.9, 1.2],
        atomic_inter_shift=[0.1, -0.2],
    )
    torch.save(model, tmp_path / "m.model")
    for head in ("a", "b"):
        words = ["export", "mace", "--checkpoint", str(tmp_path / "m.model"), "--head", head]
        words += ["--output", str(tmp_path / f"{head}.eqnn"), "--verify"]
        assert cli.main(words) == 0, capsys.readouterr().err
        assert "Verified with mace-torch" in capsys.readouterr().out


GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.mark.parametrize(
    "file",
    [
        *(
            f"exporters/mace_{name}.model"
            for name in (
                *("gate_none", "so3", "soft", "density_agnesi_zbl", "nonlinear"),
                *("tanh_output_cutoff", "correlation_4", "pseudo"),
                *("attention", "attention_output_cutoff"),
            )
        ),
        *("pretrained/mace_acac.pt", "pretrained/mace_tutorial.model"),
    ],
)
def test_golden_checkpoints_verify(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "mace", "--checkpoint", str(GOLDEN / file), "--verify"]
    assert cli.main([*words, "--output", str(tmp_path / "m.eqnn")]) == 0, capsys.readouterr().err
    assert "Verified with mace-torch" in capsys.readouterr().out
