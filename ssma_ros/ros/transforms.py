# SPDX-License-Identifier: Apache-2.0
"""The tf tree as the node hears it, through tf2."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.transforms import rotation_matrix
from ssma_ros.sensors import FROM_TF, registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from rclpy.node import Node

    from ssma_ros.ros.parameters import FusionParameters


class ListenedTransforms:
    """Implements :class:`~ssma_ros.messages.transforms.Transforms`.

    Args:
        buffer: a ``tf2_ros.Buffer`` or its like: ``lookup_transform(target, source, time)``.
        latest: the time that means "the latest transform there is".
        closing: called at the end.
    """

    def __init__(self, buffer: Any, latest: Any, closing: Callable[[], object] | None = None) -> None:
        self._buffer = buffer
        self._latest = latest
        self._closing = closing

    @classmethod
    def from_parameters(cls, node: Node, parameters: FusionParameters) -> ListenedTransforms | None:
        """Listen to tf where a parameter asks for it, else None.

        Raises:
            SsmaError: tf2_ros is not installed.
        """
        asked = _asked(parameters)
        if not asked:
            return None
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
        return cls(buffer, Time(), getattr(listener, "unregister", lambda: None))

    def close(self) -> None:
        """Stop listening."""
        if self._closing is not None:
            self._closing()

    def lookup(self, target: str, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3×3) and translation (3, metres) that take points of ``source`` to ``target``."""
        try:
            transform = self._buffer.lookup_transform(target, source, self._latest).transform
        except Exception as error:  # tf2's exceptions share no base but Exception
            raise LookupError(str(error)) from None
        q, t = transform.rotation, transform.translation
        return rotation_matrix(q.x, q.y, q.z, q.w), np.array([t.x, t.y, t.z], np.float64)


def _asked(parameters: FusionParameters) -> str:
    """The first parameter that needs tf, or empty."""
    if parameters.gravity_frame:
        return "gravity_frame"
    by_tf = (name for name, given in registered(vars(parameters)).items() if given == FROM_TF)
    return next((f"register_{name}" for name in by_tf), "")
