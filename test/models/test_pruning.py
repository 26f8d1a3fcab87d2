# SPDX-License-Identifier: Apache-2.0
"""Networks without some of their feature maps: smaller, equal to the masked ones, and through the battery of all."""

from __future__ import annotations

from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
import torch
from models.battery import REORDERED, SMALL, NetworkBattery, relative_error, settle

from ssma_ros.errors import SsmaError
from ssma_ros.models import AdapNetPP, SegmentationNetwork, build_network, count_macs, load_model, save_model
from ssma_ros.models.pruning.channels import Channels, find_channels
from ssma_ros.models.pruning.shrink import keep_maps, masked, shrunk
from ssma_ros.models.pruning.spread import spread_of

#: Every network and form of fusion, and every backbone.
KINDS: dict[str, dict[str, Any]] = {
    "SSMA": {"name": "SSMA"},
    "SSMA separable": {"name": "SSMA", "separable_decoder": True},
    "SSMA dependent": {"name": "SSMA", "gating": "softmax", "latent_kernel": 3},
    "SSMA decoder": {"name": "SSMA", "fusion": "decoder"},
    "AdapNetPP preact": {"name": "AdapNetPP", "backbone": "preact_resnet50", "variant": "paper"},
    "AdapNetPP resnet50": {"name": "AdapNetPP", "backbone": "resnet50"},
    "AdapNetPP erfnet": {"name": "AdapNetPP", "backbone": "erfnet"},
    **{name: {"name": name} for name in ("Average", "Maximum", "Stacking", "LateFusion", "LFC", "CMoDE", "FuseNet")},
}
#: Those that an ordinary test run tries; among them they have every rule of following maps.
QUICK = ("SSMA dependent", "AdapNetPP erfnet")


def some(channels: Channels, share: float = 0.4, seed: int = 0) -> set[int]:
    """Maps drawn at random, of each layer at most all but one."""
    random = np.random.default_rng(seed)
    left: dict[str, int] = {}
    for one in channels.maps:
        left[one.layer] = left.get(one.layer, 0) + 1
    dead: set[int] = set()
    for one in channels.maps:
        if random.random() < share and left[one.layer] > 1:
            dead.update(one.ids)
            left[one.layer] -= 1
    return dead


def build(kind: str) -> SegmentationNetwork:
    options = KINDS[kind]
    modalities = ("rgb",) if options["name"] == "AdapNetPP" else ("rgb", "hha")
    torch.manual_seed(0)
    network = build_network({"modalities": modalities, **SMALL, **options}, 5)
    settle(network)
    return network


