# SPDX-License-Identifier: Apache-2.0
"""SUN RGB-D by list files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.training.datasets.images import read_gray
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, read_lines, read_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class SunRgbdDataset(PathDataset):
    """``ROOT/SPLIT.txt`` with a line ``IMAGE DEPTH LABEL`` a sample, paths from the root, as in the usual
    37-class reorganisation (``image/train/img-000001.jpg depth/train/00000001.png label37/train/…png``).

    Depth is stored with its lowest three bits rotated to the top: millimetres = (d >> 3) | (d << 13). Intrinsics come
    from ``intrinsics.txt`` in the image's folder or the one above (the official folders have it), nine numbers.
    """

    def _list_samples(self) -> list[SamplePaths]:
        listing = self.root / f"{self.split}.txt"
        samples = []
        for number, line in enumerate(read_lines(listing, "split file"), start=1):
            words = line.split()
            if len(words) != 3:
                raise SsmaError(
                    f"split file {listing}: line {number} has {len(words)} paths, expected image, depth, label"
                )
            image, depth, label = (self.root / word for word in words)
            camera = _camera_file(image)
            samples.append(SamplePaths(name=words[0], color=image, depth=depth, label=label, camera=camera))
        return samples

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32]:
        raw = read_gray(sample.images["depth"], "depth image", ("uint16",))
        millimetres = np.bitwise_or(raw >> np.uint16(3), raw << np.uint16(13))
        return np.multiply(millimetres, np.float32(1e-3), dtype=np.float32)

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        if sample.camera is None:
            return None
        k = read_numbers(sample.camera, "camera file", 9)
        # The files number pixels from 1.
        return Intrinsics(fx=k[0], fy=k[4], cx=k[2] - 1.0, cy=k[5] - 1.0, width=width, height=height)


def _camera_file(image: Path) -> Path | None:
    candidates = (image.parent / "intrinsics.txt", image.parent.parent / "intrinsics.txt")
    return next((c for c in candidates if c.is_file()), None)
