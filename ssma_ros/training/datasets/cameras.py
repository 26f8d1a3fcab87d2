# SPDX-License-Identifier: Apache-2.0
"""Camera files of a folder data set: of the data set, a split, a sequence or a sample; the nearest one counts.

A sensor whose pictures are of another camera than the driving one has a camera file of its own, which says where that
camera stands; its pictures are registered when network inputs are made of them, as those of a recording are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.documents import load_json, read
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Camera, Intrinsics
from ssma_ros.options import option
from ssma_ros.training.datasets.base import PinholeFile, read_intrinsics
from ssma_ros.training.datasets.conditions import scene_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: Folder of a split with the camera files of its sequences and samples.
CAMERAS = "camera"
_Row = tuple[float, float, float]


@dataclass(frozen=True)
class _OtherCamera(PinholeFile):
    rotation: tuple[_Row, _Row, _Row] = option(text="3×3, takes directions of its frame to the driving camera's.")
    translation: _Row = option(text="Metres, its place in the driving camera's frame.")


class CameraFiles:
    """The camera files of a split; the driving camera's are read once each.

    Args:
        root: of the data set.
        split: folder in it.
    """

    def __init__(self, root: Path, split: str) -> None:
        self._root, self._folder = root, root / split
        self._driving: dict[Path, tuple[Intrinsics, NDArray[np.float64] | None]] = {}

    def driving(self, name: str) -> Path:
        """That of the driving camera for a sample; where there is none, the one that is missing."""
        return self._nearest(name, "") or self._root / "camera.json"

    def other(self, name: str, sensor: str) -> Path | None:
        """That of a sensor's own camera for a sample; None where its pictures are in the driving camera's pixels."""
        return self._nearest(name, f".{sensor}")

    def _nearest(self, name: str, kind: str) -> Path | None:
        own = self._folder / CAMERAS
        paths = (own / f"{name}{kind}.json", own / f"{scene_of(name)}{kind}.json",
                 self._folder / f"camera{kind}.json", self._root / f"camera{kind}.json")
        return next((path for path in paths if path.is_file()), None)

    def read_driving(self, path: Path) -> tuple[Intrinsics, NDArray[np.float64] | None]:
        """Intrinsics, and "down" in the camera's optical frame where it is known.

        Raises:
            SsmaError: no such file, or it is no camera file.
        """
        if path not in self._driving:
            self._driving[path] = read_intrinsics(path)
        return self._driving[path]


def read_other(path: Path) -> Camera:
    """A sensor's own camera.

    Raises:
        SsmaError: no such file, or it is no such camera file.
    """
    what = f"camera file {path}"
    document = load_json(path, "camera file", "one with fx, fy, cx, cy, width, height, rotation, translation")
    found = read(_OtherCamera, document, what)
    facts = {key: value for key, value in vars(found).items() if key not in ("rotation", "translation")}
    try:
        return Camera(Intrinsics(**facts), np.array(found.rotation), found.translation)
    except ValueError as error:
        raise SsmaError(f"{what}: {error}") from None


def driving_document(intrinsics: Intrinsics, gravity: NDArray[np.float64] | None) -> dict[str, Any]:
    """What :meth:`CameraFiles.read_driving` reads."""
    document: dict[str, Any] = asdict(intrinsics)
    return document if gravity is None else {**document, "gravity": [float(v) for v in gravity]}


def other_document(camera: Camera) -> dict[str, Any]:
    """What :func:`read_other` reads."""
    return {**asdict(camera.intrinsics), "rotation": np.asarray(camera.rotation).tolist(),
            "translation": np.asarray(camera.translation).tolist()}
