# SPDX-License-Identifier: Apache-2.0
"""Every parameter of the node: one typed, documented, frozen dataclass; no rclpy.

The node declares its parameters from this class, ``config/fusion.yaml`` and the table in ``docs/components.md``
are written from it (``python -m ssma_ros.ros.parameters``), and a test compares them.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ssma_ros.encodings.base import EncoderOptions, RobotEncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.inference.loading import ModelOptions
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.messages.catalogue import OutputOptions
from ssma_ros.options import Option, composed, option, options_of, part
from ssma_ros.ros.sensor_parameters import RELIABILITY, SensorParameters
from ssma_ros.segmenter import SegmenterOptions
from ssma_ros.sensors import registered
from ssma_ros.synchronization import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OF_RCLPY = ("use_sim_time", "start_type_description_service")
_TYPES = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite real number (with a decimal point)",
    str: "a string",
    tuple: "a list of strings",
}


@dataclass(frozen=True)
class NodeOptions:
    """What the node alone uses."""

    preprocessing_device: Literal["auto", "cpu", "gpu"] = option(
        "auto", "Where images become network inputs; auto: on the GPU where TensorRT or PyTorch runs the network "
        "there, else on the processor.",
    )
    autostart: bool = option(
        True, "Configure and activate by itself at start; set false where a lifecycle manager does it."
    )
    driver: Literal["color", "any"] = option(
        "color", "color: no output without the colour image. any: when it fails, depth or near infrared drives.",
    )
    camera_info_reliability: str = option(
        "best_effort", "QoS reliability of the camera_info subscriptions.", choices=RELIABILITY
    )
    input_queue: int = option(5, "QoS depth of the sensor subscriptions, messages.", low=1, high=100)
    diagnostics_period: float = option(
        1.0, "Seconds between two messages on /diagnostics; a change of level or reason is sent at once.",
        low=0.1, high=60.0,
    )


if TYPE_CHECKING:

    class _Parts(
        ModelOptions, RobotEncoderOptions, SyncOptions, AssemblyOptions, SegmenterOptions, OutputOptions, NodeOptions,
        SensorParameters,
    ):
        """See below."""

else:
    #: The options of each part of the program, which declares them where it uses them, in one dataclass.
    _Parts = composed(
        "_Parts", ModelOptions, RobotEncoderOptions, SyncOptions, AssemblyOptions, SegmenterOptions, OutputOptions,
        NodeOptions, SensorParameters,
    )


@dataclass(frozen=True)
class FusionParameters(_Parts):
    """Parameters of the fusion node. See the ``text`` of each for meaning and unit."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            problem = why_invalid(item.name, getattr(self, item.name))
            if problem is not None:
                raise SsmaError(problem)
        try:  # what parameters say together
            registered(vars(self))
            part(EncoderOptions, self)
        except ValueError as error:
            raise SsmaError(f"parameter {error}") from None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> FusionParameters:
        """Build from raw values (lists as ROS gives them); unknown names are ignored.

        Raises:
            SsmaError: a value has the wrong type or is out of range.
        """
        known = defaults()
        return cls(**{name: _frozen(value, known[name]) for name, value in values.items() if name in known})

    def replaced(self, changes: Mapping[str, Any]) -> FusionParameters:
        """A copy with some values changed.

        Raises:
            SsmaError: a value has the wrong type or is out of range.
        """
        known = defaults()
        return dataclasses.replace(self, **{name: _frozen(value, known[name]) for name, value in changes.items()})


def constraints() -> dict[str, Option]:
    """What every parameter means and may be, in order of declaration."""
    return options_of(FusionParameters)


def defaults() -> dict[str, Any]:
    """Default value of every parameter, in order of declaration."""
    return {item.name: item.default for item in dataclasses.fields(FusionParameters)}


def why_invalid(name: str, value: Any) -> str | None:
    """One sentence saying why ``value`` cannot be parameter ``name``, or None if it can."""
    constraint, default = constraints()[name], defaults()[name]
    if isinstance(default, tuple):
        if not isinstance(value, (tuple, list)) or not all(_is_element(v, constraint.element) for v in value):
            return wrong_type(name, value)
        return None if constraint.allows(value) else _sentence(name, list(value), constraint.range_words)
    if isinstance(default, float):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return wrong_type(name, value)
    elif type(value) is not type(default):
        return wrong_type(name, value)
    return None if constraint.allows(value) else _sentence(name, value, constraint.range_words)


def wrong_type(name: str, value: Any) -> str:
    """One sentence saying that ``value`` has not the type of parameter ``name``. ROS takes no 1 for a 1.0."""
    of_numbers = constraints()[name].element is float
    return _sentence(name, value, "a list of numbers" if of_numbers else _TYPES[type(defaults()[name])])


def _is_element(value: Any, kind: type) -> bool:
    if kind is not float:
        return isinstance(value, kind)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _sentence(name: str, value: Any, expected: str) -> str:
    return f"parameter {name} is {value!r}, expected {expected}"


def _frozen(value: Any, default: Any) -> Any:
    if value is None and isinstance(default, tuple):
        return ()  # an empty list in a YAML file has no type for ROS and arrives as "not set"
    return tuple(value) if isinstance(value, list) else value


def unknown_names(names: Iterable[str]) -> list[str]:
    """One sentence for each name that is no parameter, with the one that was probably meant.

    rclpy's own parameters (``use_sim_time``, ``qos_overrides…``, ``start_type_description_service``) are known.
    """
    known = defaults()
    sentences = []
    for name in names:
        if name in known or name in _OF_RCLPY or name.startswith("qos_overrides"):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"'{close[0]}'" if close else "a name from docs/components.md"
        sentences.append(f"parameter '{name}' is unknown and ignored, expected {hint}")
    return sentences


def to_yaml(node_name: str = "/**") -> str:
    """The text of ``config/fusion.yaml``: every parameter with its default, its text and its range."""
    lines = [
        "# Every parameter of the fusion node with its default. Written from ssma_ros/ros/parameters.py:",
        "# python -m ssma_ros.ros.parameters > config/fusion.yaml",
        f"{node_name}:",
        "  ros__parameters:",
    ]
    for name, default in defaults().items():
        constraint = constraints()[name]
        lines.append(f"    # {constraint.text}{_range_words(constraint)}")
        lines.append(f"    {name}: {_yaml(default)}")
    return "\n".join(lines) + "\n"


def to_markdown() -> str:
    """The parameter table of ``docs/components.md``."""
    lines = ["| parameter | default | live | meaning |", "|---|---|---|---|"]
    for name, default in defaults().items():
        constraint = constraints()[name]
        live = "yes" if constraint.live else "no"
        lines.append(f"| `{name}` | `{_yaml(default)}` | {live} | {constraint.text}{_range_words(constraint)} |")
    return "\n".join(lines) + "\n"


def _range_words(constraint: Option) -> str:
    words = constraint.range_words if constraint.choices is not None else f"range {constraint.range_words}"
    return f" {words[:1].upper()}{words[1:]}." if constraint.range_words else ""


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml(v) for v in value) + "]"
    return repr(value)


if __name__ == "__main__":
    print(to_yaml(), end="")
