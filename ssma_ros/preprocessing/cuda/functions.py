"""Depth completion, HHA, vegetation indices, jet, resizing and packing on device memory.

The functions take and give addresses of device memory, enqueue kernels on the device's stream and return at once.
They allocate nothing and never wait, so a whole frame can be captured in one CUDA graph.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.preprocessing.checks import EMPTY_BELOW, check_bounds, check_choice, check_intrinsics, check_positive

if TYPE_CHECKING:
    from ssma_ros.frame import Intrinsics
    from ssma_ros.preprocessing.cuda.device import Device

INDICES = ("ndvi", "evi", "evi2", "nrg")
_BLOCK = (32, 8)
#: Threads of the kernels that stride over an image, and of the one block that ends a sum (REDUCERS in hha.cu).
_STRIDERS, _REDUCERS = 8192, 256
_FLOAT = 4
_NONE = 0


class CudaPreprocessing:
    """All preprocessing for one image size on one device.

    Args:
        device: memory, stream and launches.
        width, height: of the images the functions work on (resizing takes others in), pixels.
    """

    def __init__(self, device: Device, width: int, height: int) -> None:
        self._device = device
        self.width, self.height = width, height
        self._grid = _blocks(width, height)
        plane = width * height * _FLOAT
        self._planes = tuple(device.allocate(plane) for _ in range(3))
        self._top = device.allocate(width * _FLOAT)
        self._z, self._q = device.allocate(plane), device.allocate(plane)
        self._sums = device.allocate(10 * plane)
        self._fine, self._coarse = device.allocate(3 * plane), device.allocate(3 * plane)
        self._parts = device.allocate(8 * _STRIDERS * _FLOAT)
        #: 6 float32 on the device: direction of gravity, floor and wall normals, floor height in metres.
        self.gravity = device.allocate(6 * _FLOAT)
        self._jet_table = device.allocate(256 * 3)
        table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)
        device.upload(self._jet_table, np.ascontiguousarray(table.reshape(256, 3)))

    def fill_fast(
        self, depth: int, out: int, *, max_depth: float = 100.0, extrapolate: bool = False, blur: str = "bilateral"
    ) -> None:
        """Complete depth as :func:`ssma_ros.preprocessing.depth_completion.fill_fast`; float32 metres both."""
        check_choice(blur, ("bilateral", "gaussian"), "blur")
        max_depth = check_positive(max_depth, "max_depth")
        a, b, c = self._planes
        self._fill("invert_and_dilate", depth, a, last=(max_depth,))
        self._close(a, b)
        self._fill("fill_empty", a, b, _NONE, last=(3,))
        if extrapolate:
            self._find_top(b)
            self._fill("copy_top_upward", b, self._top)
            self._fill("dilate_row_31", b, a)
            self._fill("fill_empty_31", b, a, c)
            b, c = c, b
        self._fill("median", b, a, _NONE, last=(-1.0,))
        self._blur(a, a, out, _NONE, blur, 1.5, max_depth, -1.0)

    def fill_multiscale(
        self, depth: int, out: int, *, max_depth: float = 100.0, extrapolate: bool = False, blur: str = "bilateral"
    ) -> None:
        """Complete depth as :func:`ssma_ros.preprocessing.depth_completion.fill_multiscale`; float32 metres both."""
        check_choice(blur, ("bilateral", "gaussian"), "blur")
        max_depth = check_positive(max_depth, "max_depth")
        a, b, _ = self._planes
        self._fill("invert_and_dilate_bins", depth, a, last=(max_depth,))
        self._close(a, b)
        self._fill("median", a, b, _NONE, last=(EMPTY_BELOW,))
        self._find_top(b)
        self._fill("fill_empty", b, a, self._top, last=(4,))
        self._find_top(a)
        top = self._top
        if extrapolate:
            self._fill("copy_top_upward", a, self._top)
            top = _NONE
        for _ in range(3):
            self._fill("fill_empty", a, b, top, last=(2,))
            self._fill("fill_empty", b, a, top, last=(2,))
        self._fill("median", a, b, top, last=(EMPTY_BELOW,))
        self._blur(b, a, out, top, blur, 0.5, max_depth, EMPTY_BELOW)

    def encode_hha(
        self,
        depth: int,
        intrinsics: Intrinsics,
        out: int,
        *,
        missing: int = _NONE,
        gravity: tuple[float, float, float] | None = None,
        camera_height: float | None = None,
        height_range: float = 2.55,
        mask_missing: bool = False,
    ) -> None:
        """Encode depth as :func:`ssma_ros.preprocessing.hha.encode_hha`, into H×W×3 bytes.

        Args:
            depth: H×W float32 metres.
            intrinsics: of this grid, ROS pixel convention.
            out: H×W×3 bytes.
            missing: H×W bytes, not 0 where normals must not use the depth.
            gravity: "down" in the optical frame, unit length, instead of the estimate. It and the next three become
                part of a captured graph.
            camera_height, height_range, mask_missing: as :class:`~ssma_ros.preprocessing.hha.HHAOptions`.
        """
        check_intrinsics(intrinsics, (self.height, self.width))
        check_positive(height_range, "height_range")
        k = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
        size = (self.width, self.height)
        self._pixels("hha", "prepare", depth, missing, self._z, self._q, *size)
        self._pixels("hha", "sum_rows", self._q, self._sums, *size)
        coarse = self._coarse if gravity is None else _NONE
        self._pixels("hha", "solve_normals", self._sums, self._z, self._fine, coarse, *size, *k)
        self._single("set_gravity", self.gravity, *(gravity or (0.0, 1.0, 0.0)))
        if gravity is None:
            self._estimate_gravity()
        if camera_height is None:
            self._stride("least_heights", self._z, self.gravity, self._parts, *size, *k)
            self._reduce("find_floor", self._parts, _STRIDERS, self.gravity)
        else:
            self._single("set_floor", self.gravity, -camera_height)
        self._pixels(
            "hha", "encode", self._z, self._fine, self.gravity, out, *size, *k, 255.0 / height_range, int(mask_missing)
        )

    def jet_depth(self, depth: int, out: int, near: float, far: float) -> None:
        """Colour depth as :func:`ssma_ros.preprocessing.colormap.jet_depth`, into H×W×3 bytes."""
        near, far = check_bounds(near, far)
        scale = 255.0 / (far - near)
        self._pixels("images", "jet", depth, self._jet_table, out, self.width, self.height, near, scale)

    def vegetation(self, color: int, nir: int, out: int, index: str, *, nir_bytes: int, nir_full_scale: float) -> None:
        """An index of :data:`INDICES` from H×W×3 BGR bytes and near infrared of 1 or 2 bytes, into H×W×3 bytes."""
        check_choice(index, INDICES, "index")
        self._pixels(
            "images", "vegetation", color, nir, nir_bytes, nir_full_scale, out, self.width, self.height,
            INDICES.index(index),
        )

    def resize_image(
        self, image: int, width: int, height: int, out: int, *, channels: int, bytes_each: int = 1
    ) -> None:
        """Bilinear from ``width`` × ``height`` to the own size; 1-byte channels, or one channel of 2 bytes."""
        sizes = (width, height, self.width, self.height)
        if bytes_each == 1:
            self._pixels("images", "resize_linear_8", image, out, *sizes, channels)
        elif bytes_each == 2 and channels == 1:
            self._pixels("images", "resize_linear_16", image, out, *sizes)
        else:
            raise ValueError(f"resize: got {channels} channels of {bytes_each} bytes, expected 1-byte ones or 1 of 2")

    def resize_depth(self, depth: int, width: int, height: int, out: int, *, millimetres: bool) -> None:
        """Nearest pixel from ``width`` × ``height``, uint16 millimetres or float32 metres, to float32 metres."""
        sizes = (width, height, self.width, self.height)
        if millimetres:
            self._pixels("images", "resize_depth_16", depth, out, *sizes, 0.001)
        else:
            self._pixels("images", "resize_depth_32", depth, out, *sizes)

    def pack(self, image: int, out: int, *, planar: bool = False, swap: bool = False) -> None:
        """H×W×3 bytes into a network input of bytes: interleaved or in planes, red and blue swapped or not."""
        self._pixels("images", "pack_8", image, out, self.width, self.height, int(planar), int(swap))

    def pack_normalized(
        self,
        image: int,
        out: int,
        mean: tuple[float, float, float],
        scale: tuple[float, float, float],
        *,
        swap: bool = False,
    ) -> None:
        """H×W×3 bytes into float32 planes, (v − mean)·scale, for networks without that in their graph."""
        self._pixels("images", "pack_32", image, out, self.width, self.height, int(swap), *mean, *scale)

    def _estimate_gravity(self) -> None:
        for degrees in (45.0, 15.0):
            angle = math.radians(degrees)
            for _ in range(5):
                self._stride(
                    "scatter", self._coarse, self.gravity, self._parts, self.width * self.height, math.cos(angle),
                    math.sin(angle),
                )
                self._reduce("refine_gravity", self._parts, _STRIDERS, self.gravity)

    def _close(self, image: int, scratch: int) -> None:
        self._fill("dilate_5", image, scratch)
        self._fill("erode_5", scratch, image)

    def _find_top(self, image: int) -> None:
        self._fill("clear_top", self._top)
        self._fill("first_valid_rows", image, self._top)
        self._fill("finish_top", self._top)

    def _blur(
        self, image: int, own: int, out: int, top: int, blur: str, sigma: float, max_depth: float, above: float
    ) -> None:
        if blur == "gaussian":
            self._fill("gaussian", image, out, top, last=(max_depth,))
        else:
            self._fill("bilateral", image, own, out, top, last=(-1.0 / (2.0 * sigma * sigma), max_depth, above))

    def _fill(self, kernel: str, *pointers: int, last: tuple[float, ...] = ()) -> None:
        """Launch a kernel of fill.cu: its pointers, the size, then its other arguments."""
        self._pixels("fill", kernel, *pointers, self.width, self.height, *last)

    def _pixels(self, source: str, kernel: str, *arguments: float) -> None:
        self._device.launch(source, kernel, self._grid, _BLOCK, *arguments)

    def _stride(self, kernel: str, *arguments: float) -> None:
        self._device.launch("hha", kernel, (_STRIDERS // 256, 1), (256, 1), *arguments)

    def _reduce(self, kernel: str, *arguments: float) -> None:
        self._device.launch("hha", kernel, (1, 1), (_REDUCERS, 1), *arguments)

    def _single(self, kernel: str, *arguments: float) -> None:
        self._device.launch("hha", kernel, (1, 1), (32, 1), *arguments)


def _blocks(width: int, height: int) -> tuple[int, int]:
    return -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
