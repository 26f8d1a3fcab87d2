# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_ros.demo import video
from ssma_ros.demo.overlay_video import write_overlay_video
from ssma_ros.demo.video import VideoWriter, h264_at_hand
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set


def frames(count: int = 5) -> list[np.ndarray]:
    return [np.full((48, 64, 3), (250, 20 * i, 10), np.uint8) for i in range(count)]


def write(path: Path, count: int) -> None:
    with VideoWriter(path, 64, 48, rate=10) as writer:
        for frame in frames(count):
            writer.write(frame)


@pytest.fixture(params=["h264", "opencv"])
def encoder(request, monkeypatch):
    if request.param == "opencv":
        monkeypatch.setattr(video, "h264_at_hand", lambda: False)
    elif not h264_at_hand():
        pytest.skip("no ffmpeg with an H.264 encoder here")
    return request.param


def test_what_is_written_can_be_played(tmp_path, encoder):
    with VideoWriter(tmp_path / "a.mp4", 64, 48, rate=12.5) as writer:
        for frame in frames():
            writer.write(frame)
    assert writer.codec.startswith("H.264" if encoder == "h264" else "MPEG-4 part 2")
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    played = []
    while True:
        good, picture = capture.read()
        if not good:
            break
        played.append(picture[..., ::-1])
    assert len(played) == 5
    for picture, frame in zip(played, frames(), strict=True):
        np.testing.assert_allclose(picture.mean((0, 1)), frame.mean((0, 1)), atol=12)  # lossy, red stays red


def test_nothing_is_left_of_an_interrupted_video(tmp_path, encoder):
    def interrupted():
        with VideoWriter(tmp_path / "a.mp4", 64, 48, rate=10) as writer:
            writer.write(frames()[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written_is_one_sentence(tmp_path, encoder):
    with pytest.raises(SsmaError, match=r"video .*a\.mp4: "):
        write(tmp_path / "absent" / "a.mp4", 5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_is_full_is_one_sentence(tmp_path, encoder):
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    with pytest.raises(SsmaError, match=r"video .*a\.mp4: "):
        write(tmp_path / "a.mp4", 30)
    assert list(tmp_path.iterdir()) == []


def test_an_ffmpeg_without_h264_is_stepped_over(tmp_path, monkeypatch):
    class Without(video._FfmpegSink):
        def __init__(self, *arguments):
            raise RuntimeError("no valid H.264 encoder was found")

    monkeypatch.setattr(video, "_FfmpegSink", Without)
    monkeypatch.setattr(video, "h264_at_hand", lambda: True)
    with VideoWriter(tmp_path / "a.mp4", 64, 48, rate=10) as writer:
        writer.write(frames()[0])
    assert writer.codec.startswith("MPEG-4 part 2")


def test_pictures_that_ffmpeg_lost_are_missed(tmp_path, monkeypatch):
    if not h264_at_hand():
        pytest.skip("no ffmpeg here")
    import imageio_ffmpeg

    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda path: (4, 0.4))
    with pytest.raises(SsmaError, match="ffmpeg wrote 4 of 5 pictures"):
        write(tmp_path / "a.mp4", 5)
    assert list(tmp_path.iterdir()) == []


def test_wrong_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="video size is 63x48, expected even numbers"):
        VideoWriter(tmp_path / "a.mp4", 63, 48, rate=10)
    with VideoWriter(tmp_path / "a.mp4", 64, 48, rate=10) as writer:
        with pytest.raises(ValueError, match=r"video picture is \(48, 60, 3\) uint8, expected \(48, 64, 3\) uint8"):
            writer.write(np.zeros((48, 60, 3), np.uint8))
        writer.write(frames()[0])


def test_overlay_video_shows_camera_and_segmentation_side_by_side(tmp_path):
    gray = np.full((40, 96, 3), 128, np.uint8)
    grass = np.ones((40, 96), np.uint8)
    shown = [(i * 10**8, gray, None if i == 1 else grass) for i in range(3)]
    labels = load_label_set("synthetic_forest")
    codec = write_overlay_video(tmp_path / "a.mp4", iter(shown), (96, 40), labels, rate=10, note="test")
    assert codec
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    for _ in shown:  # the dropped second frame goes on showing the first segmentation
        good, picture = capture.read()
        assert good
        left, right = picture[5:35, 10:86].mean((0, 1)), picture[5:35, 106:182].mean((0, 1))
        np.testing.assert_allclose(left, 128, atol=12)
        assert right[1] > right[0] + 80  # green
