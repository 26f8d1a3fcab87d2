# SPDX-License-Identifier: Apache-2.0
"""A small lifecycle node with the fusion node's name, topics and diagnostics: the mask is red // 64."""

from __future__ import annotations

import contextlib
import os
import sys

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image


class StandIn(LifecycleNode):
    def __init__(self, behaviour: str) -> None:
        super().__init__("ssma_fusion")
        self.behaviour = behaviour

    def on_configure(self, _state):
        self.mask = self.create_publisher(Image, "~/mask", 2)
        self.diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_subscription(CameraInfo, "/camera/camera_info", lambda _: None, qos_profile_sensor_data)
        for topic in ("/depth/image_rect", "/nir/image_rect"):
            self.create_subscription(Image, topic, lambda _: None, qos_profile_sensor_data)
        self.create_subscription(Image, "/camera/image_rect", self.segment, qos_profile_sensor_data)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, _state):
        self.create_timer(0.1, self.diagnose)
        return TransitionCallbackReturn.SUCCESS

    def diagnose(self):
        status = DiagnosticStatus(name="ssma_fusion", message="stand-in")
        self.diagnostics.publish(DiagnosticArray(status=[status]))

    def segment(self, image):
        if self.behaviour == "crash":
            print("the model melted", file=sys.stderr, flush=True)
            os._exit(3)
        pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
        mask = Image(header=image.header, height=image.height, width=image.width, encoding="mono8", step=image.width)
        mask.data.frombytes((pixels[..., 2] // 64).tobytes())
        if self.behaviour != "silent":
            self.mask.publish(mask)


def main() -> None:
    rclpy.init()
    node = StandIn(sys.argv[1] if len(sys.argv) > 1 else "")
    node.trigger_configure()
    node.trigger_activate()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
