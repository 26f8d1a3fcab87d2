# SPDX-License-Identifier: Apache-2.0
"""``ssma node`` hands its arguments to rclpy as ``ros2 run`` would."""

from __future__ import annotations

import argparse

import pytest

from ssma_ros.cli import node
from ssma_ros.errors import SsmaError


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    node.add_arguments(parser)
    return parser.parse_args(arguments)


def test_arguments_become_ros_arguments() -> None:
    arguments = parsed(
        "--model", "m", "-p", "threads:=1", "-r", "nir/image_rect:=/nir", "--namespace", "front",
        "--log-level", "debug", "--params-file", "p.yaml",
    )
    assert node.ros_arguments(arguments) == [
        "--ros-args", "--params-file", "p.yaml", "-p", "model:=m", "-p", "threads:=1", "-r", "nir/image_rect:=/nir",
        "-r", "__ns:=/front", "--log-level", "debug",
    ]
    assert node.ros_arguments(parsed()) == ["--ros-args"]


def test_an_assignment_without_its_sign_is_refused() -> None:
    with pytest.raises(SsmaError, match="argument 'threads=1', expected NAME:=VALUE"):
        node.ros_arguments(parsed("-p", "threads=1"))
