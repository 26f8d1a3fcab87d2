# SPDX-License-Identifier: Apache-2.0
"""The generic folder layout, which the synthetic world writes too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssma_ros.documents import convert, load_json
from ssma_ros.encodings.hha import unit_vector
from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.sensors import DRIVER, SENSORS, readings, setting_names
from ssma_ros.training.datasets.cameras import CAMERAS, CameraFiles
from ssma_ros.training.datasets.conditions import read_conditions, scene_of
from ssma_ros.training.datasets.images import pictures_in
from ssma_ros.training.datasets.paths import PathDataset, SamplePaths, require_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics
    from ssma_ros.labels import LabelSet
    from ssma_ros.sensors import Reading

#: Beside the splits: how the pictures are read, as the data set's options say it.
SENSORS_NAME = "sensors.json"
#: Metres of one unit of depth: more is a number of units a metre.
_LARGEST_SCALE = 1.0


class FolderDataset(PathDataset):
    """``ROOT/SPLIT/{rgb,depth,nir,…,label}/NAME.*``, with ``ROOT[/SPLIT]/camera.json`` where there is depth.

    The folders of sensors are those of the table of sensors, ``label`` has the labels (see
    :func:`~ssma_ros.training.datasets.label_images.read_label`); pictures are PNG, TIFF, BMP or, not for labels and
    measurements, JPEG, and those of a sample share their name without suffix. camera.json has fx, fy, cx, cy, width,
    height, and ``gravity`` where it is known; images of other sizes but one shape are of the same camera scaled. Where
    cameras differ, ``SPLIT/camera/SEQUENCE.json`` is that of the samples ``SEQUENCE_…``, and
    ``SPLIT/camera/NAME.json`` that of one sample. With ``.nir`` before ``.json`` these are files of the near infrared
    camera, where its pictures are not in the driving camera's pixels: with ``rotation`` and ``translation``, see
    :class:`~ssma_ros.frame.Camera`. A sensor whose folder is absent is absent from every sample; within a
    folder that exists every labelled sample must have its file.

    Args:
        folders: sensor → its folder, where it has another name.
        camera: False = no camera.json, so no HHA; the set is not calibrated or its depth is not in metres.
        gravity: "down" in the camera's optical frame (x right, y down, z forward) for all samples; a camera.json's own
            comes first. None = estimated from depth.
        limit: split name → use only that many samples of it, the first by name; other splits whole.
        settings: what the robot is told by the same names: ``depth_scale`` (metres of one unit, default millimetres),
            ``depth_invalid``, ``nir_full_scale``, ``color_full_scale``, …. What is not said here is read from
            ``ROOT/sensors.json``, which ``ssma extract`` writes.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        labels: LabelSet,
        *,
        folders: Mapping[str, str] | None = None,
        camera: bool = True,
        gravity: Sequence[float] | None = None,
        limit: Mapping[str, int] | None = None,
        **settings: Any,
    ) -> None:
        where = f"data set {root}"
        settings = {**_own_settings(Path(root)), **settings}
        self._settings = dict(settings)
        self.readings = _readings(where, settings)
        self._calibrated = camera
        self._down = None if gravity is None else _direction(where, gravity)
        self._named = _names(where, "folders", folders, "sensor → folder", str)
        for sensor in self._named:
            if sensor not in SENSORS:
                raise SsmaError(f"{where}: folders name sensor '{sensor}', {expected_one_of(sensor, SENSORS)}")
        self._folders = {**{s.name: s.folder for s in SENSORS.values()}, **self._named}
        self._limit = _names(where, "limit", limit, "split → number", int).get(split)
        self._camera_files = CameraFiles(Path(root), split)
        super().__init__(root, split, labels)
        self._conditions = read_conditions(self.root / split)
        if self._samples[0].camera is not None:
            self._camera_files.read_driving(self._samples[0].camera)

    def group(self, index: int) -> str | None:
        """Condition of the sample's scene, from ``SPLIT/conditions.json`` where the synthesizer wrote one."""
        return self._conditions.get(scene_of(self.name(index)))

    def settings(self) -> Mapping[str, Any]:
        """What was said of the sensors, and gravity."""
        chosen: dict[str, Any] = {
            name: value for name, value in self._settings.items()
            if self.readings[setting_names()[name][0].name] != setting_names()[name][0].reading
        }
        if self.readings["depth"].scale == SENSORS["depth"].scale:  # said, and the same as not said
            chosen.pop("depth_scale", None)
        # What is left is colour's.
        chosen |= {f"folder of {s}": f for s, f in self._named.items() if s != DRIVER and f != SENSORS[s].folder}
        return chosen if self._down is None else {**chosen, "gravity": self._down.tolist()}

    def _list_samples(self) -> list[SamplePaths]:
        labels = self._labels_folder()
        folder = self.root / self.split
        for named in self._named.values():
            require_folder(self.root, f"{self.split}/{named}")
        found = {s: pictures_in(folder / f) for s, f in self._folders.items() if (folder / f).is_dir()}
        if not found:
            raise SsmaError(f"data set {self.root}: none of {', '.join(self._folders.values())} in {self.split}, "
                            "expected at least one")
        calibrated = self._calibrated and "depth" in found
        samples = []
        listed = next(iter(found.values())) if labels is None else pictures_in(labels)
        for name, listing in list(listed.items())[: self._limit]:
            for sensor, pictures in found.items():
                if name not in pictures:
                    missing = f"{self.split}/{self._folders[sensor]}/{listing.name}"
                    raise SsmaError(f"data set {self.root}: {missing} is missing (sample {name}; a picture of another "
                                    "kind would do)")
            images = {sensor: pictures[name] for sensor, pictures in found.items()}
            camera = self._camera_files.driving(name) if calibrated else None
            label = None if labels is None else listing
            sample = SamplePaths(name=name, label=label, camera=camera, **images)
            sample.others = {s: path for s in images if (path := self._camera_files.other(name, s)) is not None}
            samples.append(sample)
        return samples

    def _labels_folder(self) -> Path | None:
        """Whose pictures are the samples; None = the first sensor's, which have no labels."""
        return require_folder(self.root, f"{self.split}/label")

    def _intrinsics(self, sample: SamplePaths, width: int, height: int) -> Intrinsics | None:
        if sample.camera is None:
            return None
        camera, _ = self._camera_files.read_driving(sample.camera)
        if abs(camera.width * height - camera.height * width) > max(camera.width, width):
            raise SsmaError(
                f"camera file {sample.camera}: is of {camera.width}x{camera.height} pixels, {sample.files[0]} has "
                f"{width}x{height}, which is another shape; expected the size of the images, or camera.json in the "
                "split's folder"
            )
        return camera.resized(width, height)

    def _gravity(self, sample: SamplePaths) -> NDArray[np.float64] | None:
        own = None if sample.camera is None else self._camera_files.read_driving(sample.camera)[1]
        return self._down if own is None else own


