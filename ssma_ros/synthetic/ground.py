# SPDX-License-Identifier: Apache-2.0
"""What covers the terrain: trail, grass, litter and soil, textured by position."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.materials import ForestClass, srgb_to_linear
from ssma_ros.synthetic.noise import FloatImage, TiledTexture, gather, smoothstep, spectral_noise
from ssma_ros.synthetic.scene import Ground
from ssma_ros.synthetic.world import World


@dataclass(frozen=True)
class CoverSample:
    """Ground at N points: albedo N×4 (red, green, blue, near infrared), unit normal N×3, train ids (N,)."""

    albedo: FloatImage
    normal: FloatImage
    label: NDArray[np.uint8]


class GroundCover:
    """Samples the ground of one world."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self._world = world
        parameters = world.parameters
        size = 1024
        pebbles = _cells(rng, size, 2600)
        grain = spectral_noise(rng, (size, size), 0.25, low=30)
        soil = 0.5 * spectral_noise(rng, (size, size), 1.0, low=2) + 0.35 * grain
        gravel = 0.55 * pebbles + 0.25 * grain + 0.25 * soil
        share = np.float32(rng.random())
        self._trail = TiledTexture.build(
            (share * gravel + (1 - share) * soil).astype(np.float32), rng.uniform(1.6, 2.6)
        )
        streaks = spectral_noise(rng, (size, size), 0.55, low=20, stretch=(0.35, 1.0))
        streaks = streaks + spectral_noise(rng, (size, size), 0.55, low=20, stretch=(1.0, 0.35))
        tufts = spectral_noise(rng, (size, size), 1.1, low=3, high=80)
        self._grass = TiledTexture.build((0.42 * streaks + 0.45 * tufts).astype(np.float32), rng.uniform(1.8, 3.0))
        leaves = np.stack([_cells(rng, size, 5200), spectral_noise(rng, (size, size), 0.3, low=10)], -1)
        self._litter = TiledTexture.build(leaves.astype(np.float32), rng.uniform(1.5, 2.4))
        self._broad = TiledTexture.build(spectral_noise(rng, (512, 512), 1.1, low=2, high=120), 23.0)
        wet = rng.uniform(0.0, 0.5)
        self._trail_nir = np.float32(rng.uniform(0.17, 0.30) * (1 - 0.4 * wet))
        self._litter_color = srgb_to_linear(np.array([0.44, 0.30, 0.17]) * rng.uniform(0.7, 1.35))
        self._strip = rng.random() < 0.35
        self._ruts = np.float32(rng.uniform(0.0, 0.3))
        self._dry_share = np.float32(parameters.dry_share)

    def sample(self, points: FloatImage, footprint: FloatImage) -> CoverSample:
        """Ground cover at N×3 points, each seen with a pixel of ``footprint`` metres."""
        ground, parameters = self._world.ground, self._world.parameters
        x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        u, v = Ground.pixel(x, y)
        edge = gather(ground.trail, u, v)
        normal = gather(ground.normal, u, v)
        patches = gather(ground.patches, u, v)
        broad = self._broad.sample(x, y, footprint)
        grass = self._grass_albedo(x, y, footprint, broad, patches)
        trail = self._trail_albedo(x, y, footprint, broad, edge)
        leaves = self._litter.sample(x, y, footprint)
        canopy = gather(ground.canopy, u, v)
        amount = parameters.litter * (0.35 + 0.65 * canopy)
        lies = smoothstep(0.0, 0.35, (leaves[:, 0] * 0.3 + 0.25 * patches - 1.0 + 2.0 * amount).astype(np.float32))
        lies_on_trail = lies * (0.10 + 0.5 * amount)
        on_trail = smoothstep(-0.05, 0.05, -edge)[:, None]
        leaf = self._litter_albedo(leaves)
        grass = grass + (leaf - grass) * lies[:, None]
        trail = trail + (leaf - trail) * lies_on_trail[:, None]
        albedo = np.clip(grass * (1 - on_trail) + trail * on_trail, 0.01, 0.9)
        label = np.where(edge < 0, int(ForestClass.TRAIL), int(ForestClass.GRASS)).astype(np.uint8)
        return CoverSample(albedo.astype(np.float32), normal, label)

    def _grass_albedo(
        self, x: FloatImage, y: FloatImage, footprint: FloatImage, broad: FloatImage, patches: FloatImage
    ) -> FloatImage:
        parameters = self._world.parameters
        detail = self._grass.sample(x, y, footprint)
        value = np.clip(0.72 + 0.42 * detail, 0.12, 1.9)
        dry = np.clip(self._dry_share + 0.22 * patches + 0.12 * detail, 0, 1)[:, None]
        green = np.append(srgb_to_linear(parameters.grass_color), 0.44)
        brown = np.append(srgb_to_linear(parameters.dry_color), 0.36)
        base = green * (1 - dry) + brown * dry
        soil = np.append(srgb_to_linear(parameters.trail_color * 0.75), 0.22)
        bare = smoothstep(0.9, 1.5, broad + 0.35 * detail)[:, None] * 0.8
        base = base * (1 - bare) + soil * bare
        shade = np.stack([value, value, value, value**0.6], -1) * (1 + 0.12 * broad)[:, None]
        return np.asarray(base * shade, np.float32)

    def _trail_albedo(
        self, x: FloatImage, y: FloatImage, footprint: FloatImage, broad: FloatImage, edge: FloatImage
    ) -> FloatImage:
        parameters = self._world.parameters
        detail = self._trail.sample(x, y, footprint) * np.float32(parameters.trail_roughness)
        value = np.clip(0.95 + 0.30 * detail + 0.10 * broad, 0.2, 1.8)
        base = np.append(srgb_to_linear(parameters.trail_color), self._trail_nir)
        half = np.float32(0.5 * parameters.trail_width)
        inward = np.clip(-edge / half, 0, 1)
        rut = np.exp(-(((inward - 0.45) / 0.14) ** 2)) * self._ruts
        value = value * (1 - rut)
        albedo = base * np.stack([value, value, value, value**0.8], -1)
        if self._strip:
            tuft = smoothstep(0.75, 1.0, inward)[:, None] * np.clip(0.5 + 0.5 * detail, 0, 1)[:, None] * 0.45
            green = np.append(srgb_to_linear(parameters.grass_color * 0.85), 0.38)
            albedo = albedo * (1 - tuft) + green * tuft
        return np.asarray(albedo, np.float32)

    def _litter_albedo(self, leaves: FloatImage) -> FloatImage:
        value = np.clip(0.8 + 0.3 * leaves[:, 0] + 0.2 * leaves[:, 1], 0.15, 1.8)
        color = np.append(self._litter_color, 0.33)
        return np.asarray(color * np.stack([value, value, value, value**0.7], -1), np.float32)


def _cells(rng: np.random.Generator, size: int, count: int) -> FloatImage:
    """Pebbles or leaves: random convex-looking cells, each with its own brightness and a dark rim, periodic."""
    centre = rng.random((count, 2)) * size
    image = np.ones((size, size), np.uint8)
    points = centre.astype(int)
    image[points[:, 1] % size, points[:, 0] % size] = 0
    padded = np.pad(image, 32, mode="wrap")
    distance, labels = cv2.distanceTransformWithLabels(padded, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # Seeds near the seam carry two labels; naming cells by the seed's wrapped position makes them one.
    seeds = np.argwhere(padded == 0)
    brightness = np.zeros(labels.max() + 1)
    table = rng.normal(size=(size, size)).astype(np.float32)
    brightness[labels[seeds[:, 0], seeds[:, 1]]] = table[(seeds[:, 0] - 32) % size, (seeds[:, 1] - 32) % size]
    label_image = labels[32:-32, 32:-32]
    inner = distance[32:-32, 32:-32]
    mean_radius = size / np.sqrt(count) * 0.55
    cell = brightness[label_image] * 0.8 + 0.9 * (0.6 - inner / mean_radius)
    return ((cell - cell.mean()) / cell.std()).astype(np.float32)
