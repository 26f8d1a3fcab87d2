# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights for the backbones, from a user's file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssma_ros.errors import SsmaError
from ssma_ros.models.backbones import Backbone, MobileNetV2, PreActResNet50, ResNet50
from ssma_ros.models.tensorflow.checkpoint import read_checkpoint
from ssma_ros.models.tensorflow.names import backbone_names, plain_name, to_torch
from ssma_ros.models.weights import assign, read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: Parts of an ImageNet classifier that a backbone does not have, in torchvision's and timm's naming. "bn2" at the
#: top level is the norm of timm's last 1×1.
_CLASSIFIER = re.compile(r"(fc|classifier|head|conv_head|features\.18)\..*|bn2\..*")
_NORM = ("weight", "bias", "running_mean", "running_var")


def load_imagenet(backbone: Backbone, path: str | Path) -> None:
    """Fill ``backbone`` with ImageNet weights.

    Args:
        backbone: ``resnet50`` or ``mobilenet_v2`` (torchvision or timm naming), or ``preact_resnet50`` (timm's
            ``resnetv2_50``, or the authors' TensorFlow init checkpoint).
        path: a ``.safetensors`` file, or the prefix, folder or zip of a TensorFlow V2 checkpoint. The image's BN,
            which ImageNet networks lack, stays as it is where the file has none.

    Raises:
        SsmaError: no such file, not of these kinds, or a tensor is missing, superfluous or misshapen.
    """
    path = Path(path)
    where = f"ImageNet weights {path} for {backbone.name}"
    if path.suffix == ".safetensors":
        tensors = {n: t for n, t in read_tensors(path).items() if not n.endswith("num_batches_tracked")}
        renamed = _rename(backbone, tensors, where)
    elif isinstance(backbone, PreActResNet50):
        renamed = _from_tensorflow(path)
    else:
        raise SsmaError(f"{where}: expected a .safetensors file (pickled .pth and .pt files are never loaded)")
    assign(backbone, renamed, where, "the backbone", optional=("input_norm.",))


def _rename(backbone: Backbone, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    if isinstance(backbone, ResNet50):
        names = {name: name for name in tensors}
    elif isinstance(backbone, MobileNetV2):
        names = {name: name for name in tensors} if "features.0.0.weight" in tensors else _timm_mobilenet()
    elif isinstance(backbone, PreActResNet50):
        names = _timm_resnetv2(backbone)
    else:
        raise SsmaError(f"{where}: no ImageNet weights are known for this backbone, expected another one")
    return {
        names.get(name, name): tensor
        for name, tensor in tensors.items()
        if names.get(name, name) != name or not _CLASSIFIER.fullmatch(name)
    }


def _timm_mobilenet() -> dict[str, str]:
    """timm ``mobilenetv2_100`` → torchvision names."""
    names = {"conv_stem.weight": "features.0.0.weight", **_norm("bn1", "features.0.1")}
    index = 1
    for stage, units in enumerate((1, 2, 3, 4, 3, 3, 1)):
        parts = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
        if stage == 0:
            parts = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
        for unit in range(units):
            for theirs, ours in parts.items():
                source, target = f"blocks.{stage}.{unit}.{theirs}", f"features.{index}.conv.{ours}"
                names.update(_norm(source, target) if "bn" in theirs else {f"{source}.weight": f"{target}.weight"})
            index += 1
    return names


def _timm_resnetv2(backbone: PreActResNet50) -> dict[str, str]:
    """timm ``resnetv2_50`` → our names.

    timm's ``norm1`` of a unit is the BN on the sum before it, so it belongs to our unit before; that of the very first
    unit normalises the stem.
    """
    names = {"stem.conv.weight": "stem.conv.weight"}
    target = "stem.bn"
    blocks = (backbone.block1, backbone.block2, backbone.block3, backbone.block4)
    for stage, block in enumerate(blocks):
        for unit in range(len(block)):
            theirs, ours = f"stages.{stage}.blocks.{unit}", f"block{stage + 1}.{unit}"
            names.update(_norm(f"{theirs}.norm1", target))
            names.update(_norm(f"{theirs}.norm2", f"{ours}.bn1"))
            names.update(_norm(f"{theirs}.norm3", f"{ours}.bn2"))
            names.update({f"{theirs}.conv{k}.weight": f"{ours}.conv{k}.weight" for k in (1, 2, 3)})
            names[f"{theirs}.downsample.conv.weight"] = f"{ours}.shortcut.weight"
            target = f"{ours}.bn3"
    return {**names, **_norm("norm", target)}


def _norm(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{part}": f"{ours}.{part}" for part in _NORM}


def _from_tensorflow(path: Path) -> dict[str, Tensor]:
    variables = {plain_name(name): value for name, value in read_checkpoint(path).items()}
    arrays = to_torch(backbone_names(), variables)
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in arrays.items()}
