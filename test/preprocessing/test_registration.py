# SPDX-License-Identifier: Apache-2.0
"""Images of other cameras in the driving camera's pixels, on scenes whose truth is cast ray by ray."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ssma_ros import registration
from ssma_ros.frame import Camera, Intrinsics
from ssma_ros.registration import INFINITY, ground_plane, register_depth, register_image

GRID = Intrinsics(120.0, 120.0, 95.5, 47.5, 192, 96)
#: Beside the colour camera, turned a little and of other resolutions: the normal case.
SIZES = {"same": (192, 96, 120.0), "larger": (320, 200, 200.0), "thermal": (80, 60, 45.0)}


@dataclass(frozen=True)
class Box:
    """An upright box of the world, metres, x right, y down, z forward as the driving camera sees it."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


#: Ground 1.2 m below, a wall far behind, and what stands between.
SCENE = (
    Box((-0.9, -1.5, 2.6), (-0.6, 1.2, 2.9)), Box((0.3, -0.2, 4.0), (1.2, 1.2, 4.6)),
    Box((-0.1, -2.5, 7.0), (0.2, 1.2, 7.3)), Box((1.7, -3.0, 9.0), (2.2, 1.2, 9.5)),
)  # fmt: skip
GROUND, WALL = 1.2, 25.0


def cast(intrinsics: Intrinsics, rotation: Any, position: Any, pixels: Any = None) -> Any:
    """z-depth along the rays of a pinhole camera (all pixels, or N×2 places), in metres."""
    if pixels is None:
        v, u = np.mgrid[: intrinsics.height, : intrinsics.width].astype(float)
        pixels = np.stack([u, v], -1)
    x, y = (pixels[..., 0] - intrinsics.cx) / intrinsics.fx, (pixels[..., 1] - intrinsics.cy) / intrinsics.fy
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.asarray(rotation).T
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.minimum(*(
            np.where((far := (level - position[axis]) / rays[..., axis]) > 0, far, np.inf)
            for axis, level in ((1, GROUND), (2, WALL))
        ))  # fmt: skip
        for box in SCENE:
            t = (np.stack([box.low, box.high]) - position)[:, None] / rays.reshape(-1, 3)
            enter, leave = t.min(0).max(-1), t.max(0).min(-1)
            hit = np.where((enter <= leave) & (enter > 0), enter, np.inf).reshape(nearest.shape)
            nearest = np.minimum(nearest, hit)
    return nearest


def rotation(yaw: float = 0.0, roll: float = 0.0) -> Any:
    c, s, a, b = math.cos(yaw), math.sin(yaw), math.cos(roll), math.sin(roll)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])


def beside(name: str, baseline: float, yaw: float = 0.0, roll: float = 0.0) -> Camera:
    width, height, focal = SIZES[name]
    pinhole = Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    return Camera(pinhole, rotation(yaw, roll), (baseline, 0.01, -0.015))


def places(camera: Camera, depth: Any) -> tuple[Any, Any]:
    """Where each pixel of the grid lies in the other image (N×2), and how far from that camera."""
    v, u = np.mgrid[: GRID.height, : GRID.width].astype(float)
    points = np.stack([(u - GRID.cx) / GRID.fx * depth, (v - GRID.cy) / GRID.fy * depth, depth], -1)
    there = (points - camera.translation) @ camera.rotation
    k = camera.intrinsics
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.stack([there[..., 0] / there[..., 2] * k.fx + k.cx, there[..., 1] / there[..., 2] * k.fy + k.cy], -1)
    return at, there[..., 2]


