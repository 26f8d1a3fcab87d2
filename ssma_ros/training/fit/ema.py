# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class WeightAverage:
    """Keeps avg ← d·avg + (1−d)·weights, with d rising from 0.1 so that the start is forgotten.

    BatchNorm's running statistics are averaged too; integer buffers are copied.

    Args:
        network: what to follow.
        decay: final d, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._average = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._updates = 0

    @property
    def network(self) -> nn.Module:
        """The averaged network in evaluation mode."""
        return self._average

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one optimiser step's result in."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for mine, other in zip(self._average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(other.detach(), 1.0 - decay)
            else:
                mine.copy_(other)

    def state_dict(self) -> dict[str, Tensor | int]:
        """For a checkpoint."""
        return {**self._average.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Inverse of :meth:`state_dict`."""
        weights = dict(state)
        self._updates = int(weights.pop("updates"))
        self._average.load_state_dict(weights)
