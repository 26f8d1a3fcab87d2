# SPDX-License-Identifier: Apache-2.0
"""Sensors that are late or come at rates of their own: on a live graph no image is lost, and the reason is right."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from diagnostic_msgs.msg import DiagnosticArray
from ros.live import INPUTS, Cameras, Peer, image_message, live_node, stamp_of, wait_until
from ros.rig import ALL_STREAMS, CONFIDENCE, WARN
from sensor_msgs.msg import Image

#: Images a second, and how many colour images depth is behind.
RATE_HZ, BEHIND = 30, 12


def drive(peer: Peer, cameras: Cameras, images: int, behind: int, every: dict[str, int]) -> list[int]:
    """Colour at :data:`RATE_HZ`, depth ``behind`` images late, the others each ``every`` images; stamps of colour."""
    stamps: list[int] = []
    start = time.monotonic()
    for index in range(images + behind):
        time.sleep(max(0.0, start + index / RATE_HZ - time.monotonic()))
        if index < images:
            others = [sensor for sensor in ["nir"] if index % every.get(sensor, 1) == 0]
            stamps.append(cameras.publish("camera_info", *others, "color", step_ns=10**9 // RATE_HZ))
        if index >= behind and (index - behind) % every.get("depth", 1) == 0:
            late = image_message(cameras.depth, "16UC1", stamps[index - behind], cameras.frame_id)
            peer.publish("/depth/image_rect", late)
    return stamps


@pytest.mark.parametrize(
    ("timeout", "behind", "every", "complete"),
    [("0.6", BEHIND, {}, 0.5), ("0.1", 0, {"depth": 2, "nir": 6}, 0.0)],
)
def test_every_image_is_segmented(
    tmp_path: Path, domain: int, timeout: str, behind: int, every: dict[str, int], complete: float
) -> None:
    """Of the best effort inputs a busy machine may lose one in ten."""
    with live_node(tmp_path, domain, "-p", f"sync_timeout:={timeout}") as (node, peer):
        node.wait_for_text("active")
        peer.subscribe(CONFIDENCE, Image)
        peer.wait_matched([CONFIDENCE], INPUTS)
        sent = drive(peer, Cameras(peer), 90, behind, every)

        def out() -> dict[int, int]:
            return {stamp_of(message): message.data[0] for message in list(peer.received[CONFIDENCE])}

        wait_until(lambda: len(out()) >= 0.9 * len(sent), f"a mask of each of {len(sent)} images, got {len(out())}")
        assert set(out()) <= set(sent)
        assert sum(level == ALL_STREAMS for level in out().values()) >= complete * len(sent)


def test_a_sensor_later_than_the_timeout_is_called_late(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain) as (node, peer):
        node.wait_for_text("active")
        peer.subscribe(CONFIDENCE, Image)
        peer.subscribe("/diagnostics", DiagnosticArray)
        peer.wait_matched([CONFIDENCE], INPUTS)
        cameras = Cameras(peer)

        def told() -> bool:
            drive(peer, cameras, 30, BEHIND, {})
            level, words = peer.statuses().get("depth", (0, ""))
            return level == WARN and "ms after the image of the same stamp, sync_timeout is 100 ms" in words

        wait_until(told, f"that depth is late, is {peer.statuses()}")
