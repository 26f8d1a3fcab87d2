# SPDX-License-Identifier: Apache-2.0
"""ScanNet's 25 000 benchmark frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssma_ros.frame import Intrinsics
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, read_lines, read_numbers, require_folder

if TYPE_CHECKING:
    from pathlib import Path


class ScanNetDataset(PathDataset):
    """``scannet_frames_25k/SCENE/{color/N.jpg, depth/N.png, label/N.png, intrinsics_color.txt}``; the scenes of a split
    are listed in ``ROOT/scannetv2_SPLIT.txt``.

    Depth is in millimetres on a smaller grid than colour and covers the same view; it is enlarged to the nearest
    pixel. Labels hold NYU40 ids.
    """

    may_resize = True

    def _list_samples(self) -> list[SamplePaths]:
        frames = require_folder(self.root, "scannet_frames_25k")
        samples = []
        for scene in read_lines(self.root / f"scannetv2_{self.split}.txt", "split file"):
            folder: Path = frames / scene
            images = require_folder(self.root, f"scannet_frames_25k/{scene}/color")
            samples += [
                SamplePaths(
                    name=f"{scene}/{image.stem}", color=image, depth=folder / "depth" / f"{image.stem}.png",
                    label=folder / "label" / f"{image.stem}.png", camera=folder / "intrinsics_color.txt",
                )
                for image in sorted(images.glob("*.jpg"))
            ]
        return samples

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        assert sample.camera is not None
        k = read_numbers(sample.camera, "camera file", 16)  # a 4×4 matrix
        return Intrinsics(fx=k[0], fy=k[5], cx=k[2], cy=k[6], width=width, height=height)
