# SPDX-License-Identifier: Apache-2.0
"""A robot's cameras in the test's own process: each topic at its rate, with what is wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile
from ros.live import BEST_EFFORT, Peer, camera_info_message, image_message
from sensor_msgs.msg import CameraInfo, Image

WIDTH, HEIGHT = 96, 64
FRAME_ID = "camera_optical"


@dataclass
class Camera:
    """One topic.

    Attributes:
        make: a message for a stamp.
        kind: of the messages.
        rate_hz: of publishing.
        late_s: how long after its stamp a message is sent.
        qos: offered.
        once: sent a single time, at the start.
    """

    make: Callable[[int], Any]
    kind: Any = Image
    rate_hz: float = 10.0
    late_s: float = 0.0
    qos: QoSProfile = field(default_factory=lambda: BEST_EFFORT)
    once: bool = False


def color(stamp_ns: int) -> Image:
    return image_message(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "bgr8", stamp_ns, FRAME_ID)


def depth(stamp_ns: int) -> Image:
    """A floor and a wall: depth in millimetres."""
    rows = np.linspace(8000, 1500, HEIGHT).astype(np.uint16)
    return image_message(np.repeat(rows[:, None], WIDTH, 1), "16UC1", stamp_ns, FRAME_ID)


def nir(stamp_ns: int) -> Image:
    return image_message(np.full((HEIGHT, WIDTH), 120, np.uint8), "mono8", stamp_ns, FRAME_ID)


def info(stamp_ns: int) -> CameraInfo:
    return camera_info_message(WIDTH, HEIGHT, stamp_ns, FRAME_ID)


def healthy() -> dict[str, Camera]:
    """Everything as the node wants it."""
    return {
        "/camera/image_rect": Camera(color),
        "/camera/camera_info": Camera(info, CameraInfo),
        "/depth/image_rect": Camera(depth),
        "/nir/image_rect": Camera(nir),
    }


@contextmanager
def robot(domain: int, cameras: Mapping[str, Camera]) -> Iterator[Peer]:
    """The cameras, sending until the end of the block. All have one clock and take their pictures together."""
    peer = Peer(domain)
    publishers = {topic: peer.publisher(topic, camera.kind, camera.qos) for topic, camera in cameras.items()}
    end = threading.Event()

    def send() -> None:
        start = time.time()
        sent = dict.fromkeys(cameras, 0)
        while not end.is_set():
            for topic, camera in cameras.items():
                taken = start + sent[topic] / camera.rate_hz
                if time.time() >= taken + camera.late_s and not (camera.once and sent[topic]):
                    publishers[topic].publish(camera.make(round(taken * 1e9)))
                    sent[topic] += 1
            time.sleep(0.002)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        end.set()
        thread.join()
        peer.close()
