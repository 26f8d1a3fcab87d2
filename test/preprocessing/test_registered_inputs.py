# SPDX-License-Identifier: Apache-2.0
"""Network inputs of frames whose images are of several cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ssma_ros
from preprocessing.test_registration import DEPTH, GRID, GROUND, beside, cast, places
from ssma_ros.contract import Contract, Stream
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.encodings.depth_completion import Completion
from ssma_ros.frame import Camera, Frame, Intrinsics
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.inputs.registered import in_one_camera
from ssma_ros.labels import load_label_set
from ssma_ros.registration import register_depth

CAMERA = beside("larger", 0.12, 0.02)


LABELS = load_label_set("synthetic_forest")
#: Depth as it is: what completion does is not what is tested here.
AS_IT_IS = {"completion": "none"}


def encoder(*streams: Stream, **options: Any) -> InputEncoder:
    return InputEncoder(Contract(GRID.width, GRID.height, streams, LABELS), EncoderOptions(**options))


def seen_by(camera: Camera) -> Any:
    """A picture that says of each pixel how far its point is to the right, forward and below: one of the world."""
    k = camera.intrinsics
    depth = cast(k, camera.rotation, np.asarray(camera.translation))
    v, u = np.mgrid[: k.height, : k.width]
    points = np.stack([(u - k.cx) / k.fx * depth, (v - k.cy) / k.fy * depth, depth], -1) @ camera.rotation.T
    x, _, z = np.moveaxis(points + camera.translation, -1, 0)
    return (127 + 60 * np.sin(1.5 * x) + 60 * np.sin(0.8 * z)).astype(np.uint8)


COLOR = np.dstack([seen_by(Camera(GRID))] * 3)


def frame(**changes: Any) -> Frame:
    fields = {"color": COLOR, "depth": DEPTH, "nir": seen_by(CAMERA), "intrinsics": GRID, "cameras": {"nir": CAMERA}}
    return Frame(**{**fields, **changes})


NIR, HHA = Stream("nir", "nir"), Stream("hha", "hha", parameters=AS_IT_IS)


def test_a_picture_of_another_camera_comes_out_as_the_own_camera_would_have_taken_it() -> None:
    """The world has the same brightness for both cameras, so what the other shows can be compared."""
    encoded = encoder(NIR, HHA).encode(frame())
    picture = encoded.inputs["nir"][..., 0]
    seen = picture > 0
    assert 0.7 < seen.mean() < 1.0
    error = np.abs(picture.astype(int) - COLOR[..., 0])[seen]
    assert np.median(error) <= 2
    assert np.percentile(error, 95) <= 25  # at edges of things half a pixel makes a difference
    unregistered = np.abs(encoder(NIR).encode(frame(nir=_resized(), cameras={})).inputs["nir"][..., 0].astype(int)
                          - COLOR[..., 0])
    assert np.median(unregistered) > 10
    assert encoded.timings_ms["registration"] > 0


def _resized() -> Any:
    return np.ascontiguousarray(seen_by(CAMERA)[::2, ::2][: GRID.height, : GRID.width].repeat(2, 1)[:, : GRID.width])[
        : GRID.height
    ]


def test_what_the_other_camera_does_not_see_is_blank_in_every_stream_made_of_it() -> None:
    encoded = encoder(NIR, Stream("evi2", "evi2"), Stream("nrg", "nrg"), HHA).encode(frame())
    at, _ = places(CAMERA, DEPTH)
    outside = (at < -0.5).any(-1) | (at[..., 0] > CAMERA.intrinsics.width - 0.5)
    assert outside.sum() > 50
    for name, level in (("nir", 0), ("evi2", 128), ("nrg", 0)):  # of an index 128 is 0, and 0 would be -1
        assert (encoded.inputs[name][outside] == level).all(), name
    assert encoded.inputs["hha"][outside].any()


def test_holes_of_one_frame_are_not_in_the_next() -> None:
    shared = encoder(NIR, HHA, preprocessing_threads=2)
    shared.encode(frame())
    plain = frame(nir=np.full(DEPTH.shape, 90, np.uint8), cameras={})
    np.testing.assert_array_equal(shared.encode(plain).inputs["nir"], 90)


def test_a_stream_is_blank_where_too_little_of_it_is_left() -> None:
    away = Camera(CAMERA.intrinsics, np.diag([-1.0, 1.0, -1.0]))  # looks backwards
    encoded = encoder(NIR, Stream("rgb", "bgr")).encode(frame(cameras={"nir": away}))
    assert encoded.present == {"nir": False, "rgb": True}
    assert set(encoded.inputs) == {"rgb"}
    assert encoded.missing["nir"] == (
        "the nir camera sees 0 % of the driving image, expected at least 25 %: check its pose (tf or nir_extrinsics) "
        "and its camera_info"
    )


@pytest.mark.parametrize("without", ["infinity", "ground", "missing"])
def test_without_depth_the_choice_counts_and_is_told(without: str) -> None:
    height = GROUND if without == "ground" else 0.0
    enc = encoder(NIR, Stream("rgb", "bgr"), register_without_depth=without, camera_height=height)
    encoded = enc.encode(frame(depth=None, missing={"depth": "no depth message for 2.0 s"}))
    if without == "missing":
        assert encoded.missing["nir"] == (
            "nir of another camera cannot be registered without depth (no depth message for 2.0 s)"
        )
        return
    words = {"infinity": "counts as infinitely far, so that what is near", "ground": "counts as level ground, so that"}
    assert encoded.doubts["nir"].startswith(
        f"near infrared is registered without depth (no depth message for 2.0 s): everything {words[without]}"
    )
    assert not enc.encode(frame()).doubts
    # Ground where it lies, right before the camera: right with the plane, and displaced with infinity.
    ground = np.s_[-6:, 90:140]
    error = np.abs(encoded.inputs["nir"][ground][..., 0].astype(int) - COLOR[ground][..., 0]).mean()
    assert (error < 4) == (without == "ground")


def test_ground_needs_the_cameras_height() -> None:
    with pytest.raises(ValueError, match="register_without_depth is 'ground' and camera_height 0, expected the camera"):
        EncoderOptions(register_without_depth="ground")


def test_depth_of_another_camera_is_registered_to_the_networks_grid() -> None:
    source = Intrinsics(100.0, 100.0, 79.5, 59.5, 160, 120)
    camera = Camera(source, translation=(0.05, 0.0, 0.0))
    depth = cast(source, np.eye(3), np.array([0.05, 0.0, 0.0])).astype(np.float32)
    encoded = encoder(HHA).encode(frame(depth=depth, nir=None, cameras={"depth": camera}))
    np.testing.assert_array_equal(encoded.depth, register_depth(depth, camera, GRID))
    known = encoded.depth > 0
    assert known.mean() > 0.9
    assert np.median(np.abs(1 / encoded.depth[known] - 1 / DEPTH[known])) < 0.005


def test_a_whole_frame_in_one_camera_is_what_the_encoder_would_have_used() -> None:
    given = frame()
    whole = in_one_camera(given, Completion(completion="none"))
    assert not whole.cameras
    whole.check()
    blank = whole.nir == 0
    picture = encoder(NIR, HHA).encode(given).inputs["nir"][..., 0]
    np.testing.assert_array_equal(picture[~blank], whole.nir[~blank])
    assert not picture[blank].any()
    assert in_one_camera(whole, Completion()) is whole
    away = in_one_camera(frame(cameras={"nir": Camera(CAMERA.intrinsics, np.diag([-1.0, 1.0, -1.0]))}), Completion())
    assert "nir camera sees 0 %" in away.missing["nir"]
    assert list(away.images) == ["color", "depth"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"intrinsics": None}, "nir is of another camera and there are no intrinsics, expected those of the driv"),
        ({"cameras": {"color": CAMERA}}, "cameras name 'color', expected one of depth, nir, thermal"),
        ({"cameras": {"nir": GRID}}, r"camera of nir is a Intrinsics, expected Camera\(intrinsics, rotation"),
        ({"nir": np.zeros((4, 4), np.uint8)}, r"nir is uint8 \(4, 4\), expected uint8 or uint16 \(200, 320\)"),
    ],
)
def test_a_frame_whose_cameras_do_not_fit_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        frame(**change).check()


def test_a_camera_is_a_rotation_and_three_numbers() -> None:
    with pytest.raises(ValueError, match=r"camera: rotation is .*, expected a 3x3 rotation matrix"):
        ssma_ros.Camera(GRID, np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(ValueError, match=r"camera: translation is .*, expected three finite numbers of metres"):
        ssma_ros.Camera(GRID, translation=(0.0, float("nan"), 0.0))
