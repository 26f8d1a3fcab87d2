# SPDX-License-Identifier: Apache-2.0
"""Multimodal semantic segmentation for field robots with SSMA fusion networks.

The front door is :func:`load`, which gives a :class:`Segmenter`. Importing the package costs nothing: what it offers is
imported when it is first asked for. The library knows no ROS; the other doors into it are the node in
:mod:`ssma_ros.ros`, recordings in :mod:`ssma_ros.recordings` and the ``ssma`` command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ssma_ros.version import __version__

if TYPE_CHECKING:
    from ssma_ros.frame import Camera, Frame, Intrinsics, Segmentation
    from ssma_ros.segmenter import Segmenter, load

__all__ = ["Camera", "Frame", "Intrinsics", "Segmentation", "Segmenter", "__version__", "load"]

_HOMES = {
    "Camera": "ssma_ros.frame",
    "Frame": "ssma_ros.frame",
    "Intrinsics": "ssma_ros.frame",
    "Segmentation": "ssma_ros.frame",
    "Segmenter": "ssma_ros.segmenter",
    "load": "ssma_ros.segmenter",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ssma_ros' has no attribute '{name}', it offers {', '.join(__all__)}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
