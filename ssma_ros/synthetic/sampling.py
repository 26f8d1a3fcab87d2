"""Whole samples: a scene, a pose, and everything the rig sees from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssma_ros.synthetic.noise import FloatImage
from ssma_ros.synthetic.renderer import Pose, Renderer
from ssma_ros.synthetic.scene import SceneParameters
from ssma_ros.synthetic.sensor import (
    CameraState,
    Image8,
    StereoRig,
    develop_color,
    develop_nir,
    exposure_gain,
    stereo_depth,
)
from ssma_ros.synthetic.shading import Shader
from ssma_ros.synthetic.world import World, build_world


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

    def __init__(self, renderer: Renderer, seed: int, rig: StereoRig, camera: CameraState | None = None) -> None:
        self.parameters = SceneParameters.from_seed(seed)
        self.world: World = build_world(self.parameters)
        self._renderer = renderer
        self._rig = rig
        renderer.load(self.world)
        self._shader = Shader(renderer, self.world)
        self._camera = camera or CameraState.draw(np.random.default_rng([seed, 4]))

    def capture(self, pose: Pose, rng: np.random.Generator) -> Sample:
        """Renders every image of the rig from the left camera's ``pose``."""
        k = self._rig.intrinsics
        left = self._shader.shade(self._renderer.view(pose, k), pose, k)
        right_pose = pose.shifted_right(self._rig.baseline)
        right = self._shader.shade(self._renderer.view(right_pose, k), right_pose, k)
        state = self._camera
        gain = exposure_gain(left.radiance[..., :3], state.target)
        color = develop_color(left.radiance[..., :3], gain, state, rng)
        color_right = develop_color(right.radiance[..., :3], gain, state, rng)
        nir_gain = exposure_gain(left.radiance[..., 3], state.target + 0.02)
        nir = develop_nir(left.radiance[..., 3], nir_gain, state, rng)
        depth = stereo_depth(color, color_right, self._rig)
        return Sample(color, color_right, nir, depth, left.depth, left.label)

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
