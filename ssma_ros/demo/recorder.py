# SPDX-License-Identifier: Apache-2.0
"""Records what the fusion node says; one of the demo's processes.

It says ``ready`` when the node is active and has met this recorder's subscriptions, ``mask`` for each mask, and
``done`` with the time at which each arrived, after the order ``finish STAMP`` and the mask of that stamp (or
a while without any mask: under overload the last frame may have been dropped).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ssma_ros.demo.speech import Orders, say, speaking
from ssma_ros.messages.decode import serialized_stamp_ns
from ssma_ros.recordings.typestore import DIAGNOSTIC_ARRAY, LABEL_INFO
from ssma_ros.recordings.writer import STORAGES, RecordingWriter
from ssma_ros.ros.message_types import required_message_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.subscription import Subscription

DIAGNOSTICS_TOPIC = "/diagnostics"
#: Without a mask for this long after the last image, no further one is expected.
QUIET_S = 3.0
#: The node reports at least this often, seconds.
PATIENCE_S = 60.0
#: How often the node is asked for its state while it is not active yet, seconds.
_ASK_S = 0.1


@dataclass(frozen=True)
class Recorded:
    """A topic to record.

    Attributes:
        name, type: of the topic.
        period_ns: keep at most one message in this time of header stamps; 0 keeps all.
    """

    name: str
    type: str
    period_ns: int = 0


class DeferredWriter:
    """Keeps messages in memory and writes them at the end, so that compressing takes no time from the drive.

    Args:
        writer: of the recording.
        budget_bytes: beyond this, the oldest message is written for each that comes.
    """

    def __init__(self, writer: RecordingWriter, budget_bytes: int = 1 << 30) -> None:
        self._writer = writer
        self._budget = budget_bytes
        self._kept: deque[tuple[str, str, bytes, int]] = deque()
        self._bytes = 0

    def put(self, topic: str, kind: str, data: bytes, stamp_ns: int) -> None:
        """Hand over one serialized message."""
        self._kept.append((topic, kind, data, stamp_ns))
        self._bytes += len(data)
        while self._bytes > self._budget:
            self._write_oldest()

    def finish(self) -> None:
        """Write everything that is left."""
        while self._kept:
            self._write_oldest()

    def _write_oldest(self) -> None:
        item = self._kept.popleft()
        self._bytes -= len(item[2])
        self._writer.write_serialized(*item)


class Recorder:
    """Subscriptions whose messages go to a recording unread.

    Args:
        node: subscribes.
        topics: what to record; the mask's arrivals are noted and said.
        mask_topic: which of them drives the count.
        output: takes the messages.
    """

    def __init__(self, node: Node, topics: Sequence[Recorded], mask_topic: str, output: DeferredWriter) -> None:
        self._output = output
        self._mask_topic = mask_topic
        self._period: dict[str, int] = {}
        self._subscriptions: list[Subscription] = []
        self.received = {t.name: 0 for t in topics}
        #: (header stamp, monotonic time of arrival) of each mask, nanoseconds.
        self.times: list[tuple[int, int]] = []
        for topic in topics:
            # The order matters: a participant announces its endpoints in the order in which they were made, so
            # whoever has met the last one (the diagnostics) has met them all.
            subscription = node.create_subscription(
                required_message_class(topic.type), topic.name, self._callback(topic), _qos(topic), raw=True
            )
            self._subscriptions.append(subscription)

    def has_met_all(self) -> bool:
        """Whether each subscription has met a publisher."""
        return all(subscription.get_publisher_count() for subscription in self._subscriptions)

    def _callback(self, topic: Recorded) -> Any:
        def take(data: bytes) -> None:
            arrived = time.monotonic_ns()
            self.received[topic.name] += 1
            stamp = serialized_stamp_ns(data)
            if topic.name == self._mask_topic:
                self.times.append((stamp, arrived))
                say("mask", stamp_ns=stamp)
            if topic.period_ns:
                if self._period.get(topic.name) == stamp // topic.period_ns:
                    return
                self._period[topic.name] = stamp // topic.period_ns
            self._output.put(topic.name, topic.type, data, time.time_ns())

        return take


def _qos(topic: Recorded) -> QoSProfile:
    if topic.type == LABEL_INFO:
        return QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
    return QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)


class _Finish:
    """The order to finish, and whether it is fulfilled."""

    def __init__(self) -> None:
        self.stamp_ns: int | None = None
        self._since = 0.0

    def order(self, words: list[str]) -> None:
        if len(words) == 2 and words[0] == "finish":
            self._since = time.monotonic()
            self.stamp_ns = int(words[1])

    def reached(self, times: Sequence[tuple[int, int]]) -> bool:
        if self.stamp_ns is None:
            return False
        if times and times[-1][0] >= self.stamp_ns:
            return True
        last = max(self._since, times[-1][1] * 1e-9 if times else 0.0)
        return time.monotonic() - last > QUIET_S


def _wait_until_ready(node: Node, executor: Executor, fusion_node: str, recorder: Recorder) -> None:
    """Wait until the fusion node is active and its diagnostics arrive here."""
    client = node.create_client(GetState, f"{fusion_node}/get_state")
    while not client.service_is_ready():
        executor.spin_once(timeout_sec=_ASK_S)
    while True:
        answer = client.call_async(GetState.Request())
        executor.spin_until_future_complete(answer)
        result = answer.result()
        if result is not None and result.current_state.id == State.PRIMARY_STATE_ACTIVE:
            break
        executor.spin_once(timeout_sec=_ASK_S)
    node.destroy_client(client)
    while not recorder.has_met_all():
        executor.spin_once(timeout_sec=_ASK_S)
    _wait_for_report(executor, recorder, PATIENCE_S)


def _wait_for_report(executor: Executor, recorder: Recorder, patience_s: float) -> None:
    """Wait for the next message on the diagnostics topic, but no longer than ``patience_s``."""
    before, until = recorder.received[DIAGNOSTICS_TOPIC], time.monotonic() + patience_s
    while recorder.received[DIAGNOSTICS_TOPIC] == before and time.monotonic() < until:
        executor.spin_once(timeout_sec=0.5)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("--storage", choices=STORAGES, default="mcap")
    parser.add_argument("--node", required=True, help="full name of the fusion node")
    parser.add_argument("--mask", required=True, help="topic of the masks")
    parser.add_argument("--topic", action="append", required=True, help="/topic@type or /topic@type@period in seconds")
    return parser.parse_args(argv)


def _parse_topic(entry: str) -> Recorded:
    name, kind, *period = entry.split("@")
    return Recorded(name, kind, round(float(period[0]) * 1e9) if period else 0)


def _record(args: argparse.Namespace) -> int:
    finish = _Finish()
    Orders(finish.order)
    topics = [_parse_topic(entry) for entry in args.topic]
    topics.append(Recorded(DIAGNOSTICS_TOPIC, DIAGNOSTIC_ARRAY))
    rclpy.init(args=[])
    node = rclpy.create_node("output_recorder")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with RecordingWriter(args.output, storage=args.storage) as writer:
        output = DeferredWriter(writer)
        recorder = Recorder(node, topics, args.mask, output)
        _wait_until_ready(node, executor, args.node, recorder)
        say("ready")
        while not finish.reached(recorder.times):
            executor.spin_once(timeout_sec=0.5)
        _wait_for_report(executor, recorder, QUIET_S)  # the counts of the whole drive
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
        output.finish()
    say("done", received=recorder.received, times=recorder.times)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the process."""
    args = _arguments(argv)
    try:
        return speaking(lambda: _record(args))
    except ExternalShutdownException:
        return 130


if __name__ == "__main__":
    sys.exit(main())
