# SPDX-License-Identifier: Apache-2.0
"""Cameras at a fixed rate and a recorder of what the node answers, for benchmarks."""

from __future__ import annotations

import array
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.messages.decode import serialized_stamp_ns
from ssma_ros.messages.fields import camera_info_fields
from ssma_ros.ros.publishers import message_class

if TYPE_CHECKING:
    from collections.abc import Callable

_NODE = "/ssma_fusion"
_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
_MS = 1e-6  # of a nanosecond


@dataclass(frozen=True)
class RunReport:
    """One run at a fixed rate, in the terms of ros2_benchmark.

    Attributes:
        rate_hz, duration_s: how fast and how long the cameras published.
        sent, received, missed: moments published, masks received, moments without a mask.
        output_rate_hz: masks a second.
        first_latency_ms, last_latency_ms: from the first publish to its mask, from the last answered publish to its.
        latency_mean_ms, latency_min_ms, latency_p50_ms, latency_p95_ms, latency_max_ms: from publish to mask.
        jitter_ms, jitter_max_ms: standard deviation of the time between two masks, and by how much one differed most
            from the time between two publishes.
        cpu_percent: of the node's process, 100 = one core.
        outputs: topics that were subscribed to.
        stages_ms: "p50 / p95" by stage, as the node reports them for its last frames.
    """

    rate_hz: float
    duration_s: float
    sent: int
    received: int
    missed: int
    output_rate_hz: float
    first_latency_ms: float
    last_latency_ms: float
    latency_mean_ms: float
    latency_min_ms: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_max_ms: float
    jitter_ms: float
    jitter_max_ms: float
    cpu_percent: float
    outputs: int
    stages_ms: dict[str, str]

    @property
    def loss(self) -> float:
        """Share of moments without a mask."""
        return self.missed / self.sent if self.sent else 1.0

    def to_document(self) -> dict[str, Any]:
        """JSON-ready: what could not be measured, as nothing was received, is None."""
        return {key: None if value != value else value for key, value in asdict(self).items()}


