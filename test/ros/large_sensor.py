# SPDX-License-Identifier: Apache-2.0
"""A 4K camera as a process of its own: colour (25 MB) and depth in metres (33 MB), five times a second."""

from __future__ import annotations

import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run as a script, the tests' folder is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros.live import camera_info_message, image_message
from sensor_msgs.msg import CameraInfo, Image

WIDTH, HEIGHT = 3840, 2160


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("large_sensor")
    qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
    infos = node.create_publisher(CameraInfo, "/camera/camera_info", qos)
    images = node.create_publisher(Image, "/camera/image_rect", qos)
    depths = node.create_publisher(Image, "/depth/image_rect", qos)
    color = image_message(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8", 0)
    depth = image_message(np.full((HEIGHT, WIDTH), 2.5, np.float32), "32FC1", 0)
    while True:
        info = camera_info_message(WIDTH, HEIGHT, time.time_ns())
        color.header = depth.header = info.header
        infos.publish(info)
        depths.publish(depth)
        images.publish(color)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
