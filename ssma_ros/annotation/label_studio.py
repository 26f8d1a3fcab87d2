# SPDX-License-Identifier: Apache-2.0
"""Label Studio's tasks with brush masks, by its own converter; https://labelstud.io/tags/brushlabels."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from ssma_ros.annotation.painting import Painted, Read, unpainted
from ssma_ros.annotation.shapes import polygon_region
from ssma_ros.documents import load_json
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_atomically, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from ssma_ros.annotation.painting import Names
    from ssma_ros.labels import LabelSet

TASKS_NAME, CONFIG_NAME = "tasks.json", "label_config.xml"
_BRUSH, _IMAGE = "label", "image"
#: Where Label Studio looks for pictures of a local storage; the path counts from its document root.
_URL = "/data/local-files/?d="
#: What Label Studio puts before the name of an uploaded file.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
#: A brush's edge is half painted where it is smoothed; LabelStudio's own converter takes more than this.
_PAINTED = 127


def write_label_studio(painted: Iterable[Painted], labels: LabelSet, folder: Path) -> None:
    """``tasks.json`` to import and ``label_config.xml`` for the project's labelling interface.

    What people have painted is an annotation, what a network has painted a prediction. Pictures are named as those of a
    local storage.
    """
    tasks = []
    for each in painted:
        results = [_result(each, class_id, name) for class_id, name in enumerate(labels.names)]
        found = {"result": [result for result in results if result]}
        kind = "predictions" if each.by_network else "annotations"
        # A picture without a mask is one to label, not one that somebody has left empty.
        tasks.append({"data": {_IMAGE: _URL + quote(each.picture.name)}, kind: [found] if found["result"] else []})
    write_json(folder / TASKS_NAME, tasks, indent=0)
    lines = [f"    <Label value={quoteattr(c.name)} background=\"#{bytes(c.color).hex()}\"/>" for c in labels.classes]
    config = ["<View>", f'  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true"/>',
              f'  <BrushLabels name="{_BRUSH}" toName="{_IMAGE}">', *lines, "  </BrushLabels>", "</View>", ""]
    write_atomically(folder / CONFIG_NAME, "\n".join(config).encode())


def _result(each: Painted, class_id: int, name: str) -> dict[str, Any] | None:
    from label_studio_converter import brush

    region = each.mask == class_id
    if not region.any():
        return None
    width, height = each.size
    rle = brush.mask2rle(region.astype(np.uint8) * np.uint8(255))
    return {
        "id": f"{each.name}-{class_id}", "type": "brushlabels", "from_name": _BRUSH, "to_name": _IMAGE,
        "original_width": width, "original_height": height, "image_rotation": 0,
        "value": {"format": "rle", "rle": [int(v) for v in rle], "brushlabels": [name]},
    }  # fmt: skip


def read_label_studio(source: Path, names: Names) -> Iterator[Read]:
    """A JSON export of a project: brush masks and polygons, the later ones over the earlier.

    A task that nobody has annotated is left out; of several annotations the one changed last counts.

    Raises:
        SsmaError: no such file, another form, no annotation at all, or a class or shape that is unknown.
    """
    path = source / TASKS_NAME if source.is_dir() else source
    tasks = load_json(path, "Label Studio tasks", "the JSON export of a project")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise SsmaError(f"Label Studio tasks {path}: is no list of tasks, expected the JSON export of a project")
    count = 0
    for task in tasks:
        done = [a for a in task.get("annotations") or [] if not a.get("was_cancelled") and a.get("result")]
        if done:
            count += 1
            newest = max(done, key=lambda a: str(a.get("updated_at", "")))
            yield _read_task(task, newest["result"], names, f"Label Studio tasks {path}")
    if not count:
        raise SsmaError(f"Label Studio tasks {path}: has no annotation in {len(tasks)} tasks, expected some "
                        "(predictions count when somebody has submitted them)")


def _read_task(task: dict[str, Any], results: list[dict[str, Any]], names: Names, where: str) -> Read:
    url = next((str(v) for k, v in (task.get("data") or {}).items() if isinstance(v, str)), "")
    name = PurePosixPath(unquote(url.partition("?d=")[2] or url.partition("?")[0])).stem
    if "/upload/" in url:
        name = _UPLOADED.sub("", name, count=1)
    where = f"{where}: task of {name}"
    regions = [r for r in results if str(r.get("type")) != "choices"]
    mask = unpainted(regions[0].get("original_width"), regions[0].get("original_height"), names.labels, where)
    for result in regions:
        kind = str(result.get("type"))
        value = result.get("value") or {}
        titles = value.get(kind) or []
        if len(titles) != 1:
            raise SsmaError(f"{where}: a region has the classes {titles}, expected one")
        mask[_region(kind, value, mask.shape, where)] = names.id_of(str(titles[0]), where)
    return Read(name, mask)


def _region(kind: str, value: dict[str, Any], shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    height, width = shape
    if kind == "brushlabels":
        from label_studio_converter import brush

        pixels = np.asarray(brush.decode_rle(value["rle"]), np.uint8)
        if pixels.size != height * width * 4:
            raise SsmaError(f"{where}: a brush mask has {pixels.size} values, expected {height * width * 4} of a "
                            f"{width}x{height} picture with four channels")
        return pixels.reshape(height, width, 4)[..., 3] > _PAINTED
    if kind == "polygonlabels":
        return polygon_region(np.asarray(value["points"], float) * (width / 100, height / 100), (height, width))
    raise SsmaError(f"{where}: a region is of type {kind}, expected brushlabels or polygonlabels")
