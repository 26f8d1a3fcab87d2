# SPDX-License-Identifier: Apache-2.0
"""Samples of one size as the tensors that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Sample


@dataclass
class Batch:
    """Tensors of one step on one device.

    Attributes:
        images: for each stream N×3×H×W float32, normalised as the contract says, channels last in memory.
        present: N×M float32.
        label: N×H×W int64; void pixels carry the ignore id, for the network is not asked to find void.
    """

    images: list[Tensor]
    present: Tensor
    label: Tensor


class Normalizer:
    """Turns uint8 images into what the network takes: (value − mean)·scale, as the exported graph does."""

    def __init__(self, contract: Contract, device: torch.device) -> None:
        self._device = device
        self._labels = contract.labels
        self._mean = [torch.tensor(s.mean, device=device).view(1, 3, 1, 1) for s in contract.streams]
        self._scale = [torch.tensor(s.scale, device=device).view(1, 3, 1, 1) for s in contract.streams]

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack samples of one size."""
        images = []
        for index, (mean, scale) in enumerate(zip(self._mean, self._scale, strict=True)):
            stacked = torch.from_numpy(np.stack([s.images[index] for s in samples])).to(self._device)
            images.append((stacked.permute(0, 3, 1, 2).float() - mean) * scale)
        label = torch.from_numpy(np.stack([s.label for s in samples])).to(self._device).long()
        if self._labels.void_class is not None:
            label[label == self._labels.void_class] = self._labels.ignore_id
        present = torch.tensor([s.present for s in samples], dtype=torch.float32, device=self._device)
        return Batch(images, present, label)
