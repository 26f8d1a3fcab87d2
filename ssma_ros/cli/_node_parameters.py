# SPDX-License-Identifier: Apache-2.0
"""The node's parameters for a command that works without ROS, read as ROS reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from ssma_ros.messages.assemble import AssemblyOptions
    from ssma_ros.ros.parameters import FusionParameters

_SECTION = "ros__parameters"
_FOR_ALL = ("/**", "/*", "**")


def add_parameter_arguments(parser: argparse.ArgumentParser, *named: str) -> None:
    """The arguments of a command that reads recordings as the node reads its topics.

    Args:
        parser: gets them; none has a default of its own, see :func:`parameters_of`.
        named: parameters of the node with a command line option of their own.
    """
    from ssma_ros.options import add_options
    from ssma_ros.ros.parameters import FusionParameters

    add_camera_arguments(parser)
    parser.add_argument("--params-file", metavar="FILE", help="YAML file with the node's parameters")
    parser.add_argument("-p", "--param", action="append", default=[], metavar="NAME:=VALUE",
                        help="set a parameter of the node, see docs/components.md")
    add_options(parser, FusionParameters, *named, unset=True)
    parser.add_argument("--topic", action="append", default=[], metavar="ROLE:=/TOPIC[@TYPE]",
                        help="use this topic for color, camera_info, depth, disparity or nir; ROLE:=none goes without")
    parser.add_argument("--any-frame-id", action="store_true",
                        help="take images whose frame_id differs from colour's")


def add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a camera's preset."""
    from ssma_ros.cameras import preset_names

    parser.add_argument("--camera", default="", metavar="NAME",
                        help=f"topics and parameters as this camera's driver has them: {', '.join(preset_names())}")
    parser.add_argument("--camera-prefix", default="", metavar="/NAME",
                        help="namespace and name of that driver, where they are not those of its own launch file")


def parameters_of(args: argparse.Namespace, *named: str) -> FusionParameters:
    """The node's parameters: the camera's, over them those of the file, of ``-p``, of the arguments that are ``named``.

    Raises:
        SsmaError: an unknown parameter or a wrong value.
    """
    from ssma_ros.cameras import settings_of
    from ssma_ros.ros.parameters import FusionParameters

    values = dict(settings_of(args.camera, args.camera_prefix)[1])
    values |= {} if args.params_file is None else read_params_file(Path(args.params_file))
    values |= read_assignments(args.param)
    for name in named:
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    if args.any_frame_id:
        values["check_frame_id"] = False
    return FusionParameters.from_values(values)


def topics_of(args: argparse.Namespace, parameters: FusionParameters) -> dict[str, str]:
    """Roles of topics that the camera names, the parameters switch off or ``--topic`` settles.

    Raises:
        SsmaError: a ``--topic`` of another form.
    """
    from ssma_ros.cameras import settings_of
    from ssma_ros.recordings.topics import NONE, parse_mapping
    from ssma_ros.sensors import SENSORS

    switched_off = {s: NONE for s in SENSORS if getattr(parameters, f"{s}_source", "image") == "none"}
    others = {f"{sensor}_camera_info" for sensor in SENSORS if not getattr(parameters, f"register_{sensor}", False)}
    named, _ = settings_of(args.camera, args.camera_prefix)
    of_camera = {role: topic for role, topic in named.items() if role not in others}
    return {**of_camera, **switched_off, **parse_mapping(args.topic)}


def assembly_of(parameters: FusionParameters) -> AssemblyOptions:
    """How the images of several sensors are put together."""
    from ssma_ros.messages.assemble import AssemblyOptions
    from ssma_ros.options import part
    from ssma_ros.sensors import readings, registered

    values = vars(parameters)
    return part(AssemblyOptions, parameters, readings=readings(values), registered=registered(values))


def read_params_file(path: Path) -> dict[str, Any]:
    """The parameters of a ROS 2 parameter file: those for every node, over them those of its one other node.

    Raises:
        SsmaError: no such file, not YAML, not of this form, parameters of several nodes, or an unknown one.
    """
    from ssma_ros.documents import load_yaml

    document = load_yaml(path, "parameter file")
    sections = _sections(document) if isinstance(document, dict) else {}
    if not sections:
        raise SsmaError(f"parameter file {path}: has no '{_SECTION}', expected NODE: {{{_SECTION}: {{NAME: VALUE}}}}")
    named = [name for name in sections if name not in _FOR_ALL]
    if len(named) > 1:
        ours = [name for name in named if name.rpartition("/")[2] == "ssma_fusion"]
        if len(ours) != 1:
            raise SsmaError(
                f"parameter file {path}: holds parameters of {', '.join(named)}, expected those of one node, or of "
                "ssma_fusion among them"
            )
        named = ours
    values: dict[str, Any] = {}
    for name in (*(name for name in sections if name in _FOR_ALL), *named):
        values |= sections[name]
    _check_names(values, f"parameter file {path}")
    return values


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parameters of ``NAME:=VALUE`` words; values are YAML, as for ``ros2 run``.

    Raises:
        SsmaError: no ``:=``, not YAML, or an unknown parameter.
    """
    from ssma_ros.documents import parse_yaml

    values: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition(":=")
        if not separator:
            raise SsmaError(f"argument '{assignment}', expected NAME:=VALUE")
        values[name] = parse_yaml(text, f"parameter {name}")
    _check_names(values, "argument")
    return values


def _sections(document: Mapping[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """Parameters by node; namespaces may be nested or written with slashes."""
    found: dict[str, dict[str, Any]] = {}
    for name, content in document.items():
        if not isinstance(content, dict):
            continue
        full = f"{prefix}/{name}" if prefix else str(name)
        if isinstance(content.get(_SECTION), dict):
            found[full] = content[_SECTION]
        found |= _sections({k: v for k, v in content.items() if k != _SECTION}, full)
    return found


def _check_names(values: Mapping[str, Any], where: str) -> None:
    """The node warns of an unknown name in its log; here nobody would see it."""
    from ssma_ros.ros.parameters import unknown_names

    for sentence in unknown_names(values):
        raise SsmaError(f"{where}: {sentence.replace(' and ignored', '')}")
