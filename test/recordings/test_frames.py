# SPDX-License-Identifier: Apache-2.0
"""What a recording may do wrong, and what it costs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from recordings.small_recording import (
    FRAME_ID,
    HEIGHT,
    INTRINSICS,
    PERIOD_NS,
    TOPICS,
    WIDTH,
    color,
    depth_mm,
    label,
    nir,
    png,
    stamp,
    write_small_recording,
)

from ssma_ros.frame import Intrinsics
from ssma_ros.recordings import records as messages
from ssma_ros.recordings import window
from ssma_ros.recordings.frames import RecordedFrames, read_frames
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.storage import RecordedMessage
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from ssma_ros.recordings.window import Window
from ssma_ros.recordings.writer import RecordingWriter

MS = 1_000_000


def images(index: int, taken_ns: int | None = None) -> dict[str, object]:
    """The messages of one moment by role."""
    taken = stamp(index) if taken_ns is None else taken_ns
    return {
        "camera_info": messages.camera_info(INTRINSICS, taken, FRAME_ID),
        "color": messages.image(color(index), "bgr8", taken, FRAME_ID),
        "depth": messages.image(depth_mm(index), "16UC1", taken, FRAME_ID),
        "nir": messages.image(nir(index), "mono8", taken, FRAME_ID),
    }


def write(path, moments, late_ns=lambda role, index: 0):
    """Write moments; a message is recorded at its index's time and ``late_ns`` later."""
    entries = []
    for index, moment in enumerate(moments):
        for role, message in moment.items():
            kind = CAMERA_INFO if role == "camera_info" else IMAGE
            entries.append((stamp(index) + late_ns(role, index), TOPICS[role], kind, message))
    with RecordingWriter(path) as writer:
        for recorded, topic, kind, message in sorted(entries, key=lambda entry: entry[0]):
            writer.write(topic, kind, message, recorded)
    return path


def read(path, select=None, **options):
    with RecordingReader(path) as reader:
        frames = RecordedFrames(reader, find_input_topics(reader.topics, str(path)), **options)
        return list(frames.read(select)), frames.account


def counts(account) -> dict[str, tuple[int, int, int, int]]:
    return {t.role: (t.read, t.used, t.refused, t.unused) for t in account.topics.values()}


