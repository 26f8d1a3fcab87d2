# SPDX-License-Identifier: Apache-2.0
"""Images of other cameras on the network's grid, in the driving camera's pixels; on the processor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.encodings.depth_completion import keep_readings
from ssma_ros.frame import Camera, Frame, Intrinsics
from ssma_ros.inputs.encoded import encoding_of
from ssma_ros.registration import INFINITY, ground_plane, register_depth, register_image
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.encodings.depth_completion import Completion
    from ssma_ros.inputs.encoded import EncodedInputs
    from ssma_ros.kernels.shared.recycling import RecycledArrays

#: A stream is blank where less of the driving camera's image than this share is seen by the sensor's camera.
LEAST_SEEN = 0.25
#: The camera counts as level where nobody knows which way is down.
_LEVEL = np.array([0.0, 1.0, 0.0])
_COUNTS_AS = {
    "infinity": "counts as infinitely far, so that what is near is displaced",
    "ground": "counts as level ground, so that what stands on it is displaced",
    "missing": "is missing",
}


class Registration:
    """Registers the images of frames; remembers nothing of them.

    Args:
        contract: of the network, whose grid it is.
        options: of the robot.
        arrays: give memory for results.
    """

    def __init__(self, contract: Contract, options: EncoderOptions, arrays: RecycledArrays) -> None:
        self._contract, self._options, self._arrays = contract, options, arrays

    def depth(self, frame: Frame, encoded: EncodedInputs) -> NDArray[np.float32]:
        """Depth of another camera on the grid, with holes where that does not see."""
        assert encoded.intrinsics is not None, "a frame with other cameras has intrinsics"
        out = self._arrays.take((self._contract.height, self._contract.width), np.float32)
        return register_depth(frame.depth, frame.cameras["depth"], encoded.intrinsics, out)

    def register(
        self, frame: Frame, grid: Frame, measured: NDArray[np.float32] | None, encoded: EncodedInputs
    ) -> dict[str, NDArray[np.uint8]]:
        """Put every other image of another camera on the grid.

        A stream of which too little is left becomes blank; where there is no depth at all its doubt says what the
        image was registered by.

        Args:
            frame: as the cameras sent it.
            grid: gets the images; its depth is completed, or None.
            measured: the same depth before it was completed.
            encoded: whose streams are told.

        Returns:
            By sensor H×W uint8, 1 where its camera does not see what the driving one sees.
        """
        holes: dict[str, NDArray[np.uint8]] = {}
        for sensor in frame.cameras:
            if sensor == "depth" or sensor not in frame.images:
                continue
            assert encoded.intrinsics is not None, "a frame with other cameras has intrinsics"
            shape = (self._contract.height, self._contract.width)
            out = self._arrays.take(shape, frame.images[sensor].dtype), self._arrays.take(shape, np.uint8)
            depth = None if grid.depth is None or measured is None else (grid.depth, measured)
            image, hole, reason = register_sensor(frame, sensor, depth, encoded.intrinsics, self._options, out)
            if not reason:
                grid.images[sensor], holes[sensor] = image, hole
            tell(self._contract, encoded, sensor, reason, doubt_of(frame, sensor, self._options))
        return holes

    def warm_up(self, sensor: str) -> None:
        """Compile what registering a sensor's images needs."""
        tiny = Intrinsics(8.0, 8.0, 3.5, 3.5, 8, 8)
        beside = Camera(tiny, translation=(0.1, 0.0, 0.0))
        depth = np.full((8, 8), 2.0, np.float32)
        if sensor == "depth":
            register_depth(depth, beside, tiny)
            return
        for dtype in SENSORS[sensor].dtypes:
            image: Any = np.ones((8, 8), dtype)
            register_image(image, beside, depth, tiny, assumed=INFINITY)


def register_sensor(
    frame: Frame, sensor: str, depth: tuple[NDArray[np.float32], NDArray[np.float32]] | None, grid: Intrinsics,
    options: EncoderOptions,
    out: tuple[NDArray[Any], NDArray[np.uint8]] | tuple[None, None] = (None, None),
) -> tuple[NDArray[Any], NDArray[np.uint8], str]:
    """An image of another camera in the pixels of ``grid``, where it is not seen, and why it cannot be used, or empty.

    Args:
        frame: that has the image and its camera.
        sensor: whose image.
        depth: completed and as it was measured, in the pixels of ``grid``; None where there is none.
        grid: of the driving camera, at the size that is wanted.
        options: say what stands in where there is no depth.
        out: where to write image and mask.
    """
    completed, measured = depth or (np.zeros((grid.height, grid.width), np.float32), None)
    image, hole, seen = register_image(
        frame.images[sensor], frame.cameras[sensor], completed, grid, measured=measured,
        assumed=assumed_depth(frame, grid, options), out=out[0], hole=out[1],
    )  # fmt: skip
    return image, hole, why_unusable(frame, sensor, seen, options)


