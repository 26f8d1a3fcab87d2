# SPDX-License-Identifier: Apache-2.0
"""Flip and multi-scale testing (the paper's msf)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

#: Zooms of the paper's multi-scale testing.
SCALES = (0.75, 1.0, 1.25, 1.5)
_MULTIPLE = 16


def segment_multi_scale(
    network: nn.Module,
    images: Sequence[Tensor],
    present: Tensor,
    scales: Sequence[float] = SCALES,
    *,
    calibrate: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Mean of the softmax over ``scales`` and mirror images.

    Args:
        network: called as ``(*images, present=…)``, in evaluation mode.
        images: N×3×H×W each.
        present: N×M.
        scales: zooms; sizes are rounded to multiples of 16.
        calibrate: logits → scores that the softmax takes instead, for each pass by itself.

    Returns:
        N×C×H×W logarithms of the mean probabilities, usable like logits.
    """
    height, width = images[0].shape[-2:]
    total: Tensor | None = None
    for scale in scales:
        size = [max(_MULTIPLE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in (height, width)]
        resized = [functional.interpolate(i, size=size, mode="bilinear", align_corners=False) for i in images]
        for mirrored in (False, True):
            inputs = [i.flip(-1) for i in resized] if mirrored else resized
            logits = network(*inputs, present=present).float()
            probabilities = (logits if calibrate is None else calibrate(logits)).softmax(dim=1)
            if mirrored:
                probabilities = probabilities.flip(-1)
            probabilities = functional.interpolate(
                probabilities, size=(height, width), mode="bilinear", align_corners=False
            )
            total = probabilities if total is None else total + probabilities
    assert total is not None, "at least one scale"
    return torch.log((total / (2 * len(scales))).clamp(min=1e-10))
