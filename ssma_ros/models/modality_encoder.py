# SPDX-License-Identifier: Apache-2.0
"""One modality's encoder: backbone, eASPP and skip projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from ssma_ros.models.backbones import build_backbone
from ssma_ros.models.easpp import EASPP
from ssma_ros.models.layers import conv_norm

if TYPE_CHECKING:
    from torch import Tensor

    from ssma_ros.models.backbones import Taps
    from ssma_ros.models.options import Options


class Encoded(NamedTuple):
    """What a decoder starts from.

    Attributes:
        latent: N×latent_channels×h×w.
        skips: projected skips, 1/8 then 1/4; empty where the decoder takes none.
    """

    latent: Tensor
    skips: tuple[Tensor, ...]


class Encoder(nn.Module):
    """Backbone, then eASPP on the deep features and a 1×1 with BN, no ReLU, on each skip.

    ERFNet has neither eASPP nor skips: its latent features are the backbone's output.

    Attributes:
        latent_channels: of :attr:`Encoded.latent`.
        num_skips: how many skips it gives.
    """

    def __init__(self, options: Options, in_channels: int = 3) -> None:
        super().__init__()
        self.backbone = build_backbone(options, in_channels)
        self.num_skips = len(self.backbone.skip_channels)
        self.easpp: nn.Module = nn.Identity()
        self.latent_channels = self.backbone.out_channels
        if self.num_skips:
            self.easpp = EASPP(
                self.backbone.out_channels, options.easpp_channels, options.easpp_bottleneck, options.easpp_rates
            )
            self.latent_channels = options.easpp_channels
        self.skips = nn.ModuleList(
            conv_norm(channels, options.skip_channels, 1, relu=False) for channels in self.backbone.skip_channels
        )

    def project(self, taps: Taps) -> Encoded:
        """eASPP and skip projections on the taps of a backbone pass."""
        skips = tuple(project(tap) for project, tap in zip(self.skips, taps.skips, strict=True))
        return Encoded(self.easpp(taps.deep), skips)

    def forward(self, image: Tensor) -> Encoded:
        """Latent features and projected skips of an N×in_channels×H×W image."""
        return self.project(self.backbone(image))
