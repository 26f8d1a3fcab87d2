# SPDX-License-Identifier: Apache-2.0
"""The doctor in a live graph in which our node does not run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from doctor.robot import Camera, healthy, robot

from ssma_ros.doctor.checks import examine
from ssma_ros.doctor.finding import Finding
from ssma_ros.doctor.live import observe_graph
from ssma_ros.doctor.names import Names, read_names
from ssma_ros.doctor.scene import Scene
from ssma_ros.doctor.setup import make_setup
from ssma_ros.ros.graph_probe import GraphProbe

_numbers = itertools.count()


def look(cameras: Mapping[str, Camera], *remaps: str, seconds: float = 1.2, **parameters: object) -> Scene:
    domain = 1 + (os.getpid() * 7 + next(_numbers)) % 100
    names = read_names(remaps) if remaps else Names()
    with robot(domain, cameras), GraphProbe(domain=domain) as probe:
        return observe_graph(probe, make_setup(parameters, names), seconds)


def errors(scene: Scene) -> list[Finding]:
    return [found for found in examine(scene) if found.severity == "error"]


def test_a_healthy_robot_has_no_errors() -> None:
    scene = look(healthy())
    assert errors(scene) == []
