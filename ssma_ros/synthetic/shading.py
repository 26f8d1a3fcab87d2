# SPDX-License-Identifier: Apache-2.0
"""Deferred shading: a geometry buffer becomes linear colour, near infrared and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics
from ssma_ros.synthetic.conditions import CALM, Weather
from ssma_ros.synthetic.ground import GroundCover
from ssma_ros.synthetic.lighting import Light, Sky, SunShadow, lamp_light
from ssma_ros.synthetic.materials import OPTICS, ForestClass, Material, srgb_to_linear
from ssma_ros.synthetic.noise import FloatImage, gather, smoothstep
from ssma_ros.synthetic.renderer import GeometryBuffer, Pose, Renderer
from ssma_ros.synthetic.scene import X_RANGE, Ground
from ssma_ros.synthetic.weathering import weather_surfaces
from ssma_ros.synthetic.world import World

#: Fog droplets are large: they dim near infrared nearly as much as light.
FOG_EXTINCTION = np.array([1.0, 1.0, 1.0, 0.75], np.float32)
#: Depth given to the forest at the world's rim, metres.
RIM_DISTANCE = 250.0
_SRGB_TABLE = srgb_to_linear(np.arange(256) / 255.0)


@dataclass(frozen=True)
class ShadedView:
    """One view in linear light.

    Attributes:
        radiance: H×W×4 float32, red, green, blue, near infrared.
        depth: H×W float32 z-depth in metres, 0 in the sky.
        label: H×W uint8 train ids.
    """

    radiance: FloatImage
    depth: FloatImage
    label: NDArray[np.uint8]


class Shader:
    """Lights one world. Built once a scene: it holds the shadow map, the sky and the ground cover."""

    def __init__(self, renderer: Renderer, world: World, weather: Weather = CALM) -> None:
        parameters = world.parameters
        self._world = world
        self._weather = weather
        self._light = Light.of(parameters, weather)
        rng = np.random.default_rng([parameters.seed, 3])
        self._sky = Sky(self._light, rng)
        self._cover = GroundCover(world, rng)
        self._rim = srgb_to_linear(parameters.leaf_colors[0] * 0.6)
        centre = np.array([X_RANGE[0] + 46.0, 0.0, 0.0])
        self._shadow = SunShadow(renderer, self._light.direction, centre, 46.0)

    @property
    def light(self) -> Light:
        """Light of the scene."""
        return self._light

    def shade(self, view: GeometryBuffer, pose: Pose, intrinsics: Intrinsics, lamp: Pose | None = None) -> ShadedView:
        """Shades a geometry buffer seen from ``pose``; at night the robot's lamp is at ``lamp`` (the left camera)."""
        shape = view.depth.shape
        rays = pixel_rays(intrinsics) @ pose.rotation.T.astype(np.float32)
        points = pose.position.astype(np.float32) + rays * view.depth[..., None]
        material = self._materials(view)
        albedo = np.zeros((*shape, 4), np.float32)
        normal = _surface_normals(points, rays)
        label = np.full(shape, int(ForestClass.SKY), np.uint8)
        openness = np.ones(shape, np.float32)
        solid = view.geom >= 0
        self._object_surface(view, solid, albedo, label)
        terrain = solid & (material == Material.TERRAIN)
        footprint = view.depth[terrain] / np.float32(intrinsics.fx) * 1.6
        cover = self._cover.sample(points[terrain], footprint)
        albedo[terrain], normal[terrain], label[terrain] = cover.albedo, cover.normal, cover.label
        openness[solid] = self._openness(points[solid], terrain[solid])
        if self._weather.snow or self._weather.wetness:
            weather_surfaces(albedo, normal, points, label, terrain, solid, self._weather, self._world.ground)
        radiance = np.zeros((*shape, 4), np.float32)
        radiance[solid] = self._lit(albedo[solid], normal[solid], points[solid], material[solid], openness[solid])
        if self._weather.night:
            radiance[solid] += albedo[solid] * lamp_light(points[solid], normal[solid], lamp or pose)
        if self._weather.wetness:
            radiance[terrain] += self._puddles(points[terrain], rays[terrain], normal[terrain], label[terrain])
        depth = view.depth.copy()
        self._fill_sky(radiance, depth, label, rays, ~solid)
        self._haze(radiance, depth, label != ForestClass.SKY)
        return ShadedView(radiance, depth, label)

    def _materials(self, view: GeometryBuffer) -> NDArray[np.uint8]:
        return self._world.geom_material[np.maximum(view.geom, 0)]

    def _object_surface(
        self, view: GeometryBuffer, solid: NDArray[np.bool_], albedo: FloatImage, label: NDArray[np.uint8]
    ) -> None:
        geom = view.geom[solid]
        color = _SRGB_TABLE[view.albedo[solid]]
        luminance = color @ np.array([0.30, 0.59, 0.11], np.float32)
        material = self._world.geom_material[geom]
        mean = np.array([0.10, 0.09, 0.04, 0.13, 0.11, 0.2, 0.12, 0.2], np.float32)[material]
        contrast = np.array([OPTICS[Material(m)].nir_contrast for m in range(len(OPTICS))], np.float32)[material]
        nir = self._world.geom_nir[geom] * np.clip((luminance + 0.004) / mean, 0.05, 3.0) ** contrast
        albedo[solid, :3], albedo[solid, 3] = color, np.clip(nir, 0.01, 0.85)
        label[solid] = self._world.geom_label[geom]

    def _openness(self, points: FloatImage, terrain: NDArray[np.bool_]) -> FloatImage:
        """How much of the sky's light reaches a point: less under the canopy, more on high parts."""
        u, v = Ground.pixel(points[:, 0], points[:, 1])
        canopy = gather(self._world.ground.canopy, u, v)
        rise = np.clip((points[:, 2] - gather(self._world.ground.height, u, v)) / 8.0, 0.0, 1.0)
        rise[terrain] = 0.0
        return (1.0 - 0.62 * canopy * (1.0 - 0.75 * rise)).astype(np.float32)

    def _lit(
        self,
        albedo: FloatImage,
        normal: FloatImage,
        points: FloatImage,
        material: NDArray[np.uint8],
        openness: FloatImage,
    ) -> FloatImage:
        light = self._light
        wrap = np.array([OPTICS[Material(m)].wrap for m in range(len(OPTICS))], np.float32)[material]
        facing = normal @ light.direction
        through = np.abs(facing) * 0.75 + 0.25
        cosine = np.clip(facing, 0.0, 1.0) * (1 - wrap) + through * wrap
        sun = cosine * self._shadow.lit(points + 0.03 * normal)
        sky = (0.62 + 0.38 * normal[:, 2]) * openness
        ambient = light.ambient()
        bounce = np.array([0.035, 0.04, 0.02, 0.12], np.float32) * (light.sun * max(light.direction[2], 0) + ambient)
        incoming = (
            sun[:, None] * light.sun + sky[:, None] * ambient + (openness * (1 - 0.4 * normal[:, 2]))[:, None] * bounce
        )
        return albedo * incoming

    def _puddles(
        self, points: FloatImage, rays: FloatImage, normal: FloatImage, label: NDArray[np.uint8]
    ) -> FloatImage:
        """Sky mirrored by wet ground, most where water stands on the trail and at a flat angle."""
        unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        grazing = 1.0 - np.clip(-np.einsum("nc,nc->n", unit, normal), 0, 1)
        u, v = Ground.pixel(points[:, 0], points[:, 1])
        standing = smoothstep(0.2, 0.9, gather(self._world.ground.patches, u, v)) * (label == ForestClass.TRAIL)
        share = self._weather.wetness * (0.02 + 0.6 * grazing**5) * (0.25 + 0.75 * standing)
        mirrored = 0.6 * self._light.horizon + 0.4 * self._light.ambient()
        return np.asarray(share[:, None] * mirrored, np.float32)

    def _fill_sky(
        self,
        radiance: FloatImage,
        depth: FloatImage,
        label: NDArray[np.uint8],
        rays: FloatImage,
        empty: NDArray[np.bool_],
    ) -> None:
        if not empty.any():
            return
        ray = rays[empty]
        unit = ray / np.linalg.norm(ray, axis=1, keepdims=True)
        out = self._sky.radiance(unit)
        rim = self._sky.treeline(unit)
        mottle = 1.0 + 0.35 * np.sin(900 * np.arctan2(unit[:, 1], unit[:, 0])) * np.sin(1300 * unit[:, 2])
        rim_albedo = np.append(self._rim, 0.4).astype(np.float32)
        glow = 0.5 * self._light.sun * 0.5 + 0.5 * self._light.ambient()
        out[rim] = rim_albedo * glow * mottle[rim, None]
        radiance[empty] = out
        rim_depth, rim_label = np.zeros(len(ray), np.float32), np.full(len(ray), int(ForestClass.SKY), np.uint8)
        rim_depth[rim], rim_label[rim] = RIM_DISTANCE, int(ForestClass.VEGETATION)
        depth[empty], label[empty] = rim_depth, rim_label

    def _haze(self, radiance: FloatImage, depth: FloatImage, seen: NDArray[np.bool_]) -> None:
        """Mixes in air light; haze scatters the near infrared much less."""
        density = self._world.parameters.haze * np.array([1.0, 1.0, 1.0, 0.35], np.float32)
        if self._weather.fog:
            density = density + self._weather.fog * FOG_EXTINCTION
        clear = np.exp(-depth[seen][:, None] * density)
        air = 0.38 * self._light.horizon * (1 - self._light.cover) + 0.38 * self._light.cloud * self._light.cover
        if self._weather.fog:
            air = air + (0.85 * self._light.horizon - air) * np.float32(min(1.0, 20 * self._weather.fog))
            thick = np.exp(-60.0 * self._weather.fog * FOG_EXTINCTION)
            radiance[~seen] = radiance[~seen] * thick + air * (1 - thick)
        radiance[seen] = radiance[seen] * clear + air * (1 - clear)


