# SPDX-License-Identifier: Apache-2.0
"""The last step of both fills: an edge-keeping or a plain blur of inverted depth, and back to metres."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import EMPTY_BELOW, PAD, U1, U2, kernel, mirrored, piece
from ssma_ros.kernels.shared.constants import SIGMA_SPACE

# Spatial weights of the 13-pixel disc of the bilateral filter: exp(−r²/(2·σ²)) for r² = 1, 2, 4.
_R1, _R2, _R4 = (np.float32(np.exp(-square / (2 * SIGMA_SPACE**2))) for square in (1, 2, 4))
_NONE, _ONE = np.float32(0), np.float32(1)
_FARTHEST = np.float32(1.25)
# 1 + c1·u + … + c4·u⁴ ≈ exp(−u) on 0..1.25, fitted (minimax) so that its 16th power is within 2e-7 of exp(−16·u). One
# degree less is not enough: a weight of 6e-6 in the tail times a step of 60 m is 4e-4 m.
_C1, _C2 = np.float32(-0.99999787), np.float32(0.49989813)
_C3, _C4 = np.float32(-0.16536809), np.float32(0.0358897)


@piece
def likeness(difference, farthest, c1, c2, c3, c4):
    """exp(−16·scale·difference²) without a table or a call; the coefficients carry the scale."""
    u = difference * difference
    u = u if u < farthest else farthest
    p = (((c4 * u + c3) * u + c2) * u + c1) * u + _ONE
    p = p * p
    p = p * p
    p = p * p
    return p * p


@kernel
def bilateral(src, src_place, own, own_place, out, y0, y1, height, width, scale, max_depth, above, top):
    """Bilateral filter (d = 5, σ_space = 2) of ``src`` (rows padded by reflection) into ``out``, in metres.

    Args:
        src, src_place: median-filtered inverted depth.
        own, own_place: the image before the median: a pixel is blurred if it is > ``above`` there and not above row
            ``top[x]``.
        out: H×W float32 metres.
        y0, y1, height, width: rows to make, size of the image.
        scale: 1/(32·σ_depth²).
        max_depth: metres.
        above, top: see ``own``.
    """
    farthest, c1, c2 = _FARTHEST / scale, _C1 * scale, _C2 * scale * scale
    c3, c4 = _C3 * scale * scale * scale, _C4 * scale * scale * scale * scale
    for y in range(y0, y1):
        a, b = src[mirrored(y - 2, height) & src_place], src[mirrored(y - 1, height) & src_place]
        c = src[y & src_place]
        d, e = src[mirrored(y + 1, height) & src_place], src[mirrored(y + 2, height) & src_place]
        row = out[y]
        # Weighted means of differences to the centre: the sums stay small, and so does their rounding.
        for i in range(np.uint64(width)):
            x = i + np.uint64(PAD)
            v, n, s = c[x], _NONE, _ONE
            p, q = c[x - U1] - v, c[x + U1] - v
            k, m = likeness(p, farthest, c1, c2, c3, c4), likeness(q, farthest, c1, c2, c3, c4)
            n, s = n + _R1 * (k * p + m * q), s + _R1 * (k + m)
            p, q = b[x] - v, d[x] - v
            k, m = likeness(p, farthest, c1, c2, c3, c4), likeness(q, farthest, c1, c2, c3, c4)
            n, s = n + _R1 * (k * p + m * q), s + _R1 * (k + m)
            p, q = b[x - U1] - v, b[x + U1] - v
            k, m = likeness(p, farthest, c1, c2, c3, c4), likeness(q, farthest, c1, c2, c3, c4)
            n, s = n + _R2 * (k * p + m * q), s + _R2 * (k + m)
            p, q = d[x - U1] - v, d[x + U1] - v
            k, m = likeness(p, farthest, c1, c2, c3, c4), likeness(q, farthest, c1, c2, c3, c4)
            n, s = n + _R2 * (k * p + m * q), s + _R2 * (k + m)
            p, q = c[x - U2] - v, c[x + U2] - v
            k, m = likeness(p, farthest, c1, c2, c3, c4), likeness(q, farthest, c1, c2, c3, c4)
            n, s = n + _R4 * (k * p + m * q), s + _R4 * (k + m)
            p, q = a[x] - v, e[x] - v
            k, m = likeness(p, farthest, c1, c2, c3, c4), likeness(q, farthest, c1, c2, c3, c4)
            n, s = n + _R4 * (k * p + m * q), s + _R4 * (k + m)
            row[i] = v + n / s
        _finish(c, own[y & own_place], row, np.int32(y), width, max_depth, above, top)


@kernel
def gaussian(src, src_place, own, own_place, out, y0, y1, height, width, line, max_depth, above, top):
    """[1 4 6 4 1]/16 in both directions, written where ``src`` is valid; arguments as :func:`bilateral`.

    ``line``: one work row of scratch.
    """
    four, six, share = np.float32(4), np.float32(6), np.float32(1 / 256)
    for y in range(y0, y1):
        a, b = src[mirrored(y - 2, height) & src_place], src[mirrored(y - 1, height) & src_place]
        c = src[y & src_place]
        d, e = src[mirrored(y + 1, height) & src_place], src[mirrored(y + 2, height) & src_place]
        for x in range(np.uint64(PAD - 2), np.uint64(PAD + width + 2)):
            line[x] = (a[x] + e[x]) + four * (b[x] + d[x]) + six * c[x]
        row = out[y]
        for i in range(np.uint64(width)):
            x = i + np.uint64(PAD)
            row[i] = share * ((line[x - U2] + line[x + U2]) + four * (line[x - U1] + line[x + U1]) + six * line[x])
        _finish(c, c, row, np.int32(y), width, max_depth, above, top)


@kernel
def _finish(median, own, row, y, width, max_depth, above, top):
    """Undo the blur where it does not belong, and turn inverted depth into metres."""
    for i in range(np.uint64(width)):
        x = i + np.uint64(PAD)
        blurred, unblurred = row[i], median[x]
        v = blurred if (own[x] > above) & (top[x] <= y) else unblurred
        row[i] = max_depth - v if v > EMPTY_BELOW else v
