# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes of plants, rocks and boxes, drawn from a random generator. Metres, z up, foot at the origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """Triangles with texture coordinates.

    Attributes:
        vertices: N×3 float32 metres.
        faces: M×3 int32 indices.
        texcoords: N×2 float32.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    texcoords: Floats

    @staticmethod
    def merged(parts: list[Mesh]) -> Mesh:
        """One mesh holding all ``parts``."""
        offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
        return Mesh(
            np.concatenate([part.vertices for part in parts]),
            np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)]).astype(np.int32),
            np.concatenate([part.texcoords for part in parts]),
        )


def _mesh(vertices: NDArray, faces: NDArray, texcoords: NDArray) -> Mesh:
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), texcoords.astype(np.float32))


def _polygons(corners: NDArray, texcoords: NDArray) -> Mesh:
    """Fans of separate polygons: corners K×n×3, texcoords K×n×2."""
    count, n = corners.shape[:2]
    fan = np.array([[0, i, i + 1] for i in range(1, n - 1)])
    faces = (np.arange(count)[:, None, None] * n + fan[None]).reshape(-1, 3)
    return _mesh(corners.reshape(-1, 3), faces, texcoords.reshape(-1, 2))


def tube(points: NDArray, radii: NDArray, sides: int, texture_length: float = 1.0) -> Mesh:
    """A tube of varying radius along a polyline; the texture runs around (u) and along (v) it.

    Args:
        points: K×3 centre line.
        radii: (K,) or K×(sides+1) radii in metres.
    """
    points = np.asarray(points, float)
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    reference = np.array([1.0, 0.0, 0.0]) if abs(tangent[0, 0]) < 0.8 else np.array([0.0, 1.0, 0.0])
    first = np.cross(tangent, reference)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = first[:, None] * np.cos(angle)[None, :, None] + second[:, None] * np.sin(angle)[None, :, None]
    radius = radii[:, None] if radii.ndim == 1 else radii
    vertices = points[:, None] + ring * radius[..., None]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]) / texture_length
    u, v = np.broadcast_arrays(np.linspace(0, 1, sides + 1)[None], length[:, None])
    row, column = np.meshgrid(np.arange(len(points) - 1), np.arange(sides), indexing="ij")
    a = (row * (sides + 1) + column).ravel()
    b = a + sides + 1
    faces = np.stack([np.stack([a, a + 1, b], 1), np.stack([a + 1, b + 1, b], 1)], 1).reshape(-1, 3)
    return _mesh(vertices.reshape(-1, 3), faces, np.stack([u, v], -1).reshape(-1, 2))


def trunk(rng: np.random.Generator, height: float, radius: float, sides: int = 9, branches: int = 0) -> Mesh:
    """A tapered, slightly bent trunk with a flared foot and, for bare trees, some branches."""
    t = np.linspace(0, 1, 7)
    bend = rng.normal(0, 0.02 * height, 2)
    points = np.stack([bend[0] * t**2, bend[1] * t**2, t * height - 0.3], 1)
    radii = radius * (1 - 0.85 * t) + radius * 0.5 * np.exp(-t * height / 0.35)
    parts = [tube(points, radii, sides)]
    for _ in range(branches):
        start = rng.uniform(0.3, 0.9)
        azimuth, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.0)
        length = (1.1 - start) * height * rng.uniform(0.2, 0.4)
        direction = np.array([np.cos(azimuth), np.sin(azimuth), rise])
        s = np.linspace(0, 1, 4)[:, None]
        base = np.array([bend[0] * start**2, bend[1] * start**2, start * height - 0.3])
        line = base + direction * s * length + np.array([0, 0, 0.25 * length]) * s**2
        parts.append(tube(line, radius * 0.35 * (1 - start) * (1 - 0.8 * s[:, 0]) + 0.008, 5))
    return Mesh.merged(parts)


def _leaf_texcoords(rng: np.random.Generator, depth: NDArray, corners: NDArray, patch: float = 0.12) -> NDArray:
    """Each leaf takes a random patch of the leaf texture.

    The patch's row follows ``depth``, the leaf's place in the crown from 0 (inside) to 1 (outside).
    """
    count = len(depth)
    u = rng.random((count, 1)) + corners[None, :, 0] * patch
    v = 0.06 + 0.76 * np.clip(depth, 0, 1)[:, None] + corners[None, :, 1] * patch
    return np.stack([u, v], -1)


_LEAF_KITE = np.array([[0.0, -0.5], [0.4, 0.05], [0.0, 0.55], [-0.4, 0.05]])
_LEAF_OUTLINE = np.array([[0.0, -0.5], [0.42, -0.12], [0.3, 0.28], [0.0, 0.55], [-0.3, 0.28], [-0.42, -0.12]])


