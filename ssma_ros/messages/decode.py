"""Incoming messages to arrays, with every check that a broken driver makes necessary.

Messages are read by their fields alone, so those of rclpy, of the rosbags library and plain stand-ins all work;
rclpy is not imported. Arrays are views on the message's buffer wherever the encoding allows it. Encodings are
those of sensor_msgs/image_encodings, depth conventions those of REP-118.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.kernels.shared.recycling import RecycledArrays
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.messages.transports import decompress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "COLOR_ENCODINGS",
    "DEPTH_ENCODINGS",
    "NIR_ENCODINGS",
    "RefusedInput",
    "color_from_image",
    "decoded",
    "depth_from_disparity",
    "depth_from_image",
    "intrinsics_from_camera_info",
    "nir_from_image",
    "stamp_ns",
]

# encoding: (numpy type of one value, values a pixel)
_LAYOUTS: dict[str, tuple[str, int]] = {
    "bgr8": ("u1", 3),
    "rgb8": ("u1", 3),
    "bgra8": ("u1", 4),
    "rgba8": ("u1", 4),
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "8UC3": ("u1", 3),
    "bayer_rggb8": ("u1", 1),
    "bayer_bggr8": ("u1", 1),
    "bayer_gbrg8": ("u1", 1),
    "bayer_grbg8": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}

# OpenCV names a Bayer pattern by the pixels at (1, 1) and (1, 2), ROS by those at (0, 0) and (0, 1).
_TO_BGR: dict[str, int] = {
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
    "mono8": cv2.COLOR_GRAY2BGR,
    "8UC1": cv2.COLOR_GRAY2BGR,
    "bayer_rggb8": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr8": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg8": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg8": cv2.COLOR_BayerGB2BGR,
}

#: What each kind of input accepts. 8UC3 is what OpenCV users send for bgr8.
COLOR_ENCODINGS = ("bgr8", "8UC3", *_TO_BGR)
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
NIR_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1")

_ARRAYS = RecycledArrays()

#: Sides longer than this are a corrupt header, not a camera.
MAX_SIDE = 16384


def stamp_ns(message: Any) -> int:
    """Header stamp in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


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


def color_from_image(message: Any, topic: str) -> NDArray[np.uint8]:
    """H×W×3 uint8 in BGR order; a view on the message for bgr8, one conversion otherwise.

    Raises:
        RefusedInput: the encoding is no colour image, or the message contradicts itself.
    """
    message = decoded(message, topic)
    pixels = _pixels(message, topic, COLOR_ENCODINGS)
    conversion = _TO_BGR.get(message.encoding)
    if conversion is None:
        return pixels
    if message.encoding.startswith("bayer") and min(pixels.shape[:2]) < 2:
        raise RefusedInput(topic, "size", f"{message.width}x{message.height}", "at least 2x2 pixels to demosaic")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion), np.uint8)


def depth_from_image(message: Any, topic: str) -> NDArray[np.float32]:
    """H×W float32 metres, 0 = no reading: 16UC1 in millimetres or 32FC1 in metres (REP-118).

    NaN, infinite, zero and negative values all come out as "no reading". Never a view on the message.

    Raises:
        RefusedInput: the encoding is no depth image, or the message contradicts itself.
    """
    message = decoded(message, topic)
    pixels = _pixels(message, topic, DEPTH_ENCODINGS)
    depth: NDArray[np.float32] = _ARRAYS.take(pixels.shape, np.float32)
    if pixels.dtype == np.uint16:
        return np.multiply(pixels, np.float32(1e-3), out=depth, dtype=np.float32)
    np.copyto(depth, pixels)
    return _measured(depth)


def nir_from_image(message: Any, topic: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """H×W uint8 or uint16, a view on the message.

    Raises:
        RefusedInput: the encoding has more than one channel, or the message contradicts itself.
    """
    return _pixels(decoded(message, topic), topic, NIR_ENCODINGS)


def depth_from_disparity(message: Any, topic: str) -> NDArray[np.float32]:
    """H×W float32 metres from stereo_msgs/DisparityImage: Z = f·T/d, 0 where d is below ``min_disparity``.

    Raises:
        RefusedInput: the image is not 32FC1, or focal length or baseline is not a positive number.
    """
    disparity = _pixels(message.image, topic, ("32FC1",))
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
    return _measured(depth)


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
    return Intrinsics(
        fx=full.fx / bin_x,
        fy=full.fy / bin_y,
        cx=(full.cx - x) / bin_x,
        cy=(full.cy - y) / bin_y,
        width=width // bin_x,
        height=height // bin_y,
    )


def _pixels(message: Any, topic: str, accepted: tuple[str, ...]) -> NDArray[Any]:
    """H×W or H×W×C view on the image's buffer in native byte order, after all checks of the header."""
    encoding = str(message.encoding)
    if encoding not in accepted:
        raise RefusedInput(topic, "encoding", f"'{encoding}'", f"one of {', '.join(accepted)}")
    width, height, step = int(message.width), int(message.height), int(message.step)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise RefusedInput(topic, "size", f"{width}x{height}", f"1 to {MAX_SIDE} pixels a side")
    kind, channels = _LAYOUTS[encoding]
    item = int(kind[1])
    if step < width * channels * item:
        raise RefusedInput(
            topic, "step", f"{step} bytes", f"at least {width * channels * item} for {width} pixels of {encoding}"
        )
    buffer = np.frombuffer(memoryview(message.data).cast("B"), np.uint8)
    if buffer.size < height * step:
        expected = f"{height * step} (height {height} times step {step})"
        raise RefusedInput(topic, "data", f"{buffer.size} bytes", expected)
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    shape = (height, width) if channels == 1 else (height, width, channels)
    strides = (step, channels * item, item)[: len(shape)]
    view = np.ndarray(shape, dtype, buffer, strides=strides)
    return view if dtype.isnative else view.astype(dtype.newbyteorder("="))


def _measured(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set everything that is no distance (NaN, infinite, negative) to 0, in place."""
    with np.errstate(invalid="ignore"):
        depth[~((depth > 0) & (depth < np.inf))] = 0.0
    return depth
