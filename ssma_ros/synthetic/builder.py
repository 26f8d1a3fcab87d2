# SPDX-License-Identifier: Apache-2.0
"""Collects meshes, textures and geoms of a scene, and finds room for them on the ground."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.gl import load_mujoco
from ssma_ros.synthetic.materials import OPTICS, Material
from ssma_ros.synthetic.meshes import Mesh
from ssma_ros.synthetic.noise import FloatImage, gather
from ssma_ros.synthetic.scene import Ground, SceneParameters


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
class SceneBuilder:
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
        """Adds a texture (H×W×3 uint8 sRGB, red first) and a material of the same name."""
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

    def mesh(self, name: str, mesh: Mesh) -> None:
        """Adds a mesh; open surfaces are fine, nothing here has mass."""
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
                    type=self.mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh, material=part.material,
                    pos=list(position), quat=quat, rgba=[*shade, 1.0], contype=0, conaffinity=0,
                )  # fmt: skip
                self.kinds.append(part.kind)
                self.nirs.append(nir)
                self.levels.append(level if len(part.meshes) > 1 else -1)


class Placer:
    """Finds free places on the ground.

    Attributes:
        taken: x, y, radius of everything with a foot.
        obstacles: x, y, radius of the obstacles among it.
    """

    def __init__(self, builder: SceneBuilder, height: FloatImage, trail: FloatImage) -> None:
        self._builder = builder
        self._height = height
        self._trail = trail
        self.taken: list[tuple[float, float, float]] = []
        self.obstacles: list[tuple[float, float, float]] = []

    def ground(self, x: float, y: float) -> float:
        """Ground height at a point, metres."""
        return float(self._at(self._height, np.array([x]), np.array([y]))[0])

    def grounds(self, x: NDArray, y: NDArray) -> FloatImage:
        """Ground heights at N points, metres."""
        return self._at(self._height, x, y)

    def edge(self, x: NDArray, y: NDArray) -> FloatImage:
        """Signed distance of N points from the trail's edge, metres, negative on the trail."""
        return self._at(self._trail, x, y)

    @staticmethod
    def _at(image: FloatImage, x: NDArray, y: NDArray) -> FloatImage:
        u, v = Ground.pixel(x, y)
        return gather(image, u, v)

    def free(self, x: float, y: float, radius: float) -> bool:
        """Whether a disc touches nothing placed so far."""
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
