"""Surface normals of a depth image in 7×7 and 21×21 windows.

Least squares of q = 1/Z = a·x + b·y + c with x = X/Z, y = Y/Z: in pixel offsets from the window's centroid the
unknowns separate, q = q̄ + α·(i − ī) + β·(j − j̄), and a = fx·α, b = fy·β.

A normal is (0, 0, 0) where its window cannot carry a plane (no reading, one, or all on a line).
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.preprocessing.compiled import window_sums as ws
from ssma_ros.preprocessing.compiled.jit import PAD, kernel, strict_kernel
from ssma_ros.preprocessing.compiled.window_sums import RING

#: Ring buffers of sums and single work rows the pipelines need.
RINGS, LINES = 19, 20
_ZERO, _ONE = np.float32(0), np.float32(1)
#: A fit is degenerate if the determinant of its moments is this small against the product of the diagonal.
_DEGENERATE = np.float32(1e-5)


@strict_kernel
def prepare(depth, missing, has_missing, z, valid, y0, y1):
    """Rows y0..y1 of ``z`` (readings, else 0) and ``valid`` (1 where the fit may use them); returns how many are not.

    ``z`` and ``valid`` are work rows whose padding is and stays zero.
    """
    width, limit, absent = depth.shape[1], np.float32(np.inf), 0
    for y in range(y0, y1):
        source, row, use = depth[y], z[y], valid[y]
        for x in range(width):
            v = source[x]
            row[x + PAD] = v if (v > _ZERO) & (v < limit) else _ZERO
        if has_missing:
            hole = missing[y]
            for x in range(width):
                use[x + PAD] = _ZERO if hole[x] | (row[x + PAD] == _ZERO) else _ONE
        else:
            for x in range(width):
                use[x + PAD] = _ZERO if row[x + PAD] == _ZERO else _ONE
        absent += width - _count(use, width)
    return absent


@kernel
def _count(use, width):
    """How many ones there are; a float sum, which LLVM vectorises where it may reorder it."""
    count = _ZERO
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        count += use[x]
    return int(count)


@kernel
def _invert_row(z, valid, q, width):
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        v = z[x]
        q[x] = valid[x] / (v if v > _ZERO else _ONE)


@kernel
def _clear(ring, y, count):
    """Zero row ``y`` of the first ``count`` rings: a row outside the image."""
    for k in range(count):
        row = ring[k, y & RING]
        for x in range(np.uint64(row.size)):
            row[x] = _ZERO


@kernel
def dense(z, valid, fx, fy, cx, cy, tables, fine, coarse, with_coarse, y0, y1, width, rings, lines):
    """Rows y0..y1 of ``fine`` (7×7) and ``coarse`` (21×21), each H×3×work row, of an image without holes.

    Without ``with_coarse`` only ``fine`` is made.
    ``tables``: [radius 3 or 10][ī, 1/Σ(i − ī)², 1/count], each a work row, see :func:`column_tables`.
    """
    height = z.shape[0]
    q = lines[0]
    for row in range(y0 - 10, y1 + 10):
        if 0 <= row < height:
            place = row & RING
            _invert_row(z[row], valid[row], q, width)
            ws.across_7(q, rings[0, place], rings[1, place], width)
            ws.across_21(rings[0, place], rings[1, place], rings[2, place], rings[3, place], width)
        else:
            _clear(rings, row, 4)
        y = row - 3
        if y0 <= y < y1:
            ws.down_7(rings[0], y, lines[1], width)
            ws.down_7(rings[1], y, lines[2], width)
            ws.down_7_first(rings[0], y, lines[3], width)
            _solve_dense(lines, tables[0], 3, fx, fy, cx, cy, fine[y], y, height, width)
        if not with_coarse:
            continue
        if y >= y0 - 7:
            ws.down_7(rings[2], y, rings[4, y & RING], width)
            ws.down_7(rings[3], y, rings[5, y & RING], width)
            ws.down_7_first(rings[2], y, rings[6, y & RING], width)
        y = row - 10
        if y >= y0:
            ws.down_21(rings[4], y, lines[1], width)
            ws.down_21(rings[5], y, lines[2], width)
            ws.down_21_first(rings[4], rings[6], y, lines[3], width)
            _solve_dense(lines, tables[1], 10, fx, fy, cx, cy, coarse[y], y, height, width)


@kernel
def _solve_dense(lines, table, radius, fx, fy, cx, cy, normal, y, height, width):
    """One row of normals from Σq, Σi·q, Σj·q (lines 1 to 3) over full windows, cut at the borders."""
    s0, s1, s2 = lines[1], lines[2], lines[3]
    mean_i, weight_i, share_i = table[0], table[1], table[2]
    low, high = -min(radius, y), min(radius, height - 1 - y)
    rows = np.float32(high - low + 1)
    mean_j = np.float32(0.5) * np.float32(low + high)
    # Σ(j − j̄)² over n consecutive whole numbers is n(n² − 1)/12.
    weight_j = np.float32(12) / (rows * (rows * rows - _ONE))
    share_j, at_y = _ONE / rows, np.float32(y) - cy + mean_j
    alpha, beta, c, scale = lines[4], lines[5], lines[6], lines[7]
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    for x in range(begin, end):
        alpha[x] = (s1[x] - mean_i[x] * s0[x]) * weight_i[x] * share_j
    for x in range(begin, end):
        beta[x] = (s2[x] - mean_j * s0[x]) * weight_j * share_i[x]
    for x in range(begin, end):
        at_x = np.float32(np.int32(x) - np.int32(PAD)) - cx + mean_i[x]
        c[x] = s0[x] * share_i[x] * share_j - alpha[x] * at_x - beta[x] * at_y
    for x in range(begin, end):
        a, b = fx * alpha[x], fy * beta[x]
        length = np.sqrt(a * a + b * b + c[x] * c[x])
        toward = s0[x] * share_i[x] * share_j - alpha[x] * mean_i[x] - beta[x] * mean_j
        scale[x] = (_ONE if toward >= _ZERO else -_ONE) / length
    _write(alpha, beta, c, scale, fx, fy, normal, width)


@kernel
def _write(alpha, beta, c, scale, fx, fy, normal, width):
    nx, ny, nz = normal[0], normal[1], normal[2]
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    for x in range(begin, end):
        nx[x] = fx * alpha[x] * scale[x]
    for x in range(begin, end):
        ny[x] = fy * beta[x] * scale[x]
    for x in range(begin, end):
        nz[x] = c[x] * scale[x]


@kernel
def with_holes(z, valid, fx, fy, cx, cy, fine, coarse, with_coarse, y0, y1, width, rings, lines):
    """As :func:`dense` for an image with missing pixels: the moments of the mask are summed as well."""
    height = z.shape[0]
    q = lines[0]
    for row in range(y0 - 10, y1 + 10):
        p = row & RING
        if 0 <= row < height:
            mask = valid[row]
            _invert_row(z[row], mask, q, width)
            ws.across_7(mask, rings[0, p], rings[1, p], width)
            ws.across_7_second(mask, rings[2, p], width)
            ws.across_7(q, rings[3, p], rings[4, p], width)
            ws.across_21(rings[0, p], rings[1, p], rings[5, p], rings[6, p], width)
            ws.across_21_second(rings[0, p], rings[1, p], rings[2, p], rings[7, p], width)
            ws.across_21(rings[3, p], rings[4, p], rings[8, p], rings[9, p], width)
        else:
            _clear(rings, row, 10)
        y = row - 3
        if y0 <= y < y1:
            for k in range(5):
                ws.down_7(rings[k], y, lines[1 + k], width)
            ws.down_7_first(rings[0], y, lines[6], width)
            ws.down_7_first(rings[1], y, lines[7], width)
            ws.down_7_second(rings[0], y, lines[8], width)
            ws.down_7_first(rings[3], y, lines[9], width)
            _solve(lines[1:10], z[y], fx, fy, cx, cy, fine[y], y, width, lines[10:])
        if not with_coarse:
            continue
        if y >= y0 - 7:
            p = y & RING
            for k in range(5):
                ws.down_7(rings[5 + k], y, rings[10 + k, p], width)
            ws.down_7_first(rings[5], y, rings[15, p], width)
            ws.down_7_first(rings[6], y, rings[16, p], width)
            ws.down_7_second(rings[5], y, rings[17, p], width)
            ws.down_7_first(rings[8], y, rings[18, p], width)
        y = row - 10
        if y >= y0:
            for k in range(5):
                ws.down_21(rings[10 + k], y, lines[1 + k], width)
            ws.down_21_first(rings[10], rings[15], y, lines[6], width)
            ws.down_21_first(rings[11], rings[16], y, lines[7], width)
            ws.down_21_second(rings[10], rings[15], rings[17], y, lines[8], width)
            ws.down_21_first(rings[13], rings[18], y, lines[9], width)
            _solve(lines[1:10], z[y], fx, fy, cx, cy, coarse[y], y, width, lines[10:])


@kernel
def _solve(sums, z, fx, fy, cx, cy, normal, y, width, lines):
    """One row of normals from Σ of m, im, iim, q, iq, jm, ijm, jjm, jq, in this order."""
    n, si, sii, sq, siq, sj, sij, sjj, sjq = (
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7], sums[8]
    )
    share, xx, xy, yy, xq, yq = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5]
    alpha, beta, c, scale = lines[6], lines[7], lines[8], lines[9]
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    for x in range(begin, end):
        share[x] = _ONE / (n[x] if n[x] > _ZERO else _ONE)
    for x in range(begin, end):
        xx[x] = sii[x] - si[x] * si[x] * share[x]
    for x in range(begin, end):
        xy[x] = sij[x] - si[x] * sj[x] * share[x]
    for x in range(begin, end):
        yy[x] = sjj[x] - sj[x] * sj[x] * share[x]
    for x in range(begin, end):
        xq[x] = siq[x] - si[x] * sq[x] * share[x]
    for x in range(begin, end):
        yq[x] = sjq[x] - sj[x] * sq[x] * share[x]
    for x in range(begin, end):
        product = xx[x] * yy[x]
        det = product - xy[x] * xy[x]
        scale[x] = _ONE / det if det > _DEGENERATE * product else _ZERO
    for x in range(begin, end):
        alpha[x] = (yy[x] * xq[x] - xy[x] * yq[x]) * scale[x]
    for x in range(begin, end):
        beta[x] = (xx[x] * yq[x] - xy[x] * xq[x]) * scale[x]
    at_y = np.float32(y) - cy
    for x in range(begin, end):
        at_x = np.float32(np.int32(x) - np.int32(PAD)) - cx
        toward = (sq[x] - alpha[x] * si[x] - beta[x] * sj[x]) * share[x]
        c[x] = toward - alpha[x] * at_x - beta[x] * at_y
    for x in range(begin, end):
        xq[x] = (sq[x] - alpha[x] * si[x] - beta[x] * sj[x]) * share[x]
    for x in range(begin, end):
        a, b = fx * alpha[x], fy * beta[x]
        square = a * a + b * b + c[x] * c[x]
        # Away from the camera: n·P ≥ 0; without a depth at the pixel itself n₃ ≥ 0 has to do.
        facing = xq[x] if z[x] > _ZERO else c[x]
        factor = (_ONE if facing >= _ZERO else -_ONE) / np.sqrt(square if square > _ZERO else _ONE)
        scale[x] = factor if scale[x] > _ZERO else _ZERO
    _write(alpha, beta, c, scale, fx, fy, normal, width)


def column_tables(width: int, length: int) -> np.ndarray:
    """For windows of radius 3 and 10 cut at the image's sides: ī, 1/Σ(i − ī)² and 1/count of each column."""
    tables = np.zeros((2, 3, length), np.float32)
    u = np.arange(width)
    for table, radius in zip(tables, (3, 10), strict=True):
        low, high = -np.minimum(radius, u), np.minimum(radius, width - 1 - u)
        count = high - low + 1.0
        table[0, PAD : PAD + width] = (low + high) / 2.0
        table[1, PAD : PAD + width] = 12.0 / np.maximum(count * (count * count - 1.0), 1.0)
        table[2, PAD : PAD + width] = 1.0 / count
    return tables
