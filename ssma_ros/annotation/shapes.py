# SPDX-License-Identifier: Apache-2.0
"""Polygons and pixels, by the rule of labelme: pixel centres at whole numbers, the outline belongs to the shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def polygon_region(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a polygon.

    Args:
        points: N×2 (x, y), at least three; the centre of the first pixel is at (0, 0).
        shape: (height, width).
    """
    return _drawn(shape, lambda draw: draw.polygon([(float(x), float(y)) for x, y in points], outline=1, fill=1))


def rectangle_region(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a rectangle between two corners, 2×2 (x, y)."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return _drawn(shape, lambda draw: draw.rectangle((float(x0), float(y0), float(x1), float(y1)), outline=1, fill=1))


def circle_region(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a circle: its centre and a point on it, 2×2 (x, y)."""
    (x, y), (px, py) = points
    r = math.hypot(px - x, py - y)
    box = (float(x - r), float(y - r), float(x + r), float(y + r))
    return _drawn(shape, lambda draw: draw.ellipse(box, outline=1, fill=1))


def _drawn(shape: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw], object]) -> NDArray[np.bool_]:
    image = Image.new("L", (shape[1], shape[0]))
    draw(ImageDraw.Draw(image))
    return np.asarray(image, bool)


def outline(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The outer contour of a connected region through the centres of its border pixels.

    Returns:
        N×2 (x, y), at least three points; :func:`polygon_region` of them is the region with its holes filled.
    """
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = np.concatenate(contours)[:, 0].astype(np.float64)
    return np.concatenate([points, *[points[-1:]] * max(0, 3 - len(points))])


def filled(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A connected region with its holes, and what else its outer contour encloses."""
    image = region.astype(np.uint8)
    contours, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, 1, cv2.FILLED)
    return image.astype(bool)
