# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from recordings.small_recording import (
    FRAME_ID,
    HEIGHT,
    INTRINSICS,
    TOPICS,
    WIDTH,
    color,
    stamp,
    write_small_recording,
)
from ros.stub_network import StubBackend, stub_contract

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import stamp_ns
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.play import PlayOptions, play
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.typestore import CAMERA_INFO, DISPARITY_IMAGE, IMAGE
from ssma_ros.recordings.writer import STORAGES, RecordingWriter
from ssma_ros.segmenter import Segmenter

CONTRACT = stub_contract(WIDTH, HEIGHT)


def make_pipeline() -> Segmenter:
    return Segmenter(StubBackend(CONTRACT))


def read(path, topic) -> list:
    with RecordingReader(path) as reader:
        return [reader.deserialize(m) for m in reader.messages([topic])]


def reasons(result) -> dict[str, list[str]]:
    return {stream: found.lines() for stream, found in result.reasons.items()}


def topics_of(path) -> dict[str, int]:
    with RecordingReader(path) as reader:
        return {t.name: t.count for t in reader.topics}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_frame_is_segmented_with_all_sensors(tmp_path, storage, compressed):
    recording = write_small_recording(tmp_path / "drive", storage=storage, compressed=compressed)
    started, frames = [], []
    result = play(
        recording, tmp_path / "out", make_pipeline, PlayOptions(storage=storage),
        on_start=started.append, on_frame=lambda: frames.append(1),
    )  # fmt: skip
    assert (result.frames, result.complete, dict(result.blank)) == (3, 3, {})
    assert (started, len(frames)) == ([3], 3)
    counts = topics_of(tmp_path / "out")
    assert counts == {
        **dict.fromkeys(
            [f"/ssma_fusion/{n}" for n in ("mask", "confidence", "color_mask/compressed", "overlay/compressed",
                                           "camera_info")], 3),
        "/ssma_fusion/label_info": 1,
    }  # fmt: skip


