# SPDX-License-Identifier: Apache-2.0
"""The self-supervised model adaptation (SSMA) block for any number of modalities (paper section 4)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_ros.models.layers import Conv2d, ConvNorm, cat, conv_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Added to the gate logits of a blank modality before the softmax; finite, so that float16 holds it too.
_BLANK_LOGIT = -1e4
#: Below this a feature is none; a normal number of float16.
_TINY = 1e-4


class Fused(NamedTuple):
    """What a block makes of the features.

    Attributes:
        features: N×channels×h×w.
        gates: N×(M·channels)×h×w.
        parts: for each modality N×channels×h×w, which sum up to the features before BN; empty where not asked for.
    """

    features: Tensor
    gates: Tensor
    parts: tuple[Tensor, ...]


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
        weighted, gates = self._weigh(features, present)
        return self.merge(weighted), gates

    def apart(self, features: Sequence[Tensor], present: Tensor | None = None) -> Fused:
        """As :meth:`forward`, with what each modality adds: its convolution is one a modality, as much work as at once.

        Only for a block whose merge has BN.
        """
        weighted, gates = self._weigh(features, present)
        convolution = cast("ConvNorm", self.merge).conv
        padding = convolution.kernel_size[0] // 2
        split = zip(weighted.split(self.widths, dim=1), convolution.weight.split(self.widths, dim=1), strict=True)
        parts = tuple(F.conv2d(part, kernel, padding=padding) for part, kernel in split)
        return Fused(cast("ConvNorm", self.merge).bn(reduce(torch.add, parts)), gates, parts)

    def _weigh(self, features: Sequence[Tensor], present: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features times gates, and the gates."""
        x = cat(features)
        gates = self._gates(self.expand(F.relu(self.reduce(x))), present)
        return x * gates, gates

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


def shares_of(parts: Sequence[Tensor]) -> Tensor:
    """How much of the fused features each modality makes up: the projection of its part on their sum.

    Args:
        parts: for each modality N×C×h×w.

    Returns:
        N×M×h×w, 1 in sum over the modalities at each place and 0 for a blank one. A modality that works against the
        others has a negative share. Where the features are zero, all shares are.
    """
    # Scaled to 1 first, so that squares of small and large features fit float16 too.
    total = reduce(torch.add, parts)
    largest = total.abs().amax(dim=1, keepdim=True).clamp(min=_TINY)
    total = total / largest
    energy = total.square().sum(dim=1).clamp(min=_TINY)
    return torch.stack([(part / largest * total).sum(dim=1) / energy for part in parts], dim=1)
