"""Backbones by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.models.backbones.base import Backbone, Taps
from ssma_ros.models.backbones.erfnet import ERFNetEncoder
from ssma_ros.models.backbones.mobilenet_v2 import MobileNetV2
from ssma_ros.models.backbones.preact_resnet50 import PreActResNet50
from ssma_ros.models.backbones.resnet50 import ResNet50

if TYPE_CHECKING:
    from ssma_ros.models.options import Options

__all__ = ["Backbone", "ERFNetEncoder", "MobileNetV2", "PreActResNet50", "ResNet50", "Taps", "build_backbone"]


def build_backbone(options: Options, in_channels: int = 3) -> Backbone:
    """The backbone that ``options`` name, freshly built, for images of ``in_channels`` channels."""
    norm = bool(options.input_norm)
    if options.backbone == PreActResNet50.name:
        return PreActResNet50(in_channels, input_norm=norm, dilations=options.dilations, dropout=options.dropout)
    if options.backbone == MobileNetV2.name:
        return MobileNetV2(in_channels, input_norm=norm, width=options.width)
    if options.backbone == ResNet50.name:
        return ResNet50(in_channels, input_norm=norm)
    return ERFNetEncoder(in_channels, input_norm=norm)
