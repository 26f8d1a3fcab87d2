# SPDX-License-Identifier: Apache-2.0
"""Conditions of rendered scenes reach the samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssma_ros.contract import Contract
from ssma_ros.errors import SsmaError
from ssma_ros.synthetic.conditions import CONDITIONS
from ssma_ros.synthetic.dataset import DatasetRecipe, write_dataset
from ssma_ros.synthetic.sensor import StereoRig
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.base import read_intrinsics
from ssma_ros.training.datasets.cache import open_samples
from ssma_ros.training.datasets.joined import JoinedDataset


def test_groups_are_read_from_what_the_synthesizer_writes(
    forest_folder: Path, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = DatasetRecipe("val", seed=3, scenes=20, frames=2, conditions=tuple(CONDITIONS))
    monkeypatch.setattr("ssma_ros.synthetic.dataset.require_opengl", lambda: None)
    monkeypatch.setattr("ssma_ros.synthetic.dataset._render_scene", lambda job: None)
    write_dataset(recipe, tmp_path)  # all but the pictures
    intrinsics, gravity = read_intrinsics(tmp_path / "camera.json")
    assert intrinsics == StereoRig.default().intrinsics
    assert gravity is None
    names = [f"{recipe.scene_seed(1):07d}_00", f"{recipe.scene_seed(18):07d}_01"]
    for folder in ("rgb", "depth", "nir", "label"):
        for old, new in zip(("000", "001"), names, strict=True):
            (forest_folder / f"val/{folder}/{old}.png").rename(tmp_path / f"val/{folder}/{new}.png")
    (forest_folder / "camera.json").rename(tmp_path / "camera.json")
    dataset = open_dataset("folder", tmp_path, "val", contract.labels)
    assert [dataset.group(i) for i in range(2)] == ["summer", "clear"]
    joined = JoinedDataset([dataset, dataset])
    assert [joined.group(i) for i in range(4)] == ["summer", "clear"] * 2
    for samples in (open_samples(dataset, contract), open_samples(dataset, contract, tmp_path / "c", progress=False)):
        assert [samples.group(i) for i in range(2)] == ["summer", "clear"]


def test_conditions_decide_nothing_that_is_cached(forest_folder: Path, contract: Contract, tmp_path: Path) -> None:
    def groups() -> list[str | None]:
        dataset = open_dataset("folder", forest_folder, "val", contract.labels)
        samples = open_samples(dataset, contract, tmp_path / "cache", progress=False)
        return [samples.group(i) for i in range(2)]

    assert groups() == [None, None]
    (forest_folder / "val/conditions.json").write_text(json.dumps({"000": "fog"}))
    assert groups() == ["fog", None]
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("text", ["[1]", '{"000": 3}', "no JSON"])
def test_wrong_conditions_are_named(text: str, forest_folder: Path, contract: Contract) -> None:
    (forest_folder / "val/conditions.json").write_text(text)
    with pytest.raises(SsmaError, match=r"conditions .*val/conditions\.json"):
        open_dataset("folder", forest_folder, "val", contract.labels)
