# SPDX-License-Identifier: Apache-2.0
"""The pictures of a labelled-data folder with what is painted on them: labels of people, pre-labels of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically
from ssma_ros.labels import raw_ids_of, stored_ids
from ssma_ros.messages.palette_png import palette_png
from ssma_ros.sensors import SENSORS
from ssma_ros.training.datasets.images import pictures_in
from ssma_ros.training.datasets.label_images import read_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

#: Folders of a split with masks: of people, and of a network.
LABEL, PRELABEL = "label", "prelabel"


@dataclass(frozen=True)
class Sample:
    """One picture of a data set.

    Attributes:
        split: that it is in.
        name: of its files, without suffix.
        picture: the file that people look at: colour, or the first sensor there is.
        masks: by folder (:data:`LABEL`, :data:`PRELABEL`) the mask, where it has one.
    """

    split: str
    name: str
    picture: Path
    masks: dict[str, Path]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture.

        Raises:
            SsmaError: it cannot be read.
        """
        try:
            with Image.open(self.picture) as picture:
                return picture.size
        except (OSError, ValueError, SyntaxError) as error:
            raise SsmaError(f"picture {self.picture}: cannot be read as an image ({error})") from None

    def read_mask(self, folder: str, labels: LabelSet) -> NDArray[np.uint8]:
        """H×W class ids (or the ignore id) at the picture's size.

        Raises:
            SsmaError: it cannot be read, is of another size, or has an id that the label set does not know.
        """
        path = self.masks[folder]
        mask = read_label(path, labels)
        size = (mask.shape[1], mask.shape[0])
        if size != self.size:
            raise SsmaError(f"label image {path}: is {size[0]}x{size[1]}, expected {self.size[0]}x{self.size[1]} as "
                            f"{self.picture} is")
        return mask


def list_samples(root: Path, splits: Sequence[str] = ()) -> list[Sample]:
    """The pictures of a data set, split by split.

    Args:
        root: folder of the data set.
        splits: only these; () = every folder that holds a sensor's pictures.

    Raises:
        SsmaError: no such folder or split, or no picture in it.
    """
    if not root.is_dir():
        raise SsmaError(f"data set {root}: no such folder, expected one with splits such as train/rgb and val/rgb")
    found = [path.name for path in sorted(root.iterdir()) if path.is_dir() and _pictures_folder(path) is not None]
    for split in splits:
        if split not in found:
            raise SsmaError(f"data set {root}: has no split '{split}' with pictures, expected one of "
                            f"{', '.join(found) or 'none'}")
    samples = [sample for split in (splits or found) for sample in _of_split(root / split)]
    if not samples:
        raise SsmaError(f"data set {root}: holds no pictures, expected {root}/SPLIT/rgb/NAME.png or those of another "
                        "sensor")
    return samples


def _pictures_folder(split: Path) -> Path | None:
    folders = (split / sensor.folder for sensor in SENSORS.values())
    return next((folder for folder in folders if folder.is_dir()), None)


def _of_split(split: Path) -> list[Sample]:
    folder = _pictures_folder(split)
    assert folder is not None
    masks = {name: pictures_in(split / name) for name in (LABEL, PRELABEL) if (split / name).is_dir()}
    return [
        Sample(split.name, name, path, {kind: paths[name] for kind, paths in masks.items() if name in paths})
        for name, path in pictures_in(folder).items()
    ]


def mask_png(mask: NDArray[np.uint8], labels: LabelSet, where: str) -> bytes:
    """A palette PNG of a mask as data sets store it: raw ids, shown in the classes' colours.

    Args:
        mask: H×W class ids or the ignore id.
        labels: their label set.
        where: for messages.

    Raises:
        SsmaError: the label set has no raw id for a class of the mask.
    """
    raw = raw_ids_of(mask, labels, where)
    palette, stored = np.zeros((256, 3), np.uint8), stored_ids(labels)
    for c in labels.classes:
        if stored.get(c.id, 256) < 256:
            palette[stored[c.id]] = c.color
    return palette_png(raw, palette)


def write_mask(path: Path, mask: NDArray[np.uint8], labels: LabelSet) -> None:
    """Write a mask (:func:`mask_png`), whole or not at all.

    Raises:
        SsmaError: as there, or the disk refuses.
    """
    write_atomically(path, mask_png(mask, labels, str(path)))
