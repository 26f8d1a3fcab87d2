# SPDX-License-Identifier: Apache-2.0
"""The last images as one frame, put together and encoded as the node would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.encodings.hha import ROBOT_OPTIONS, HHAEncoder
from ssma_ros.frame import Intrinsics
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.messages.assemble import DEFAULT_TOPICS, AssemblyOptions, assemble_frame
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.options import part
from ssma_ros.sensors import DRIVER, readings, registered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.doctor.scene import Scene


def put_together(scene: Scene) -> None:
    """Fill in the scene's frame, and the doubts about what is made of it."""
    parameters = scene.setup.parameters
    messages = {seen.sensor: seen.last for seen in scene.images() if seen.last is not None}
    if DRIVER not in messages:
        return
    infos = {seen.sensor.removesuffix("_camera_info"): seen.last for seen in scene.inputs.values()
             if seen.sensor.endswith("_camera_info") and seen.last is not None}
    values = vars(parameters)
    topics = {**DEFAULT_TOPICS, **{seen.sensor: seen.topic for seen in scene.inputs.values() if seen.topic}}
    if "depth" in scene.inputs:
        topics["disparity"] = topics["depth"]
    try:
        scene.frame = assemble_frame(
            messages, scene.inputs["camera_info"].last,
            part(AssemblyOptions, parameters, readings=readings(values), registered=registered(values)), topics=topics,
            infos=infos, transforms=scene.transforms,
        )
    except RefusedInput:
        return  # the images were looked at one by one, and say so
    if scene.setup.contract is None:
        return
    encoded = InputEncoder(scene.setup.contract, part(EncoderOptions, parameters)).encode(scene.frame)
    scene.doubts = encoded.doubts
    if encoded.depth is None or encoded.intrinsics is None:
        return
    if encoded.doubts:
        scene.down = sideways_down(encoded.depth, encoded.intrinsics)
    elif "depth" not in scene.frame.cameras and scene.frame.intrinsics is not None:
        # As measured: completion passes over what it takes for too far.
        scene.ground_m = ground_below(scene.frame.depth, scene.frame.intrinsics, scene.frame.gravity)


def ground_below(
    depth: NDArray[np.float32], intrinsics: Intrinsics, gravity: NDArray[np.float64] | None
) -> float | None:
    """How far below the camera lies what it sees at the lower border of its picture, metres; None where that is not
    below it, or nobody knows which way is down.

    Args:
        depth: H×W float32 metres, 0 = no reading.
        intrinsics: of its grid.
        gravity: "down" in the optical frame, or None = as depth tells.
    """
    encoder = HHAEncoder(ROBOT_OPTIONS)
    encoder.encode(depth, intrinsics, gravity=gravity)
    if encoder.gravity is None or encoder.gravity_source not in ("given", "estimated"):
        return None
    rows = np.arange(4 * depth.shape[0] // 5, depth.shape[0])[:, None]
    rays = np.stack(np.broadcast_arrays(
        (np.arange(depth.shape[1])[None] - intrinsics.cx) / intrinsics.fx, (rows - intrinsics.cy) / intrinsics.fy, 1.0
    ), axis=-1)  # fmt: skip
    heights = (depth[rows[0, 0] :] * (rays @ encoder.gravity))[depth[rows[0, 0] :] > 0]
    below = float(np.median(heights)) if heights.size else 0.0
    return below if below > 0 else None


def sideways_down(depth: NDArray[np.float32], intrinsics: Intrinsics) -> NDArray[np.float64] | None:
    """Unit vector of "down" of a camera that lies on its side, in its optical frame; None where it seems not to.

    The estimate from depth looks for ground below the camera. So it is asked of the picture turned by a quarter to
    either side; of two that have an answer that one is meant whose ground comes nearer downwards.

    Args:
        depth: H×W float32 metres, completed, 0 = no reading.
        intrinsics: of its grid.
    """
    fx, fy, cx, cy, width, height = (getattr(intrinsics, name) for name in ("fx", "fy", "cx", "cy", "width", "height"))
    quarters = (
        (1, Intrinsics(fy, fx, cy, width - 1 - cx, height, width), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])),
        (3, Intrinsics(fy, fx, height - 1 - cy, cx, height, width), np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])),
    )
    best, found = 0.0, None
    for turns, camera, back in quarters:
        turned = np.ascontiguousarray(np.rot90(depth, turns))
        encoder = HHAEncoder(ROBOT_OPTIONS)
        encoder.encode(turned, camera)
        if encoder.gravity is None or encoder.gravity_source != "estimated":
            continue
        upper, lower = (half[half > 0] for half in np.array_split(turned, 2))
        nearer = float(np.median(upper) - np.median(lower)) if upper.size and lower.size else 0.0
        if nearer > best:
            best, found = nearer, back @ encoder.gravity
    return found


def angle_from_level(down: NDArray[np.float64]) -> float:
    """Degrees between "down" in a camera's optical frame and its own y axis."""
    return float(np.degrees(np.arccos(np.clip(down[1], -1.0, 1.0))))
