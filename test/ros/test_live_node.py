"""The real node as a process of its own, fed and heard over rclpy."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from ros.live import INPUTS, Cameras, live_node, stamp_of, wait_until
from sensor_msgs.msg import CameraInfo, Image

MASK = "/ssma_fusion/mask"
CONFIDENCE = "/ssma_fusion/confidence"
INFO = "/ssma_fusion/camera_info"


def with_stamp(stamp_ns: int):
    return lambda message: stamp_of(message) == stamp_ns


def test_masks_come_back_with_stamp_and_frame_of_the_color_image(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain) as (_, peer):
        for topic, kind in ((MASK, Image), (CONFIDENCE, Image), (INFO, CameraInfo)):
            peer.subscribe(topic, kind)
        peer.wait_matched([MASK, CONFIDENCE, INFO], INPUTS)
        cameras = Cameras(peer)
        wait_until(lambda: cameras.publish() and peer.received[MASK], "a first mask", 60)

        stamp = cameras.publish()

        mask = peer.wait_for(MASK, with_stamp(stamp), "the mask of that moment")
        confidence = peer.wait_for(CONFIDENCE, with_stamp(stamp), "its confidence")
        info = peer.wait_for(INFO, with_stamp(stamp), "its camera info")
    for message in (mask, confidence, info):
        assert message.header.frame_id == "camera_optical"
        assert (message.width, message.height) == (96, 64)
    assert mask.encoding == confidence.encoding == "mono8"
    assert mask.step == 96
    pixels = np.frombuffer(mask.data, np.uint8).reshape(64, 96)
    np.testing.assert_array_equal(pixels, np.repeat(np.arange(4, dtype=np.uint8), 24)[None, :].repeat(64, axis=0))
    # All three streams took part: see StubBackend.
    assert set(confidence.data) == {200}
    assert info.k[0] == pytest.approx(0.8 * 96)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_node_with_status_0(tmp_path: Path, domain: int, number: int) -> None:
    with live_node(tmp_path, domain) as (node, _):
        node.wait_for_text("active")
        assert node.end(number) == 0
        assert "Traceback" not in node.text()


def test_signal_while_configuring_ends_the_node_with_status_0(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, SSMA_STUB_DELAY="1.0") as (node, _):
        node.wait_for_text("warming up")
        assert node.end() == 0
        assert "Traceback" not in node.text()
