# SPDX-License-Identifier: Apache-2.0
"""Every command looks at what it will read and write before it works; a refusal is one sentence and leaves nothing."""

from __future__ import annotations

import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ssma_ros import cli
from ssma_ros.cli.main import main

PROJECT = Path(__file__).resolve().parents[2]
DRIVE = str(PROJECT / "demo" / "forest_drive")
SHIPPED = PROJECT / "ssma_ros" / "weights" / "forest_rgb_hha_evi"
GRAPH = str(SHIPPED / "model.onnx")
#: Text where nothing can be: ``file`` is a file, ``folder`` a folder with somebody's thesis, ``nowhere`` is not there.
CASES: dict[str, list[tuple[str, str]]] = {
    "assemble": [
        ("average rgb=nowhere -o new", "model 'nowhere': no such file"),
        ("average rgb=forest_rgb_hha_evi -o file/inside", "file is a file, expected a folder"),
        ("average rgb=forest_rgb_hha_evi -o folder", "folder: exists already, expected a new name"),
        ("average rgb -o new", "'rgb' is not a member, expected STREAM=MODEL"),
    ],
    "benchmark inference": [
        ("--json nowhere/x.json", "folder nowhere does not exist"),
        ("--markdown nowhere/x.md", "folder nowhere does not exist"),
        ("--models file/inside", "file is a file, expected a folder"),
        ("--add --json folder", "folder: is a folder, expected the name of a file"),
    ],
    "benchmark node": [
        ("-o nowhere/x.json", "folder nowhere does not exist"),
        ("-o folder", "folder: is a folder, expected the name of a file"),
        ("--model nowhere", "model 'nowhere': no such file"),
        ("--size x", "size: got 'x', expected WIDTHxHEIGHT"),
    ],
    "benchmark preprocessing": [
        ("--json nowhere/x.json", "folder nowhere does not exist"),
        ("--json folder", "folder: is a folder, expected the name of a file"),
        ("--sizes x", "sizes: got 'x', expected WIDTHxHEIGHT"),
    ],
    "build-engine": [
        ("nowhere.onnx -o new.engine", "nowhere.onnx: no such file"),
        (f"{GRAPH} -o nowhere/x.engine", "folder nowhere does not exist"),
        (f"{GRAPH} -o new.plan", "expected a name that ends in .engine"),
        ("junk.onnx -o new.engine", "junk"),
    ],
    "bundle": [
        ("nowhere new", "model 'nowhere': no such file"),
        ("forest_rgb_hha_evi file/inside", "file is a file, expected a folder"),
    ],
    "compare": [
        ("nowhere.yaml", "nowhere.yaml: no such file"),
        ("compare.yaml --data nowhere", "data set nowhere: no such folder"),
        ("compare.yaml --data folder -o file/inside", "file is a file, expected a folder"),
        ("compare.yaml --data folder --cache file/inside", "file is a file, expected a folder"),
        ("compare.yaml", "data.root is empty"),
    ],
    "demo": [
        ("nowhere -o new", "recording nowhere: no such file or folder"),
        (f"{DRIVE} -o file/inside", "file is a file, expected a folder"),
        (f"{DRIVE} -o folder", "folder: exists already, expected a new name"),
        (f"{DRIVE} -o new --model nowhere", "model 'nowhere': no such file"),
    ],
    "doctor": [
        ("nowhere", "recording nowhere: no such file or folder"),
        ("--json nowhere/x.json", "folder nowhere does not exist"),
        ("--json folder", "folder: is a folder, expected the name of a file"),
        ("--params-file nowhere.yaml", "nowhere.yaml: no such file"),
        ("-p rate", "'rate', expected NAME:=VALUE"),
        ("-r camera", "remapping 'camera', expected FROM:=TO"),
        ("--camera nowhere", "camera 'nowhere': no such preset"),
        ("--topic colour:=/x", "topic mapping 'colour:=/x': expected ROLE:=/topic"),
        ("--seconds -1", "seconds: got -1, expected more than 0"),
    ],
    "evaluate": [
        ("nowhere folder", "model 'nowhere': no such file"),
        ("forest_rgb_hha_evi nowhere", "data set nowhere: no such folder"),
        ("forest_rgb_hha_evi data -o file/inside", "file is a file, expected a folder"),
        ("forest_rgb_hha_evi data -o folder", "folder: exists already, expected a new name"),
        ("forest_rgb_hha_evi data --cache file/inside", "file is a file, expected a folder"),
    ],
    "export": [
        ("nowhere -o new.onnx", "model 'nowhere': no such file"),
        ("forest_rgb_hha_evi -o nowhere/new.onnx", "folder nowhere does not exist"),
        ("forest_rgb_hha_evi -o new.pt", "expected a name that ends in .onnx"),
        ("forest_rgb_hha_evi -o new.onnx --precision int8", "expected --calibration SOURCE"),
        ("forest_rgb_hha_evi -o new.onnx --precision int8 --calibration nowhere", "nowhere: no such file or folder"),
        ("forest_rgb_hha_evi -o new.onnx --calibration data/test", "data/test: no such file or folder"),
    ],
    "extract": [
        ("nowhere -o new", "recording nowhere: no such file or folder"),
        (f"{DRIVE} -o file/inside", "file is a file, expected a folder"),
        (f"{DRIVE} -o folder", "folder: exists and was not made by ssma extract"),
        (f"{DRIVE} -o new --labels nowhere", "label set 'nowhere': no such set"),
        (f"{DRIVE} -o new --sensors colour", "sensors: got 'colour', expected some of color"),
        (f"{DRIVE} -o new --val 1", "val is 1, expected a share"),
        (f"{DRIVE} -o new --split a/b", "split is 'a/b', expected the name of a folder"),
        (f"{DRIVE} -o new --every-metres 1", "has no nav_msgs/msg/Odometry"),
        (f"{DRIVE} -o new --choose -3", "choose is -3, expected 1 or more"),
        (f"{DRIVE} -o new --choose 3 --model nowhere", "model 'nowhere': no such file"),
        (f"{DRIVE} -o new --processes 0", "processes is 0, expected at least 1"),
    ],
    "import-checkpoint": [
        ("nowhere --labels cityscapes11 -o new.safetensors", "nowhere"),
        ("folder --labels cityscapes11 -o file/inside.safetensors", "file is a file, expected a folder"),
        ("folder --labels cityscapes11 -o folder.safetensors", "folder"),
        ("folder --labels nowhere -o new.safetensors", "label set 'nowhere': no such set"),
        ("folder --labels cityscapes11 -o new.pt", "expected a name that ends in .safetensors"),
    ],
    "init": [
        ("nowhere -o new.yaml", "data set nowhere: no such folder"),
        ("folder -o new.yaml --labels synthetic_forest", "no folder train/label"),
        ("data -o nowhere/x.yaml --labels synthetic_forest", "folder nowhere does not exist"),
    ],
    "inspect": [
        ("nowhere", "model 'nowhere': no such file"), ("nowhere.onnx", "nowhere.onnx: no such file"),
        ("folder", "no such file"),
    ],
    "labels check": [
        ("nowhere", "data set nowhere: no such folder"),
        ("data", "data set data: has no labels.json"),
        ("data --labels synthetic_forest -o file/inside", "file is a file, expected a folder"),
        ("data --labels synthetic_forest -o folder", "folder: exists already, expected a new name"),
        ("data --labels synthetic_forest --model nowhere", "model 'nowhere': no such file"),
        ("data --labels scannet20 --model forest_rgb_hha_evi", "network: has the classes trail, grass"),
    ],
    "labels export": [
        ("nowhere -o new --format ids", "data set nowhere: no such folder"),
        ("data -o new --format ids", "data set data: has no labels.json"),
        ("data -o new --format ids --labels nowhere", "label set 'nowhere': no such set"),
        ("data -o new --format ids --split test", "has no split 'test' with pictures, expected one of train, val"),
        ("data -o file/inside --format ids --labels synthetic_forest --split val", "file is a file, expected a folder"),
        ("data -o folder --format ids --labels synthetic_forest --split val", "folder: exists already"),
        ("data -o nowhere/x.zip --format ids --labels synthetic_forest --split val", "folder nowhere does not exist"),
        ("data -o new --format ids --labels synthetic_forest", "picture '0' is in train and in val"),
    ],
    "labels import": [
        ("folder -o nowhere --format ids", "data set nowhere: no such folder"),
        ("nowhere -o data --format ids --labels synthetic_forest --split val", "nowhere: no such file or folder"),
        ("folder -o data --format ids --labels synthetic_forest --split val", "labels folder: holds no pictures"),
        ("file -o data --format coco --labels synthetic_forest --split val", "file: cannot be read as JSON"),
        ("folder -o data --format ids --labels synthetic_forest --map a", "map 'a': expected NAME=CLASS"),
        ("folder -o data --format ids --labels synthetic_forest --map a=skyy", "('sky' may be meant)"),
    ],
    "labels prelabel": [
        ("nowhere", "data set nowhere: no such folder"),
        ("data --model nowhere", "model 'nowhere': no such file"),
        ("data --labels nowhere", "label set 'nowhere': no such set"),
        ("data --labels cityscapes11 --map trail=roads", "expected one of"),
        ("data --labels scannet20", "network: has the classes trail, grass"),
        ("data --min-confidence 80", "min-confidence is 80, expected 0 to 1"),
        ("data --options 3", "options '3': got 3, expected a mapping"),
    ],
    "node": [
        ("--model nowhere", "model 'nowhere': no such file"),
        ("--params-file nowhere.yaml", "nowhere.yaml: no such file"),
        ("-p rate", "'rate', expected NAME:=VALUE"),
    ],
    "play": [
        ("nowhere -o new", "recording nowhere: no such file or folder"),
        (f"{DRIVE} -o file/inside", "file is a file, expected a folder"),
        (f"{DRIVE} -o folder --overwrite", "folder: exists already, expected a new name"),
        (f"{DRIVE} -o new --model nowhere", "model 'nowhere': no such file"),
        (f"{DRIVE} -o new --params-file nowhere.yaml", "nowhere.yaml: no such file"),
    ],
    "prune": [
        ("forest_rgb_hha_evi -o new --stages nowhere.yaml", "nowhere.yaml: no such file"),
    ],
    "selftest": [
        ("--gpu --json nowhere/x.json", "folder nowhere does not exist"),
        ("--gpu --markdown folder", "folder: is a folder, expected the name of a file"),
        ("--page-of nowhere.json", "nowhere.json: cannot be read"),
        ("--gpu --steps teapot", "steps: got 'teapot'"),
    ],
    "statistics": [
        ("nowhere --labels synthetic_forest", "data set nowhere: no such folder"),
        ("folder --labels nowhere", "label set 'nowhere': no such set"),
        ("folder --config nowhere.yaml", "nowhere.yaml: no such file"),
    ],
    "synthesize": [
        ("--out file/inside", "file is a file, expected a folder"),
        ("--recording file/inside", "file is a file, expected a folder"),
        ("--recording folder", "folder: exists already, expected a new name"),
        ("--contact-sheet nowhere/x.png", "folder nowhere does not exist"),
        ("--out new --conditions rainn", "rainn"),
    ],
    "tabulate": [
        ("nowhere folder -o new", "model 'nowhere': no such file"),
        ("forest_rgb_hha_evi nowhere -o new", "data set nowhere: no such folder"),
        ("forest_rgb_hha_evi data -o file/inside", "file is a file, expected a folder"),
        ("forest_rgb_hha_evi data -o folder", "folder: exists already, expected a new name"),
    ],
    "train": [
        ("nowhere.yaml", "nowhere.yaml: no such file"),
        ("train.yaml", "data.root is empty"),
        ("train.yaml --data nowhere", "data set nowhere: no such folder"),
        ("train.yaml --data data -o file/inside", "file is a file, expected a folder"),
        ("train.yaml --data data --cache file/inside", "file is a file, expected a folder"),
    ],
    "verify": [
        (f"nowhere --frames {DRIVE}", "model 'nowhere': no such file"),
        (f"{GRAPH} --frames nowhere", "nowhere: no such file or folder, expected a recording or a data set split"),
        (f"{GRAPH} --frames {DRIVE} --reference nowhere.onnx", "nowhere.onnx: no such file"),
        (f"{GRAPH} --frames {DRIVE} --reference nowhere", "model 'nowhere': no such file"),
        (f"{GRAPH} --frames {DRIVE} --layers --reference {SHIPPED}", "--layers compares ONNX graphs"),
    ],
}
#: What the commands do for long; none of it may have begun.
WORK = (
    "ssma_ros.inference.runtime.openvino_backend.OpenVinoBackend.__init__",
    "ssma_ros.inference.runtime.onnxruntime_backend.OnnxRuntimeBackend.__init__",
    "ssma_ros.inference.runtime.torch_backend.TorchBackend.__init__",
    "ssma_ros.inputs.processor.InputEncoder.encode",
    "ssma_ros.inference.benchmark.prepare_model", "ssma_ros.inference.benchmark.measure_apart",
    "ssma_ros.kernels.shared.measure.compare", "ssma_ros.encodings.warm_up.warm_up",
    "subprocess.Popen.__init__", "ssma_ros.synthetic.renderer.Renderer.__init__",
    "ssma_ros.training.assembly.build_network", "ssma_ros.training.bundle.export_onnx",
    "ssma_ros.inference.build.export.export_onnx", "ssma_ros.training.fit.trainer.build_network",
)
NEEDS = {
    "torch": ("assemble", "bundle", "compare", "evaluate", "export", "import-checkpoint", "init", "inspect", "prune",
              "statistics", "tabulate", "train"),
    "onnx": ("bundle", "export"), "rclpy": ("demo",),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: things in the way, a small data set, a configuration."""
    import cv2

    (tmp_path / "file").write_text("mine")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    (tmp_path / "folder.safetensors").mkdir()
    for split in ("train", "val"):
        for name in ("rgb", "label"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            shape = (32, 64, 3) if name == "rgb" else (32, 64)
            cv2.imwrite(str(tmp_path / "data" / split / name / "0.png"), np.ones(shape, np.uint8))
    contract: dict[str, Any] = {
        "width": 64, "height": 32, "labels": "synthetic_forest", "streams": [{"name": "rgb", "encoding": "bgr"}],
        "network": {"name": "AdapNetPP", "preset": "forest-mobilenet", "modalities": ["rgb"], "width": 0.25},
    }
    run = {"contract": contract, "stages": [{"steps": 1, "batch_size": 1}], "tensorboard": False}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({**run, "name": "x", "data": {}}))
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump({"common": {**run, "data": {}}, "runs": {"a": {}}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def forbid_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in WORK:
        module, _, name = place.rpartition(".")
        try:
            monkeypatch.setattr(place, lambda *_, place=place, **__: pytest.fail(f"{place} was begun"))
        except (ImportError, AttributeError):  # its packages are not installed, so it cannot run either
            assert module.split(".")[0] in sys.modules, name


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [(command, arguments, message) for command, cases in CASES.items() for arguments, message in cases],
)
def test_what_is_missing_or_in_the_way_is_one_sentence(
    command: str, arguments: str, message: str, here: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for package, commands in NEEDS.items():
        if command in commands:
            pytest.importorskip(package)
    forbid_work(monkeypatch)
    before = state(here)
    status = main([*command.split(), *arguments.split()])
    told = capfd.readouterr()
    assert status in (1, 2)
    sentences = [line for line in re.split(r"[\r\n]+", told.err) if line.startswith("ssma: ")]
    assert len(sentences) == 1, told.err
    assert message in sentences[0]
    assert "Traceback" not in told.err
    assert state(here) == before, "nothing is left behind"


def test_every_command_is_walked() -> None:
    modules = [m.name for m in pkgutil.iter_modules(cli.__path__) if not m.name.startswith("_") and m.name != "main"]
    names = {re.sub("^(benchmark|labels)_", r"\1 ", name).replace("_", "-") for name in modules}
    assert names == CASES.keys()


