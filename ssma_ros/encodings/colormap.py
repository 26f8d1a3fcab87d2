# SPDX-License-Identifier: Apache-2.0
"""Depth as colours or grey levels, with bounds that never change from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings.base import DeviceEncoder, DeviceFrame, EncoderOptions, Encoding, StreamEncoder
from ssma_ros.kernels.shared.checks import check_bounds, check_depth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing

#: Metres between which colours and grey levels spread where a stream does not say.
_BOUNDS: Mapping[str, float] = {"near": 0.5, "far": 40.0}


def jet_depth(depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.uint8]:
    """Colour depth with OpenCV's JET map, blue = near, red = far.

    Args:
        depth: H×W float32 metres; what is no reading (0, negative, NaN, ±inf) becomes black.
        near, far: metres at and beyond which the colours end, near < far. Fixed per model: normalising each frame
            by its own range would give one surface another colour in every frame.

    Returns:
        H×W×3 uint8 in OpenCV's order (B, G, R).

    Raises:
        ValueError: ``depth`` is not an H×W floating array, or the bounds are not 0 < near < far.
    """
    level, reading = _levels(depth, near, far, 255)
    colors = np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_JET), np.uint8)
    colors[~reading] = 0
    return colors


def gray_depth(depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.uint8]:
    """Depth as grey levels, 1 = ``near`` or nearer, 255 = ``far`` or farther; 0 is kept for what is no reading.

    Needs neither metres nor a camera: ``near`` and ``far`` are in the unit of ``depth``, which may as well be a
    disparity.

    Args:
        depth: H×W float32; what is no reading is 0, negative, NaN or ±inf.
        near, far: values at the ends of the grey levels, near < far.

    Returns:
        H×W uint8.

    Raises:
        ValueError: ``depth`` is not an H×W floating array, or the bounds are not 0 < near < far.
    """
    level, reading = _levels(depth, near, far, 254)
    return np.where(reading, level + np.uint8(1), np.uint8(0))


def _levels(
    depth: NDArray[np.float32], near: float, far: float, top: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """H×W level between 0 at ``near`` and ``top`` at ``far``, and where there is a reading at all."""
    image = check_depth(depth)
    near, far = check_bounds(near, far)
    with np.errstate(invalid="ignore"):
        reading = (image > 0) & (image < np.inf)
    level = np.where(reading, image, np.float32(near))
    level = np.clip((level - np.float32(near)) * np.float32(top / (far - near)), 0, top)
    return np.rint(level).astype(np.uint8), reading


def _bounds(parameters: Mapping[str, Any]) -> dict[str, float]:
    bounds = {key: parameters.get(key, default) for key, default in _BOUNDS.items()}
    check_bounds(**bounds)
    return bounds


class _Bounded(StreamEncoder):
    def __init__(self, parameters: Mapping[str, Any], options: EncoderOptions) -> None:
        super().__init__(parameters, options)
        self._bounds = _bounds(parameters)


class _Jet(_Bounded):
    def encode(self, frame: Frame, _out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return jet_depth(frame.depth, **self._bounds)


class _Gray(_Bounded):
    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        levels = gray_depth(frame.depth, **self._bounds)
        return np.asarray(cv2.cvtColor(levels, cv2.COLOR_GRAY2BGR, dst=out), np.uint8)


class _JetTwin(DeviceEncoder):
    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:
        functions.jet_depth(frame.images["depth"], target, **_bounds(self.parameters))


class _GrayTwin(DeviceEncoder):
    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:
        functions.gray_depth(frame.images["depth"], target, **_bounds(self.parameters))


ENCODINGS = (
    Encoding("depth_jet", ("depth",), _Jet, _JetTwin, parameters=tuple(_BOUNDS), shows="blue near, red far"),
    Encoding("depth_gray", ("depth",), _Gray, _GrayTwin, order="grey", parameters=tuple(_BOUNDS),
             shows="bright is far"),
)
