# SPDX-License-Identifier: Apache-2.0
"""Matched messages to one :class:`~ssma_ros.frame.Frame`: what a sensor may do wrong costs that sensor alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ssma_ros.frame import Frame
from ssma_ros.kernels.shared.resampling import bilinear, nearest
from ssma_ros.messages import decode as conversion
from ssma_ros.messages.rectify import Lenses
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.messages.transforms import CameraPlaces, gravity
from ssma_ros.options import check_ranges, option
from ssma_ros.sensors import DRIVER, SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics
    from ssma_ros.messages.plausibility import Plausibility
    from ssma_ros.messages.transforms import Transforms
    from ssma_ros.sensors import Extrinsics, Reading

#: Input topics as they are called before remapping, by sensor and ``camera_info``, ``<sensor>_camera_info``,
#: ``disparity``; for messages.
DEFAULT_TOPICS: Mapping[str, str] = {
    "camera_info": "camera/camera_info",
    **{sensor.name: sensor.topic for sensor in SENSORS.values()},
    "disparity": SENSORS["depth"].disparity,
    **{f"{sensor.name}_camera_info": sensor.camera_info for sensor in SENSORS.values() if sensor.name != DRIVER},
}


@dataclass(frozen=True)
class AssemblyOptions:
    """How strictly images of several sensors are put together. Measurements are resized by nearest pixel, light
    bilinearly; an image of another frame_id is not registered to the driving one unless ``registered`` says how.

    Attributes:
        registered: sensors whose images of other cameras are registered, and their extrinsics, see
            :func:`ssma_ros.sensors.registered`.
        readings: by sensor how its raw values are read; by the sensor's convention where nothing is said.

    Raises:
        ValueError: an option is out of range.
    """

    size_mismatch: Literal["refuse", "resize"] = option(
        "refuse", "An image of another size than the driving one: refuse it, or resize it "
        "(only where both show the same field of view).", live=True,
    )
    check_frame_id: bool = option(
        True, "Refuse images whose frame_id differs from the driving image's: they are not registered to it.", live=True
    )
    rectify: bool = option(
        False, "Rectify raw images by their camera_info (plumb_bob, rational_polynomial, equidistant), depth by the "
        "nearest pixel; false: they are rectified already. A disparity image always is.", live=True,
    )
    rectified_sensors: tuple[str, ...] = option(
        ("",), "Sensors whose images are rectified already, with rectify true; '' = none.", live=True,
        choices=tuple(SENSORS),
    )
    gravity_frame: str = option(
        "", "tf frame whose z axis points up (odom, base_footprint); gravity for HHA is taken from it. "
        "Empty: estimated from the depth image. The node needs tf2_ros for it.",
    )
    readings: Mapping[str, Reading] = field(default_factory=dict)
    registered: Mapping[str, Extrinsics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_ranges(self)


def assemble_frame(
    messages: Mapping[str, Any],
    camera_info: Any | None = None,
    options: AssemblyOptions | None = None,
    *,
    driver: str = "color",
    topics: Mapping[str, str] = DEFAULT_TOPICS,
    missing: Mapping[str, str] | None = None,
    infos: Mapping[str, Any] = MappingProxyType({}),
    transforms: Transforms | None = None,
    plausibility: Plausibility | None = None,
) -> Frame:
    """Put the images of one moment together.

    Args:
        messages: sensor name → Image, CompressedImage or, for depth, DisparityImage.
        camera_info: CameraInfo of the driving image, or None.
        options: how strict to be.
        driver: the sensor whose stamp, frame_id and size the frame takes.
        topics: names to use in refusals.
        missing: reasons already known for sensors that have no message.
        infos: CameraInfo of the sensors that are registered, each of its own camera.
        transforms: say which way is down, and where those cameras stand whose extrinsics are not given.
        plausibility: looks at the values and remembers them; None leaves that out.

    Returns:
        The frame. A sensor or camera info that was refused is absent and its reason is in ``missing``.

    Raises:
        RefusedInput: the driving image itself is refused, or there is none.
    """
    options = options or AssemblyOptions()
    if messages.get(driver) is None:
        raise RefusedInput(topics[driver], "message", "absent", f"an image, {driver} drives the output")
    message = messages[driver]
    image, full_scale = _convert(driver, message, topics, options)
    height, width = image.shape[:2]
    frame = Frame(conversion.stamp_ns(message), str(message.header.frame_id))
    _put(frame, driver, image, full_scale)
    reasons = dict(missing or {})
    places = CameraPlaces(options.registered, infos, transforms)
    info, topic = places.info_of_driver(driver, frame.frame_id, camera_info)
    lenses = Lenses(options.rectify, options.rectified_sensors, topics, driver, (info, topics[topic]))
    frame.images[driver] = lenses.rectified(driver, message, image)
    frame.intrinsics = _intrinsics(info, width, height, topics[topic], reasons)
    frame.gravity = gravity(transforms, frame.frame_id, options.gravity_frame)
    for sensor in SENSORS:
        if sensor == driver:
            continue
        if messages.get(sensor) is None:
            reasons.setdefault(sensor, f"no {sensor} image")
            continue
        try:
            _add(frame, sensor, messages[sensor], driver, options, topics, places, lenses)
        except RefusedInput as refusal:
            reasons[sensor] = f"refused: {refusal}"
    frame.missing = reasons
    if plausibility is not None:
        frame.suspicions = {**lenses.raw, **plausibility.look(frame)}
    return frame


def _add(
    frame: Frame,
    sensor: str,
    message: Any,
    driver: str,
    options: AssemblyOptions,
    topics: Mapping[str, str],
    places: CameraPlaces,
    lenses: Lenses,
) -> None:
    topic = _topic(sensor, message, topics)
    image, full_scale = _convert(sensor, message, topics, options)
    frame_id, here = str(message.header.frame_id), (int(image.shape[1]), int(image.shape[0]))
    own: tuple[Any, str] | None = None
    camera = places.find(sensor, frame_id, here, (driver, frame.frame_id), topics)
    if camera is not None:
        if frame.intrinsics is None:
            raise RefusedInput(topic, "header.frame_id", f"'{frame_id}'", "a camera_info to register it with")
        frame.cameras[sensor] = camera
        own = (places.info(sensor), topics[f"{sensor}_camera_info"])
    elif frame_id != frame.frame_id and options.check_frame_id:
        raise RefusedInput(
            topic, "header.frame_id", f"'{frame_id}'", f"'{frame.frame_id}', registered to the driving image, or "
            f"register_{sensor} set to true"
        )
    elif here != frame.size:
        image = _resized(sensor, image, frame.size, options, topic)
    _put(frame, sensor, lenses.rectified(sensor, message, image, own), full_scale)


def _put(frame: Frame, sensor: str, image: NDArray[Any], full_scale: float) -> None:
    frame.images[sensor] = image
    if SENSORS[sensor].pixels == "intensity":
        frame.full_scales[sensor] = full_scale


def _convert(
    sensor: str, message: Any, topics: Mapping[str, str], options: AssemblyOptions
) -> tuple[NDArray[Any], float]:
    topic = _topic(sensor, message, topics)
    return conversion.image_of(SENSORS[sensor], message, topic, options.readings.get(sensor))


def _topic(sensor: str, message: Any, topics: Mapping[str, str]) -> str:
    return topics["disparity" if hasattr(message, "min_disparity") else sensor]


def _resized(
    sensor: str, image: NDArray[Any], size: tuple[int, int], options: AssemblyOptions, topic: str
) -> NDArray[Any]:
    if options.size_mismatch == "refuse":
        raise RefusedInput(
            topic, "size", f"{image.shape[1]}x{image.shape[0]}", f"{size[0]}x{size[1]} as the driving image is"
        )
    return (nearest if SENSORS[sensor].pixels == "measurement" else bilinear)(image, *size)


def _intrinsics(
    camera_info: Any | None, width: int, height: int, topic: str, reasons: dict[str, str]
) -> Intrinsics | None:
    if camera_info is None:
        reasons.setdefault("camera_info", f"no message on {topic} yet")
        return None
    try:
        intrinsics = conversion.intrinsics_from_camera_info(camera_info, topic)
        if (intrinsics.width, intrinsics.height) != (width, height):
            got = f"{intrinsics.width}x{intrinsics.height}"
            if (int(camera_info.width), int(camera_info.height)) == (width, height):
                got += " with binning and region of interest, which are of the image already"
            raise RefusedInput(topic, "size", got, f"{width}x{height} as the image is")
    except RefusedInput as refusal:
        reasons["camera_info"] = f"refused: {refusal}"
        return None
    return intrinsics
