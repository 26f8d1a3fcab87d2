# SPDX-License-Identifier: Apache-2.0
"""``ssma node``: the live fusion node, for machines without ``ros2 run`` and ``ros2 launch``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

NAME = "node"
HELP = "run the live ROS 2 node (rclpy); what ros2 launch ssma_ros fusion.launch.py does on a robot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--model", metavar="MODEL", help="shipped model, model folder or file")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE",
        help="set a parameter, see docs/components.md",
    )
    parser.add_argument(
        "-r", "--remap", action="append", default=[], metavar="FROM:=TO",
        help="remap a topic, for example camera/image_rect:=/zed/left/image_rect_color",
    )
    parser.add_argument("--params-file", metavar="FILE", help="YAML file with parameters")
    parser.add_argument("--namespace", metavar="NAMESPACE", help="namespace of the node and its topics")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warn, error or fatal")


def run(args: argparse.Namespace) -> int:
    """Run the node until it is interrupted."""
    from ssma_ros.inference import locate_model

    arguments = ros_arguments(args)
    if args.model:
        locate_model(args.model)
    if args.params_file and not Path(args.params_file).is_file():
        raise SsmaError(f"parameter file {args.params_file}: no such file, expected one as config/fusion.yaml is")
    if importlib.util.find_spec("rclpy") is None:
        raise SsmaError("rclpy is not installed, expected a sourced ROS 2 or: pip install 'ssma_ros[ros]'")
    from ssma_ros.ros.fusion_node import main

    return main(arguments)


def ros_arguments(args: argparse.Namespace) -> list[str]:
    """The arguments as rclpy reads them.

    Raises:
        SsmaError: an assignment has no ``:=``.
    """
    for assignment in (*args.param, *args.remap):
        if ":=" not in assignment:
            raise SsmaError(f"argument '{assignment}', expected NAME:=VALUE")
    ros = ["--ros-args"]
    if args.params_file:
        ros += ["--params-file", args.params_file]
    if args.model:
        ros += ["-p", f"model:={args.model}"]
    for assignment in args.param:
        ros += ["-p", assignment]
    for assignment in args.remap:
        ros += ["-r", assignment]
    if args.namespace:
        ros += ["-r", f"__ns:=/{args.namespace.strip('/')}"]
    if args.log_level:
        ros += ["--log-level", args.log_level]
    return ros
