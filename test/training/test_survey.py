# SPDX-License-Identifier: Apache-2.0
"""What a split really holds is found before anything long is begun on it, and a refused run is in nobody's way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_ros.cli.main import main
from ssma_ros.contract import Contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.cache import Samples, open_samples
from ssma_ros.training.datasets.survey import refuse_blank, survey
from training.test_commands import write_config


def samples_of(root: Path, split: str = "train", cache: Path | str = "", **options: object) -> Samples:
    labels = load_label_set("synthetic_forest")
    streams = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("nir", "nir"))
    contract = Contract(width=32, height=16, streams=streams, labels=labels)
    return open_samples(open_dataset("folder", root, split, labels, options), contract, cache, progress=False)


STREAMS = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("nir", "nir"))


def test_whole_data_is_let_through(forest_folder: Path) -> None:
    samples = samples_of(forest_folder)
    refuse_blank(samples, STREAMS, range(3), "here")
    assert survey(samples) == []


def test_a_stream_without_images_is_refused(forest_folder: Path) -> None:
    (forest_folder / "train/nir").rename(forest_folder / "train/infrared")
    samples = samples_of(forest_folder)
    with pytest.raises(SsmaError, match=r"^here: blank in all 3 samples: 'nir' \(no nir image\); expected"):
        refuse_blank(samples, STREAMS, range(3), "here")
    assert survey(samples) == ["stream 'nir' is blank in 3 of 3 samples (no nir image)"]


@pytest.mark.parametrize("scale", [1000.0, -1.0, 0.0, "abc", True])
def test_a_scale_that_is_no_number_of_metres_is_refused_when_the_data_is_opened(forest_folder: Path, scale) -> None:
    with pytest.raises(SsmaError, match=r"depth_scale is .*, expected"):
        samples_of(forest_folder, depth_scale=scale)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_depth_of_another_unit_is_a_blank_stream(forest_folder: Path, scale: float) -> None:
    with pytest.raises(SsmaError, match=r"'hha' .no reading is left in its pictures"):
        refuse_blank(samples_of(forest_folder, depth_scale=scale), STREAMS, range(3), "here")


def test_no_calibration_is_told_as_the_reason(forest_folder: Path) -> None:
    with pytest.raises(SsmaError, match=r"'hha' .no camera intrinsics"):
        refuse_blank(samples_of(forest_folder, camera=False), STREAMS, range(3), "here")


def test_one_sample_that_has_a_stream_is_enough_and_the_others_are_counted(forest_folder: Path) -> None:
    for index in range(2):
        assert cv2.imwrite(str(forest_folder / f"train/rgb/{index:03d}.png"), np.zeros((32, 64, 3), np.uint8))
    refuse_blank(samples_of(forest_folder), STREAMS, range(3), "here")
    with pytest.raises(SsmaError, match="blank in all 2 samples: 'rgb'"):
        refuse_blank(samples_of(forest_folder), STREAMS, range(2), "here")


def test_a_cache_remembers_what_was_blank(forest_folder: Path, tmp_path: Path) -> None:
    (forest_folder / "train/nir").rename(forest_folder / "train/infrared")
    assert list(samples_of(forest_folder, cache=tmp_path / "cache").blank(0)) == ["nir"]


def test_a_label_of_the_last_validation_sample_is_read_before_the_first_step(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = forest_folder / "val/label/001.png", tmp_path / "run"
    good = path.read_bytes()
    label = np.zeros((32, 64), np.uint8)
    label[:3] = 99
    assert cv2.imwrite(str(path), label)
    command = ["train", str(write_config(tmp_path)), "--data", str(forest_folder), "-o", str(run), "--quiet"]
    assert main(command) == 1
    assert "001.png: 192 pixels have id 99" in capsys.readouterr().err
    assert not run.exists()
    path.write_bytes(good)
    assert main(command) == 0
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1])["step"] == 2


def test_train_refuses_a_misnamed_folder_before_it_fills_a_cache(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        (forest_folder / split / "rgb").rename(forest_folder / split / "RGB")
    cache, run = tmp_path / "cache", tmp_path / "run"
    assert main(["train", str(write_config(tmp_path)), "--data", str(forest_folder), "-o", str(run), "--cache",
                 str(cache), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "blank in all 3 samples: 'rgb' (no color image)" in error
    assert error.count("\n") == 1
    assert not cache.exists()
    assert not run.exists()


def test_train_tells_what_some_samples_lack(
    forest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colour_only = tmp_path / "more"
    shutil.copytree(forest_folder, colour_only)
    shutil.rmtree(colour_only / "train/depth")
    data = {"kind": "folder", "root": str(forest_folder), "more": [{"root": str(colour_only)}]}
    config = write_config(tmp_path, data=data)
    assert main(["train", str(config), "-o", str(tmp_path / "run"), "--quiet"]) == 0
    assert "stream 'hha' is blank in 3 of 6 samples (no depth image)" in capsys.readouterr().err
