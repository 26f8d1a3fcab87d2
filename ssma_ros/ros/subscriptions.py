"""Subscriptions of the node's inputs: they note the arrival and pass the message on, nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from stereo_msgs.msg import DisparityImage

from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.ros.event_group import OccasionalEvents
from ssma_ros.ros.statistics import RateMeter
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node
    from rclpy.subscription import Subscription

    from ssma_ros.ros.parameters import FusionParameters


@dataclass
class Input:
    """One subscribed topic and what is known of it.

    Attributes:
        sensor: of the table, ``camera_info`` or ``depth_camera_info``.
        topic: resolved name.
        rate: of arrival.
        received, received_ns: how many came, and when the last one did (monotonic time, None for never).
        last: the latest camera info; images are not kept.
        problem: a sentence about a QoS that does not fit, or empty.
        lost, lost_ns: messages that the middleware lost on the way, and when it last did.
    """

    sensor: str
    topic: str
    rate: RateMeter = field(default_factory=RateMeter)
    received: int = 0
    received_ns: int | None = None
    last: Any = None
    problem: str = ""
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

    def _subscribe_images(self, sensor: str) -> None:
        parameters = self._parameters
        kind: type[Any] = Image
        topic = self._node.resolve_topic_name(DEFAULT_TOPICS[sensor])
        transport = getattr(parameters, f"{sensor}_transport")
        if getattr(parameters, f"{sensor}_source", "image") == "disparity":
            kind, topic = DisparityImage, self._node.resolve_topic_name(SENSORS[sensor].disparity)
        elif transport != "raw":
            kind, topic = CompressedImage, f"{topic}/{transport}"
        entry = self._add(sensor, topic)

        def received(message: Any) -> None:
            entry.arrived()
            self._deliver(sensor, stamp_ns(message), message)

        self._create(entry, kind, received, f"{sensor}_reliability")

    def _subscribe_info(self, sensor: str, topic: str) -> None:
        entry = self._add(sensor, self._node.resolve_topic_name(topic))

        def received(message: Any) -> None:
            entry.arrived()
            entry.last = message

        self._create(entry, CameraInfo, received, "camera_info_reliability")

    def _add(self, sensor: str, topic: str) -> Input:
        entry = self.inputs[sensor] = Input(sensor, topic)
        return entry

    def _create(self, entry: Input, kind: type[Any], received: Callable[[Any], None], reliability: str) -> None:
        asked = getattr(self._parameters, reliability)

        def incompatible(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            entry.problem = (
                f"topic {entry.topic}: a publisher offers another {policy} than is asked for ({asked}, volatile) "
                f"and is not heard, expected a compatible QoS (parameter {reliability})"
            )
            self._report(entry.topic, entry.problem)

        def lost(event: Any) -> None:
            entry.lost, entry.lost_ns = int(event.total_count), time.monotonic_ns()

        events = SubscriptionEventCallbacks(
            incompatible_qos=incompatible, message_lost=lost, use_default_callbacks=False
        )
        qos = QoSProfile(
            depth=self._parameters.input_queue,
            reliability=ReliabilityPolicy.RELIABLE if asked == "reliable" else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.VOLATILE,
        )
        self._subscriptions.append(
            self._node.create_subscription(
                kind, entry.topic, received, qos, callback_group=self._events, event_callbacks=events
            )
        )
