# SPDX-License-Identifier: Apache-2.0
"""What a seed decides about a forest scene: light, season, plants, trail, terrain, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.noise import FloatImage, smoothstep, spectral_noise

#: The piece of world that is built: metres along x (the way the trail runs) and y (left).
X_RANGE = (-12.0, 88.0)
Y_RANGE = (-40.0, 40.0)
#: Resolution of the ground maps in metres a cell, and of the terrain mesh.
GROUND_CELL = 0.1
TERRAIN_CELL = 0.5

_SEASONS = ("summer", "summer", "spring", "autumn", "autumn", "dry")


@dataclass(frozen=True)
class SceneParameters:
    """Everything drawn from the seed before anything is built. Colours are sRGB in 0..1 (red, green, blue)."""

    seed: int
    season: str
    sun_elevation: float
    sun_azimuth: float
    sun_strength: float
    cloud_cover: float
    turbidity: float
    haze: float
    trail_width: float
    trail_waves: tuple[tuple[float, float, float], ...]
    trail_color: NDArray[np.float64]
    trail_roughness: float
    litter: float
    grass_color: NDArray[np.float64]
    dry_color: NDArray[np.float64]
    dry_share: float
    blade_density: float
    blade_height: float
    species: tuple[str, ...]
    leaf_colors: NDArray[np.float64]
    tree_density: float
    bush_density: float
    relief: float
    boulders: int
    logs: int
    boxes: int
    camera_height: float
    camera_pitch: float

    @classmethod
    def from_seed(cls, seed: int, season: str | None = None) -> SceneParameters:
        """Draws the parameters of scene ``seed``; a ``season`` given takes the place of the one drawn."""
        rng = np.random.default_rng([seed, 1])
        drawn = str(rng.choice(_SEASONS))
        season = season or drawn
        overcast = rng.random() < 0.3
        names = np.array(["oak", "beech", "birch", "spruce", "pine", "bare"])
        weights = np.array([0.24, 0.2, 0.16, 0.22, 0.14, 0.04])
        species = tuple(str(s) for s in rng.choice(names, rng.integers(2, 5), replace=False, p=weights))
        green = _green(rng)
        return cls(
            seed=seed,
            season=season,
            sun_elevation=float(np.radians(rng.uniform(14, 65))),
            sun_azimuth=float(rng.uniform(-np.pi, np.pi)),
            sun_strength=float(rng.uniform(0.0, 0.25) if overcast else rng.uniform(0.7, 1.25)),
            cloud_cover=float(rng.uniform(0.75, 1.0) if overcast else rng.uniform(0.0, 0.65)),
            turbidity=float(rng.uniform(0.0, 1.0)),
            haze=float(rng.choice([0.001, 0.002, 0.004, 0.010])),
            trail_width=float(rng.uniform(1.3, 3.4)),
            trail_waves=_trail_waves(rng),
            trail_color=_trail_color(rng),
            trail_roughness=float(rng.uniform(0.4, 1.3)),
            litter=float(rng.uniform(0.3, 1.0) if season == "autumn" else rng.uniform(0.0, 0.6)),
            grass_color=_season_shift(rng, green, season, 0.5),
            dry_color=np.array([0.62, 0.54, 0.32]) * rng.uniform(0.75, 1.1),
            dry_share=float(rng.uniform(0.4, 0.9) if season in ("dry", "winter") else rng.uniform(0.02, 0.4)),
            blade_density=float(rng.uniform(0.3, 1.0)),
            blade_height=float(rng.uniform(0.08, 0.32)),
            species=_standing(species, season),
            leaf_colors=np.stack([_season_shift(rng, _green(rng), season, 1.0) for _ in range(8)]),
            tree_density=float(rng.choice([0.008, 0.016, 0.028, 0.045, 0.06]) * rng.uniform(0.8, 1.2)),
            bush_density=float(rng.uniform(0.15, 1.0)),
            relief=float(rng.uniform(0.2, 1.9)),
            boulders=int(rng.integers(5, 16)),
            logs=int(rng.integers(3, 9)),
            boxes=int(rng.integers(3, 8)),
            camera_height=float(rng.uniform(0.6, 1.6)),
            camera_pitch=float(np.radians(rng.uniform(-2, 11))),
        )

    def sun_direction(self) -> NDArray[np.float64]:
        """Unit vector towards the sun, world frame."""
        c = np.cos(self.sun_elevation)
        return np.array([c * np.cos(self.sun_azimuth), c * np.sin(self.sun_azimuth), np.sin(self.sun_elevation)])

    def trail_y(self, x: NDArray) -> NDArray[np.float64]:
        """Lateral position of the trail's centre line at ``x``, metres."""
        x = np.asarray(x, float)
        total = np.zeros_like(x)
        for amplitude, wavelength, phase in self.trail_waves:
            total = total + amplitude * (np.sin(2 * np.pi * x / wavelength + phase) - np.sin(phase))
        return total

    def trail_heading(self, x: float) -> float:
        """Direction of the trail at ``x``, radians from the world's x axis."""
        y = self.trail_y(np.array([x - 0.05, x + 0.05]))
        return float(np.arctan2(y[1] - y[0], 0.1))


def _green(rng: np.random.Generator) -> NDArray[np.float64]:
    dark, light = np.array([0.20, 0.29, 0.11]), np.array([0.48, 0.57, 0.22])
    return (dark + (light - dark) * rng.random()) * rng.uniform(0.85, 1.15, 3)


