# SPDX-License-Identifier: Apache-2.0
"""Periodic noise images and mip-mapped sampling of them, all in numpy and OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


def spectral_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    slope: float,
    low: float = 1.0,
    high: float = 1e9,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> FloatImage:
    """Gaussian noise with the spectrum f^(−slope) between ``low`` and ``high`` cycles per image.

    The image is periodic, so it tiles without a seam.

    Args:
        shape: (height, width).
        stretch: factors on the vertical and horizontal frequency; (0.1, 1) makes vertical streaks.

    Returns:
        float32 image of mean 0 and standard deviation 1.
    """
    amplitude = _amplitude(shape, slope, low, high, stretch)
    spectrum = amplitude * np.exp(2j * np.pi * rng.random(amplitude.shape))
    image = np.fft.irfft2(spectrum, s=shape)
    image -= image.mean()
    return (image / max(float(image.std()), 1e-12)).astype(np.float32)


@lru_cache(maxsize=32)
def _amplitude(
    shape: tuple[int, int], slope: float, low: float, high: float, stretch: tuple[float, float]
) -> NDArray[np.float64]:
    """Half-plane spectrum of ``spectral_noise``, kept because scenes ask for the same ones again and again."""
    height, width = shape
    fy = np.fft.fftfreq(height, 1.0 / height)[:, None] * stretch[0]
    fx = np.fft.rfftfreq(width, 1.0 / width)[None, :] * stretch[1]
    f = np.hypot(fy, fx)
    amplitude = np.zeros_like(f)
    inside = (f >= low) & (f <= high)
    amplitude[inside] = f[inside] ** -slope
    amplitude.setflags(write=False)
    return amplitude


def smoothstep(low: float, high: float, x: FloatImage) -> FloatImage:
    """Cubic step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


@dataclass(frozen=True)
class TiledTexture:
    """A periodic image laid over the plane, with a mip level for every halving.

    Attributes:
        levels: the image at full, half, quarter … resolution, float32, one channel or several.
        tile: side of one tile in metres.
    """

    levels: tuple[FloatImage, ...]
    tile: float

    @classmethod
    def build(cls, image: FloatImage, tile: float, smallest: int = 8) -> TiledTexture:
        """Builds the mip levels of a square periodic image."""
        levels = [np.ascontiguousarray(image, np.float32)]
        while levels[-1].shape[0] > smallest:
            size = levels[-1].shape[0] // 2
            smaller = cv2.resize(levels[-1], (size, size), interpolation=cv2.INTER_AREA)
            levels.append(np.asarray(smaller, np.float32))
        return cls(tuple(levels), tile)

    def sample(self, x: FloatImage, y: FloatImage, footprint: FloatImage) -> FloatImage:
        """Values at the points (x, y) in metres, each from the mip level of its pixel's footprint in metres.

        Args:
            x, y, footprint: arrays of shape (N,).

        Returns:
            (N,) or (N, channels) float32.
        """
        size = self.levels[0].shape[0]
        level = np.log2(np.maximum(footprint * (size / self.tile), 1e-3))
        level = np.clip(np.floor(level + 0.3), 0, len(self.levels) - 1).astype(np.int8)
        out = np.empty((x.size, *self.levels[0].shape[2:]), np.float32)
        u, v = np.mod(x / self.tile, 1.0), np.mod(y / self.tile, 1.0)
        for index, image in enumerate(self.levels):
            chosen = np.flatnonzero(level == index)
            if chosen.size:
                scale = np.float32(image.shape[0])
                out[chosen] = gather(image, u[chosen] * scale, v[chosen] * scale, cv2.BORDER_WRAP)
        return out


def gather(image: NDArray[np.float32], u: FloatImage, v: FloatImage, border: int = cv2.BORDER_REPLICATE) -> FloatImage:
    """Bilinear samples of an image at N pixel positions (u right, v down), float32 of shape (N,) or (N, channels)."""
    if u.size == 0:
        return np.zeros((0, *image.shape[2:]), np.float32)
    columns = 512
    rows = -(-u.size // columns)
    padded = np.zeros((2, rows * columns), np.float32)
    padded[0, : u.size], padded[1, : v.size] = u, v
    maps = padded.reshape(2, rows, columns)
    out = cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(out.reshape(rows * columns, *image.shape[2:])[: u.size], np.float32)
