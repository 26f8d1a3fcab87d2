# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes and grass of a scene."""

from __future__ import annotations

import numpy as np

from ssma_ros.synthetic import materials, meshes
from ssma_ros.synthetic.builder import Item, Part, Placer, SceneBuilder
from ssma_ros.synthetic.materials import OPTICS, Material
from ssma_ros.synthetic.scene import X_RANGE, Y_RANGE


def add_trees(builder: SceneBuilder, place: Placer) -> list[tuple[float, float, float]]:
    """Plants the forest, thinner along the trail; returns x, y and crown radius of each tree."""
    parameters, rng = builder.parameters, builder.rng
    stock = [_species(builder, name, variant) for name in parameters.species for variant in range(3)]
    area = (X_RANGE[1] - X_RANGE[0]) * (Y_RANGE[1] - Y_RANGE[0])
    wanted = int(parameters.tree_density * area)
    x = rng.uniform(X_RANGE[0] + 1, X_RANGE[1] - 1, 4 * wanted)
    y = rng.uniform(Y_RANGE[0] + 1, Y_RANGE[1] - 1, 4 * wanted)
    edge = place.edge(x, y)
    margin = rng.choice([0.5, 1.0, 2.0, 4.0])
    crowns: list[tuple[float, float, float]] = []
    for px, py, distance in zip(x, y, edge, strict=True):
        if len(crowns) >= wanted:
            break
        if distance < margin or rng.random() < 0.5 * np.exp(-(distance - margin) / 4) or not place.free(px, py, 0.9):
            continue
        tree = stock[rng.integers(len(stock))]
        position = (float(px), float(py), place.ground(px, py) - 0.05)
        builder.place(tree, position, rng.uniform(0, 2 * np.pi), rng.normal(0, 0.03), tint=0.3)
        place.taken.append((float(px), float(py), 0.5))
        crowns.append((float(px), float(py), tree.radius))
    return crowns


_BARK_COLORS = {
    "oak": (0.36, 0.31, 0.26), "beech": (0.50, 0.49, 0.46), "birch": (0.82, 0.80, 0.76),
    "spruce": (0.36, 0.28, 0.22), "pine": (0.52, 0.34, 0.24), "bare": (0.47, 0.43, 0.38),
}  # fmt: skip


def _species(builder: SceneBuilder, name: str, variant: int) -> Item:
    """One tree of a species with its meshes, near and far."""
    parameters, rng = builder.parameters, builder.rng
    key = f"{name}{variant}"
    needle = name in ("spruce", "pine")
    height = rng.uniform(*{"spruce": (6, 17), "pine": (9, 18), "bare": (4, 11)}.get(name, (6, 15)))
    girth = 0.012 * height * rng.uniform(0.7, 1.5) + 0.03
    bark = np.array(_BARK_COLORS[name]) * rng.uniform(0.75, 1.15)
    builder.texture(f"{key}_bark", materials.bark_texture(rng, bark, name == "birch"))
    branches = {"bare": 14, "oak": 5, "beech": 5}.get(name, 0)
    color = parameters.leaf_colors[rng.integers(len(parameters.leaf_colors))]
    if needle:
        color = np.array([0.17, 0.27, 0.14]) * rng.uniform(0.8, 1.5) + rng.uniform(-0.02, 0.03, 3)
    form = int(rng.integers(2**31))
    reach = height * (0.97 if needle else 0.75)
    for level, (sides, limbs) in enumerate(((10, branches), (5, min(branches, 3)))):
        wood = meshes.trunk(np.random.default_rng([form, 0]), reach, girth, sides, limbs)
        builder.mesh(f"{key}_trunk{level}", wood)
    parts = [Part((f"{key}_trunk0", f"{key}_trunk1"), f"{key}_bark", Material.BARK)]
    if name == "bare":
        return Item(tuple(parts), 0.3)
    builder.texture(f"{key}_leaf", materials.leaf_texture(rng, color, rng.uniform(0.01, 0.07)))
    for level in (0, 1):
        crown, radius = _crown(np.random.default_rng([form, 1]), name, height, coarse=level == 1)
        builder.mesh(f"{key}_crown{level}", crown)
    kind = Material.NEEDLE if needle else Material.LEAF
    parts.append(Part((f"{key}_crown0", f"{key}_crown1"), f"{key}_leaf", kind))
    return Item(tuple(parts), radius)


