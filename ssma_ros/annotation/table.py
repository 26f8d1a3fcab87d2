# SPDX-License-Identifier: Apache-2.0
"""The formats that labels are exchanged in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssma_ros.annotation import coco, cvat, label_studio, labelme, panoptic, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.annotation.painting import Names, Painted, Read
    from ssma_ros.labels import LabelSet


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        title: for people.
        write: pictures with masks, label set, folder to fill.
        read: folder or file, names of the classes; gives masks in any order.
        result: in the folder, the file that a program is given alone, or empty.
    """

    title: str
    write: Callable[[Iterable[Painted], LabelSet, Path], None]
    read: Callable[[Path, Names], Iterator[Read]]
    result: str = ""


FORMATS: Mapping[str, Format] = {
    "cvat": Format("CVAT, 'Segmentation mask 1.1'", cvat.write_cvat, cvat.read_cvat),
    "coco": Format("COCO instances, CVAT's too", coco.write_coco, coco.read_coco, coco.FILE_NAME),
    "panoptic": Format("COCO panoptic", panoptic.write_panoptic, panoptic.read_panoptic),
    "label-studio": Format("Label Studio, brush masks", label_studio.write_label_studio,
                           label_studio.read_label_studio, label_studio.TASKS_NAME),
    "labelme": Format("labelme, a JSON file a picture", labelme.write_labelme, labelme.read_labelme),
    "palette": Format("PNG of ids with a palette", plain.write_palette, plain.read_pictures),
    "ids": Format("PNG of ids as grey values", plain.write_ids, plain.read_pictures),
    "colors": Format("PNG of the classes' colours", plain.write_colors, plain.read_pictures),
}
