# SPDX-License-Identifier: Apache-2.0
"""Calibration error, trimap bands and multi-scale testing against cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssma_ros.training.evaluate.metrics import Calibration, TrimapBands, boundary_distance
from ssma_ros.training.evaluate.multi_scale import segment_multi_scale


def test_calibrated_confidence_has_no_error() -> None:
    calibration = Calibration(bins=10)
    mask, label = np.zeros(100, int), np.zeros(100, int)
    label[:25] = 1
    calibration.update(np.full(100, 0.75), mask, label)
    assert calibration.expected_error() == pytest.approx(0.0)
    assert calibration.reliability() == [{"confidence": 0.75, "accuracy": 0.75, "share": 1.0}]


def test_overconfidence_is_measured() -> None:
    calibration = Calibration(bins=10)
    calibration.update(np.array([1.0, 1.0, 0.55, 0.55]), np.zeros(4, int), np.array([0, 1, 0, 255]))
    # Bin 1.0: accuracy 0.5, two pixels; bin 0.55: accuracy 1, one pixel.
    assert calibration.expected_error() == pytest.approx((2 * 0.5 + 1 * 0.45) / 3)


def test_void_pixels_take_no_part_in_calibration() -> None:
    calibration = Calibration(void_class=0, bins=10)
    calibration.update(np.array([1.0, 0.75]), np.array([1, 1]), np.array([0, 1]))
    assert calibration.expected_error() == pytest.approx(0.25)


def test_no_pixel_has_no_calibration_error() -> None:
    assert math.isnan(Calibration().expected_error())


def test_boundary_distance_is_euclidean() -> None:
    label = np.zeros((5, 9), np.uint8)
    label[:, 5:] = 1
    np.testing.assert_array_equal(boundary_distance(label)[2], [4, 3, 2, 1, 0, 0, 1, 2, 3])
    assert np.isinf(boundary_distance(np.zeros((4, 4), np.uint8))).all()


def test_trimap_sees_only_the_band() -> None:
    label = np.zeros((20, 40), np.uint8)
    label[:, 20:] = 1
    mask = label.copy()
    mask[:, 22:25] = 0  # wrong 2 to 4 pixels from the boundary
    bands = TrimapBands(2, widths=(1, 8))
    bands.update(mask, label)
    assert bands.miou()[1] == 1.0
    # Within 8 pixels there are 9 columns of each class, three of them wrong.
    assert bands.miou()[8] == pytest.approx((9 / 12 + 6 / 9) / 2)


class Pixelwise(torch.nn.Module):
    """Logits that depend on the pixel alone."""

    def forward(self, image: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        return image * present[:, 0].view(-1, 1, 1, 1)


def test_multi_scale_agrees_with_one_pass_on_a_constant_image() -> None:
    image = torch.tensor([1.0, 2.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 32, 64)
    result = segment_multi_scale(Pixelwise(), [image], torch.ones(1, 1))
    torch.testing.assert_close(result, image.log_softmax(dim=1), atol=1e-5, rtol=0)


def test_multi_scale_undoes_the_mirror() -> None:
    image = torch.linspace(-3, 3, 64).view(1, 1, 1, 64) * torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    image = image.expand(1, 3, 32, 64)
    result = segment_multi_scale(Pixelwise(), [image], torch.ones(1, 1), scales=(1.0,))
    torch.testing.assert_close(result, image.log_softmax(dim=1), atol=1e-5, rtol=0)
