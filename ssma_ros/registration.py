# SPDX-License-Identifier: Apache-2.0
"""Images of one camera seen from another: near infrared and thermal through known depth, depth itself by splatting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.kernels.backend import compiled_modules
from ssma_ros.kernels.reference import registration as plain
from ssma_ros.kernels.shared.checks import check_depth, check_intrinsics, check_out, check_positive
from ssma_ros.kernels.shared.projection import spread, view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Camera, Intrinsics

#: Inverse depth (1/m) of pixels that count as infinitely far, see :func:`register_image`.
INFINITY = np.zeros(3)
_DTYPES = ("uint8", "uint16", "float32")


def ground_plane(intrinsics: Intrinsics, height: float, down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse depth of level ground in the pixels of a camera: a·x + b·y + c is 1/metres, and not above 0 over the
    horizon, which is infinitely far.

    Args:
        intrinsics: of the camera.
        height: of it over the ground, metres.
        down: in its optical frame (x right, y down, z forward), any length.

    Raises:
        ValueError: the height is not positive.
    """
    x, y, z = np.asarray(down, np.float64) / (np.linalg.norm(down) * check_positive(height, "height"))
    a, b = x / intrinsics.fx, y / intrinsics.fy
    return np.array([a, b, z - a * intrinsics.cx - b * intrinsics.cy])


def register_image(
    image: NDArray[Any],
    camera: Camera,
    depth: NDArray[np.float32],
    grid: Intrinsics,
    *,
    measured: NDArray[np.float32] | None = None,
    assumed: NDArray[np.float64] | None = None,
    out: NDArray[Any] | None = None,
    hole: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[Any], NDArray[np.uint8], float]:
    """Bring an image into the pixels of the driving camera, whose depth is known.

    The point of each pixel is looked up in the other camera. It is missing where it lies outside that camera's image,
    where another surface that the depth image knows is nearer there and hides it, and where there is no depth.

    Args:
        image: h×w of ``camera``: uint8 or uint16, read bilinearly; or float32 of which the nearest pixel is read, and
            0 is no reading.
        camera: where it was taken.
        depth: H×W float32 metres in the pixels of ``grid``, completed, 0 = none.
        grid: intrinsics of the driving camera at this size.
        measured: H×W float32, above 0 where ``depth`` was measured and not filled in by completion; None = everywhere.
            Completion fills the shadow beside a thing with the thing's own depth; where what was measured contradicts
            that, the pixel is missing.
        assumed: what stands in for depth where there is none: :data:`INFINITY` or a :func:`ground_plane`; None =
            nothing.
        out: where to write the result, H×W of the image's dtype; new if None.
        hole: where to write the mask, H×W uint8; new if None.

    Returns:
        The registered image, 0 where nothing is seen; H×W uint8, 1 where that is so, else 0; and the share of pixels
        that are seen, 0..1.

    Raises:
        ValueError: an argument of another shape or dtype than stated.
    """
    surface, known = _checked(image, camera, depth, measured, grid)
    result = check_out(out, surface.shape, image.dtype.type)
    mask = check_out(hole, surface.shape, np.uint8)
    how = view(grid, camera, assumed)
    compiled = compiled_modules()
    kernels: Any = plain if compiled is None else compiled.registration
    height, width = how.buffer[1], how.buffer[0]
    with kernels.buffers.lend(height, width, 1) as buffer:
        if how.hides:
            buffer.fill(0)
            kernels.splat_view(surface, known, how.numbers, buffer)
        seen = kernels.sample_view(
            _plain(image), surface, known, how.numbers, image.dtype == np.float32, how.hides, buffer, result, mask
        )
    return result, mask, seen / mask.size


def _checked(
    image: NDArray[Any], camera: Camera, depth: NDArray[np.float32], measured: NDArray[np.float32] | None,
    grid: Intrinsics,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth, and where it was measured, as the kernels take them."""
    surface = check_depth(depth)
    check_intrinsics(grid, surface.shape)
    other = camera.intrinsics
    if image.dtype.name not in _DTYPES or image.shape != (other.height, other.width):
        raise ValueError(
            f"image: {image.dtype} {image.shape}, expected {' or '.join(_DTYPES)} ({other.height}, {other.width}) as "
            "its camera's intrinsics say"
        )
    known = surface if measured is None else check_depth(measured, "measured")
    if known.shape != surface.shape:
        raise ValueError(f"measured: shape is {known.shape}, expected {surface.shape} as the depth has")
    return _plain(surface), _plain(known)


def register_depth(
    depth: NDArray[np.float32], camera: Camera, grid: Intrinsics, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Bring depth of another camera into the pixels of the driving one.

    Each reading covers the area of its pixel; of several surfaces in one pixel the nearest stays. What the depth
    camera does not see is left to depth completion.

    Args:
        depth: h×w float32 metres of ``camera``, 0 = no reading.
        camera: where it was taken.
        grid: intrinsics of the driving camera at the size that is wanted.
        out: where to write the result, H×W float32; new if None.

    Returns:
        H×W float32 metres over the driving camera's image plane, 0 = no reading.

    Raises:
        ValueError: an argument of another shape or dtype than stated.
    """
    source = check_depth(depth)
    check_intrinsics(camera.intrinsics, source.shape)
    result = check_out(out, (grid.height, grid.width), np.float32)
    compiled = compiled_modules()
    kernels: Any = plain if compiled is None else compiled.registration
    result.fill(0)
    with kernels.places.lend(*source.shape, 1) as places:
        kernels.splat_depth(_plain(source), spread(camera, grid), places, result)
    return result


def _plain(image: NDArray[Any]) -> NDArray[Any]:
    """The one kind of array that the kernels are compiled for; a copy only of rows with padding and read-only ones."""
    return np.require(image, requirements=("C", "A", "W"))
