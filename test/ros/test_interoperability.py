# SPDX-License-Identifier: Apache-2.0
"""What other nodes read and write messages with: cv_bridge and sensor_msgs_py, where a ROS 2 distribution has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ros.test_outputs import all_fields, pixels, points, scene, segmented
from sensor_msgs.msg import PointCloud2

from ssma_ros.messages.decode import image_of
from ssma_ros.ros.publishers import fill, message_class, reusable_message
from ssma_ros.sensors import SENSORS

COLOR = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
MILLIMETRES = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)


@pytest.fixture(scope="module")
def bridge() -> Any:
    return pytest.importorskip("cv_bridge", reason="cv_bridge is not installed").CvBridge()


@pytest.fixture(scope="module")
def outputs() -> dict[str, dict[str, Any]]:
    frame = scene()
    return all_fields(segmented(frame), frame, points_semantic_fields=("*",))


def test_cv_bridge_reads_every_image_that_the_node_publishes(bridge: Any, outputs: dict[str, dict[str, Any]]) -> None:
    images = {topic: fields for topic, fields in outputs.items() if "encoding" in fields}
    assert {"mask", "confidence", "color_mask", "semantic_image", "depth_completed"} <= set(images)
    for topic, fields in images.items():
        message = reusable_message(message_class("sensor_msgs/msg/Image"))
        fill(message, fields)
        np.testing.assert_array_equal(np.squeeze(bridge.imgmsg_to_cv2(message)), np.squeeze(pixels(fields)), topic)


def test_sensor_msgs_py_reads_the_cloud(outputs: dict[str, dict[str, Any]]) -> None:
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is not installed")
    fields = outputs["points"]
    message = reusable_message(PointCloud2)
    fill(message, fields)
    expected = points(fields).reshape(-1)
    found = point_cloud2.read_points(message)
    assert set(found.dtype.names) == set(expected.dtype.names)
    for name in expected.dtype.names:
        np.testing.assert_array_equal(found[name], expected[name], name)
    there = point_cloud2.read_points(message, ["x", "y", "z", "label"], skip_nans=True)
    assert 0 < there.size == np.isfinite(expected["z"]).sum()


@pytest.mark.parametrize(
    ("sensor", "encoding", "array", "expected"),
    [
        ("color", "bgr8", COLOR, COLOR),
        ("color", "rgb8", COLOR, COLOR[..., ::-1]),
        ("depth", "16UC1", MILLIMETRES, MILLIMETRES.astype(np.float32) * np.float32(0.001)),
        ("depth", "32FC1", MILLIMETRES.astype(np.float32) / 7, MILLIMETRES.astype(np.float32) / 7),
        ("nir", "mono8", COLOR[..., 0], COLOR[..., 0]),
        ("nir", "passthrough", COLOR[..., 0], COLOR[..., 0]),
        ("nir", "mono16", MILLIMETRES, MILLIMETRES),
        ("thermal", "16UC1", MILLIMETRES + 29000, (MILLIMETRES + 29000).astype(np.float32) * np.float32(0.01)),
    ],
)
def test_what_cv_bridge_writes_is_understood(
    bridge: Any, sensor: str, encoding: str, array: np.ndarray, expected: np.ndarray
) -> None:
    message = bridge.cv2_to_imgmsg(np.ascontiguousarray(array), encoding)
    found, _ = image_of(SENSORS[sensor], message, sensor)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_what_cv_bridge_compresses_is_understood(bridge: Any, kind: str) -> None:
    message = bridge.cv2_to_compressed_imgmsg(COLOR, kind)
    found, _ = image_of(SENSORS["color"], message, "color")
    np.testing.assert_array_equal(found, bridge.compressed_imgmsg_to_cv2(message))
