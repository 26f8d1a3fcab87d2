# SPDX-License-Identifier: Apache-2.0
"""What the backends share: checking one frame's inputs, standing in for blank streams, warming up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.inference.runtime.protocol import OUTPUTS, RawOutputs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract


class BackendBase(ABC):
    """A :class:`~ssma_ros.inference.runtime.protocol.Backend` less the device."""

    def __init__(self, contract: Contract, identity: Mapping[str, str]) -> None:
        self._contract = contract
        self._identity = dict(identity)
        self._blank = np.zeros((contract.height, contract.width, 3), np.uint8)

    @property
    def contract(self) -> Contract:
        """What the network expects."""
        return self._contract

    @property
    def identity(self) -> Mapping[str, str]:
        """Words for diagnostics: ``backend``, ``device``, ``precision``, ``model``, versions, hashes."""
        return dict(self._identity)

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory that the network holds now; None where it runs on the processor or the runtime does not tell."""
        return None

    def infer(
        self,
        inputs: Mapping[str, NDArray[np.uint8]],
        present: Mapping[str, bool],
        outputs: Collection[str] = ("mask", "confidence"),
    ) -> RawOutputs:
        """Segment one frame; see :meth:`ssma_ros.inference.runtime.protocol.Backend.infer`."""
        wanted = self.checked_outputs(outputs)
        images, flags = self.checked_inputs(inputs, present)
        return self._run(images, flags, wanted)

    @staticmethod
    def checked_outputs(outputs: Collection[str]) -> frozenset[str]:
        """``outputs`` with mask and confidence, which always come.

        Raises:
            ValueError: a name is none of :data:`OUTPUTS`.
        """
        wanted = frozenset(outputs) | {"mask", "confidence"}
        if not wanted <= set(OUTPUTS):
            raise ValueError(f"outputs: got {sorted(wanted - set(OUTPUTS))}, expected some of {', '.join(OUTPUTS)}")
        return wanted

    def checked_flags(self, present: Mapping[str, bool]) -> NDArray[np.float32]:
        """Float32 [M], 1 where a stream is present.

        Raises:
            ValueError: a stream has no entry, or none is present.
        """
        for name in self._contract.modalities:
            if name not in present:
                raise ValueError(f"present: got no entry for stream '{name}', expected one for each stream")
        flags = np.array([present[name] for name in self._contract.modalities], np.float32)
        if not flags.any():
            raise ValueError("present: got no stream that is present, expected at least one")
        return flags

    def checked_inputs(
        self, inputs: Mapping[str, NDArray[np.uint8]], present: Mapping[str, bool]
    ) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.float32]]:
        """One contiguous H×W×3 uint8 image per stream (zeros where blank) and the float32 [M] flags.

        Raises:
            ValueError: a present stream's image is missing or has another shape or dtype than the contract's, or
                no stream is present.
        """
        shape = self._blank.shape
        flags = self.checked_flags(present)
        images: dict[str, NDArray[np.uint8]] = {}
        for name in self._contract.modalities:
            if not present[name]:
                images[name] = self._blank
                continue
            image = inputs.get(name)
            if image is None:
                raise ValueError(f"stream '{name}': got no image though it is present, expected uint8 {shape}")
            if image.dtype != np.uint8 or image.shape != shape:
                raise ValueError(f"stream '{name}': got {image.dtype} {image.shape}, expected uint8 {shape}")
            images[name] = np.ascontiguousarray(image)
        return images, flags

    def warm_up(self) -> None:
        """Run once on blank input, once for each set of outputs that is prepared apart."""
        present = dict.fromkeys(self._contract.modalities, True)
        images = dict.fromkeys(self._contract.modalities, self._blank)
        self.infer(images, present)
        self.infer(images, present, OUTPUTS)

    @abstractmethod
    def _run(
        self, images: Mapping[str, NDArray[np.uint8]], present: NDArray[np.float32], wanted: frozenset[str]
    ) -> RawOutputs:
        """Run the device on checked inputs; ``wanted`` always holds mask and confidence."""

    @abstractmethod
    def close(self) -> None:
        """Release the device's memory. Idempotent."""
