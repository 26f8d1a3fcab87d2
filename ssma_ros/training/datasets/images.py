# SPDX-License-Identifier: Apache-2.0
"""Pictures as their files hold them: what OpenCV would turn, stretch or cut is read as it is, or refused.

Everything is read on the stored grid: an EXIF orientation turns nothing, for depth, near infrared and labels beside a
photograph carry none.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.kernels.shared import raw_values
from ssma_ros.sensors import SENSORS, Reading

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.frame import Frame

#: Of pictures, in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def pictures_in(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their name without suffix, in Unicode's composed form and in order.

    Names that another system has decomposed (macOS) are the same names; its ``._`` files are no
    pictures.

    Raises:
        SsmaError: two pictures have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        name = unicodedata.normalize("NFC", path.stem)
        if name in found:
            raise SsmaError(f"data set folder {folder}: {found[name].name} and {path.name} are one name, expected "
                            "one picture of each name")
        found[name] = path
    return dict(sorted(found.items()))


def read_pixels(path: Path, what: str) -> NDArray[Any]:
    """H×W or H×W×C as stored, channels in OpenCV's order.

    Raises:
        SsmaError: missing or unreadable file.
    """
    if not path.is_file():
        raise SsmaError(f"{what} {path}: no such file")
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SsmaError(f"{what} {path}: cannot be read as an image")
    return image


def read_gray(path: Path, what: str, dtypes: Collection[str]) -> NDArray[Any]:
    """A one-channel image in one of ``dtypes``.

    Raises:
        SsmaError: missing, unreadable, or another kind of image.
    """
    image = read_pixels(path, what)
    if image.ndim != 2 or image.dtype.name not in dtypes:
        raise SsmaError(
            f"{what} {path}: has shape {image.shape} and type {image.dtype}, "
            f"expected one channel of {' or '.join(dtypes)}"
        )
    return image


def read_sensor(path: Path, name: str, frame: Frame, readings: Mapping[str, Reading]) -> None:
    """Put a sensor's picture into a frame, by the same rules as its messages.

    Args:
        path: colour of 1, 3 or 4 channels of 8 or 16 bits; an intensity of one channel (or three equal ones) of 8 or 16
            bits; a measurement of one channel of 16-bit integers or floats.
        name: of the sensor.
        frame: gets the image, and for an intensity its full scale.
        readings: by sensor how raw values are read.

    Raises:
        SsmaError: missing, unreadable, or another kind of image.
    """
    sensor = SENSORS[name]
    reading = readings.get(name, sensor.reading)
    what = f"{sensor.title} image"
    if sensor.pixels == "measurement":
        raw = read_gray(path, what, ("uint16", "int16", "float32"))
        frame.images[name] = raw_values.measurement(raw, sensor, reading).copy()
        return
    image = read_pixels(path, what)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype.name not in ("uint8", "uint16") or channels not in (1, 3, 4):
        raise SsmaError(f"{what} {path}: has shape {image.shape} and type {image.dtype}, "
                        "expected 1, 3 or 4 channels of uint8 or uint16")
    if sensor.pixels == "color":
        to_bgr = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}
        bgr = image if channels == 3 else np.asarray(cv2.cvtColor(image, to_bgr[channels]))
        frame.images[name] = raw_values.eight_bits(bgr, reading.full_scale)
        return
    if channels > 1:
        if not (image[..., :3] == image[..., :1]).all():
            raise SsmaError(f"{what} {path}: has {channels} channels that differ, expected one, or equal ones")
        image = image[..., 0]
    frame.images[name] = np.ascontiguousarray(image)
    frame.full_scales[name] = 255.0 if image.dtype == np.uint8 else reading.full_scale
