# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of the node's inputs: they note the arrival and pass the message on, nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from stereo_msgs.msg import DisparityImage

from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.ros.event_group import OccasionalEvents
from ssma_ros.ros.qos import with_overrides
from ssma_ros.ros.statistics import RateMeter
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node
    from rclpy.subscription import Subscription

    from ssma_ros.ros.parameters import FusionParameters

#: What fetches a camera info that was published once, before the node was there.
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass
class Input:
    """One subscribed topic and what is known of it.

    Attributes:
        sensor: of the table, ``camera_info`` or ``depth_camera_info``.
        topic: resolved name.
        rate: of arrival.
        received, received_ns: how many came, and when the last one did (monotonic time, None for never).
        last: the latest camera info; images are not kept.
        kind: type of its messages.
        latched: whether a second subscription fetches what was published before the node was there.
        problem: a sentence about a QoS that does not fit, or empty.
        other_type: a sentence about a publisher of another type, or empty.
        lost, lost_ns: messages that the middleware lost on the way, and when it last did.
    """

    sensor: str
    topic: str
    kind: type[Any]
    rate: RateMeter = field(default_factory=RateMeter)
    received: int = 0
    received_ns: int | None = None
    last: Any = None
    latched: bool = False
    problem: str = ""
    other_type: str = ""
    lost: int = 0
    lost_ns: int | None = None

    def arrived(self) -> None:
        """Note the arrival of a message."""
        self.received += 1
        self.received_ns = time.monotonic_ns()
        self.rate.tick(self.received_ns)


