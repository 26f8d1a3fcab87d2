# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.encodings import vegetation
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.segmenter import blank_frame

LABELS = load_label_set("synthetic_forest")


def encoder(*streams: Stream, width=64, height=32) -> InputEncoder:
    return InputEncoder(Contract(width, height, streams, LABELS))


def test_color_order():
    frame = blank_frame(64, 32)
    frame.color[...] = (1, 2, 3)
    inputs = encoder(Stream("a", "bgr"), Stream("b", "rgb")).encode(frame).inputs
    assert inputs["a"][0, 0].tolist() == [1, 2, 3]
    assert inputs["b"][0, 0].tolist() == [3, 2, 1]


def test_the_table_equals_the_formula():
    """8-bit images take a table, 16-bit ones the formula; the same reflectance must give the same level."""
    rng = np.random.default_rng(0)
    frame = blank_frame(64, 32)
    frame.color = rng.integers(0, 256, (32, 64, 3), np.uint8)
    frame.nir = rng.integers(0, 256, (32, 64), np.uint8)
    enc = encoder(Stream("evi2", "evi2"), Stream("ndvi", "ndvi"))
    by_table = enc.encode(frame).inputs
    nir, red = frame.nir / np.float32(255), frame.color[..., 2] / np.float32(255)
    for name, function in (("evi2", vegetation.evi2), ("ndvi", vegetation.ndvi)):
        expected = vegetation.to_uint8(function(nir.astype(np.float32), red.astype(np.float32)))
        assert np.abs(by_table[name][..., 0].astype(int) - expected).max() <= 1
    frame.nir = frame.nir.astype(np.uint16) * 16
    frame.nir_full_scale = 255.0 * 16
    by_formula = enc.encode(frame).inputs
    for name in ("evi2", "ndvi"):
        assert np.abs(by_table[name].astype(int) - by_formula[name]).max() <= 1


def test_false_colour_puts_near_infrared_in_the_red_place():
    frame = blank_frame(64, 32)
    frame.color[...] = (10, 20, 30)
    frame.nir[...] = 200
    assert encoder(Stream("nrg", "nrg")).encode(frame).inputs["nrg"][3, 3].tolist() == [20, 30, 200]


def test_pixels_without_depth_are_blank_in_hha():
    frame = blank_frame(64, 64)
    frame.depth[:40] = 0.0  # too high a hole to be filled without extrapolation
    encoded = encoder(Stream("hha", "hha"), height=64).encode(frame)
    hole = encoded.depth == 0
    assert hole.any()
    assert not hole.all()
    assert (encoded.inputs["hha"][hole] == 0).all()
    assert (encoded.inputs["hha"][~hole].max(axis=-1) > 0).all()


def busy_frame(seed: int = 0, width: int = 160, height: int = 120) -> Frame:
    """Every sensor, with holes in depth."""
    rng = np.random.default_rng(seed)
    frame = blank_frame(width, height)
    frame.color = rng.integers(0, 256, (height, width, 3), np.uint8)
    frame.nir = rng.integers(0, 256, (height, width), np.uint8)
    frame.depth[rng.random(frame.depth.shape) < 0.2] = 0
    frame.depth[:30] = 0
    return frame


EVERY_ENCODING = tuple(
    Stream(name, name)
    for name in ("bgr", "rgb", "hha", "depth_jet", "depth_gray", "nir", "ndvi", "evi", "evi2", "nrg")
)


@pytest.mark.parametrize("size", [(160, 120), (96, 64)])
def test_threads_change_nothing(size):
    contract = Contract(*size, EVERY_ENCODING, LABELS)
    one, two = (InputEncoder(contract, EncoderOptions(preprocessing_threads=threads)) for threads in (1, 2))
    for seed in range(3):
        frame = busy_frame(seed)
        expected, result = one.encode(frame), two.encode(frame)
        assert list(result.inputs) == list(expected.inputs) == [stream.name for stream in EVERY_ENCODING]
        for name, image in expected.inputs.items():
            np.testing.assert_array_equal(result.inputs[name], image, err_msg=name)
            assert result.inputs[name].flags.c_contiguous
        np.testing.assert_array_equal(result.depth, expected.depth)


def test_what_is_kept_is_never_overwritten():
    enc = InputEncoder(Contract(96, 64, EVERY_ENCODING, LABELS))
    kept = [enc.encode(busy_frame(seed)) for seed in range(8)]
    for seed, encoded in enumerate(kept):
        again = InputEncoder(enc.contract).encode(busy_frame(seed))
        for name, image in again.inputs.items():
            np.testing.assert_array_equal(encoded.inputs[name], image, err_msg=name)
        np.testing.assert_array_equal(encoded.depth, again.depth)


