# SPDX-License-Identifier: Apache-2.0
"""The compiled HHA behind the arguments of :mod:`ssma_ros.encodings.hha`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics
from ssma_ros.kernels.numba import gravity, normals, window_sums
from ssma_ros.kernels.numba.jit import row_length
from ssma_ros.kernels.shared import constants
from ssma_ros.kernels.shared.threads import Workspaces, run_in_bands

#: Cosine and sine of the threshold, and iterations, of the stages of the gravity estimate.
_STAGES = np.array([
    [math.cos(math.radians(t)), math.sin(math.radians(t)), constants.GRAVITY_ITERATIONS]
    for t in constants.GRAVITY_THRESHOLDS
])
#: An iteration that turns gravity by less than this (radians) has found its fixed point.
_SETTLED = 1e-6


class Buffers:
    """Work memory for images of one size and ``workers`` threads."""

    def __init__(self, height: int, width: int, workers: int) -> None:
        length = row_length(width)
        self.workers = workers
        self.input = np.zeros((height, width), np.float32)
        self.mask = np.zeros((height, width), np.bool_)
        self.no_mask = np.zeros((1, 1), np.bool_)
        self.z = np.zeros((height, length), np.float32)
        self.valid = np.zeros((height, length), np.float32)
        self.tables = normals.column_tables(width)
        self.fine = np.zeros(normals.block_shape(height, width), np.float32)
        self.coarse = np.zeros_like(self.fine)
        self.row = np.zeros((workers, window_sums.ROW_SIZE), np.float32)
        self.across = np.zeros((workers, window_sums.ACROSS_SIZE), np.float32)
        self.beside = np.zeros((workers, window_sums.BESIDE_SIZE), np.float32)
        self.holes = np.zeros((workers, height + 1), np.int32)
        self.lines = np.zeros((workers, 1, length), np.float32)
        self.bytes = np.zeros((workers, 3 * window_sums.TILE), np.uint8)
        self.support = np.zeros(2, np.int64)
        self.lowest = np.zeros(workers)
        self.histogram = np.zeros((workers, *gravity.HISTOGRAM), np.int32)
        self.bins = np.zeros((workers, length), np.int32)
        self.counts = np.zeros(workers, np.int64)


_workspaces: Workspaces[Buffers] = Workspaces(Buffers)


@contextmanager
def begin(
    depth: NDArray[np.float32],
    missing: NDArray[np.bool_] | None,
    intrinsics: Intrinsics,
    threads: int,
    estimate: bool,
) -> Iterator[HHAPass]:
    """One image's pass, for the ``with`` block.

    Args:
        depth: H×W float32 metres.
        missing: H×W bool or None, as for the public function.
        intrinsics: of this grid.
        threads: how many bands of rows are worked on at once.
        estimate: whether :meth:`HHAPass.estimate_gravity` will be asked for; without it the coarse normals are not
            made.
    """
    height, width = depth.shape
    with _workspaces.lend(height, width, min(threads, height)) as buffers:
        yield HHAPass(depth, missing, intrinsics, estimate, buffers)


class HHAPass:
    """One image on its way: readings and normals are there, gravity and heights are asked for next.

    Args:
        depth, missing, intrinsics, estimate: as for :func:`begin`.
        buffers: that are this pass's alone.
    """

    def __init__(
        self,
        depth: NDArray[np.float32],
        missing: NDArray[np.bool_] | None,
        intrinsics: Intrinsics,
        estimate: bool,
        buffers: Buffers,
    ) -> None:
        self.height, self.width = depth.shape
        self.threads, self._b = buffers.workers, buffers
        b = buffers
        k = intrinsics
        self._k = (np.float32(k.fx), np.float32(k.fy), np.float32(k.cx), np.float32(k.cy))
        depth = _plain(depth, b.input)
        mask = b.no_mask if missing is None else _plain(missing, b.mask)
        has_mask = missing is not None

        def prepare(i: int, y0: int, y1: int) -> None:
            b.counts[i] = normals.prepare(depth, mask, has_mask, b.z, b.valid, y0, y1)

        def fit(i: int, y0: int, y1: int) -> None:
            normals.fit(
                b.z, b.valid, *self._k, b.tables, b.fine, b.coarse, estimate, mixed, y0, y1, self.width,
                b.row[i], b.across[i], b.beside[i], b.holes[i],
            )

        run_in_bands(prepare, self.height, self.threads)
        mixed = min(self.height, self.width) == 1 or int(b.counts.sum()) > 0
        run_in_bands(fit, self.height, self.threads)

    def estimate_gravity(self) -> tuple[NDArray[np.float64], int, int]:
        """Unit vector "down" in the camera frame, and the numbers of floor and wall normals it rests on."""
        b, g = self._b, np.array([0.0, 1.0, 0.0])
        gravity.estimate(b.coarse, _STAGES, _SETTLED, g, b.support)
        return g, int(b.support[0]), int(b.support[1])

    def lowest_height(self, down: NDArray[np.float64]) -> float:
        """Height in metres over the camera of the lowest point along ``down``."""
        b = self._b

        def least(i: int, y0: int, y1: int) -> None:
            b.lowest[i] = gravity.lowest_height(b.z, down, *self._k, y0, y1, self.width, b.lines[i])

        run_in_bands(least, self.height, self.threads)
        return float(b.lowest.min())

    def height_percentile(self, down: NDArray[np.float64], percent: float) -> float | None:
        """Height in metres over the camera below which ``percent`` of the readings lie, to 1 cm; None without any."""
        b = self._b

        def count(i: int, y0: int, y1: int) -> None:
            gravity.count_heights(b.z, down, *self._k, y0, y1, self.width, b.bins[i], b.histogram[i])

        run_in_bands(count, self.height, self.threads)
        cumulative = np.cumsum(b.histogram[:, 0, : constants.HEIGHT_BINS].sum(axis=0))
        total = int(cumulative[-1])
        if total == 0:
            return None
        index = int(np.searchsorted(cumulative, total * percent / 100.0, side="left"))
        return (index + 0.5 - constants.HEIGHT_BINS // 2) / constants.BINS_PER_METRE

    def encode(
        self,
        down: NDArray[np.float64],
        height_down: NDArray[np.float64],
        floor: float,
        levels_per_metre: float,
        blank: bool,
        out: NDArray[np.uint8],
    ) -> None:
        """Write the H×W×3 image.

        ``floor`` is the height in metres over the camera that becomes 0; with ``blank`` pixels without depth are 0.
        """
        b = self._b

        def tail(i: int, y0: int, y1: int) -> None:
            gravity.encode(
                b.z, b.fine, down, height_down, np.float32(floor), np.float32(levels_per_metre), blank,
                *self._k, out.reshape(-1), y0, y1, self.width, b.bytes[i],
            )

        run_in_bands(tail, self.height, self.threads)


def _plain(image: NDArray, buffer: NDArray) -> NDArray:
    """``image`` as the one array type the kernels are compiled for; strided or read-only images are copied."""
    flags = image.flags
    if flags.c_contiguous and flags.writeable and flags.aligned:
        return image
    np.copyto(buffer, image)
    return buffer
