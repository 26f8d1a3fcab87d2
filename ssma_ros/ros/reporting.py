# SPDX-License-Identifier: Apache-2.0
"""Publishes diagnostics at a fixed period, and at once when a level or a reason changes."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile

from ssma_ros.ros.diagnostics import (
    Demand,
    InputState,
    Status,
    gravity_status,
    inference_details,
    inference_status,
    info_status,
    input_status,
    registration_status,
    synchronization_status,
)
from ssma_ros.ros.process_memory import resident_bytes
from ssma_ros.ros.processing import LASTING_NS
from ssma_ros.ros.qos import with_overrides
from ssma_ros.sensors import registered

if TYPE_CHECKING:
    from rclpy.node import Node

    from ssma_ros.ros.session import FusionSession
    from ssma_ros.ros.subscriptions import Input

#: How often levels are looked at, seconds.
CHECK_PERIOD_S = 0.1
#: How often it is looked at who publishes the inputs, nanoseconds.
_LOOK_NS = 1_000_000_000
_TOPIC = "/diagnostics"


class DiagnosticsReporter:
    """Watches a session and reports; :meth:`check` is to be called every :data:`CHECK_PERIOD_S`.

    Args:
        node: that publishes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        create = partial(node.create_publisher, DiagnosticArray, _TOPIC, QoSProfile(depth=10))
        self._publisher = with_overrides(
            node, _TOPIC, "publisher", lambda options: create(qos_overriding_options=options)
        )
        self._said: tuple[tuple[int, str], ...] = ()
        self._last_ns = 0
        self._looked_ns = 0

    def check(self, session: FusionSession | None, life: Status, period_s: float) -> None:
        """Publish if the period is over or a level or a reason has changed since the last message.

        Args:
            session: of a configured node, else None.
            life: status of the life cycle.
            period_s: between two messages.
        """
        now = time.monotonic_ns()
        if session is not None and now - self._looked_ns >= _LOOK_NS:
            self._looked_ns = now
            session.inputs.look()
        due = now - self._last_ns >= period_s * 1e9
        said = tuple(_kind(status) for status in self._statuses(session, life, now, detailed=False))
        if not due and said == self._said:
            return
        self._said, self._last_ns = said, now
        statuses = self._statuses(session, life, now, detailed=True)
        message = DiagnosticArray(status=[self._message(status, session) for status in statuses])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _statuses(self, session: FusionSession | None, life: Status, now_ns: int, *, detailed: bool) -> list[Status]:
        """The life cycle, and of an active node every input, matching, inference.

        Percentiles and memory are left out where only levels and reasons are looked at, many times a second.
        """
        if session is None or not session.worker.active:
            return [life]
        progress, counters = session.processor.progress, session.worker.counters
        ages = session.worker.ages_ns()
        statuses = [life]
        for sensor, entry in session.inputs.inputs.items():
            if sensor in ages:
                state = self._state(session, entry, ages[sensor], now_ns)
                statuses.append(input_status(state, counters, progress, now_ns))
            else:
                age = None if entry.received_ns is None else now_ns - entry.received_ns
                state = self._state(session, entry, age, now_ns)
                statuses.append(info_status(state, entry.received, progress, now_ns))
        # A copy, made in one step: the worker may note another sensor meanwhile.
        reasons = {sensor: record.current_reason(now_ns) for sensor, record in progress.sensors.copy().items()}
        degraded = {sensor: reason for sensor, reason in reasons.items() if reason}
        statuses.append(synchronization_status(counters, progress, degraded))
        details: dict[str, str] = {}
        if detailed:
            backend = session.segmenter.backend
            memory = {"GPU": session.segmenter.memory_bytes, "process": resident_bytes()}
            details = inference_details(backend.identity, memory, progress.stages)
        if any("depth" in stream.sensors for stream in session.segmenter.contract.streams):
            statuses.append(gravity_status(progress, now_ns))
        if any(sensor != "depth" for sensor in registered(vars(session.parameters))):
            statuses.append(registration_status(progress, now_ns))
        rate_hz = progress.outputs.rate_hz(now_ns)
        statuses.append(inference_status(progress, details, rate_hz, now_ns, self._demand(session, now_ns)))
        return statuses

    def _demand(self, session: FusionSession, now_ns: int) -> Demand:
        driver = session.worker.driver()
        return Demand(
            driver=driver,
            coming_hz=session.inputs.inputs[driver].rate.rate_hz(now_ns),
            work_ns=session.worker.work_ns(now_ns),
            patience_ns=LASTING_NS + round(session.parameters.sync_timeout * 1e9),
        )

    def _state(self, session: FusionSession, entry: Input, age_ns: int | None, now_ns: int) -> InputState:
        parameters = session.parameters
        return InputState(
            sensor=entry.sensor,
            topic=entry.topic,
            required=entry.sensor == parameters.driver,
            rate_hz=entry.rate.rate_hz(now_ns),
            age_ns=age_ns,
            stale_ns=round(parameters.stale_after * 1e9),
            publishers=self._node.count_publishers(entry.topic),
            problem=entry.other_type or entry.problem,
            lost=entry.lost,
            lost_ns=entry.lost_ns,
        )

    def _message(self, status: Status, session: FusionSession | None) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {status.name}",
            message=status.message,
            hardware_id="" if session is None else session.parameters.model,
            values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
        )


def _kind(status: Status) -> tuple[int, str]:
    """Level and message less its numbers, which always change."""
    return status.level, re.sub(r"\d+(\.\d+)?", "#", status.message)
