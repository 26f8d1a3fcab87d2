# SPDX-License-Identifier: Apache-2.0
"""Message definitions that recordings are read and written with."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
DISPARITY_IMAGE = "stereo_msgs/msg/DisparityImage"
DIAGNOSTIC_ARRAY = "diagnostic_msgs/msg/DiagnosticArray"
LABEL_INFO = "vision_msgs/msg/LabelInfo"

#: Types that ROS 2 distributions install separately, as the .msg files of vision_msgs 4 and elevation_map_msgs state.
_EXTRA_DEFINITIONS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    "vision_msgs/msg/LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
    "elevation_map_msgs/msg/ChannelInfo": "std_msgs/Header header\nstring[] channels\n",
}


@cache
def typestore() -> Typestore:
    """The Jazzy message types plus the two we publish; one store for the process, not to be changed."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for name, text in _EXTRA_DEFINITIONS.items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    return store
