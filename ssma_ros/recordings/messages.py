"""ROS message objects for recordings, from plain field values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, typestore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics


def make(kind: str, **fields: Any) -> Any:
    """A message of ROS type ``kind``; every field must be given, sequences of numbers as numpy arrays.

    Raises:
        KeyError: the type is unknown.
        TypeError: a field is missing or unknown.
    """
    return typestore().types[kind](**fields)


def header(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header of a stamp in nanoseconds."""
    stamp = make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def stamp_of(message: Any) -> int:
    """Header stamp of any stamped message in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def image(pixels: NDArray[Any], encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/Image without row padding.

    Args:
        pixels: H×W or H×W×C array whose dtype and channels are those of ``encoding``.
    """
    pixels = np.ascontiguousarray(pixels)
    return make(
        IMAGE,
        header=header(stamp_ns, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.view(np.uint8).reshape(-1),
    )


def compressed_image(data: bytes, image_format: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CompressedImage of encoded bytes; ``image_format`` as image_transport writes it."""
    return make(
        COMPRESSED_IMAGE, header=header(stamp_ns, frame_id), format=image_format, data=np.frombuffer(data, np.uint8)
    )


def camera_info(intrinsics: Intrinsics, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CameraInfo of a rectified camera (D = 0, R = identity)."""
    matrix = intrinsics.matrix()
    projection = np.hstack([matrix, np.zeros((3, 1))])
    region = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        CAMERA_INFO,
        header=header(stamp_ns, frame_id),
        height=intrinsics.height,
        width=intrinsics.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=matrix.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=projection.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=region,
    )
