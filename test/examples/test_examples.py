# SPDX-License-Identifier: Apache-2.0
"""The scripts of ``examples/`` as a reader runs them: processes of their own, with the shipped model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import ssma_ros
from ssma_ros.recordings.frames import read_frames

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"
RECORDING = PROJECT / "demo" / "forest_drive"
MODEL = "forest_rgb_hha_evi"


def run(script: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )


@pytest.fixture(scope="module")
def frames() -> list[ssma_ros.Frame]:
    return list(islice(read_frames(RECORDING), 2))


@pytest.fixture
def folder(tmp_path: Path, frames: list[ssma_ros.Frame]) -> Path:
    """Two moments of the recording as images; the second without near infrared."""
    for name in ("rgb", "depth", "nir"):
        (tmp_path / "in" / name).mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "in" / "rgb" / f"{index}.png"), frame.color)
        millimetres = np.rint(frame.depth * 1000).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "in" / "depth" / f"{index}.png"), millimetres)
        if index == 0:
            cv2.imwrite(str(tmp_path / "in" / "nir" / f"{index}.png"), frame.nir)
    (tmp_path / "in" / "camera.json").write_text(json.dumps({**asdict(frames[0].intrinsics), "baseline": 0.12}))
    return tmp_path / "in"


def test_the_scripts_are_short() -> None:
    tools = {"consumer_parameters.py"}  # made to be run, not to be read
    scripts = sorted(path for path in EXAMPLES.glob("*.py") if path.name not in tools)
    assert len(scripts) == 4
    assert {path.name: n for path in scripts if (n := len(path.read_text().splitlines())) >= 60} == {}


def test_arrays_to_mask() -> None:
    done = run("arrays_to_mask.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "mask: 640x360 uint8, 255 = unlabelled"
    shares = {line.split()[1]: float(line.split()[2].rstrip("%")) for line in lines[1:]}
    assert abs(sum(shares.values()) - 100) < 0.5
    assert shares["sky"] > 30  # of a scene whose upper half is bright, far and dark in the near infrared


def test_a_folder_of_images(folder: Path, tmp_path: Path, frames: list[ssma_ros.Frame]) -> None:
    done = run("folder_of_images.py", folder, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0.png", "1.png (evi blank: no nir image)"]
    masks = [cv2.imread(str(tmp_path / "out" / f"{i}.png"), cv2.IMREAD_UNCHANGED) for i in range(2)]
    with ssma_ros.load(MODEL) as segment:
        expected = segment(frames[0])
    assert masks[0].shape == masks[1].shape == frames[0].color.shape[:2]
    assert (masks[0] == expected.mask).mean() > 0.995  # millimetres are rounded


def test_a_folder_that_cannot_be_used_is_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "depth" / "0.png").write_bytes(b"no picture")
    done = run("folder_of_images.py", folder, tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, f"{folder}/depth/0.png: is no image that OpenCV reads\n")
    done = run("folder_of_images.py", tmp_path, tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path}/rgb: holds no .png, expected the colour images\n")


def test_a_folder_of_images_to_a_recording(folder: Path, tmp_path: Path, frames: list[ssma_ros.Frame]) -> None:
    camera = frames[0].intrinsics
    numbers = (camera.fx, camera.fy, camera.cx, camera.cy)
    done = run("images_to_recording.py", folder, tmp_path / "drive", "--camera", *numbers)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'drive'}: 2 moments\n"), done.stderr
    made = list(read_frames(tmp_path / "drive"))
    assert [sorted(frame.images) for frame in made] == [["color", "depth", "nir"], ["color", "depth"]]
    for index, (ours, theirs) in enumerate(zip(made, frames, strict=True)):
        np.testing.assert_array_equal(ours.color, theirs.color)
        np.testing.assert_allclose(ours.depth, theirs.depth, atol=0.51e-3)  # millimetres are rounded
        assert (ours.intrinsics, ours.stamp_ns) == (camera, 10**18 + index * 500_000_000)
    (folder / "depth" / "0.png").write_bytes(b"no picture")
    done = run("images_to_recording.py", folder, tmp_path / "broken", "--camera", *numbers)
    assert done.returncode == 1
    assert f"{folder}/depth/0.png: is no image of mono8, bgr8, 16UC1, 32FC1 that OpenCV reads\n" in done.stderr
    assert not (tmp_path / "broken").exists()


def test_a_recording_to_a_video(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    done = run("recording_to_video.py", RECORDING, tmp_path / "out.mp4", "--frames", 3)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'out.mp4'}: ")
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    pictures = []
    while (read := video.read())[0]:
        pictures.append(read[1])
    assert len(pictures) == 3
    height, width = pictures[0].shape[:2]
    left, right = pictures[0][: height - 48, : width // 2], pictures[0][: height - 48, width // 2 :]
    assert np.abs(left.astype(int) - right).mean() > 5  # classes lie over the right half
