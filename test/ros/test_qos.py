"""QoS of every topic as the interface states it, compressed inputs, and what is said where two sides do not fit."""

from __future__ import annotations

import array
import struct
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros.live import BEST_EFFORT, INPUTS, NODE, Cameras, Peer, fill_header, live_node, wait_until
from ros.rig import ALL_STREAMS, CONFIDENCE, ERROR, MASK
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

RELIABLE, BEST, VOLATILE, LATCHED = (
    ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE,
    DurabilityPolicy.TRANSIENT_LOCAL,
)


def offered(peer: Peer, topic: str) -> tuple[Any, Any]:
    """Reliability and durability of the node's publisher of a topic."""
    (info,) = wait_until(lambda: peer.node.get_publishers_info_by_topic(topic), f"a publisher of {topic}")
    return info.qos_profile.reliability, info.qos_profile.durability


def asked(peer: Peer, topic: str) -> tuple[Any, Any]:
    """Reliability and durability of the node's subscription to a topic."""
    (info,) = wait_until(lambda: peer.node.get_subscriptions_info_by_topic(topic), f"a subscription to {topic}")
    return info.qos_profile.reliability, info.qos_profile.durability


def test_sensors_are_asked_for_best_effort_and_outputs_are_offered_reliably(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, "-p", "nir_reliability:=reliable") as (node, peer):
        node.wait_for_text("active")
        for topic in INPUTS:
            expected = RELIABLE if topic.startswith("/nir") else BEST
            assert asked(peer, topic) == (expected, VOLATILE), topic
        topics = wait_until(
            lambda: [n for n, _ in peer.node.get_topic_names_and_types() if n.startswith(f"{NODE}/")], "outputs"
        )
        assert len(topics) > 15
        for topic in topics:
            if not topic.endswith("/transition_event"):
                assert offered(peer, topic) == (RELIABLE, LATCHED if topic.endswith("/label_info") else VOLATILE), topic


def test_a_publisher_whose_qos_does_not_fit_is_named_with_the_policy(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, "-p", "color_reliability:=reliable") as (node, peer):
        peer.subscribe("/diagnostics", DiagnosticArray)
        publisher = peer.publisher("/camera/image_rect", Image, QoSProfile(depth=5, reliability=BEST))
        sentence = (
            "topic /camera/image_rect: a publisher offers another RELIABILITY than is asked for (reliable, volatile) "
            "and is not heard, expected a compatible QoS (parameter color_reliability)"
        )
        node.wait_for_text(sentence)
        wait_until(lambda: peer.statuses().get("color") == (ERROR, sentence), "the same in diagnostics")
        peer.node.destroy_publisher(publisher)
        wait_until(lambda: "nobody publishes it" in peer.statuses()["color"][1], "that nobody publishes it any more")


def compressed(data: bytes, form: str, stamp_ns: int) -> CompressedImage:
    return fill_header(CompressedImage(format=form, data=array.array("B", data)), stamp_ns, "camera_optical")


def test_compressed_transports_are_read(tmp_path: Path, domain: int) -> None:
    arguments = ["color_transport:=compressed", "depth_transport:=compressedDepth", "nir_transport:=compressed"]
    with live_node(tmp_path, domain, *(word for a in arguments for word in ("-p", a))) as (node, peer):
        topics = {
            "color": "/camera/image_rect/compressed", "depth": "/depth/image_rect/compressedDepth",
            "nir": "/nir/image_rect/compressed",
        }
        peer.subscribe(CONFIDENCE, Image, BEST_EFFORT)
        kinds: dict[str, Any] = dict.fromkeys(topics.values(), CompressedImage)
        peer.wait_matched([MASK, CONFIDENCE], {**kinds, "/camera/camera_info": CameraInfo})
        cameras = Cameras(peer)
        depth = cv2.imencode(".png", cameras.depth)[1].tobytes()
        pictures = {
            "depth": (struct.pack("<iff", 0, 0.0, 0.0) + depth, "16UC1; compressedDepth png"),
            "nir": (cv2.imencode(".png", cameras.nir)[1].tobytes(), "mono8; png compressed mono8"),
            "color": (cv2.imencode(".jpg", np.full_like(cameras.color, 90))[1].tobytes(), "bgr8; jpeg compressed bgr8"),
        }

        def whole() -> bool:
            stamp = cameras.publish("camera_info")
            for sensor, (data, form) in pictures.items():
                peer.publish(topics[sensor], compressed(data, form, stamp))
            time.sleep(0.05)
            return any(m.data[0] == ALL_STREAMS for m in list(peer.received[CONFIDENCE]))

        wait_until(whole, f"a frame with all streams\n{node.text()}")
