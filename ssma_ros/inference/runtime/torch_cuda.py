# SPDX-License-Identifier: Apache-2.0
"""PyTorch on CUDA whose inputs lie on the GPU: kernels write them in place, nothing goes through the host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ssma_ros.inference.runtime.gpu import import_pycuda
from ssma_ros.inference.runtime.torch_backend import TorchBackend
from ssma_ros.kernels.cuda.device import current

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.inference.runtime.protocol import RawOutputs

_T = TypeVar("_T")


class TorchCudaBackend(TorchBackend):
    """A network on a CUDA device that others may feed there; see
    :class:`~ssma_ros.inference.runtime.protocol.ResidentBackend`.

    Whoever feeds it works on a stream of pycuda's in the context that torch uses, the device's primary one; torch runs
    the network on that stream, too. Without :meth:`in_context` it is a :class:`TorchBackend` and needs no pycuda.
    """

    _residence: _Residence | None = None

    def in_context(self, work: Callable[[], _T]) -> _T:
        """Do ``work`` with the device's context current in this thread; makes :attr:`stream` at the first call.

        Raises:
            SsmaError: pycuda is not installed.
        """
        if self._residence is None:
            self._residence = _Residence(self._torch, self._target)
        return self._residence.do(work)

    @property
    def stream(self) -> Any:
        """The ``pycuda.driver.Stream`` on which the network runs; None before the first :meth:`in_context`."""
        return None if self._residence is None else self._residence.stream

    def input_address(self, name: str) -> int:
        """Device address of a stream's H×W×3 uint8 input."""
        return self._runner.input_address(self._contract.modalities.index(name))

    def infer_resident(
        self, present: Mapping[str, bool], outputs: Collection[str] = ("mask", "confidence")
    ) -> RawOutputs:
        """As :meth:`infer`, on images that lie in the input buffers already (see :meth:`input_address`)."""
        wanted, flags = self.checked_outputs(outputs), self.checked_flags(present)
        return self.in_context(partial(self._resident, flags, wanted))

    def _resident(self, flags: NDArray[np.float32], wanted: frozenset[str]) -> RawOutputs:
        assert self._residence is not None
        with self._torch.cuda.stream(self._residence.torch_stream):
            return self._pass(partial(self._runner.upload_flags, flags), wanted)

    def close(self) -> None:
        """Release network, buffers, stream and context. Idempotent."""
        residence, self._residence = self._residence, None
        if residence is not None:
            residence.close()
        super().close()


class _Residence:
    """The device's primary context, held, and a stream in it that pycuda and torch both know."""

    def __init__(self, torch: Any, device: Any) -> None:
        cuda = import_pycuda("torch, fed on the GPU")
        cuda.init()
        torch.cuda.synchronize(device)  # what loading left on torch's own stream comes before all that follows
        self._context = cuda.Device(device.index or 0).retain_primary_context()
        self.stream: Any = self.do(cuda.Stream)
        self.torch_stream = torch.cuda.ExternalStream(self.stream.handle, device=device)

    def do(self, work: Callable[[], _T]) -> _T:
        """Do ``work`` with the context current in this thread, and leave the thread as it was."""
        with current(self._context):
            return work()

    def close(self) -> None:
        """Wait for the stream, then release it and the context."""
        self.do(self.stream.synchronize)
        self.torch_stream = self.stream = None
        self._context.detach()


def open_torch(
    path: Path, *, precision: str = "auto", device: str = "auto", mode: str = "auto", threads: int = 0
) -> TorchBackend:
    """A network run by PyTorch, on a CUDA device one that can be fed there; arguments and errors as
    :class:`~ssma_ros.inference.runtime.torch_backend.TorchBackend`."""
    kind = TorchCudaBackend if _is_cuda(device) else TorchBackend
    return kind(path, precision=precision, device=device, mode=mode, threads=threads)


def _is_cuda(device: str) -> bool:
    if device != "auto":
        return device.startswith("cuda")
    try:
        import torch
    except ImportError:
        return False  # the backend says so
    return bool(torch.cuda.is_available())
