"""All scores of a network on a set of samples, for each case of missing sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.training.evaluation import MISSING_CASES, predictions
from ssma_ros.training.metrics import Calibration, TrimapBands
from ssma_ros.training.multi_scale import segment_multi_scale
from ssma_ros.training.report import CaseResult, sample_picture

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.cache import Samples


def score_case(
    network: nn.Module,
    contract: Contract,
    samples: Samples,
    *,
    name: str = "all sensors",
    missing: Collection[str] = (),
    multi_scale: bool = False,
    limit: int = 0,
    device: torch.device | None = None,
    progress: bool = True,
) -> CaseResult:
    """Score ``samples`` with the sensors in ``missing`` left out; arguments as for
    :func:`ssma_ros.training.evaluation.predictions`.
    """
    labels = contract.labels
    settings = (labels.num_classes, labels.ignore_id, labels.void_class)
    matrix, trimap, calibration = ConfusionMatrix(*settings), TrimapBands(*settings), Calibration(labels.ignore_id)
    count = 0
    for found in predictions(
        network, contract, samples, missing=missing, limit=limit, device=device, progress=name if progress else "",
        segment=segment_multi_scale if multi_scale else None,
    ):
        mask = found.mask
        matrix.update(mask, found.label)
        trimap.update(mask, found.label)
        confidence = (found.logits / contract.temperature).softmax(dim=0).amax(dim=0).numpy()
        calibration.update(confidence, mask, found.label)
        count += 1
    return CaseResult(
        name=name, samples=count, scores=matrix.summary(labels.names), ece=calibration.expected_error(),
        reliability=calibration.reliability(), trimap=trimap.miou(),
    )


def score_all_cases(
    network: nn.Module,
    contract: Contract,
    samples: Samples,
    *,
    multi_scale: bool = False,
    limit: int = 0,
    device: torch.device | None = None,
    progress: bool = True,
) -> list[CaseResult]:
    """Every case of :data:`~ssma_ros.training.evaluation.MISSING_CASES` that leaves the network an input, and msf."""
    results = []
    for name, missing in MISSING_CASES.items():
        blanked = [not set(stream.sensors) & set(missing) for stream in contract.streams]
        used = {sensor for stream in contract.streams for sensor in stream.sensors}
        if any(blanked) and set(missing) <= used:
            results.append(score_case(
                network, contract, samples, name=name, missing=missing, limit=limit, device=device, progress=progress
            ))
    if multi_scale:
        results.append(score_case(
            network, contract, samples, name="all sensors, msf", multi_scale=True, limit=limit, device=device,
            progress=progress,
        ))
    return results


def sample_pictures(
    network: nn.Module, contract: Contract, samples: Samples, count: int = 4, device: torch.device | None = None
) -> dict[str, NDArray[np.uint8]]:
    """``count`` samples spread over the split as pictures for a report, by file name."""
    return {
        f"sample_{i}": sample_picture(samples[found.index].images, found.label, found.mask, contract)
        for i, found in enumerate(predictions(network, contract, samples, limit=count, device=device))
    }
