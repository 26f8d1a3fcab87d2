"""``ssma train``, ``evaluate`` and ``bundle`` from end to end on a tiny world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssma_ros.cli.main import main
from ssma_ros.contract import load_contract

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "contract": {
        "width": 64, "height": 32, "labels": "synthetic_forest",
        "streams": [{"name": "rgb", "encoding": "bgr"}, {"name": "hha", "encoding": "hha"}],
        "network": {"name": "SSMA", "preset": "forest-mobilenet", "modalities": ["rgb", "hha"], "width": 0.25},
    },
    "data": {"kind": "folder"},
    "stages": [{"steps": 2, "batch_size": 2, "lr": 1e-3}],
    "threads": 1,
    "tensorboard": False,
}


def write_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


@pytest.fixture
def model(tmp_path: Path, forest_folder: Path) -> Path:
    run = tmp_path / "run"
    config = write_config(tmp_path)
    assert main(["train", str(config), "--data", str(forest_folder), "-o", str(run), "--quiet"]) == 0
    return run / "model"


def test_train_evaluate_calibrate(
    model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    assert main(["evaluate", str(model), str(forest_folder), "--calibrate", "-o", str(report), "--quiet"]) == 0
    printed = capsys.readouterr().out
    for case in ("all sensors", "no depth", "no color"):
        assert f"{case} " in printed
    temperature = load_contract(model / "contract.json").temperature
    assert temperature != 1.0
    document = json.loads((report / "report.json").read_text())
    assert document["temperature"] == temperature
    assert [r["case"] for r in document["results"]] == ["all sensors", "no depth", "no color"]
    assert document["results"][0]["samples"] == 2
    for name in ("report.md", "report.html", "sample_0.png", "reliability.png"):
        assert (report / name).stat().st_size > 100


@pytest.mark.slow
def test_bundle_says_what_the_model_says(model: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    assert main(["bundle", str(model), str(shipped), "--description", "Two steps of nothing."]) == 0
    assert sorted(p.name for p in shipped.iterdir()) == ["contract.json", "model.onnx", "weights.safetensors"]
    contract = load_contract(shipped / "contract.json")
    assert contract.description == "Two steps of nothing."
    assert contract.digest() == load_contract(model / "contract.json").digest()


def test_multi_scale_is_one_more_case(
    model: Path, forest_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(model), str(forest_folder), "--msf", "--limit", "1", "--quiet"]) == 0
    assert "all sensors, msf" in capsys.readouterr().out


def test_a_labelled_recording_is_evaluated(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = Path(__file__).parents[2] / "demo" / "forest_drive"
    assert main(["evaluate", str(model), str(recording), "--limit", "2", "--quiet"]) == 0
    assert "no depth " in capsys.readouterr().out


def test_a_recording_without_labels_is_refused(
    model: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = next(p.parent for p in sorted((shared_data / "rosbag2_from_real_images").glob("*/metadata.yaml")))
    assert main(["evaluate", str(model), str(recording), "--quiet"]) == 1
    assert "has no label topic" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.yaml"], "none.yaml: no such file"),
        (["train", "config.yaml"], "data.root is empty"),
        (["train", "config.yaml", "--data", "nowhere"], "data set nowhere: no such folder"),
        (["evaluate", "nowhere", "."], "model 'nowhere': no such file, folder or shipped model"),
        (["bundle", "nowhere", "out"], "weights nowhere: no such file"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
