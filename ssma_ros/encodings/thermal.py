# SPDX-License-Identifier: Apache-2.0
"""Temperatures as grey levels: between fixed limits, or between limits that follow the scene slowly.

Levels are 1 at the lower limit or below it to 255 at the upper one or above it; 0 is kept for what is no reading.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings.base import DeviceEncoder, DeviceFrame, EncoderOptions, Encoding, StreamEncoder
from ssma_ros.encodings.colormap import gray_depth
from ssma_ros.kernels.shared.checks import check_bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing

#: Kelvin: −10 to 40 °C, in which ground, plants, water and warm bodies lie outdoors.
_FIXED: Mapping[str, float] = {"low": 263.15, "high": 313.15}
_WINDOW: Mapping[str, float] = {"low_percentile": 1.0, "high_percentile": 99.0, "span": 5.0, "hold": 5.0}
#: Seconds between two images after which the scene is another one.
_FORGET = 30.0
#: Percentiles are taken of every so many pixels in either direction.
_STRIDE = 3


def _levels(kelvin: NDArray[np.float32], low: float, high: float, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # The rule of grey depth: bounds in the unit of the image, 1 to 255, 0 for what is no reading.
    return np.asarray(cv2.cvtColor(gray_depth(kelvin, low, high), cv2.COLOR_GRAY2BGR, dst=out), np.uint8)


def _limits(parameters: Mapping[str, Any]) -> tuple[float, float]:
    return check_bounds(*(parameters.get(name, default) for name, default in _FIXED.items()))


class _Thermal(StreamEncoder):
    """A grey level is one temperature in every image: what a network learns of warmth holds in all seasons it saw."""

    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions) -> None:
        super().__init__(parameters, options)
        self._bounds = _limits(parameters)

    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return _levels(frame.thermal, *self._bounds, out)


class _ThermalTwin(DeviceEncoder):
    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:
        functions.gray_depth(frame.images["thermal"], target, *_limits(self.parameters))


class _Window(StreamEncoder):
    """All of the contrast of a scene, whatever its temperature: limits at percentiles of its readings.

    They are held over time, so that a warm body that comes into view does not change the grey of everything else: a
    low-pass of ``hold`` seconds by the stamps. An image without earlier ones (a data set's, or after a jump) stands by
    itself. ``span`` kelvin are the least between the limits, so that an even scene does not become noise.
    """

    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions) -> None:
        super().__init__(parameters, options)
        low, high, self._span, self._hold = (float(parameters.get(k, default)) for k, default in _WINDOW.items())
        if not 0.0 <= low < high <= 100.0:
            raise ValueError(
                f"low_percentile, high_percentile: got {low:g} and {high:g}, expected 0 <= low < high <= 100"
            )
        if not (0.0 < self._span < math.inf and 0.0 <= self._hold < math.inf):
            raise ValueError(f"span, hold: got {self._span:g} and {self._hold:g}, expected kelvin above 0 and seconds")
        self._percentiles = (low, high)
        self.reset()

    def reset(self) -> None:
        self._held: NDArray[np.float64] | None = None
        self._stamp_ns = 0

    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        sample = frame.thermal[::_STRIDE, ::_STRIDE]
        sample = sample[sample > 0]
        if sample.size:
            self._follow(np.percentile(sample, self._percentiles), frame.stamp_ns)
        if self._held is None:
            out[...] = 0
            return out
        low, high = self._held
        missing = max(0.0, self._span - (high - low)) / 2
        return _levels(frame.thermal, max(low - missing, 0.0), high + missing, out)

    def _follow(self, limits: NDArray[np.float64], stamp_ns: int) -> None:
        elapsed = (stamp_ns - self._stamp_ns) * 1e-9
        self._stamp_ns = stamp_ns
        if self._held is None or not 0.0 < elapsed <= _FORGET or self._hold == 0.0:
            self._held = limits
        else:
            self._held = self._held + (1.0 - math.exp(-elapsed / self._hold)) * (limits - self._held)


ENCODINGS = (
    Encoding("thermal", ("thermal",), _Thermal, _ThermalTwin, order="grey", parameters=tuple(_FIXED),
             shows="bright is warm"),
    Encoding("thermal_window", ("thermal",), _Window, order="grey", parameters=tuple(_WINDOW),
             shows="bright is warm, limits follow the scene"),
)
