# SPDX-License-Identifier: Apache-2.0
"""``ssma doctor``: what is wrong with installation, network and the robot's topics, and what to set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse

NAME = "doctor"
HELP = (
    "say what is wrong with the installation, the network, and the topics of a live graph or a recording, and what to "
    "set; the exit status is 1 where something is an error"
)
#: Seconds that are looked at where nobody says otherwise.
_LIVE_S, _RECORDED_S = 5.0, 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; those that the node takes mean what they mean for ``ssma node``."""
    parser.add_argument(
        "recording", nargs="?", help="rosbag2 folder, .mcap or .db3 file; without it the live graph of this shell"
    )
    parser.add_argument(
        "--seconds", type=float, metavar="S",
        help=f"how much of it to look at ({_LIVE_S:g} of a graph, {_RECORDED_S:g} of a recording); 0 leaves the graph "
        "out",
    )
    parser.add_argument("--no-model", action="store_true", help="do not load the network (a robot that is at work)")
    parser.add_argument("--model", metavar="MODEL", help="shipped model, model folder or file")
    parser.add_argument(
        "--params-file", action="append", default=[], metavar="FILE", help="parameter file of the node; may be repeated"
    )
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter as the node is given it"
    )
    parser.add_argument(
        "-r", "--remap", action="append", default=[], metavar="FROM:=TO", help="a remapping as the node is given it"
    )
    parser.add_argument("--camera", default="", metavar="NAME", help="a camera's preset, as the launch file takes it")
    parser.add_argument("--camera-prefix", default="", metavar="/NAME", help="where its driver's topics lie")
    parser.add_argument("--namespace", metavar="NAMESPACE", help="namespace of the node")
    parser.add_argument(
        "--topic", action="append", default=[], metavar="ROLE:=/TOPIC[@TYPE]",
        help="look at this topic for color, camera_info, depth, disparity, nir or thermal; ROLE:=none goes without",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything that was seen and found")


def run(args: argparse.Namespace) -> int:
    """Look, print, and answer 1 where something is an error."""
    from ssma_ros.cameras import settings_of
    from ssma_ros.doctor.names import read_names
    from ssma_ros.doctor.run import Visit, visit
    from ssma_ros.doctor.setup import read_setup
    from ssma_ros.files import check_file_writable, write_json
    from ssma_ros.messages.assemble import DEFAULT_TOPICS
    from ssma_ros.recordings.topics import parse_mapping

    if args.json:
        check_file_writable(args.json)
    seconds = args.seconds
    if seconds is None:
        seconds = _LIVE_S if args.recording is None else _RECORDED_S
    if not 0 <= seconds <= 3600 or (args.recording is not None and seconds == 0):
        raise SsmaError(f"seconds: got {seconds:g}, expected more than 0, at most 3600 (0 leaves the graph out)")
    mapping = parse_mapping(args.topic)
    topics, parameters = settings_of(args.camera, args.camera_prefix)
    remaps = [*args.remap, *(f"{DEFAULT_TOPICS[role]}:={topic}" for role, topic in topics.items())]
    setup = read_setup(args.params_file, args.param, read_names(remaps, args.namespace), args.model, parameters)
    given = (args.params_file, args.param, args.remap, args.topic, args.model, args.camera)
    report = visit(
        Visit(
            None if args.recording is None else Path(args.recording), seconds, mapping,
            with_model=not args.no_model, ask_node=not any(given),
        ),
        setup,
    )
    print(report.text())
    if args.json:
        write_json(args.json, report.document())
    return report.status
