# SPDX-License-Identifier: Apache-2.0
"""What a pruning did: table 8 and figure 15 of the paper for one's own network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.files import write_atomically, write_picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.training.pruning.config import PruneConfig

RESULT = "pruning.json"
TABLE, CURVE = "pruning.md", "pruning.png"
_HEAD = ("", "mIoU", "mIoU untrained", "Param. (M)", "GMAC", "Param. −%", "MAC −%", "ms")
_WIDTH, _HEIGHT, _MARGIN = 640, 400, 60
_INK, _PALE, _BLUE = (40, 40, 40), (210, 210, 210), (20, 60, 130)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_report(folder: Path, rows: Sequence[Mapping[str, Any]], config: PruneConfig) -> None:
    """``pruning.md`` and ``pruning.png`` of the networks so far, the whole one first.

    Raises:
        SsmaError: the disk refuses.
    """
    write_atomically(folder / TABLE, to_markdown(rows, config).encode())
    write_picture(folder / CURVE, curve(rows))


def to_markdown(rows: Sequence[Mapping[str, Any]], config: PruneConfig) -> str:
    """The table; reductions are against the first row, mIoU in percent."""
    shortcuts = "with" if config.shortcuts else "without"
    lines = [f"# Pruning by {config.criterion}, {shortcuts} maps that shortcuts are added to\n",
             f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD)]
    whole = rows[0]
    for row in rows:
        shares = [f"{100 * (1 - row[key] / whole[key]):.2f}" for key in ("parameters", "macs")]
        untrained, ms = row.get("miou_untrained"), row.get("ms")
        cells = [row["stage"], f"{100 * row['miou']:.2f}", "–" if untrained is None else f"{100 * untrained:.2f}",
                 f"{row['parameters'] / 1e6:.2f}", f"{row['macs'] / 1e9:.2f}", *shares,
                 "–" if ms is None else f"{ms:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\n![mIoU against what is left]({CURVE})\n"


def curve(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """H×W×3 uint8 RGB: mIoU after training (filled) and before (hollow) over the share of multiply-accumulates left."""
    image = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    left = [100 * row["macs"] / rows[0]["macs"] for row in rows]
    trained = [100 * row["miou"] for row in rows]
    untrained = [100 * row["miou_untrained"] for row in rows[1:]]
    low = 10 * np.floor(min([*trained, *untrained]) / 10)
    high = max(10 * np.ceil(max([*trained, *untrained]) / 10), low + 10)

    def place(x: float, y: float) -> tuple[int, int]:
        along = _MARGIN + (100 - x) / 100 * (_WIDTH - 2 * _MARGIN)
        up = _HEIGHT - _MARGIN - (y - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)
        return round(along), round(up)

    for y in np.arange(low, high + 1, 10):
        cv2.line(image, place(100, y), place(0, y), _PALE)
        _write(image, f"{y:.0f}", (place(100, y)[0] - 40, place(100, y)[1] + 5))
    for x in range(0, 101, 20):
        at = place(x, low)
        cv2.line(image, at, place(x, high), _PALE)
        _write(image, f"{x}", (at[0] - 10, at[1] + 20))
    _write(image, "multiply-accumulates left, %", (_WIDTH // 2 - 110, _HEIGHT - 12))
    _write(image, "mIoU, % (hollow: before training on)", (_MARGIN, 30))
    points = [place(x, y) for x, y in zip(left, trained, strict=True)]
    cv2.polylines(image, [np.array(points, np.int32)], False, _BLUE, 2, cv2.LINE_AA)
    for point in points:
        cv2.circle(image, point, 5, _BLUE, cv2.FILLED, cv2.LINE_AA)
    for x, y in zip(left[1:], untrained, strict=True):
        cv2.circle(image, place(x, y), 5, _BLUE, 1, cv2.LINE_AA)
    return image


def _write(image: NDArray[np.uint8], text: str, at: tuple[int, int]) -> None:
    cv2.putText(image, text, at, _FONT, 0.45, _INK, 1, cv2.LINE_AA)
