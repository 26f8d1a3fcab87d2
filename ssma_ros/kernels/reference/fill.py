# SPDX-License-Identifier: Apache-2.0
"""Depth completion in OpenCV calls: what runs where numba is not installed, and what the tests compare with.

Same steps as the compiled version in :mod:`ssma_ros.kernels.numba.fill` and the same results to 1e-4 m.
All images are "inverted" depth (max_depth − metres, 0 = empty), so that a max filter prefers near surfaces.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.kernels.shared.constants import (
    EMPTY_BELOW,
    FILL_FAST,
    FILL_GROW,
    FILL_LARGE,
    FILL_MULTISCALE,
    GROW_ROUNDS,
    MEDIUM_UP_TO,
    NEAR_UP_TO,
    SIGMA_DEPTH_FAST,
    SIGMA_DEPTH_MULTISCALE,
    SIGMA_SPACE,
)

Image = NDArray[np.float32]

_EMPTY = np.float32(EMPTY_BELOW)
_DIAMOND_5 = (np.abs(np.arange(-2, 3))[:, None] + np.abs(np.arange(-2, 3)) <= 2).astype(np.uint8)


def fill_fast(depth: Image, max_depth: float, extrapolate: bool, blur: str, out: Image) -> None:
    """Write the completed depth to ``out``; arguments as checked by the public function."""
    raw = sanitize(depth, max_depth)
    image = _invert(raw, max_depth)
    image = np.asarray(cv2.dilate(image, _DIAMOND_5), np.float32)
    image = np.asarray(cv2.morphologyEx(image, cv2.MORPH_CLOSE, _square(5)), np.float32)
    _fill_empty(image, FILL_FAST)
    if extrapolate:
        _copy_top_upward(image)
        _fill_empty(image, FILL_LARGE)
    image = _median(image)
    if blur == "bilateral":
        image = _bilateral(image, SIGMA_DEPTH_FAST)
    else:
        np.copyto(image, _gaussian(image), where=image > _EMPTY)
    _invert_back(image, max_depth, out)


def fill_multiscale(depth: Image, max_depth: float, extrapolate: bool, blur: str, out: Image) -> None:
    """Write the completed depth to ``out``; arguments as checked by the public function."""
    raw = sanitize(depth, max_depth)
    image = _dilate_bins(raw, _invert(raw, max_depth))
    image = np.asarray(cv2.morphologyEx(image, cv2.MORPH_CLOSE, _square(5)), np.float32)
    np.copyto(image, _median(image), where=image > _EMPTY)
    below = _below_first_valid(image)
    _fill_empty(image, FILL_MULTISCALE, below)
    below = _below_first_valid(image)
    if extrapolate:
        _copy_top_upward(image)
        below[:] = True
    for _ in range(GROW_ROUNDS):
        _fill_empty(image, FILL_GROW, below)
    valid = (image > _EMPTY) & below
    np.copyto(image, _median(image), where=valid)
    if blur == "bilateral":
        np.copyto(image, _bilateral(image, SIGMA_DEPTH_MULTISCALE), where=valid)
    else:
        np.copyto(image, _gaussian(image), where=(image > _EMPTY) & below)
    _invert_back(image, max_depth, out)


def sanitize(depth: Image, max_depth: float) -> Image:
    """A copy in which negative and non-finite values are 0 and nothing is beyond ``max_depth``."""
    with np.errstate(invalid="ignore"):
        number = (depth > 0) & (depth < np.inf)
    clean = np.zeros(depth.shape, np.float32)
    np.minimum(depth, np.float32(max_depth), out=clean, where=number)
    return clean


def _invert(raw: Image, max_depth: float) -> Image:
    image = raw.copy()
    np.subtract(np.float32(max_depth), raw, out=image, where=raw > _EMPTY)
    return image


def _invert_back(image: Image, max_depth: float, out: Image) -> None:
    np.copyto(out, image)
    np.subtract(np.float32(max_depth), image, out=out, where=image > _EMPTY)


def _square(size: int) -> NDArray[np.uint8]:
    return np.ones((size, size), np.uint8)


def _cross(size: int) -> NDArray[np.uint8]:
    kernel = np.zeros((size, size), np.uint8)
    kernel[size // 2, :] = 1
    kernel[:, size // 2] = 1
    return kernel


def _dilate_bins(raw: Image, image: Image) -> Image:
    """Grow near, medium and far surfaces by kernels of their own; near ones win."""
    dilated = image.copy()
    far, near = raw > MEDIUM_UP_TO, (raw > _EMPTY) & (raw <= NEAR_UP_TO)
    medium = (raw > NEAR_UP_TO) & ~far
    for members, size in ((far, 3), (medium, 5), (near, 7)):
        if members.any():
            layer = np.asarray(cv2.dilate(np.where(members, image, np.float32(0)), _cross(size)), np.float32)
            np.copyto(dilated, layer, where=layer > _EMPTY)
    return dilated


def _fill_empty(image: Image, size: int, where: NDArray[np.bool_] | None = None) -> None:
    """Give empty pixels (of ``where``) the nearest surface in a square of ``size``, in place."""
    empty = image < _EMPTY
    if where is not None:
        empty &= where
    if empty.any():
        np.copyto(image, cv2.dilate(image, _square(size)), where=empty)


def _copy_top_upward(image: Image) -> None:
    """In each column copy the first valid value to all rows above it, in place."""
    top = np.argmax(image > _EMPTY, axis=0)
    above = np.arange(image.shape[0])[:, None] < top
    np.copyto(image, image[top, np.arange(image.shape[1])], where=above)


def _below_first_valid(image: Image) -> NDArray[np.bool_]:
    """True at and below the first valid pixel of each column; all True in a column without any."""
    top = np.argmax(image > _EMPTY, axis=0)
    return np.arange(image.shape[0])[:, None] >= top


def _median(image: Image) -> Image:
    return np.asarray(cv2.medianBlur(image, 5), np.float32)


def _gaussian(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 0), np.float32)


def _bilateral(image: Image, sigma_depth: float) -> Image:
    return np.asarray(cv2.bilateralFilter(image, 5, sigma_depth, SIGMA_SPACE), np.float32)
