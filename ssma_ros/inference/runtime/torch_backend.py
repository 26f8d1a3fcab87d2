# SPDX-License-Identifier: Apache-2.0
"""PyTorch on CUDA or the CPU: the reference on a workstation, and the way to a GPU where TensorRT is missing.

The only module of this room that runs a frame with torch.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.contract import contract_path_for, load_contract
from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.base import BackendBase
from ssma_ros.inference.runtime.protocol import OUTPUTS, RawOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract

#: How the network is launched.
MODES = ("auto", "eager", "compile", "cuda_graph")

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class TorchBackend(BackendBase):
    """A network run by PyTorch, channels last.

    Args:
        path: ``.safetensors`` weights with their contract beside them.
        precision: ``auto`` (fp16 on CUDA, fp32 on the CPU), ``fp32`` (TF32 off), ``fp16`` or ``bf16``.
        device: ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:1``, …
        mode: ``eager``, ``compile`` (torch.compile), ``cuda_graph`` (recorded once, replayed for each frame), or
            ``auto`` (CUDA graph on CUDA, eager on the CPU).
        threads: of the CPU; 0 leaves torch's setting. Process-wide, as torch has it.

    Raises:
        SsmaError: torch or the device is missing, or the weights do not fit their contract.
    """

    def __init__(
        self, path: Path, *, precision: str = "auto", device: str = "auto", mode: str = "auto", threads: int = 0
    ) -> None:
        contract = load_contract(contract_path_for(path))
        try:
            import torch

            from ssma_ros.models import load_model
            from ssma_ros.models.segmentation_graph import SegmentationGraph
        except ImportError as error:
            raise SsmaError(
                f"backend torch: package {error.name} is not installed, try 'pip install torch safetensors'"
            ) from None
        self._torch = torch
        self._target = target = _device(torch, device)
        precision, mode = _resolve(precision, mode, target.type)
        if threads > 0:
            torch.set_num_threads(threads)
        network: Any = load_model(path)  # the stubs of Module.to know no memory_format beside a device
        network = network.to(target, memory_format=torch.channels_last)
        graph = SegmentationGraph(network, contract, getattr(torch, _DTYPES[precision])).to(target).eval()
        graph.requires_grad_(False)
        self._runner = _Runner(torch, graph, contract, target, mode, tf32=precision != "fp32")
        super().__init__(
            contract,
            {
                "backend": "torch",
                "device": torch.cuda.get_device_name(target) if target.type == "cuda" else "CPU",
                "precision": precision,
                "mode": mode,
                "model": str(path),
                "version": str(torch.__version__),
                "contract": contract.digest(),
            },
        )

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory that torch's allocator holds on the device, for all its users; None on the CPU."""
        return int(self._torch.cuda.memory_reserved(self._target)) if self._target.type == "cuda" else None

    def _run(
        self, images: Mapping[str, NDArray[np.uint8]], present: NDArray[np.float32], wanted: frozenset[str]
    ) -> RawOutputs:
        return self._pass(lambda: self._runner.upload([*images.values(), present]), wanted)

    def _pass(self, upload: Callable[[], None], wanted: frozenset[str]) -> RawOutputs:
        """One frame, on torch's current stream of the device."""
        watch = self._runner.stopwatch()
        upload()
        watch.lap("upload")
        self._runner.compute()
        watch.lap("inference")
        arrays = self._runner.download(wanted)
        watch.lap("download")
        return RawOutputs(**arrays, timings_ms=watch.laps_ms())

    def close(self) -> None:
        """Release network and buffers. Idempotent."""
        if self._runner is not None:
            self._runner = None  # type: ignore[assignment]
            if self._torch.cuda.is_initialized():
                self._torch.cuda.empty_cache()


