# SPDX-License-Identifier: Apache-2.0
"""The compiled fills behind the arguments of :mod:`ssma_ros.encodings.depth_completion`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssma_ros.kernels.numba import fill, morphology
from ssma_ros.kernels.numba.jit import RING_ROWS, row_length
from ssma_ros.kernels.numba.median import SCRATCH
from ssma_ros.kernels.shared.threads import Workspaces, run_in_bands

Image = NDArray[np.float32]


class _Buffers:
    """Work memory for images of one size: rings for each worker, whole images where a step needs them."""

    def __init__(self, height: int, width: int, workers: int) -> None:
        length = row_length(width)
        self._shape = (height, length)
        self._whole: dict[str, Image] = {}
        self.input = np.zeros((height, width), np.float32)
        self.rings = np.zeros((workers, fill.RINGS, RING_ROWS, length), np.float32)
        self.line = np.zeros((workers, length), np.float32)
        self.scratch = np.zeros((workers, SCRATCH + 2 * length), np.float32)
        self.zeros = np.zeros(length, np.int32)
        self.top = np.zeros(length, np.int32)

    def whole(self, name: str) -> Image:
        """A buffer of work rows for a whole image, made when first asked for."""
        if name not in self._whole:
            self._whole[name] = np.zeros(self._shape, np.float32)
        return self._whole[name]


_workspaces: Workspaces[_Buffers] = Workspaces(_Buffers)


def fill_fast(depth: Image, max_depth: float, extrapolate: bool, blur: str, out: Image, threads: int) -> None:
    """Write the completed depth to ``out``; arguments as checked by the public function."""
    height, width = depth.shape
    threads = min(threads, height)
    with _workspaces.lend(height, width, threads) as b:
        _fast(_plain(depth, b), np.float32(max_depth), extrapolate, blur == "gaussian", out, threads, b)


def _fast(
    source: Image, limit: np.float32, extrapolate: bool, gauss: bool, out: Image, threads: int, b: _Buffers
) -> None:
    height, width = source.shape
    if not extrapolate:
        def whole(i: int, y0: int, y1: int) -> None:
            fill.fast(source, limit, gauss, out, y0, y1, b.rings[i], b.line[i], b.zeros, b.scratch[i])

        run_in_bands(whole, height, threads)
        return
    filled = b.whole("filled")

    def grow(i: int, y0: int, y1: int) -> None:
        fill.fast_to_filled(source, limit, filled, y0, y1, b.rings[i], b.line[i], b.zeros)

    def finish(i: int, y0: int, y1: int) -> None:
        fill.fast_from_extended(
            filled, limit, gauss, out, y0, y1, b.rings[i], b.line[i], b.zeros, b.scratch[i]
        )

    run_in_bands(grow, height, threads)
    morphology.first_valid_rows(filled, b.top, height, width)
    morphology.copy_top_upward(filled, b.top, width)
    run_in_bands(finish, height, threads)


def fill_multiscale(depth: Image, max_depth: float, extrapolate: bool, blur: str, out: Image, threads: int) -> None:
    """Write the completed depth to ``out``; arguments as checked by the public function."""
    height, width = depth.shape
    threads = min(threads, height)
    with _workspaces.lend(height, width, threads) as b:
        _multiscale(_plain(depth, b), np.float32(max_depth), extrapolate, blur == "gaussian", out, threads, b)


def _multiscale(
    source: Image, limit: np.float32, extrapolate: bool, gauss: bool, out: Image, threads: int, b: _Buffers
) -> None:
    height, width = source.shape
    closed, filled = b.whole("closed"), b.whole("filled")

    def close(i: int, y0: int, y1: int) -> None:
        fill.multiscale_to_closed(
            source, limit, closed, y0, y1, b.rings[i], b.line[i], b.zeros, b.scratch[i]
        )

    def bridge(i: int, y0: int, y1: int) -> None:
        fill.multiscale_bridge(closed, filled, b.top, y0, y1, height, width, b.line[i])

    def finish(i: int, y0: int, y1: int) -> None:
        fill.multiscale_from_filled(
            filled, limit, gauss, out, b.top, y0, y1, b.rings[i], b.line[i], b.scratch[i]
        )

    run_in_bands(close, height, threads)
    morphology.first_valid_rows(closed, b.top, height, width)
    run_in_bands(bridge, height, threads)
    morphology.first_valid_rows(filled, b.top, height, width)
    if extrapolate:
        morphology.copy_top_upward(filled, b.top, width)
        b.top[:] = 0
    run_in_bands(finish, height, threads)


def _plain(depth: Image, buffers: _Buffers) -> Image:
    """``depth`` as the one array type the kernels are compiled for; strided or read-only images are copied."""
    flags = depth.flags
    if flags.c_contiguous and flags.writeable and flags.aligned:
        return depth
    np.copyto(buffers.input, depth)
    return buffers.input