def test_masks_keep_stamp_and_frame_id_and_time_of_recording(tmp_path):
    play(write_small_recording(tmp_path / "drive"), tmp_path / "out", make_pipeline)
    with RecordingReader(tmp_path / "out") as reader:
        recorded = list(reader.messages(["/ssma_fusion/mask"]))
        masks = [reader.deserialize(m) for m in recorded]
    assert [m.stamp_ns for m in recorded] == [stamp(i) for i in range(3)]
    assert [stamp_ns(m) for m in masks] == [stamp(i) for i in range(3)]
    for index, mask in enumerate(masks):
        assert (mask.header.frame_id, mask.encoding) == (FRAME_ID, "mono8")
        assert (mask.width, mask.height, mask.step) == (WIDTH, HEIGHT, WIDTH)
        np.testing.assert_array_equal(mask.data.reshape(HEIGHT, WIDTH), color(index)[..., 2] // 64)


def test_label_info_names_the_classes_and_is_latched(tmp_path):
    play(write_small_recording(tmp_path / "drive"), tmp_path / "out", make_pipeline)
    (info,) = read(tmp_path / "out", "/ssma_fusion/label_info")
    assert tuple(c.class_name for c in info.class_map) == CONTRACT.labels.names
    assert "durability: 1" in (tmp_path / "out" / "metadata.yaml").read_text()


@pytest.mark.parametrize(
    ("sensor", "stream", "reason"),
    [
        ("nir", "evi", "the recording has no near-infrared topic"),
        ("depth", "hha", "the recording has no depth topic"),
        ("camera_info", "hha", "no message on (none) yet"),
    ],
)
def test_an_absent_sensor_degrades_and_is_named(tmp_path, sensor, stream, reason):
    recording = write_small_recording(tmp_path / "drive", without=[sensor])
    result = play(recording, tmp_path / "out", make_pipeline)
    assert (result.frames, result.complete, dict(result.blank)) == (3, 0, {stream: 3})
    assert reasons(result) == {stream: [f"3: {reason}"]}
    confidence = read(tmp_path / "out", "/ssma_fusion/confidence")[0].data
    assert set(confidence) == {175}  # 200 with all sensors


def test_a_partner_too_far_away_in_time_degrades(tmp_path):
    with RecordingWriter(tmp_path / "drive") as writer:
        for index in range(3):
            now = stamp(index)
            image = messages.image(color(index), "bgr8", now, FRAME_ID)
            late = now + 70_000_000
            nir = messages.image(np.zeros((HEIGHT, WIDTH), np.uint8), "mono8", late, FRAME_ID)
            writer.write("/image", IMAGE, image, now)
            writer.write("/nir", IMAGE, nir, late)
    result = play(tmp_path / "drive", tmp_path / "out", make_pipeline, PlayOptions(slop_ns=20_000_000))
    assert result.frames == 3
    assert result.blank["evi"] == 3
    assert reasons(result)["evi"] == [
        "2: nearest nir was 30 ms before the driving image, sync_slop is 20 ms",
        "1: nearest nir was 70 ms after the driving image, sync_slop is 20 ms",
    ]


def test_outputs_can_be_chosen_by_pattern(tmp_path):
    options = PlayOptions(outputs=["mask", "confidence/*", "evi"], namespace="/front/")
    play(write_small_recording(tmp_path / "drive"), tmp_path / "out", make_pipeline, options)
    names = [f"confidence/{n}" for n in CONTRACT.labels.names]
    assert set(topics_of(tmp_path / "out")) == {f"/front/{n}" for n in ("mask", "label_info", "evi", *names)}


def test_all_outputs_can_be_written(tmp_path):
    play(write_small_recording(tmp_path / "drive"), tmp_path / "out", make_pipeline, PlayOptions(outputs=["*"]))
    counts = topics_of(tmp_path / "out")
    assert counts["/ssma_fusion/points"] == counts["/ssma_fusion/channel_info"] == 3
    (channels, *_) = read(tmp_path / "out", "/ssma_fusion/channel_info")
    assert channels.channels == [f"sem_{n}" for n in CONTRACT.labels.names]


def test_inputs_can_be_copied(tmp_path):
    recording = write_small_recording(tmp_path / "drive")
    play(recording, tmp_path / "out", make_pipeline, PlayOptions(copy_inputs=True))
    assert set(topics_of(recording)) <= set(topics_of(tmp_path / "out"))
    topic = TOPICS["color"]
    assert bytes(read(tmp_path / "out", topic)[1].data) == bytes(read(recording, topic)[1].data)


@pytest.mark.parametrize("name", ["nyu_16UC1_mcap", "sun_32FC1_nan_0", "sun_32FC1_nan_1"])
def test_real_images_without_near_infrared(shared_data, tmp_path, name):
    """MCAP and sqlite3, 16UC1 and 32FC1 with NaN."""
    recording = shared_data / "rosbag2_from_real_images" / name
    result = play(recording, tmp_path / "out", lambda: Segmenter(StubBackend(stub_contract(192, 96))))
    assert result.frames == (2 if "nyu" in name else 1)
    assert dict(result.blank) == {"evi": result.frames}
    mask = read(tmp_path / "out", "/ssma_fusion/mask")[0]
    source = read(recording, "/camera/color/image_raw")[0]
    assert (mask.header.stamp, mask.header.frame_id) == (source.header.stamp, source.header.frame_id)
    info = read(tmp_path / "out", "/ssma_fusion/camera_info")[0]
    assert (info.width, info.height) == (192, 96)


def test_depth_can_drive_alone(shared_data, tmp_path):
    recording = shared_data / "rosbag2_from_real_images" / "nyu_16UC1_mcap"
    result = play(recording, tmp_path / "out", make_pipeline, PlayOptions(topics={"color": "none"}))
    assert dict(result.blank) == {"rgb": 2, "evi": 2}
    assert reasons(result)["rgb"] == ["2: colour is left out, as the parameters or --topic say"]


def test_depth_from_disparity(tmp_path):
    with RecordingWriter(tmp_path / "drive") as writer:
        header = messages.header(stamp(0), FRAME_ID)
        disparity = messages.image(np.full((HEIGHT, WIDTH), 4.0, np.float32), "32FC1", stamp(0), FRAME_ID)
        message = messages.make(DISPARITY_IMAGE, header=header, image=disparity, f=60.0, t=0.1, min_disparity=0.5)
        info = messages.camera_info(INTRINSICS, stamp(0), FRAME_ID)
        writer.write("/left/camera_info", CAMERA_INFO, info, stamp(0))
        writer.write("/left/image_rect", IMAGE, messages.image(color(0), "bgr8", stamp(0), FRAME_ID), stamp(0))
        writer.write("/disparity", DISPARITY_IMAGE, message, stamp(0))
    result = play(tmp_path / "drive", tmp_path / "out", make_pipeline, PlayOptions(outputs=["depth_completed"]))
    assert dict(result.blank) == {"evi": 1}
    depth = read(tmp_path / "out", "/ssma_fusion/depth_completed")[0].data.view(np.float32)
    np.testing.assert_allclose(depth, 1.5, atol=0.01)  # f * t / d


@pytest.mark.parametrize("role", ["color", "depth", "nir"])
def test_a_wrong_encoding_is_one_sentence_and_nothing_is_left(tmp_path, role):
    recording = tmp_path / "drive"
    with RecordingWriter(recording) as writer:
        for name in ("color", "depth", "nir"):
            pixels = np.zeros((HEIGHT, WIDTH, 2), np.uint8)
            image = messages.image(pixels, "8UC2", stamp(0), FRAME_ID)
            if name != role:
                good = {"color": (color(0), "bgr8"), "depth": (np.ones((HEIGHT, WIDTH), np.uint16), "16UC1"),
                        "nir": (pixels[..., 0], "mono8")}[name]  # fmt: skip
                image = messages.image(*good, stamp(0), FRAME_ID)
            writer.write(TOPICS[name], IMAGE, image, stamp(0))
    with pytest.raises(SsmaError, match=f"topic {TOPICS[role]}: encoding is '8UC2', expected one of .* for {role}"):
        play(recording, tmp_path / "out", make_pipeline)
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_a_driving_image_that_is_too_short_is_one_sentence(tmp_path):
    image = messages.image(color(0), "bgr8", stamp(0), FRAME_ID)
    image.data = image.data[:100]
    with RecordingWriter(tmp_path / "drive") as writer:
        writer.write("/image", IMAGE, image, stamp(0))
    with pytest.raises(SsmaError, match="topic /image: data is 100 bytes, expected"):
        play(tmp_path / "drive", tmp_path / "out", make_pipeline)
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_recording_leaves_nothing_behind(tmp_path, kept):
    recording = write_small_recording(tmp_path / "drive", storage="sqlite3")
    path = next(p for p in recording.iterdir() if p.suffix == ".db3")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(SsmaError, match="may be truncated"):
        play(recording, tmp_path / "out", make_pipeline)
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_ctrl_c_leaves_nothing_behind_and_closes_the_network(tmp_path):
    backend = StubBackend(CONTRACT)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(
            write_small_recording(tmp_path / "drive"), tmp_path / "out", lambda: Segmenter(backend), on_frame=interrupt
        )
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]
    assert backend.closed


