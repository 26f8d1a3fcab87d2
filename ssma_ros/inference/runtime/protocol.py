# SPDX-License-Identifier: Apache-2.0
"""The small protocol that every inference backend speaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.contract import Contract

_T = TypeVar("_T")

#: Names of the graph's outputs, in order. Every exported graph has them all.
OUTPUTS = ("mask", "confidence", "probabilities", "gates")
#: Name of the graph's input that says which modalities are there: float32 [M], 1 = present, 0 = blank.
PRESENT = "present"


@dataclass
class RawOutputs:
    """Arrays as they leave the network. Whatever was not asked for may be None.

    Attributes:
        mask: H×W uint8 class ids.
        confidence: H×W uint8, probability of the winning class × 255.
        probabilities: C×H×W uint8, probability × 255.
        gates: M×h×w float32 in [0, 1], mean latent SSMA gate of each modality.
        timings_ms: time in milliseconds by stage (``upload``, ``inference``, ``download``) where known.
    """

    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    probabilities: NDArray[np.uint8] | None = None
    gates: NDArray[np.float32] | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)


class Backend(Protocol):
    """A frozen network on some device: uint8 images in, small arrays out.

    A backend is not re-entrant: one call of :meth:`infer` at a time. Arrays it returns belong to the caller.
    """

    @property
    def contract(self) -> Contract:
        """What the network expects."""
        ...

    @property
    def identity(self) -> Mapping[str, str]:
        """Words for diagnostics: ``backend``, ``device``, ``precision``, ``model``, versions, hashes."""
        ...

    @property
    def memory_bytes(self) -> int | None:
        """GPU memory that the network holds now; None where it runs on the processor or the runtime does not tell."""
        ...

    def infer(
        self,
        inputs: Mapping[str, NDArray[np.uint8]],
        present: Mapping[str, bool],
        outputs: Collection[str] = ("mask", "confidence"),
    ) -> RawOutputs:
        """Segment one frame.

        Args:
            inputs: for each stream that is present an H×W×3 uint8 image at the contract's size; blank
                streams may be absent.
            present: for every stream whether it takes part.
            outputs: which of :data:`OUTPUTS` are wanted; ``mask`` and ``confidence`` always come.

        Raises:
            ValueError: an input is missing or has another shape or dtype than the contract's; the message
                names the stream, got and expected.
        """
        ...

    def warm_up(self) -> None:
        """Run once on blank input so that the first frame pays no first-use cost."""
        ...

    def close(self) -> None:
        """Release the device's memory. Idempotent; no other method may be called afterwards."""
        ...


@runtime_checkable
class ResidentBackend(Backend, Protocol):
    """A backend whose inputs lie on a GPU, where CUDA kernels may write them in place of :meth:`Backend.infer`."""

    @property
    def stream(self) -> Any:
        """The ``pycuda.driver.Stream`` on which the network runs: what is enqueued there comes before it."""
        ...

    def input_address(self, name: str) -> int:
        """Device address of a stream's H×W×3 uint8 input."""
        ...

    def in_context(self, work: Callable[[], _T]) -> _T:
        """Do ``work`` with the device's CUDA context current in this thread."""
        ...

    def infer_resident(
        self, present: Mapping[str, bool], outputs: Collection[str] = ("mask", "confidence")
    ) -> RawOutputs:
        """As :meth:`Backend.infer`, on images that lie in the input buffers already, zeros for blank streams."""
        ...
