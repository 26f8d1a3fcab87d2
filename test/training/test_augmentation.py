# SPDX-License-Identifier: Apache-2.0
"""Augmentation: one geometry for all, photometry for colour, everything from one seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set
from ssma_ros.training.datasets.cache import Sample
from ssma_ros.training.fit.augmentation import Augmentation, resize_sample
from ssma_ros.training.fit.config import AugmentationConfig

NOTHING = AugmentationConfig(
    flip=0, rotation=0, skew=0, scale=(1, 1), crop=(1, 1), brightness=0, contrast=(1, 1), vignette=0
)
EVERYTHING = AugmentationConfig(
    saturation=(0.5, 1.5), hue=20, gain=0.2, gamma=(0.7, 1.4), noise=10, blur=1, other_brightness=10,
    other_contrast=(0.8, 1.2), height_shift=30, holes=1, modality_dropout=0.3,
)


@pytest.fixture(scope="module")
def contract() -> Contract:
    streams = (Stream("rgb", "bgr"), Stream("hha", "hha"), Stream("evi", "evi2"))
    return Contract(width=96, height=64, streams=streams, labels=load_label_set("synthetic_forest"))


def coded(rng: np.random.Generator) -> Sample:
    """Every stream and the label hold the same blocks, so that a difference in geometry shows."""
    label = np.kron(rng.integers(0, 5, (8, 12)), np.ones((8, 8), int)).astype(np.uint8)
    image = np.repeat((label * 50 + 20)[..., None], 3, axis=2).astype(np.uint8)
    return Sample((image, image.copy(), image.copy()), (True, True, True), label)


def test_nothing_changes_nothing(contract: Contract) -> None:
    sample = coded(np.random.default_rng(0))
    result = Augmentation(NOTHING, contract)(sample, 96, 64, np.random.default_rng(1))
    np.testing.assert_array_equal(result.label, sample.label)
    for before, after in zip(sample.images, result.images, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("seed", range(8))
def test_all_streams_and_the_label_move_together(contract: Contract, seed: int) -> None:
    config = replace(NOTHING, flip=0.5, rotation=13, skew=0.1, scale=(0.5, 2.0), crop=(0.8, 0.9))
    result = Augmentation(config, contract)(coded(np.random.default_rng(seed)), 96, 64, np.random.default_rng(seed))
    inside = result.label != 255
    assert inside.mean() > 0.15
    # The depth stream is sampled to the nearest pixel as the label is: equal everywhere inside.
    np.testing.assert_array_equal(result.images[1][inside][:, 0], result.label[inside] * 50 + 20)
    # Bilinear streams agree away from block borders, where nothing is mixed.
    flat = np.abs(result.images[0].astype(int)[..., 0] - (result.label.astype(int) * 50 + 20)) <= 1
    assert flat[inside].mean() > 0.6
    assert (result.images[1][~inside] == 0).all()


def test_mirror_is_exact(contract: Contract) -> None:
    sample = coded(np.random.default_rng(3))
    result = Augmentation(replace(NOTHING, flip=1.0), contract)(sample, 96, 64, np.random.default_rng(0))
    np.testing.assert_array_equal(result.label, sample.label[:, ::-1])
    np.testing.assert_array_equal(result.images[0], sample.images[0][:, ::-1])


def test_a_sample_is_a_function_of_its_seed(contract: Contract) -> None:
    augment = Augmentation(EVERYTHING, contract)
    sample = coded(np.random.default_rng(0))
    one, same, other = (augment(sample, 48, 32, np.random.default_rng(s)) for s in (5, 5, 6))
    for a, b in zip((*one.images, one.label), (*same.images, same.label), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.present == same.present
    assert not np.array_equal(one.images[0], other.images[0])


def test_colour_changes_leave_depth_alone(contract: Contract) -> None:
    config = replace(NOTHING, brightness=40, contrast=(0.5, 1.5), hue=20, gain=0.3, noise=10, vignette=1.0)
    sample = coded(np.random.default_rng(0))
    result = Augmentation(config, contract)(sample, 96, 64, np.random.default_rng(1))
    assert not np.array_equal(result.images[0], sample.images[0])
    np.testing.assert_array_equal(result.images[1], sample.images[1])
    np.testing.assert_array_equal(result.label, sample.label)


def test_input_is_not_changed(contract: Contract) -> None:
    sample = coded(np.random.default_rng(0))
    kept = [image.copy() for image in sample.images]
    for seed in range(5):
        Augmentation(replace(EVERYTHING, flip=0, rotation=0), contract)(sample, 96, 64, np.random.default_rng(seed))
    for before, after in zip(kept, sample.images, strict=True):
        np.testing.assert_array_equal(before, after)


def test_height_shift_keeps_holes_blank(contract: Contract) -> None:
    sample = coded(np.random.default_rng(0))
    sample.images[1][:10] = 0
    result = Augmentation(replace(NOTHING, height_shift=60), contract)(sample, 96, 64, np.random.default_rng(4))
    assert (result.images[1][:10] == 0).all()
    changed = result.images[1][10:].astype(int) - sample.images[1][10:]
    assert (changed[..., (0, 2)] == 0).all()
    assert len(np.unique(changed[..., 1])) == 1


def test_missing_sensors_always_leave_a_stream(contract: Contract) -> None:
    augment = Augmentation(replace(NOTHING, modality_dropout=0.6), contract)
    sample = coded(np.random.default_rng(0))
    seen = {augment(sample, 96, 64, np.random.default_rng(seed)).present for seed in range(200)}
    # EVI2 needs colour too: it can never be there without it.
    assert seen == {
        (True, True, True), (True, False, True), (True, True, False), (True, False, False), (False, True, False)
    }


def test_a_stream_that_was_never_made_stays_blank(contract: Contract) -> None:
    sample = coded(np.random.default_rng(0))
    sample = Sample(sample.images, (True, False, True), sample.label)
    result = Augmentation(EVERYTHING, contract)(sample, 96, 64, np.random.default_rng(0))
    assert not result.present[1]
    assert not result.images[1].any()


def test_resize_keeps_depth_values(contract: Contract) -> None:
    half = resize_sample(coded(np.random.default_rng(0)), contract, 48, 32)
    assert half.label.shape == (32, 48)
    np.testing.assert_array_equal(half.images[1][..., 0], half.label * 50 + 20)
