"""The short form of the soak; ``python test/ros/soak.py --minutes 60`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from ros.soak import MEMORY_SLACK_MB, soak


@pytest.mark.slow
def test_half_a_minute_of_trouble_leaves_memory_and_descriptors_flat(tmp_path: Path, domain: int) -> None:
    report = soak(tmp_path, domain, duration_s=30.0)
    assert report.rounds > 3
    assert report.masks > report.rounds
    assert report.last_memory_mb < report.first_memory_mb + MEMORY_SLACK_MB
    assert report.last_descriptors <= report.first_descriptors + 2
