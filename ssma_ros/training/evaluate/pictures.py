# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation report: samples, improvement maps, reliability diagram. All RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.encodings.table import as_rgb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract
    from ssma_ros.labels import LabelSet

#: Of an improvement map.
GAINED = (40, 170, 60)
LOST = (215, 40, 40)
BOTH_WRONG = (150, 150, 150)
_NO_TRUTH = (0, 0, 0)
#: Of the reliability diagram.
_DARK_BAR, _PALE_BAR = (20, 60, 130), (190, 210, 235)
_RIGHT = (255, 255, 255)
_CAPTION_HEIGHT = 20
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def sample_picture(
    images: Sequence[NDArray[np.uint8]], label: NDArray[np.uint8], mask: NDArray[np.uint8], contract: Contract
) -> NDArray[np.uint8]:
    """Inputs above; ground truth, prediction and errors below; at half size, with captions."""
    palette = np.array(contract.labels.palette(), np.uint8)
    errors = _paint(label, contract.labels, {LOST: mask != label})
    inputs = [_panel(s.name, as_rgb(s.encoding, i)) for i, s in zip(images, contract.streams, strict=True)]
    answers = [_panel("ground truth", palette[label]), _panel("prediction", palette[mask])]
    answers.append(_panel("errors (red; black = no ground truth)", errors))
    return _rows([inputs, answers])


def improvement_picture(
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
    masks: Mapping[str, NDArray[np.uint8]],
    contract: Contract,
) -> NDArray[np.uint8]:
    """First input, ground truth and map above; both predictions below; at half size, with captions and legend.

    Args:
        image: the first stream's H×W×3 input.
        label: H×W train ids.
        masks: name → H×W class ids; the model under test first, the one it is compared with second.
        contract: of the model under test.
    """
    palette = np.array(contract.labels.palette(), np.uint8)
    (name, ours), (other_name, other) = masks.items()
    stream = contract.streams[0]
    top = [_panel(stream.name, as_rgb(stream.encoding, image)), _panel("ground truth", palette[label])]
    below = [_panel(other_name, palette[other]), _panel(name, palette[ours])]
    top.append(_panel(f"{name} against {other_name}", improvement_map(label, ours, other, contract.labels)))
    height, width = below[0].shape[:2]
    below.append(_legend({"gained": GAINED, "lost": LOST, "both wrong": BOTH_WRONG, "both right": _RIGHT,
                          "no ground truth": _NO_TRUTH}, width, height))
    return _rows([top, below])


def improvement_map(
    label: NDArray[np.uint8], ours: NDArray[np.uint8], other: NDArray[np.uint8], labels: LabelSet
) -> NDArray[np.uint8]:
    """H×W×3: :data:`GAINED` where only ``ours`` is right, :data:`LOST` where only ``other`` is, :data:`BOTH_WRONG`
    where neither is, white where both are, black without ground truth.
    """
    right, right_there = ours == label, other == label
    return _paint(label, labels, {GAINED: right & ~right_there, LOST: ~right & right_there,
                                  BOTH_WRONG: ~right & ~right_there})


