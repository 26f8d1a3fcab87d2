# SPDX-License-Identifier: Apache-2.0
"""COCO instances, by pycocotools: a region of one class is an instance; https://cocodataset.org/#format-data."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.annotation.painting import Painted, Read, regions, unpainted
from ssma_ros.documents import load_json
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet

#: As CVAT calls it in its archives.
FILE_NAME = "annotations/instances_default.json"


def write_coco(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """``annotations/instances_default.json`` with a run-length mask for each region, which keeps holes and every
    pixel."""
    from pycocotools import mask as rle

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, each in enumerate(painted, 1):
        width, height = each.size
        images.append({"id": number, "file_name": each.picture.name, "width": width, "height": height})
        for region in regions(each.mask, range(labels.num_classes)):
            whole = np.zeros((height, width), np.uint8, order="F")
            region.within(whole)[:] = region.inside
            code = rle.encode(whole)
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": region.class_id + 1, "iscrowd": 0,
                "area": int(rle.area(code)), "bbox": [float(v) for v in rle.toBbox(code)],
                "segmentation": {"size": [height, width], "counts": code["counts"].decode("ascii")},
            })  # fmt: skip
    (folder / FILE_NAME).parent.mkdir(parents=True)
    document = {"images": images, "annotations": annotations, "categories": categories_of(labels)}
    write_json(folder / FILE_NAME, document, indent=0)


def categories_of(labels: LabelSet) -> list[dict[str, Any]]:
    """COCO's table of classes; ids begin at 1, since 0 is nothing."""
    return [{"id": c.id + 1, "name": c.name, "supercategory": "", "isthing": 0, "color": list(c.color)}
            for c in labels.classes]


def read_coco(source: Path, names: Names) -> Iterator[Read]:
    """Instances of a COCO file, or of the files in a folder's ``annotations``: polygons and run-length masks.

    Where instances overlap the smaller one is on top, since COCO tells no order.

    Raises:
        SsmaError: no such file, another form, an unknown class, or an instance without a mask.
    """
    for path in _files(source):
        yield from _read_file(path, names)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted((source / "annotations").glob("instances*.json"))
    if not found:
        raise SsmaError(f"labels {source}: has no annotations/instances*.json, expected a COCO file or folder")
    return found


def load_coco(path: Path) -> dict[str, Any]:
    """A COCO document.

    Raises:
        SsmaError: no JSON, or without images, annotations and categories.
    """
    document = load_json(path, "COCO file")
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise SsmaError(f"COCO file {path}: has no list '{key}', expected images, annotations and categories")
    return document


def _read_file(path: Path, names: Names) -> Iterator[Read]:
    from pycocotools import mask as rle

    document = load_coco(path)
    ids = {entry["id"]: names.id_of(str(entry["name"]), f"COCO file {path}") for entry in _used(document)}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        by_image.setdefault(annotation.get("image_id"), []).append(annotation)
    for image in document["images"]:
        where = f"COCO file {path}: image {image.get('file_name')}"
        mask = unpainted(image.get("width"), image.get("height"), names.labels, where)
        instances = [
            (ids[a["category_id"]], _code(a, mask.shape, f"{where}: annotation {a.get('id')}"))
            for a in by_image.pop(image["id"], [])
        ]
        for class_id, code in sorted(instances, key=lambda pair: -int(rle.area(pair[1]))):
            x, y, width, height = (int(v) for v in rle.toBbox(code))
            place = slice(y, y + height), slice(x, x + width)
            mask[place][rle.decode(code)[place] > 0] = class_id
        yield Read(PurePosixPath(str(image["file_name"])).stem, mask)
    if by_image:
        raise SsmaError(f"COCO file {path}: annotations name image {next(iter(by_image))}, which images does not have")


def _used(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Categories that some annotation has."""
    used = {annotation.get("category_id") for annotation in document["annotations"]}
    return [entry for entry in document["categories"] if entry["id"] in used]


def _code(annotation: dict[str, Any], shape: tuple[int, ...], where: str) -> Any:
    """An instance's mask as pycocotools encodes it."""
    from pycocotools import mask as rle

    height, width = shape
    given = annotation.get("segmentation")
    if not given:
        raise SsmaError(f"{where}: has no segmentation, expected polygons or a run-length mask (a box labels no "
                        "pixels)")
    if isinstance(given, list):
        if any(len(polygon) < 6 for polygon in given):
            raise SsmaError(f"{where}: has a polygon of fewer than three points")
        code = rle.merge(rle.frPyObjects(given, height, width))
    elif isinstance(given.get("counts"), list):
        code = rle.frPyObjects(given, height, width)
    else:
        code = {"size": given.get("size"), "counts": str(given.get("counts")).encode("ascii")}
    if list(code["size"]) != [height, width]:
        raise SsmaError(f"{where}: its mask is of size {code['size']}, expected {[height, width]}")
    return code
