# SPDX-License-Identifier: Apache-2.0
"""Several data sets as one training split, and configurations that start from another."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from ssma_ros.errors import SsmaError
from ssma_ros.labels import LabelSet, load_label_set
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.joined import JoinedDataset
from ssma_ros.training.fit.config import load_config, parse_config
from ssma_ros.training.fit.launch import open_split


@pytest.fixture
def forest() -> LabelSet:
    return load_label_set("synthetic_forest")


def write_set(root: Path, values: list[int], split: str = "train") -> Path:
    for value in values:
        for folder, image in (("nir", np.full((16, 32), value, np.uint8)), ("label", np.zeros((16, 32), np.uint8))):
            path = root / split / folder / f"{value:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), image)
    return root


def near_infrared(dataset: JoinedDataset, index: int) -> int:
    image = dataset.frame(index).nir
    assert image is not None
    return int(image[0, 0])


def test_samples_follow_each_other_and_keep_their_images(tmp_path: Path, forest: LabelSet) -> None:
    parts = [
        open_dataset("folder", write_set(tmp_path / "a", [10, 20]), "train", forest),
        open_dataset("folder", write_set(tmp_path / "b", [20, 30, 40]), "train", forest),
    ]
    joined = JoinedDataset(parts)
    assert len(joined) == 5
    assert [near_infrared(joined, i) for i in range(5)] == [10, 20, 20, 30, 40]
    assert [joined.name(i) for i in range(5)] == ["0/010", "0/020", "1/020", "1/030", "1/040"]
    assert joined.files(3)[0] == tmp_path / "b/train/nir/030.png"
    assert joined.label(4).shape == (16, 32)
    with pytest.raises(IndexError, match="sample 5 of 5"):
        joined.frame(5)


def test_digest_follows_every_part(tmp_path: Path, forest: LabelSet) -> None:
    def digest() -> str:
        return JoinedDataset([open_dataset("folder", tmp_path / n, "train", forest) for n in ("a", "b")]).digest()

    write_set(tmp_path / "a", [1])
    write_set(tmp_path / "b", [2])
    before = digest()
    assert digest() == before
    write_set(tmp_path / "b", [3])
    assert digest() != before


def test_other_label_sets_do_not_join(tmp_path: Path, forest: LabelSet) -> None:
    first = open_dataset("folder", write_set(tmp_path / "a", [1]), "train", forest)
    second = open_dataset("folder", tmp_path / "a", "train", load_label_set("cityscapes11"))
    with pytest.raises(ValueError, match="label sets differ"):
        JoinedDataset([first, second])


def configuration(tmp_path: Path) -> dict[str, object]:
    return {
        "name": "joined",
        "contract": {
            "width": 32, "height": 16, "labels": "synthetic_forest",
            "streams": [{"name": "nir", "encoding": "nir"}],
            "network": {"name": "AdapNetPP", "preset": "forest-mobilenet", "modalities": ["nir"]},
        },
        "data": {"root": str(tmp_path / "a"), "more": [{"root": str(tmp_path / "b"), "split": "extra"}]},
        "stages": [{"steps": 1}],
    }


def test_only_the_training_split_grows(tmp_path: Path) -> None:
    write_set(tmp_path / "a", [1, 2])
    write_set(tmp_path / "a", [3], "val")
    write_set(tmp_path / "b", [4], "extra")
    config = parse_config(configuration(tmp_path), "test")
    contract = config.build_contract()
    assert len(open_split(config, contract, "train", progress=False)) == 3
    assert len(open_split(config, contract, "val", progress=False)) == 1


def test_a_configuration_is_laid_over_its_base(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/one.yaml").write_text(yaml.safe_dump(configuration(tmp_path)))
    two = "base: one.yaml\nname: two\nseed: 7\ndata: {val: test, cache: c}\nencoders: {nir: x}\n"
    (tmp_path / "base/two.yaml").write_text(two)
    path = tmp_path / "three.yaml"
    path.write_text("base: base/two.yaml\nname: three\nencoders: null\nstages: [{steps: 5}, {steps: 6}]\n")
    config = load_config(path)
    assert (config.name, config.seed, config.total_steps) == ("three", 7, 11)
    assert (config.data.val, config.data.root) == ("test", str(tmp_path / "a"))
    assert config.data.more[0].split == "extra"
    assert config.data.cache == "c"
    assert load_config(tmp_path / "base/two.yaml").encoders == {"nir": "x"}
    assert config.encoders == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: none.yaml\n", r"none\.yaml: no such file, expected a \.yaml file, the base of .*own\.yaml"),
        ("base: own.yaml\n", "own.yaml: is its own base"),
        ("base: [1]\n", r"base is \[1\], expected the path of a .yaml file"),
        ("base: other.yaml\ndata: {more: 3}\n", "data.more is 3, expected a list of entries"),
        ("base: other.yaml\ndata: {more: [{splits: a}]}\n", r"unknown key 'data\.more\[0\]\.splits'"),
        ("base: other.yaml\ndata: {more: [{split: a}]}\n", r"has no data\.more\[0\]\.root, expected a string"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(configuration(tmp_path)))
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(SsmaError, match=message):
        load_config(path)
