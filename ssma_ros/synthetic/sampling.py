# SPDX-License-Identifier: Apache-2.0
"""Whole samples: a scene, a pose, and everything the rig sees from there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
        nir: H×W uint8.
        depth: H×W float32 metres by stereo matching, 0 = no reading.
        true_depth: H×W float32 metres, 0 in the sky.
        label: H×W uint8 train ids.
    """

    color: Image8
    right: Image8
    nir: Image8
    depth: FloatImage
    true_depth: FloatImage
    label: NDArray[np.uint8]


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
        self._rig = rig
        renderer.load(self.world)
        self._shader = Shader(renderer, self.world, self._weather)
        self._camera = camera or CameraState.draw(np.random.default_rng([seed, 4]))
        rng = np.random.default_rng([seed, 7])
        light, k = self._shader.light, rig.intrinsics
        self._lenses = tuple(Lens(self._weather, light, k, eye) for eye in rng.spawn(2))

    def capture(self, pose: Pose, rng: np.random.Generator) -> Sample:
        """Renders every image of the rig from the left camera's ``pose``."""
        shake = float(rng.uniform(0, np.pi)) if self._weather.motion else 0.0
        eyes = [self._look(pose, eye, shake, rng) for eye in (0, 1)]
        left = eyes[0]
        state, stops = self._camera, self._weather.stops
        gain, state_now = self._expose(exposure_gain(left.radiance[..., :3], state.target))
        color, right = (develop_color(eye.radiance[..., :3], gain * 2.0**stops, state_now, rng) for eye in eyes)
        gain, state_now = self._expose(exposure_gain(left.radiance[..., 3], state.target + 0.02))
        nir = develop_nir(left.radiance[..., 3], gain * 2.0**stops, state_now, rng)
        depth = stereo_depth(color, right, self._rig)
        return Sample(color, right, nir, depth, left.depth, left.label)

    def _look(self, pose: Pose, eye: int, shake: float, rng: np.random.Generator) -> ShadedView:
        """What reaches the sensor of one eye of a rig whose left camera is at ``pose``."""
        k = self._rig.intrinsics
        own = pose.shifted_right(self._rig.baseline) if eye else pose
        view = self._shader.shade(self._renderer.view(own, k), own, k, lamp=pose)
        seen = self._lenses[eye].look(view.radiance, view.label == ForestClass.SKY, own, shake, rng)
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