class PictureFolder(FolderDataset):
    """As :class:`FolderDataset`, of pictures that nobody has labelled yet: those of the first sensor are the samples,
    and there is no ``label`` folder to look into. Its samples have frames and names, and no labels."""

    def _labels_folder(self) -> Path | None:
        return None


def is_calibrated(root: Path, split: str) -> bool:
    """Whether a folder of pictures has a camera file, or no depth that would need one."""
    folder = root / split
    files = (root / "camera.json", folder / "camera.json", folder / CAMERAS)
    return any(path.exists() for path in files) or not (folder / SENSORS["depth"].folder).is_dir()


def _own_settings(root: Path) -> dict[str, Any]:
    """What the data set says of its own pictures."""
    path = root / SENSORS_NAME
    if not path.is_file():
        return {}
    what = f"settings of sensors {path}"
    document: dict[str, Any] = convert(dict[str, Any], load_json(path, what), what, "the document")
    return document


def _readings(where: str, settings: Mapping[str, Any]) -> dict[str, Reading]:
    known = setting_names()
    for name, value in settings.items():
        if name not in known:
            options = (*known, "folders", "camera", "gravity", "limit")
            raise SsmaError(f"{where}: option '{name}' is unknown, {expected_one_of(name, options)}")
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in numbers):
            raise SsmaError(f"{where}: {name} is {value!r}, expected a number (of {name}: metres, counts, … as the "
                            "node's parameter of this name)")
    try:
        chosen = readings(settings)
    except (ValueError, TypeError) as error:
        raise SsmaError(f"{where}: {error}") from None
    scale = chosen["depth"].scale
    if "depth_scale" in settings and not 0.0 < scale <= _LARGEST_SCALE:
        raise SsmaError(
            f"{where}: depth_scale is {scale:g} metres for one unit of depth, expected more than 0 and at most "
            f"{_LARGEST_SCALE:g}; a number of units a metre is its inverse (1000 units: 0.001)"
        )
    return chosen


def _direction(where: str, gravity: Any) -> NDArray[np.float64]:
    try:
        return unit_vector(gravity)
    except (ValueError, TypeError) as error:
        raise SsmaError(f"{where}: {error}") from None


def _names(where: str, option: str, given: Any, form: str, kind: type) -> dict[str, Any]:
    """An option that maps names, checked."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(value, kind) for value in given.values()):
        raise SsmaError(f"{where}: {option} is {given!r}, expected a mapping {form}")
    return dict(given)
