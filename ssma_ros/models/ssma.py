# SPDX-License-Identifier: Apache-2.0
"""SSMA: one encoder for each modality, fused at the latent features and the skips (paper section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from ssma_ros.models.decoder import Decoded, build_head, build_trunk
from ssma_ros.models.fusion import Fused, SSMABlock, shares_of
from ssma_ros.models.modality_encoder import Encoded, Encoder
from ssma_ros.models.network import Output, SegmentationNetwork
from ssma_ros.models.presence import gate_off, gate_off_decoded, mean_upsampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.models.options import Options


class SSMA(SegmentationNetwork):
    """Multimodal segmentation network for N ≥ 1 modalities.

    ``fusion="encoder"`` fuses the latent features and both skips and decodes once; ``fusion="decoder"`` decodes
    each modality and fuses the last decoder features before one classifier.

    Args:
        modalities: names of the inputs, in order.
        num_classes: output channels.
        variant, preset, options: as for every :class:`SegmentationNetwork`; auxiliary heads are off unless
            asked for (the released network has none), on in presets.
    """

    name = "SSMA"
    weighs_parts = True

    def __init__(
        self,
        modalities: Sequence[str] = ("rgb", "hha"),
        num_classes: int = 12,
        *,
        preset: str | None = None,
        **options: Any,
    ) -> None:
        if preset is None:
            options.setdefault("auxiliary_heads", False)
        super().__init__(modalities, num_classes, preset=preset, **options)

    @classmethod
    def preset(cls, name: str, num_classes: int, modalities: Sequence[str] = ("rgb", "hha", "evi")) -> SSMA:
        """A ready-made network, for example ``forest-mobilenet`` (three streams for two CPU cores)."""
        return cls(modalities, num_classes, preset=name)

    def _build(self, options: Options) -> None:
        encoders = [Encoder(options) for _ in self.modalities]
        first, count = encoders[0], len(encoders)
        self.encoders = nn.ModuleList(encoders)
        self.head = build_head(options, first, self.num_classes)
        self.skip_fusions = nn.ModuleList()
        if options.fusion == "encoder":
            self.trunks = nn.ModuleList([build_trunk(options, first, attention=True)])
            self.skip_fusions.extend(
                SSMABlock(options.skip_channels, count, options.eta_skip, kernel=3, norm=False, gating=options.gating)
                for _ in range(first.num_skips)
            )
        else:
            self.trunks = nn.ModuleList(build_trunk(options, first) for _ in self.modalities)
        channels = first.latent_channels if options.fusion == "encoder" else self.head.channels
        self.fusion = SSMABlock(
            channels, count, options.eta, kernel=options.latent_kernel, norm=True, gating=options.gating
        )

    def _segment(
        self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool, shares: bool = False
    ) -> Output:
        streams = [
            gate_off(encoder(image), present, i)
            for i, (encoder, image) in enumerate(zip(self.encoders, images, strict=True))
        ]
        fuse = self._fuse_encoded if self.options.fusion == "encoder" else self._fuse_decoded
        decoded, fused = fuse(streams, present, apart=shares)
        logits, auxiliary = self.head(decoded)
        return Output(logits, auxiliary, self.fusion.mean_gates(fused.gates) if gates else None,
                      shares_of(fused.parts) if shares else None)

    def _fuse(self, features: Sequence[Tensor], present: Tensor | None, *, apart: bool) -> Fused:
        if apart:
            return self.fusion.apart(features, present)
        fused, gates = self.fusion(features, present)
        return Fused(fused, gates, ())

    def _fuse_encoded(
        self, streams: Sequence[Encoded], present: Tensor | None, *, apart: bool
    ) -> tuple[Decoded, Fused]:
        latent = self._fuse([s.latent for s in streams], present, apart=apart)
        skips = tuple(
            fusion([s.skips[i] for s in streams], present)[0] for i, fusion in enumerate(self.skip_fusions)
        )
        return self.trunks[0](Encoded(latent.features, skips)), latent

    def _fuse_decoded(
        self, streams: Sequence[Encoded], present: Tensor | None, *, apart: bool
    ) -> tuple[Decoded, Fused]:
        decoded = [trunk(stream) for trunk, stream in zip(self.trunks, streams, strict=True)]
        decoded = [gate_off_decoded(d, present, i) for i, d in enumerate(decoded)]
        last = self._fuse([d.last for d in decoded], present, apart=apart)
        return Decoded(last.features, mean_upsampled(decoded, present)), last
