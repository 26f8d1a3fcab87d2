# SPDX-License-Identifier: Apache-2.0
"""CMoDE: convoluted mixture of deep experts (Valada et al., ICRA 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch.nn.functional as F

from ssma_ros.models.baselines.experts import BLANK, ExpertNetwork, mean_auxiliary, stack_masked
from ssma_ros.models.layers import Conv2d, cat, global_mean
from ssma_ros.models.network import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.models.modality_encoder import Encoder
    from ssma_ros.models.options import Options

_GATE_CHANNELS = 128


class CMoDE(ExpertNetwork):
    """For each image and class a softmax over the experts, from their latent features; then a 3×3 convolution.

    Gates: the mean of that weight over the classes, the same at every place.
    """

    name = "CMoDE"

    def _build(self, options: Options) -> None:
        super()._build(options)
        count, channels = len(self.modalities), cast("Encoder", self.encoders[0]).latent_channels
        self.gate_features = Conv2d(count * channels, _GATE_CHANNELS, 3, bias=True)
        self.gate_weights = Conv2d(_GATE_CHANNELS, count * self.num_classes, 1, bias=True)
        self.merge = Conv2d(self.num_classes, self.num_classes, 3, bias=True)

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        opinions = self._ask(images, present)
        weights = self._weights([o.encoded.latent for o in opinions], present)
        logits = self.merge((stack_masked([o.logits for o in opinions], present) * weights).sum(dim=1))
        maps = None
        if gates:
            height, width = opinions[0].encoded.latent.shape[2:]
            maps = weights.mean(dim=2).expand(-1, -1, height, width)
        return Output(logits, mean_auxiliary(opinions, present), maps)

    def _weights(self, latents: Sequence[Tensor], present: Tensor | None) -> Tensor:
        """N×M×C×1×1, 1 in sum over the modalities that are there, 0 for blank ones."""
        features = global_mean(F.relu(self.gate_features(cat(latents))))
        scores = self.gate_weights(features).unflatten(1, (len(self.modalities), self.num_classes))
        if present is None:
            return scores.softmax(dim=1)
        flags = present[:, :, None, None, None]
        return (scores + (1.0 - flags) * BLANK).softmax(dim=1) * flags
