# SPDX-License-Identifier: Apache-2.0
"""Publishes a recording at its own pace; one of the demo's processes.

It says ``ready`` when the pictures are decoded and every topic has a subscriber, plays on the order ``go``,
says ``frame`` for each colour image and ``done`` at the end with the time at which each was published.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import TYPE_CHECKING

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy

from ssma_ros.demo.speech import Orders, say, speaking
from ssma_ros.recordings.playback import ReadAhead, playable_messages
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import InputTopics, find_input_topics, parse_mapping
from ssma_ros.ros.message_types import required_message_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.node import Node
    from rclpy.publisher import Publisher

#: How often the graph is looked at while subscribers are awaited, seconds.
_LOOK_S = 0.05
#: Deep enough that nothing is overwritten before a busy subscriber fetches it.
_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class Player:
    """Publishes the messages of a recording.

    Args:
        node: publishes.
        topics: of the recording, by role.
        names: topic to publish each role on; a role without one is not published.
    """

    def __init__(self, node: Node, topics: InputTopics, names: dict[str, str]) -> None:
        self._publishers: dict[str, Publisher] = {}
        for role, name in names.items():
            kind = getattr(topics, role).type.replace("CompressedImage", "Image")
            self._publishers[role] = node.create_publisher(required_message_class(kind), name, _QOS)
        self.published = dict.fromkeys(names, 0)
        #: (header stamp, monotonic time of publication) of each driving image, nanoseconds.
        self.times: list[tuple[int, int]] = []
        #: How much later than due each driving image was published, milliseconds.
        self.lateness_ms: list[float] = []

    def wait_for_subscribers(self) -> None:
        """Wait until every publisher has met a subscriber."""
        while not all(p.get_subscription_count() for p in self._publishers.values()):
            time.sleep(_LOOK_S)

    def play(self, source: ReadAhead, rate: float) -> None:
        """Publish everything, ``rate`` times as fast as it was recorded."""
        driver = next(iter(self._publishers))
        first_due: int | None = None
        start = time.monotonic_ns()
        for message in source:
            publisher = self._publishers.get(message.role)
            if publisher is None:
                continue
            first_due = message.due_ns if first_due is None else first_due
            due = start + round((message.due_ns - first_due) / rate)
            time.sleep(max(0, due - time.monotonic_ns()) * 1e-9)
            now = time.monotonic_ns()
            publisher.publish(message.data)
            self.published[message.role] += 1
            if message.role == driver:
                self.times.append((message.stamp_ns, now))
                self.lateness_ms.append((now - due) * 1e-6)
                say("frame", stamp_ns=message.stamp_ns)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--topic", action="append", default=[], help="role:=/topic of the recording")
    parser.add_argument("--publish", action="append", default=[], required=True, help="role:=/topic to publish on")
    return parser.parse_args(argv)


def _play(args: argparse.Namespace) -> int:
    go = threading.Event()
    Orders(lambda words: go.set() if words == ["go"] else None)
    names = parse_mapping(args.publish)
    with RecordingReader(args.recording) as reader:
        topics = find_input_topics(reader.topics, args.recording, parse_mapping(args.topic))
        source = ReadAhead(playable_messages(reader, topics))
        rclpy.init(args=[])
        node = rclpy.create_node("recording_player")
        player = Player(node, topics, names)
        source.wait_until_filled()
        say("decoded")
        player.wait_for_subscribers()
        say("ready")
        go.wait()
        player.play(source, args.rate)
        say("done", published=player.published, times=player.times, lateness_ms=player.lateness_ms)
        node.destroy_node()
        rclpy.shutdown()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the process."""
    args = _arguments(argv)
    return speaking(lambda: _play(args))


if __name__ == "__main__":
    sys.exit(main())
