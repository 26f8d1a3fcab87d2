# SPDX-License-Identifier: Apache-2.0
import itertools
import threading

import numpy as np
import pytest
from recordings.small_recording import color, depth_mm, stamp, write_small_recording

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.playback import PlayableMessage, ReadAhead, playable_messages
from ssma_ros.recordings.reader import RecordedMessage, RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE
from ssma_ros.recordings.writer import RecordingWriter


@pytest.mark.parametrize("compressed", [False, True])
def test_pictures_come_decoded_and_serialized_in_order(tmp_path, compressed):
    drive = write_small_recording(tmp_path / "drive", compressed=compressed)
    with RecordingReader(drive) as reader:
        topics = find_input_topics(reader.topics, "drive")
        played = list(playable_messages(reader, topics))
        assert [m.due_ns for m in played] == [stamp(i) for i in range(3) for _ in range(5)]
        assert {(m.role, m.type) for m in played} == {
            ("camera_info", CAMERA_INFO), *((role, IMAGE) for role in ("color", "depth", "nir", "label"))
        }  # fmt: skip
        images = {m.role: reader.deserialize(RecordedMessage("", m.type, 0, m.data)) for m in played[5:10]}
    np.testing.assert_array_equal(images["color"].data.reshape(48, 96, 3), color(1))
    np.testing.assert_array_equal(images["depth"].data.view(np.uint16).reshape(48, 96), depth_mm(1))


def test_calibration_comes_before_the_images_of_its_moment(shared_data):
    """In this recording it was written after them."""
    with RecordingReader(shared_data / "rosbag2_from_real_images" / "nyu_16UC1_mcap") as reader:
        topics = find_input_topics(reader.topics, "nyu")
        assert [m.role for m in playable_messages(reader, topics)] == ["camera_info", "color", "depth"] * 2


def test_a_truncated_picture_is_left_out_with_a_word(tmp_path, caplog):
    drive = write_small_recording(tmp_path / "whole", compressed=True)
    with RecordingReader(drive) as reader, RecordingWriter(tmp_path / "drive") as writer:
        for m in reader.messages():
            bad = m.topic.startswith("/camera/image") and m.stamp_ns == stamp(1)
            writer.write_serialized(m.topic, m.type, m.data[:300] if bad else m.data, m.stamp_ns)
    with RecordingReader(tmp_path / "drive") as reader:
        played = list(playable_messages(reader, find_input_topics(reader.topics, "drive")))
    assert [m.due_ns for m in played if m.role == "color"] == [stamp(0), stamp(2)]
    assert len(played) == 14
    (record,) = caplog.records
    assert "not played: recording" in record.getMessage()
    assert f"recorded at {stamp(1) * 1e-9:.3f} s" in record.getMessage()


def message(index: int, size: int) -> PlayableMessage:
    return PlayableMessage("color", IMAGE, index, index, bytes(size))


def test_an_error_is_raised_in_its_turn():
    def failing():
        yield message(0, 1)
        yield message(1, 1)
        raise SsmaError("damaged")

    ahead = ReadAhead(failing())
    ahead.wait_until_filled()
    source = iter(ahead)
    assert [next(source).due_ns, next(source).due_ns] == [0, 1]
    with pytest.raises(SsmaError, match="damaged"):
        next(source)


def test_everything_short_lies_ready():
    ahead = ReadAhead(iter([message(i, 10) for i in range(5)]))
    ahead.wait_until_filled()
    assert [m.due_ns for m in ahead] == [0, 1, 2, 3, 4]


def test_no_more_than_the_budget_lies_ready():
    made = itertools.count()
    asked = []

    def endless():
        for index in made:
            asked.append(index)
            yield message(index, 10)

    ahead = ReadAhead(endless(), budget_bytes=30)
    ahead.wait_until_filled()
    source = iter(ahead)
    assert [next(source).due_ns for _ in range(20)] == list(range(20))
    ahead.wait_until_filled()
    assert len(asked) <= 20 + 3 + 1  # taken, ready, and the one that waits for room


def test_the_thread_does_not_keep_the_process():
    ReadAhead(message(i, 1 << 20) for i in range(10_000))
    assert all(t.daemon for t in threading.enumerate() if t.name == "read ahead")
