# SPDX-License-Identifier: Apache-2.0
"""The real node as a process of its own, fed and heard over rclpy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros.live import (
    BEST_EFFORT,
    INPUTS,
    NODE,
    Cameras,
    image_message,
    live_node,
    stamp_of,
    wait_until,
)
from ros.rig import ALL_STREAMS, CONFIDENCE, ERROR, INFO, MASK, OK, ONE_STREAM_LESS, WARN, Rig, with_stamp
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, module_domain: int) -> Iterator[Rig]:
    with live_node(tmp_path_factory.mktemp("rig"), module_domain) as (node, peer):
        yield Rig(node, peer)


def test_masks_come_back_with_stamp_and_frame_of_the_color_image(rig: Rig) -> None:
    rig.peer.subscribe(INFO, CameraInfo)
    wait_until(lambda: rig.peer.node.count_publishers(INFO), "publisher of camera_info")
    rig.all_well()
    wait_until(lambda: rig.cameras.publish() and rig.peer.received[INFO], "a first camera info")

    stamp = rig.cameras.publish()

    mask = rig.peer.wait_for(MASK, with_stamp(stamp), "the mask of that moment")
    confidence = rig.peer.wait_for(CONFIDENCE, with_stamp(stamp), "its confidence")
    info = rig.peer.wait_for(INFO, with_stamp(stamp), "its camera info")
    for message in (mask, confidence, info):
        assert message.header.frame_id == "camera_optical"
        assert (message.width, message.height) == (96, 64)
    assert mask.encoding == confidence.encoding == "mono8"
    assert mask.step == 96
    pixels = np.frombuffer(mask.data, np.uint8).reshape(64, 96)
    np.testing.assert_array_equal(pixels, np.repeat(np.arange(4, dtype=np.uint8), 24)[None, :].repeat(64, axis=0))
    assert set(confidence.data) == {ALL_STREAMS}
    assert info.k[0] == pytest.approx(0.8 * 96)


@pytest.mark.parametrize(("lost", "left"), [("depth", ("nir", "color")), ("nir", ("depth", "color"))])
def test_a_lost_sensor_degrades_the_output_is_named_and_recovers(rig: Rig, lost: str, left: tuple[str, ...]) -> None:
    rig.all_well()
    stopped = time.monotonic()
    degraded = rig.send_until(lambda m: m.data[0] == ONE_STREAM_LESS, f"frames without {lost}", *left)
    assert degraded.header.frame_id == "camera_optical"
    message = rig.wait_status(lost, WARN, f"no {lost} message on", *left)
    assert " s" in message
    assert rig.node.process.poll() is None
    assert time.monotonic() - stopped < 60
    rig.all_well()
    rig.wait_status(lost, OK, "Hz", "camera_info", "depth", "nir", "color")


def test_without_color_the_output_stops_is_reported_and_recovers(rig: Rig) -> None:
    rig.all_well()
    rig.wait_status("color", ERROR, "no color message on", "depth", "nir")
    rig.peer.received[MASK].clear()
    for _ in range(5):
        rig.cameras.publish("depth", "nir")
    rig.wait_status("color", ERROR, "no color message on", "depth", "nir")
    assert not rig.peer.received[MASK]
    rig.all_well()


@pytest.mark.parametrize(
    ("sensor", "topic", "pixels", "encoding", "level", "words"),
    [
        ("depth", "/depth/image_rect", np.zeros((64, 96, 3), np.uint8), "rgb8", WARN, "encoding is 'rgb8'"),
        ("depth", "/depth/image_rect", np.ones((10, 10), np.uint16), "16UC1", WARN, "size is 10x10, expected 96x64"),
        ("nir", "/nir/image_rect", np.zeros((64, 96), np.int32), "32SC1", WARN, "encoding is '32SC1'"),
        ("color", "/camera/image_rect", np.zeros((64, 96), np.uint16), "16UC1", ERROR, "encoding is '16UC1'"),
    ],
)
def test_bad_images_are_refused_in_words_and_the_next_good_one_is_used(
    rig: Rig, sensor: str, topic: str, pixels: Any, encoding: str, level: int, words: str
) -> None:
    rig.all_well()
    others = [s for s in ("camera_info", "depth", "nir", "color") if s != sensor]

    def refused() -> bool:
        stamp = rig.cameras.publish(*[s for s in others if s != "color"])
        rig.peer.publish(topic, image_message(pixels, encoding, stamp, "camera_optical"))
        if sensor != "color":
            color = image_message(rig.cameras.color, "bgr8", stamp, "camera_optical")
            rig.peer.publish("/camera/image_rect", color)
        time.sleep(0.05)
        got = rig.peer.statuses().get(sensor, (-1, ""))
        return got[0] == level and words in got[1]

    wait_until(refused, f"{sensor} refused with '{words}', is {rig.peer.statuses()}")
    assert f"topic {topic}: {words}" in rig.node.text()
    rig.all_well()


def test_another_frame_id_is_refused_with_both(rig: Rig) -> None:
    def refused() -> bool:
        stamp = rig.cameras.publish("nir", "camera_info")
        rig.peer.publish("/depth/image_rect", image_message(rig.cameras.depth, "16UC1", stamp, "depth_optical"))
        rig.peer.publish("/camera/image_rect", image_message(rig.cameras.color, "bgr8", stamp, "camera_optical"))
        time.sleep(0.05)
        message = rig.peer.statuses().get("depth", (-1, ""))[1]
        return "'depth_optical'" in message and "'camera_optical'" in message

    wait_until(refused, "both frame ids named")
    rig.all_well()


def test_a_bag_that_starts_over_goes_on(rig: Rig) -> None:
    rig.all_well()
    rig.cameras.stamp_ns -= 1000 * 10**9
    message = rig.all_well()
    assert stamp_of(message) <= rig.cameras.stamp_ns


def test_best_effort_and_reliable_subscribers_both_receive(rig: Rig) -> None:
    heard: list[Image] = []
    subscription = rig.peer.node.create_subscription(Image, MASK, heard.append, BEST_EFFORT)
    wait_until(lambda: rig.cameras.publish() and time.sleep(0.05) is None and heard, "a best effort mask")
    assert rig.peer.received[MASK]
    rig.peer.node.destroy_subscription(subscription)


def test_a_subscriber_with_another_qos_is_reported_in_words(rig: Rig) -> None:
    latched = QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
    )
    subscription = rig.peer.node.create_subscription(Image, f"{NODE}/overlay", lambda _: None, latched)
    rig.node.wait_for_text("topic ~/overlay: a subscriber asks for another DURABILITY than is offered")
    rig.peer.node.destroy_subscription(subscription)


def test_live_parameters_take_effect_and_others_are_refused_with_the_reason(rig: Rig) -> None:
    rig.all_well()
    assert rig.set_parameter("min_confidence", 0.9) == (True, "")
    rig.peer.received[MASK].clear()
    wait_until(
        lambda: rig.cameras.publish() and time.sleep(0.05) is None
        and any(set(m.data) == {255} for m in list(rig.peer.received[MASK])),
        "masks of unsure pixels alone",
    )
    assert rig.set_parameter("min_confidence", 0.0) == (True, "")
    good, reason = rig.set_parameter("model", "other")
    assert not good
    assert reason == "parameter model is read at configure, expected the node to be cleaned up first"
    good, reason = rig.set_parameter("output_resolution", "huge")
    assert not good
    assert "expected one of network, camera" in reason
    good, reason = rig.set_parameter("sync_slop", 99.0)
    assert not good
    assert "sync_slop" in reason
    good, reason = rig.set_parameter("points_semantic_fields", ["lava"])
    assert not good
    assert "names lava, expected classes of the network: trail" in reason


def test_points_are_computed_only_while_somebody_subscribes(rig: Rig) -> None:
    topic = f"{NODE}/points"
    heard: list[PointCloud2] = []
    subscription = rig.peer.node.create_subscription(PointCloud2, topic, heard.append, BEST_EFFORT)
    cloud = wait_until(lambda: rig.cameras.publish() and time.sleep(0.05) is None and heard, "a cloud")[0]
    assert (cloud.width, cloud.height, cloud.row_step) == (96, 64, 96 * cloud.point_step)
    assert cloud.header.frame_id == "camera_optical"
    rig.peer.node.destroy_subscription(subscription)


@pytest.mark.parametrize("number", [Transition.TRANSITION_CONFIGURE, 250])
def test_a_transition_that_is_not_possible_is_refused_and_survived(rig: Rig, number: int) -> None:
    request = ChangeState.Request(transition=Transition(id=number))
    answer = rig.peer.call(f"{NODE}/change_state", ChangeState, request)
    assert not answer.success
    assert f"transition {number} is not possible now" in rig.node.text()
    assert rig.peer.state() == "active"
    rig.all_well()


def test_disparity_drives_while_color_is_lost_where_any_may_and_time_stands_still(tmp_path: Path, domain: int) -> None:
    arguments = ("-p", "depth_source:=disparity", "-p", "driver:=any", "-p", "use_sim_time:=true")
    with live_node(tmp_path, domain, *arguments) as (_, peer):
        inputs = {t: k for t, k in INPUTS.items() if t != "/depth/image_rect"} | {"/depth/disparity": DisparityImage}
        peer.subscribe(CONFIDENCE, Image)
        peer.wait_matched([CONFIDENCE], inputs)
        cameras = Cameras(peer)

        def level(*sensors: str) -> int:
            stamp = cameras.publish(*sensors)
            disparity = image_message(np.full((64, 96), 10.0, np.float32), "32FC1", stamp, "camera_optical")
            message = DisparityImage(header=disparity.header, image=disparity, f=100.0, t=0.25, min_disparity=1.0)
            peer.publish("/depth/disparity", message)
            time.sleep(0.05)
            return int(peer.received[CONFIDENCE][-1].data[0]) if peer.received[CONFIDENCE] else 0

        wait_until(lambda: level("camera_info", "nir", "color") == ALL_STREAMS, "disparity taken as depth")
        # Without colour the vegetation index cannot be made either: depth is the one stream.
        wait_until(lambda: level("camera_info", "nir") == ONE_STREAM_LESS, "depth drives")
        assert peer.received[CONFIDENCE][-1].header.frame_id == "camera_optical"
        wait_until(lambda: level("camera_info", "nir", "color") == ALL_STREAMS, "colour drives again")
