"""Encoded samples: on the fly and from the cache the same, and remade when what they depend on changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.errors import SsmaError
from ssma_ros.labels import load_label_set
from ssma_ros.preprocessing.encoder import InputEncoder
from ssma_ros.training.cache import CachedSamples, EncodedSamples, Sample, build_cache, open_samples
from ssma_ros.training.datasets import open_dataset


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


def test_nothing_is_left_of_a_cache_that_failed(forest_folder: Path, contract: Contract, tmp_path: Path) -> None:
    (forest_folder / "train/nir/002.png").write_bytes(b"broken")
    dataset = open_dataset("folder", forest_folder, "train", contract.labels)
    with pytest.raises(SsmaError, match=r"nir/002\.png"):
        open_samples(dataset, contract, tmp_path / "cache", progress=False)
    assert not list((tmp_path / "cache").iterdir())


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


def test_missing_sensor_is_blank(forest_folder: Path, contract: Contract) -> None:
    for path in (forest_folder / "val/nir").iterdir():
        path.unlink()
    (forest_folder / "val/nir").rmdir()
    sample = open_samples(open_dataset("folder", forest_folder, "val", contract.labels), contract)[0]
    assert sample.present == (True, True, False)
    assert not sample.images[2].any()
