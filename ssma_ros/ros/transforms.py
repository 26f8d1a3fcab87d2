# SPDX-License-Identifier: Apache-2.0
"""What tf2 adds: the direction of gravity, and depth reprojected into the colour camera."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import intrinsics_from_camera_info
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.registration import reproject_depth

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from rclpy.node import Node

    from ssma_ros.frame import Intrinsics
    from ssma_ros.ros.parameters import FusionParameters

_DEPTH_INFO = "depth/camera_info"


class TransformGeometry:
    """Looks transforms up for frames.

    Args:
        buffer: a ``tf2_ros.Buffer`` or its like: ``lookup_transform(target, source, time)``.
        latest: the time that means "the latest transform there is".
        gravity_frame: frame whose z axis points up, or empty.
        closing: called at the end.
    """

    def __init__(
        self, buffer: Any, latest: Any, gravity_frame: str = "", closing: Callable[[], object] | None = None
    ) -> None:
        self._buffer = buffer
        self._latest = latest
        self._gravity_frame = gravity_frame
        self._closing = closing
        self.depth_info: Callable[[], Any] = lambda: None

    @classmethod
    def from_parameters(cls, node: Node, parameters: FusionParameters) -> TransformGeometry | None:
        """Listen to tf where a parameter asks for it, else None.

        Raises:
            SsmaError: tf2_ros is not installed.
        """
        if not (parameters.gravity_frame or parameters.register_depth):
            return None
        asked = "register_depth" if parameters.register_depth else "gravity_frame"
        try:
            tf2_ros = importlib.import_module("tf2_ros")
        except ImportError:
            raise SsmaError(
                f"parameter {asked} needs the package tf2_ros, which is not installed, expected it (apt install "
                "ros-$ROS_DISTRO-tf2-ros-py) or the parameter left at its default"
            ) from None
        from rclpy.time import Time

        buffer = tf2_ros.Buffer()
        listener = tf2_ros.TransformListener(buffer, node)
        unregister = getattr(listener, "unregister", lambda: None)
        return cls(buffer, Time(), parameters.gravity_frame, unregister)

    def close(self) -> None:
        """Stop listening."""
        if self._closing is not None:
            self._closing()

    def gravity(self, frame_id: str, _stamp_ns: int) -> NDArray[np.float64] | None:
        """Unit vector of "down" in ``frame_id``, or None where tf does not know it (yet).

        The latest transform is taken: gravity turns slowly against a camera, and tf is often some milliseconds
        behind the images.
        """
        if not self._gravity_frame:
            return None
        try:
            rotation, _ = self._lookup(frame_id, self._gravity_frame)
        except LookupError:
            return None
        down: NDArray[np.float64] = rotation @ np.array([0.0, 0.0, -1.0])
        return down

    def register(
        self, depth: NDArray[np.float32], message: Any, intrinsics: Intrinsics, frame_id: str
    ) -> NDArray[np.float32]:
        """Depth of another camera in the pixels of ``intrinsics``.

        Raises:
            RefusedInput: no camera info of the depth camera, or no transform between the two cameras.
        """
        source_frame = str(message.header.frame_id)
        info = self.depth_info()
        if info is None:
            raise RefusedInput(_DEPTH_INFO, "message", "absent", "the depth camera's intrinsics to register depth with")
        source = intrinsics_from_camera_info(info, _DEPTH_INFO)
        if (source.width, source.height) != (depth.shape[1], depth.shape[0]):
            size = f"{depth.shape[1]}x{depth.shape[0]} as the depth image is"
            raise RefusedInput(_DEPTH_INFO, "size", f"{source.width}x{source.height}", size)
        try:
            rotation, translation = self._lookup(frame_id, source_frame)
        except LookupError as error:
            raise RefusedInput(
                "/tf", "transform", f"unknown ({error})", f"one from '{source_frame}' to '{frame_id}'"
            ) from None
        return reproject_depth(depth, source, intrinsics, rotation, translation)

    def _lookup(self, target: str, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3×3) and translation (3, metres) that take points of ``source`` to ``target``."""
        try:
            transform = self._buffer.lookup_transform(target, source, self._latest).transform
        except Exception as error:  # tf2's exceptions share no base but Exception
            raise LookupError(str(error)) from None
        q, t = transform.rotation, transform.translation
        return rotation_matrix(q.x, q.y, q.z, q.w), np.array([t.x, t.y, t.z], np.float64)


def rotation_matrix(x: float, y: float, z: float, w: float) -> NDArray[np.float64]:
    """3×3 rotation of a quaternion, normalised first."""
    norm = float(np.sqrt(x * x + y * y + z * z + w * w))
    if not np.isfinite(norm) or norm == 0.0:
        raise LookupError(f"quaternion ({x}, {y}, {z}, {w}) is no rotation")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
