# SPDX-License-Identifier: Apache-2.0
"""The colour image itself, in either order of its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.encodings.base import DeviceEncoder, DeviceFrame, Encoding, StreamEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing


class _Bgr(StreamEncoder):
    def encode(self, frame: Frame, _out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(frame.color)


class _Rgb(StreamEncoder):
    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.cvtColor(frame.color, cv2.COLOR_BGR2RGB, dst=out), np.uint8)


class _BgrTwin(DeviceEncoder):
    swap = False

    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:
        if self.swap or target != frame.images["color"]:
            functions.pack(frame.images["color"], target, swap=self.swap)


class _RgbTwin(_BgrTwin):
    swap = True


ENCODINGS = (
    Encoding("bgr", ("color",), _Bgr, _BgrTwin, order="bgr"),
    Encoding("rgb", ("color",), _Rgb, _RgbTwin, order="rgb"),
)
