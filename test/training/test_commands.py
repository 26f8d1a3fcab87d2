# SPDX-License-Identifier: Apache-2.0
"""``ssma train``, ``evaluate`` and ``bundle`` from end to end on a tiny world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from ssma_ros.cli.main import main
from ssma_ros.contract import load_contract
from ssma_ros.training.datasets import cache, open_dataset
from ssma_ros.training.datasets.cache import EncodedSamples, Sample
from ssma_ros.training.evaluate.predict import Predictor

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


@pytest.fixture
def rgb_model(tmp_path: Path, forest_folder: Path) -> Path:
    """A unimodal model on one of the fusion's streams, called ``mono``."""
    contract = {**CONFIG["contract"], "streams": CONFIG["contract"]["streams"][:1]}
    contract["network"] = {"name": "AdapNetPP", "preset": "forest-mobilenet", "modalities": ["rgb"], "width": 0.25}
    config = write_config(tmp_path, contract=contract)
    run = tmp_path / "mono"
    assert main(["train", str(config), "--data", str(forest_folder), "-o", str(run), "--quiet"]) == 0
    return run / "model"


def test_conditions_and_improvement_are_reported(
    model: Path, rgb_model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (forest_folder / "val/conditions.json").write_text('{"000": "clear", "001": "fog"}')
    report = tmp_path / "report"
    arguments = ["evaluate", str(model), str(forest_folder), "--against", str(rgb_model), "-o", str(report), "--quiet"]
    assert main([*arguments, "--pictures", "1", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"against {rgb_model}: mIoU " in printed
    assert "| case | clear | fog | mean | std |" in printed
    document = json.loads((report / "report.json").read_text())
    first = document["results"][0]
    assert {name: group["samples"] for name, group in first["groups"].items()} == {"clear": 1, "fog": 1}
    mious = [group["miou"] for group in first["groups"].values()]
    assert first["over_groups"]["miou_mean"] == pytest.approx(sum(mious) / 2, abs=1e-6)
    assert document["against"] == str(rgb_model)
    assert document["improvement"]["over"] == "mono"
    assert document["improvement"]["miou"] == first["miou"]
    text = (report / "report.md").read_text()
    for heading in ("## run against mono (%)", "## mIoU by condition (%)", "| no depth |", "![improvement_0]"):
        assert heading in text
    assert sorted(p.stem for p in report.glob("*.png")) == ["improvement_0", "reliability", "sample_0"]


def test_vector_scaling_is_stored_and_reported(
    model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    arguments = ["evaluate", str(model), str(forest_folder), "--calibrate", "vector", "-o", str(report), "--quiet"]
    assert main(arguments) == 0
    assert "vector scaling stored: ECE " in capsys.readouterr().out
    contract = load_contract(model / "contract.json")
    assert contract.vector_scaling is not None
    document = json.loads((report / "report.json").read_text())
    assert document["vector_scaling"]["weights"] == list(contract.vector_scaling.weights)
    calibration = document["calibration"]
    assert calibration["pixels"] == 2 * 64 * 32
    # All pixels of these small samples are in the fit, so its figures are the report's.
    assert calibration["fitted"]["miou"] == pytest.approx(document["results"][0]["miou"], abs=1e-6)
    assert calibration["fitted"]["ece"] == pytest.approx(document["results"][0]["ece"], abs=1e-6)
    assert calibration["fitted"]["nll"] < calibration["none"]["nll"]


def test_tabulate_goes_on_with_one_network_more(
    model: Path, rgb_model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (forest_folder / "val/conditions.json").write_text('{"000": "clear", "001": "fog"}')
    output = tmp_path / "table"
    arguments = [str(forest_folder), "-o", str(output), "--quiet"]
    assert main(["tabulate", f"fused={model}", *arguments]) == 0
    first = json.loads((output / "report.json").read_text())
    capsys.readouterr()
    scored: list[int] = []
    scores = Predictor.scores

    def watched(self: Predictor, *values: Any, **named: Any) -> Any:
        scored.append(len(self.contract.streams))
        return scores(self, *values, **named)

    monkeypatch.setattr(Predictor, "scores", watched)
    assert main(["tabulate", f"fused={model}", str(rgb_model), *arguments, "--msf", "mono"]) == 0
    assert scored == [1] * 4, "two samples of the new network, plain and with scales; nothing of the old one"
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| network | clear | fog | mean | std |"
    assert [line.split(" | ")[0] for line in table[2:5]] == ["| fused", "| mono", "| mono, msf"]
    second = json.loads((output / "report.json").read_text())
    assert second["results"]["fused"] == first["results"]["fused"]
    assert [r["case"] for r in second["results"]["fused"]] == ["all sensors", "no depth", "no color"]
    assert [r["case"] for r in second["results"]["mono"]] == ["all sensors", "all sensors, msf"]
    assert second["networks"]["mono"]["streams"] == ["rgb"]
    text = (output / "report.md").read_text()
    assert "| network | all sensors | no depth | no color |" in text
    names = {"conditions.png", "report.html", "report.json", "report.md", "tallies.json"}
    assert {p.name for p in output.iterdir()} == names


def test_tabulate_keeps_a_network_that_is_given_under_two_names(
    model: Path, forest_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "table"
    arguments = ["tabulate", f"last={model}", f"best={model}", str(forest_folder), "-o", str(output), "--quiet"]
    for _ in range(2):  # the second time from the tallies
        assert main(arguments) == 0
        results = json.loads((output / "report.json").read_text())["results"]
        assert results["last"] == results["best"]
        assert results["last"][0]["samples"] == 2


def test_tabulate_scores_anew_where_the_conditions_have_changed(
    model: Path, forest_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "table"
    for text, expected in (('{}', None), ('{"000": "clear", "001": "fog"}', {"clear", "fog"})):
        (forest_folder / "val/conditions.json").write_text(text)
        assert main(["tabulate", f"net={model}", str(forest_folder), "-o", str(output), "--quiet"]) == 0
        first = json.loads((output / "report.json").read_text())["results"]["net"][0]
        assert first["samples"] == 2
        assert set(first.get("groups", {})) == (expected or set())


def test_tabulate_scores_anew_where_the_data_is_read_otherwise(
    model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "table"
    common = ["tabulate", f"net={model}", str(forest_folder), "-o", str(output), "--quiet"]
    results = []
    for options in ([], ["--options", "{depth_scale: 0.01}"]):
        assert main([*common, *options]) == 0
        results.append(json.loads((output / "report.json").read_text())["results"]["net"][0])
    assert results[0] != results[1]


def test_tabulate_refuses_in_one_sentence(
    model: Path, forest_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("mine")
    one, data = str(model), str(forest_folder)
    refused = {
        "two networks are called 'run', expected distinct names": [one, one, data, "-o", "new"],
        "--msf names 'x', expected one of run": [one, data, "-o", "new", "--msf", "x"],
        "forest: is or holds the input": [one, data, "-o", data],
        "run/model: is or holds the input": [one, data, "-o", one],
        "taken: exists already, expected a new name": [one, data, "-o", "taken"],
        "option 'a' is unknown, expected one of": [one, data, "-o", "new", "--options", "{a: 1}"],
        "options 'a': got 'a', expected a mapping such as": [one, data, "-o", "new", "--options", "a"],
        "threads is -1": [one, data, "-o", "new", "--threads", "-1"],
    }
    for message, arguments in refused.items():
        assert main(["tabulate", *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.fixture
def renamed(forest_folder: Path) -> Path:
    """The data under other names and another unit than by default."""
    for split in ("train", "val"):
        (forest_folder / split / "rgb").rename(forest_folder / split / "image")
        for path in (forest_folder / split / "depth").iterdir():
            depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert cv2.imwrite(str(path), depth * 5)  # fifths of a millimetre
    return forest_folder


def test_every_command_reads_the_data_as_the_training_run_did(
    renamed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"folders": {"color": "image"}, "depth_scale": 0.0002}
    config = write_config(tmp_path, data={"kind": "folder", "root": str(renamed), "options": options})
    assert main(["train", str(config), "-o", str(tmp_path / "run"), "--quiet"]) == 0
    model = tmp_path / "run/model"
    seen: dict[str, list[Sample]] = {}
    encode = cache.encode_sample

    def watched(*arguments: Any) -> Sample:
        seen[command[0]].append(encode(*arguments))
        return seen[command[0]][-1]

    monkeypatch.setattr(cache, "encode_sample", watched)
    expected = EncodedSamples(open_dataset("folder", renamed, "val", load_contract(model / "contract.json").labels,
                                           options), load_contract(model / "contract.json"))
    weights, out = str(model / "weights.safetensors"), tmp_path / "out"
    split = str(renamed / "val")
    for command in (
        ["evaluate", str(model), str(renamed), "--quiet", "-o", str(out / "evaluation")],
        ["tabulate", f"net={model}", str(renamed), "--quiet", "-o", str(out / "table")],
        ["verify", weights, "--frames", split, "--reference", weights, "--backend", "torch", "--precision", "fp32"],
        ["export", str(model), "-o", str(tmp_path / "a.onnx"), "--precision", "int8", "--calibration", split],
    ):
        seen[command[0]] = []
        if command[0] == "export":  # what it does with the frames is not asked here
            monkeypatch.setattr("ssma_ros.inference.build.export.export_onnx",
                                lambda *_, **given: seen["feeds"].extend(given["calibration"]))
            seen["feeds"] = []
            main(command)
        else:
            assert main(command) == 0
        assert "read as in the model's training run" in capsys.readouterr().err
        ours = [seen[command[0]][i] for i in (-2, -1)]
        for index, sample in enumerate(ours):
            assert sample.present == (True, True)
            for image, wanted in zip((*sample.images, sample.label),
                                     (*expected[index].images, expected[index].label), strict=True):
                np.testing.assert_array_equal(image, wanted)
    assert len(seen["feeds"]) == 2
    facts = json.loads((out / "evaluation/report.json").read_text())
    assert facts["options"] == options
    # What the command line says goes before the run.
    assert main(["evaluate", str(model), str(renamed), "--quiet", "--options", "{}"]) == 1
    assert "blank in all 2 samples: 'rgb'" in capsys.readouterr().err


def test_networks_of_runs_that_read_their_data_differently_are_refused(
    model: Path, rgb_model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mono/config.yaml"
    document = yaml.safe_load(path.read_text())
    document["data"]["options"] = {"depth_scale": 0.01}
    path.write_text(yaml.safe_dump(document))
    command = ["tabulate", str(model), str(rgb_model), str(forest_folder), "-o", str(tmp_path / "new"), "--quiet"]
    assert main(command) == 1
    assert "expected one way to read it, give --kind and --options" in capsys.readouterr().err
    assert main([*command, "--options", "{}", "--kind", "folder"]) == 0


@pytest.mark.parametrize("blank", ["rgb", "depth"])
def test_verify_refuses_frames_without_a_sensor(
    blank: str, model: Path, forest_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(forest_folder / "val" / blank)
    weights = str(model / "weights.safetensors")
    assert main(["verify", weights, "--frames", str(forest_folder / "val"), "--reference", weights]) == 1
    assert "is blank in all 2 frames" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_before_the_work(
    model: Path, rgb_model: Path, forest_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    config = write_config(tmp_path)
    protocol = {"name": "x", "common": {k: v for k, v in CONFIG.items() if k != "name"}, "runs": {"a": {}}}
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump(protocol))
    for place in ("ssma_ros.training.datasets.cache.encode_sample", "ssma_ros.training.fit.trainer.build_network",
                  "ssma_ros.training.assembly.build_network", "ssma_ros.training.bundle.export_onnx"):
        monkeypatch.setattr(place, lambda *_, **__: pytest.fail("the work was begun"))
    data, inside = str(forest_folder), "file/inside"
    for arguments in (
        ["train", str(config), "--data", data, "-o", inside], ["train", str(config), "--data", data, "--cache", inside],
        ["compare", "compare.yaml", "--data", data, "-o", inside],
        ["evaluate", str(model), data, "-o", inside], ["tabulate", str(model), data, "-o", inside],
        ["assemble", "average", f"rgb={rgb_model}", f"again={rgb_model}", "-o", inside],
        ["bundle", str(model), inside],
    ):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert "file is a file, expected a folder" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    # Nor is the model itself overwritten by its rounded weights.
    before = (model / "weights.safetensors").read_bytes()
    assert main(["bundle", str(model), str(model)]) == 1
    assert "holds the model itself" in capsys.readouterr().err
    assert (model / "weights.safetensors").read_bytes() == before


def test_weights_to_start_from_are_looked_for_before_the_data_is_read(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssma_ros.training.datasets.cache.encode_sample", lambda *_: pytest.fail("data was read"))
    for name in ("nowhere/model", "nowhere.safetensors"):
        config = write_config(tmp_path, initialize=name)
        assert main(["train", str(config), "--data", str(forest_folder), "-o", str(tmp_path / "run")]) == 1
        assert f"{name}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_folder_of_another_run_is_refused_before_inputs_are_encoded(
    model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_config(tmp_path, seed=2)
    arguments = ["train", str(other), "--data", str(forest_folder), "-o", str(model.parent)]
    assert main([*arguments, "--cache", str(tmp_path / "cache")]) == 1
    assert "belongs to another configuration or other data" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


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


@pytest.mark.slow
def test_processes_count_what_one_counts(
    model: Path, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for name, how in (("one", []), ("two", ["--processes", "2"])):
        report = tmp_path / name
        assert main(["evaluate", str(model), str(forest_folder), "-o", str(report), "--threads", "1", "--quiet",
                     *how]) == 0
        assert (report / "sample_0.png").is_file()
        found.append(json.loads((report / "report.json").read_text()))
    assert found[0] == found[1]
    assert main(["evaluate", str(model), str(forest_folder), "--against", str(model), "--processes", "2"]) == 1
    assert "expected no --processes" in capsys.readouterr().err


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
        (["bundle", "nowhere", "out"], "model 'nowhere': no such file, folder or shipped model"),
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
