# SPDX-License-Identifier: Apache-2.0
"""Average and Maximum: fusion of the experts' class probabilities, without a trained part."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch.nn.functional as F

from ssma_ros.models.baselines.experts import ExpertNetwork, log_probabilities
from ssma_ros.models.network import Output
from ssma_ros.models.presence import constant_gates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Average(ExpertNetwork):
    """Mean of the experts' probabilities; the logits are its logarithm.

    Gates: 1/(number of modalities there).
    """

    name = "Average"

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        opinions = self._ask(images, present)
        count: Tensor | None = None if present is None else present.sum(dim=1).clamp(min=1.0).log()

        def fuse(logits: Sequence[Tensor]) -> Tensor:
            total = log_probabilities(logits, present).logsumexp(dim=1)
            return total - (log(len(logits)) if count is None else count.view(-1, 1, 1, 1))

        auxiliary = tuple(fuse(heads) for heads in zip(*(o.auxiliary for o in opinions), strict=True))
        weights = None
        if gates:
            weights = constant_gates(present, opinions[0].encoded, len(opinions), normalize=True)
        return Output(fuse([o.logits for o in opinions]), auxiliary, weights)


class Maximum(ExpertNetwork):
    """For each class the highest probability any expert gives it; the logits are its logarithm.

    Gates: share of pixels at which the modality's expert is the surest of all.
    """

    name = "Maximum"

    def _segment(self, images: Sequence[Tensor], present: Tensor | None, *, gates: bool) -> Output:
        opinions = self._ask(images, present)
        stacked = log_probabilities([o.logits for o in opinions], present)
        auxiliary = tuple(
            log_probabilities(heads, present).amax(dim=1)
            for heads in zip(*(o.auxiliary for o in opinions), strict=True)
        )
        weights = _winners(stacked, opinions[0].encoded.latent, present) if gates else None
        return Output(stacked.amax(dim=1), auxiliary, weights)


def _winners(stacked: Tensor, latent: Tensor, present: Tensor | None) -> Tensor:
    """N×M×h×w share of pixels each expert wins."""
    sureness = stacked.amax(dim=2)
    wins = (sureness == sureness.amax(dim=1, keepdim=True)).to(stacked.dtype)
    # Experts that are equally sure share the pixel.
    wins = wins / wins.sum(dim=1, keepdim=True)
    shares = F.avg_pool2d(wins, stacked.shape[3] // latent.shape[2])
    return shares if present is None else shares * present[:, :, None, None]
