# SPDX-License-Identifier: Apache-2.0
"""One sheet that shows everything: sensors, network inputs, answers, gates, and the drive as a film strip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.demo import pictures
from ssma_ros.demo.text import INK, MUTED, Canvas
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.demo.scene import Scene
    from ssma_ros.labels import LabelSet

_COLUMNS = 4
_TILE_WIDTH = 480
_MARGIN = 32
_GAP = 14
_CAPTION = 30
_HEAD = 104
_FOOT = 70


@dataclass(frozen=True)
class _Tile:
    title: str
    note: str
    picture: NDArray[np.uint8] | None
    absent: str = "not recorded"


def contact_sheet(
    scene: Scene,
    strip: Sequence[Scene],
    labels: LabelSet,
    *,
    title: str,
    subtitle: str,
    class_iou: Mapping[str, float] | None = None,
) -> NDArray[np.uint8]:
    """Compose the sheet.

    Args:
        scene: shown in full.
        strip: shown as small overlays, in order of time.
        labels: classes and their colours.
        title, subtitle: two lines at the top.
        class_iou: intersection over union of each class, shown in the legend.

    Returns:
        H×W×3 uint8 RGB.
    """
    tiles = _tiles(scene, labels)
    tile_height = round(_TILE_WIDTH * scene.mask.shape[0] / scene.mask.shape[1])
    rows = -(-len(tiles) // _COLUMNS)
    width = 2 * _MARGIN + _COLUMNS * _TILE_WIDTH + (_COLUMNS - 1) * _GAP
    strip_height = _strip_height(strip, width)
    row_height = tile_height + _CAPTION + _GAP
    canvas = Canvas(width, _HEAD + rows * row_height + (strip_height and strip_height + _CAPTION + _GAP) + _FOOT)
    canvas.text(title, _MARGIN, 26, 34)
    canvas.text(subtitle, _MARGIN, 70, 18, MUTED)
    for index, tile in enumerate(tiles):
        x = _MARGIN + (index % _COLUMNS) * (_TILE_WIDTH + _GAP)
        _draw_tile(canvas, tile, x, _HEAD + (index // _COLUMNS) * row_height, tile_height)
    y = _HEAD + rows * row_height
    if strip_height:
        _draw_strip(canvas, strip, labels, y, strip_height, width)
        y += strip_height + _CAPTION + _GAP
    _draw_legend(canvas, labels, class_iou, y + 14, width)
    return canvas.array()


def _tiles(scene: Scene, labels: LabelSet) -> list[_Tile]:
    """Twelve or so pictures: sensors first, then the network's inputs, its answer, and whom it trusted."""
    tiles = [_Tile("Colour", "camera", scene.color)]
    tiles += [
        _Tile(_capital(sensor.title), pictures.sensor_note(sensor),
              _maybe(partial(pictures.sensor_picture, sensor), scene.sensors[name]))
        for name, sensor in SENSORS.items() if name in scene.sensors and name != "color"
    ]
    if "depth" in scene.sensors:
        completed = _maybe(pictures.depth_picture, scene.depth_completed)
        tiles.append(_Tile("Completed depth", "input of what is made of depth", completed))
    tiles += [_Tile(name.upper(), note, scene.inputs.get(name)) for name, note in scene.notes.items()]
    tiles += [
        _Tile("Segmentation", "what the node says", pictures.class_picture(scene.mask, labels)),
        _Tile("Labels", "ground truth", _maybe(partial(pictures.class_picture, labels=labels), scene.label)),
        _Tile("Confidence", "of the winning class", _maybe(pictures.share_picture, scene.confidence)),
    ]
    tiles += [
        _Tile(f"Gate of {name}", "where the fusion trusts it", pictures.share_picture(gate))
        for name, gate in scene.gates.items()
    ]
    return tiles


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _maybe(painted: Callable[[Any], NDArray[np.uint8]], image: NDArray[Any] | None) -> NDArray[np.uint8] | None:
    return None if image is None else painted(image)


def _draw_tile(canvas: Canvas, tile: _Tile, x: int, y: int, height: int) -> None:
    canvas.text(tile.title, x, y, 20)
    canvas.text_right(tile.note, x + _TILE_WIDTH, y + 4, 15, MUTED)
    if tile.picture is None:
        canvas.rectangle(x, y + _CAPTION, _TILE_WIDTH, height, pictures.NOTHING)
        canvas.text(tile.absent, x + 16, y + _CAPTION + height // 2 - 10, 18, MUTED)
        return
    canvas.paste(np.ascontiguousarray(pictures.resize(tile.picture, _TILE_WIDTH, height)), x, y + _CAPTION)


def _strip_height(strip: Sequence[Scene], width: int) -> int:
    if not strip:
        return 0
    height, mask_width = strip[0].mask.shape
    return round(_strip_width(strip, width) * height / mask_width)


def _strip_width(strip: Sequence[Scene], width: int) -> int:
    return (width - 2 * _MARGIN - (len(strip) - 1) * _GAP) // len(strip)


def _draw_strip(canvas: Canvas, strip: Sequence[Scene], labels: LabelSet, y: int, height: int, width: int) -> None:
    canvas.text("The drive", _MARGIN, y, 20)
    step = _strip_width(strip, width)
    for index, scene in enumerate(strip):
        x = _MARGIN + index * (step + _GAP)
        picture = pictures.overlay_picture(scene.color, scene.mask, labels)
        canvas.paste(np.ascontiguousarray(pictures.resize(picture, step, height)), x, y + _CAPTION)
        seconds = (scene.stamp_ns - strip[0].stamp_ns) * 1e-9
        canvas.text_right(f"{seconds:.1f} s", x + step, y + 6, 15, MUTED)


def _draw_legend(canvas: Canvas, labels: LabelSet, class_iou: Mapping[str, float] | None, y: int, width: int) -> None:
    notes = [f"IoU {class_iou[name]:.2f}" if name in class_iou else "" for name in labels.names] if class_iou else []
    canvas.legend(labels, _MARGIN, y, 22, notes)
    near, far = pictures.DEPTH_RANGE_M
    x = _bar(canvas, pictures.share_colors(), width - _MARGIN, y, "0", "1", "confidence, gate")
    _bar(canvas, pictures.depth_colors(), x - 28, y, f"{near:g}", f"{far:g} m", "depth")


def _bar(canvas: Canvas, colors: NDArray[np.uint8], right: int, y: int, low: str, high: str, name: str) -> int:
    """A named colour bar that ends at ``right``; returns the x where it begins."""
    x = right - 190
    canvas.text(name, x, y + 24, 14, MUTED)
    x_bar = canvas.text(low, x, y + 2, 16, INK) + 8
    bar = 190 - (x_bar - x) - 60
    canvas.color_bar(colors, x_bar, y + 2, bar, 16)
    canvas.text(high, x_bar + bar + 8, y + 2, 16, INK)
    return x
