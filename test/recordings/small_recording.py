# SPDX-License-Identifier: Apache-2.0
"""A small recording for tests: a few frames of colour, depth, near infrared and labels."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.frame import Intrinsics
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.transforms import TF_MESSAGE
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from ssma_ros.recordings.writer import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
FRAME_ID = "camera_optical_frame"
WIDTH, HEIGHT = 96, 48
INTRINSICS = Intrinsics(fx=60.0, fy=60.0, cx=47.5, cy=23.5, width=WIDTH, height=HEIGHT)
TOPICS = {
    "color": "/camera/image_rect",
    "camera_info": "/camera/camera_info",
    "depth": "/depth/image_rect",
    "nir": "/nir/image_rect",
    "label": "/ground_truth/label",
}


def stamp(index: int) -> int:
    return START_NS + index * PERIOD_NS


def color(index: int) -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = 20 * (index + 1) % 256
    picture[..., 1] = np.arange(HEIGHT)[:, None]
    picture[..., 2] = 2 * np.arange(WIDTH)  # red, of which the stub network makes classes 0..2
    return picture


def depth_mm(index: int) -> np.ndarray:
    rows = np.linspace(20_000, 1_000, HEIGHT).astype(np.uint16)
    picture = np.repeat(rows[:, None], WIDTH, axis=1)
    picture[10:20, 10 + index : 30 + index] = 0
    return picture


def nir(index: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), (100 + index) % 256, np.uint8)


def label(index: int) -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[HEIGHT // 2 :] = 1
    picture[:4, :4] = 255
    return picture


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def compressed_depth_png(pixels: np.ndarray, quant_a: float = 0.0, quant_b: float = 0.0) -> bytes:
    return struct.pack("<iff", 0, quant_a, quant_b) + png(pixels)


def write_small_recording(
    path: Path,
    *,
    frames: int = 3,
    storage: str = "mcap",
    without: Collection[str] = (),
    compressed: bool = False,
    shift_ns: int = 0,
    beside: Callable[[RecordingWriter, int, int], None] | None = None,
) -> Path:
    """Write the recording; ``without`` names roles of TOPICS to leave out, all times are ``shift_ns`` later.

    ``beside`` may write more, called before each frame with the writer, the frame's number and its time.
    """
    images = {
        "color": (color, "bgr8", "bgr8; png compressed bgr8"),
        "depth": (depth_mm, "16UC1", "16UC1; compressedDepth png"),
        "nir": (nir, "mono8", "mono8; png compressed mono8"),
        "label": (label, "mono8", "mono8; png compressed mono8"),
    }
    with RecordingWriter(path, storage=storage) as writer:
        for index in range(frames):
            now = stamp(index) + shift_ns
            if beside is not None:
                beside(writer, index, now)
            if "camera_info" not in without:
                writer.write(TOPICS["camera_info"], CAMERA_INFO, messages.camera_info(INTRINSICS, now, FRAME_ID), now)
            for role, (maker, encoding, packed) in images.items():
                if role in without:
                    continue
                pixels = maker(index)
                if compressed:
                    data = compressed_depth_png(pixels) if role == "depth" else png(pixels)
                    transport = "compressedDepth" if role == "depth" else "compressed"
                    message = messages.compressed_image(data, packed, now, FRAME_ID)
                    writer.write(f"{TOPICS[role]}/{transport}", COMPRESSED_IMAGE, message, now)
                else:
                    writer.write(TOPICS[role], IMAGE, messages.image(pixels, encoding, now, FRAME_ID), now)
    return path


NIR = Intrinsics(40.0, 40.0, 31.5, 19.5, 64, 40)
BASELINE = 0.12
#: REP-103: base x forward, y left, z up; optical x right, y down, z forward.
OPTICAL = (-0.5, 0.5, -0.5, 0.5)


def transform(parent: str, child: str, at: tuple[float, ...], turn: tuple[float, ...] = (0, 0, 0, 1)) -> Any:
    place, rotation = dict(zip("xyz", at, strict=True)), dict(zip("xyzw", map(float, turn), strict=True))
    return messages.make(
        "geometry_msgs/msg/TransformStamped", header=messages.header(0, parent), child_frame_id=child,
        transform={"translation": place, "rotation": rotation},
    )


def write_tf(writer: RecordingWriter, topic: str, now: int, *transforms: Any) -> None:
    writer.write(topic, TF_MESSAGE, messages.make(TF_MESSAGE, transforms=list(transforms)), now)


def nir_camera(writer: RecordingWriter, index: int, now: int) -> None:
    """A near infrared camera of its own, 12 cm to the right; its tf comes late, as when a recorder starts late."""
    roll = 0.1 * index
    write_tf(writer, "/tf", now, transform("odom", "base", (1.0 * index, 0.0, 0.0), (
        math.sin(roll / 2), 0.0, 0.0, math.cos(roll / 2))))  # fmt: skip
    if index == 2:
        write_tf(
            writer, "/tf_static", now, transform("base", FRAME_ID, (0.1, 0.0, 0.5), OPTICAL),
            transform("base", "/nir_optical", (0.1, -BASELINE, 0.5), OPTICAL),
        )
    writer.write("/nir/camera_info", CAMERA_INFO, messages.camera_info(NIR, now, "nir_optical"), now)
    pixels = np.full((NIR.height, NIR.width), 100 + index, np.uint8)
    writer.write("/nir/image_rect", IMAGE, messages.image(pixels, "mono8", now, "nir_optical"), now)
