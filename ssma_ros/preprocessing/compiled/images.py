"""Compiled passes over whole images: vegetation indices of sensor values, readings of a depth image."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.preprocessing.compiled.jit import EMPTY_BELOW, U2, U3, strict_kernel

_ZERO, _ONE, _FULL, _HALF = np.float32(0), np.float32(1), np.float32(255), np.float32(127.5)


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

    IEEE rules, and the order of :mod:`ssma_ros.preprocessing.vegetation`: equal to it to the bit.

    Args:
        color: flat uint8, B G R.
        nir: flat uint8 or uint16; ``full_scale``, float32, is reflectance 1 and saturated beyond.
        gain, per_red, per_blue, offset: float32.
        out: flat uint8, three values a pixel.
    """
    for i in range(np.uint64(nir.size)):
        j = U3 * i
        red, blue = np.float32(color[j + U2]) / _FULL, np.float32(color[j]) / _FULL
        n = np.float32(nir[i]) / full_scale
        n = n if n < _ONE else _ONE
        numerator = gain * (n - red)
        denominator = ((n + per_red * red) - per_blue * blue) + offset
        sign = _ONE if numerator > _ZERO else (-_ONE if numerator < _ZERO else _ZERO)
        index = numerator / denominator if denominator > _ZERO else sign
        index = index if index > -_ONE else -_ONE
        index = index if index < _ONE else _ONE
        level = np.uint8(np.int32(np.rint((index + _ONE) * _HALF)))
        out[j], out[j + np.uint64(1)], out[j + U2] = level, level, level
