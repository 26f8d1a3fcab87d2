# SPDX-License-Identifier: Apache-2.0
"""The shipped Fast DDS profile carries 4K images from one process to another, in one piece through shared memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from diagnostic_msgs.msg import DiagnosticArray
from ros.large_sensor import HEIGHT, WIDTH
from ros.live import PROJECT, die_with_parent, environment, live_node
from ros.rig import CONFIDENCE, ONE_STREAM_LESS
from sensor_msgs.msg import Image


def test_one_colour_and_one_depth_image_of_4k_fit_twice_and_each_in_one_piece() -> None:
    profile = (PROJECT / "config" / "fastdds.xml").read_text(encoding="utf-8")
    size = {name: int(number) for name, number in re.findall(r"<(segment_size|maxMessageSize)>(\d+)<", profile)}
    header = 4096
    assert size["maxMessageSize"] >= WIDTH * HEIGHT * 4 + header
    assert size["segment_size"] >= 2 * (WIDTH * HEIGHT * (3 + 4) + 2 * header)


def test_4k_images_reach_the_node(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain) as (node, peer):
        peer.subscribe(CONFIDENCE, Image)
        peer.subscribe("/diagnostics", DiagnosticArray)
        node.wait_for_text("active")
        sensor = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("large_sensor.py"))],
            env=environment(domain), preexec_fn=die_with_parent,
        )
        try:
            peer.wait_for(
                CONFIDENCE, lambda m: m.data[0] == ONE_STREAM_LESS,
                f"colour and depth in one frame, is {peer.statuses()}\n{node.text()}",
            )
        finally:
            sensor.kill()
            sensor.wait()
