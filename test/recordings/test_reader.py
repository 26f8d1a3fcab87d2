# SPDX-License-Identifier: Apache-2.0
import re
import shutil
import sqlite3
import struct
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from recordings.small_recording import TOPICS, color, depth_mm, stamp, write_small_recording
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.recordings import killed_mcap, storage
from ssma_ros.recordings.layout import is_recording
from ssma_ros.recordings.reader import RecordedMessage, RecordingReader
from ssma_ros.recordings.records import image
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE, typestore

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


@pytest.mark.parametrize("compressed", [False, True])
def test_topics_tell_the_encoding_of_their_first_image(tmp_path, compressed):
    recording = write_small_recording(tmp_path / "drive", compressed=compressed)
    with RecordingReader(recording) as reader:
        found = {t.name.split("/")[1]: t.encoding for t in reader.topics if t.type != CAMERA_INFO}
    assert found == ({
        "camera": "bgr8; png compressed bgr8", "depth": "16UC1; compressedDepth png",
        "nir": "mono8; png compressed mono8", "ground_truth": "mono8; png compressed mono8",
    } if compressed else {"camera": "bgr8", "depth": "16UC1", "nir": "mono8", "ground_truth": "mono8"})  # fmt: skip


def test_messages_come_back_in_time_order_and_equal(recording):
    with RecordingReader(recording) as reader:
        images = [(m, reader.deserialize(m)) for m in reader.messages([TOPICS["color"]])]
    assert [m.stamp_ns for m, _ in images] == [stamp(i) for i in range(3)]
    for index, (recorded, message) in enumerate(images):
        assert stamp_ns(message) == recorded.stamp_ns
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


def cut(recording: Path, kept: float) -> Path:
    """Leave so many bytes (from 1 on) or such a part of the storage file."""
    path = storage_file(recording)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept >= 1 else kept * len(data))])
    return path


def refused(recording: Path) -> str:
    with pytest.raises(SsmaError) as caught:
        read_all(recording)
    assert str(caught.value).startswith(f"recording {recording}: cannot be read, it may be truncated")
    return str(caught.value)


@pytest.mark.parametrize("kept", [0, 8, 0.3, 0.7, 0.95, 0.999])
def test_truncated_database_is_one_clear_error(tmp_path, kept):
    recording = write_small_recording(tmp_path / "drive", storage="sqlite3")
    path = cut(recording, kept)
    assert f"`sqlite3 {path.name} .recover`" in refused(recording)


@pytest.mark.parametrize("kept", [0, 8, 60])
def test_mcap_without_one_whole_message_is_one_clear_error(tmp_path, kept):
    recording = write_small_recording(tmp_path / "drive")
    path = cut(recording, kept)
    assert f"`mcap recover {path.name}`" in refused(recording)


def long_recording(folder: Path, compression: str, first: int = 0) -> Path:
    """120 images, in several chunks, from the time of image ``first`` on."""
    writer = Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP)
    if compression == "zstd":
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    writer.open()
    connection = writer.add_connection("/camera/image_rect", IMAGE, typestore=typestore())
    random = np.random.default_rng(0)
    for index in range(first, first + 120):
        message = image(random.integers(0, 256, (60, 120, 3), np.uint8), "bgr8", stamp(index), "camera")
        writer.write(connection, stamp(index), typestore().serialize_cdr(message, IMAGE))
    writer.close()
    return folder


