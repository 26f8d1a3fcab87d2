# SPDX-License-Identifier: Apache-2.0
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from recordings.small_recording import (
    FRAME_ID,
    HEIGHT,
    INTRINSICS,
    TOPICS,
    WIDTH,
    nir_camera,
    stamp,
    write_small_recording,
)
from ros.stub_network import StubBackend, stub_contract

from ssma_ros import inference
from ssma_ros.cli._node_parameters import read_params_file
from ssma_ros.cli.main import main
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.messages.assemble import AssemblyOptions, assemble_frame
from ssma_ros.options import part
from ssma_ros.recordings import records as messages
from ssma_ros.recordings.frames import RecordedFrames
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import find_input_topics
from ssma_ros.recordings.typestore import CAMERA_INFO, IMAGE
from ssma_ros.recordings.writer import RecordingWriter
from ssma_ros.ros.parameters import FusionParameters
from ssma_ros.segmenter import Segmenter, SegmenterOptions
from ssma_ros.sensors import FROM_TF, readings


@pytest.fixture
def stub_network(monkeypatch):
    asked = []

    def load(model, **options):
        asked.append((model, options))
        return StubBackend(stub_contract(WIDTH, HEIGHT))

    monkeypatch.setattr(inference, "load_backend", load)
    return asked


def test_play_says_what_it_did(tmp_path, stub_network, capsys):
    drive = write_small_recording(tmp_path / "drive", without=["nir"])
    network = ["--model", "m", "--backend", "openvino", "--precision", "fp32", "--threads", "2"]
    outputs = ["--outputs", "mask,confidence/*", "--namespace", "/front"]
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), *network, *outputs]) == 0
    assert stub_network == [
        ("m", {
            "backend": "openvino", "precision": "fp32", "threads": 2, "cache_dir": "", "rebuild_engine": False,
        })
    ]
    said = capsys.readouterr().out
    assert "drive: 3 frames segmented, 0 with every sensor, 3 degraded; 7 topics in" in said
    assert "evi was blank in 3 of 3 frames: the recording has no near-infrared topic" in said
    assert "color /camera/image_rect" in said
    with RecordingReader(tmp_path / "out") as reader:
        assert "/front/confidence/grass" in {t.name for t in reader.topics}


@pytest.mark.parametrize("how", [["-p", "depth_source:=none"], ["--topic", "depth:=none"]])
def test_a_sensor_that_was_left_out_is_not_looked_for(tmp_path, stub_network, capsys, how):
    drive = write_small_recording(tmp_path / "drive")
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), *how]) == 0
    said = capsys.readouterr().out
    assert "hha was blank in 3 of 3 frames: depth is left out, as the parameters or --topic say" in said
    assert "the recording has no" not in said


def test_a_colour_topic_that_was_given_to_another_sensor_is_told(tmp_path, stub_network, capsys):
    drive = write_small_recording(tmp_path / "drive")
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), "--topic", "depth:=/camera/image_rect"]) == 1
    assert "; /camera/image_rect is taken for depth; name one with --topic color:=" in capsys.readouterr().err


def test_outputs_follow_the_parameters_that_make_them(tmp_path, stub_network):
    drive = write_small_recording(tmp_path / "drive")
    asked = ["-p", "class_confidence_topics:=[grass]", "-p", "class_confidence_encoding:=32FC1"]
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), "--outputs", "confidence/*", *asked]) == 0
    with RecordingReader(tmp_path / "out") as reader:
        assert [t.name for t in reader.topics if "/confidence/" in t.name] == ["/ssma_fusion/confidence/grass"]
        (first, *_) = reader.messages(["/ssma_fusion/confidence/grass"])
        assert reader.deserialize(first).encoding == "32FC1"


