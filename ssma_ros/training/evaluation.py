"""Predictions of a network on encoded samples, and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.training.batches import Normalizer
from ssma_ros.training.cache import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.cache import Samples

#: Sensors that can be missing in an evaluation, and what each case is called.
MISSING_CASES: dict[str, tuple[str, ...]] = {
    "all sensors": (),
    "no depth": ("depth",),
    "no nir": ("nir",),
    "no color": ("color",),
    "color only": ("depth", "nir"),
}


@dataclass
class Prediction:
    """What the network says about one sample.

    Attributes:
        logits: C×H×W float32 on the CPU.
        label: H×W uint8.
        index: of the sample.
    """

    logits: Tensor
    label: NDArray[np.uint8]
    index: int

    @property
    def mask(self) -> NDArray[np.uint8]:
        """H×W class ids."""
        return self.logits.argmax(dim=0).to(torch.uint8).numpy()


def without(sample: Sample, contract: Contract, missing: Collection[str]) -> Sample:
    """``sample`` as it would be had the sensors in ``missing`` sent nothing."""
    present = tuple(
        p and not set(stream.sensors) & set(missing)
        for p, stream in zip(sample.present, contract.streams, strict=True)
    )
    images = tuple(i if p else np.zeros_like(i) for i, p in zip(sample.images, present, strict=True))
    return Sample(images, present, sample.label)


def predictions(
    network: nn.Module,
    contract: Contract,
    samples: Samples,
    *,
    missing: Collection[str] = (),
    limit: int = 0,
    device: torch.device | None = None,
    progress: str = "",
    segment: Callable[[nn.Module, list[Tensor], Tensor], Tensor] | None = None,
) -> Iterator[Prediction]:
    """Predict sample by sample, at the contract's size, in float32.

    Args:
        network: put into evaluation mode.
        contract: of the network.
        samples: to predict.
        missing: sensors to leave out; samples that have no stream left are skipped.
        limit: at most this many, spread evenly over the split; 0 = all.
        device: of the network, default CPU.
        progress: text of a progress bar, or none.
        segment: (network, images, present) → logits, instead of one plain forward pass (for msf).
    """
    network.eval()
    normalize = Normalizer(contract, device or torch.device("cpu"))
    count = len(samples) if limit <= 0 else min(limit, len(samples))
    chosen = np.unique(np.linspace(0, len(samples) - 1, count).astype(int))
    for index in tqdm(chosen, desc=progress, unit="sample", disable=not progress, leave=False):
        sample = without(samples[int(index)], contract, missing)
        if not any(sample.present):
            continue
        batch = normalize([sample])
        with torch.inference_mode():
            if segment is None:
                logits = network(*batch.images, present=batch.present)
            else:
                logits = segment(network, batch.images, batch.present)
        yield Prediction(logits[0].float().cpu(), sample.label, int(index))


def evaluate(
    network: nn.Module,
    contract: Contract,
    samples: Samples,
    *,
    missing: Collection[str] = (),
    limit: int = 0,
    device: torch.device | None = None,
    progress: str = "",
) -> ConfusionMatrix:
    """Confusion matrix over ``samples``; arguments as for :func:`predictions`."""
    labels = contract.labels
    matrix = ConfusionMatrix(labels.num_classes, labels.ignore_id, labels.void_class)
    for prediction in predictions(
        network, contract, samples, missing=missing, limit=limit, device=device, progress=progress
    ):
        matrix.update(prediction.mask, prediction.label)
    return matrix
