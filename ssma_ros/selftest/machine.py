# SPDX-License-Identifier: Apache-2.0
"""What this machine is: driver, device, processor, packages."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from ssma_ros.version import __version__

if TYPE_CHECKING:
    from ssma_ros.selftest.findings import Findings, Settings

#: Distributions whose versions matter to who reads the figures.
_DISTRIBUTIONS = (
    "torch", "tensorrt", "tensorrt-cu13-bindings", "pycuda", "onnxruntime", "onnxruntime-gpu",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13", "numpy", "numba", "opencv-python-headless", "ros-rclpy",
)


def machine(settings: Settings, findings: Findings) -> None:
    """Ask driver and interpreter."""
    from ssma_ros.inference.benchmark import machine_description
    from ssma_ros.inference.runtime.gpu import probe_gpu
    from ssma_ros.kernels.cuda.compiler import find_nvcc, find_nvrtc

    findings.fact("processor", machine_description())
    findings.fact("Python", platform.python_version())
    findings.fact("CUDA compiler", "nvcc" if find_nvcc() else "NVRTC" if find_nvrtc() else "none")
    findings.fact("ssma_ros", __version__)
    for name in _DISTRIBUTIONS:
        try:
            findings.fact(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    gpu = probe_gpu()
    findings.fact("GPU", gpu.name)
    findings.fact("compute capability", gpu.compute_capability)
    findings.fact("GPU memory", f"{gpu.memory_bytes / 2**30:.1f} GiB")
    findings.fact("driver serves CUDA", gpu.driver_version)
