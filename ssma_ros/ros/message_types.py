"""Message classes by their ROS names."""

from __future__ import annotations

import importlib
from typing import Any

from ssma_ros.errors import SsmaError


def message_class(name: str) -> type[Any]:
    """The Python class of a type such as ``sensor_msgs/msg/Image``.

    Raises:
        SsmaError: the package that defines it is not installed.
    """
    package, _, kind = name.split("/")
    try:
        found: type[Any] = getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError):
        raise SsmaError(f"message type {name}: not installed, expected the ROS 2 package {package}") from None
    return found
