# SPDX-License-Identifier: Apache-2.0
"""The short form of the soak; ``make soak`` is the one of ten minutes, ``make soak MINUTES=60`` that of an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")

from ros.soak import MEMORY_SLACK_MB, Sample, SoakReport, soak


@pytest.mark.slow
def test_half_a_minute_of_trouble_leaves_memory_threads_and_descriptors_flat(tmp_path: Path, domain: int) -> None:
    report = soak(tmp_path, domain, duration_s=30.0)
    assert report.rounds > 3
    assert report.masks > report.rounds
    assert not report.leaks()


def test_a_leak_is_told_from_noise() -> None:
    def flat(i: int) -> Sample:
        return Sample(i, 200.0 + 5 * (i % 3), 50 + i % 2, 12)

    assert not SoakReport(samples=[flat(i) for i in range(40)]).leaks()
    leak = [Sample(i, 200.0 + 1.5 * MEMORY_SLACK_MB * i / 39, 50 + i // 8, 12 + i // 8) for i in range(40)]
    assert SoakReport(samples=leak).leaks().startswith("memory by 2")
    assert SoakReport(samples=leak).leaks().endswith("descriptors by 4, threads by 4")
