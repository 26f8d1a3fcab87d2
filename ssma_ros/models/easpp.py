# SPDX-License-Identifier: Apache-2.0
"""Efficient atrous spatial pyramid pooling (paper section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ssma_ros.models.layers import cat, conv_norm, global_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class EASPP(nn.Module):
    """1×1, cascaded dilated bottlenecks and image pooling side by side, merged by a 1×1 without ReLU.

    Args:
        in_channels: of the deep features.
        channels: of each branch and of the output.
        bottleneck: of the dilated 3×3 convolutions.
        rates: dilation of each cascaded branch.
    """

    def __init__(
        self, in_channels: int, channels: int = 256, bottleneck: int = 64, rates: Sequence[int] = (3, 6, 12)
    ) -> None:
        super().__init__()
        self.direct = conv_norm(in_channels, channels, 1)
        self.cascades = nn.ModuleList(
            nn.Sequential(
                conv_norm(in_channels, bottleneck, 1),
                conv_norm(bottleneck, bottleneck, 3, dilation=rate),
                conv_norm(bottleneck, bottleneck, 3, dilation=rate),
                conv_norm(bottleneck, channels, 1),
            )
            for rate in rates
        )
        self.pooling = conv_norm(in_channels, channels, 1)
        self.merge = conv_norm(channels * (len(rates) + 2), channels, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×h×w → N×channels×h×w."""
        pooled = self.pooling(global_mean(x)).expand(-1, -1, x.shape[2], x.shape[3])
        merged: Tensor = self.merge(cat([self.direct(x), *(cascade(x) for cascade in self.cascades), pooled]))
        return merged
