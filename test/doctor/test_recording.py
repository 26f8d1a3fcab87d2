# SPDX-License-Identifier: Apache-2.0
"""The doctor on recordings, and what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recordings import small_recording
from recordings.small_recording import FRAME_ID, TOPICS, write_small_recording

from ssma_ros.cli.main import main
from ssma_ros.doctor.checks import examine
from ssma_ros.doctor.names import Names
from ssma_ros.doctor.recording import observe_recording
from ssma_ros.doctor.scene import Scene
from ssma_ros.doctor.setup import make_setup
from ssma_ros.recordings import records
from ssma_ros.recordings.typestore import IMAGE
from ssma_ros.recordings.writer import RecordingWriter

PROJECT = Path(__file__).resolve().parents[2]
DRIVE = PROJECT / "demo" / "forest_drive"


def observe(path: Path, **parameters: object) -> Scene:
    return observe_recording(path, make_setup(parameters, Names()), 30.0)[0]


def told(scene: Scene, severity: str = "error") -> dict[str, list[str]]:
    """What is told, by what it is about."""
    findings: dict[str, list[str]] = {}
    for found in examine(scene):
        if found.severity == severity:
            findings.setdefault(found.about, []).append(found.seen)
    return findings


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_recording(tmp_path_factory.mktemp("bags") / "drive", frames=8)


def test_a_healthy_recording(healthy: Path) -> None:
    scene = observe(healthy)
    assert told(scene) == {}
    assert [seen.count for seen in scene.inputs.values()] == [8, 8, 8, 8]
    assert scene.inputs["depth"].encoding == "16UC1"
    assert scene.frame is not None
    assert set(scene.frame.images) == {"color", "depth", "nir"}


def test_the_demo_drive_has_no_errors() -> None:
    scene, findings = observe_recording(DRIVE, make_setup({}, Names()), 1.0)
    assert findings == []
    assert told(scene) == {}
    notes = {found.about: found for found in examine(scene) if found.severity == "note"}
    assert notes["depth"].parameters == {"depth_transport": "compressedDepth"}
    assert notes["depth"].remaps == {}, "its topic is called as the node calls it"


def test_compressed_topics_are_the_nodes_own_where_its_parameters_say_so() -> None:
    transports = {"color_transport": "compressed", "depth_transport": "compressedDepth", "nir_transport": "compressed"}
    scene, _ = observe_recording(DRIVE, make_setup(transports, Names()), 1.0)
    assert told(scene, "note") == {}


def test_what_was_not_recorded(tmp_path: Path) -> None:
    scene = observe(write_small_recording(tmp_path / "drive", frames=6, without=("nir", "camera_info")))
    assert "/nir/image_rect was not recorded: evi is blank" in told(scene, "warning")["nir"][0]
    assert "/camera/camera_info was not recorded" in told(scene)["camera_info"][0]


def test_depth_of_another_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    millimetres = small_recording.depth_mm

    def beside(writer: RecordingWriter, index: int, now: int) -> None:
        pixels = millimetres(index).astype(np.float32)
        writer.write(TOPICS["depth"], IMAGE, records.image(pixels, "32FC1", now, FRAME_ID), now)

    path = write_small_recording(tmp_path / "drive", frames=8, without=("depth",), beside=beside)
    (finding,) = [found for found in examine(observe(path)) if found.check == "values"]
    assert finding.parameters == {"depth_scale": 0.001}
    assert told(observe(path, depth_scale=0.001)) == {}


def test_a_damaged_picture_is_told_and_ends_nothing(tmp_path: Path) -> None:
    def beside(writer: RecordingWriter, index: int, now: int) -> None:
        message = records.image(small_recording.nir(index), "mono8", now, FRAME_ID)
        message.data = message.data[:100]
        writer.write(TOPICS["nir"], IMAGE, message, now)

    path = write_small_recording(tmp_path / "drive", frames=6, without=("nir",), beside=beside)
    (words,) = told(observe(path))["nir"]
    assert words == "6 of 6 images on /nir/image_rect are refused: data is 100 bytes"


def test_a_killed_recorder_is_told(tmp_path: Path) -> None:
    path = write_small_recording(tmp_path / "drive", frames=6)
    (path / "metadata.yaml").unlink()
    _, findings = observe_recording(path, make_setup({}, Names()), 30.0)
    assert ["metadata.yaml" in found.seen for found in findings] == [True]


# --- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["doctor", *arguments])
    return status, capsys.readouterr().out


def test_the_command_on_a_recording(healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "seen.json"
    status, text = run(capsys, str(healthy), "--no-model", "--json", str(file))
    assert status == 0
    assert "16UC1 96x48" in text
    document = json.loads(file.read_text())
    assert (document["format"], document["status"]) == ("ssma-doctor", 0)
    assert document["inputs"][0]["topic"] == "/camera/image_rect"
    assert document["installation"]["packages"]["numpy"]


def test_an_error_is_the_status_and_comes_first_with_its_line(
    healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = run(capsys, str(healthy), "--no-model", "-p", "jpeg_quality:=0", "-p", "sync_slopp:=0.1")
    assert status == 1
    lines = text.splitlines()
    assert lines[0].startswith("ssma doctor")
    assert "1 error" in lines[0]
    assert lines[2].startswith("ERROR    jpeg_quality")
    assert text.index("ERROR") < text.index("warning  parameters") < text.index("\ninputs, recording")
    assert text.rstrip().endswith("/**:\n  ros__parameters:\n    jpeg_quality: 80")


def test_the_whole_command_runs_the_network(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    status, text = run(capsys, str(healthy), "-p", "backend:=onnxruntime", "-p", "threads:=1")
    assert status == 0
    assert "a frame" in text
    assert "ms of the sensors" in text
    assert "onnxruntime" in text


def test_a_preset_names_the_topics(healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "seen.json"
    run(capsys, str(healthy), "--no-model", "--camera", "zed", "--json", str(file))
    wanted = {seen["sensor"]: seen["wanted"] for seen in json.loads(file.read_text())["inputs"]}
    assert wanted["color"] == "/zed/zed_node/rgb/color/rect/image"
    assert "nir" not in wanted, "a ZED has none"


def test_a_network_that_is_not_there_is_an_error(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = run(capsys, str(healthy), "--model", "nowhere")
    assert status == 1
    assert "ERROR    model         model 'nowhere': no such file" in text
