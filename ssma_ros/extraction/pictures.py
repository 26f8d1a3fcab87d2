# SPDX-License-Identifier: Apache-2.0
"""A frame as files that the data sets read back as the very same frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.documents import load_json
from ssma_ros.files import write_json, write_picture
from ssma_ros.kernels.shared import raw_values
from ssma_ros.sensors import SENSORS
from ssma_ros.training.datasets.cameras import CAMERAS, driving_document, other_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.frame import Frame
    from ssma_ros.sensors import Reading, Sensor

_PNG, _TIFF = ".png", ".tiff"
#: Small files in little time; what a PNG holds does not depend on it.
_PARAMETERS = {_PNG: [cv2.IMWRITE_PNG_COMPRESSION, 4], _TIFF: []}
_SUFFIXES = tuple(_PARAMETERS)


def settings_of(readings: Mapping[str, Reading]) -> dict[str, float]:
    """What a reader of the files must be told: full scales of 16-bit intensities that are not that of 16 bits."""
    intensities = [s for s in SENSORS.values() if s.pixels == "intensity"]
    scales = {s.name: readings.get(s.name, s.reading).full_scale for s in intensities}
    return {f"{name}_full_scale": scales[name] for name in scales if scales[name] != SENSORS[name].reading.full_scale}


def write_frame(frame: Frame, sensors: Iterable[str], folder: Path, name: str) -> None:
    """Write a frame's images below a split's folder, each whole or not at all.

    Colour and intensities are PNG files. A measurement is a 16-bit PNG in the sensor's convention (millimetres,
    hundredths of a kelvin) where that loses nothing, else a TIFF of floats in its unit.

    Args:
        frame: to write.
        sensors: whose images; the frame has them all.
        folder: of the split; the sensors' folders are in it.
        name: of the sample.

    Raises:
        SsmaError: the disk refuses.
    """
    for sensor in sensors:
        image = frame.images[sensor]
        suffix = _PNG
        if SENSORS[sensor].pixels == "measurement":
            suffix, image = _measurement(SENSORS[sensor], image)
        write_picture(folder / SENSORS[sensor].folder / f"{name}{suffix}", image, _PARAMETERS[suffix])


def is_written(sensors: Iterable[str], folder: Path, name: str, *, label: bool) -> bool:
    """Whether every file of a sample is there."""
    parts = [SENSORS[sensor].folder for sensor in sensors]
    pictures = all(any((folder / part / f"{name}{suffix}").is_file() for suffix in _SUFFIXES) for part in parts)
    return pictures and (not label or (folder / "label" / f"{name}{_PNG}").is_file())


def write_cameras(frame: Frame, folder: Path, sequence: str, name: str) -> None:
    """The sequence's camera files where there are none yet, the sample's own where they differ from those.

    Args:
        frame: its intrinsics, gravity where it has one, and the cameras of sensors that stand elsewhere.
        folder: of the split.
        sequence: that the sample is of.
        name: of the sample.

    Raises:
        SsmaError: the disk refuses.
    """
    documents = {f".{sensor}": other_document(camera) for sensor, camera in frame.cameras.items()}
    if frame.intrinsics is not None:
        documents[""] = driving_document(frame.intrinsics, frame.gravity)
    for kind, document in documents.items():
        (folder / CAMERAS).mkdir(exist_ok=True)
        shared = folder / CAMERAS / f"{sequence}{kind}.json"
        if not shared.is_file():
            write_json(shared, document)
        elif load_json(shared, "camera file") != document:
            write_json(folder / CAMERAS / f"{name}{kind}.json", document)


def _measurement(sensor: Sensor, image: NDArray[np.float32]) -> tuple[str, NDArray[Any]]:
    """Suffix and pixels of the file."""
    raw = np.rint(np.where(np.isfinite(image) & (image > 0), image, 0).astype(np.float64) / sensor.scale)
    if raw.max(initial=0.0) <= np.iinfo(np.uint16).max:
        stored = raw.astype(np.uint16)
        if np.array_equal(raw_values.measurement(stored, sensor, sensor.reading), image):
            return _PNG, stored
    return _TIFF, image
