# SPDX-License-Identifier: Apache-2.0
"""Compiled registration; what each function does stands in :mod:`ssma_ros.kernels.reference.registration`.

IEEE rules and the order of the reference: equal to it to the bit.
"""

# mypy: ignore-errors
# numba infers the types of kernels, which mypy cannot follow.

from __future__ import annotations

import numpy as np

from ssma_ros.kernels.numba.jit import U1, strict_kernel, strict_piece
from ssma_ros.kernels.shared import constants
from ssma_ros.kernels.shared.threads import Workspaces

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_IN_FRONT, _GROWTH = np.float32(constants.IN_FRONT), np.float32(constants.LARGEST_GROWTH)
_FAR_OUT = np.float32(1e6)

#: z-buffers, and the places to which the pixels of a depth image go, by image size.
buffers: Workspaces = Workspaces(lambda height, width, _: np.zeros((height, width), np.float32))
places: Workspaces = Workspaces(lambda height, width, _: np.zeros((5, height, width), np.float32))


@strict_kernel
def splat_view(depth, measured, numbers, buffer):
    """Fill the z-buffer, which is 0 everywhere."""
    height, width = buffer.shape
    flat, scale_x, scale_y = buffer.reshape(-1), numbers[16], numbers[17]
    wide, high = np.float32(width - 2), np.float32(height - 2)
    line = np.empty((3, depth.shape[1]), np.float32)
    places = np.empty(depth.shape[1], np.int32)
    for y in range(depth.shape[0]):
        _project(depth[y], numbers, y, False, line)
        u, v, away = line[0], line[1], line[2]
        known = measured[y]
        for x in range(np.uint64(u.size)):
            at_x, at_y = np.floor((u[x] + _HALF) * scale_x), np.floor((v[x] + _HALF) * scale_y)
            inside = (known[x] > _ZERO) & (at_x >= _ZERO) & (at_x < wide) & (at_y >= _ZERO) & (at_y < high)
            at_x, at_y = (at_x if inside else _ZERO), (at_y if inside else _ZERO)
            places[x] = (np.int32(at_y) + np.int32(1)) * np.int32(width) + np.int32(at_x) + np.int32(1)
            away[x] = away[x] if inside else _ZERO
        for x in range(np.uint64(u.size)):
            place = np.uint64(places[x])
            flat[place] = flat[place] if flat[place] > away[x] else away[x]


@strict_kernel
def sample_view(image, depth, measured, numbers, exact, hides, buffer, out, hole):
    """Look the driving camera's pixels up; the number of those that are seen."""
    rows, columns = image.shape
    last_x, last_y = np.float32(columns) - _HALF, np.float32(rows) - _HALF
    flat, seen = image.reshape(-1), np.int32(0)
    line = np.empty((4, depth.shape[1]), np.float32)
    steps = np.empty((3, depth.shape[1]), np.int32)
    corners = np.empty((4, depth.shape[1]), image.dtype)
    for y in range(depth.shape[0]):
        _project(depth[y], numbers, y, True, line)
        u, v, row, missing = line[0], line[1], out[y], hole[y]
        for x in range(np.uint64(u.size)):
            inside = (u[x] >= -_HALF) & (u[x] < last_x) & (v[x] >= -_HALF) & (v[x] < last_y)
            missing[x] = np.uint8(0) if inside else np.uint8(1)
            u[x], v[x] = (u[x] if inside else _ZERO), (v[x] if inside else _ZERO)
        if hides:
            _hide(line, depth[y], measured[y], numbers, buffer, steps[0], missing)
        if exact:
            _read_nearest(flat, rows, columns, u, v, steps, row, missing)
        else:
            _read_bilinear(flat, rows, columns, u, v, steps, corners, row, missing)
        for x in range(np.uint64(u.size)):
            seen += np.int32(missing[x] ^ np.uint8(1))
    return seen


