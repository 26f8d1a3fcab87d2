# SPDX-License-Identifier: Apache-2.0
"""COCO panoptic: a PNG whose colour is the segment's number, and a file that says which class each segment is."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.annotation.coco import categories_of, load_coco
from ssma_ros.annotation.painting import Painted, Read
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json, write_picture
from ssma_ros.training.datasets.label_images import read_raw_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet

FILE_NAME, FOLDER = "annotations/panoptic.json", "panoptic"
#: Red is the lowest digit of a segment's number, in base 256.
_DIGITS = np.array([1, 256, 65536])


def write_panoptic(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """A segment for each class of a picture; number 0 is what is unlabelled."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / FOLDER).mkdir()
    for number, each in enumerate(painted, 1):
        width, height = each.size
        images.append({"id": number, "file_name": each.picture.name, "width": width, "height": height})
        segments = np.where(each.mask < labels.num_classes, each.mask.astype(np.int32) + 1, 0)
        found = [_segment(segments, class_id + 1) for class_id in range(labels.num_classes)]
        annotations.append({"image_id": number, "file_name": f"{each.name}.png",
                            "segments_info": [segment for segment in found if segment]})
        rgb = np.stack([(segments // digit % 256).astype(np.uint8) for digit in _DIGITS], axis=2)
        write_picture(folder / FOLDER / f"{each.name}.png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    (folder / FILE_NAME).parent.mkdir(parents=True)
    document = {"images": images, "annotations": annotations, "categories": categories_of(labels)}
    write_json(folder / FILE_NAME, document, indent=0)


def _segment(segments: np.ndarray, number: int) -> dict[str, Any]:
    """What the file says of a segment, nothing where it has no pixel."""
    rows, columns = np.nonzero(segments == number)
    if not len(rows):
        return {}
    x, y = int(columns.min()), int(rows.min())
    box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
    return {"id": number, "category_id": number, "area": len(rows), "bbox": box, "iscrowd": 0}


def read_panoptic(source: Path, names: Names) -> Iterator[Read]:
    """A folder with ``annotations/panoptic*.json`` and the PNG files beside it, or such a file.

    Raises:
        SsmaError: files are missing or of another form, a class is unknown, or a segment is of none.
    """
    found = [source] if source.is_file() else sorted((source / "annotations").glob("panoptic*.json"))
    if not found:
        raise SsmaError(f"labels {source}: has no annotations/panoptic*.json, expected a COCO panoptic file or folder")
    for path in found:
        document = load_coco(path)
        folders = [path.with_suffix(""), path.parent.parent / FOLDER, path.parent / FOLDER, path.parent]
        titles = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
        for annotation in document["annotations"]:
            name = PurePosixPath(str(annotation["file_name"]))
            picture = next((f / name for f in folders if (f / name).is_file()), folders[0] / name)
            yield Read(name.stem, _mask(picture, annotation, titles, names, f"COCO file {path}"))


def _mask(
    picture: Path, annotation: dict[str, Any], titles: dict[int, str], names: Names, where: str
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    raw = read_raw_label(picture)
    segments = raw.astype(np.int64) @ _DIGITS if raw.ndim == 3 else raw.astype(np.int64)
    ids = {0: names.labels.ignore_id}
    for segment in annotation["segments_info"]:
        ids[segment["id"]] = names.id_of(titles.get(segment["category_id"], str(segment["category_id"])), where)
    present, inverse = np.unique(segments, return_inverse=True)
    strange = [number for number in present.tolist() if number not in ids]
    if strange:
        raise SsmaError(f"label image {picture}: has segment {strange[0]}, which {where} does not have")
    return np.array([ids[number] for number in present.tolist()], np.uint8)[inverse].reshape(segments.shape)
