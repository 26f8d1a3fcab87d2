# SPDX-License-Identifier: Apache-2.0
"""Boulders, logs and people-size boxes of a scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic import materials, meshes
from ssma_ros.synthetic.builder import Item, Part, Placer, SceneBuilder
from ssma_ros.synthetic.materials import Material
from ssma_ros.synthetic.scene import X_RANGE


def add_obstacles(builder: SceneBuilder, place: Placer) -> None:
    """Stands the scene's boulders, logs and boxes on and beside the trail."""
    parameters, rng = builder.parameters, builder.rng
    rock = np.array([0.52, 0.50, 0.47]) * rng.uniform(0.65, 1.15) + rng.uniform(-0.02, 0.02, 3)
    for index in range(2):
        builder.texture(f"rock{index}", materials.rock_texture(rng, rock * rng.uniform(0.85, 1.15)))
    for index in range(parameters.boulders):
        radius = float(np.exp(rng.normal(np.log(0.42), 0.45)))
        builder.mesh(f"boulder{index}", meshes.boulder(rng, radius))
        _put(builder, place, Item((Part((f"boulder{index}",), f"rock{rng.integers(2)}", Material.ROCK),), radius))
    for index in range(parameters.logs):
        length, radius = rng.uniform(1.4, 4.5), rng.uniform(0.12, 0.32)
        builder.texture(
            f"log{index}",
            materials.bark_texture(rng, np.array([0.42, 0.34, 0.26]) * rng.uniform(0.7, 1.3), rng.random() < 0.15),
        )
        builder.mesh(f"log{index}", meshes.log(rng, length, radius))
        _put(builder, place, Item((Part((f"log{index}",), f"log{index}", Material.LOG),), 0.35 * length))
    for index in range(parameters.boxes):
        size = (rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.6), rng.uniform(1.4, 1.95))
        if rng.random() < 0.25:
            size = (rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1))
        first, second = _box_color(builder), _box_color(builder)
        builder.texture(f"box{index}", materials.paint_texture(rng, first, second))
        builder.mesh(f"box{index}", meshes.box(size))
        paint = Part((f"box{index}",), f"box{index}", Material.PAINT, float(rng.uniform(0.08, 0.5)))
        _put(builder, place, Item((paint,), 0.5))


def _box_color(builder: SceneBuilder) -> NDArray[np.float64]:
    """Clothing and plastic: any colour, but often one that the forest has too."""
    rng, parameters = builder.rng, builder.parameters
    if rng.random() < 0.4:
        pool = np.concatenate([parameters.leaf_colors[:2], parameters.grass_color[None], parameters.trail_color[None]])
        return pool[rng.integers(len(pool))] * rng.uniform(0.7, 1.2)
    return np.clip(rng.random() * 0.85 + 0.08 + rng.uniform(-0.4, 0.4, 3), 0.03, 0.95)


def _put(builder: SceneBuilder, place: Placer, item: Item) -> None:
    """Stands an obstacle on or beside the trail, where there is room."""
    rng = builder.rng
    for _ in range(12):
        on_trail = rng.random() < 0.22
        low, high = (-0.5 * builder.parameters.trail_width, 0.0) if on_trail else (0.1, 5.0)
        x, y = place.beside_trail(low, high, X_RANGE[0] + 14, X_RANGE[1] - 22)
        if place.free(x, y, item.radius):
            break
    else:
        return
    place.taken.append((x, y, item.radius))
    place.obstacles.append((x, y, item.radius))
    builder.place(item, (x, y, place.ground(x, y) - 0.06), rng.uniform(0, 2 * np.pi), tint=0.15)
