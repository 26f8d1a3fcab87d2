# SPDX-License-Identifier: Apache-2.0
"""Values that look like those of another unit: a number that is wrong by a thousand raises no error anywhere else."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.sensors import Sensor

#: Every so many pixels in either direction are looked at: a few thousand of an image.
_STRIDE = 12
#: Images that must agree before anything is said: one may show a wall, or night.
IMAGES = 5
#: A sensor whose brightest pixel stays below this part of its full scale is probably told the wrong one.
_DARK = 1 / 16
#: Full scales that sensors have, largest first.
_BITS = ((14, 16383.0), (12, 4095.0), (10, 1023.0))
#: Metres that one count of a depth camera stands for, most frequent first, and where the median of a scene lies.
_UNITS = (0.001, 0.0001, 1.0, 0.01, 0.00025)
_NEAR, _FAR = 0.3, 60.0


class Plausibility:
    """Looks at the values of frames and says what is suspicious about a sensor, in words.

    Keep one for each stream of frames; it remembers the last few images of each sensor.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, float]]] = {}

    def look(self, frame: Frame) -> dict[str, str]:
        """Note a frame's values.

        Returns:
            By sensor a sentence for those whose last images all look wrong.
        """
        suspicions = {}
        for name, image in frame.images.items():
            sensor = SENSORS[name]
            seen = self._seen.setdefault(name, deque(maxlen=IMAGES))
            seen.append(_facts(image, sensor))
            sentence = _suspicion(sensor, seen, frame.full_scales.get(name, 255.0)) if len(seen) == IMAGES else ""
            if sentence:
                suspicions[name] = sentence
        return suspicions

    def settings(self, name: str, scale: float) -> dict[str, float]:
        """The parameter that would make a suspected sensor's values plausible, as far as it can be guessed.

        Args:
            name: of the sensor.
            scale: of a measurement, what one raw count is taken for now.
        """
        sensor, seen = SENSORS[name], self._seen[name]
        median, largest = float(np.median([facts[0] for facts in seen])), max(facts[1] for facts in seen)
        if sensor.pixels != "measurement":
            return {f"{name}_full_scale": _full_scale(largest)[1]} if largest > 0 else {}
        fitting = [unit for unit in _UNITS if _NEAR <= median / scale * unit <= _FAR]
        return {f"{name}_scale": fitting[0]} if sensor.unit == "m" and fitting else {}


def _facts(image: NDArray[Any], sensor: Sensor) -> tuple[float, float]:
    """Median of the readings, and the largest value; of every so many pixels."""
    values = image[::_STRIDE, ::_STRIDE]
    if sensor.pixels == "measurement":
        values = values[values > 0]
        return (float(np.median(values)), float(values.max())) if values.size else (0.0, 0.0)
    largest = float(values.max())
    # The sample misses small lights; a dark one is looked at whole, which a sensor in order seldom needs.
    return 0.0, largest if largest > 0 else float(image.max())


def _suspicion(sensor: Sensor, seen: deque[tuple[float, float]], full_scale: float) -> str:
    median = float(np.median([facts[0] for facts in seen]))
    largest = max(facts[1] for facts in seen)
    if largest == 0.0:
        what = "has no reading in it" if sensor.pixels == "measurement" else "is black"
        return f"{sensor.title}: every image {what}, is the sensor on and its topic the right one?"
    if sensor.pixels == "measurement":
        low, high = sensor.plausible
        if low <= median <= high:
            return ""
        return (
            f"{sensor.title}: the median is {median:,.6g} {sensor.unit}, expected {low:g} to {high:g}; if the driver "
            f"sends another unit set {sensor.name}_scale to the {sensor.unit} of one count (millimetres: 0.001, 0.1 "
            "mm: 0.0001)" if sensor.unit == "m" else
            f"{sensor.title}: the median is {median:,.6g} {sensor.unit}, expected {low:g} to {high:g}; set "
            f"{sensor.name}_scale and {sensor.name}_offset to what one count and count 0 are"
        )
    if full_scale > 255.0 and largest < full_scale * _DARK:
        bits, guess = _full_scale(largest)
        return (
            f"{sensor.title}: no pixel above {largest:g} of {full_scale:g}; if it is a {bits}-bit sensor set "
            f"{sensor.name}_full_scale to {guess:g}"
        )
    return ""


def _full_scale(largest: float) -> tuple[int, float]:
    """Bits and full scale of the smallest sensor whose brightest pixel this can be."""
    return next(((bits, value) for bits, value in reversed(_BITS) if largest <= value), _BITS[0])
