# SPDX-License-Identifier: Apache-2.0
"""Message classes that must be there."""

from __future__ import annotations

from typing import Any

from ssma_ros.errors import SsmaError
from ssma_ros.ros.publishers import message_class


def required_message_class(name: str) -> type[Any]:
    """The Python class of a type such as ``sensor_msgs/msg/Image``.

    Raises:
        SsmaError: the package that defines it is not installed.
    """
    found = message_class(name)
    if found is None:
        raise SsmaError(f"message type {name}: not installed, expected the ROS 2 package {name.partition('/')[0]}")
    return found
