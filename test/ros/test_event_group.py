# SPDX-License-Identifier: Apache-2.0
"""QoS events are told, although they are not waited for with every message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros.live import Peer, environment, wait_until
from std_msgs.msg import String

from ssma_ros.ros.event_group import LOOK_S, PERIOD_S, OccasionalEvents

VOLATILE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    domain = 1 + os.getpid() % 100
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", environment(domain)["ROS_AUTOMATIC_DISCOVERY_RANGE"])
    peer = Peer(domain)
    yield peer
    peer.close()


@pytest.mark.parametrize("busy", [False, True])
def test_incompatible_qos_is_told_whether_messages_flow_or_not(peer: Peer, busy: bool) -> None:
    told: list[str] = []
    group = OccasionalEvents()
    offered = PublisherEventCallbacks(incompatible_qos=lambda _: told.append("offered"), use_default_callbacks=False)
    asked = SubscriptionEventCallbacks(incompatible_qos=lambda _: told.append("asked"), use_default_callbacks=False)
    peer.node.create_timer(0.002 if busy else 1.0, lambda: None)
    publisher = peer.node.create_publisher(String, "topic", VOLATILE, callback_group=group, event_callbacks=offered)
    heard: list[Any] = []
    peer.node.create_subscription(
        String, "topic", heard.append, LATCHED, callback_group=group, event_callbacks=asked
    )
    wait_until(lambda: {"offered", "asked"} <= set(told), "both sides to be told")
    publisher.publish(String(data="not for a subscriber that asks for more"))
    assert heard == []


def test_messages_are_let_through_at_any_time(peer: Peer) -> None:
    group, heard = OccasionalEvents(), []
    peer.node.create_subscription(String, "topic", heard.append, VOLATILE, callback_group=group)
    publisher = peer.node.create_publisher(String, "topic", VOLATILE, callback_group=group)
    wait_until(publisher.get_subscription_count, "the subscriber")
    for number in range(20):
        publisher.publish(String(data=str(number)))
        wait_until(lambda n=number: len(heard) > n, f"message {number}")


def test_events_are_let_through_for_a_moment_each_period(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ssma_ros.ros.event_group.time.monotonic", lambda: now)
    monkeypatch.setattr(MutuallyExclusiveCallbackGroup, "can_execute", lambda self, entity: True)
    group = OccasionalEvents()
    events = PublisherEventCallbacks(incompatible_qos=lambda _: None, use_default_callbacks=False)
    publisher = peer.node.create_publisher(String, "other", VOLATILE, event_callbacks=events)
    event = publisher.event_handlers[0]
    allowed = []
    for _ in range(round(3 * PERIOD_S / LOOK_S)):
        allowed.append(group.can_execute(event))
        now += LOOK_S
    assert sum(allowed) == 3
    assert allowed[0]
    assert group.can_execute(publisher)
