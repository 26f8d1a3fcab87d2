# SPDX-License-Identifier: Apache-2.0
"""Gravity and depth registration with the real tf2_ros, where it is installed (it is not on PyPI)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from ros import messages
from ros.in_process import LoggedNode, node_in_process
from ros.live import wait_until
from ros.stub_network import StubBackend

from ssma_ros.messages.transforms import gravity
from ssma_ros.registration import register_depth

tf2_ros = pytest.importorskip("tf2_ros", reason="needs tf2_ros (apt install ros-$ROS_DISTRO-tf2-ros-py)")

SUCCESS = TransitionCallbackReturn.SUCCESS
WIDTH, HEIGHT, FOCAL = 96, 64, 80.0
BASELINE_M, DEPTH_M, PITCH = 0.1, 2.0, math.radians(20)


def transform(parent: str, child: str, translation: tuple[float, ...], rotation: tuple[float, ...]) -> Any:
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = parent, child
    t, r = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = translation
    r.x, r.y, r.z, r.w = rotation
    return message


def product(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    """Quaternion of rotation ``b`` followed by ``a``; x, y, z, w."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


# A camera that looks forward and PITCH down. REP-103: odom x forward, y left, z up; optical x right, y down, z forward.
LEVEL_OPTICAL = (-0.5, 0.5, -0.5, 0.5)
NOSE_DOWN = (0.0, math.sin(PITCH / 2), 0.0, math.cos(PITCH / 2))
TRANSFORMS = [
    transform("odom", "camera", (0.0, 0.0, 1.2), product(NOSE_DOWN, LEVEL_OPTICAL)),
    # The depth camera sits BASELINE_M to the right of the colour camera.
    transform("camera", "depth_optical", (BASELINE_M, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
]


def moment(stamp_ns: int) -> dict[str, Any]:
    depth = np.full((HEIGHT, WIDTH), round(DEPTH_M * 1000), np.uint16)
    return {
        "camera_info": messages.camera_info(WIDTH, HEIGHT, FOCAL),
        "color": messages.image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8", stamp_ns=stamp_ns),
        "depth": messages.image(depth, "16UC1", stamp_ns=stamp_ns, frame_id="depth_optical"),
        "nir": messages.image(np.full((HEIGHT, WIDTH), 90, np.uint8), "mono8", stamp_ns=stamp_ns),
    }


def frame_of(node: LoggedNode, published: list[tuple[Any, Any]], number: int) -> Any:
    before = len(published)
    node.segment(moment(number * 10**9))
    wait_until(lambda: len(published) > before, f"a frame, said {node.log.said}")
    return published[-1][1]


def test_gravity_and_registered_depth_come_from_tf(domain: int) -> None:
    with node_in_process(domain, lambda _: StubBackend(), gravity_frame="odom", register_depth="true") as node:
        before = len(list(node.subscriptions))
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        published = node.pretend_subscriber("mask")
        session = node._session
        assert session is not None
        session.inputs.inputs["depth_camera_info"].last = messages.camera_info(WIDTH, HEIGHT, FOCAL)

        early = frame_of(node, published, 1)
        assert early.gravity is None
        assert early.depth is None
        assert "topic /tf: transform is unknown" in early.missing["depth"]
        assert "expected one from 'depth_optical' to 'camera'" in early.missing["depth"]

        world = rclpy.create_node("world")
        broadcaster = tf2_ros.StaticTransformBroadcaster(world)
        broadcaster.sendTransform(TRANSFORMS)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.add_node(world)
        transforms = session._transforms
        assert transforms is not None


        def known() -> bool:
            executor.spin_once(timeout_sec=0.1)
            return gravity(transforms, "camera", "odom") is not None

        wait_until(known, "tf")

        frame = frame_of(node, published, 2)
        np.testing.assert_allclose(frame.gravity, [0.0, math.cos(PITCH), math.sin(PITCH)], atol=1e-9)
        shift = round(FOCAL * BASELINE_M / DEPTH_M)  # a point lies that many columns further right for the left camera
        assert shift == 4
        depth = register_depth(frame.depth, frame.cameras["depth"], frame.intrinsics)
        np.testing.assert_allclose(depth[:, shift:], DEPTH_M, atol=1e-6)
        assert not depth[:, :shift].any()
        assert not frame.missing

        executor.shutdown()
        world.destroy_node()
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert len(list(node.subscriptions)) == before, "the listener's subscriptions are still there"
