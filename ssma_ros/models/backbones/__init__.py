# SPDX-License-Identifier: Apache-2.0
"""Backbones by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.models.backbones.base import Backbone, Taps
from ssma_ros.models.backbones.erfnet import ERFNetEncoder
from ssma_ros.models.backbones.mobilenet_v2 import MobileNetV2
from ssma_ros.models.backbones.preact_resnet50 import PreActResNet50
from ssma_ros.models.backbones.resnet50 import ResNet50
from ssma_ros.models.backbones.timm_features import PREFIX, TimmBackbone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from ssma_ros.models.options import Options

__all__ = ["Backbone", "ERFNetEncoder", "MobileNetV2", "PreActResNet50", "ResNet50", "Taps", "TimmBackbone",
           "build_backbone", "find_backbones", "remarks"]


#: By the names in :data:`ssma_ros.models.options.BACKBONES`; a test holds the two together.
_BUILDERS: Mapping[str, Callable[[Options, int, bool], Backbone]] = {
    PreActResNet50.name: lambda options, channels, norm: PreActResNet50(
        channels, input_norm=norm, dilations=options.dilations, dropout=options.dropout
    ),
    ResNet50.name: lambda options, channels, norm: ResNet50(channels, input_norm=norm),
    MobileNetV2.name: lambda options, channels, norm: MobileNetV2(channels, input_norm=norm, width=options.width),
    ERFNetEncoder.name: lambda options, channels, norm: ERFNetEncoder(channels, input_norm=norm),
}


def build_backbone(options: Options, in_channels: int = 3) -> Backbone:
    """The backbone that ``options`` name, freshly built, for images of ``in_channels`` channels."""
    if options.backbone.startswith(PREFIX):
        return TimmBackbone(options.backbone, in_channels, input_norm=bool(options.input_norm))
    return _BUILDERS[options.backbone](options, in_channels, bool(options.input_norm))


def find_backbones(network: nn.Module) -> list[Backbone]:
    """Every backbone of a network, in the order of its modalities."""
    return [module for module in network.modules() if isinstance(module, Backbone)]


def remarks(network: nn.Module) -> list[str]:
    """What a person should know of a network's backbones, each once."""
    return list(dict.fromkeys(backbone.remark for backbone in find_backbones(network) if backbone.remark))
