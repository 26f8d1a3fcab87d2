# SPDX-License-Identifier: Apache-2.0
"""Stacking: all images as one of many channels (early fusion)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.models.decoder import build_decoder
from ssma_ros.models.layers import cat
from ssma_ros.models.modality_encoder import Encoder
from ssma_ros.models.network import Output, SegmentationNetwork
from ssma_ros.models.presence import constant_gates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.models.options import Options


class Stacking(SegmentationNetwork):
    """AdapNet++ on the channel concatenation of all modalities; a blank image is zeros.

    Gates: 1 for every modality that is there (nothing weighs them).
    """

    name = "Stacking"

    def _build(self, options: Options) -> None:
        self.encoder = Encoder(options, in_channels=3 * len(self.modalities))
        self.decoder = build_decoder(options, self.encoder, self.num_classes)

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        if present is not None:
            images = [image * present[:, i].view(-1, 1, 1, 1) for i, image in enumerate(images)]
        encoded = self.encoder(cat(images))
        logits, auxiliary = self.decoder(encoded)
        weights = constant_gates(present, encoded, len(self.modalities), normalize=False) if gates else None
        return Output(logits, auxiliary, weights)