def _standing(species: tuple[str, ...], season: str) -> tuple[str, ...]:
    """The trees as they stand in a season: in winter the broad-leaved ones are bare."""
    if season != "winter":
        return species
    return tuple(dict.fromkeys("bare" if name in ("oak", "beech", "birch") else name for name in species))


def _season_shift(rng: np.random.Generator, green: NDArray, season: str, strength: float) -> NDArray[np.float64]:
    targets = {
        "summer": (green, 0.0),
        "spring": (np.array([0.50, 0.66, 0.22]), rng.uniform(0.2, 0.7)),
        "autumn": (
            [np.array([0.74, 0.58, 0.16]), np.array([0.68, 0.36, 0.12]), np.array([0.48, 0.32, 0.17])][
                rng.integers(0, 3)
            ],
            rng.uniform(0.0, 1.0),
        ),
        "winter": (np.array([0.50, 0.43, 0.30]), 0.75),
        "dry": (np.array([0.58, 0.52, 0.28]), rng.uniform(0.1, 0.6)),
    }
    target, share = targets[season]
    share *= strength
    return np.clip(green * (1 - share) + target * share, 0.03, 0.95)


def _trail_color(rng: np.random.Generator) -> NDArray[np.float64]:
    choices = np.array(
        [
            [0.45, 0.36, 0.27],
            [0.56, 0.53, 0.49],
            [0.62, 0.54, 0.42],
            [0.50, 0.35, 0.26],
            [0.36, 0.31, 0.25],
            [0.42, 0.40, 0.28],
        ]
    )
    return choices[rng.integers(0, len(choices))] * rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)


def _trail_waves(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    waves = []
    for wavelength, slope in ((rng.uniform(45, 80), 0.36), (rng.uniform(22, 40), 0.28), (rng.uniform(10, 16), 0.07)):
        amplitude = rng.uniform(0.15, 1.0) * slope * wavelength / (2 * np.pi)
        waves.append((float(amplitude), float(wavelength), float(rng.uniform(0, 2 * np.pi))))
    return tuple(waves)


@dataclass(frozen=True)
class Ground:
    """Maps of the ground on a grid of ``GROUND_CELL`` (rows along y, columns along x), float32.

    Attributes:
        height: metres (on the terrain grid, resampled).
        normal: unit normals, H×W×3.
        trail: signed distance to the trail's edge in metres, negative inside; ragged as a real edge is.
        canopy: share of sky hidden by trees, 0..1.
        patches: slow noise that chooses between grass, litter and bare soil.
    """

    height: FloatImage
    normal: FloatImage
    trail: FloatImage
    canopy: FloatImage
    patches: FloatImage

    @staticmethod
    def pixel(x: NDArray, y: NDArray) -> tuple[FloatImage, FloatImage]:
        """Map column and row of world points."""
        u = (np.asarray(x) - X_RANGE[0]) / GROUND_CELL
        v = (np.asarray(y) - Y_RANGE[0]) / GROUND_CELL
        return u.astype(np.float32), v.astype(np.float32)


def grid_axes(cell: float) -> tuple[FloatImage, FloatImage]:
    """x and y of the grid nodes, ends included."""
    nx = round((X_RANGE[1] - X_RANGE[0]) / cell) + 1
    ny = round((Y_RANGE[1] - Y_RANGE[0]) / cell) + 1
    return np.linspace(*X_RANGE, nx, dtype=np.float32), np.linspace(*Y_RANGE, ny, dtype=np.float32)


def signed_trail_distance(parameters: SceneParameters, rng: np.random.Generator) -> FloatImage:
    """Distance to the trail's edge on the ground grid, metres, negative on the trail."""
    x, y = grid_axes(GROUND_CELL)
    centre = parameters.trail_y(x)
    slope = np.gradient(centre, x)
    distance = np.abs(y[:, None] - centre[None]) / np.sqrt(1 + slope[None] ** 2)
    width = parameters.trail_width * (1 + 0.12 * np.sin(x / 6 + rng.uniform(0, 6)))[None]
    ragged = spectral_noise(rng, (1024, 1024), 0.9, low=8, high=400)[: len(y), : len(x)]
    return (distance - 0.5 * width + 0.10 * ragged).astype(np.float32)


def terrain_height(parameters: SceneParameters, rng: np.random.Generator) -> FloatImage:
    """Height on the terrain grid, metres: hills and bumps, levelled along the trail."""
    x, y = grid_axes(TERRAIN_CELL)
    shape = (256, 256)
    hills = spectral_noise(rng, shape, 2.2, low=2, high=10)[: len(y), : len(x)]
    bumps = spectral_noise(rng, shape, 1.0, low=8, high=128)[: len(y), : len(x)]
    centre = parameters.trail_y(x)
    across = y[:, None] - centre[None]
    near = 1.0 - smoothstep(parameters.trail_width * 0.4, parameters.trail_width * 0.5 + 5.0, np.abs(across))
    column = np.clip(((centre - Y_RANGE[0]) / TERRAIN_CELL).round().astype(int), 0, len(y) - 1)
    along = hills[column, np.arange(len(x))]
    kernel = np.hanning(23) / np.hanning(23).sum()
    along = np.convolve(np.pad(along, 11, mode="edge"), kernel, mode="valid")
    height = parameters.relief * (hills * (1 - near) + along[None] * near)
    bank = smoothstep(2.5, 22.0, np.abs(across)) * parameters.relief * 0.9
    return (height + bank + bumps * 0.05 * (1 - 0.75 * near)).astype(np.float32)
