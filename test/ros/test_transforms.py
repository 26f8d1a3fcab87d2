# SPDX-License-Identifier: Apache-2.0
"""What tf2 adds, with a stand-in for tf2_ros (it is not on PyPI)."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ros import messages

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.registration import reproject_depth
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.ros.transforms import TransformGeometry, rotation_matrix

CAMERA = Intrinsics(100.0, 100.0, 31.5, 23.5, 64, 48)
IDENTITY = np.eye(3)


class Buffer:
    """tf2_ros.Buffer as far as it is used."""

    def __init__(self, **transforms: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        self._transforms = transforms

    def lookup_transform(self, target: str, source: str, _time: Any) -> Any:
        if f"{target}_from_{source}" not in self._transforms:
            raise RuntimeError(f'"{source}" does not exist')
        q, t = self._transforms[f"{target}_from_{source}"]
        rotation = SimpleNamespace(**dict(zip("xyzw", q, strict=True)))
        translation = SimpleNamespace(**dict(zip("xyz", t, strict=True)))
        return SimpleNamespace(transform=SimpleNamespace(rotation=rotation, translation=translation))


def test_rotation_of_a_quaternion() -> None:
    half = math.sqrt(0.5)
    np.testing.assert_allclose(rotation_matrix(0, 0, half, half) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_matrix(0, 0, 2.0, 2.0) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    with pytest.raises(LookupError, match="no rotation"):
        rotation_matrix(0, 0, 0, 0)


def test_gravity_of_a_level_camera_points_down_the_image() -> None:
    # REP-103: odom x forward, y left, z up; optical x right, y down, z forward.
    level = ((0.5, -0.5, 0.5, 0.5), (0.0, 0.0, 1.0))
    matrix = rotation_matrix(*level[0])
    np.testing.assert_allclose(matrix @ [1, 0, 0], [0, 0, 1], atol=1e-12)  # forward is forward
    geometry = TransformGeometry(Buffer(optical_from_odom=level), None, "odom")
    np.testing.assert_allclose(geometry.gravity("optical", 0), [0, 1, 0], atol=1e-12)
    assert geometry.gravity("elsewhere", 0) is None
    assert TransformGeometry(Buffer(), None).gravity("optical", 0) is None


def test_reprojection_onto_itself_changes_nothing() -> None:
    depth = np.zeros((48, 64), np.float32)
    depth[10:40, 5:60] = np.random.default_rng(0).uniform(0.5, 30, (30, 55))
    np.testing.assert_allclose(reproject_depth(depth, CAMERA, CAMERA, IDENTITY, np.zeros(3)), depth, rtol=1e-6)


def test_reprojection_shifts_by_the_disparity_of_the_baseline() -> None:
    depth = np.full((48, 64), 2.0, np.float32)
    moved = reproject_depth(depth, CAMERA, CAMERA, IDENTITY, np.array([0.1, 0.0, 0.0]))
    assert not moved[:, :5].any()  # f·t/Z = 5 pixels to the right
    np.testing.assert_allclose(moved[:, 5:], 2.0)


def test_the_nearest_surface_wins() -> None:
    depth = np.zeros((48, 64), np.float32)
    depth[20, 30], depth[20, 32] = 1.0, 5.0
    moved = reproject_depth(depth, CAMERA, CAMERA, IDENTITY, np.array([0.025, 0.0, 0.0]))
    # 1 m moves 2.5 pixels, 5 m half a pixel: both land near column 32.
    assert moved[20, 32] == pytest.approx(1.0)
    behind = reproject_depth(depth, CAMERA, CAMERA, IDENTITY, np.array([0.0, 0.0, -3.0]))
    assert sorted(behind[behind > 0]) == [pytest.approx(2.0)]  # what is behind the camera is gone


def test_register_needs_intrinsics_and_a_transform() -> None:
    buffer = Buffer(camera_from_depth_optical=((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)))
    geometry = TransformGeometry(buffer, None)
    depth = np.full((48, 64), 2.0, np.float32)
    message = messages.image(np.zeros((48, 64), np.uint16), "16UC1", frame_id="depth_optical")
    with pytest.raises(RefusedInput, match="depth/camera_info: message is absent"):
        geometry.register(depth, message, CAMERA, "camera")
    geometry.depth_info = lambda: messages.camera_info(64, 48, 100.0)
    np.testing.assert_allclose(geometry.register(depth, message, CAMERA, "camera"), 2.0)
    with pytest.raises(RefusedInput, match=r"topic /tf: transform is unknown.*from 'depth_optical' to 'elsewhere'"):
        geometry.register(depth, message, CAMERA, "elsewhere")
    geometry.depth_info = lambda: messages.camera_info(32, 48, 100.0)
    with pytest.raises(RefusedInput, match="size is 32x48, expected 64x48 as the depth image is"):
        geometry.register(depth, message, CAMERA, "camera")


def test_tf_is_listened_to_only_where_a_parameter_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    node: Any = object()
    assert TransformGeometry.from_parameters(node, FusionParameters()) is None
    monkeypatch.setitem(__import__("sys").modules, "tf2_ros", None)
    with pytest.raises(SsmaError, match="parameter gravity_frame needs the package tf2_ros"):
        TransformGeometry.from_parameters(node, FusionParameters(gravity_frame="odom"))
