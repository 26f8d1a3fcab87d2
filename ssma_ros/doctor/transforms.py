# SPDX-License-Identifier: Apache-2.0
"""The transforms of a graph or recording: which frames hang together, and how they are turned. Without tf2."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.ros.transforms import rotation_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Transforms:
    """The latest transform of each frame to its parent."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, NDArray[np.float64]]] = {}

    def add(self, parent: str, child: str, quaternion: tuple[float, float, float, float]) -> None:
        """Note one: the quaternion (x, y, z, w) turns directions of ``child`` to ``parent``. One that is no rotation is
        passed over, as tf2 does."""
        with suppress(LookupError):
            self._parents[child.lstrip("/")] = (parent.lstrip("/"), rotation_matrix(*quaternion))

    def add_message(self, message: Any) -> None:
        """Note those of a tf2_msgs/TFMessage."""
        for transform in message.transforms:
            q = transform.transform.rotation
            self.add(transform.header.frame_id, transform.child_frame_id, (q.x, q.y, q.z, q.w))

    @property
    def frames(self) -> list[str]:
        """Every frame, by name."""
        return sorted({*self._parents, *(parent for parent, _ in self._parents.values())})

    def rotation(self, target: str, source: str) -> NDArray[np.float64] | None:
        """3×3 that turns directions of ``source`` to ``target``, or None where no chain connects them."""
        up, down = self._to_root(source), self._to_root(target)
        common = next((frame for frame in up if frame in down), None)
        return None if common is None else down[common].T @ up[common]

    def _to_root(self, frame: str) -> dict[str, NDArray[np.float64]]:
        """Each frame from here to the root, with the rotation from here to it. A circle ends where it closes."""
        chain, turn = {frame: np.eye(3)}, np.eye(3)
        while frame in self._parents:
            frame, step = self._parents[frame]
            if frame in chain:
                break
            turn = step @ turn
            chain[frame] = turn
        return chain

    def upright(self, frame: str) -> str:
        """A frame of the same tree whose z axis points up by its name (REP-105), or nothing."""
        names = ("base_footprint", "odom", "map", "base_link")
        fitting = [f for name in names for f in self.frames if f.rpartition("/")[2] == name]
        return next((name for name in fitting if self.rotation(frame, name) is not None), "")
