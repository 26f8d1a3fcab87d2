# SPDX-License-Identifier: Apache-2.0
"""Several data sets as one split, one after the other."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from ssma_ros.training.datasets.base import FrameDataset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame


class JoinedDataset(FrameDataset):
    """The samples of ``parts`` in their order. A sample's name begins with the number of its part.

    Args:
        parts: one or more splits with one label set.
    """

    def __init__(self, parts: Sequence[FrameDataset]) -> None:
        first = parts[0]
        super().__init__(first.root, first.split, first.labels)
        if any(part.labels != first.labels for part in parts):
            raise ValueError("joined data sets: their label sets differ, expected one label set")
        self._parts = list(parts)
        self._starts = [0, *accumulate(len(part) for part in parts)]

    def __len__(self) -> int:
        return self._starts[-1]

    def name(self, index: int) -> str:
        """Of the sample: number of its part, a slash, its name there."""
        part, inner = self._locate(index)
        return f"{part}/{self._parts[part].name(inner)}"

    def frame(self, index: int) -> Frame:
        """The sensors' images; see :class:`FrameDataset`."""
        part, inner = self._locate(index)
        return self._parts[part].frame(inner)

    def label(self, index: int) -> NDArray[np.uint8]:
        """Train ids; see :class:`FrameDataset`."""
        part, inner = self._locate(index)
        return self._parts[part].label(inner)

    def files(self, index: int) -> Sequence[Path]:
        """Those the sample is made from."""
        part, inner = self._locate(index)
        return self._parts[part].files(inner)

    def group(self, index: int) -> str | None:
        """Of the sample in its part."""
        part, inner = self._locate(index)
        return self._parts[part].group(inner)

    def digest(self) -> str:
        """SHA-256 over the digests of the parts, whose roots may lie anywhere."""
        return hashlib.sha256("\n".join(part.digest() for part in self._parts).encode()).hexdigest()

    def _locate(self, index: int) -> tuple[int, int]:
        """Part and index within it."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        part = bisect_right(self._starts, index) - 1
        return part, index - self._starts[part]
