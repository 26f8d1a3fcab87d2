# SPDX-License-Identifier: Apache-2.0
"""Recordings of kinds that the extraction must get right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from recordings.small_recording import (
    FRAME_ID,
    INTRINSICS,
    PERIOD_NS,
    TOPICS,
    color,
    depth_mm,
    nir,
    stamp,
    write_small_recording,
)

from ssma_ros.recordings import records as messages
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.travel import ODOMETRY
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE
from ssma_ros.recordings.writer import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_float_recording(path: Path, frames: int = 3) -> Path:
    """Depth in metres between the millimetres, near infrared of 12 bits, and another camera in the last frame."""
    with RecordingWriter(path) as writer:
        for index in range(frames):
            now = stamp(index)
            camera = INTRINSICS if index < frames - 1 else INTRINSICS.resized(*reversed((48, 96)))
            depth = depth_mm(index).astype(np.float32) * np.float32(1.00037e-3)
            writer.write(TOPICS["camera_info"], CAMERA_INFO, messages.camera_info(camera, now, FRAME_ID), now)
            for role, pixels, encoding in (
                ("color", color(index), "bgr8"), ("depth", depth, "32FC1"),
                ("nir", nir(index).astype(np.uint16) * np.uint16(16), "mono16"),
            ):  # fmt: skip
                writer.write(TOPICS[role], IMAGE, messages.image(pixels, encoding, now, FRAME_ID), now)
    return path


def write_driven_recording(path: Path, place_of: Callable[[float], float], frames: int, shift_ns: int = 0) -> Path:
    """Frames at 10 Hz and odometry at 50 Hz; the robot is at ``place_of(seconds)`` metres along its way."""
    still = write_small_recording(path.with_name(f"{path.name}-still"), frames=frames)
    with RecordingReader(still) as reader, RecordingWriter(path) as writer:
        for message in reader.messages():
            writer.write_serialized(message.topic, message.type, message.data, message.stamp_ns)
        for step in range((frames - 1) * 5 + 1):
            seconds = step * 0.02
            now = stamp(0) + step * PERIOD_NS // 5 + shift_ns
            way = place_of(seconds)
            place = messages.make("geometry_msgs/msg/Point", x=way * 0.6, y=way * 0.8, z=0.0)
            turn = messages.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
            pose = messages.make("geometry_msgs/msg/PoseWithCovariance", covariance=np.zeros(36), pose=messages.make(
                "geometry_msgs/msg/Pose", position=place, orientation=turn))
            zero = messages.make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
            twist = messages.make("geometry_msgs/msg/TwistWithCovariance", covariance=np.zeros(36), twist=messages.make(
                "geometry_msgs/msg/Twist", linear=zero, angular=zero))
            odometry = messages.make(ODOMETRY, header=messages.header(now, "odom"), child_frame_id="base_link",
                                     pose=pose, twist=twist)
            writer.write("/odom", ODOMETRY, odometry, now)
    return path
