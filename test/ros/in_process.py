# SPDX-License-Identifier: Apache-2.0
"""The node in the test's own process: its objects can be looked at, its log is a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import rclpy
from ros import messages

from ssma_ros.ros.fusion_node import FusionNode

if TYPE_CHECKING:
    from ssma_ros.ros.fusion_node import Load


class Log:
    """Stands in for the node's logger and keeps what is said as ``(level, sentence)``."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def info(self, sentence: str) -> None:
        self.said.append(("info", sentence))

    def warning(self, sentence: str) -> None:
        self.said.append(("warning", sentence))

    def error(self, sentence: str) -> None:
        self.said.append(("error", sentence))

    def errors(self) -> list[str]:
        return [sentence for level, sentence in self.said if level == "error"]

    def infos(self) -> list[str]:
        return [sentence for level, sentence in self.said if level == "info"]


class LoggedNode(FusionNode):
    """A FusionNode whose log is a list."""

    def __init__(self, load: Load | None = None) -> None:
        self.log = Log()
        super().__init__(load)

    def get_logger(self) -> Any:
        return self.log

    def pretend_subscriber(self, topic: str) -> list[tuple[Any, Any]]:
        """As if somebody listened to that output alone; collects (result, frame) instead of publishing."""
        session = self._session
        assert session is not None
        output = next(output for output in session.publishers._catalog.outputs if output.topic == topic)
        published: list[tuple[Any, Any]] = []
        session.publishers.wanted = lambda: (output,)  # type: ignore[method-assign]
        session.publishers.publish = (  # type: ignore[method-assign]
            lambda _wanted, result, frame: published.append((result, frame))
        )
        return published

    def segment(self, sensors: dict[str, Any], *, driver: str = "color") -> None:
        """Hand one moment's messages to the session as if they had come from the graph."""
        session = self._session
        assert session is not None
        for sensor, message in sensors.items():
            if sensor == "camera_info":
                session.inputs.inputs["camera_info"].last = message
            elif sensor != driver:
                session.worker.offer(sensor, messages.stamp(message), message)
        session.worker.offer(driver, messages.stamp(sensors[driver]), sensors[driver])


@contextmanager
def node_in_process(domain: int, load: Load | None = None, **parameters: Any) -> Iterator[LoggedNode]:
    """A node that nobody spins, in a graph of its own; released at the end."""
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["--ros-args", *arguments] if arguments else [], domain_id=domain)
    try:
        node = LoggedNode(load)
        try:
            yield node
        finally:
            node.close()
    finally:
        rclpy.try_shutdown()
