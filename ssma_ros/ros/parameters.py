"""Every parameter of the node: one typed, documented, frozen dataclass; no rclpy.

The node declares its parameters from this class, ``config/fusion.yaml`` and the table in ``docs/components.md``
are written from it (``python -m ssma_ros.ros.parameters``), and a test compares them.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError
from ssma_ros.options import Option, option, options_of
from ssma_ros.ros.sensor_parameters import RELIABILITY, SensorParameters, sensor_parameter_names

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
class FusionParameters(SensorParameters):
    """Parameters of the fusion node. See the ``text`` of each for meaning and unit."""

    model: str = option(
        "forest_rgb_hha_evi",
        "Network: name of a shipped model, a model folder, or a .onnx, .engine or .safetensors file.",
    )
    backend: str = option(
        "auto", "What runs the network.", choices=("auto", "openvino", "onnxruntime", "tensorrt", "torch")
    )
    precision: str = option(
        "auto", "Arithmetic of the network, as far as the backend has it.",
        choices=("auto", "fp32", "bf16", "fp16", "int8"),
    )
    threads: int = option(0, "CPU threads of the network; 0 = all cores.", low=0, high=1024)
    preprocessing_threads: int = option(1, "CPU threads of the depth preprocessing.", low=1, high=64)
    preprocessing_device: str = option(
        "auto", "Where images become network inputs; auto: on the GPU where TensorRT runs the network, else on the "
        "processor.", choices=("auto", "cpu", "gpu"),
    )
    rebuild_engine: bool = option(
        False, "With TensorRT, build a missing or stale engine from the .onnx beside it at configure; takes minutes.",
    )
    cache_dir: str = option(
        "", "Folder where OpenVINO keeps compiled networks and TensorRT engines it builds; empty: none are kept, and "
        "engines lie beside their .onnx.",
    )
    autostart: bool = option(
        True, "Configure and activate by itself at start; set false where a lifecycle manager does it."
    )
    driver: str = option(
        "color", "color: no output without the colour image. any: when it fails, depth or near infrared drives.",
        choices=("color", "any"),
    )
    sync_slop: float = option(
        0.05, "Largest stamp difference between the driving image and a partner, seconds.",
        live=True, low=0.0, high=10.0,
    )
    sync_timeout: float = option(
        0.1, "How long a driving image waits for its partners after it arrived, seconds.", live=True, low=0.0, high=10.0
    )
    stale_after: float = option(
        0.5, "A sensor silent for longer is reported and no longer waited for, seconds. More than its period.",
        live=True, low=0.01, high=3600.0,
    )
    size_mismatch: str = option(
        "refuse", "Depth or near infrared of another size than the driving image: refuse it, or resize it "
        "(only where both show the same field of view).", live=True, choices=("refuse", "resize"),
    )
    check_frame_id: bool = option(
        True, "Refuse depth and near infrared whose frame_id differs from the driving image's.", live=True
    )
    register_depth: bool = option(
        False, "Reproject depth of another frame_id into the colour camera with tf and depth/camera_info "
        "(needs tf2_ros).",
    )
    gravity_frame: str = option(
        "", "tf frame whose z axis points up (odom, base_footprint); gravity for HHA is taken from it. "
        "Empty: estimated from the depth image. Needs tf2_ros.",
    )
    gravity_guard: bool = option(
        True, "Refuse a gravity estimate that tilts the camera by over 45 degrees or rests on few normals; the last "
        "good one holds, or the camera counts as level.",
    )
    gravity_smoothing: float = option(
        0.5, "Time constant of a low-pass on the gravity estimated from depth, seconds; 0 = each image by itself.",
        low=0.0, high=60.0,
    )
    camera_height: float = option(
        0.0, "Height of the colour camera over the ground, metres: the floor of HHA's height channel; 0 = as the "
        "network's contract says.", low=0.0, high=20.0,
    )
    camera_info_reliability: str = option(
        "best_effort", "QoS reliability of the camera_info subscriptions.", choices=RELIABILITY
    )
    input_queue: int = option(5, "QoS depth of the sensor subscriptions, messages.", low=1, high=100)
    output_resolution: str = option(
        "network", "Size of all output images: the network's own, or the camera's (resampled).",
        live=True, choices=("network", "camera"),
    )
    min_confidence: float = option(
        0.0, "Pixels whose winning class is less probable become 255, unlabelled; 0..1.", live=True, low=0.0, high=1.0
    )
    class_confidence_topics: tuple[str, ...] = option(
        ("*",), "Classes that get a topic ~/confidence/<class>; '*' = all, '' = none.", live=True
    )
    class_confidence_encoding: str = option(
        "mono8", "Encoding of ~/confidence/<class>: mono8 (probability times 255) or 32FC1 (0..1).",
        live=True, choices=("mono8", "32FC1"),
    )
    overlay_opacity: float = option(
        0.5, "Weight of the class colours in ~/overlay; 0..1.", live=True, low=0.0, high=1.0
    )
    points_depth: str = option(
        "measured", "Depth of ~/points: measured = what the sensor saw; completed = with the holes filled.",
        live=True, choices=("measured", "completed"),
    )
    points_semantic_fields: tuple[str, ...] = option(
        ("",), "Classes that get a float32 field sem_<class> (0..1) in ~/points; '*' = all, '' = none.", live=True
    )
    jpeg_quality: int = option(80, "Quality of ~/overlay/compressed; 1..100.", live=True, low=1, high=100)
    diagnostics_period: float = option(
        1.0, "Seconds between two messages on /diagnostics; a change of level or reason is sent at once.",
        low=0.1, high=60.0,
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            problem = why_invalid(item.name, getattr(self, item.name))
            if problem is not None:
                raise SsmaError(problem)

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


def _items() -> list[dataclasses.Field[Any]]:
    """The node's own parameters as they are declared, then those of its sensors."""
    of_sensors = sensor_parameter_names()
    return sorted(dataclasses.fields(FusionParameters), key=lambda item: item.name in of_sensors)


def constraints() -> dict[str, Option]:
    """Option of every parameter, in order of declaration."""
    return {item.name: options_of(FusionParameters)[item.name] for item in _items()}


def defaults() -> dict[str, Any]:
    """Default value of every parameter, in order of declaration."""
    return {item.name: item.default for item in _items()}


def why_invalid(name: str, value: Any) -> str | None:
    """One sentence saying why ``value`` cannot be parameter ``name``, or None if it can."""
    constraint, default = constraints()[name], defaults()[name]
    if isinstance(default, tuple):
        if not isinstance(value, (tuple, list)) or not all(_is_element(v, constraint.element) for v in value):
            return wrong_type(name, value)
        return None
    if isinstance(default, float):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return wrong_type(name, value)
    elif type(value) is not type(default):
        return wrong_type(name, value)
    if constraint.choices is not None and value not in constraint.choices:
        return _sentence(name, value, f"one of {', '.join(constraint.choices)}")
    if constraint.low is not None and constraint.high is not None and not constraint.low <= value <= constraint.high:
        return _sentence(name, value, f"{constraint.low:g} to {constraint.high:g}")
    return None


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
    if constraint.choices is not None:
        return f" One of {', '.join(constraint.choices)}."
    if constraint.low is not None and constraint.high is not None:
        return f" Range {constraint.low:g} to {constraint.high:g}."
    return ""


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
