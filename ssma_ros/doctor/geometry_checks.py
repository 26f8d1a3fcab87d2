# SPDX-License-Identifier: Apache-2.0
"""Which way is down, and how the frames hang together."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.frame import angle_from_level
from ssma_ros.messages.transforms import gravity
from ssma_ros.ros.input_topics import DISPARITY_IMAGE
from ssma_ros.sensors import DRIVER, FROM_TF, SENSORS, registered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ssma_ros.doctor.scene import Scene
    from ssma_ros.messages.transforms import TransformTree

#: A camera that is turned by more from level is refused by ``gravity_guard``, degrees.
_TILTED_DEG = 45.0
#: How high a robot's camera can stand over the ground, and how high it usually does, metres.
_LOW_M, _HIGH_M = 0.04, 6.0
_USUAL_M = (0.15, 4.0)
#: What units are mistaken by, most frequent first.
_FACTORS = (0.1, 10.0, 0.01, 100.0, 0.001, 1000.0)


def gravity_frame(scene: Scene) -> Iterator[Finding]:
    """A ``gravity_frame`` that tf does not know is waited for in vain."""
    asked, frame = scene.setup.parameters.gravity_frame, scene.inputs[DRIVER].frame_id
    if not asked or not frame or not scene.listened_to_tf:
        return
    known = scene.transforms.frames
    if rotation(scene.transforms, frame, asked) is not None:
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
    better = upright_frame(scene.transforms, frame)
    yield Finding("error", "gravity", f"gravity_frame: {seen}; gravity is guessed from depth instead", todo,
                  {"gravity_frame": better} if better else {})


def tilted(scene: Scene) -> Iterator[Finding]:
    """A camera on its side, or one that sees too little ground: the estimate from depth is refused for ever."""
    if not scene.setup.needs_camera:
        return
    frame, asked = scene.inputs[DRIVER].frame_id, scene.setup.parameters.gravity_frame
    upright = upright_frame(scene.transforms, frame)
    by_tf = None if asked else gravity(scene.transforms, frame, upright)
    for who, down in (("tf", by_tf), ("depth", None if asked else scene.down)):
        angle = 0.0 if down is None else angle_from_level(down)
        if down is not None and angle > _TILTED_DEG:
            name, todo = upright, f"take gravity from {upright}"
            shell: tuple[str, ...] = ()
            if not upright:
                name, todo = "base_footprint", "publish how the camera stands, and take gravity from there"
            if not upright and frame not in scene.transforms.frames:
                shell = (static_transform(name, frame, down),)
            yield Finding("error", "gravity", f"{who} says that the camera is turned by {angle:.0f} degrees from "
                          "level: gravity estimated from depth is refused, it counts as level", todo,
                          {"gravity_frame": name}, shell=shell)
            return
    if "depth" in scene.inputs and scene.inputs["depth"].suspicion:
        return  # of a depth of another unit nothing follows
    for stream, doubt in scene.doubts.items():
        yield Finding("warning", "gravity", f"{stream}: {doubt.partition(': ')[0]}", "where the camera is level and "
                      "the ground comes into view later, nothing; else take gravity from tf (gravity_frame)",
                      {"gravity_frame": upright} if upright else {})


def static_transform(parent: str, child: str, down: NDArray[np.float64]) -> str:
    """A line for the shell that publishes how a camera stands: its optical frame in one with x forward and z up."""
    forward = np.array([0.0, 0.0, 1.0])
    ahead = forward - down * float(forward @ down)
    ahead /= np.linalg.norm(ahead)
    turn = np.stack([ahead, np.cross(-down, ahead), -down])  # rows: x, y, z of the parent in the camera's frame
    w = math.sqrt(max(0.0, 1.0 + float(np.trace(turn)))) / 2
    if w > 1e-6:
        x, y, z = (float(turn[i, j] - turn[j, i]) / (4 * w) for i, j in ((2, 1), (0, 2), (1, 0)))
    else:  # a half turn: the axis is what stays where it is
        x, y, z = (float(v) for v in np.linalg.eigh(turn + turn.T)[1][:, -1])
    words = " ".join(f"--q{name} {value:.4f}" for name, value in zip("xyzw", (x, y, z, w), strict=True))
    return f"ros2 run tf2_ros static_transform_publisher --frame-id {parent} --child-frame-id {child} {words}"


def registration(scene: Scene) -> Iterator[Finding]:
    """An image that the node is to register needs its camera's calibration, and its place by tf or by extrinsics."""
    color = scene.inputs[DRIVER]
    for sensor, given in registered(vars(scene.setup.parameters)).items():
        seen, info = scene.inputs.get(sensor), scene.inputs.get(f"{sensor}_camera_info")
        if seen is None or info is None or not seen.looked_at or not color.looked_at:
            continue
        if seen.frame_id == color.frame_id and given == FROM_TF:
            continue  # it is in the colour camera's pixels already
        if not info.offers:
            yield Finding("error", sensor, f"register_{sensor} is on and nobody publishes {info.wanted}",
                          f"remap {info.name} to its camera's")
        if given == FROM_TF and scene.listened_to_tf and rotation(
            scene.transforms, color.frame_id, seen.frame_id
        ) is None:
            yield Finding("error", sensor, f"register_{sensor} is on and tf does not connect '{seen.frame_id}' with "
                          f"'{color.frame_id}'", "have the driver publish its tf, or write the camera's place into "
                          f"{sensor}_extrinsics")


def rotation(transforms: TransformTree, target: str, source: str) -> NDArray[np.float64] | None:
    """3×3 that turns directions of ``source`` to ``target``, or None where no chain connects them."""
    try:
        return transforms.lookup(target, source)[0]
    except LookupError:
        return None


def upright_frame(transforms: TransformTree, frame: str) -> str:
    """A frame of the same tree whose z axis points up by its name (REP-105), or nothing."""
    names = ("base_footprint", "odom", "map", "base_link")
    fitting = [f for name in names for f in transforms.frames if f.rpartition("/")[2] == name]
    return next((name for name in fitting if rotation(transforms, frame, name) is not None), "")


def ground(scene: Scene) -> Iterator[Finding]:
    """A unit that is wrong by ten keeps depth plausible, but not how high the camera stands over the ground."""
    seen, below = scene.inputs.get("depth"), scene.ground_m
    if seen is None or seen.suspicion or below is None or _LOW_M <= below <= _HIGH_M:
        return
    now = scene.setup.parameters.depth_scale or (1.0 if "FC1" in seen.encoding else SENSORS["depth"].scale)
    fitting = [factor for factor in _FACTORS if _USUAL_M[0] <= factor * below <= _USUAL_M[1]]
    disparity = seen.kind == DISPARITY_IMAGE
    todo = f"if that is not so, {seen.topic} has another unit than {now:g} m a count"
    if disparity:
        todo = "if that is not so, the baseline T of the disparity's calibration is wrong"
    yield Finding("warning", "depth", f"by depth the ground lies {below:.3g} m below the camera", todo,
                  {"depth_scale": float(f"{now * fitting[0]:g}")} if fitting and not disparity else {})


CHECKS = (gravity_frame, tilted, registration, ground)
