# SPDX-License-Identifier: Apache-2.0
"""A data set of small pictures with masks that are hard to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.annotation.samples import write_mask
from ssma_ros.labels import load_label_set
from ssma_ros.labels.beside import keep_label_set

if TYPE_CHECKING:
    from pathlib import Path

    from ssma_ros.labels import LabelSet

LABELS = load_label_set("synthetic_forest")
WIDTH, HEIGHT = 40, 24


def speckled(seed: int, labels: LabelSet = LABELS) -> np.ndarray:
    """Every pixel at random, half of them in blocks: holes in holes, corners that touch, single pixels."""
    rng = np.random.default_rng(seed)
    ids = np.array([*range(labels.num_classes), labels.ignore_id], np.uint8)
    fine = ids[rng.integers(0, len(ids), (HEIGHT, WIDTH))]
    coarse = cv2.resize(fine[:6, :10], (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.where(rng.random((HEIGHT, WIDTH)) < 0.8, coarse, fine)


def nested() -> np.ndarray:
    """Rings in rings, the innermost and one between unlabelled; a line one pixel wide."""
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for step, class_id in enumerate((1, 255, 2, 0, 255)):
        mask[2 * step + 1 : HEIGHT - 2 * step - 1, 2 * step + 1 : WIDTH - 2 * step - 1] = class_id
    mask[5, 3:30] = 4
    return mask


def whole(class_id: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), class_id, np.uint8)


MASKS = {"a_000000": speckled(0), "a_000001": nested(), "b_000000": whole(3), "b.x_000001": whole(255)}


def write_pictures(root: Path, labels: LabelSet = LABELS, *, split: str = "train") -> Path:
    for index, name in enumerate(MASKS):
        path = root / split / "rgb" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 40 * index, np.uint8))
    keep_label_set(labels, root)
    return root


def write_painted_set(root: Path, labels: LabelSet = LABELS, *, folder: str = "label") -> Path:
    write_pictures(root, labels)
    for name, mask in MASKS.items():
        path = root / "train" / folder / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        write_mask(path, mask, labels)
    return root
