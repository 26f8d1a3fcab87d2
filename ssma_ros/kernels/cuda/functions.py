# SPDX-License-Identifier: Apache-2.0
"""Depth completion, HHA, vegetation indices, jet, resizing and packing on device memory.

The functions take and give addresses of device memory, enqueue kernels on the device's stream and return at once.
They allocate nothing and never wait, so a whole frame can be captured in one CUDA graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.kernels.shared.checks import check_bounds, check_choice, check_intrinsics, check_positive
from ssma_ros.kernels.shared.constants import (
    EMPTY_BELOW,
    FILL_FAST,
    FILL_GROW,
    FILL_MULTISCALE,
    GRAVITY_ITERATIONS,
    GRAVITY_THRESHOLDS,
    GROW_ROUNDS,
    HEIGHT_BINS,
    PARTS,
    REDUCERS,
    SIGMA_DEPTH_FAST,
    SIGMA_DEPTH_MULTISCALE,
    STRIDERS,
    SUMS,
)

if TYPE_CHECKING:
    from ssma_ros.frame import Intrinsics
    from ssma_ros.kernels.cuda.device import Device

#: In the kernel's order; ``nir`` is the near infrared itself in three channels.
INDICES = ("ndvi", "evi", "evi2", "nrg", "nir")
_BLOCK = (32, 8)
_FLOAT = 4
_NONE = 0


#: As :attr:`ssma_ros.encodings.hha.HHAEncoder.gravity_source` calls them.
GRAVITY_SOURCES = ("given", "estimated", "held", "level")


@dataclass(frozen=True)
class GravityHistory:
    """Gravity from image to image without a word from the host, so that one captured graph serves all images.

    Attributes:
        past: address of 5 float32 that the kernels keep: the direction the last image was encoded with, 1 once there
            was one, and the index in :data:`GRAVITY_SOURCES` of where it came from. Its content does not matter before
            the first image if that one forgets.
        now: address of 5 float32 to be written before each image: "down" (x, y, z), share of the new estimate
            (1 = no smoothing), and 1 to forget the past, else 0.
        given: take "down" from ``now`` instead of the estimate.
        max_tilt, min_support: as :class:`~ssma_ros.encodings.hha.HHAOptions`.
    """

    past: int
    now: int
    given: bool = False
    max_tilt: float = 180.0
    min_support: int = 0


@dataclass(frozen=True)
class NearestPixels:
    """Tables on the device: what :meth:`CudaPreprocessing.resize_depth` reads.

    Attributes:
        columns, rows: addresses of int32, for each own column and row the one to read.
        width: of the image that is read, pixels.
    """

    columns: int
    rows: int
    width: int


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
        self._sums = device.allocate(2 * SUMS * plane)
        self._fine, self._coarse = device.allocate(3 * plane), device.allocate(3 * plane)
        self._parts = device.allocate(PARTS * STRIDERS * _FLOAT)
        #: 6 float32 on the device: direction of gravity, floor and wall normals, floor height in metres.
        self.gravity = device.allocate(6 * _FLOAT)
        self._height_counts = device.allocate(HEIGHT_BINS * 4)
        self._jet_table, self._gray_table = device.allocate(256 * 3), device.allocate(256 * 3)
        levels = np.arange(256, dtype=np.uint8)[:, None]
        table = cv2.applyColorMap(levels, cv2.COLORMAP_JET)
        device.upload(self._jet_table, np.ascontiguousarray(table.reshape(256, 3)))
        # Level 0 is kept for what is no reading; 254 steps lead from near (1) to far (255).
        device.upload(self._gray_table, np.repeat(np.minimum(levels, 254) + np.uint8(1), 3, axis=1))

    def fill_fast(
        self, depth: int, out: int, *, max_depth: float = 100.0, extrapolate: bool = False, blur: str = "bilateral"
    ) -> None:
        """Complete depth as :func:`ssma_ros.encodings.depth_completion.fill_fast`; float32 metres both."""
        check_choice(blur, ("bilateral", "gaussian"), "blur")
        max_depth = check_positive(max_depth, "max_depth")
        a, b, c = self._planes
        self._fill("invert_and_dilate", depth, a, last=(max_depth,))
        self._close(a, b)
        self._fill("fill_empty", a, b, _NONE, last=(FILL_FAST // 2,))
        if extrapolate:
            self._find_top(b)
            self._fill("copy_top_upward", b, self._top)
            self._fill("dilate_row_large", b, a)
            self._fill("fill_empty_large", b, a, c)
            b, c = c, b
        self._fill("median", b, a, _NONE, last=(-1.0,))
        self._blur(a, a, out, _NONE, blur, SIGMA_DEPTH_FAST, max_depth, -1.0)

    def fill_multiscale(
        self, depth: int, out: int, *, max_depth: float = 100.0, extrapolate: bool = False, blur: str = "bilateral"
    ) -> None:
        """Complete depth as :func:`ssma_ros.encodings.depth_completion.fill_multiscale`; float32 metres both."""
        check_choice(blur, ("bilateral", "gaussian"), "blur")
        max_depth = check_positive(max_depth, "max_depth")
        a, b, _ = self._planes
        self._fill("invert_and_dilate_bins", depth, a, last=(max_depth,))
        self._close(a, b)
        self._fill("median", a, b, _NONE, last=(EMPTY_BELOW,))
        self._find_top(b)
        self._fill("fill_empty", b, a, self._top, last=(FILL_MULTISCALE // 2,))
        self._find_top(a)
        top = self._top
        if extrapolate:
            self._fill("copy_top_upward", a, self._top)
            top = _NONE
        for _ in range(GROW_ROUNDS):
            self._fill("fill_empty", a, b, top, last=(FILL_GROW // 2,))
            a, b = b, a
        self._fill("median", a, b, top, last=(EMPTY_BELOW,))
        self._blur(b, a, out, top, blur, SIGMA_DEPTH_MULTISCALE, max_depth, EMPTY_BELOW)

    def keep_readings(self, depth: int) -> None:
        """Set H×W float32 metres to 0 where they are no reading (at most 0.1 m, or not finite), in place."""
        self._fill("keep_readings", depth)

    def encode_hha(
        self,
        depth: int,
        intrinsics: Intrinsics,
        out: int,
        *,
        missing: int = _NONE,
        gravity: tuple[float, float, float] | None = None,
        history: GravityHistory | None = None,
        camera_height: float | None = None,
        floor_percentile: float | None = None,
        height_range: float = 2.55,
        mask_missing: bool = False,
    ) -> None:
        """Encode depth as :func:`ssma_ros.encodings.hha.encode_hha`, into H×W×3 bytes.

        Args:
            depth: H×W float32 metres.
            intrinsics: of this grid, ROS pixel convention.
            out: H×W×3 bytes.
            missing: H×W bytes, not 0 where normals must not use the depth.
            gravity: "down" in the optical frame, unit length, instead of the estimate. As every number given here it
                becomes part of a captured graph; ``history`` is for what changes from image to image.
            history: where gravity is kept between images; refuses and smooths estimates.
            camera_height, floor_percentile, height_range, mask_missing: as
                :class:`~ssma_ros.encodings.hha.HHAOptions`.
        """
        check_intrinsics(intrinsics, (self.height, self.width))
        check_positive(height_range, "height_range")
        if gravity is not None and history is not None:
            raise ValueError("gravity, history: both are given, expected one of them")
        estimated = gravity is None and (history is None or not history.given)
        k = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
        size = (self.width, self.height)
        self._pixels("hha", "prepare", depth, missing, self._z, self._q, *size)
        self._pixels("hha", "sum_rows", self._q, self._sums, *size)
        coarse = self._coarse if estimated else _NONE
        self._pixels("hha", "solve_normals", self._sums, self._z, self._fine, coarse, *size, *k)
        if history is not None and history.given:
            self._single("take_gravity", self.gravity, history.past, history.now)
        else:
            self._single("set_gravity", self.gravity, *(gravity or (0.0, 1.0, 0.0)))
        if estimated:
            self._estimate_gravity()
            if history is not None:
                self._settle_gravity(history)
        self._find_floor(k, camera_height, floor_percentile)
        self._pixels(
            "hha", "encode", self._z, self._fine, self.gravity, out, *size, *k, 255.0 / height_range, int(mask_missing)
        )

    def jet_depth(self, depth: int, out: int, near: float, far: float) -> None:
        """Colour depth as :func:`ssma_ros.encodings.colormap.jet_depth`, into H×W×3 bytes."""
        self._color_depth(depth, out, self._jet_table, 255.0, near, far)

    def gray_depth(self, depth: int, out: int, near: float, far: float) -> None:
        """Grey levels as :func:`ssma_ros.encodings.colormap.gray_depth`, into H×W×3 bytes, all channels alike."""
        self._color_depth(depth, out, self._gray_table, 254.0, near, far)

    def vegetation(self, color: int, nir: int, out: int, index: str, *, nir_bytes: int, nir_full_scale: float) -> None:
        """An index of :data:`INDICES` from H×W×3 BGR bytes and near infrared of 1 or 2 bytes, into H×W×3 bytes.

        ``color`` may be 0 for ``nir``.
        """
        check_choice(index, INDICES, "index")
        self._pixels(
            "images", "vegetation", color, nir, nir_bytes, nir_full_scale, out, self.width, self.height,
            INDICES.index(index),
        )

    def resize_image(
        self, image: int, width: int, height: int, out: int, *, channels: int, bytes_each: int = 1
    ) -> None:
        """Bilinear from ``width`` × ``height`` to the own size; 1-byte channels, or one channel of 2 bytes.

        Bytes come out as from ``cv2.resize``, bit for bit; of 2-byte values the last may differ.
        """
        sizes = (width, height, self.width, self.height)
        if bytes_each == 1:
            self._pixels("images", "resize_linear_8", image, out, *sizes, channels)
        elif bytes_each == 2 and channels == 1:
            self._pixels("images", "resize_linear_16", image, out, *sizes)
        else:
            raise ValueError(f"resize: got {channels} channels of {bytes_each} bytes, expected 1-byte ones or 1 of 2")

    def nearest_pixels(self, width: int, height: int) -> NearestPixels:
        """Which pixels of ``width`` × ``height`` the own grid reads, asked of OpenCV. Allocates: not for a capture."""
        tables = []
        for size, own in ((width, self.width), (height, self.height)):
            line = np.arange(size, dtype=np.float32)[None]  # exact up to 16 million
            chosen = cv2.resize(line, (own, 1), interpolation=cv2.INTER_NEAREST_EXACT)
            tables.append(self._device.allocate(own * 4))
            self._device.upload(tables[-1], chosen.reshape(-1).astype(np.int32))
        return NearestPixels(tables[0], tables[1], width)

    def resize_depth(self, depth: int, pixels: NearestPixels, out: int) -> None:
        """Nearest pixel to the own size, float32 both."""
        self._pixels(
            "images", "resize_depth", depth, out, pixels.columns, pixels.rows, pixels.width, self.width, self.height
        )

    def pack(self, image: int, out: int, *, swap: bool = False) -> None:
        """H×W×3 bytes into a network input, red and blue swapped or not."""
        self._pixels("images", "pack", image, out, self.width, self.height, int(swap))

    def _estimate_gravity(self) -> None:
        for degrees in GRAVITY_THRESHOLDS:
            angle = math.radians(degrees)
            for _ in range(GRAVITY_ITERATIONS):
                self._stride(
                    "scatter", self._coarse, self.gravity, self._parts, self.width * self.height, math.cos(angle),
                    math.sin(angle),
                )
                self._reduce("refine_gravity", self._parts, STRIDERS, self.gravity)

    def clear(self, pointer: int, size: int) -> None:
        """Set ``size`` bytes, a multiple of 4, to 0."""
        if size % 4:
            raise ValueError(f"size: got {size} bytes, expected a multiple of 4")
        self._device.launch("images", "clear", (-(-size // 1024), 1), (256, 1), pointer, size // 4)

    def _settle_gravity(self, history: GravityHistory) -> None:
        # The margin is float32's: a limit of 180 degrees must let every direction pass.
        upright = math.cos(math.radians(history.max_tilt)) - 1e-6
        self._single("settle_gravity", self.gravity, history.past, history.now, upright, float(history.min_support))

    def _find_floor(
        self, k: tuple[float, float, float, float], camera_height: float | None, percentile: float | None
    ) -> None:
        """The height that becomes 0: from a known camera, a percentile of the readings, or as published."""
        size = (self.width, self.height)
        if camera_height is not None:
            self._single("set_floor", self.gravity, -camera_height)
        elif percentile is not None:
            self.clear(self._height_counts, HEIGHT_BINS * 4)
            self._pixels("hha", "count_heights", self._z, self.gravity, self._height_counts, *size, *k)
            self._reduce("find_percentile", self._height_counts, self.gravity, percentile)
        else:
            self._stride("least_heights", self._z, self.gravity, self._parts, *size, *k)
            self._reduce("find_floor", self._parts, STRIDERS, self.gravity)

    def _color_depth(self, depth: int, out: int, table: int, levels: float, near: float, far: float) -> None:
        near, far = check_bounds(near, far)
        scale = levels / (far - near)
        self._pixels("images", "color_depth", depth, table, out, self.width, self.height, near, scale)

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
        self._device.launch("hha", kernel, (STRIDERS // 256, 1), (256, 1), *arguments)

    def _reduce(self, kernel: str, *arguments: float) -> None:
        self._device.launch("hha", kernel, (1, 1), (REDUCERS, 1), *arguments)

    def _single(self, kernel: str, *arguments: float) -> None:
        self._device.launch("hha", kernel, (1, 1), (32, 1), *arguments)


def _blocks(width: int, height: int) -> tuple[int, int]:
    return -(-width // _BLOCK[0]), -(-height // _BLOCK[1])
