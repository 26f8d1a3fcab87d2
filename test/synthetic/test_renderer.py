# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ssma_ros.frame import Intrinsics
from ssma_ros.synthetic import meshes
from ssma_ros.synthetic.builder import Item, Part, SceneBuilder
from ssma_ros.synthetic.materials import ForestClass, Material
from ssma_ros.synthetic.renderer import Pose, Renderer
from ssma_ros.synthetic.scene import GROUND_CELL, Ground, SceneParameters, grid_axes
from ssma_ros.synthetic.world import World

CAMERA = Pose.looking(np.array([0.0, 0.0, 1.0]), heading=0.0, pitch=0.0)


def world_with_box(x: float, size: tuple[float, float, float]) -> World:
    """Nothing but one box whose middle stands at (x, 0, 0)."""
    parameters = SceneParameters.from_seed(0)
    builder = SceneBuilder(parameters, np.random.default_rng(0))
    builder.texture("plain", np.full((8, 8, 3), 128, np.uint8))
    builder.mesh("box", meshes.box(size))
    builder.place(Item((Part(("box",), "plain", Material.PAINT),), 0.5), (x, 0.0, 0.0))
    columns, rows = (len(axis) for axis in grid_axes(GROUND_CELL))
    flat = np.zeros((rows, columns), np.float32)
    ground = Ground(flat, np.dstack([flat, flat, flat + 1]), flat + 5, flat, flat)
    return World(
        parameters=parameters,
        model=builder.spec.compile(),
        ground=ground,
        geom_material=np.array([Material.PAINT], np.uint8),
        geom_label=np.array([ForestClass.OBSTACLE], np.uint8),
        geom_level=np.array([-1], np.int8),
        geom_nir=np.array([0.3], np.float32),
        obstacles=np.zeros((0, 3)),
    )


@pytest.mark.parametrize("size", [(0.5, 0.5, 2.0), (0.5, 0.502, 2.003), (0.5, 0.506, 2.007)])
def test_box_has_its_true_depth_and_pixels(renderer: Renderer, rig, size: tuple[float, float, float]):
    renderer.load(world_with_box(5.0, size))
    view = renderer.view(CAMERA, rig.intrinsics)
    seen = view.geom >= 0
    front = 5.0 - size[0] / 2
    # A pixel is covered where its centre lies inside the projected face.
    k = rig.intrinsics
    u, v = np.arange(k.width), np.arange(k.height)
    columns = np.abs((u - k.cx) / k.fx * front) < size[1] / 2
    y = 1.0 - (v - k.cy) / k.fy * front
    expected = ((y > 0) & (y < size[2]))[:, None] & columns[None]
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_allclose(view.depth[seen], front, rtol=2e-5)
    assert (view.depth[~seen] == 0).all()


def test_second_eye_sees_the_box_shifted_by_the_disparity(renderer: Renderer, rig):
    renderer.load(world_with_box(5.0, (0.5, 0.5, 2.0)))
    left = renderer.view(CAMERA, rig.intrinsics).geom >= 0
    right = renderer.view(CAMERA.shifted_right(rig.baseline), rig.intrinsics).geom >= 0
    middles = [np.flatnonzero(mask[200]).mean() for mask in (left, right)]
    disparity = rig.intrinsics.fx * rig.baseline / 4.75
    assert middles[0] - middles[1] == pytest.approx(disparity, abs=0.51)


def test_principal_point_off_the_middle_is_refused(renderer: Renderer):
    renderer.load(world_with_box(5.0, (0.5, 0.5, 2.0)))
    with pytest.raises(ValueError, match="principal point"):
        renderer.view(CAMERA, Intrinsics(500.0, 500.0, 384.0, 192.0, 768, 384))


def test_pose_axes_are_right_handed_and_pitch_looks_down():
    pose = Pose.looking(np.zeros(3), heading=0.3, pitch=0.2, roll=0.1)
    np.testing.assert_allclose(pose.rotation.T @ pose.rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    assert pose.rotation[2, 2] == pytest.approx(-np.sin(0.2))
    # Rolled clockwise, the camera's right side is the lower one.
    assert pose.rotation[2, 0] < 0