@pytest.fixture(params=["compiled", "plain"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(registration, "compiled_modules", lambda: None)


DEPTH = cast(GRID, np.eye(3), np.zeros(3)).astype(np.float32)
POSES = [
    ("same", 0.05, 0.0, 0.0), ("same", 0.12, 0.0, 0.0), ("larger", -0.12, 0.03, 0.02), ("thermal", 0.12, -0.02, 1.6),
]  # fmt: skip


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("name", "baseline", "yaw", "roll"), POSES)
@pytest.mark.parametrize("axis", [0, 1])
def test_what_both_see_is_found_to_half_a_pixel(name: str, baseline: float, yaw: float, roll: float, axis: int) -> None:
    """The other image shows its own coordinates, so that a registered value says where it was read."""
    camera = beside(name, baseline, yaw, roll)
    k = camera.intrinsics
    ramp = np.broadcast_to(np.arange(k.width)[None] if axis == 0 else np.arange(k.height)[:, None], (k.height, k.width))
    image, hole, seen = register_image((100 * ramp + 100).astype(np.uint16), camera, DEPTH, GRID)
    at, _ = places(camera, DEPTH)
    found = (image / 100.0 - 1.0)[hole == 0]
    edge = (k.width, k.height)[axis] - 1
    np.testing.assert_allclose(found, np.clip(at[..., axis][hole == 0], 0, edge), atol=0.5)
    assert np.abs(found - np.clip(at[..., axis][hole == 0], 0, edge)).mean() < 0.02
    assert seen == pytest.approx(np.mean(hole == 0))
    assert not image[hole == 1].any()
    outside = (at < -0.5).any(-1) | (at[..., 0] >= k.width - 0.5) | (at[..., 1] >= k.height - 0.5)
    assert hole[outside].all()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("name", "baseline", "yaw", "roll"), POSES)
def test_what_is_hidden_in_the_other_camera_is_missing(name: str, baseline: float, yaw: float, roll: float) -> None:
    """Truth: the ray of the other camera towards the point of a pixel ends earlier, by a parallax of over a pixel."""
    camera = beside(name, baseline, yaw, roll)
    k = camera.intrinsics
    image = np.full((k.height, k.width), 200, np.uint8)
    _, hole, _ = register_image(image, camera, DEPTH, GRID)
    at, away = places(camera, DEPTH)
    inside = (at > 0).all(-1) & (at[..., 0] < k.width - 1) & (at[..., 1] < k.height - 1) & (away > 0)
    ends = cast(k, camera.rotation, np.asarray(camera.translation), at[inside])
    parallax = (1 / ends - 1 / away[inside]) * GRID.fx * np.linalg.norm(camera.translation)
    hidden, free = parallax > 1.0, parallax < 0.05
    assert hidden.sum() > 50
    assert np.mean(hole[inside][hidden]) >= 0.98
    # What is seen stays but for rims one pixel wide, where a mean of four pixels would mix two surfaces.
    assert np.mean(hole[inside][free]) <= 0.03


@pytest.mark.usefixtures("kernels")
def test_a_shadow_that_completion_filled_is_missing_where_what_was_measured_contradicts() -> None:
    """A stereo camera measures nothing in the shadow that the other camera has too; completion fills it."""
    camera = beside("same", 0.12)
    at, away = places(camera, DEPTH)
    ends = cast(camera.intrinsics, camera.rotation, np.asarray(camera.translation), at)
    shadow = (1 / ends - 1 / away) * GRID.fx * 0.12 > 1.0
    measured = np.where(shadow, 0, DEPTH).astype(np.float32)
    reach = np.lib.stride_tricks.sliding_window_view(np.pad(DEPTH, ((0, 0), (6, 6)), mode="edge"), 13, axis=1)
    completed = np.where(shadow, reach.min(-1), DEPTH).astype(np.float32)
    image = np.full((96, 192), 200, np.uint8)
    inside = shadow & (at > 0).all(-1) & (at[..., 0] < 191) & (at[..., 1] < 95)
    trusting = register_image(image, camera, completed, GRID)[1]
    careful = register_image(image, camera, completed, GRID, measured=measured)[1]
    assert inside.sum() > 100
    assert np.mean(trusting[inside]) < 0.5
    assert np.mean(careful[inside]) > 0.85
    assert np.mean(careful[~shadow]) <= np.mean(trusting[~shadow])  # and what the thing would have hidden is back


@pytest.mark.usefixtures("kernels")
def test_without_a_pose_nothing_changes() -> None:
    """A camera in the same place with the same lens sees the same picture; nothing can hide anything."""
    image = np.random.default_rng(0).integers(0, 255, (96, 192)).astype(np.uint8)
    found, hole, seen = register_image(image, Camera(GRID), DEPTH, GRID)
    np.testing.assert_array_equal(found, image)
    assert not hole.any()
    assert seen == 1.0


@pytest.mark.usefixtures("kernels")
def test_pixels_without_depth_are_missing_or_what_is_chosen() -> None:
    camera = beside("same", 0.12, 0.03)
    k = camera.intrinsics
    ramp = np.broadcast_to(np.arange(k.width, dtype=np.uint16)[None] * 100 + 100, (k.height, k.width))
    nothing = np.zeros_like(DEPTH)
    _, hole, seen = register_image(ramp, camera, nothing, GRID)
    assert hole.all()
    assert seen == 0.0
    image, hole, _ = register_image(ramp, camera, nothing, GRID, assumed=INFINITY)
    at, _ = places(camera, np.full_like(DEPTH, 1e9, np.float64))
    np.testing.assert_allclose((image / 100.0 - 1.0)[hole == 0], at[..., 0][hole == 0].clip(0), atol=0.02)
    ground = ground_plane(GRID, GROUND, np.array([0.0, 1.0, 0.0]))
    image, hole, _ = register_image(ramp, camera, nothing, GRID, assumed=ground)
    rows = np.arange(GRID.height)[:, None] - GRID.cy
    level = np.broadcast_to(np.where(rows > 0, GROUND * GRID.fy / np.maximum(rows, 1e-9), 1e9), DEPTH.shape)
    at, _ = places(camera, level)
    np.testing.assert_allclose((image / 100.0 - 1.0)[hole == 0], at[..., 0][hole == 0].clip(0), atol=0.05)


@pytest.mark.usefixtures("kernels")
def test_a_measurement_is_read_from_the_nearest_pixel_and_never_averaged() -> None:
    camera = beside("thermal", 0.12)
    k = camera.intrinsics
    kelvin = np.where(np.indices((k.height, k.width)).sum(0) % 2, 280.0, 310.0).astype(np.float32)
    kelvin[20:30, 30:40], kelvin[5] = 0.0, np.nan
    image, hole, _ = register_image(kelvin, camera, DEPTH, GRID)
    assert set(np.unique(image)) == {0.0, 280.0, 310.0}
    assert hole[image == 0].all()
    assert not hole[image > 0].any()
    assert (hole == 1).sum() > 100


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("assumed", [None, INFINITY, ground_plane(GRID, 1.2, np.array([0.1, 1.0, 0.1]))])
def test_both_implementations_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, dtype: str, assumed: Any) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(1)
    camera = beside("larger", 0.2, 0.05, 0.1)
    k = camera.intrinsics
    image = rng.integers(0, 250, (k.height, k.width)).astype(dtype)
    depth = np.where(rng.random(DEPTH.shape) < 0.2, 0, DEPTH).astype(np.float32)
    measured = np.where(rng.random(DEPTH.shape) < 0.3, 0, depth).astype(np.float32)

    def made() -> list[Any]:
        there = Camera(GRID, rotation(0.05, 0.1), (0.2, 0.0, 0.0))
        registered = register_image(image, camera, depth, GRID, measured=measured, assumed=assumed)
        return [*registered, register_depth(depth, there, k)]

    ours = made()
    monkeypatch.setattr(registration, "compiled_modules", lambda: None)
    for mine, other in zip(ours, made(), strict=True):
        np.testing.assert_array_equal(mine, other)


# Depth.

CAMERA = Intrinsics(100.0, 100.0, 31.5, 23.5, 64, 48)


def moved(depth: Any, x: float = 0.0, z: float = 0.0) -> Any:
    """Depth of a camera at (x, 0, z) of the driving one, both with the same lens."""
    return register_depth(depth, Camera(CAMERA, translation=(x, 0.0, z)), CAMERA)


@pytest.mark.usefixtures("kernels")
def test_registering_onto_itself_changes_nothing() -> None:
    depth = np.zeros((48, 64), np.float32)
    depth[10:40, 5:60] = np.random.default_rng(0).uniform(0.5, 30, (30, 55))
    np.testing.assert_allclose(moved(depth), depth, rtol=1e-6)


@pytest.mark.usefixtures("kernels")
def test_depth_shifts_by_the_disparity_of_the_baseline() -> None:
    depth = np.full((48, 64), 2.0, np.float32)
    found = moved(depth, x=0.1)
    assert not found[:, :5].any()  # f·t/Z = 5 pixels to the right
    np.testing.assert_allclose(found[:, 5:], 2.0)


@pytest.mark.usefixtures("kernels")
def test_the_nearest_surface_wins() -> None:
    depth = np.zeros((48, 64), np.float32)
    depth[20, 30], depth[20, 32] = 1.0, 5.0
    found = moved(depth, x=0.025)
    # 1 m moves 2.5 pixels, 5 m half a pixel: both land near column 32.
    assert found[20, 32] == pytest.approx(1.0)
    behind = moved(depth, z=-3.0)
    # What is behind the camera is gone, and what was 5 m away and is 2 m away now covers two and a half times as much.
    assert behind[behind > 0] == pytest.approx([2.0] * 6)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("focal", [30.0, 45.5, 83.0, 97.0, 119.0, 260.0])
def test_nothing_behind_shines_through_a_surface_whatever_the_resolution(focal: float) -> None:
    """A source of fewer pixels would leave a moiré of gaps, which what is behind fills: a sieve, and HHA of it."""
    width, height = round(192 * focal / 120) + 8, round(96 * focal / 120) + 8
    source = Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    camera = Camera(source, rotation(0.01, 0.005), (0.08, 0.0, 0.01))
    depth = cast(source, camera.rotation, np.asarray(camera.translation)).astype(np.float32)
    found = register_depth(depth, camera, GRID)
    truth = DEPTH
    # Away from edges, by two pixels of the coarser image, every pixel is there and none is of what lies behind.
    radius = math.ceil(2 * max(1.0, GRID.fx / focal))
    window = np.lib.stride_tricks.sliding_window_view(1 / truth, (2 * radius + 1, 2 * radius + 1))
    smooth = window.max((-1, -2)) - window.min((-1, -2)) < 0.03 + 0.012 * radius
    inner = (slice(radius, -radius),) * 2
    at, away = (values[inner] for values in places(camera, truth))
    sees = (at > radius).all(-1) & (at[..., 0] < width - radius) & (at[..., 1] < height - radius)
    ends = cast(source, camera.rotation, np.asarray(camera.translation), at)
    chosen = smooth & sees & (np.abs(ends - away) < 1e-3 * away)
    assert chosen.mean() > 0.4
    error = np.abs(1 / np.maximum(found[inner][chosen], 1e-6) - 1 / truth[inner][chosen])
    assert (found[inner][chosen] > 0).all()
    assert error.max() < 0.02 + 0.01 * radius


@pytest.mark.usefixtures("kernels")
def test_no_surface_grows_over_its_edge() -> None:
    """A pixel covers its own area: of a pole three pixels wide six remain at twice the resolution."""
    source = Intrinsics(60.0, 60.0, 47.5, 23.5, 96, 48)
    depth = np.full((48, 96), 6.0, np.float32)
    depth[:, 40:43] = 2.0
    found = register_depth(depth, Camera(source), Intrinsics(120.0, 120.0, 95.5, 47.5, 192, 96))
    np.testing.assert_allclose(found[:, 80:86], 2.0, rtol=1e-6)
    assert (found == np.float32(2.0)).sum() == 6 * 96
    np.testing.assert_allclose(found[:, :80], 6.0, rtol=1e-6)


@pytest.mark.usefixtures("kernels")
def test_what_the_depth_camera_does_not_see_is_left_to_completion() -> None:
    depth = np.full((48, 64), 8.0, np.float32)
    depth[:, 20:30] = 1.0
    found = moved(depth, x=0.1)
    # Ten pixels of disparity against one and a quarter: a shadow of nearly nine pixels.
    assert 8 * 48 <= (found[:, 5:] == 0).sum() <= 10 * 48


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((4, 4), np.uint8)}, r"image: uint8 \(4, 4\), expected uint8 or uint16 or float32"),
        ({"image": np.zeros((96, 192), np.int32)}, r"image: int32 \(96, 192\)"),
        ({"depth": np.zeros((4, 4), np.float32)}, "intrinsics: for 192x96 pixels, expected 4x4 as the depth has"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], words: str) -> None:
    given = {"image": np.zeros((96, 192), np.uint8), "depth": DEPTH, **change}
    with pytest.raises(ValueError, match=words):
        register_image(given["image"], Camera(GRID), given["depth"], GRID)
