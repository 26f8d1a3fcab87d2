# SPDX-License-Identifier: Apache-2.0
"""What the expert fusions share: one whole AdapNet++ for each modality."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ssma_ros.models.decoder import build_decoder
from ssma_ros.models.modality_encoder import Encoded, Encoder
from ssma_ros.models.network import SegmentationNetwork
from ssma_ros.models.presence import gate_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.models.options import Options

#: Log-probability of a blank expert; finite, so that float16 holds it and no NaN arises.
BLANK = -1e4


class Opinion(NamedTuple):
    """What one expert says.

    Attributes:
        encoded: its latent features and skips.
        logits: N×C×H×W.
        auxiliary: auxiliary logits in training, else ().
    """

    encoded: Encoded
    logits: Tensor
    auxiliary: tuple[Tensor, ...]


class ExpertNetwork(SegmentationNetwork):
    """Base of fusions that combine the predictions of unimodal networks."""

    def _build(self, options: Options) -> None:
        encoders = [Encoder(options) for _ in self.modalities]
        self.encoders = nn.ModuleList(encoders)
        self.decoders = nn.ModuleList(build_decoder(options, e, self.num_classes) for e in encoders)

    def _ask(self, images: Sequence[Tensor], present: Tensor | None) -> list[Opinion]:
        opinions = []
        for i, (encoder, decoder) in enumerate(zip(self.encoders, self.decoders, strict=True)):
            encoded = gate_off(encoder(images[i]), present, i)
            opinions.append(Opinion(encoded, *decoder(encoded)))
        return opinions


def stack_masked(values: Sequence[Tensor], present: Tensor | None) -> Tensor:
    """N×M×C×H×W of N×C×H×W logits, zero for blank modalities."""
    stacked = torch.stack(list(values), dim=1)
    return stacked if present is None else stacked * present[:, :, None, None, None]


def mean_present(values: Sequence[Tensor], present: Tensor | None) -> Tensor:
    """Mean over the modalities that are there."""
    if present is None:
        return torch.stack(list(values), dim=1).mean(dim=1)
    count = present.sum(dim=1).clamp(min=1.0).view(-1, 1, 1, 1)
    return stack_masked(values, present).sum(dim=1) / count


def mean_auxiliary(opinions: Sequence[Opinion], present: Tensor | None) -> tuple[Tensor, ...]:
    """Auxiliary logits of the fused network: for each head the mean over the experts that are there."""
    return tuple(mean_present(heads, present) for heads in zip(*(o.auxiliary for o in opinions), strict=True))


def log_probabilities(logits: Sequence[Tensor], present: Tensor | None) -> Tensor:
    """N×M×C×H×W log-probabilities, :data:`BLANK` lower for blank experts."""
    stacked = torch.stack(list(logits), dim=1).log_softmax(dim=2)
    return stacked if present is None else stacked + (1.0 - present)[:, :, None, None, None] * BLANK
