# SPDX-License-Identifier: Apache-2.0
import sqlite3

import numpy as np
import pytest
from recordings.small_recording import START_NS, TOPICS, write_small_recording
from rosbags.rosbag2 import Reader

from ssma_ros.errors import SsmaError
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.typestore import IMAGE, LABEL_INFO
from ssma_ros.recordings.writer import STORAGES, RecordingWriter


def an_image(value=7):
    return messages.image(np.full((4, 6), value, np.uint8), "mono8", START_NS, "camera")


def write_and_fail(recording, error):
    with recording as writer:
        writer.write("/a", IMAGE, an_image(), START_NS)
        raise error


@pytest.mark.parametrize("storage", STORAGES)
def test_label_info_round_trip(tmp_path, storage):
    """vision_msgs is not part of the standard types; the definition travels with the recording."""
    info = messages.make(
        LABEL_INFO,
        header=messages.header(START_NS, "camera"),
        class_map=[
            messages.make("vision_msgs/msg/VisionClass", class_id=i, class_name=n) for i, n in enumerate(("a", "b"))
        ],
        threshold=0.25,
    )
    with RecordingWriter(tmp_path / "out", storage=storage) as writer:
        writer.write("/label_info", LABEL_INFO, info, START_NS)
    with RecordingReader(tmp_path / "out") as reader:
        (message,) = (reader.deserialize(m) for m in reader.messages())
    with Reader(tmp_path / "out") as library:
        (connection,) = library.connections
    assert [(c.class_id, c.class_name) for c in message.class_map] == [(0, "a"), (1, "b")]
    assert message.threshold == 0.25
    assert "VisionClass[] class_map" in connection.msgdef.data


@pytest.mark.parametrize("storage", STORAGES)
def test_folder_is_named_as_rosbag2_does(tmp_path, storage):
    write_small_recording(tmp_path / "drive", storage=storage)
    suffix = {"mcap": ".mcap", "sqlite3": ".db3"}[storage]
    assert sorted(p.name for p in (tmp_path / "drive").iterdir()) == sorted([f"drive{suffix}", "metadata.yaml"])
    assert f"storage_identifier: {storage}" in (tmp_path / "drive" / "metadata.yaml").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_sqlite3_is_readable_as_a_plain_database(tmp_path):
    write_small_recording(tmp_path / "drive", storage="sqlite3")
    database = sqlite3.connect(tmp_path / "drive" / "drive.db3")
    assert {row[0] for row in database.execute("SELECT name FROM topics")} == set(TOPICS.values())


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path, storage, error):
    with pytest.raises(error):
        write_and_fail(RecordingWriter(tmp_path / "deep" / "out", storage=storage), error)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_of_no_messages(tmp_path):
    with pytest.raises(SsmaError, match="no message to write"), RecordingWriter(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_existing_recording_is_kept_unless_asked(tmp_path):
    path = write_small_recording(tmp_path / "drive")
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    with pytest.raises(SsmaError, match="exists already"):
        RecordingWriter(path)
    with pytest.raises(RuntimeError):
        write_and_fail(RecordingWriter(path, overwrite=True), RuntimeError)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before
    with RecordingWriter(path, overwrite=True) as writer:
        writer.write("/a", IMAGE, an_image(), START_NS)
    with RecordingReader(path) as reader:
        assert [t.name for t in reader.topics] == ["/a"]
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_a_folder_that_is_no_recording_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(SsmaError, match="only an earlier recording is replaced"):
        RecordingWriter(tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SsmaError, match="cannot be made"), RecordingWriter(tmp_path / "file" / "out"):
        pass


def test_a_topic_keeps_its_type(tmp_path):
    with RecordingWriter(tmp_path / "out") as writer:
        writer.write("/a", IMAGE, an_image(), START_NS)
        with pytest.raises(ValueError, match="topic /a: got a message of type vision_msgs/msg/LabelInfo"):
            writer.write_serialized("/a", LABEL_INFO, b"", START_NS)


def test_unknown_storage_is_a_programming_error(tmp_path):
    with pytest.raises(ValueError, match="storage is 'hdf5', expected one of mcap, sqlite3"):
        RecordingWriter(tmp_path / "out", storage="hdf5")
