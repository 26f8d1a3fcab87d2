# SPDX-License-Identifier: Apache-2.0
"""The maps that are left of a residual branch, put back to their places in the sum; zeros stand for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = "spread"


class Spread(nn.Module):
    """Puts N×len(places)×H×W at ``places`` of N×channels×H×W zeros.

    Args:
        places: of the maps, rising.
        channels: of the result.
    """

    sources: Tensor

    def __init__(self, places: Sequence[int], channels: int) -> None:
        super().__init__()
        self.places, self.channels = tuple(places), channels
        sources = np.full(channels, len(self.places))
        sources[list(self.places)] = np.arange(len(self.places))
        # On the processor also where the network has no storage yet: no file of weights holds these numbers.
        self.register_buffer("sources", torch.tensor(sources, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps at their places. One channel of zeros is gathered again and again: runtimes do this as a plain copy."""
        return torch.cat([x, torch.zeros_like(x[:, :1])], dim=1).index_select(1, self.sources)


def add_spread(layer: nn.Module, places: Sequence[int], channels: int) -> None:
    """Let what ``layer`` gives pass through a :class:`Spread`, which replaces one that it has."""
    if not hasattr(layer, _NAME):
        layer.register_forward_hook(_through_spread)
    layer.add_module(_NAME, Spread(places, channels))


def spread_of(layer: nn.Module | None) -> tuple[int, ...] | None:
    """Places of a layer's maps, or None where they are all there."""
    spread = getattr(layer, _NAME, None)
    return spread.places if isinstance(spread, Spread) else None


def _through_spread(layer: Any, arguments: Any, output: Tensor) -> Tensor:
    spread: Tensor = layer.spread(output)
    return spread
