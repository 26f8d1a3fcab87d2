# SPDX-License-Identifier: Apache-2.0
"""A live graph for tests: the real node as a process of its own, publishers and recorders in the test's process."""

from __future__ import annotations

import array
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

PROJECT = Path(__file__).resolve().parents[2]
#: What Python runs as the node: the real one with a network that is made of thresholds.
STUB_COMMAND = (str(Path(__file__).with_name("stub_network.py")),)
NODE = "/ssma_fusion"
_PR_SET_PDEATHSIG = 1
#: Seconds; only reached when something is broken.
DEADLINE_S = 60.0
#: Seconds for the first configure: the first on a machine compiles kernels.
START_S = 300.0
#: Seconds after which an answer counts as lost.
ANSWER_S = 10.0
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)


def environment(domain: int, **more: str) -> dict[str, str]:
    """Of a process in the test's own graph on the loopback interface."""
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    own = {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        # Images do not fit into the default shared memory.
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(PROJECT / "config" / "fastdds.xml"),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(PROJECT / "config" / "fastdds.xml"),
    }
    return {**os.environ, **own, **more}


def processor_seconds(pid: int) -> float:
    """User and system time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of ``condition``, asked every 10 ms."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {deadline_s:.0f} s in vain for: {what}")


def die_with_parent() -> None:
    """In the child: have Linux end it when pytest is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class NodeProcess:
    """The node, with the stub network unless ``command`` says otherwise, as a process; always reaped."""

    def __init__(
        self, domain: int, log: Path, *arguments: str, command: tuple[str, ...] = STUB_COMMAND, **env: str
    ) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--ros-args", *arguments],
                stdout=stream,
                stderr=stream,
                env=environment(domain, **env),
                preexec_fn=die_with_parent,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_text(self, words: str) -> None:
        def said() -> bool:
            assert words in self.text() or self.process.poll() is None, f"node ended: {self.text()}"
            return words in self.text()

        wait_until(said, f"'{words}' in the node's log:\n{self.text()}", START_S)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Peer:
    """Cameras and a recorder in the test's process, spun by a thread of their own."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        self.context.init(domain_id=domain)
        self.node = Node("peer", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        rclpy.shutdown(context=self.context)
        self._thread.join(DEADLINE_S)
        self.node.destroy_node()

    def subscribe(self, topic: str, kind: Any, qos: QoSProfile = RELIABLE) -> None:
        self.node.create_subscription(kind, topic, self.received[topic].append, qos)

    def publisher(self, topic: str, kind: Any, qos: QoSProfile = RELIABLE) -> Any:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        return self._publishers[topic]

    def publish(self, topic: str, message: Any) -> None:
        self.publisher(topic, type(message)).publish(message)

    def wait_matched(self, outputs: Sequence[str], inputs: dict[str, Any]) -> None:
        """Until the node's publishers and subscriptions have found ours."""
        for topic in outputs:
            found = partial(self.node.count_publishers, topic)
            wait_until(found, f"a publisher of {topic}", START_S)
        for topic, kind in inputs.items():
            publisher = self.publisher(topic, kind)
            wait_until(lambda p=publisher: p.get_subscription_count() > 0, f"a subscriber of {topic}")

    def wait_for(self, topic: str, accept: Callable[[Any], bool], what: str, deadline_s: float = DEADLINE_S) -> Any:
        return wait_until(
            lambda: next((m for m in list(self.received[topic]) if accept(m)), None), f"{topic}: {what}", deadline_s
        )

    def statuses(self) -> dict[str, tuple[int, str]]:
        """Latest diagnostics: name → (level, message)."""
        arrays: list[DiagnosticArray] = list(self.received["/diagnostics"])
        if not arrays:
            return {}
        return {s.name.partition(": ")[2]: (s.level[0], s.message) for s in arrays[-1].status}

    def call(self, service: str, kind: Any, request: Any, arrived: Callable[[], bool] = lambda: False) -> Any:
        """The service's answer, or None where ``arrived`` says that it has been done although no answer came.

        DDS may lose the very first answer of a service: the server answers before it has discovered the client's
        reader. So the question is asked again; it must be one that may be asked twice.
        """
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        wait_until(client.service_is_ready, f"service {service}")
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            future = client.call_async(request)
            with suppress(AssertionError):
                wait_until(future.done, f"answer of {service}", ANSWER_S)
                return future.result()
            if arrived():
                return None
        raise AssertionError(f"{service} does not answer")

    def change_state(self, label: str) -> bool:
        """Whether the transition succeeded."""
        request = ChangeState.Request()
        request.transition.label = label
        before = self.state()
        answer = self.call(f"{NODE}/change_state", ChangeState, request, lambda: self.state() != before)
        return answer is None or bool(answer.success)

    def state(self) -> str:
        return str(self.call(f"{NODE}/get_state", GetState, GetState.Request()).current_state.label)


