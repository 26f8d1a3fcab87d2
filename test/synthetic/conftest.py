# SPDX-License-Identifier: Apache-2.0
"""What the synthetic world's tests share: one renderer, one rig, two scenes' samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.synthetic.renderer import Renderer
from ssma_ros.synthetic.sampling import Sample, Scene
from ssma_ros.synthetic.sensor import StereoRig


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    try:
        renderer = Renderer()
    except SsmaError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


@pytest.fixture(scope="session")
def rig() -> StereoRig:
    return StereoRig.default()


@dataclass(frozen=True)
class Captured:
    """A scene's first picture, with the seed that made it."""

    seed: int
    sample: Sample


def capture(renderer: Renderer, rig: StereoRig, seed: int) -> Sample:
    rng = np.random.default_rng([seed, 10])
    scene = Scene(renderer, seed, rig)
    return scene.capture(scene.random_pose(rng), rng)


@pytest.fixture(scope="session")
def captured(renderer: Renderer, rig: StereoRig) -> list[Captured]:
    return [Captured(seed, capture(renderer, rig, seed)) for seed in (21, 22)]
