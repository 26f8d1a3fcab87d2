# SPDX-License-Identifier: Apache-2.0
"""Messages as plain field values, without ``header``; nested messages are dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics

Fields = dict[str, Any]


def image_fields(pixels: NDArray[Any], encoding: str) -> Fields:
    """Fields of sensor_msgs/Image, for an H×W or H×W×C array of the encoding's type; rows without padding."""
    pixels = np.ascontiguousarray(pixels)
    return {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": pixels.strides[0],
        "data": pixels.view(np.uint8).reshape(-1),
    }


def camera_info_fields(camera: Intrinsics) -> Fields:
    """Fields of sensor_msgs/CameraInfo: K and P of a rectified camera, no distortion."""
    return {
        "height": camera.height,
        "width": camera.width,
        "distortion_model": "plumb_bob",
        "d": [0.0] * 5,
        "k": [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0],
        "r": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "p": [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning_x": 0,
        "binning_y": 0,
    }
