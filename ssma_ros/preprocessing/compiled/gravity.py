"""The direction of gravity from surface normals: parallel to those of floors, orthogonal to those of walls."""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.preprocessing.compiled.jit import PAD, kernel

#: Histogram of heights: 1 cm a bin, ±40.96 m around the camera; what lies beyond counts in the last bin.
HEIGHT_BINS, BINS_PER_METRE = 8192, 100
_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def scatter(normals, g, floor_above, wall_below, y0, y1, width, sums):
    """Σ_wall nnᵀ − Σ_floor nnᵀ over rows y0..y1 of normals (H×3×work row), and how many of each.

    Args:
        normals: unit normals, (0, 0, 0) where there is none: those add nothing to the matrix.
        g: float64, the present estimate.
        floor_above, wall_below: bounds on |g·n|, cos and sin of the threshold angle.
        sums: 8 float64, added to: xx, xy, xz, yy, yz, zz, floors, walls.
    """
    gx, gy, gz = np.float32(g[0]), np.float32(g[1]), np.float32(g[2])
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    for y in range(y0, y1):
        nx, ny, nz = normals[y, 0], normals[y, 1], normals[y, 2]
        xx, xy, xz, yy, yz, zz, floors, members = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
        for x in range(begin, end):
            a, b, c = nx[x], ny[x], nz[x]
            along = abs(gx * a + gy * b + gz * c)
            floor = _ONE if along > floor_above else _ZERO
            wall = _ONE if along < wall_below else _ZERO
            weight = wall - floor
            wa, wb, wc = weight * a, weight * b, weight * c
            xx += wa * a
            xy += wa * b
            xz += wa * c
            yy += wb * b
            yz += wb * c
            zz += wc * c
            floors += floor
            members += wall if a * a + b * b + c * c > np.float32(0.5) else _ZERO
        sums[0] += xx
        sums[1] += xy
        sums[2] += xz
        sums[3] += yy
        sums[4] += yz
        sums[5] += zz
        sums[6] += floors
        sums[7] += members


@kernel
def smallest_eigenvector(sums, g):
    """Replace ``g`` by the eigenvector of the smallest eigenvalue of the matrix in ``sums``, on the same side.

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
        return
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
    for i in range(3):
        g[i] = v[i, best] if side >= 0.0 else -v[i, best]


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
def count_heights(z, g, fx, fy, cx, cy, y0, y1, width, lines, histogram):
    """Count the readings of rows y0..y1 by their height −(g·P), in bins of 1 cm around the camera's own."""
    gx, gy, gz = np.float32(g[0] / fx), np.float32(g[1] / fy), np.float32(g[2])
    per_metre, middle, last = np.float32(BINS_PER_METRE), np.float32(HEIGHT_BINS // 2), np.float32(HEIGHT_BINS - 1)
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    for y in range(y0, y1):
        row, place = z[y], lines[0]
        offset = gy * (np.float32(y) - cy) + gz
        for x in range(begin, end):
            h = -(gx * (np.float32(np.int32(x) - np.int32(PAD)) - cx) + offset) * row[x] * per_metre + middle
            h = h if h > _ZERO else _ZERO
            place[x] = h if h < last else last
        for x in range(begin, end):
            if row[x] > _ZERO:
                histogram[np.uint64(place[x])] += 1


@kernel
def encode(z, normals, g, height_g, lowest, scale, unit, blank, fx, fy, cx, cy, out, y0, y1, width, lines, bytes_):
    """Rows y0..y1 of the H×W×3 image: angle, height, disparity.

    Args:
        z: metres, work rows.
        normals: H×3×work row.
        g, height_g: gravity for the angle and for the height.
        lowest: metres, the height that becomes 0.
        scale: grey levels per metre of height.
        unit: disparity·metres, 310.
        blank: make pixels without depth (0, 0, 0).
        out: H×W×3 uint8.
        lines, bytes_: work rows, float32 and uint8.
    """
    ax, ay, az = np.float32(g[0]), np.float32(g[1]), np.float32(g[2])
    hx, hy, hz = np.float32(height_g[0] / fx), np.float32(height_g[1] / fy), np.float32(height_g[2])
    half, top = np.float32(0.5), np.float32(255)
    begin, end = np.uint64(PAD), np.uint64(PAD + width)
    angles, heights, disparities = bytes_[0], bytes_[1], bytes_[2]
    for y in range(y0, y1):
        row, nx, ny, nz = z[y], normals[y, 0], normals[y, 1], normals[y, 2]
        _angles(nx, ny, nz, ax, ay, az, angles, width)
        offset = hy * (np.float32(y) - cy) + hz
        for x in range(begin, end):
            h = -(hx * (np.float32(np.int32(x) - np.int32(PAD)) - cx) + offset) * row[x]
            h = (h - lowest) * scale + half
            h = h if h > _ZERO else _ZERO
            heights[x] = np.uint8(np.int32(h if h < top else top))
        for x in range(begin, end):
            v = row[x]
            d = unit / (v if v > _ONE else _ONE) + half
            disparities[x] = np.uint8(np.int32(d if d < top else top))
        if blank:
            _blank(row, angles, width)
            _blank(row, heights, width)
            _blank(row, disparities, width)
        line = out[y]
        for i in range(np.uint64(width)):
            x = i + begin
            line[i, 0] = angles[x]
            line[i, 1] = heights[x]
            line[i, 2] = disparities[x]


@kernel
def _blank(z, values, width):
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        v = values[x]
        values[x] = v if z[x] > _ZERO else np.uint8(0)


@kernel
def _angles(nx, ny, nz, ax, ay, az, angles, width):
    """Angle to gravity in degrees + 38, rounded; 180 + 38 without a normal.

    acos(c) = √(1 − |c|)·p(|c|), Abramowitz and Stegun 4.4.46, error 2e-8.
    """
    for x in range(np.uint64(PAD), np.uint64(PAD + width)):
        a, b, c = nx[x], ny[x], nz[x]
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
        angles[x] = np.uint8(np.int32(angle + np.float32(38.5)))
