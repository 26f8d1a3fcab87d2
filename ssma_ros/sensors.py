# SPDX-License-Identifier: Apache-2.0
"""What a sensor is: the one table that node, recordings, demo, data sets and training read sensors off.

A new sensor is one line of :data:`SENSORS`. What a network is given of it is an encoding, see ``ssma_ros/encodings``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What pixels are: three 8-bit channels; 8 or 16 bits of light; a float32 quantity with a unit, 0 = no reading.
Pixels = Literal["color", "intensity", "measurement"]


@dataclass(frozen=True)
class Sensor:
    """One kind of image that a frame can hold.

    Attributes:
        name: key in a frame, and prefix of the sensor's parameters and options.
        title: for people.
        pixels: how its messages and files are read, stored and resampled. A measurement is never averaged: a mean of
            two surfaces is a surface that is not there.
        topic: of its images before remapping; ``camera_info`` lies beside it.
        folder: in a folder data set.
        words: a recorded topic whose name has one of these words is this sensor's.
        unit: of a measurement.
        scale: units that one count of an integer image stands for, by the sensor's convention (depth: REP-118).
        invalid: raw values that mean "no reading", besides 0 and NaN.
        plausible: smallest and largest median of a measurement that nobody wonders about.
        settings: fields of :class:`Reading` that are parameters, named ``<sensor>_<setting>``.
        transport: of image_transport, besides ``raw``.
        disparity: topic of stereo_msgs/DisparityImage that may stand in for it, or empty.
    """

    name: str
    title: str
    pixels: Pixels
    topic: str
    folder: str
    words: frozenset[str]
    unit: str = ""
    scale: float = 1.0
    invalid: tuple[float, ...] = ()
    plausible: tuple[float, float] = (0.0, math.inf)
    settings: tuple[str, ...] = ("full_scale",)
    transport: str = "compressed"
    disparity: str = ""

    @property
    def channels(self) -> int:
        """Of its images in a frame."""
        return 3 if self.pixels == "color" else 1

    @property
    def camera_info(self) -> str:
        """Topic of its camera's CameraInfo, beside the images; before remapping."""
        return f"{self.topic.rpartition('/')[0]}/camera_info"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Of its images in a frame."""
        return {"color": ("uint8",), "intensity": ("uint8", "uint16"), "measurement": ("float32",)}[self.pixels]

    @property
    def reading(self) -> Reading:
        """How its raw values are read where nothing else is said."""
        return Reading(invalid=self.invalid)


@dataclass(frozen=True)
class Reading:
    """How raw values of one sensor are read: what a driver or a file does not say about itself.

    Attributes:
        scale: of a measurement, units that one raw count stands for; 0 = by convention (integers
            :attr:`Sensor.scale`, floats the unit itself).
        offset: of a measurement, added after the scale, units.
        invalid: raw values that mean "no reading", besides 0 and NaN.
        full_scale: of 16-bit colour or intensity, the value of a saturated pixel (4095 for a 12-bit sensor that is not
            shifted).

    Raises:
        ValueError: the scale is negative or not finite, the offset not finite, or the full scale not positive.
    """

    scale: float = 0.0
    offset: float = 0.0
    invalid: tuple[float, ...] = ()
    full_scale: float = 65535.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.scale < math.inf:
            raise ValueError(f"scale is {self.scale}, expected a positive number, or 0 for the sensor's convention")
        if not math.isfinite(self.offset):
            raise ValueError(f"offset is {self.offset}, expected a finite number")
        if not 0.0 < self.full_scale < math.inf:
            raise ValueError(f"full_scale is {self.full_scale}, expected a positive number")


#: By name, in the order in which sensors are named everywhere.
SENSORS: Mapping[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            "color", "colour", "color", "camera/image_rect", "rgb", frozenset({"color", "colour", "rgb", "bgr"}),
        ),
        Sensor(
            "depth", "depth", "measurement", "depth/image_rect", "depth", frozenset({"depth"}), unit="m", scale=1e-3,
            invalid=(65535.0,), plausible=(0.1, 500.0), settings=("scale", "invalid"), transport="compressedDepth",
            disparity="depth/disparity",
        ),
        Sensor(
            "nir", "near infrared", "intensity", "nir/image_rect", "nir", frozenset({"nir", "ir", "infrared"}),
        ),
        Sensor(
            "thermal", "thermal", "measurement", "thermal/image_rect", "thermal", frozenset({"thermal", "lwir"}),
            unit="K", scale=0.01, plausible=(220.0, 420.0), settings=("scale", "offset", "invalid"),
        ),
    )
}

#: The sensor whose images drive the output: stamp, frame_id and size of everything else follow it.
DRIVER = next(iter(SENSORS))


#: Place of another camera in the colour camera's optical frame: x y z (metres), qx qy qz qw, as tf has it.
Extrinsics = tuple[float, ...]
#: An :data:`Extrinsics` parameter that is not given: they are looked up in tf.
FROM_TF: Extrinsics = (0.0,)


def registered(settings: Mapping[str, Any]) -> dict[str, Extrinsics]:
    """The sensors whose images are brought into the colour camera's pixels, and where their cameras stand.

    Args:
        settings: values by name: ``register_<sensor>`` and ``<sensor>_extrinsics``; others are left alone.

    Returns:
        By sensor its extrinsics, or :data:`FROM_TF`.

    Raises:
        ValueError: extrinsics are not seven numbers, or their quaternion is none; the sentence begins with the name.
    """
    chosen = {}
    for sensor in SENSORS:
        asked = settings.get(f"register_{sensor}", False)
        if not isinstance(asked, bool):
            raise ValueError(f"register_{sensor} is {asked!r}, expected true or false")
        if not asked:
            continue
        given = tuple(float(value) for value in settings.get(f"{sensor}_extrinsics", FROM_TF)) or FROM_TF
        if given != FROM_TF and (len(given) != 7 or not math.isfinite(sum(given)) or not any(given[3:])):
            raise ValueError(
                f"{sensor}_extrinsics is {list(given)}, expected x, y, z in metres and a quaternion qx, qy, qz, qw of "
                f"its camera in the colour camera's optical frame, or {list(FROM_TF)} to take them from tf"
            )
        chosen[sensor] = given
    return chosen


def registration_names() -> tuple[str, ...]:
    """Every name that :func:`registered` reads."""
    return tuple(name for s in SENSORS if s != DRIVER for name in (f"register_{s}", f"{s}_extrinsics"))


def setting_names() -> dict[str, tuple[Sensor, str]]:
    """Of every setting of every sensor, ``<sensor>_<setting>``: whose it is and which field of :class:`Reading`."""
    return {f"{s.name}_{setting}": (s, setting) for s in SENSORS.values() for setting in s.settings}


def readings(settings: Mapping[str, Any]) -> dict[str, Reading]:
    """How each sensor's raw values are read.

    Args:
        settings: values by name (:func:`setting_names`); others are left alone, and what is not named is as the
            sensor's convention says.

    Raises:
        ValueError: a value is out of range; the sentence begins with its name.
    """
    chosen = {sensor.name: sensor.reading for sensor in SENSORS.values()}
    for name, (sensor, setting) in setting_names().items():
        if name in settings:
            value = settings[name]
            if setting == "invalid":
                value = tuple(float(v) for v in value)
            try:
                chosen[sensor.name] = replace(chosen[sensor.name], **{setting: value})
            except ValueError as error:
                raise ValueError(f"{sensor.name}_{error}") from None
    return chosen
