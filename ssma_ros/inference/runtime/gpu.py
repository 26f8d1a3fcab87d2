# SPDX-License-Identifier: Apache-2.0
"""The NVIDIA driver, asked directly: is there a GPU, and which one.

TensorRT's Builder and Runtime misbehave or crash where there is no GPU, so the driver is asked before either is made.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from ssma_ros.errors import NotInstalledError, SsmaError
from ssma_ros.kernels.cuda.driver import NoGpuError, check, load_driver

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True)
class Gpu:
    """One CUDA device.

    Attributes:
        index: as the driver counts.
        name: for example ``Orin`` or ``NVIDIA H100 80GB HBM3``.
        compute_capability: for example ``8.7``.
        memory_bytes: in all.
        driver_version: newest CUDA version the driver serves, for example ``12.6``.
    """

    index: int
    name: str
    compute_capability: str
    memory_bytes: int
    driver_version: str


def probe_gpu(index: int = 0, *, library: Any = None) -> Gpu:
    """Ask the driver for a device. Creates no context and takes no GPU memory.

    Args:
        index: of the device.
        library: the driver library; None loads it.

    Raises:
        NoGpuError: no driver, or one that finds no device at all.
        SsmaError: a driver that does not start, or no such device among those there are.
    """
    driver = load_driver() if library is None else library
    check(driver, driver.cuInit(0), "cuInit")
    count = ctypes.c_int()
    check(driver, driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    if not 0 <= index < count.value:
        kind = SsmaError if count.value else NoGpuError
        raise kind(f"GPU {index}: no such device, the NVIDIA driver finds {count.value}")
    device = ctypes.c_int()
    check(driver, driver.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet")
    name = ctypes.create_string_buffer(256)
    check(driver, driver.cuDeviceGetName(name, len(name), device), "cuDeviceGetName")
    version = ctypes.c_int()
    check(driver, driver.cuDriverGetVersion(ctypes.byref(version)), "cuDriverGetVersion")
    memory = ctypes.c_size_t()
    check(driver, driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    major, minor = (
        _attribute(driver, device, which) for which in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR)
    )
    return Gpu(
        index=index,
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major}.{minor}",
        memory_bytes=int(memory.value),
        driver_version=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def _attribute(driver: Any, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    check(driver, driver.cuDeviceGetAttribute(ctypes.byref(value), which, device), "cuDeviceGetAttribute")
    return value.value


def import_pycuda(user: str) -> Any:
    """``pycuda.driver``, for the backend ``user``.

    Raises:
        NotInstalledError: it is not installed.
    """
    try:
        import pycuda.driver
    except ImportError:
        raise NotInstalledError(f"backend {user}: package pycuda is not installed, try 'pip install pycuda'") from None
    return pycuda.driver
