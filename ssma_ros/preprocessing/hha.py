"""HHA: a depth image as three channels that mean something, horizontal disparity, height and angle with gravity.

Source: Gupta, Girshick, Arbeláez, Malik, "Learning Rich Features from RGB-D Images for Object Detection and
Segmentation", ECCV 2014; equal to the authors' MATLAB program to one grey level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.preprocessing import plain_hha
from ssma_ros.preprocessing.checks import check_depth, check_intrinsics, check_mask, check_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics

#: Window radii in pixels: fine normals for the angle channel, coarse ones for the gravity estimate.
ANGLE_RADIUS = 3
GRAVITY_RADIUS = 10


def encode_hha(
    depth: NDArray[np.float32],
    intrinsics: Intrinsics,
    *,
    missing: NDArray[np.bool_] | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Encode depth as HHA exactly as published.

    Args:
        depth: H×W float32 metres, completed; what is no reading (0, negative, NaN, ±inf) counts as 0.
        intrinsics: of the depth's grid, ROS pixel convention. (The published program numbers pixels from 1 and takes
            cx + 1, cy + 1; that cancels, and nothing is to be added here.)
        missing: H×W bool, True where ``depth`` is made up and normals must not use it; None = where depth is 0.
        out: where to write the result, H×W×3 uint8 C-contiguous; new if None.

    Returns:
        H×W×3 uint8 in OpenCV's order: angle with gravity (degrees + 38), height over the lowest point (cm),
        disparity (31000 / cm). Pixels without depth come out with disparity 255.

    Raises:
        ValueError: an argument of another shape or dtype than stated.
    """
    image = check_depth(depth)
    check_intrinsics(intrinsics, image.shape)
    result = check_out(out, (*image.shape, 3), np.uint8)
    with np.errstate(invalid="ignore"):
        reading = (image > 0) & (image < np.inf)
    absent = ~reading if missing is None else check_mask(missing, image.shape, "missing") | ~reading
    z = np.where(reading, image, np.float32(0)).astype(np.float64) * 100.0

    gravity, _, _ = plain_hha.gravity_direction(plain_hha.normals(z, absent, GRAVITY_RADIUS, intrinsics))
    angle = plain_hha.angles(plain_hha.normals(z, absent, ANGLE_RADIUS, intrinsics), gravity)
    height = plain_hha.heights(z, gravity, intrinsics)
    lowest = float(height.min())
    height -= lowest if lowest <= -90.0 else -130.0
    for channel, values in enumerate((angle + 38.0, height, 31000.0 / np.maximum(z, 100.0))):
        result[..., channel] = np.clip(np.floor(values + 0.5), 0, 255)
    return result
