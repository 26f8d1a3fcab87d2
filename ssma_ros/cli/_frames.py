"""Frames for the commands that calibrate, verify and measure: from a recording or from a labelled data set."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.frame import Frame


@dataclass(frozen=True)
class EncodedFrame:
    """One frame as the network takes it.

    Attributes:
        inputs: H×W×3 uint8 image of each present stream.
        present: whether each stream is.
        label: H×W uint8 class ids at the network's size, or None where the source has none.
    """

    inputs: Mapping[str, NDArray[np.uint8]]
    present: Mapping[str, bool]
    label: NDArray[np.uint8] | None = None

    def feed(self, contract: Contract) -> dict[str, NDArray]:
        """The exported graph's inputs, blank streams as zeros."""
        from ssma_ros.inference.runtime.protocol import PRESENT

        blank = np.zeros((contract.height, contract.width, 3), np.uint8)
        images = {name: self.inputs.get(name, blank) for name in contract.modalities}
        flags = np.array([self.present[name] for name in contract.modalities], np.float32)
        return {**images, PRESENT: flags}


def encoded_frames(contract: Contract, source: Path, count: int) -> list[EncodedFrame]:
    """Up to ``count`` frames, spread evenly over the source.

    Args:
        contract: of the network to feed.
        source: a rosbag2 recording, or a split of a data set (a folder with ``label`` and ``rgb`` in it).
        count: how many at most.

    Raises:
        SsmaError: the source is neither, is damaged, or holds no frame the network can use.
    """
    if count < 1:
        raise SsmaError(f"frames: got {count}, expected at least 1")
    from ssma_ros.inputs.processor import InputEncoder

    encoder = InputEncoder(contract)
    pairs = _from_dataset(contract, source, count) if (source / "label").is_dir() else _from_recording(source, count)
    found = []
    for frame, label in pairs:
        encoded = encoder.encode(frame)
        encoder.reset()  # frames are far apart; nothing carries over
        if any(encoded.present.values()):
            found.append(EncodedFrame(encoded.inputs, encoded.present, label))
    if not found:
        raise SsmaError(f"frames: {source} holds no frame with a sensor for {', '.join(contract.modalities)}")
    return found


def _from_recording(source: Path, count: int) -> Iterator[tuple[Frame, None]]:
    from ssma_ros.recordings.frames import read_frames

    total = sum(1 for _ in read_frames(source))
    step = max(1, total // count)
    for frame in islice(read_frames(source), 0, step * count, step):
        yield frame, None


def _from_dataset(contract: Contract, source: Path, count: int) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
    import cv2

    from ssma_ros.training.datasets.folder import FolderDataset

    dataset = FolderDataset(source.parent, source.name, contract.labels)
    step = max(1, len(dataset) // count)
    for index in range(0, min(len(dataset), step * count), step):
        label = dataset.label(index)
        size = (contract.width, contract.height)
        yield dataset.frame(index), cv2.resize(label, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