def _paint(
    label: NDArray[np.uint8], labels: LabelSet, areas: Mapping[tuple[int, int, int], NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    """White, with ``areas`` in their colours and black where evaluation does not look."""
    image = np.full((*label.shape, 3), _RIGHT, np.uint8)
    for color, area in areas.items():
        image[area] = color
    image[label == labels.ignore_id] = _NO_TRUTH
    if labels.void_class is not None:
        image[label == labels.void_class] = _NO_TRUTH
    return image


def _panel(caption: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``image`` at half size under its caption."""
    half = np.ascontiguousarray(image[::2, ::2])
    strip = np.full((_CAPTION_HEIGHT, half.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, caption, (4, 15), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, half])


def _legend(colors: Mapping[str, tuple[int, int, int]], width: int, height: int) -> NDArray[np.uint8]:
    image = np.full((height, width, 3), 255, np.uint8)
    for row, (text, color) in enumerate(colors.items()):
        top = _CAPTION_HEIGHT + 26 * row
        cv2.rectangle(image, (12, top), (36, top + 18), color, cv2.FILLED)
        cv2.rectangle(image, (12, top), (36, top + 18), (0, 0, 0), 1)
        cv2.putText(image, text, (46, top + 14), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def _rows(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    joined = [np.hstack(list(row)) for row in rows]
    width = max(row.shape[1] for row in joined)
    padded = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in joined]
    return np.ascontiguousarray(np.vstack(padded))


def reliability_plot(bins: Sequence[Mapping[str, float]], side: int = 360) -> NDArray[np.uint8]:
    """Accuracy over confidence as bars with the diagonal of a calibrated network; side×side×3 uint8.

    Bars are the darker, the larger their share of the pixels.
    """
    image = np.full((side, side, 3), 255, np.uint8)
    margin, span = 34, side - 60

    def at(x: float, y: float) -> tuple[int, int]:
        return margin + round(x * span), side - margin - round(y * span)

    for entry in bins:
        left, top = at(entry["confidence"] - 0.02, entry["accuracy"])
        right, bottom = at(entry["confidence"] + 0.02, 0.0)
        pale = 1.0 - float(np.sqrt(entry["share"]))
        color = np.array(_DARK_BAR) + pale * np.subtract(_PALE_BAR, _DARK_BAR)
        cv2.rectangle(image, (left, top), (right, bottom), color.tolist(), cv2.FILLED)
    cv2.line(image, at(0, 0), at(1, 1), (160, 160, 160), 1, cv2.LINE_AA)
    cv2.rectangle(image, at(0, 1), at(1, 0), (0, 0, 0), 1)
    for tick in (0.0, 0.5, 1.0):
        (x, y), (left, level) = at(tick, 0.0), at(0.0, tick)
        cv2.putText(image, f"{tick:g}", (x - 8, y + 14), _FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.putText(image, f"{tick:g}", (left - 26, level + 4), _FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(image, "confidence", (side // 2 - 36, side - 6), _FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(image, "accuracy", (6, 16), _FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return image


#: Of the rows of a chart: told apart by people who do not see red and green apart too (Okabe and Ito).
_SERIES = ((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (0, 114, 178), (213, 94, 0), (204, 121, 167))


def group_chart(values: Mapping[str, Mapping[str, float | None]]) -> NDArray[np.uint8]:
    """Share by group as dots: groups from top to bottom, 0 to 100 % from left to right, a colour for each series.

    Args:
        values: series → group → 0..1, or None for a group without a value.
    """
    groups = list(dict.fromkeys(group for series in values.values() for group in series))
    left, right, top, step = 150, 760, 22 * ((len(values) + 2) // 3) + 16, 24
    image = np.full((top + step * len(groups) + 34, right + 40, 3), 255, np.uint8)

    def text(words: str, x: int, y: int) -> None:
        cv2.putText(image, words, (x, y), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)

    for tick in range(0, 101, 20):
        x = left + (right - left) * tick // 100
        cv2.line(image, (x, top), (x, top + step * len(groups)), (225, 225, 225), 1)
        text(f"{tick}", x - 8, top + step * len(groups) + 18)
    for row, group in enumerate(groups):
        y = top + step * row + step // 2
        cv2.line(image, (left, y), (right, y), (225, 225, 225), 1)
        text(group, 8, y + 4)
    for number, (name, series) in enumerate(values.items()):
        color = _SERIES[number % len(_SERIES)]
        # A second round of the colours is hollow.
        thickness = cv2.FILLED if number < len(_SERIES) else 2
        x, y = 8 + 260 * (number % 3), 16 + 22 * (number // 3)
        cv2.circle(image, (x + 6, y - 4), 5, color, thickness, cv2.LINE_AA)
        text(name, x + 18, y)
        for row, group in enumerate(groups):
            value = series.get(group)
            if value is not None:
                centre = (left + round((right - left) * value), top + step * row + step // 2)
                cv2.circle(image, centre, 5, color, thickness, cv2.LINE_AA)
    return image