@strict_piece
def _project(depth, n, y, assume, line):
    """A row's places in the other image and inverse distances there; far outside where there is none."""
    u, v, away = line[0], line[1], line[2]
    fy, assumes = np.float32(y), assume and not np.isnan(n[12])
    row_p, row_q, row_r, row_assumed = n[1] * fy + n[2], n[4] * fy + n[5], n[7] * fy + n[8], n[13] * fy + n[14]
    n0, n3, n6, n9, n10, n11, n12 = n[0], n[3], n[6], n[9], n[10], n[11], n[12]
    for x in range(np.uint64(depth.size)):
        fx, z = np.float32(np.int32(x)), depth[x]
        there = z > _ZERO
        stand_in = n12 * fx + row_assumed
        stand_in = stand_in if stand_in > _ZERO else _ZERO
        inverse = _ONE / (z if there else _ONE)
        inverse = inverse if there else stand_in
        r = (n6 * fx + row_r) + n11 * inverse
        usable = (there | assumes) & (r > _IN_FRONT)
        share = _ONE / (r if usable else _ONE)
        at_u, at_v = ((n0 * fx + row_p) + n9 * inverse) * share, ((n3 * fx + row_q) + n10 * inverse) * share
        usable = usable & (abs(at_u) < _FAR_OUT) & (abs(at_v) < _FAR_OUT)
        u[x], v[x] = (at_u if usable else -_FAR_OUT), (at_v if usable else -_FAR_OUT)
        away[x] = inverse * share


@strict_piece
def _hide(line, depth, measured, n, buffer, places, missing):
    """Mark what lies behind anything in the four pixels of the z-buffer around."""
    u, v, away, nearest = line[0], line[1], line[2], line[3]
    width, flat, scale_x, scale_y, least = np.int32(buffer.shape[1]), buffer.reshape(-1), n[16], n[17], n[15]
    for x in range(np.uint64(u.size)):
        # From the border on, so one more than the pixel's own number.
        i = np.int32(np.floor((u[x] + _HALF) * scale_x + _HALF))
        j = np.int32(np.floor((v[x] + _HALF) * scale_y + _HALF))
        places[x] = j * width + i
    step = np.uint64(width)
    for x in range(np.uint64(u.size)):
        at = np.uint64(places[x])
        a, b, c, d = flat[at], flat[at + U1], flat[at + step], flat[at + step + U1]
        a, c = (a if a > b else b), (c if c > d else d)
        nearest[x] = a if a > c else c
    for x in range(np.uint64(u.size)):  # a loop without look-ups, which LLVM vectorises
        nearer = nearest[x] - away[x]
        filled = (depth[x] > _ZERO) & (not measured[x] > _ZERO)
        hidden = (nearer > least) | (filled & (nearest[x] > _ZERO) & (-nearer > least))
        missing[x] = np.uint8(1) if hidden else missing[x]


@strict_piece
def _read_nearest(flat, rows, columns, u, v, steps, out, missing):
    """Values of the nearest pixels; what is no reading is missing."""
    for x in range(np.uint64(u.size)):
        i, j = np.int32(np.floor(u[x] + _HALF)), np.int32(np.floor(v[x] + _HALF))
        steps[0, x] = min(j, np.int32(rows - 1)) * np.int32(columns) + min(i, np.int32(columns - 1))
    for x in range(np.uint64(u.size)):
        value = flat[np.uint64(steps[0, x])]
        missing[x] |= np.uint8(not (value > 0 and value < np.inf))
        out[x] = 0 if missing[x] else value


