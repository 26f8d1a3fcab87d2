# SPDX-License-Identifier: Apache-2.0
"""Everything a frame needs on the GPU: pinned staging, device buffers, events, a CUDA graph, one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.inference.runtime.protocol import OUTPUTS, RawOutputs
from ssma_ros.kernels.cuda.graph import CapturedGraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.inference.runtime.onnx_file import TensorFacts


@dataclass
class _Buffer:
    """A tensor's pinned host copy and its device memory."""

    host: NDArray[Any]
    device: Any


class Slot:
    """Buffers of one frame, with the engine bound to them. Upload, network and download follow on one stream.

    All methods want the device's context current.

    Args:
        cuda: ``pycuda.driver``.
        execution: TensorRT's execution context.
        inputs, outputs: type and shape by tensor name.
    """

    def __init__(
        self,
        cuda: Any,
        execution: Any,
        inputs: Mapping[str, TensorFacts],
        outputs: Mapping[str, TensorFacts],
    ) -> None:
        self._cuda = cuda
        self._execution = execution
        self.stream = cuda.Stream()
        self._inputs = {name: _allocate(cuda, facts) for name, facts in inputs.items()}
        self._outputs = {name: _allocate(cuda, facts) for name, facts in outputs.items()}
        self._started, self._uploaded, self._computed, self._done = (cuda.Event() for _ in range(4))
        self._graph: CapturedGraph | None = None
        self._wanted: frozenset[str] = frozenset()

    @property
    def device_bytes(self) -> int:
        """GPU memory of the buffers."""
        return sum(b.host.nbytes for b in (*self._inputs.values(), *self._outputs.values()))

    def input_address(self, name: str) -> int:
        """Device address of an input."""
        return int(self._inputs[name].device)

    def record(self) -> None:
        """Capture the network into a CUDA graph that is replayed from now on."""
        self._bind()
        # The first run allocates and initialises lazily, which must not happen during a capture.
        self._execute()
        self.stream.synchronize()
        self._graph = CapturedGraph(self.stream, self._execute)

    def enqueue(self, arrays: Mapping[str, NDArray[Any]], wanted: frozenset[str]) -> None:
        """Start one frame: upload ``arrays``, run the network, fetch ``wanted``. Returns at once.

        Inputs that ``arrays`` lacks keep what lies in their buffers.
        """
        self._wanted = wanted
        self._started.record(self.stream)
        for name, array in arrays.items():
            buffer = self._inputs[name]
            np.copyto(buffer.host, array)
            self._cuda.memcpy_htod_async(buffer.device, buffer.host, self.stream)
        self._uploaded.record(self.stream)
        if self._graph is not None:
            self._graph.launch()
        else:
            self._bind()
            self._execute()
        self._computed.record(self.stream)
        for name in wanted:
            buffer = self._outputs[name]
            self._cuda.memcpy_dtoh_async(buffer.host, buffer.device, self.stream)
        self._done.record(self.stream)

    def result(self) -> RawOutputs:
        """Wait for the frame and return its outputs; the arrays belong to the caller."""
        self._done.synchronize()
        arrays = {name: self._outputs[name].host.copy() for name in OUTPUTS if name in self._wanted}
        return RawOutputs(
            **arrays,
            timings_ms={
                "upload": float(self._uploaded.time_since(self._started)),
                "inference": float(self._computed.time_since(self._uploaded)),
                "download": float(self._done.time_since(self._computed)),
            },
        )

    def close(self) -> None:
        """Wait for work in flight, then free graph and device memory. Idempotent."""
        self.stream.synchronize()
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        for buffer in (*self._inputs.values(), *self._outputs.values()):
            buffer.device.free()
        self._inputs, self._outputs = {}, {}
        self._execution = None

    def _bind(self) -> None:
        for name, buffer in (*self._inputs.items(), *self._outputs.items()):
            if not self._execution.set_tensor_address(name, int(buffer.device)):
                raise RuntimeError(f"TensorRT refused the address of tensor {name}")

    def _execute(self) -> None:
        if not self._execution.execute_async_v3(self.stream.handle):
            raise RuntimeError("TensorRT refused to enqueue the network")


def _allocate(cuda: Any, facts: TensorFacts) -> _Buffer:
    host = cuda.pagelocked_empty(facts.shape, np.dtype(facts.dtype))
    host[...] = 0
    device = cuda.mem_alloc(host.nbytes)
    cuda.memcpy_htod(device, host)
    return _Buffer(host, device)
