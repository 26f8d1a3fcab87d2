# SPDX-License-Identifier: Apache-2.0
"""A running node with cameras, and what tests want to know of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from ros.live import INPUTS, NODE, Cameras, NodeProcess, Peer, set_parameter, stamp_of, wait_until
from sensor_msgs.msg import Image

MASK = f"{NODE}/mask"
CONFIDENCE = f"{NODE}/confidence"
INFO = f"{NODE}/camera_info"
OK, WARN, ERROR = 0, 1, 2
#: Confidence of the stub network by number of streams besides colour, see StubBackend.
ALL_STREAMS, ONE_STREAM_LESS, COLOR_ALONE = 200, 175, 150


def with_stamp(stamp_ns: int) -> Callable[[Any], bool]:
    return lambda message: stamp_of(message) == stamp_ns


class Rig:
    """A running node with cameras, heard on mask, confidence and diagnostics."""

    def __init__(self, node: NodeProcess, peer: Peer) -> None:
        self.node, self.peer = node, peer
        self.cameras = Cameras(peer)
        peer.subscribe(MASK, Image)
        peer.subscribe(CONFIDENCE, Image)
        peer.subscribe("/diagnostics", DiagnosticArray)
        peer.wait_matched([MASK, CONFIDENCE], INPUTS)

    def send_until(self, accept: Callable[[Image], bool], what: str, *sensors: str, deadline_s: float = 60.0) -> Image:
        """Publish moments at 20 Hz until a confidence image is as wanted."""
        self.peer.received[CONFIDENCE].clear()
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            self.cameras.publish(*sensors)
            time.sleep(0.05)
            for message in list(self.peer.received[CONFIDENCE]):
                if accept(message):
                    return message
        raise AssertionError(f"waited {deadline_s:.0f} s in vain for: {what}\n{self.node.text()}")

    def all_well(self) -> Image:
        return self.send_until(lambda m: m.data[0] == ALL_STREAMS, "a frame with all streams")

    def wait_status(self, name: str, level: int, words: str, *sensors: str) -> str:
        """Publish at 20 Hz until diagnostics say this; returns the message."""

        def said() -> str:
            if sensors:
                self.cameras.publish(*sensors)
                time.sleep(0.05)
            got = self.peer.statuses().get(name, (-1, ""))
            return got[1] if got[0] == level and words in got[1] else ""

        return str(wait_until(said, f"{name} at level {level} with '{words}', is {self.peer.statuses()}"))

    def set_parameter(self, name: str, value: Any) -> tuple[bool, str]:
        return set_parameter(self.peer, name, value)
