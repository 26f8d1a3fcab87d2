"""Matched messages to one :class:`~ssma_ros.frame.Frame`: what a sensor may do wrong costs that sensor alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from ssma_ros.frame import SENSORS, Frame
from ssma_ros.messages import decode as conversion
from ssma_ros.messages.refusal import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ssma_ros.frame import Intrinsics

#: Input topics as they are called before remapping, for messages.
DEFAULT_TOPICS: Mapping[str, str] = {
    "color": "camera/image_rect",
    "camera_info": "camera/camera_info",
    "depth": "depth/image_rect",
    "disparity": "depth/disparity",
    "nir": "nir/image_rect",
}


@dataclass(frozen=True)
class AssemblyOptions:
    """How strictly images of several sensors are put together.

    Attributes:
        size_mismatch: what to do with depth or near infrared of another size than the driving image:
            ``refuse`` it, or ``resize`` it (nearest pixel for depth, bilinear for near infrared). Resizing
            is right only where both pictures show the same field of view.
        check_frame_id: refuse depth and near infrared whose frame_id differs from the driving image's: they
            are not registered to it.
        nir_full_scale: value of a saturated 16-bit near-infrared pixel.
    """

    size_mismatch: Literal["refuse", "resize"] = "refuse"
    check_frame_id: bool = True
    nir_full_scale: float = 65535.0


def assemble_frame(
    messages: Mapping[str, Any],
    camera_info: Any | None = None,
    options: AssemblyOptions | None = None,
    *,
    driver: str = "color",
    topics: Mapping[str, str] = DEFAULT_TOPICS,
    missing: Mapping[str, str] | None = None,
    register: Callable[[NDArray[np.float32], Any, Intrinsics, str], NDArray[np.float32]] | None = None,
) -> Frame:
    """Put the images of one moment together.

    Args:
        messages: sensor name (``color``, ``depth``, ``nir``) → Image, CompressedImage or, for depth, DisparityImage.
        camera_info: CameraInfo of the driving image, or None.
        options: how strict to be.
        driver: the sensor whose stamp, frame_id and size the frame takes.
        topics: names to use in refusals.
        missing: reasons already known for sensors that have no message.
        register: called as ``register(depth, message, intrinsics, frame_id)`` for depth of another frame_id;
            returns depth in the driving image's pixels or raises RefusedInput. None refuses such depth.

    Returns:
        The frame. A sensor or camera info that was refused is absent and its reason is in ``missing``.

    Raises:
        RefusedInput: the driving image itself is refused, or there is none.
    """
    options = options or AssemblyOptions()
    if messages.get(driver) is None:
        raise RefusedInput(topics[driver], "message", "absent", f"an image, {driver} drives the output")
    message = messages[driver]
    image = _convert(driver, message, topics)
    height, width = image.shape[:2]
    frame = Frame(
        stamp_ns=conversion.stamp_ns(message),
        frame_id=str(message.header.frame_id),
    )
    setattr(frame, driver, image)
    if driver == "nir":
        frame.nir_full_scale = _full_scale(image, options)
    reasons = dict(missing or {})
    frame.intrinsics = _intrinsics(camera_info, width, height, topics["camera_info"], reasons)
    for sensor in SENSORS:
        if sensor == driver:
            continue
        if messages.get(sensor) is None:
            reasons.setdefault(sensor, f"no {sensor} image")
            continue
        try:
            _add(frame, sensor, messages[sensor], (width, height), options, topics, register)
        except RefusedInput as refusal:
            reasons[sensor] = f"refused: {refusal}"
    frame.missing = reasons
    return frame


def _add(
    frame: Frame,
    sensor: str,
    message: Any,
    size: tuple[int, int],
    options: AssemblyOptions,
    topics: Mapping[str, str],
    register: Callable[[NDArray[np.float32], Any, Intrinsics, str], NDArray[np.float32]] | None,
) -> None:
    topic = _topic(sensor, message, topics)
    image = _convert(sensor, message, topics)
    frame_id = str(message.header.frame_id)
    if options.check_frame_id and frame_id != frame.frame_id:
        if sensor != "depth" or register is None:
            raise RefusedInput(
                topic, "header.frame_id", f"'{frame_id}'", f"'{frame.frame_id}', registered to the driving image"
            )
        if frame.intrinsics is None:
            raise RefusedInput(topic, "header.frame_id", f"'{frame_id}'", "a camera_info to register it with")
        image = register(image, message, frame.intrinsics, frame.frame_id)
    if (image.shape[1], image.shape[0]) != size:
        image = _resized(sensor, image, size, options, topic)
    if sensor == "nir":
        frame.nir_full_scale = _full_scale(image, options)
    setattr(frame, sensor, image)


def _convert(sensor: str, message: Any, topics: Mapping[str, str]) -> NDArray[Any]:
    topic = _topic(sensor, message, topics)
    if sensor == "color":
        return conversion.color_from_image(message, topic)
    if sensor == "nir":
        return conversion.nir_from_image(message, topic)
    if hasattr(message, "min_disparity"):
        return conversion.depth_from_disparity(message, topic)
    return conversion.depth_from_image(message, topic)


def _topic(sensor: str, message: Any, topics: Mapping[str, str]) -> str:
    return topics["disparity" if hasattr(message, "min_disparity") else sensor]


def _resized(
    sensor: str, image: NDArray[Any], size: tuple[int, int], options: AssemblyOptions, topic: str
) -> NDArray[Any]:
    if options.size_mismatch == "refuse":
        raise RefusedInput(
            topic, "size", f"{image.shape[1]}x{image.shape[0]}", f"{size[0]}x{size[1]} as the driving image is"
        )
    nearest = sensor == "depth"  # a mean of two surfaces is a surface that is not there
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR)


def _full_scale(nir: NDArray[Any], options: AssemblyOptions) -> float:
    return 255.0 if nir.dtype == np.uint8 else options.nir_full_scale


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
            raise RefusedInput(topic, "size", got, f"{width}x{height} as the image is")
    except RefusedInput as refusal:
        reasons["camera_info"] = f"refused: {refusal}"
        return None
    return intrinsics
