# SPDX-License-Identifier: Apache-2.0
"""Bytes and arrays: ROS messages in and out as plain field values, without rclpy and without rosbags."""