class LoadGenerator:
    """Publishes three synthetic sensors and hears masks and diagnostics; a context manager.

    Args:
        width, height: of the images in pixels.
        domain: ROS domain.
        cpu_seconds: gives the CPU time the node has used so far.
        every_output: subscribe to everything the node offers, not to the mask alone.
    """

    def __init__(
        self, width: int, height: int, domain: int, cpu_seconds: Callable[[], float], every_output: bool = False
    ) -> None:
        self._cpu_seconds = cpu_seconds
        self._every_output = every_output
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node("ssma_load_generator", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._messages = _moment(width, height)
        self._publishers = {
            topic: self._node.create_publisher(type(message), topic, _QOS) for topic, message in self._messages.items()
        }
        self._answered: dict[int, int] = {}
        self._diagnostics: DiagnosticArray | None = None
        self._listening = {f"{_NODE}/mask"}
        # As bytes: turning them into a message takes longer than what is measured, and would count as the node's.
        self._node.create_subscription(Image, f"{_NODE}/mask", self._mask, _QOS, raw=True)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        self._stamp_ns = time.time_ns()
        self._thread = threading.Thread(target=self._spin, name="load generator", daemon=True)
        self._thread.start()

    def __enter__(self) -> LoadGenerator:
        return self

    def __exit__(self, *_: object) -> None:
        rclpy.shutdown(context=self._context)
        self._thread.join()
        self._node.destroy_node()

    def wait_for_node(self, timeout_s: float, alive: Callable[[], bool]) -> None:
        """Until the node answers.

        Raises:
            SsmaError: it does not within ``timeout_s``, or its process ends.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and alive():
            self._publish()
            time.sleep(0.1)
            if self._answered:
                if self._every_output:
                    self._listen_to_everything()
                return
        state = f"no mask after {timeout_s:.0f} s" if alive() else "it ended"
        raise SsmaError(f"the node does not answer: {state}, expected masks on {_NODE}/mask")

    def run(self, rate_hz: float, duration_s: float) -> RunReport:
        """Publish at ``rate_hz`` for ``duration_s`` and wait a second for the stragglers."""
        self._answered.clear()
        sent: dict[int, int] = {}
        cpu, start = self._cpu_seconds(), time.monotonic()
        while (elapsed := time.monotonic() - start) < duration_s:
            stamp, when = self._publish()
            sent[stamp] = when
            time.sleep(max(0.0, len(sent) / rate_hz - elapsed))
        cpu = self._cpu_seconds() - cpu
        seconds = time.monotonic() - start
        time.sleep(1.0)
        return self._report(rate_hz, seconds, sent, cpu)

    def _listen_to_everything(self) -> None:
        for topic, kinds in self._node.get_topic_names_and_types():
            kind = message_class(kinds[0]) if topic.startswith(f"{_NODE}/") else None
            offered = self._node.get_publishers_info_by_topic(topic)
            if kind is None or topic in self._listening or not offered or kinds[0].startswith("lifecycle_msgs/"):
                continue
            self._listening.add(topic)
            self._node.create_subscription(kind, topic, lambda _: None, _QOS, raw=True)

    def _report(self, rate_hz: float, seconds: float, sent: dict[int, int], cpu: float) -> RunReport:
        answered = {stamp: self._answered[stamp] for stamp in sent if stamp in self._answered}
        latencies = np.array([(when - sent[stamp]) * _MS for stamp, when in answered.items()])
        intervals = np.diff(sorted(answered.values())) * _MS
        if len(intervals) == 0:
            intervals = np.array([np.nan])
        if not len(latencies):
            latencies = np.array([np.nan])
        return RunReport(
            rate_hz=rate_hz,
            duration_s=round(seconds, 3),
            sent=len(sent),
            received=len(answered),
            missed=len(sent) - len(answered),
            output_rate_hz=round(len(answered) / seconds, 2),
            first_latency_ms=round(float(latencies[0]), 2),
            last_latency_ms=round(float(latencies[-1]), 2),
            latency_mean_ms=round(float(latencies.mean()), 2),
            latency_min_ms=round(float(latencies.min()), 2),
            latency_p50_ms=round(float(np.percentile(latencies, 50)), 2),
            latency_p95_ms=round(float(np.percentile(latencies, 95)), 2),
            latency_max_ms=round(float(latencies.max()), 2),
            jitter_ms=round(float(intervals.std()), 2),
            jitter_max_ms=round(float(np.abs(intervals - 1000.0 / rate_hz).max()), 2),
            cpu_percent=round(100.0 * cpu / seconds, 1),
            outputs=len(self._listening),
            stages_ms=self._stages(),
        )

    def _stages(self) -> dict[str, str]:
        if self._diagnostics is None:
            return {}
        suffix = " p50/p95 (ms)"
        values = [v for status in self._diagnostics.status for v in status.values if v.key.endswith(suffix)]
        return {value.key.removesuffix(suffix): value.value for value in values}

    def _publish(self) -> tuple[int, int]:
        """One moment, colour last as it is the driving image; gives its stamp and when it was sent."""
        # Rising, and never twice the same even if the machine is quicker than its clock.
        self._stamp_ns = max(self._stamp_ns + 1000, time.time_ns())
        when = time.monotonic_ns()
        for topic, message in self._messages.items():
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(self._stamp_ns, 1_000_000_000)
            self._publishers[topic].publish(message)
        return self._stamp_ns, when

    def _mask(self, message: bytes) -> None:
        self._answered.setdefault(serialized_stamp_ns(message), time.monotonic_ns())

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self._diagnostics = message

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()


def _moment(width: int, height: int) -> dict[str, Any]:
    """Messages by topic, colour last: noise in colour, a ground plane with a tenth of holes in depth."""
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (height, width, 3), np.uint8)
    rows = np.linspace(20.0, 2.0, height)[:, None] * 1000
    depth = np.where(rng.random((height, width)) < 0.1, 0, rows).astype(np.uint16)
    nir = rng.integers(0, 256, (height, width), np.uint8)
    camera = Intrinsics(0.6 * width, 0.6 * width, (width - 1) / 2, (height - 1) / 2, width, height)
    info = CameraInfo(**camera_info_fields(camera))
    info.header.frame_id = "camera"
    return {
        "/camera/camera_info": info,
        "/depth/image_rect": _image(depth, "16UC1"),
        "/nir/image_rect": _image(nir, "mono8"),
        "/camera/image_rect": _image(color, "bgr8"),
    }


def _image(pixels: np.ndarray[Any, Any], encoding: str) -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels.strides[0])
    message.header.frame_id = "camera"
    message.data = array.array("B", pixels.tobytes())
    return message
