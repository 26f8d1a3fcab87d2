# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from ssma_ros.messages.transports import decompress
from ssma_ros.synthetic.recording import (
    CAMERA_INFO_TOPIC,
    COLOR_TOPIC,
    DEPTH_TOPIC,
    FRAME_ID,
    LABEL_TOPIC,
    NIR_TOPIC,
    DrivePlan,
    drive,
    drive_poses,
    quantise_disparity,
)
from ssma_ros.synthetic.sampling import Scene

RECORDING = Path(__file__).resolve().parents[2] / "demo" / "forest_drive"
SHIPPED = DrivePlan(15, seconds=5.5)
TOPICS = (COLOR_TOPIC, CAMERA_INFO_TOPIC, DEPTH_TOPIC, NIR_TOPIC, LABEL_TOPIC)


def stamp(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture(scope="module")
def messages() -> dict[str, list]:
    found = defaultdict(list)
    with AnyReader([RECORDING]) as reader:
        for connection, _, raw in reader.messages():
            found[connection.topic].append(reader.deserialize(raw, connection.msgtype))
    return found


def test_shipped_recording_is_small():
    assert sum(path.stat().st_size for path in RECORDING.iterdir()) <= 10_000_000


def test_every_topic_runs_at_ten_hertz(messages):
    assert set(messages) == set(TOPICS)
    for topic in TOPICS:
        stamps = np.array([stamp(message) for message in messages[topic]])
        assert len(stamps) == SHIPPED.frames
        assert np.mean(np.diff(stamps)) == pytest.approx(1e8, rel=0.01)
        assert all(message.header.frame_id == FRAME_ID for message in messages[topic])


def test_stamps_of_the_sensors_differ_by_milliseconds(messages):
    color = [stamp(message) for message in messages[COLOR_TOPIC]]
    for topic in (CAMERA_INFO_TOPIC, LABEL_TOPIC):
        assert [stamp(message) for message in messages[topic]] == color
    for topic in (DEPTH_TOPIC, NIR_TOPIC):
        offset = np.array([stamp(message) for message in messages[topic]]) - color
        assert 0 < np.abs(offset).max() < 15_000_000
        assert offset.std() > 500_000


def test_pictures_decode_to_registered_images(messages):
    info = messages[CAMERA_INFO_TOPIC][0]
    decoded = {topic: decompress(messages[topic][7], topic) for topic in TOPICS if topic != CAMERA_INFO_TOPIC}
    assert {topic: image.encoding for topic, image in decoded.items()} == {
        COLOR_TOPIC: "bgr8",
        DEPTH_TOPIC: "16UC1",
        NIR_TOPIC: "mono8",
        LABEL_TOPIC: "mono8",
    }
    for image in decoded.values():
        assert (image.height, image.width) == (info.height, info.width) == (384, 768)
    label = decoded[LABEL_TOPIC].data
    assert set(np.unique(label)) == {0, 1, 2, 3, 4}
    depth = decoded[DEPTH_TOPIC].data.view(np.uint16)
    assert 0.02 < np.mean(depth == 0) < 0.5


def test_the_maker_makes_this_recording(renderer, messages):
    frame = next(iter(drive(SHIPPED)))
    label = decompress(messages[LABEL_TOPIC][0], LABEL_TOPIC).data.reshape(384, 768)
    color = decompress(messages[COLOR_TOPIC][0], COLOR_TOPIC).data.reshape(384, 768, 3)
    # Other OpenGL drivers may place an edge differently, other JPEG coders round differently.
    assert np.mean(label == frame.sample.label) > 0.98
    assert cv2.PSNR(color, frame.sample.color) > 25
    assert frame.stamp_ns == stamp(messages[COLOR_TOPIC][0])
    assert frame.sample.depth.max() < 65


def test_the_robot_drives_at_its_speed_and_shakes_a_little(renderer, rig):
    plan = DrivePlan(15, seconds=3.0)
    poses = drive_poses(Scene(renderer, plan.scene_seed, rig), plan)
    position = np.array([pose.position for pose in poses])
    assert len(poses) == 30
    speed = np.linalg.norm(np.diff(position[:, :2], axis=0), axis=1) * plan.rate
    np.testing.assert_allclose(speed, plan.speed, rtol=0.05)
    pitch = np.arcsin([pose.rotation[2, 2] for pose in poses])
    assert 0 < np.degrees(np.abs(np.diff(pitch)).max()) < 2


def test_quantised_depth_keeps_holes_and_stays_near(rig):
    depth = np.full((20, 20), 4.0, np.float32)
    depth[:, 10:] = 8.0
    depth[0] = 0.0
    out = quantise_disparity(depth, rig, 0.125)
    assert (out[0] == 0).all()
    np.testing.assert_allclose(out[3:, :8], 4.0, rtol=0.004)
    np.testing.assert_allclose(out[3:, 13:], 8.0, rtol=0.008)
    product = rig.intrinsics.fx * rig.baseline
    steps = product / out[out > 0] / 0.125
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
