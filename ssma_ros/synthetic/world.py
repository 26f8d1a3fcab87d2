"""Builds a forest scene as a MuJoCo model: terrain, trees, bushes, grass, boulders, logs and boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic import materials, meshes
from ssma_ros.synthetic.gl import load_mujoco
from ssma_ros.synthetic.materials import OPTICS, Material
from ssma_ros.synthetic.noise import FloatImage, gather, spectral_noise
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


@dataclass(frozen=True)
class Part:
    """One surface of an item: mesh names by level of detail (near first, or one for all), material name and kind."""

    meshes: tuple[str, ...]
    material: str
    kind: Material
    nir: float | None = None


@dataclass(frozen=True)
class Item:
    """Something that can stand in the world; ``radius`` is its reach from the foot in metres."""

    parts: tuple[Part, ...]
    radius: float


@dataclass
class _Builder:
    """Collects assets and geoms of one scene."""

    parameters: SceneParameters
    rng: np.random.Generator
    mujoco: Any = field(default_factory=load_mujoco)
    spec: Any = None
    kinds: list[Material] = field(default_factory=list)
    nirs: list[float] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        mujoco = self.mujoco
        spec = self.spec = mujoco.MjSpec()
        visual = spec.visual
        visual.global_.offwidth, visual.global_.offheight = 2048, 2048
        visual.quality.offsamples = 0  # a resolved multisample buffer would mix labels and depths at edges
        visual.quality.shadowsize = 0
        visual.headlight.ambient, visual.headlight.diffuse, visual.headlight.specular = [1] * 3, [0] * 3, [0] * 3
        spec.stat.extent, spec.stat.center = 1.0, [0, 0, 0]

    def texture(self, name: str, image: NDArray[np.uint8]) -> None:
        mujoco, spec = self.mujoco, self.spec
        height, width = image.shape[:2]
        texture = spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=width, height=height, nchannel=3
        )
        texture.data = np.ascontiguousarray(image).tobytes()
        material = spec.add_material(name=name)
        slots = [""] * len(material.textures)
        slots[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = name
        material.textures = slots

    def mesh(self, name: str, mesh: meshes.Mesh) -> None:
        faces = mesh.faces.ravel()
        self.spec.add_mesh(
            name=name,
            uservert=mesh.vertices.ravel(),
            userface=faces,
            usertexcoord=mesh.texcoords.ravel(),
            userfacetexcoord=faces,
            inertia=self.mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )

    def place(
        self, item: Item, position: tuple[float, float, float], yaw: float = 0.0, tilt: float = 0.0, tint: float = 0.0
    ) -> None:
        """Stands an item on the ground; all its parts share pose, and each part's levels of detail share a tint."""
        rng = self.rng
        quat = [
            np.cos(yaw / 2) * np.cos(tilt / 2),
            np.cos(yaw / 2) * np.sin(tilt / 2),
            np.sin(yaw / 2) * np.sin(tilt / 2),
            np.sin(yaw / 2) * np.cos(tilt / 2),
        ]
        for part in item.parts:
            shade = np.clip(1.0 - tint * rng.random() + 0.2 * tint * rng.normal(size=3), 0.3, 1.0)
            nir = (OPTICS[part.kind].nir if part.nir is None else part.nir) * float(rng.uniform(0.88, 1.12))
            for level, mesh in enumerate(part.meshes):
                self.spec.worldbody.add_geom(
                    type=self.mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh, material=part.material, pos=list(position), quat=quat,
                    rgba=[*shade, 1.0], contype=0, conaffinity=0,
                )  # fmt: skip
                self.kinds.append(part.kind)
                self.nirs.append(nir)
                self.levels.append(level if len(part.meshes) > 1 else -1)


def build_world(parameters: SceneParameters) -> World:
    """Builds the scene that ``parameters`` describe; the same seed gives the same scene."""
    rng = np.random.default_rng([parameters.seed, 2])
    builder = _Builder(parameters, rng)
    terrain = terrain_height(parameters, rng)
    trail = signed_trail_distance(parameters, rng)
    x_ground, y_ground = grid_axes(GROUND_CELL)
    size = (len(x_ground), len(y_ground))
    height = _resample(terrain, size)
    _add_terrain(builder, terrain)
    place = _Placer(builder, height, trail)
    trees = _add_trees(builder, place)
    _add_obstacles(builder, place)
    _add_bushes(builder, place)
    _add_grass(builder, place)
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


def _add_terrain(builder: _Builder, terrain: FloatImage) -> None:
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


class _Placer:
    """Finds free places on the ground."""

    def __init__(self, builder: _Builder, height: FloatImage, trail: FloatImage) -> None:
        self._builder = builder
        self._height = height
        self._trail = trail
        self.taken: list[tuple[float, float, float]] = []
        self.obstacles: list[tuple[float, float, float]] = []

    def ground(self, x: float, y: float) -> float:
        return float(self._at(self._height, np.array([x]), np.array([y]))[0])

    def grounds(self, x: NDArray, y: NDArray) -> NDArray:
        return self._at(self._height, x, y)

    def edge(self, x: NDArray, y: NDArray) -> NDArray:
        return self._at(self._trail, x, y)

    @staticmethod
    def _at(image: FloatImage, x: NDArray, y: NDArray) -> FloatImage:
        u, v = Ground.pixel(x, y)
        return gather(image, u, v)

    def free(self, x: float, y: float, radius: float) -> bool:
        return all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in self.taken)

    def beside_trail(self, near: float, far: float, x_low: float, x_high: float) -> tuple[float, float]:
        """A random point whose distance from the trail's edge is between ``near`` and ``far`` metres."""
        rng, parameters = self._builder.rng, self._builder.parameters
        x = rng.uniform(x_low, x_high)
        side = rng.choice([-1.0, 1.0])
        offset = 0.5 * parameters.trail_width + near + (far - near) * rng.random()
        heading = parameters.trail_heading(x)
        y = float(parameters.trail_y(np.array([x]))[0])
        return float(x - side * offset * np.sin(heading)), float(y + side * offset * np.cos(heading))


def _add_trees(builder: _Builder, place: _Placer) -> list[tuple[float, float, float]]:
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


def _species(builder: _Builder, name: str, variant: int) -> Item:
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


def _add_obstacles(builder: _Builder, place: _Placer) -> None:
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


def _box_color(builder: _Builder) -> NDArray[np.float64]:
    """Clothing and plastic: any colour, but often one that the forest has too."""
    rng, parameters = builder.rng, builder.parameters
    if rng.random() < 0.4:
        pool = np.concatenate([parameters.leaf_colors[:2], parameters.grass_color[None], parameters.trail_color[None]])
        return pool[rng.integers(len(pool))] * rng.uniform(0.7, 1.2)
    return np.clip(rng.random() * 0.85 + 0.08 + rng.uniform(-0.4, 0.4, 3), 0.03, 0.95)


def _put(builder: _Builder, place: _Placer, item: Item) -> None:
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


def _add_bushes(builder: _Builder, place: _Placer) -> None:
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


def _add_grass(builder: _Builder, place: _Placer) -> None:
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
