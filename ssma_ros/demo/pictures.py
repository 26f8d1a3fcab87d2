# SPDX-License-Identifier: Apache-2.0
"""Sensor images, network inputs and answers as pictures for people. RGB order throughout."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet
    from ssma_ros.sensors import Sensor

    Picture = NDArray[np.uint8]

#: Depth pictures are logarithmic between these metres, the same in every picture.
DEPTH_RANGE_M = (1.0, 40.0)
#: Shown where there is nothing: no depth reading, no label.
NOTHING = (38, 40, 46)


@cache
def _table(colormap: int) -> Picture:
    """256×3 RGB colours of an OpenCV colour map."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(ramp, colormap)[:, 0, ::-1])


def depth_colors() -> Picture:
    """256×3 RGB colours from the nearest to the farthest depth."""
    return np.ascontiguousarray(_table(cv2.COLORMAP_TURBO)[::-1])


def share_colors() -> Picture:
    """256×3 RGB colours from 0 to 1, for confidences and gates."""
    return _table(cv2.COLORMAP_VIRIDIS)


def depth_picture(depth: NDArray[np.float32]) -> Picture:
    """H×W metres (0 or NaN = no reading) → H×W×3."""
    near, far = DEPTH_RANGE_M
    valid = np.isfinite(depth) & (depth > 0)
    metres = np.where(valid, np.clip(depth, near, far), near)
    level = np.log(metres / near) / np.log(far / near)
    picture = depth_colors()[np.rint(level * 255).astype(np.uint8)]
    picture[~valid] = NOTHING
    return picture


def sensor_picture(sensor: Sensor, image: NDArray[Any]) -> Picture:
    """A sensor's image as a frame holds it → H×W×3."""
    if sensor.pixels == "color":
        return np.ascontiguousarray(image[..., ::-1])
    if sensor.name == "depth":
        return depth_picture(image)
    values = image.astype(np.float32)
    there = image > 0 if sensor.pixels == "measurement" else np.ones(image.shape, bool)
    low, high = np.percentile(values[there], (1, 99)) if there.any() else (0.0, 1.0)
    if sensor.pixels == "intensity":
        low, high = 0.0, 255.0 if image.dtype == np.uint8 else max(float(values.max()), 1.0)
    level = np.clip((values - low) * (255.0 / max(high - low, 1e-6)), 0, 255)
    picture = gray_picture(np.rint(level).astype(np.uint8))
    picture[~there] = NOTHING
    return picture


def sensor_note(sensor: Sensor) -> str:
    """What to write beside :func:`sensor_picture`."""
    return "as measured, holes dark" if sensor.pixels == "measurement" else "camera"


def share_picture(share: NDArray[Any]) -> Picture:
    """H×W shares, uint8 (255 = 1) or float in [0, 1] → H×W×3."""
    if share.dtype != np.uint8:
        share = np.rint(np.clip(np.nan_to_num(share), 0.0, 1.0) * 255).astype(np.uint8)
    return share_colors()[share]


def gray_picture(image: NDArray[np.uint8]) -> Picture:
    """H×W uint8 → H×W×3."""
    return np.repeat(image[..., None], 3, axis=2)


def palette(labels: LabelSet) -> Picture:
    """256×3 RGB colours by mask value; what carries no class is dark."""
    colors = np.full((256, 3), NOTHING, np.uint8)
    for entry in labels.classes:
        colors[entry.id] = entry.color
    return colors


def class_picture(mask: NDArray[np.uint8], labels: LabelSet) -> Picture:
    """H×W class ids → H×W×3."""
    return palette(labels)[mask]


def overlay_picture(image: Picture, mask: NDArray[np.uint8], labels: LabelSet, opacity: float = 0.5) -> Picture:
    """Class colours over ``image`` (H×W×3 RGB), with crisp class borders; unlabelled pixels stay as they are."""
    image = resize(image, mask.shape[1], mask.shape[0])
    blended: Picture = cv2.addWeighted(  # type: ignore[assignment]
        image, 1.0 - opacity, class_picture(mask, labels), opacity, 0.0
    )
    blended[mask >= labels.num_classes] = image[mask >= labels.num_classes]
    kernel = np.ones((3, 3), np.uint8)
    blended[cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)] //= 2
    return blended


def resize(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resample for display: averaging when it shrinks, smooth when it grows."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = width * height < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
