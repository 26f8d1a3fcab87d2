# SPDX-License-Identifier: Apache-2.0
"""The direction of gravity from surface normals: parallel to those of floors, orthogonal to those of walls."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import PAD, U1, U2, U3, U4, kernel
from ssma_ros.kernels.numba.normals import BLOCK, PLANE, block_place
from ssma_ros.kernels.numba.window_sums import TILE
from ssma_ros.kernels.shared.constants import (
    ANGLE_OFFSET,
    BINS_PER_METRE,
    DISPARITY_FROM,
    DISPARITY_UNIT,
    HEIGHT_BINS,
)

#: What :func:`count_heights` counts in: four histograms, with room for pixels without a reading (and so that the same
#: bin of the four does not fall onto the same place of the cache).
HISTOGRAM = (4, HEIGHT_BINS + 16)
_ZERO, _ONE = np.float32(0), np.float32(1)
_T, _T2 = np.uint64(TILE), np.uint64(2 * TILE)
_P, _P2 = np.uint64(PLANE), np.uint64(2 * PLANE)


@kernel
def estimate(normals, stages, settled, g, counts):
    """Refine ``g`` in stages: floors and walls are told by it, then it is turned to agree with them best.

    Args:
        normals: unit normals in blocks, (0, 0, 0) where there is none: those add nothing.
        stages: float64 rows of cos and sin of the threshold angle, and iterations.
        settled: an iteration that changes no component of ``g`` by as much has found a fixed point.
        g: 3 float64, the start; becomes the estimate.
        counts: 2 int64, become the numbers of floor and wall normals at the last threshold.

    One thread: two would spend the time they save on waiting for each other twenty times.
    """
    sums = np.empty(6)
    above, below = _ZERO, _ZERO
    for stage in range(stages.shape[0]):
        above, below = np.float32(stages[stage, 0]), np.float32(stages[stage, 1])
        for _ in range(int(stages[stage, 2])):
            _scatter(normals, g, above, below, sums)
            if _turn(sums, g) < settled:
                break
    _support(normals, g, above, below, counts)


@kernel
def _scatter(normals, g, floor_above, wall_below, sums):
    """Σ_wall nnᵀ − Σ_floor nnᵀ as xx, xy, xz, yy, yz, zz; floors have |g·n| above, walls below the given bounds."""
    gx, gy, gz = np.float32(g[0]), np.float32(g[1]), np.float32(g[2])
    flat = normals.reshape(-1)
    sums[:] = 0.0
    for block in range(np.uint64(0), np.uint64(flat.size), np.uint64(BLOCK)):
        xx, xy, xz, yy, yz, zz = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(_P):
            a, b, c = flat[block + i], flat[block + _P + i], flat[block + _P2 + i]
            along = abs(gx * a + gy * b + gz * c)
            weight = (_ONE if along < wall_below else _ZERO) - (_ONE if along > floor_above else _ZERO)
            wa, wb, wc = weight * a, weight * b, weight * c
            xx += wa * a
            xy += wa * b
            xz += wa * c
            yy += wb * b
            yz += wb * c
            zz += wc * c
        sums[0] += xx
        sums[1] += xy
        sums[2] += xz
        sums[3] += yy
        sums[4] += yz
        sums[5] += zz


@kernel
def _support(normals, g, floor_above, wall_below, counts):
    """How many floor and wall normals there are."""
    gx, gy, gz = np.float32(g[0]), np.float32(g[1]), np.float32(g[2])
    flat = normals.reshape(-1)
    counts[:] = 0
    for block in range(np.uint64(0), np.uint64(flat.size), np.uint64(BLOCK)):
        floors, walls = _ZERO, _ZERO
        for i in range(_P):
            a, b, c = flat[block + i], flat[block + _P + i], flat[block + _P2 + i]
            along = abs(gx * a + gy * b + gz * c)
            floors += _ONE if along > floor_above else _ZERO
            walls += _ONE if (along < wall_below) & (a * a + b * b + c * c > np.float32(0.5)) else _ZERO
        counts[0] += np.int64(floors)
        counts[1] += np.int64(walls)


@kernel
def _turn(sums, g):
    """Replace ``g`` by the eigenvector of the smallest eigenvalue, on the same side; returns the largest change.

    Cyclic Jacobi rotations in float64: exact to rounding also where eigenvalues meet. A matrix of zeros (neither
    floors nor walls) says nothing and leaves ``g`` as it is.
    """
    m = np.empty((3, 3))
    v = np.eye(3)
    m[0, 0], m[0, 1], m[0, 2] = sums[0], sums[1], sums[2]
    m[1, 0], m[1, 1], m[1, 2] = sums[1], sums[3], sums[4]
    m[2, 0], m[2, 1], m[2, 2] = sums[2], sums[4], sums[5]
    size = 0.0
    for i in range(3):
        for j in range(3):
            size += abs(m[i, j])
    if size == 0.0:
        return 0.0
    for _ in range(12):
        if abs(m[0, 1]) + abs(m[0, 2]) + abs(m[1, 2]) <= 1e-15 * size:
            break
        _rotate(m, v, 0, 1)
        _rotate(m, v, 0, 2)
        _rotate(m, v, 1, 2)
    best = 0
    for i in range(1, 3):
        if m[i, i] < m[best, best]:
            best = i
    side = v[0, best] * g[0] + v[1, best] * g[1] + v[2, best] * g[2]
    moved = 0.0
    for i in range(3):
        component = v[i, best] if side >= 0.0 else -v[i, best]
        moved = max(moved, abs(component - g[i]))
        g[i] = component
    return moved


@kernel
def _rotate(m, v, p, q):
    """One Jacobi rotation that zeroes m[p, q]; ``v`` collects the eigenvectors in its columns."""
    if m[p, q] == 0.0:
        return
    theta = (m[q, q] - m[p, p]) / (2.0 * m[p, q])
    t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
    t = t if theta >= 0.0 else -t
    c = 1.0 / np.sqrt(t * t + 1.0)
    s = t * c
    for k in range(3):
        a, b = m[k, p], m[k, q]
        m[k, p], m[k, q] = c * a - s * b, s * a + c * b
    for k in range(3):
        a, b = m[p, k], m[q, k]
        m[p, k], m[q, k] = c * a - s * b, s * a + c * b
    for k in range(3):
        a, b = v[k, p], v[k, q]
        v[k, p], v[k, q] = c * a - s * b, s * a + c * b


@kernel
def lowest_height(z, g, fx, fy, cx, cy, y0, y1, width, lines):
    """The least −(g·P) in metres over rows y0..y1; pixels without depth are points at the camera (height 0)."""
    gx, gy, gz = np.float32(g[0] / fx), np.float32(g[1] / fy), np.float32(g[2])
    begin, end, low = np.uint64(PAD), np.uint64(PAD + width), lines[0]
    for x in range(begin, end):
        low[x] = np.float32(3e38)
    # The least of each column first: element by element, as LLVM vectorises it.
    for y in range(y0, y1):
        row, offset = z[y], gy * (np.float32(y) - cy) + gz
        for x in range(begin, end):
            h = -(gx * (np.float32(np.int32(x) - np.int32(PAD)) - cx) + offset) * row[x]
            v = low[x]
            low[x] = h if h < v else v
    lowest = low[PAD]
    for x in range(begin, end):
        lowest = min(lowest, low[x])
    return lowest


@kernel
def count_heights(z, g, fx, fy, cx, cy, y0, y1, width, bins, histogram):
    """Count the readings of rows y0..y1 by their height −(g·P), in bins of 1 cm around the camera's own.

    Args:
        z: metres, work rows.
        g, fx, fy, cx, cy: gravity and intrinsics.
        y0, y1, width: rows to count and pixels of a row.
        bins: one work row of int32 for scratch.
        histogram: :data:`HISTOGRAM` int32; the counts become its first HEIGHT_BINS of row 0, the rest is scratch.
    """
    gx, gy, gz = np.float32(g[0] / fx), np.float32(g[1] / fy), np.float32(g[2])
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    fours = begin + np.uint64(width // 4 * 4)
    # Neighbours mostly fall into one bin, and each would wait for the other's count: four columns have four histograms.
    histogram[:] = 0
    first, second, third, fourth = histogram[0], histogram[1], histogram[2], histogram[3]
    for y in range(y0, y1):
        _height_bins(z[y], bins, gx, cx, gy * (np.float32(y) - cy) + gz, begin, end)
        for x in range(begin, fours, U4):
            first[np.uint64(bins[x])] += 1
            second[np.uint64(bins[x + U1])] += 1
            third[np.uint64(bins[x + U2])] += 1
            fourth[np.uint64(bins[x + U3])] += 1
        for x in range(fours, end):
            first[np.uint64(bins[x])] += 1
    for i in range(np.uint64(HEIGHT_BINS)):
        first[i] += second[i] + third[i] + fourth[i]


@kernel
def _height_bins(row, bins, gx, cx, offset, begin, end):
    """The bin of each pixel of a row; one after the last where there is no reading."""
    per_metre, middle, last = np.float32(BINS_PER_METRE), np.float32(HEIGHT_BINS // 2), np.float32(HEIGHT_BINS - 1)
    for x in range(begin, end):
        v = row[x]
        h = -(gx * (np.float32(np.int32(x) - np.int32(PAD)) - cx) + offset) * v * per_metre + middle
        h = h if h > _ZERO else _ZERO
        h = h if h < last else last
        bins[x] = np.int32(h) if v > _ZERO else np.int32(HEIGHT_BINS)


@kernel
def encode(z, normals, g, height_g, lowest, scale, blank, fx, fy, cx, cy, out, y0, y1, width, bytes_):
    """Rows y0..y1 of the image: angle, height, disparity.

    Args:
        z: metres, work rows.
        normals: in blocks.
        g, height_g: gravity for the angle and for the height.
        lowest: metres, the height that becomes 0.
        scale: grey levels per metre of height.
        blank: make pixels without depth (0, 0, 0).
        out: H·W·3 uint8.
        bytes_: 3·TILE uint8 of scratch.
    """
    hx, hy, hz = np.float32(height_g[0] / fx), np.float32(height_g[1] / fy), np.float32(height_g[2])
    flat_z, flat_normals = z.reshape(-1), normals.reshape(-1)
    for start in range(0, width, TILE):
        n, tile = np.uint64(min(TILE, width - start)), start // TILE
        for y in range(y0, y1):
            here, offset = np.uint64(y * z.shape[1] + PAD + start), hy * (np.float32(y) - cy) + hz
            _angles(flat_normals, block_place(tile, normals.shape[1], y), g, bytes_, n)
            _heights(flat_z, here, np.float32(start) - cx, hx, offset, lowest, scale, bytes_, n)
            _disparities(flat_z, here, bytes_, n)
            if blank:
                _blank(flat_z, here, bytes_, n)
            place = np.uint64(3 * (y * width + start))
            for i in range(n):
                j = place + U3 * i
                out[j], out[j + U1], out[j + U2] = bytes_[i], bytes_[_T + i], bytes_[_T2 + i]


@kernel
def _heights(z, here, left, hx, offset, lowest, scale, bytes_, n):
    half, top = np.float32(0.5), np.float32(255)
    for i in range(n):
        h = -(hx * (left + np.float32(np.int32(i))) + offset) * z[here + i]
        h = (h - lowest) * scale + half
        h = h if h > _ZERO else _ZERO
        bytes_[_T + i] = np.uint8(np.int32(h if h < top else top))


@kernel
def _disparities(z, here, bytes_, n):
    half, top = np.float32(0.5), np.float32(255)
    unit, nearest = np.float32(DISPARITY_UNIT), np.float32(DISPARITY_FROM)
    for i in range(n):
        v = z[here + i]
        d = unit / (v if v > nearest else nearest) + half
        bytes_[_T2 + i] = np.uint8(np.int32(d if d < top else top))


@kernel
def _blank(z, here, bytes_, n):
    for i in range(n):
        keep = np.uint8(255) if z[here + i] > _ZERO else np.uint8(0)
        bytes_[i] &= keep
        bytes_[_T + i] &= keep
        bytes_[_T2 + i] &= keep


@kernel
def _angles(normals, block, g, bytes_, n):
    """Angle to gravity in degrees + 38, rounded; 180 + 38 without a normal.

    acos(c) = √(1 − |c|)·p(|c|), Abramowitz and Stegun 4.4.46, error 2e-8.
    """
    ax, ay, az = np.float32(g[0]), np.float32(g[1]), np.float32(g[2])
    for i in range(n):
        a, b, c = normals[block + i], normals[block + _P + i], normals[block + _P2 + i]
        cosine = ax * a + ay * b + az * c
        m = abs(cosine)
        m = m if m < _ONE else _ONE
        p = np.float32(-0.0012624911) * m + np.float32(0.0066700901)
        p = p * m + np.float32(-0.0170881256)
        p = p * m + np.float32(0.0308918810)
        p = p * m + np.float32(-0.0501743046)
        p = p * m + np.float32(0.0889789874)
        p = p * m + np.float32(-0.2145988016)
        p = p * m + np.float32(1.5707963050)
        angle = np.float32(57.29577951308232) * p * np.sqrt(_ONE - m)
        angle = angle if cosine >= _ZERO else np.float32(180) - angle
        angle = angle if a * a + b * b + c * c > np.float32(0.5) else np.float32(180)
        bytes_[i] = np.uint8(np.int32(angle + np.float32(ANGLE_OFFSET + 0.5)))
