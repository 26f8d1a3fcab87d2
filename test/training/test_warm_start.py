# SPDX-License-Identifier: Apache-2.0
"""A fusion that starts as one sensor's network says what that network says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssma_ros.contract import Contract
from ssma_ros.errors import SsmaError
from ssma_ros.models import SSMA, AdapNetPP, save_model
from ssma_ros.training.fit.trainer import Trainer
from ssma_ros.training.fit.warm_start import start_as_expert
from training.conftest import MemorySamples
from training.test_trainer import config_for

SMALL: dict[str, Any] = {"preset": "forest-mobilenet", "width": 0.25}


def expert_of(stream: str) -> AdapNetPP:
    """With statistics, scales and shifts that differ from fresh ones, some scales negative as after training."""
    torch.manual_seed(1)
    expert = AdapNetPP(5, (stream,), **SMALL).eval()
    with torch.no_grad():
        for name, tensor in expert.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.normal_(0.0, 0.3)
            elif name.endswith("bn.weight"):
                tensor.normal_(0.3, 0.8)
    return expert


def write(expert: AdapNetPP, contract: Contract, folder: Path) -> Path:
    stream = next(s for s in contract.streams if s.name == expert.modalities[0])
    save_model(expert, replace(contract, streams=(stream,), network=expert.describe()), folder)
    return folder


@pytest.mark.parametrize("stream", ["rgb", "nir"])
@pytest.mark.parametrize("options", [{}, {"gating": "softmax"}, {"latent_kernel": 3}])
@torch.no_grad()
def test_the_fusion_starts_as_the_expert(
    stream: str, options: dict[str, Any], contract: Contract, tmp_path: Path
) -> None:
    expert = expert_of(stream)
    torch.manual_seed(2)
    network = SSMA(("rgb", "nir"), 5, **SMALL, **options).eval()
    start_as_expert(network, stream, write(expert, contract, tmp_path / "expert"))
    images = [torch.randn(2, 3, 32, 64) for _ in range(2)]
    expected = expert(images[("rgb", "nir").index(stream)])
    torch.testing.assert_close(network(*images), expected, rtol=1e-4, atol=1e-4)
    _, gates = network(*images, return_gates=True)
    assert (gates == 0.5).all()


def test_the_other_stream_is_learnt(contract: Contract, samples: MemorySamples, tmp_path: Path) -> None:
    """Two steps are enough for the fusion to leave the identity on the stream it did not start from."""
    path = str(write(expert_of("rgb"), contract, tmp_path / "expert"))
    stage = {"steps": 2, "batch_size": 2, "lr": 1e-3}
    config = config_for(contract, encoders={"rgb": path}, decoder_of="rgb", stages=[stage])
    trainer = Trainer(config, samples, samples, tmp_path / "run", progress=False)
    network = trainer.network
    assert isinstance(network, SSMA)
    other = next(name for name, _ in network.encoders[1].named_parameters())
    before = {name: p.clone() for name, p in network.named_parameters()}
    merge = next(n for n in before if n.startswith("fusion.merge") and n.endswith("conv.weight"))
    channels = network.fusion.channels
    assert (before[merge][:, channels:] == 0).all()
    trainer.run()
    after = dict(network.named_parameters())
    assert (after[merge][:, channels:] != 0).any()
    assert not torch.equal(after[f"encoders.1.{other}"], before[f"encoders.1.{other}"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_of": "rgb", "network": {"fusion": "decoder"}}, "only an SSMA with fusion: encoder"),
        ({"decoder_of": "rgb", "network": {"decoder_channels": 32}}, "do not fit the network"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, contract: Contract, samples: MemorySamples, tmp_path: Path
) -> None:
    path = str(write(expert_of("rgb"), contract, tmp_path / "expert"))
    fitting = replace(contract, network={**contract.network, **changes.get("network", {})})
    config = config_for(fitting, encoders={"rgb": path}, decoder_of=changes["decoder_of"])
    with pytest.raises(SsmaError, match=message):
        Trainer(config, samples, samples, tmp_path / "run", progress=False)


def test_only_an_expert_is_taken(contract: Contract, tmp_path: Path) -> None:
    network = SSMA(("rgb", "nir"), 5, **SMALL)
    save_model(network, replace(contract, network=network.describe()), tmp_path / "fused")
    with pytest.raises(SsmaError, match="are of the network SSMA, expected AdapNetPP"):
        start_as_expert(network, "rgb", tmp_path / "fused")
    with pytest.raises(SsmaError, match="decoder_of is 'hha', expected one of rgb, nir"):
        start_as_expert(network, "hha", tmp_path / "fused")
