# SPDX-License-Identifier: Apache-2.0
"""What is printed, as docs/deployment.md shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from doctor.made_up import depth, floor_and_wall, scene, watched
from ros import messages

from ssma_ros.doctor.checks import examine
from ssma_ros.doctor.choice import choose
from ssma_ros.doctor.finding import Finding, by_severity
from ssma_ros.doctor.installation import Installation
from ssma_ros.doctor.installation import examine as examine_installation
from ssma_ros.doctor.middleware import Middleware
from ssma_ros.doctor.model import ModelSeen
from ssma_ros.doctor.report import LAUNCH_ARGUMENTS, Report
from ssma_ros.doctor.scene import Offer
from ssma_ros.recordings.reader import Topic
from ssma_ros.ros.input_topics import CAMERA_INFO, IMAGE
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.sensors import DRIVER, SENSORS
from ssma_ros.version import __version__

INSTALLED = "/opt/ros2_ws/install/ssma_ros/share/ssma_ros"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
TOPICS = (
    ("/zed/left/image_rect_color", IMAGE), ("/zed/left/camera_info", CAMERA_INFO),
    ("/zed/depth/depth_registered", IMAGE), ("/mapir/nir/image_raw", IMAGE),
    ("/mapir/nir/camera_info", CAMERA_INFO),
)


def example() -> Report:
    """A ZED whose depth was set to millimetres and comes late, and a near infrared camera of its own."""
    made = scene(without=("color", "depth", "nir", "camera_info"))
    made.topics = tuple(Topic(name, kind, 1) for name, kind in TOPICS)
    choose(made, {}, "graph")
    for seen in made.inputs.values():
        seen.offers = (Offer(f"/{seen.topic.split('/')[1]}_node", seen.kind, "best_effort"),)
    picture = np.full((192, 384, 3), 90, np.uint8)
    twelve = np.full((192, 384), 3000, np.uint16)
    zed, mapir = {"frame_id": "zed_left_optical"}, {"frame_id": "mapir"}
    camera = messages.camera_info(384, 192, 250.0, header=messages.header(**zed))
    watched(
        made, late_s=0.25, color=lambda s: messages.image(picture, "bgr8", stamp_ns=s, **zed),
        depth=lambda s: depth(s, floor_and_wall() * 1000, "32FC1", **zed),
        nir=lambda s: messages.image(twelve, "mono16", stamp_ns=s, **mapir), camera_info=lambda _: camera,
    )
    installation = Installation(
        python="3.12.3", machine="x86_64", packages={
            "numpy": "1.26.4", "cv2": "4.6.0", "numba": "0.58.1", "openvino": "2025.2.0", "rclpy": "7.1.4",
            "tensorrt": "",
        },
        ros="jazzy", ros_packages=("tf2_ros", "vision_msgs", "bondpy"), middleware=Middleware(),
        gpu="GPU: no NVIDIA driver on this machine", kernels="/opt/ros2_ws/install/…/__pycache__", kernels_kept=80,
    )
    return Report([*examine(made), *examine_installation(installation)], installation, None, made,
                  "graph of ROS_DOMAIN_ID 0", 5.0)


def test_the_page_shows_what_is_printed() -> None:
    text = example().text().replace(__version__, "0.1.0")
    text = re.sub(r"(?<==)\S+(/config/fastdds\.xml)", rf"{INSTALLED}\1", text)
    shown = re.search(r"```\n(ssma doctor \d.*?)\n```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert shown is not None, text
    assert shown[1].splitlines() == text.splitlines()


def test_the_worst_comes_first_and_what_belongs_together_together() -> None:
    findings = [Finding("note", "a", "", ""), Finding("error", "b", "1", ""), Finding("warning", "c", "", ""),
                Finding("error", "a", "", ""), Finding("error", "b", "2", "")]
    ordered = [(f.severity, f.about, f.seen) for f in by_severity(findings)]
    assert ordered == [("error", "a", ""), ("error", "b", "1"), ("error", "b", "2"), ("warning", "c", ""),
                       ("note", "a", "")]


def test_of_two_values_for_one_parameter_the_worst_findings_counts() -> None:
    slop, wider = {"sync_slop": 0.1}, {"sync_slop": 0.2}
    report = Report([Finding("warning", "x", "", "", slop), Finding("error", "y", "", "", wider)])
    assert report.parameters() == {"sync_slop": 0.2}
    assert report.status == 1
    assert Report([Finding("warning", "x", "", "")]).status == 0


def test_topics_without_an_argument_of_the_launch_file_are_remapped_by_hand() -> None:
    report = Report([Finding("error", "x", "", "", {}, {"depth/image_rect/compressedDepth": "/d"})])
    assert report.text().endswith("-r depth/image_rect/compressedDepth:=/d")


def test_every_launch_argument_is_one() -> None:
    """As the launch file's own table has it, which needs launch to be imported."""
    source = (PAGE.parents[1] / "launch" / "fusion.launch.py").read_text(encoding="utf-8")
    table = source[source.index("TOPICS = (") : source.index("# What most drivers")]
    scope: dict[str, Any] = {"SENSORS": SENSORS, "DRIVER": DRIVER}
    exec(table, scope)
    assert {row[-2]: row[0] for row in scope["TOPICS"]} == LAUNCH_ARGUMENTS


def test_a_network_is_described() -> None:
    report = Report(model=ModelSeen(FusionParameters()))
    assert report.text().startswith("ssma doctor")
    assert report.document()["model"]["contract"] is None
