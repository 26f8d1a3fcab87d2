# SPDX-License-Identifier: Apache-2.0
"""Compiled passes that fill the largest output messages; imported only where numba is installed."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import strict_kernel

_ZERO, _NONE, _SHARE = np.float32(0), np.float32(np.nan), np.float32(1 / 255)
_U1, _U2, _U3, _U4, _U5 = (np.uint64(k) for k in range(1, 6))
#: Lanes of four bytes of a point before those of the classes: x y z rgb confidence label.
_FIXED = np.uint64(6)
_TILE = np.uint64(256)


@strict_kernel
def cloud(depth, mask, confidence, colors, right, down, planes, channels, floats, words):
    """All points of an organised cloud, in the mask's order.

    Args:
        depth: flat float32 metres, 0 = no reading, which becomes NaN.
        mask, confidence: flat uint8.
        colors: 256 uint32, 0x00RRGGBB.
        right, down: X/Z of every column and Y/Z of every row, float32.
        planes: C×pixels uint8 probabilities × 255; ``channels``: int64, those that become lanes.
        floats, words: the message's memory as flat float32 and as flat uint32, 6 + len(channels) lanes a point.
    """
    width, lanes = np.uint64(right.size), _FIXED + np.uint64(channels.size)
    for y in range(np.uint64(down.size)):
        begin = y * width
        for x in range(width):
            i = begin + x
            j = i * lanes
            v = depth[i]
            z = v if v > _ZERO else _NONE
            floats[j], floats[j + _U1], floats[j + _U2] = z * right[x], z * down[y], z
            words[j + _U3] = colors[mask[i]]
            floats[j + _U4] = np.float32(confidence[i]) * _SHARE
            words[j + _U5] = np.uint32(mask[i])  # the low half is label, the high half the unused bytes
        for c in range(np.uint64(channels.size)):
            plane = planes[channels[c]]
            for x in range(width):
                i = begin + x
                floats[i * lanes + _FIXED + c] = np.float32(plane[i]) * _SHARE


@strict_kernel
def interleave(planes, out):
    """C×pixels uint8 probabilities × 255 to pixels×C float32 in 0..1, both flat in memory."""
    count, pixels = np.uint64(planes.shape[0]), np.uint64(planes.shape[1])
    for begin in range(np.uint64(0), pixels, _TILE):  # what is written stays in the first cache until it is complete
        end = min(pixels, begin + _TILE)
        for c in range(count):
            plane = planes[c]
            for i in range(begin, end):
                out[i * count + c] = np.float32(plane[i]) * _SHARE
