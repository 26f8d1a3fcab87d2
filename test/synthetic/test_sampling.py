# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from synthetic.conftest import Captured, capture

from ssma_ros.synthetic.materials import ForestClass, srgb_to_linear
from ssma_ros.synthetic.sampling import Scene


def test_same_seed_same_pictures(renderer, rig, captured: list[Captured]):
    again = capture(renderer, rig, captured[0].seed)
    for name in ("color", "right", "nir", "depth", "true_depth", "label"):
        np.testing.assert_array_equal(getattr(again, name), getattr(captured[0].sample, name), err_msg=name)
    assert not np.array_equal(again.color, captured[1].sample.color)


def test_shapes_and_types(rig, captured: list[Captured]):
    sample, shape = captured[0].sample, (rig.intrinsics.height, rig.intrinsics.width)
    assert sample.color.shape == sample.right.shape == (*shape, 3)
    assert sample.nir.shape == sample.depth.shape == sample.label.shape == shape
    assert (sample.color.dtype, sample.nir.dtype, sample.label.dtype) == (np.uint8,) * 3
    assert (sample.depth.dtype, sample.true_depth.dtype) == (np.float32,) * 2
    assert np.isfinite(sample.depth).all()
    assert (sample.depth >= 0).all()


def test_labels_agree_with_depth(captured: list[Captured]):
    for item in captured:
        sample = item.sample
        sky = sample.label == ForestClass.SKY
        np.testing.assert_array_equal(sky, sample.true_depth == 0)
        assert set(np.unique(sample.label)) <= {int(c) for c in ForestClass}
        for wanted in (ForestClass.TRAIL, ForestClass.GRASS, ForestClass.VEGETATION, ForestClass.OBSTACLE):
            assert (sample.label == wanted).mean() > 0.005, (item.seed, wanted)


def test_label_edges_are_picture_edges(captured: list[Captured]):
    """Sky borders are strong edges of the picture just where the label changes, not a pixel beside."""
    label = captured[0].sample.label
    grey = captured[0].sample.color.astype(np.float32).mean(axis=2)
    step = np.abs(np.diff(grey, axis=1))
    border = (label[:, 1:] == ForestClass.SKY) != (label[:, :-1] == ForestClass.SKY)
    strength = [step[np.roll(border, shift, axis=1)].mean() for shift in (-3, 0, 3)]
    assert strength[1] > 1.5 * max(strength[0], strength[2])


def test_vegetation_is_brighter_than_the_trail_in_near_infrared(captured: list[Captured]):
    for item in captured:
        nir, label = srgb_to_linear(item.sample.nir / 255.0), item.sample.label
        assert np.median(nir[label == ForestClass.GRASS]) > 1.2 * np.median(nir[label == ForestClass.TRAIL])


def test_stereo_depth_is_right_where_it_speaks_and_silent_elsewhere(captured: list[Captured]):
    for item in captured:
        sample = item.sample
        solid = (sample.depth > 0) & (sample.true_depth > 0) & (sample.true_depth < 20)
        error = np.abs(sample.depth - sample.true_depth)[solid] / sample.true_depth[solid]
        assert np.median(error) < 0.03
        assert np.mean(error > 0.2) < 0.12
        assert 0.02 < np.mean(sample.depth == 0) < 0.5
        sky = sample.label == ForestClass.SKY
        assert np.mean(sample.depth[sky] == 0) > np.mean(sample.depth[~sky] == 0)


def test_poses_stand_on_the_trail_clear_of_obstacles(renderer, rig, captured: list[Captured]):
    scene = Scene(renderer, captured[0].seed, rig)
    rng = np.random.default_rng(0)
    parameters = scene.parameters
    for _ in range(20):
        x, y, z = scene.random_pose(rng).position
        assert abs(y - parameters.trail_y(np.array([x]))[0]) < parameters.trail_width
        assert abs(z - scene.world.height(x, y) - parameters.camera_height) < 1e-6


def test_a_blocked_view_is_taken_again(renderer, rig):
    """In scene 75 the second picture's pose lies inside a bush."""
    scene = Scene(renderer, 75, rig)
    blocked = scene.capture(scene.random_pose(rng := np.random.default_rng([75, 11])), rng)
    assert np.median(blocked.true_depth) < 0.5
    sample = scene.random_sample(np.random.default_rng([75, 11]))
    assert len(np.unique(sample.label)) >= 4
