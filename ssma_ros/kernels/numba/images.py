# SPDX-License-Identifier: Apache-2.0
"""Compiled passes over whole images: vegetation indices of sensor values, readings of a depth image."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import EMPTY_BELOW, U1, U2, U3, strict_kernel, strict_piece

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(127.5)
#: 1/255: sixteen bits of it, and the rest.
_SHARE = np.float32(round(2.0**23 / 255) / 2.0**23)
_REST = np.float32(1 / 255 - float(_SHARE))
#: Pixels that are worked on at once.
_TILE = 1024
_T, _T2 = np.uint64(_TILE), np.uint64(2 * _TILE)


@strict_kernel
def keep_readings(depth, out):
    """Copy what is a reading; anything else becomes 0. Both flat float32; may be the same array."""
    limit = np.float32(np.inf)
    for i in range(np.uint64(depth.size)):
        v = depth[i]
        out[i] = v if (v > EMPTY_BELOW) & (v < limit) else _ZERO


@strict_kernel
def vegetation(color, nir, full_scale, gain, per_red, per_blue, offset, out):
    """gain·(N − R)/(N + per_red·R − per_blue·B + offset) as grey levels, three times each.

    IEEE rules, and the order of :mod:`ssma_ros.encodings.vegetation`: equal to it to the bit.

    Args:
        color: flat uint8, B G R.
        nir: flat uint8 or uint16; ``full_scale``, float32, is reflectance 1 and saturated beyond.
        gain, per_red, per_blue, offset: float32.
        out: flat uint8, three values a pixel.
    """
    # Channel by channel, a piece at a time: LLVM shuffles bytes well only in loops that do nothing else.
    lines = np.empty(3 * _TILE, np.uint8)
    for start in range(0, nir.size, _TILE):
        n, here = np.uint64(min(_TILE, nir.size - start)), np.uint64(start)
        _split(color, lines, here, n)
        _levels(lines, nir, full_scale, gain, per_red, per_blue, offset, here, n)
        _repeat(lines, out, here, n)


@strict_kernel
def _split(color, lines, here, n):
    """``n`` pixels from ``here`` on as three lines, B G R. All three: LLVM does not vectorise a load with gaps."""
    place = U3 * here
    for i in range(n):
        j = place + U3 * i
        lines[i], lines[_T + i], lines[_T2 + i] = color[j], color[j + U1], color[j + U2]


@strict_kernel
def _levels(lines, nir, full_scale, gain, per_red, per_blue, offset, here, n):
    """The index of a line of pixels as grey levels, over the first of the three lines."""
    for i in range(n):
        red, blue = _of_255(lines[_T2 + i]), _of_255(lines[i])
        v = np.float32(nir[here + i]) / full_scale
        v = v if v < _ONE else _ONE
        numerator = gain * (v - red)
        denominator = ((v + per_red * red) - per_blue * blue) + offset
        sign = _ONE if numerator > _ZERO else (-_ONE if numerator < _ZERO else _ZERO)
        index = numerator / denominator if denominator > _ZERO else sign
        index = index if index > -_ONE else -_ONE
        index = index if index < _ONE else _ONE
        lines[i] = np.uint8(np.int32(np.rint((index + _ONE) * _HALF)))


@strict_piece
def _of_255(value):
    """value/255 to the bit for whole numbers 0..255, without a division.

    The first product is exact, eight times sixteen bits; so one rounding is left, as in the division.
    """
    v = np.float32(value)
    return v * _SHARE + v * _REST


@strict_kernel
def _repeat(lines, out, here, n):
    """The first line three times a pixel."""
    place = U3 * here
    for i in range(n):
        j, level = place + U3 * i, lines[i]
        out[j], out[j + U1], out[j + U2] = level, level, level