@pytest.mark.parametrize("compression", ["", "zstd"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_killed_mcap_is_read_as_far_as_it_goes(tmp_path, compression, kept):
    """Of the chunk that was begun too; in order, each message as it was."""
    recording = long_recording(tmp_path / "drive", compression)
    whole = read_all(recording)
    size = storage_file(recording).stat().st_size
    path = cut(recording, kept)
    with RecordingReader(recording) as reader:
        messages = list(reader.messages())
        (note,) = (n for n in reader.notes if "mcap recover" in n)
        assert {t.count for t in reader.topics} == {len(messages)}
    assert path.name in note
    assert messages == whole[: len(messages)]
    record = size / len(whole)
    lost = 2 if not compression else 8  # of a compressed chunk only whole blocks of 128 KiB come back
    assert len(messages) >= int(kept * size / record) - lost


def test_mcap_with_a_damaged_summary_is_read_by_its_records(tmp_path):
    recording = long_recording(tmp_path / "drive", "zstd")
    whole = read_all(recording)
    path = storage_file(recording)
    data = bytearray(path.read_bytes())
    data[-200:-60] = bytes(140)
    path.write_bytes(data)
    with RecordingReader(recording) as reader:
        assert list(reader.messages()) == whole
        assert "no summary, or a damaged one" in reader.notes[0]


def test_mcap_whose_last_part_was_not_closed(tmp_path):
    (tmp_path / "split").mkdir()
    parts = [read_all(long_recording(tmp_path / f"drive_{n}", "zstd", 120 * n)) for n in (0, 1)]
    for name in ("drive_0", "drive_1"):
        data = storage_file(tmp_path / name).read_bytes()
        (tmp_path / "split" / f"{name}.mcap").write_bytes(data if name == "drive_0" else data[: len(data) // 2])
    with RecordingReader(tmp_path / "split") as reader:
        messages = list(reader.messages())
        assert len(reader.notes) == 2
    assert messages[:120] == parts[0]
    assert len(messages) > 160
    assert messages[120:] == parts[1][: len(messages) - 120]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_chunk_of_lz4_is_unpacked_as_far_as_it_goes(part):
    record = struct.pack("<BQ", 5, 3000)
    random = np.random.default_rng(0)
    records = b"".join(record + random.bytes(3000) for _ in range(200))
    packed = lz4.frame.compress(records)
    chunk = struct.pack("<QQQII", 0, 0, len(records), 0, 3) + b"lz4" + struct.pack("<Q", len(packed)) + packed
    assert killed_mcap._unpack(chunk) == (records, True)
    found, whole = killed_mcap._unpack(chunk[: int(part * len(chunk))])
    assert not whole
    assert records.startswith(found)
    assert len(found) > (part - 0.15) * len(records)


def test_zeros_that_a_power_cut_leaves_end_a_killed_mcap(tmp_path):
    """The file was made longer, but what belongs there never reached the disk."""
    recording = long_recording(tmp_path / "drive", "")
    whole = read_all(recording)
    path = storage_file(recording)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(len(data) - half))
    messages = read_all(recording)
    assert len(whole) // 2 - 3 <= len(messages) <= len(whole) // 2 + 1
    assert messages == whole[: len(messages)]


def killed_database(folder: Path, source: Path, sidecar: str) -> Path:
    """What a killed recorder leaves: the second half of the messages stands in the write-ahead log only, or the
    database is in the middle of a transaction that its journal undoes."""
    folder.mkdir()
    live = folder.parent / "live.db3"
    shutil.copy(storage_file(source), live)
    database = sqlite3.connect(live)
    rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp").fetchall()
    if sidecar == "-wal":
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("DELETE FROM messages")
    database.commit()
    half = len(rows) // 2
    insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)"
    database.executemany(insert, rows[:half])
    database.commit()
    if sidecar == "-wal":
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        database.execute("PRAGMA cache_size=2")  # spills to the file before the commit
    database.executemany(insert, rows[half:])
    if sidecar == "-wal":
        database.commit()
    for suffix in ("", sidecar):
        shutil.copy(f"{live}{suffix}", folder / f"drive_0.db3{suffix}")
    database.close()
    return folder


@pytest.mark.parametrize(("sidecar", "count"), [("-wal", 60), ("-journal", 30)])
def test_database_of_a_killed_recorder(tmp_path, sidecar, count):
    source = write_small_recording(tmp_path / "drive", frames=12, storage="sqlite3")
    killed = killed_database(tmp_path / "killed", source, sidecar)
    before = {p.name: p.read_bytes() for p in killed.iterdir()}
    with RecordingReader(killed) as reader:
        messages = list(reader.messages())
        notes = " ".join(reader.notes)
    assert messages == read_all(source)[:count]
    assert ("drive_0.db3-wal was read too" if sidecar == "-wal" else "the unfinished part is left out") in notes
    assert {p.name: p.read_bytes() for p in killed.iterdir()} == before


def test_a_database_without_its_index_of_time_is_read_in_order(tmp_path):
    """Made by other tools, in whatever order."""
    recording = write_small_recording(tmp_path / "drive", frames=6, storage="sqlite3")
    whole = read_all(recording)
    database = sqlite3.connect(storage_file(recording))
    database.execute("DROP INDEX timestamp_idx")
    rows = database.execute("SELECT id, topic_id, timestamp, data FROM messages").fetchall()
    database.execute("DELETE FROM messages")
    database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", [(100 - row[0], *row[1:]) for row in rows])
    database.commit()
    database.close()
    assert sorted(read_all(recording), key=lambda m: (m.stamp_ns, m.topic)) == sorted(
        whole, key=lambda m: (m.stamp_ns, m.topic)
    )
    assert [m.stamp_ns for m in read_all(recording)] == [m.stamp_ns for m in whole]


def test_log_in_a_folder_that_cannot_be_opened_in_place(tmp_path, monkeypatch):
    """Where sqlite has no lock-free access a copy is read."""
    source = write_small_recording(tmp_path / "drive", frames=12, storage="sqlite3")
    killed = killed_database(tmp_path / "killed", source, "-wal")
    connect = storage._connect
    monkeypatch.setattr(storage, "_connect", lambda uri: connect(uri.replace("unix-none", "unix-dotfile-none")))
    with pytest.raises(SsmaError, match="no such vfs"):
        RecordingReader(killed)
    monkeypatch.setattr(storage, "_connect", lambda uri: connect(uri.replace("&vfs=unix-none", "&immutable=0")))
    (killed / "drive_0.db3").chmod(0o444)
    assert len(read_all(killed)) == 60


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


def damaged_metadata(text: str) -> str:
    return "rosbag2_bagfile_information: 3\n"


def reindexed_metadata(text: str) -> str:
    """By a version of `ros2 bag reindex` that knows neither storage nor the publishers' quality of service."""
    text = re.sub(r"storage_identifier: .*", "storage_identifier: ''", text)
    return re.sub(r"offered_qos_profiles:.*", "offered_qos_profiles: ''", text)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (damaged_metadata, "metadata.yaml cannot be read .*ros2 bag reindex"),
        (lambda text: "", "metadata.yaml cannot be read .*ros2 bag reindex"),
        (lambda text: text[:40], "metadata.yaml cannot be read .*ros2 bag reindex"),
        (lambda text: re.sub(r"version: \d+", "version: 12", text, count=1), "version 12, newer than 9"),
        (lambda text: re.sub(r"\n  message_count: \d+", "\n  message_count: 99", text), "counts 99 messages, .* 15"),
        (reindexed_metadata, ""),
    ],
)
def test_metadata_out_of_step_loses_no_message(recording, change, note):
    whole = read_all(recording)
    path = recording / "metadata.yaml"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with RecordingReader(recording) as reader:
        assert list(reader.messages()) == whole
        notes = "; ".join(reader.notes)
    assert re.search(note, notes) if note else notes == ""


