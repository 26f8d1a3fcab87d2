# SPDX-License-Identifier: Apache-2.0
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
from ros.live import (
    BEST_EFFORT,
    DEADLINE_S,
    INPUTS,
    NODE,
    Cameras,
    Peer,
    camera_info_message,
    fill_header,
    live_node,
    wait_until,
)
from ros.rig import ALL_STREAMS, CONFIDENCE, ERROR, MASK, OK
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from stereo_msgs.msg import DisparityImage

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


def test_a_camera_info_that_was_latched_before_the_node_started_is_received(tmp_path: Path, domain: int) -> None:
    """Published once, and then nobody publishes anything; publishers that keep nothing are heard beside it."""
    latched = QoSProfile(depth=1, reliability=RELIABLE, durability=LATCHED)
    peer = Peer(domain)
    try:
        peer.publisher("/camera/camera_info", CameraInfo, latched).publish(camera_info_message(96, 64, 10**9))
        with live_node(tmp_path, domain) as (node, other):
            node.wait_for_text("active")
            other.subscribe("/diagnostics", DiagnosticArray)

            def level() -> int:
                return other.statuses().get("camera_info", (-1, ""))[0]

            wait_until(lambda: level() == OK, f"camera_info without a warning, is {other.statuses()}")
            other.publish("/camera/camera_info", camera_info_message(96, 64, 2 * 10**9))

            def received() -> dict[str, str]:
                (status,) = [s for s in other.received["/diagnostics"][-1].status if s.name.endswith(": camera_info")]
                return {value.key: value.value for value in status.values}

            wait_until(lambda: received()["received"] == "2", f"both camera infos, each once: {received()}")
    finally:
        peer.close()


def test_overrides_of_qos_work_on_every_topic_or_are_refused_by_name(tmp_path: Path, domain: int) -> None:
    given = {
        "/cam.subscription.durability": "transient_local", "/cam.subscription.reliability": "reliable",
        "/ssma_fusion/mask.publisher.reliability": "best_effort", "/ssma_fusion/mask.publisher.depth": "7",
        "/diagnostics.publisher.durability": "transient_local",
        "/camera/camera_info.subscription.durability": "transient_local",  # its name before remapping
        "/depth/image_rect.subscription.durabilty": "volatile", "/cam.publisher.depth": "1",
    }
    words = [word for name, value in given.items() for word in ("-p", f"qos_overrides.{name}:={value}")]
    with live_node(tmp_path, domain, *words, "-r", "camera/camera_info:=/cam") as (node, peer):
        node.wait_for_text("active")
        assert asked(peer, "/cam") == (RELIABLE, LATCHED)
        assert offered(peer, MASK) == (BEST, VOLATILE)
        assert offered(peer, CONFIDENCE) == (RELIABLE, VOLATILE)  # the profile they share is left as it was
        assert offered(peer, "/diagnostics") == (RELIABLE, LATCHED)
        for name in list(given)[-3:]:
            assert f"parameter 'qos_overrides.{name}' fits no topic of this node and is ignored" in node.text()
        assert node.text().count("fits no topic") == 3
        assert peer.change_state("deactivate")
        assert peer.change_state("cleanup")
        assert peer.change_state("configure")
        assert asked(peer, "/cam") == (RELIABLE, LATCHED)


def test_an_override_that_no_policy_can_have_is_refused_at_configure(tmp_path: Path, domain: int) -> None:
    name = "qos_overrides./camera/image_rect.subscription.reliability"
    with live_node(tmp_path, domain, "-p", f"{name}:=often") as (node, _):
        assert node.process.wait(DEADLINE_S) == 1
        assert f"parameter {name} is 'often', expected a value of that QoS policy" in node.text()


def test_names_that_two_rules_swap_are_swapped_once(tmp_path: Path, domain: int) -> None:
    rules = ["-r", "camera/image_rect:=nir/image_rect", "-r", "nir/image_rect:=camera/image_rect"]
    with live_node(tmp_path, domain, *rules) as (node, peer):
        peer.subscribe("/diagnostics", DiagnosticArray)
        node.wait_for_text("active")
        wait_until(lambda: peer.statuses().get("color"), "diagnostics")
        assert "on /nir/image_rect" in peer.statuses()["color"][1]
        assert "on /camera/image_rect" in peer.statuses()["nir"][1]
        (topic,) = [info.topic_type for info in peer.node.get_subscriptions_info_by_topic("/nir/image_rect")]
        assert topic == "sensor_msgs/msg/Image"


@pytest.mark.parametrize(
    ("sensor", "topic", "kind", "words"),
    [
        ("color", "/camera/image_rect", CompressedImage, "color_transport to compressed and remap camera/image_rect/"),
        ("depth", "/depth/image_rect", DisparityImage, "set depth_source to disparity and remap depth/disparity"),
        ("nir", "/nir/image_rect", CameraInfo, "remap this input to another topic"),
        ("camera_info", "/camera/camera_info", Image, "remap this input to another topic"),
    ],
)
def test_a_topic_of_another_type_is_told_with_what_to_do(
    tmp_path: Path, domain: int, sensor: str, topic: str, kind: Any, words: str
) -> None:
    with live_node(tmp_path, domain) as (node, peer):
        peer.subscribe("/diagnostics", DiagnosticArray)
        peer.publisher(topic, kind)
        name = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
        node.wait_for_text(f"topic {topic} carries {name} (from /peer), expected sensor_msgs/msg/")
        wait_until(lambda: words in peer.statuses().get(sensor, (0, ""))[1], f"'{words}' in diagnostics")


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
