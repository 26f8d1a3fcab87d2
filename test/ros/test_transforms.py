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
from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.messages.transforms import CameraPlaces, gravity, rotation_matrix
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.ros.transforms import ListenedTransforms
from ssma_ros.sensors import FROM_TF

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
    transforms = ListenedTransforms(Buffer(optical_from_odom=level), None)
    np.testing.assert_allclose(gravity(transforms, "optical", "odom"), [0, 1, 0], atol=1e-12)
    assert gravity(transforms, "elsewhere", "odom") is None
    assert gravity(transforms, "optical", "") is None
    assert gravity(None, "optical", "odom") is None


def test_a_camera_needs_intrinsics_and_a_transform() -> None:
    transforms = ListenedTransforms(
        Buffer(camera_from_depth_optical=((0.0, 0.0, 0.0, 1.0), (0.1, 0.0, 0.0))), None
    )

    def find(target: str = "camera", *, sensor: str = "depth", **infos: Any) -> Any:
        places = CameraPlaces({"depth": FROM_TF}, infos, transforms)
        return places.find(sensor, "depth_optical", (64, 48), ("color", target), DEFAULT_TOPICS)

    info = messages.camera_info(64, 48, 100.0)
    with pytest.raises(RefusedInput, match="depth/camera_info: message is absent"):
        find()
    found = find(depth=info)
    assert found.intrinsics == CAMERA
    np.testing.assert_allclose(found.rotation, IDENTITY)
    np.testing.assert_allclose(found.translation, [0.1, 0.0, 0.0])
    with pytest.raises(RefusedInput, match=r"topic /tf: transform is unknown.*from 'depth_optical' to 'elsewhere'"):
        find("elsewhere", depth=info)
    with pytest.raises(RefusedInput, match="size is 32x48, expected 64x48 as the depth image is"):
        find(depth=messages.camera_info(32, 48, 100.0))
    assert find("depth_optical", depth=info) is None
    assert find(sensor="nir", depth=info) is None  # nobody asked for it


def test_tf_is_listened_to_only_where_a_parameter_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    node: Any = object()
    assert ListenedTransforms.from_parameters(node, FusionParameters()) is None
    given = FusionParameters.from_values({"register_nir": True, "nir_extrinsics": [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]})
    assert ListenedTransforms.from_parameters(node, given) is None
    monkeypatch.setitem(__import__("sys").modules, "tf2_ros", None)
    for name, value in (("gravity_frame", "odom"), ("register_depth", True), ("register_nir", True)):
        with pytest.raises(SsmaError, match=f"parameter {name} needs the package tf2_ros"):
            ListenedTransforms.from_parameters(node, FusionParameters.from_values({name: value}))


@pytest.mark.parametrize("given", [[1.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
def test_extrinsics_that_are_none_are_refused(given: list[float]) -> None:
    with pytest.raises(SsmaError, match=r"parameter nir_extrinsics is \[.*\], expected x, y, z in metres"):
        FusionParameters.from_values({"register_nir": True, "nir_extrinsics": given})