@pytest.mark.parametrize("size", [(320, 240), (256, 192)])
def test_a_steady_stream_of_frames_allocates_nothing_to_speak_of(size):
    pytest.importorskip("numba")
    streams = (Stream("rgb", "rgb"), Stream("hha", "hha"), Stream("evi", "evi2"))
    enc = InputEncoder(Contract(*size, streams, LABELS))
    frame = busy_frame(0, 320, 240)
    for _ in range(3):
        encoded = enc.encode(frame)  # held while the next one is made, as a publisher may
    tracemalloc.start()
    for _ in range(3):
        encoded = enc.encode(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert encoded.present == {"rgb": True, "hha": True, "evi": True}
    assert peak < size[0] * size[1] / 2  # bytes: less than a single mask


def test_an_image_that_fits_is_not_copied():
    frame = busy_frame()
    inputs = InputEncoder(Contract(160, 120, (Stream("rgb", "bgr"),), LABELS)).encode(frame).inputs
    assert np.shares_memory(inputs["rgb"], frame.color)


def test_depth_is_not_blended_across_edges():
    frame = blank_frame(128, 64)
    frame.depth[:, :64], frame.depth[:, 64:] = 2.0, 20.0
    depth = encoder(Stream("hha", "hha", parameters={"completion": "none"})).encode(frame).depth
    assert set(np.unique(depth)) == {2.0, 20.0}


def test_inputs_never_change_the_frame():
    frame = blank_frame(64, 32)
    frame.depth[5:9, 5:9] = 0
    copies = [image.copy() for image in (frame.color, frame.depth, frame.nir)]
    encoder(Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2")).encode(frame)
    for before, after in zip(copies, (frame.color, frame.depth, frame.nir), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"completoin": "fast"}, "parameter 'completoin'"),
        ({"completion": "magic"}, "stream 'hha': completion: got 'magic', expected one of fast, multiscale, none"),
        ({"blur": "median"}, "stream 'hha': blur: got 'median'"),
        ({"max_depth": -1.0}, "max_depth: got -1.0, expected"),
        ({"max_depth": "far"}, "max_depth: got far, expected"),
        ({"extrapolate": "no"}, "extrapolate: got 'no', expected true or false"),
        ({"height_range": -1.0}, "height_range is -1.0"),
        ({"max_tilt": "steep"}, "stream 'hha'"),
    ],
)
def test_unknown_parameters_are_refused(parameters, message):
    with pytest.raises(SsmaError, match=message):
        encoder(Stream("hha", "hha", parameters=parameters))


@pytest.mark.parametrize("bounds", [{"near": 50.0}, {"far": "x"}, {"near": -1.0}])
@pytest.mark.parametrize("encoding", ["depth_jet", "depth_gray"])
def test_impossible_bounds_of_depth_are_refused_at_once(bounds, encoding):
    with pytest.raises(SsmaError, match=r"stream 'far_away': (near|far)"):
        encoder(Stream("far_away", encoding, parameters=bounds))


def test_grey_depth_needs_no_camera():
    frame = blank_frame(64, 32)
    frame.intrinsics = None
    frame.depth[...] = 30.0
    frame.depth[:4] = 0.0
    disparity = Stream("disparity", "depth_gray", parameters={"completion": "none", "near": 10.0, "far": 50.0})
    encoded = encoder(disparity, Stream("hha", "hha", parameters={"completion": "none"})).encode(frame)
    assert encoded.present == {"disparity": True, "hha": False}
    assert (encoded.inputs["disparity"][:4] == 0).all()
    assert (encoded.inputs["disparity"][4:] == 128).all()


def test_near_infrared_beyond_its_full_scale_is_saturated():
    frame = blank_frame(64, 32)
    frame.nir_full_scale = 1023.0
    enc = encoder(Stream("nir", "nir"), Stream("evi2", "evi2"), Stream("evi", "evi"), Stream("ndvi", "ndvi"))
    images = []
    for value in (1023, 4000):
        frame.nir = np.full((32, 64), value, np.uint16)
        images.append(enc.encode(frame).inputs)
    for name, image in images[0].items():
        np.testing.assert_array_equal(image, images[1][name])


def test_depth_streams_must_agree():
    with pytest.raises(SsmaError, match="different completions"):
        encoder(Stream("hha", "hha"), Stream("jet", "depth_jet", parameters={"completion": "multiscale"}))


def test_a_known_camera_height_makes_the_floor():
    """Flat ground 1 m below a level camera: its height is 0 whatever else the picture holds."""
    frame = blank_frame(64, 64)
    rows = np.arange(64, dtype=np.float32) - frame.intrinsics.cy
    ground = np.where(rows > 4, frame.intrinsics.fy / np.maximum(rows, 1), 0)
    frame.depth = np.repeat(ground[:, None], 64, axis=1).astype(np.float32)
    frame.depth[50:60, 30:34] *= 3  # a reflection: points far below the ground
    frame.gravity = np.array([0.0, 1.0, 0.0])
    contract = Contract(64, 64, (Stream("hha", "hha", parameters={"completion": "none"}),), LABELS)
    robot = InputEncoder(contract, EncoderOptions(camera_height=1.0)).encode(frame).inputs["hha"]
    published = InputEncoder(contract).encode(frame).inputs["hha"]
    assert robot[62, 5, 1] <= 2
    assert published[62, 5, 1] > 100


def test_given_gravity_is_used():
    frame = blank_frame(64, 64)
    frame.depth[...] = 3.0  # a wall ahead, no floor: nothing to estimate gravity from
    enc = encoder(Stream("hha", "hha"), height=64)
    frame.gravity = np.array([0.0, 1.0, 0.0])
    upright = enc.encode(frame).inputs["hha"][32, 32, 0]
    frame.gravity = np.array([0.0, 0.0, 1.0])
    downward = enc.encode(frame).inputs["hha"][32, 32, 0]
    assert abs(int(upright) - (90 + 38)) <= 1
    assert abs(int(downward) - 38) <= 1


def test_a_guarded_estimate_holds_the_last_good_gravity():
    """A view without floor must not tip the world over: with the guard a wall keeps the angle of a level camera."""
    frame = blank_frame(64, 64)
    frame.depth[...] = 3.0
    contract = Contract(64, 64, (Stream("hha", "hha"),), LABELS)
    image = InputEncoder(contract, EncoderOptions(gravity_guard=True)).encode(frame).inputs["hha"]
    assert abs(int(image[32, 32, 0]) - (90 + 38)) <= 1
