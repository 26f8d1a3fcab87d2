import signal
import subprocess
import sys
import time

import pytest
from recordings.small_recording import HEIGHT, WIDTH, write_small_recording
from ros.stub_network import StubBackend, stub_contract

from ssma_ros import inference
from ssma_ros.cli.main import main
from ssma_ros.recordings.reader import RecordingReader


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
            "backend": "openvino", "precision": "fp32", "threads": 2, "cache_dir": None, "rebuild_engine": False,
        })
    ]
    said = capsys.readouterr().out
    assert "drive: 3 frames segmented, 0 with every sensor, 3 degraded; 7 topics in" in said
    assert "evi was blank in 3 of 3 frames: the recording has no near-infrared topic" in said
    assert "color /camera/image_rect" in said
    with RecordingReader(tmp_path / "out") as reader:
        assert "/front/confidence/grass" in {t.name for t in reader.topics}


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--topic", "depth:=/nowhere"], "no topic /nowhere for depth"),
        (["--topic", "smell:=/nose"], "topic mapping 'smell:=/nose': expected ROLE:=/topic"),
        (["--outputs", "maks"], "outputs: 'maks' is no output"),
        (["--sync-slop", "-1"], "sync-slop: got -1.0, expected 0 to 10 seconds"),
        (["--min-confidence", "2"], "min-confidence: got 2.0, expected 0 to 1"),
        (["--namespace", "front left"], "namespace: got 'front left', expected a ROS name that begins with /"),
        (["--nir-full-scale", "0"], "nir-full-scale: got 0.0, expected a positive number"),
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