def _crown(rng: np.random.Generator, name: str, height: float, coarse: bool) -> tuple[meshes.Mesh, float]:
    """Crown mesh and radius of a tree."""
    if name == "spruce":
        radius = 0.19 * height * rng.uniform(0.8, 1.2)
        whorls, each = (int(1.6 * height), 7) if coarse else (int(2.6 * height), 11)
        return meshes.conifer(rng, height, radius, rng.uniform(0.2, 2.5), whorls, each), radius
    if name == "pine":
        radius = 0.13 * height * rng.uniform(0.8, 1.2)
        return meshes.conifer(rng, height, radius, 0.5 * height, *((14, 7) if coarse else (24, 10))), radius
    slim = {"birch": 0.16, "beech": 0.24, "oak": 0.28}[name] * rng.uniform(0.85, 1.2)
    radius = slim * height
    base = height * rng.uniform(0.22, 0.42)
    centre = np.array([0, 0, 0.5 * (base + height)])
    radii = np.array([radius, radius, 0.5 * (height - base)])
    leaf = {"birch": 0.26, "beech": 0.36, "oak": 0.40}[name] * (0.5 + 0.05 * height)
    count = int(np.clip(75 * radius * (height - base) / leaf**0.5, 500, 2200))
    clumps = int(rng.integers(12, 26))
    if coarse:
        count, leaf = int(0.2 * count), 2.0 * leaf
    return meshes.foliage(rng, centre, radii, count, leaf, clumps=clumps, coarse=coarse), radius


def add_bushes(builder: SceneBuilder, place: Placer) -> None:
    """Plants bushes and ferns beside the trail."""
    parameters, rng = builder.parameters, builder.rng
    stock = []
    for index in range(6):
        color = parameters.leaf_colors[rng.integers(len(parameters.leaf_colors))]
        builder.texture(f"bush{index}", materials.leaf_texture(rng, color, rng.uniform(0.01, 0.06)))
        radius = rng.uniform(0.35, 1.1)
        tall = radius * rng.uniform(0.7, 1.5)
        form = int(rng.integers(2**31))
        for level in (0, 1):
            builder.mesh(
                f"bush{index}_{level}", _bush(np.random.default_rng(form), radius, tall, index % 3 == 2, level == 1)
            )
        names = (f"bush{index}_0", f"bush{index}_1")
        stock.append(Item((Part(names, f"bush{index}", Material.LEAF),), radius))
    for _ in range(int(140 * parameters.bush_density) + 15):
        bush = stock[rng.integers(len(stock))]
        reach = 14.0 * rng.random() + 1.5
        x, y = place.beside_trail(0.35 + 0.75 * bush.radius, reach, X_RANGE[0] + 2, X_RANGE[1] - 3)
        if any((x - a) ** 2 + (y - b) ** 2 < (r + 0.3 * bush.radius) ** 2 for a, b, r in place.obstacles):
            continue
        builder.place(bush, (x, y, place.ground(x, y) - 0.05), rng.uniform(0, 2 * np.pi), tint=0.3)


def _bush(rng: np.random.Generator, radius: float, tall: float, is_fern: bool, coarse: bool) -> meshes.Mesh:
    if is_fern:
        fronds = int(rng.integers(16, 40))
        return meshes.fern(rng, radius * 0.8, fronds // 2 if coarse else fronds)
    count, leaf = int(rng.integers(350, 700)), rng.uniform(0.11, 0.2)
    if coarse:
        count, leaf = count // 5, 2.0 * leaf
    centre, radii = np.array([0, 0, tall * 0.75]), np.array([radius, radius, tall])
    return meshes.foliage(rng, centre, radii, count, leaf, clumps=10, coarse=coarse)


def add_grass(builder: SceneBuilder, place: Placer) -> None:
    """Sows blades of grass beside the trail, as one mesh that follows the ground."""
    parameters, rng = builder.parameters, builder.rng
    builder.texture(
        "blades", materials.blade_texture(rng, parameters.grass_color, parameters.dry_color, parameters.dry_share)
    )
    clumps = int(7000 * parameters.blade_density)
    x = rng.uniform(X_RANGE[0] + 8, X_RANGE[1] - 30, clumps)
    offset = rng.exponential(2.2, clumps) * rng.choice([-1, 1], clumps)
    y = parameters.trail_y(x) + offset + np.sign(offset) * parameters.trail_width * 0.5
    blades = 4
    px = np.repeat(x, blades) + rng.normal(0, 0.06, clumps * blades)
    py = np.repeat(y, blades) + rng.normal(0, 0.06, clumps * blades)
    height = np.repeat(rng.uniform(0.5, 1.3, clumps), blades) * rng.uniform(0.5, 1.1, clumps * blades)
    keep = place.edge(px, py) > 0.03
    px, py, height = px[keep], py[keep], height[keep] * parameters.blade_height
    foot = np.stack([px, py, place.grounds(px, py) - 0.01], 1)
    builder.mesh("grass", meshes.grass_blades(rng, foot, height))
    dry = parameters.dry_share * 0.35
    part = Part(("grass",), "blades", Material.BLADE, OPTICS[Material.BLADE].nir * (1 - dry))
    builder.place(Item((part,), 0.0), (0, 0, 0))
