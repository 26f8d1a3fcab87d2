# SPDX-License-Identifier: Apache-2.0
"""A picture of one world under several conditions: colour, near infrared, stereo depth and labels side by side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssma_ros.files import check_file_writable, write_picture
from ssma_ros.labels import load_label_set
from ssma_ros.synthetic.conditions import find_condition
from ssma_ros.synthetic.dataset import LABEL_SET
from ssma_ros.synthetic.renderer import Renderer
from ssma_ros.synthetic.sampling import Sample, Scene
from ssma_ros.synthetic.sensor import StereoRig

_TILE = (384, 192)
#: Depths between which the colours of the depth pictures run, metres.
_NEAR, _FAR = 0.7, 40.0


def write_contact_sheet(path: Path, seed: int, conditions: tuple[str, ...]) -> None:
    """Writes a PNG with one row for each condition.

    Raises:
        SsmaError: a condition is unknown, OpenGL is missing, or the file cannot be written.
    """
    check_file_writable(path)
    rig = StereoRig.default()
    palette = np.array(load_label_set(LABEL_SET).palette(), np.uint8)[:, ::-1]
    rows = []
    with Renderer() as renderer:
        for name in conditions:
            scene = Scene(renderer, seed, rig, condition=find_condition(name))
            rng = np.random.default_rng([seed, 10])
            rows.append(_row(scene.random_sample(rng), name, palette))
    write_picture(path, np.vstack(rows))


def _row(sample: Sample, name: str, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    level = np.log(np.clip(sample.depth, _NEAR, _FAR) / _NEAR) / np.log(_FAR / _NEAR)
    depth = cv2.applyColorMap((255 * (1 - level)).astype(np.uint8), cv2.COLORMAP_TURBO)
    depth[sample.depth == 0] = 0
    pictures = (sample.color, cv2.cvtColor(sample.nir, cv2.COLOR_GRAY2BGR), depth, palette[sample.label])
    tiles = [cv2.resize(np.asarray(picture, np.uint8), _TILE, interpolation=cv2.INTER_AREA) for picture in pictures]
    row = np.ascontiguousarray(np.hstack(tiles))
    for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(row, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, width, cv2.LINE_AA)
    return np.asarray(row, np.uint8)
