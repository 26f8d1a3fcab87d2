# SPDX-License-Identifier: Apache-2.0
"""Matched messages to frames: what one sensor does wrong costs that sensor alone."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ros import messages

from ssma_ros.frame import Intrinsics
from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.sensors import FROM_TF, readings

COLOR = np.full((6, 8, 3), 7, np.uint8)
DEPTH = np.full((6, 8), 1500, np.uint16)
NIR = np.full((6, 8), 9, np.uint8)
WARM = np.full((6, 8), 29315, np.uint16)


def moment(**changes: Any) -> dict[str, Any]:
    return {
        "color": messages.image(COLOR, "bgr8"),
        "depth": messages.image(DEPTH, "16UC1"),
        "nir": messages.image(NIR, "mono8"),
        "thermal": messages.image(WARM, "16UC1"),
        **changes,
    }


def test_a_complete_moment() -> None:
    frame = assemble_frame(moment(), messages.camera_info())
    assert (frame.stamp_ns, frame.frame_id, frame.size) == (1_500_000_000, "camera", (8, 6))
    np.testing.assert_allclose(frame.depth, 1.5)
    assert frame.nir_full_scale == 255.0
    np.testing.assert_allclose(frame.thermal, 293.15, rtol=1e-6)
    assert frame.intrinsics == Intrinsics(7.0, 7.0, 3.5, 2.5, 8, 6)
    assert not frame.missing


def test_stamp_and_frame_are_those_of_the_driving_image() -> None:
    late = messages.image(DEPTH, "16UC1", stamp_ns=1_510_000_000)
    frame = assemble_frame(moment(depth=late), messages.camera_info())
    assert frame.stamp_ns == 1_500_000_000
    assert frame.depth is not None


@pytest.mark.parametrize(
    ("sensor", "message", "words"),
    [
        ("depth", messages.image(COLOR, "bgr8"), "refused: topic depth/image_rect: encoding is 'bgr8'"),
        ("nir", messages.image(COLOR, "rgba32"), "refused: topic nir/image_rect: encoding is 'rgba32'"),
        ("nir", messages.image((COLOR * [1, 20, 30]).astype(np.uint8), "bgr8"), "data is a colour picture (bgr8), exp"),
        ("depth", messages.image(DEPTH[:3], "16UC1"), "size is 8x3, expected 8x6 as the driving image is"),
        ("depth", messages.image(DEPTH, "16UC1", frame_id="depth_optical"), "header.frame_id is 'depth_optical', exp"),
        ("nir", messages.image(NIR, "mono8", frame_id="nir_optical"), "expected 'camera', registered to the driving"),
    ],
)
def test_a_bad_partner_is_left_out_and_named(sensor: str, message: Any, words: str) -> None:
    frame = assemble_frame(moment(**{sensor: message}), messages.camera_info())
    assert getattr(frame, sensor) is None
    assert words in frame.missing[sensor]
    assert set(frame.missing) == {sensor}


def test_a_bad_color_image_refuses_the_frame() -> None:
    with pytest.raises(RefusedInput, match="topic camera/image_rect: encoding is '16UC1'"):
        assemble_frame(moment(color=messages.image(DEPTH, "16UC1")))
    with pytest.raises(RefusedInput, match="color drives the output"):
        assemble_frame({"depth": messages.image(DEPTH, "16UC1")})


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (None, "no message on camera/camera_info yet"),
        (messages.camera_info(width=16), "size is 16x6, expected 8x6 as the image is"),
        (messages.camera_info(k=[0.0] * 9, p=[0.0] * 12), "refused: topic camera/camera_info: k is fx 0.0"),
    ],
)
def test_a_bad_camera_info_costs_the_intrinsics_alone(info: Any, words: str) -> None:
    frame = assemble_frame(moment(), info)
    assert frame.intrinsics is None
    assert words in frame.missing["camera_info"]
    assert frame.depth is not None


def test_resizing_is_a_declared_choice() -> None:
    options = AssemblyOptions(size_mismatch="resize")
    small = moment(depth=messages.image(DEPTH[::2, ::2], "16UC1"), nir=messages.image(NIR[::2, ::2], "mono8"))
    frame = assemble_frame(small, messages.camera_info(), options)
    assert frame.size == (8, 6)
    np.testing.assert_allclose(frame.depth, 1.5)


def test_other_frames_are_accepted_where_the_user_says_so() -> None:
    options = AssemblyOptions(check_frame_id=False)
    frame = assemble_frame(moment(nir=messages.image(NIR, "mono8", frame_id="x")), messages.camera_info(), options)
    assert frame.nir is not None


def test_mono16_is_scaled_by_its_setting_not_by_the_frame() -> None:
    options = AssemblyOptions(readings=readings({"nir_full_scale": 4095.0}))
    frame = assemble_frame(moment(nir=messages.image(NIR.astype(np.uint16) * 10, "mono16")), None, options)
    assert (frame.nir_full_scale, frame.nir.max()) == (4095.0, 90)


def test_disparity_takes_the_place_of_depth() -> None:
    message = messages.disparity(np.full((6, 8), 5.0), f=100.0, t=0.1)
    frame = assemble_frame(moment(depth=message), messages.camera_info())
    np.testing.assert_allclose(frame.depth, 2.0)
    frame = assemble_frame(moment(depth=messages.disparity([[5.0]])), messages.camera_info())
    assert "topic depth/disparity: size is 1x1" in frame.missing["depth"]


def test_reasons_of_absent_sensors_are_kept() -> None:
    frame = assemble_frame({"color": messages.image(COLOR, "bgr8")}, missing={"nir": "no nir message for 2.0 s"})
    assert frame.missing["nir"] == "no nir message for 2.0 s"
    assert frame.missing["depth"] == "no depth image"


def test_depth_drives_where_it_must() -> None:
    frame = assemble_frame({"depth": messages.image(DEPTH, "16UC1")}, messages.camera_info(), driver="depth")
    assert frame.color is None
    assert frame.size == (8, 6)
    assert frame.missing["color"] == "no color image"


@pytest.mark.parametrize("check_frame_id", [False, True])
def test_an_image_of_another_camera_goes_into_the_frame_with_that_camera(check_frame_id: bool) -> None:
    """Two switches: that near infrared of another frame is let through does not let depth through unregistered."""
    seen = []

    def lookup(target: str, source: str) -> Any:
        seen.append((source, target))
        return np.eye(3), np.array([0.05, 0.0, 0.0])

    other = messages.image(np.full((3, 4), 900, np.uint16), "16UC1", frame_id="depth_optical")
    options = AssemblyOptions(check_frame_id=check_frame_id, registered={"depth": FROM_TF})
    known: Any = {"infos": {"depth": messages.camera_info(4, 3, 20.0)}, "transforms": SimpleNamespace(lookup=lookup)}
    frame = assemble_frame(moment(depth=other), messages.camera_info(), options, **known)
    np.testing.assert_allclose(frame.depth, np.full((3, 4), 0.9))
    assert frame.cameras["depth"].intrinsics == Intrinsics(20.0, 20.0, 1.5, 1.0, 4, 3)
    np.testing.assert_allclose(frame.cameras["depth"].translation, [0.05, 0.0, 0.0])
    assert seen == [("depth_optical", "camera")]
    assert frame.size == (8, 6)
    frame.check()
    frame = assemble_frame(moment(depth=other), None, options, **known)
    assert "expected a camera_info to register it with" in frame.missing["depth"]
    frame = assemble_frame(moment(), messages.camera_info(), options, **known)
    assert not frame.cameras  # of colour's own frame_id: registered by the driver


def test_extrinsics_that_are_given_need_no_tf_and_register_whatever_the_frame_id() -> None:
    half = math.sqrt(0.5)
    options = AssemblyOptions(registered={"nir": (0.12, 0.0, 0.01, 0.0, 0.0, half, half)})
    infos = {"nir": messages.camera_info(4, 3, 20.0)}
    near = messages.image(np.full((3, 4), 90, np.uint8), "mono8")
    frame = assemble_frame(moment(nir=near), messages.camera_info(), options, infos=infos)
    np.testing.assert_allclose(frame.cameras["nir"].translation, [0.12, 0.0, 0.01])
    np.testing.assert_allclose(frame.cameras["nir"].rotation @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    assert frame.nir.shape == (3, 4)
    frame = assemble_frame(moment(nir=near), messages.camera_info(), options)
    assert frame.missing["nir"] == (
        "refused: topic nir/camera_info: message is absent, expected the near infrared camera's intrinsics to register "
        "near infrared with"
    )


def test_what_extrinsics_are_of_must_drive() -> None:
    """They say where a camera stands beside the colour camera. While that is away, nothing is registered by them."""
    options = AssemblyOptions(registered={"nir": (0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)})
    infos = {"nir": messages.camera_info(8, 6, 50.0)}
    without = {name: message for name, message in moment().items() if name != "color"}
    frame = assemble_frame(without, messages.camera_info(8, 6, 20.0), options, driver="nir", infos=infos)
    assert frame.intrinsics is not None
    assert frame.intrinsics.fx == 50.0  # of the camera that drives, not of the colour camera
    assert frame.missing["depth"].startswith("refused: topic depth/image_rect: driving image is that of nir, expected")


def test_a_camera_info_of_the_images_size_that_says_binning_is_refused_with_the_reason() -> None:
    info = messages.camera_info(binning_x=2, binning_y=2)
    frame = assemble_frame(moment(), info)
    assert frame.intrinsics is None
    assert frame.missing["camera_info"] == (
        "refused: topic camera/camera_info: size is 4x3 with binning and region of interest, which are of the image "
        "already, expected 8x6 as the image is"
    )
