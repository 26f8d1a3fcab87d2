"""One stream's picture from the images of a frame: every encoding but HHA, which remembers earlier frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings import colormap, vegetation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.contract import Stream
    from ssma_ros.frame import Intrinsics

#: Of encodings that spread depth between two fixed bounds.
BOUNDS: Mapping[str, float] = {"near": 0.5, "far": 40.0}


@dataclass
class SensorImages:
    """The frame's images on the network's grid, made once and shared by all streams; as in a Frame."""

    color: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    nir: NDArray[Any] | None
    nir_full_scale: float
    intrinsics: Intrinsics | None
    gravity: NDArray[np.float64] | None
    stamp_ns: int


def depth_bounds(stream: Stream) -> dict[str, float]:
    """``near`` and ``far`` of a stream that spreads depth between two fixed bounds."""
    return {key: stream.parameters.get(key, default) for key, default in BOUNDS.items()}


def present(value: Any) -> Any:
    """``value``, which is there: streams are encoded only when their sensors are."""
    assert value is not None, "streams are encoded only when their sensors are present"
    return value


def _encode_bgr(_stream: Stream, images: SensorImages, _out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(present(images.color))


def _encode_rgb(_stream: Stream, images: SensorImages, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(present(images.color), cv2.COLOR_BGR2RGB, dst=out), np.uint8)


def _encode_jet(stream: Stream, images: SensorImages, _out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return colormap.jet_depth(present(images.depth), **depth_bounds(stream))


def _encode_gray(stream: Stream, images: SensorImages, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _three_channels(colormap.gray_depth(present(images.depth), **depth_bounds(stream)), out)


def _encode_nir(_stream: Stream, images: SensorImages, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _three_channels(_to_uint8(present(images.nir), images.nir_full_scale), out)


def _encode_index(stream: Stream, images: SensorImages, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return vegetation.encode_index(
        stream.encoding, present(images.color), present(images.nir), images.nir_full_scale, out
    )


def _encode_nrg(_stream: Stream, images: SensorImages, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    color, nir = present(images.color), _to_uint8(present(images.nir), images.nir_full_scale)
    # In OpenCV's order: green in the blue place, red in the green place, near infrared in the red place.
    return np.asarray(cv2.merge([color[..., 1], color[..., 2], nir], dst=out), np.uint8)


def _to_uint8(nir: NDArray[Any], full_scale: float) -> NDArray[np.uint8]:
    if nir.dtype == np.uint8 and full_scale == 255.0:
        return nir
    return np.asarray(cv2.convertScaleAbs(nir, alpha=255.0 / full_scale), np.uint8)


def _three_channels(gray: NDArray[np.uint8], out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR, dst=out), np.uint8)


#: By encoding: from the frame's images to H×W×3 uint8, C-contiguous: in ``out`` if the function has a use for it.
ENCODERS: Mapping[str, Callable[[Stream, SensorImages, NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "bgr": _encode_bgr,
    "rgb": _encode_rgb,
    "depth_jet": _encode_jet,
    "depth_gray": _encode_gray,
    "nir": _encode_nir,
    "ndvi": _encode_index,
    "evi2": _encode_index,
    "evi": _encode_index,
    "nrg": _encode_nrg,
}
