"""The generic folder layout, which the synthetic world writes too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.training.datasets.base import check_size, read_gray, read_intrinsics
from ssma_ros.training.datasets.conditions import read_conditions, scene_of
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, require_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics
    from ssma_ros.labels import LabelSet

#: Optional sensors and the folder each has unless ``folders`` says otherwise.
_SENSOR_FOLDERS = {"color": "rgb", "depth": "depth", "nir": "nir"}
_MILLIMETRE = 1e-3


class FolderDataset(PathDataset):
    """``ROOT/SPLIT/{rgb,depth,nir,label}/NAME.png``, with ``ROOT[/SPLIT]/camera.json`` where there is depth.

    rgb: 8-bit colour. depth: 16-bit, 0 = no reading, in units of ``depth_scale`` metres. nir: 8- or 16-bit grey.
    label: 8-bit ids. camera.json: fx, fy, cx, cy, width, height. A sensor whose folder is absent is absent from every
    sample; within a folder that exists every labelled sample must have its file.

    Args:
        depth_scale: metres of one depth unit (default: millimetres).
        folders: sensor (``color``, ``depth``, ``nir``) → its folder, where it has another name. One-channel images are
            read as colour too, with three equal channels: a camera of one band.
        camera: False = no camera.json, so no HHA; the set is not calibrated or its depth is not in metres.
        limit: split name → use only that many samples of it, the first by name; other splits whole.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        labels: LabelSet,
        *,
        depth_scale: float = _MILLIMETRE,
        folders: Mapping[str, str] | None = None,
        camera: bool = True,
        limit: Mapping[str, int] | None = None,
    ) -> None:
        self._depth_scale = depth_scale
        self._calibrated = camera
        self._named = tuple((folders or {}).values())  # these must be there, the default ones may be
        self._folders = {**_SENSOR_FOLDERS, **(folders or {})}
        unknown = [s for s in self._folders if s not in _SENSOR_FOLDERS]
        if unknown:
            raise SsmaError(f"data set {root}: folders name sensor '{unknown[0]}', "
                            f"expected one of {', '.join(_SENSOR_FOLDERS)}")
        self._limit = (limit or {}).get(split)
        super().__init__(root, split, labels)
        self._conditions = read_conditions(self.root / split)
        self._camera: Intrinsics | None = None
        if self._samples[0].camera is not None:
            self._camera = read_intrinsics(self._samples[0].camera)

    def group(self, index: int) -> str | None:
        """Condition of the sample's scene, from ``SPLIT/conditions.json`` where the synthesizer wrote one."""
        return self._conditions.get(scene_of(self.name(index)))

    def settings(self) -> Mapping[str, Any]:
        """Scale of depth, and which folder is depth's and which near infrared's; what is left is colour's."""
        named: dict[str, Any] = {
            sensor: folder for sensor, folder in self._folders.items()
            if sensor != "color" and folder != _SENSOR_FOLDERS[sensor]
        }
        return named if self._depth_scale == _MILLIMETRE else {**named, "depth_scale": float(self._depth_scale)}

    def _list_samples(self) -> list[SamplePaths]:
        labels = require_folder(self.root, f"{self.split}/label")
        folder = labels.parent
        for named in self._named:
            require_folder(self.root, f"{self.split}/{named}")
        sensors = {s: folder / f for s, f in self._folders.items() if (folder / f).is_dir()}
        if not sensors:
            raise SsmaError(f"data set {self.root}: none of {', '.join(self._folders.values())} in {self.split}, "
                            "expected at least one")
        camera = None
        if "depth" in sensors and self._calibrated:
            own = folder / "camera.json"
            camera = own if own.is_file() else self.root / "camera.json"
        return [
            SamplePaths(
                name=label.stem, label=label, camera=camera, **{s: f / label.name for s, f in sensors.items()}
            )
            for label in sorted(labels.glob("*.png"))[: self._limit]
        ]

    def _read_depth(self, sample: SamplePaths) -> NDArray[np.float32]:
        assert sample.depth is not None
        raw = read_gray(sample.depth, "depth image", "uint16")
        return raw.astype(np.float32) * np.float32(self._depth_scale)

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        if self._camera is not None and sample.camera is not None:
            expected = (self._camera.width, self._camera.height)
            check_size(np.empty((height, width)), expected, sample.files[0], "image")
        return self._camera
