# SPDX-License-Identifier: Apache-2.0
"""Drawing on pictures: text in a real typeface, swatches, colour bars."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet

    Color = tuple[int, int, int]

INK: Color = (236, 238, 242)
MUTED: Color = (152, 158, 170)
PAPER: Color = (22, 24, 29)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The typeface that comes with Pillow, ``size`` pixels high."""
    return ImageFont.load_default(size)  # type: ignore[return-value]  # FreeType fonts since Pillow 10.1


class Canvas:
    """A picture to compose on.

    Args:
        width, height: pixels.
        background: RGB.
    """

    def __init__(self, width: int, height: int, background: Color = PAPER) -> None:
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)

    def paste(self, picture: NDArray[np.uint8], x: int, y: int) -> None:
        """Put an H×W×3 RGB picture with its corner at (x, y)."""
        self._image.paste(Image.fromarray(picture), (x, y))

    def text(self, words: str, x: int, y: int, size: int, color: Color = INK) -> int:
        """Write with the top left corner at (x, y); returns the x where it ends."""
        self._draw.text((x, y), words, font=font(size), fill=color)
        return round(x + font(size).getlength(words))

    def text_right(self, words: str, x: int, y: int, size: int, color: Color = INK) -> None:
        """Write so that it ends at ``x``."""
        self.text(words, round(x - font(size).getlength(words)), y, size, color)

    def rectangle(self, x: int, y: int, width: int, height: int, color: Color) -> None:
        """Fill a rectangle."""
        self._draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)

    def legend(self, labels: LabelSet, x: int, y: int, size: int, notes: Sequence[str] = ()) -> int:
        """Class swatches with their names in a row, each followed by its note; returns the x where it ends."""
        for index, entry in enumerate(labels.classes):
            self._draw.rounded_rectangle((x, y + 1, x + size, y + 1 + size), radius=size // 5, fill=entry.color)
            x = self.text(entry.name, x + size + size // 2, y, size)
            if index < len(notes):
                x = self.text(notes[index], x + size // 2, y, size, MUTED)
            x += round(size * 1.6)
        return x

    def color_bar(self, colors: NDArray[np.uint8], x: int, y: int, width: int, height: int) -> None:
        """A horizontal bar of a 256×3 colour table."""
        columns = np.linspace(0, 255, width).round().astype(int)
        self.paste(np.repeat(colors[columns][None], height, axis=0), x, y)

    def array(self) -> NDArray[np.uint8]:
        """The picture, H×W×3 RGB."""
        return np.asarray(self._image)
