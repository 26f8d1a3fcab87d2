# SPDX-License-Identifier: Apache-2.0
"""Images at another size, by the two rules there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray


def nearest(image: NDArray[Any], width: int, height: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Depth, temperatures, masks and labels: the nearest pixel centre, so that no value is invented between two.

    Args:
        image: H×W or H×W×C, any dtype.
        width, height: of the result, pixels.
        out: where to write it, or None.

    Returns:
        ``image`` itself where its size fits, else the resampled one.
    """
    return _resampled(image, width, height, cv2.INTER_NEAREST_EXACT, out)


def bilinear(image: NDArray[Any], width: int, height: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Pictures and probabilities; arguments and result as of :func:`nearest`."""
    return _resampled(image, width, height, cv2.INTER_LINEAR, out)


def _resampled(
    image: NDArray[Any], width: int, height: int, interpolation: int, out: NDArray[Any] | None
) -> NDArray[Any]:
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), dst=out, interpolation=interpolation)
