# SPDX-License-Identifier: Apache-2.0
"""Transitions of the real node in a process of its own: what they do, how long they take, how they fail."""

from __future__ import annotations

import re
import signal
import statistics
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import GetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros.in_process import node_in_process
from ros.live import (
    INPUTS,
    NODE,
    START_S,
    STUB_COMMAND,
    Cameras,
    NodeProcess,
    Peer,
    live_node,
    processor_seconds,
    set_parameter,
    stamp_of,
    wait_until,
)
from ros.rig import MASK, Rig
from ros.stub_network import StubBackend
from sensor_msgs.msg import Image

from ssma_ros.ros.parameters import FusionParameters

SHIPPED_COMMAND = ("-m", "ssma_ros.ros.fusion_node")
#: What the interface promises for activate and deactivate, and for a restart after a crash.
SWITCH_MS, RESTART_S = 100.0, 5.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_node_with_status_0(tmp_path: Path, domain: int, number: int) -> None:
    with live_node(tmp_path, domain, "-p", "modell:=x", "-p", "class_confidence_topics:=[]") as (node, _):
        node.wait_for_text("active")
        assert "parameter 'modell' is unknown and ignored, expected 'model'" in node.text()
        node.process.send_signal(number)
        assert node.end(number) == 0  # twice, as launch does
        assert "Traceback" not in node.text()


def test_signal_while_configuring_ends_the_node_with_status_0(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, SSMA_STUB_DELAY="1.0") as (node, _):
        node.wait_for_text("warming up")
        assert node.end() == 0
        assert "Traceback" not in node.text()


@pytest.mark.parametrize("autostart", ["true", "false"])
def test_the_node_answers_while_it_configures(tmp_path: Path, domain: int, autostart: str) -> None:
    """A first start compiles for a minute: who asks gets an answer, and what changes meanwhile is not forgotten."""
    with live_node(tmp_path, domain, "-p", f"autostart:={autostart}", SSMA_STUB_DELAY="4.0") as (node, peer):
        peer.subscribe("/diagnostics", DiagnosticArray)
        if autostart == "false":
            client = peer.node.create_client(ChangeState, f"{NODE}/change_state")
            wait_until(client.service_is_ready, "service change_state")
            client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
        node.wait_for_text("warming up")
        assert peer.state() == "configuring"
        wait_until(lambda: "configuring for" in peer.statuses().get("life cycle", (0, ""))[1], "it in diagnostics")
        assert set_parameter(peer, "min_confidence", 0.7) == (True, "")
        refused, reason = set_parameter(peer, "camera_height", 1.5)
        assert not refused
        assert "is read at configure" in reason
        assert "model ready" not in node.text()
        expected = "active" if autostart == "true" else "inactive"
        wait_until(lambda: peer.state() == expected, f"state {expected}")
        assert peer.change_state("deactivate" if autostart == "true" else "activate")
        request = GetParameters.Request(names=["min_confidence"])
        assert peer.call(f"{NODE}/get_parameters", GetParameters, request).values[0].double_value == 0.7


def test_a_configure_that_cannot_be_interrupted_does_not_keep_the_node(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, SSMA_STUB_DELAY="600") as (node, _):
        node.wait_for_text("warming up")
        assert node.end() == 0  # after which end() would lose patience long before the ten minutes
        assert "Traceback" not in node.text()


def test_a_live_parameter_that_changes_while_configuring_is_that_of_the_session(domain: int) -> None:
    with node_in_process(domain) as node:

        def load(_: FusionParameters) -> StubBackend:
            assert node.set_parameters([Parameter("min_confidence", value=0.7)])[0].successful
            return StubBackend()

        node._load = load
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node._session is not None
        assert node._session.segmenter.options.min_confidence == 0.7
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        node._load = lambda _: (  # a class that the network does not have: nobody could know while it was loaded
            node.set_parameters([Parameter("points_semantic_fields", value=["lava"])]) and StubBackend()
        )
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert "parameter points_semantic_fields names lava" in node.log.errors()[-1]
        assert node._session is None


def test_life_cycle_by_services(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, "-p", "autostart:=false") as (node, peer):
        assert peer.state() == "unconfigured"
        assert peer.change_state("configure")
        assert peer.state() == "inactive"
        peer.subscribe(MASK, Image)
        peer.wait_matched([MASK], INPUTS)
        cameras = Cameras(peer)
        assert peer.change_state("activate")
        wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[MASK], "a mask")
        assert peer.change_state("deactivate")
        wait_until(lambda: peer.state() == "inactive", "state inactive")
        last = cameras.publish()
        assert peer.change_state("activate")
        wait_until(
            lambda: cameras.publish() and time.sleep(0.05) is None and stamp_of(peer.received[MASK][-1]) > last, "masks"
        )
        assert not any(stamp_of(m) == last for m in peer.received[MASK])
        assert peer.change_state("deactivate")
        assert peer.change_state("cleanup")
        assert peer.state() == "unconfigured"
        assert peer.change_state("configure")
        assert peer.change_state("cleanup")
        assert peer.change_state("shutdown")
        assert peer.state() == "finalized"
        assert node.end() == 0


