# SPDX-License-Identifier: Apache-2.0
"""A deterministic network for tests of the node: thresholds instead of weights, and a node that runs it.

``python stub_network.py --ros-args …`` starts the real node with this backend. SSMA_STUB_DELAY (seconds) makes
each inference last that long without holding the interpreter, as a real runtime does.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ssma_ros.contract import Contract, Stream
from ssma_ros.inference.runtime.protocol import RawOutputs
from ssma_ros.labels import load_label_set


def stub_contract(width: int = 96, height: int = 64) -> Contract:
    return Contract(
        width=width,
        height=height,
        streams=(Stream("rgb", "rgb"), Stream("hha", "hha"), Stream("evi", "evi2")),
        labels=load_label_set("synthetic_forest"),
    )


class StubBackend:
    """Class of a pixel = red value / 64 (0..3), of which every present stream but colour is 10 % more sure.

    Red 255 is class 3; without colour every pixel is class 4.
    """

    def __init__(
        self, contract: Contract | None = None, delay_s: float = 0.0, memory_bytes: int | None = None
    ) -> None:
        self._contract = contract or stub_contract()
        self._memory_bytes = memory_bytes
        self._delay_s = delay_s
        self.calls = 0
        self.asked: list[tuple[str, ...]] = []
        self.closed = False

    @property
    def contract(self) -> Contract:
        return self._contract

    @property
    def identity(self) -> Mapping[str, str]:
        return {"backend": "stub", "device": "CPU", "model": "stub"}

    def infer(
        self, inputs: Mapping[str, Any], present: Mapping[str, bool], outputs: Collection[str] = ("mask", "confidence")
    ) -> RawOutputs:
        assert not self.closed
        self.calls += 1
        self.asked.append(tuple(outputs))
        if self._delay_s:
            print("frame in work", file=sys.stderr, flush=True)
            time.sleep(self._delay_s)
        contract = self._contract
        size = (contract.height, contract.width)
        for name, image in inputs.items():
            if image.shape != (*size, 3) or image.dtype != np.uint8:
                raise ValueError(f"input {name} is {image.shape} {image.dtype}, expected {(*size, 3)} uint8")
        mask = inputs["rgb"][..., 0] // 64 if present.get("rgb") else np.full(size, 4, np.uint8)
        others = sum(present[name] for name in contract.modalities if name != "rgb")
        level = 150 + 25 * others
        classes = contract.labels.num_classes
        rest = (255 - level) // (classes - 1)
        probabilities = np.full((classes, *size), rest, np.uint8)
        np.put_along_axis(probabilities, mask[None].astype(np.intp), level, axis=0)
        share = 1.0 / max(1, sum(present.values()))
        gates = np.stack(
            [np.full((4, 6), share if present[name] else 0.0, np.float32) for name in contract.modalities]
        )
        return RawOutputs(
            mask=np.ascontiguousarray(mask),
            confidence=np.full(size, level, np.uint8),
            probabilities=probabilities if "probabilities" in outputs else None,
            gates=gates if "gates" in outputs else None,
        )

    @property
    def memory_bytes(self) -> int | None:
        return self._memory_bytes

    def warm_up(self) -> None:
        """Nothing to warm."""

    def close(self) -> None:
        self.closed = True


if __name__ == "__main__":
    from ssma_ros.errors import SsmaError
    from ssma_ros.ros.fusion_node import main
    from ssma_ros.ros.parameters import FusionParameters

    delay = float(os.environ.get("SSMA_STUB_DELAY", "0"))
    width, height = (int(v) for v in os.environ.get("SSMA_STUB_SIZE", "96x64").split("x"))

    def load(parameters: FusionParameters) -> StubBackend:
        failures = {
            "broken": SsmaError("model broken: no such file"),
            "crash": RuntimeError("no such thing was foreseen"),
            "disk full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/x"),
        }
        if parameters.model in failures:
            raise failures[parameters.model]
        return StubBackend(stub_contract(width, height), delay)

    sys.exit(main(load=load))