@pytest.mark.parametrize(
    ("name", "taken", "note"),
    [
        ("zero", [0] * 12, "12 of 12 messages on /camera/image_rect have no stamp"),
        ("whole seconds", [stamp(i) // 10**9 * 10**9 for i in range(12)], "10 of 12 messages on /camera/image_rect"),
        ("swapped", [stamp(i) for i in (0, 1, 2, 3, 5, 4, 6, 7, 9, 8, 10, 11)],
         "2 messages on /camera/image_rect lie behind later stamps and were sorted"),
        ("one repeated", [stamp(i) for i in (0, 1, 2, 3, 3, 5, 6, 7, 8, 9, 10, 11)],
         "1 of 12 messages on /camera/image_rect repeat a stamp"),
        ("looped", [stamp(i % 6 * 4) for i in range(12)], r"(1 jumps back by over 1 s begin anew)"),
    ],
)  # fmt: skip
def test_no_frame_is_lost_to_its_stamp(tmp_path, name, taken, note):
    path = write(tmp_path / "drive", [images(i, t) for i, t in enumerate(taken)])
    found, account = read(path)
    assert len(found) == 12
    assert all(set(f.frame.images) == {"color", "depth", "nir"} for f in found)
    for role in ("color", "depth", "nir"):
        assert counts(account)[role] == (12, 12, 0, 0)
    assert any(note in n for n in account.notes)
    for recorded in found:  # what belongs together is together, and the stamp is the camera's own
        index = round((recorded.arrived_ns - stamp(0)) / PERIOD_NS)
        np.testing.assert_array_equal(recorded.frame.color, color(index))
        np.testing.assert_array_equal(recorded.frame.images["nir"], nir(index))
        assert recorded.frame.stamp_ns == taken[index]
    if name != "looped":
        stamps = [f.frame.stamp_ns for f in found]
        assert stamps == sorted(stamps)
    assert [f.new_beginning for f in found].count(True) == (1 if name == "looped" else 0)


@pytest.mark.parametrize("late_ms", [0, 120, 250, 3000])
def test_depth_recorded_late_is_complete(tmp_path, late_ms):
    path = write(
        tmp_path / "drive", [images(i) for i in range(12)],
        lambda role, index: late_ms * MS if role == "depth" else 0,
    )  # fmt: skip
    found, account = read(path)
    assert [f.frame.stamp_ns for f in found] == [stamp(i) for i in range(12)]
    for index, recorded in enumerate(found):
        np.testing.assert_allclose(recorded.frame.depth, depth_mm(index) * 1e-3, rtol=1e-6)
        assert recorded.arrived_ns == stamp(index)
    assert account.notes == []


def shorten(message):
    message.data = message.data[:50]
    return message


@pytest.mark.parametrize("role", ["color", "depth", "nir"])
def test_a_truncated_image_costs_its_own_sensor_or_its_own_frame(tmp_path, role):
    moments = [images(i) for i in range(5)]
    shorten(moments[2][role])
    found, account = read(write(tmp_path / "drive", moments))
    assert counts(account)[role] == (5, 4, 1, 0)
    (line,) = account.topics[role].refusals.lines()
    assert line.startswith(f"1: topic {TOPICS[role]}: data is 50 bytes, expected")
    assert line.endswith(f"(at {stamp(2) * 1e-9:.3f} s)")
    if role == "color":
        assert [f.frame.stamp_ns for f in found] == [stamp(i) for i in (0, 1, 3, 4)]
        assert counts(account)["depth"] == (5, 4, 0, 1)
    else:
        assert len(found) == 5
        assert [role in f.frame.images for f in found] == [True, True, False, True, True]
        assert found[2].frame.missing[role].startswith("refused: ")


@pytest.mark.parametrize("role", ["color", "depth", "nir"])
@pytest.mark.parametrize("size", [0, 3, 12, 40, 300])
def test_a_message_cut_short_in_the_recording_costs_itself(tmp_path, role, size):
    """Whatever of it is left: nothing, half a header, a header, half a picture."""
    source = write(tmp_path / "whole", [images(i) for i in range(5)])
    with RecordingReader(source) as reader, RecordingWriter(tmp_path / "drive") as writer:
        for m in reader.messages():
            bad = m.topic == TOPICS[role] and m.stamp_ns == stamp(2)
            writer.write_serialized(m.topic, m.type, m.data[:size] if bad else m.data, m.stamp_ns)
    found, account = read(tmp_path / "drive")
    assert counts(account)[role] == (5, 4, 1, 0)
    assert len(found) == (4 if role == "color" else 5)


@pytest.mark.parametrize("role", ["color", "nir"])
@pytest.mark.parametrize("kept", [0, 30, 0.6])
def test_a_truncated_compressed_picture_costs_itself(tmp_path, role, kept):
    picture = {"color": color, "nir": nir}[role]
    with RecordingWriter(tmp_path / "drive") as writer:
        for index in range(4):
            for name, message in images(index).items():
                if name != role:
                    kind = CAMERA_INFO if name == "camera_info" else IMAGE
                    writer.write(TOPICS[name], kind, message, stamp(index))
            data = png(picture(index))
            data = data if index != 1 else data[: int(kept if kept in (0, 30) else kept * len(data))]
            message = messages.compressed_image(data, "png", stamp(index), FRAME_ID)
            writer.write(f"{TOPICS[role]}/compressed", COMPRESSED_IMAGE, message, stamp(index))
    found, account = read(tmp_path / "drive")
    assert counts(account)[role] == (4, 3, 1, 0)
    assert len(found) == (3 if role == "color" else 4)


def test_a_jump_before_a_refused_image_is_told_with_the_next_one(tmp_path):
    moments = [images(i, stamp(i + 50 * (i >= 3))) for i in range(6)]
    shorten(moments[3]["color"])
    found, _ = read(write(tmp_path / "drive", moments))
    assert [f.new_beginning for f in found] == [False, False, False, True, False]


def test_a_partner_that_no_image_wants_is_unused(tmp_path):
    moments = [images(i) for i in range(6)]
    for index in (1, 3, 5):
        del moments[index]["color"]
    found, account = read(write(tmp_path / "drive", moments))
    assert len(found) == 3
    assert counts(account)["depth"] == (6, 3, 0, 3)


def test_each_image_has_the_calibration_of_its_own_stamp(tmp_path):
    """A camera that changes its zoom; the info of a moment is recorded after its image."""
    moments = [images(i) for i in range(4)]
    for index in (2, 3):
        zoomed = Intrinsics(90.0, 90.0, 47.5, 23.5, WIDTH, HEIGHT)
        moments[index]["camera_info"] = messages.camera_info(zoomed, stamp(index), FRAME_ID)
    late = {"camera_info": 30 * MS}
    found, _ = read(write(tmp_path / "drive", moments, lambda role, _: late.get(role, 0)))
    assert [f.frame.intrinsics.fx for f in found] == [60.0, 60.0, 90.0, 90.0]


def test_a_calibration_recorded_once_holds_for_all(tmp_path):
    moments = [images(i) for i in range(4)]
    for index in (0, 1, 3):
        del moments[index]["camera_info"]
    moments[2]["camera_info"] = messages.camera_info(INTRINSICS, 0, FRAME_ID)
    found, _ = read(write(tmp_path / "drive", moments))
    assert [f.frame.intrinsics for f in found] == [INTRINSICS] * 4


def test_only_the_wanted_frames_are_put_together(tmp_path):
    path = write(tmp_path / "drive", [images(i) for i in range(6)])
    found, account = read(path, select=[4, 1])
    assert [f.frame.stamp_ns for f in found] == [stamp(1), stamp(4)]
    assert counts(account)["color"] == (6, 2, 0, 4)


def test_labels_go_with_the_image_of_their_stamp(tmp_path):
    path = write_small_recording(tmp_path / "drive", frames=4)
    with RecordingReader(path) as reader:
        frames = RecordedFrames(reader, find_input_topics(reader.topics, "drive"))
        assert frames.labelled() == [0, 1, 2, 3]
        for index, recorded in enumerate(frames.read()):
            np.testing.assert_array_equal(recorded.label.data.reshape(HEIGHT, WIDTH), label(index))


def test_values_that_look_wrong_are_said(tmp_path):
    moments = [images(i) for i in range(8)]
    for index, moment in enumerate(moments):
        moment["depth"] = messages.image(depth_mm(index) * np.float32(1.0), "32FC1", stamp(index), FRAME_ID)
    _, account = read(write(tmp_path / "drive", moments))
    assert "set depth_scale" in account.suspicions["depth"]
    assert any(line.startswith("suspicious: depth: the median is") for line in account.lines())


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """Half a second of messages is in work, however long the recording is."""
    height, width = 240, 320
    intrinsics = Intrinsics(200.0, 200.0, 159.5, 119.5, width, height)
    picture, depth = np.zeros((height, width, 3), np.uint8), np.full((height, width), 2000, np.uint16)
    with RecordingWriter(tmp_path / "drive") as writer:
        for index in range(300):
            now = stamp(index)
            writer.write(TOPICS["camera_info"], CAMERA_INFO, messages.camera_info(intrinsics, now, FRAME_ID), now)
            writer.write(TOPICS["color"], IMAGE, messages.image(picture, "bgr8", now, FRAME_ID), now)
            if index >= 5:
                taken = stamp(index - 5)
                writer.write(TOPICS["depth"], IMAGE, messages.image(depth, "16UC1", taken, FRAME_ID), now)
    next(read_frames(tmp_path / "drive"))
    tracemalloc.start()
    peaks = []
    for index, frame in enumerate(read_frames(tmp_path / "drive")):
        assert ("depth" in frame.images) == (index < 295)
        if index in (100, 299):
            peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert index == 299
    assert peaks[1] - peaks[0] < picture.nbytes + depth.nbytes  # of 200 frames not one is kept


def test_messages_beyond_the_budget_wait_on_the_disk(tmp_path, monkeypatch):
    """Depth that was recorded after everything else, as by tools that append a topic."""
    path = write(
        tmp_path / "drive", [images(i) for i in range(12)],
        lambda role, index: 60 * 10**9 if role == "depth" else 0,
    )  # fmt: skip
    monkeypatch.setattr(window.Window.__init__, "__defaults__", (20_000,))
    found, _ = read(path)
    assert len(found) == 12
    for index, recorded in enumerate(found):
        np.testing.assert_array_equal(recorded.frame.color, color(index))
        np.testing.assert_allclose(recorded.frame.depth, depth_mm(index) * 1e-3, rtol=1e-6)


def test_the_window_keeps_to_its_budget():
    with Window(100) as held:
        for number in range(10):
            held.put(("color", number), RecordedMessage("/color", IMAGE, number, bytes([number]) * 40))
        assert held.bytes == 80
        for number in (7, 0, 9):
            assert held.get(("color", number)).data == bytes([number]) * 40
        for number in range(10):
            held.drop(("color", number))
        assert (len(held), held.bytes) == (0, 0)


def test_colour_that_was_lost_in_compression_is_said(tmp_path):
    """A camera that says yuv422_yuy2: the transport makes grey JPEGs of it, which look like any other."""
    with RecordingWriter(tmp_path / "drive") as writer:
        for index in range(2):
            message = messages.compressed_image(
                png(nir(index)), "yuv422_yuy2; png compressed mono8", stamp(index), FRAME_ID
            )
            writer.write(f"{TOPICS['color']}/compressed", COMPRESSED_IMAGE, message, stamp(index))
    found, account = read(tmp_path / "drive")
    assert len(found) == 2
    assert any("its colour was lost when it was compressed" in note for note in account.notes)


def test_whoever_reads_only_frames_hears_what_was_refused(tmp_path, caplog):
    moments = [images(i) for i in range(3)]
    shorten(moments[1]["depth"])
    assert len(list(read_frames(write(tmp_path / "drive", moments)))) == 3
    assert "refused 1: topic /depth/image_rect: data is 50 bytes" in caplog.text
