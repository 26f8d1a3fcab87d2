# SPDX-License-Identifier: Apache-2.0
"""Raw ids to train ids, and the loud failure on ids outside the map."""

from __future__ import annotations

import numpy as np
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.labels import apply_raw_ids, load_label_set

CITYSCAPES = load_label_set("cityscapes19")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.int64])
def test_maps_every_pixel(dtype: type) -> None:
    rng = np.random.default_rng(0)
    raw = rng.choice([r for r in CITYSCAPES.raw_ids if r >= 0], size=(40, 60)).astype(dtype)
    mapped = apply_raw_ids(raw, CITYSCAPES, "image.png")
    assert mapped.dtype == np.uint8
    expected = np.vectorize(lambda r: CITYSCAPES.raw_ids[int(r)])(raw)
    np.testing.assert_array_equal(mapped, expected)


def test_negative_raw_ids() -> None:
    mapped = apply_raw_ids(np.array([[-1, 7]], dtype=np.int32), CITYSCAPES, "image.png")
    np.testing.assert_array_equal(mapped, [[255, 0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_unknown_id_names_id_count_and_file(dtype: type) -> None:
    raw = np.full((4, 5), 7, dtype=dtype)
    raw[0, :3] = 77
    with pytest.raises(SsmaError, match=r"label image frankfurt_1\.png: 3 pixels have id 77, .*'cityscapes19'"):
        apply_raw_ids(raw, CITYSCAPES, "frankfurt_1.png")


def test_many_unknown_ids_are_counted() -> None:
    with pytest.raises(SsmaError, match=r"1 pixels have id 100, .* and 15 more ids"):
        apply_raw_ids(np.arange(100, 120, dtype=np.uint8)[None], CITYSCAPES, "x.png")


@pytest.mark.parametrize("image", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32)])
def test_color_or_float_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected H×W of an integer type"):
        apply_raw_ids(image, CITYSCAPES, "x.png")


def test_empty_image() -> None:
    assert apply_raw_ids(np.zeros((0, 4), np.uint8), CITYSCAPES, "x.png").shape == (0, 4)
