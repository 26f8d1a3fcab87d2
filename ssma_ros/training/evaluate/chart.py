# SPDX-License-Identifier: Apache-2.0
"""A small chart in a picture: axes with a grid, lines of points, text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Color = tuple[int, int, int]
INK: Color = (40, 40, 40)
_PALE: Color = (210, 210, 210)
#: R, G, B that are told apart; the first seven by most colour-blind people too (Okabe & Ito 2008).
COLORS: tuple[Color, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0),
    (140, 140, 140), (120, 70, 20),
)
_MARGIN = 60


class Chart:
    """Axes on white.

    Args:
        marks: x → what is written there.
        values: y values that must be in it; grid lines are at multiples of ten.
        titles: of the x and the y axis.
        size: (width, height) in pixels.
        right: pixels that are left free beside the axes, for a legend.

    Attributes:
        image: H×W×3 uint8 RGB.
    """

    def __init__(
        self, marks: Mapping[float, str], values: Sequence[float], titles: tuple[str, str],
        size: tuple[int, int] = (640, 400), right: int = 0,
    ) -> None:
        width, height = size
        self.image: NDArray[np.uint8] = np.full((height, width, 3), 255, np.uint8)
        self._x = (min(marks), max(max(marks), min(marks) + 1e-9))
        low = 10 * np.floor(min(values) / 10)
        self._y = (low, max(10 * np.ceil(max(values) / 10), low + 10))
        self._area = (_MARGIN, width - _MARGIN - right, height - _MARGIN, _MARGIN)
        for y in np.arange(self._y[0], self._y[1] + 1, 10):
            ends = (self.place(self._x[0], y), self.place(self._x[1], y))
            cv2.line(self.image, *ends, _PALE)
            self.write(f"{y:.0f}", (ends[0][0] - 40, ends[0][1] + 5))
        for x, text in marks.items():
            ends = (self.place(x, self._y[0]), self.place(x, self._y[1]))
            cv2.line(self.image, *ends, _PALE)
            self.write(text, (ends[0][0] - 4 * len(text), ends[0][1] + 20))
        self.write(titles[0], ((width - right) // 2 - 4 * len(titles[0]), height - 12))
        self.write(titles[1], (_MARGIN, 30))

    def place(self, x: float, y: float) -> tuple[int, int]:
        """Pixel (column, row) of a point."""
        left, right, bottom, top = self._area
        return (round(left + (x - self._x[0]) / (self._x[1] - self._x[0]) * (right - left)),
                round(bottom - (y - self._y[0]) / (self._y[1] - self._y[0]) * (bottom - top)))

    def line(self, points: Sequence[tuple[float, float]], color: Color, spread: Sequence[float] = ()) -> None:
        """Points with a line through them, and a bar of ``spread`` up and down from each."""
        places = [self.place(*point) for point in points]
        cv2.polylines(self.image, [np.array(places, np.int32)], False, color, 2, cv2.LINE_AA)
        for at in places:
            cv2.circle(self.image, at, 4, color, cv2.FILLED, cv2.LINE_AA)
        for (x, y), half in zip(points, spread, strict=False):
            cv2.line(self.image, self.place(x, y - half), self.place(x, y + half), color)

    def write(self, text: str, at: tuple[int, int], color: Color = INK) -> None:
        """Text whose first letter stands at pixel ``at``."""
        cv2.putText(self.image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)
