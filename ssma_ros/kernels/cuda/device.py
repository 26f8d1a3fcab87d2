# SPDX-License-Identifier: Apache-2.0
"""GPU memory, one stream, kernel launches: what the functions need of a device, and its pycuda implementation."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.kernels.cuda.compiler import SOURCES, cubin
from ssma_ros.kernels.cuda.graph import CapturedGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    #: Blocks of a grid, threads of a block.
    Size = tuple[int, int]

#: Kernel arguments by source and kernel: P pointer, i int32, f float32.
SIGNATURES: dict[str, dict[str, str]] = {
    "fill": {
        "invert_and_dilate": "PPiif",
        "invert_and_dilate_bins": "PPiif",
        "dilate_5": "PPii",
        "erode_5": "PPii",
        "fill_empty": "PPPiii",
        "dilate_row_large": "PPii",
        "fill_empty_large": "PPPii",
        "clear_top": "Pii",
        "first_valid_rows": "PPii",
        "finish_top": "Pii",
        "copy_top_upward": "PPii",
        "median": "PPPiif",
        "bilateral": "PPPPiifff",
        "gaussian": "PPPiif",
        "keep_readings": "Pii",
    },
    "hha": {
        "prepare": "PPPPii",
        "sum_rows": "PPii",
        "solve_normals": "PPPPiiffff",
        "set_gravity": "Pfff",
        "take_gravity": "PPP",
        "settle_gravity": "PPPff",
        "scatter": "PPPiff",
        "refine_gravity": "PiP",
        "least_heights": "PPPiiffff",
        "find_floor": "PiP",
        "count_heights": "PPPiiffff",
        "find_percentile": "PPf",
        "set_floor": "Pf",
        "encode": "PPPPiifffffi",
    },
    "images": {
        "resize_linear_8": "PPiiiii",
        "resize_linear_16": "PPiiii",
        "resize_depth": "PPPPiii",
        "color_depth": "PPPiiff",
        "vegetation": "PPifPiii",
        "pack": "PPiii",
        "clear": "Pi",
    },
    "registration": {
        "splat_view": "PPPPiiii",
        "sample_view": "PPPPPPPPiiiiii",
        "find_places": "PPPii",
        "splat_depth": "PPiiii",
        "invert": "Pii",
        "blank": "PPiii",
    },
}


class Event(Protocol):
    """A moment on the device's stream."""

    def time_since(self, earlier: Any) -> float:
        """Milliseconds since another event; both must be over."""
        ...


class Graph(Protocol):
    """Work recorded once."""

    def launch(self) -> None:
        """Enqueue it."""
        ...

    def close(self) -> None:
        """Free it. Idempotent."""
        ...


