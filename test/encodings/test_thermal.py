# SPDX-License-Identifier: Apache-2.0
"""A thermal camera from its messages and files to network, node, recording and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from preprocessing import cuda_host
from recordings.small_recording import FRAME_ID, HEIGHT, INTRINSICS, PERIOD_NS, START_NS, WIDTH, color
from ros import messages
from ros.stub_network import StubBackend

from ssma_ros.contract import Contract, Stream, parse_contract
from ssma_ros.demo.plan import NodeOptions, node_command, published_topics
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.feeding import make_feed
from ssma_ros.frame import Frame
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.inputs.resident import CudaInputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.messages.catalogue import OutputCatalog
from ssma_ros.messages.plausibility import Plausibility
from ssma_ros.recordings import records
from ssma_ros.recordings.play import PlayOptions, play
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE
from ssma_ros.recordings.writer import RecordingWriter
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.segmenter import Segmenter
from ssma_ros.sensors import readings

LABELS = load_label_set("synthetic_forest")
SIZE = (48, 96)
ZERO_C = 273.15


def contract(*encodings: str, **parameters: Any) -> Contract:
    streams = [Stream("rgb", "rgb"), *(Stream(name, name, parameters=parameters) for name in encodings)]
    return Contract(SIZE[1], SIZE[0], tuple(streams), LABELS)


def picture(kelvin: Any, encoding: str = "thermal", **parameters: Any) -> Any:
    frame = Frame(thermal=np.asarray(kelvin, np.float32))
    return InputEncoder(contract(encoding, **parameters)).encode(frame).inputs[encoding]


def ramp(low: float, high: float) -> np.ndarray:
    return np.tile(np.linspace(low, high, SIZE[1], dtype=np.float32), (SIZE[0], 1))


def test_levels_are_temperatures() -> None:
    kelvin = np.full(SIZE, 288.15, np.float32)
    kelvin[0, :5] = (0.0, 200.0, 263.15, 313.15, 500.0)
    found = picture(kelvin)
    assert found[0, :5, 0].tolist() == [0, 1, 1, 255, 255]
    assert found[1, 0].tolist() == [128, 128, 128]
    assert picture(kelvin, low=288.0, high=289.0)[0, :2, 0].tolist() == [0, 1]


@pytest.mark.parametrize(("low", "high"), [(300, 290), (-1, 290), (290, 290)])
def test_impossible_limits_are_refused_with_the_stream(low: float, high: float) -> None:
    with pytest.raises(SsmaError, match="stream 'thermal': "):
        InputEncoder(contract("thermal", low=low, high=high))


def test_the_window_follows_the_scene_slowly() -> None:
    encoder = InputEncoder(contract("thermal_window", hold=5.0))

    def level(scene: np.ndarray, seconds: float) -> int:
        frame = Frame(round(seconds * 1e9), "", thermal=scene)
        return int(encoder.encode(frame).inputs["thermal_window"][0, 48, 0])

    cool = ramp(280.0, 290.0)
    assert level(cool, 1.0) == pytest.approx(130, abs=4)
    # A fire at the edge: the grey of the middle stays nearly what it was, and follows in a few seconds.
    fire = cool.copy()
    fire[:, -20:] = 600.0
    first = level(fire, 1.1)
    assert first > 80
    for step in range(2, 300):
        last = level(fire, 1.0 + step / 10)
    assert last < 10
    encoder.reset()
    assert level(cool, 40.0) == pytest.approx(130, abs=4)
    assert level(fire, 400.0) < 10, "after a long gap the scene is another one"


def test_an_even_scene_does_not_become_noise() -> None:
    noise = 285.0 + 0.02 * np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    assert np.ptp(picture(noise, "thermal_window")[..., 0].astype(int)) < 20


def test_nothing_measured_is_blank_levels() -> None:
    assert not picture(np.zeros(SIZE), "thermal_window").any()


@pytest.mark.parametrize(
    ("values", "encoding", "settings"),
    [
        (np.uint16([[29315, 0, 27315]]), "16UC1", {}),
        (np.uint16([[29315, 0, 27315]]), "mono16", {}),
        (np.float32([[293.15, np.nan, 273.15]]), "32FC1", {}),
        (np.float32([[20.0, np.nan, 1e-3]]), "32FC1", {"thermal_scale": 1.0, "thermal_offset": ZERO_C}),
        (np.uint16([[2932, 0, 2732]]), "16UC1", {"thermal_scale": 0.1}),
        (np.uint16([[1200, 0, 1000]]), "mono16", {"thermal_scale": 0.1, "thermal_offset": 173.15}),
        (np.uint16([[29315, 65535, 27315]]), "16UC1", {"thermal_invalid": [65535]}),
    ],
    ids=["TLinear", "mono16", "kelvin", "celsius", "low resolution", "optris", "marker"],
)
def test_what_the_drivers_send_is_kelvin(values: Any, encoding: str, settings: dict[str, Any]) -> None:
    moment = {
        "color": messages.image(np.zeros((1, 3, 3), np.uint8), "bgr8"), "thermal": messages.image(values, encoding)
    }
    frame = assemble_frame(moment, None, AssemblyOptions(readings=readings(settings)))
    np.testing.assert_allclose(frame.thermal, [[293.15, 0.0, 273.15]], atol=0.06)


def test_a_picture_without_temperatures_and_raw_counts_are_told() -> None:
    moment = {"color": messages.image(np.zeros((*SIZE, 3), np.uint8), "bgr8"),
              "thermal": messages.image(np.zeros(SIZE, np.uint8), "mono8")}
    frame = assemble_frame(moment)
    assert "topic thermal/image_rect: encoding is 'mono8', expected one of 16UC1" in frame.missing["thermal"]
    plausibility = Plausibility()
    raw = Frame(thermal=np.full(SIZE, 78.0, np.float32))  # 14-bit counts taken for hundredths of a kelvin
    for _ in range(5):
        said = plausibility.look(raw)
    assert "the median is 78 K" in said["thermal"]
    assert "thermal_scale" in said["thermal"]


def test_the_gpu_makes_the_same_and_steps_down_where_it_cannot() -> None:
    network = contract("thermal")
    device = cuda_host.host_device()
    targets = {name: device.allocate(3 * SIZE[0] * SIZE[1]) for name in network.modalities}
    frame = Frame(
        color=np.full((60, 120, 3), 9, np.uint8),
        thermal=np.random.default_rng(0).uniform(250, 330, (60, 120)).astype(np.float32),
    )
    gpu = CudaInputEncoder(network, device, targets)
    encoded = gpu.encode(frame)
    gpu.collect(encoded, inputs=True)
    expected = InputEncoder(network).encode(frame).inputs
    assert np.abs(encoded.inputs["thermal"].astype(int) - expected["thermal"]).max() <= 1
    gpu.close()
    with pytest.raises(SsmaError, match=r"encoding 'thermal_window' .* is made on the processor only"):
        CudaInputEncoder(contract("thermal_window"), device, targets)
    assert make_feed(StubBackend(contract("thermal_window"))).preprocessing == "cpu"


def recording_of(folder: Path, count: int = 3) -> Path:
    path = folder / "drive"
    with RecordingWriter(path) as writer:
        for i in range(count):
            stamp = START_NS + i * PERIOD_NS
            warm = np.full((HEIGHT, WIDTH), 29315, np.uint16)
            info = records.camera_info(INTRINSICS, stamp, FRAME_ID)
            writer.write("/camera/camera_info", CAMERA_INFO, info, stamp)
            writer.write("/camera/image_rect", IMAGE, records.image(color(i), "bgr8", stamp, FRAME_ID), stamp)
            writer.write("/boson/thermal/image_rect", IMAGE, records.image(warm, "16UC1", stamp, FRAME_ID), stamp)
    return path


def test_a_recording_is_played(tmp_path: Path) -> None:
    network = contract("thermal")
    recording = recording_of(tmp_path)
    options = PlayOptions(outputs=["mask", "thermal"])
    result = play(recording, tmp_path / "out", lambda: Segmenter(StubBackend(network)), options)
    assert (result.frames, dict(result.blank)) == (3, {})
    with RecordingReader(tmp_path / "out") as reader:
        shown = [reader.deserialize(m) for m in reader.messages(["/ssma_fusion/thermal"])]
    assert (shown[0].encoding, set(np.asarray(shown[0].data))) == ("mono8", {153})
    assert "thermal" in [output.topic for output in OutputCatalog(network).outputs]


def test_the_demo_feeds_it_to_the_node(tmp_path: Path) -> None:
    with RecordingReader(recording_of(tmp_path)) as reader:
        topics = find_input_topics(reader.topics, "drive")
    publish = published_topics(contract("thermal"), topics)
    assert publish["thermal"] == "/thermal/image_rect"
    command = node_command(NodeOptions("x"), topics, publish)
    assert "thermal_source:=image" in command
    assert "depth_source:=none" in command


def test_the_node_has_its_parameters() -> None:
    parameters = FusionParameters.from_values({"thermal_scale": 0.1, "thermal_invalid": [7.0]})
    assert (parameters.thermal_source, parameters.thermal_transport) == ("image", "raw")
    assert readings(vars(parameters))["thermal"].invalid == (7.0,)


def test_train_evaluate_and_look(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from ssma_ros.cli.main import main

    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    for split in ("train", "val"):
        for i in range(2):
            pictures = {"rgb": rng.integers(0, 256, (32, 64, 3), np.uint8),
                        "thermal": rng.integers(27000, 30000, (32, 64)).astype(np.uint16),
                        "label": rng.integers(0, 5, (32, 64)).astype(np.uint8)}
            for folder, image in pictures.items():
                path = data / split / folder / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
    streams = [{"name": "rgb", "encoding": "bgr"}, {"name": "warm", "encoding": "thermal_window"}]
    config = {
        "name": "tiny", "threads": 1, "tensorboard": False, "data": {"kind": "folder"},
        "contract": {"width": 64, "height": 32, "labels": "synthetic_forest", "streams": streams, "network": {
            "name": "SSMA", "preset": "forest-mobilenet", "modalities": ["rgb", "warm"], "width": 0.25}},
        "stages": [{"steps": 1, "batch_size": 2, "lr": 1e-3}],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run, report = tmp_path / "run", tmp_path / "report"
    assert main(["train", str(tmp_path / "config.yaml"), "--data", str(data), "-o", str(run), "--quiet"]) == 0
    assert main(["evaluate", str(run / "model"), str(data), "-o", str(report), "--quiet"]) == 0
    document = json.loads((report / "report.json").read_text())
    assert {"all sensors", "no thermal", "no color"} <= {result["case"] for result in document["results"]}
    trained = parse_contract(json.loads((run / "model/contract.json").read_text()), "run")
    assert trained.streams[1].sensors == ("thermal",)


def test_a_threads_option_does_not_change_it() -> None:
    frame = Frame(color=np.zeros((*SIZE, 3), np.uint8), thermal=ramp(260, 320))
    options = (EncoderOptions(preprocessing_threads=n) for n in (1, 2))
    one, two = (InputEncoder(contract("thermal"), o).encode(frame).inputs for o in options)
    np.testing.assert_array_equal(one["thermal"], two["thermal"])
