# SPDX-License-Identifier: Apache-2.0
"""What a training configuration wants to know of its data: mean and scale of each stream, classes, sizes, presence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ssma_ros.inputs.encoded import why_blank
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.training.datasets.cache import encode_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.training.datasets import FrameDataset

_LEVELS = np.arange(256, dtype=np.int64)


@dataclass
class StreamStatistics:
    """Of one stream.

    Attributes:
        stream: as in the contract.
        histogram: 3×256 int64, pixels of each value in each channel, over the samples that have the stream.
        present: samples that have it.
        reason: why the first of the others lacks it.
    """

    stream: Stream
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 256), np.int64))
    present: int = 0
    reason: str = ""

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of each channel, levels (0..255)."""
        return (self.histogram @ _LEVELS) / np.maximum(self.histogram.sum(axis=1), 1)

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of each channel over all pixels, levels."""
        pixels = np.maximum(self.histogram.sum(axis=1), 1)
        return np.sqrt(np.maximum((self.histogram @ _LEVELS**2) / pixels - self.mean**2, 0.0))

    @property
    def scale(self) -> NDArray[np.float64]:
        """1/deviation, which a contract multiplies by; 1 for a channel whose pixels are all alike."""
        alike = (self.histogram > 0).sum(axis=1) <= 1
        return 1.0 / np.where(alike, 1.0, self.deviation)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Count the pixels of an H×W×3 uint8 input."""
        self.present += 1
        for channel, counts in enumerate(self.histogram):
            counts += np.bincount(image[..., channel].ravel(), minlength=256)


@dataclass
class Statistics:
    """Of the samples looked at.

    Attributes:
        streams: in the contract's order.
        labels: 256 int64, pixels of each train id (or the ignore id) at the network's size.
        sizes: (width, height) of the camera's images → samples.
        samples: how many.
    """

    streams: tuple[StreamStatistics, ...]
    labels: NDArray[np.int64]
    sizes: Counter[tuple[int, int]]
    samples: int


def measure(
    dataset: FrameDataset, contract: Contract, indices: Sequence[int], *, progress: bool = True
) -> Statistics:
    """Encode samples as the robot would and count.

    Args:
        dataset: a split.
        contract: size and streams; mean and scale in it take no part.
        indices: of the samples.
        progress: show a bar.

    Raises:
        SsmaError: a file is missing or wrong, or a label holds an id that the label set does not know.
    """
    encoder = InputEncoder(contract)
    found = Statistics(
        tuple(StreamStatistics(s) for s in contract.streams), np.zeros(256, np.int64), Counter(), len(indices)
    )
    for index in tqdm(indices, desc="samples", unit="sample", disable=not progress):
        frame, label = dataset.frame(index), dataset.label(index)
        sample = encode_sample(encoder, frame, label)
        encoder.reset()  # samples are no sequence
        # Sensors are registered to the camera and labels drawn on its images, so the label has their size.
        found.sizes[(label.shape[1], label.shape[0])] += 1
        found.labels += np.bincount(sample.label.ravel(), minlength=256)
        for one, image, present in zip(found.streams, sample.images, sample.present, strict=True):
            if present:
                one.add(image)
            elif not one.reason:
                one.reason = why_blank(one.stream, frame) or "its reading holds nothing"
    return found
