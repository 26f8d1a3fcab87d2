# SPDX-License-Identifier: Apache-2.0
"""The GPU's encoder for frames of several cameras against the processor's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from preprocessing import cuda_host
from preprocessing.test_cuda_encoder import Pair
from preprocessing.test_registered_inputs import CAMERA, LABELS, frame, seen_by
from preprocessing.test_registration import DEPTH, GRID, beside, cast
from ssma_ros.contract import Contract, Stream
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.frame import Camera, Frame

STREAMS = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi"), Stream("nir", "nir"))
OTHER = beside("thermal", -0.1, 0.0, 0.05)


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Any:
    if request.param == "host":
        yield cuda_host.host_device()
    else:
        yield from cuda_host.gpu_device()


def pair(device: Any, *streams: Stream, **options: Any) -> Pair:
    return Pair(device, Contract(GRID.width, GRID.height, streams or STREAMS, LABELS), EncoderOptions(**options))


def doubts(both: Pair, given: Frame) -> Any:
    return both.gpu.encode(given).doubts, both.cpu.encode(given).doubts


def with_holes() -> Any:
    """What completion fills in, and what it leaves: measured and made up are told apart."""
    depth = DEPTH.copy()
    depth[np.random.default_rng(0).random(depth.shape) < 0.3] = 0.0
    depth[:12] = 0.0
    depth[40:50, 20:60] = np.nan
    return depth


def test_near_infrared_of_another_camera(device: Any) -> None:
    both = pair(device)
    inputs = both.check(frame(depth=with_holes()))
    assert 0.5 < np.mean(inputs["nir"].any(axis=-1)) < 1.0
    turned = Camera(CAMERA.intrinsics, CAMERA.rotation, (0.05, 0.02, 0.0))
    both.check(frame(depth=with_holes(), cameras={"nir": turned}))  # the same graph serves a camera that moves
    if isinstance(device, cuda_host.HostDevice):
        assert len(device.graphs) == 2


def test_cameras_that_come_go_and_change_their_size(device: Any) -> None:
    both = pair(device, register_without_depth="ground", camera_height=1.2)
    plain = frame(nir=np.full(DEPTH.shape, 90, np.uint8), cameras={})
    smaller = frame(nir=seen_by(OTHER), cameras={"nir": OTHER})
    wide = frame(nir=seen_by(CAMERA).astype(np.uint16) * 16, nir_full_scale=4095.0)
    for given in (frame(), plain, smaller, frame(), wide, frame(nir=None, cameras={}), plain):
        both.check(given)


def test_depth_of_another_camera_and_a_measurement(device: Any) -> None:
    depth_camera = beside("larger", 0.05, 0.01)
    k = depth_camera.intrinsics
    depth = cast(k, depth_camera.rotation, np.asarray(depth_camera.translation)).astype(np.float32)
    kelvin = (260.0 + seen_by(OTHER) / 4.0).astype(np.float32)
    both = pair(device, *STREAMS, Stream("thermal", "thermal"))
    cameras = {"depth": depth_camera, "nir": CAMERA, "thermal": OTHER}
    inputs = both.check(frame(depth=depth, thermal=kelvin, cameras=cameras))
    assert set(inputs) == {"rgb", "hha", "evi", "nir", "thermal"}


@pytest.mark.parametrize("without", ["infinity", "ground", "missing"])
def test_without_depth(device: Any, without: str) -> None:
    both = pair(device, register_without_depth=without, camera_height=1.2)
    given = frame(depth=None)
    both.check(given)
    ours, theirs = doubts(both, given)
    assert ours == theirs
    assert bool(ours) == (without != "missing")


def test_a_stream_of_which_too_little_is_seen_is_blank(device: Any) -> None:
    both = pair(device)
    away = Camera(CAMERA.intrinsics, np.diag([-1.0, 1.0, -1.0]))
    inputs = both.check(frame(cameras={"nir": away}))
    assert set(inputs) == {"rgb", "hha"}
    both.check(frame())