@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k in QUICK else pytest.mark.slow) for k in KINDS])
@torch.no_grad()
def test_smaller_network_equals_the_masked_one(kind: str) -> None:
    """Twice in a row: a pruned network is pruned again as a whole one is."""
    network = build(kind)
    images = [torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    images = images[: len(network.modalities)]
    present = torch.ones(2, len(network.modalities))
    present[0, 0] = 0
    for round_ in range(2):
        channels = find_channels(network, 64, 32)
        dead = some(channels, seed=round_)
        small = shrunk(network, channels, dead)
        expected = masked(network, channels, dead)(*images, present=present)
        assert relative_error(small(*images, present=present), expected) < REORDERED
        assert not torch.equal(network(*images, present=present), expected)
        macs = count_macs(small, 64, 32)
        assert macs == channels.macs(channels.alive(dead)) < 0.75 * count_macs(network, 64, 32)
        network = small


@pytest.mark.parametrize("kind", ["SSMA", pytest.param("AdapNetPP preact", marks=pytest.mark.slow)])
def test_one_map_at_a_time(kind: str) -> None:
    """A few of each sort, so that none hides behind others."""
    network = build(kind)
    channels = find_channels(network)
    images = [torch.randn(1, 3, 32, 32) for _ in network.modalities]
    ends = [one for one in channels.maps if one.end]
    tied = [one for one in channels.maps if len(one.ids) > 1]
    with torch.no_grad():
        for one in [*channels.maps[:: len(channels.maps) // 5], *ends[:2], *tied[:2]]:
            actual = shrunk(network, channels, one.ids)(*images)
            assert relative_error(actual, masked(network, channels, one.ids)(*images)) < REORDERED


def test_residual_units_lose_maps_of_all_their_convolutions_and_keep_their_shortcuts() -> None:
    channels = find_channels(build("AdapNetPP preact"))
    layers = {one.layer for one in channels.maps}
    units = [f"encoder.backbone.block{b}.{u}" for b, count in ((1, 3), (2, 4), (3, 6), (4, 3)) for u in range(count)]
    for unit in units:
        assert {f"{unit}.conv{i}" for i in (1, 2, 3)} <= layers
    assert not [layer for layer in layers if "shortcut" in layer]
    # Every convolution but the shortcuts and those that make the classes; transposed ones and skips among them.
    whole = {path for path, layer in channels.layers.items() if layer.read.size and not layer.depthwise}
    assert {path for path in whole - layers if "shortcut" not in path and ".head." not in path} == set()
    assert {"decoder.trunk.up1.conv", "decoder.trunk.up2.conv", "encoder.skips.0.conv"} <= layers


def test_fusion_loses_a_modalitys_feature_with_its_gate() -> None:
    network = build("SSMA")
    channels = find_channels(network)
    features, gates = channels.layers["encoders.1.easpp.merge.conv"].made, channels.layers["fusion.expand"].made
    with_gate = {one.ids for one in channels.maps if one.layer == "encoders.1.easpp.merge.conv"}
    width = len(features)
    assert with_gate == {(int(features[i]), int(gates[width + i])) for i in range(width)}
    small = shrunk(network, channels, with_gate.pop())
    assert small.fusion.widths == [width, width - 1]


def test_a_residual_unit_gives_back_its_maps_at_their_places() -> None:
    network = AdapNetPP(3, backbone="resnet50", decoder_channels=16)
    channels = find_channels(network)
    gone = [one for one in channels.maps if one.layer == "encoder.backbone.layer1.1.conv3"][1:]
    small = shrunk(network, channels, [number for one in gone for number in one.ids])
    assert spread_of(small.encoder.backbone.layer1[1].bn3) == (0,)
    assert small.encoder.backbone.layer1[1].conv3.weight.shape == (1, 64, 1, 1)
    assert small.describe()["kept"] == {"encoder.backbone.layer1.1.conv3": "0"}


def test_wrong_descriptions_are_named() -> None:
    network = build_network({"name": "AdapNetPP", "modalities": ["rgb"], **SMALL}, 5)
    channels = find_channels(network)
    before = {name: t.shape for name, t in network.state_dict().items()}
    with mock.patch("ssma_ros.models.pruning.shrink._channels_of", return_value=channels):
        with pytest.raises(ValueError, match=r"'encoder' is no convolution"):
            keep_maps(network, {"encoder": "0-3"})
        for text in ("", "3-1", "0-99", "-1", "all", "0-3,2"):
            with pytest.raises(ValueError, match="expected rising indices below 8"):
                keep_maps(network, {"encoder.skips.0.conv": text})
        with pytest.raises(ValueError, match=r"maps of decoder.head.classifier.0.conv cannot go"):
            keep_maps(network, {"decoder.head.classifier.0.conv": "0-3"})
    assert {name: t.shape for name, t in network.state_dict().items()} == before
    with pytest.raises(ValueError, match=r"'nothing' is no convolution"):
        build_network({**network.describe(), "kept": {"nothing": "0"}}, 5)


def test_weights_of_another_selection_are_refused(tmp_path: Any) -> None:
    network = build("SSMA")
    channels = find_channels(network)
    small = shrunk(network, channels, some(channels))
    battery = TestPrunedSSMA()
    save_model(small, battery.contract(small), tmp_path)
    assert torch.equal(load_model(tmp_path).state_dict()["head.classifier.0.conv.weight"],
                       small.state_dict()["head.classifier.0.conv.weight"])
    save_model(network, battery.contract(network), tmp_path / "whole")
    (tmp_path / "whole" / "weights.safetensors").replace(tmp_path / "weights.safetensors")
    with pytest.raises(SsmaError, match=r"expected \("):
        load_model(tmp_path)


class TestPrunedSSMA(NetworkBattery):
    name = "SSMA"
    modalities = ("rgb", "hha")

    def build(self, **changes: Any) -> SegmentationNetwork:
        network = super().build(**changes)
        channels = find_channels(network)
        return shrunk(network, channels, some(channels))

    def test_quick_export(self, network: SegmentationNetwork) -> None:
        self.check_export(network)


@pytest.mark.slow
class TestPrunedAdapNetPP(TestPrunedSSMA):
    name = "AdapNetPP"
    modalities = ("rgb",)
    options: ClassVar = {"backbone": "preact_resnet50", "variant": "paper"}


@pytest.mark.slow
class TestPrunedSSMADependentGates(TestPrunedSSMA):
    options: ClassVar = {"gating": "softmax", "latent_kernel": 3}
