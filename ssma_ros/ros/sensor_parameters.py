# SPDX-License-Identifier: Apache-2.0
"""Parameters that every sensor of :data:`ssma_ros.sensors.SENSORS` brings with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ssma_ros.options import option
from ssma_ros.sensors import FROM_TF, SENSORS

if TYPE_CHECKING:
    from ssma_ros.sensors import Sensor

RELIABILITY = ("best_effort", "reliable")


def sources(sensor: Sensor) -> dict[str, str]:
    """Where a sensor's images can come from: what its parameter ``<sensor>_source`` may be, and the topic of each."""
    topics = {"image": sensor.topic}
    if sensor.disparity:
        topics["disparity"] = sensor.disparity
    return topics


def _source(sensor: Sensor) -> Any:
    topics = sources(sensor)
    words = ", ".join(f"{name} = {topic}" for name, topic in topics.items())
    return option(
        "image", f"Where {sensor.title} comes from: {words}, none = not used.", choices=(*topics, "none")
    )


def _transport(sensor: Sensor) -> Any:
    kind = sensor.transport
    return option(
        "raw", f"raw = sensor_msgs/Image; {kind} = sensor_msgs/CompressedImage on <topic>/{kind}.",
        choices=("raw", kind),
    )


def _setting(sensor: Sensor, name: str) -> Any:
    unit = {"m": "metres", "K": "kelvin"}.get(sensor.unit, "")
    if name == "full_scale":
        return option(
            65535.0, f"Value of a saturated 16-bit pixel of {sensor.title} (4095 for a 12-bit sensor that is not "
            "shifted).", live=True, low=1.0, high=65535.0,
        )
    if name == "scale":
        return option(
            0.0, f"{unit.capitalize()} that one raw value of {sensor.title} stands for; 0 = by convention (integers "
            f"{sensor.scale:g}, floats {unit}).", live=True, low=0.0, high=1000.0,
        )
    if name == "offset":
        return option(
            0.0, f"{unit.capitalize()} of a raw value 0 of {sensor.title}, added after the scale.",
            live=True, low=-10000.0, high=10000.0,
        )
    return option(
        sensor.invalid or (0.0,),  # ROS knows no type of an empty list
        f"Raw values of {sensor.title} that mean \"no reading\", besides 0 and NaN; [0.0] = none.", live=True,
        element=float,
    )


def _register(sensor: Sensor) -> Any:
    how = "the nearest surface in each pixel" if sensor.name == "depth" else "through completed depth"
    return option(
        False, f"Images of {sensor.title} are of another camera: bring them into the colour camera's pixels ({how}), "
        f"by its camera_info beside {sensor.topic} and by {sensor.name}_extrinsics, or by tf where the frame_id is "
        "another one.",
    )


def _extrinsics(sensor: Sensor) -> Any:
    return option(
        FROM_TF, f"Place of that camera ({sensor.title}) in the colour camera's optical frame: x, y, z (metres), qx, "
        f"qy, qz, qw, as tf has it; [0.0] = from tf. Only with register_{sensor.name}.", element=float,
    )


def _fields(sensor: Sensor, *, is_first: bool) -> list[tuple[str, type, Any]]:
    found = [] if is_first else [("source", _source(sensor))]
    found += [
        ("transport", _transport(sensor)),
        ("reliability", option(
            "best_effort", f"QoS reliability of the subscription of {sensor.title}.", choices=RELIABILITY
        )),
        *((name, _setting(sensor, name)) for name in sensor.settings),
    ]
    if not is_first:
        found.append(("extrinsics", _extrinsics(sensor)))
    own = [] if is_first else [(f"register_{sensor.name}", bool, _register(sensor))]
    return own + [(f"{sensor.name}_{name}", type(item.default), item) for name, item in found]


if TYPE_CHECKING:

    class SensorParameters:
        """See below; its fields are known only when the table is read."""

        def __getattr__(self, name: str) -> Any: ...

else:
    #: A dataclass with ``<sensor>_source`` (of all but the first), ``_transport``, ``_reliability`` and its settings.
    SensorParameters = dataclasses.make_dataclass(
        "SensorParameters",
        [item for index, sensor in enumerate(SENSORS.values()) for item in _fields(sensor, is_first=index == 0)],
        frozen=True,
    )