@strict_piece
def _read_bilinear(flat, rows, columns, u, v, steps, corners, out, missing):
    """Values between four pixels; (u, v) become the shares."""
    place, right, lower = steps[0], steps[1], steps[2]
    last_x, last_y = np.int32(columns - 1), np.int32(rows - 1)
    edge_x, edge_y = np.float32(columns - 1), np.float32(rows - 1)
    for x in range(np.uint64(u.size)):
        at_u, at_v = min(max(u[x], _ZERO), edge_x), min(max(v[x], _ZERO), edge_y)
        i, j = np.int32(at_u), np.int32(at_v)
        right[x] = np.int32(1) if i < last_x else np.int32(0)
        lower[x] = np.int32(columns) if j < last_y else np.int32(0)
        place[x] = j * np.int32(columns) + i
        u[x], v[x] = at_u - np.float32(i), at_v - np.float32(j)
    a, b, c, d = corners[0], corners[1], corners[2], corners[3]
    for x in range(np.uint64(u.size)):
        at, step = np.uint64(place[x]), np.uint64(right[x])
        under = at + np.uint64(lower[x])
        a[x], b[x], c[x], d[x] = flat[at], flat[at + step], flat[under], flat[under + step]
    for x in range(np.uint64(u.size)):  # a loop without look-ups, which LLVM vectorises
        top = np.float32(a[x]) + (np.float32(b[x]) - np.float32(a[x])) * u[x]
        bottom = np.float32(c[x]) + (np.float32(d[x]) - np.float32(c[x])) * u[x]
        value = np.int32(np.rint(top + (bottom - top) * v[x]))
        out[x] = 0 if missing[x] else value


@strict_kernel
def splat_depth(depth, numbers, places, out):
    """Depth of another camera in the driving camera's pixels; ``out`` is 0 everywhere, ``places`` is work memory."""
    _find_places(depth, numbers, places)
    height, width = out.shape
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            u, v, away = places[0, y, x], places[1, y, x], places[2, y, x]
            if not away > _ZERO:
                continue
            reach_x, reach_y = _reach(places, y, x)
            left, right = max(np.ceil(u - reach_x), _ZERO), min(np.ceil(u + reach_x), np.float32(width))
            top, bottom = max(np.ceil(v - reach_y), _ZERO), min(np.ceil(v + reach_y), np.float32(height))
            for j in range(np.int64(top), np.int64(bottom)):
                for i in range(np.int64(left), np.int64(right)):
                    if away > out[j, i]:
                        out[j, i] = away
    for y in range(height):
        for x in range(width):
            if out[y, x] > _ZERO:
                out[y, x] = _ONE / out[y, x]


@strict_kernel
def _find_places(depth, numbers, places):
    """By pixel: where it goes (u, v), inverse distance there (0 = nowhere), and its size there."""
    n = numbers
    for y in range(depth.shape[0]):
        fy = np.float32(y)
        row_p, row_q, row_r = n[1] * fy + n[2], n[4] * fy + n[5], n[7] * fy + n[8]
        for x in range(depth.shape[1]):
            places[2, y, x] = _ZERO
            z = depth[y, x]
            if not (z > _ZERO and z < np.inf):
                continue
            fx, inverse = np.float32(x), _ONE / z
            r = n[6] * fx + row_r + n[11] * inverse
            if not r > _IN_FRONT:
                continue
            share = _ONE / r
            u = (n[0] * fx + row_p + n[9] * inverse) * share
            v = (n[3] * fx + row_q + n[10] * inverse) * share
            if not (abs(u) < _FAR_OUT and abs(v) < _FAR_OUT):
                continue
            away = inverse * share
            growth = min(away / inverse, _GROWTH)
            places[0, y, x], places[1, y, x], places[2, y, x] = u, v, away
            places[3, y, x], places[4, y, x] = growth * n[12], growth * n[13]


@strict_piece
def _reach(places, y, x):
    """Half of what a pixel covers."""
    u, v, size_x, size_y = places[0, y, x], places[1, y, x], places[3, y, x], places[4, y, x]
    reach_x, reach_y = _ZERO, _ZERO
    for step_x, step_y in ((1, 0), (0, 1)):
        across_x, across_y = _ZERO, _ZERO
        for side in (-1, 1):
            i, j = x + side * step_x, y + side * step_y
            if i < 0 or j < 0 or i >= places.shape[2] or j >= places.shape[1] or not places[2, j, i] > _ZERO:
                continue
            du, dv = abs(places[0, j, i] - u), abs(places[1, j, i] - v)
            if du <= size_x * _TWO and dv <= size_y * _TWO:
                across_x, across_y = max(across_x, du), max(across_y, dv)
        reach_x, reach_y = reach_x + across_x, reach_y + across_y
    return max(size_x, reach_x) * _HALF, max(size_y, reach_y) * _HALF
