# SPDX-License-Identifier: Apache-2.0
"""Malformed messages over the wire, to the real node in a process of its own."""

from __future__ import annotations

import array
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from hypothesis import HealthCheck, given, settings
from ros.live import live_node, wait_until
from ros.rig import Rig
from ros.test_abuse import images, infos
from sensor_msgs.msg import CameraInfo, Image

TOPICS = {"color": "/camera/image_rect", "depth": "/depth/image_rect", "nir": "/nir/image_rect"}
MOMENTS = 600
#: A good moment is expected after so many bad ones.
EVERY = 50


def fill_header(message: Any, header: Any) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = header.stamp.sec, header.stamp.nanosec
    message.header.frame_id = header.frame_id
    return message


def image(fields: Any) -> Image:
    message = Image(
        height=fields.height, width=fields.width, encoding=fields.encoding, is_bigendian=fields.is_bigendian,
        step=fields.step,
    )
    message.data = array.array("B", fields.data)
    return fill_header(message, fields.header)


def camera_info(fields: Any) -> CameraInfo:
    message = CameraInfo(height=fields.height, width=fields.width, distortion_model="plumb_bob")
    message.k, message.p = fields.k, fields.p
    return fill_header(message, fields.header)


@pytest.mark.slow
def test_malformed_messages_over_the_wire_are_refused_and_the_next_good_moment_is_segmented(
    tmp_path: Path, domain: int
) -> None:
    with live_node(tmp_path, domain) as (node, peer):
        rig = Rig(node, peer)
        rig.all_well()
        sent = 0

        @settings(max_examples=MOMENTS, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(color=images, depth=images, nir=images, info=infos)
        def abuse(color: Any, depth: Any, nir: Any, info: Any) -> None:
            nonlocal sent
            peer.publish("/camera/camera_info", camera_info(info))
            for sensor, fields in {"depth": depth, "nir": nir, "color": color}.items():
                peer.publish(TOPICS[sensor], image(fields))
            sent += 1
            if sent % EVERY == 0:
                rig.all_well()
                assert node.process.poll() is None

        abuse()
        rig.all_well()
        assert sent >= MOMENTS
        assert "Traceback" not in node.text()
        assert "a frame was lost to an error" not in node.text()
        refused = node.text().count(" is ")
        assert 3 < refused < 4 * sent  # in words, and not for each message
        wait_until(lambda: "Hz" in peer.statuses().get("color", (0, ""))[1], "diagnostics")
