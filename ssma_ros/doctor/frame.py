# SPDX-License-Identifier: Apache-2.0
"""The last images as one frame, put together and encoded as the node would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.messages.assemble import DEFAULT_TOPICS, AssemblyOptions, assemble_frame
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.options import part
from ssma_ros.sensors import DRIVER, readings

if TYPE_CHECKING:
    from ssma_ros.doctor.scene import Scene


def put_together(scene: Scene) -> None:
    """Fill in the scene's frame, and the doubts about what is made of it."""
    parameters = scene.setup.parameters
    messages = {seen.sensor: seen.last for seen in scene.images() if seen.last is not None}
    if DRIVER not in messages:
        return
    topics = {**DEFAULT_TOPICS, **{seen.sensor: seen.topic for seen in scene.inputs.values() if seen.topic}}
    if "depth" in scene.inputs:
        topics["disparity"] = topics["depth"]
    try:
        scene.frame = assemble_frame(
            messages, scene.inputs["camera_info"].last,
            part(AssemblyOptions, parameters, readings=readings(vars(parameters))), topics=topics,
        )
    except RefusedInput:
        return  # the images were looked at one by one, and say so
    if parameters.gravity_frame:
        turn = scene.transforms.rotation(scene.frame.frame_id, parameters.gravity_frame)
        scene.frame.gravity = None if turn is None else turn @ np.array([0.0, 0.0, -1.0])
    if scene.setup.contract is not None:
        scene.doubts = InputEncoder(scene.setup.contract, part(EncoderOptions, parameters)).encode(scene.frame).doubts
