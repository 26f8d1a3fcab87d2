# SPDX-License-Identifier: Apache-2.0
"""Batches: what the network gets, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ssma_ros.labels import load_label_set
from ssma_ros.training.datasets.batch import Normalizer
from ssma_ros.training.datasets.cache import Sample
from ssma_ros.training.fit.batches import BatchMaker
from ssma_ros.training.fit.config import AugmentationConfig
from training.conftest import MemorySamples
from training.test_trainer import config_for

if TYPE_CHECKING:
    from ssma_ros.contract import Contract


def test_images_are_normalised_as_the_contract_says(contract: Contract, samples: MemorySamples) -> None:
    batch = Normalizer(contract, torch.device("cpu"))([samples[0], samples[1]])
    assert [tuple(i.shape) for i in batch.images] == [(2, 3, 32, 64)] * 2
    assert batch.images[0].is_contiguous(memory_format=torch.channels_last)
    expected = (samples[1].images[0].astype(np.float32) - 128) * np.float32(0.01)
    np.testing.assert_allclose(batch.images[0][1].permute(1, 2, 0).numpy(), expected, rtol=1e-6)
    assert batch.present.tolist() == [[1, 1], [1, 1]]


def test_void_is_ignored_in_training(contract: Contract) -> None:
    with_void = replace(contract, labels=load_label_set("freiburg_forest"))
    image = np.zeros((32, 64, 3), np.uint8)
    label = np.zeros((32, 64), np.uint8)
    label[:, :10] = 3
    batch = Normalizer(with_void, torch.device("cpu"))([Sample((image, image), (True, True), label)])
    assert batch.label.unique().tolist() == [3, 255]
    assert label.min() == 0, "the sample itself stays as it is"


def test_every_epoch_shows_every_sample_once(contract: Contract, samples: MemorySamples) -> None:
    seen: list[int] = []

    class Watched:
        digest = ""

        def __len__(self) -> int:
            return len(samples)

        def name(self, index: int) -> str:
            return str(index)

        def group(self, index: int) -> None: ...

        def __getitem__(self, index: int) -> Sample:
            seen.append(index)
            return samples[index]

    maker = BatchMaker(config_for(contract), contract, Watched(), 0)
    for step in range(6):  # batch 2, six samples: two epochs
        maker.samples_of(step)
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    assert seen[:6] != seen[6:]


def test_processes_share_a_step_without_overlap(contract: Contract, samples: MemorySamples) -> None:
    config = config_for(contract)
    config = replace(config, stages=(replace(config.stages[0], batch_size=5),))
    whole = BatchMaker(config, contract, samples, 0).samples_of(3)
    parts = [BatchMaker(config, contract, samples, 0, rank=r, world_size=2).samples_of(3) for r in range(2)]
    assert [len(p) for p in parts] == [3, 2]
    for made, expected in zip((*parts[0], *parts[1]), (*whole[0::2], *whole[1::2]), strict=True):
        np.testing.assert_array_equal(made.label, expected.label)
        np.testing.assert_array_equal(made.images[0], expected.images[0])


def test_prefetched_batches_are_those_of_their_step(contract: Contract, samples: MemorySamples) -> None:
    maker = BatchMaker(config_for(contract), contract, samples, 1)
    for step, made in enumerate(maker.iterate(first_step=1), start=1):
        for a, b in zip(made, maker.samples_of(step), strict=True):
            np.testing.assert_array_equal(a.images[0], b.images[0])
    assert step == 3


@pytest.mark.parametrize(("shown", "stripes"), [(0.5, True), (1.0, False)])
def test_a_window_at_full_size_keeps_every_pixel(contract: Contract, shown: float, stripes: bool) -> None:
    """Columns of two classes by turns: a half-size stage that shows half of the image samples all of them, one that
    shows all of it samples a halved image."""
    label = np.tile(np.array([0, 1], np.uint8), (32, 32))
    image = np.zeros((32, 64, 3), np.uint8)
    config = config_for(contract)
    still = AugmentationConfig(flip=0, rotation=0, skew=0, scale=(1, 1), crop=(shown, shown), vignette=0)
    config = replace(
        config, augmentation=still, stages=(replace(config.stages[0], batch_size=4, width=32, height=16),)
    )
    maker = BatchMaker(config, contract, MemorySamples([Sample((image, image), (True, True), label)]), 0)
    for sample in maker.samples_of(0):
        inside = sample.label[:, 1:-1]
        assert ((inside[:, 1:] != inside[:, :-1]).mean() > 0.8) == stripes
