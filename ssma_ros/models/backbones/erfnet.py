# SPDX-License-Identifier: Apache-2.0
"""ERFNet's encoder (Romera et al., IEEE T-ITS 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

from ssma_ros.models.backbones.base import Backbone
from ssma_ros.models.layers import BatchNorm2d, cat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class Downsampler(nn.Module):
    """Strided 3×3 beside a max-pool, concatenated; BN, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, 2, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.bn = BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×out_channels×H/2×W/2."""
        return F.relu(self.bn(cat([self.conv(x), self.pool(x)])))


class NonBottleneck1D(nn.Module):
    """Residual unit of two factorised 3×3 convolutions, the second pair dilated."""

    def __init__(self, channels: int, dropout: float, dilation: int) -> None:
        super().__init__()
        d = dilation
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = BatchNorm2d(channels)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(d, 0), dilation=(d, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, d), dilation=(1, d))
        self.bn2 = BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        y = F.relu(self.bn1(self.conv1x3_1(F.relu(self.conv3x1_1(x)))))
        y = self.bn2(self.conv1x3_2(F.relu(self.conv3x1_2(y))))
        return F.relu(self.dropout(y) + x)


class ERFNetEncoder(Backbone):
    """ERFNet encoder: 16 channels at 1/2, 64 at 1/4, 128 at 1/8. Its decoder takes no skips.

    Args:
        in_channels: of the image, less than 16 (the first block concatenates the pooled image).
        input_norm: normalise the image with a BN first.
    """

    name = "erfnet"
    out_channels = 128
    stride = 8
    skip_stages = ()
    skip_channels = ()

    def __init__(self, in_channels: int = 3, *, input_norm: bool = False) -> None:
        super().__init__()
        if in_channels >= 16:
            raise ValueError(f"ERFNet: in_channels is {in_channels}, expected fewer than 16")
        self.input_norm = BatchNorm2d(in_channels) if input_norm else nn.Identity()
        self.initial = Downsampler(in_channels, 16)
        self.quarter = nn.Sequential(Downsampler(16, 64), *(NonBottleneck1D(64, 0.03, 1) for _ in range(5)))
        self.eighth = nn.Sequential(
            Downsampler(64, 128), *(NonBottleneck1D(128, 0.3, d) for d in (2, 4, 8, 16, 2, 4, 8, 16))
        )

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The stages in order."""
        return (self._start, self.quarter, self.eighth)

    def _start(self, image: Tensor) -> Tensor:
        half: Tensor = self.initial(self.input_norm(image))
        return half
