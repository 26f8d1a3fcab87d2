# SPDX-License-Identifier: Apache-2.0
"""The door to a live ROS 2 graph: the only room that may import rclpy.

``refusal``, ``conversion``, ``geometry``, ``assembly``, ``outputs`` and ``parameters`` are plain data work and
import no rclpy, so that recordings are read and written by the very code that serves the robot.
"""
