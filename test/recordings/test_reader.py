from pathlib import Path

import numpy as np
import pytest
from recordings.small_recording import TOPICS, color, depth_mm, stamp, write_small_recording

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.reader import RecordedMessage, RecordingReader
from ssma_ros.recordings.records import stamp_of
from ssma_ros.recordings.typestore import IMAGE

REAL = ("nyu_16UC1_mcap", "sun_32FC1_nan_0", "sun_32FC1_nan_1")


@pytest.fixture(params=["mcap", "sqlite3"])
def recording(request, tmp_path):
    return write_small_recording(tmp_path / "drive", storage=request.param)


def storage_file(folder: Path) -> Path:
    return next(p for p in folder.iterdir() if p.suffix in (".mcap", ".db3"))


def read_all(path: Path) -> list[RecordedMessage]:
    with RecordingReader(path) as reader:
        return list(reader.messages())


def test_lists_topics_and_counts(recording):
    with RecordingReader(recording) as reader:
        assert {t.name: t.count for t in reader.topics} == dict.fromkeys(TOPICS.values(), 3)
        assert reader.duration_s == pytest.approx(0.2)


def test_messages_come_back_in_time_order_and_equal(recording):
    with RecordingReader(recording) as reader:
        images = [(m, reader.deserialize(m)) for m in reader.messages([TOPICS["color"]])]
    assert [m.stamp_ns for m, _ in images] == [stamp(i) for i in range(3)]
    for index, (recorded, message) in enumerate(images):
        assert stamp_of(message) == recorded.stamp_ns
        assert message.encoding == "bgr8"
        np.testing.assert_array_equal(message.data.reshape(message.height, message.step), color(index).reshape(48, -1))


def test_pixels_are_views_into_the_recorded_bytes(recording):
    with RecordingReader(recording) as reader:
        recorded = next(reader.messages([TOPICS["depth"]]))
        message = reader.deserialize(recorded)
    assert np.shares_memory(message.data, np.frombuffer(recorded.data, np.uint8))
    np.testing.assert_array_equal(message.data.view(np.uint16).reshape(48, 96), depth_mm(0))


def test_unwanted_topics_are_not_read(recording):
    with RecordingReader(recording) as reader:
        assert {m.topic for m in reader.messages([TOPICS["nir"]])} == {TOPICS["nir"]}
        assert list(reader.messages(["/not/there"])) == []


def test_opens_a_storage_file_itself(recording):
    assert len(read_all(storage_file(recording))) == len(read_all(recording))


def test_opens_a_folder_whose_recorder_was_killed_before_the_metadata(recording):
    (recording / "metadata.yaml").unlink()
    assert len(read_all(recording)) == 15


@pytest.mark.parametrize("name", REAL)
def test_reads_real_images(shared_data, name):
    messages = read_all(shared_data / "rosbag2_from_real_images" / name)
    assert len(messages) == (8 if "nyu" in name else 4)


@pytest.mark.parametrize("kept", [0, 8, 0.3, 0.7, 0.95, 0.999])
def test_truncated_storage_is_one_clear_error(recording, kept):
    path = storage_file(recording)
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(SsmaError, match=f"recording {recording}: cannot be read, it may be truncated"):
        read_all(recording)


def test_damaged_bytes_never_end_in_another_error(recording):
    """Whatever is overwritten, reading gives messages or the one error type people see."""
    path = storage_file(recording)
    intact = path.read_bytes()
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(60):
        data = bytearray(intact)
        start = int(random.integers(len(data)))
        data[start : start + 64] = random.bytes(min(64, len(data) - start))
        path.write_bytes(bytes(data))
        try:
            with RecordingReader(recording) as reader:
                for message in reader.messages():
                    reader.deserialize(message)
            outcomes.add("read")
        except SsmaError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_garbage_metadata_is_refused(recording):
    (recording / "metadata.yaml").write_text("rosbag2_bagfile_information: 3\n")
    with pytest.raises(SsmaError, match="cannot be read"):
        RecordingReader(recording)


def test_missing_storage_file_is_named(recording):
    path = storage_file(recording)
    path.unlink()
    with pytest.raises(SsmaError, match=path.name):
        RecordingReader(recording)


def test_nothing_there(tmp_path):
    with pytest.raises(SsmaError, match="no such file or folder"):
        RecordingReader(tmp_path / "absent")


def test_folder_that_is_no_recording(tmp_path):
    with pytest.raises(SsmaError, match=r"no metadata\.yaml and 0 storage files"):
        RecordingReader(tmp_path)


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "drive.bag"
    path.write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(SsmaError, match=r"got a '\.bag' file, expected a rosbag2 folder"):
        RecordingReader(path)


def test_message_that_is_not_what_its_type_says(recording):
    with RecordingReader(recording) as reader:
        recorded = next(reader.messages([TOPICS["nir"]]))
        for data in (recorded.data[:40], b"", b"\x00\x01\x00\x00\xff\xff"):
            broken = RecordedMessage(recorded.topic, IMAGE, recorded.stamp_ns, data)
            with pytest.raises(SsmaError, match=f"message on {TOPICS['nir']} at .* cannot be read as"):
                reader.deserialize(broken)


def test_unknown_message_type(recording):
    with RecordingReader(recording) as reader, pytest.raises(SsmaError, match="my_msgs/msg/Odd is unknown"):
        reader.deserialize(RecordedMessage("/odd", "my_msgs/msg/Odd", 0, b"\x00\x01\x00\x00"))


def test_does_not_write_beside_the_recording(recording, tmp_path):
    before = sorted(p.name for p in recording.iterdir())
    read_all(recording)
    assert sorted(p.name for p in recording.iterdir()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]
