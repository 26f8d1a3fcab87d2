"""Depth completion of Ku, Harakeh and Waslander, "In Defense of Classical Image Processing", CRV 2018.

Written from the description of the algorithm, one OpenCV call for each step and a copy of the whole image between
steps, which is also what the authors' program does. All depths float32 metres, 0 = empty.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FULL_5 = np.ones((5, 5), np.uint8)
FULL_7 = np.ones((7, 7), np.uint8)
FULL_9 = np.ones((9, 9), np.uint8)
FULL_31 = np.ones((31, 31), np.uint8)
DIAMOND_5 = (np.abs(np.arange(-2, 3))[:, None] + np.abs(np.arange(-2, 3)) <= 2).astype(np.uint8)


def cross(size: int) -> NDArray[np.uint8]:
    """A plus sign: the middle row and the middle column of a square."""
    kernel = np.zeros((size, size), np.uint8)
    kernel[size // 2, :] = 1
    kernel[:, size // 2] = 1
    return kernel


def fill_fast(
    depth: NDArray[np.float32], max_depth: float = 100.0, extrapolate: bool = False, blur: str = "bilateral"
) -> NDArray[np.float32]:
    """The "fast" variant: eight steps over the whole image."""
    depth = depth.astype(np.float32)
    valid = depth > 0.1
    depth[valid] = max_depth - depth[valid]
    depth = cv2.dilate(depth, DIAMOND_5)
    depth = cv2.morphologyEx(depth, cv2.MORPH_CLOSE, FULL_5)
    empty = depth < 0.1
    dilated = cv2.dilate(depth, FULL_7)
    depth[empty] = dilated[empty]
    if extrapolate:
        top_row = np.argmax(depth > 0.1, axis=0)
        top_value = depth[top_row, np.arange(depth.shape[1])]
        for x in range(depth.shape[1]):
            depth[: top_row[x], x] = top_value[x]
        empty = depth < 0.1
        dilated = cv2.dilate(depth, FULL_31)
        depth[empty] = dilated[empty]
    depth = cv2.medianBlur(depth, 5)
    if blur == "bilateral":
        depth = cv2.bilateralFilter(depth, 5, 1.5, 2.0)
    else:
        valid = depth > 0.1
        blurred = cv2.GaussianBlur(depth, (5, 5), 0)
        depth[valid] = blurred[valid]
    valid = depth > 0.1
    depth[valid] = max_depth - depth[valid]
    return depth


def fill_multiscale(
    depth: NDArray[np.float32], max_depth: float = 100.0, extrapolate: bool = False, blur: str = "bilateral"
) -> NDArray[np.float32]:
    """The multi-scale variant: near, medium and far surfaces grow by kernels of their own."""
    depth = depth.astype(np.float32)
    near = (depth > 0.1) & (depth <= 15.0)
    medium = (depth > 15.0) & (depth <= 30.0)
    far = depth > 30.0

    inverted = np.copy(depth)
    valid = inverted > 0.1
    inverted[valid] = max_depth - inverted[valid]

    dilated_far = cv2.dilate(np.multiply(inverted, far), cross(3))
    dilated_medium = cv2.dilate(np.multiply(inverted, medium), cross(5))
    dilated_near = cv2.dilate(np.multiply(inverted, near), cross(7))
    dilated = np.copy(inverted)
    for layer in (dilated_far, dilated_medium, dilated_near):
        some = layer > 0.1
        dilated[some] = layer[some]

    closed = cv2.morphologyEx(dilated, cv2.MORPH_CLOSE, FULL_5)

    smoothed = np.copy(closed)
    median = cv2.medianBlur(closed, 5)
    valid = closed > 0.1
    smoothed[valid] = median[valid]

    below_top = _below_first_valid(smoothed)
    empty = ~(smoothed > 0.1) & below_top
    filled = np.copy(smoothed)
    dilated = cv2.dilate(smoothed, FULL_9)
    filled[empty] = dilated[empty]

    extended = np.copy(filled)
    below_top = _below_first_valid(filled)
    if extrapolate:
        top_row = np.argmax(filled > 0.1, axis=0)
        top_value = filled[top_row, np.arange(filled.shape[1])]
        for x in range(filled.shape[1]):
            extended[: top_row[x], x] = top_value[x]
        below_top = np.ones_like(below_top)

    grown = np.copy(extended)
    for _ in range(6):
        empty = (grown < 0.1) & below_top
        dilated = cv2.dilate(grown, FULL_5)
        grown[empty] = dilated[empty]

    median = cv2.medianBlur(grown, 5)
    valid = (grown > 0.1) & below_top
    grown[valid] = median[valid]
    if blur == "bilateral":
        blurred = cv2.bilateralFilter(grown, 5, 0.5, 2.0)
    else:
        valid = (grown > 0.1) & below_top
        blurred = cv2.GaussianBlur(grown, (5, 5), 0)
    grown[valid] = blurred[valid]

    result = np.copy(grown)
    valid = result > 0.1
    result[valid] = max_depth - result[valid]
    return result


def _below_first_valid(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """True at and below the first valid pixel of each column; all True in a column without any."""
    mask = np.ones(depth.shape, dtype=bool)
    top_row = np.argmax(depth > 0.1, axis=0)
    for x in range(depth.shape[1]):
        mask[: top_row[x], x] = False
    return mask
