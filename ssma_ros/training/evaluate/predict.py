# SPDX-License-Identifier: Apache-2.0
"""What a network says about encoded samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.models.segmentation_graph import ScoreCalibration
from ssma_ros.training.datasets.batch import Normalizer
from ssma_ros.training.datasets.cache import Sample
from ssma_ros.training.evaluate.multi_scale import segment_multi_scale

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.batch import Batch
    from ssma_ros.training.datasets.cache import Samples


class Predictor:
    """A network for one sample at a time, at the contract's size, in float32.

    Args:
        network: put into evaluation mode.
        contract: of the network.
        device: of the network, default CPU.
    """

    def __init__(self, network: nn.Module, contract: Contract, device: torch.device | None = None) -> None:
        device = device or torch.device("cpu")
        self._network = network.eval()
        self.contract = contract
        self._normalize = Normalizer(contract, device)
        self._calibrate = ScoreCalibration(contract).to(device)

    def logits(self, sample: Sample, missing: Collection[str] = ()) -> Tensor | None:
        """C×H×W logits on the CPU, or None where without the sensors in ``missing`` no stream is left."""
        batch = self._batch(sample, missing)
        if batch is None:
            return None
        with torch.inference_mode():
            logits: Tensor = self._network(*batch.images, present=batch.present)
        return logits[0].float().cpu()

    def scores(self, sample: Sample, missing: Collection[str] = (), *, multi_scale: bool = False) -> Tensor | None:
        """As :meth:`logits`, calibrated: their softmax is what is published.

        Args:
            sample, missing: as for :meth:`logits`.
            multi_scale: mean over flips and scales, see
                :func:`~ssma_ros.training.evaluate.multi_scale.segment_multi_scale`.
        """
        batch = self._batch(sample, missing)
        if batch is None:
            return None
        with torch.inference_mode():
            if multi_scale:
                scores = segment_multi_scale(self._network, batch.images, batch.present, calibrate=self._calibrate)
            else:
                scores = self._calibrate(self._network(*batch.images, present=batch.present).float())
        return scores[0].cpu()

    def over(
        self, samples: Samples, *, missing: Collection[str] = (), limit: int = 0, progress: str = ""
    ) -> Iterator[tuple[int, Sample, Tensor]]:
        """Index, sample and C×H×W logits, sample by sample; those that have no stream left are skipped.

        Args:
            samples: of this contract.
            missing: sensors to leave out.
            limit: at most this many, spread evenly over the split; 0 = all.
            progress: text of a progress bar, or none.
        """
        chosen = spread_indices(len(samples), limit)
        for index in tqdm(chosen, desc=progress, unit="sample", disable=not progress, leave=False):
            sample = samples[index]
            logits = self.logits(sample, missing)
            if logits is not None:
                yield index, sample, logits

    def confusion(
        self, samples: Samples, *, missing: Collection[str] = (), limit: int = 0, progress: str = ""
    ) -> ConfusionMatrix:
        """Confusion matrix over ``samples``; arguments as for :meth:`over`."""
        labels = self.contract.labels
        matrix = ConfusionMatrix(labels.num_classes, labels.ignore_id, labels.void_class)
        for _, sample, logits in self.over(samples, missing=missing, limit=limit, progress=progress):
            matrix.update(mask_of(logits), sample.label)
        return matrix

    def _batch(self, sample: Sample, missing: Collection[str]) -> Batch | None:
        left = without(sample, self.contract, missing)
        return self._normalize([left]) if any(left.present) else None


def mask_of(scores: Tensor) -> NDArray[np.uint8]:
    """C×H×W scores → H×W class ids, the largest score's; not the largest probability's, for rounding makes equals of
    near ones."""
    return scores.argmax(dim=0).to(torch.uint8).numpy()


def without(sample: Sample, contract: Contract, missing: Collection[str]) -> Sample:
    """``sample`` as it would be had the sensors in ``missing`` sent nothing."""
    present = tuple(
        p and not set(stream.sensors) & set(missing)
        for p, stream in zip(sample.present, contract.streams, strict=True)
    )
    images = tuple(i if p else np.zeros_like(i) for i, p in zip(sample.images, present, strict=True))
    return Sample(images, present, sample.label)


def spread_indices(count: int, limit: int = 0) -> list[int]:
    """At most ``limit`` indices below ``count``, evenly spread; 0 = all."""
    wanted = count if limit <= 0 else min(limit, count)
    return [int(i) for i in np.unique(np.linspace(0, count - 1, wanted).astype(int))]
