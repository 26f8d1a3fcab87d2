# SPDX-License-Identifier: Apache-2.0
"""ResNet-50 at output stride 16 (He et al., CVPR 2016); parameter names as torchvision has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

from ssma_ros.models.backbones.base import Backbone
from ssma_ros.models.layers import BatchNorm2d

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class Bottleneck(nn.Module):
    """1×1, 3×3 (strided), 1×1, each with BN; ReLU after the addition."""

    def __init__(
        self, in_channels: int, width: int, *, stride: int = 1, dilation: int = 1, project: bool = False
    ) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×4·width, strided."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50(Backbone):
    """ResNet-50 features with the last stage dilated by 2 instead of strided, symmetric padding.

    Args:
        in_channels: of the image.
        input_norm: normalise the image with a BN first.
    """

    name = "resnet50"
    first_convolutions = ("conv1.weight",)
    out_channels = 2048
    skip_stages = (2, 1)
    skip_channels = (512, 256)

    def __init__(self, in_channels: int = 3, *, input_norm: bool = False) -> None:
        super().__init__()
        self.input_norm = BatchNorm2d(in_channels) if input_norm else nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _layer(64, 64, 3)
        self.layer2 = _layer(256, 128, 4, stride=2)
        self.layer3 = _layer(512, 256, 6, stride=2)
        self.layer4 = _layer(1024, 512, 3, dilation=2)

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The stages in order."""
        return (self._start, self.layer1, self.layer2, self.layer3, self.layer4)

    def _start(self, image: Tensor) -> Tensor:
        pooled: Tensor = self.maxpool(F.relu(self.bn1(self.conv1(self.input_norm(image)))))
        return pooled


def _layer(in_channels: int, width: int, units: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    # The first 3×3 of a dilated stage still sees the undilated grid, as in torchvision's replace_stride_with_dilation.
    first = Bottleneck(in_channels, width, stride=stride, project=True)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, dilation=dilation) for _ in range(units - 1)))
