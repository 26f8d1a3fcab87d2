# SPDX-License-Identifier: Apache-2.0
"""Confusion-matrix metrics against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssma_ros.metrics import ConfusionMatrix


def test_small_case_by_hand() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 0, 1], [1, 1, 2]]), np.array([[0, 1, 1], [1, 255, 1]]))
    # class 0: 1 hit, 1 alarm; class 1: 2 hits, 2 misses; class 2: 1 alarm
    np.testing.assert_allclose(matrix.iou(), [1 / 2, 2 / 4, 0.0])
    assert matrix.miou() == pytest.approx(1 / 3)
    assert matrix.accuracy() == pytest.approx(3 / 5)
    assert matrix.global_iou() == pytest.approx(3 / (3 + 2 + 2))
    np.testing.assert_allclose(matrix.precision(), [1 / 2, 1.0, 0.0])
    np.testing.assert_allclose(matrix.recall(), [1.0, 1 / 2, np.nan])


def test_class_that_never_occurs_is_left_out() -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(np.array([0, 1]), np.array([0, 1]))
    assert matrix.miou() == 1.0
    assert np.isnan(matrix.iou()[2:]).all()


def test_no_pixel_gives_nan_and_none() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8))
    assert math.isnan(matrix.miou())
    assert matrix.summary(["a", "b"])["miou"] is None


def test_prediction_outside_the_classes_is_a_miss() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([255, 0], np.uint8), np.array([0, 0], np.uint8))
    np.testing.assert_allclose(matrix.iou(), [0.5, np.nan])
    assert matrix.accuracy() == 0.5


def test_void_class_takes_no_part() -> None:
    matrix = ConfusionMatrix(3, void_class=0)
    matrix.update(np.array([1, 0, 2, 1]), np.array([0, 1, 2, 1]))
    # The void pixel predicted as 1 is no alarm; the pixel of 1 predicted as void is a miss.
    np.testing.assert_allclose(matrix.iou(), [np.nan, 0.5, 1.0])


def test_merge_equals_one_matrix() -> None:
    rng = np.random.default_rng(0)
    masks, labels = rng.integers(0, 4, (2, 3, 50)), rng.integers(0, 4, (2, 3, 50))
    whole, left, right = ConfusionMatrix(4), ConfusionMatrix(4), ConfusionMatrix(4)
    whole.update(masks, labels)
    left.update(masks[0], labels[0])
    right.update(masks[1], labels[1])
    left.merge(right)
    np.testing.assert_array_equal(left.counts, whole.counts)


@pytest.mark.parametrize(
    ("mask", "label", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 3)), r"shape is \(2, 2\), expected \(2, 3\)"),
        (np.zeros(2), np.array([0, 7]), "holds id 7, expected 0..2 or 255"),
    ],
)
def test_wrong_input_is_named(mask: np.ndarray, label: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(3).update(mask, label)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.uint8, (6, 5), elements=st.sampled_from([0, 1, 2, 255])),
    hnp.arrays(np.uint8, (6, 5), elements=st.sampled_from([0, 1, 2, 255])),
)
def test_iou_and_its_two_error_rates_sum_to_one(mask: np.ndarray, label: np.ndarray) -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(mask, label)
    for c in range(3):
        counted = label != 255
        union = counted & ((mask == c) | (label == c))
        expected = np.nan if not union.any() else (counted & (mask == c) & (label == c)).sum() / union.sum()
        np.testing.assert_allclose(matrix.iou()[c], expected)
    total = matrix.iou() + matrix.false_positive_rate() + matrix.false_negative_rate()
    np.testing.assert_allclose(total[~np.isnan(total)], 1.0)
