# SPDX-License-Identifier: Apache-2.0
"""``ssma inspect`` on weights, on deployed files, and on what is neither."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ssma_ros.cli.main import main
from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set
from ssma_ros.models import SSMA, save_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = SSMA.preset("forest-mobilenet", 5, ("rgb", "evi"))
    streams = (
        Stream("rgb", "bgr", (127.5,) * 3, (1 / 64,) * 3),
        Stream("evi", "depth_gray", parameters={"near": 1}),
    )
    contract = Contract(
        768, 384, streams, load_label_set("synthetic_forest"), network=network.describe(), description="For this test."
    )
    path = tmp_path / "model.safetensors"
    save_model(network, contract, path)
    return path


def test_weights(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "For this test."
    assert "input size   768x384" in lines
    assert any(line.startswith("stream       rgb: bgr from color, minus (127.5, 127.5, 127.5)") for line in lines)
    assert any(line.startswith("stream       evi: depth_gray from depth") and "near = 1" in line for line in lines)
    assert "    1 grass, rgb 0 255 0, traversability 0.6" in lines
    assert "  backbone = mobilenet_v2" in lines
    (parameters,) = (line for line in lines if line.startswith("parameters"))
    assert int(parameters.split()[1].replace(",", "")) == sum(
        p.numel() for p in SSMA.preset("forest-mobilenet", 5, ("rgb", "evi")).parameters()
    )


def test_shipped_model_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "forest_rgb_hha_evi"]) == 0
    assert "labels       synthetic_forest, 5 classes" in capsys.readouterr().out
    assert main(["inspect", "forest_rgb_hha_evy"]) == 1
    assert "('forest_rgb_hha_evi' may be meant) or the path of" in capsys.readouterr().err


def test_deployed_file_shows_its_contract(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployed = model.with_suffix(".onnx")
    deployed.write_bytes(b"")
    assert main(["inspect", str(deployed)]) == 0
    said = capsys.readouterr().out
    assert "input size   768x384" in said
    assert "parameters" not in said


@pytest.mark.parametrize("what", ["forest_rgb_hha_evi", "weights"])
def test_a_robot_without_pytorch_reads_the_contract(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else "there")
    monkeypatch.setattr("ssma_ros.models.load_model", None)
    assert main(["inspect", str(model) if what == "weights" else what]) == 0
    said = capsys.readouterr().out
    assert "input size   768x384" in said
    assert said.splitlines()[-1] == (
        "network      not looked into: torch is not installed, expected pip install 'ssma_ros[export]'"
    )


def test_what_is_neither(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model.with_name("none.onnx"))]) == 1
    assert "no such file" in capsys.readouterr().err
    broken = model.with_name("broken.safetensors")
    broken.write_bytes(b"x" * 100)
    shutil.copy(model.with_name("model.contract.json"), model.with_name("broken.contract.json"))
    assert main(["inspect", str(broken)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "not a safetensors file" in said.err
    assert said.err.count("\n") == 1