def set_parameter(peer: Peer, name: str, value: Any) -> tuple[bool, str]:
    """Set one parameter of the node by its service: whether it was, and the reason where it was not."""
    kinds = {
        bool: (ParameterType.PARAMETER_BOOL, "bool_value"),
        int: (ParameterType.PARAMETER_INTEGER, "integer_value"),
        float: (ParameterType.PARAMETER_DOUBLE, "double_value"),
        str: (ParameterType.PARAMETER_STRING, "string_value"),
        list: (ParameterType.PARAMETER_STRING_ARRAY, "string_array_value"),
    }
    kind, field = kinds[type(value)]
    parameter = Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))
    request = SetParameters.Request(parameters=[parameter])
    result = peer.call(f"{NODE}/set_parameters", SetParameters, request).results[0]
    return result.successful, result.reason


@contextmanager
def live_node(
    tmp_path: Path, domain: int, *arguments: str, command: tuple[str, ...] = STUB_COMMAND, **env: str
) -> Iterator[tuple[NodeProcess, Peer]]:
    """A running node and a peer in its graph; the node's log is ``node.log`` in ``tmp_path``."""
    node = NodeProcess(domain, tmp_path / "node.log", *arguments, command=command, **env)
    peer = Peer(domain)
    try:
        yield node, peer
    finally:
        node.kill()
        peer.close()


def fill_header(message: Any, stamp_ns: int, frame_id: str) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.header.frame_id = frame_id
    return message


def image_message(pixels: Any, encoding: str, stamp_ns: int, frame_id: str = "camera") -> Image:
    pixels = np.ascontiguousarray(pixels)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels.strides[0])
    message.data = array.array("B", pixels.tobytes())
    return fill_header(message, stamp_ns, frame_id)


def camera_info_message(width: int, height: int, stamp_ns: int, frame_id: str = "camera") -> CameraInfo:
    focal = 0.8 * width
    cx, cy = (width - 1) / 2, (height - 1) / 2
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return fill_header(message, stamp_ns, frame_id)


INPUTS = {
    "/camera/image_rect": Image,
    "/camera/camera_info": CameraInfo,
    "/depth/image_rect": Image,
    "/nir/image_rect": Image,
}


class Cameras:
    """Publishes the same scene with rising stamps: four vertical bands of red, a plane of depth, grey NIR."""

    def __init__(self, peer: Peer, width: int = 96, height: int = 64, start_ns: int = 1_700_000_000 * 10**9) -> None:
        self._peer = peer
        self.width, self.height = width, height
        self.stamp_ns = start_ns
        self.frame_id = "camera_optical"
        self.color = np.zeros((height, width, 3), np.uint8)
        self.color[..., 2] = (np.arange(width) * 4 // width * 64 + 10)[None, :]
        self.depth = np.full((height, width), 2500, np.uint16)
        self.nir = np.full((height, width), 120, np.uint8)

    def publish(self, *sensors: str, step_ns: int = 100_000_000) -> int:
        """One moment seen by ``sensors`` (all by default); returns its stamp."""
        self.stamp_ns += step_ns
        sensors = sensors or ("camera_info", "depth", "nir", "color")
        made = {
            "camera_info": lambda: camera_info_message(self.width, self.height, self.stamp_ns, self.frame_id),
            "depth": lambda: image_message(self.depth, "16UC1", self.stamp_ns, self.frame_id),
            "nir": lambda: image_message(self.nir, "mono8", self.stamp_ns, self.frame_id),
            "color": lambda: image_message(self.color, "bgr8", self.stamp_ns, self.frame_id),
        }
        topics = {"camera_info": "/camera/camera_info", "depth": "/depth/image_rect", "nir": "/nir/image_rect"}
        for sensor in sensors:
            self._peer.publish(topics.get(sensor, "/camera/image_rect"), made[sensor]())
        return self.stamp_ns


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)
