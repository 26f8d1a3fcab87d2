# SPDX-License-Identifier: Apache-2.0
"""Fusion networks put together from unimodal ones, and ``ssma assemble``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssma_ros.cli.main import main
from ssma_ros.contract import Contract, VectorScaling, load_contract, save_contract
from ssma_ros.errors import SsmaError
from ssma_ros.models import AdapNetPP, load_model, save_model
from ssma_ros.training.assembly import assemble


def write_expert(folder: Path, contract: Contract, index: int, **options: object) -> Path:
    """An AdapNet++ on one stream of ``contract`` with random weights."""
    torch.manual_seed(index)
    stream = contract.streams[index]
    network = AdapNetPP(5, (stream.name,), preset="forest-mobilenet", **{"width": 0.25, **options})
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0.0, 0.1)  # fresh statistics are alike in all networks and would hide a mix-up
    own = replace(contract, streams=(stream,), network=network.describe(), temperature=2.0)
    path = folder / stream.name
    save_model(network, own, path)
    return path


@pytest.fixture
def members(tmp_path: Path, contract: Contract) -> dict[str, Path]:
    return {name: write_expert(tmp_path, contract, i) for i, name in enumerate(("rgb", "nir"))}


@pytest.fixture
def images() -> list[torch.Tensor]:
    torch.manual_seed(9)
    return [torch.randn(2, 3, 32, 64) for _ in range(2)]


@torch.no_grad()
def test_average_is_the_mean_of_the_members(
    members: dict[str, Path], contract: Contract, images: list[torch.Tensor]
) -> None:
    network, fused, missing = assemble("average", members)
    assert (network.name, missing) == ("Average", ())
    assert fused.streams == contract.streams
    assert fused.temperature == 1.0
    expected = torch.stack(
        [load_model(path)(image).softmax(dim=1) for path, image in zip(members.values(), images, strict=True)]
    ).mean(dim=0)
    torch.testing.assert_close(network(*images).softmax(dim=1), expected)
    alone = network(*images, present=torch.tensor([[0.0, 1.0]]).repeat(2, 1)).softmax(dim=1)
    torch.testing.assert_close(alone, load_model(members["nir"])(images[1]).softmax(dim=1))


def test_no_calibration_of_a_member_is_taken_for_that_of_the_fusion(members: dict[str, Path]) -> None:
    path = members["rgb"] / "contract.json"
    scaling = VectorScaling((2.0, 1.0, 1.0, 1.0, 1.0), (0.5, 0.0, 0.0, 0.0, -0.5))
    save_contract(replace(load_contract(path), temperature=1.0, vector_scaling=scaling), path)
    _, fused, _ = assemble("average", members)
    assert (fused.temperature, fused.vector_scaling) == (1.0, None)


@torch.no_grad()
def test_late_fusion_starts_as_the_mean_of_the_logits(
    members: dict[str, Path], images: list[torch.Tensor]
) -> None:
    network, _, missing = assemble("LateFusion", members)
    assert missing == ("merge.weight", "merge.bias")
    logits = [load_model(path)(image) for path, image in zip(members.values(), images, strict=True)]
    torch.testing.assert_close(network(*images), torch.stack(logits).mean(dim=0))


@pytest.mark.parametrize(("name", "untrained"), [("LFC", {"head", "merge"}), ("CMoDE", {"gate_features", "merge"}),
                                                 ("SSMA", {"head", "trunks", "fusion", "skip_fusions"})])
def test_other_fusions_name_what_is_untrained(name: str, untrained: set[str], members: dict[str, Path]) -> None:
    network, _, missing = assemble(name, members)
    parts = {m.partition(".")[0] for m in missing}
    assert untrained <= parts
    assert not {"encoders", "decoders"} & parts
    rgb = load_model(members["rgb"]).state_dict()
    own = network.state_dict()
    assert all(torch.equal(own[f"encoders.0.{k[8:]}"], v) for k, v in rgb.items() if k.startswith("encoder."))


def test_command_writes_a_model_that_loads(
    members: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"{stream}={path}" for stream, path in members.items()]
    output = tmp_path / "late"
    assert main(["assemble", "latefusion", *texts, "-o", str(output)]) == 0
    assert f"not trained yet: merge; set 'initialize: {output}'" in capsys.readouterr().out
    assert load_model(output).modalities == ("rgb", "nir")
    # A member's folder looks like an earlier result, yet must not be replaced by what is made from it.
    assert main(["assemble", "average", *texts, "-o", str(members["nir"])]) == 1
    assert "would replace it" in capsys.readouterr().err
    assert load_model(members["nir"]).name == "AdapNetPP"


def test_members_that_do_not_fit_are_refused(members: dict[str, Path], tmp_path: Path, contract: Contract) -> None:
    with pytest.raises(SsmaError, match="network is 'Mean', expected one of SSMA, Average"):
        assemble("Mean", members)
    with pytest.raises(SsmaError, match="1 unimodal models, expected two"):
        assemble("average", {"rgb": members["rgb"]})
    wide = write_expert(tmp_path / "wide", contract, 1, width=0.5)
    with pytest.raises(SsmaError, match=r"model of 'nir' has width 0\.5, expected 0\.25 as that of 'rgb'"):
        assemble("average", {**members, "nir": wide})
    small = write_expert(tmp_path / "small", replace(contract, width=32), 1)
    with pytest.raises(SsmaError, match="takes 32x32, expected 64x32"):
        assemble("average", {**members, "nir": small})
    network, fused, _ = assemble("average", members)
    save_model(network, fused, tmp_path / "fused")
    with pytest.raises(SsmaError, match="is Average of rgb, nir, expected an AdapNetPP of one stream"):
        assemble("average", {**members, "nir": tmp_path / "fused"})
    with pytest.raises(SsmaError, match="has no encoder for each stream"):
        assemble("stacking", members)


@pytest.mark.parametrize(("text", "message"), [("rgb", "'rgb' is not a member"), ("rgb=a", "given twice")])
def test_wrong_members_end_in_one_sentence(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assemble", "average", "rgb=b", text, "-o", "out"]) == 1
    assert message in capsys.readouterr().err
