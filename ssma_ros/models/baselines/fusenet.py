# SPDX-License-Identifier: Apache-2.0
"""FuseNet's fusion (Hazirbas et al., ACCV 2016): other encoders' features added into the first, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

from ssma_ros.models.backbones import build_backbone
from ssma_ros.models.decoder import build_decoder
from ssma_ros.models.modality_encoder import Encoder
from ssma_ros.models.network import Output, SegmentationNetwork
from ssma_ros.models.presence import constant_gates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.models.backbones import Backbone
    from ssma_ros.models.options import Options


class FuseNet(SegmentationNetwork):
    """The first modality has the whole network, every other one a backbone whose stages feed the first's.

    Gates: 1 for every modality that is there.
    """

    name = "FuseNet"

    def _build(self, options: Options) -> None:
        self.encoder = Encoder(options)
        self.encoder.backbone.stages()  # refuses one that is no chain
        self.branches = nn.ModuleList(build_backbone(options) for _ in self.modalities[1:])
        self.decoder = build_decoder(options, self.encoder, self.num_classes)

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        backbone = self.encoder.backbone
        main, others = images[0], list(images[1:])
        branches = [cast("Backbone", branch).stages() for branch in self.branches]
        fused = []
        for level, stage in enumerate(backbone.stages()):
            main = self._gated(stage(main), present, 0)
            for i, stages in enumerate(branches):
                others[i] = stages[level](others[i])
                main = main + self._gated(others[i], present, i + 1)
            fused.append(main)
        encoded = self.encoder.project(backbone.taps(fused))
        logits, auxiliary = self.decoder(encoded)
        weights = constant_gates(present, encoded, len(self.modalities), normalize=False) if gates else None
        return Output(logits, auxiliary, weights)

    @staticmethod
    def _gated(features: Tensor, present: Tensor | None, modality: int) -> Tensor:
        return features if present is None else features * present[:, modality].view(-1, 1, 1, 1)
