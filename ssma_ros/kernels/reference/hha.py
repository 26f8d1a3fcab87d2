# SPDX-License-Identifier: Apache-2.0
"""HHA in NumPy and OpenCV calls: what runs where numba is not installed, and what the tests compare with.

Window sums are float64 box filters; the compiled version in :mod:`ssma_ros.kernels.numba.hha` reaches the
same result to one level with centred float32 sums.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics
from ssma_ros.kernels.shared import constants

Array = NDArray[np.float64]
#: H×W image and radius → H×W sums over windows of 2·radius + 1, zeros outside the image.
WindowSum = Callable[[Array, int], Array]


def box_sum(image: Array, radius: int) -> Array:
    """Window sums by OpenCV's box filter."""
    size = 2 * radius + 1
    return np.asarray(cv2.boxFilter(image, cv2.CV_64F, (size, size), normalize=False, borderType=cv2.BORDER_CONSTANT))



class HHAPass:
    """One image on its way; the same interface as :class:`ssma_ros.kernels.numba.hha.HHAPass`.

    Args:
        depth: H×W float32 metres.
        missing: H×W bool, True where normals must not use the depth; None = where there is no reading.
        intrinsics: of this grid.
        window_sum: how windows are summed, nearly all of the time.
    """

    def __init__(
        self,
        depth: NDArray[np.float32],
        missing: NDArray[np.bool_] | None,
        intrinsics: Intrinsics,
        window_sum: WindowSum = box_sum,
    ) -> None:
        with np.errstate(invalid="ignore"):
            reading = (depth > 0) & (depth < np.inf)
        self._reading = reading
        self._missing = ~reading if missing is None else missing | ~reading
        self._z = np.where(reading, depth, np.float32(0)).astype(np.float64)
        self._intrinsics, self._window_sum = intrinsics, window_sum

    def estimate_gravity(self) -> tuple[Array, int, int]:
        """Unit vector "down" in the camera frame, and the numbers of floor and wall normals it rests on."""
        return gravity_direction(self._normals(constants.COARSE_RADIUS))

    def lowest_height(self, down: Array) -> float:
        """Height in metres over the camera of the lowest point along ``down``."""
        return float(self._heights(down).min())

    def height_percentile(self, down: Array, percent: float) -> float | None:
        """Height in metres over the camera below which ``percent`` of the readings lie; None without readings."""
        if not self._reading.any():
            return None
        return float(np.percentile(self._heights(down)[self._reading], percent))

    def encode(
        self,
        down: Array,
        height_down: Array,
        floor: float,
        levels_per_metre: float,
        blank: bool,
        out: NDArray[np.uint8],
    ) -> None:
        """Write the H×W×3 image.

        ``floor`` is the height in metres over the camera that becomes 0; with ``blank`` pixels without depth are 0.
        """
        angle = angles(self._normals(constants.FINE_RADIUS), down) + constants.ANGLE_OFFSET
        height = (self._heights(height_down) - floor) * levels_per_metre
        disparity = constants.DISPARITY_UNIT / np.maximum(self._z, constants.DISPARITY_FROM)
        for channel, values in enumerate((angle, height, disparity)):
            out[..., channel] = np.clip(np.floor(values + 0.5), 0, 255)
        if blank:
            out[~self._reading] = 0

    def _normals(self, radius: int) -> Array:
        return normals(self._z, self._missing, radius, self._intrinsics, self._window_sum)

    def _heights(self, down: Array) -> Array:
        k, (rows, columns) = self._intrinsics, self._z.shape
        x = (np.arange(columns) - k.cx) / k.fx
        y = ((np.arange(rows) - k.cy) / k.fy)[:, None]
        return np.asarray(-(down[0] * x + down[1] * y + down[2]) * self._z)


def normals(
    z: Array, missing: NDArray[np.bool_], radius: int, intrinsics: Intrinsics, window_sum: WindowSum = box_sum
) -> Array:
    """3×H×W unit normals pointing away from the camera, NaN where a window holds no plane.

    Least squares of 1/Z = a·x + b·y + c (x = X/Z, y = Y/Z) over the readings in a (2·radius + 1)² window.
    """
    rows, columns = z.shape
    k = intrinsics
    # In pixels from the principal point; the focal lengths come in at the end.
    x = np.broadcast_to(np.arange(columns) - k.cx, z.shape)
    y = np.broadcast_to((np.arange(rows) - k.cy)[:, None], z.shape)
    one = (~missing & (z > 0)).astype(np.float64)
    q = np.divide(1.0, z, out=np.zeros_like(z), where=one > 0)
    count = np.rint(window_sum(one, radius))
    safe = np.maximum(count, 1.0)
    # Means and central moments: the same plane as the raw normal equations, without their cancellation.
    mx, my, mq = window_sum(one * x, radius) / safe, window_sum(one * y, radius) / safe, window_sum(q, radius) / safe
    cxx = window_sum(one * x * x, radius) / safe - mx * mx
    cxy = window_sum(one * x * y, radius) / safe - mx * my
    cyy = window_sum(one * y * y, radius) / safe - my * my
    cxq = window_sum(x * q, radius) / safe - mx * mq
    cyq = window_sum(y * q, radius) / safe - my * mq
    det = cxx * cyy - cxy * cxy
    # All readings on a line, or too few.
    flat = det <= constants.DEGENERATE_BELOW * np.maximum(cxx * cyy, 1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = (cyy * cxq - cxy * cyq) / det
        beta = (cxx * cyq - cxy * cxq) / det
        c = mq - alpha * mx - beta * my
        normal = np.stack([alpha * k.fx, beta * k.fy, c])
        normal /= np.sqrt(np.sum(normal * normal, axis=0))
        normal *= np.where(normal[2] < 0, -1.0, 1.0)
        normal *= np.where((normal[0] * x / k.fx + normal[1] * y / k.fy + normal[2]) * z < 0, -1.0, 1.0)
    normal[:, flat | (count < 1)] = np.nan
    return normal


def gravity_direction(normal: Array) -> tuple[Array, int, int]:
    """Unit vector "down" in the camera frame from 3×H×W normals, and how many were floor and wall in the end."""
    n = normal.reshape(3, -1)
    n = n[:, np.isfinite(n[0])]
    y = np.array([0.0, 1.0, 0.0])
    floors = walls = 0
    for threshold in np.radians(constants.GRAVITY_THRESHOLDS):
        for _ in range(constants.GRAVITY_ITERATIONS):
            along = np.abs(y @ n)
            floor, wall = n[:, along > np.cos(threshold)], n[:, along < np.sin(threshold)]
            floors, walls = floor.shape[1], wall.shape[1]
            if floors + walls == 0:
                break
            _, vectors = np.linalg.eigh(wall @ wall.T - floor @ floor.T)
            y = vectors[:, 0] if vectors[:, 0] @ y >= 0 else -vectors[:, 0]
    return y, floors, walls


def angles(normal: Array, gravity: Array) -> Array:
    """H×W angle in degrees between 3×H×W normals and gravity, 180 where there is no normal."""
    cosine = np.clip(np.tensordot(gravity, normal, axes=1), -1.0, 1.0)
    angle = np.degrees(np.arccos(cosine))
    angle[np.isnan(angle)] = 180.0
    return angle
