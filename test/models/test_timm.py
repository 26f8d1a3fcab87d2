# SPDX-License-Identifier: Apache-2.0
"""Networks of timm as backbones: each kind of feature maps through the battery, taps as timm gives them, refusals."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from models.battery import NetworkBattery
from torch import nn

from ssma_ros.cli.main import main
from ssma_ros.contract import Contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set
from ssma_ros.models import AdapNetPP, SegmentationNetwork, build_network, load_model, save_model
from ssma_ros.models.backbones import TimmBackbone

pytestmark = pytest.mark.usefixtures("timm")


class TimmBattery(NetworkBattery):
    """With the residual branches of ResNets, which timm starts at 0, so that gradients reach what is in them."""

    def build(self, **changes: Any) -> SegmentationNetwork:
        network = super().build(**changes)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d) and not part.weight.any():
                nn.init.constant_(part.weight, 0.5)
        return network


class TestSSMAEfficientNet(TimmBattery):
    name = "SSMA"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "timm/tf_efficientnet_lite0"}


@pytest.mark.slow
class TestAdapNetPPMobileNetV4(TimmBattery):
    name = "AdapNetPP"
    modalities = ("rgb",)
    options: ClassVar = {"backbone": "timm/mobilenetv4_conv_small_035"}


@pytest.mark.slow
class TestSSMARepViT(TimmBattery):
    """The last features at 1/32."""

    name = "SSMA"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "timm/repvit_m0_9"}


class TestAdapNetPPConvNeXt(TimmBattery):
    name = "AdapNetPP"
    modalities = ("rgb",)
    options: ClassVar = {"backbone": "timm/test_convnext"}


@pytest.mark.slow
class TestFuseNetSEResNeXt(TimmBattery):
    name = "FuseNet"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "timm/seresnext26d_32x4d"}


@pytest.mark.slow
class TestStackingXception(TimmBattery):
    name = "Stacking"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "timm/xception41"}


@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["resnet10t", "tf_efficientnet_lite0", "mobilenetv4_conv_small_035", "test_convnext", "xception41"]
)
def test_taps_are_those_of_timm(timm: Any, name: str) -> None:
    backbone = TimmBackbone(name).eval()
    theirs = timm.create_model(name, features_only=True, output_stride=16).eval()
    theirs.load_state_dict(backbone.body.state_dict())
    image = torch.randn(1, 3, 80, 48)
    maps = theirs(image)
    taps = backbone(image)
    assert taps.deep.shape == (1, backbone.out_channels, 5, 3)
    torch.testing.assert_close(taps.deep, maps[-1])
    for tap, reduction, channels in zip(taps.skips, (8, 4), backbone.skip_channels, strict=True):
        assert tap.shape == (1, channels, 80 // reduction, 48 // reduction)
        torch.testing.assert_close(tap, maps[theirs.feature_info.reduction().index(reduction)])
    assert backbone.remark == ""
    if backbone.chained:
        outputs, x = [], image
        for stage in backbone.stages():
            x = stage(x)
            outputs.append(x)
        torch.testing.assert_close(backbone.taps(outputs), taps)
    assert backbone.chained == (name != "xception41")


@torch.no_grad()
def test_features_at_a_32nd_are_enlarged_in_place() -> None:
    """A ramp stays a ramp on the finer grid, also where the coarse one hangs over the edge."""
    backbone = TimmBackbone("repvit_m0_9").eval()
    assert "no output stride of 16" in backbone.remark
    ramp = (torch.arange(2.0) * 2 + 0.5).view(1, 1, 1, 2).expand(1, 1, 3, 2)  # centres of two columns of 32 pixels
    deep = backbone.taps([torch.zeros(1, 1, 20, 6), torch.zeros(1, 1, 10, 6), torch.zeros(1, 1, 5, 3), ramp]).deep
    assert deep.shape == (1, 1, 5, 3)
    torch.testing.assert_close(deep[0, 0, 2], torch.tensor([0.5, 1.0, 2.0]))
    assert backbone(torch.randn(1, 3, 80, 48)).deep.shape == (1, 384, 5, 3)


@torch.no_grad()
@pytest.mark.parametrize("name", ["repvit_m0_9", "mobileone_s0", "tf_efficientnet_lite0", "xception41"])
def test_branches_are_merged_for_inference(name: str) -> None:
    """Of networks that have some: the same features of fewer convolutions."""
    torch.manual_seed(0)
    backbone = TimmBackbone(name)
    backbone.train()(torch.randn(4, 3, 64, 64))  # statistics that are not 0 and 1
    backbone.eval()
    image = torch.randn(1, 3, 64, 96)
    before, layers = backbone(image), sum(isinstance(m, nn.Conv2d) for m in backbone.modules())
    backbone.merge_branches()
    torch.testing.assert_close(backbone(image), before, rtol=1e-3, atol=1e-3 * float(before.deep.abs().max()))
    merged = sum(isinstance(m, nn.Conv2d) for m in backbone.modules())
    assert (merged < layers) == (name in ("repvit_m0_9", "mobileone_s0"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("efficientnet_lit0", "has no network 'efficientnet_lit0'.*efficientnet_lite0"),
        ("legacy_xception", "its features at 1/4 of 48x80 are"),
        ("vit_tiny_patch16_224", "expected feature maps at 1/4, 1/8 and 1/16 or 1/32"),
    ],
)
def test_what_is_no_such_backbone_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^backbone timm/{name}: .*{said}"):
        AdapNetPP(3, backbone=f"timm/{name}")


def test_inspect_counts_it_and_tells_what_to_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path, "timm/repvit_m0_9")
    assert main(["inspect", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "  backbone = timm/repvit_m0_9\n" in said
    assert "  note: timm/repvit_m0_9 has no output stride of 16 in timm" in said
    assert int(re.findall(r"parameters +([\d,]+)", said)[0].replace(",", "")) > 4_000_000


def test_timm_that_is_missing_or_broken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SsmaError, match=r"timm is not installed, .* pip install 'ssma_ros\[timm\]'"):
        AdapNetPP(3, backbone="timm/resnet18.of_a_tag")


def test_no_chain_for_fusenet() -> None:
    with pytest.raises(ValueError, match="timm/xception41 is no chain of stages"):
        build_network({"name": "FuseNet", "modalities": ["a", "b"], "backbone": "timm/xception41"}, 3)


def test_first_weights_are_timms() -> None:
    """A fresh network's encoder starts as timm starts it; what is not timm's, as ours do."""
    torch.manual_seed(3)
    network = AdapNetPP(3, backbone="timm/test_convnext")
    scale = network.encoder.backbone.body.state_dict()["stages_0.blocks.0.conv_dw.weight"].std()
    assert 0.015 < float(scale) < 0.025  # ConvNeXt: a normal distribution of 0.02, cut off


def save_tiny(folder: Path, backbone: str) -> SegmentationNetwork:
    """A small network in evaluation mode, saved in a folder."""
    network = AdapNetPP(5, backbone=backbone, easpp_channels=16, decoder_channels=16, easpp_bottleneck=8).eval()
    contract = Contract(64, 32, (Stream("rgb", "bgr"),), load_label_set("synthetic_forest"), network.describe())
    save_model(network, contract, folder)
    return network


@torch.no_grad()
def test_values_that_no_file_has_are_computed(tmp_path: Path) -> None:
    """A blur pool's kernel is a buffer outside the state: a network loaded without storage would hold garbage."""
    network = save_tiny(tmp_path, "timm/resnetblur18")
    loaded = load_model(tmp_path)
    image = torch.randn(1, 3, 32, 64)
    assert torch.equal(loaded(image), network(image))
    assert dict(loaded.named_buffers()).keys() - loaded.state_dict().keys()
