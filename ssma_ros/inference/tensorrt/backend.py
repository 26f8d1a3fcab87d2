# SPDX-License-Identifier: Apache-2.0
"""TensorRT with pycuda and numpy: the robot's GPU, no torch in the process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.base import BackendBase
from ssma_ros.inference.runtime.fit import check_tensors
from ssma_ros.inference.runtime.gpu import import_pycuda, probe_gpu
from ssma_ros.inference.runtime.onnx_file import TensorFacts
from ssma_ros.inference.runtime.protocol import PRESENT, RawOutputs
from ssma_ros.inference.tensorrt.builder import ensure_engine, import_tensorrt, make_logger
from ssma_ros.inference.tensorrt.slot import Slot
from ssma_ros.kernels.cuda.device import current

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from ssma_ros.inference.tensorrt.builder import Progress

_T = TypeVar("_T")


class TensorRtBackend(BackendBase):
    """An engine of this GPU, checked against its fingerprint before TensorRT sees it.

    Buffers are allocated once. The network is captured into a CUDA graph and replayed; uploads go through pinned
    memory; only wanted outputs are copied back. Several backends can live in one process; each call makes the
    device's context current for the calling thread and leaves the thread as it found it.

    Args:
        path: ``X.engine`` with its fingerprint and contract; ``X.onnx`` beside it is what it is rebuilt from.
        precision: of a rebuild, see :data:`ssma_ros.inference.tensorrt.builder.PRECISIONS`.
        rebuild_engine: build a missing or stale engine now (minutes; never call this from a callback).
        cache_dir: where engines that are built are kept, see
            :func:`ssma_ros.inference.tensorrt.builder.ensure_engine`; None = beside their graph.
        progress: told how far a rebuild is.
        device: index of the GPU.
        cuda_graph: replay the network as one CUDA graph.

    Raises:
        SsmaError: no GPU, a package is missing, or the engine does not fit and may not be rebuilt.
    """

    def __init__(
        self,
        path: Path,
        *,
        precision: str = "auto",
        rebuild_engine: bool = False,
        cache_dir: str | Path | None = None,
        progress: Progress | None = None,
        device: int = 0,
        cuda_graph: bool = True,
    ) -> None:
        gpu = probe_gpu(device)  # before any TensorRT object
        trt = import_tensorrt()
        cuda = import_pycuda("tensorrt")
        plan, fingerprint, contract = ensure_engine(
            path,
            precision=precision,
            rebuild=rebuild_engine,
            cache_dir=None if cache_dir is None else Path(cache_dir),
            progress=progress,
            gpu=gpu,
            tensorrt=trt,
        )
        super().__init__(
            contract,
            {
                "backend": "tensorrt",
                "device": f"{gpu.name} (compute capability {gpu.compute_capability})",
                "precision": fingerprint.precision,
                "model": str(path),
                "version": fingerprint.tensorrt_version,
                "contract": fingerprint.contract_digest,
                "engine": fingerprint.plan_sha256,
                "built": fingerprint.created,
            },
        )
        cuda.init()
        self._context: Any = cuda.Device(device).retain_primary_context()
        self._slot: Slot | None = None
        self._network_bytes = 0
        try:
            self.in_context(partial(self._open, trt, cuda, plan, str(path), cuda_graph))
        except BaseException:
            self.close()
            raise

    def _open(self, trt: Any, cuda: Any, plan: bytes, where: str, cuda_graph: bool) -> None:
        """Deserialise the plan and allocate everything; the context is current."""
        self._logger = make_logger(trt)  # must outlive the runtime
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise SsmaError(f"engine {where}: TensorRT cannot load it ({self._logger.last_error or 'no reason given'})")
        inputs, outputs = _engine_facts(trt, self._engine)
        check_tensors(inputs, outputs, self._contract, f"engine {where}")
        self._execution = self._engine.create_execution_context()
        if self._execution is None:
            reason = self._logger.last_error or "not enough memory"
            raise SsmaError(f"engine {where}: TensorRT cannot run it ({reason})")
        self._slot = Slot(cuda, self._execution, inputs, outputs)
        if cuda_graph:
            self._slot.record()
        self._network_bytes = len(plan) + int(self._engine.device_memory_size_v2)
        self._identity["buffers_mb"] = str(round(self._slot.device_bytes / 2**20))

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory of weights (about the plan), activations and input and output buffers."""
        return self._network_bytes + (self._slot.device_bytes if self._slot else 0)

    def input_address(self, name: str) -> int:
        """Device address of a stream's H×W×3 uint8 input, for GPU preprocessing that writes there itself.

        Of the buffers that :meth:`infer` uses. Work enqueued on :attr:`stream` is ordered before the network.
        """
        return self._open_slot().input_address(name)

    @property
    def stream(self) -> Any:
        """The ``pycuda.driver.Stream`` on which the network runs."""
        return self._open_slot().stream

    def infer_resident(
        self, present: Mapping[str, bool], outputs: Collection[str] = ("mask", "confidence")
    ) -> RawOutputs:
        """As :meth:`infer`, on images that lie in the input buffers already (see :meth:`input_address`)."""
        wanted, flags = self.checked_outputs(outputs), self.checked_flags(present)
        return self.in_context(partial(self._once, {PRESENT: flags}, wanted))

    def _run(
        self, images: Mapping[str, NDArray[np.uint8]], present: NDArray[np.float32], wanted: frozenset[str]
    ) -> RawOutputs:
        return self.in_context(partial(self._once, {**images, PRESENT: present}, wanted))

    def _once(self, arrays: Mapping[str, NDArray[Any]], wanted: frozenset[str]) -> RawOutputs:
        slot = self._open_slot()
        slot.enqueue(arrays, wanted)
        return slot.result()

    def _open_slot(self) -> Slot:
        if self._slot is None:
            raise RuntimeError("the TensorRT backend is closed, expected an open one")
        return self._slot

    def in_context(self, work: Callable[[], _T]) -> _T:
        """Do ``work`` with the device's context current in this thread, and leave the thread as it was."""
        with current(self._context):
            return work()

    def close(self) -> None:
        """Release buffers, graphs, engine and the device's context. Idempotent."""
        if self._context is None:
            return
        context, self._context = self._context, None
        try:
            with current(context):
                self._release()
        finally:
            context.detach()

    def _release(self) -> None:
        """Free in the order in which things depend on each other; the context is current."""
        if self._slot is not None:
            self._slot.close()
        self._slot = None
        self._network_bytes = 0
        # TensorRT wants the execution context gone before its engine, and that before its runtime.
        self._execution = self._engine = None
        self._runtime = self._logger = None


def _engine_facts(trt: Any, engine: Any) -> tuple[dict[str, TensorFacts], dict[str, TensorFacts]]:
    """Inputs and outputs of an engine by name."""
    inputs: dict[str, TensorFacts] = {}
    outputs: dict[str, TensorFacts] = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name
        facts = TensorFacts(dtype, tuple(int(d) for d in engine.get_tensor_shape(name)))
        (inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs)[name] = facts
    return inputs, outputs