def pixel_rays(intrinsics: Intrinsics) -> FloatImage:
    """H×W×3 float32 rays of unit z through the pixel centres, optical frame."""
    u = (np.arange(intrinsics.width, dtype=np.float32) - intrinsics.cx) / intrinsics.fx
    v = (np.arange(intrinsics.height, dtype=np.float32) - intrinsics.cy) / intrinsics.fy
    rays = np.ones((intrinsics.height, intrinsics.width, 3), np.float32)
    rays[..., 0], rays[..., 1] = u[None], v[:, None]
    return rays


def _surface_normals(points: FloatImage, rays: FloatImage) -> FloatImage:
    """Unit normals from neighbouring points, turned to the camera; smooth surfaces come out smooth."""
    across, down = np.empty_like(points), np.empty_like(points)
    across[:, 1:-1], down[1:-1] = points[:, 2:] - points[:, :-2], points[2:] - points[:-2]
    across[:, 0], across[:, -1] = across[:, 1], across[:, -2]
    down[0], down[-1] = down[1], down[-2]
    normal = np.empty_like(points)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        normal[..., i] = across[..., j] * down[..., k] - across[..., k] * down[..., j]
    length = np.sqrt(np.einsum("hwc,hwc->hw", normal, normal))
    away = np.einsum("hwc,hwc->hw", normal, rays) > 0
    normal /= np.maximum(length, 1e-12)[..., None]
    normal[away] *= -1
    return normal
