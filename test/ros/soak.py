# SPDX-License-Identifier: Apache-2.0
"""Hours with a node in ever changing circumstances: ``python test/ros/soak.py --minutes 60``.

Sensors come and go, messages are malformed, subscribers join and leave, stamps start over, parameters change, the
node is deactivated and now and then cleaned up and configured anew; memory and descriptors must stay flat and every
calm phase must be segmented. The tests run the same for some seconds, ``make soak`` for ten minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":  # run as a script, the tests' folder is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from ros.live import (
    INPUTS,
    NODE,
    STUB_COMMAND,
    Cameras,
    NodeProcess,
    Peer,
    image_message,
    live_node,
    set_parameter,
    stamp_of,
    wait_until,
)
from sensor_msgs.msg import Image, PointCloud2

#: Growth that counts as a leak: some allocator noise is no leak.
MEMORY_SLACK_MB = 24.0
DESCRIPTOR_SLACK = 2
#: Every so many rounds the node is cleaned up and configured anew.
RECONFIGURE_EVERY = 10
MASK = f"{NODE}/mask"


@dataclass(frozen=True)
class Sample:
    """What a process holds at one time.

    Attributes:
        seconds: since the first sample.
        memory_mb: resident, megabytes of 10⁶ bytes.
        descriptors, threads: how many.
    """

    seconds: float
    memory_mb: float
    descriptors: int
    threads: int


@dataclass
class SoakReport:
    """What a soak measured: a sample at the end of each round, after some rounds in which pools and caches fill."""

    rounds: int = 0
    masks: int = 0
    samples: list[Sample] = field(default_factory=list)

    def growth_mb(self) -> float:
        """Median memory of the last quarter less that of the first, megabytes."""
        quarter = max(1, len(self.samples) // 4)
        memory = [sample.memory_mb for sample in self.samples]
        return float(np.median(memory[-quarter:]) - np.median(memory[:quarter]))

    def new_descriptors(self) -> int:
        """Descriptors after the last round less those after the first."""
        return self.samples[-1].descriptors - self.samples[0].descriptors

    def new_threads(self) -> int:
        """Threads after the last round less those after the first."""
        return self.samples[-1].threads - self.samples[0].threads

    def leaks(self) -> str:
        """What grew, in words, or nothing."""
        grown = []
        if self.growth_mb() > MEMORY_SLACK_MB:
            grown.append(f"memory by {self.growth_mb():.1f} MB")
        if self.new_descriptors() > DESCRIPTOR_SLACK:
            grown.append(f"descriptors by {self.new_descriptors()}")
        if self.new_threads() > DESCRIPTOR_SLACK:
            grown.append(f"threads by {self.new_threads()}")
        return ", ".join(grown)


def sample(pid: int, start: float) -> Sample:
    """What process ``pid`` holds now; ``start`` is the monotonic time of the first sample."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    descriptors = len(list((process / "fd").iterdir()))
    threads = len(list((process / "task").iterdir()))
    return Sample(round(time.monotonic() - start, 1), round(pages * 4096 / 1e6, 1), descriptors, threads)


def one_round(peer: Peer, cameras: Cameras, number: int, pause_s: float) -> int:
    """A calm phase, an outage of each sensor, rubbish, a visitor, a bag loop, a rest; gives the masks received."""
    before = len(peer.received[MASK])
    heard: list[PointCloud2] = []
    visitor = peer.node.create_subscription(PointCloud2, f"{NODE}/points", heard.append, 5)
    for sensors in (("depth", "nir", "color", "camera_info"), ("nir", "color"), ("depth", "color"), ("depth", "nir")):
        for _ in range(5):
            cameras.publish(*sensors, step_ns=50_000_000)
            time.sleep(pause_s)
    rng = np.random.default_rng(number)
    for topic in ("/camera/image_rect", "/depth/image_rect", "/nir/image_rect"):
        rubbish = image_message(rng.integers(0, 256, (8, 8), np.uint8), "mono8", cameras.stamp_ns, "elsewhere")
        rubbish.step = int(rng.integers(0, 2**32))
        rubbish.encoding = str(rng.choice(["mono8", "bgr8", "16UC1", "", "yuv422"]))
        peer.publish(topic, rubbish)
    peer.node.destroy_subscription(visitor)
    cameras.stamp_ns -= 100 * 10**9
    assert set_parameter(peer, "min_confidence", float(rng.choice([0.0, 0.3])))[0]
    assert set_parameter(peer, "output_resolution", str(rng.choice(["network", "camera"])))[0]
    transitions = ["deactivate", "activate"]
    if number % RECONFIGURE_EVERY == 0:
        transitions[1:1] = ["cleanup", "configure"]
    for transition in transitions:
        assert peer.change_state(transition), transition

    def calm() -> bool:
        stamp = cameras.publish()
        time.sleep(max(pause_s, 0.05))
        return any(stamp_of(m) == stamp for m in list(peer.received[MASK])[-3:])

    wait_until(calm, "a mask of the calm phase")
    masks = len(peer.received[MASK]) - before
    del peer.received[MASK][:-3]
    return masks


def run(node: NodeProcess, peer: Peer, duration_s: float, pause_s: float) -> SoakReport:
    """Rounds for ``duration_s`` on a running node; tells each minute how it goes."""
    peer.subscribe(MASK, Image)
    peer.wait_matched([MASK], INPUTS)
    cameras = Cameras(peer)
    wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[MASK], "masks")
    report = SoakReport()
    for number in (RECONFIGURE_EVERY, 1, 2):  # pools and caches fill
        report.masks += one_round(peer, cameras, number, pause_s)
    start = told = time.monotonic()
    while time.monotonic() < start + duration_s:
        report.rounds += 1
        report.masks += one_round(peer, cameras, report.rounds, pause_s)
        if node.process.poll() is not None:
            raise AssertionError(f"the node ended: {node.text()[-2000:]}")
        report.samples.append(sample(node.process.pid, start))
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"{report.rounds} rounds, {report.masks} masks, {report.samples[-1]}", flush=True)
    return report


def soak(
    folder: Path, domain: int, duration_s: float, pause_s: float = 0.03, command: tuple[str, ...] = STUB_COMMAND
) -> SoakReport:
    """Start a node, trouble it for ``duration_s``, end it."""
    with live_node(folder, domain, command=command) as (node, peer):
        report = run(node, peer, duration_s, pause_s)
        assert node.end() == 0
        return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds between two moments (default 0.03)")
    parser.add_argument("--shipped", action="store_true", help="the shipped network instead of the tests' stub")
    parser.add_argument("--domain", type=int, default=95, help="ROS_DOMAIN_ID of the graph")
    parser.add_argument("--json", type=Path, help="file for the report with all samples")
    args = parser.parse_args()
    command = ("-m", "ssma_ros.ros.fusion_node") if args.shipped else STUB_COMMAND
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), args.domain, args.minutes * 60, args.pause, command)
    if args.json:
        args.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    print(f"{report.rounds} rounds, {report.masks} masks; first {report.samples[0]}, last {report.samples[-1]}")
    print(f"grown: {report.leaks() or 'nothing'} (memory {report.growth_mb():+.1f} MB)")
    return int(bool(report.leaks()))


if __name__ == "__main__":
    sys.exit(main())
