# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.synthetic.dataset import DatasetRecipe, depth_to_millimetres, write_dataset
from ssma_ros.synthetic.renderer import Renderer

KINDS = {"rgb": (np.uint8, 3), "depth": (np.uint16, 2), "nir": (np.uint8, 2), "label": (np.uint8, 2)}


def pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture(scope="module")
def small_set(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    done: list[int] = []
    assert write_dataset(DatasetRecipe("val", 7, 1, 2), folder, progress=done.append) == 2
    assert done == [2]
    return folder


def test_layout_is_the_generic_one(small_set: Path):
    for kind, (dtype, dimensions) in KINDS.items():
        names = sorted(path.name for path in (small_set / "val" / kind).iterdir())
        assert names == ["7500000_00.png", "7500000_01.png"]
        image = cv2.imread(str(small_set / "val" / kind / names[0]), cv2.IMREAD_UNCHANGED)
        assert image.dtype == dtype
        assert image.ndim == dimensions
        assert image.shape[:2] == (384, 768)
    camera = json.loads((small_set / "camera.json").read_text())
    assert camera["cx"] == 383.5
    assert camera["cy"] == 191.5
    assert camera["fx"] == pytest.approx(384 / np.tan(np.radians(37.5)))
    assert camera["baseline"] == 0.15
    assert json.loads((small_set / "labels.json").read_text())["name"] == "synthetic_forest"


def test_a_broken_run_goes_on_where_it_stopped(small_set: Path):
    before = pictures(small_set)
    lost = small_set / "val" / "label" / "7500000_01.png"
    lost.unlink()
    write_dataset(DatasetRecipe("val", 7, 1, 2), small_set)
    assert pictures(small_set) == before
    stamp = lost.stat().st_mtime_ns
    write_dataset(DatasetRecipe("val", 7, 1, 2), small_set)
    assert lost.stat().st_mtime_ns == stamp


def test_another_recipe_in_the_same_folder_is_refused(small_set: Path):
    with pytest.raises(SsmaError, match="choose another folder"):
        write_dataset(DatasetRecipe("val", 7, 3, 2), small_set)


@pytest.mark.slow
def test_workers_write_the_same_files(small_set: Path, tmp_path: Path):
    write_dataset(DatasetRecipe("val", 7, 2, 2), tmp_path, workers=2)
    several = pictures(tmp_path)
    assert len(several) == 2 * 2 * len(KINDS)
    for name, data in pictures(small_set).items():
        assert several[name] == data


def test_splits_and_data_sets_share_no_scene():
    seeds = {
        (split, seed): {DatasetRecipe(split, seed, 400, 1).scene_seed(i) for i in range(400)}
        for split in ("train", "val")
        for seed in (0, 1)
    }
    assert len(set.union(*seeds.values())) == 4 * 400


@pytest.mark.parametrize("arguments", [("test", 0, 1, 1), ("train", 0, 0, 1), ("train", -1, 1, 1), ("train", 0, 1, 0)])
def test_impossible_recipes_are_refused(arguments):
    with pytest.raises(SsmaError, match="expected"):
        DatasetRecipe(*arguments)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SsmaError, match=r"data set .*file: cannot be made \(.*file is a file, expected a folder\)"):
        write_dataset(DatasetRecipe("val", 0, 1, 1), tmp_path / "file")


def test_millimetres_round_and_far_readings_are_none():
    depth = np.array([[0.0, 0.0014, 1.2346, 65.535, 65.536, 250.0]], np.float32)
    np.testing.assert_array_equal(depth_to_millimetres(depth), [[0, 1, 1235, 65535, 0, 0]])
