# SPDX-License-Identifier: Apache-2.0
"""Max and min filters on rows of inverted depth, one function a step, each advancing over a range of rows.

Arguments everywhere: ``src``/``dst`` buffers of work rows, ``src_place``/``dst_place`` the mask that finds a row in
them (RING or WHOLE), ``y0``/``y1`` the rows to make, ``height``/``width`` of the image in pixels. Morphology ignores
what is outside the image; repeating the border does the same, since every window that reaches over it holds the border
pixel too.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import (
    EMPTY_BELOW,
    PAD,
    U1,
    U2,
    U3,
    U4,
    copy_row,
    first,
    inside,
    kernel,
    last,
    pad_repeat,
    piece,
    strict_kernel,
)
from ssma_ros.kernels.shared.constants import MEDIUM_UP_TO, NEAR_UP_TO

_ZERO, _ONE = np.float32(0), np.float32(1)


@piece
def upper(a, b):
    """The larger of two finite numbers, as one instruction."""
    return a if a > b else b


@piece
def lower(a, b):
    """The smaller of two finite numbers, as one instruction."""
    return a if a < b else b


@strict_kernel
def invert(depth, max_depth, dst, dst_place, y0, y1, height, width):
    """Metres to inverted depth: max_depth − v where v > 0.1; no reading (NaN, ±inf, negative) is 0."""
    limit = np.float32(np.inf)
    for y in range(y0, y1):
        source, row = depth[y], dst[y & dst_place]
        for x in range(width):
            v = source[x]
            v = v if (v > _ZERO) & (v < limit) else _ZERO
            v = v if v < max_depth else max_depth
            row[x + PAD] = max_depth - v if v > EMPTY_BELOW else v
        pad_repeat(row, width)


@strict_kernel
def invert_in_bins(depth, max_depth, dst, layers, place, y0, y1, height, width):
    """As :func:`invert`, and the near, medium and far surfaces in ``layers`` (3 buffers), 0 elsewhere."""
    limit, low, high = np.float32(np.inf), np.float32(NEAR_UP_TO), np.float32(MEDIUM_UP_TO)
    for y in range(y0, y1):
        source, row = depth[y], dst[y & place]
        near, medium, far = layers[0, y & place], layers[1, y & place], layers[2, y & place]
        for x in range(width):
            v = source[x]
            v = v if (v > _ZERO) & (v < limit) else _ZERO
            v = v if v < max_depth else max_depth
            inverted = max_depth - v if v > EMPTY_BELOW else v
            row[x + PAD] = inverted
            near[x + PAD] = inverted if (v > EMPTY_BELOW) & (v <= low) else _ZERO
            medium[x + PAD] = inverted if (v > low) & (v <= high) else _ZERO
            far[x + PAD] = inverted if v > high else _ZERO
        pad_repeat(row, width)
        pad_repeat(near, width)
        pad_repeat(medium, width)
        pad_repeat(far, width)


@kernel
def dilate_diamond(src, src_place, dst, dst_place, y0, y1, height, width):
    """Max over ``|dx| + |dy|`` ≤ 2."""
    for y in range(y0, y1):
        a, b = src[inside(y - 2, height) & src_place], src[inside(y - 1, height) & src_place]
        c = src[y & src_place]
        d, e = src[inside(y + 1, height) & src_place], src[inside(y + 2, height) & src_place]
        row = dst[y & dst_place]
        for x in range(first(width), last(width)):
            wide = upper(upper(c[x - U2], c[x - U1]), upper(c[x + U1], c[x + U2]))
            above = upper(upper(b[x - U1], b[x]), b[x + U1])
            below = upper(upper(d[x - U1], d[x]), d[x + U1])
            row[x] = upper(upper(upper(wide, c[x]), upper(above, below)), upper(a[x], e[x]))
        pad_repeat(row, width)


@kernel
def dilate_crosses(src, layers, place, dst, dst_place, y0, y1, height, width):
    """Near surfaces grown by a 7×7 cross over medium ones (5×5) over far ones (3×3) over the image itself."""
    for y in range(y0, y1):
        row, own = dst[y & dst_place], src[y & place]
        far = layers[2]
        a, b, c = far[inside(y - 1, height) & place], far[y & place], far[inside(y + 1, height) & place]
        for x in range(first(width), last(width)):
            v = own[x]
            m = upper(upper(upper(a[x], c[x]), upper(b[x - U1], b[x + U1])), b[x])
            row[x] = m if m > EMPTY_BELOW else v
        _over_by_cross(layers[1], place, row, y, 2, height, width)
        _over_by_cross(layers[0], place, row, y, 3, height, width)
        pad_repeat(row, width)


@kernel
def _over_by_cross(layer, place, row, y, radius, height, width):
    """Overwrite ``row`` where the layer, dilated by a cross of ``radius`` 2 or 3, has a surface."""
    a, b, c = layer[inside(y - 2, height) & place], layer[inside(y - 1, height) & place], layer[y & place]
    d, e = layer[inside(y + 1, height) & place], layer[inside(y + 2, height) & place]
    if radius == 2:
        for x in range(first(width), last(width)):
            m = upper(upper(upper(c[x - U2], c[x - U1]), upper(c[x + U1], c[x + U2])), c[x])
            m = upper(m, upper(upper(a[x], b[x]), upper(d[x], e[x])))
            v = row[x]
            row[x] = m if m > EMPTY_BELOW else v
        return
    o, f = layer[inside(y - 3, height) & place], layer[inside(y + 3, height) & place]
    for x in range(first(width), last(width)):
        m = upper(upper(upper(c[x - U2], c[x - U1]), upper(c[x + U1], c[x + U2])), c[x])
        m = upper(m, upper(c[x - U3], c[x + U3]))
        m = upper(m, upper(upper(a[x], b[x]), upper(d[x], e[x])))
        m = upper(m, upper(o[x], f[x]))
        v = row[x]
        row[x] = m if m > EMPTY_BELOW else v


@kernel
def dilate_5(src, src_place, dst, dst_place, y0, y1, height, width, line):
    """Max over 5×5. ``line``: one work row of scratch."""
    for y in range(y0, y1):
        _column_max_5(src, src_place, y, height, line)
        row = dst[y & dst_place]
        for x in range(first(width), last(width)):
            row[x] = upper(upper(upper(line[x - U2], line[x - U1]), upper(line[x + U1], line[x + U2])), line[x])
        pad_repeat(row, width)


@kernel
def erode_5(src, src_place, dst, dst_place, y0, y1, height, width, line):
    """Min over 5×5."""
    for y in range(y0, y1):
        a, b = src[inside(y - 2, height) & src_place], src[inside(y - 1, height) & src_place]
        c = src[y & src_place]
        d, e = src[inside(y + 1, height) & src_place], src[inside(y + 2, height) & src_place]
        for x in range(np.uint64(line.size)):
            line[x] = lower(lower(lower(a[x], b[x]), lower(d[x], e[x])), c[x])
        row = dst[y & dst_place]
        for x in range(first(width), last(width)):
            row[x] = lower(lower(lower(line[x - U2], line[x - U1]), lower(line[x + U1], line[x + U2])), line[x])
        pad_repeat(row, width)


@kernel
def fill_empty_5(src, src_place, dst, dst_place, y0, y1, height, width, top, line):
    """Empty pixels at or below row ``top[x]`` become the max over 5×5, the others are kept."""
    for y in range(y0, y1):
        own, row, here = src[y & src_place], dst[y & dst_place], np.int32(y)
        if _has_empty(own, top, y, width):
            _column_max_5(src, src_place, y, height, line)
            for x in range(first(width), last(width)):
                m = upper(upper(upper(line[x - U2], line[x - U1]), upper(line[x + U1], line[x + U2])), line[x])
                v = own[x]
                row[x] = m if (v < EMPTY_BELOW) & (top[x] <= here) else v
        else:
            copy_row(own, row)
        pad_repeat(row, width)


@kernel
def fill_empty_7(src, src_place, dst, dst_place, y0, y1, height, width, top, line):
    """As :func:`fill_empty_5` over 7×7."""
    for y in range(y0, y1):
        own, row, here = src[y & src_place], dst[y & dst_place], np.int32(y)
        if _has_empty(own, top, y, width):
            _column_max(src, src_place, y, 3, height, line)
            for x in range(first(width), last(width)):
                m = upper(upper(upper(line[x - U2], line[x - U1]), upper(line[x + U1], line[x + U2])), line[x])
                m = upper(m, upper(line[x - U3], line[x + U3]))
                v = own[x]
                row[x] = m if (v < EMPTY_BELOW) & (top[x] <= here) else v
        else:
            copy_row(own, row)
        pad_repeat(row, width)


@kernel
def fill_empty_9(src, src_place, dst, dst_place, y0, y1, height, width, top, line):
    """As :func:`fill_empty_5` over 9×9."""
    for y in range(y0, y1):
        own, row, here = src[y & src_place], dst[y & dst_place], np.int32(y)
        if _has_empty(own, top, y, width):
            _column_max(src, src_place, y, 4, height, line)
            for x in range(first(width), last(width)):
                m = upper(upper(upper(line[x - U2], line[x - U1]), upper(line[x + U1], line[x + U2])), line[x])
                m = upper(m, upper(upper(line[x - U4], line[x - U3]), upper(line[x + U3], line[x + U4])))
                v = own[x]
                row[x] = m if (v < EMPTY_BELOW) & (top[x] <= here) else v
        else:
            copy_row(own, row)
        pad_repeat(row, width)


@kernel
def fill_empty_31(src, src_place, dst, dst_place, y0, y1, height, width, top, line):
    """As :func:`fill_empty_5` over 31×31, by doubling: a max over 2, 4, 8, 16 pixels, then two of 16 overlap."""
    for y in range(y0, y1):
        own, row, here = src[y & src_place], dst[y & dst_place], np.int32(y)
        if _has_empty(own, top, y, width):
            _column_max(src, src_place, y, 15, height, line)
            for step in (1, 2, 4, 8):
                shift = np.uint64(step)
                for x in range(np.uint64(line.size - step)):
                    line[x] = upper(line[x], line[x + shift])
            left, right = np.uint64(15), np.uint64(0)
            for x in range(first(width), last(width)):
                m = upper(line[x - left], line[x + right])
                v = own[x]
                row[x] = m if (v < EMPTY_BELOW) & (top[x] <= here) else v
        else:
            copy_row(own, row)
        pad_repeat(row, width)


@kernel
def copy_top_upward(buffer, top, width):
    """Rows above the first valid pixel of each column take its value, in place. ``buffer`` holds the whole image."""
    for x in range(PAD, PAD + width):
        value = buffer[top[x], x]
        for y in range(top[x]):
            buffer[y, x] = value


@kernel
def first_valid_rows(src, top, height, width):
    """Row of the first valid pixel of each column into ``top`` (a work row of int32); 0 in a column without any."""
    none = np.int32(height)
    for x in range(np.uint64(top.size)):
        top[x] = none
    for y in range(height - 1, -1, -1):
        row, here = src[y], np.int32(y)
        for x in range(first(width), last(width)):
            t = top[x]
            top[x] = here if row[x] > EMPTY_BELOW else t
    for x in range(np.uint64(top.size)):
        t = top[x]
        top[x] = np.int32(0) if t == none else t


@kernel
def _has_empty(row, top, y, width):
    here, count = np.int32(y), _ZERO  # a float sum, which LLVM vectorises; exact to 16 million
    for x in range(first(width), last(width)):
        count += _ONE if (row[x] < EMPTY_BELOW) & (top[x] <= here) else _ZERO
    return count > _ZERO


@kernel
def _column_max_5(src, place, y, height, line):
    a, b, c = src[inside(y - 2, height) & place], src[inside(y - 1, height) & place], src[y & place]
    d, e = src[inside(y + 1, height) & place], src[inside(y + 2, height) & place]
    for x in range(np.uint64(line.size)):
        line[x] = upper(upper(upper(a[x], b[x]), upper(d[x], e[x])), c[x])


@kernel
def _column_max(src, place, y, radius, height, line):
    """Max over 2·radius + 1 rows (radius ≥ 2) into ``line``."""
    _column_max_5(src, place, y, height, line)
    for i in range(3, radius + 1):
        a, b = src[inside(y - i, height) & place], src[inside(y + i, height) & place]
        for x in range(np.uint64(line.size)):
            line[x] = upper(upper(a[x], b[x]), line[x])
