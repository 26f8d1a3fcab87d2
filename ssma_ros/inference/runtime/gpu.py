"""The NVIDIA driver, asked directly: is there a GPU, which one, and CUDA graphs.

TensorRT's Builder and Runtime misbehave or crash where there is no GPU, so the driver is asked before either is
made. Only ``ctypes`` and the driver library are used: neither CUDA toolkit nor Python package is needed to be told
that there is no GPU. The graph calls are here because pycuda has streams but no graphs.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from ssma_ros.errors import SsmaError

_LIBRARY = "libcuda.so.1"
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
#: Other threads may use the driver freely while this one captures.
_CAPTURE_MODE_THREAD_LOCAL = 1


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
        SsmaError: no driver, a driver that does not start, or no such device.
    """
    driver = load_driver() if library is None else library
    _check(driver, driver.cuInit(0), "cuInit")
    count = ctypes.c_int()
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    if not 0 <= index < count.value:
        raise SsmaError(f"GPU {index}: no such device, the NVIDIA driver finds {count.value}")
    device = ctypes.c_int()
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet")
    name = ctypes.create_string_buffer(256)
    _check(driver, driver.cuDeviceGetName(name, len(name), device), "cuDeviceGetName")
    version = ctypes.c_int()
    _check(driver, driver.cuDriverGetVersion(ctypes.byref(version)), "cuDriverGetVersion")
    memory = ctypes.c_size_t()
    _check(driver, driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
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


def load_driver() -> Any:
    """The driver library.

    Raises:
        SsmaError: there is none.
    """
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        raise SsmaError(
            f"GPU: no NVIDIA driver on this machine ({_LIBRARY} cannot be loaded), which TensorRT needs"
        ) from None


class CudaGraph:
    """Work captured from a stream, instantiated once and launched again and again.

    Args:
        driver: the driver library.
        stream: CUstream handle, not the legacy default stream.

    Use as a context manager around the work to capture, then call :meth:`launch`.

    Raises:
        SsmaError: the driver refuses the capture.
    """

    def __init__(self, driver: Any, stream: int) -> None:
        self._driver = driver
        self._stream = ctypes.c_void_p(stream)
        self._executable = ctypes.c_void_p()

    def __enter__(self) -> CudaGraph:
        status = self._driver.cuStreamBeginCapture_v2(self._stream, _CAPTURE_MODE_THREAD_LOCAL)
        _check(self._driver, status, "cuStreamBeginCapture")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        graph = ctypes.c_void_p()
        # Ended in any case: a stream left in capture mode refuses all further work.
        status = self._driver.cuStreamEndCapture(self._stream, ctypes.byref(graph))
        try:
            if error is None:
                _check(self._driver, status, "cuStreamEndCapture")
                flags = ctypes.c_ulonglong(0)
                status = self._driver.cuGraphInstantiateWithFlags(ctypes.byref(self._executable), graph, flags)
                _check(self._driver, status, "cuGraphInstantiate")
        finally:
            if graph.value:
                self._driver.cuGraphDestroy(graph)

    def launch(self) -> None:
        """Enqueue the captured work on its stream."""
        _check(self._driver, self._driver.cuGraphLaunch(self._executable, self._stream), "cuGraphLaunch")

    def close(self) -> None:
        """Release the graph. Idempotent."""
        if self._executable.value:
            self._driver.cuGraphExecDestroy(self._executable)
            self._executable = ctypes.c_void_p()


def _attribute(driver: Any, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    _check(driver, driver.cuDeviceGetAttribute(ctypes.byref(value), which, device), "cuDeviceGetAttribute")
    return value.value


def _check(driver: Any, status: int, call: str) -> None:
    if status == 0:
        return
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    words = text.value.decode() if text.value else "unknown error"
    raise SsmaError(f"GPU: the NVIDIA driver's {call} failed with error {status} ({words})")