def test_what_counts_as_a_recording(recording, tmp_path):
    """Commands that take a data set or a recording ask this."""
    assert is_recording(recording)
    assert is_recording(storage_file(recording))
    (recording / "metadata.yaml").unlink()
    assert is_recording(recording)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    assert not is_recording(tmp_path / "other")
    assert not is_recording(tmp_path / "other" / "notes.txt")


def test_renamed_files_are_read(recording):
    whole = read_all(recording)
    path = storage_file(recording)
    path.rename(path.with_stem("tuesday"))
    with RecordingReader(recording) as reader:
        assert list(reader.messages()) == whole
        assert f"{path.name}, not there (renamed?), `ros2 bag reindex`" in reader.notes[0]


def test_renamed_folder_is_read_without_a_word(recording):
    whole = read_all(recording)
    moved = recording.rename(recording.with_name("tuesday"))
    with RecordingReader(moved) as reader:
        assert (list(reader.messages()), reader.notes) == (whole, [])


def test_split_recording_without_metadata_is_read_in_order_of_time(tmp_path):
    """By their times, not by their names: 10 comes before 9 among names."""
    (tmp_path / "split").mkdir()
    parts = []
    for number, name in enumerate(("drive_9", "drive_10")):
        part = write_small_recording(tmp_path / name, shift_ns=number * 10**9)
        shutil.copy(storage_file(part), tmp_path / "split" / f"{name}.mcap")
        parts += read_all(part)
    with RecordingReader(tmp_path / "split") as reader:
        assert list(reader.messages()) == parts
        assert "no metadata.yaml, `ros2 bag reindex`" in reader.notes[0]
        assert "drive_10.mcap, drive_9.mcap" in reader.notes[0]


def test_lost_part_of_a_split_recording_is_said(tmp_path):
    recording = write_small_recording(tmp_path / "drive")
    text = (recording / "metadata.yaml").read_text()
    name = storage_file(recording).name
    (recording / "metadata.yaml").write_text(text.replace(f"- {name}", f"- {name}\n  - drive_1.mcap", 1))
    with RecordingReader(recording) as reader:
        assert len(list(reader.messages())) == 15
        assert "metadata.yaml names drive_1.mcap, not there" in reader.notes[0]


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("with_metadata", [True, False])
def test_compressed_recordings(tmp_path, mode, with_metadata):
    """Also where nothing but the files themselves says that they are compressed."""
    source = write_small_recording(tmp_path / "drive", storage="sqlite3")
    writer = Writer(tmp_path / "packed", version=8, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    writer.open()
    connections = {}
    for message in read_all(source):
        if message.topic not in connections:
            connections[message.topic] = writer.add_connection(message.topic, message.type, typestore=typestore())
        writer.write(connections[message.topic], message.stamp_ns, message.data)
    writer.close()
    if not with_metadata:
        (tmp_path / "packed" / "metadata.yaml").unlink()
    assert read_all(tmp_path / "packed") == read_all(source)


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
