# SPDX-License-Identifier: Apache-2.0
"""From the values that a driver or a file stores to those that a frame holds: one rule for messages and data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.kernels.shared.recycling import RecycledArrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.sensors import Reading, Sensor

_ARRAYS = RecycledArrays()


def measurement(raw: NDArray[Any], sensor: Sensor, reading: Reading) -> NDArray[np.float32]:
    """A quantity in the sensor's unit.

    Args:
        raw: H×W integers or floats as stored.
        sensor: whose they are; its convention holds where ``reading`` says nothing.
        reading: scale, offset, and which values are no reading.

    Returns:
        H×W float32, 0 where there is no reading: raw 0, NaN, infinite, negative, or marked. Never a view on ``raw``.
    """
    whole = raw.dtype.kind in "iu"
    scale = reading.scale or (sensor.scale if whole else 1.0)
    image: NDArray[np.float32] = _ARRAYS.take(raw.shape, np.float32)
    if scale == 1.0:
        np.copyto(image, raw, casting="same_kind")
    else:
        np.multiply(raw, np.float32(scale), out=image, dtype=np.float32, casting="same_kind")
    if reading.offset:
        none = raw == 0 if whole else ~((raw > 0) | (raw < 0))
        image += np.float32(reading.offset)
        image[none] = 0.0
    # A sensor's own marker is one of integer images: as a distance in metres it is no reading anyway.
    markers = reading.invalid if whole or reading.scale or reading.invalid != sensor.invalid else ()
    for value in markers:
        if not whole or float(value).is_integer():
            image[raw == value] = 0.0
    return image if raw.dtype.kind == "u" and not reading.offset else only_readings(image)


def only_readings(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set everything that is no reading (NaN, infinite, negative) to 0, in place."""
    with np.errstate(invalid="ignore"):
        image[~((image > 0) & (image < np.inf))] = 0.0
    return image


def eight_bits(image: NDArray[Any], full_scale: float) -> NDArray[np.uint8]:
    """8-bit values as they are, 16-bit ones scaled so that ``full_scale`` becomes 255; never cut."""
    if image.dtype == np.uint8:
        return image
    return np.asarray(cv2.convertScaleAbs(image, alpha=255.0 / full_scale), np.uint8)
