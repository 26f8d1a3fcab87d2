# SPDX-License-Identifier: Apache-2.0
"""Late Fusion and LFC: fusion behind the decoders by trained convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ssma_ros.models.baselines.experts import ExpertNetwork, mean_auxiliary, stack_masked
from ssma_ros.models.decoder import Decoded, build_head, build_trunk
from ssma_ros.models.layers import Conv2d, conv_norm
from ssma_ros.models.modality_encoder import Encoder
from ssma_ros.models.network import Output, SegmentationNetwork
from ssma_ros.models.presence import constant_gates, gate_off, gate_off_decoded, mean_upsampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.models.options import Options


class LateFusion(ExpertNetwork):
    """The experts' logits, concatenated, through one trained 1×1 convolution (after Eitel et al., IROS 2015).

    Gates: 1 for every modality that is there.
    """

    name = "LateFusion"

    def _build(self, options: Options) -> None:
        super()._build(options)
        self.merge = Conv2d(len(self.modalities) * self.num_classes, self.num_classes, 1, bias=True)

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        opinions = self._ask(images, present)
        logits = self.merge(stack_masked([o.logits for o in opinions], present).flatten(1, 2))
        weights = None
        if gates:
            weights = constant_gates(present, opinions[0].encoded, len(opinions), normalize=False)
        return Output(logits, mean_auxiliary(opinions, present), weights)


class LFC(SegmentationNetwork):
    """Late-fused convolution: decoder features added, two 3×3 convolutions, one classifier (Valada et al., ISER 2016).

    Gates: 1 for every modality that is there.
    """

    name = "LFC"

    def _build(self, options: Options) -> None:
        encoders = [Encoder(options) for _ in self.modalities]
        self.encoders = nn.ModuleList(encoders)
        self.trunks = nn.ModuleList(build_trunk(options, encoder) for encoder in encoders)
        self.head = build_head(options, encoders[0], self.num_classes)
        channels = self.head.channels
        self.merge = nn.Sequential(conv_norm(channels, channels, 3), conv_norm(channels, channels, 3))

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        streams, decoded = [], []
        for i, (encoder, trunk) in enumerate(zip(self.encoders, self.trunks, strict=True)):
            streams.append(gate_off(encoder(images[i]), present, i))
            decoded.append(gate_off_decoded(trunk(streams[i]), present, i))
        merged = self.merge(sum(d.last for d in decoded))
        logits, auxiliary = self.head(Decoded(merged, mean_upsampled(decoded, present)))
        weights = constant_gates(present, streams[0], len(streams), normalize=False) if gates else None
        return Output(logits, auxiliary, weights)
