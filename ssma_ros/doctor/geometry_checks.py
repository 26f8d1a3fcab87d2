# SPDX-License-Identifier: Apache-2.0
"""Which way is down, and how the frames hang together."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.doctor.finding import Finding
from ssma_ros.sensors import DRIVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssma_ros.doctor.scene import Scene

#: A camera that is turned by more from level is refused by ``gravity_guard``, degrees.
_TILTED_DEG = 45.0


def gravity_frame(scene: Scene) -> Iterator[Finding]:
    """A ``gravity_frame`` that tf does not know is waited for in vain."""
    asked, frame = scene.setup.parameters.gravity_frame, scene.inputs[DRIVER].frame_id
    if not asked or not frame or not scene.listened_to_tf:
        return
    known = scene.transforms.frames
    if scene.transforms.rotation(frame, asked) is not None:
        return
    if not known:
        seen, todo = "nobody publishes tf", "start robot_state_publisher or a static_transform_publisher"
    elif asked not in known:
        close = difflib.get_close_matches(asked, known, n=1)
        seen = f"tf has no frame '{asked}' (it has {', '.join(known[:8])})"
        todo = f"'{close[0]}' may be meant" if close else "name one of these whose z axis points up"
    elif frame not in known:
        seen, todo = f"tf has no frame '{frame}', the colour image's", "publish the camera's place on the robot"
    else:
        seen, todo = f"tf knows '{asked}' and '{frame}', in two trees", "publish the transform that connects them"
    better = scene.transforms.upright(frame)
    yield Finding("error", "gravity", f"gravity_frame: {seen}; gravity is guessed from depth instead", todo,
                  {"gravity_frame": better} if better else {})


def tilted(scene: Scene) -> Iterator[Finding]:
    """A camera on its side, or one that sees too little ground: the estimate from depth is refused for ever."""
    frame, asked = scene.inputs[DRIVER].frame_id, scene.setup.parameters.gravity_frame
    upright = scene.transforms.upright(frame)
    if not asked and upright:
        turn = scene.transforms.rotation(frame, upright)
        assert turn is not None, "upright() answers with frames of the same tree"
        down = turn @ np.array([0.0, 0.0, -1.0])
        angle = float(np.degrees(np.arccos(np.clip(down[1], -1.0, 1.0))))
        if angle > _TILTED_DEG and scene.setup.needs_camera:
            yield Finding("error", "gravity", f"tf says that the camera is turned by {angle:.0f} degrees from level: "
                          "gravity estimated from depth is refused, it counts as level", f"take gravity from {upright}",
                          {"gravity_frame": upright})
            return
    for stream, doubt in scene.doubts.items():
        what, _, todo = doubt.partition(": ")
        yield Finding("warning", "gravity", f"{stream}: {what}", todo,
                      {"gravity_frame": upright or "base_footprint"})


def registration(scene: Scene) -> Iterator[Finding]:
    """Depth that the node is to register needs tf and the depth camera's own calibration."""
    if not scene.setup.parameters.register_depth or "depth" not in scene.inputs:
        return
    depth, color = scene.inputs["depth"], scene.inputs[DRIVER]
    info = scene.inputs.get("depth_camera_info")
    if not depth.looked_at or not color.looked_at or depth.frame_id == color.frame_id:
        return
    if info is not None and info.last is None and not info.offers:
        yield Finding("error", "depth", f"register_depth is on and nobody publishes {info.wanted}",
                      "remap depth/camera_info to the depth camera's")
    if scene.listened_to_tf and scene.transforms.rotation(color.frame_id, depth.frame_id) is None:
        yield Finding("error", "depth", f"register_depth is on and tf does not connect '{depth.frame_id}' with "
                      f"'{color.frame_id}'", "have the driver publish its tf, or a static_transform_publisher")


CHECKS = (gravity_frame, tilted, registration)
