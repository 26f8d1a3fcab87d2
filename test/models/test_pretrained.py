# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights in torchvision, timm and TensorFlow naming; loud where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ssma_ros.errors import SsmaError
from ssma_ros.models import SSMA, pretrained
from ssma_ros.models.backbones import ERFNetEncoder, MobileNetV2, PreActResNet50, ResNet50, find_backbones
from ssma_ros.models.pretrained import load_imagenet
from ssma_ros.models.tensorflow.names import backbone_names

#: Units of each stage, and what a unit of timm's mobilenetv2_100 is made of.
_STAGES = (1, 2, 3, 4, 3, 3, 1)


def _random(backbone: torch.nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = backbone.state_dict()
    return {n: torch.rand_like(t) for n, t in state.items() if "tracked" not in n and not n.startswith("input_norm")}


def _assert_loaded(backbone: torch.nn.Module, expected: dict[str, Tensor]) -> None:
    state = backbone.state_dict()
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("kind", [ResNet50, MobileNetV2])
def test_torchvision(tmp_path: Path, kind: type[ResNet50] | type[MobileNetV2]) -> None:
    backbone = kind()
    expected = _random(backbone)
    extra = {"fc.weight": torch.rand(10, 4), "fc.bias": torch.rand(10)}
    if kind is MobileNetV2:
        extra = {
            "features.18.0.weight": torch.rand(1280, 320, 1, 1),
            "features.18.1.weight": torch.rand(1280),
            "classifier.1.weight": torch.rand(10, 1280),
        }
    counters = {"bn1.num_batches_tracked": torch.tensor(5)}
    save_file({**expected, **extra, **counters}, tmp_path / "w.safetensors")
    load_imagenet(backbone, tmp_path / "w.safetensors")
    _assert_loaded(backbone, expected)


def test_torchvision_parameter_names() -> None:
    """Spot checks against names and shapes of torchvision's state dicts."""
    mobile = {n: tuple(t.shape) for n, t in MobileNetV2().state_dict().items()}
    assert mobile["features.0.0.weight"] == (32, 3, 3, 3)
    assert mobile["features.1.conv.0.0.weight"] == (32, 1, 3, 3)
    assert mobile["features.1.conv.1.weight"] == (16, 32, 1, 1)
    assert mobile["features.2.conv.1.0.weight"] == (96, 1, 3, 3)
    assert mobile["features.14.conv.2.weight"] == (160, 576, 1, 1)
    assert mobile["features.17.conv.3.running_var"] == (320,)
    residual = {n: tuple(t.shape) for n, t in ResNet50().state_dict().items()}
    assert residual["conv1.weight"] == (64, 3, 7, 7)
    assert residual["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert residual["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert residual["layer4.2.bn3.weight"] == (2048,)


def _timm_mobilenet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under timm's names, built from the structure of its blocks."""
    out: dict[str, Tensor] = {}

    def norm(theirs: str, ours: str) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            out[f"{theirs}.{part}"] = state[f"{ours}.{part}"]

    out["conv_stem.weight"] = state["features.0.0.weight"]
    norm("bn1", "features.0.1")
    index = 0
    for stage, units in enumerate(_STAGES):
        for unit in range(units):
            index += 1
            theirs, ours = f"blocks.{stage}.{unit}", f"features.{index}.conv"
            if stage == 0:
                out[f"{theirs}.conv_dw.weight"] = state[f"{ours}.0.0.weight"]
                out[f"{theirs}.conv_pw.weight"] = state[f"{ours}.1.weight"]
                norm(f"{theirs}.bn1", f"{ours}.0.1")
                norm(f"{theirs}.bn2", f"{ours}.2")
                continue
            out[f"{theirs}.conv_pw.weight"] = state[f"{ours}.0.0.weight"]
            out[f"{theirs}.conv_dw.weight"] = state[f"{ours}.1.0.weight"]
            out[f"{theirs}.conv_pwl.weight"] = state[f"{ours}.2.weight"]
            norm(f"{theirs}.bn1", f"{ours}.0.1")
            norm(f"{theirs}.bn2", f"{ours}.1.1")
            norm(f"{theirs}.bn3", f"{ours}.3")
    out["conv_head.weight"] = torch.rand(1280, 320, 1, 1)
    out["bn2.weight"] = torch.rand(1280)
    out["classifier.weight"] = torch.rand(1000, 1280)
    return {name: tensor.clone() for name, tensor in out.items()}


def test_timm_mobilenet(tmp_path: Path) -> None:
    backbone = MobileNetV2()
    expected = _random(backbone)
    save_file(_timm_mobilenet(expected), tmp_path / "w.safetensors")
    load_imagenet(backbone, tmp_path / "w.safetensors")
    _assert_loaded(backbone, expected)


@torch.no_grad()
def test_timm_resnetv2_computes_what_timm_computes(tmp_path: Path) -> None:
    """Fill a file in timm's naming, run its pre-activation unit by hand, compare with ours."""
    torch.manual_seed(1)
    backbone = PreActResNet50(input_norm=False, dilations=((1, 1),) * 8).eval()
    theirs: dict[str, Tensor] = {"stem.conv.weight": torch.randn(64, 3, 7, 7) * 0.1}
    channels = 64
    for stage, (units, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)):
        for unit in range(units):
            name = f"stages.{stage}.blocks.{unit}"
            shapes = {"conv1": (width, channels, 1, 1), "conv2": (width, width, 3, 3)}
            shapes["conv3"] = (4 * width, width, 1, 1)
            if unit == 0:
                shapes["downsample.conv"] = (4 * width, width if stage == 0 else channels, 1, 1)
            for key, shape in shapes.items():
                theirs[f"{name}.{key}.weight"] = torch.randn(shape) * (2 / (shape[1] * shape[2] ** 2)) ** 0.5
            for key, size in (("norm1", channels), ("norm2", width), ("norm3", width)):
                _add_norm(theirs, f"{name}.{key}", size)
            channels = 4 * width
    _add_norm(theirs, "norm", channels)
    theirs["head.fc.weight"] = torch.rand(10, 2048, 1, 1)
    save_file(theirs, tmp_path / "w.safetensors")
    load_imagenet(backbone, tmp_path / "w.safetensors")

    def norm_relu(x: Tensor, name: str) -> Tensor:
        parts = (theirs[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return torch.nn.functional.batch_norm(x, *parts, eps=1e-5).relu()

    # The second block's identity unit: norm1, 1×1, norm2, 3×3, norm3, 1×1, sum.
    raw = torch.randn(1, 512, 4, 4)
    name = "stages.1.blocks.1"
    y = torch.nn.functional.conv2d(norm_relu(raw, f"{name}.norm1"), theirs[f"{name}.conv1.weight"])
    y = torch.nn.functional.conv2d(norm_relu(y, f"{name}.norm2"), theirs[f"{name}.conv2.weight"], padding=1)
    y = torch.nn.functional.conv2d(norm_relu(y, f"{name}.norm3"), theirs[f"{name}.conv3.weight"]) + raw
    unit = backbone.block2[1]
    before = torch.nn.functional.relu(backbone.block2[0].bn3(raw))
    actual, activated = unit(raw, before)
    torch.testing.assert_close(actual, y, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(activated, norm_relu(y, "stages.1.blocks.2.norm1"), rtol=1e-4, atol=1e-4)


def _add_norm(tensors: dict[str, Tensor], name: str, size: int) -> None:
    for part in ("weight", "running_var"):
        tensors[f"{name}.{part}"] = torch.rand(size) + 0.5
    for part in ("bias", "running_mean"):
        tensors[f"{name}.{part}"] = torch.randn(size) * 0.1


def test_authors_init_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = PreActResNet50()
    rng = np.random.default_rng(0)
    state = backbone.state_dict()
    variables = {}
    for ours, theirs in backbone_names().items():
        value = rng.random(tuple(state[ours].shape), dtype=np.float32)
        stored = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
        if not ours.startswith("input_norm"):
            variables[f"{theirs}:0"] = stored
    variables["resnet_v2_50/logits/weights:0"] = np.ones((1, 1, 2048, 3), np.float32)
    monkeypatch.setattr(pretrained, "read_checkpoint", lambda _: variables)
    load_imagenet(backbone, "init.ckpt")
    kernel = backbone.block3[2].conv2.weight.detach().numpy()
    name = "resnet_v2_50/block3/unit_3/bottleneck_v1/conv2/weights:0"
    np.testing.assert_array_equal(kernel, variables[name].transpose(3, 2, 0, 1))
    del variables[name]
    with pytest.raises(SsmaError, match=r"for preact_resnet50: block3\.2\.conv2\.weight is missing"):
        load_imagenet(backbone, "init.ckpt")


def test_mismatch_is_loud_and_changes_nothing(tmp_path: Path) -> None:
    backbone = MobileNetV2(width=0.5)
    before = {n: t.clone() for n, t in backbone.state_dict().items()}
    save_file(_random(MobileNetV2()), tmp_path / "w.safetensors")
    with pytest.raises(SsmaError, match=r"features\.0\.0\.weight is \(32, 3, 3, 3\), expected \(16, 3, 3, 3\)"):
        load_imagenet(backbone, tmp_path / "w.safetensors")
    _assert_loaded(backbone, before)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(_random(MobileNetV2()), tmp_path / "w.safetensors")
    with pytest.raises(SsmaError, match=r"ImageNet weights .* for resnet50: conv1\.weight is missing"):
        load_imagenet(ResNet50(), tmp_path / "w.safetensors")
    with pytest.raises(SsmaError, match="no ImageNet weights are known for this backbone"):
        load_imagenet(ERFNetEncoder(), tmp_path / "w.safetensors")


def test_pickled_files_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(SsmaError, match=r"pickled \.pth and \.pt files are never loaded"):
        load_imagenet(ResNet50(), path)
    with pytest.raises(SsmaError, match=r"TensorFlow checkpoint .*no \.index file in it"):
        load_imagenet(PreActResNet50(), path)


def test_backbones_of_a_network_in_order() -> None:
    network = SSMA(("rgb", "hha"), 3, backbone="mobilenet_v2", width=0.25)
    assert find_backbones(network) == [encoder.backbone for encoder in network.encoders]
