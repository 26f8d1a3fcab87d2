# SPDX-License-Identifier: Apache-2.0
"""Raw images to rectified ones, as image_proc's rectify node makes them, by the camera_info that goes with them.

The rectified camera is P of the camera_info (K where P is not set), turned by R; region of interest and binning apply
to what is looked up and to what comes out (sensor_msgs/CameraInfo, image_geometry's PinholeCameraModel).
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.kernels.shared.recycling import RecycledArrays
from ssma_ros.messages.decode import intrinsics_from_camera_info
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.sensors import Sensor

#: By the name in camera_info, how many coefficients it may have. ``rational_polynomial`` with 12 or 14 adds thin prism
#: and tilt, as OpenCV numbers them. Zeros after them say nothing: orbbec_camera sends eight for plumb_bob.
MODELS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,), "fisheye": (4,),
}
_FISHEYE = ("equidistant", "fisheye")
#: K and P differ if focal lengths or principal points lie further apart, pixels.
_SAME_PIXELS = 0.5
#: How topics of rectified images are called: image_rect, rect/image, rectified.
_SAYS_RECTIFIED = re.compile(r"(?:^|[/_])rect")
#: Maps that are kept, a pair for a camera and for light or measurements: more than a robot has, so none is made twice.
_KEPT = 8


class Rectifier:
    """Rectifies the images of any number of cameras; the maps of a camera are made once and anew when it changes."""

    def __init__(self) -> None:
        self._maps: OrderedDict[tuple[Any, ...], tuple[NDArray[Any], NDArray[Any]]] = OrderedDict()
        self._arrays = RecycledArrays()

    def __call__(self, image: NDArray[Any], sensor: Sensor, info: Any | None, info_topic: str) -> NDArray[Any]:
        """The image as the rectified camera sees it; the image itself where the camera distorts nothing.

        Args:
            image: H×W or H×W×3 of any dtype that a frame holds.
            sensor: whose it is. A measurement is looked up at the nearest pixel; anything else bilinearly. What the
                camera did not see is 0.
            info: CameraInfo of its camera, or None.
            info_topic: of it, for refusals.

        Raises:
            RefusedInput: there is no camera_info, it is of another size, or its distortion is none that is known.
        """
        if info is None:
            raise RefusedInput(info_topic, "message", "absent", f"the calibration to rectify {sensor.title} with")
        camera = intrinsics_from_camera_info(info, info_topic)
        size = (int(image.shape[1]), int(image.shape[0]))
        if (camera.width, camera.height) != size:
            got = f"{camera.width}x{camera.height}"
            raise RefusedInput(info_topic, "size", got, f"{size[0]}x{size[1]} as the {sensor.title} image is")
        if not _changes_pixels(info):
            return image
        blends = sensor.pixels != "measurement"
        out = self._arrays.take(image.shape, image.dtype)
        how = cv2.INTER_LINEAR if blends else cv2.INTER_NEAREST
        return np.asarray(cv2.remap(image, *self._maps_of(info, info_topic, blends), how, dst=out))

    def _maps_of(self, info: Any, topic: str, blends: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where each pixel is looked up: in fixed point, for blending, or as floats, for the nearest pixel."""
        key = (blends, *_calibration(info))
        if key in self._maps:
            self._maps.move_to_end(key)
        else:
            maps = [np.ascontiguousarray(plane) for plane in np.moveaxis(lookup_map(info, topic), -1, 0)]
            first, second = cv2.convertMaps(maps[0], maps[1], cv2.CV_16SC2) if blends else maps
            self._maps[key] = np.asarray(first), np.asarray(second)
            if len(self._maps) > _KEPT:
                self._maps.popitem(last=False)
        return self._maps[key]


#: Maps of the cameras that were seen last, whoever asks.
_RECTIFY = Rectifier()


class Lenses:
    """What is done about the distortion of the cameras of one frame.

    Args:
        rectify: whether images are rectified.
        rectified: sensors whose images are so already.
        topics: names for refusals.
        driver: sensor of the driving image.
        driving: CameraInfo of the driving image, or None, and its topic.

    Attributes:
        raw: by sensor a sentence for those whose images seem to be raw, and are left so.
    """

    def __init__(
        self,
        rectify: bool,
        rectified: tuple[str, ...],
        topics: Mapping[str, str],
        driver: str,
        driving: tuple[Any | None, str],
    ) -> None:
        self._rectify, self._rectified = rectify, rectified
        self._topics, self._driver, self._driving = topics, driver, driving
        self.raw: dict[str, str] = {}

    def rectified(
        self, sensor: str, message: Any, image: NDArray[Any], own: tuple[Any | None, str] | None = None
    ) -> NDArray[Any]:
        """The image without the distortion of its camera.

        Args:
            sensor: whose it is.
            message: that it came in: a disparity image is made of rectified ones.
            image: H×W or H×W×3.
            own: CameraInfo and its topic of the camera that took it, where that is not the driving one.

        Raises:
            RefusedInput: it is to be rectified and there is no calibration to do it by.
        """
        if hasattr(message, "min_disparity") or sensor in self._rectified:
            return image
        info, info_topic = own or self._driving
        if self._rectify:
            return _RECTIFY(image, SENSORS[sensor], info, info_topic)
        if own is not None or sensor == self._driver:
            sentence = why_raw(info, self._topics[sensor])
            if sentence:
                self.raw[sensor] = sentence
        return image


