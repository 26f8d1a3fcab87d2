# SPDX-License-Identifier: Apache-2.0
"""How far is a backend from float32? Counted on frames, refused below a threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.inference.runtime.protocol import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ssma_ros.inference.runtime.protocol import Backend

    #: Images by stream, and which streams are present.
    EncodedFrame = tuple[Mapping[str, NDArray[np.uint8]], Mapping[str, bool]]

#: Least share of pixels whose class must be float32's, by precision.
THRESHOLDS: Mapping[str, float] = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.995, "int8": 0.99}


@dataclass
class Verification:
    """Differences between a backend and the reference over some frames.

    Attributes:
        frames: how many were compared.
        pixels: in all.
        agreeing: pixels with the reference's class.
        max_difference, total_difference: of class probabilities, in levels of 1/255, over ``values`` of them.
        max_gate_difference: of the modality gates, 0..1.
        worst_frame: index of the frame with the fewest agreeing pixels, and their share.
    """

    frames: int = 0
    pixels: int = 0
    agreeing: int = 0
    values: int = 0
    max_difference: int = 0
    total_difference: int = 0
    max_gate_difference: float = 0.0
    worst_frame: tuple[int, float] = field(default=(-1, 2.0))

    @property
    def agreement(self) -> float:
        """Share of pixels with the reference's class."""
        return self.agreeing / self.pixels if self.pixels else 0.0

    @property
    def mean_difference(self) -> float:
        """Mean difference of class probabilities, in levels of 1/255."""
        return self.total_difference / self.values if self.values else 0.0


def threshold_for(identity: Mapping[str, str]) -> float:
    """Least agreement wanted of a backend by its ``precision`` (``int8/bf16`` counts as int8) and ``weights``.

    A float32 graph whose weights were rounded to float16 for storage is held to float16's threshold.

    Raises:
        SsmaError: no threshold is known for it.
    """
    precision = identity["precision"]
    words = precision.replace("-", "/").split("/")
    for name in ("int8", "bf16", "fp16", "fp32"):
        if name in words:
            return THRESHOLDS[identity.get("weights", name) if name == "fp32" else name]
    raise SsmaError(f"verify: no threshold for precision '{precision}', expected one of {', '.join(THRESHOLDS)}")


def verify(candidate: Backend, reference: Backend, frames: Iterable[EncodedFrame]) -> Verification:
    """Run every frame through both backends and count the differences.

    Raises:
        SsmaError: the two have different contracts, or there are no frames.
    """
    if candidate.contract.digest() != reference.contract.digest():
        raise SsmaError(
            f"verify: {candidate.identity['model']} and {reference.identity['model']} have different input contracts, "
            "expected the same"
        )
    found = Verification()
    for index, (inputs, present) in enumerate(frames):
        expected = reference.infer(inputs, present, OUTPUTS)
        got = candidate.infer(inputs, present, OUTPUTS)
        assert expected.probabilities is not None
        assert got.probabilities is not None
        assert expected.gates is not None
        assert got.gates is not None
        same = int(np.count_nonzero(got.mask == expected.mask))
        difference = np.abs(got.probabilities.astype(np.int16) - expected.probabilities)
        found.frames += 1
        found.pixels += got.mask.size
        found.agreeing += same
        found.values += difference.size
        found.max_difference = max(found.max_difference, int(difference.max()))
        found.total_difference += int(difference.sum())
        found.max_gate_difference = max(found.max_gate_difference, float(np.abs(got.gates - expected.gates).max()))
        if same / got.mask.size < found.worst_frame[1]:
            found.worst_frame = (index, same / got.mask.size)
    if not found.frames:
        raise SsmaError("verify: no frames, expected at least one")
    return found
