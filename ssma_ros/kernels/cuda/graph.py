# SPDX-License-Identifier: Apache-2.0
"""Work on a stream as one CUDA graph: forty launches cost what one does.

pycuda has streams but no graphs; the driver calls that they need are made directly.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from ssma_ros.kernels.cuda.driver import check, load_driver

if TYPE_CHECKING:
    from collections.abc import Callable

#: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating.
_THREAD_LOCAL = 1


class CapturedGraph:
    """Launches recorded once, replayed by :meth:`launch`.

    Args:
        stream: the ``pycuda.driver.Stream`` that ``enqueue`` launches on, not the legacy default stream.
        enqueue: launches everything; must not upload, allocate or wait. Pointers and scalar arguments are recorded:
            new images go to the same addresses.
        driver: the CUDA driver library; None loads it.

    Raises:
        SsmaError: the driver refuses; the message says at which step.
    """

    def __init__(self, stream: Any, enqueue: Callable[[], None], driver: Any = None) -> None:
        self._driver = load_driver() if driver is None else driver
        self._stream = ctypes.c_void_p(stream.handle)
        self._executable = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        check(
            self._driver, self._driver.cuStreamBeginCapture_v2(self._stream, _THREAD_LOCAL), "cuStreamBeginCapture"
        )
        try:
            try:
                enqueue()
            finally:
                # Also after an error: a stream left in capture mode would refuse all further work.
                status = self._driver.cuStreamEndCapture(self._stream, ctypes.byref(graph))
            check(self._driver, status, "cuStreamEndCapture")
            flags = ctypes.c_ulonglong(0)
            status = self._driver.cuGraphInstantiateWithFlags(ctypes.byref(self._executable), graph, flags)
            check(self._driver, status, "cuGraphInstantiateWithFlags")
        finally:
            if graph.value:
                self._driver.cuGraphDestroy(graph)

    def launch(self) -> None:
        """Enqueue the whole graph on the stream."""
        check(self._driver, self._driver.cuGraphLaunch(self._executable, self._stream), "cuGraphLaunch")

    def close(self) -> None:
        """Free the graph; not to be launched afterwards. Idempotent."""
        if self._executable.value:
            self._driver.cuGraphExecDestroy(self._executable)
            self._executable = ctypes.c_void_p()
