# SPDX-License-Identifier: Apache-2.0
"""The two fills as pipelines of row filters.

Rows flow through all steps a strip at a time, so that what one step writes is still in the cache when the next
reads it; rings of sixteen rows are all that lies between them. Each function makes the rows y0..y1 of its result by
itself, including the border rows of earlier steps that it needs: two threads share nothing but what they read.

Where a step needs to know the first valid pixel of a column, which only the whole image tells, the pipeline is cut
in two functions with a buffer for the whole image between them.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba import morphology as m
from ssma_ros.kernels.numba.blur import bilateral, gaussian
from ssma_ros.kernels.numba.jit import EMPTY_BELOW, RING, STRIP, WHOLE, kernel, reach
from ssma_ros.kernels.numba.median import median_5x5
from ssma_ros.kernels.shared.constants import SIGMA_DEPTH_FAST, SIGMA_DEPTH_MULTISCALE

#: Ring buffers that the longest pipeline needs.
RINGS = 8
_ALWAYS = np.float32(-1)
# What the blur wants of σ: 1/(32·σ²).
_FAST, _MULTISCALE = (np.float32(1 / (32 * sigma**2)) for sigma in (SIGMA_DEPTH_FAST, SIGMA_DEPTH_MULTISCALE))


@kernel
def fast(depth, max_depth, gauss, out, y0, y1, rings, line, zeros, scratch):
    """``fill_fast`` without extrapolation: H×W metres to rows y0..y1 of ``out``.

    Args:
        depth, out: H×W float32.
        max_depth: float32 metres.
        gauss: gaussian instead of bilateral blur.
        y0, y1: rows to make.
        rings: RINGS ring buffers of this thread.
        line, scratch: one work row, and the median's scratch, of this thread.
        zeros: one work row of int32 zeros.
    """
    h, w = depth.shape
    inverted, grown, dilated, closed, filled, smooth = rings[0], rings[1], rings[2], rings[3], rings[4], rings[5]
    n0, n1, n2, n3 = max(0, y0 - 13), max(0, y0 - 11), max(0, y0 - 9), max(0, y0 - 7)
    n4, n5, n6 = max(0, y0 - 4), max(0, y0 - 2), y0
    while n6 < y1:
        b0, n0 = n0, min(n0 + STRIP, min(h, y1 + 13))
        m.invert(depth, max_depth, inverted, RING, b0, n0, h, w)
        b1, n1 = n1, reach(n1, n0, 2, h, min(h, y1 + 11))
        m.dilate_diamond(inverted, RING, grown, RING, b1, n1, h, w)
        b2, n2 = n2, reach(n2, n1, 2, h, min(h, y1 + 9))
        m.dilate_5(grown, RING, dilated, RING, b2, n2, h, w, line)
        b3, n3 = n3, reach(n3, n2, 2, h, min(h, y1 + 7))
        m.erode_5(dilated, RING, closed, RING, b3, n3, h, w, line)
        b4, n4 = n4, reach(n4, n3, 3, h, min(h, y1 + 4))
        m.fill_empty_7(closed, RING, filled, RING, b4, n4, h, w, zeros, line)
        b5, n5 = n5, reach(n5, n4, 2, h, min(h, y1 + 2))
        median_5x5(filled, RING, smooth, RING, b5, n5, h, w, _ALWAYS, zeros, scratch)
        b6, n6 = n6, reach(n6, n5, 2, h, y1)
        if gauss:
            gaussian(smooth, RING, smooth, RING, out, b6, n6, h, w, line, max_depth, EMPTY_BELOW, zeros)
        else:
            bilateral(smooth, RING, smooth, RING, out, b6, n6, h, w, _FAST, max_depth, _ALWAYS, zeros)


@kernel
def fast_to_filled(depth, max_depth, filled, y0, y1, rings, line, zeros):
    """Steps 1 to 4 of ``fill_fast``: rows y0..y1 of ``filled`` (whole image, inverted)."""
    h, w = depth.shape
    inverted, grown, dilated, closed = rings[0], rings[1], rings[2], rings[3]
    n0, n1, n2, n3, n4 = max(0, y0 - 9), max(0, y0 - 7), max(0, y0 - 5), max(0, y0 - 3), y0
    while n4 < y1:
        b0, n0 = n0, min(n0 + STRIP, min(h, y1 + 9))
        m.invert(depth, max_depth, inverted, RING, b0, n0, h, w)
        b1, n1 = n1, reach(n1, n0, 2, h, min(h, y1 + 7))
        m.dilate_diamond(inverted, RING, grown, RING, b1, n1, h, w)
        b2, n2 = n2, reach(n2, n1, 2, h, min(h, y1 + 5))
        m.dilate_5(grown, RING, dilated, RING, b2, n2, h, w, line)
        b3, n3 = n3, reach(n3, n2, 2, h, min(h, y1 + 3))
        m.erode_5(dilated, RING, closed, RING, b3, n3, h, w, line)
        b4, n4 = n4, reach(n4, n3, 3, h, y1)
        m.fill_empty_7(closed, RING, filled, WHOLE, b4, n4, h, w, zeros, line)


@kernel
def fast_from_extended(filled, max_depth, gauss, out, y0, y1, rings, line, zeros, scratch):
    """The rest of ``fill_fast`` with extrapolation, after :func:`~.morphology.copy_top_upward`."""
    h, w = out.shape
    bridged, smooth = rings[0], rings[1]
    n0, n1, n2 = max(0, y0 - 4), max(0, y0 - 2), y0
    while n2 < y1:
        b0, n0 = n0, min(n0 + STRIP, min(h, y1 + 4))
        m.fill_empty_31(filled, WHOLE, bridged, RING, b0, n0, h, w, zeros, line)
        b1, n1 = n1, reach(n1, n0, 2, h, min(h, y1 + 2))
        median_5x5(bridged, RING, smooth, RING, b1, n1, h, w, _ALWAYS, zeros, scratch)
        b2, n2 = n2, reach(n2, n1, 2, h, y1)
        if gauss:
            gaussian(smooth, RING, smooth, RING, out, b2, n2, h, w, line, max_depth, EMPTY_BELOW, zeros)
        else:
            bilateral(smooth, RING, smooth, RING, out, b2, n2, h, w, _FAST, max_depth, _ALWAYS, zeros)


@kernel
def multiscale_to_closed(depth, max_depth, closed, y0, y1, rings, line, zeros, scratch):
    """Steps 1 to 3 of ``fill_multiscale``: rows y0..y1 of ``closed`` (whole image, inverted)."""
    h, w = depth.shape
    inverted, layers, grown, dilated, eroded = rings[0], rings[1:4], rings[4], rings[5], rings[6]
    n0, n1, n2, n3, n4 = max(0, y0 - 9), max(0, y0 - 6), max(0, y0 - 4), max(0, y0 - 2), y0
    while n4 < y1:
        b0, n0 = n0, min(n0 + STRIP, min(h, y1 + 9))
        m.invert_in_bins(depth, max_depth, inverted, layers, RING, b0, n0, h, w)
        b1, n1 = n1, reach(n1, n0, 3, h, min(h, y1 + 6))
        m.dilate_crosses(inverted, layers, RING, grown, RING, b1, n1, h, w)
        b2, n2 = n2, reach(n2, n1, 2, h, min(h, y1 + 4))
        m.dilate_5(grown, RING, dilated, RING, b2, n2, h, w, line)
        b3, n3 = n3, reach(n3, n2, 2, h, min(h, y1 + 2))
        m.erode_5(dilated, RING, eroded, RING, b3, n3, h, w, line)
        b4, n4 = n4, reach(n4, n3, 2, h, y1)
        median_5x5(eroded, RING, closed, WHOLE, b4, n4, h, w, EMPTY_BELOW, zeros, scratch)


@kernel
def multiscale_bridge(closed, filled, top, y0, y1, height, width, line):
    """Step 4: rows y0..y1 of ``filled``; ``top`` holds the first valid row of each column of ``closed``."""
    m.fill_empty_9(closed, WHOLE, filled, WHOLE, y0, y1, height, width, top, line)


@kernel
def multiscale_from_filled(filled, max_depth, gauss, out, top, y0, y1, rings, line, scratch):
    """Steps 6 to 8: six rounds of growing into holes below ``top``, median, blur, metres."""
    h, w = out.shape
    smooth = rings[6]
    n0, n1, n2, n3 = max(0, y0 - 14), max(0, y0 - 12), max(0, y0 - 10), max(0, y0 - 8)
    n4, n5, n6, n7 = max(0, y0 - 6), max(0, y0 - 4), max(0, y0 - 2), y0
    while n7 < y1:
        b0, n0 = n0, min(n0 + STRIP, min(h, y1 + 14))
        m.fill_empty_5(filled, WHOLE, rings[0], RING, b0, n0, h, w, top, line)
        b1, n1 = n1, reach(n1, n0, 2, h, min(h, y1 + 12))
        m.fill_empty_5(rings[0], RING, rings[1], RING, b1, n1, h, w, top, line)
        b2, n2 = n2, reach(n2, n1, 2, h, min(h, y1 + 10))
        m.fill_empty_5(rings[1], RING, rings[2], RING, b2, n2, h, w, top, line)
        b3, n3 = n3, reach(n3, n2, 2, h, min(h, y1 + 8))
        m.fill_empty_5(rings[2], RING, rings[3], RING, b3, n3, h, w, top, line)
        b4, n4 = n4, reach(n4, n3, 2, h, min(h, y1 + 6))
        m.fill_empty_5(rings[3], RING, rings[4], RING, b4, n4, h, w, top, line)
        b5, n5 = n5, reach(n5, n4, 2, h, min(h, y1 + 4))
        m.fill_empty_5(rings[4], RING, rings[5], RING, b5, n5, h, w, top, line)
        b6, n6 = n6, reach(n6, n5, 2, h, min(h, y1 + 2))
        median_5x5(rings[5], RING, smooth, RING, b6, n6, h, w, EMPTY_BELOW, top, scratch)
        b7, n7 = n7, reach(n7, n6, 2, h, y1)
        if gauss:
            gaussian(smooth, RING, rings[5], RING, out, b7, n7, h, w, line, max_depth, EMPTY_BELOW, top)
        else:
            bilateral(smooth, RING, rings[5], RING, out, b7, n7, h, w, _MULTISCALE, max_depth, EMPTY_BELOW, top)
