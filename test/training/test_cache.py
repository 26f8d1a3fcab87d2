# SPDX-License-Identifier: Apache-2.0
"""Encoded samples: on the fly and from the cache the same, and remade when what they depend on changes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.labels import load_label_set
from ssma_ros.training.datasets import open_dataset
from ssma_ros.training.datasets.cache import CachedSamples, EncodedSamples, Sample, Samples, build_cache, open_samples


@pytest.fixture
def contract() -> Contract:
    streams = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2"))
    return Contract(width=32, height=16, streams=streams, labels=load_label_set("synthetic_forest"))


def test_cache_holds_what_the_robot_encodes(forest_folder: Path, contract: Contract, tmp_path: Path) -> None:
    dataset = open_dataset("folder", forest_folder, "train", contract.labels)
    direct = open_samples(dataset, contract)
    cached = open_samples(dataset, contract, tmp_path / "cache", progress=False)
    again = open_samples(dataset, contract, tmp_path / "cache", progress=False)
    assert len(direct) == len(cached) == len(again) == 3
    assert direct.digest == cached.digest == again.digest
    encoder = InputEncoder(contract)
    for index in range(3):
        inputs = encoder.encode(dataset.frame(index)).inputs
        for samples in (direct, cached, again):
            sample = samples[index]
            assert sample.present == (True, True, True)
            assert samples.name(index) == dataset.name(index)
            for name, image in zip(contract.modalities, sample.images, strict=True):
                np.testing.assert_array_equal(image, inputs[name])
            np.testing.assert_array_equal(sample.label, direct[index].label)


def test_another_encoding_is_another_cache(forest_folder: Path, contract: Contract, tmp_path: Path) -> None:
    dataset = open_dataset("folder", forest_folder, "train", contract.labels)
    other = replace(contract, streams=(*contract.streams[:2], Stream("evi", "ndvi")))
    for each in (contract, other, replace(contract, width=48)):
        open_samples(dataset, each, tmp_path / "cache", progress=False)
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"depth_scale": 0.01}),
        # The same files in the same order, read as another sensor.
        ({"folders": {"nir": "more"}}, {"folders": {"depth": "more"}, "camera": False}),
    ],
)
def test_data_that_is_read_otherwise_is_another_cache(
    first: dict[str, Any], second: dict[str, Any], forest_folder: Path, contract: Contract, tmp_path: Path
) -> None:
    (forest_folder / "train/nir").rename(forest_folder / "train/unused")
    if "folders" in first:
        (forest_folder / "train/depth").rename(forest_folder / "train/more")
    jet = replace(contract, streams=(Stream("rgb", "bgr"), Stream("depth", "depth_jet"), Stream("nir", "nir")))
    for options in (first, second):
        dataset = open_dataset("folder", forest_folder, "train", contract.labels, options)
        direct = open_samples(dataset, jet)
        cached = open_samples(dataset, jet, tmp_path / "cache", progress=False)
        assert direct[0].present == cached[0].present
        for ours, theirs in zip(direct[0].images, cached[0].images, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_labels_that_are_mapped_otherwise_are_another_cache(forest_folder: Path, contract: Contract) -> None:
    swapped = {**contract.labels.raw_ids, 0: 1, 1: 0}
    other = replace(contract.labels, raw_ids=swapped)
    made = [
        open_samples(open_dataset("folder", forest_folder, "train", labels), contract)
        for labels in (contract.labels, other)
    ]
    assert not np.array_equal(made[0][0].label, made[1][0].label)
    assert made[0].digest != made[1].digest


def test_options_at_their_defaults_find_the_cache_made_without_them(forest_folder: Path, contract: Contract) -> None:
    def digest(**options: Any) -> str:
        return open_dataset("folder", forest_folder, "train", contract.labels, options).digest()

    assert digest() == digest(depth_scale=1e-3, folders={"nir": "nir"}, camera=True)
    assert digest() != digest(depth_scale=0.01)
    assert digest(depth_scale=0.01) == digest(depth_scale=0.01, folders={"color": "rgb"})


def test_nothing_is_left_of_a_cache_that_failed(forest_folder: Path, contract: Contract, tmp_path: Path) -> None:
    (forest_folder / "train/nir/002.png").write_bytes(b"broken")
    dataset = open_dataset("folder", forest_folder, "train", contract.labels)
    with pytest.raises(SsmaError, match=r"nir/002\.png"):
        build_cache(EncodedSamples(dataset, contract), contract.modalities, tmp_path / "cache/split", progress=False)
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(SsmaError, match=r"nir/002\.png"):
        open_samples(dataset, contract, tmp_path / "another", progress=False)
    assert not (tmp_path / "another").exists(), "among the samples that are looked at before"


def test_runs_side_by_side_make_one_cache(
    forest_folder: Path, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset("folder", forest_folder, "train", contract.labels)
    direct = EncodedSamples(dataset, contract)
    folder = tmp_path / "cache"

    class Overtaken(EncodedSamples):
        """Another process makes the same cache between its first sample and its second."""

        def __getitem__(self, index: int) -> Sample:
            if index == 1:
                with monkeypatch.context() as other:
                    other.setattr("os.getpid", lambda: 1)
                    build_cache(direct, contract.modalities, folder, progress=False)
            return super().__getitem__(index)

    build_cache(Overtaken(dataset, contract), contract.modalities, folder, progress=False)
    cached = CachedSamples(folder)
    assert len(cached) == len(direct)
    for ours, theirs in zip(direct[2].images, cached[2].images, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [p.name for p in tmp_path.glob("*cache*")] == ["cache"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_picture_of_the_same_size_and_time_is_noticed(
    replaced: bool, forest_folder: Path, contract: Contract, tmp_path: Path
) -> None:
    """Written over in place, or another file moved there; what was written last says nothing new."""
    def opened() -> Samples:
        dataset = open_dataset("folder", forest_folder, "train", contract.labels)
        return open_samples(dataset, contract, tmp_path / "cache", progress=False)

    path = forest_folder / "train/rgb/001.png"
    picture = np.zeros_like(cv2.imread(str(path)))
    stored = [cv2.IMWRITE_PNG_COMPRESSION, 0]
    cv2.imwrite(str(path), picture, stored)
    before = path.stat()
    assert opened()[1].images[0].max() == 0
    target = tmp_path / "other.png" if replaced else path
    cv2.imwrite(str(target), picture + np.uint8(99), stored)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    target.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert opened()[1].images[0].min() == 99


def test_missing_sensor_is_blank(forest_folder: Path, contract: Contract) -> None:
    for path in (forest_folder / "val/nir").iterdir():
        path.unlink()
    (forest_folder / "val/nir").rmdir()
    sample = open_samples(open_dataset("folder", forest_folder, "val", contract.labels), contract)[0]
    assert sample.present == (True, True, False)
    assert not sample.images[2].any()
