# SPDX-License-Identifier: Apache-2.0
"""The self-supervised model adaptation (SSMA) block for any number of modalities (paper section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from ssma_ros.models.layers import Conv2d, cat, conv_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

#: Added to the gate logits of a blank modality before the softmax; finite, so that float16 holds it too.
_BLANK_LOGIT = -1e4


class SSMABlock(nn.Module):
    """Weigh the channels and places of all modalities by what they show together, then merge.

    x = concat of the features; s = gate(3×3(ReLU(3×3(x)))); output = merge(x·s).

    Args:
        channels: of each modality's features, and of the output.
        modalities: number of them.
        eta: the bottleneck has modalities · channels / eta channels, at least 1.
        kernel: of the merging convolution.
        norm: the merging convolution has BN (and no bias); else a bias and nothing more.
        gating: ``sigmoid`` for independent gates, ``softmax`` for gates that sum to 1 over the modalities.

    Attributes:
        widths: channels of each modality's features; pruning may leave fewer than ``channels``.
    """

    def __init__(
        self, channels: int, modalities: int, eta: int, *, kernel: int, norm: bool, gating: str = "sigmoid"
    ) -> None:
        super().__init__()
        total = channels * modalities
        bottleneck = max(total // eta, 1)
        self.channels = channels
        self.modalities = modalities
        self.widths = [channels] * modalities
        self.gating = gating
        self.reduce = Conv2d(total, bottleneck, 3, bias=True)
        self.expand = Conv2d(bottleneck, total, 3, bias=True)
        self.merge: nn.Module
        if norm:
            self.merge = conv_norm(total, channels, kernel, relu=False)
        else:
            self.merge = Conv2d(total, channels, kernel, bias=True)

    def forward(self, features: Sequence[Tensor], present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fuse.

        Args:
            features: for each modality N×channels×h×w, already zero where blank.
            present: N×M, 1 or 0, or None for all present.

        Returns:
            Fused N×channels×h×w and the gates N×(M·channels)×h×w, zero for blank modalities.
        """
        x = cat(features)
        gates = self._gates(self.expand(F.relu(self.reduce(x))), present)
        return self.merge(x * gates), gates

    def _gates(self, logits: Tensor, present: Tensor | None) -> Tensor:
        if self.gating == "sigmoid":
            gates = logits.sigmoid()
        else:
            split = torch.stack(logits.split(self.widths, dim=1), dim=1)
            if present is not None:
                split = split + (1.0 - present)[:, :, None, None, None] * _BLANK_LOGIT
            gates = cat(split.softmax(dim=1).unbind(dim=1))
        if present is None:
            return gates
        flags = cat([present[:, i : i + 1].expand(-1, width) for i, width in enumerate(self.widths)])
        return gates * flags[:, :, None, None]

    def mean_gates(self, gates: Tensor) -> Tensor:
        """N×M×h×w mean over the channels of each modality."""
        return torch.stack([part.mean(dim=1) for part in gates.split(self.widths, dim=1)], dim=1)
