# SPDX-License-Identifier: Apache-2.0
"""Camera frames for the steps: the demonstration's drive where it is installed, else made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.kernels.shared.measure import made_depth
from ssma_ros.share import share_path

if TYPE_CHECKING:
    from ssma_ros.contract import Contract
    from ssma_ros.inference.build.verify import EncodedFrame
    from ssma_ros.selftest.findings import Findings

_MADE = (1280, 720)


def camera_frames(count: int, findings: Findings) -> list[Frame]:
    """Frames with colour, depth, near infrared and a camera, spread over the drive; says where they are from."""
    recording = share_path("demo", "forest_drive")
    if recording is not None:
        try:
            from ssma_ros.recordings.frames import read_frames

            frames = list(read_frames(recording))
            findings.fact("frames", f"{count} of the demonstration's drive")
            return frames[:: max(1, len(frames) // count)][:count]
        except (ImportError, SsmaError) as error:
            findings.fact("demonstration's drive", f"cannot be read: {error}")
    findings.fact("frames", f"{count} made up")
    return [made_frame(seed) for seed in range(count)]


def made_frame(seed: int, size: tuple[int, int] = _MADE) -> Frame:
    """Ground, boxes and sky with smooth colours, as far as a made-up picture goes; holes as of a stereo camera."""
    width, height = size
    depth, camera = made_depth("stereo", width, height, seed)
    rng = np.random.default_rng(seed)
    small = rng.uniform(40, 200, (height // 48 + 2, width // 48 + 2, 3)).astype(np.float32)
    color = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC) + rng.normal(0, 4, (height, width, 3))
    color *= np.where(depth > 0, 1.1 - np.minimum(depth, 50.0) / 80.0, 0.9)[..., None]
    color = np.clip(color, 0, 255).astype(np.uint8)
    nir = cv2.addWeighted(color[..., 1], 1.1, cv2.GaussianBlur(color[..., 2], (5, 5), 0), 0.2, 0.0)
    return Frame(
        seed * 100_000_000, "camera", color=color, depth=depth, nir=np.asarray(nir, np.uint8), intrinsics=camera
    )


def encoded(contract: Contract, frames: list[Frame]) -> list[EncodedFrame]:
    """The network's inputs of each frame, made on the processor, and which streams are present."""
    encoder = InputEncoder(contract)
    found: list[EncodedFrame] = []
    for frame in frames:
        made = encoder.encode(frame)
        found.append(({name: image.copy() for name, image in made.inputs.items()}, dict(made.present)))
        encoder.reset()
    return found
