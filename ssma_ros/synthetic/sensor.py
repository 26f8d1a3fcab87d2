# SPDX-License-Identifier: Apache-2.0
"""The cameras: exposure, optics and noise of colour and near infrared, and depth by stereo matching."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Camera, Intrinsics
from ssma_ros.synthetic.materials import linear_to_srgb
from ssma_ros.synthetic.noise import FloatImage

Image8 = NDArray[np.uint8]


@dataclass(frozen=True)
class StereoRig:
    """A rectified stereo pair with a near-infrared camera behind the left lens, or beside it.

    Attributes:
        intrinsics: of every image of the rig, but for a near-infrared camera of its own.
        baseline: metres from the left to the right camera.
        nir: the near-infrared camera beside the left one; None = they share a lens, behind a beam splitter.
    """

    intrinsics: Intrinsics
    baseline: float = 0.15
    nir: Camera | None = None

    @classmethod
    def default(cls, width: int = 768, height: int = 384, horizontal_fov_deg: float = 75.0) -> StereoRig:
        """The rig of the shipped data: 75° across, principal point in the image's middle."""
        focal = 0.5 * width / np.tan(np.radians(horizontal_fov_deg) / 2)
        return cls(Intrinsics(float(focal), float(focal), (width - 1) / 2, (height - 1) / 2, width, height))

    @classmethod
    def with_nir_beside(cls, metres: float) -> StereoRig:
        """The default rig with another near-infrared camera ``metres`` to the right of the left one.

        It has what such cameras have on robots: another lens and size, and it is not quite parallel.
        """
        focal, yaw, roll = 420.0, np.radians(1.0), np.radians(0.5)
        turned = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        rolled = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        pinhole = Intrinsics(focal, focal, 319.5, 199.5, 640, 400)
        return replace(cls.default(), nir=Camera(pinhole, turned @ rolled, (metres, 0.0, 0.0)))


@dataclass(frozen=True)
class CameraState:
    """How the cameras are set for a scene.

    Attributes:
        target: sRGB level that the exposure aims at for the scene's middle tone.
        white_balance: gains of red, green, blue.
        noise: read noise in sRGB levels of 0..1.
        blur: standard deviation of the optics' blur in pixels.
        vignette: light lost in the corners, 0..1.
    """

    target: float
    white_balance: FloatImage
    noise: float
    blur: float
    vignette: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> CameraState:
        """Draws the settings of one scene."""
        return cls(
            target=float(rng.uniform(0.34, 0.50)),
            white_balance=rng.uniform(0.93, 1.07, 3).astype(np.float32),
            noise=float(rng.uniform(0.004, 0.016)),
            blur=float(rng.uniform(0.35, 0.7)),
            vignette=float(rng.uniform(0.0, 0.25)),
        )


def exposure_gain(radiance: FloatImage, target: float) -> float:
    """Gain that brings the lower-middle part of a linear image (H×W or H×W×C) to ``target`` in sRGB.

    The sky counts little, as in a centre-weighted meter.
    """
    height = radiance.shape[0]
    lower = radiance[height // 3 :: 4, ::4]
    level = lower.mean(axis=-1) if lower.ndim == 3 else lower
    middle = 0.5 * float(np.median(level)) + 0.5 * float(level.mean())
    linear_target = ((target + 0.055) / 1.055) ** 2.4
    return linear_target / max(middle, 1e-6)


def develop_color(radiance: FloatImage, gain: float, state: CameraState, rng: np.random.Generator) -> Image8:
    """Linear H×W×3 (red, green, blue) to a noisy 8-bit BGR picture."""
    linear = radiance[..., ::-1] * (state.white_balance[::-1] * gain)
    return _expose(linear, state, rng)


def develop_nir(radiance: FloatImage, gain: float, state: CameraState, rng: np.random.Generator) -> Image8:
    """Linear H×W near infrared to a noisy 8-bit picture."""
    return _expose(radiance * gain, state, rng)


def _expose(linear: FloatImage, state: CameraState, rng: np.random.Generator) -> Image8:
    linear = np.asarray(cv2.GaussianBlur(np.ascontiguousarray(linear, np.float32), (0, 0), state.blur), np.float32)
    height, width = linear.shape[:2]
    v, u = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    falloff = 1.0 - state.vignette * 0.5 * (u * u + v * v)
    linear *= falloff[..., None] if linear.ndim == 3 else falloff
    shouldered = np.where(linear < 0.7, linear, 1.0 - 0.3 * np.exp(-(linear - 0.7) / 0.3))
    encoded = _ENCODE[np.clip(shouldered * 4095.0, 0, 4095).astype(np.uint16)]
    noise = _gaussian(rng, encoded.shape)
    noisy = encoded + noise * (state.noise * (0.6 + 0.8 * np.sqrt(encoded)))
    return np.clip(noisy * 255.0 + 0.5, 0, 255).astype(np.uint8)


_ENCODE = linear_to_srgb(np.arange(4096) / 4095.0)


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatImage:
    return rng.standard_normal(shape, dtype=np.float32)


def stereo_depth(left: Image8, right: Image8, rig: StereoRig, max_depth: float = 60.0) -> FloatImage:
    """Depth by semi-global matching of a rectified BGR pair.

    Uniqueness, left-right and speckle checks leave holes where the matcher is not sure: sky, half-hidden
    background, bare surfaces, thin twigs.

    Returns:
        H×W float32 metres registered to the left image, 0 = no reading.
    """
    disparities, block = 96, 5
    matcher = cv2.StereoSGBM.create(
        minDisparity=0, numDisparities=disparities, blockSize=block, P1=8 * block * block, P2=40 * block * block,
        disp12MaxDiff=1, preFilterCap=31, uniquenessRatio=10, speckleWindowSize=120, speckleRange=2,
        mode=cv2.StereoSGBM_MODE_SGBM_3WAY,
    )  # fmt: skip
    grey_left, grey_right = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (left, right))
    # The matcher cannot see the leftmost columns unless the pair is widened by the search range.
    widened = [cv2.copyMakeBorder(g, 0, 0, disparities, 0, cv2.BORDER_REPLICATE) for g in (grey_left, grey_right)]
    disparity = matcher.compute(*widened)[:, disparities:].astype(np.float32) / 16.0
    smallest = rig.intrinsics.fx * rig.baseline / max_depth
    # Beneath noise there may be nothing to match: what is flat after smoothing gets no depth.
    smooth = cv2.GaussianBlur(grey_left, (0, 0), 1.6)
    textured = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, np.ones((9, 9), np.uint8)) > 5
    valid = (disparity >= smallest) & textured
    depth = np.zeros(disparity.shape, np.float32)
    depth[valid] = rig.intrinsics.fx * rig.baseline / disparity[valid]
    return depth
