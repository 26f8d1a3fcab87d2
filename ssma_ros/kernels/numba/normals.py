# SPDX-License-Identifier: Apache-2.0
"""Surface normals of a depth image in 7×7 and 21×21 windows.

Least squares of q = 1/Z = a·x + b·y + c with x = X/Z, y = Y/Z: in pixel offsets from the window's centroid the
unknowns separate, q = q̄ + α·(i − ī) + β·(j − j̄), and a = fx·α, b = fy·β.

A normal is (0, 0, 0) where its window cannot carry a plane (no reading, one, or all on a line).

Normals lie in blocks of BLOCK_ROWS rows of one tile: first all first components, then the second, then the third. Sums
over all normals so run over long stretches of memory; what lies beyond the image in the last blocks is zero, no normal.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba import window_sums as ws
from ssma_ros.kernels.numba.jit import PAD, kernel, piece, strict_kernel
from ssma_ros.kernels.numba.window_sums import LINE, TILE
from ssma_ros.kernels.shared.constants import COARSE_RADIUS, DEGENERATE_BELOW, FINE_RADIUS

#: Rows of a block of normals, floats of one of its components, and of the whole block.
BLOCK_ROWS = 4
PLANE = BLOCK_ROWS * TILE
BLOCK = 3 * PLANE
_ZERO, _ONE = np.float32(0), np.float32(1)
_U_PAD, _T, _T2, _L = np.uint64(PAD), np.uint64(TILE), np.uint64(2 * TILE), np.uint64(LINE)
_P, _P2 = np.uint64(PLANE), np.uint64(2 * PLANE)
#: Rows between the last that a coarse window needs and the last of the fine windows that it is made of.
_BETWEEN = COARSE_RADIUS - FINE_RADIUS
_DEGENERATE = np.float32(DEGENERATE_BELOW)


def tiles_across(width: int) -> int:
    """Tiles in a row of ``width`` pixels."""
    return -(-width // TILE)


def block_shape(height: int, width: int) -> tuple[int, int, int]:
    """Tiles across, blocks down, floats of a block: how the normals of an image are kept."""
    return tiles_across(width), -(-height // BLOCK_ROWS), BLOCK


@piece
def block_place(tile, blocks_down, y):
    """Where the first component of a tile's row ``y`` begins; the others follow at PLANE and 2·PLANE."""
    return np.uint64((tile * blocks_down + y // BLOCK_ROWS) * BLOCK + y % BLOCK_ROWS * TILE)


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
        absent += width - _sum(use, PAD, PAD + width)
    return absent


@kernel
def _sum(use, begin, end):
    """How many ones there are; a float sum, which LLVM vectorises where it may reorder it."""
    count = _ZERO
    for x in range(np.uint64(begin), np.uint64(end)):
        count += use[x]
    return int(count)


@kernel
def fit(z, valid, fx, fy, cx, cy, tables, fine, coarse, with_coarse, mixed, y0, y1, width, row, across, beside, holes):
    """Rows y0..y1 of ``fine`` (7×7) and ``coarse`` (21×21) normals; without ``with_coarse`` only ``fine``.

    Args:
        z, valid: work rows, metres and ones, see :func:`prepare`.
        fx, fy, cx, cy: intrinsics, float32.
        tables: see :func:`column_tables`.
        fine, coarse: of :func:`block_shape`.
        mixed: whether there are missing pixels; else the moments of the mask are known without summing.
        width: of the image in pixels.
        row, across, beside: work arrays of this thread, see :mod:`~.window_sums`.
        holes: int32, H + 1 values, work array of this thread.
    """
    for tile in range(tables.shape[1]):
        start = tile * TILE
        count = min(TILE, width - start)
        if mixed:
            _count_holes(
                valid, max(0, start - COARSE_RADIUS), min(width, start + count + COARSE_RADIUS),
                y0 - 3 * COARSE_RADIUS, y1 + 3 * COARSE_RADIUS, width, holes,
            )
        _fit_tile(
            z, valid, fx, fy, cx, cy, tables, fine, coarse, with_coarse, mixed, y0, y1, tile, count,
            row, across, beside, holes,
        )


@kernel
def _count_holes(valid, left, right, top, bottom, width, holes):
    """``holes[y]``: missing pixels of these columns in the rows before ``y``, counted from ``top`` on."""
    height, total = valid.shape[0], 0
    # An image of a single row or column carries no plane anywhere, which only the moments of the mask tell.
    thin = 1 if min(height, width) == 1 else 0
    for y in range(max(0, top), min(height, bottom)):
        holes[y] = total
        total += thin + right - left - _sum(valid[y], PAD + left, PAD + right)
        holes[y + 1] = total


@piece
def _any(holes, y, radius, height):
    """Whether a row at most ``radius`` from ``y`` has missing pixels."""
    return holes[min(height, max(0, y + radius + 1))] > holes[min(height, max(0, y - radius))]


@kernel
def _fit_tile(
    z, valid, fx, fy, cx, cy, tables, fine, coarse, with_coarse, mixed, y0, y1, tile, count, row, across, beside, holes
):
    """One column of the image from top to bottom: each new row of the image ends a row of either kind of window."""
    height, stride, n = z.shape[0], z.shape[1], np.uint64(count)
    flat_z, flat_valid, flat_tables = z.reshape(-1), valid.reshape(-1), tables.reshape(-1)
    flat_fine, flat_coarse = fine.reshape(-1), coarse.reshape(-1)
    blocks, start = tables.shape[1], tile * TILE
    reach = COARSE_RADIUS if with_coarse else FINE_RADIUS
    for new in range(y0 - reach, y1 + reach):
        if 0 <= new < height:
            here = np.uint64(new * stride + PAD + start)
            ws.across(flat_z, flat_valid, here, row, across, new, n)
            if mixed and _any(holes, new, 2 * COARSE_RADIUS, height):
                ws.across_mask(flat_valid, here, across, new, n)
        else:
            ws.clear_across(across, new)
        y = new - FINE_RADIUS
        if y < y0 - _BETWEEN or (y < y0 and not with_coarse):
            continue
        masked = mixed and _any(holes, y, COARSE_RADIUS + _BETWEEN, height)
        ws.down(across, row, y, n)
        if masked:
            ws.down_mask(across, row, y, n)
        if y0 <= y < y1:
            block, here = block_place(tile, fine.shape[1], y), np.uint64(y * stride + PAD + start)
            if mixed and _any(holes, y, FINE_RADIUS, height):
                _fine_with_holes(row, flat_z, here, fx, fy, cx, cy, start, y, n, flat_fine, block)
            else:
                _fine_whole(row, flat_tables, tile, blocks, fx, fy, cx, cy, start, y, height, n, flat_fine, block)
        if not with_coarse:
            continue
        ws.beside(row, beside, y, n)
        if masked:
            ws.beside_mask(row, beside, y, n)
        y -= _BETWEEN
        if y >= y0:
            block, here = block_place(tile, coarse.shape[1], y), np.uint64(y * stride + PAD + start)
            if mixed and _any(holes, y, COARSE_RADIUS, height):
                _coarse_with_holes(beside, flat_z, here, fx, fy, cx, cy, start, y, n, flat_coarse, block)
            else:
                _coarse_whole(
                    beside, flat_tables, tile, blocks, fx, fy, cx, cy, start, y, height, n, flat_coarse, block
                )


@piece
def _plane_whole(s0, s1, s2, mean_i, weight_i, share_i, mean_j, weight_j, share_j, fx, fy, at_x, at_y):
    """Normal from Σq, Σi·q, Σj·q over a window without holes; ``at_x``, ``at_y``: its pixel from the centre of view."""
    alpha = (s1 - mean_i * s0) * weight_i * share_j
    beta = (s2 - mean_j * s0) * weight_j * share_i
    mean = s0 * share_i * share_j
    # 1/Z of the plane at the window's own pixel, and at the principal point.
    toward = mean - alpha * mean_i - beta * mean_j
    a, b, c = fx * alpha, fy * beta, mean - alpha * (at_x + mean_i) - beta * (at_y + mean_j)
    factor = (_ONE if toward >= _ZERO else -_ONE) / np.sqrt(a * a + b * b + c * c)
    return a * factor, b * factor, c * factor


@piece
def _plane(sq, siq, sjq, m, si, sii, sj, sij, sjj, z, fx, fy, at_x, at_y):
    """Normal from the moments of a window with holes, (0, 0, 0) where it carries no plane."""
    share = _ONE / (m if m > _ZERO else _ONE)
    xx, xy, yy = sii - si * si * share, sij - si * sj * share, sjj - sj * sj * share
    xq, yq = siq - si * sq * share, sjq - sj * sq * share
    product = xx * yy
    det = product - xy * xy
    scale = _ONE / det if det > _DEGENERATE * product else _ZERO
    alpha, beta = (yy * xq - xy * yq) * scale, (xx * yq - xy * xq) * scale
    toward = (sq - alpha * si - beta * sj) * share
    a, b, c = fx * alpha, fy * beta, toward - alpha * at_x - beta * at_y
    square = a * a + b * b + c * c
    # Away from the camera: n·P ≥ 0; without a depth at the pixel itself n₃ ≥ 0 has to do.
    facing = toward if z > _ZERO else c
    factor = (_ONE if facing >= _ZERO else -_ONE) / np.sqrt(square if square > _ZERO else _ONE)
    factor = factor if scale > _ZERO else _ZERO
    return a * factor, b * factor, c * factor


@piece
def _cut(radius, y, height):
    """Of a window cut at the image's top and bottom: j̄, 1/Σ(j − j̄)² and 1/rows."""
    low, high = -min(radius, y), min(radius, height - 1 - y)
    rows = np.float32(high - low + 1)
    # Σ(j − j̄)² over n consecutive whole numbers is n(n² − 1)/12.
    return np.float32(0.5) * np.float32(low + high), np.float32(12) / (rows * (rows * rows - _ONE)), _ONE / rows


@kernel
def _fine_whole(row, tables, tile, blocks, fx, fy, cx, cy, start, y, height, n, normals, block):
    """One row of a tile's normals from its moments over 7×7."""
    mean_j, weight_j, share_j = _cut(FINE_RADIUS, y, height)
    at_y, left = np.float32(y) - cy, np.float32(start) - cx
    table = np.uint64(3 * TILE * tile)
    for i in range(n):
        k = i + _U_PAD + _L
        a, b, c = _plane_whole(
            row[k], row[k + _L], row[k + _L + _L], tables[table + i], tables[table + _T + i], tables[table + _T2 + i],
            mean_j, weight_j, share_j, fx, fy, left + np.float32(np.int32(i)), at_y,
        )
        normals[block + i], normals[block + _P + i], normals[block + _P2 + i] = a, b, c


@kernel
def _fine_with_holes(row, z, here, fx, fy, cx, cy, start, y, n, normals, block):
    """One row of a tile's normals from its moments and those of the mask over 7×7."""
    at_y, left = np.float32(y) - cy, np.float32(start) - cx
    for i in range(n):
        k = i + _U_PAD + _L
        m = k + np.uint64(3 * LINE)
        a, b, c = _plane(
            row[k], row[k + _L], row[k + np.uint64(2 * LINE)], row[m], row[m + _L], row[m + np.uint64(2 * LINE)],
            row[m + np.uint64(3 * LINE)], row[m + np.uint64(4 * LINE)], row[m + np.uint64(5 * LINE)],
            z[here + i], fx, fy, left + np.float32(np.int32(i)), at_y,
        )
        normals[block + i], normals[block + _P + i], normals[block + _P2 + i] = a, b, c


@kernel
def _coarse_whole(ring, tables, tile, blocks, fx, fy, cx, cy, start, y, height, n, normals, block):
    """One row of a tile's normals from the rows of moments seven above, of its own and seven below."""
    mean_j, weight_j, share_j = _cut(COARSE_RADIUS, y, height)
    at_y, left = np.float32(y) - cy, np.float32(start) - cx
    table = np.uint64(3 * TILE * (blocks + tile))
    p, q, r = ws.beside_place(y - 7), ws.beside_place(y), ws.beside_place(y + 7)
    for i in range(n):
        s0, s1, s2 = ws.moments_21(ring, p, q, r, i + _U_PAD)
        a, b, c = _plane_whole(
            s0, s1, s2, tables[table + i], tables[table + _T + i], tables[table + _T2 + i],
            mean_j, weight_j, share_j, fx, fy, left + np.float32(np.int32(i)), at_y,
        )
        normals[block + i], normals[block + _P + i], normals[block + _P2 + i] = a, b, c


@kernel
def _coarse_with_holes(ring, z, here, fx, fy, cx, cy, start, y, n, normals, block):
    """As :func:`_coarse_whole` with the moments of the mask."""
    at_y, left = np.float32(y) - cy, np.float32(start) - cx
    p, q, r = ws.beside_place(y - 7), ws.beside_place(y), ws.beside_place(y + 7)
    for i in range(n):
        sq, siq, sjq = ws.moments_21(ring, p, q, r, i + _U_PAD)
        m, si, sii, sj, sij, sjj = ws.mask_moments_21(ring, p, q, r, i + _U_PAD)
        a, b, c = _plane(
            sq, siq, sjq, m, si, sii, sj, sij, sjj, z[here + i], fx, fy, left + np.float32(np.int32(i)), at_y
        )
        normals[block + i], normals[block + _P + i], normals[block + _P2 + i] = a, b, c


def column_tables(width: int) -> np.ndarray:
    """For fine and coarse windows cut at the image's sides: ī, 1/Σ(i − ī)² and 1/count of each column.

    2×tiles×3×TILE float32.
    """
    tiles = tiles_across(width)
    tables = np.zeros((2, 3, tiles * TILE), np.float32)
    u = np.arange(width)
    for table, radius in zip(tables, (FINE_RADIUS, COARSE_RADIUS), strict=True):
        low, high = -np.minimum(radius, u), np.minimum(radius, width - 1 - u)
        count = high - low + 1.0
        table[0, :width] = (low + high) / 2.0
        table[1, :width] = 12.0 / np.maximum(count * (count * count - 1.0), 1.0)
        table[2, :width] = 1.0 / count
    return np.ascontiguousarray(tables.reshape(2, 3, tiles, TILE).transpose(0, 2, 1, 3))
