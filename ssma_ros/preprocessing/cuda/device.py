"""GPU memory, one stream, kernel launches: what the functions need of a device, and its pycuda implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ssma_ros.preprocessing.cuda.compiler import SOURCES, cubin

if TYPE_CHECKING:
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
        "dilate_row_31": "PPii",
        "fill_empty_31": "PPPii",
        "clear_top": "Pii",
        "first_valid_rows": "PPii",
        "finish_top": "Pii",
        "copy_top_upward": "PPii",
        "median": "PPPiif",
        "bilateral": "PPPPiifff",
        "gaussian": "PPPiif",
    },
    "hha": {
        "prepare": "PPPPii",
        "sum_rows": "PPii",
        "solve_normals": "PPPPiiffff",
        "set_gravity": "Pfff",
        "scatter": "PPPiff",
        "refine_gravity": "PiP",
        "least_heights": "PPPiiffff",
        "find_floor": "PiP",
        "set_floor": "Pf",
        "encode": "PPPPiifffffi",
    },
    "images": {
        "resize_linear_8": "PPiiiii",
        "resize_linear_16": "PPiiii",
        "resize_depth_16": "PPiiiif",
        "resize_depth_32": "PPiiii",
        "jet": "PPPiiff",
        "vegetation": "PPifPiii",
        "pack_8": "PPiiii",
        "pack_32": "PPiiiffffff",
    },
}


class Device(Protocol):
    """What :class:`ssma_ros.preprocessing.cuda.functions.CudaPreprocessing` needs of a GPU."""

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes of device memory, kept as long as the device object."""
        ...

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *arguments: float) -> None:
        """Enqueue a kernel on the device's stream; arguments as :data:`SIGNATURES` say."""
        ...

    def upload(self, pointer: int, array: NDArray[Any]) -> None:
        """Copy ``array`` to device memory through a pinned buffer, in stream order."""
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
        SsmaError: the kernels cannot be compiled for this GPU.
    """

    def __init__(self, stream: Any = None) -> None:
        import pycuda.driver as driver

        self._driver = driver
        self.stream = driver.Stream() if stream is None else stream
        major, minor = driver.Context.get_device().compute_capability()
        self.architecture = f"sm_{major}{minor}"
        self._memory: list[Any] = []
        self._staging: dict[int, tuple[Any, Any]] = {}
        self._modules = [driver.module_from_buffer(cubin(source, self.architecture)) for source in SOURCES]
        self._kernels = {}
        for source, module in zip(SOURCES, self._modules, strict=True):
            for name, signature in SIGNATURES[source].items():
                function = module.get_function(name)
                function.prepare(signature)
                self._kernels[source, name] = function

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes of device memory, kept as long as this object."""
        memory = self._driver.mem_alloc(size)
        self._memory.append(memory)
        return int(memory)

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
