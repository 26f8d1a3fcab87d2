# SPDX-License-Identifier: Apache-2.0
"""Registration on device memory; what each step does stands in :mod:`ssma_ros.kernels.reference.registration`.

As the functions of :mod:`ssma_ros.kernels.cuda.functions` they take addresses, enqueue and return at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssma_ros.kernels.cuda.device import Device

_BLOCK = (32, 8)
#: Bytes of the numbers of a view and of a spread, see :mod:`ssma_ros.kernels.shared.projection`.
NUMBERS = 18 * 4
_PLACES = 5


class CudaRegistration:
    """Registration onto one grid on one device.

    Args:
        device: memory, stream and launches.
        width, height: of the grid, pixels.
    """

    def __init__(self, device: Device, width: int, height: int) -> None:
        self._device, self.width, self.height = device, width, height

    def view(
        self, image: int, size: tuple[int, int], bytes_each: int, depth: int, measured: int, numbers: int, buffer: int,
        buffer_size: tuple[int, int], out: int, hole: int, seen: int,
    ) -> None:
        """Bring an image of another camera onto the grid.

        Args:
            image: of ``size`` with ``bytes_each`` (1, 2: light; 4: a float32 measurement).
            depth, measured: H×W float32 metres, completed, and above 0 where it was measured.
            numbers: of a :class:`~ssma_ros.kernels.shared.projection.View`, float32.
            buffer: z-buffer of ``buffer_size`` float32.
            out, hole: H×W of ``bytes_each`` and H×W bytes.
            seen: int32, the number of pixels that are seen.
        """
        self._clear(buffer, buffer_size[0] * buffer_size[1])
        self._clear(seen, 1)
        own = (self.width, self.height)
        self._pixels("splat_view", own, depth, measured, numbers, buffer, *own, *buffer_size)
        self._pixels(
            "sample_view", own, image, depth, measured, numbers, buffer, out, hole, seen, bytes_each, *size,
            buffer_size[0], *own,
        )

    def depth(self, depth: int, size: tuple[int, int], numbers: int, places: int, out: int) -> None:
        """Bring depth of another camera onto the grid.

        Args:
            depth: of ``size``, float32 metres.
            numbers: of :func:`~ssma_ros.kernels.shared.projection.spread`, float32.
            places: work memory of :meth:`places_bytes`.
            out: H×W float32 metres.
        """
        self._clear(out, self.width * self.height)
        self._pixels("find_places", size, depth, numbers, places, *size)
        self._pixels("splat_depth", size, places, out, *size, self.width, self.height)
        self._pixels("invert", (self.width, self.height), out, self.width, self.height)

    def places_bytes(self, size: tuple[int, int]) -> int:
        """Work memory that :meth:`depth` needs for an image of ``size``."""
        return _PLACES * 4 * size[0] * size[1]

    def blank(self, picture: int, hole: int, level: int) -> None:
        """Set an H×W×3 picture to ``level`` where ``hole`` is not 0."""
        self._pixels("blank", (self.width, self.height), picture, hole, self.width, self.height, level)

    def _clear(self, pointer: int, words: int) -> None:
        self._device.launch("images", "clear", (-(-words // 256), 1), (256, 1), pointer, words)

    def _pixels(self, kernel: str, size: tuple[int, int], *arguments: float) -> None:
        grid = (-(-size[0] // _BLOCK[0]), -(-size[1] // _BLOCK[1]))
        self._device.launch("registration", kernel, grid, _BLOCK, *arguments)
