# SPDX-License-Identifier: Apache-2.0
"""A node that looks at a graph and changes nothing in it: who is there, who publishes what, and what comes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from ssma_ros.ros.publishers import message_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.task import Future

#: Messages that wait for the probe: enough for a burst of every camera.
_QUEUE = 50


@dataclass(frozen=True)
class Publisher:
    """One publisher of a topic: its node's full name, the type of its messages, and what it offers."""

    node: str
    kind: str
    reliability: str
    durability: str


class GraphProbe:
    """Joins the graph of this shell's ROS_DOMAIN_ID; a context manager, which leaves it at the end.

    Args:
        name: of the node that it is in the graph.
        domain: another one than that of this shell.

    Attributes:
        domain: ROS_DOMAIN_ID of the graph.
    """

    def __init__(self, name: str = "ssma_doctor", domain: int | None = None) -> None:
        self._context = Context()
        self._context.init(domain_id=domain)
        self.domain = int(self._context.get_domain_id())
        self._node = Node(
            name, context=self._context, use_global_arguments=False, enable_rosout=False,
            start_parameter_services=False,
        )
        self._subscriptions: list[Any] = []
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def __enter__(self) -> GraphProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.remove_node(self._node)
        self._node.destroy_node()
        self._executor.shutdown()
        self._context.try_shutdown()

    def spin(self, seconds: float) -> None:
        """Hand messages to those that listen, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def discover(self, seconds: float, settled: float = 0.5) -> None:
        """Wait until nobody new has come for ``settled`` seconds, at most ``seconds``."""
        end = time.monotonic() + seconds
        known, since = self._population(), time.monotonic()
        while time.monotonic() < end and (not known[0] or time.monotonic() - since < settled):
            self.spin(0.05)
            now = self._population()
            if now != known:
                known, since = now, time.monotonic()

    def _population(self) -> tuple[list[str], int]:
        return self.nodes(), sum(len(kinds) for kinds in self.topics().values())

    def nodes(self) -> list[str]:
        """Full names of all other nodes; one that is there twice twice."""
        found = [f"{space.rstrip('/')}/{name}" for name, space in self._node.get_node_names_and_namespaces()]
        found.remove(self._node.get_fully_qualified_name())
        return sorted(found)

    def topics(self) -> dict[str, list[str]]:
        """Types by topic, of topics that somebody else publishes."""
        return {name: kinds for name, kinds in self._node.get_topic_names_and_types() if self.publishers(name)}

    def publishers(self, topic: str) -> list[Publisher]:
        """Who publishes a topic."""
        own = self._node.get_fully_qualified_name()
        found = []
        for info in self._node.get_publishers_info_by_topic(topic):
            node = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            if node != own:
                qos = info.qos_profile
                found.append(
                    Publisher(node, info.topic_type, qos.reliability.name.lower(), qos.durability.name.lower())
                )
        return found

    def listen(
        self, topic: str, kind: str, received: Callable[[bytes, int], None], lost: Callable[[int], None] | None = None
    ) -> bool:
        """Subscribe with a QoS that fits every publisher there is now; what was latched comes too.

        Args:
            topic, kind: what to subscribe to.
            received: given each message as it was serialised, and when it arrived (ns since 1970).
            lost: told how many messages the middleware has lost so far.

        Returns:
            Whether the type's package is installed; else nothing is subscribed to.
        """
        found = message_class(kind)
        if found is None:
            return False
        offers = self.publishers(topic)
        latched = bool(offers) and all(offer.durability == "transient_local" for offer in offers)
        reliable = latched and all(offer.reliability == "reliable" for offer in offers)
        qos = QoSProfile(
            depth=_QUEUE,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        def note_lost(event: Any) -> None:
            if lost is not None:
                lost(int(event.total_count))

        events = SubscriptionEventCallbacks(message_lost=note_lost, use_default_callbacks=False)

        def taken(message: bytes, info: Any) -> None:
            # The middleware's own time, for a picture that is decoded keeps the next one waiting here.
            received(message, int(info["received_timestamp"]) or time.time_ns())

        callback: Any = taken  # rclpy gives two arguments to whoever takes two
        self._subscriptions.append(
            self._node.create_subscription(found, topic, callback, qos, raw=True, event_callbacks=events)
        )
        return True

    def forget(self) -> None:
        """Listen to nothing any more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def decode(self, message: bytes, kind: str) -> Any:
        """A serialised message as an object."""
        return deserialize_message(message, message_class(kind))

    def parameters_of(self, node: str, timeout_s: float = 2.0) -> dict[str, Any]:
        """Every parameter of another node, by name; nothing where it does not answer in time."""
        client = AsyncParameterClient(self._node, node)
        end = time.monotonic() + timeout_s
        while not client.services_are_ready() and time.monotonic() < end:
            self.spin(0.05)
        if not client.services_are_ready():
            return {}
        listed = self._answer(client.list_parameters(), end)
        names = [] if listed is None else list(listed.result.names)
        values = self._answer(client.get_parameters(names), end) if names else None
        if values is None:
            return {}
        from rclpy.parameter import parameter_value_to_python

        return {name: parameter_value_to_python(value) for name, value in zip(names, values.values, strict=True)}

    def _answer(self, future: Future, end: float) -> Any:
        while not future.done() and time.monotonic() < end:
            self.spin(0.05)
        return future.result() if future.done() else None
