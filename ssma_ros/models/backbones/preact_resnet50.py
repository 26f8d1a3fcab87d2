# SPDX-License-Identifier: Apache-2.0
"""Pre-activation ResNet-50 with multiscale units: the encoder of AdapNet++ (paper section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

from ssma_ros.models.backbones.base import Backbone
from ssma_ros.models.layers import BatchNorm2d, Conv2d, MultiscaleConv2d, conv_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

#: (dilation, dilation) of the multiscale units res3d, res4c, d, e, f, res5a, b, c.
Dilations = tuple[tuple[int, int], ...]
RELEASED_DILATIONS: Dilations = ((1, 2),) * 5 + ((2, 2),) * 3
PAPER_DILATIONS: Dilations = ((1, 2), (1, 2), (1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (2, 16))


class Unit(nn.Module):
    """Bottleneck unit: 1×1, 3×3, 1×1 on the activated input, plus a shortcut.

    ``bn3`` normalises the unit's *sum*: it is the pre-activation of whatever comes next.

    Args:
        in_channels: of the input.
        width: channels of the 3×3.
        out_channels: of the sum.
        stride: of the 3×3 and of a projection shortcut.
        dilations: of the multiscale 3×3, or None for an ordinary one.
        project: the shortcut is a 1×1 on the *activated* input instead of the raw sum.
        dropout: probability for the last 1×1's output, before the addition.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilations: tuple[int, int] | None = None,
        project: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, width, 1)
        self.bn1 = BatchNorm2d(width)
        self.conv2: nn.Conv2d
        if dilations is None:
            self.conv2 = Conv2d(width, width, 3, stride=stride)
        else:
            self.conv2 = MultiscaleConv2d(width, width, dilations)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = Conv2d(width, out_channels, 1)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = Conv2d(in_channels, out_channels, 1, stride=stride) if project else None
        self.bn3 = BatchNorm2d(out_channels)

    def forward(self, raw: Tensor, activated: Tensor) -> tuple[Tensor, Tensor]:
        """Next (sum, ReLU(BN(sum))) from the same pair of the unit before."""
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(activated))))))
        y = self.dropout(self.conv3(y)) + (raw if self.shortcut is None else self.shortcut(activated))
        return y, F.relu(self.bn3(y))


class FirstUnit(Unit):
    """res2a, which is not pre-activated: its shortcut starts behind the first 1×1, BN, ReLU."""

    def __init__(self, channels: int, width: int, out_channels: int) -> None:
        super().__init__(channels, width, out_channels)
        self.shortcut = Conv2d(width, out_channels, 1)

    def forward(self, raw: Tensor, activated: Tensor) -> tuple[Tensor, Tensor]:
        """Next (sum, ReLU(BN(sum))); both arguments are the pooled stem output."""
        assert self.shortcut is not None
        y = F.relu(self.bn1(self.conv1(activated)))
        y = self.conv3(F.relu(self.bn2(self.conv2(y)))) + self.shortcut(y)
        return y, F.relu(self.bn3(y))


class Block(nn.ModuleList):
    """Units of one resolution; hands on ReLU(BN(sum)) of the last one."""

    def forward(self, activated: Tensor) -> Tensor:
        """ReLU(BN(sum)) of the last unit from that of the block before."""
        raw = activated
        for unit in self:
            raw, activated = unit(raw, activated)
        return activated


class PreActResNet50(Backbone):
    """Pre-activation ResNet-50 at output stride 16 with the multiscale units of AdapNet++.

    Args:
        in_channels: of the image (3; more for stacked modalities).
        input_norm: normalise the image with a BN first, as the released networks do with raw BGR 0..255.
        dilations: of the eight multiscale units, see :data:`RELEASED_DILATIONS` and :data:`PAPER_DILATIONS`.
        dropout: probability in the last unit.
    """

    name = "preact_resnet50"
    first_convolutions = ("stem.conv.weight",)
    out_channels = 2048
    skip_stages = (2, 1)
    skip_channels = (512, 256)

    def __init__(
        self,
        in_channels: int = 3,
        *,
        input_norm: bool = True,
        dilations: Dilations = RELEASED_DILATIONS,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(dilations) != 8:
            raise ValueError(f"pre-activation ResNet-50: {len(dilations)} dilation pairs, expected 8")
        self.input_norm = BatchNorm2d(in_channels) if input_norm else nn.Identity()
        self.stem = conv_norm(in_channels, 64, 7, stride=2)
        # ceil_mode lets the last window hang over the edge: TensorFlow's SAME padding of 0/1 with −inf.
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.block1 = Block([FirstUnit(64, 64, 256), Unit(256, 64, 256), Unit(256, 64, 256)])
        self.block2 = _block(256, 128, 512, 2, [None, None, dilations[0]])
        self.block3 = _block(512, 256, 1024, 2, [None, *dilations[1:5]])
        self.block4 = Block(
            [
                Unit(1024, 512, 2048, dilations=dilations[5], project=True),
                Unit(2048, 512, 2048, dilations=dilations[6]),
                Unit(2048, 512, 2048, dilations=dilations[7], dropout=dropout),
            ]
        )

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The stages in order."""
        return (self._start, self.block1, self.block2, self.block3, self.block4)

    def _start(self, image: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.stem(self.input_norm(image)))
        return pooled


def _block(
    in_channels: int, width: int, out_channels: int, stride: int, dilations: Sequence[tuple[int, int] | None]
) -> Block:
    first = Unit(in_channels, width, out_channels, stride=stride, project=True)
    return Block([first, *(Unit(out_channels, width, out_channels, dilations=d) for d in dilations)])
