# SPDX-License-Identifier: Apache-2.0
"""Moments of 1/Z over 7×7 and 21×21 windows, separable and in float32.

With q = 1/Z the plane fit of a window needs Σq, Σi·q and Σj·q, with i and j counted in pixels from the window's own
centre, which is what makes float32 enough. A 21×21 window is nine 7×7 windows, so its moments come from theirs:
Σ₂₁ i·q = Σ₇(x−7) + Σ₇(x) + Σ₇(x+7) of i·q, plus 7·(Σ₇(x+7) − Σ₇(x−7)) of q. No running sums: their residue would
fill empty windows with noise. Where pixels are missing the same moments of the mask are needed; those are whole
numbers, hence exact.

The image is worked on in columns of TILE pixels, from top to bottom, so that all that a row needs of the rows before it
is still in the first cache. Outside the image there are zeros: nothing to sum. Everything lies in three flat arrays
with lines of constant length, because LLVM then sees that loads and stores do not overlap and vectorises a loop with
many of both.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import PAD, U1, U2, U3, kernel, piece

#: Pixels of a row that are worked on at once, and floats of a line that holds them and PAD more at either end.
TILE = 128
LINE = TILE + 2 * PAD
#: Lines of one row of sums over seven pixels: Σq, Σi·q, and of the mask Σm, Σi·m, Σi²·m. Eight rows are kept.
ACROSS_LINES, ACROSS_ROWS = 5, 8
#: Lines of the moments over windows: Σq, Σi·q, Σj·q, Σm, Σi·m, Σi²·m, Σj·m, Σi·j·m, Σj²·m; over three 7×7 windows side
#: by side, sixteen rows are kept.
MOMENTS, BESIDE_ROWS = 9, 16
#: Floats of the three work arrays: q and the moments over 7×7 of one row; the two rings.
ROW_SIZE = (1 + MOMENTS) * LINE
ACROSS_SIZE = ACROSS_ROWS * ACROSS_LINES * LINE
BESIDE_SIZE = BESIDE_ROWS * MOMENTS * LINE

#: Pixels beyond either end of a tile for which 7×7 moments are made: those of the windows seven pixels away.
_REACH = 8
_L, _U7 = np.uint64(LINE), np.uint64(7)
_L2, _L3, _L4, _L5, _L6, _L7, _L8 = (np.uint64(k * LINE) for k in range(2, 9))
_ZERO, _ONE = np.float32(0), np.float32(1)
_TWO, _THREE, _FOUR, _SEVEN, _NINE = np.float32(2), np.float32(3), np.float32(4), np.float32(7), np.float32(9)
_FOURTEEN, _FORTY_NINE = np.float32(14), np.float32(49)


@piece
def sum_7(a, b, c, d, e, f, g):
    """Sum of seven values."""
    return ((a + g) + (b + f)) + ((c + e) + d)


@piece
def first_7(a, b, c, e, f, g):
    """Σk·value over seven values around the fourth."""
    return _THREE * (g - a) + _TWO * (f - b) + (e - c)


@piece
def second_7(a, b, c, e, f, g):
    """Σk²·value over seven values around the fourth."""
    return _NINE * (g + a) + _FOUR * (f + b) + (e + c)


@piece
def across_place(y):
    """Where row ``y`` of sums over seven pixels lies in its ring."""
    return np.uint64((y & (ACROSS_ROWS - 1)) * (ACROSS_LINES * LINE))


@piece
def beside_place(y):
    """Where row ``y`` of moments over three windows lies in its ring."""
    return np.uint64((y & (BESIDE_ROWS - 1)) * (MOMENTS * LINE))


@kernel
def clear_across(ring, y):
    """A row outside the image: nothing to sum."""
    place = across_place(y)
    for i in range(np.uint64(ACROSS_LINES * LINE)):
        ring[place + i] = _ZERO


@kernel
def across(z, valid, here, row, ring, y, n):
    """Σq and Σi·q over seven pixels of row ``y``, of which ``n`` pixels from ``here`` on are the tile's.

    ``z``, ``valid``: work rows one after the other, metres and 1 or 0; ``row``: its first line becomes q.
    """
    off = here - np.uint64(PAD)
    for i in range(np.uint64(2 * PAD) + n):
        v = z[off + i]
        row[i] = valid[off + i] / (v if v > _ZERO else _ONE)
    place = across_place(y)
    for i in range(np.uint64(PAD - _REACH), np.uint64(PAD + _REACH) + n):
        a, b, c, d = row[i - U3], row[i - U2], row[i - U1], row[i]
        e, f, g = row[i + U1], row[i + U2], row[i + U3]
        ring[place + i] = sum_7(a, b, c, d, e, f, g)
        ring[place + _L + i] = first_7(a, b, c, e, f, g)


@kernel
def across_mask(valid, here, ring, y, n):
    """Σm, Σi·m and Σi²·m over seven pixels of row ``y``."""
    place, off = across_place(y), here - np.uint64(PAD)
    for i in range(np.uint64(PAD - _REACH), np.uint64(PAD + _REACH) + n):
        x = off + i
        a, b, c, d = valid[x - U3], valid[x - U2], valid[x - U1], valid[x]
        e, f, g = valid[x + U1], valid[x + U2], valid[x + U3]
        ring[place + _L2 + i] = sum_7(a, b, c, d, e, f, g)
        ring[place + _L3 + i] = first_7(a, b, c, e, f, g)
        ring[place + _L4 + i] = second_7(a, b, c, e, f, g)


@kernel
def down(ring, row, y, n):
    """Σq, Σi·q and Σj·q over the 7×7 windows of row ``y``, from seven rows of the ring into ``row``."""
    p, q, r, s = across_place(y - 3), across_place(y - 2), across_place(y - 1), across_place(y)
    t, u, v = across_place(y + 1), across_place(y + 2), across_place(y + 3)
    for i in range(np.uint64(PAD - _REACH), np.uint64(PAD + _REACH) + n):
        a, b, c, d = ring[p + i], ring[q + i], ring[r + i], ring[s + i]
        e, f, g = ring[t + i], ring[u + i], ring[v + i]
        row[_L + i] = sum_7(a, b, c, d, e, f, g)
        row[_L3 + i] = first_7(a, b, c, e, f, g)
        j = _L + i
        row[_L2 + i] = sum_7(
            ring[p + j], ring[q + j], ring[r + j], ring[s + j], ring[t + j], ring[u + j], ring[v + j]
        )


@kernel
def down_mask(ring, row, y, n):
    """The six moments of the mask over the 7×7 windows of row ``y``."""
    p, q, r, s = across_place(y - 3), across_place(y - 2), across_place(y - 1), across_place(y)
    t, u, v = across_place(y + 1), across_place(y + 2), across_place(y + 3)
    for i in range(np.uint64(PAD - _REACH), np.uint64(PAD + _REACH) + n):
        j = _L2 + i
        a, b, c, d = ring[p + j], ring[q + j], ring[r + j], ring[s + j]
        e, f, g = ring[t + j], ring[u + j], ring[v + j]
        row[_L4 + i] = sum_7(a, b, c, d, e, f, g)
        row[_L7 + i] = first_7(a, b, c, e, f, g)
        row[_L8 + _L + i] = second_7(a, b, c, e, f, g)
        j = _L3 + i
        a, b, c, d = ring[p + j], ring[q + j], ring[r + j], ring[s + j]
        e, f, g = ring[t + j], ring[u + j], ring[v + j]
        row[_L5 + i] = sum_7(a, b, c, d, e, f, g)
        row[_L8 + i] = first_7(a, b, c, e, f, g)
        j = _L4 + i
        row[_L6 + i] = sum_7(
            ring[p + j], ring[q + j], ring[r + j], ring[s + j], ring[t + j], ring[u + j], ring[v + j]
        )


@kernel
def beside(row, ring, y, n):
    """Σq, Σi·q and Σj·q of three 7×7 windows side by side: row ``y`` of the ring."""
    place = beside_place(y)
    for i in range(np.uint64(PAD), np.uint64(PAD) + n):
        k = _L + i
        a, b, c = row[k - _U7], row[k], row[k + _U7]
        ring[place + i] = (a + c) + b
        k = _L2 + i
        ring[place + _L + i] = (row[k - _U7] + row[k + _U7]) + row[k] + _SEVEN * (c - a)
        k = _L3 + i
        ring[place + _L2 + i] = (row[k - _U7] + row[k + _U7]) + row[k]


@kernel
def beside_mask(row, ring, y, n):
    """The six moments of the mask of three 7×7 windows side by side."""
    place = beside_place(y)
    for i in range(np.uint64(PAD), np.uint64(PAD) + n):
        k = _L4 + i
        a, b, c = row[k - _U7], row[k], row[k + _U7]
        ring[place + _L3 + i] = (a + c) + b
        k = _L5 + i
        d, e, f = row[k - _U7], row[k], row[k + _U7]
        ring[place + _L4 + i] = (d + f) + e + _SEVEN * (c - a)
        k = _L6 + i
        ring[place + _L5 + i] = (row[k - _U7] + row[k + _U7]) + row[k] + _FOURTEEN * (f - d) + _FORTY_NINE * (c + a)
        k = _L7 + i
        a, b, c = row[k - _U7], row[k], row[k + _U7]
        ring[place + _L6 + i] = (a + c) + b
        k = _L8 + i
        ring[place + _L7 + i] = (row[k - _U7] + row[k + _U7]) + row[k] + _SEVEN * (c - a)
        k = _L8 + _L + i
        ring[place + _L8 + i] = (row[k - _U7] + row[k + _U7]) + row[k]


@piece
def moments_21(ring, p, q, r, i):
    """Σq, Σi·q and Σj·q over a 21×21 window from the rows at ``p``, ``q`` and ``r``, seven apart."""
    a, b, c = ring[p + i], ring[q + i], ring[r + i]
    j, k = _L + i, _L2 + i
    return (
        (a + c) + b,
        (ring[p + j] + ring[r + j]) + ring[q + j],
        (ring[p + k] + ring[r + k]) + ring[q + k] + _SEVEN * (c - a),
    )


@piece
def mask_moments_21(ring, p, q, r, i):
    """Σm, Σi·m, Σi²·m, Σj·m, Σi·j·m and Σj²·m over a 21×21 window."""
    j = _L3 + i
    a, b, c = ring[p + j], ring[q + j], ring[r + j]
    j = _L4 + i
    d, e, f = ring[p + j], ring[q + j], ring[r + j]
    j = _L5 + i
    second = (ring[p + j] + ring[r + j]) + ring[q + j]
    j = _L6 + i
    g, h, k = ring[p + j], ring[q + j], ring[r + j]
    j = _L7 + i
    mixed = (ring[p + j] + ring[r + j]) + ring[q + j] + _SEVEN * (f - d)
    j = _L8 + i
    second_down = (ring[p + j] + ring[r + j]) + ring[q + j] + _FOURTEEN * (k - g) + _FORTY_NINE * (c + a)
    return (a + c) + b, (d + f) + e, second, (g + k) + h + _SEVEN * (c - a), mixed, second_down
