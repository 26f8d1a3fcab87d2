# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from ssma_ros.encodings.colormap import gray_depth, jet_depth


def test_bounds_are_metric():
    depth = np.array([[1.0, 0.5, 20.0, 30.0, 10.5, 0.0, np.nan, np.inf, -1.0]], np.float32)
    colors = jet_depth(depth, 1.0, 20.0)
    jet = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_JET)[0]
    assert colors[0, :5].tolist() == jet[[0, 0, 255, 255, 128]].tolist()
    assert (colors[0, 5:] == 0).all()


def test_grey_levels_keep_zero_for_no_reading():
    depth = np.array([[1.0, 0.5, 20.0, 30.0, 10.5, 0.0, np.nan, np.inf, -1.0]], np.float32)
    assert gray_depth(depth, 1.0, 20.0).tolist() == [[1, 1, 255, 255, 128, 0, 0, 0, 0]]


def test_a_surface_keeps_its_colour_whatever_else_is_seen():
    near = np.full((4, 4), 3.0, np.float32)
    mixed = near.copy()
    mixed[0] = 80.0
    np.testing.assert_array_equal(jet_depth(near, 0.5, 40.0)[2], jet_depth(mixed, 0.5, 40.0)[2])


@pytest.mark.parametrize("encode", [jet_depth, gray_depth])
@pytest.mark.parametrize(("near", "far"), [(-1.0, 10.0), (5.0, 5.0), (0.0, 0.0), (1.0, np.inf), (np.nan, 1.0)])
def test_impossible_bounds(near, far, encode):
    with pytest.raises(ValueError, match="expected"):
        encode(np.ones((2, 2), np.float32), near, far)
