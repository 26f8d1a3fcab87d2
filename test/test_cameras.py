# SPDX-License-Identifier: Apache-2.0
"""Presets of cameras: messages as each driver makes them give the same masks as topics and parameters named by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from recordings.small_recording import HEIGHT, INTRINSICS, WIDTH, color, depth_mm, nir, stamp, transform, write_tf
from ros.stub_network import StubBackend, stub_contract

from ssma_ros import inference
from ssma_ros.cameras import ROLES, load_preset, preset_names, settings_of
from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.messages.assemble import DEFAULT_TOPICS
from ssma_ros.messages.layouts import LAYOUTS
from ssma_ros.recordings import records
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.transforms import recorded_extrinsics
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE
from ssma_ros.recordings.writer import RecordingWriter
from ssma_ros.ros.parameters import FusionParameters, unknown_names
from ssma_ros.sensors import SENSORS

FRAMES = 2
DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True)
class Driver:
    """What one driver publishes: encodings, frames and calibrations as its source has them.

    Attributes:
        color, depth, nir: encodings; nir empty where it has none.
        frame, nir_frame: optical frames of colour (and of depth in its pixels) and of near infrared.
        distortion: model and coefficients of the colour camera; K and P are equal with all of them.
        by_hand: arguments of ``ssma play`` besides the topics that somebody without a preset would give.
    """

    color: str
    depth: str
    frame: str
    nir: str = ""
    nir_frame: str = ""
    distortion: tuple[str, tuple[float, ...]] = ("plumb_bob", (0.0,) * 5)
    by_hand: tuple[str, ...] = ("-p", "nir_source:=none")


REALSENSE = Driver(
    "rgb8", "16UC1", "camera_color_optical_frame", "mono8", "camera_infra1_optical_frame",
    ("plumb_bob", (-0.05, 0.06, 0.0, 0.0, -0.02)), ("-p", "register_nir:=true"),
)
DRIVERS = {
    "realsense_d435": REALSENSE,
    "realsense_d455": REALSENSE,
    "zed": Driver("bgra8", "32FC1", "zed_left_camera_frame_optical", distortion=("rational_polynomial", (0.0,) * 8)),
    "oak_d": Driver(
        "bgr8", "16UC1", "oak_rgb_camera_optical_frame",
        distortion=("rational_polynomial", (0.1, -0.2, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0)),
    ),
    "orbbec": Driver(
        "rgb8", "16UC1", "camera_color_optical_frame", "mono8", "camera_left_ir_optical_frame",
        ("plumb_bob", (-0.031, 0.035, 0.0, 0.0, -0.012, 0.0, 0.0, 0.0)),
        ("-p", "register_nir:=true", "-p", "rectify:=true", "-p", "rectified_sensors:=[depth]"),
    ),
    "kinect_azure": Driver(
        "bgra8", "16UC1", "rgb_camera_link", "mono16", "depth_camera_link",
        ("rational_polynomial", (0.3, -0.2, 0.0, 0.0, 0.1, 0.2, -0.1, 0.05)),
        ("-p", "nir_source:=none", "-p", "rectify:=true"),
    ),
}


def calibration(intrinsics: Intrinsics, now: int, frame: str, distortion: tuple[str, tuple[float, ...]]) -> Any:
    message = records.camera_info(intrinsics, now, frame)
    return replace(message, distortion_model=distortion[0], d=np.array(distortion[1]))


def pixels_of(encoding: str, role: str, index: int) -> np.ndarray:
    if role == "color":
        bgr = color(index)
        wide = np.dstack([bgr, np.full(bgr.shape[:2], 255, np.uint8)])
        return {"bgr8": bgr, "rgb8": np.ascontiguousarray(bgr[..., ::-1]), "bgra8": wide}[encoding]
    if role == "depth":
        millimetres = depth_mm(index)
        metres = np.where(millimetres == 0, np.nan, millimetres / 1000).astype(np.float32)
        return {"16UC1": millimetres, "32FC1": metres}[encoding]
    return {"mono8": nir(index), "mono16": nir(index).astype(np.uint16) * 2}[encoding]


def write_drive(path: Path, driver: Driver, topics: dict[str, str]) -> Path:
    """A recording of a driver: its topics, frames, encodings, and tf between its cameras."""
    turn = (0.0, math.sin(0.005), 0.0, math.cos(0.005))
    with RecordingWriter(path) as writer:
        if driver.nir:
            write_tf(writer, "/tf_static", stamp(0), transform(driver.frame, driver.nir_frame, (-0.05, 0.0, 0.0), turn))
        for index in range(FRAMES):
            now = stamp(index)
            frames = {"color": driver.frame, "depth": driver.frame, "nir": driver.nir_frame}
            for role, encoding in (("color", driver.color), ("depth", driver.depth), ("nir", driver.nir)):
                info = "camera_info" if role == "color" else f"{role}_camera_info"
                if not encoding:
                    continue
                if info in topics:
                    bent = driver.distortion if role != "nir" else ("plumb_bob", (0.0,) * 5)
                    message = calibration(INTRINSICS, now, frames[role], bent)
                    writer.write(topics[info], CAMERA_INFO, message, now)
                image = records.image(pixels_of(encoding, role, index), encoding, now, frames[role])
                writer.write(topics[role], IMAGE, image, now)
    return path


def masks(path: Path) -> list[bytes]:
    with RecordingReader(path) as reader:
        wanted = ["/ssma_fusion/mask", "/ssma_fusion/confidence"]
        return [bytes(reader.deserialize(m).data) for m in reader.messages(wanted)]


@pytest.fixture
def stub_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "load_backend", lambda *_, **__: StubBackend(stub_contract(WIDTH, HEIGHT)))


def play(drive: Path, out: Path, *arguments: str) -> list[bytes]:
    assert main(["play", str(drive), "-o", str(out), "--outputs", "mask,confidence", *arguments]) == 0
    return masks(out)


@pytest.mark.parametrize("name", DRIVERS)
def test_the_preset_gives_the_mask_of_the_twin_that_is_mapped_by_hand(
    tmp_path: Path, stub_network: None, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    driver, topics = DRIVERS[name], load_preset(name).named()
    drive = write_drive(tmp_path / "drive", driver, topics)
    by_preset = play(drive, tmp_path / "preset", "--camera", name)
    said = capsys.readouterr().out
    assert f"{FRAMES} frames segmented" in said
    assert "refused" not in said
    plain = write_drive(tmp_path / "plain", driver, {role: f"/{topic}" for role, topic in DEFAULT_TOPICS.items()})
    by_hand = play(plain, tmp_path / "hand", *driver.by_hand)
    assert len(by_preset) == 2 * FRAMES
    assert by_preset == by_hand
    without = play(plain, tmp_path / "without", "-p", "depth_source:=none", "-p", "nir_source:=none")
    assert by_preset != without, "what the preset reads besides colour changes the mask"


def test_every_preset_is_tried() -> None:
    assert set(DRIVERS) == set(preset_names())


@pytest.mark.parametrize("name", DRIVERS)
def test_a_preset_speaks_of_what_the_node_knows(name: str) -> None:
    preset = load_preset(name)
    assert not list(unknown_names(preset.parameters))
    FusionParameters.from_values(preset.parameters)
    for sensor in SENSORS:
        given = preset.parameters.get(f"{sensor}_source", "image")
        assert sensor in preset.topics or sensor == "thermal" or given == "none", f"{sensor} would be missed for ever"
        if preset.parameters.get(f"register_{sensor}"):
            assert f"{sensor}_camera_info" in preset.topics
    assert preset.frame == DRIVERS[name].frame
    assert preset.start.startswith("ros2 launch ")
    assert set(ROLES) == set(DEFAULT_TOPICS)
    page = (DOCS / "cameras.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page
    assert preset.start in page
    assert preset.driver in page


@pytest.mark.parametrize("name", DRIVERS)
def test_the_driver_publishes_encodings_that_the_sensors_take(name: str) -> None:
    driver = DRIVERS[name]
    for sensor in ("color", "depth", "nir"):
        encoding = getattr(driver, sensor)
        assert not encoding or encoding in LAYOUTS[SENSORS[sensor].pixels]


def test_a_driver_of_another_name_is_reached_by_its_prefix() -> None:
    topics, _ = settings_of("zed", "/front/zed_front")
    assert topics["depth"] == "/front/zed_front/depth/depth_registered"
    assert settings_of("kinect_azure", "/k4a")[0]["color"] == "/k4a/rgb/image_raw"
    assert settings_of("kinect_azure")[0]["color"] == "/rgb/image_raw"
    assert settings_of("") == ({}, {})


def test_the_place_of_a_camera_is_read_off_the_recordings_tf(tmp_path: Path) -> None:
    """For the demo, whose player publishes no tf."""
    topics, _ = settings_of("realsense_d435")
    drive = write_drive(tmp_path / "drive", REALSENSE, dict(topics))
    with RecordingReader(drive) as reader:
        asked = {role: topic for role, topic in topics.items() if role != "depth_camera_info"}
        found = recorded_extrinsics(reader, find_input_topics(reader.topics, "drive", asked), ["nir", "thermal"])
    assert list(found) == ["nir"]
    np.testing.assert_allclose(found["nir"], (-0.05, 0, 0, 0, math.sin(0.005), 0, math.cos(0.005)), atol=1e-9)


def test_what_is_given_wins_over_the_preset(tmp_path: Path, stub_network: None) -> None:
    topics = {**load_preset("realsense_d435").named(), "nir": "/elsewhere/nir"}
    drive = write_drive(tmp_path / "drive", REALSENSE, topics)
    moved = play(drive, tmp_path / "a", "--camera", "realsense_d435", "--topic", "nir:=/elsewhere/nir")
    without = play(drive, tmp_path / "b", "--camera", "realsense_d435", "--topic", "nir:=none")
    assert len(moved) == len(without) == 2 * FRAMES
    by_parameter = play(drive, tmp_path / "c", "--camera", "realsense_d435", "-p", "nir_source:=none")
    assert by_parameter == without


def test_a_topic_of_the_preset_that_was_not_recorded_is_named(
    tmp_path: Path, stub_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = write_drive(tmp_path / "drive", replace(REALSENSE, nir=""), load_preset("realsense_d435").named())
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), "--camera", "realsense_d435"]) == 1
    error = capsys.readouterr().err
    assert "no topic /camera/camera/infra1/image_rect_raw for nir" in error
    assert "go without by --topic nir:=none" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--camera", "realsense_d453"], "camera 'realsense_d453': no such preset, expected one of kinect_azure,"),
        (["--camera-prefix", "/front"], "camera prefix /front: no camera is named, expected one of kinect_azure,"),
    ],
)
def test_a_camera_that_is_not_known_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["play", "nowhere", "-o", str(tmp_path / "out"), *arguments]) == 1
    assert words in capsys.readouterr().err


def test_a_preset_with_a_mistake_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: t\ndriver: d\nstart: s\nnote: n\nframe: f\nprefix: ''\ntopics: {colour: image_raw, depth: d}\n"
    )
    monkeypatch.setattr("ssma_ros.cameras.share_path", lambda *parts: tmp_path.joinpath(*parts[2:]))
    words = "camera preset mine: topics: unknown role 'colour', expected one of color, .*may be meant"
    with pytest.raises(SsmaError, match=words):
        load_preset("mine")
