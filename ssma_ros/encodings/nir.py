# SPDX-License-Identifier: Apache-2.0
"""Near infrared as it is, in three equal channels, and as false colour with red and green."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings.base import DeviceEncoder, DeviceFrame, Encoding, StreamEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.kernels.cuda.functions import CudaPreprocessing


class _Nir(StreamEncoder):
    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        levels = _to_uint8(frame.nir, frame.nir_full_scale)
        return np.asarray(cv2.cvtColor(levels, cv2.COLOR_GRAY2BGR, dst=out), np.uint8)


class _Nrg(StreamEncoder):
    def encode(self, frame: Frame, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        color, nir = frame.color, _to_uint8(frame.nir, frame.nir_full_scale)
        # In OpenCV's order: green in the blue place, red in the green place, near infrared in the red place.
        return np.asarray(cv2.merge([color[..., 1], color[..., 2], nir], dst=out), np.uint8)


def _to_uint8(nir: NDArray[Any], full_scale: float) -> NDArray[np.uint8]:
    if nir.dtype == np.uint8 and full_scale == 255.0:
        return nir
    return np.asarray(cv2.convertScaleAbs(nir, alpha=255.0 / full_scale), np.uint8)


class IndexTwin(DeviceEncoder):
    """Everything of near infrared on a GPU is one kernel, told by name what to make."""

    index = ""

    def enqueue(self, functions: CudaPreprocessing, frame: DeviceFrame, target: int) -> None:  # noqa: D102
        functions.vegetation(
            frame.images.get("color", 0), frame.images["nir"], target, self.index,
            nir_bytes=frame.bytes_each["nir"], nir_full_scale=frame.full_scales["nir"],
        )


def index_twin(index: str) -> type[IndexTwin]:
    """:class:`IndexTwin` that makes ``index``."""
    return type(f"{index.capitalize()}Twin", (IndexTwin,), {"index": index})


ENCODINGS = (
    Encoding("nir", ("nir",), _Nir, index_twin("nir"), order="grey", shows="near infrared"),
    Encoding("nrg", ("color", "nir"), _Nrg, index_twin("nrg"), shows="near infrared, red, green"),
)
