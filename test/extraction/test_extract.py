# SPDX-License-Identifier: Apache-2.0
"""Recordings into a data set: the same frames come back, from the same command again nothing changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from extraction.recordings_of import write_driven_recording, write_float_recording
from recordings.small_recording import (
    FRAME_ID,
    HEIGHT,
    NIR,
    PERIOD_NS,
    TOPICS,
    WIDTH,
    label,
    nir_camera,
    stamp,
    transform,
    write_small_recording,
    write_tf,
)
from ros.stub_network import stub_contract

from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.extraction.recipe import Recipe
from ssma_ros.extraction.run import Division, extract
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.frames import RecordedFrames
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.writer import RecordingWriter
from ssma_ros.sensors import FROM_TF, readings
from ssma_ros.training.datasets.folder import FolderDataset, PictureFolder

CONTRACT = stub_contract(WIDTH, HEIGHT)
LABELS = load_label_set("synthetic_forest")
ALL = Recipe(every_s=0.0)
TRAIN = Division("train")
TWELVE_BITS = AssemblyOptions(readings=readings({"nir_full_scale": 4095.0}))


def inputs_of_recording(path, assembly=None):
    """Network inputs of every frame, as play and the node make them."""
    encoder = InputEncoder(CONTRACT)
    with RecordingReader(path) as reader:
        frames = RecordedFrames(reader, find_input_topics(reader.topics, str(path)), assembly=assembly)
        return [copied(encoder.encode(recorded.frame).inputs) for recorded in frames.read()]


def inputs_of_dataset(dataset):
    encoder = InputEncoder(CONTRACT)
    return [copied(encoder.encode(dataset.frame(index)).inputs) for index in range(len(dataset))]


def copied(inputs):
    return {name: image.copy() for name, image in inputs.items()}


def assert_same_inputs(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys() == {"rgb", "hha", "evi"}
        for stream, image in ours.items():
            np.testing.assert_array_equal(image, theirs[stream], err_msg=stream)


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_data_set_gives_the_inputs_of_the_recording(tmp_path):
    drive = write_small_recording(tmp_path / "drive", frames=4)
    extract([drive], tmp_path / "set", ALL, TRAIN)
    dataset = PictureFolder(tmp_path / "set", "train", LABELS)
    assert [dataset.name(i) for i in range(4)] == [f"drive_{i:06d}" for i in range(4)]
    assert_same_inputs(inputs_of_dataset(dataset), inputs_of_recording(drive))
    assert {path.suffix for path in (tmp_path / "set" / "train" / "depth").iterdir()} == {".png"}


def test_floats_full_scales_and_a_changing_camera_come_back(tmp_path):
    drive = write_float_recording(tmp_path / "drive")
    recipe = Recipe(every_s=0.0, assembly=TWELVE_BITS)
    extract([drive], tmp_path / "set", recipe, TRAIN)
    dataset = PictureFolder(tmp_path / "set", "train", LABELS)
    assert dataset.frame(0).nir_full_scale == 4095.0
    assert dataset.frame(0).depth.dtype == np.float32
    assert {path.suffix for path in (tmp_path / "set" / "train" / "depth").iterdir()} == {".tiff"}
    assert_same_inputs(inputs_of_dataset(dataset), inputs_of_recording(drive, TWELVE_BITS))


def test_another_camera_and_gravity_come_back(tmp_path):
    """Near infrared of a camera beside, of another size; the robot leans more from frame to frame."""
    drive = write_small_recording(tmp_path / "drive", frames=3, without=("nir",), beside=nir_camera)
    assembly = AssemblyOptions(gravity_frame="odom", registered={"nir": FROM_TF})
    extract([drive], tmp_path / "set", Recipe(every_s=0.0, assembly=assembly), TRAIN)
    dataset = PictureFolder(tmp_path / "set", "train", LABELS)
    assert dataset.frame(1).cameras["nir"].intrinsics == NIR
    assert dataset.frame(1).nir.shape == (NIR.height, NIR.width)
    assert_same_inputs(inputs_of_dataset(dataset), inputs_of_recording(drive, assembly))
    names = {path.name for path in (tmp_path / "set" / "train" / "camera").iterdir()}
    assert names == {"drive.json", "drive.nir.json", "drive_000001.json", "drive_000002.json"}
    changed = files_of(tmp_path / "set")
    extract([drive], tmp_path / "set", Recipe(every_s=0.0, assembly=assembly), TRAIN)
    assert files_of(tmp_path / "set") == changed
    path = tmp_path / "set" / "train" / "camera" / "drive.nir.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "rotation": [[1, 0, 0], [0, 2, 0], [0, 0, 1]]}))
    with pytest.raises(SsmaError, match=r"drive\.nir\.json: camera: rotation is .* expected a 3x3 rotation matrix"):
        PictureFolder(tmp_path / "set", "train", LABELS).frame(1)


def test_images_of_other_cameras_are_registered_where_asked_for(tmp_path):
    drive = write_small_recording(tmp_path / "drive", frames=2, without=("nir",), beside=nir_camera)
    assembly = AssemblyOptions(registered={"nir": (0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)})
    extract([drive], tmp_path / "set", Recipe(every_s=0.0, assembly=assembly, one_camera=True), TRAIN)
    frame = PictureFolder(tmp_path / "set", "train", LABELS).frame(1)
    assert not frame.cameras
    assert frame.nir.shape == (HEIGHT, WIDTH)
    assert set(np.unique(frame.nir).tolist()) == {101}


def test_labels_of_the_recording_are_labels(tmp_path):
    drive = write_small_recording(tmp_path / "drive", frames=3)
    extract([drive], tmp_path / "set", Recipe(every_s=0.0, with_labels=True), TRAIN)
    dataset = FolderDataset(tmp_path / "set", "train", LABELS)
    np.testing.assert_array_equal(dataset.label(1), label(1))
    bare = write_small_recording(tmp_path / "bare", without=("label",))
    with pytest.raises(SsmaError, match="has no label topic"):
        extract([bare], tmp_path / "other", Recipe(with_labels=True))
    assert not (tmp_path / "other").exists()
    with pytest.raises(SsmaError, match=r"labels are painted on raw images .* expected --with-labels or rectify"):
        Recipe(with_labels=True, assembly=AssemblyOptions(rectify=True))


@pytest.mark.parametrize(("every", "expected"), [(0.0, [0, 1, 2, 3, 4, 5, 6]), (0.2, [0, 2, 4, 6]), (0.25, [0, 3, 6])])
def test_frames_are_spaced_in_time(tmp_path, every, expected):
    drive = write_small_recording(tmp_path / "drive", frames=7)
    (found,) = extract([drive], tmp_path / "set", Recipe(every_s=every), TRAIN)
    assert [sample.index for sample in found.samples] == expected
    assert [sample.stamp_ns for sample in found.samples] == [stamp(i) for i in expected]
    assert found.left_out == ({"between the chosen ones": 7 - len(expected)} if every else {})


def test_frames_are_spaced_on_the_way(tmp_path):
    def place_of(seconds):  # half a second standing, then a metre a second
        return max(0.0, seconds - 0.5)

    drive = write_driven_recording(tmp_path / "drive", place_of, frames=16)
    (found,) = extract([drive], tmp_path / "set", Recipe(every_metres=0.3), TRAIN)
    assert [sample.index for sample in found.samples] == [0, 8, 11, 14]
    late = write_driven_recording(tmp_path / "late", place_of, frames=16, shift_ns=7 * PERIOD_NS)
    (found,) = extract([late], tmp_path / "late_set", Recipe(every_metres=0.3), TRAIN)
    assert found.left_out["outside the time of odometry or tf"] == 2
    with pytest.raises(SsmaError, match="has no nav_msgs/msg/Odometry, and no tf from odom, map, world or earth to"):
        extract([write_small_recording(tmp_path / "still")], tmp_path / "none", Recipe(every_metres=1.0), TRAIN)


def test_frames_are_spaced_by_tf(tmp_path):
    """The camera is one metre in front of the robot, which drives half a metre from frame to frame."""
    def drive_on(writer, index, now):
        if index == 0:
            write_tf(writer, "/tf_static", now, transform("base_link", FRAME_ID, (1.0, 0.0, 0.5)))
        write_tf(writer, "/tf", now, transform("map", "odom", (9.0 * (index % 2), 0.0, 0.0)))  # jumps, as maps do
        write_tf(writer, "/tf", now, transform("odom", "base_link", (0.0, 0.5 * index, 0.0)))

    drive = write_small_recording(tmp_path / "drive", frames=7, beside=drive_on)
    (found,) = extract([drive], tmp_path / "set", Recipe(every_metres=1.0), TRAIN)
    assert [sample.index for sample in found.samples] == [0, 2, 4, 6]


def test_whole_recordings_are_held_out(tmp_path):
    drives = [write_small_recording(tmp_path / name, frames=3, shift_ns=shift * 10**9)
              for shift, name in enumerate(("a", "b", "c"))]
    found = extract(drives, tmp_path / "set", ALL, Division(held_out=0.2))
    assert [(f.sequence, f.split) for f in found] == [("a", "train"), ("b", "train"), ("c", "val")]
    more = write_small_recording(tmp_path / "d", frames=3, shift_ns=99 * 10**9)
    found = extract([*drives, more], tmp_path / "set", ALL, Division(held_out=0.2))
    assert [(f.sequence, f.split) for f in found][:3] == [("a", "train"), ("b", "train"), ("c", "val")]


def test_of_one_recording_the_end_is_held_out_with_a_gap(tmp_path):
    drive = write_small_recording(tmp_path / "drive", frames=41)  # four seconds
    train, held_out = extract([drive], tmp_path / "set", ALL, Division(held_out=0.25))
    assert [s.index for s in train.samples] == list(range(20))
    assert [s.index for s in held_out.samples] == list(range(30, 41))
    assert (train.sequence, held_out.sequence) == ("drive-train", "drive-val")


def test_the_same_command_again_changes_nothing_and_a_broken_one_goes_on(tmp_path, monkeypatch):
    drives = [write_small_recording(tmp_path / name, frames=3, shift_ns=shift * 10**9)
              for shift, name in enumerate("ab")]
    extract(drives, tmp_path / "whole", ALL)

    from ssma_ros.extraction import sequence

    calls = []

    def break_off(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return write_frame(*arguments)

    write_frame = sequence.write_frame
    monkeypatch.setattr(sequence, "write_frame", break_off)
    with pytest.raises(KeyboardInterrupt):
        extract(drives, tmp_path / "set", ALL)
    monkeypatch.undo()
    before = files_of(tmp_path / "set")
    assert sum(path.parts[1:2] == ("rgb",) for path in before) == 4
    extract(drives, tmp_path / "set", ALL)
    after = files_of(tmp_path / "set")
    assert after == files_of(tmp_path / "whole")
    stamps = {path: (tmp_path / "set" / path).stat().st_mtime_ns for path in after}
    extract(list(reversed(drives)), tmp_path / "set", ALL)
    assert {path: (tmp_path / "set" / path).stat().st_mtime_ns for path in after
            if path.name != "extraction.json"} == {p: s for p, s in stamps.items() if p.name != "extraction.json"}


def test_another_recipe_and_strange_folders_are_refused(tmp_path):
    drive = write_small_recording(tmp_path / "drive")
    extract([drive], tmp_path / "set", ALL, TRAIN)
    with pytest.raises(SsmaError, match=r"was made with every_s 0\.0, and is now to be made with 2\.0"):
        extract([drive], tmp_path / "set", Recipe(every_s=2.0), TRAIN)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(SsmaError, match="was not made by ssma extract"):
        extract([drive], tmp_path / "mine", ALL)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(SsmaError, match="is or holds the input"):
        extract([drive], drive, ALL)
    with pytest.raises(SsmaError, match="hold the same messages"):
        extract([drive, drive / "drive.mcap" if (drive / "drive.mcap").exists() else next(drive.glob("*.mcap"))],
                tmp_path / "twice", ALL)


def test_recordings_with_other_sensors_are_refused_before_the_work(tmp_path):
    whole = write_small_recording(tmp_path / "whole")
    less = write_small_recording(tmp_path / "less", without=("nir",), shift_ns=10**9)
    with pytest.raises(SsmaError, match=r"less: has color, depth, expected color, depth, nir .* --sensors color,depth"):
        extract([whole, less], tmp_path / "set", ALL)
    assert not (tmp_path / "set").exists()
    found = extract([whole, less], tmp_path / "set", Recipe(every_s=0.0, sensors=("color", "depth")), TRAIN)
    assert [len(f.samples) for f in found] == [3, 3]
    assert not (tmp_path / "set" / "train" / "nir").exists()


def test_where_no_frame_is_taken_nothing_is_left(tmp_path):
    drive = write_small_recording(tmp_path / "drive", frames=3)
    with RecordingReader(drive) as reader, RecordingWriter(tmp_path / "unmatched") as writer:
        for message in reader.messages():
            late = 10**9 * (message.topic == TOPICS["nir"])
            if late:
                image = messages.image(np.zeros((HEIGHT, WIDTH), np.uint8), "mono8", message.stamp_ns + late, FRAME_ID)
                writer.write(message.topic, message.type, image, message.stamp_ns + late)
            else:
                writer.write_serialized(message.topic, message.type, message.data, message.stamp_ns)
    with pytest.raises(SsmaError, match=r"no frame was taken \(3 without nir\)"):
        extract([tmp_path / "unmatched"], tmp_path / "set", ALL, TRAIN)
    assert not (tmp_path / "set").exists()
    extract([tmp_path / "unmatched"], tmp_path / "set", Recipe(sensors=("color", "depth")), TRAIN)


def test_processes_give_the_same_files(tmp_path):
    drives = [write_small_recording(tmp_path / name, frames=2, shift_ns=shift * 10**9)
              for shift, name in enumerate("ab")]
    extract(drives, tmp_path / "one", ALL, processes=1)
    extract(drives, tmp_path / "two", ALL, processes=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_command(tmp_path, capsys):
    drive = write_small_recording(tmp_path / "drive", frames=7)
    assert main(["extract", str(drive), "-o", str(tmp_path / "set"), "--every", "0.2", "--split", "train", "--quiet",
                 "--labels", "synthetic_forest", "--topic", "nir:=none"]) == 0
    out = capsys.readouterr().out
    assert "train/drive: 4 samples (left out: 3 between the chosen ones)" in out
    assert load_label_set(tmp_path / "set" / "labels.json") == LABELS
    facts = json.loads((tmp_path / "set" / "manifest" / "drive.json").read_text())
    assert facts["recording"] == str(drive)
    assert facts["topics"]["depth"] == TOPICS["depth"]
    assert main(["extract", str(drive), "-o", str(tmp_path / "set"), "--every", "-1"]) == 1
    assert "every_s is -1.0, expected 0 or more" in capsys.readouterr().err
