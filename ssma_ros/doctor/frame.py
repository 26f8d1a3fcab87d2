# SPDX-License-Identifier: Apache-2.0
"""The last images as one frame, put together and encoded as the node would."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.encodings.hha import ROBOT_OPTIONS, HHAEncoder
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.messages.assemble import DEFAULT_TOPICS, AssemblyOptions, assemble_frame
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.options import part
from ssma_ros.sensors import DRIVER, readings, registered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.doctor.scene import Scene
    from ssma_ros.frame import Intrinsics


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
    if encoded.doubts and encoded.depth is not None and encoded.intrinsics is not None:
        scene.turned_deg = turned_deg(encoded.depth, encoded.intrinsics)


def turned_deg(depth: NDArray[np.float32], intrinsics: Intrinsics) -> float | None:
    """How far depth says that the camera is turned from level, degrees, however far that is; None where it sees too
    little ground or walls to tell."""
    encoder = HHAEncoder(replace(ROBOT_OPTIONS, max_tilt=180.0))
    encoder.encode(depth, intrinsics)
    if encoder.gravity is None or encoder.gravity_source != "estimated":
        return None
    return angle_from_level(encoder.gravity)


def angle_from_level(down: NDArray[np.float64]) -> float:
    """Degrees between "down" in a camera's optical frame and its own y axis."""
    return float(np.degrees(np.arccos(np.clip(down[1], -1.0, 1.0))))
