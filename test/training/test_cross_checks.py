# SPDX-License-Identifier: Apache-2.0
"""Our metrics against torchmetrics', our shared warp against kornia's: the same numbers from code of others.

Both libraries are for this test alone; without them it is skipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ssma_ros.contract import Contract
from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.training.datasets.cache import Sample
from ssma_ros.training.evaluate.metrics import Calibration
from ssma_ros.training.fit.augmentation import Augmentation
from ssma_ros.training.fit.config import AugmentationConfig

CLASSES = 6


def pictures(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores 3×6×40×50 that favour the label, and labels 3×40×50 with some unlabelled; class 5 never occurs."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, CLASSES - 1, (3, 40, 50), generator=generator)
    scores = 1.5 * torch.randn(3, CLASSES, 40, 50, generator=generator)
    scores += 2.0 * torch.nn.functional.one_hot(label, CLASSES).permute(0, 3, 1, 2)
    scores[:, CLASSES - 1] = -20.0
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return scores, label


@pytest.mark.parametrize("seed", [0, 1])
def test_metrics_are_those_of_torchmetrics(seed: int) -> None:
    metrics = pytest.importorskip("torchmetrics.classification", reason="torchmetrics is not installed")
    scores, label = pictures(seed)
    ours = ConfusionMatrix(CLASSES)
    for mask, truth in zip(scores.argmax(dim=1).numpy(), label.numpy(), strict=True):
        ours.update(mask, truth)

    def theirs(kind: str, average: str) -> Any:
        metric = getattr(metrics, f"Multiclass{kind}")(num_classes=CLASSES, average=average, ignore_index=255)
        for one, truth in zip(scores, label, strict=True):
            metric.update(one[None], truth[None])
        return metric.compute().numpy()

    np.testing.assert_allclose(np.nan_to_num(ours.iou()), theirs("JaccardIndex", "none"), rtol=1e-5)
    assert ours.miou() == pytest.approx(theirs("JaccardIndex", "macro"), rel=1e-5)
    assert ours.accuracy() == pytest.approx(theirs("Accuracy", "micro"), rel=1e-5)
    assert ours.mean_accuracy() == pytest.approx(theirs("Accuracy", "macro"), rel=1e-5)
    np.testing.assert_allclose(np.nan_to_num(ours.precision()), theirs("Precision", "none"), rtol=1e-5)
    assert ours.global_iou() == pytest.approx(theirs("JaccardIndex", "micro"), rel=1e-5)


@pytest.mark.parametrize("bins", [10, 15])
def test_calibration_error_is_that_of_torchmetrics(bins: int) -> None:
    metrics = pytest.importorskip("torchmetrics.classification", reason="torchmetrics is not installed")
    scores, label = pictures(2)
    probabilities = scores.double().softmax(dim=1)
    ours = Calibration(bins=bins)
    theirs = metrics.MulticlassCalibrationError(num_classes=CLASSES, n_bins=bins, norm="l1", ignore_index=255)
    for one, truth in zip(probabilities, label, strict=True):
        confidence, mask = one.max(dim=0)
        ours.update(confidence.numpy(), mask.numpy(), truth.numpy())
        theirs.update(one[None], truth[None])
    assert ours.expected_error() == pytest.approx(float(theirs.compute()), rel=1e-5)


def smooth_picture(height: int, width: int) -> np.ndarray:
    """Waves: interpolation in steps of 1/32 pixel, as OpenCV's, is then exact to a level or two."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9.0 + phase) + np.cos(y / 7.0 - phase) for phase in (0.0, 1.0, 2.0)]
    return np.rint(127.5 + 55.0 * np.stack(waves, axis=2)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_shared_warp_is_that_of_kornia(seed: int, contract: Contract) -> None:
    transform = pytest.importorskip("kornia.geometry.transform", reason="kornia is not installed")
    config = AugmentationConfig(brightness=0, contrast=(1, 1), vignette=0, rotation=13, skew=0.1, scale=(0.5, 2.0))
    augmentation = Augmentation(config, contract)
    height, width = 96, 160
    image = smooth_picture(64, 128)
    label = np.repeat(np.repeat(np.random.default_rng(9).integers(0, 5, (8, 16), np.uint8), 8, 0), 8, 1)
    found = augmentation(Sample((image, image), (True, True), label), width, height, np.random.default_rng(seed))
    matrix = torch.from_numpy(augmentation._matrix(128, 64, width, height, np.random.default_rng(seed)))[None]

    def kornia(picture: np.ndarray, mode: str) -> np.ndarray:
        tensor = torch.from_numpy(picture).double().permute(2, 0, 1)[None]
        warped = transform.warp_affine(tensor, matrix, (height, width), mode=mode, align_corners=True)
        return warped[0].permute(1, 2, 0).numpy()

    # A black frame tells what lies outside: kornia's nearest pixel, like ours, is none there.
    inside = kornia(np.ones_like(image), "bilinear")[..., 0] > 1.0 - 1e-9
    assert inside.mean() > 0.1
    difference = np.abs(found.images[0] - kornia(image, "bilinear"))
    assert difference[inside].max() <= 2.0
    assert difference[inside].mean() < 0.5
    outside = kornia(np.ones_like(image), "bilinear")[..., 0] == 0.0
    assert not found.images[0][outside].any()
    assert (found.label[outside] == 255).all()
    nearest = kornia(label[..., None], "nearest")[..., 0]
    # Where the two round to neighbouring pixels, classes may differ along their borders.
    assert (found.label[inside] == nearest[inside]).mean() > 0.995
