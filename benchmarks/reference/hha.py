"""HHA of Gupta, Girshick, Arbeláez and Malik, "Learning Rich Features from RGB-D Images", ECCV 2014.

Written from the description of the algorithm, in float64 and for 1-based pixel coordinates as in the original. The
window sums, where nearly all the time goes, come in two ways: ``direct``, one addition for each pixel of each window as
the two-dimensional convolution of the public programs does it, and ``opencv``, where filter2D takes a Fourier transform
for the large window.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def encode_hha(
    depth: Array, camera_matrix: Array, missing: NDArray[np.bool_], window_sum: str = "opencv"
) -> NDArray[np.uint8]:
    """H×W metres, K for 1-based pixels and the mask of missing readings → H×W×3 uint8 (angle, height, disparity)."""
    points = point_cloud(np.float64(depth) * 100.0, camera_matrix)
    normals = square_support_normals(points, missing, 3, window_sum)
    gravity = gravity_direction(square_support_normals(points, missing, 10, window_sum))

    height = -points[..., 1]
    if np.degrees(np.arccos(np.clip(gravity[1], -1, 1))) > 0.1:
        height = -(points @ gravity)
    lowest = height.min()
    height = height - (lowest if lowest <= -90 else -130.0)
    with np.errstate(invalid="ignore"):
        angle = np.degrees(np.arccos(np.clip(normals @ gravity, -1, 1)))
    angle[np.isnan(angle)] = 180.0
    disparity = 31000.0 / np.maximum(points[..., 2], 100.0)
    image = np.stack([angle + 128 - 90, height, disparity], axis=-1)
    # MATLAB's uint8(): round half away from zero, cap at both ends.
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


def point_cloud(z: Array, camera_matrix: Array) -> Array:
    """H×W×3 points, in the unit of ``z``, of a pinhole camera with 1-based pixel coordinates."""
    rows, columns = z.shape
    u, v = np.meshgrid(np.arange(1, columns + 1), np.arange(1, rows + 1))
    x = (u - camera_matrix[0, 2]) * z / camera_matrix[0, 0]
    y = (v - camera_matrix[1, 2]) * z / camera_matrix[1, 1]
    return np.stack([x, y, z], axis=-1)


def square_support_normals(
    points: Array, missing: NDArray[np.bool_], radius: int, window_sum: str = "opencv"
) -> Array:
    """Unit normals, away from the camera, by least squares of 1/Z = a·x + b·y + c in a (2·radius + 1)² window."""
    px, py, pz = np.moveaxis(points, -1, 0)
    z = np.where(missing, np.nan, pz)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / z
        x, y, one = px * inverse, py * inverse, np.where(np.isnan(z), np.nan, 1.0)
        raw = [x * x, x * y, x, y * y, y, one, x * inverse, y * inverse, inverse]
    sums = {"opencv": opencv_window_sum, "direct": direct_window_sum}[window_sum]
    summed = [sums(np.where(np.isfinite(channel), channel, 0.0), radius) for channel in raw]
    xx, xy, sx, yy, sy, n, bx, by, b1 = summed
    # n = adj(A)·rhs of A = [[xx, xy, sx], [xy, yy, sy], [sx, sy, n]]: the scale does not matter.
    c11, c12, c13 = yy * n - sy * sy, sx * sy - xy * n, xy * sy - sx * yy
    c22, c23, c33 = xx * n - sx * sx, xy * sx - xx * sy, xx * yy - xy * xy
    normal = np.stack(
        [c11 * bx + c12 * by + c13 * b1, c12 * bx + c22 * by + c23 * b1, c13 * bx + c23 * by + c33 * b1], axis=-1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        normal /= np.sqrt(np.sum(normal**2, axis=-1, keepdims=True))
    normal[n < 0.5] = np.nan
    normal *= np.where(normal[..., 2:] < 0, -1.0, 1.0)
    normal *= np.where(np.sum(normal * points, axis=-1, keepdims=True) < 0, -1.0, 1.0)
    return normal


def opencv_window_sum(channel: Array, radius: int) -> Array:
    """Sum over (2·radius + 1)² windows, zeros outside the image, by cv2.filter2D."""
    kernel = np.ones((2 * radius + 1, 2 * radius + 1))
    return cv2.filter2D(channel, -1, kernel, borderType=cv2.BORDER_CONSTANT)


def direct_window_sum(channel: Array, radius: int) -> Array:
    """The same, one addition for each pixel of each window."""
    rows, columns = channel.shape
    padded = np.pad(channel, radius)
    total = np.zeros_like(channel)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            total += padded[dy : dy + rows, dx : dx + columns]
    return total


def gravity_direction(normals: Array) -> Array:
    """Unit vector "down": orthogonal to the walls and parallel to the normals of the floor, ten refinements."""
    n = normals.reshape(-1, 3)
    n = n[~np.isnan(n[:, 0])]
    y = np.array([0.0, 1.0, 0.0])
    for threshold in (45.0, 15.0):
        for _ in range(5):
            y = _refine(n, y, np.radians(threshold))
    return y


def _refine(n: Array, y: Array, threshold: float) -> Array:
    along = np.abs(n @ y)
    floor = n[along > np.cos(threshold)]
    wall = n[along < np.sin(threshold)]
    _, vectors = np.linalg.eigh(wall.T @ wall - floor.T @ floor)
    best = vectors[:, 0]
    return best * np.sign(best @ y)
