"""The compiled HHA behind the arguments of :mod:`ssma_ros.preprocessing.hha`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics
from ssma_ros.preprocessing.compiled import gravity, normals
from ssma_ros.preprocessing.compiled.jit import row_length
from ssma_ros.preprocessing.compiled.threads import Workspaces, run_in_bands
from ssma_ros.preprocessing.compiled.window_sums import RING_ROWS

#: (threshold in degrees, iterations) of the gravity estimate.
STAGES = ((45.0, 5), (15.0, 5))
#: An iteration that turns gravity by less than this (radians) has found its fixed point.
_SETTLED = 1e-6


class Buffers:
    """Work memory for images of one size and ``workers`` threads."""

    def __init__(self, height: int, width: int, workers: int) -> None:
        length = row_length(width)
        self.input = np.zeros((height, width), np.float32)
        self.mask = np.zeros((height, width), np.bool_)
        self.no_mask = np.zeros((1, 1), np.bool_)
        self.z = np.zeros((height, length), np.float32)
        self.valid = np.zeros((height, length), np.float32)
        self.fine = np.zeros((height, 3, length), np.float32)
        self.coarse = np.zeros((height, 3, length), np.float32)
        self.tables = normals.column_tables(width, length)
        self.rings = np.zeros((workers, normals.RINGS, RING_ROWS, length), np.float32)
        self.lines = np.zeros((workers, normals.LINES, length), np.float32)
        self.bytes = np.zeros((workers, 3, length), np.uint8)
        self.sums = np.zeros((workers, 8))
        self.lowest = np.zeros(workers)
        self.histogram = np.zeros((workers, gravity.HEIGHT_BINS), np.int32)
        self.counts = np.zeros(workers, np.int64)


_workspaces: Workspaces[Buffers] = Workspaces(Buffers)


class HHAPass:
    """One image on its way: readings and normals are there, gravity and heights are asked for next.

    Args:
        depth: H×W float32 metres.
        missing: H×W bool or None, as for the public function.
        intrinsics: of this grid.
        threads: how many bands of rows are worked on at once.
        estimate: whether :meth:`estimate_gravity` will be asked for; without it the coarse normals are not made.
    """

    def __init__(
        self,
        depth: NDArray[np.float32],
        missing: NDArray[np.bool_] | None,
        intrinsics: Intrinsics,
        threads: int,
        estimate: bool,
    ) -> None:
        self.height, self.width = depth.shape
        self.threads = min(threads, self.height)
        self._b = b = _workspaces.get(self.height, self.width, self.threads)
        k = intrinsics
        self._k = (np.float32(k.fx), np.float32(k.fy), np.float32(k.cx), np.float32(k.cy))
        depth = _plain(depth, b.input)
        mask = b.no_mask if missing is None else _plain(missing, b.mask)
        has_mask = missing is not None

        def prepare(i: int, y0: int, y1: int) -> None:
            b.counts[i] = normals.prepare(depth, mask, has_mask, b.z, b.valid, y0, y1)

        def fit_dense(i: int, y0: int, y1: int) -> None:
            normals.dense(
                b.z, b.valid, *self._k, b.tables, b.fine, b.coarse, estimate, y0, y1, self.width, b.rings[i], b.lines[i]
            )

        def fit_with_holes(i: int, y0: int, y1: int) -> None:
            normals.with_holes(
                b.z, b.valid, *self._k, b.fine, b.coarse, estimate, y0, y1, self.width, b.rings[i], b.lines[i]
            )

        run_in_bands(prepare, self.height, self.threads)
        flat = min(self.height, self.width) > 1 and int(b.counts.sum()) == 0
        run_in_bands(fit_dense if flat else fit_with_holes, self.height, self.threads)

    def estimate_gravity(self) -> tuple[NDArray[np.float64], int, int]:
        """Unit vector "down" in the camera frame, and the numbers of floor and wall normals it rests on."""
        b, g = self._b, np.array([0.0, 1.0, 0.0])
        for degrees, iterations in STAGES:
            above, below = np.float32(math.cos(math.radians(degrees))), np.float32(math.sin(math.radians(degrees)))

            def add(i: int, y0: int, y1: int, above: np.float32 = above, below: np.float32 = below) -> None:
                gravity.scatter(b.coarse, g, above, below, y0, y1, self.width, b.sums[i])

            for _ in range(iterations):
                b.sums[:] = 0.0
                run_in_bands(add, self.height, self.threads)
                total, before = b.sums.sum(axis=0), g.copy()
                gravity.smallest_eigenvector(total, g)
                if np.abs(g - before).max() < _SETTLED:
                    break
        return g, int(total[6]), int(total[7])

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
            b.histogram[i] = 0
            gravity.count_heights(b.z, down, *self._k, y0, y1, self.width, b.lines[i], b.histogram[i])

        run_in_bands(count, self.height, self.threads)
        cumulative = np.cumsum(b.histogram.sum(axis=0))
        total = int(cumulative[-1])
        if total == 0:
            return None
        index = int(np.searchsorted(cumulative, total * percent / 100.0, side="left"))
        return (index + 0.5 - gravity.HEIGHT_BINS // 2) / gravity.BINS_PER_METRE

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
                b.z, b.fine, down, height_down, np.float32(floor), np.float32(levels_per_metre), np.float32(310.0),
                blank, *self._k, out, y0, y1, self.width, b.lines[i], b.bytes[i],
            )

        run_in_bands(tail, self.height, self.threads)


def _plain(image: NDArray, buffer: NDArray) -> NDArray:
    """``image`` as the one array type the kernels are compiled for; strided or read-only images are copied."""
    flags = image.flags
    if flags.c_contiguous and flags.writeable and flags.aligned:
        return image
    np.copyto(buffer, image)
    return buffer
