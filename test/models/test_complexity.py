# SPDX-License-Identifier: Apache-2.0
"""Parameters and multiply-accumulates, against the counts of the released networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ssma_ros.models import SSMA, AdapNetPP, count_macs, count_parameters
from ssma_ros.models.layers import Deconv2d


def test_adapnetpp() -> None:
    network = AdapNetPP(12)
    assert count_parameters(network) == 30_151_558
    assert count_macs(network) / 1e9 == pytest.approx(73.1, abs=0.05)
    easpp = count_parameters(network.encoder.easpp)
    assert easpp / 1e6 == pytest.approx(2.04, abs=0.005)


def test_adapnetpp_without_auxiliary_heads() -> None:
    assert count_parameters(AdapNetPP(12, auxiliary_heads=False)) == 30_145_366


def test_ssma() -> None:
    network = SSMA(("rgb", "hha"), 12)
    assert count_parameters(network) == 56_182_428
    assert count_macs(network) / 1e9 == pytest.approx(112.4, abs=0.05)


def test_the_robots_network_stays_small() -> None:
    network = SSMA.preset("forest-mobilenet", 5)
    assert count_parameters(network) <= 3.6e6
    assert count_macs(network) <= 5e9


def test_counts_of_single_layers() -> None:
    convolution, deconvolution = nn.Conv2d(3, 8, 3, stride=2, padding=1), Deconv2d(6, 4, 2)

    class Layer(nn.Module):
        modalities = ("rgb",)

        def __init__(self, layer: nn.Module, channels: int) -> None:
            super().__init__()
            self.layer = layer
            self.channels = channels

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.layer(image.repeat(1, self.channels // 3, 1, 1))

    # Each output of a convolution, each input of a transposed one, meets every tap once.
    assert count_macs(Layer(convolution, 3), 32, 16) == 16 * 8 * 8 * 3 * 9
    assert count_macs(Layer(deconvolution, 6), 32, 16) == 32 * 16 * 6 * 4 * 16


def test_counting_leaves_the_network_alone() -> None:
    network = AdapNetPP(3, backbone="erfnet").train()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    count_macs(network, 32, 32)
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
