# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.frame import Frame
from ssma_ros.inference.runtime.protocol import RawOutputs
from ssma_ros.labels import load_label_set
from ssma_ros.segmenter import OUTPUTS, Segmenter, SegmenterOptions, blank_frame

CONTRACT = Contract(
    width=64,
    height=32,
    streams=(Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2")),
    labels=load_label_set("synthetic_forest"),
)


class ThresholdBackend:
    """Bright pixels are class 1; remembers what it was asked."""

    contract = CONTRACT
    identity = MappingProxyType({"backend": "threshold"})

    def __init__(self) -> None:
        self.calls: list[tuple[set[str], dict[str, bool], tuple[str, ...]]] = []
        self.closed = False

    def infer(self, inputs, present, outputs=("mask", "confidence")):
        self.calls.append((set(inputs), dict(present), tuple(outputs)))
        image = next(iter(inputs.values()))
        mask = (image[..., 0] > 127).astype(np.uint8)
        confidence = np.full(mask.shape, 200, np.uint8)
        confidence[:, :8] = 20
        return RawOutputs(
            mask=mask,
            confidence=confidence,
            probabilities=np.zeros((5, *mask.shape), np.uint8) if "probabilities" in outputs else None,
            gates=np.full((3, 2, 4), 0.5, np.float32) if "gates" in outputs else None,
        )

    def warm_up(self):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(ThresholdBackend())


def camera_frame(width=128, height=64) -> Frame:
    frame = blank_frame(width, height)
    frame.stamp_ns, frame.frame_id = 42, "camera"
    frame.color[:, width // 2 :] = 250
    return frame


def test_stamp_frame_and_size(segmenter):
    result = segmenter(camera_frame())
    assert (result.stamp_ns, result.frame_id) == (42, "camera")
    assert result.mask.shape == (32, 64)
    assert result.mask[:, :31].max() == 0
    assert result.mask[:, 33:].min() == 1
    assert result.intrinsics.width == 64
    assert result.timings_ms["total"] >= result.timings_ms["inference"]
    assert {"resize", "depth_completion", "encode_hha", "preprocessing", "delivery"} <= set(result.timings_ms)


def test_nothing_is_fetched_that_nobody_wants(segmenter):
    result = segmenter(camera_frame())
    assert segmenter.backend.calls[-1][2] == ("mask", "confidence")
    assert result.probabilities is None
    assert result.depth is None
    assert not result.gates
    assert not result.inputs
    result = segmenter(camera_frame(), OUTPUTS)
    assert set(result.inputs) == {"rgb", "hha", "evi"} == set(result.gates)
    assert result.depth.shape == (32, 64)


@pytest.mark.parametrize(
    ("absent", "blank"), [("depth", {"hha"}), ("nir", {"evi"}), ("color", {"rgb", "evi"}), ("intrinsics", {"hha"})]
)
def test_a_missing_sensor_blanks_its_streams(segmenter, absent, blank):
    frame = camera_frame()
    setattr(frame, absent, None)
    frame.missing = {absent: f"{absent} silent for 3.0 s"}
    result = segmenter(frame)
    inputs, present, _ = segmenter.backend.calls[-1]
    assert {name for name, there in present.items() if not there} == blank
    assert not blank & inputs
    assert set(result.missing) == blank
    if absent != "intrinsics":
        assert all("silent for 3.0 s" in reason for reason in result.missing.values())


def test_a_frame_without_any_stream_is_refused(segmenter):
    frame = camera_frame()
    frame.color = frame.depth = None  # near infrared alone makes no EVI
    with pytest.raises(ValueError, match="no stream can be made"):
        segmenter(frame)


def test_camera_resolution_scales_everything(segmenter):
    segmenter.options = SegmenterOptions(output_resolution="camera")
    frame = camera_frame(200, 90)
    result = segmenter(frame, OUTPUTS)
    assert result.mask.shape == result.confidence.shape == result.depth.shape == (90, 200)
    assert result.probabilities.shape == (5, 90, 200)
    assert result.intrinsics == frame.intrinsics


def test_unsure_pixels_become_unlabelled(segmenter):
    segmenter.options = SegmenterOptions(min_confidence=0.5)
    mask = segmenter(camera_frame()).mask
    assert (mask[:, :8] == 255).all()
    assert (mask[:, 8:] != 255).all()


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="expected one of network, camera"):
        SegmenterOptions(output_resolution="half")
    with pytest.raises(ValueError, match="expected 0 to 1"):
        replace(SegmenterOptions(), min_confidence=1.5)


def test_warm_up_and_close(segmenter):
    segmenter.warm_up()
    assert segmenter.backend.calls[-1][2] == ("mask", "confidence", "probabilities", "gates")
    segmenter.close()
    assert segmenter.backend.closed
