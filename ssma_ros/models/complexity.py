# SPDX-License-Identifier: Apache-2.0
"""How big a network is: parameters and multiply-accumulates."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from torch import nn

    from ssma_ros.models.network import SegmentationNetwork


def count_parameters(network: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in network.parameters())


def count_macs(network: SegmentationNetwork, width: int = 768, height: int = 384) -> int:
    """Multiply-accumulates of the convolutions of one evaluation pass on one sample of ``width`` × ``height``.

    Runs on the meta device: nothing is computed and the network is left as it was.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    images = [torch.empty(1, 3, height, width, device="meta") for _ in network.modalities]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(*images)
    return int(counter.get_total_flops()) // 2
