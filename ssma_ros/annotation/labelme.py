# SPDX-License-Identifier: Apache-2.0
"""labelme's JSON files, one a picture; https://github.com/wkentaro/labelme.

labelme draws its shapes in the order of the file, each over those before it. A hole is therefore a later shape of what
is in it, of ``__ignore__`` where nothing is.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ssma_ros.annotation.painting import IGNORE, Painted, Read, Region, regions, unpainted
from ssma_ros.annotation.shapes import circle_region, filled, outline, polygon_region, rectangle_region
from ssma_ros.documents import load_json
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet

#: Of the file format; labelme only warns of another.
_VERSION = "5.5.0"
_DRAWN = {"polygon": polygon_region, "oriented_rectangle": polygon_region, "rectangle": rectangle_region,
          "circle": circle_region}
_POINTS = {"polygon": 3, "oriented_rectangle": 4}


def write_labelme(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """``NAME.json`` for each picture, which names the picture by its path from there."""
    for each in painted:
        width, height = each.size
        write_json(folder / f"{each.name}.json", {
            "version": _VERSION, "flags": {}, "shapes": shapes_of(each.mask, labels), "imageData": None,
            "imagePath": each.link, "imageHeight": height, "imageWidth": width,
        })  # fmt: skip


def shapes_of(mask: NDArray[np.uint8], labels: LabelSet) -> list[dict[str, Any]]:
    """Shapes that draw a mask exactly.

    A region inside another is drawn after it, because it is smaller: regions whose pixels share edges, filled up to
    their outer contour, are either apart or one in the other.

    Args:
        mask: H×W class ids.
        labels: of the classes.

    Returns:
        labelme's shapes in order.
    """
    ids = [*range(labels.num_classes), labels.ignore_id]
    found = [(region, filled(region.inside)) for region in regions(mask, ids)]
    covered = np.zeros(mask.shape, bool)
    shapes = []
    for region, whole in sorted(found, key=lambda pair: -np.count_nonzero(pair[1])):
        painted = region.class_id != labels.ignore_id
        if painted or region.within(covered)[region.inside].any():  # else there is nothing to take away
            region.within(covered)[whole] = True
            shapes.append(_shape(labels.names[region.class_id] if painted else IGNORE, region, whole))
    return shapes


def _shape(name: str, region: Region, whole: NDArray[np.bool_]) -> dict[str, Any]:
    corner = np.array([region.columns.start, region.rows.start], float)
    points = outline(region.inside)
    shape: dict[str, Any] = {"label": name, "group_id": None, "description": "", "flags": {}}
    if np.array_equal(polygon_region(points, (whole.shape[0], whole.shape[1])), whole):
        return {**shape, "shape_type": "polygon", "points": (points + corner).tolist(), "mask": None}
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "PNG")
    opposite = corner + np.array([whole.shape[1] - 1, whole.shape[0] - 1])
    corners = [corner.tolist(), opposite.tolist()]
    return {**shape, "shape_type": "mask", "points": corners, "mask": base64.b64encode(file.getvalue()).decode()}


def read_labelme(source: Path, names: Names) -> Iterator[Read]:
    """A folder of labelme's files: polygons, rectangles, circles and masks.

    Raises:
        SsmaError: none there, another form, an unknown class, or a shape that covers no pixels.
    """
    paths = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise SsmaError(f"labels {source}: holds no .json files, expected those of labelme, one a picture")
    for path in paths:
        where = f"labelme file {path}"
        document = load_json(path, "labelme file")
        if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
            raise SsmaError(f"{where}: has no list 'shapes', expected a file of labelme")
        mask = unpainted(document.get("imageWidth"), document.get("imageHeight"), names.labels, where)
        for number, shape in enumerate(document["shapes"]):
            place = f"{where}: shape {number}"
            mask[_region(shape, mask.shape, place)] = names.id_of(str(shape.get("label")), place)
        yield Read(PurePath(str(document.get("imagePath") or path.name).replace("\\", "/")).stem, mask)


def _region(shape: dict[str, Any], size: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    kind = shape.get("shape_type") or "polygon"
    points = np.asarray(shape.get("points", []), float).reshape(-1, 2)
    if kind not in (*_DRAWN, "mask"):
        raise SsmaError(f"{where}: is of type {kind}, which covers no pixels, expected one of "
                        f"{', '.join((*_DRAWN, 'mask'))}")
    least = _POINTS.get(kind, 2)
    if len(points) < least:
        raise SsmaError(f"{where}: is a {kind} of {len(points)} points, expected at least {least}")
    height, width = size
    if kind != "mask":
        return _DRAWN[kind](points, (height, width))
    try:
        with Image.open(io.BytesIO(base64.b64decode(str(shape.get("mask")), validate=True))) as picture:
            pixels = np.asarray(picture).astype(bool)
    except (OSError, ValueError) as error:
        raise SsmaError(f"{where}: its mask cannot be read ({error})") from None
    x, y = points[0].astype(int)
    region = np.zeros((height, width), bool)
    if x < 0 or y < 0 or pixels.ndim != 2 or y + pixels.shape[0] > height or x + pixels.shape[1] > width:
        raise SsmaError(f"{where}: its mask of {pixels.shape} at ({x}, {y}) does not fit a {width}x{height} picture")
    region[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return region
