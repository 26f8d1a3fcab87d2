# SPDX-License-Identifier: Apache-2.0
"""Sun, sky and shadow of a scene, in linear light; 1.0 is about what a white wall in full sun sends back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.conditions import Weather
from ssma_ros.synthetic.noise import FloatImage, TiledTexture, smoothstep, spectral_noise
from ssma_ros.synthetic.renderer import BUFFER, Pose, Renderer
from ssma_ros.synthetic.scene import SceneParameters


@dataclass(frozen=True)
class Light:
    """Linear red, green, blue and near-infrared light of a scene; each array is (4,) float32.

    Attributes:
        direction: (3,) unit vector towards the sun.
        sun: sunlight on a surface that faces it.
        zenith, horizon: radiance of the clear sky overhead and at the horizon.
        cloud: radiance of clouds.
        cover: share of the sky that is cloud, 0..1.
    """

    direction: FloatImage
    sun: FloatImage
    zenith: FloatImage
    horizon: FloatImage
    cloud: FloatImage
    cover: float

    @classmethod
    def of(cls, parameters: SceneParameters, weather: Weather) -> Light:
        """Light of the scene's sun, clouds and weather."""
        light = cls._daylight(parameters)
        if weather.dusk:
            light = light._reddened(weather.dusk)
        if weather.fog:  # nothing of the blue is left inside a fog
            grey = 0.75 * light.cloud
            share = np.float32(min(1.0, 25 * weather.fog))
            light = replace(light, horizon=light.horizon + (grey - light.horizon) * share)
        return light._darkened() if weather.night else light

    def _reddened(self, dusk: float) -> Light:
        """The sky around a sun that stands at the horizon."""
        glow = np.array([0.75, 0.30, 0.02, 0.20], np.float32) * np.float32(dusk)
        dim = np.float32(1 - 0.55 * dusk)
        warm = np.array([1.0, 0.72, 0.62, 1.0], np.float32)
        return replace(self, zenith=self.zenith * dim, horizon=self.horizon * dim + glow, cloud=self.cloud * warm * dim)

    def _darkened(self) -> Light:
        """A moonless night: some light is left in the sky, the sun is gone."""
        dark = np.array([0.0030, 0.0035, 0.0050, 0.0015], np.float32)
        glow = np.array([0.0070, 0.0065, 0.0060, 0.0030], np.float32)
        return replace(self, sun=np.zeros(4, np.float32), zenith=dark, horizon=glow, cloud=glow)

    @classmethod
    def _daylight(cls, parameters: SceneParameters) -> Light:
        """Low sun is warm; near infrared hardly scatters in clear air."""
        low = np.exp(-np.degrees(parameters.sun_elevation) / 14.0)
        warm = np.array([1.0, 0.93 - 0.30 * low, 0.84 - 0.58 * low, 1.05 + 0.25 * low])
        sun = parameters.sun_strength * (1 - 0.35 * low) * warm
        turbid = parameters.turbidity
        zenith = np.array([0.13, 0.25, 0.52, 0.035]) * (1 - 0.3 * low) + 0.15 * turbid
        zenith[3] = 0.03 + 0.05 * turbid
        horizon = np.array([0.50, 0.62, 0.78, 0.10]) * (1 - 0.2 * low) + np.array([0.3, 0.2, 0.0, 0.05]) * low
        cloud = np.array([0.86, 0.88, 0.92, 0.34]) * (0.55 + 0.35 * min(parameters.sun_strength, 1.0))
        return cls(
            direction=parameters.sun_direction().astype(np.float32),
            sun=sun.astype(np.float32),
            zenith=zenith.astype(np.float32),
            horizon=horizon.astype(np.float32),
            cloud=cloud.astype(np.float32),
            cover=parameters.cloud_cover,
        )

    def ambient(self) -> FloatImage:
        """Mean light of the sky on a level surface, (4,)."""
        clear = 0.6 * self.zenith + 0.4 * self.horizon
        return ((1 - self.cover) * clear + self.cover * self.cloud).astype(np.float32)


#: Radiance of the robot's lamp and its near-infrared illuminator on a white wall one metre ahead.
LAMP = np.array([0.9, 0.86, 0.78, 0.8], np.float32)
_LAMP_SPREAD = float(np.cos(np.radians(24.0)))


