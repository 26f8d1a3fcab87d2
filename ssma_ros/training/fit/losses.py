# SPDX-License-Identifier: Apache-2.0
"""Cross entropy with multiresolution supervision (paper section 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from ssma_ros.labels import LabelSet
    from ssma_ros.training.datasets.cache import Samples


def segmentation_loss(
    logits: Tensor,
    auxiliary: Sequence[Tensor],
    label: Tensor,
    *,
    ignore_id: int,
    auxiliary_weights: Sequence[float] = (0.6, 0.5),
    class_weights: Tensor | None = None,
) -> Tensor:
    """L = L_main + 0.6 L_aux1 + 0.5 L_aux2, each the mean of −w·log p over the pixels with ground truth.

    Args:
        logits: N×C×H×W.
        auxiliary: logits of the 1/4 and 1/8 heads at the same size, or none.
        label: N×H×W int64.
        ignore_id: label of pixels that take no part.
        auxiliary_weights: of the auxiliary losses.
        class_weights: C, or None for equal weight. The mean stays over pixels, so a batch without rare classes
            is not scaled up.

    Returns:
        Scalar float32; 0 (with a gradient of 0) where no pixel has ground truth.
    """
    counted = (label != ignore_id).sum().clamp(min=1)
    total = logits.new_zeros((), dtype=torch.float32)
    for weight, head in zip((1.0, *auxiliary_weights), (logits, *auxiliary), strict=False):
        summed = functional.cross_entropy(
            head.float(), label, weight=class_weights, ignore_index=ignore_id, reduction="sum"
        )
        total = total + weight * summed / counted
    return total


def class_shares(samples: Samples, labels: LabelSet, limit: int = 200) -> NDArray[np.float64]:
    """Share of each class in the pixels that count, of up to ``limit`` samples spread over the split.

    Void pixels take no part in the loss, so they count no more than ignored ones.
    """
    counts = np.zeros(256, np.int64)
    for index in np.unique(np.linspace(0, len(samples) - 1, min(limit, len(samples))).astype(int)):
        counts += np.bincount(samples[int(index)].label.ravel(), minlength=256)
    return labels.shares(counts)


def class_weights(
    setting: str | Sequence[float], samples: Samples, labels: LabelSet
) -> Tensor | None:
    """Weights of the classes as a configuration states them.

    ``none``: None. ``balanced``: 1/log(1.02 + share), scaled so that the mean pixel weighs 1 (Paszke et al.
    2016, ENet). A list: as given.

    Raises:
        SsmaError: another word, or a list of the wrong length.
    """
    if setting == "none":
        return None
    if setting == "balanced":
        shares = class_shares(samples, labels)
        weights = 1.0 / np.log(1.02 + shares)
        return torch.tensor(weights / (weights * shares).sum(), dtype=torch.float32)
    if isinstance(setting, str) or len(setting) != labels.num_classes:
        raise SsmaError(
            f"training configuration: class_weights is {setting!r}, expected none, balanced or {labels.num_classes} "
            "numbers"
        )
    return torch.tensor(list(setting), dtype=torch.float32)
