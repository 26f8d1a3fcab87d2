# SPDX-License-Identifier: Apache-2.0
"""A frame's camera images on the device: uploaded as the cameras sent them, then on the network's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.device import Device
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing, NearestPixels


class SensorImages:
    """Memory for one frame's images, at the camera's size and on the grid of ``functions``.

    Args:
        device: that holds them.
        functions: resize; their size is the grid's.
        sensors: whose images are taken; others in a frame are left alone.
        homes: by sensor an address on the grid that is there already, instead of memory of its own.

    Attributes:
        grid: by sensor the address of its image on the grid: H×W×3 bytes, H×W float32, or H×W of 1 or 2 bytes.
        size: (width, height) of the images that :meth:`upload` takes now.
    """

    def __init__(
        self, device: Device, functions: CudaPreprocessing, sensors: Collection[str], homes: Mapping[str, int]
    ) -> None:
        self._device, self._functions = device, functions
        pixels = functions.width * functions.height
        self.grid = {
            name: homes[name] if name in homes else device.allocate(_largest(name) * pixels)
            for name in SENSORS if name in sensors
        }
        self.size = (functions.width, functions.height)
        self._raw: dict[str, int] = {}
        self._nearest: NearestPixels | None = None

    def fit(self, size: tuple[int, int]) -> None:
        """Make ready for images of another ``size``; frees memory that captured graphs may know."""
        freed = list(self._raw.values())
        if self._nearest is not None:
            freed += [self._nearest.columns, self._nearest.rows]
        # Of no size until all is there: should memory be short below, the next frame comes here again.
        self._raw, self._nearest, self.size = {}, None, (0, 0)
        for pointer in freed:
            self._device.free(pointer)
        if size != (self._functions.width, self._functions.height):
            self._nearest = self._functions.nearest_pixels(*size)
        self.size = size

    def upload(self, frame: Frame) -> None:
        """Copy the images of a frame that :meth:`fit` has made ready for; straight to the grid where they fit it."""
        fits = self.size == (self._functions.width, self._functions.height)
        for name in self.grid:
            image = frame.images.get(name)
            if image is None or name in frame.cameras:
                continue
            if not fits and name not in self._raw:
                self._raw[name] = self._device.allocate(_largest(name) * self.size[0] * self.size[1])
            self._device.upload(self.grid[name] if fits else self._raw[name], image)

    def resize(self, bytes_each: Mapping[str, int]) -> None:
        """Enqueue the way to the grid of the images that are there, with the bytes of one value of each."""
        if self._nearest is None:
            return
        for name, bytes_of_value in bytes_each.items():
            source, target, pixels = self._raw[name], self.grid[name], SENSORS[name].pixels
            if pixels == "measurement":
                self._functions.resize_depth(source, self._nearest, target)
            elif pixels == "color":
                self._functions.resize_image(source, *self.size, target, channels=3)
            else:
                self._functions.resize_image(source, *self.size, target, channels=1, bytes_each=bytes_of_value)


def _largest(sensor: str) -> int:
    """Bytes of the largest pixel that an image of this sensor can have."""
    return SENSORS[sensor].channels * max(np.dtype(name).itemsize for name in SENSORS[sensor].dtypes)