def lamp_light(points: FloatImage, normal: FloatImage, lamp: Pose) -> FloatImage:
    """Light of the robot's lamp at N×3 points, N×4; it sits above the camera and shines ahead."""
    source = (lamp.position - 0.15 * lamp.rotation[:, 1]).astype(np.float32)
    towards = source - points
    distance = np.maximum(np.linalg.norm(towards, axis=1), 0.3)
    towards /= distance[:, None]
    facing = np.clip(np.einsum("nc,nc->n", normal, towards), 0, 1)
    along = np.clip(-towards @ lamp.rotation[:, 2].astype(np.float32), 0, 1)
    beam = 0.12 + 0.88 * smoothstep(_LAMP_SPREAD - 0.25, _LAMP_SPREAD + 0.06, along)
    strength = beam * (0.25 + 0.75 * facing) / np.maximum(distance, 1.0) ** 2
    return (strength[:, None] * LAMP).astype(np.float32)


class Sky:
    """Sky radiance by direction, with drifting clouds projected on a layer."""

    def __init__(self, light: Light, rng: np.random.Generator) -> None:
        self._light = light
        clouds = spectral_noise(rng, (512, 512), 1.35, low=2, high=200)
        self._clouds = TiledTexture.build(clouds, 14.0)
        self._offset = rng.uniform(0, 14, 2).astype(np.float32)
        self._treeline = rng.uniform(0, 2 * np.pi, 6)

    def radiance(self, ray: FloatImage) -> FloatImage:
        """Radiance along unit vectors N×3 (world frame): N×4."""
        light = self._light
        up = np.clip(ray[:, 2], 0.0, 1.0)
        rise = (1.0 - up) ** 4
        clear = light.zenith + (light.horizon - light.zenith) * rise[:, None]
        scale = 1.0 / (up + 0.12)
        noise = self._clouds.sample(
            ray[:, 0] * scale + self._offset[0], ray[:, 1] * scale + self._offset[1], 0.02 * scale
        )
        threshold = float(np.float32(1.6 - 3.2 * light.cover))
        amount = smoothstep(threshold - 0.6, threshold + 0.8, noise)
        shade = 1.0 - 0.16 * np.clip(noise - threshold, 0, 2)
        out = clear * (1 - amount[:, None]) + light.cloud * (amount * shade)[:, None]
        glow = np.clip(ray @ light.direction, 0, 1)
        halo = 0.25 * glow**8 + 0.9 * glow**90 + 14.0 * (glow > 0.99991)
        return (out + light.sun * (halo * (1 - 0.8 * amount))[:, None]).astype(np.float32)

    def treeline(self, ray: FloatImage) -> NDArray[np.bool_]:
        """Which directions end in the distant forest at the world's rim, (N,)."""
        azimuth = np.arctan2(ray[:, 1], ray[:, 0])
        skyline = np.full(azimuth.shape, 0.045, np.float32)
        for index, (frequency, amplitude) in enumerate(
            ((3, 0.012), (11, 0.008), (37, 0.006), (97, 0.006), (211, 0.005), (467, 0.003))
        ):
            skyline += amplitude * np.abs(np.sin(0.5 * frequency * azimuth + self._treeline[index]))
        return np.asarray(ray[:, 2] < skyline)


class SunShadow:
    """Shadow map of the sun over the scene, rendered once."""

    def __init__(
        self, renderer: Renderer, direction: FloatImage, centre: NDArray[np.float64], half_width: float
    ) -> None:
        forward = -np.asarray(direction, float)
        heading, pitch = np.arctan2(forward[1], forward[0]), np.arcsin(-forward[2])
        distance = 120.0
        self._pose = Pose.looking(centre - forward * distance, float(heading), float(pitch))
        self._half = half_width
        self._depth = renderer.sun_depth(self._pose, half_width, 1.0, 2 * distance)

    def lit(self, points: FloatImage, soft: float = 1.2) -> FloatImage:
        """Share of the sun's disc seen from N×3 points: (N,) in 0..1."""
        local = (points - self._pose.position.astype(np.float32)) @ self._pose.rotation.astype(np.float32)
        scale = 0.5 * BUFFER / self._half
        u = (local[:, 0] * scale + 0.5 * (BUFFER - 1)).astype(np.float32)
        v = (local[:, 1] * scale + 0.5 * (BUFFER - 1)).astype(np.float32)
        depth = local[:, 2] - np.float32(0.12)
        total = np.zeros(len(points), np.float32)
        taps = ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))
        for du, dv in taps:
            total += depth < _nearest(self._depth, u + soft * du, v + soft * dv)
        return total / np.float32(len(taps))


def _nearest(image: FloatImage, u: FloatImage, v: FloatImage) -> FloatImage:
    column = np.clip(np.rint(u), 0, image.shape[1] - 1).astype(np.int32)
    row = np.clip(np.rint(v), 0, image.shape[0] - 1).astype(np.int32)
    return image[row, column]
