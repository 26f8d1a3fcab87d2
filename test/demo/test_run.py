# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: real player, real node, real recorder; only the network is a stub."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings.small_recording import HEIGHT, WIDTH, stamp, write_small_recording
from ros.stub_network import stub_contract
from small_disks import FULL, tiny_file_system
from test_cameras import REALSENSE, write_drive

from ssma_ros.cameras import settings_of
from ssma_ros.contract import save_contract
from ssma_ros.demo.plan import NodeOptions
from ssma_ros.demo.run import RECORDING, SHEET, SUMMARY, VIDEO, DemoOptions, run_demo
from ssma_ros.errors import SsmaError
from ssma_ros.recordings.reader import RecordingReader

pytest.importorskip("rclpy", reason="needs rclpy (make test installs it)")
STUB_NODE = Path(__file__).parents[1] / "ros" / "stub_network.py"
FRAMES = 12


class Listener:
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.frames = 0
        self.events: list[str] = []

    def stage(self, words: str) -> None:
        self.stages.append(words)

    def playing(self, frames: int) -> None:
        self.frames = frames

    def event(self, name: str) -> None:
        self.events.append(name)


@pytest.fixture
def node(tmp_path, monkeypatch) -> NodeOptions:
    monkeypatch.setenv("SSMA_STUB_SIZE", f"{WIDTH}x{HEIGHT}")
    # Before what is there: under ROS the messages and rclpy come by PYTHONPATH.
    paths = [str(STUB_NODE.parents[2]), str(STUB_NODE.parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    model = tmp_path / "network"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"")  # the stub node does not open it
    save_contract(stub_contract(WIDTH, HEIGHT), model / "contract.json")
    return NodeOptions(str(model), program=(str(STUB_NODE),))


def options_for(tmp_path: Path, node: NodeOptions, **recording) -> DemoOptions:
    drive = write_small_recording(tmp_path / "drive", frames=FRAMES, compressed=True, **recording)
    return DemoOptions(recording=drive, output=tmp_path / "out", node=node)


@pytest.mark.slow
def test_demo_leaves_video_sheet_recording_and_summary(tmp_path, node):
    listener = Listener()
    summary = run_demo(options_for(tmp_path, node), listener)
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == sorted([VIDEO, SHEET, RECORDING, SUMMARY])
    assert json.loads((out / SUMMARY).read_text()) == summary
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drive", "network", "out"]

    frames = summary["frames"]
    assert frames["published"] == FRAMES == listener.frames
    assert frames["segmented"] + frames["dropped"] == FRAMES
    assert frames["segmented"] == listener.events.count("mask") > 0
    assert frames["degraded"] == 0
    assert summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] <= summary["latency_ms"]["max"]
    assert summary["rate_hz"] > 0
    assert summary["node"]["published"] == frames["segmented"]
    assert {"waiting", "preprocessing", "inference", "publishing"} <= set(summary["node"]["stages_ms"])
    assert summary["node"]["identity"] == "stub"
    # Labels are class 1 below, 0 above; the stub says red // 64 whatever the row.
    assert summary["accuracy"]["frames"] == frames["segmented"]
    assert 0.0 < summary["accuracy"]["miou"] < 1.0

    sheet = cv2.imread(str(out / SHEET))
    assert sheet is not None
    assert sheet.shape[1] > 1900
    video = cv2.VideoCapture(str(out / VIDEO))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    with RecordingReader(out / RECORDING) as reader:
        counts = {t.name: t.count for t in reader.topics}
        first = reader.deserialize(next(reader.messages(["/ssma_fusion/mask"])))
    assert counts["/ssma_fusion/mask"] == counts["/ssma_fusion/overlay/compressed"] == frames["segmented"]
    assert 1 <= counts["/ssma_fusion/hha"] <= 3
    assert first.header.stamp.sec * 10**9 + first.header.stamp.nanosec >= stamp(0)
    assert set(np.unique(first.data)) == {0, 1, 2}


@pytest.mark.slow
def test_demo_without_near_infrared_is_degraded_and_replaces_an_earlier_demo(tmp_path, node):
    out = tmp_path / "out"
    out.mkdir()
    (out / SUMMARY).write_text("{}")
    summary = run_demo(options_for(tmp_path, node, without=["nir", "label"]), Listener())
    assert summary["frames"]["degraded"] == summary["frames"]["segmented"] > 0
    assert summary["accuracy"] is None
    assert (out / VIDEO).is_file()


@pytest.mark.slow
def test_a_camera_with_its_preset_and_near_infrared_of_its_own(tmp_path, node):
    """The place of the near-infrared camera comes from the recording's tf, which the player does not publish."""
    topics, parameters = settings_of("realsense_d435")
    drive = write_drive(tmp_path / "drive", REALSENSE, dict(topics))
    asked = [f"{role}:={topic}" for role, topic in topics.items() if role != "depth_camera_info"]
    options = DemoOptions(drive, tmp_path / "out", replace(node, parameters=parameters), topics=asked)
    summary = run_demo(options, Listener())
    assert summary["frames"]["published"] == summary["frames"]["segmented"] == 2
    assert summary["frames"]["degraded"] == 0, "every sensor is there, registered"
    assert cv2.imread(str(tmp_path / "out" / SHEET)) is not None


def test_demo_says_why_the_node_cannot_start_and_leaves_nothing(tmp_path, node):
    broken = NodeOptions(node.model)  # the real node, which does open the empty file
    with pytest.raises(SsmaError, match=r"the fusion node ended with status 1: .*model\.onnx"):
        run_demo(options_for(tmp_path, broken), Listener())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drive", "network"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rate": 0.0}, "rate: got 0.0, expected a positive number"),
        ({"topics": ["color:=/nowhere"]}, "no topic /nowhere for color"),
        ({"recording": Path("/absent")}, "no such file or folder"),
        ({"node": NodeOptions("/absent.onnx")}, r"/absent\.onnx: no such file"),
        ({"output": Path(__file__).parent}, "exists already"),
    ],
)
def test_demo_refuses_bad_input_before_it_starts_anything(tmp_path, node, change, sentence):
    options = options_for(tmp_path, node)
    listener = Listener()
    with pytest.raises(SsmaError, match=sentence):
        run_demo(DemoOptions(**{**vars(options), **change}), listener)
    assert listener.stages == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [8_192, 60_000], ids=["recording", "picture"])
def test_demo_says_that_the_disk_is_full_and_leaves_nothing(tmp_path, node, size):
    options = options_for(tmp_path, node)
    with tiny_file_system(tmp_path / "disk", size) as disk:
        with pytest.raises(SsmaError, match=f"cannot be .*({FULL})"):
            run_demo(replace(options, output=disk / "out"), Listener())
        assert list(disk.iterdir()) == []
