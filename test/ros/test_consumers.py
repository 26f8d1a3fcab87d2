# SPDX-License-Identifier: Apache-2.0
"""Consumers as they read us, live: their QoS, their synchronisation, their arithmetic on sizes, steps and fields.

The rules are taken down from the packages' own sources: nav2 semantic_segmentation_layer (kiwicampus),
elevation_mapping_cupy's ROS 2 node; those of rviz and Foxglove from what their displays accept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros.live import INPUTS, NODE, Cameras, NodeProcess, Peer, live_node, stamp_of, wait_until
from ros.stub_network import stub_contract
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from ssma_ros.ros.message_types import required_message_class
from ssma_ros.ros.publishers import message_class

LABEL_INFO, CHANNEL_INFO = "vision_msgs/msg/LabelInfo", "elevation_map_msgs/msg/ChannelInfo"
CLASSES = stub_contract().labels.names
#: nav2_ros_common's SensorDataQoS(50) and LatchedSubscriptionQoS(5).
NAV2_SENSOR = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE)
NAV2_LATCHED = QoSProfile(
    depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
#: message_filters.Subscriber without a profile, and the cloud's own in elevation_mapping_cupy.
ELEVATION_IMAGE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
ELEVATION_CLOUD = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
#: rviz2 displays: reliable, volatile, depth 5.
RVIZ = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
#: Encodings that Foxglove's image panel draws.
FOXGLOVE = {"mono8", "mono16", "8UC1", "16UC1", "32FC1", "rgb8", "bgr8", "rgba8", "bgra8", "8UC3"}
POINT_TYPES = {2: "u1", 4: "<u2", 7: "<f4"}


class Graph:
    """A node with cameras in front of it; what each consumer hears is kept by its name and the topic."""

    def __init__(self, node: NodeProcess, peer: Peer) -> None:
        self.node, self.peer = node, peer
        self.cameras = Cameras(peer)
        self.cameras.depth[:8] = 0  # a part of the picture without depth

    def listen(self, kinds: dict[str, Any], qos: QoSProfile) -> dict[str, list[Any]]:
        """Subscribe to topics below the node's name as one consumer."""
        heard: dict[str, list[Any]] = {topic: [] for topic in kinds}
        for topic, kind in kinds.items():
            self.peer.node.create_subscription(kind, f"{NODE}/{topic}", heard[topic].append, qos)
        return heard

    def moment(self, *heard: dict[str, list[Any]]) -> list[dict[str, Any]]:
        """Play until everybody has heard every topic under one stamp; gives these messages."""

        def common() -> list[dict[str, Any]]:
            self.cameras.publish()
            time.sleep(0.05)
            stamps = [{stamp_of(m) for m in messages} for topics in heard for messages in topics.values()]
            together = set.intersection(*stamps)
            if not together:
                return []
            stamp = max(together)
            return [
                {topic: next(m for m in messages if stamp_of(m) == stamp) for topic, messages in topics.items()}
                for topics in heard
            ]

        return list(wait_until(common, f"one moment on all topics\n{self.node.text()}"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory, module_domain: int) -> Iterator[Graph]:
    folder = tmp_path_factory.mktemp("consumers")
    with live_node(folder, module_domain, "-p", "points_semantic_fields:=['*']") as (node, peer):
        graph = Graph(node, peer)
        peer.wait_matched([f"{NODE}/mask"], INPUTS)
        yield graph


def cells(cloud: PointCloud2) -> Any:
    """The points by their fields, as every reader of PointCloud2 takes them apart; H×W."""
    layout = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [POINT_TYPES[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    assert all(field.count == 1 for field in cloud.fields)
    assert cloud.row_step == cloud.point_step * cloud.width
    assert len(cloud.data) == cloud.row_step * cloud.height
    assert not cloud.is_bigendian
    return np.frombuffer(cloud.data, layout).reshape(cloud.height, cloud.width)


def nav2_tiles(mask: Image, confidence: Image, cloud: PointCloud2, resolution: float) -> dict[tuple[int, int], int]:
    """Class of each tile of the ground as the layer picks it: the most confident pixel, read by plain indices."""
    assert mask.width * mask.height == cloud.width * cloud.height
    assert len(mask.data) >= mask.width * mask.height
    assert len(confidence.data) >= mask.width * mask.height  # the layer does not check it
    points = cells(cloud).reshape(-1)
    best: dict[tuple[int, int], int] = {}
    for v in range(mask.height):
        for u in range(mask.width):
            index = v * mask.width + u
            if not np.isfinite(points["z"][index]):
                continue
            tile = (int(points["x"][index] // resolution), int(points["y"][index] // resolution))
            if tile not in best or confidence.data[index] > confidence.data[best[tile]]:
                best[tile] = index
    return {tile: mask.data[index] for tile, index in best.items()}


def test_nav2_semantic_segmentation_layer(graph: Graph) -> None:
    """Exact synchronisation of best effort subscriptions; tiles get the class that the picture shows there."""
    heard = graph.listen({"mask": Image, "confidence": Image, "points": PointCloud2}, NAV2_SENSOR)
    (moment,) = graph.moment(heard)
    mask, confidence, cloud = moment["mask"], moment["confidence"], moment["points"]
    assert mask.header == confidence.header == cloud.header
    assert mask.encoding == confidence.encoding == "mono8"
    assert mask.step == mask.width
    assert {f.name: f.datatype for f in cloud.fields if f.name in "xyz"} == {"x": 7, "y": 7, "z": 7}
    tiles = nav2_tiles(mask, confidence, cloud, 0.05)
    assert len(tiles) > 100
    # The cameras' scene: four upright bands of classes 0 to 3 on a wall 2.5 m away, focal length 0.8 of the width.
    width, centre = mask.width, (mask.width - 1) / 2
    for (x, _), found in tiles.items():
        columns = np.array([x * 0.05, (x + 1) * 0.05]) / 2.5 * 0.8 * width + centre
        bands = np.clip(columns * 4 // width, 0, 3)
        assert bands[0] <= found <= bands[1]


def test_nav2_gets_the_label_info_however_late_it_joins(graph: Graph) -> None:
    if message_class(LABEL_INFO) is None:
        pytest.skip("vision_msgs is not installed, and the node does not offer label_info then")
    graph.moment(graph.listen({"mask": Image}, NAV2_SENSOR))  # the node has been active for long
    heard = graph.listen({"label_info": required_message_class(LABEL_INFO)}, NAV2_LATCHED)
    info = wait_until(lambda: heard["label_info"], "label_info")[0]
    names = {entry.class_id: entry.class_name for entry in info.class_map}
    assert names == dict(enumerate(CLASSES))
    assert max(names) < 255  # the layer keeps ids in eight bits, and 255 is no class


def test_elevation_mapping_takes_planes_and_a_camera_info_that_fit_the_cloud(graph: Graph) -> None:
    images = graph.listen({"semantic_image": Image, "camera_info": CameraInfo}, ELEVATION_IMAGE)
    clouds = graph.listen({"points": PointCloud2}, ELEVATION_CLOUD)
    image_moment, cloud_moment = graph.moment(images, clouds)
    image, info, cloud = image_moment["semantic_image"], image_moment["camera_info"], cloud_moment["points"]
    assert abs(stamp_of(image) - stamp_of(info)) <= 0.5e9
    assert image.encoding == f"32FC{len(CLASSES)}"  # as cv_bridge's passthrough takes it apart
    assert image.step == image.width * 4 * len(CLASSES)
    planes = np.frombuffer(image.data, "<f4").reshape(image.height, image.width, len(CLASSES))
    assert (info.width, info.height) == (image.width, image.height)
    assert list(info.d[:5]) == [0.0] * 5

    # A point of the cloud, projected with K as the map's cells are, meets its own pixel of the image.
    points = cells(cloud)
    there = np.isfinite(points["z"])
    assert 0 < there.sum() < there.size
    k = np.array(info.k).reshape(3, 3)
    xyz = np.stack([points["x"], points["y"], points["z"]])[:, there]
    projected = k @ xyz
    v, u = np.nonzero(there)
    np.testing.assert_allclose(projected[0] / projected[2], u, atol=1e-3)
    np.testing.assert_allclose(projected[1] / projected[2], v, atol=1e-3)
    for channel, name in enumerate(CLASSES):
        np.testing.assert_allclose(points[f"sem_{name}"], planes[..., channel], atol=1e-6)


def test_elevation_mapping_gets_channel_names_with_every_frame(graph: Graph) -> None:
    if message_class(CHANNEL_INFO) is None:
        pytest.skip("elevation_map_msgs is not installed, and the node does not offer channel_info then")
    kinds = {"semantic_image": Image, "channel_info": required_message_class(CHANNEL_INFO)}
    (moment,) = graph.moment(graph.listen(kinds, ELEVATION_IMAGE))
    assert moment["channel_info"].header == moment["semantic_image"].header
    assert list(moment["channel_info"].channels) == [f"sem_{name}" for name in CLASSES]


def test_mask_confidence_and_cloud_agree_pixel_by_pixel(graph: Graph) -> None:
    kinds = {"mask": Image, "confidence": Image, "points": PointCloud2, "color_mask": Image}
    (moment,) = graph.moment(graph.listen(kinds, RVIZ))
    points = cells(moment["points"])
    shape = points.shape
    np.testing.assert_array_equal(points["label"], np.frombuffer(moment["mask"].data, np.uint8).reshape(shape))
    confidence = np.frombuffer(moment["confidence"].data, np.uint8).reshape(shape)
    np.testing.assert_allclose(points["confidence"], confidence / 255, atol=1e-6)
    rgb = np.frombuffer(moment["color_mask"].data, np.uint8).reshape(*shape, 3).astype(np.uint32)
    packed = np.ascontiguousarray(points["rgb"]).view("<u4")
    np.testing.assert_array_equal(packed, rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2])


def test_rviz_and_foxglove_draw_every_image_and_the_cloud(graph: Graph) -> None:
    """Colours as rgb8, clouds of float32, a frame to show them in; nothing that Foxglove cannot draw."""
    names = ["mask", "confidence", "color_mask", "overlay", "hha", "evi", "depth_completed", "traversability"]
    names += [f"confidence/{CLASSES[0]}", "modality_weights/hha"]
    heard = graph.listen({**dict.fromkeys(names, Image), "points": PointCloud2}, RVIZ)
    (moment,) = graph.moment(heard)
    per_pixel = {"mono8": 1, "rgb8": 3, "bgr8": 3, "32FC1": 4}
    for name in names:
        image = moment[name]
        assert image.encoding in FOXGLOVE, name
        assert image.header.frame_id == "camera_optical"
        assert image.step == image.width * per_pixel[image.encoding], name
        assert len(image.data) == image.step * image.height, name
    assert moment["color_mask"].encoding == moment["overlay"].encoding == "rgb8"
    fields = {field.name: (field.datatype, field.offset % 4) for field in moment["points"].fields}
    assert all(fields[name] == (7, 0) for name in ("x", "y", "z", "rgb"))
    assert moment["points"].is_dense is False  # there are points without depth
    assert moment["points"].header.frame_id == "camera_optical"
