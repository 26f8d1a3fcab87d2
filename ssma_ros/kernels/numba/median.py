# SPDX-License-Identifier: Apache-2.0
"""Median of 5×5 pixels with min/max networks, two rows at a time.

Two neighbouring rows of the result share twenty of their twenty-five pixels. Of those twenty only the middle six can be
the median of either window (the five others shift the rank by at most five), so the twenty are reduced once to their
middle six, and each row merges these with its own five. The columns of four are sorted once for all windows that hold
them, and so are pairs of columns. That takes about 77 min/max operations a pixel; the networks are Batcher merges
from which comparators without effect were removed.

Source of the idea: Adams, "Fast Median Filters using Separable Sorting Networks", SIGGRAPH 2021.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import PAD, U1, U2, inside, kernel, pad_mirror, piece
from ssma_ros.kernels.numba.morphology import lower, upper

#: Pixels of a row done at a time, so that the scratch rows stay in the first-level cache.
TILE = 256
#: Floats of one scratch row: a tile and two columns on either side.
_LINE = TILE + 32
#: Scratch rows: columns of four sorted (4), pairs of columns merged (8).
SCRATCH = 12 * _LINE


@piece
def order(a, b):
    """The two values, smaller first."""
    return lower(a, b), upper(a, b)


@piece
def sort_4(a, b, c, d):
    """Four values in order."""
    a, b = order(a, b)
    c, d = order(c, d)
    a, c = order(a, c)
    b, d = order(b, d)
    b, c = order(b, c)
    return a, b, c, d


@piece
def sort_5(a, b, c, d, e):
    """Five values in order."""
    a, b = order(a, b)
    d, e = order(d, e)
    c, e = order(c, e)
    c, d = order(c, d)
    a, d = order(a, d)
    a, c = order(a, c)
    b, e = order(b, e)
    b, d = order(b, d)
    b, c = order(b, c)
    return a, b, c, d, e


@piece
def merge_4_4(a0, a1, a2, a3, a4, a5, a6, a7):
    """Two sorted fours (a0..a3, a4..a7) merged."""
    a0, a4 = order(a0, a4)
    a2, a6 = order(a2, a6)
    a2, a4 = order(a2, a4)
    a1, a5 = order(a1, a5)
    a3, a7 = order(a3, a7)
    a3, a5 = order(a3, a5)
    a1, a2 = order(a1, a2)
    a3, a4 = order(a3, a4)
    a5, a6 = order(a5, a6)
    return a0, a1, a2, a3, a4, a5, a6, a7


@piece
def middle_6_of_20(a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3):
    """Ranks 8 to 13 of two sorted eights and a sorted four, in order."""
    a0, c0 = order(a0, c0)
    a4, c0 = order(a4, c0)
    a2, c2 = order(a2, c2)
    a6, c2 = order(a6, c2)
    a2, a4 = order(a2, a4)
    a6, c0 = order(a6, c0)
    a1, c1 = order(a1, c1)
    a5, c1 = order(a5, c1)
    a3, c3 = order(a3, c3)
    a7, c3 = order(a7, c3)
    a3, a5 = order(a3, a5)
    a7, c1 = order(a7, c1)
    a1, a2 = order(a1, a2)
    a3, a4 = order(a3, a4)
    a5, a6 = order(a5, a6)
    a7, c0 = order(a7, c0)
    c1, c2 = order(c1, c2)
    b0 = upper(a0, b0)
    c0, b0 = order(c0, b0)
    a4, b4 = order(a4, b4)
    c0 = upper(a4, c0)
    b4 = lower(b4, b0)
    b2 = upper(a2, b2)
    c2 = lower(c2, b2)
    a6 = lower(a6, b6)
    a6, c2 = order(a6, c2)
    c0 = upper(a6, c0)
    c2, b4 = order(c2, b4)
    b1 = upper(a1, b1)
    c1, b1 = order(c1, b1)
    a5, b5 = order(a5, b5)
    c1 = upper(a5, c1)
    b5 = lower(b5, b1)
    b3 = upper(a3, b3)
    c3 = lower(c3, b3)
    a7 = lower(a7, b7)
    a7, c3 = order(a7, c3)
    a7, c1 = order(a7, c1)
    c3 = lower(c3, b5)
    a7, c0 = order(a7, c0)
    c1, c2 = order(c1, c2)
    c3, b4 = order(c3, b4)
    return a7, c0, c1, c2, c3, b4


@piece
def median_6_5(a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4):
    """Median of a sorted six and a sorted five: the smallest of max(a[i], b[5 - i])."""
    low = lower(lower(upper(a0, b4), upper(a1, b3)), lower(upper(a2, b2), upper(a3, b1)))
    return lower(lower(low, upper(a4, b0)), a5)


@kernel
def median_5x5(src, src_place, dst, dst_place, y0, y1, height, width, above, top, scratch):
    """Rows y0..y1 of the median into ``dst``, padded for the blur that follows; border pixels repeat.

    Pixels that are not greater than ``above`` or lie above row ``top[x]`` keep their value. ``scratch``: float32,
    SCRATCH values and two work rows after them.
    """
    spare = scratch[SCRATCH : SCRATCH + dst.shape[1]]
    for y in range(y0, y1, 2):
        row = dst[y & dst_place]
        other = dst[(y + 1) & dst_place] if y + 1 < y1 else spare
        for start in range(PAD, PAD + width, TILE):
            stop = min(start + TILE, PAD + width)
            _sort_columns(src, src_place, y, height, start, stop, scratch)
            before, after = src[inside(y - 2, height) & src_place], src[inside(y + 3, height) & src_place]
            _merge(scratch, before, after, row, other, start, stop)
        _keep(src[y & src_place], row, np.int32(y), above, top, width)
        pad_mirror(row, width)
        if y + 1 < y1:
            _keep(src[(y + 1) & src_place], other, np.int32(y + 1), above, top, width)
            pad_mirror(other, width)


@kernel
def _sort_columns(src, place, y, height, start, stop, scratch):
    """Sorted columns of rows y − 1 .. y + 2, and pairs of them merged, from two columns before the tile to after it."""
    a, b = src[inside(y - 1, height) & place], src[y & place]
    c, d = src[inside(y + 1, height) & place], src[inside(y + 2, height) & place]
    line, offset = np.uint64(_LINE), np.uint64(start - 2)
    for i in range(np.uint64(stop - start + 4)):
        x = i + offset
        scratch[i], scratch[line + i], scratch[U2 * line + i], scratch[np.uint64(3) * line + i] = sort_4(
            a[x], b[x], c[x], d[x]
        )
    pairs = scratch[4 * _LINE :]
    for i in range(np.uint64(stop - start + 2)):
        p = merge_4_4(
            scratch[i], scratch[line + i], scratch[U2 * line + i], scratch[np.uint64(3) * line + i],
            scratch[i + U1], scratch[line + i + U1], scratch[U2 * line + i + U1], scratch[np.uint64(3) * line + i + U1],
        )
        for k in range(8):
            pairs[np.uint64(k) * line + i] = p[k]


@kernel
def _merge(scratch, before, after, row, other, start, stop):
    """Medians of one tile of two rows: window columns x − 2 .. x + 1 as two pairs, x + 2 by itself, and the own row."""
    line, offset = np.uint64(_LINE), np.uint64(start)
    l2, l3, l4, l5 = U2 * line, np.uint64(3) * line, np.uint64(4) * line, np.uint64(5) * line
    l6, l7, l8, l9 = np.uint64(6) * line, np.uint64(7) * line, np.uint64(8) * line, np.uint64(9) * line
    l10, l11, right = np.uint64(10) * line, np.uint64(11) * line, np.uint64(4)
    for i in range(np.uint64(stop - start)):
        j, k, x = i + U2, i + right, i + offset
        m0, m1, m2, m3, m4, m5 = middle_6_of_20(
            scratch[l4 + i], scratch[l5 + i], scratch[l6 + i], scratch[l7 + i],
            scratch[l8 + i], scratch[l9 + i], scratch[l10 + i], scratch[l11 + i],
            scratch[l4 + j], scratch[l5 + j], scratch[l6 + j], scratch[l7 + j],
            scratch[l8 + j], scratch[l9 + j], scratch[l10 + j], scratch[l11 + j],
            scratch[k], scratch[line + k], scratch[l2 + k], scratch[l3 + k],
        )
        a, b, c, d, e = sort_5(before[x - U2], before[x - U1], before[x], before[x + U1], before[x + U2])
        row[x] = median_6_5(m0, m1, m2, m3, m4, m5, a, b, c, d, e)
        a, b, c, d, e = sort_5(after[x - U2], after[x - U1], after[x], after[x + U1], after[x + U2])
        other[x] = median_6_5(m0, m1, m2, m3, m4, m5, a, b, c, d, e)


@kernel
def _keep(own, row, y, above, top, width):
    """Put back the pixels that the median must not change."""
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        changed, unchanged = row[x], own[x]
        row[x] = changed if (unchanged > above) & (top[x] <= y) else unchanged
