# SPDX-License-Identifier: Apache-2.0
"""A small recording for tests: a few frames of colour, depth, near infrared and labels."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.frame import Intrinsics
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from ssma_ros.recordings.writer import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Collection
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
) -> Path:
    """Write the recording; ``without`` names roles of TOPICS to leave out, all times are ``shift_ns`` later."""
    images = {
        "color": (color, "bgr8", "bgr8; png compressed bgr8"),
        "depth": (depth_mm, "16UC1", "16UC1; compressedDepth png"),
        "nir": (nir, "mono8", "mono8; png compressed mono8"),
        "label": (label, "mono8", "mono8; png compressed mono8"),
    }
    with RecordingWriter(path, storage=storage) as writer:
        for index in range(frames):
            now = stamp(index) + shift_ns
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
