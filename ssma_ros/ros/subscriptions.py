# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of the node's inputs: they note the arrival and pass the message on, nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from sensor_msgs.msg import CameraInfo

from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.ros.event_group import OccasionalEvents
from ssma_ros.ros.input_topics import input_topics, other_type
from ssma_ros.ros.message_types import required_message_class
from ssma_ros.ros.qos import with_overrides
from ssma_ros.ros.statistics import RateMeter
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node
    from rclpy.subscription import Subscription

    from ssma_ros.ros.input_topics import InputTopic
    from ssma_ros.ros.parameters import FusionParameters

#: What fetches a camera info that was published once, before the node was there.
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass
class Input:
    """One subscribed topic and what is known of it.

    Attributes:
        sensor: of the table, ``camera_info`` or ``<sensor>_camera_info``.
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
            for wanted in input_topics(parameters, sensors):
                (self._subscribe_images if wanted.sensor in SENSORS else self._subscribe_info)(wanted)
        except BaseException:
            self.close()  # of those that were made before the one that failed
            raise

    def topics(self) -> dict[str, str]:
        """Resolved topic names by sensor, for messages; those that are not subscribed by their default name."""
        names = {**DEFAULT_TOPICS, **{sensor: entry.topic for sensor, entry in self.inputs.items()}}
        if self._parameters.depth_source == "disparity" and "depth" in self.inputs:
            names["disparity"] = self.inputs["depth"].topic
        return names

    def infos(self) -> dict[str, Any]:
        """The latest camera info of each sensor with a camera of its own that has sent one."""
        own = {sensor: self.inputs.get(f"{sensor}_camera_info") for sensor in SENSORS}
        return {sensor: entry.last for sensor, entry in own.items() if entry is not None and entry.last is not None}

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
            offers = [(i.topic_type, f"{i.node_namespace.rstrip('/')}/{i.node_name}") for i in publishers]
            entry.other_type = other_type(entry.sensor, entry.topic, type_name(entry.kind), offers)
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

    def _subscribe_images(self, wanted: InputTopic) -> None:
        topic = wanted.name
        if wanted.suffix:
            topic = f"{self._node.resolve_topic_name(topic)}{wanted.suffix}"
        entry = self._add(wanted, topic)

        def received(message: Any) -> None:
            entry.arrived()
            self._deliver(wanted.sensor, stamp_ns(message), message)

        self._create(entry, topic, received, wanted.reliability)

    def _subscribe_info(self, wanted: InputTopic) -> None:
        entry = self._add(wanted, wanted.name)
        self._create(entry, wanted.name, partial(_received_info, entry), wanted.reliability)

    def _add(self, wanted: InputTopic, topic: str) -> Input:
        kind = required_message_class(wanted.kind)
        entry = self.inputs[wanted.sensor] = Input(wanted.sensor, self._node.resolve_topic_name(topic), kind)
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


def type_name(kind: type[Any]) -> str:
    """Of a message class, such as ``sensor_msgs/msg/Image``."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
