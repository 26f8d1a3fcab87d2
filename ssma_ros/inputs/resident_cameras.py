# SPDX-License-Identifier: Apache-2.0
"""Images of other cameras on the device, brought onto the network's grid there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.inputs.encoded import encoding_of
from ssma_ros.inputs.registered import assumed_depth
from ssma_ros.kernels.cuda.registration import NUMBERS, CudaRegistration
from ssma_ros.kernels.shared.projection import spread, view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.contract import Stream
    from ssma_ros.encodings.base import EncoderOptions
    from ssma_ros.frame import Frame, Intrinsics
    from ssma_ros.kernels.cuda.device import Device


@dataclass(frozen=True)
class _Shape:
    """What one camera's memory is for, and what of it is part of a captured graph."""

    size: tuple[int, int]
    bytes_each: int
    buffer: tuple[int, int]


@dataclass(frozen=True)
class _Memory:
    """Addresses of one camera: its image, the numbers of its view, z-buffer or places, mask, count."""

    image: int
    numbers: int
    buffer: int
    hole: int
    seen: int


class OtherCameras:
    """Registers what :attr:`~ssma_ros.frame.Frame.cameras` names.

    Args:
        device: that holds the images.
        width, height: of the grid.
        options: say what stands in where there is no depth.
    """

    def __init__(self, device: Device, width: int, height: int, options: EncoderOptions) -> None:
        self._device, self._options = device, options
        self._functions = CudaRegistration(device, width, height)
        self._pixels = width * height
        self._shapes: dict[str, _Shape] = {}
        self._memory: dict[str, _Memory] = {}

    def layout(self, frame: Frame, grid: Intrinsics | None) -> tuple[tuple[str, _Shape], ...]:
        """What of a frame's other cameras becomes part of a captured graph."""
        if grid is None:
            return ()
        shapes = []
        for sensor, camera in frame.cameras.items():
            if sensor in frame.images:
                size = (camera.intrinsics.width, camera.intrinsics.height)
                buffer = (0, 0) if sensor == "depth" else view(grid, camera, None).buffer
                shapes.append((sensor, _Shape(size, frame.images[sensor].itemsize, buffer)))
        return tuple(shapes)

    def moves(self, layout: tuple[tuple[str, _Shape], ...]) -> bool:
        """Whether :meth:`fit` frees memory that captured graphs know."""
        return any(sensor in self._shapes and self._shapes[sensor] != shape for sensor, shape in layout)

    def fit(self, layout: tuple[tuple[str, _Shape], ...]) -> None:
        """Have memory for cameras of this layout."""
        for sensor, shape in layout:
            if self._shapes.get(sensor) == shape:
                continue
            self._shapes.pop(sensor, None)  # should memory be short below, the next frame comes here again
            for address in vars(self._memory.pop(sensor)).values() if sensor in self._memory else ():
                self._device.free(address)
            work = 4 * shape.buffer[0] * shape.buffer[1] or self._functions.places_bytes(shape.size)
            pixels = shape.size[0] * shape.size[1]
            sizes = (shape.bytes_each * pixels, NUMBERS, work, self._pixels, 4)
            self._memory[sensor] = _Memory(*(self._device.allocate(size) for size in sizes))
            self._shapes[sensor] = shape

    def upload(self, frame: Frame, grid: Intrinsics | None) -> None:
        """Copy the images, and where their cameras stand."""
        assert grid is not None or not frame.cameras, "a frame with other cameras has intrinsics"
        for sensor, camera in frame.cameras.items():
            if sensor not in frame.images or grid is None:
                continue
            self._device.upload(self._memory[sensor].image, np.ascontiguousarray(frame.images[sensor]))
            numbers = spread(camera, grid)
            if sensor != "depth":
                numbers = view(grid, camera, assumed_depth(frame, grid, self._options)).numbers
            self._device.upload(self._memory[sensor].numbers, numbers)

    def register_depth(self, target: int) -> None:
        """Enqueue depth onto the grid at ``target``, with holes."""
        memory, shape = self._memory["depth"], self._shapes["depth"]
        self._functions.depth(memory.image, shape.size, memory.numbers, memory.buffer, target)

    def register(self, sensor: str, depth: int, measured: int, target: int) -> None:
        """Enqueue an image onto the grid at ``target``.

        Args:
            sensor: whose image.
            depth, measured: on the grid, completed and as it was measured; 0 everywhere where there is none.
            target: of the registered image.
        """
        memory, shape = self._memory[sensor], self._shapes[sensor]
        self._functions.view(
            memory.image, shape.size, shape.bytes_each, depth, measured, memory.numbers, memory.buffer, shape.buffer,
            target, memory.hole, memory.seen,
        )

    def seen(self, sensor: str) -> float:
        """Share of the driving image that a camera sees; waits for the device."""
        count = np.empty(1, np.int32)
        self._device.download(count, self._memory[sensor].seen)
        return float(count[0]) / self._pixels

    def clear_holes(self, stream: Stream, cameras: Mapping[str, object], target: int) -> None:
        """Enqueue the level of what is not seen, where a sensor of a stream with a camera of its own does not see."""
        for sensor in stream.sensors:
            if sensor in cameras and sensor != "depth":
                self._functions.blank(target, self._memory[sensor].hole, encoding_of(stream).unseen)