def test_the_network_is_not_loaded_for_a_recording_that_cannot_be_used(tmp_path):
    def never() -> Segmenter:
        raise AssertionError("loaded")

    write_small_recording(tmp_path / "taken")
    drive = write_small_recording(tmp_path / "drive")
    for recording, output, topics in [
        (tmp_path / "absent", tmp_path / "out", {}),
        (drive, tmp_path / "taken", {}),
        (drive, tmp_path / "out", {"depth": "/nowhere"}),
    ]:
        with pytest.raises(SsmaError):
            play(recording, output, never, PlayOptions(topics=topics))


def test_unknown_output_is_named(tmp_path):
    with pytest.raises(SsmaError, match="'masks' is no output, expected some of mask"):
        play(write_small_recording(tmp_path / "d"), tmp_path / "o", make_pipeline, PlayOptions(outputs=["masks"]))
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("source", ["set/drive", "set/drive/drive.mcap"])
@pytest.mark.parametrize("output", ["set/drive", "set", "set/../set/drive"])
def test_the_recording_itself_is_never_replaced(tmp_path, source, output):
    """Not even with overwrite, however it and the output are named."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "metadata.yaml").touch()  # makes the outer folder look like a recording too
    write_small_recording(tmp_path / "set" / "drive")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(SsmaError, match="is or holds the input"):
        play(tmp_path / source, tmp_path / output, make_pipeline, PlayOptions(overwrite=True))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
