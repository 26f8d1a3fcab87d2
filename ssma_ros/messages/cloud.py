# SPDX-License-Identifier: Apache-2.0
"""The organised point cloud: one point a mask pixel, in the mask's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ssma_ros.kernels.backend import compiled_modules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame, Intrinsics, Segmentation
    from ssma_ros.labels import LabelSet
    from ssma_ros.messages.memory import MessageMemory

# sensor_msgs/PointField datatypes
_UINT16, _FLOAT32 = 4, 7
_DATATYPES = {"<u2": _UINT16, "<f4": _FLOAT32}


class PointCloudBuilder:
    """Builds sensor_msgs/PointCloud2 with the fields x y z rgb confidence label and sem_<class>.

    Args:
        labels: classes of the network.
        depth: ``measured`` takes the sensor's depth, ``completed`` the filled one.
        semantic_fields: classes with a float32 field ``sem_<class>`` (0..1).
        memory: where the points are written.
    """

    def __init__(
        self, labels: LabelSet, depth: str, semantic_fields: tuple[str, ...], memory: MessageMemory
    ) -> None:
        self._completed = depth == "completed"
        self._channels = {f"sem_{name}": labels.names.index(name) for name in semantic_fields}
        names = ["x", "y", "z", "rgb", "confidence", "label", *self._channels]
        # Floats stay on addresses divisible by four: label is followed by two unused bytes.
        offsets = [0, 4, 8, 12, 16, 20, *(24 + 4 * i for i in range(len(self._channels)))]
        formats = ["<u2" if name == "label" else "<f4" for name in names]
        self._point_step = 24 + 4 * len(self._channels)
        self._fields = [
            {"name": name, "offset": offset, "datatype": _DATATYPES[form], "count": 1}
            for name, offset, form in zip(names, offsets, formats, strict=True)
        ]
        self._memory = memory
        # Colours as PCL and rviz want them: 0x00RRGGBB, in the bits of a float32.
        red, green, blue = np.array(labels.palette(), np.uint32).reshape(256, 3).T
        self._colors = red << 16 | green << 8 | blue
        self._rays: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._rays_of: Intrinsics | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """What the segmenter must be asked for."""
        return (*(("depth",) if self._completed else ()), *(("probabilities",) if self._channels else ()))

    def fields(self, result: Segmentation, frame: Frame) -> dict[str, Any] | None:
        """Fields of the message without header, or None where there is no depth or no intrinsics.

        Points without depth are NaN. ``data`` is valid until the next call.

        Raises:
            ValueError: the intrinsics are of another size than the mask.
        """
        depth = result.depth if self._completed else frame.depth
        if depth is None or result.intrinsics is None:
            return None
        height, width = result.mask.shape
        camera = result.intrinsics
        if (camera.width, camera.height) != (width, height):  # the kernel would write past its memory
            raise ValueError(f"intrinsics: of {camera.width}x{camera.height}, expected {width}x{height} as the mask is")
        if depth.shape != (height, width):
            depth = np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
        points = self._memory.array("points", (height, width, self._point_step // 4), np.float32)
        if compiled_modules() is None:
            self._write_plain(points, depth, result, camera)
        else:
            self._write(points, depth, result, camera)
        return {
            "height": height,
            "width": width,
            "fields": self._fields,
            "is_bigendian": False,
            "point_step": self._point_step,
            "row_step": self._point_step * width,
            "data": points.view(np.uint8).reshape(-1),
            "is_dense": False,
        }

    def warm_up(self) -> None:
        """Compile what :meth:`fields` needs, or load it from the cache on disk."""
        if compiled_modules() is not None:
            from ssma_ros.messages import kernels

            one, byte, ray = np.ones(1, np.float32), np.zeros(1, np.uint8), np.zeros(1, np.float32)
            lanes = np.zeros(6, np.float32)
            none, planes = np.zeros(0, np.int64), np.zeros((0, 1), np.uint8)
            kernels.cloud(one, byte, byte, self._colors, ray, ray, planes, none, lanes, lanes.view(np.uint32))

    def _write(
        self, points: NDArray[np.float32], depth: NDArray[np.float32], result: Segmentation, camera: Intrinsics
    ) -> None:
        from ssma_ros.messages import kernels

        right, down = self._rays_for(camera)
        planes = _flat(self._probabilities(result), np.uint8).reshape(-1, result.mask.size)
        kernels.cloud(
            _flat(depth, np.float32), _flat(result.mask, np.uint8), _flat(result.confidence, np.uint8), self._colors,
            right, down, planes, np.array([*self._channels.values()], np.int64), points.reshape(-1),
            points.view(np.uint32).reshape(-1),
        )

    def _write_plain(
        self, points: NDArray[np.float32], depth: NDArray[np.float32], result: Segmentation, camera: Intrinsics
    ) -> None:
        distance = np.where(depth > 0, depth, np.float32(np.nan))
        right, down = self._rays_for(camera)
        lanes = [
            distance * right[None, :],
            distance * down[:, None],
            distance,
            self._colors[result.mask].view("<f4"),
            result.confidence * np.float32(1 / 255),
            result.mask.astype("<u4").view("<f4"),  # the low half is label, the high half the unused bytes
        ]
        probabilities = self._probabilities(result)
        lanes += [probabilities[channel] * np.float32(1 / 255) for channel in self._channels.values()]
        # Every field is a lane of four bytes; OpenCV interleaves them several times faster than numpy does.
        cv2.merge(lanes, dst=points)

    def _probabilities(self, result: Segmentation) -> NDArray[np.uint8]:
        """C×H×W; without planes where no field is made of them."""
        if not self._channels:
            return np.zeros((0, *result.mask.shape), np.uint8)
        assert result.probabilities is not None, "asked for by needs"
        return result.probabilities

    def _rays_for(self, camera: Intrinsics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """X/Z of every column and Y/Z of every row."""
        if self._rays is None or self._rays_of != camera:
            columns, rows = np.arange(camera.width), np.arange(camera.height)
            right = ((columns - camera.cx) / camera.fx).astype(np.float32)
            down = ((rows - camera.cy) / camera.fy).astype(np.float32)
            self._rays, self._rays_of = (right, down), camera
        return self._rays


def _flat(image: NDArray[Any], dtype: type) -> NDArray[Any]:
    """``image`` as the one array type the kernels are compiled for; a copy only where it is none."""
    return np.require(image, dtype, ("C", "A", "W")).reshape(-1)
