# SPDX-License-Identifier: Apache-2.0
"""Each sensor's process is killed and started again: the output never stops, diagnostics say who is missing."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from diagnostic_msgs.msg import DiagnosticArray
from ros.live import START_S, Peer, die_with_parent, environment, live_node, wait_until
from ros.rig import ALL_STREAMS, CONFIDENCE, OK, ONE_STREAM_LESS, WARN
from ros.sensor import PICTURES, RATE_HZ
from sensor_msgs.msg import Image

SENSORS = ("color", "depth", "nir")
SENSOR = Path(__file__).with_name("sensor.py")
#: Confidence of the stub network without a sensor; without colour the vegetation index is lost too.
DEGRADED = {"color": ONE_STREAM_LESS, "depth": ONE_STREAM_LESS, "nir": ONE_STREAM_LESS}
#: What the interface promises for the warning, seconds from the last message.
WARNED_S = 1.0
#: How long each outage lasts, seconds.
OUTAGE_S = 3.0


class Sensors:
    """The sensors' processes."""

    def __init__(self, domain: int) -> None:
        self._domain = domain
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, sensor: str) -> None:
        command = [sys.executable, str(SENSOR), sensor]
        self._processes[sensor] = subprocess.Popen(command, env=environment(self._domain), preexec_fn=die_with_parent)

    def kill(self, sensor: str) -> None:
        process = self._processes.pop(sensor)
        process.kill()
        process.wait()

    def close(self) -> None:
        for sensor in tuple(self._processes):
            self.kill(sensor)


class Watch:
    """Arrivals of confidence images, and the latest diagnostics."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.arrivals: list[tuple[float, int]] = []  # (monotonic time, confidence)
        peer.node.create_subscription(
            Image, CONFIDENCE, lambda m: self.arrivals.append((time.monotonic(), m.data[0])), 50
        )
        peer.subscribe("/diagnostics", DiagnosticArray)

    def status(self, sensor: str) -> tuple[int, str, dict[str, str]]:
        """Level, message and values of a sensor in the latest diagnostics."""
        arrays: list[Any] = list(self._peer.received["/diagnostics"])
        for status in arrays[-1].status if arrays else ():
            if status.name.endswith(f": {sensor}"):
                return status.level[0], status.message, {v.key: v.value for v in status.values}
        return -1, "", {}

    def silent(self, sensor: str) -> tuple[int, str, dict[str, str]] | None:
        """Its status where that says that nothing comes from it."""
        status = self.status(sensor)
        return status if status[1].startswith(f"no {sensor} message") else None

    def wait_well(self) -> None:
        """Until all three are there and a whole frame came."""

        def well() -> bool:
            fine = all(self.status(sensor)[0] == OK for sensor in SENSORS)
            return fine and bool(self.arrivals) and self.arrivals[-1][1] == ALL_STREAMS

        wait_until(well, "all sensors at work", START_S)

    def longest_gap(self, begin: float, end: float) -> float:
        """Longest time without an image between two times, seconds."""
        times = [begin, *(t for t, _ in self.arrivals if begin <= t <= end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@pytest.fixture
def sensors(domain: int) -> Iterator[Sensors]:
    sensors = Sensors(domain)
    yield sensors
    sensors.close()


def test_each_sensor_killed_and_revived_in_turn(tmp_path: Path, domain: int, sensors: Sensors) -> None:
    warned_after: list[float] = []
    with live_node(tmp_path, domain, "-p", "driver:=any") as (node, peer):
        watch = Watch(peer)
        for sensor in SENSORS:
            sensors.start(sensor)
        watch.wait_well()
        for sensor in SENSORS:
            killed = time.monotonic()
            sensors.kill(sensor)
            level, message, values = wait_until(lambda s=sensor: watch.silent(s), f"a warning that {sensor} is silent")
            assert level == WARN
            assert f" on {PICTURES[sensor][0]} for {float(values['age (s)']):.1f} s" in message
            warned_after.append(float(values["age (s)"]))
            wait_until(lambda k=killed: time.monotonic() > k + OUTAGE_S, "the end of the outage")
            outage = [confidence for t, confidence in watch.arrivals if killed < t < killed + OUTAGE_S]
            assert len(outage) > 0.5 * OUTAGE_S * RATE_HZ, f"{len(outage)} images while {sensor} was dead"
            assert outage[-1] == DEGRADED[sensor]
            gap = watch.longest_gap(killed, killed + OUTAGE_S)
            assert gap < OUTAGE_S / 2, f"no output for {gap:.1f} s while {sensor} was dead"
            print(f"{sensor}: warned of after {warned_after[-1]:.2f} s, longest gap between outputs {gap:.2f} s")
            sensors.start(sensor)
            watch.wait_well()
        assert statistics.median(warned_after) < WARNED_S, warned_after
        assert node.process.poll() is None
        assert "Traceback" not in node.text()
