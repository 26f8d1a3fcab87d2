# SPDX-License-Identifier: Apache-2.0
"""The machine and the versions a measurement was made with, in words."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from ssma_ros.inference.benchmark import processor_name

#: Distributions named in reports, as far as they are installed.
PACKAGES = (
    "numpy", "opencv-python-headless", "opencv-python", "openvino", "onnxruntime", "rosbags", "ros-rclpy", "rclpy",
)  # fmt: skip


def describe_machine() -> dict[str, str | int | float]:
    """Processor, cores this process may use, load of the last minute, memory, system; asked for before measuring."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "load_before": round(os.getloadavg()[0], 2),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def describe_versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter."""
    versions = {"python": platform.python_version()}
    for name in ("ssma_ros", *PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    distribution = os.environ.get("ROS_DISTRO")
    return {**versions, "ros_distro": distribution} if distribution else versions
