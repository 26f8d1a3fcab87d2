# SPDX-License-Identifier: Apache-2.0
"""Cityscapes: leftImg8bit, disparity, camera and gtFine as unpacked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.frame import Intrinsics
from ssma_ros.training.datasets.images import read_gray
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, require_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class CityscapesDataset(PathDataset):
    """``leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png`` with ``gtFine/…/NAME_gtFine_labelIds.png`` and, where the folder
    ``disparity`` exists, ``disparity/…/NAME_disparity.png`` and ``camera/…/NAME_camera.json``.

    Disparity is stored as 256·d + 1, 0 = no reading; depth = baseline · fx / d.
    """

    def _list_samples(self) -> list[SamplePaths]:
        images = require_folder(self.root, f"leftImg8bit/{self.split}")
        has_depth = (self.root / "disparity").is_dir()
        samples = []
        for image in sorted(images.glob("*/*_leftImg8bit.png")):
            city, name = image.parent.name, image.name.removesuffix("_leftImg8bit.png")

            def beside(kind: str, suffix: str, city: str = city, name: str = name) -> Path:
                return self.root / kind / self.split / city / f"{name}_{suffix}"

            samples.append(SamplePaths(
                name=name, color=image, label=beside("gtFine", "gtFine_labelIds.png"),
                depth=beside("disparity", "disparity.png") if has_depth else None,
                camera=beside("camera", "camera.json") if has_depth else None,
            ))
        return samples

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32]:
        assert sample.camera is not None
        raw = read_gray(sample.images["depth"], "disparity image", ("uint16",)).astype(np.float32)
        camera = _camera(sample.camera)
        disparity = (raw - 1.0) / 256.0
        constant = np.float32(camera["extrinsic"]["baseline"] * camera["intrinsic"]["fx"])
        return np.divide(constant, disparity, out=np.zeros_like(raw), where=disparity > 0)

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        if sample.camera is None:
            return None
        k = _camera(sample.camera)["intrinsic"]
        return Intrinsics(fx=k["fx"], fy=k["fy"], cx=k["u0"], cy=k["v0"], width=width, height=height)


def _camera(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for section, names in (("intrinsic", ("fx", "fy", "u0", "v0")), ("extrinsic", ("baseline",))):
            for name in names:
                document[section][name] = float(document[section][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SsmaError(
            f"camera file {path}: {type(error).__name__} at {error}, expected Cityscapes' camera.json"
        ) from None
    return document
