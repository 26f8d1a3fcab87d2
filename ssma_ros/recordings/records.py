# SPDX-License-Identifier: Apache-2.0
"""ROS message objects for recordings, from plain field values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rosbags.interfaces import Nodetype

from ssma_ros.messages.fields import camera_info_fields, image_fields
from ssma_ros.recordings.transforms import TF_MESSAGE
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, typestore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Camera, Intrinsics


_ZEROS: Mapping[str, Any] = {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}
_DTYPES = {"byte": "uint8", "char": "uint8"}


def make(kind: str, **fields: Any) -> Any:
    """A message of ROS type ``kind``; fields that are not given are zero, empty or false.

    Args:
        kind: for example ``sensor_msgs/msg/Image``.
        fields: values; nested messages as messages or as mappings of their fields, sequences of numbers as
            arrays or lists.

    Raises:
        KeyError: the type is unknown.
        TypeError: the type has no such field.
    """
    store = typestore()
    definition = dict(store.fielddefs[kind][1])
    unknown = fields.keys() - definition.keys()
    if unknown:
        raise TypeError(f"{kind} has no field {', '.join(sorted(unknown))}, expected some of {', '.join(definition)}")
    values = {name: _value(form, fields.get(name)) for name, form in definition.items()}
    return store.types[kind](**values)


def _value(form: Any, given: Any) -> Any:
    """``given`` (None = not given) as a field of type ``form``, a node of the library's type tree."""
    node, detail = form
    if node == Nodetype.BASE:
        return _ZEROS.get(detail[0], 0) if given is None else given
    if node == Nodetype.NAME:
        return make(detail, **(given or {})) if given is None or isinstance(given, Mapping) else given
    (element, element_detail), length = detail
    if element == Nodetype.BASE and element_detail[0] != "string":
        dtype = np.dtype("bool" if element_detail[0] == "bool" else _DTYPES.get(element_detail[0], element_detail[0]))
        return np.zeros(length if node == Nodetype.ARRAY else 0, dtype) if given is None else np.asarray(given, dtype)
    return [_value((element, element_detail), item) for item in (given or [])]


def header(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header of a stamp in nanoseconds."""
    stamp = make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(pixels: NDArray[Any], encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/Image without row padding.

    Args:
        pixels: H×W or H×W×C array whose dtype and channels are those of ``encoding``.
    """
    return make(IMAGE, header=header(stamp_ns, frame_id), **image_fields(pixels, encoding))


def compressed_image(data: bytes, image_format: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CompressedImage of encoded bytes; ``image_format`` as image_transport writes it."""
    return make(
        COMPRESSED_IMAGE, header=header(stamp_ns, frame_id), format=image_format, data=np.frombuffer(data, np.uint8)
    )


def camera_info(intrinsics: Intrinsics, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CameraInfo of a rectified camera (D = 0, R = identity)."""
    return make(CAMERA_INFO, header=header(stamp_ns, frame_id), **camera_info_fields(intrinsics))


def camera_transform(camera: Camera, stamp_ns: int, frame_id: str, child: str) -> Any:
    """tf2_msgs/TFMessage that says where a camera with the optical frame ``child`` stands beside ``frame_id``."""
    axis = cv2.Rodrigues(np.asarray(camera.rotation))[0].reshape(3)
    angle = float(np.linalg.norm(axis))
    x, y, z = axis / angle * np.sin(angle / 2) if angle else (0.0, 0.0, 0.0)
    turn = {"x": float(x), "y": float(y), "z": float(z), "w": float(np.cos(angle / 2))}
    place = dict(zip("xyz", map(float, camera.translation), strict=True))
    stamped = make(
        "geometry_msgs/msg/TransformStamped", header=header(stamp_ns, frame_id), child_frame_id=child,
        transform={"translation": place, "rotation": turn},
    )  # fmt: skip
    return make(TF_MESSAGE, transforms=[stamped])
