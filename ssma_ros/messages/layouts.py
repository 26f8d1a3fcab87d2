# SPDX-License-Identifier: Apache-2.0
"""How the pixels of each ROS image encoding lie in a message, and how they become three channels or one.

Source: sensor_msgs/image_encodings.hpp (REP-118 for depth), and what the drivers publish under those names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Layout:
    """One encoding.

    Attributes:
        kind: numpy type of one value, without byte order.
        channels: values a pixel, as stored.
        to_bgr: OpenCV's conversion to B, G, R; None where they are in that order already.
        lines: rows of data for two rows of pixels, which planar formats have more of.
        smallest: sides must be multiples of this.
    """

    kind: str
    channels: int
    to_bgr: int | None = None
    lines: int = 2
    smallest: int = 1


# OpenCV names a Bayer pattern by the pixels at (1, 1) and (1, 2), ROS by those at (0, 0) and (0, 1).
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR, "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR, "grbg": cv2.COLOR_BayerGB2BGR,
}
_UYVY = Layout("u1", 2, cv2.COLOR_YUV2BGR_UYVY)
_YUYV = Layout("u1", 2, cv2.COLOR_YUV2BGR_YUY2)

#: Three channels or what becomes them. 8UC3 is what OpenCV users send for bgr8.
COLOR: Mapping[str, Layout] = {
    "bgr8": Layout("u1", 3),
    "8UC3": Layout("u1", 3),
    "rgb8": Layout("u1", 3, cv2.COLOR_RGB2BGR),
    "bgra8": Layout("u1", 4, cv2.COLOR_BGRA2BGR),
    "8UC4": Layout("u1", 4, cv2.COLOR_BGRA2BGR),
    "rgba8": Layout("u1", 4, cv2.COLOR_RGBA2BGR),
    "bgr16": Layout("u2", 3),
    "rgb16": Layout("u2", 3, cv2.COLOR_RGB2BGR),
    "bgra16": Layout("u2", 4, cv2.COLOR_BGRA2BGR),
    "rgba16": Layout("u2", 4, cv2.COLOR_RGBA2BGR),
    "mono8": Layout("u1", 1, cv2.COLOR_GRAY2BGR),
    "8UC1": Layout("u1", 1, cv2.COLOR_GRAY2BGR),
    "mono16": Layout("u2", 1, cv2.COLOR_GRAY2BGR),
    **{f"bayer_{p}8": Layout("u1", 1, code, smallest=2) for p, code in _BAYER.items()},
    **{f"bayer_{p}16": Layout("u2", 1, code, smallest=2) for p, code in _BAYER.items()},
    # ROS 1's "yuv422" is UYVY; ROS 2 says uyvy and yuyv and keeps the older names.
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv21": Layout("u1", 1, cv2.COLOR_YUV2BGR_NV21, lines=3, smallest=2),
    "nv12": Layout("u1", 1, cv2.COLOR_YUV2BGR_NV12, lines=3, smallest=2),
}
#: One channel of light; of three channels the weighted mean is taken, which is each of them where they are equal.
INTENSITY: Mapping[str, Layout] = {
    "mono8": Layout("u1", 1),
    "8UC1": Layout("u1", 1),
    "mono16": Layout("u2", 1),
    "16UC1": Layout("u2", 1),
    "32FC1": Layout("f4", 1),
    **{name: COLOR[name] for name in ("bgr8", "rgb8", "8UC3", "bgra8", "rgba8")},
    **{name: COLOR[name] for name in ("uyvy", "yuyv", "yuv422", "yuv422_yuy2", "nv12", "nv21")},
}
#: One channel of a quantity.
MEASUREMENT: Mapping[str, Layout] = {
    "16UC1": Layout("u2", 1),
    "mono16": Layout("u2", 1),
    "16SC1": Layout("i2", 1),
    "32FC1": Layout("f4", 1),
    "64FC1": Layout("f8", 1),
}
#: By kind of pixels, see :class:`ssma_ros.sensors.Sensor`.
LAYOUTS: Mapping[str, Mapping[str, Layout]] = {"color": COLOR, "intensity": INTENSITY, "measurement": MEASUREMENT}
