"""Hours with a node in ever changing circumstances: ``python test/ros/soak.py --minutes 60``.

Sensors come and go, messages are malformed, subscribers join and leave, stamps start over; memory and descriptors
must stay flat and every calm phase must be segmented. The tests run the same for some seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # run as a script, the tests' folder is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from ros.live import INPUTS, NODE, Cameras, Peer, image_message, live_node, stamp_of, wait_until
from sensor_msgs.msg import Image, PointCloud2

#: Growth that counts as a leak: some allocator noise is no leak.
MEMORY_SLACK_MB = 24.0


@dataclass(frozen=True)
class SoakReport:
    """What a soak measured; memory and descriptors after the first and after the last round."""

    rounds: int
    masks: int
    first_memory_mb: float
    last_memory_mb: float
    first_descriptors: int
    last_descriptors: int


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def one_round(peer: Peer, cameras: Cameras, number: int) -> int:
    """A calm phase, an outage of each sensor, rubbish, a visitor, a bag loop; gives the masks received."""
    before = len(peer.received[f"{NODE}/mask"])
    heard: list[PointCloud2] = []
    visitor = peer.node.create_subscription(PointCloud2, f"{NODE}/points", heard.append, 5)
    for sensors in (("depth", "nir", "color", "camera_info"), ("nir", "color"), ("depth", "color"), ("depth", "nir")):
        for _ in range(5):
            cameras.publish(*sensors, step_ns=50_000_000)
            time.sleep(0.03)
    rng = np.random.default_rng(number)
    for topic in ("/camera/image_rect", "/depth/image_rect", "/nir/image_rect"):
        rubbish = image_message(rng.integers(0, 256, (8, 8), np.uint8), "mono8", cameras.stamp_ns, "elsewhere")
        rubbish.step = int(rng.integers(0, 2**32))
        rubbish.encoding = str(rng.choice(["mono8", "bgr8", "16UC1", "", "yuv422"]))
        peer.publish(topic, rubbish)
    peer.node.destroy_subscription(visitor)
    cameras.stamp_ns -= 100 * 10**9

    def calm() -> bool:
        stamp = cameras.publish()
        time.sleep(0.05)
        return any(stamp_of(m) == stamp for m in list(peer.received[f"{NODE}/mask"])[-3:])

    wait_until(calm, "a mask of the calm phase")
    masks = len(peer.received[f"{NODE}/mask"]) - before
    del peer.received[f"{NODE}/mask"][:-3]
    return masks


def soak(folder: Path, domain: int, duration_s: float) -> SoakReport:
    with live_node(folder, domain) as (node, peer):
        peer.subscribe(f"{NODE}/mask", Image)
        peer.wait_matched([f"{NODE}/mask"], INPUTS)
        cameras = Cameras(peer)
        wait_until(lambda: cameras.publish() and time.sleep(0.05) is None and peer.received[f"{NODE}/mask"], "masks")
        pid = node.process.pid
        masks = sum(one_round(peer, cameras, number) for number in range(3))  # pools and caches fill
        first = resident_mb(pid), descriptors(pid)
        rounds, end = 0, time.monotonic() + duration_s
        while time.monotonic() < end:
            rounds += 1
            masks += one_round(peer, cameras, rounds)
            if node.process.poll() is not None:
                raise AssertionError(f"the node ended: {node.text()[-2000:]}")
        return SoakReport(rounds, masks, first[0], resident_mb(pid), first[1], descriptors(pid))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--domain", type=int, default=95)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), args.domain, args.minutes * 60)
    print(report)
    leaks = report.last_memory_mb > report.first_memory_mb + MEMORY_SLACK_MB
    return int(leaks or report.last_descriptors > report.first_descriptors + 2)


if __name__ == "__main__":
    sys.exit(main())
