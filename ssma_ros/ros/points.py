"""The organised point cloud: one point a mask pixel, in the mask's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssma_ros.frame import Frame, Intrinsics, Segmentation
    from ssma_ros.labels import LabelSet

# sensor_msgs/PointField datatypes
_UINT16, _FLOAT32 = 4, 7
_DATATYPES = {"<u2": _UINT16, "<f4": _FLOAT32}


class PointCloudBuilder:
    """Builds sensor_msgs/PointCloud2 with the fields x y z rgb confidence label and sem_<class>.

    Args:
        labels: classes of the network.
        depth: ``measured`` takes the sensor's depth, ``completed`` the filled one.
        semantic_fields: classes with a float32 field ``sem_<class>`` (0..1).
    """

    def __init__(self, labels: LabelSet, depth: str, semantic_fields: tuple[str, ...]) -> None:
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
        self._points = np.zeros((0, 0, 0), np.float32)
        self._rays: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._rays_of: Intrinsics | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """What the pipeline must be asked for."""
        return (*(("depth",) if self._completed else ()), *(("probabilities",) if self._channels else ()))

    def fields(self, result: Segmentation, frame: Frame, rgb: NDArray[np.uint8]) -> dict[str, Any] | None:
        """Fields of the message without header, or None where there is no depth or no intrinsics.

        Args:
            rgb: H×W×3 uint8 colours of the points, R G B.

        Points without depth are NaN. ``data`` is valid until the next call.
        """
        depth = result.depth if self._completed else frame.depth
        if depth is None or result.intrinsics is None:
            return None
        height, width = result.mask.shape
        if depth.shape != (height, width):
            depth = np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
        distance = np.where(depth > 0, depth, np.float32(np.nan))
        right, down = self._rays_for(result.intrinsics)
        lanes = [
            distance * right,
            distance * down,
            distance,
            _packed(rgb),
            result.confidence * np.float32(1 / 255),
            result.mask.astype("<u4").view("<f4"),  # the low half is label, the high half the unused bytes
        ]
        if self._channels:
            assert result.probabilities is not None, "asked for by needs"
            lanes += [result.probabilities[channel] * np.float32(1 / 255) for channel in self._channels.values()]
        # Every field is a lane of four bytes; OpenCV interleaves them several times faster than numpy does.
        points = self._buffer(height, width)
        cv2.merge(lanes, dst=points)
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

    def _buffer(self, height: int, width: int) -> NDArray[np.float32]:
        shape = (height, width, self._point_step // 4)
        if self._points.shape != shape:
            self._points = np.zeros(shape, np.float32)
        return self._points

    def _rays_for(self, camera: Intrinsics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """X/Z of every column (1×W) and Y/Z of every row (H×1)."""
        if self._rays is None or self._rays_of != camera:
            columns, rows = np.arange(camera.width), np.arange(camera.height)
            right = ((columns - camera.cx) / camera.fx).astype(np.float32)[None, :]
            down = ((rows - camera.cy) / camera.fy).astype(np.float32)[:, None]
            self._rays, self._rays_of = (right, down), camera
        return self._rays


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours as PCL and rviz want them: 0x00RRGGBB, its bits read as a float32."""
    # Little-endian bytes B, G, R, 0 are that integer.
    four = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    four[..., 3] = 0
    return np.asarray(four, np.uint8).view("<f4")[..., 0]
