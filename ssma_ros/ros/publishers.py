# SPDX-License-Identifier: Apache-2.0
"""Publishers of the node's outputs: nothing is computed or copied that nobody subscribed to."""

from __future__ import annotations

import array
import copy
import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from ssma_ros.messages.catalogue import LABEL_INFO
from ssma_ros.messages.memory import carrier
from ssma_ros.ros.event_group import OccasionalEvents
from ssma_ros.ros.qos import with_overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rclpy.node import Node
    from rclpy.publisher import Publisher

    from ssma_ros.frame import Frame, Segmentation
    from ssma_ros.messages.catalogue import Output, OutputCatalog

#: Reliable, because a reliable subscriber (elevation mapping) never matches a best effort publisher.
OUTPUT_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
#: Must reach whoever comes later.
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def message_class(name: str) -> type[Any] | None:
    """Class of a message type such as ``sensor_msgs/msg/Image``, or None where its package is not installed."""
    package, kind, message = name.split("/")
    try:
        found: type[Any] = getattr(importlib.import_module(f"{package}.{kind}"), message)
    except (ImportError, AttributeError):
        return None
    return found


class OutputPublishers:
    """One publisher for each output whose message type is installed.

    Args:
        node: that owns the publishers.
        catalog: of the outputs.
        report: receives a sentence when a subscriber asks for a QoS that is not offered, as (topic, sentence).

    Attributes:
        not_installed: outputs whose message type is not installed, in words.
    """

    def __init__(self, node: Node, catalog: OutputCatalog, report: Callable[[str, str], None]) -> None:
        self._node = node
        self._report = report
        self._events = OccasionalEvents()
        self._publishers: dict[str, _ReusingPublisher] = {}
        self._label_info: Publisher | None = None
        self.not_installed: list[str] = []
        try:
            self.set_catalog(catalog)
            self._create_label_info()
        except BaseException:
            self.close()  # of those that were made before the one that failed
            raise

    def set_catalog(self, catalog: OutputCatalog) -> None:
        """Use another catalogue of the same network; publishers that stay are kept. Not while a frame is published."""
        self._catalog = catalog
        for topic in set(self._publishers) - {output.topic for output in catalog.outputs}:
            self._node.destroy_publisher(self._publishers.pop(topic).publisher)
        for output in catalog.outputs:
            if output.topic in self._publishers:
                continue
            kind = message_class(output.type)
            if kind is None:
                words = f"~/{output.topic} ({output.type})"
                if words not in self.not_installed:
                    self.not_installed.append(words)
                continue
            self._publishers[output.topic] = _ReusingPublisher(self._create(output.topic, kind, OUTPUT_QOS), kind)

    def wanted(self) -> tuple[Output, ...]:
        """Outputs that somebody subscribes to now."""
        return tuple(
            output
            for output in self._catalog.outputs
            if (publisher := self._publishers.get(output.topic)) is not None and publisher.has_subscribers()
        )

    def publish(self, wanted: tuple[Output, ...], result: Segmentation, frame: Frame) -> None:
        """Publish the wanted outputs of one frame under one header; those that are gone meanwhile are left out."""
        for output in wanted:
            publisher = self._publishers.get(output.topic)
            fields = None if publisher is None else output.fields(result, frame)
            if publisher is not None and fields is not None:
                publisher.publish(fields, result.stamp_ns, result.frame_id)

    def publish_label_info(self, min_confidence: float) -> None:
        """Publish the class names and the mask's threshold (0..1); late joiners get them too."""
        if self._label_info is None:
            return
        message = message_class(LABEL_INFO)
        assert message is not None, "the publisher exists only with its type"
        label_info = message()
        label_info.header.stamp = self._node.get_clock().now().to_msg()
        fill(label_info, self._catalog.label_info_fields(min_confidence))
        self._label_info.publish(label_info)

    def close(self) -> None:
        """Destroy all publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher.publisher)
        if self._label_info is not None:
            self._node.destroy_publisher(self._label_info)
        self._publishers.clear()
        self._label_info = None

    def _create_label_info(self) -> None:
        kind = message_class(LABEL_INFO)
        if kind is not None:
            self._label_info = self._create("label_info", kind, LATCHED_QOS)
        else:
            self.not_installed.append(f"~/label_info ({LABEL_INFO})")

    def _create(self, topic: str, kind: type[Any], default: QoSProfile) -> Publisher:
        qos = copy.copy(default)  # overrides are written into it

        def incompatible(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            self._report(
                topic,
                f"topic ~/{topic}: a subscriber asks for another {policy} than is offered "
                f"({qos.reliability.name.lower()}, {qos.durability.name.lower()}) and gets nothing, expected a "
                "compatible QoS",
            )

        events = PublisherEventCallbacks(incompatible_qos=incompatible, use_default_callbacks=False)
        create = partial(
            self._node.create_publisher, kind, f"~/{topic}", qos, callback_group=self._events, event_callbacks=events
        )
        return with_overrides(
            self._node, f"~/{topic}", "publisher", lambda options: create(qos_overriding_options=options)
        )


class _ReusingPublisher:
    """A publisher with one message that is filled again for each frame.

    rclpy serialises inside publish(), so the message may be reused.
    """

    def __init__(self, publisher: Publisher, kind: type[Any]) -> None:
        self.publisher = publisher
        self._message = reusable_message(kind)
        self._last: dict[str, Any] = {}

    def has_subscribers(self) -> bool:
        return self.publisher.get_subscription_count() > 0

    def publish(self, fields: Mapping[str, Any], stamp_ns: int, frame_id: str) -> None:
        header = self._message.header
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        header.frame_id = frame_id
        changed = {name: value for name, value in fields.items() if name == "data" or self._last.get(name) != value}
        fill(self._message, changed)
        self._last.update({name: value for name, value in changed.items() if name != "data"})
        self.publisher.publish(self._message)


# Types of nested messages by field name of the outer one.
_NESTED = {"class_map": "vision_msgs/msg/VisionClass", "fields": "sensor_msgs/msg/PointField"}


def reusable_message(kind: type[Any]) -> Any:
    """An empty message that takes an array.array as its ``data`` as it is.

    A message of Jazzy and later does so only if it checks its fields; otherwise it makes a copy.
    """
    try:
        return kind(check_fields=True)
    except (AssertionError, TypeError):  # an older one: it always checks, and does not know the word
        return kind()


def fill(message: Any, fields: Mapping[str, Any]) -> None:
    """Set fields of an rclpy message; ``data`` is copied once, or not at all where it lies on a message's memory."""
    for name, value in fields.items():
        if name == "data":
            _set_data(message, value)
        elif name in _NESTED:
            kind = message_class(_NESTED[name])
            assert kind is not None, "comes from the package of the outer message"
            setattr(message, name, [kind(**entry) for entry in value])
        else:
            setattr(message, name, value)


def _set_data(message: Any, data: np.ndarray[Any, Any]) -> None:
    """Only an array.array is ever assigned: anything else is checked element by element, 250 ms for one image."""
    whole = carrier(data)
    if whole is not None:
        if message.data is not whole:
            message.data = whole
        return
    if len(message.data) != data.size:
        message.data = array.array("B", bytes(data.size))
    np.copyto(np.frombuffer(message.data, np.uint8), data)
