# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself, what it looks at while the worker writes it, and what it makes ready at configure."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros.in_process import node_in_process
from ros.stub_network import StubBackend

from ssma_ros.messages.catalogue import OutputCatalog
from ssma_ros.ros.processing import SensorRecord

SUCCESS = TransitionCallbackReturn.SUCCESS


def test_a_sensor_first_noted_during_a_report_does_not_end_the_node(domain: int) -> None:
    with node_in_process(domain, lambda _: StubBackend()) as node:
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        session = node._session
        assert session is not None
        sensors = session.processor.progress.sensors

        class Overtaken(SensorRecord):
            """The worker notes the next sensor while this one is read."""

            def current_reason(self, now_ns: int) -> str:
                sensors.setdefault(f"sensor {len(sensors)}", SensorRecord())
                return super().current_reason(now_ns)

        sensors["color"] = Overtaken()
        node._report()  # a timer's callback: what it raises ends the process
        assert len(sensors) > 1


def test_outputs_are_compiled_at_configure_and_not_with_the_first_subscriber(
    domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm: list[OutputCatalog] = []
    monkeypatch.setattr(OutputCatalog, "warm_up", lambda catalog: warm.append(catalog))
    with node_in_process(domain, lambda _: StubBackend()) as node:
        assert node.trigger_configure() == SUCCESS
        assert len(warm) == 1


def test_label_info_tells_the_threshold_that_the_mask_is_made_with(
    domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node_in_process(domain, lambda _: StubBackend(), min_confidence=0.25) as node:
        assert node.trigger_configure() == SUCCESS
        session = node._session
        assert session is not None
        told: list[float] = []
        monkeypatch.setattr(session.publishers, "publish_label_info", told.append)
        node.set_parameters([Parameter("min_confidence", value=0.5)])
        assert told == [], "not while the node is inactive"
        assert node.trigger_activate() == SUCCESS
        node.set_parameters([Parameter("min_confidence", value=0.75)])
        node.set_parameters([Parameter("jpeg_quality", value=70)])
        assert told == [0.5, 0.75]
