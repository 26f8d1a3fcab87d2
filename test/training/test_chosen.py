# SPDX-License-Identifier: Apache-2.0
"""Fewer images to train on, and some held out: always the same ones, and never both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_ros.errors import SsmaError
from ssma_ros.training.datasets.chosen import divide
from ssma_ros.training.fit.config import MoreData, TrainConfig, parse_config
from ssma_ros.training.fit.launch import open_split
from ssma_ros.training.fit.trainer import run_digest


@given(st.integers(1, 60), st.data())
def test_division(count: int, data: st.DataObject) -> None:
    held_out = data.draw(st.integers(0, count - 1))
    most = data.draw(st.integers(0, count - held_out))
    seed = data.draw(st.integers(0, 5))
    trained, judged = divide(count, held_out, most, seed, "split")
    assert len(judged) == held_out
    assert len(trained) == (most or count - held_out)
    assert not set(trained) & set(judged)
    assert set(trained) | set(judged) <= set(range(count))
    # The same are held out for every number and seed, and fewer are among more.
    assert divide(count, held_out, 0, seed + 1, "split")[1] == judged
    if most > 1:
        assert set(divide(count, held_out, most - 1, seed, "split")[0]) < set(trained)


def test_seeds_draw_different_samples() -> None:
    drawn = [divide(50, 10, 10, seed, "split")[0] for seed in range(3)]
    assert drawn[0] != drawn[1] != drawn[2]


def test_too_few() -> None:
    with pytest.raises(SsmaError, match=r"^split 'train': has 5 samples, expected at least 6 \(held_out: 3, samples"):
        divide(5, 3, 3, 1, "split 'train'")
    with pytest.raises(SsmaError, match="expected at least 6"):
        divide(5, 5, 0, 1, "split")


@pytest.fixture
def config(forest_folder: Path) -> TrainConfig:
    return parse_config({
        "name": "x", "data": {"root": str(forest_folder)}, "stages": [{}],
        "contract": {"width": 64, "height": 32, "labels": "synthetic_forest",
                     "streams": [{"name": "rgb", "encoding": "bgr"}],
                     "network": {"name": "AdapNetPP", "modalities": ["rgb"]}},
    }, "of the test")


def names(config: TrainConfig, split: str) -> list[str]:
    samples = open_split(config, config.build_contract(), split, progress=False)
    return [samples.name(i) for i in range(len(samples))]


@pytest.mark.parametrize("cached", [False, True])
def test_a_run_trains_on_some_and_validates_on_what_is_held_out(
    config: TrainConfig, cached: bool, tmp_path: Path
) -> None:
    if cached:
        config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache")))
    chosen = replace(config, data=replace(config.data, held_out=1, samples=1))
    (trained,), (judged,) = names(chosen, "train"), names(chosen, "val")
    assert trained != judged
    assert {trained, judged} < set(names(config, "train"))
    contract = config.build_contract()
    whole, one = (open_split(c, contract, "train", progress=False) for c in (config, chosen))
    assert (one[0].images[0] == whole[names(config, "train").index(trained)].images[0]).all()
    assert one.digest != whole.digest
    # What joins from elsewhere is trained on, all of it.
    more = MoreData(config.data.root, split="val")
    joined = replace(chosen, data=replace(chosen.data, more=(more,), cache=""))
    assert len(names(joined, "train")) == 1 + 2
    assert len(names(joined, "val")) == 1


def test_runs_from_before_these_keys_go_on() -> None:
    """A checkpoint of a run that chooses nothing and has no ImageNet weights is known by what it always was."""
    config = parse_config({
        "name": "x", "data": {"root": "data"}, "stages": [{}],
        "contract": {"width": 64, "height": 32, "labels": "synthetic_forest",
                     "streams": [{"name": "rgb", "encoding": "bgr"}],
                     "network": {"name": "AdapNetPP", "modalities": ["rgb"]}},
    }, "of the test")
    train, val = SimpleNamespace(digest="train"), SimpleNamespace(digest="val")
    before = run_digest(config, train, val)  # type: ignore[arg-type]
    assert before == "82fa90614e6e6c3672c23a4de160ee0874246ba54744b6788eccaa5af4af1887"
    for changed in (
        replace(config, data=replace(config.data, samples=2)), replace(config, data=replace(config.data, held_out=2)),
        replace(config, pretrained="imagenet"),
    ):
        assert run_digest(changed, train, val) != before  # type: ignore[arg-type]


def test_what_is_held_out_needs_another_name(config: TrainConfig) -> None:
    document = config.to_document()
    document["data"] |= {"val": "train", "held_out": 1}
    with pytest.raises(SsmaError, match=r"data\.val is 'train', the training split, with held_out: 1"):
        parse_config(document, "of the test")
