# SPDX-License-Identifier: Apache-2.0
"""Label images without a program's wrapping: palette, ids or colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.annotation.painting import Painted, Read
from ssma_ros.annotation.samples import write_mask
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_picture
from ssma_ros.labels import raw_ids_of
from ssma_ros.training.datasets.images import pictures_in
from ssma_ros.training.datasets.label_images import read_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet


def write_palette(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """``NAME.png`` with ids of a byte and a palette that shows the classes' colours."""
    for each in painted:
        write_mask(folder / f"{each.name}.png", each.mask, labels)


def write_ids(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """``NAME.png`` with ids of a byte as grey values."""
    for each in painted:
        write_picture(folder / f"{each.name}.png", raw_ids_of(each.mask, labels, each.name))


def write_colors(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """``NAME.png`` in the classes' colours; what is unlabelled is black.

    Raises:
        SsmaError: two classes share a colour, or one is black.
    """
    colors = [c.color for c in labels.classes]
    if len({*colors, (0, 0, 0)}) <= len(colors):
        raise SsmaError(f"label set '{labels.name}': classes share a colour, or one is black, as what is unlabelled, "
                        "expected distinct colours, or the format palette or ids")
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = colors
    for each in painted:
        write_picture(folder / f"{each.name}.png", cv2.cvtColor(table[each.mask], cv2.COLOR_RGB2BGR))


def read_pictures(source: Path, names: Names) -> Iterator[Read]:
    """The label images of a folder, of whichever kind.

    Raises:
        SsmaError: no folder, no pictures, or one that is no label image of the label set.
    """
    found = pictures_in(source) if source.is_dir() else {}
    if not found:
        raise SsmaError(f"labels {source}: holds no pictures, expected a folder of NAME.png")
    for name, path in found.items():
        yield Read(name, read_label(path, names.labels))
