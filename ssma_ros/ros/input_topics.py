# SPDX-License-Identifier: Apache-2.0
"""Which topics the parameters make the node subscribe to, and what to set where one carries another type. No rclpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.sensors import DRIVER, SENSORS, registered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ssma_ros.contract import Contract
    from ssma_ros.ros.parameters import FusionParameters

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
DISPARITY_IMAGE = "stereo_msgs/msg/DisparityImage"


@dataclass(frozen=True)
class InputTopic:
    """One topic that the node subscribes to.

    Attributes:
        sensor: of the table, ``camera_info`` or ``depth_camera_info``.
        name: before remapping.
        suffix: of the transport, which comes after the remapped name; empty for raw messages.
        kind: type of its messages.
        reliability: parameter that has the reliability of the subscription.
    """

    sensor: str
    name: str
    kind: str
    reliability: str
    suffix: str = ""


def needed_sensors(contract: Contract, parameters: FusionParameters) -> tuple[str, ...]:
    """Image inputs to subscribe to: those the network's streams are made from and the parameters do not switch off.

    The colour image is always among them: its stamp drives the output. So is depth where another camera's image is
    registered through it.
    """
    used = {sensor for stream in contract.streams for sensor in stream.sensors} | {DRIVER}
    if not used.isdisjoint(registered(vars(parameters))):
        used.add("depth")
    return tuple(s for s in SENSORS if s in used and getattr(parameters, f"{s}_source", "image") != "none")


def input_topics(parameters: FusionParameters, sensors: Iterable[str]) -> tuple[InputTopic, ...]:
    """Every topic of these image inputs, and the camera infos that go with them."""
    sensors = tuple(sensors)
    found = [_images(parameters, sensor) for sensor in sensors]
    found.append(_info("camera_info", DEFAULT_TOPICS["camera_info"]))
    others = [sensor for sensor in registered(vars(parameters)) if sensor in sensors]
    return (*found, *(_info(f"{sensor}_camera_info", SENSORS[sensor].camera_info) for sensor in others))


def _images(parameters: FusionParameters, sensor: str) -> InputTopic:
    transport = getattr(parameters, f"{sensor}_transport")
    reliability = f"{sensor}_reliability"
    if getattr(parameters, f"{sensor}_source", "image") == "disparity":
        return InputTopic(sensor, SENSORS[sensor].disparity, DISPARITY_IMAGE, reliability)
    if transport != "raw":
        return InputTopic(sensor, DEFAULT_TOPICS[sensor], COMPRESSED_IMAGE, reliability, f"/{transport}")
    return InputTopic(sensor, DEFAULT_TOPICS[sensor], IMAGE, reliability)


def _info(sensor: str, name: str) -> InputTopic:
    return InputTopic(sensor, name, CAMERA_INFO, "camera_info_reliability")


def other_type(sensor: str, topic: str, expected: str, offers: Iterable[tuple[str, str]]) -> str:
    """What to do where a topic is published, and by nobody with the type that is subscribed to; else nothing.

    Args:
        sensor: whose input it is.
        topic: resolved name.
        expected: type that is subscribed to.
        offers: of each publisher the type and the node's full name.
    """
    others = dict(offers)
    if not others or expected in others:
        return ""
    kind, node = next(iter(others.items()))
    return f"topic {topic} carries {kind} (from {node}), expected {expected}{_remedy(sensor, topic, kind, expected)}"


def _remedy(name: str, topic: str, kind: str, expected: str) -> str:
    sensor = SENSORS.get(name)
    settings = fitting_settings(name, kind)
    if sensor is not None and settings:
        ((parameter, value),) = settings.items()
        base = remapped_base(name, topic, kind)
        if kind == COMPRESSED_IMAGE:
            where = f"{sensor.topic} to {base}" if base != topic else f"{sensor.topic}/{sensor.transport} to it"
            return f": set {parameter} to {value} and remap {where}"
        if kind == DISPARITY_IMAGE:
            return f": set {parameter} to {value} and remap {sensor.disparity}"
        if expected == COMPRESSED_IMAGE:
            return f": set {parameter} to {value}"
    return ": remap this input to another topic"


def fitting_settings(name: str, kind: str) -> dict[str, str]:
    """The parameter with which an image input takes messages of a type, and its value; none where nothing does."""
    sensor = SENSORS.get(name)
    if sensor is None:
        return {}
    if kind == COMPRESSED_IMAGE:
        return {f"{name}_transport": sensor.transport}
    if kind == IMAGE:
        return {f"{name}_transport": "raw"}
    return {f"{name}_source": "disparity"} if kind == DISPARITY_IMAGE and sensor.disparity else {}


def remapped_base(name: str, topic: str, kind: str) -> str:
    """What an input's default topic is remapped to so that ``topic`` is read: its name less a transport's suffix."""
    sensor = SENSORS.get(name)
    return topic if sensor is None or kind != COMPRESSED_IMAGE else topic.removesuffix(f"/{sensor.transport}")