def assumed_depth(frame: Frame, grid: Intrinsics, options: EncoderOptions) -> NDArray[np.float64] | None:
    """Inverse depth of pixels that have none, see :func:`~ssma_ros.registration.register_image`."""
    if options.register_without_depth == "missing":
        return None
    if options.register_without_depth == "infinity":
        return INFINITY
    return ground_plane(grid, options.camera_height, _LEVEL if frame.gravity is None else frame.gravity)


def why_unusable(frame: Frame, sensor: str, seen: float, options: EncoderOptions) -> str:
    """The reason why an image of which this share (0..1) is seen makes no stream, or empty."""
    if seen >= LEAST_SEEN:
        return ""
    if frame.depth is None and options.register_without_depth == "missing":
        return f"{sensor} of another camera cannot be registered without depth ({_no_depth(frame)})"
    return (
        f"the {sensor} camera sees {100 * seen:.0f} % of the driving image, expected at least "
        f"{100 * LEAST_SEEN:.0f} %: check its pose (tf or {sensor}_extrinsics) and its camera_info"
    )


def doubt_of(frame: Frame, sensor: str, options: EncoderOptions) -> str:
    """What an image was registered by where there is no depth, or empty."""
    if frame.depth is not None:
        return ""
    counts = _COUNTS_AS[options.register_without_depth]
    return f"{SENSORS[sensor].title} is registered without depth ({_no_depth(frame)}): everything {counts}"


def tell(contract: Contract, encoded: EncodedInputs, sensor: str, reason: str, doubt: str) -> None:
    """Make the streams of a sensor blank for a reason, or note a doubt about them."""
    for stream in contract.streams:
        if sensor not in stream.sensors or not encoded.present[stream.name]:
            continue
        if reason:
            encoded.present[stream.name] = False
            encoded.missing[stream.name] = reason
            encoded.inputs.pop(stream.name, None)
        elif doubt:
            encoded.doubts[stream.name] = doubt


def _no_depth(frame: Frame) -> str:
    return frame.missing.get("depth", "no depth image")


def clear_holes(picture: NDArray[np.uint8], stream: Stream, holes: Mapping[str, NDArray[np.uint8]]) -> None:
    """Set what a sensor of a stream does not see to the level of its encoding that says so, in place."""
    for sensor in stream.sensors:
        if sensor in holes:
            cv2.copyTo(_plane(picture.shape, encoding_of(stream).unseen), holes[sensor], picture)


@lru_cache(maxsize=4)
def _plane(shape: tuple[int, ...], level: int) -> NDArray[np.uint8]:
    return np.full(shape, level, np.uint8)


def in_one_camera(frame: Frame, completion: Completion, options: EncoderOptions | None = None) -> Frame:
    """The frame with every image in the driving camera's pixels, at its size; for whoever keeps images.

    Args:
        frame: as the cameras sent it.
        completion: of the depth through which images are registered; the frame keeps its depth as it was measured.
        options: say what stands in where there is no depth.

    Returns:
        The frame itself where it has no other cameras. What a camera does not see is 0; an image of which too little is
        seen is missing, with the reason.
    """
    if not frame.cameras:
        return frame
    assert frame.intrinsics is not None, "a frame with other cameras has intrinsics"
    options = options or EncoderOptions()
    result = Frame(
        frame.stamp_ns, frame.frame_id, intrinsics=frame.intrinsics, gravity=frame.gravity, missing=dict(frame.missing),
        suspicions=frame.suspicions, full_scales=frame.full_scales,
    )  # fmt: skip
    result.images = {name: image for name, image in frame.images.items() if name not in frame.cameras}
    if "depth" in frame.cameras and frame.depth is not None:
        result.depth = register_depth(frame.depth, frame.cameras["depth"], frame.intrinsics)
    depth = None if result.depth is None else (keep_readings(completion.complete(result.depth)), result.depth)
    for sensor in frame.images:
        if sensor in frame.cameras and sensor != "depth":
            image, _, reason = register_sensor(frame, sensor, depth, frame.intrinsics, options)
            if reason:
                result.missing = {**result.missing, sensor: reason}
            else:
                result.images[sensor] = image
    return result
