# SPDX-License-Identifier: Apache-2.0
"""From a frame to the network's raw answer: preprocessed on the processor, or on the GPU straight into the network.

:class:`ssma_ros.segmenter.Segmenter` turns the answer into a :class:`~ssma_ros.frame.Segmentation`.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.inference.runtime.protocol import OUTPUTS, ResidentBackend
from ssma_ros.inputs.processor import InputEncoder

if TYPE_CHECKING:
    from collections.abc import Collection

    from ssma_ros.encodings.base import EncoderOptions
    from ssma_ros.frame import Frame
    from ssma_ros.inference.runtime.protocol import Backend, RawOutputs
    from ssma_ros.inputs.encoded import EncodedInputs
    from ssma_ros.kernels.cuda.device import PycudaDevice

logger = logging.getLogger(__name__)

#: Where frames can be preprocessed; ``auto``: on the GPU where the network takes its inputs there.
PREPROCESSING = ("auto", "cpu", "gpu")


class Feed:
    """A network with what feeds it, here on the processor: any backend. Not re-entrant.

    Args:
        backend: a loaded network, which is closed with the feed.
        options: of the robot that carries the sensors.

    Raises:
        SsmaError: the contract's parameters are out of range.
    """

    #: Where frames are preprocessed, ``cpu`` or ``gpu``.
    preprocessing = "cpu"

    def __init__(self, backend: Backend, options: EncoderOptions | None = None) -> None:
        self._backend = backend
        self._encoder: Any = InputEncoder(backend.contract, options)

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory that network and preprocessing hold now; None where there is none, or nobody tells."""
        return self._backend.memory_bytes

    def segment(self, frame: Frame, wanted: Collection[str]) -> tuple[EncodedInputs, RawOutputs]:
        """Encode a frame and run the network on it.

        Args:
            frame: at any size.
            wanted: of the network's outputs, and ``inputs`` and ``depth`` where those of the encoded frame are wanted.

        Returns:
            The encoded frame with ``preprocessing`` and ``inference`` among its timings, and the answer. On the GPU
            ``preprocessing`` is the time to put the work in line, which ``inference`` waits for, and
            ``preprocessing_gpu`` says how long the GPU was at it.

        Raises:
            ValueError: the frame is not as it states, or no stream can be made from it.
        """
        start = time.perf_counter()
        encoded = self._encode(frame)
        if not any(encoded.present.values()):
            reasons = "; ".join(f"{name}: {why}" for name, why in encoded.missing.items())
            raise ValueError(f"frame: no stream can be made from it ({reasons}), expected at least one")
        before = time.perf_counter()
        raw = self._infer(encoded, [name for name in OUTPUTS if name in wanted])
        encoded.timings_ms["preprocessing"] = (before - start) * 1e3
        encoded.timings_ms["inference"] = (time.perf_counter() - before) * 1e3
        self._collect(encoded, wanted)
        return encoded, raw

    def _encode(self, frame: Frame) -> EncodedInputs:
        return self._encoder.encode(frame)

    def _infer(self, encoded: EncodedInputs, outputs: Collection[str]) -> RawOutputs:
        return self._backend.infer(encoded.inputs, encoded.present, outputs)

    def _collect(self, encoded: EncodedInputs, wanted: Collection[str]) -> None:
        """Fetch what is not at hand yet: inputs and depth."""

    def warm_up(self, registered: Collection[str] = ()) -> None:
        """Pay first-use costs that do not depend on the driving camera; ``registered`` sensors have others."""
        self._backend.warm_up()
        self._encoder.warm_up(registered)

    def reset(self) -> None:
        """Forget what was remembered from earlier frames."""
        self._encoder.reset()

    def close(self) -> None:
        """Release everything, the network too. Idempotent."""
        self._backend.close()


class ResidentFeed(Feed):
    """Preprocesses on the GPU, into the network's own input buffers and on its stream.

    Args:
        backend: whose inputs lie on a GPU.
        options: of the robot that carries the sensors.

    Raises:
        SsmaError: the kernels cannot be compiled for this GPU, or the contract's parameters are out of range.
    """

    preprocessing = "gpu"
    _backend: ResidentBackend

    def __init__(self, backend: ResidentBackend, options: EncoderOptions | None = None) -> None:
        self._backend = backend
        self._device: PycudaDevice | None = None
        try:
            self._encoder = backend.in_context(lambda: self._open(options))
        except BaseException:
            self._release()
            raise

    def _open(self, options: EncoderOptions | None) -> Any:
        from ssma_ros.inputs.resident import CudaInputEncoder
        from ssma_ros.kernels.cuda.device import PycudaDevice

        contract = self._backend.contract
        self._device = PycudaDevice(self._backend.stream)
        inputs = {name: self._backend.input_address(name) for name in contract.modalities}
        return CudaInputEncoder(contract, self._device, inputs, options)

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory of network and preprocessing."""
        own = 0 if self._device is None else self._device.memory_bytes
        return (self._backend.memory_bytes or 0) + own

    def _encode(self, frame: Frame) -> EncodedInputs:
        return self._backend.in_context(lambda: self._encoder.encode(frame))

    def _infer(self, encoded: EncodedInputs, outputs: Collection[str]) -> RawOutputs:
        return self._backend.infer_resident(encoded.present, outputs)

    def _collect(self, encoded: EncodedInputs, wanted: Collection[str]) -> None:
        self._backend.in_context(
            lambda: self._encoder.collect(encoded, inputs="inputs" in wanted, depth="depth" in wanted)
        )

    def warm_up(self, registered: Collection[str] = ()) -> None:
        """Let the network run once; the kernels are compiled already."""
        self._backend.warm_up()

    def close(self) -> None:
        """Release graphs, buffers and kernels, then the network. Idempotent."""
        self._release()
        self._backend.close()

    def _release(self) -> None:
        device, self._device = self._device, None
        if device is None:
            return

        def release() -> None:
            encoder = getattr(self, "_encoder", None)
            if encoder is not None:
                encoder.close()
            device.close()

        self._backend.in_context(release)


def make_feed(backend: Backend, options: EncoderOptions | None = None, preprocessing: str = "auto") -> Feed:
    """Put the right encoder before a network.

    Args:
        backend: a loaded network; the segmenter closes it with itself.
        options: of the robot that carries the sensors.
        preprocessing: one of :data:`PREPROCESSING`. ``auto`` says in the log why it stays on the processor beside a
            network that takes its inputs on the GPU.

    Raises:
        SsmaError: ``gpu`` is asked for and cannot be had, or the contract's parameters are out of range.
    """
    check_preprocessing(preprocessing)
    if preprocessing != "cpu" and isinstance(backend, ResidentBackend):
        try:
            return ResidentFeed(backend, options)
        except SsmaError as error:
            if preprocessing == "gpu":
                raise
            logger.warning("preprocessing runs on the processor, not on the GPU: %s", error)
    elif preprocessing == "gpu":
        name = backend.identity.get("backend", "unknown")
        raise SsmaError(f"preprocessing: 'gpu' is asked for, but backend {name} takes its inputs from the processor")
    return Feed(backend, options)


def check_preprocessing(name: str) -> None:
    """Refuse what is none of :data:`PREPROCESSING`, with an SsmaError."""
    if name not in PREPROCESSING:
        raise SsmaError(f"preprocessing: got '{name}', {expected_one_of(name, PREPROCESSING)}")
