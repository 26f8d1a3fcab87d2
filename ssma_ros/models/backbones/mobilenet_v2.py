# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 at output stride 16 (Sandler et al., CVPR 2018); parameter names as torchvision has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ssma_ros.models.backbones.base import Backbone
from ssma_ros.models.layers import BatchNorm2d

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

#: Expansion, channels, repeats, stride, dilation. The stage of 160 and 320 channels keeps 1/16: its first unit does
#: not stride, and what follows is dilated by 2.
_ROWS = (
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),
    (6, 32, 3, 2, 1),
    (6, 64, 4, 2, 1),
    (6, 96, 3, 1, 1),
    (6, 160, 1, 1, 1),
    (6, 160, 2, 1, 2),
    (6, 320, 1, 1, 2),
)


class MobileNetV2(Backbone):
    """MobileNetV2 features without the classifier's last 1×1, stride 16, symmetric padding as trained on ImageNet.

    Args:
        in_channels: of the image.
        input_norm: normalise the image with a BN first.
        width: multiplier of all channel counts (rounded to multiples of 8).
    """

    name = "mobilenet_v2"
    first_convolutions = ("features.0.0.weight",)
    skip_stages = (2, 1)

    def __init__(self, in_channels: int = 3, *, input_norm: bool = False, width: float = 1.0) -> None:
        super().__init__()
        self.input_norm = BatchNorm2d(in_channels) if input_norm else nn.Identity()
        channels = round_channels(32 * width)
        layers: list[nn.Module] = [_conv(in_channels, channels, 3, stride=2)]
        outputs = []
        for expansion, base, repeats, stride, dilation in _ROWS:
            out = round_channels(base * width)
            for i in range(repeats):
                layers.append(InvertedResidual(channels, out, expansion, stride if i == 0 else 1, dilation))
                channels = out
            outputs.append(out)
        self.features = nn.Sequential(*layers)
        self.out_channels = channels
        self.skip_channels = (outputs[2], outputs[1])

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The stages in order."""
        # Half, quarter (row 24), eighth (row 32), sixteenth (rows 64 and 96), dilated (rows 160 and 320).
        bounds = ((2, 4), (4, 7), (7, 14), (14, 18))
        return (self._start, *(self.features[a:b] for a, b in bounds))

    def _start(self, image: Tensor) -> Tensor:
        half: Tensor = self.features[:2](self.input_norm(image))
        return half


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise 3×3, linear 1×1; added to the input where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv(in_channels, hidden, 1)]
        layers += [
            _conv(hidden, hidden, 3, stride=stride, dilation=dilation, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×out_channels, strided."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


def round_channels(value: float, divisor: int = 8) -> int:
    """Nearest multiple of ``divisor``, never more than 10 % below ``value`` (the paper's rounding)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * value else rounded + divisor


def _conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False),
        BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )
