# SPDX-License-Identifier: Apache-2.0
"""A near-infrared camera beside the colour camera, rendered: what registration finds, against what is there."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic.conftest import Captured

from ssma_ros.registration import INFINITY, register_image
from ssma_ros.synthetic.sampling import Sample, Scene
from ssma_ros.synthetic.sensor import StereoRig


@pytest.fixture(scope="module")
def beside(renderer, rig, captured: list[Captured]) -> dict[float, tuple[StereoRig, Sample]]:
    """The first scene's picture again, with rigs whose near-infrared camera is 5 and 12 cm to the right."""
    scene, found = Scene(renderer, captured[0].seed, rig), {}
    for metres in (0.05, 0.12):
        other = StereoRig.with_nir_beside(metres)
        scene.mount(other)
        rng = np.random.default_rng([captured[0].seed, 10])
        found[metres] = other, scene.capture(scene.random_pose(rng), rng)
    return found


def test_only_near_infrared_changes(captured: list[Captured], beside):
    for rig, sample in beside.values():
        for name in ("color", "right", "depth", "true_depth", "label"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(captured[0].sample, name), err_msg=name)
        assert sample.nir.shape == sample.nir_depth.shape == (rig.nir.intrinsics.height, rig.nir.intrinsics.width)
    assert captured[0].sample.nir_depth is None


@pytest.mark.parametrize("metres", [0.05, 0.12])
def test_registration_finds_what_both_see_and_what_is_hidden(beside, metres: float):
    """With exact depth: looked up within half a pixel, and at least 98 % of the hidden pixels found."""
    rig, sample = beside[metres]
    grid, camera, depth = rig.intrinsics, rig.nir, sample.true_depth
    k, unit = camera.intrinsics, grid.fx * metres  # pixels of parallax that one unit of inverse depth is
    _, hole, _ = register_image(sample.nir, camera, depth, grid, assumed=INFINITY)
    v, u = np.mgrid[: grid.height, : grid.width].astype(float)
    points = np.stack([(u - grid.cx) / grid.fx * depth, (v - grid.cy) / grid.fy * depth, depth], -1)
    x, y, away = np.moveaxis((points - camera.translation) @ camera.rotation, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.stack([x / away * k.fx + k.cx, y / away * k.fy + k.cy], -1)
    inside = (depth > 0) & (at >= 0).all(-1) & (at[..., 0] < k.width - 1) & (at[..., 1] < k.height - 1)
    column, row = np.floor(at[inside]).astype(int).T
    with np.errstate(divide="ignore"):
        there = np.where(sample.nir_depth > 0, 1 / sample.nir_depth, 0)
    around = np.stack([there[row + j, column + i] for j in (0, 1) for i in (0, 1)])
    parallax = (around - 1 / away[inside]) * unit
    hidden, seen = parallax.min(0) > 1.0, hole[inside] == 0
    assert hidden.sum() > 300
    assert np.mean(~seen[hidden]) >= 0.98
    # One of the four pixels that are read is the point itself; foliage finer than a pixel is beside it.
    assert np.mean(np.abs(parallax).min(0)[seen] <= 0.5) >= 0.998
    assert np.mean(seen[np.abs(parallax).max(0) < 0.1]) >= 0.98


def test_the_registered_picture_is_that_of_the_shared_lens(captured: list[Captured], beside):
    rig, sample = beside[0.12]
    shared, grid = captured[0].sample.nir.astype(int), rig.intrinsics
    image, hole, _ = register_image(sample.nir, rig.nir, sample.true_depth, grid, assumed=INFINITY)
    error = np.abs(image - shared)[hole == 0]
    assert error.mean() < 7
    shifted = np.abs(np.roll(image, 2, axis=1) - shared)[(hole == 0) & (np.roll(hole, 2, axis=1) == 0)]
    assert error.mean() < 0.75 * shifted.mean()
