# SPDX-License-Identifier: Apache-2.0
"""Decoding of sensor_msgs/CompressedImage as image_transport's plugins write it.

``compressed`` (JPEG, PNG, TIFF) and ``compressedDepth`` (PNG or RVL after a twelve byte header) are read. Sources: the
format strings and the header layout of compressed_image_transport and compressed_depth_image_transport, Humble to
Jazzy: ``bgr8; jpeg compressed bgr8``, where the first word is the camera's encoding and the last one what was put into
the file (nothing for pictures that are not colour, in older versions), or ``jpeg`` alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.fields import image_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

# compressed_depth_image_transport's ConfigHeader: int32 format, float32 depthParam[2].
_DEPTH_HEADER = struct.Struct("<iff")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_YUV = ("yuv", "yuyv", "uyvy", "nv12", "nv21", "nv24")
# Before an RVL code: uint32 width, height.
_RVL_SIZE = struct.Struct("<II")
_MAX_SIDE = 16384


@dataclass
class DecodedImage:
    """A decoded picture with the fields of sensor_msgs/Image, so that it is read like one.

    Attributes:
        header: of the compressed message, the same object.
        height, width: pixels.
        encoding: of sensor_msgs/image_encodings.
        is_bigendian: always 0.
        step: bytes a row, without padding.
        data: ``height * step`` bytes, 1-D uint8.
    """

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: NDArray[np.uint8]


def decompress(message: Any, topic: str) -> DecodedImage:
    """Decode a sensor_msgs/CompressedImage (of rclpy or rosbags).

    Args:
        message: with ``header``, ``format`` and ``data``.
        topic: where it came from, for messages.

    Returns:
        bgr8, bgra8, mono8, mono16, 32FC1 or a bayer encoding for ``compressed``; 16UC1 (millimetres) or 32FC1
        (metres, NaN = no reading) for ``compressedDepth``. A single-channel 16-bit picture that states no
        encoding is 16UC1. A JPEG of mono16 comes back as mono16, so that the full scale of its sensor still holds.

    Raises:
        SsmaError: the format is not one of these, or the data is no such picture.
    """
    data = np.frombuffer(memoryview(message.data), np.uint8)
    declared = str(message.format)
    encoding = original_encoding(declared)
    image: NDArray[Any]
    if "compressedDepth" in declared:
        image, encoding = _decode_depth(data, encoding or "16UC1", declared, topic)
    else:
        image = _decode_picture(data, declared, topic)
        image, encoding = _as_recorded(image, encoding, declared, topic)
    return DecodedImage(header=message.header, **image_fields(image, encoding))


def original_encoding(declared: str) -> str:
    """The camera's encoding that a CompressedImage's ``format`` states, or nothing."""
    return declared.split(";")[0].strip() if ";" in declared else ""


def lost_colour(declared: str) -> bool:
    """Whether the transport threw the colour away: it makes grey pictures of every encoding that it does not know.

    A camera that says ``yuv422_yuy2`` (usb_cam does) or ``bayer_rggb8`` is sent as ``jpeg compressed mono8``.
    """
    coloured = original_encoding(declared).startswith((*_YUV, "bayer_"))
    return coloured and _stored_encoding(declared).startswith("mono")


def _stored_encoding(declared: str) -> str:
    """What was put into the file: the word after ``compressed``."""
    return declared.partition(" compressed")[2].strip()


def _decode_picture(data: NDArray[np.uint8], declared: str, topic: str) -> NDArray[Any]:
    # As stored: 16 bits stay, and a turn that a photograph's EXIF block asks for is not made.
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None:
        raise SsmaError(f"topic {topic}: {data.size} bytes with format '{declared}' are no JPEG or PNG picture")
    return image


def _as_recorded(
    image: NDArray[Any], original: str, declared: str, topic: str
) -> tuple[NDArray[Any], str]:
    """What OpenCV decoded (blue first) and its encoding, given the one from before compression."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    stored = _stored_encoding(declared)
    kind = (image.dtype.name, channels)
    if kind == ("uint8", 3) and (stored.startswith("mono") or original in ("mono8", "8UC1", "mono16")):
        image, kind = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), ("uint8", 1)  # by an encoder that knows only colour
    if kind == ("uint8", 1):
        if original == "mono16" and "jpeg" in declared:  # written as value × 255 / 65535, for JPEG has 8 bits
            return image.astype(np.uint16) * np.uint16(257), "mono16"
        mosaic = original.startswith("bayer_") and original.endswith("8") and not stored.startswith("mono")
        return image, original if mosaic else "mono8"
    if kind == ("uint16", 1):
        return image, original if original in ("mono16", "16UC1") else "16UC1"
    if kind == ("float32", 1):
        return image, "32FC1"
    if kind in (("uint8", 3), ("uint8", 4)):
        return image, "bgr8" if kind[1] == 3 else "bgra8"
    raise SsmaError(
        f"topic {topic}: format '{declared}' holds {channels} channels of {image.dtype}, "
        "expected 1, 3 or 4 of uint8 or 1 of uint16 or float32"
    )


def _decode_depth(
    data: NDArray[np.uint8], encoding: str, declared: str, topic: str
) -> tuple[NDArray[np.uint16] | NDArray[np.float32], str]:
    if encoding not in ("16UC1", "mono16", "32FC1"):
        raise SsmaError(f"topic {topic}: depth is '{encoding}', expected 16UC1 or 32FC1")
    rvl = declared.rstrip().endswith("rvl")
    if data.size < _DEPTH_HEADER.size + 8:
        kind = "an RVL image" if rvl else "a PNG"
        raise SsmaError(f"topic {topic}: {data.size} bytes with format '{declared}', expected a header and {kind}")
    _, quant_a, quant_b = _DEPTH_HEADER.unpack(data[: _DEPTH_HEADER.size].tobytes())
    payload = data[_DEPTH_HEADER.size :]
    image = _decode_depth_rvl(payload, topic) if rvl else _decode_depth_png(payload, declared, topic)
    if encoding != "32FC1":
        return image, "16UC1"
    # The codec stores quantised inverse depth: q = A / Z + B, 0 = no reading.
    depth = np.full(image.shape, np.nan, np.float32)
    valid = image > 0
    depth[valid] = np.float32(quant_a) / (image[valid].astype(np.float32) - np.float32(quant_b))
    return depth, "32FC1"


def _decode_depth_png(payload: NDArray[np.uint8], declared: str, topic: str) -> NDArray[np.uint16]:
    if payload[: len(_PNG_SIGNATURE)].tobytes() != _PNG_SIGNATURE:
        raise SsmaError(f"topic {topic}: format '{declared}' does not hold a PNG, expected compressedDepth png or rvl")
    image = _decode_picture(payload, declared, topic)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise SsmaError(f"topic {topic}: format '{declared}' holds {image.dtype} pixels, expected one uint16 channel")
    return image


def _decode_depth_rvl(payload: NDArray[np.uint8], topic: str) -> NDArray[np.uint16]:
    width, height = _RVL_SIZE.unpack(payload[: _RVL_SIZE.size].tobytes())
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise SsmaError(f"topic {topic}: RVL image is {width}x{height}, expected 1 to {_MAX_SIDE} pixels a side")
    from ssma_ros.messages.rvl import decode_rvl  # brings numba, which not every reader of a recording needs

    try:
        return decode_rvl(payload[_RVL_SIZE.size :], width * height).reshape(height, width)
    except ValueError as error:
        raise SsmaError(f"topic {topic}: RVL image of {width}x{height} is damaged ({error})") from None