class InputSubscriptions:
    """Subscribes to what the parameters name and the network needs.

    Args:
        node: that owns the subscriptions.
        parameters: of the node.
        sensors: image inputs to subscribe to.
        deliver: receives (sensor, stamp in ns, message) of every image.
        report: receives a sentence when a publisher offers a QoS that does not fit, as (topic, sentence).
    """

    def __init__(
        self,
        node: Node,
        parameters: FusionParameters,
        sensors: tuple[str, ...],
        deliver: Callable[[str, int, Any], None],
        report: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._deliver = deliver
        self._report = report
        self._events = OccasionalEvents()
        self._subscriptions: list[Subscription] = []
        self.inputs: dict[str, Input] = {}
        try:
            for sensor in sensors:
                self._subscribe_images(sensor)
            self._subscribe_info("camera_info", DEFAULT_TOPICS["camera_info"])
            if parameters.register_depth:
                self._subscribe_info("depth_camera_info", "depth/camera_info")
        except BaseException:
            self.close()  # of those that were made before the one that failed
            raise

    def topics(self) -> dict[str, str]:
        """Resolved topic names by sensor, for messages; those that are not subscribed by their default name."""
        names = {**DEFAULT_TOPICS, **{sensor: entry.topic for sensor, entry in self.inputs.items()}}
        if self._parameters.depth_source == "disparity" and "depth" in self.inputs:
            names["disparity"] = self.inputs["depth"].topic
        return names

    def close(self) -> None:
        """Destroy all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def look(self) -> None:
        """See who publishes the inputs now: one of another type is told of, and a latched camera_info is fetched.

        A reader that asks for what was published before it came (transient local) does not match a writer that keeps
        nothing (volatile). So one more is made for it as soon as somebody offers it.
        """
        for entry in self.inputs.values():
            publishers = self._node.get_publishers_info_by_topic(entry.topic)
            entry.other_type = _other_type(entry, publishers)
            if entry.other_type:
                self._report(f"{entry.topic} type", entry.other_type)
            keeps = any(info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in publishers)
            if keeps and entry.kind is CameraInfo and not entry.latched:
                entry.latched = True
                self._subscriptions.append(
                    self._node.create_subscription(
                        CameraInfo, entry.topic, partial(_received_info, entry), LATCHED, callback_group=self._events
                    )
                )

    def _subscribe_images(self, sensor: str) -> None:
        parameters = self._parameters
        kind: type[Any] = Image
        topic = DEFAULT_TOPICS[sensor]
        transport = getattr(parameters, f"{sensor}_transport")
        if getattr(parameters, f"{sensor}_source", "image") == "disparity":
            kind, topic = DisparityImage, SENSORS[sensor].disparity
        elif transport != "raw":
            kind, topic = CompressedImage, f"{self._node.resolve_topic_name(topic)}/{transport}"
        entry = self._add(sensor, topic, kind)

        def received(message: Any) -> None:
            entry.arrived()
            self._deliver(sensor, stamp_ns(message), message)

        self._create(entry, topic, received, f"{sensor}_reliability")

    def _subscribe_info(self, sensor: str, topic: str) -> None:
        entry = self._add(sensor, topic, CameraInfo)
        self._create(entry, topic, partial(_received_info, entry), "camera_info_reliability")

    def _add(self, sensor: str, topic: str, kind: type[Any]) -> Input:
        entry = self.inputs[sensor] = Input(sensor, self._node.resolve_topic_name(topic), kind)
        return entry

    def _create(self, entry: Input, topic: str, received: Callable[[Any], None], reliability: str) -> None:
        """Subscribe to ``topic``, which is remapped here and not before: rules that swap names would apply twice."""

        def incompatible(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            entry.problem = (
                f"topic {entry.topic}: a publisher offers another {policy} than is asked for "
                f"({qos.reliability.name.lower()}, {qos.durability.name.lower()}) and is not heard, expected a "
                f"compatible QoS (parameter {reliability})"
            )
            self._report(entry.topic, entry.problem)

        def lost(event: Any) -> None:
            entry.lost, entry.lost_ns = int(event.total_count), time.monotonic_ns()

        events = SubscriptionEventCallbacks(
            incompatible_qos=incompatible, message_lost=lost, use_default_callbacks=False
        )
        qos = QoSProfile(
            depth=self._parameters.input_queue,
            reliability=ReliabilityPolicy[getattr(self._parameters, reliability).upper()],
            durability=DurabilityPolicy.VOLATILE,
        )
        subscribe = partial(
            self._node.create_subscription, entry.kind, topic, received, qos, callback_group=self._events,
            event_callbacks=events,
        )
        subscription = with_overrides(
            self._node, topic, "subscription", lambda options: subscribe(qos_overriding_options=options)
        )
        self._subscriptions.append(subscription)
        entry.topic = subscription.topic_name
        entry.latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL  # by an override


def _received_info(entry: Input, message: Any) -> None:
    """A camera info came, perhaps for the second time: by the subscription and by that to latched ones."""
    if entry.latched and entry.last is not None and entry.last == message:
        return
    entry.arrived()
    entry.last = message


def _other_type(entry: Input, publishers: list[Any]) -> str:
    """What to do where a topic is published, and with none of its publishers of the type that is subscribed to."""
    expected = type_name(entry.kind)
    others = {info.topic_type: info for info in publishers}
    if not others or expected in others:
        return ""
    kind, info = next(iter(others.items()))
    who = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
    return f"topic {entry.topic} carries {kind} (from {who}), expected {expected}{_remedy(entry, kind)}"


def _remedy(entry: Input, kind: str) -> str:
    sensor = SENSORS.get(entry.sensor)
    if kind == type_name(CompressedImage) and sensor is not None:
        base = entry.topic.removesuffix(f"/{sensor.transport}")
        where = f"{sensor.topic} to {base}" if base != entry.topic else f"{sensor.topic}/{sensor.transport} to it"
        return f": set {sensor.name}_transport to {sensor.transport} and remap {where}"
    if kind == type_name(Image) and entry.kind is CompressedImage:
        return f": set {entry.sensor}_transport to raw"
    if kind == type_name(DisparityImage):
        return f": set {entry.sensor}_source to disparity and remap {SENSORS['depth'].disparity}"
    return ": remap this input to another topic"


def type_name(kind: type[Any]) -> str:
    """Of a message class, such as ``sensor_msgs/msg/Image``."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
