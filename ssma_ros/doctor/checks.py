# SPDX-License-Identifier: Apache-2.0
"""The table of everything that is looked for in a graph or a recording. A new check is a function and its name here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.doctor import geometry_checks, message_checks, timing_checks, topic_checks
from ssma_ros.doctor.finding import run_checks

if TYPE_CHECKING:
    from ssma_ros.doctor.finding import Finding
    from ssma_ros.doctor.scene import Scene

CHECKS = (*topic_checks.CHECKS, *message_checks.CHECKS, *timing_checks.CHECKS, *geometry_checks.CHECKS)


def examine(scene: Scene) -> list[Finding]:
    """Every finding about a graph or a recording."""
    return run_checks(CHECKS, scene, "graph" if scene.live else "recording")