def test_an_earlier_recording_is_replaced_only_when_asked(tmp_path, stub_network, capsys):
    drive = write_small_recording(tmp_path / "drive")
    command = ["play", str(drive), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    assert main(command) == 1
    assert "exists already, expected a new name, or --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--topic", "depth:=/nowhere"], "no topic /nowhere for depth"),
        (["--topic", "smell:=/nose"], "topic mapping 'smell:=/nose': expected ROLE:=/topic"),
        (["--outputs", "maks"], "outputs: 'maks' is no output"),
        (["--sync-slop", "-1"], "sync-slop: got -1.0, expected 0 to 10"),
        (["--min-confidence", "2"], "min-confidence: got 2.0, expected 0 to 1"),
        (["--namespace", "front left"], "namespace: got 'front left', expected a ROS name that begins with /"),
        (["-p", "camera_hight:=1.2"], "parameter 'camera_hight' is unknown, expected 'camera_height'"),
        (["-p", "camera_height"], "argument 'camera_height', expected NAME:=VALUE"),
        (["-p", "camera_height:=high"], "parameter camera_height is 'high', expected a finite real number"),
        (["-p", "camera_height:=99.0"], "parameter camera_height is 99.0, expected 0 to 20"),
        (["--params-file", "nowhere.yaml"], "parameter file nowhere.yaml: no such file"),
        (["--nir-full-scale", "0"], "nir-full-scale: got 0.0, expected 1 to 65535"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(tmp_path, stub_network, capsys, extra, sentence):
    drive = write_small_recording(tmp_path / "drive")
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), *extra]) == 1
    error = capsys.readouterr().err
    assert f"ssma: {sentence}" in error or sentence in error
    assert "Traceback" not in error
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_a_model_that_is_not_there_is_one_sentence(tmp_path, capsys):
    drive = write_small_recording(tmp_path / "drive")
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), "--model", "absent"]) == 1
    assert "ssma: model 'absent': no such file" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(tmp_path, number):
    """Of a real process, in the middle of a recording that would take a minute and a half."""
    drive = write_small_recording(tmp_path / "drive", frames=200)
    code = (
        "import sys; from ros.stub_network import StubBackend, stub_contract; from ssma_ros import inference\n"
        "from ssma_ros.cli.main import main\n"
        f"inference.load_backend = lambda model, **_: StubBackend(stub_contract({WIDTH}, {HEIGHT}), delay_s=0.5)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "play", str(drive), "-o", str(tmp_path / "out")],
        stderr=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.partial-*/out/*")):
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline, "the output was never begun"
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "ssma: interrupted" in error.decode()
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


def test_every_message_is_accounted_for(tmp_path, stub_network, capsys):
    """One truncated colour image, one missing, depth whose stamps are 60 ms late from the fourth on."""
    drive = write_small_recording(tmp_path / "whole", frames=6)
    with RecordingReader(drive) as reader, RecordingWriter(tmp_path / "drive") as writer:
        for m in reader.messages():
            if m.topic == TOPICS["color"] and m.stamp_ns == stamp(4):
                continue
            data = bytearray(m.data)
            if m.topic == TOPICS["depth"] and m.stamp_ns >= stamp(3):
                data[8:12] = (int.from_bytes(data[8:12], "little") + 60_000_000).to_bytes(4, "little")
            bad = m.topic == TOPICS["color"] and m.stamp_ns == stamp(1)
            writer.write_serialized(m.topic, m.type, bytes(data[:500] if bad else data), m.stamp_ns)
    assert main(["play", str(tmp_path / "drive"), "-o", str(tmp_path / "out")]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("drive: 4 frames segmented, 3 with every sensor, 1 degraded; ")
    assert "color /camera/image_rect: 5 read, 4 used, 1 refused" in lines
    assert "depth /depth/image_rect: 6 read, 3 used, 3 unused" in lines
    assert "nir /nir/image_rect: 6 read, 4 used, 2 unused" in lines
    (refused,) = (line for line in lines if line.startswith("refused 1: "))
    assert "message on /camera/image_rect" in refused
    assert f"(at {stamp(1) * 1e-9:.3f} s)" in refused
    assert (
        "hha was blank in 1 of 4 frames: nearest depth was 60 ms after the driving image, sync_slop is 50 ms" in lines
    )


def test_a_recording_whose_every_image_is_refused_is_an_error(tmp_path, stub_network, capsys):
    drive = write_small_recording(tmp_path / "whole", frames=3)
    with RecordingReader(drive) as reader, RecordingWriter(tmp_path / "drive") as writer:
        for m in reader.messages():
            writer.write_serialized(m.topic, m.type, m.data[:60] if m.topic == TOPICS["color"] else m.data, m.stamp_ns)
    assert main(["play", str(tmp_path / "drive"), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "no usable driving image on /camera/image_rect (refused 3: " in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("reader_gone", ["at once", "never"])
def test_play_into_head_is_no_traceback(tmp_path, reader_gone):
    drive = write_small_recording(tmp_path / "drive")
    code = (
        "import sys; from ros.stub_network import StubBackend, stub_contract; from ssma_ros import inference\n"
        "from ssma_ros.cli.main import main\n"
        f"inference.load_backend = lambda model, **_: StubBackend(stub_contract({WIDTH}, {HEIGHT}))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "play", str(drive), "-o", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    if reader_gone == "at once":
        process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert process.wait(60) == (141 if reader_gone == "at once" else 0)
    assert (tmp_path / "out" / "metadata.yaml").exists()  # what was asked for is done all the same


class SeeingBackend(StubBackend):
    """Keeps what it is given."""

    def __init__(self, contract) -> None:
        super().__init__(contract)
        self.seen: list[dict[str, np.ndarray]] = []

    def infer(self, inputs, present, outputs=("mask", "confidence")):
        self.seen.append({name: image.copy() for name, image in inputs.items()})
        return super().infer(inputs, present, outputs)


def tilting_moments(frames: int) -> list[dict[str, object]]:
    """A camera over a floor that pitches from frame to frame, as on rough ground: gravity is not the same in each."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ray_x, ray_y = (columns - INTRINSICS.cx) / INTRINSICS.fx, (rows - INTRINSICS.cy) / INTRINSICS.fy
    moments = []
    for index in range(frames):
        pitch = np.radians(25 + 12 * (index % 2))
        down = np.cos(pitch) * ray_y + np.sin(pitch)
        depth = np.where(down > 0.1, 1.1 / np.maximum(down, 0.1), 0.0) * (1 + 0.05 * np.sin(9 * ray_x))
        made = {"color": (random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), "bgr8"),
                "depth": ((1000 * depth).astype(np.uint16), "16UC1"),
                "nir": (random.integers(0, 4096, (HEIGHT, WIDTH)).astype(np.uint16), "mono16")}  # fmt: skip
        moments.append({role: messages.image(*image, stamp(index), FRAME_ID) for role, image in made.items()})
    return moments


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"camera_height": 1.1, "gravity_smoothing": 2.0, "nir_full_scale": 4095.0},
        {"gravity_guard": False, "gravity_smoothing": 0.0, "depth_scale": 0.0005},
    ],
)
@pytest.mark.parametrize("form", ["file", "arguments"])
def test_play_gives_the_network_what_the_node_gives_it(tmp_path, monkeypatch, parameters, form):
    moments = tilting_moments(8)
    info = messages.camera_info(INTRINSICS, stamp(0), FRAME_ID)
    with RecordingWriter(tmp_path / "drive") as writer:
        writer.write(TOPICS["camera_info"], CAMERA_INFO, info, stamp(0))
        for index, moment in enumerate(moments):
            for role, message in moment.items():
                writer.write(TOPICS[role], IMAGE, message, stamp(index))
    played = SeeingBackend(stub_contract(WIDTH, HEIGHT))
    monkeypatch.setattr(inference, "load_backend", lambda model, **_: played)
    options = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
    if form == "file":
        document = {"/**": {"ros__parameters": {"use_sim_time": True}}, "front": {"ros__parameters": parameters}}
        (tmp_path / "fusion.yaml").write_text(json.dumps(document))
        options = ["--params-file", str(tmp_path / "fusion.yaml")]
    assert main(["play", str(tmp_path / "drive"), "-o", str(tmp_path / "out"), *options]) == 0

    node = FusionParameters.from_values(parameters)
    backend = SeeingBackend(stub_contract(WIDTH, HEIGHT))
    segmenter = Segmenter(backend, part(SegmenterOptions, node), part(EncoderOptions, node), node.preprocessing_device)
    segmenter.warm_up()
    plain = InputEncoder(backend.contract)
    differs = False
    for moment in moments:
        frame = assemble_frame(moment, info, part(AssemblyOptions, node, readings=readings(vars(node))))
        segmenter(frame)
        differs |= not np.array_equal(plain.encode(frame).inputs["hha"], backend.seen[-1]["hha"])
    assert len(played.seen) == len(backend.seen) == 1 + len(moments)
    for ours, theirs in zip(played.seen, backend.seen, strict=True):
        assert ours.keys() == theirs.keys() == {"rgb", "hha", "evi"}
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    # The robot's options change something here, so that equality says something.
    assert differs == (parameters.get("gravity_smoothing") != 0.0)


def test_what_play_cannot_take_from_a_recording_is_said(tmp_path, stub_network, capsys):
    drive = write_small_recording(tmp_path / "drive")
    options = ["-p", "gravity_frame:=odom", "-p", "register_depth:=true", "-p", "nir_source:=none"]
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), *options]) == 0
    said = capsys.readouterr()
    assert "gravity_frame 'odom' is not used, gravity is estimated from depth: the recording has no tf" in said.out
    assert "depth /depth/image_rect: 3 read, 3 used" in said.out  # of colour's frame_id, so registered already
    assert "evi was blank in 3 of 3 frames: near infrared is left out, as the parameters or --topic say" in said.out


def test_play_registers_by_tf_and_copies_it(tmp_path, stub_network, capsys):
    drive = write_small_recording(tmp_path / "drive", without=("nir",), beside=nir_camera)
    out = tmp_path / "out"
    options = ["-p", "register_nir:=true", "-p", "gravity_frame:=odom", "--copy-inputs", "--outputs", "mask"]
    assert main(["play", str(drive), "-o", str(out), *options]) == 0
    assert "3 frames segmented, 3 with every sensor" in capsys.readouterr().out
    with RecordingReader(out) as reader:
        counts = {topic.name: topic.count for topic in reader.topics}
    assert counts["/tf_static"] == 1
    assert counts["/tf"] == 3
    assert counts["/nir/camera_info"] == 3
    assembly = AssemblyOptions(gravity_frame="odom", registered={"nir": FROM_TF})
    with RecordingReader(out) as reader:
        again = RecordedFrames(reader, find_input_topics(reader.topics, "out"), assembly=assembly)
        assert [list(recorded.frame.cameras) for recorded in again.read()] == [["nir"]] * 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 3", "has no 'ros__parameters'"),
        ("- 1", "has no 'ros__parameters'"),
        ("a: {ros__parameters: {model: x}}\nb: {ros__parameters: {model: y}}", "holds parameters of a, b, expected"),
        ("a: {ros__parameters: {modle: x}}", "parameter 'modle' is unknown, expected 'model'"),
    ],
)
def test_parameter_files_that_are_none(tmp_path, stub_network, capsys, text, sentence):
    drive = write_small_recording(tmp_path / "drive")
    (tmp_path / "fusion.yaml").write_text(text)
    options = ["--params-file", str(tmp_path / "fusion.yaml")]
    assert main(["play", str(drive), "-o", str(tmp_path / "out"), *options]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_parameters_of_the_node_among_several(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "/**: {ros__parameters: {camera_height: 1.0, model: a}}\nfront:\n  ssma_fusion: {ros__parameters: {model: b}}\n"
        "camera: {ros__parameters: {exposure: 3}}\n"
    )
    assert read_params_file(path) == {"camera_height": 1.0, "model": "b"}
