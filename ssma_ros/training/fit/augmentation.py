# SPDX-License-Identifier: Apache-2.0
"""Random changes of training samples: one geometry for all streams and the label, photometry by stream.

Written on OpenCV, a sample at a time: depth-made streams and labels are sampled to the nearest pixel, colour and
near infrared bilinearly, in the same warp; every draw comes from one generator, so a sample is a pure function of
its seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.sensors import SENSORS
from ssma_ros.training.datasets.cache import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.training.fit.config import AugmentationConfig



class Augmentation:
    """Draws one augmented sample.

    Args:
        config: ranges.
        contract: tells what each stream is.
    """

    def __init__(self, config: AugmentationConfig, contract: Contract) -> None:
        self._config = config
        self._streams = contract.streams
        self._sensors = {sensor for stream in contract.streams for sensor in stream.sensors}
        self._ignore_id = contract.labels.ignore_id

    def __call__(self, sample: Sample, width: int, height: int, rng: np.random.Generator) -> Sample:
        """A changed copy of ``sample`` at ``width`` × ``height`` pixels.

        Pixels from outside the image are zero in every stream and carry the ignore id. A sensor that is dropped
        only loses its ``present`` flag: the network gates such a stream off after its encoder, whose BatchNorm
        statistics should be those of real images.
        """
        matrix = self._matrix(sample.label.shape[1], sample.label.shape[0], width, height, rng)
        label = _warp(sample.label, matrix, width, height, cv2.INTER_NEAREST, self._ignore_id)
        present = self._drop_sensors(sample.present, rng)
        images = []
        for stream, image, made in zip(self._streams, sample.images, sample.present, strict=True):
            if not made:
                images.append(np.zeros((height, width, 3), np.uint8))
                continue
            nearest = ENCODINGS[stream.encoding].is_measured
            interpolation = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
            warped = _warp(image, matrix, width, height, interpolation, 0)
            images.append(self._photometry(stream, warped, rng))
        return Sample(tuple(images), present, label)

    def _matrix(
        self, source_width: int, source_height: int, width: int, height: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """2×3 map from source pixels to result pixels."""
        c = self._config
        shown = rng.uniform(*c.crop)
        zoom = float(np.exp(rng.uniform(*np.log(c.scale)))) / shown
        angle = np.deg2rad(rng.uniform(-c.rotation, c.rotation))
        skew = rng.uniform(-c.skew, c.skew)
        mirror = -1.0 if rng.random() < c.flip else 1.0
        fit = np.diag([width / source_width, height / source_height])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = zoom * fit @ turn @ np.array([[mirror, skew], [0.0, 1.0]])
        # The window slides over what the zoom leaves outside; a zoom below 1 slides the image over the window.
        slack = np.abs(zoom - 1.0) * 0.5 * np.array([width, height])
        target = np.array([width, height]) / 2 - 0.5 + rng.uniform(-1, 1, 2) * slack
        centre = np.array([source_width, source_height]) / 2 - 0.5
        return np.column_stack([linear, target - linear @ centre])

    def _drop_sensors(self, present: tuple[bool, ...], rng: np.random.Generator) -> tuple[bool, ...]:
        """Blank every stream that a randomly missing sensor spoils; a draw that blanks all is taken back."""
        gone = {s for s in SENSORS if s in self._sensors and rng.random() < self._config.modality_dropout}
        left = tuple(
            p and not gone.intersection(stream.sensors) for p, stream in zip(present, self._streams, strict=True)
        )
        return left if any(left) else present

    def _photometry(self, stream: Stream, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        if ENCODINGS[stream.encoding].is_photograph:
            return self._color(image, rng)
        if ENCODINGS[stream.encoding].is_measured:
            return self._depth(stream, image, rng)
        c = self._config
        gain = rng.uniform(*c.other_contrast)
        shift = rng.uniform(-c.other_brightness, c.other_brightness)
        changed = (image.astype(np.float32) - 127.5) * np.float32(gain) + np.float32(127.5 + shift)
        if c.noise > 0:
            changed += _noise(image.shape[:2], c.noise * rng.random() * 0.5, rng)[..., None]
        return _to_uint8(changed)

    def _color(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        c = self._config
        work = image.astype(np.float32)
        if c.gamma != (1.0, 1.0):
            table = 255.0 * (np.arange(256) / 255.0) ** rng.uniform(*c.gamma)
            work = table.astype(np.float32)[image]
        work = np.asarray(cv2.transform(work, self._color_matrix(rng)), np.float32)
        mean = float(work.mean())
        work = (work - np.float32(mean)) * np.float32(rng.uniform(*c.contrast))
        work += np.float32(mean + rng.uniform(-c.brightness, c.brightness))
        if rng.random() < c.blur:
            work = np.asarray(cv2.GaussianBlur(work, (0, 0), rng.uniform(0.4, 1.2)), np.float32)
        if rng.random() < c.vignette:
            work *= _vignette(image.shape[1], image.shape[0], rng)[..., None]
        if c.noise > 0:
            work += _noise(image.shape, c.noise * rng.random(), rng)
        return _to_uint8(work)

    def _color_matrix(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """3×3 on B, G, R: saturation, hue as a turn about the grey axis, and a gain for each channel."""
        c = self._config
        saturation = rng.uniform(*c.saturation)
        angle = np.deg2rad(rng.uniform(-c.hue, c.hue))
        axis = np.full(3, 1 / np.sqrt(3.0))
        turn, _ = cv2.Rodrigues(axis * angle)
        grey = np.full((3, 3), 1 / 3.0)
        gains = np.diag(1.0 + rng.uniform(-c.gain, c.gain, 3))
        matrix = gains @ turn @ (saturation * np.eye(3) + (1.0 - saturation) * grey)
        return np.asarray(matrix, np.float32)

    def _depth(self, stream: Stream, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        c = self._config
        changed = image
        channel = ENCODINGS[stream.encoding].height_channel
        if channel is not None and c.height_shift > 0:
            hole = ~image.any(axis=2)
            shift = rng.uniform(-c.height_shift, c.height_shift)
            changed = image.copy()
            changed[..., channel] = _to_uint8(image[..., channel].astype(np.float32) + np.float32(shift))
            changed[hole] = 0
        if rng.random() < c.holes:
            changed = changed.copy()
            _punch_holes(changed, rng)
        return changed


def _warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], width: int, height: int, interpolation: int, border: int
) -> NDArray[np.uint8]:
    warped = cv2.warpAffine(
        image, matrix, (width, height), flags=interpolation, borderMode=cv2.BORDER_CONSTANT,
        borderValue=(border, border, border),
    )
    return np.asarray(warped, np.uint8)


def _punch_holes(image: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Blank a few ellipses in place, each at most a third of the image."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(2, max(3, width // 6))), int(rng.integers(2, max(3, height // 6))))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, (0, 0, 0), cv2.FILLED)


def _vignette(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """H×W factor: 1 at the centre, falling off with the distance as a lens does."""
    strength = rng.uniform(0.1, 0.6)
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)
    squared = (x[None, :] ** 2 + y[:, None] ** 2) / np.float32(2.0)
    return np.asarray(1.0 - np.float32(strength) * squared, np.float32)


def _noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)


def _to_uint8(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def resize_sample(sample: Sample, contract: Contract, width: int, height: int) -> Sample:
    """``sample`` at another size, without any random change."""
    if sample.label.shape == (height, width):
        return sample
    size = (width, height)
    images = []
    for stream, image in zip(contract.streams, sample.images, strict=True):
        nearest = ENCODINGS[stream.encoding].is_measured
        resized = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR)
        images.append(np.asarray(resized, np.uint8))
    label = np.asarray(cv2.resize(sample.label, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    return Sample(tuple(images), sample.present, label)
