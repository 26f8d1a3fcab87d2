# SPDX-License-Identifier: Apache-2.0
"""Whole samples: a scene, a pose, and everything the rig sees from there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Intrinsics
from ssma_ros.synthetic.conditions import CALM, CLEAR, Condition
from ssma_ros.synthetic.lens import Lens
from ssma_ros.synthetic.materials import ForestClass
from ssma_ros.synthetic.noise import FloatImage
from ssma_ros.synthetic.renderer import Pose, Renderer
from ssma_ros.synthetic.sensor import (
    CameraState,
    Image8,
    StereoRig,
    develop_color,
    develop_nir,
    exposure_gain,
    stereo_depth,
)
from ssma_ros.synthetic.shading import ShadedView, Shader
from ssma_ros.synthetic.world import World, build_world

#: Analogue and digital gain at which a camera gives up; 1 is a sunny day.
LARGEST_GAIN = 14.0

#: A view that is for the most part nearer than this (metres) shows a trunk or a boulder and nothing else.
BLOCKED_DEPTH = 0.7


@dataclass(frozen=True)
class Sample:
    """One moment of the synthetic rig.

    Attributes:
        color: H×W×3 uint8 BGR, left camera.
        right: H×W×3 uint8 BGR, right camera.
        nir: H×W uint8, or the size of the rig's near-infrared camera where it has one of its own.
        depth: H×W float32 metres by stereo matching, 0 = no reading.
        true_depth: H×W float32 metres, 0 in the sky.
        label: H×W uint8 train ids.
        nir_depth: true depth of a near-infrared camera of its own, in its pixels; None where it has the left lens.
    """

    color: Image8
    right: Image8
    nir: Image8
    depth: FloatImage
    true_depth: FloatImage
    label: NDArray[np.uint8]
    nir_depth: FloatImage | None = None


class Scene:
    """One world loaded into a renderer, ready to be looked at."""

    def __init__(
        self,
        renderer: Renderer,
        seed: int,
        rig: StereoRig,
        camera: CameraState | None = None,
        condition: Condition = CLEAR,
    ) -> None:
        self.parameters, self._weather = condition.draw(seed)
        self.world: World = build_world(self.parameters)
        self._renderer = renderer
        self._seed = seed
        renderer.load(self.world)
        self._shader = Shader(renderer, self.world, self._weather)
        self._camera = camera or CameraState.draw(np.random.default_rng([seed, 4]))
        self.mount(rig)

    def mount(self, rig: StereoRig) -> None:
        """Put another rig into the scene; the next picture is taken with it."""
        self._rig = rig
        rng = np.random.default_rng([self._seed, 7])
        cameras = [rig.intrinsics, rig.intrinsics, *([rig.nir.intrinsics] if rig.nir else [])]
        self._lenses = tuple(
            Lens(self._weather, self._shader.light, k, own)
            for k, own in zip(cameras, rng.spawn(len(cameras)), strict=True)
        )

    def capture(self, pose: Pose, rng: np.random.Generator) -> Sample:
        """Renders every image of the rig from the left camera's ``pose``."""
        shake = float(rng.uniform(0, np.pi)) if self._weather.motion else 0.0
        k, other = self._rig.intrinsics, self._rig.nir
        poses = (pose, pose.shifted_right(self._rig.baseline))
        eyes = [self._look(self._lenses[i], own, k, pose, shake, rng) for i, own in enumerate(poses)]
        left = eyes[0]
        state, stops = self._camera, self._weather.stops
        gain, state_now = self._expose(exposure_gain(left.radiance[..., :3], state.target))
        color, right = (develop_color(eye.radiance[..., :3], gain * 2.0**stops, state_now, rng) for eye in eyes)
        infrared = left
        if other is not None:  # a generator of its own: whatever it is, colour and depth stay as they are
            infrared = self._look(
                self._lenses[2], pose.beside(other), other.intrinsics, pose, shake, rng.spawn(1)[0]
            )  # fmt: skip
        gain, state_now = self._expose(exposure_gain(infrared.radiance[..., 3], state.target + 0.02))
        nir = develop_nir(infrared.radiance[..., 3], gain * 2.0**stops, state_now, rng)
        depth = stereo_depth(color, right, self._rig)
        nir_depth = None if other is None else infrared.depth
        return Sample(color, right, nir, depth, left.depth, left.label, nir_depth)

    def _look(
        self, lens: Lens, own: Pose, k: Intrinsics, rig: Pose, shake: float, rng: np.random.Generator
    ) -> ShadedView:
        """What reaches the sensor of a camera at ``own`` on a rig at ``rig``, which carries the lamp."""
        view = self._shader.shade(self._renderer.view(own, k), own, k, lamp=rig)
        seen = lens.look(view.radiance, view.label == ForestClass.SKY, own, shake, rng)
        return replace(view, radiance=seen)

    def _expose(self, gain: float) -> tuple[float, CameraState]:
        """The gain that the camera has, and its noise there: in the dark it is short of light."""
        if self._weather == CALM:
            return gain, self._camera
        gain = min(gain, LARGEST_GAIN)
        return gain, replace(self._camera, noise=self._camera.noise * max(1.0, gain / 2.0) ** 0.6)

    def random_sample(self, rng: np.random.Generator) -> Sample:
        """What the rig sees from a random pose that nothing blocks."""
        for _ in range(5):
            sample = self.capture(self.random_pose(rng), rng)
            if np.mean((sample.true_depth > 0) & (sample.true_depth < BLOCKED_DEPTH)) < 0.5:
                break
        return sample

    def random_pose(self, rng: np.random.Generator) -> Pose:
        """A pose of a robot somewhere on the trail, more or less along it, clear of obstacles."""
        p = self.parameters
        for _ in range(50):
            x = float(rng.uniform(0.0, 44.0))
            heading = p.trail_heading(x)
            offset = float(rng.normal(0, 0.16 * p.trail_width))
            position = np.array([x, float(p.trail_y(np.array([x]))[0]) + offset])
            obstacles = self.world.obstacles
            gaps = np.hypot(obstacles[:, 0] - position[0], obstacles[:, 1] - position[1]) - obstacles[:, 2]
            if not len(gaps) or gaps.min() > 0.9:
                break
        height = self.world.height(position[0], position[1]) + p.camera_height
        return Pose.looking(
            np.append(position, height),
            heading + float(rng.normal(0, np.radians(9))),
            p.camera_pitch - self.world.slope(position[0], position[1], heading) + float(rng.normal(0, np.radians(2))),
            float(rng.normal(0, np.radians(2))),
        )