def test_wrong_start_values_end_with_a_sentence_and_status_1(tmp_path: Path, domain: int) -> None:
    for number, (argument, words) in enumerate(
        [
            ("sync_slop:=99.0", "sync_slop"),
            ("backend:=magic", "parameter backend is 'magic', expected one of auto"),
            ("class_confidence_topics:=['lava']", "names lava, expected classes of the network: trail"),
            ("sync_slop", "the ROS arguments cannot be read"),
        ]
    ):
        node = NodeProcess(domain, tmp_path / f"{number}.log", "-p", argument)
        try:
            assert node.process.wait(START_S) == 1
        finally:
            node.kill()
        assert words in node.text()
        assert "Traceback" not in node.text()


def test_a_model_that_does_not_load_leaves_a_node_that_takes_another(tmp_path: Path, domain: int) -> None:
    with live_node(tmp_path, domain, "-p", "autostart:=false", "-p", "model:=broken") as (node, peer):
        assert not peer.change_state("configure")
        assert peer.state() == "unconfigured"
        node.wait_for_text("cannot configure: model broken: no such file")
        assert set_parameter(peer, "model", "other") == (True, "")
        assert peer.change_state("configure")
        assert peer.change_state("activate")
        assert peer.state() == "active"


@pytest.mark.parametrize("model", ["crash", "disk full"])
def test_a_configure_that_fails_in_any_way_leaves_a_node_that_can_be_configured(
    tmp_path: Path, domain: int, model: str
) -> None:
    """An unforeseen exception goes through the error state, a full disk is told in a sentence."""
    with live_node(tmp_path, domain, "-p", "autostart:=false", "-p", f"model:={model}") as (node, peer):
        for _ in range(2):
            assert not peer.change_state("configure")
            assert peer.state() == "unconfigured"
        if model == "crash":
            node.wait_for_text("RuntimeError: no such thing was foreseen")
            node.wait_for_text("unconfigured after")
        else:
            node.wait_for_text("cannot configure: [Errno 28] No space left on device: '/cache/x'")
            assert "Traceback" not in node.text()
        assert set_parameter(peer, "model", "other") == (True, "")
        assert peer.change_state("configure")
        assert peer.change_state("activate")
        Rig(node, peer).all_well()


def test_activate_and_deactivate_are_quick_while_a_frame_is_in_work(tmp_path: Path, domain: int) -> None:
    """By the node's own clock, the median of several: the machine that tests may be busy with other things."""
    with live_node(tmp_path, domain, SSMA_STUB_DELAY="0.5") as (node, peer):
        peer.subscribe(MASK, Image)
        peer.wait_matched([MASK], INPUTS)
        cameras = Cameras(peer)
        wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[MASK], "a mask")
        for _ in range(5):
            begun = node.text().count("frame in work")
            wait_until(lambda n=begun: cameras.publish() and node.text().count("frame in work") > n, "a frame in work")
            assert peer.change_state("deactivate")
            peer.received[MASK].clear()
            assert peer.change_state("activate")
            assert not peer.received[MASK], "something was published by an inactive node"
        wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[MASK], "masks again")
        for state in ("active", "inactive"):
            took = [float(ms) for ms in re.findall(rf"\b{state} after ([\d.]+) ms", node.text())]
            assert len(took) >= 5
            assert statistics.median(took) < SWITCH_MS, took


def restarted(tmp_path: Path, domain: int, peer: Peer, command: tuple[str, ...]) -> tuple[float, float]:
    """Processor and wall-clock seconds from the start of a new node to its first mask."""
    begun = time.monotonic()
    again = NodeProcess(domain, tmp_path / "again.log", command=command)
    try:
        cameras = Cameras(peer)
        peer.received[MASK].clear()
        wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[MASK], "a mask", START_S)
        return processor_seconds(again.process.pid), time.monotonic() - begun
    finally:
        again.kill()


@pytest.mark.parametrize(
    "command", [STUB_COMMAND, pytest.param(SHIPPED_COMMAND, marks=pytest.mark.slow)], ids=["stub", "shipped"]
)
def test_a_node_killed_in_the_middle_of_a_frame_segments_again_within_seconds(
    tmp_path: Path, domain: int, command: tuple[str, ...]
) -> None:
    """The bound is on processor time, which a busy machine does not stretch as it does the clock on the wall."""
    with live_node(tmp_path, domain, command=command, SSMA_STUB_DELAY="0.2") as (node, peer):
        peer.subscribe(MASK, Image)
        peer.wait_matched([MASK], INPUTS)
        cameras = Cameras(peer)
        wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[MASK], "a mask")
        if command is STUB_COMMAND:
            begun = node.text().count("frame in work")
            wait_until(lambda: cameras.publish() and node.text().count("frame in work") > begun, "a frame in work")
        else:
            cameras.publish()
        node.end(signal.SIGKILL)
        processor_s, wall_s = restarted(tmp_path, domain, peer, command)
        print(f"restart: {processor_s:.1f} s of the processor, {wall_s:.1f} s by the clock")
        assert processor_s < RESTART_S, f"{processor_s:.1f} s of the processor, {wall_s:.1f} s by the clock"
