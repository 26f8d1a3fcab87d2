# SPDX-License-Identifier: Apache-2.0
"""One sensor as a process of its own, to be killed: ``python sensor.py color|depth|nir``.

Ten images a second whose stamps are whole tenths of a second, so that those of several processes match.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run as a script, the tests' folder is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import rclpy
from ros.live import camera_info_message, image_message
from sensor_msgs.msg import CameraInfo, Image

RATE_HZ = 10
WIDTH, HEIGHT = 96, 64
FRAME_ID = "camera_optical"
PICTURES = {
    "color": ("/camera/image_rect", "bgr8", np.full((HEIGHT, WIDTH, 3), 90, np.uint8)),
    "depth": ("/depth/image_rect", "16UC1", np.full((HEIGHT, WIDTH), 2500, np.uint16)),
    "nir": ("/nir/image_rect", "mono8", np.full((HEIGHT, WIDTH), 120, np.uint8)),
}


def main(sensor: str) -> None:
    rclpy.init()
    node = rclpy.create_node(f"{sensor}_sensor")
    topic, encoding, pixels = PICTURES[sensor]
    images = node.create_publisher(Image, topic, 5)
    infos = node.create_publisher(CameraInfo, "/camera/camera_info", 5) if sensor == "color" else None
    while True:
        tick = math.floor(time.time() * RATE_HZ) + 1
        time.sleep(max(0.0, tick / RATE_HZ - time.time()))
        stamp_ns = tick * 10**9 // RATE_HZ
        if infos is not None:
            infos.publish(camera_info_message(WIDTH, HEIGHT, stamp_ns, FRAME_ID))
        images.publish(image_message(pixels, encoding, stamp_ns, FRAME_ID))


if __name__ == "__main__":
    main(sys.argv[1])
