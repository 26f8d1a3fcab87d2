# SPDX-License-Identifier: Apache-2.0
"""Registration in NumPy, pixel for pixel what the compiled kernels do; float32 throughout and in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.kernels.shared.constants import IN_FRONT, LARGEST_GROWTH
from ssma_ros.kernels.shared.threads import Workspaces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

_F = np.float32
_HALF, _ONE, _TWO = _F(0.5), _F(1), _F(2)

#: z-buffers by image size; of the places to which depth goes nothing is kept here.
buffers: Workspaces[Image] = Workspaces(lambda height, width, _: np.zeros((height, width), _F))
places: Workspaces[None] = Workspaces(lambda *_: None)


def splat_view(depth: Image, measured: Image, numbers: Image, buffer: Image) -> None:
    """Fill the z-buffer: by pixel of the other camera the largest inverse distance (1/m) of what lies there, else 0.

    Args:
        depth: H×W float32 metres, 0 = none.
        measured: H×W float32, above 0 where ``depth`` was measured; what was filled in is not put into the buffer.
        numbers: of :class:`~ssma_ros.kernels.shared.projection.View`.
        buffer: H'×W' float32, 0 everywhere; its border of one pixel stays so.
    """
    known = (depth > 0) & (measured > 0)
    inverse = np.zeros_like(depth)
    np.divide(_ONE, depth, out=inverse, where=known)
    u, v, away, front = _project(inverse, numbers)
    inner = buffer[1:-1, 1:-1]
    height, width = inner.shape
    scale_x, scale_y = numbers[16], numbers[17]
    with np.errstate(invalid="ignore", over="ignore"):
        x, y = np.floor((u + _HALF) * scale_x), np.floor((v + _HALF) * scale_y)
        inside = known & front & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    np.maximum.at(inner, (y[inside].astype(np.intp), x[inside].astype(np.intp)), away[inside])


def sample_view(
    image: NDArray[Any], depth: Image, measured: Image, numbers: Image, exact: bool, hides: bool, buffer: Image,
    out: NDArray[Any], hole: NDArray[np.uint8],
) -> int:
    """Look the driving camera's pixels up in the other's image.

    Args:
        image: h×w uint8, uint16 or float32.
        depth: H×W float32 metres, 0 = none.
        measured: H×W float32, above 0 where ``depth`` was measured.
        numbers: of :class:`~ssma_ros.kernels.shared.projection.View`.
        exact: read the nearest pixel, 0 is no reading; else bilinearly.
        hides: whether anything can hide anything.
        buffer: filled by :func:`splat_view`, where ``hides``.
        out: H×W of the image's dtype, overwritten; 0 where nothing is seen.
        hole: H×W, 1 where nothing is seen, else 0.

    Returns:
        Number of pixels that are seen.
    """
    known = depth > 0
    inverse = np.zeros_like(depth)
    np.divide(_ONE, depth, out=inverse, where=known)
    a, b, c = numbers[12:15]
    height, width = depth.shape
    if not np.isnan(a):
        x, y = _grid(width, height)
        inverse = np.where(known, inverse, np.maximum(a * x + (b * y + c), _F(0)))
        known = np.ones_like(known)
    u, v, away, front = _project(inverse, numbers)
    rows, columns = image.shape
    with np.errstate(invalid="ignore", over="ignore"):
        seen = known & front & (u >= -_HALF) & (u < _F(columns) - _HALF) & (v >= -_HALF) & (v < _F(rows) - _HALF)
    if hides:
        filled = (depth > 0) & ~(measured > 0)
        seen[seen] = ~_hidden(u[seen], v[seen], away[seen], filled[seen], numbers, buffer)
    values = (_nearest if exact else _bilinear)(image, u[seen], v[seen])
    out[...] = 0
    out[seen] = values
    if exact:
        seen[seen] = values > 0
    hole[...] = ~seen
    return int(np.count_nonzero(seen))


def _grid(width: int, height: int) -> tuple[Image, Image]:
    return np.arange(width, dtype=_F)[None], np.arange(height, dtype=_F)[:, None]


def _project(inverse: Image, n: Image) -> tuple[Image, Image, Image, NDArray[np.bool_]]:
    """Place in the other image, inverse distance there, and whether that is in front of it; of every pixel."""
    x, y = _grid(inverse.shape[1], inverse.shape[0])
    p, q, r = (n[3 * i] * x + (n[3 * i + 1] * y + n[3 * i + 2]) + n[9 + i] * inverse for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = _ONE / r
        return p * share, q * share, inverse * share, r > _F(IN_FRONT)


def _hidden(
    u: Image, v: Image, away: Image, filled: NDArray[np.bool_], numbers: Image, buffer: Image
) -> NDArray[np.bool_]:
    """Whether any of the four z-buffer pixels around holds something nearer: what is read is a mean of such four.

    Completion fills the shadow beside a thing with the thing's own depth. Such a pixel is not seen either where what
    was measured says that the other camera sees something farther there.
    """
    # From the border on, so one more than the pixel's own number.
    x = np.floor((u + _HALF) * numbers[16] + _HALF).astype(np.intp)
    y = np.floor((v + _HALF) * numbers[17] + _HALF).astype(np.intp)
    around = [buffer[row, column] for row in (y, y + 1) for column in (x, x + 1)]
    nearer = np.max(around, axis=0) - away
    beyond = filled & (np.max(around, axis=0) > 0) & (-nearer > numbers[15])
    return np.asarray((nearer > numbers[15]) | beyond)


def _nearest(image: NDArray[Any], u: Image, v: Image) -> NDArray[Any]:
    x, y = np.floor(u + _HALF).astype(np.intp), np.floor(v + _HALF).astype(np.intp)
    values = image[np.minimum(y, image.shape[0] - 1), np.minimum(x, image.shape[1] - 1)]
    return np.where((values > 0) & (values < np.inf), values, _F(0))


def _bilinear(image: NDArray[Any], u: Image, v: Image) -> NDArray[Any]:
    rows, columns = image.shape
    u, v = np.clip(u, _F(0), _F(columns - 1)), np.clip(v, _F(0), _F(rows - 1))
    x, y = u.astype(np.intp), v.astype(np.intp)
    right, lower = np.minimum(x + 1, columns - 1), np.minimum(y + 1, rows - 1)
    share_x, share_y = u - x.astype(_F), v - y.astype(_F)
    a, b, c, d = (image[j, i].astype(_F) for j, i in ((y, x), (y, right), (lower, x), (lower, right)))
    top, bottom = a + (b - a) * share_x, c + (d - c) * share_x
    return np.rint(top + (bottom - top) * share_y).astype(image.dtype)


def splat_depth(depth: Image, numbers: Image, _places: None, out: Image) -> None:
    """Depth of another camera in the driving camera's pixels; of several surfaces in one pixel the nearest.

    Each reading covers the area of its pixel, stretched to half-way to its neighbours on the same surface. So a source
    of fewer pixels leaves no gaps through which what is behind would show, and no surface grows over its edge.

    Args:
        depth: h×w float32 metres, anything not above 0 and finite = none.
        numbers: of :func:`~ssma_ros.kernels.shared.projection.spread`.
        out: H×W float32 metres, 0 everywhere: none.
    """
    known = (depth > 0) & (depth < np.inf)
    inverse = np.zeros_like(depth)
    np.divide(_ONE, depth, out=inverse, where=known)
    u, v, away, front = _project(inverse, numbers)
    with np.errstate(invalid="ignore", over="ignore"):
        known &= front & (np.abs(u) < 1e6) & (np.abs(v) < 1e6)
        growth = np.minimum(away / inverse, _F(LARGEST_GROWTH))
    reach_x, reach_y = _reach(u, v, growth * numbers[12], growth * numbers[13], known)
    height, width = out.shape
    u, v, away, reach_x, reach_y = (values[known] for values in (u, v, away, reach_x, reach_y))
    first_x, last_x = np.maximum(np.ceil(u - reach_x), 0), np.minimum(np.ceil(u + reach_x), width) - 1
    first_y, last_y = np.maximum(np.ceil(v - reach_y), 0), np.minimum(np.ceil(v + reach_y), height) - 1
    nearest = np.zeros_like(out)
    covers = (last_x >= first_x) & (last_y >= first_y)
    if covers.any():
        for dy in range(int((last_y - first_y)[covers].max()) + 1):
            for dx in range(int((last_x - first_x)[covers].max()) + 1):
                x, y = first_x + dx, first_y + dy
                here = covers & (x <= last_x) & (y <= last_y)
                np.maximum.at(nearest, (y[here].astype(np.intp), x[here].astype(np.intp)), away[here])
    np.divide(_ONE, nearest, out=out, where=nearest > 0)


def _reach(u: Image, v: Image, size_x: Image, size_y: Image, known: NDArray[np.bool_]) -> tuple[Image, Image]:
    """Half of what each pixel covers: the box around the parallelogram between its neighbours on the same surface.

    A step to a neighbour of up to twice the pixel's own size is taken as one surface.
    """
    across_x, across_y = np.zeros((2, *u.shape), _F), np.zeros((2, *u.shape), _F)
    for axis in (0, 1):
        for step in (1, -1):
            near = np.roll(known, step, axis)
            near[(slice(None),) * axis + (0 if step == 1 else -1,)] = False
            with np.errstate(invalid="ignore", over="ignore"):
                du, dv = np.abs(np.roll(u, step, axis) - u), np.abs(np.roll(v, step, axis) - v)
                near &= (du <= size_x * _TWO) & (dv <= size_y * _TWO)
            across_x[axis] = np.where(near, np.maximum(across_x[axis], du), across_x[axis])
            across_y[axis] = np.where(near, np.maximum(across_y[axis], dv), across_y[axis])
    reach_x = np.maximum(size_x, across_x[0] + across_x[1]) * _HALF
    return reach_x, np.maximum(size_y, across_y[0] + across_y[1]) * _HALF
