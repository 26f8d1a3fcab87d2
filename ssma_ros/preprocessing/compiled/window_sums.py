"""Moments of 1/Z over 7×7 and 21×21 windows, separable and in float32.

With q = 1/Z the plane fit of a window needs Σq, Σi·q and Σj·q, with i and j counted in pixels from the window's own
centre, which is what makes float32 enough. Sums over 21 pixels come from three sums over 7:
Σ₂₁ i·q = Σ₇(x−7) + Σ₇(x) + Σ₇(x+7) of i·q, plus 7·(Σ₇(x+7) − Σ₇(x−7)) of q. No running sums: their residue would
fill empty windows with noise. Where pixels are missing the same moments of the mask are needed; those are whole
numbers, hence exact.

Work rows are padded with zeros: outside the image there is nothing to sum. One output per loop, because LLVM gives up
on proving (or checking) that many arrays do not overlap.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.preprocessing.compiled.jit import PAD, U1, U2, U3, kernel

#: Rows of the rings in which sums wait for their window (a power of two), and the mask that finds a row.
RING_ROWS = 32
RING = RING_ROWS - 1

_U7 = np.uint64(7)
_TWO, _THREE, _FOUR, _SEVEN, _NINE = np.float32(2), np.float32(3), np.float32(4), np.float32(7), np.float32(9)
_FOURTEEN, _FORTY_NINE = np.float32(14), np.float32(49)


@kernel
def across_7(q, total, moment, width):
    """Σq and Σi·q over seven pixels of a row, also for the seven columns beyond either end."""
    begin, end = np.uint64(PAD - 7), np.uint64(PAD + width + 7)
    for x in range(begin, end):
        total[x] = ((q[x - U3] + q[x + U3]) + (q[x - U2] + q[x + U2])) + ((q[x - U1] + q[x + U1]) + q[x])
    for x in range(begin, end):
        moment[x] = _THREE * (q[x + U3] - q[x - U3]) + _TWO * (q[x + U2] - q[x - U2]) + (q[x + U1] - q[x - U1])


@kernel
def across_7_second(mask, second, width):
    """Σi²·m over seven pixels of a row of zeros and ones."""
    for x in range(np.uint64(PAD - 7), np.uint64(PAD + width + 7)):
        second[x] = _NINE * (mask[x - U3] + mask[x + U3]) + _FOUR * (mask[x - U2] + mask[x + U2]) + (
            mask[x - U1] + mask[x + U1]
        )


@kernel
def across_21(total_7, moment_7, total, moment, width):
    """Σq and Σi·q over 21 pixels of a row from those over seven."""
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    for x in range(begin, end):
        total[x] = (total_7[x - _U7] + total_7[x + _U7]) + total_7[x]
    for x in range(begin, end):
        spread = _SEVEN * (total_7[x + _U7] - total_7[x - _U7])
        moment[x] = (moment_7[x - _U7] + moment_7[x + _U7]) + moment_7[x] + spread


@kernel
def across_21_second(total_7, moment_7, second_7, second, width):
    """Σi²·m over 21 pixels of a row from the moments over seven."""
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        inner = (second_7[x - _U7] + second_7[x + _U7]) + second_7[x]
        spread = _FOURTEEN * (moment_7[x + _U7] - moment_7[x - _U7])
        second[x] = inner + spread + _FORTY_NINE * (total_7[x + _U7] + total_7[x - _U7])


@kernel
def down_7(ring, y, total, width):
    """Sum of seven rows around ``y``."""
    a, b, c, d = ring[(y - 3) & RING], ring[(y - 2) & RING], ring[(y - 1) & RING], ring[y & RING]
    e, f, g = ring[(y + 1) & RING], ring[(y + 2) & RING], ring[(y + 3) & RING]
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        total[x] = ((a[x] + g[x]) + (b[x] + f[x])) + ((c[x] + e[x]) + d[x])


@kernel
def down_7_first(ring, y, moment, width):
    """Σj·row over seven rows around ``y``."""
    a, b, c = ring[(y - 3) & RING], ring[(y - 2) & RING], ring[(y - 1) & RING]
    e, f, g = ring[(y + 1) & RING], ring[(y + 2) & RING], ring[(y + 3) & RING]
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        moment[x] = _THREE * (g[x] - a[x]) + _TWO * (f[x] - b[x]) + (e[x] - c[x])


@kernel
def down_7_second(ring, y, second, width):
    """Σj²·row over seven rows around ``y``."""
    a, b, c = ring[(y - 3) & RING], ring[(y - 2) & RING], ring[(y - 1) & RING]
    e, f, g = ring[(y + 1) & RING], ring[(y + 2) & RING], ring[(y + 3) & RING]
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        second[x] = _NINE * (g[x] + a[x]) + _FOUR * (f[x] + b[x]) + (e[x] + c[x])


@kernel
def down_21(ring, y, total, width):
    """Sum of 21 rows around ``y`` from a ring of sums over seven."""
    a, b, c = ring[(y - 7) & RING], ring[y & RING], ring[(y + 7) & RING]
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        total[x] = (a[x] + c[x]) + b[x]


@kernel
def down_21_first(ring, first_ring, y, moment, width):
    """Σj·row over 21 rows from rings of sums and first moments over seven."""
    p, n = ring[(y - 7) & RING], ring[(y + 7) & RING]
    a, b, c = first_ring[(y - 7) & RING], first_ring[y & RING], first_ring[(y + 7) & RING]
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        moment[x] = (a[x] + c[x]) + b[x] + _SEVEN * (n[x] - p[x])


@kernel
def down_21_second(ring, first_ring, second_ring, y, second, width):
    """Σj²·row over 21 rows from rings of moments over seven."""
    p, n = ring[(y - 7) & RING], ring[(y + 7) & RING]
    u, v = first_ring[(y - 7) & RING], first_ring[(y + 7) & RING]
    a, b, c = second_ring[(y - 7) & RING], second_ring[y & RING], second_ring[(y + 7) & RING]
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        second[x] = (a[x] + c[x]) + b[x] + _FOURTEEN * (v[x] - u[x]) + _FORTY_NINE * (n[x] + p[x])
