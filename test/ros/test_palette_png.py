# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from ssma_ros.messages.palette_png import palette_png


@pytest.mark.parametrize("size", [(1, 1), (64, 96), (7, 1001)])
def test_every_reader_sees_the_palettes_colors(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    labels, palette = rng.integers(0, 256, size, np.uint8), rng.integers(0, 256, (256, 3), np.uint8)
    file = np.frombuffer(palette_png(labels, palette), np.uint8)
    for flag in (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED):
        np.testing.assert_array_equal(cv2.imdecode(file, flag)[..., ::-1], palette[labels])


def test_label_images_are_small() -> None:
    labels = np.zeros((100, 200), np.uint8)
    labels[30:60, 50:90] = 4
    assert len(palette_png(labels, np.zeros((256, 3), np.uint8))) < 256 * 3 + labels.size / 40


def test_rows_with_padding_are_read_as_they_look() -> None:
    labels = np.zeros((8, 12), np.uint8)
    labels[:, 3] = 9
    palette = np.arange(768, dtype=np.uint8).reshape(256, 3)
    assert palette_png(labels[:, :10], palette) == palette_png(labels[:, :10].copy(), palette)
