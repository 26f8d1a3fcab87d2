# SPDX-License-Identifier: Apache-2.0
"""Counting differences from float32."""

from __future__ import annotations

import numpy as np
import pytest
from inference.toy_network import example_frames, toy_contract

from ssma_ros.errors import SsmaError
from ssma_ros.inference import RawOutputs, load_backend
from ssma_ros.inference.build.verify import THRESHOLDS, threshold_for, verify


def pairs(count):
    present = {"color": True, "hha": True}
    return [({name: frame[name] for name in present}, present) for frame in example_frames(count)]


class Fixed:
    """A backend that answers the same always."""

    def __init__(self, mask, probability, gate, contract=None):
        self.contract = contract or toy_contract()
        self.identity = {"model": "fixed", "precision": "fp32"}
        self._answer = RawOutputs(
            mask=mask, confidence=mask, probabilities=np.full((5, 2, 4), probability, np.uint8),
            gates=np.full((2, 1, 1), gate, np.float32),
        )  # fmt: skip

    def infer(self, inputs, present, outputs):
        return self._answer


def test_differences_are_counted():
    one = np.zeros((2, 4), np.uint8)
    other = one.copy()
    other[0, 0] = 3
    found = verify(Fixed(other, 10, 0.5), Fixed(one, 250, 0.25), [({}, {})] * 2)
    assert (found.frames, found.pixels, found.agreeing) == (2, 16, 14)
    assert found.agreement == 14 / 16
    assert found.worst_frame == (0, 7 / 8)
    assert found.max_difference == 240
    assert found.mean_difference == 240
    assert found.max_gate_difference == 0.25


def test_equal_backends_agree(toy_folder):
    one, two = (load_backend(toy_folder, backend="onnxruntime", threads=1) for _ in range(2))
    found = verify(one, two, pairs(2))
    assert found.agreement == 1.0
    assert found.max_difference == 0


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_converted_graphs_pass_their_thresholds(toy_folder, precision):
    reference = load_backend(toy_folder, backend="onnxruntime", threads=1)
    candidate = load_backend(toy_folder / f"model.{precision}.onnx", backend="onnxruntime", threads=1)
    found = verify(candidate, reference, pairs(8))
    assert found.agreement >= THRESHOLDS[precision]
    assert 0 < found.max_difference <= 4


def test_other_contract_is_refused():
    from dataclasses import replace

    mask = np.zeros((2, 4), np.uint8)
    other = Fixed(mask, 0, 0, replace(toy_contract(), temperature=3.0))
    with pytest.raises(SsmaError, match="different input contracts"):
        verify(Fixed(mask, 0, 0), other, [({}, {})])


def test_no_frames_are_refused():
    mask = np.zeros((2, 4), np.uint8)
    with pytest.raises(SsmaError, match="no frames"):
        verify(Fixed(mask, 0, 0), Fixed(mask, 0, 0), [])


@pytest.mark.parametrize(
    ("precision", "threshold"),
    [("fp32", 0.9999), ("fp16", 0.999), ("bf16", 0.995), ("int8", 0.99), ("int8/bf16", 0.99), ("int8-fp16", 0.99)],
)
def test_threshold_of_each_precision(precision, threshold):
    assert threshold_for({"precision": precision}) == threshold


def test_rounded_weights_count_as_float16():
    assert threshold_for({"precision": "fp32", "weights": "fp16"}) == THRESHOLDS["fp16"]
    assert threshold_for({"precision": "bf16", "weights": "fp16"}) == THRESHOLDS["bf16"]


def test_unknown_precision_has_no_threshold():
    with pytest.raises(SsmaError, match="no threshold for precision 'fp8'"):
        threshold_for({"precision": "fp8"})
