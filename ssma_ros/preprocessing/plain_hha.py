"""HHA in NumPy and OpenCV calls: what runs where numba is not installed.

Window sums are float64 box filters; the compiled version in :mod:`ssma_ros.preprocessing.compiled.hha` reaches the
same result to one level with centred float32 sums.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics

Array = NDArray[np.float64]


def normals(z: Array, missing: NDArray[np.bool_], radius: int, intrinsics: Intrinsics) -> Array:
    """3×H×W unit normals pointing away from the camera, NaN where a window holds no reading.

    Least squares of 1/Z = a·x + b·y + c (x = X/Z, y = Y/Z) over the readings in a (2·radius + 1)² window.
    """
    rows, columns = z.shape
    x = np.broadcast_to((np.arange(columns) - intrinsics.cx) / intrinsics.fx, z.shape)
    y = np.broadcast_to(((np.arange(rows) - intrinsics.cy) / intrinsics.fy)[:, None], z.shape)
    one = (~missing & (z > 0)).astype(np.float64)
    q = np.divide(1.0, z, out=np.zeros_like(z), where=one > 0)
    count = np.rint(_box(one, radius))
    safe = np.maximum(count, 1.0)
    # Means and central moments: the same plane as the raw normal equations, without their cancellation.
    mx, my, mq = _box(one * x, radius) / safe, _box(one * y, radius) / safe, _box(q, radius) / safe
    cxx = _box(one * x * x, radius) / safe - mx * mx
    cxy = _box(one * x * y, radius) / safe - mx * my
    cyy = _box(one * y * y, radius) / safe - my * my
    cxq = _box(x * q, radius) / safe - mx * mq
    cyq = _box(y * q, radius) / safe - my * mq
    det = cxx * cyy - cxy * cxy
    a = cyy * cxq - cxy * cyq
    b = cxx * cyq - cxy * cxq
    c = det * mq - a * mx - b * my
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / np.sqrt(a * a + b * b + c * c)
        scale = np.where(c < 0, -scale, scale)
        scale = np.where((a * x + b * y + c) * scale * z < 0, -scale, scale)
        result = np.stack([a, b, c]) * scale
    result[:, count < 1] = np.nan
    return result


def gravity_direction(normal: Array) -> tuple[Array, int, int]:
    """Unit vector "down" in the camera frame from 3×H×W normals, and how many were floor and wall in the end."""
    n = normal.reshape(3, -1)
    n = n[:, np.isfinite(n[0])]
    y = np.array([0.0, 1.0, 0.0])
    floors = walls = 0
    for threshold in np.radians((45.0, 15.0)):
        for _ in range(5):
            along = np.abs(y @ n)
            floor, wall = n[:, along > np.cos(threshold)], n[:, along < np.sin(threshold)]
            floors, walls = floor.shape[1], wall.shape[1]
            _, vectors = np.linalg.eigh(wall @ wall.T - floor @ floor.T)
            y = vectors[:, 0] if vectors[:, 0] @ y >= 0 else -vectors[:, 0]
    return y, floors, walls


def heights(z: Array, gravity: Array, intrinsics: Intrinsics) -> Array:
    """H×W height over the camera in the unit of ``z``, along ``gravity`` (the image's own down if it tilts ≤ 0.1°)."""
    rows, columns = z.shape
    x = (np.arange(columns) - intrinsics.cx) / intrinsics.fx
    y = ((np.arange(rows) - intrinsics.cy) / intrinsics.fy)[:, None]
    if gravity[1] >= np.cos(np.radians(0.1)):
        return np.asarray(-y * z)
    return np.asarray(-(gravity[0] * x + gravity[1] * y + gravity[2]) * z)


def angles(normal: Array, gravity: Array) -> Array:
    """H×W angle in degrees between 3×H×W normals and gravity, 180 where there is no normal."""
    cosine = np.clip(np.tensordot(gravity, normal, axes=1), -1.0, 1.0)
    angle = np.degrees(np.arccos(cosine))
    angle[np.isnan(angle)] = 180.0
    return angle


def _box(image: Array, radius: int) -> Array:
    size = 2 * radius + 1
    return np.asarray(cv2.boxFilter(image, cv2.CV_64F, (size, size), normalize=False, borderType=cv2.BORDER_CONSTANT))
