# SPDX-License-Identifier: Apache-2.0
"""One visit of the doctor: look at everything that is asked for, then say what was found."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.doctor import checks, installation, model
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.recording import observe_recording
from ssma_ros.doctor.report import Report
from ssma_ros.doctor.timing import rate_hz
from ssma_ros.sensors import DRIVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.doctor.setup import Setup


@dataclass(frozen=True)
class Visit:
    """What to look at.

    Attributes:
        recording: rosbag2 folder or file; None = the live graph of this shell.
        seconds: of the graph or of the recording; 0 leaves the graph out.
        mapping: roles of topics settled by the user.
        with_model: load the network and run it.
        ask_node: take parameters and topics from a running node.
    """

    recording: Path | None = None
    seconds: float = 5.0
    mapping: Mapping[str, str] | None = None
    with_model: bool = True
    ask_node: bool = False


def visit(asked: Visit, setup: Setup) -> Report:
    """Look and examine.

    Raises:
        SsmaError: the recording cannot be read at all.
    """
    report = Report(installation=installation.observe_installation(), seconds=asked.seconds)
    if asked.recording is not None:
        report.scene, found = observe_recording(asked.recording, setup, asked.seconds, asked.mapping)
        report.where = f"recording {asked.recording}"
        report.findings += found
    elif asked.seconds > 0 and importlib.util.find_spec("rclpy") is not None:
        _look_at_graph(report, asked, setup)
    else:
        report.findings += setup.findings
    if report.scene is not None:
        setup = report.scene.setup
        report.findings += checks.examine(report.scene)
    if asked.with_model:
        scene = report.scene
        rate = rate_hz(scene.inputs[DRIVER].arrived_ns) if scene is not None and scene.live else 0.0
        report.model = model.observe_model(setup.parameters, None if scene is None else scene.frame, rate)
        report.findings += model.examine(report.model)
    assert report.installation is not None
    report.findings += installation.examine(report.installation)
    return report


def _look_at_graph(report: Report, asked: Visit, setup: Setup) -> None:
    from ssma_ros.doctor.live import observe_graph
    from ssma_ros.ros.graph_probe import GraphProbe

    with GraphProbe() as probe:
        report.where = f"graph of ROS_DOMAIN_ID {probe.domain}"
        scene = observe_graph(probe, setup, asked.seconds, asked.mapping, ask_node=asked.ask_node)
    if scene.nodes or scene.topics:
        report.scene = scene
        return
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    report.findings += [
        *setup.findings,
        Finding("warning", "graph", f"nobody else is there (ROS_DOMAIN_ID {probe.domain}, discovery {reach})",
                "start the camera's driver, or look with its ROS_DOMAIN_ID and RMW_IMPLEMENTATION", part="graph",
                check="empty_graph"),
    ]