class _Runner:
    """The graph with fixed input tensors, launched in one of :data:`MODES`."""

    def __init__(self, torch: Any, graph: Any, contract: Contract, device: Any, mode: str, *, tf32: bool) -> None:
        self._torch, self._device, self._tf32 = torch, device, tf32
        self._on_gpu = device.type == "cuda"
        shape = (contract.height, contract.width, 3)
        self._inputs = [torch.zeros(shape, dtype=torch.uint8, device=device) for _ in contract.streams]
        self._inputs.append(torch.ones(len(contract.streams), device=device))
        # Copies from pageable memory are staged by the driver and block; pinned ones overlap and run at full speed.
        self._staging = [torch.zeros(t.shape, dtype=t.dtype, pin_memory=True) for t in self._inputs if self._on_gpu]
        self._launch = torch.compile(graph, mode="max-autotune-no-cudagraphs") if mode == "compile" else graph
        self._outputs: tuple[Any, ...] = ()
        self._recorded: Any = self._record() if mode == "cuda_graph" else None

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """No gradients, cuDNN's fastest algorithms, and TF32 only where float32 was not asked for."""
        with (
            self._torch.inference_mode(),
            self._torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=self._tf32),
        ):
            yield

    def _record(self) -> Any:
        """Capture one pass into a CUDA graph; its outputs are the static tensors of every replay."""
        torch = self._torch
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side), self._settings():
            for _ in range(3):  # lets cuDNN choose its algorithms outside the capture
                self._launch(*self._inputs)
        torch.cuda.current_stream(self._device).wait_stream(side)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded), self._settings():
            self._outputs = self._launch(*self._inputs)
        return recorded

    def upload(self, arrays: list[NDArray]) -> None:
        """Copy one frame's images and flags to the device."""
        for index, array in enumerate(arrays):
            self._upload_one(index, array)

    def upload_flags(self, present: NDArray[np.float32]) -> None:
        """Copy the flags alone: the images are on the device."""
        self._upload_one(len(self._inputs) - 1, present)

    def input_address(self, index: int) -> int:
        """Where on the device an image lies."""
        return int(self._inputs[index].data_ptr())

    def _upload_one(self, index: int, array: NDArray) -> None:
        source = self._torch.from_numpy(array)
        if self._on_gpu:
            self._staging[index].copy_(source)
            source = self._staging[index]
        self._inputs[index].copy_(source, non_blocking=True)

    def compute(self) -> None:
        """Run the network; on a GPU it is only enqueued."""
        if self._recorded is not None:
            self._recorded.replay()
        else:
            with self._settings():
                self._outputs = self._launch(*self._inputs)

    def stopwatch(self) -> _Stopwatch | _GpuStopwatch:
        """A stopwatch started now: the GPU's own where the work is there, which costs it no waiting."""
        return _GpuStopwatch(self._torch, self._device) if self._on_gpu else _Stopwatch()

    def download(self, wanted: frozenset[str]) -> dict[str, NDArray]:
        """The wanted outputs as arrays that the caller owns."""
        return {
            name: np.array(tensor.cpu().numpy())
            for name, tensor in zip(OUTPUTS, self._outputs, strict=True)
            if name in wanted
        }


class _Stopwatch:
    """Laps by the processor's clock."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End the lap ``name``."""
        now = time.perf_counter()
        self._laps[name], self._last = 1e3 * (now - self._last), now

    def laps_ms(self) -> dict[str, float]:
        """Milliseconds of each lap."""
        return dict(self._laps)


class _GpuStopwatch:
    """Laps by events on the device's current stream."""

    def __init__(self, torch: Any, device: Any) -> None:
        self._event = lambda: torch.cuda.Event(enable_timing=True)
        self._stream = torch.cuda.current_stream(device)
        self._marks = [("", self._event())]
        self._marks[0][1].record(self._stream)

    def lap(self, name: str) -> None:
        """End the lap ``name`` with the work enqueued so far."""
        self._marks.append((name, self._event()))
        self._marks[-1][1].record(self._stream)

    def laps_ms(self) -> dict[str, float]:
        """Milliseconds of each lap; waits for the last one's end."""
        self._marks[-1][1].synchronize()
        pairs = zip(self._marks[:-1], self._marks[1:], strict=True)
        return {name: float(earlier.elapsed_time(later)) for (_, earlier), (name, later) in pairs}


def _device(torch: Any, name: str) -> Any:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SsmaError(f"backend torch: device is '{name}', expected auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SsmaError(f"backend torch: device is '{name}', but torch {torch.__version__} finds no CUDA device")
    return device


def _resolve(precision: str, mode: str, device_type: str) -> tuple[str, str]:
    on_gpu = device_type == "cuda"
    if precision == "auto":
        precision = "fp16" if on_gpu else "fp32"
    if mode == "auto":
        mode = "cuda_graph" if on_gpu else "eager"
    if precision not in _DTYPES:
        raise SsmaError(f"backend torch: precision is '{precision}', expected auto, {', '.join(_DTYPES)}")
    if mode not in MODES:
        raise SsmaError(f"backend torch: mode is '{mode}', expected one of {', '.join(MODES)}")
    if mode == "cuda_graph" and not on_gpu:
        raise SsmaError("backend torch: mode is 'cuda_graph', which needs a CUDA device; expected eager or compile")
    return precision, mode
