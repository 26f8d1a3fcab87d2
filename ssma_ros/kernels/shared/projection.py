# SPDX-License-Identifier: Apache-2.0
"""How pixels of one camera are found in another: the numbers that the kernels of every processor take.

Everything is done in inverse depth, in which a projection is linear: pixel (x, y) of distance z along the optical axis
lies in the other camera at (u, v) = (p/r, q/r) with (p, q, r) = A·(x, y, 1) + b/z, where A = K'·R·K⁻¹ and b = K'·t.
Its inverse distance there is (1/z)/r, and 1/z = 0 is infinity without being a case of its own. Planes are linear too:
1/z = (a, b, c)·(x, y, 1). (Hartley, Zisserman, Multiple View Geometry, 2nd ed., sections 13.1 and 9.6.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.kernels.shared.constants import HIDES_FROM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Camera, Intrinsics

#: A z-buffer has at most so many pixels for each of the grid's: a camera that sees far more than the driving one.
_BUFFER_SHARE = 4.0


@dataclass(frozen=True, eq=False)
class View:
    """How the driving camera's pixels are looked up in another camera's image.

    Attributes:
        numbers: 18 float32: A by rows (9), b (3), the inverse depth of pixels without one (3, linear in the pixel;
            NaN = they are missing), the difference of inverse distance (1/m) from which a surface hides another, and
            the z-buffer's pixels per pixel of the image along x and y.
        buffer: (width, height) of the z-buffer, in which the other camera sees what the driving one knows, with a
            border of one pixel. A pixel is as wide as one of the driving camera's, whatever the other's resolution: a
            thermal camera of few pixels would else hide the surroundings of every tree.
        hides: whether anything can hide anything; not between two cameras in one place.
    """

    numbers: NDArray[np.float32]
    buffer: tuple[int, int]
    hides: bool


def view(grid: Intrinsics, camera: Camera, assumed: NDArray[np.float64] | None) -> View:
    """How pixels of ``grid``, the driving camera's, are looked up in ``camera``.

    Args:
        grid: of the depth image.
        camera: the other.
        assumed: inverse depth, 1/metres, of pixels without depth: 3 numbers, linear in (x, y, 1); None = missing.
    """
    back, there = np.transpose(camera.rotation), np.asarray(camera.translation)
    other = camera.intrinsics
    scale = np.array([grid.fx / other.fx, grid.fy / other.fy])
    pixels = float(np.prod(scale)) * other.width * other.height
    scale *= min(1.0, math.sqrt(_BUFFER_SHARE * grid.width * grid.height / pixels))
    buffer = (math.ceil(other.width * scale[0]) + 2, math.ceil(other.height * scale[1]) + 2)
    parallax = float(np.linalg.norm(there)) * math.sqrt(grid.fx * grid.fy)  # pixels of one unit of inverse depth
    least = HIDES_FROM / parallax if parallax > 0 else np.inf
    numbers = np.concatenate(
        [_coefficients(grid, other, back, -back @ there), np.full(3, np.nan) if assumed is None else assumed,
         [least], scale]
    )  # fmt: skip
    return View(numbers.astype(np.float32), buffer, parallax > 0)


def spread(camera: Camera, grid: Intrinsics) -> NDArray[np.float32]:
    """How depth of ``camera`` comes to ``grid``: 14 float32, A by rows, b, and how much its pixels grow in x and y."""
    source = camera.intrinsics
    growth = [grid.fx / source.fx, grid.fy / source.fy]
    coefficients = _coefficients(source, grid, camera.rotation, np.asarray(camera.translation))
    return np.concatenate([coefficients, growth]).astype(np.float32)


def _coefficients(
    source: Intrinsics, target: Intrinsics, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> NDArray[np.float64]:
    matrix = target.matrix() @ rotation @ np.linalg.inv(source.matrix())
    return np.concatenate([matrix.reshape(-1), target.matrix() @ translation])
