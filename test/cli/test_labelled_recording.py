# SPDX-License-Identifier: Apache-2.0
"""A labelled recording as samples for evaluation."""

from __future__ import annotations

import tracemalloc
from argparse import Namespace

import numpy as np
import pytest
from recordings.small_recording import HEIGHT, TOPICS, WIDTH, color, label, nir_camera, stamp, write_small_recording
from ros.stub_network import stub_contract

from ssma_ros.cli._data import recording_form
from ssma_ros.cli._labelled_recording import RecordingSamples
from ssma_ros.errors import SsmaError
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.writer import RecordingWriter

CONTRACT = stub_contract(WIDTH, HEIGHT)


def rewritten(source, target, change):
    """A copy whose messages are what ``change`` makes of them; None leaves one out."""
    with RecordingReader(source) as reader, RecordingWriter(target) as writer:
        for message in reader.messages():
            data = change(message)
            if data is not None:
                writer.write_serialized(message.topic, message.type, data, message.stamp_ns)
    return target


def test_samples_are_the_frames_with_labels(tmp_path):
    samples = RecordingSamples(write_small_recording(tmp_path / "drive", frames=4), CONTRACT)
    assert len(samples) == 4
    for index in (0, 1, 1, 3, 2, 0):  # in any order
        sample = samples[index]
        assert sample.present == (True, True, True)
        np.testing.assert_array_equal(sample.images[0], color(index)[..., ::-1])
        np.testing.assert_array_equal(sample.label, label(index))
        assert samples.name(index) == str(stamp(index))
        assert samples.blank(index) == {}


@pytest.mark.parametrize(("role", "size"), [("color", 300), ("color", 5), ("label", 300), ("label", 5)])
def test_what_cannot_be_read_is_told_and_not_scored(tmp_path, capsys, role, size):
    drive = write_small_recording(tmp_path / "whole", frames=4)
    samples = RecordingSamples(
        rewritten(drive, tmp_path / "drive",
                  lambda m: m.data[:size] if (m.topic, m.stamp_ns) == (TOPICS[role], stamp(2)) else m.data),
        CONTRACT,
    )  # fmt: skip
    found = [samples[index] for index in range(len(samples))]
    scored = [sample.present[0] for sample in found]
    assert scored == ([True, True, False, True] if len(found) == 4 else [True] * 3)
    if len(found) == 4:
        assert set(found[2].label.ravel()) == {CONTRACT.labels.ignore_id}
        assert f"image of stamp {stamp(2)} ns is not scored" in capsys.readouterr().err
    np.testing.assert_array_equal(found[-1].images[0], color(3)[..., ::-1])


def test_an_absent_sensor_is_named(tmp_path):
    samples = RecordingSamples(write_small_recording(tmp_path / "drive", without=["nir"]), CONTRACT)
    assert samples[1].present == (True, True, False)
    assert samples.blank(1) == {"evi": "the recording has no near-infrared topic"}


def test_without_a_label_of_the_same_stamp(tmp_path):
    drive = write_small_recording(tmp_path / "whole", frames=4)
    odd = rewritten(drive, tmp_path / "drive",
                    lambda m: None if (m.topic == TOPICS["label"]) == (m.stamp_ns in (stamp(0), stamp(2))) else m.data)
    with pytest.raises(SsmaError, match="no image on /camera/image_rect has a label of the same stamp"):
        RecordingSamples(odd, CONTRACT)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    samples = RecordingSamples(write_small_recording(tmp_path / "drive", frames=200), CONTRACT)
    held = sum(image.nbytes for image in samples[0].images)
    tracemalloc.start()
    peaks = []
    for index in range(200):
        samples[index]
        if index in (100, 199):  # the file's chunks of a megabyte have been met by then
            peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * held


def test_options_register_other_cameras_as_the_node_does(tmp_path):
    drive = write_small_recording(tmp_path / "drive", without=("nir",), beside=nir_camera)
    evi = CONTRACT.modalities.index("evi")
    assert not RecordingSamples(drive, CONTRACT)[0].present[evi]
    asked = Namespace(kind=None, options="{register_nir: true, gravity_frame: odom}")
    samples = RecordingSamples(drive, CONTRACT, recording_form(asked, drive))
    assert samples[0].present[evi]
    assert samples[0].images[evi].any()
    assert samples.blank(0) == {}
    backwards = Namespace(kind=None, options="{register_nir: true, nir_extrinsics: [0, 0, 0, 0, 1, 0, 0]}")
    samples = RecordingSamples(drive, CONTRACT, recording_form(backwards, drive))
    assert list(samples.blank(1)) == ["evi"]
    assert samples.blank(1)["evi"].startswith("its camera sees less than 25 % of the driving image")
    for options, words in (
        ("{register_nir: 1}", "register_nir is 1, expected true or false"),
        ("{register_nir: true, nir_extrinsics: [1, 2]}", r"nir_extrinsics is \[1.0, 2.0\], expected x, y, z in metres"),
        ("{register_ni: true}", r"got 'register_ni' for a recording, .* \('register_nir' may be meant\)"),
    ):
        with pytest.raises(SsmaError, match=words):
            recording_form(Namespace(kind=None, options=options), drive)
