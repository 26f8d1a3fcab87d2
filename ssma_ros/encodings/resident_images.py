"""A frame's camera images on the device: uploaded as the cameras sent them, then on the network's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.device import Device
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing, NearestPixels

#: Of each sensor: allowed dtypes, number of dimensions, and bytes of the largest pixel.
_IMAGES: Mapping[str, tuple[tuple[type, ...], int, int]] = {
    "color": ((np.uint8,), 3, 3), "depth": ((np.float32,), 2, 4), "nir": ((np.uint8, np.uint16), 2, 2),
}


class SensorImages:
    """Memory for one frame's images, at the camera's size and on the grid of ``functions``.

    Args:
        device: that holds them.
        functions: resize; their size is the grid's.
        color: address of the H×W×3 bytes that the colour image on the grid is written to, or 0 for memory of its own.

    Attributes:
        color, depth, nir: addresses of the images on the grid: H×W×3 bytes, H×W float32 metres, H×W of 1 or 2 bytes.
        size: (width, height) of the images that :meth:`upload` takes now.
    """

    def __init__(self, device: Device, functions: CudaPreprocessing, color: int = 0) -> None:
        self._device, self._functions = device, functions
        pixels = functions.width * functions.height
        self.color = color or device.allocate(3 * pixels)
        self.depth, self.nir = device.allocate(4 * pixels), device.allocate(2 * pixels)
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
        if size != self._grid:
            self._nearest = self._functions.nearest_pixels(*size)
        self.size = size

    def upload(self, frame: Frame) -> None:
        """Copy the images of a frame that :meth:`fit` has made ready for; straight to the grid where they fit it."""
        grid = {"color": self.color, "depth": self.depth, "nir": self.nir}
        for name, (_, _, each) in _IMAGES.items():
            image = getattr(frame, name)
            if image is None:
                continue
            if not self._fits and name not in self._raw:
                self._raw[name] = self._device.allocate(each * self.size[0] * self.size[1])
            self._device.upload(grid[name] if self._fits else self._raw[name], image)

    def resize(self, *, color: bool, depth: bool, nir_bytes: int) -> None:
        """Enqueue the way to the grid of the images that are there; of near infrared the bytes of a pixel, or 0."""
        if self._nearest is None:
            return
        if color:
            self._functions.resize_image(self._raw["color"], *self.size, self.color, channels=3)
        if nir_bytes:
            self._functions.resize_image(self._raw["nir"], *self.size, self.nir, channels=1, bytes_each=nir_bytes)
        if depth:
            self._functions.resize_depth(self._raw["depth"], self._nearest, self.depth, millimetres=False)

    @property
    def _grid(self) -> tuple[int, int]:
        return self._functions.width, self._functions.height

    @property
    def _fits(self) -> bool:
        return self.size == self._grid


def check_images(frame: Frame) -> tuple[int, int]:
    """(width, height) of a frame whose images are what :class:`~ssma_ros.frame.Frame` states.

    Raises:
        ValueError: there is none, sizes differ, or one has another dtype or shape.
    """
    width, height = frame.size
    for name, (dtypes, dimensions, _) in _IMAGES.items():
        image = getattr(frame, name)
        if image is None:
            continue
        if image.dtype not in dtypes or image.shape != (height, width, 3)[:dimensions]:
            words = " or ".join(np.dtype(t).name for t in dtypes)
            expected = f"{words} {(height, width, 3)[:dimensions]}"
            raise ValueError(f"frame: {name} is {image.dtype} {image.shape}, expected {expected}")
    return width, height
