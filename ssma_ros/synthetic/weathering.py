# SPDX-License-Identifier: Apache-2.0
"""What weather does to surfaces: snow that lies, ground that is wet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.conditions import Weather
from ssma_ros.synthetic.materials import ForestClass
from ssma_ros.synthetic.noise import FloatImage, gather, smoothstep
from ssma_ros.synthetic.scene import Ground

#: Albedo of snow in red, green, blue and near infrared (ice begins to absorb there).
_SNOW = np.array([0.83, 0.85, 0.89, 0.70], np.float32)
#: How much darker wet ground is; water absorbs more in the near infrared.
_WET = np.array([0.42, 0.42, 0.40, 0.50], np.float32)


def weather_surfaces(
    albedo: FloatImage,
    normal: FloatImage,
    points: FloatImage,
    label: NDArray[np.uint8],
    terrain: NDArray[np.bool_],
    solid: NDArray[np.bool_],
    weather: Weather,
    ground: Ground,
) -> None:
    """Puts snow and wetness on ``albedo`` (H×W×4, changed in place) of a view's surfaces.

    Args:
        normal, points: H×W×3, world frame.
        label: H×W train ids.
        terrain, solid: H×W, where the ground and where anything is.
    """
    if weather.wetness:
        soaked = np.where(label == ForestClass.TRAIL, 1.0, 0.45).astype(np.float32)
        soaked[solid & ~terrain] = 0.35
        albedo[solid] *= 1.0 - weather.wetness * soaked[solid][:, None] * _WET
    if weather.snow:
        depth = _snow_on_ground(points[terrain], label[terrain], albedo[terrain], weather.snow, ground)
        _whiten(albedo, terrain, depth)
        things = solid & ~terrain
        up = normal[things][:, 2]
        lies = smoothstep(0.75 - 0.45 * weather.snow, 1.0 - 0.25 * weather.snow, up)
        _whiten(albedo, things, np.asarray(lies * (0.35 + 0.6 * weather.snow), np.float32))


def _snow_on_ground(
    points: FloatImage, label: NDArray[np.uint8], albedo: FloatImage, snow: float, ground: Ground
) -> FloatImage:
    """Share of snow: patchy when little lies, trodden on the trail, thinner under trees and on what sticks out."""
    u, v = Ground.pixel(points[:, 0], points[:, 1])
    patches, canopy = gather(ground.patches, u, v), gather(ground.canopy, u, v)
    brightness = albedo[:, 1] / max(float(albedo[:, 1].mean()), 1e-3) if len(albedo) else albedo[:, 1]
    level = 2.6 * snow - 0.9 + 0.3 * patches - 0.5 * canopy + 0.35 * (brightness - 1.0)
    level = level - np.where(label == ForestClass.TRAIL, 0.75, 0.0)
    return smoothstep(-0.25, 0.75, level.astype(np.float32))


def _whiten(albedo: FloatImage, where: NDArray[np.bool_], share: FloatImage) -> None:
    below = albedo[where]
    grain = 0.9 + 0.1 * np.clip(below[:, 1:2] / max(float(below[:, 1].mean()), 1e-3) if len(below) else 1.0, 0, 2)
    albedo[where] = below + (_SNOW * grain - below) * share[:, None]
