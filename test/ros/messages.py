# SPDX-License-Identifier: Apache-2.0
"""Stand-ins with the fields of ROS messages, so that conversion is tested where no rclpy is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np


def header(stamp_ns: int = 1_500_000_000, frame_id: str = "camera") -> SimpleNamespace:
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(stamp=stamp, frame_id=frame_id)


def image(pixels: Any, encoding: str, *, pad: int = 0, stamp_ns: int = 1_500_000_000, frame_id: str = "camera",
          big_endian: bool = False) -> SimpleNamespace:
    """An Image of ``pixels`` with ``pad`` bytes after each row."""
    pixels = np.ascontiguousarray(pixels)
    if big_endian:
        pixels = pixels.astype(pixels.dtype.newbyteorder(">"))
    height, width = pixels.shape[:2]
    rows = pixels.view(np.uint8).reshape(height, -1)
    padded = np.pad(rows, ((0, 0), (0, pad)), constant_values=205)
    return SimpleNamespace(
        header=header(stamp_ns, frame_id), height=height, width=width, encoding=encoding,
        is_bigendian=int(big_endian), step=padded.shape[1], data=padded.reshape(-1),
    )


def camera_info(width: int = 8, height: int = 6, fx: float = 7.0, **changes: Any) -> SimpleNamespace:
    cx, cy = (width - 1) / 2, (height - 1) / 2
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    fields = {
        "header": header(), "width": width, "height": height, "distortion_model": "plumb_bob", "d": [0.0] * 5,
        "k": [fx, 0, cx, 0, fx, cy, 0, 0, 1], "r": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [fx, 0, cx, 0, 0, fx, cy, 0, 0, 0, 1, 0], "binning_x": 0, "binning_y": 0, "roi": roi,
    }
    return SimpleNamespace(**{**fields, **changes})


def disparity(values: Any, *, f: float = 100.0, t: float = 0.1, least: float = 0.5, **changes: Any) -> SimpleNamespace:
    return SimpleNamespace(
        header=header(**changes), image=image(np.asarray(values, np.float32), "32FC1"), f=f, t=t, min_disparity=least,
        max_disparity=64.0,
    )


def stamp(message: Any) -> int:
    """Header stamp of any message in nanoseconds."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)
