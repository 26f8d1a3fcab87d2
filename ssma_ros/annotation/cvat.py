# SPDX-License-Identifier: Apache-2.0
"""CVAT's "Segmentation mask 1.1", which is Pascal VOC's layout with a table of colours.

https://docs.cvat.ai/docs/dataset_management/formats/format-smask
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.annotation.painting import Painted, Read, regions
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically, write_picture
from ssma_ros.training.datasets.images import pictures_in
from ssma_ros.training.datasets.label_images import read_raw_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet

_BACKGROUND = "background"
_MAP, _CLASSES, _OBJECTS = "labelmap.txt", "SegmentationClass", "SegmentationObject"
#: Colours of objects, of which CVAT only wants that they differ: a step through all of them that repeats none.
_STEP, _COLORS = 7_368_787, 1 << 24


def write_cvat(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """What CVAT takes by "Upload annotations", once zipped; unlabelled pixels are its background."""
    table = _colors_of(labels)
    lines = [f"{_BACKGROUND}:0,0,0::", *(f"{name}:{','.join(map(str, color))}::" for name, color in table.items())]
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name in (_CLASSES, _OBJECTS):
        (folder / name).mkdir()
    colors = np.zeros((256, 3), np.uint8)
    colors[: labels.num_classes] = list(table.values())
    names = []
    for each in painted:
        names.append(each.name)
        objects = np.zeros((*each.mask.shape, 3), np.uint8)
        for number, region in enumerate(regions(each.mask, range(labels.num_classes)), 1):
            code = number * _STEP % _COLORS
            region.within(objects)[region.inside] = (code >> 16, code >> 8 & 255, code & 255)
        for part, image in ((_CLASSES, colors[each.mask]), (_OBJECTS, objects)):
            write_picture(folder / part / f"{each.name}.png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_atomically(folder / _MAP, ("\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n").encode())
    write_atomically(folder / "ImageSets" / "Segmentation" / "default.txt", ("\n".join(names) + "\n").encode())


def read_cvat(source: Path, names: Names) -> Iterator[Read]:
    """What CVAT exports.

    Raises:
        SsmaError: files are missing, a class is unknown, or a pixel has a colour of no class.
    """
    if not (source / _MAP).is_file() or not (source / _CLASSES).is_dir():
        raise SsmaError(f"labels {source}: has no {_MAP} or no {_CLASSES}, expected CVAT's 'Segmentation mask 1.1'")
    ids = _read_map(source / _MAP, names)
    folders = [source / _CLASSES, *(path for path in sorted((source / _CLASSES).rglob("*")) if path.is_dir())]
    for folder in folders:
        for name, path in pictures_in(folder).items():
            raw = read_raw_label(path)
            if raw.ndim == 2:
                raise SsmaError(f"label image {path}: has ids, expected the colours of {_MAP}")
            yield Read(name, _ids_of(raw, ids, path))


def _colors_of(labels: LabelSet) -> dict[str, tuple[int, int, int]]:
    """Class → its colour; where two share one, or one is the background's, the table has colours of its own."""
    colors = [c.color for c in labels.classes]
    if _BACKGROUND in labels.names:
        raise SsmaError(f"label set '{labels.name}': has a class '{_BACKGROUND}', which is CVAT's word for what is not "
                        "labelled; expected another name, or the format coco")
    if len({*colors, (0, 0, 0)}) <= len(colors):
        codes = [(number * _STEP) % _COLORS for number in range(1, len(colors) + 1)]
        colors = [(code >> 16, code >> 8 & 255, code & 255) for code in codes]
    return dict(zip(labels.names, colors, strict=True))


def _read_map(path: Path, names: Names) -> dict[int, int]:
    """24-bit colour → class id."""
    found = {0: names.labels.ignore_id}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"labels {path}: line {number}"
        name, _, rest = line.partition(":")
        parts = rest.split(":")[0].split(",")
        if len(parts) != 3 or not all(part.strip().isdigit() and int(part) < 256 for part in parts):
            raise SsmaError(f"{where} is '{line}', expected NAME:R,G,B::")
        red, green, blue = map(int, parts)
        unlabelled = name == _BACKGROUND and name not in (*names.labels.names, *names.renamed)
        found[(red << 16) + (green << 8) + blue] = (
            names.labels.ignore_id if unlabelled else names.id_of(name, where)
        )
    return found


def _ids_of(rgb: NDArray[np.uint8], ids: dict[int, int], path: Path) -> NDArray[np.uint8]:
    present, inverse = np.unique(rgb.astype(np.int32) @ np.array([65536, 256, 1]), return_inverse=True)
    strange = [code for code in present.tolist() if code not in ids]
    if strange:
        code = strange[0]
        raise SsmaError(f"label image {path}: has the colour {code >> 16},{code >> 8 & 255},{code & 255}, which {_MAP} "
                        "does not have")
    return np.array([ids[code] for code in present.tolist()], np.uint8)[inverse].reshape(rgb.shape[:2])
