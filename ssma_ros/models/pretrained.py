# SPDX-License-Identifier: Apache-2.0
"""Backbones that start from ImageNet weights, for pictures as the input contract makes them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.errors import SsmaError
from ssma_ros.models.backbones import MobileNetV2, PreActResNet50, ResNet50, TimmBackbone, find_backbones
from ssma_ros.models.imagenet_weights import DEVIATION, ImageNetWeights, Triple, find_weights
from ssma_ros.models.tensorflow.checkpoint import read_checkpoint
from ssma_ros.models.tensorflow.names import backbone_names, plain_name, to_torch
from ssma_ros.models.weights import assign

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.models.backbones import Backbone
    from ssma_ros.models.network import SegmentationNetwork

#: Parts of an ImageNet classifier that a backbone does not have, in torchvision's and timm's naming. "bn2" at the
#: top level is the norm of timm's last 1×1.
_CLASSIFIER = re.compile(r"(fc|classifier|head|conv_head|features\.18)\..*|bn2\..*")
_NORM = ("weight", "bias", "running_mean", "running_var")
#: A contract's mean may be off by this many levels, and its scale by this share of itself, from what weights want.
_LEVEL, _SHARE = 1.0, 0.01


def load_imagenet(backbone: Backbone, path: str | Path) -> None:
    """Fill ``backbone`` with ImageNet weights as they are, for pictures of three channels as these weights want them.

    Args:
        backbone: ``resnet50`` or ``mobilenet_v2`` (torchvision or timm naming), ``preact_resnet50`` (timm's
            ``resnetv2_50``, or the authors' TensorFlow init checkpoint), or one of timm (its own naming).
        path: a ``.safetensors`` file, or the prefix, folder or zip of a TensorFlow V2 checkpoint. The image's BN,
            which ImageNet networks lack, stays as it is where the file has none.

    Raises:
        SsmaError: no such file, not of these kinds, or a tensor is missing, superfluous or misshapen.
    """
    weights = _find(backbone, path)
    assign(backbone, _renamed(backbone, weights), weights.where, "the backbone", optional=("input_norm.",))


def start_from_imagenet(
    network: SegmentationNetwork, contract: Contract, source: str | Path, *, without: Collection[str] = ()
) -> Contract:
    """Fill every backbone of a network with ImageNet weights, made to fit each stream's pictures.

    A colour stream must have the mean and scale that the weights were trained with, or none, which is then filled in;
    in which order its channels are does not matter, for the first convolution is turned round for BGR. Any other
    stream, which its own mean and scale bring to 0 and 1, starts from the same weights as in the paper; its first
    convolution is scaled to the deviation that ImageNet's pictures have. Where an encoder takes several streams, its
    first convolution gets the mean of theirs.

    Args:
        network: may be without storage, which only checks.
        contract: of its streams.
        source: as :func:`~ssma_ros.models.imagenet_weights.find_weights`, or a TensorFlow checkpoint.
        without: streams whose encoders are filled from elsewhere.

    Returns:
        The contract with the mean and scale of all streams.

    Raises:
        SsmaError: there are no such weights, they do not fit, or a stream's pictures are not what they want.
    """
    backbones = find_backbones(network)
    weights = _find(backbones[0], source)
    normalised = bool(network.options.input_norm)  # then mean and scale do not matter
    streams = tuple(
        stream if stream.name in without else _fitting(stream, weights, normalised) for stream in contract.streams
    )
    renamed = _renamed(backbones[0], weights)
    if not backbones[0].first_convolutions:
        raise SsmaError(f"{weights.where}: timm does not tell which convolution meets the image, so the weights cannot "
                        "be made to fit the streams; expected another network")
    for index, backbone in enumerate(backbones):
        seen = streams if len(backbones) == 1 else streams[index:index + 1]
        if len(seen) > 1 or seen[0].name not in without:
            tensors = {
                name: _first(tensor, seen, weights, normalised) if name in backbone.first_convolutions else tensor
                for name, tensor in renamed.items()
            }
            assign(backbone, tensors, weights.where, "the backbone", optional=("input_norm.",))
    return replace(contract, streams=streams)


def _fitting(stream: Stream, weights: ImageNetWeights, normalised: bool) -> Stream:
    """The stream with a mean and scale that fit the weights."""
    stated = any(stream.mean) or any(value != 1.0 for value in stream.scale)
    if weights.mean is None or weights.deviation is None or normalised:
        return stream
    if not _is_photograph(stream):
        if not stated:
            raise SsmaError(f"{weights.where}: stream '{stream.name}' has neither mean nor scale, expected those that "
                            "'ssma statistics' measures: the weights want pictures of about 0 mean and unit deviation")
        return stream
    turn = -1 if ENCODINGS[stream.encoding].order == "bgr" else 1
    mean, scale = _triple(weights.mean[::turn]), _triple([1.0 / value for value in weights.deviation[::turn]])
    if not stated:
        return replace(stream, mean=mean, scale=scale)
    near = all(abs(a - b) <= _LEVEL for a, b in zip(stream.mean, mean, strict=True))
    near &= all(abs(a / b - 1.0) <= _SHARE for a, b in zip(stream.scale, scale, strict=True))
    if not near:
        wanted = f"mean: {_shown(mean)}, scale: {_shown(scale)}"
        raise SsmaError(f"{weights.where}: stream '{stream.name}' ({stream.encoding}) has mean: {_shown(stream.mean)}, "
                        f"scale: {_shown(stream.scale)}, expected what these weights were trained with, {wanted}; "
                        "state that, or leave both out")
    return stream


def _triple(values: Sequence[float]) -> Triple:
    return values[0], values[1], values[2]


def _shown(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _is_photograph(stream: Stream) -> bool:
    return ENCODINGS[stream.encoding].is_photograph


def _first(tensor: Tensor, streams: Sequence[Stream], weights: ImageNetWeights, normalised: bool) -> Tensor:
    """A first convolution for the pictures of these streams, side by side.

    Args:
        tensor: O×3×h×w, for pictures as the weights want them.
        streams: of the encoder.
        weights: of which it is.
        normalised: the network brings every picture to mean 0 and deviation 1.
    """
    if weights.deviation is None:  # for pictures as they come
        return torch.cat([tensor] * len(streams), dim=1) / len(streams)
    ratio = torch.tensor([have / want for have, want in zip(DEVIATION, weights.deviation, strict=True)])
    parts = []
    for stream in streams:
        photograph = _is_photograph(stream)
        part = tensor if photograph and not normalised else tensor * ratio.view(1, 3, 1, 1)
        parts.append(part.flip(1) if photograph and ENCODINGS[stream.encoding].order == "bgr" else part)
    return torch.cat(parts, dim=1) / len(parts)


def _find(backbone: Backbone, source: str | Path) -> ImageNetWeights:
    if isinstance(backbone, PreActResNet50) and str(source) != "imagenet" and Path(source).suffix != ".safetensors":
        # The authors' networks normalise BGR as it comes, by the image's BN.
        return ImageNetWeights(_from_tensorflow(Path(source)), f"ImageNet weights {source} for {backbone.name}",
                               None, None)
    return find_weights(backbone.name, source)


def _renamed(backbone: Backbone, weights: ImageNetWeights) -> dict[str, Tensor]:
    """The tensors that a backbone has, by its names, and those that no classifier would have besides."""
    tensors = {name: t for name, t in weights.tensors.items() if not name.endswith("num_batches_tracked")}
    if isinstance(backbone, TimmBackbone):
        return backbone.named_as_here(tensors)
    if isinstance(backbone, ResNet50) or (isinstance(backbone, PreActResNet50) and weights.mean is None):
        names = {name: name for name in tensors if not _CLASSIFIER.fullmatch(name)}
    elif isinstance(backbone, MobileNetV2):
        names = {name: name for name in tensors} if "features.0.0.weight" in tensors else _timm_mobilenet()
    elif isinstance(backbone, PreActResNet50):
        names = _timm_resnetv2(backbone)
    else:
        raise SsmaError(f"{weights.where}: no ImageNet weights are known for this backbone, expected another one")
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
