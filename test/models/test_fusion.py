# SPDX-License-Identifier: Apache-2.0
"""The SSMA block: its arithmetic, its gates, blank modalities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ssma_ros.models.backbones import _BUILDERS, build_backbone
from ssma_ros.models.build import build_network
from ssma_ros.models.fusion import SSMABlock, shares_of
from ssma_ros.models.options import BACKBONES, Options


def _features(count: int, channels: int = 8, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, channels, 4, 6, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_bottleneck_is_the_concatenation_over_eta(count: int) -> None:
    block = SSMABlock(24, count, 6, kernel=3, norm=False)
    assert block.reduce.out_channels == 24 * count // 6
    assert block.expand.out_channels == 24 * count


def test_tiny_blocks_keep_one_bottleneck_channel() -> None:
    assert SSMABlock(4, 1, 16, kernel=1, norm=True).reduce.out_channels == 1


@torch.no_grad()
def test_formula() -> None:
    block = SSMABlock(8, 2, 4, kernel=3, norm=False).eval()
    features = _features(2)
    x = torch.cat(features, 1)
    s = torch.sigmoid(block.expand(torch.relu(block.reduce(x))))
    fused, gates = block(features)
    torch.testing.assert_close(gates, s)
    torch.testing.assert_close(fused, block.merge(x * s))


@pytest.mark.parametrize("gating", ["sigmoid", "softmax"])
@torch.no_grad()
def test_flags_of_one_change_nothing(gating: str) -> None:
    block = SSMABlock(8, 3, 4, kernel=1, norm=True, gating=gating).eval()
    features = _features(3)
    for a, b in zip(block(features), block(features, torch.ones(2, 3)), strict=True):
        torch.testing.assert_close(a, b)


@torch.no_grad()
def test_dependent_gates_share_one_over_the_modalities_that_are_there() -> None:
    block = SSMABlock(8, 3, 4, kernel=1, norm=True, gating="softmax").eval()
    present = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    _, gates = block(_features(3), present)
    split = gates.unflatten(1, (3, 8))
    torch.testing.assert_close(split.sum(1), torch.ones_like(split[:, 0]))
    assert split[1, 1].abs().max() == 0
    assert split[0, 1].min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_blank_softmax_is_finite_in_every_precision(dtype: torch.dtype) -> None:
    block = SSMABlock(8, 2, 4, kernel=1, norm=True, gating="softmax").eval().to(dtype)
    fused, gates = block([f.to(dtype) for f in _features(2)], torch.zeros(2, 2, dtype=dtype))
    assert torch.isfinite(fused).all()
    assert gates.abs().max() == 0


@torch.no_grad()
def test_mean_gates_are_channel_means_by_modality() -> None:
    block = SSMABlock(8, 2, 4, kernel=1, norm=True).eval()
    _, gates = block(_features(2))
    means = block.mean_gates(gates)
    torch.testing.assert_close(means[:, 1], gates[:, 8:].mean(1))


def test_a_backbone_has_one_name() -> None:
    """A name that options take and the table lacks would build nothing, and not another backbone."""
    assert set(_BUILDERS) == set(BACKBONES)
    for name in BACKBONES:
        assert build_backbone(Options(backbone=name)).name == name
    with pytest.raises(ValueError, match=r"backbone is 'erfnett', expected one of .*\('erfnet' may be meant\)"):
        Options(backbone="erfnett")
    with pytest.raises(ValueError, match=r"network name is 'SSNA', expected one of .*\('SSMA' may be meant\)"):
        build_network({"name": "SSNA", "modalities": ["rgb"]}, 5)


@pytest.mark.parametrize("kernel", [1, 3])
@torch.no_grad()
def test_shares_are_projections_of_what_each_modality_adds(kernel: int) -> None:
    block = SSMABlock(8, 3, 4, kernel=kernel, norm=True).eval()
    features = _features(3)
    fused, gates, parts = block.apart(features)
    for got, expected in zip((fused, gates), block(features), strict=True):
        torch.testing.assert_close(got, expected)
    weighted = torch.cat(features, 1) * gates
    alone = [torch.zeros_like(weighted) for _ in features]
    for i, own in enumerate(alone):
        own[:, 8 * i : 8 * i + 8] = weighted[:, 8 * i : 8 * i + 8]
    whole = block.merge.conv(weighted)
    shares = [(block.merge.conv(own) * whole).sum(1) / whole.square().sum(1) for own in alone]
    torch.testing.assert_close(shares_of(parts), torch.stack(shares, 1), rtol=1e-4, atol=1e-5)
    for scale in (1e-2, 1e3):  # what float16 makes of small and of large features
        half = shares_of([(part * scale).half() for part in parts]).float()
        torch.testing.assert_close(half, shares_of(parts), rtol=0, atol=0.02)
