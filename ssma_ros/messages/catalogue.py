# SPDX-License-Identifier: Apache-2.0
"""Outgoing messages as plain field values: one catalogue for the node and for ``ssma play``; no rclpy.

Every image of one frame has the same width, height, stamp and frame_id, rows without padding
(step == width × bytes per pixel), as nav2's semantic layer, elevation mapping, rviz and Foxglove want them.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.kernels.backend import compiled_modules
from ssma_ros.kernels.shared.resampling import bilinear, nearest
from ssma_ros.labels import UNLABELLED
from ssma_ros.messages.cloud import PointCloudBuilder
from ssma_ros.messages.fields import Fields, camera_info_fields, image_fields
from ssma_ros.messages.memory import MessageMemory
from ssma_ros.messages.palette_png import palette_png
from ssma_ros.options import check_ranges, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ssma_ros.contract import Contract, Stream
    from ssma_ros.frame import Frame, Segmentation

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
CHANNEL_INFO = "elevation_map_msgs/msg/ChannelInfo"
LABEL_INFO = "vision_msgs/msg/LabelInfo"


@dataclass(frozen=True)
class OutputOptions:
    """How outputs look.

    Raises:
        ValueError: an option is out of range.
    """

    class_confidence_topics: tuple[str, ...] = option(
        ("*",), "Classes that get a topic ~/confidence/<class>; '*' = all, '' = none.", live=True
    )
    class_confidence_encoding: Literal["mono8", "32FC1"] = option(
        "mono8", "Encoding of ~/confidence/<class>: mono8 (probability times 255) or 32FC1 (0..1).", live=True
    )
    overlay_opacity: float = option(
        0.5, "Weight of the class colours in ~/overlay; 0..1.", live=True, low=0.0, high=1.0
    )
    points_depth: Literal["measured", "completed"] = option(
        "measured", "Depth of ~/points: measured = what the sensor saw; completed = with the holes filled.", live=True
    )
    points_semantic_fields: tuple[str, ...] = option(
        ("",), "Classes that get a float32 field sem_<class> (0..1) in ~/points; '*' = all, '' = none.", live=True
    )
    jpeg_quality: int = option(80, "Quality of ~/overlay/compressed; 1..100.", live=True, low=1, high=100)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Output:
    """One topic below ``~/``.

    Attributes:
        topic: relative name, for example ``confidence/grass``.
        type: full ROS type name.
        needs: what the segmenter must be asked for (see ``ssma_ros.segmenter.OUTPUTS``).
        fields: ``fields(result, frame)`` gives the message's fields by name without ``header``, or None when
            this frame has no such output. Nested messages are dicts, ``data`` is a 1-D uint8 array that is
            valid until the next call.
    """

    topic: str
    type: str
    needs: frozenset[str]
    fields: Callable[[Segmentation, Frame], Fields | None]


class OutputCatalog:
    """Every output of one network.

    Args:
        contract: of the network.
        options: how outputs look; build another catalogue to change them.
    """

    def __init__(self, contract: Contract, options: OutputOptions | None = None) -> None:
        self._contract = contract
        self.options = options or OutputOptions()
        self._palette = np.array(contract.labels.palette(), np.uint8).reshape(256, 1, 3)
        self._memory = MessageMemory()
        self._painted: dict[str, weakref.ref[Segmentation]] = {}
        semantic_fields = _chosen(contract, self.options.points_semantic_fields)
        self._points = PointCloudBuilder(contract.labels, self.options.points_depth, semantic_fields, self._memory)
        self.outputs = tuple(self._build())

    def warm_up(self) -> None:
        """Compile what outputs need, or load it from the cache on disk, so that no frame waits for it."""
        self._points.warm_up()
        if compiled_modules() is not None:
            from ssma_ros.messages import kernels

            kernels.interleave(np.zeros((1, 1), np.uint8), np.zeros(1, np.float32))

    def _build(self) -> list[Output]:
        outputs = [
            _output("mask", IMAGE, lambda r, f: image_fields(r.mask, "mono8")),
            _output("confidence", IMAGE, lambda r, f: image_fields(r.confidence, "mono8")),
            _output("camera_info", CAMERA_INFO, lambda r, f: _camera_info(r)),
            _output("color_mask", IMAGE, lambda r, f: image_fields(self._color_mask(r), "rgb8")),
            _output("overlay", IMAGE, lambda r, f: image_fields(self._overlay(r, f), "rgb8")),
            _output("color_mask/compressed", COMPRESSED_IMAGE, lambda r, f: self._png(r)),
            _output("overlay/compressed", COMPRESSED_IMAGE, lambda r, f: self._jpeg(self._overlay(r, f))),
            _output("points", POINT_CLOUD, self._points.fields, *self._points.needs),
            _output("semantic_image", IMAGE, lambda r, f: self._semantic_image(r), "probabilities"),
            _output("channel_info", CHANNEL_INFO, lambda r, f: {"channels": self.channels}),
            _output("depth_completed", IMAGE, lambda r, f: self._depth_completed(r), "depth"),
        ]
        named = _chosen(self._contract, self.options.class_confidence_topics)
        outputs += [self._class_confidence(name) for name in named]
        outputs += [self._modality_weights(name) for name in self._contract.modalities]
        outputs += [_network_input(s) for s in self._contract.streams if not ENCODINGS[s.encoding].is_photograph]
        if all(c.traversability is not None for c in self._contract.labels.classes):
            outputs.append(_output("traversability", IMAGE, lambda r, f: self._traversability(r), "probabilities"))
        return outputs

    @property
    def channels(self) -> list[str]:
        """Names of the planes of ``~/semantic_image``, in order."""
        return [f"sem_{name}" for name in self._contract.labels.names]

    def label_info_fields(self, min_confidence: float = 0.0) -> Fields:
        """Fields of vision_msgs/LabelInfo without header; ``min_confidence`` is the least that is kept, 0 = all."""
        classes = [{"class_id": c.id, "class_name": c.name} for c in self._contract.labels.classes]
        return {"class_map": classes, "threshold": min_confidence}

    def _color_mask(self, result: Segmentation) -> NDArray[np.uint8]:
        picture, is_new = self._picture("color_mask", result)
        if is_new:
            # The table is in R, G, B order, so what OpenCV calls blue comes out red: rgb8.
            cv2.applyColorMap(result.mask, self._palette, picture)
        return picture

    def _overlay(self, result: Segmentation, frame: Frame) -> NDArray[np.uint8]:
        picture, is_new = self._picture("overlay", result)
        if not is_new:
            return picture
        height, width = result.mask.shape
        if frame.color is None:
            background = np.zeros((height, width, 3), np.uint8)
        else:
            background = np.asarray(cv2.cvtColor(bilinear(frame.color, width, height), cv2.COLOR_BGR2RGB), np.uint8)
        opacity = self.options.overlay_opacity
        cv2.addWeighted(self._color_mask(result), opacity, background, 1.0 - opacity, 0.0, dst=picture)
        cv2.copyTo(background, cv2.inRange(result.mask, UNLABELLED, UNLABELLED), picture)
        return picture

    def _picture(self, name: str, result: Segmentation) -> tuple[NDArray[np.uint8], bool]:
        """Memory of a picture that several outputs of one frame are made from, and whether it is still to be painted.

        A picture is painted once for each result; a result is not changed between its outputs.
        """
        picture = self._memory.array(name, (*result.mask.shape, 3), np.uint8)
        painted = self._painted.get(name)
        if painted is not None and painted() is result:
            return picture, False
        self._painted[name] = weakref.ref(result)
        return picture, True

    def _jpeg(self, rgb: NDArray[np.uint8]) -> Fields:
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.options.jpeg_quality])
        assert good, "OpenCV encodes any 8-bit picture"
        return _compressed("jpeg", np.asarray(data, np.uint8).reshape(-1))

    def _png(self, result: Segmentation) -> Fields:
        return _compressed("png", np.frombuffer(palette_png(result.mask, self._palette.reshape(256, 3)), np.uint8))

    def _class_confidence(self, name: str) -> Output:
        channel = self._contract.labels.names.index(name)
        as_float = self.options.class_confidence_encoding == "32FC1"

        def fields(result: Segmentation, _frame: Frame) -> Fields | None:
            if result.probabilities is None:
                return None
            plane = result.probabilities[channel]
            if not as_float:
                return image_fields(plane, "mono8")
            image = self._memory.array(f"confidence/{name}", plane.shape, np.float32)
            return image_fields(np.multiply(plane, np.float32(1 / 255), out=image), "32FC1")

        return _output(f"confidence/{name}", IMAGE, fields, "probabilities")

    def _traversability(self, result: Segmentation) -> Fields | None:
        if result.probabilities is None:
            return None
        weights = np.array([c.traversability for c in self._contract.labels.classes], np.float32) / np.float32(255)
        image = self._memory.array("traversability", result.mask.shape, np.float32)
        share = self._memory.array("traversability of one class", result.mask.shape, np.float32)
        image[...] = 0.0
        for weight, plane in zip(weights, result.probabilities, strict=True):
            if weight:
                image += np.multiply(plane, weight, out=share)
        # Probabilities are rounded to 1/255 each, so that their sum may pass 1 by a little.
        return image_fields(np.minimum(image, np.float32(1.0), out=image), "32FC1")


    def _semantic_image(self, result: Segmentation) -> Fields | None:
        planes = result.probabilities
        if planes is None:
            return None
        image = self._memory.array("semantic_image", (*planes.shape[1:], len(planes)), np.float32)
        if compiled_modules() is None:
            np.multiply(planes.transpose(1, 2, 0), np.float32(1 / 255), out=image)
        else:
            from ssma_ros.messages import kernels

            flat = np.require(planes, np.uint8, ("C", "A", "W")).reshape(len(planes), -1)
            kernels.interleave(flat, image.reshape(-1))
        return image_fields(image, f"32FC{len(planes)}")

    def _depth_completed(self, result: Segmentation) -> Fields | None:
        if result.depth is None:
            return None
        height, width = result.mask.shape
        image = self._memory.array("depth_completed", (height, width), np.float32)
        np.copyto(image, nearest(result.depth, width, height))
        np.copyto(image, np.float32(np.nan), where=image <= 0)  # REP-118: no reading is NaN
        return image_fields(image, "32FC1")

    def _modality_weights(self, modality: str) -> Output:
        topic = f"modality_weights/{modality}"

        def fields(result: Segmentation, _frame: Frame) -> Fields | None:
            if modality not in result.gates:
                return None
            image = self._memory.array(topic, result.mask.shape, np.float32)
            cv2.resize(result.gates[modality], image.shape[::-1], dst=image, interpolation=cv2.INTER_LINEAR)
            return image_fields(image, "32FC1")

        return _output(topic, IMAGE, fields, "gates")


def _camera_info(result: Segmentation) -> Fields | None:
    return None if result.intrinsics is None else camera_info_fields(result.intrinsics)


def _compressed(kind: str, data: NDArray[np.uint8]) -> Fields:
    """Fields of sensor_msgs/CompressedImage as compressed_image_transport writes it for an rgb8 image."""
    return {"format": f"rgb8; {kind} compressed bgr8", "data": data}


def _output(topic: str, kind: str, fields: Callable[[Segmentation, Frame], Fields | None], *needs: str) -> Output:
    return Output(topic, kind, frozenset(needs), fields)


def _chosen(contract: Contract, names: tuple[str, ...]) -> tuple[str, ...]:
    """Classes that a parameter names; ``*`` is all of them, unknown names are left out."""
    if "*" in names:
        return contract.labels.names
    return tuple(name for name in contract.labels.names if name in names)


def unknown_classes(contract: Contract, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names in a parameter that are no class of the network."""
    return tuple(name for name in names if name not in ("", "*") and name not in contract.labels.names)


def _network_input(stream: Stream) -> Output:
    order = ENCODINGS[stream.encoding].order

    def fields(result: Segmentation, _frame: Frame) -> Fields | None:
        image = result.inputs.get(stream.name)
        if image is None:
            return None
        height, width = result.mask.shape
        image = nearest(image, width, height)
        return image_fields(image[..., 0], "mono8") if order == "grey" else image_fields(image, f"{order}8")

    return _output(stream.name, IMAGE, fields, "inputs")