def lookup_map(info: Any, topic: str) -> NDArray[np.float32]:
    """Where each pixel of the rectified image lies in the raw one.

    Args:
        info: CameraInfo with distortion.
        topic: of it, for refusals.

    Returns:
        H×W×2 float32, column and row, of the size that the images have (after region of interest and binning).

    Raises:
        RefusedInput: the distortion model is not known, or has another number of coefficients.
    """
    model = str(info.distortion_model)
    if model not in MODELS:
        raise RefusedInput(topic, "distortion_model", f"'{model}'", f"one of {', '.join(MODELS)}")
    d = _coefficients(info)
    if d.size not in MODELS[model] or not np.isfinite(d).all():
        counts = " or ".join(map(str, MODELS[model]))
        raise RefusedInput(topic, "d", f"{d.size} coefficients", f"{counts} finite ones for {model}")
    k = np.array([float(v) for v in info.k]).reshape(3, 3)
    if not (k[0, 0] > 0 and k[1, 1] > 0 and np.isfinite(k).all()):
        raise RefusedInput(topic, "k", f"fx {k[0, 0]}, fy {k[1, 1]}", "positive focal lengths, to rectify with")
    x, y, bin_x, bin_y = _window(info)
    seen = intrinsics_from_camera_info(info, topic)
    r = np.array([float(v) for v in info.r], np.float64).reshape(3, 3)
    r = r if r.any() else np.eye(3)
    rectified = np.array([[seen.fx, 0, seen.cx], [0, seen.fy, seen.cy], [0, 0, 1]])
    initialise = cv2.fisheye.initUndistortRectifyMap if model in _FISHEYE else cv2.initUndistortRectifyMap
    columns, rows = initialise(k, d, r, rectified, (seen.width, seen.height), cv2.CV_32FC1)
    # K is of the whole sensor: from its pixels to those of the region of interest, binned.
    scale, offset = np.array([1.0 / bin_x, 1.0 / bin_y], np.float32), np.array([x, y], np.float32)
    found = np.stack([columns, rows], axis=-1)
    return np.ascontiguousarray((found - offset) * scale, np.float32)


def _coefficients(info: Any) -> NDArray[np.float64]:
    """D, without zeros beyond what its model has."""
    d = np.array([float(v) for v in info.d], np.float64)
    most = MODELS[str(info.distortion_model)][-1]
    return d[:most] if d.size > most and not d[most:].any() else d


def why_raw(info: Any, topic: str) -> str:
    """A sentence where images of this camera are likely to be raw and are taken for rectified; else empty.

    A rectified topic has the same camera_info as the raw one, so its name must tell: image_proc and the drivers that
    rectify say ``rect`` in it.

    Args:
        info: CameraInfo of the camera, or None.
        topic: of its images, resolved.
    """
    if info is None or _SAYS_RECTIFIED.search(topic) or not any(float(v) for v in info.d):
        return ""
    if float(info.p[0]) != 0.0 and not _differ(info):
        return ""
    return (
        f"topic {topic}: the camera's lens distorts (camera_info: D is not zero, K and P differ) and the name does not "
        "say that its images are rectified, expected rectified images; set rectify to true, or remap to the driver's "
        "image_rect"
    )


def _changes_pixels(info: Any) -> bool:
    """A fisheye bends without coefficients, too; one that has none at all is a camera that nobody calibrated."""
    bends = str(info.distortion_model) in _FISHEYE and len(info.d) > 0
    return bends or any(float(v) for v in info.d) or _differ(info)


def _differ(info: Any) -> bool:
    """Whether the rectified camera is another one than the raw one: P, where it is set, or turned by R."""
    p, k, r = ([float(v) for v in values] for values in (info.p, info.k, info.r))
    if any(r) and not np.allclose(r, np.eye(3).ravel(), atol=1e-6):
        return True
    if p[0] == 0.0:
        return False
    pairs = ((p[0], k[0]), (p[5], k[4]), (p[2], k[2]), (p[6], k[5]))
    return any(not math.isclose(a, b, rel_tol=0.0, abs_tol=_SAME_PIXELS) for a, b in pairs)


def _window(info: Any) -> tuple[int, int, int, int]:
    """Left and top of the region of interest, and binning."""
    roi = getattr(info, "roi", None)
    x, y = (int(roi.x_offset), int(roi.y_offset)) if roi is not None and roi.width > 0 and roi.height > 0 else (0, 0)
    return x, y, max(1, int(getattr(info, "binning_x", 0))), max(1, int(getattr(info, "binning_y", 0)))


def _calibration(info: Any) -> tuple[Any, ...]:
    """Everything that the maps are made of."""
    roi = getattr(info, "roi", None)
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height) if roi is not None else ()
    numbers = tuple(float(v) for values in (info.d, info.k, info.r, info.p) for v in values)
    binning = (getattr(info, "binning_x", 0), getattr(info, "binning_y", 0))
    return (str(info.distortion_model), int(info.width), int(info.height), *numbers, *map(int, (*region, *binning)))
