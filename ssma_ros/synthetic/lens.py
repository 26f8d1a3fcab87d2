# SPDX-License-Identifier: Apache-2.0
"""What happens between the scene and the sensor: rain in the air, drops and dirt on the glass, glare, shake."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics
from ssma_ros.synthetic.conditions import Weather
from ssma_ros.synthetic.lighting import LAMP, Light
from ssma_ros.synthetic.noise import FloatImage, spectral_noise
from ssma_ros.synthetic.renderer import Pose


class Lens:
    """One camera's front glass in a scene. Drops and dirt stay where they are from frame to frame."""

    def __init__(self, weather: Weather, light: Light, intrinsics: Intrinsics, rng: np.random.Generator) -> None:
        self._weather = weather
        self._light = light
        self._intrinsics = intrinsics
        self._fall = float(rng.normal(0.0, 0.12))
        self._drops = _drops(intrinsics, weather.drops, rng) if weather.drops else None
        self._dirt = _dirt(intrinsics, weather.dirt, rng) if weather.dirt else None

    def look(
        self, radiance: FloatImage, sky: NDArray[np.bool_], pose: Pose, shake: float, rng: np.random.Generator
    ) -> FloatImage:
        """Radiance H×W×4 as it reaches the sensor.

        Args:
            sky: H×W, where the sun could be seen.
            shake: direction of the camera's motion in radians; the same for both eyes.
            rng: of this frame and eye.
        """
        weather, out = self._weather, radiance
        if weather.rain:
            out = self._streaks(out, rng)
        if weather.glare:
            out = self._glare(out, sky, pose)
        if weather.motion:
            kernel = _line_kernel(weather.motion, shake)
            out = np.asarray(cv2.filter2D(out, -1, kernel, borderType=cv2.BORDER_REFLECT), np.float32)
        if self._drops is not None:
            map_u, map_v, share = self._drops
            seen = cv2.remap(out, map_u, map_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            out = out + (cv2.GaussianBlur(seen, (0, 0), 2.0) - out) * share[..., None]
        if self._dirt is not None:
            # Dirt hides what is behind it and scatters the light of everything else.
            veil = out.mean(axis=(0, 1)) * np.array([0.75, 0.68, 0.60, 0.55], np.float32)
            out = out + (veil - out) * self._dirt[..., None]
        return out

    def _streaks(self, radiance: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Drops that fall through the exposure: short bright lines, long and faint when near."""
        k, amount = self._intrinsics, self._weather.rain
        mask = np.zeros((k.height, k.width), np.uint8)
        count = int(650 * amount)
        near = rng.random(count) ** 3
        length, brightness = 5 + 50 * near, 70 - 35 * near
        u, v = rng.uniform(0, k.width, count), rng.uniform(-20, k.height, count)
        lean = self._fall + rng.normal(0, 0.03, count)
        for i in range(count):
            end = (int(u[i] + lean[i] * length[i]), int(v[i] + length[i]))
            cv2.line(mask, (int(u[i]), int(v[i])), end, float(brightness[i]), 1 + int(near[i] > 0.8), cv2.LINE_AA)
        share = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float32) / 255.0
        drop = 1.1 * self._light.ambient() + (0.05 * LAMP if self._weather.night else 0.0)
        return np.asarray(radiance + (drop - radiance) * share[..., None], np.float32)

    def _glare(self, radiance: FloatImage, sky: NDArray[np.bool_], pose: Pose) -> FloatImage:
        """Veil around the sun, a star, and ghosts on the line through the picture's middle."""
        k, light = self._intrinsics, self._light
        local = pose.rotation.T @ light.direction
        if local[2] < 0.2:
            return radiance
        sun = np.array([k.fx * local[0] / local[2] + k.cx, k.fy * local[1] / local[2] + k.cy])
        u, v = np.meshgrid(np.arange(k.width, dtype=np.float32), np.arange(k.height, dtype=np.float32))
        distance = np.hypot(u - sun[0], v - sun[1]).astype(np.float32)
        free = cv2.GaussianBlur(sky.astype(np.float32), (0, 0), 9.0)
        at_sun = free[int(np.clip(sun[1], 0, k.height - 1)), int(np.clip(sun[0], 0, k.width - 1))]
        visible = np.float32(0.25 + 0.75 * at_sun) * np.float32(self._weather.glare)
        angle = np.arctan2(v - sun[1], u - sun[0])
        star = np.abs(np.cos(3 * angle)) ** 40 * np.exp(-distance / 140.0)
        veil = 0.10 + 0.9 * np.exp(-distance / 150.0) + 5.0 * np.exp(-distance / 26.0) + 0.7 * star
        for reach, size in ((-0.5, 22.0), (-1.1, 46.0), (0.4, 13.0)):
            ghost = np.array([k.cx, k.cy]) + reach * (sun - [k.cx, k.cy])
            veil += 0.12 * (np.hypot(u - ghost[0], v - ghost[1]) < size)
        return np.asarray(radiance + (visible * veil)[..., None] * light.sun * np.float32(0.8), np.float32)


def _drops(k: Intrinsics, amount: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Sampling maps and opacity: each drop is a small wide-angle lens that shows the scene upside down."""
    map_u, map_v = np.meshgrid(np.arange(k.width, dtype=np.float32), np.arange(k.height, dtype=np.float32))
    share = np.zeros((k.height, k.width), np.float32)
    for _ in range(int(8 + 45 * amount)):
        centre = rng.uniform((0, 0), (k.width, k.height))
        radius = float(np.exp(rng.normal(np.log(13.0), 0.6)))
        tall = rng.uniform(0.9, 1.4)
        u0, u1 = int(max(centre[0] - radius, 0)), int(min(centre[0] + radius + 1, k.width))
        v0, v1 = int(max(centre[1] - radius * tall, 0)), int(min(centre[1] + radius * tall + 1, k.height))
        if u0 >= u1 or v0 >= v1:
            continue
        du = (np.arange(u0, u1, dtype=np.float32) - centre[0])[None]
        dv = (np.arange(v0, v1, dtype=np.float32) - centre[1])[:, None]
        r = np.hypot(du, dv / tall) / radius
        inside = (r < 1).astype(np.float32)
        map_u[v0:v1, u0:u1] += inside * (-7.0 * du)
        map_v[v0:v1, u0:u1] += inside * (-7.0 * dv)
        patch = share[v0:v1, u0:u1]
        np.maximum(patch, np.clip((1.0 - r) * 4.0, 0, 1) * 0.92, out=patch)
    return map_u, map_v, share


def _dirt(k: Intrinsics, amount: float, rng: np.random.Generator) -> FloatImage:
    """Opacity of smears and specks, out of focus."""
    smear = spectral_noise(rng, (512, 1024), 1.5, low=2, high=60)[: k.height, : k.width]
    specks = spectral_noise(rng, (512, 1024), 0.4, low=15, high=70)[: k.height, : k.width]
    share = 0.7 * np.clip(smear - 0.9 + 0.9 * amount, 0, 1) + 0.95 * np.clip(3 * (specks - 2.5 + 0.9 * amount), 0, 1)
    soft = cv2.GaussianBlur(np.asarray(share, np.float32), (0, 0), 3.0)
    return np.clip(soft, 0.0, 0.95).astype(np.float32)


def _line_kernel(length: float, angle: float) -> FloatImage:
    """A motion blur of ``length`` pixels along ``angle``."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    reach = 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(c) for c in np.rint((half + sign * reach) * 16)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA if kernel.dtype == np.uint8 else cv2.LINE_8, 4)
    return kernel / kernel.sum()
