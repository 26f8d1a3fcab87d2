"""Publishes diagnostics at a fixed period, and at once when a level changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ssma_ros.ros.diagnostics import (
    OK,
    WARN,
    InputState,
    Status,
    inference_status,
    input_status,
    synchronization_status,
)

if TYPE_CHECKING:
    from rclpy.node import Node

    from ssma_ros.ros.session import FusionSession

#: How often levels are looked at, seconds.
CHECK_PERIOD_S = 0.1


class DiagnosticsReporter:
    """Watches a session and reports; :meth:`check` is to be called every :data:`CHECK_PERIOD_S`.

    Args:
        node: that publishes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._levels: tuple[int, ...] = ()
        self._last_ns = 0

    def check(self, session: FusionSession | None, state: str, period_s: float) -> None:
        """Publish if the period is over or a level has changed since the last message.

        Args:
            session: of a configured node, else None.
            state: of the life cycle.
            period_s: between two messages.
        """
        now = time.monotonic_ns()
        due = now - self._last_ns >= period_s * 1e9
        statuses = self._statuses(session, state, now)
        levels = tuple(status.level for status in statuses)
        if not due and levels == self._levels:
            return
        self._levels, self._last_ns = levels, now
        message = DiagnosticArray(status=[self._message(status, session) for status in statuses])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _statuses(self, session: FusionSession | None, state: str, now_ns: int) -> list[Status]:
        life = Status("life cycle", OK if state == "active" else WARN, state)
        if session is None or not session.worker.active:
            return [life]
        progress, counters = session.processor.progress, session.worker.counters
        parameters = session.parameters
        ages = session.worker.ages_ns()
        statuses = [life]
        degraded: dict[str, str] = {}
        for sensor, age in ages.items():
            entry = session.inputs.inputs[sensor]
            required = sensor == "color" and parameters.driver == "color"
            stale_ns = round(parameters.stale_after * 1e9)
            rate = entry.rate.rate_hz(now_ns)
            publishers = self._node.count_publishers(entry.topic)
            state_of = InputState(
                sensor, entry.topic, required, rate, age, stale_ns, publishers, entry.problem, entry.lost, entry.lost_ns
            )
            statuses.append(input_status(state_of, counters, progress, now_ns))
        for sensor, record in progress.sensors.items():
            reason = record.current_reason(now_ns)
            if reason:
                degraded[sensor] = reason
        statuses.append(synchronization_status(counters, progress, degraded))
        rate = progress.outputs.rate_hz(now_ns)
        identity = session.pipeline.backend.identity
        statuses.append(inference_status(progress, identity, rate, now_ns))
        return statuses

    def _message(self, status: Status, session: FusionSession | None) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {status.name}",
            message=status.message,
            hardware_id="" if session is None else session.parameters.model,
            values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
        )
