# SPDX-License-Identifier: Apache-2.0
"""Builds a forest scene as a MuJoCo model: terrain, trees, bushes, grass, boulders, logs and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.builder import Placer, SceneBuilder
from ssma_ros.synthetic.materials import OPTICS, Material
from ssma_ros.synthetic.noise import FloatImage, gather, spectral_noise
from ssma_ros.synthetic.obstacles import add_obstacles
from ssma_ros.synthetic.plants import add_bushes, add_grass, add_trees
from ssma_ros.synthetic.scene import (
    GROUND_CELL,
    TERRAIN_CELL,
    X_RANGE,
    Y_RANGE,
    Ground,
    SceneParameters,
    grid_axes,
    signed_trail_distance,
    terrain_height,
)


@dataclass(frozen=True)
class World:
    """A compiled scene.

    Attributes:
        parameters: what the seed decided.
        model: MuJoCo model (static bodies only).
        ground: maps of the ground.
        geom_material: material of each geom, (ngeom,) uint8.
        geom_label: train id of each geom, (ngeom,) uint8; terrain carries grass, the trail is told by position.
        geom_level: level of detail of each geom, (ngeom,) int8: 0 shown near, 1 shown far, −1 always.
        geom_nir: near-infrared reflectance of each geom, (ngeom,) float32.
        obstacles: x, y, radius of every obstacle, N×3.
    """

    parameters: SceneParameters
    model: Any
    ground: Ground
    geom_material: NDArray[np.uint8]
    geom_label: NDArray[np.uint8]
    geom_level: NDArray[np.int8]
    geom_nir: FloatImage
    obstacles: NDArray[np.float64]

    def height(self, x: float, y: float) -> float:
        """Ground height in metres."""
        u, v = Ground.pixel(np.array([x]), np.array([y]))
        return float(gather(self.ground.height, u, v)[0])

    def slope(self, x: float, y: float, heading: float) -> float:
        """Angle of the ground along ``heading`` in radians, positive uphill, over the length of a robot."""
        dx, dy = 0.4 * np.cos(heading), 0.4 * np.sin(heading)
        return float(np.arctan2(self.height(x + dx, y + dy) - self.height(x - dx, y - dy), 0.8))


def build_world(parameters: SceneParameters) -> World:
    """Builds the scene that ``parameters`` describe; the same seed gives the same scene."""
    rng = np.random.default_rng([parameters.seed, 2])
    builder = SceneBuilder(parameters, rng)
    terrain = terrain_height(parameters, rng)
    trail = signed_trail_distance(parameters, rng)
    x_ground, y_ground = grid_axes(GROUND_CELL)
    size = (len(x_ground), len(y_ground))
    height = _resample(terrain, size)
    _add_terrain(builder, terrain)
    place = Placer(builder, height, trail)
    trees = add_trees(builder, place)
    add_obstacles(builder, place)
    add_bushes(builder, place)
    add_grass(builder, place)
    ground = Ground(
        height=height,
        normal=_normals(terrain, size),
        trail=trail,
        canopy=_canopy(trees, size),
        patches=spectral_noise(rng, (1024, 1024), 1.1, low=3, high=200)[: size[1], : size[0]],
    )
    model = builder.spec.compile()
    kinds = np.array(builder.kinds, np.uint8)
    labels = np.array([OPTICS[kind].label for kind in builder.kinds], np.uint8)
    levels = np.array(builder.levels, np.int8)
    obstacles = np.array(place.obstacles, float).reshape(-1, 3)
    return World(parameters, model, ground, kinds, labels, levels, np.array(builder.nirs, np.float32), obstacles)


def _resample(grid: FloatImage, size: tuple[int, int]) -> FloatImage:
    """Node-aligned bilinear resampling of a grid to ``size`` (columns, rows)."""
    u = np.linspace(0, grid.shape[1] - 1, size[0], dtype=np.float32)
    v = np.linspace(0, grid.shape[0] - 1, size[1], dtype=np.float32)
    maps = np.meshgrid(u, v)
    return np.asarray(cv2.remap(grid, maps[0], maps[1], cv2.INTER_LINEAR), np.float32)


def _normals(terrain: FloatImage, size: tuple[int, int]) -> FloatImage:
    smooth = cv2.GaussianBlur(terrain, (0, 0), 0.6)
    dy, dx = np.gradient(smooth, TERRAIN_CELL)
    normal = np.stack([-dx, -dy, np.ones_like(dx)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.stack([_resample(np.ascontiguousarray(normal[..., i], np.float32), size) for i in range(3)], -1)


def _canopy(trees: list[tuple[float, float, float]], size: tuple[int, int]) -> FloatImage:
    cover = np.zeros((size[1], size[0]), np.float32)
    for x, y, radius in trees:
        u, v = Ground.pixel(np.array(x), np.array(y))
        cv2.circle(cover, (int(u), int(v)), max(int(radius / GROUND_CELL), 1), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(cover, (0, 0), 1.2 / GROUND_CELL), np.float32)


def _add_terrain(builder: SceneBuilder, terrain: FloatImage) -> None:
    low, high = float(terrain.min()), float(terrain.max())
    rows, columns = terrain.shape
    builder.spec.add_hfield(
        name="terrain",
        nrow=rows,
        ncol=columns,
        size=[(X_RANGE[1] - X_RANGE[0]) / 2, (Y_RANGE[1] - Y_RANGE[0]) / 2, max(high - low, 1e-3), 0.5],
        userdata=((terrain - low) / max(high - low, 1e-3)).ravel(),
    )
    builder.spec.worldbody.add_geom(
        type=builder.mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname="terrain",
        pos=[sum(X_RANGE) / 2, sum(Y_RANGE) / 2, low], rgba=[0.5, 0.5, 0.5, 1], contype=0, conaffinity=0,
    )  # fmt: skip
    builder.kinds.append(Material.TERRAIN)
    builder.nirs.append(OPTICS[Material.TERRAIN].nir)
    builder.levels.append(-1)
