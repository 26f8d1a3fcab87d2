"""Temperature scaling: one number that makes published confidences honest (Guo et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from ssma_ros.errors import SsmaError
from ssma_ros.training.evaluation import predictions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.cache import Samples

_PIXELS_PER_SAMPLE = 4096


def fit_temperature(
    network: nn.Module, contract: Contract, samples: Samples, *, limit: int = 0, seed: int = 0, progress: str = ""
) -> float:
    """Temperature T that minimises the mean of −log softmax(logits/T) over validation pixels.

    The mask does not change, only the confidence. 4096 random labelled pixels of each sample are used.

    Args:
        network, contract, samples, limit, progress: as for :func:`ssma_ros.training.evaluation.predictions`.
        seed: of the choice of pixels.

    Raises:
        SsmaError: no labelled pixel.
    """
    rng = np.random.default_rng(seed)
    logits, labels = [], []
    for found in predictions(network, contract, samples, limit=limit, progress=progress):
        known = np.flatnonzero(found.label.ravel() != contract.labels.ignore_id)
        if known.size == 0:
            continue
        chosen = torch.from_numpy(rng.choice(known, min(_PIXELS_PER_SAMPLE, known.size), replace=False))
        logits.append(found.logits.flatten(1)[:, chosen].T)
        labels.append(torch.from_numpy(found.label.ravel())[chosen].long())
    if not logits:
        raise SsmaError("calibration: no labelled pixel in the validation samples, expected at least one")
    return minimize_temperature(torch.cat(logits), torch.cat(labels))


def minimize_temperature(logits: Tensor, labels: Tensor) -> float:
    """The best T for N×C ``logits`` and N ``labels``, within 0.05 … 20.

    The loss is convex in 1/T, so a golden-section search over log T finds the minimum.
    """

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / float(np.exp(log_temperature)), labels))

    low, high = float(np.log(0.05)), float(np.log(20.0))
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2.0))
