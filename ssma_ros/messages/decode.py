# SPDX-License-Identifier: Apache-2.0
"""Incoming messages to arrays, with every check that a broken driver makes necessary.

Messages are read by their fields alone, so those of rclpy, of the rosbags library and plain stand-ins all work;
rclpy is not imported. Arrays are views on the message's buffer wherever the encoding allows it. Encodings are
those of sensor_msgs/image_encodings, depth conventions those of REP-118.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.kernels.shared import raw_values
from ssma_ros.kernels.shared.recycling import RecycledArrays
from ssma_ros.messages.layouts import LAYOUTS, MEASUREMENT
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.messages.transports import decompress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.messages.layouts import Layout
    from ssma_ros.sensors import Reading, Sensor

_ARRAYS = RecycledArrays()

#: Light in three channels is grey if most pixels' channels lie within so many levels (JPEG and YUV leave a few).
_GREY_WITHIN = 24
_STRIDE = 7

#: Sides longer than this are a corrupt header, not a camera.
MAX_SIDE = 16384


def stamp_ns(message: Any) -> int:
    """Header stamp in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def serialized_stamp_ns(message: bytes) -> int:
    """Header stamp in nanoseconds of a serialised message that begins with a header (CDR of either byte order).

    Raises:
        struct.error: it is too short for one.
    """
    # Four bytes say how the rest is encoded; the second one's lowest bit is set for little endian.
    seconds, nanoseconds = struct.unpack_from("<iI" if message[1] & 1 else ">iI", message, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def decoded(message: Any, topic: str) -> Any:
    """The message itself, or what a sensor_msgs/CompressedImage holds, in the form of an Image.

    Raises:
        RefusedInput: the compressed data is no picture of a known kind.
    """
    if hasattr(message, "encoding"):
        return message
    try:
        return decompress(message, topic)
    except SsmaError as error:
        expected = "a JPEG, PNG or compressedDepth picture"
        raise RefusedInput(topic, "data", f"not decodable ({error})", expected) from None
    except (ValueError, TypeError, OverflowError, cv2.error) as error:
        raise RefusedInput(topic, "data", f"not decodable ({error})", "a picture of the stated format") from None


def image_of(sensor: Sensor, message: Any, topic: str, reading: Reading | None = None) -> tuple[NDArray[Any], float]:
    """A sensor's image as :class:`~ssma_ros.frame.Frame` holds it, from an Image, CompressedImage or DisparityImage.

    Args:
        sensor: whose it is.
        message: of rclpy, of rosbags, or its like.
        topic: where it came from, for refusals.
        reading: what the message does not say about its values; the sensor's convention where None.

    Returns:
        The image, a view on the message where the encoding allows it, and the value of a saturated pixel.

    Raises:
        RefusedInput: the encoding is none of this sensor's, or the message contradicts itself.
    """
    reading = sensor.reading if reading is None else reading
    if sensor.disparity and hasattr(message, "min_disparity"):
        return depth_from_disparity(message, topic), 1.0
    message = decoded(message, topic)
    layouts = LAYOUTS[sensor.pixels]
    pixels = pixels_of(message, topic, layouts)
    if sensor.pixels == "measurement":
        return raw_values.measurement(pixels, sensor, reading), 1.0
    layout = layouts[message.encoding]
    full_scale = 255.0 if pixels.dtype.itemsize == 1 else reading.full_scale
    if sensor.pixels == "color":
        return raw_values.eight_bits(_bgr(pixels, layout), full_scale), 255.0
    if pixels.dtype.kind == "f":
        return _from_unit_range(pixels, topic), 65535.0
    if layout.to_bgr is None and layout.channels == 1:
        return pixels, full_scale
    bgr = _bgr(pixels, layout)[..., :3]
    sample = bgr[::_STRIDE, ::_STRIDE].reshape(-1, 3).astype(np.int16)
    if float(np.percentile(np.ptp(sample, axis=1), 90)) > _GREY_WITHIN:
        raise RefusedInput(
            topic, "data", f"a colour picture ({message.encoding})", f"{sensor.title}: one channel, or equal ones"
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8), full_scale


def _bgr(pixels: NDArray[Any], layout: Layout) -> NDArray[Any]:
    if layout.to_bgr is None:
        return pixels
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), layout.to_bgr))


def _from_unit_range(pixels: NDArray[Any], topic: str) -> NDArray[np.uint16]:
    """Light as floats is 0..1 (image_encodings says nothing, OpenCV and the drivers do)."""
    values = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
    if values.size and float(values.max()) > 1.5:
        raise RefusedInput(
            topic, "data", f"32FC1 values up to {float(values.max()):g}", "0 to 1 (or publish them as mono16)"
        )
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * 65535.0), np.uint16)


def depth_from_disparity(message: Any, topic: str) -> NDArray[np.float32]:
    """H×W float32 metres from stereo_msgs/DisparityImage: Z = f·T/d, 0 where d is below ``min_disparity``.

    Raises:
        RefusedInput: the image is not 32FC1, or focal length or baseline is not a positive number.
    """
    disparity = pixels_of(message.image, topic, {"32FC1": MEASUREMENT["32FC1"]})
    focal, baseline = float(message.f), float(message.t)
    if not (math.isfinite(focal) and focal > 0):
        raise RefusedInput(topic, "f", focal, "a positive focal length in pixels")
    if not (math.isfinite(baseline) and baseline != 0):
        raise RefusedInput(topic, "t", baseline, "a baseline in metres that is not zero")
    least = float(message.min_disparity)
    least = least if math.isfinite(least) and least > 0 else 0.0
    depth: NDArray[np.float32] = _ARRAYS.take(disparity.shape, np.float32)
    depth[...] = 0.0
    with np.errstate(all="ignore"):
        # The sign of T depends on which camera is the reference; the distance does not.
        np.divide(np.float32(abs(focal * baseline)), disparity, out=depth, where=(disparity > 0) & (disparity >= least))
    return raw_values.only_readings(depth)


