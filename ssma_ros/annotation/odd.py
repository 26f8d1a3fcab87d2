# SPDX-License-Identifier: Apache-2.0
"""Masks that differ from the others of their data set: where a mistake is likely, and what to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.training.datasets.images import read_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

#: Columns and rows of the grid on which classes are expected.
_GRID = (16, 12)
#: A region of fewer pixels, in a picture of 640x480, is a speck: a slip of the brush.
_SPECK_SHARE = 20 / (640 * 480)
#: Samples that an expectation is worth before any was seen.
_PRIOR = 0.5


@dataclass(frozen=True)
class Layout:
    """What is needed of a mask to compare it with others.

    Attributes:
        shares: rows×columns×classes, share of each class in each cell of a grid; labelled pixels alone count.
        specks: regions too small to be meant.
    """

    shares: NDArray[np.float32]
    specks: int


def layout_of(mask: NDArray[np.uint8], labels: LabelSet) -> Layout:
    """The layout of a mask of H×W class ids."""
    shares = np.stack([
        cv2.resize((mask == c.id).astype(np.float32), _GRID, interpolation=cv2.INTER_AREA) for c in labels.classes
    ], axis=2)  # fmt: skip
    specks = 0
    for c in labels.classes:
        of_class = (mask == c.id).astype(np.uint8)
        if of_class.any():
            _, _, facts, _ = cv2.connectedComponentsWithStats(of_class, connectivity=8)
            specks += int(np.count_nonzero(facts[1:, cv2.CC_STAT_AREA] < max(2.0, _SPECK_SHARE * mask.size)))
    return Layout(shares, specks)


def surprises(layouts: Sequence[Layout]) -> NDArray[np.float64]:
    """How unexpected each mask is, given all others.

    Where a class is in the other pictures, cell by cell, is what is expected; the surprise is the mean of
    −log(expected share) over what is labelled, in nats. A picture that is labelled nowhere surprises nobody.
    """
    if not layouts:
        return np.zeros(0)
    shares = np.stack([layout.shares for layout in layouts]).astype(np.float64)
    classes = shares.shape[-1]
    total = shares.sum(axis=0)
    found = np.zeros(len(layouts))
    for index, own in enumerate(shares):
        others = total - own + _PRIOR / classes
        expected = others / others.sum(axis=-1, keepdims=True)
        labelled = own.sum()
        if labelled > 0:
            found[index] = float((own * -np.log(expected)).sum() / labelled)
    return found


def stands_out(values: NDArray[np.float64], least: float = 0.0) -> list[int]:
    """Indices of values far above the others, the farthest first: more than four robust deviations over the median,
    and at least ``least``."""
    if len(values) < 3:
        return []
    median = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - median)))
    limit = max(least, median + 4 * max(deviation, 1e-3 + 0.05 * abs(median)))
    return [int(i) for i in np.argsort(-values, kind="stable") if values[i] > limit]


def as_shown(path: Path) -> NDArray[np.uint8]:
    """A sensor's picture for people: H×W×3 blue, green, red; what is not of 8 bits is stretched to its range.

    Raises:
        SsmaError: missing or unreadable.
    """
    image = read_pixels(path, "picture")
    if image.dtype != np.uint8:
        values = np.nan_to_num(image.astype(np.float32), posinf=0.0, neginf=0.0)
        image = (255 * (values - values.min()) / max(float(np.ptp(values)), 1e-6)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image[..., :3])


def picture_of(
    picture: NDArray[np.uint8], mask: NDArray[np.uint8], labels: LabelSet, caption: str
) -> NDArray[np.uint8]:
    """The picture, and the picture with its labels over it, side by side under a line of text; blue, green, red.

    Args:
        picture: H×W×3 blue, green, red.
        mask: H×W class ids.
        labels: with the colours.
        caption: what is odd.
    """
    palette = np.array(labels.palette(), np.uint8)[:, ::-1]
    over = picture.copy()
    painted = mask < labels.num_classes
    over[painted] = picture[painted] // 2 + palette[mask][painted] // 2
    both = np.concatenate([picture, over], axis=1)
    line = np.zeros((24, both.shape[1], 3), np.uint8)
    cv2.putText(line, caption, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([line, both])
