# SPDX-License-Identifier: Apache-2.0
"""The doctor in live graphs: what a publisher really does is what the checks are given. In one graph many faults."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from doctor import robot as cameras
from doctor.robot import Camera, healthy, robot
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros.live import RELIABLE, image_message, live_node, wait_until
from sensor_msgs.msg import CameraInfo, CompressedImage

from ssma_ros.doctor.checks import examine
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.live import observe_graph
from ssma_ros.doctor.names import Names, read_names
from ssma_ros.doctor.report import Report
from ssma_ros.doctor.scene import Scene
from ssma_ros.doctor.setup import make_setup
from ssma_ros.ros.graph_probe import GraphProbe

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_numbers = itertools.count()


def new_domain() -> int:
    return 1 + (os.getpid() * 7 + next(_numbers)) % 100


def look(there: Mapping[str, Camera], *remaps: str, seconds: float = 1.5, **parameters: Any) -> Scene:
    domain = new_domain()
    setup = make_setup(parameters, read_names(remaps) if remaps else Names())
    with robot(domain, there), GraphProbe(domain=domain) as probe:
        return observe_graph(probe, setup, seconds)


def told(scene: Scene, *severities: str) -> dict[str, list[Finding]]:
    """Findings by what they are about."""
    findings: dict[str, list[Finding]] = {}
    for found in examine(scene):
        if found.severity in severities:
            findings.setdefault(found.about, []).append(found)
    return findings


def checks(findings: list[Finding]) -> set[str]:
    return {found.check for found in findings}


def test_a_healthy_robot_has_no_errors() -> None:
    scene = look(healthy())
    assert told(scene, "error") == {}
    for seen in scene.inputs.values():
        assert seen.count > 5
        assert [offer.node for offer in seen.offers] == ["/peer"]
    assert scene.frame is not None
    assert set(scene.frame.images) == {"color", "depth", "nir"}


def test_a_robot_whose_driver_calls_everything_otherwise() -> None:
    """Other names, a latched calibration, depth in millimetres that comes late, 12 bits of near infrared."""
    millimetres = np.repeat(np.linspace(8000, 1500, cameras.HEIGHT, dtype=np.float32)[:, None], cameras.WIDTH, 1)
    twelve = np.full((cameras.HEIGHT, cameras.WIDTH), 3000, np.uint16)
    frame = cameras.FRAME_ID
    scene = look({
        "/zed/left/image_rect_color": Camera(cameras.color),
        "/zed/left/camera_info": Camera(cameras.info, CameraInfo, qos=LATCHED, once=True),
        "/zed/depth/depth_registered": Camera(lambda s: image_message(millimetres, "32FC1", s, frame), late_s=0.3),
        "/nir/image_rect": Camera(lambda s: image_message(twelve, "mono16", s, frame)),
    }, nir_reliability="reliable")  # fmt: skip
    findings = told(scene, "error")
    assert checks(findings["color"]) == {"nobody_publishes"}
    assert checks(findings["camera_info"]) == {"nobody_publishes"}, "the latched one was received"
    assert scene.inputs["camera_info"].count == 1
    assert checks(findings["depth"]) == {"nobody_publishes", "values", "late"}
    assert checks(findings["nir"]) == {"values", "qos_does_not_fit"}
    report = Report(examine(scene), scene=scene, where="here", seconds=1.5)
    parameters = report.parameters()
    assert parameters.pop("sync_timeout") >= 0.3
    assert parameters == {"depth_scale": 0.001, "nir_reliability": "best_effort", "nir_full_scale": 4095.0}
    assert report.remaps() == {
        "camera/image_rect": "/zed/left/image_rect_color", "camera/camera_info": "/zed/left/camera_info",
        "depth/image_rect": "/zed/depth/depth_registered",
    }
    assert report.text().rstrip().endswith(
        "ros2 launch ssma_ros fusion.launch.py color:=/zed/left/image_rect_color depth:=/zed/depth/depth_registered "
        "color_info:=/zed/left/camera_info"
    )


def test_a_robot_whose_topics_are_there_and_wrong() -> None:
    """Another type, a calibration sent once to nobody, no stamps, and raw colour that is remapped by the caller."""

    def compressed(stamp_ns: int) -> CompressedImage:
        message = CompressedImage(format="16UC1; compressedDepth png")
        message.header = cameras.depth(stamp_ns).header
        return message

    there = {
        "/cam/image": Camera(cameras.color, qos=RELIABLE),
        "/camera/camera_info": Camera(cameras.info, CameraInfo, once=True),
        "/depth/image_rect": Camera(compressed, CompressedImage),
        "/nir/image_rect": Camera(lambda _: cameras.nir(0)),
    }
    findings = told(look(there, "camera/image_rect:=/cam/image"), "error")
    assert "color" not in findings
    assert checks(findings["camera_info"]) == {"silent"}
    (other,) = [found for found in findings["depth"] if found.check == "other_types"]
    assert other.parameters == {"depth_transport": "compressedDepth"}
    assert checks(findings["nir"]) == {"not_stamped"}


def test_an_empty_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    from ssma_ros.doctor.run import Visit, visit

    monkeypatch.setenv("ROS_DOMAIN_ID", str(new_domain()))
    monkeypatch.setattr("ssma_ros.doctor.live._DISCOVERY_S", 0.3)
    report = visit(Visit(seconds=0.1, with_model=False), make_setup({}, Names()))
    assert report.scene is None
    assert [found.severity for found in report.findings if found.check == "empty_graph"] == ["warning"]


@pytest.mark.slow
def test_a_running_node_is_asked_for_its_setup(tmp_path: Path) -> None:
    """Its parameters, its remapped topics, and what it says itself; without a word on the command line."""
    domain = new_domain()
    arguments = ("-r", "camera/image_rect:=/cam/image", "-p", "sync_slop:=0.2", "-p", "depth_source:=none")
    there = {"/cam/image": Camera(cameras.color), "/camera/camera_info": Camera(cameras.info, CameraInfo)}
    with live_node(tmp_path, domain, *arguments) as (node, _), robot(domain, there) as peer:
        node.wait_for_text("active after")
        wait_until(lambda: peer.node.count_subscribers("/cam/image"), "the node listens")
        with GraphProbe(domain=domain) as probe:
            scene = observe_graph(probe, make_setup({}, Names()), 2.0, ask_node=True)
    assert "/ssma_fusion" in scene.nodes
    assert (scene.setup.parameters.sync_slop, scene.setup.parameters.depth_source) == (0.2, "none")
    assert scene.inputs["color"].topic == "/cam/image"
    assert "depth" not in scene.inputs
    findings = told(scene, "error", "warning")
    assert any("the running node says: no nir message on /nir/image_rect" in f.seen for f in findings["nir"])
    assert checks(findings["nir"]) == {"node_says", "nobody_publishes"}
    assert "color" not in findings
