# SPDX-License-Identifier: Apache-2.0
"""tf and the cameras of other sensors, read from recordings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from recordings import small_recording as small
from recordings.small_recording import BASELINE, NIR, nir_camera, transform, write_tf

from ssma_ros.cli.main import main
from ssma_ros.cli.synthesize import _write_frame
from ssma_ros.files import encoded_picture
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.frames import RecordedFrame, RecordedFrames
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.transforms import RecordedTransforms, tf_topics
from ssma_ros.recordings.typestore import IMAGE
from ssma_ros.recordings.writer import RecordingWriter
from ssma_ros.sensors import FROM_TF
from ssma_ros.synthetic.recording import COLOR_TOPIC, NIR_TOPIC, DriveFrame, EncodedImage
from ssma_ros.synthetic.sensor import StereoRig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write_small_recording(tmp_path_factory.mktemp("tf") / "drive", without=("nir",), beside=nir_camera)


def frames_of(path: Path, assembly: AssemblyOptions) -> tuple[list[RecordedFrame], RecordedFrames]:
    with RecordingReader(path) as reader:
        frames = RecordedFrames(reader, find_input_topics(reader.topics, "drive"), assembly=assembly)
        return list(frames.read()), frames


def test_cameras_and_gravity_come_from_the_recordings_tf(drive: Path) -> None:
    found, frames = frames_of(drive, AssemblyOptions(gravity_frame="odom", registered={"nir": FROM_TF}))
    assert len(found) == 3
    for index, recorded in enumerate(found):
        frame = recorded.frame
        assert set(frame.missing) == {"thermal"}
        assert frame.cameras["nir"].intrinsics == NIR
        np.testing.assert_allclose(frame.cameras["nir"].translation, [BASELINE, 0.0, 0.0], atol=1e-12)
        np.testing.assert_allclose(frame.cameras["nir"].rotation, np.eye(3), atol=1e-12)
        assert frame.nir.shape == (NIR.height, NIR.width)
        # The moving part as it was at the frame: the robot leans more to the right from frame to frame.
        np.testing.assert_allclose(frame.gravity, [math.sin(0.1 * index), math.cos(0.1 * index), 0.0], atol=1e-9)
        frame.check()
    assert frames.account.topics["nir_camera_info"].used == 3
    assert not frames.account.warnings()


def test_given_extrinsics_need_no_tf_and_nothing_asked_for_reads_none(drive: Path) -> None:
    given = (0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    found, _ = frames_of(drive, AssemblyOptions(registered={"nir": given}))
    np.testing.assert_allclose(found[0].frame.cameras["nir"].translation, [0.05, 0.0, 0.0])
    found, frames = frames_of(drive, AssemblyOptions())
    assert "register_nir set to true" in found[0].frame.missing["nir"]
    assert "nir_camera_info" not in frames.account.topics


def test_what_tf_does_not_know_is_said_with_the_reason(tmp_path: Path, drive: Path) -> None:
    _, frames = frames_of(drive, AssemblyOptions(gravity_frame="map"))
    assert frames.account.warnings()[-1] == (
        "gravity_frame 'map' is not used, gravity is estimated from depth: the recording's tf has no frame 'map'"
    )

    def image_alone(writer: RecordingWriter, index: int, now: int) -> None:
        writer.write("/nir/image_rect", IMAGE, messages.image(small.nir(index), "mono8", now, "nir_optical"), now)

    bare = small.write_small_recording(tmp_path / "bare", without=("nir",), beside=image_alone)
    found, _ = frames_of(bare, AssemblyOptions(registered={"nir": FROM_TF}))
    assert found[0].frame.missing["nir"] == (
        "refused: topic /nir/camera_info: message is absent, expected the near infrared camera's intrinsics to "
        "register near infrared with"
    )


def test_transforms_go_up_and_down_the_tree_and_end_at_a_circle(tmp_path: Path) -> None:
    quarter = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))

    def tree(writer: RecordingWriter, _index: int, now: int) -> None:
        write_tf(
            writer, "/tf_static", now, transform("world", "a", (1.0, 0.0, 0.0), quarter),
            transform("a", "b", (0.0, 2.0, 0.0)), transform("world", "c", (0.0, 0.0, 3.0)),
            transform("x", "y", (0.0, 0.0, 0.0)), transform("y", "x", (0.0, 0.0, 0.0)),
            transform("world", "bad", (0.0, 0.0, 0.0), (0, 0, 0, 0)),
        )

    path = small.write_small_recording(tmp_path / "tree", frames=1, beside=tree)
    with RecordingReader(path) as reader:
        transforms = RecordedTransforms(reader, tf_topics(reader.topics))
    rotation, translation = transforms.lookup("c", "b")
    # b is at (0, 2, 0) of a, which is turned by 90 degrees and lies at (1, 0, 0): at (-1, 0, 0) of the world.
    np.testing.assert_allclose(translation, [-1.0, 0.0, -3.0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    back, there = transforms.lookup("b", "c")
    np.testing.assert_allclose(back @ translation + there, np.zeros(3), atol=1e-12)
    np.testing.assert_allclose(transforms.lookup("b", "b")[0], np.eye(3), atol=1e-12)
    for target, source, words in (
        ("b", "nowhere", "no frame 'nowhere'"), ("b", "x", "does not connect 'x' with 'b'"), ("b", "bad", "no frame"),
    ):  # fmt: skip
        with pytest.raises(LookupError, match=words):
            transforms.lookup(target, source)


def test_a_rendered_drive_says_where_its_near_infrared_camera_is(tmp_path: Path) -> None:
    """What ``ssma synthesize --nir-beside`` writes is what registration needs; pictures stand in for rendered ones."""
    rig = StereoRig.with_nir_beside(0.12)
    assert rig.nir is not None
    color = np.zeros((rig.intrinsics.height, rig.intrinsics.width, 3), np.uint8)
    infrared = np.full((rig.nir.intrinsics.height, rig.nir.intrinsics.width), 90, np.uint8)
    images = tuple(
        EncodedImage(topic, small.START_NS, small.START_NS + delay, form, encoded_picture(".png", pixels, []))
        for topic, delay, form, pixels in (
            (NIR_TOPIC, 7, "mono8; png compressed ", infrared), (COLOR_TOPIC, 9, "bgr8; png compressed bgr8", color),
        )
    )  # fmt: skip
    sample: Any = None
    with RecordingWriter(tmp_path / "drive") as writer:
        _write_frame(writer, DriveFrame(small.START_NS, rig.intrinsics, images, sample), rig.nir)
    (recorded,), _ = frames_of(tmp_path / "drive", AssemblyOptions(registered={"nir": FROM_TF}))
    found = recorded.frame.cameras["nir"]
    assert found.intrinsics == rig.nir.intrinsics
    np.testing.assert_allclose(found.rotation, rig.nir.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, rig.nir.translation)
    np.testing.assert_array_equal(recorded.frame.nir, infrared)


def test_a_data_set_has_no_camera_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesize", "--out", str(tmp_path / "set"), "--nir-beside", "0.1"]) != 0
    assert "nir-beside: got 0.1 for a data set, expected --recording" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
