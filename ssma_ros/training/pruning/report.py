# SPDX-License-Identifier: Apache-2.0
"""What a pruning did: table 8 and figure 15 of the paper for one's own network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from ssma_ros.files import write_atomically, write_picture
from ssma_ros.training.evaluate.chart import COLORS, Chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.training.pruning.config import PruneConfig

RESULT = "pruning.json"
TABLE, CURVE = "pruning.md", "pruning.png"
_HEAD = ("", "mIoU", "mIoU untrained", "Param. (M)", "GMAC", "Param. −%", "MAC −%", "ms")


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
    left = [100 * row["macs"] / rows[0]["macs"] for row in rows]
    trained = [100 * row["miou"] for row in rows]
    untrained = [100 * row["miou_untrained"] for row in rows[1:]]
    marks = {float(-x): f"{x}" for x in range(100, -1, -20)}  # from the whole network on the left to nothing
    titles = ("multiply-accumulates left, %", "mIoU, % (hollow: before training on)")
    chart = Chart(marks, [*trained, *untrained], titles)
    chart.line([(-x, y) for x, y in zip(left, trained, strict=True)], COLORS[0])
    for x, y in zip(left[1:], untrained, strict=True):
        cv2.circle(chart.image, chart.place(-x, y), 5, COLORS[0], 1, cv2.LINE_AA)
    return chart.image
