# SPDX-License-Identifier: Apache-2.0
"""The real node around a network that answers at once: measures everything but the network.

Run by ``ssma benchmark node`` as ``python -m ssma_ros.demo.immediate_node``. The answer is the same every time and
means nothing; messages, matching, preprocessing and publishing are those of the robot.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.contract import Contract, Stream
from ssma_ros.inference.runtime.base import BackendBase
from ssma_ros.inference.runtime.protocol import RawOutputs
from ssma_ros.labels import load_label_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Environment variable with the network's size, WIDTHxHEIGHT.
SIZE_VARIABLE = "SSMA_IMMEDIATE_SIZE"


class ImmediateBackend(BackendBase):
    """Answers at once, with horizontal bands of all classes of three streams, as the shipped network has.

    Args:
        width, height: of the network in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        labels = load_label_set("synthetic_forest")
        streams = (Stream("rgb", "rgb"), Stream("hha", "hha"), Stream("evi", "evi2"))
        contract = Contract(width, height, streams, labels, description="answers at once, for benchmarks")
        super().__init__(contract, {"backend": "immediate", "device": "none", "precision": "none", "model": "none"})
        bands = np.arange(height) * labels.num_classes // height
        mask = np.repeat(bands[:, None], width, axis=1).astype(np.uint8)
        probabilities = np.full((labels.num_classes, height, width), 10, np.uint8)
        np.put_along_axis(probabilities, mask[None].astype(np.intp), 215, axis=0)
        gates = np.full((len(streams), height // 16, width // 16), 1 / 3, np.float32)
        self._answer = RawOutputs(mask, np.full_like(mask, 215), probabilities, gates)

    def _run(
        self, images: Mapping[str, NDArray[np.uint8]], present: NDArray[np.float32], wanted: frozenset[str]
    ) -> RawOutputs:
        return self._answer

    def close(self) -> None:
        """Nothing to release."""


def main() -> int:
    """Run the node."""
    from ssma_ros.ros.fusion_node import main as run_node

    width, height = (int(side) for side in os.environ.get(SIZE_VARIABLE, "768x384").split("x"))
    return run_node(load=lambda parameters: ImmediateBackend(width, height))


if __name__ == "__main__":
    sys.exit(main())
