# SPDX-License-Identifier: Apache-2.0
"""What transforms tell about a frame: which way is down, and where the cameras of other sensors stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ssma_ros.frame import Camera
from ssma_ros.messages.decode import intrinsics_from_camera_info
from ssma_ros.messages.refusal import RefusedInput
from ssma_ros.sensors import DRIVER, FROM_TF, SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssma_ros.sensors import Extrinsics


class Transforms(Protocol):
    """A tf tree: of the node a ``tf2_ros.Buffer``, of a recording what was recorded of it."""

    def lookup(self, target: str, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3×3) and translation (3, metres) that take points of ``source`` to ``target``, as of now.

        Raises:
            LookupError: they are not of one tree (yet).
        """


def gravity(transforms: Transforms | None, frame_id: str, upright: str) -> NDArray[np.float64] | None:
    """Unit vector of "down" in ``frame_id``, or None where tf does not know it (yet).

    The latest transform is taken: gravity turns slowly against a camera, and tf is often some milliseconds behind the
    images.

    Args:
        transforms: or None where nobody listens to tf.
        frame_id: optical frame of the driving image.
        upright: frame whose z axis points up, or empty.
    """
    if not upright or transforms is None:
        return None
    try:
        rotation, _ = transforms.lookup(frame_id, upright)
    except LookupError:
        return None
    down: NDArray[np.float64] = rotation @ np.array([0.0, 0.0, -1.0])
    return down


class CameraPlaces:
    """Where the cameras of one moment stand.

    Args:
        registered: sensors to register and their extrinsics, see :func:`ssma_ros.sensors.registered`.
        infos: the latest CameraInfo of each of their cameras.
        transforms: for those whose extrinsics are not given, or None.
    """

    def __init__(
        self, registered: Mapping[str, Extrinsics], infos: Mapping[str, Any], transforms: Transforms | None = None
    ) -> None:
        self._registered, self._infos, self._transforms = registered, infos, transforms

    def info(self, sensor: str) -> Any | None:
        """CameraInfo of a sensor's own camera, or None."""
        return self._infos.get(sensor)

    def info_of_driver(self, driver: str, frame_id: str, camera_info: Any | None) -> tuple[Any | None, str]:
        """CameraInfo of the driving image and its key among topics: its own camera's where that is another one.

        Args:
            driver, frame_id: of the driving image.
            camera_info: of the colour camera, or None.
        """
        given = self._registered.get(driver)
        elsewhere = camera_info is None or str(camera_info.header.frame_id) != frame_id
        if given is None or (given == FROM_TF and not elsewhere):
            return camera_info, "camera_info"
        return self._infos.get(driver), f"{driver}_camera_info"

    def find(
        self, sensor: str, frame_id: str, size: tuple[int, int], driver: tuple[str, str], topics: Mapping[str, str]
    ) -> Camera | None:
        """The camera of a sensor's image; None where the image is in the driving camera's pixels already.

        That is so where it shares its frame_id, unless extrinsics are given.

        Args:
            sensor, frame_id, size: of the image; width and height in pixels.
            driver: the driving sensor and its frame_id.
            topics: names for refusals, ``<sensor>_camera_info`` among them.

        Raises:
            RefusedInput: the intrinsics are absent or of another size, or nobody knows where the camera stands.
        """
        given = self._registered.get(sensor, FROM_TF)
        if driver[0] != DRIVER and not FROM_TF == given == self._registered.get(driver[0], FROM_TF):
            expected = f"{DRIVER}: extrinsics say nothing of where cameras stand beside another one"
            raise RefusedInput(topics[sensor], "driving image", f"that of {driver[0]}", expected)
        if sensor not in self._registered or (given == FROM_TF and frame_id == driver[1]):
            return None
        topic = topics[f"{sensor}_camera_info"]
        info = self._infos.get(sensor)
        if info is None:
            title = SENSORS[sensor].title
            raise RefusedInput(topic, "message", "absent", f"the {title} camera's intrinsics to register {title} with")
        intrinsics = intrinsics_from_camera_info(info, topic)
        if (intrinsics.width, intrinsics.height) != size:
            got, expected = f"{intrinsics.width}x{intrinsics.height}", f"{size[0]}x{size[1]}"
            raise RefusedInput(topic, "size", got, f"{expected} as the {SENSORS[sensor].title} image is")
        if given == FROM_TF:
            return Camera(intrinsics, *self._look_up(driver[1], frame_id, sensor))
        return Camera(intrinsics, rotation_matrix(*given[3:]), np.array(given[:3]))

    def _look_up(self, target: str, source: str, sensor: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        expected = f"one from '{source}' to '{target}', or {sensor}_extrinsics"
        if self._transforms is None:
            raise RefusedInput("/tf", "transform", "unknown (there is no tf)", expected)
        try:
            return self._transforms.lookup(target, source)
        except LookupError as error:
            raise RefusedInput("/tf", "transform", f"unknown ({error})", expected) from None


def rotation_matrix(x: float, y: float, z: float, w: float) -> NDArray[np.float64]:
    """3×3 rotation of a quaternion, normalised first.

    Raises:
        LookupError: it is none.
    """
    norm = float(np.sqrt(x * x + y * y + z * z + w * w))
    if not np.isfinite(norm) or norm == 0.0:
        raise LookupError(f"quaternion ({x}, {y}, {z}, {w}) is no rotation")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


class TransformTree:
    """Implements :class:`Transforms`: the last transform counts that was put in for each frame.

    Args:
        whose: how to call it in messages.
    """

    def __init__(self, whose: str = "tf") -> None:
        self._whose = whose
        self._parents: dict[str, tuple[str, NDArray[np.float64], NDArray[np.float64]]] = {}

    def put_message(self, message: Any) -> None:
        """Take a tf2_msgs/TFMessage in; what is no rotation says nothing."""
        for stamped in message.transforms:
            q, t = stamped.transform.rotation, stamped.transform.translation
            try:
                rotation = rotation_matrix(q.x, q.y, q.z, q.w)
            except LookupError:
                continue
            child, parent = _name(stamped.child_frame_id), _name(stamped.header.frame_id)
            self._parents[child] = (parent, rotation, np.array([t.x, t.y, t.z], np.float64))

    @property
    def frames(self) -> list[str]:
        """Every frame, by name."""
        return sorted({*self._parents, *(parent for parent, _, _ in self._parents.values())})

    def lookup(self, target: str, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3×3) and translation (3, metres) that take points of ``source`` to ``target``, as of now."""
        above = self._chain(_name(target))
        for frame, (rotation, translation) in self._chain(_name(source)).items():
            if frame in above:
                turn, place = above[frame]
                return turn.T @ rotation, turn.T @ (translation - place)
        unknown = [name for name in (target, source) if _name(name) not in self.frames]
        if unknown:
            raise LookupError(f"{self._whose} has no frame '{unknown[0]}'")
        raise LookupError(f"{self._whose} does not connect '{source}' with '{target}'")

    def _chain(self, frame: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Each frame above, itself first, with what takes points of ``frame`` there."""
        rotation, translation = np.eye(3), np.zeros(3)
        chain = {frame: (rotation, translation)}
        while frame in self._parents:
            frame, turn, place = self._parents[frame]
            if frame in chain:
                break  # a circle, which tf refuses too
            rotation, translation = turn @ rotation, turn @ translation + place
            chain[frame] = (rotation, translation)
        return chain


def _name(frame: str) -> str:
    return str(frame).lstrip("/")
