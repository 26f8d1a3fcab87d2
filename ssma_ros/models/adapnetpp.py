# SPDX-License-Identifier: Apache-2.0
"""AdapNet++: one encoder, one decoder (paper section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.models.decoder import build_decoder
from ssma_ros.models.modality_encoder import Encoder
from ssma_ros.models.network import Output, SegmentationNetwork
from ssma_ros.models.presence import constant_gates, gate_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.models.options import Options


class AdapNetPP(SegmentationNetwork):
    """Unimodal segmentation network.

    Args:
        num_classes: output channels.
        modalities: name of the one input.
        variant, preset, options: as for every :class:`SegmentationNetwork`.
    """

    name = "AdapNetPP"

    def __init__(self, num_classes: int, modalities: Sequence[str] = ("rgb",), **options: Any) -> None:
        if len(modalities) != 1:
            raise ValueError(f"AdapNetPP: modalities are {tuple(modalities)}, expected exactly one")
        super().__init__(modalities, num_classes, **options)

    def _build(self, options: Options) -> None:
        self.encoder = Encoder(options)
        self.decoder = build_decoder(options, self.encoder, self.num_classes)

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        encoded = gate_off(self.encoder(images[0]), present, 0)
        logits, auxiliary = self.decoder(encoded)
        weights = constant_gates(present, encoded, 1, normalize=False) if gates else None
        return Output(logits, auxiliary, weights)