class Device(Protocol):
    """What the functions and :class:`~ssma_ros.inputs.resident.CudaInputEncoder` need of a GPU."""

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes of device memory, kept until :meth:`free` or as long as the device object."""
        ...

    def free(self, pointer: int) -> None:
        """Give memory back that nothing enqueued uses any more."""
        ...

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *arguments: float) -> None:
        """Enqueue a kernel on the device's stream; arguments as :data:`SIGNATURES` say."""
        ...

    def upload(self, pointer: int, array: NDArray[Any]) -> None:
        """Copy ``array`` to device memory through a pinned buffer, in stream order."""
        ...

    def download(self, array: NDArray[Any], pointer: int) -> None:
        """Fill ``array`` (C-contiguous) from device memory and wait until it is there."""
        ...

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Record what ``enqueue`` launches, without running it."""
        ...

    def mark(self) -> Event:
        """The moment when all enqueued so far is done."""
        ...

    def wait(self) -> None:
        """Until all enqueued so far is done."""
        ...


class PycudaDevice:
    """A device in the current pycuda context.

    Everything is enqueued on one stream; nothing waits for the GPU except :meth:`download` and a second
    :meth:`upload` to the same pointer while the first is still under way. Launches can be captured in a graph: they
    allocate nothing and wait for nothing. Uploads stay outside of it, before its replay.

    Args:
        stream: a ``pycuda.driver.Stream`` to share (with TensorRT, say), or None for an own one.

    Raises:
        ImportError: pycuda is not installed.
        SsmaError: the kernels cannot be compiled for this GPU or loaded on it.
    """

    def __init__(self, stream: Any = None) -> None:
        import pycuda.driver as driver

        self._driver = driver
        self.stream = driver.Stream() if stream is None else stream
        major, minor = driver.Context.get_device().compute_capability()
        self.architecture = f"sm_{major}{minor}"
        self._memory: dict[int, tuple[Any, int]] = {}
        self._staging: dict[int, tuple[Any, Any]] = {}
        try:
            self._modules = [driver.module_from_buffer(cubin(source, self.architecture)) for source in SOURCES]
        except driver.Error as error:
            raise SsmaError(f"CUDA kernels: this GPU ({self.architecture}) does not load them ({error})") from None
        self._kernels = {}
        for source, module in zip(SOURCES, self._modules, strict=True):
            for name, signature in SIGNATURES[source].items():
                function = module.get_function(name)
                function.prepare(signature)
                self._kernels[source, name] = function

    @property
    def memory_bytes(self) -> int:
        """Device memory allocated and not freed."""
        return sum(size for _, size in self._memory.values())

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes of device memory, kept until :meth:`free` or as long as this object.

        Raises:
            SsmaError: there is not so much left.
        """
        try:
            memory = self._driver.mem_alloc(size)
        except self._driver.Error as error:
            raise SsmaError(f"GPU: {size / 1e6:.1f} MB for preprocessing cannot be had ({error})") from None
        self._memory[int(memory)] = memory, size
        return int(memory)

    def free(self, pointer: int) -> None:
        """Give memory back; waits for the stream first, which may still use it or copy into it."""
        self.stream.synchronize()
        self._staging.pop(pointer, None)
        memory, _ = self._memory.pop(pointer)
        memory.free()

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *arguments: float) -> None:
        """Enqueue a kernel on the stream."""
        self._kernels[source, kernel].prepared_async_call((*grid, 1)[:3], (*block, 1)[:3], self.stream, *arguments)

    def upload(self, pointer: int, array: NDArray[Any]) -> None:
        """Copy ``array`` to device memory at ``pointer``: through a pinned buffer of its own, without waiting."""
        staged = self._staging.get(pointer)
        if staged is not None:
            staged[1].synchronize()  # the last copy out of the buffer must be done before it is written or freed
        if staged is None or staged[0].nbytes < array.nbytes:
            staged = (self._driver.pagelocked_empty(array.nbytes, np.uint8), self._driver.Event())
            self._staging[pointer] = staged
        buffer, copied = staged
        np.copyto(buffer[: array.nbytes].view(array.dtype).reshape(array.shape), array)
        self._driver.memcpy_htod_async(pointer, buffer[: array.nbytes], self.stream)
        copied.record(self.stream)

    def download(self, array: NDArray[Any], pointer: int) -> None:
        """Fill ``array`` (C-contiguous) from device memory and wait until it is there."""
        self._driver.memcpy_dtoh_async(array, pointer, self.stream)
        self.stream.synchronize()

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Record what ``enqueue`` launches as one CUDA graph, without running it.

        Raises:
            SsmaError: the driver refuses.
        """
        return CapturedGraph(self.stream, enqueue)

    def mark(self) -> Event:
        """The moment when all enqueued so far is done."""
        event = self._driver.Event()
        event.record(self.stream)
        marked: Event = event
        return marked

    def wait(self) -> None:
        """Until all enqueued so far is done."""
        self.stream.synchronize()

    def close(self) -> None:
        """Wait for the stream, then release memory and machine code. Idempotent; the context must be current."""
        self.stream.synchronize()
        for pointer in list(self._memory):
            self.free(pointer)
        self._staging.clear()
        self._kernels.clear()
        self._modules.clear()


@contextmanager
def current(context: Any) -> Iterator[None]:
    """A pycuda context current in this thread; the thread is left as it was."""
    context.push()
    try:
        yield
    finally:
        context.pop()


@contextmanager
def own_device(index: int = 0) -> Iterator[PycudaDevice]:
    """A device in a context of its own, for programs that run no network on it; both are gone afterwards.

    Raises:
        SsmaError: pycuda is not installed, there is no such GPU, or it does not load the kernels.
    """
    try:
        import pycuda.driver as driver
    except ImportError as error:
        raise SsmaError(f"GPU: pycuda cannot be imported ({error}), try 'pip install pycuda'") from None
    try:
        driver.init()
        context = driver.Device(index).make_context()
    except driver.Error as error:
        raise SsmaError(f"GPU: {error}, expected a CUDA device with a driver") from None
    try:
        device = PycudaDevice()
        yield device
        device.close()  # after an error the context takes everything with it
    finally:
        context.pop()
        context.detach()
