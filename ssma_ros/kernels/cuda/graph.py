"""A frame's kernels as one CUDA graph: forty launches cost what one does.

pycuda knows no graphs; the four driver calls they need are made directly.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Callable

#: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating.
_THREAD_LOCAL = 1


def load_driver() -> Any:
    """The CUDA driver library; there is one wherever pycuda has found a GPU."""
    return ctypes.CDLL("libcuda.so.1")


class CapturedGraph:
    """Launches recorded once, replayed by :meth:`launch`.

    Args:
        stream: the ``pycuda.driver.Stream`` that ``enqueue`` launches on.
        enqueue: launches everything; must not upload, allocate or wait. Pointers and scalar arguments are recorded:
            new images go to the same addresses.
        driver: the CUDA driver library; default ``libcuda.so.1``.

    Raises:
        SsmaError: the driver refuses; the message says at which step.
    """

    def __init__(self, stream: Any, enqueue: Callable[[], None], driver: Any = None) -> None:
        self._driver = load_driver() if driver is None else driver
        self._stream = ctypes.c_void_p(stream.handle)
        self._executable = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        self._check("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        try:
            enqueue()
        finally:
            # Also after an error: a stream left capturing would refuse everything else.
            status = self._driver.cuStreamEndCapture(self._stream, ctypes.byref(graph))
        _refuse("cuStreamEndCapture", status)
        try:
            self._check("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0))
        finally:
            self._driver.cuGraphDestroy(graph)

    def launch(self) -> None:
        """Enqueue the whole graph on the stream."""
        self._check("cuGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Free the graph; not to be launched afterwards."""
        if self._executable:
            self._driver.cuGraphExecDestroy(self._executable)
            self._executable = ctypes.c_void_p()

    def _check(self, call: str, *arguments: Any) -> None:
        _refuse(call, getattr(self._driver, call)(*arguments))


def _refuse(call: str, status: int) -> None:
    if status != 0:
        raise SsmaError(f"CUDA graph: {call} returned {status}, expected 0 (success)")
