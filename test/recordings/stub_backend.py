"""A backend that needs no network: the class is blue // 64, confidence is how many streams are there."""

from __future__ import annotations

import numpy as np

from ssma_ros.contract import Contract, Stream
from ssma_ros.inference.protocol import RawOutputs
from ssma_ros.labels import load_label_set


def stub_contract(width: int = 96, height: int = 48) -> Contract:
    streams = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2"))
    return Contract(width=width, height=height, streams=streams, labels=load_label_set("synthetic_forest"))


class StubBackend:
    def __init__(self, contract: Contract | None = None) -> None:
        self.contract = contract or stub_contract()
        self.identity = {"backend": "stub"}
        self.closed = False

    def infer(self, inputs, present, outputs=("mask", "confidence")):
        assert set(inputs) == {name for name, there in present.items() if there}
        height, width = self.contract.height, self.contract.width
        mask = inputs["rgb"][..., 0] // 64 if present["rgb"] else np.zeros((height, width), np.uint8)
        classes = self.contract.labels.num_classes
        return RawOutputs(
            mask=mask,
            confidence=np.full((height, width), 80 * sum(present.values()), np.uint8),
            probabilities=np.stack([(mask == c).astype(np.uint8) * 255 for c in range(classes)]),
            gates=np.stack([np.full((3, 6), there, np.float32) for there in present.values()]),
        )

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