def intrinsics_from_camera_info(message: Any, topic: str) -> Intrinsics:
    """Intrinsics of the rectified image: P where it is set, else K; region of interest and binning applied.

    Raises:
        RefusedInput: the size is zero, or a focal length is zero, negative or not finite.
    """
    width, height = int(message.width), int(message.height)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise RefusedInput(topic, "size", f"{width}x{height}", f"1 to {MAX_SIDE} pixels a side")
    p, k = [float(v) for v in message.p], [float(v) for v in message.k]
    if len(p) != 12 or len(k) != 9:
        raise RefusedInput(topic, "k and p", f"{len(k)} and {len(p)} numbers", "9 and 12 numbers")
    name, (fx, fy, cx, cy) = ("p", (p[0], p[5], p[2], p[6])) if p[0] != 0.0 else ("k", (k[0], k[4], k[2], k[5]))
    if not all(math.isfinite(v) for v in (fx, fy, cx, cy)):
        raise RefusedInput(topic, name, f"fx {fx}, fy {fy}, cx {cx}, cy {cy}", "finite numbers of pixels")
    if fx <= 0.0 or fy <= 0.0:
        raise RefusedInput(topic, name, f"fx {fx}, fy {fy}", "positive focal lengths (is the camera calibrated?)")
    return _cropped(message, topic, Intrinsics(fx, fy, cx, cy, width, height))


def _cropped(message: Any, topic: str, full: Intrinsics) -> Intrinsics:
    """Apply ``roi`` and binning of a CameraInfo: K and P are stated for the full, unbinned sensor."""
    roi = getattr(message, "roi", None)
    x, y, width, height = 0, 0, full.width, full.height
    if roi is not None and roi.width > 0 and roi.height > 0:
        x, y, width, height = int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)
        if x + width > full.width or y + height > full.height:
            raise RefusedInput(
                topic, "roi", f"{width}x{height} at ({x}, {y})", f"a region inside {full.width}x{full.height}"
            )
    bin_x, bin_y = max(1, int(getattr(message, "binning_x", 0))), max(1, int(getattr(message, "binning_y", 0)))
    if width // bin_x == 0 or height // bin_y == 0:
        raise RefusedInput(topic, "binning", f"{bin_x}x{bin_y}", f"at most {width}x{height}")
    if _is_binned_already(full.cx, full.width, bin_x) and _is_binned_already(full.cy, full.height, bin_y):
        centre = f"a principal point of ({full.cx:g}, {full.cy:g}) in {full.width}x{full.height}"
        raise RefusedInput(
            topic, "binning", f"{bin_x}x{bin_y} beside {centre}", "0 where K, P and size are those of the binned "
            "image, or K, P and size of the whole sensor (these look binned already)",
        )
    return Intrinsics(
        fx=full.fx / bin_x,
        fy=full.fy / bin_y,
        cx=(full.cx - x) / bin_x,
        cy=(full.cy - y) / bin_y,
        width=width // bin_x,
        height=height // bin_y,
    )


def _is_binned_already(centre: float, size: int, binning: int) -> bool:
    """Whether a principal point lies where a binned image has its middle, and not where the whole sensor has it."""
    return binning > 1 and abs(centre - size / (2 * binning)) < 0.1 * size / binning


def pixels_of(message: Any, topic: str, accepted: Mapping[str, Layout]) -> NDArray[Any]:
    """H×W or H×W×C view on an Image's buffer in native byte order, after all checks of the header.

    Of a planar format the rows of all planes, H·3/2 of them.

    Raises:
        RefusedInput: the encoding is none of ``accepted``, or the message contradicts itself.
    """
    encoding = str(message.encoding)
    if encoding not in accepted:
        raise RefusedInput(topic, "encoding", f"'{encoding}'", f"one of {', '.join(accepted)}")
    width, height, step = int(message.width), int(message.height), int(message.step)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise RefusedInput(topic, "size", f"{width}x{height}", f"1 to {MAX_SIDE} pixels a side")
    layout = accepted[encoding]
    unit = max(layout.smallest, 2 if layout.channels == 2 else 1)
    if min(width, height) < layout.smallest or width % unit or (layout.lines != 2 and height % unit):
        raise RefusedInput(topic, "size", f"{width}x{height}", f"sides that are multiples of {unit} for {encoding}")
    item = int(layout.kind[1])
    if step < width * layout.channels * item:
        raise RefusedInput(
            topic, "step", f"{step} bytes",
            f"at least {width * layout.channels * item} for {width} pixels of {encoding}",
        )
    rows = height * layout.lines // 2
    buffer = np.frombuffer(memoryview(message.data).cast("B"), np.uint8)
    if buffer.size < rows * step:
        expected = f"{rows * step} (height {height} times step {step})"
        if rows != height:
            expected = f"{rows * step} ({rows} rows of {encoding} times step {step})"
        raise RefusedInput(topic, "data", f"{buffer.size} bytes", expected)
    dtype = np.dtype((">" if message.is_bigendian else "<") + layout.kind)
    shape = (rows, width) if layout.channels == 1 else (rows, width, layout.channels)
    strides = (step, layout.channels * item, item)[: len(shape)]
    view = np.ndarray(shape, dtype, buffer, strides=strides)
    return view if dtype.isnative else view.astype(dtype.newbyteorder("="))
