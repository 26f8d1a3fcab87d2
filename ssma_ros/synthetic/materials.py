# SPDX-License-Identifier: Apache-2.0
"""What things are made of: classes, reflectance in colour and near infrared, and procedural textures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.noise import spectral_noise


class ForestClass(IntEnum):
    """Train ids of the label set ``synthetic_forest``."""

    TRAIL = 0
    GRASS = 1
    VEGETATION = 2
    SKY = 3
    OBSTACLE = 4


class Material(IntEnum):
    """Kinds of surface that the shader tells apart."""

    TERRAIN = 0
    LEAF = 1
    NEEDLE = 2
    BARK = 3
    BLADE = 4
    ROCK = 5
    LOG = 6
    PAINT = 7


@dataclass(frozen=True)
class Optics:
    """How a material answers to light.

    Attributes:
        label: class of the pixels it covers (terrain decides by position).
        nir: diffuse reflectance in the near infrared (about 850 nm) of its mean colour.
        nir_contrast: exponent with which the colour texture shows in the near infrared.
        wrap: share of light that passes around and through (leaves), 0 = an opaque Lambert surface.
    """

    label: ForestClass
    nir: float
    nir_contrast: float
    wrap: float


OPTICS: dict[Material, Optics] = {
    Material.TERRAIN: Optics(ForestClass.GRASS, 0.40, 0.6, 0.0),
    Material.LEAF: Optics(ForestClass.VEGETATION, 0.52, 0.6, 0.55),
    Material.NEEDLE: Optics(ForestClass.VEGETATION, 0.40, 0.7, 0.4),
    Material.BARK: Optics(ForestClass.VEGETATION, 0.24, 0.8, 0.0),
    Material.BLADE: Optics(ForestClass.GRASS, 0.46, 0.6, 0.5),
    Material.ROCK: Optics(ForestClass.OBSTACLE, 0.22, 0.8, 0.0),
    Material.LOG: Optics(ForestClass.OBSTACLE, 0.27, 0.8, 0.0),
    Material.PAINT: Optics(ForestClass.OBSTACLE, 0.25, 0.5, 0.0),
}

Texture = NDArray[np.uint8]


def srgb_to_linear(value: NDArray) -> NDArray[np.float32]:
    """sRGB in 0..1 to linear light in 0..1."""
    value = np.asarray(value, np.float32)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(value: NDArray) -> NDArray[np.float32]:
    """Linear light in 0..1 to sRGB in 0..1."""
    value = np.maximum(np.asarray(value, np.float32), 0.0)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


def _bytes(image: NDArray) -> Texture:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def leaf_texture(rng: np.random.Generator, color: NDArray, hue_spread: float, size: int = 256) -> Texture:
    """Leaf sprays: dark inside the crown (row 0) to light outside, with leaf-sized structure.

    Args:
        color: mean sRGB colour in 0..1, (3,).
        hue_spread: how far the colour wanders from spray to spray.
    """
    fine = spectral_noise(rng, (size, size), 0.4, low=12)
    broad = spectral_noise(rng, (size, size), 1.0, low=1, high=6, stretch=(0.3, 1.0))
    inward = np.linspace(0.30, 1.12, size)[:, None]
    value = inward * (1 + 0.28 * fine) * (1 + 0.12 * broad)
    shift = broad[..., None] * hue_spread * np.array([1.0, 0.25, -0.3])
    return _bytes((color + shift) * np.clip(value, 0.08, 2.0)[..., None])


def bark_texture(rng: np.random.Generator, color: NDArray, birch: bool, size: int = 256) -> Texture:
    """Furrowed bark, or birch with dark lenticels; u runs around the trunk, v along it."""
    if birch:
        marks = spectral_noise(rng, (size, size), 0.8, low=3, high=60, stretch=(1.0, 5.0))
        blotch = spectral_noise(rng, (size, size), 1.2, low=1, high=12)
        value = 1.0 - 0.75 * np.clip((marks - 1.0) * 3, 0, 1) - 0.5 * np.clip((blotch - 1.4) * 3, 0, 1)
        value = value * (1 + 0.06 * spectral_noise(rng, (size, size), 0.3, low=8))
    else:
        furrow = spectral_noise(rng, (size, size), 0.9, low=4, high=90, stretch=(4.0, 1.0))
        value = 0.9 + 0.32 * furrow + 0.12 * spectral_noise(rng, (size, size), 0.3, low=20)
    moss = np.clip(spectral_noise(rng, (size, size), 1.3, low=1, high=20) - 0.6, 0, 1)[..., None] * 0.5
    tinted = color * (1 - moss) + np.array([0.30, 0.36, 0.16]) * moss
    return _bytes(tinted * np.clip(value, 0.15, 1.6)[..., None])


def rock_texture(rng: np.random.Generator, color: NDArray, size: int = 256) -> Texture:
    """Grainy stone with cracks, lichen and moss."""
    grain = spectral_noise(rng, (size, size), 0.2, low=20)
    broad = spectral_noise(rng, (size, size), 1.2, low=1, high=40)
    crack = np.abs(spectral_noise(rng, (size, size), 1.2, low=2, high=30))
    value = 0.95 + 0.14 * grain + 0.14 * broad - 0.4 * np.clip(1 - crack * 9, 0, 1)
    moss = np.clip((spectral_noise(rng, (size, size), 1.4, low=1, high=24) - rng.uniform(0.3, 2.0)) * 2, 0, 1)[
        ..., None
    ]
    tinted = color * (1 - 0.8 * moss) + np.array([0.28, 0.35, 0.13]) * 0.8 * moss
    return _bytes(tinted * np.clip(value, 0.2, 1.5)[..., None])


def paint_texture(rng: np.random.Generator, color: NDArray, second: NDArray, size: int = 128) -> Texture:
    """Boxes: plain, banded or two-part, with dirt and scratches, so that colour alone does not give them away."""
    rows = np.linspace(0, 1, size)[:, None]
    style = rng.integers(0, 3)
    if style == 0:
        mix = np.zeros((size, size))
    elif style == 1:
        mix = np.broadcast_to((np.floor(rows * rng.integers(3, 9)) % 2), (size, size))
    else:
        mix = np.broadcast_to(rows > rng.uniform(0.35, 0.65), (size, size)).astype(float)
    image = color * (1 - mix[..., None]) + second * mix[..., None]
    dirt = (
        1 + 0.10 * spectral_noise(rng, (size, size), 0.8, low=2) + 0.06 * spectral_noise(rng, (size, size), 0.1, low=8)
    )
    return _bytes(image * np.clip(dirt, 0.4, 1.4)[..., None])


def blade_texture(rng: np.random.Generator, color: NDArray, dry: NDArray, dry_share: float, size: int = 128) -> Texture:
    """Grass blades: columns are blades, green or dry; rows run from the dark root to the tip."""
    is_dry = (rng.random(size) < dry_share)[None, :, None]
    base = np.where(is_dry, dry, color) * (1 + 0.15 * rng.normal(size=(1, size, 1)))
    rise = np.linspace(0.35, 1.15, size)[:, None, None]
    return _bytes(base * rise)
