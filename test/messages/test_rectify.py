# SPDX-License-Identifier: Apache-2.0
"""Raw images are rectified by their camera_info: held against a lens written out by hand, and image_proc's rules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from ros import messages

from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.messages.rectify import MODELS, Rectifier, lookup_map, why_raw
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.sensors import SENSORS

WIDTH, HEIGHT = 64, 48
K = [50.0, 0, 31.0, 0, 51.0, 24.0, 0, 0, 1]
P = [46.0, 0, 32.0, 0, 0, 47.0, 23.0, 0, 0, 0, 1, 0]
LENSES: dict[str, list[float]] = {
    "plumb_bob": [-0.3, 0.1, 0.002, -0.001, 0.02],
    "rational_polynomial": [-0.3, 0.1, 0.002, -0.001, 0.02, 0.05, -0.01, 0.004],
    "equidistant": [-0.02, 0.01, -0.004, 0.001],
}


def info(model: str = "plumb_bob", **changes: Any) -> SimpleNamespace:
    fields = {"distortion_model": model, "d": LENSES[model], "k": K, "p": P, **changes}
    return messages.camera_info(**{"width": WIDTH, "height": HEIGHT, **fields})


def seen_through(model: str, d: list[float], x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Any, Any]:
    """Normalised image coordinates behind the lens, by the formulas of REP-107's models and OpenCV's documentation."""
    if model == "equidistant":
        r = np.hypot(x, y)
        theta = np.arctan(r)
        bent = theta * (1 + sum(c * theta ** (2 * i + 2) for i, c in enumerate(d)))
        scale = np.where(r > 0, bent / np.where(r > 0, r, 1), 1.0)
        return x * scale, y * scale
    k1, k2, p1, p2, k3, k4, k5, k6 = [*d, *[0.0] * (8 - len(d))]
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def expected_map(model: str, k: list[float], p: list[float], r: NDArray[np.float64] | None = None) -> NDArray[Any]:
    columns, rows = np.meshgrid(np.arange(WIDTH, dtype=float), np.arange(HEIGHT, dtype=float))
    rays = np.stack([(columns - p[2]) / p[0], (rows - p[6]) / p[5], np.ones_like(rows)], axis=-1)
    rays = rays @ (np.eye(3) if r is None else r)  # R turns raw rays to rectified ones; its inverse is its transpose
    x, y = seen_through(model, LENSES[model], rays[..., 0] / rays[..., 2], rays[..., 1] / rays[..., 2])
    return np.stack([x * k[0] + k[2], y * k[4] + k[5]], axis=-1)


@pytest.mark.parametrize("model", LENSES)
def test_each_model_looks_up_where_the_lens_bends_the_ray_to(model: str) -> None:
    np.testing.assert_allclose(lookup_map(info(model), "info"), expected_map(model, K, P), atol=2e-3)


def test_a_turned_camera_is_turned_back() -> None:
    r = cv2.Rodrigues(np.array([0.02, -0.03, 0.05]))[0]
    found = lookup_map(info(r=list(r.ravel())), "info")
    np.testing.assert_allclose(found, expected_map("plumb_bob", K, P, r), atol=2e-3)


def test_region_of_interest_and_binning_are_of_the_raw_image_too() -> None:
    """A binned cut-out is the cut-out, binned, of what the whole sensor would give."""
    region = SimpleNamespace(x_offset=8, y_offset=4, width=32, height=24, do_rectify=False)
    found = lookup_map(info(roi=region, binning_x=2, binning_y=2), "info")
    whole = expected_map("plumb_bob", K, P)
    assert found.shape == (12, 16, 2)
    np.testing.assert_allclose(found, (whole[4:28:2, 8:40:2] - (8, 4)) / 2, atol=2e-3)


def ramp() -> NDArray[np.uint8]:
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return np.stack([columns * 3, rows * 4, columns + rows], axis=-1).astype(np.uint8)


def frame_of(options: AssemblyOptions, camera: Any, **images: Any) -> Any:
    topics = {
        "color": "/cam/image_raw", "depth": "/cam/depth", "nir": "/cam/nir", "thermal": "/cam/t",
        "disparity": "/cam/disp", "camera_info": "/cam/camera_info",
    }
    plausible = SimpleNamespace(look=lambda frame: {})
    return assemble_frame(images, camera, options, topics=topics, plausibility=plausible)


def test_light_is_blended_and_depth_is_not() -> None:
    depth = np.where(np.arange(WIDTH)[None] < 30, 1000, 5000).astype(np.uint16).repeat(HEIGHT, 0)
    frame = frame_of(
        AssemblyOptions(rectify=True), info(), color=messages.image(ramp(), "bgr8"),
        depth=messages.image(depth, "16UC1"), nir=messages.image(ramp()[..., 2], "mono8"),
    )
    x, y = np.moveaxis(expected_map("plumb_bob", K, P), -1, 0)
    inside = (x > 0) & (x < WIDTH - 1) & (y > 0) & (y < HEIGHT - 1)
    np.testing.assert_allclose(frame.color[inside][:, 0], 3 * x[inside], atol=1.0)
    np.testing.assert_allclose(frame.color[inside][:, 1], 4 * y[inside], atol=1.0)
    np.testing.assert_allclose(frame.nir[inside], (x + y)[inside], atol=1.0)
    assert set(np.unique(frame.depth)) <= {0.0, 1.0, 5.0}
    sure = inside & (np.abs(x - 29.5) > 0.01)
    np.testing.assert_array_equal(frame.depth[sure], np.where(np.rint(x) < 30, 1.0, 5.0)[sure])
    assert (frame.intrinsics.fx, frame.intrinsics.cx) == (P[0], P[2])
    assert not frame.missing.keys() & {"color", "depth", "nir"}
    assert not frame.suspicions


def test_what_is_rectified_already_is_left_alone() -> None:
    depth = messages.disparity(np.full((HEIGHT, WIDTH), 20.0))
    options = AssemblyOptions(rectify=True, rectified_sensors=("nir",))
    frame = frame_of(options, info(), color=messages.image(ramp(), "bgr8"), depth=depth,
                     nir=messages.image(ramp()[..., 2], "mono8"))  # fmt: skip
    np.testing.assert_array_equal(frame.nir, ramp()[..., 2])
    np.testing.assert_allclose(frame.depth, 0.5)
    assert (frame.color != ramp()).any()


def test_a_camera_without_distortion_costs_nothing() -> None:
    picture = ramp()
    pinhole = info(d=[0.0] * 5, p=[K[0], 0, K[2], 0, 0, K[4], K[5], 0, 0, 0, 1, 0])
    assert Rectifier()(picture, SENSORS["color"], pinhole, "info") is picture


def test_a_fisheye_bends_without_coefficients() -> None:
    pinhole = info("equidistant", d=[0.0] * 4, p=[K[0], 0, K[2], 0, 0, K[4], K[5], 0, 0, 0, 1, 0])
    out = Rectifier()(ramp(), SENSORS["color"], pinhole, "info")
    x = (60 - K[2]) / K[0]
    assert out[24, 60, 0] == pytest.approx(3 * (np.arctan(x) * K[0] + K[2]), abs=1.0)  # r = f * theta


def test_zeros_beyond_a_models_coefficients_say_nothing() -> None:
    """orbbec_camera sends eight coefficients of plumb_bob (OrbbecSDK_ROS2, issue 216)."""
    np.testing.assert_array_equal(
        lookup_map(info(d=[*LENSES["plumb_bob"], 0.0, 0.0, 0.0]), "info"), lookup_map(info(), "info")
    )
    with pytest.raises(RefusedInput, match="d is 8 coefficients, expected 4 or 5 finite ones for plumb_bob"):
        lookup_map(info(d=[*LENSES["plumb_bob"], 0.0, 0.1, 0.0]), "info")


def test_maps_are_made_once_and_anew_when_the_camera_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "ssma_ros.messages.rectify.lookup_map", lambda i, t: made.append(i.d) or lookup_map(i, t)  # type: ignore[func-returns-value]
    )
    rectify, picture = Rectifier(), ramp()
    first = rectify(picture, SENSORS["color"], info(), "info")
    for _ in range(3):
        np.testing.assert_array_equal(rectify(picture, SENSORS["color"], info(), "info"), first)
    assert len(made) == 1
    other = rectify(picture, SENSORS["color"], info(d=[0.2, 0, 0, 0, 0]), "info")
    assert len(made) == 2
    assert (other != first).any()
    for number in range(20):
        rectify(picture, SENSORS["color"], info(d=[number / 100, 0, 0, 0, 0.001]), "info")
    assert len(rectify._maps) == 8


REFUSED = [
    ({"distortion_model": "kannala"}, "info: distortion_model is 'kannala', expected one of plumb_bob"),
    ({"d": [0.1, 0.2]}, "info: d is 2 coefficients, expected 4 or 5 finite ones for plumb_bob"),
    ({"d": [0.1, float("nan"), 0, 0, 0]}, "4 or 5 finite ones"),
    ({"k": [0.0] * 9}, "info: k is fx 0.0"),
    ({"width": 32}, "info: size is 32x48, expected 64x48 as the colour image is"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_a_calibration_that_cannot_be_used_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedInput) as refusal:
        Rectifier()(ramp(), SENSORS["color"], info(**changes), "info")
    assert words in str(refusal.value)


def test_without_a_calibration_the_driving_image_is_refused() -> None:
    with pytest.raises(RefusedInput, match="/cam/camera_info: message is absent, expected the calibration to rectify"):
        frame_of(AssemblyOptions(rectify=True), None, color=messages.image(ramp(), "bgr8"))


@pytest.mark.parametrize(
    ("topic", "changes", "raw"),
    [
        ("/cam/image_raw", {}, True),
        ("/cam/image_rect", {}, False),
        ("/zed/rgb/color/rect/image", {}, False),
        ("/cam/image_rectified/compressed", {}, False),
        ("/direct/image", {}, True),
        ("/cam/image_raw", {"d": [0.0] * 5}, False),
        ("/cam/image_raw", {"p": [50.2, 0, 31.1, 0, 0, 51.0, 24.0, 0, 0, 0, 1, 0]}, False),
        ("/cam/image_raw", {"p": [0.0] * 12}, True),
    ],
)
def test_images_that_seem_raw_are_told(topic: str, changes: dict[str, Any], raw: bool) -> None:
    sentence = why_raw(info(**changes), topic)
    assert bool(sentence) == raw
    if raw:
        assert sentence.startswith(f"topic {topic}: the camera's lens distorts")
        assert "set rectify to true" in sentence


def test_the_suspicion_reaches_the_frame_once_for_the_driving_topic() -> None:
    picture = messages.image(ramp(), "bgr8")
    depth = messages.image(np.full((HEIGHT, WIDTH), 900, np.uint16), "16UC1")
    frame = frame_of(AssemblyOptions(), info(), color=picture, depth=depth)
    assert list(frame.suspicions) == ["color"]
    assert not frame_of(AssemblyOptions(rectified_sensors=("color",)), info(), color=picture).suspicions


def test_every_model_of_the_table_is_tried() -> None:
    assert {name for name in MODELS if name != "fisheye"} == set(LENSES)