def foliage(
    rng: np.random.Generator,
    centre: NDArray,
    radii: NDArray,
    count: int,
    leaf: float,
    clumps: int = 14,
    flat: float = 0.5,
    coarse: bool = False,
) -> Mesh:
    """A leafy crown: leaf sprays on the surfaces of clumps that fill an ellipsoid.

    Args:
        centre, radii: (3,) of the ellipsoid in metres.
        count: number of leaf sprays.
        leaf: length of a spray in metres.
        flat: 0 = sprays in any direction, 1 = level sprays.
        coarse: draw each spray with fewer triangles, for plants far away.
    """
    direction = rng.normal(size=(clumps, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    clump_centre = direction * rng.uniform(0.3, 0.85, (clumps, 1)) ** 0.7
    clump_radius = rng.uniform(0.28, 0.5, clumps)
    chosen = rng.integers(0, clumps, count)
    outward = rng.normal(size=(count, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    unit = clump_centre[chosen] + outward * (clump_radius[chosen] * rng.uniform(0.5, 1.0, count) ** 0.5)[:, None]
    depth = np.clip((np.linalg.norm(unit, axis=1) - 0.35) / 0.75, 0, 1) * (0.7 + 0.3 * np.clip(unit[:, 2] + 0.5, 0, 1))
    normal = outward + rng.normal(0, 0.6, (count, 3)) + np.array([0, 0, flat])
    position = centre + unit * radii
    return sprays(rng, position, normal, leaf, depth, coarse)


def sprays(
    rng: np.random.Generator, position: NDArray, normal: NDArray, size: float, depth: NDArray, coarse: bool
) -> Mesh:
    """Leaf-shaped polygons at ``position`` (N×3) facing ``normal``."""
    count = len(position)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    side = np.cross(normal, rng.normal(size=(count, 3)))
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    along = np.cross(normal, side)
    scale = size * rng.uniform(0.6, 1.3, (count, 1, 1))
    outline = _LEAF_KITE if coarse else _LEAF_OUTLINE
    corners = position[:, None] + scale * (side[:, None] * outline[None, :, :1] + along[:, None] * outline[None, :, 1:])
    return _polygons(corners, _leaf_texcoords(rng, depth, outline))


def conifer(rng: np.random.Generator, height: float, radius: float, bare: float, whorls: int, per_whorl: int) -> Mesh:
    """Drooping branches in whorls that shorten towards the top; ``bare`` metres of trunk stay free."""
    level = np.repeat(np.linspace(0, 1, whorls), per_whorl)
    count = len(level)
    level = np.clip(level + rng.normal(0, 0.4 / whorls, count), 0, 1)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    length = radius * ((1 - level) ** 0.8 + 0.06) * rng.uniform(0.65, 1.15, count)
    outward = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(count)], 1)
    side = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros(count)], 1)
    base = np.stack([np.zeros(count), np.zeros(count), bare + level * (height - bare)], 1)
    droop = rng.uniform(0.15, 0.5, count) * length
    # A branch is a row of jagged twigs: along it (s), sideways (w), hanging (h).
    s = np.array([0.0, 0.3, 0.45, 0.7, 1.0, 0.75, 0.5, 0.35])
    w = np.array([0.0, 0.22, 0.12, 0.2, 0.0, -0.2, -0.12, -0.24])
    hang = s**1.6 + 0.35 * np.abs(w)
    corners = (
        base[:, None]
        + outward[:, None] * (s[None, :, None] * length[:, None, None])
        + side[:, None] * (w[None, :, None] * length[:, None, None] * rng.uniform(0.7, 1.4, (count, 1, 1)))
    )
    corners[..., 2] -= hang[None] * droop[:, None]
    u = rng.random((count, 1)) + w[None] * 0.5
    v = 0.1 + 0.75 * np.broadcast_to(s[None], (count, len(s))) + rng.uniform(-0.05, 0.1, (count, 1))
    return _polygons(corners, np.stack([u, v], -1))


