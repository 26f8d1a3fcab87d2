# SPDX-License-Identifier: Apache-2.0
"""Images of other cameras on the network's grid, in the driving camera's pixels; on the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.frame import Camera, Intrinsics
from ssma_ros.registration import INFINITY, ground_plane, register_depth, register_image
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.encodings.base import EncoderOptions
    from ssma_ros.frame import Frame
    from ssma_ros.inputs.encoded import EncodedInputs
    from ssma_ros.kernels.shared.recycling import RecycledArrays

#: A stream is blank where less of the driving camera's image than this share is seen by the sensor's camera.
LEAST_SEEN = 0.25
#: The camera counts as level where nobody knows which way is down.
_LEVEL = np.array([0.0, 1.0, 0.0])
_COUNTS_AS = {
    "infinity": "counts as infinitely far, so that what is near is displaced",
    "ground": "counts as level ground, so that what stands on it is displaced",
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

    def register(self, frame: Frame, grid: Frame, encoded: EncodedInputs) -> dict[str, NDArray[np.uint8]]:
        """Put every other image of another camera on the grid.

        A stream of which too little is left becomes blank; where there is no depth at all its doubt says what the
        image was registered by.

        Args:
            frame: as the cameras sent it.
            grid: gets the images; its depth is completed, or None.
            encoded: whose streams are told.

        Returns:
            By sensor H×W uint8, 1 where its camera does not see what the driving one sees.
        """
        holes: dict[str, NDArray[np.uint8]] = {}
        for sensor, camera in frame.cameras.items():
            if sensor == "depth" or sensor not in frame.images:
                continue
            hole = self._arrays.take((self._contract.height, self._contract.width), np.uint8)
            reason, doubt = self._one(sensor, camera, frame, grid, encoded, hole), ""
            if grid.depth is None:
                why = frame.missing.get("depth", "no depth image")
                title = SENSORS[sensor].title
                doubt = f"{title} is registered without depth ({why}): everything {self._counts_as}"
            for stream in self._contract.streams:
                if sensor not in stream.sensors or not encoded.present[stream.name]:
                    continue
                if reason:
                    encoded.present[stream.name] = False
                    encoded.missing[stream.name] = reason
                    encoded.inputs.pop(stream.name, None)
                    continue
                holes[sensor] = hole
                if doubt:
                    encoded.doubts[stream.name] = doubt
        return holes

    @property
    def _counts_as(self) -> str:
        return _COUNTS_AS.get(self._options.register_without_depth, "is missing")

    def _one(
        self, sensor: str, camera: Camera, frame: Frame, grid: Frame, encoded: EncodedInputs, hole: NDArray[np.uint8]
    ) -> str:
        """Register one image; why its streams are blank, or empty."""
        assert encoded.intrinsics is not None, "a frame with other cameras has intrinsics"
        image = frame.images[sensor]
        depth = grid.depth
        if depth is None:
            if self._options.register_without_depth == "missing":
                why = frame.missing.get("depth", "no depth image")
                return f"{sensor} of another camera cannot be registered without depth ({why})"
            depth = np.zeros(hole.shape, np.float32)
        grid.images[sensor], _, seen = register_image(
            image, camera, depth, encoded.intrinsics, assumed=self._assumed(frame, encoded.intrinsics),
            out=self._arrays.take(hole.shape, image.dtype), hole=hole,
        )  # fmt: skip
        if seen < LEAST_SEEN:
            return (
                f"the {sensor} camera sees {100 * seen:.0f} % of the driving image, expected at least "
                f"{100 * LEAST_SEEN:.0f} %: check its pose (tf or {sensor}_extrinsics) and its camera_info"
            )
        return ""

    def _assumed(self, frame: Frame, intrinsics: Intrinsics) -> NDArray[np.float64] | None:
        """Inverse depth of pixels that have none."""
        if self._options.register_without_depth == "missing":
            return None
        if self._options.register_without_depth == "infinity":
            return INFINITY
        return ground_plane(intrinsics, self._options.camera_height, _LEVEL if frame.gravity is None else frame.gravity)

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


def clear_holes(picture: NDArray[np.uint8], stream: Stream, holes: Mapping[str, NDArray[np.uint8]]) -> None:
    """Blank what a sensor of a stream does not see, in place: (0, 0, 0), as a blank input is."""
    for sensor in stream.sensors:
        if sensor in holes:
            cv2.bitwise_xor(picture, picture, dst=picture, mask=holes[sensor])