def fern(rng: np.random.Generator, radius: float, fronds: int) -> Mesh:
    """Arching fronds from one root."""
    azimuth = rng.uniform(0, 2 * np.pi, fronds)
    outward = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(fronds)], 1)
    side = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros(fronds)], 1)
    length = radius * rng.uniform(0.7, 1.2, fronds)
    lift = rng.uniform(0.5, 1.1, fronds) * length
    s = np.array([0.0, 0.3, 0.35, 0.6, 0.65, 1.0, 0.65, 0.6, 0.35, 0.3])
    w = np.array([0.0, 0.16, 0.08, 0.15, 0.07, 0.0, -0.07, -0.15, -0.08, -0.16])
    up = 1.6 * s - 1.2 * s**2
    corners = (
        outward[:, None] * (s[None] * length[:, None])[..., None]
        + side[:, None] * (w[None] * length[:, None])[..., None]
    )
    corners[..., 2] += up[None] * lift[:, None]
    texcoords = np.stack([rng.random((fronds, 1)) + w[None] * 0.4, np.broadcast_to(0.3 + 0.55 * s, (fronds, 10))], -1)
    return _polygons(corners, texcoords)


def grass_blades(rng: np.random.Generator, foot: NDArray, height: NDArray) -> Mesh:
    """One bent blade (two triangles) at each foot point (N×3) of the given height (N,)."""
    count = len(foot)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    across = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(count)], 1)
    lean = (
        np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros(count)], 1)
        * (height * rng.uniform(0.1, 0.7, count))[:, None]
    )
    up = np.array([0, 0, 1.0]) * height[:, None]
    half = (0.010 + 0.02 * height)[:, None] * across
    middle = foot + 0.6 * up + 0.35 * lean
    corners = np.stack([foot - half, foot + half, middle + 0.7 * half, foot + up + lean, middle - 0.7 * half], 1)
    u = rng.random((count, 1)) + np.array([0, 0.02, 0.02, 0.01, 0.0])[None]
    v = np.broadcast_to(np.array([0.1, 0.1, 0.6, 0.95, 0.6]), (count, 5)) * rng.uniform(0.8, 1.0, (count, 1))
    return _polygons(corners, np.stack([u, v], -1))


def boulder(rng: np.random.Generator, radius: float, detail: int = 18) -> Mesh:
    """A sphere cut by random planes and roughened, sunk a little into the ground."""
    theta = np.linspace(0, np.pi, detail)
    phi = np.linspace(0, 2 * np.pi, 2 * detail + 1)
    direction = np.stack(
        [
            np.sin(theta)[:, None] * np.cos(phi)[None],
            np.sin(theta)[:, None] * np.sin(phi)[None],
            np.broadcast_to(np.cos(theta)[:, None], (detail, len(phi))),
        ],
        -1,
    )
    shape = np.ones(direction.shape[:2])
    for _ in range(14):
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        reach = direction @ normal
        shape = np.minimum(shape, np.where(reach > 0.2, rng.uniform(0.6, 0.95) / np.maximum(reach, 0.2), 2.0))
    for _ in range(5):
        wave = rng.normal(0, 5, 3)
        shape = shape + 0.025 * np.sin(direction @ wave + rng.uniform(0, 6))
    squash = np.array([rng.uniform(0.8, 1.3), rng.uniform(0.8, 1.2), rng.uniform(0.6, 0.95)])
    vertices = direction * shape[..., None] * squash * radius
    vertices[..., 2] += 0.35 * radius
    row, column = np.meshgrid(np.arange(detail - 1), np.arange(2 * detail), indexing="ij")
    a = (row * len(phi) + column).ravel()
    b = a + len(phi)
    faces = np.stack([np.stack([a, b, a + 1], 1), np.stack([a + 1, b, b + 1], 1)], 1).reshape(-1, 3)
    u, v = np.meshgrid(phi / (2 * np.pi) * 2, theta / np.pi)
    return _mesh(vertices.reshape(-1, 3), faces, np.stack([u, v], -1).reshape(-1, 2))


def log(rng: np.random.Generator, length: float, radius: float) -> Mesh:
    """A fallen trunk along x with closed, pale ends."""
    t = np.linspace(-0.5, 0.5, 9)
    points = np.stack([t * length, 0.04 * length * np.sin(3 * t + rng.uniform(0, 6)), np.full(9, radius * 0.8)], 1)
    radii = radius * (1 - 0.25 * t)[:, None] * (1 + 0.06 * rng.normal(size=(9, 13)))
    radii[:, -1] = radii[:, 0]
    closed_points = np.concatenate([points[:1], points, points[-1:]])
    closed_points[0, 0] -= 1e-3
    closed_points[-1, 0] += 1e-3
    closed = np.concatenate([np.zeros((1, 13)), radii, np.zeros((1, 13))])
    return tube(closed_points, closed, 12)


def box(size: tuple[float, float, float]) -> Mesh:
    """A box standing on the ground, each face with the whole texture."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)]) * size
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [1, 5, 7, 3], [0, 2, 6, 4]])
    texcoords = np.broadcast_to(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), (6, 4, 2))
    return _polygons(corners[quads], texcoords)
